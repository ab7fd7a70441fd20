//! The command line as a user of kubectl expects it.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod refusals;
mod verbs;
