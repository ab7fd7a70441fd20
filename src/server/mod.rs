//! The Kubernetes HTTP API over [`crate::client::Client`], on a unix socket.
//!
//! Input: HTTP/1.1 requests of any Kubernetes client. Output: the calls of one `Client`, its answers as the
//! API writes them, every refusal as a `Status` document. kubectl, curl and podtui's own remote client are
//! served alike; there is no private protocol. What Kubernetes has no words for lives in API groups of
//! podtui: `images.podtui.dev` and `engine.podtui.dev`.
//!
//! * `bind` makes the socket (0600, in a directory for its owner only) and takes over the one of a dead process;
//!   `door` sees to it that it stays where clients look for it.
//! * `serve` accepts, checks the peer's uid and runs one HTTP connection per task.
//! * `router` names every path; `objects`, `watch`, `logs`, `session`, `forward`, `actions`, `reviews` and
//!   `own` answer them.
//! * `body` and `protobuf` read what clients send, `table` and `reply` write what they want to read, `pages` cuts long
//!   lists, `upgrade` and `stream` speak WebSocket.
//!
//! Invariants: only the owner of the process and root get an answer; a request body is at most 3 MiB; a slow
//! reader slows down only itself.
//!
//! Deliberately absent: rules about objects (they are behind `Client`), SPDY, and answers in protobuf: the one is
//! refused by name, in place of the other stands JSON, as HTTP allows.

mod actions;
mod bind;
mod body;
mod discovery;
mod door;
mod forward;
mod logs;
mod objects;
mod openapi;
mod options;
mod own;
mod pages;
mod protobuf;
mod query;
mod reply;
mod reviews;
mod router;
mod serve;
mod session;
mod stream;
mod table;
mod upgrade;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use door::Door;
pub(crate) use serve::serve;
