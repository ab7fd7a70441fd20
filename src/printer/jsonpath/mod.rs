//! JSONPath templates as kubectl understands them (client-go `util/jsonpath`): text with `{…}` actions,
//! fields, wildcards, slices, unions, filters, recursive descent, `range`/`end` and string literals.

mod eval;
mod parse;

pub(crate) use eval::JsonPath;
pub(super) use eval::value_text;
pub(crate) use parse::JsonPathError;
