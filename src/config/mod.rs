//! Files, directories and environment become one validated struct.
