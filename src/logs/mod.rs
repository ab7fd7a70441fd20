//! The CRI log format and the reader that follows it.
