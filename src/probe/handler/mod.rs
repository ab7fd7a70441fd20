//! One attempt of a probe. Each handler says success, success with a warning, or failure with the text
//! that the event shows; an attempt that could not be made at all is an error.

mod connect;
mod eager;
pub(crate) mod exec;
pub(super) mod grpc;
pub(crate) mod http;
mod outcome;
pub(super) mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod url;

pub(crate) use outcome::{Action, Attempt, Outcome};
