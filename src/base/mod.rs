//! Vocabulary that every room may use: identifiers, time, back-off arithmetic, error chains, quotation, the
//! names of capabilities, what is shown to registries and the channel bundle of an interactive session.
//!
//! Nothing here decides anything and nothing here touches a file, a socket or the clock of the machine
//! except [`Clock::system`]. A type belongs here only when at least two rooms that may not import each
//! other exchange it.

mod backoff;
mod capability;
mod clock;
mod error;
mod id;
mod incident;
mod login;
mod process;
mod quote;
mod stream;

pub(crate) use backoff::BackoffSequence;
pub(crate) use capability::CAPABILITIES;
pub(crate) use clock::Clock;
pub(crate) use error::chain;
pub(crate) use id::{ContainerId, Pid, SandboxId, Uid};
pub(crate) use incident::{Incident, IncidentKind, Victim};
pub(crate) use login::Login;
pub(crate) use process::ProcessInfo;
pub(crate) use quote::{escaped, quoted};
pub(crate) use stream::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
