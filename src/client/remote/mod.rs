//! A Kubernetes API client over a unix socket: the front end of an engine in another process.
//!
//! One connection per request: connecting to a unix socket is cheap, and a stream that is dropped ends its
//! connection and with it the work on the other side.

mod calls;
mod connection;
mod forward;
mod list;
mod metrics;
mod session;
mod url;
mod watch;

pub(crate) use calls::Remote;
