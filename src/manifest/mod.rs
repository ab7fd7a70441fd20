//! YAML text to objects and back, with a line and column for every diagnostic.
//!
//! Input is hostile: size, depth and the number of nodes that aliases expand to are bounded. A document that
//! cannot be read does not hide the ones behind it. JSON and KYAML are YAML here.

mod build;
mod check;
mod diagnostic;
mod document;
mod load;
mod scalar;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub(crate) use diagnostic::{Diagnostic, Severity};
pub(crate) use document::Document;
pub(crate) use load::load;
pub(crate) use write::to_yaml;
