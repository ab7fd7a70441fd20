use std::collections::HashMap;

use serde_json::Value;

/// A place in the text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Where the nodes of a document are: JSON pointer → place of the key (or of the list entry) and of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(pub(super) HashMap<String, Place>);

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// The file name, or `-`.
    pub(crate) source: String,
    pub(super) places: Places,
}

impl Document {
    /// Line and column of a field (`spec.containers[0].image`, `metadata.labels[a/b]`), or of the nearest
    /// parent that is written down when the field itself is not.
    pub(crate) fn position(&self, path: &str) -> Option<(usize, usize)> {
        let mut pointer = String::new();
        let mut place = self.places.0.get("").copied();
        let mut value = &self.value;
        let mut rest = path;
        while let Some((step, inner, after)) = next_step(value, rest) {
            pointer.push('/');
            pointer.push_str(&escape(&step));
            place = self.places.0.get(&pointer).copied().or(place);
            (value, rest) = (inner, after);
        }
        place.map(|place| (place.line, place.column))
    }
}

/// One step of a JSON pointer (RFC 6901).
pub(super) fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Keys may hold dots and brackets themselves, so the longest key of the map that fits is taken.
fn next_step<'v, 'p>(value: &'v Value, path: &'p str) -> Option<(String, &'v Value, &'p str)> {
    match value {
        Value::Array(items) => {
            let (index, after) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(index.parse::<usize>().ok()?)?;
            Some((index.to_owned(), item, after))
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
            Some((key.clone(), inner, after))
        }
        _ => None,
    }
}
