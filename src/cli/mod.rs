//! The command line: kubectl's verbs and flags over [`crate::client::Client`], one file per verb.
//!
//! `main` parses [`Arguments`] and looks at [`Arguments::command`]: the screen and [`Command::Serve`] are its
//! own business, everything else goes to [`run`], which builds a runtime of one thread, connects when the
//! verb needs an engine ([`Connector`]) and returns the exit code.
//!
//! This is the only room that prints. Tables and objects go to standard output; errors, warnings, hints and
//! progress go to standard error; a closed pipe ends a command quietly. Exit codes are kubectl's: 0, 1 for
//! any error, the code of the process for `exec` and `run`. Error texts are kubectl's too: `error: …` for
//! mistakes found here, `Error from server (Reason): …` for refusals of the API, `Warning: …` for what the
//! server has to say. Errors in manifests are followed by `file:line:column: message` lines.
//!
//! Deliberately absent: decisions about objects (the server side makes them, dry runs included), system
//! calls (`doctor` reads `/proc` and `/sys`), the screen.

mod arguments;
mod connect;
mod console;
mod context;
mod diagnose;
mod environment;
mod failure;
mod files;
mod follow;
mod output;
mod resources;
mod run;
mod sanitize;
mod session;
mod usage;
mod verbs;

pub(crate) use arguments::{Arguments, Command, TuiArgs};
pub(crate) use connect::spawn_engine;
pub(crate) use run::{fail, run};
pub(crate) use usage::usage;
