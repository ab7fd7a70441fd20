//! Who manages which fields of an object, and server-side apply (Kubernetes API concepts, "Server-Side Apply").
//!
//! * [`apply`] — what an object becomes when somebody applies his fields to it, or whose fields stand against that.
//! * [`after_update`] — whose fields they are after any other write.
//!
//! An object has managers from its first apply on: then all it had belongs to `before-first-apply`. Until then nothing
//! is written down, so that objects nobody applies this way stay as small as they are. The status is left out: the
//! engine alone writes it, but for a status that somebody applies.

mod apply;
mod entries;
mod set;
mod typed;

#[cfg(test)]
mod tests;

pub(crate) use apply::{Writer, after_update, apply};
