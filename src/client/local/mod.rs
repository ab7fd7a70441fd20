//! The client in the process that owns the engine: admission, then the store, then the engine's verbs.

mod accounts;
mod calls;
mod delete;
mod errors;
mod logs;
mod namespaces;
mod priority;
mod runtime_classes;
mod session;
mod tokens;
mod watch;
mod write;

pub(crate) use calls::Local;
