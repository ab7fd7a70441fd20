//! YAML text to objects and back, with a line and column for every diagnostic.
//!
//! Input is hostile: size, depth and the number of nodes that aliases expand to are bounded. A document that
//! cannot be read does not hide the ones behind it. JSON and KYAML are YAML here. [`Schema`] knows the fields of
//! the kinds that are written most, for completion and help.

mod build;
mod check;
mod diagnostic;
mod document;
mod load;
mod run_line;
mod scalar;
mod schema;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub(crate) use diagnostic::{Diagnostic, Severity};
pub(crate) use document::Document;
pub(crate) use load::load;
pub(crate) use run_line::pod_of_run_line;
pub(crate) use schema::{Field, Schema};
pub(crate) use write::to_yaml;
