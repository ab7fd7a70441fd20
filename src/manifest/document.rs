use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::write::inline;
use super::{Diagnostic, Severity};

/// A place in the text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Where the nodes of a document are: the place of a map entry is that of its key. What stands behind an
/// alias or a merge has no places of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) place: Place,
    /// The bytes of a scalar value in the text, when it can be exchanged for another.
    pub(super) source: Option<Range<usize>>,
    pub(super) children: Children,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Children {
    None,
    List(Vec<Places>),
    Map(HashMap<String, Places>),
}

impl Places {
    pub(super) const fn leaf(place: Place) -> Self {
        Self {
            place,
            source: None,
            children: Children::None,
        }
    }

    fn child(&self, step: &Step<'_>) -> Option<&Self> {
        match (&self.children, step) {
            (Children::List(list), Step::Index(index)) => list.get(*index),
            (Children::Map(map), Step::Key(key)) => map.get(*key),
            _ => None,
        }
    }
}

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// The file name, or `-`.
    pub(crate) source: String,
    pub(super) places: Places,
    /// The part of the file that holds this document and nothing else.
    pub(super) excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) text: Arc<str>,
    /// Where it begins in the file, in bytes.
    pub(super) start: usize,
}

impl Document {
    /// The document as it was written, comments included; `None` for an element of a list.
    pub(crate) fn text(&self) -> Option<&str> {
        self.excerpt.as_ref().map(|excerpt| &*excerpt.text)
    }

    /// The text with other values at some places, all else as it was written. `None` when one of the places
    /// does not hold a scalar in one piece (a block scalar, an alias, nothing), or `value` is no scalar.
    pub(crate) fn spliced(&self, changes: &[(String, Value)]) -> Option<String> {
        let excerpt = self.excerpt.as_ref()?;
        let mut splices = Vec::new();
        for (path, value) in changes {
            let range = self.source_of(path)?;
            if value.is_object() || value.is_array() {
                return None;
            }
            let start = range.start.checked_sub(excerpt.start)?;
            splices.push((start..range.end - excerpt.start, inline(value)));
        }
        splices.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        let mut text = excerpt.text.to_string();
        for (range, value) in splices {
            text.get(range.clone())?;
            text.replace_range(range, &value);
        }
        Some(text)
    }

    fn source_of(&self, path: &str) -> Option<Range<usize>> {
        let (mut value, mut places, mut rest) = (&self.value, &self.places, path);
        while !rest.is_empty() {
            let (step, inner, after) = next_step(value, rest)?;
            (value, places, rest) = (inner, places.child(&step)?, after);
        }
        places.source.clone()
    }

    /// Line and column of a field (`spec.containers[0].image`, `metadata.labels[a/b]`), or of the nearest
    /// parent that is written down when the field itself is not. The empty path is the document.
    pub(crate) fn position(&self, path: &str) -> Option<(usize, usize)> {
        let (mut value, mut places, mut rest) = (&self.value, &self.places, path);
        while let Some((step, inner, after)) = next_step(value, rest) {
            let Some(child) = places.child(&step) else {
                break;
            };
            (value, places, rest) = (inner, child, after);
        }
        let place = places.place;
        (place.line > 0).then_some((place.line, place.column))
    }

    /// An error about a field of this document, at its place.
    pub(crate) fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(path).unwrap_or_default();
        Diagnostic {
            source: self.source.clone(),
            line,
            column,
            severity: Severity::Error,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

enum Step<'v> {
    Index(usize),
    Key(&'v str),
}

/// Keys may hold dots and brackets themselves, so the longest key of the map that fits is taken.
fn next_step<'v, 'p>(value: &'v Value, path: &'p str) -> Option<(Step<'v>, &'v Value, &'p str)> {
    match value {
        Value::Array(items) => {
            let (index, after) = path.strip_prefix('[')?.split_once(']')?;
            let index = index.parse().ok()?;
            Some((Step::Index(index), items.get(index)?, after))
        }
        Value::Object(map) => {
            let (rest, bracket) = match path.strip_prefix('[') {
                Some(rest) => (rest, true),
                None => (path.strip_prefix('.').unwrap_or(path), false),
            };
            let fits = |key: &str| -> Option<&'p str> {
                let after = rest.strip_prefix(key)?;
                if bracket {
                    return after.strip_prefix(']');
                }
                (after.is_empty() || after.starts_with(['.', '['])).then_some(after)
            };
            let found = map
                .iter()
                .filter_map(|(key, inner)| Some((key, inner, fits(key)?)));
            let (key, inner, after) = found.max_by_key(|(key, _, _)| key.len())?;
            Some((Step::Key(key), inner, after))
        }
        _ => None,
    }
}
