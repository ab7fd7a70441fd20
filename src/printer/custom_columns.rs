use serde_json::Value;

use super::jsonpath::{JsonPath, JsonPathError};
use super::table::Table;

/// `-o custom-columns=NAME:.metadata.name,…`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CustomColumns {
    columns: Vec<(String, JsonPath)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CustomColumnsError {
    #[error("custom-columns format specified but no custom columns given")]
    Empty,
    #[error("unexpected custom-columns spec: {0}, expected <header>:<json-path-expr>")]
    Malformed(String),
    #[error("custom column {column}")]
    Path {
        column: String,
        #[source]
        source: JsonPathError,
    },
}

impl CustomColumns {
    pub(crate) fn parse(text: &str) -> Result<Self, CustomColumnsError> {
        if text.trim().is_empty() {
            return Err(CustomColumnsError::Empty);
        }
        let columns = split(text)
            .into_iter()
            .map(|part| {
                let (header, path) = part
                    .split_once(':')
                    .filter(|(header, path)| !header.is_empty() && !path.is_empty())
                    .ok_or_else(|| CustomColumnsError::Malformed(part.to_owned()))?;
                let path =
                    JsonPath::parse_relaxed(path).map_err(|source| CustomColumnsError::Path {
                        column: header.to_owned(),
                        source,
                    })?;
                Ok((header.to_owned(), path))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { columns })
    }

    pub(crate) fn table(&self) -> Table {
        Table::new(self.columns.iter().map(|(header, _)| header.clone()))
    }

    /// Several values of one path are joined with commas; none is `<none>`.
    pub(crate) fn cells(&self, document: &Value) -> Result<Vec<String>, JsonPathError> {
        self.columns
            .iter()
            .map(|(_, path)| {
                let found = path.find(document)?;
                let texts: Vec<String> = found.iter().map(super::jsonpath::value_text).collect();
                Ok(if texts.is_empty() {
                    "<none>".to_owned()
                } else {
                    texts.join(",")
                })
            })
            .collect()
    }
}

/// At commas outside brackets, so that unions and filters survive.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, character) in text.char_indices() {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_take_paths_without_braces() {
        let columns = CustomColumns::parse(
            "NAME:.metadata.name,IMAGES:{.spec.containers[*].image},NO:status.x",
        )
        .unwrap();
        let mut table = columns.table();
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
        table.push(columns.cells(&pod).unwrap());
        assert_eq!(
            table.render(true),
            "NAME   IMAGES   NO\np      a,b      <none>\n"
        );
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| CustomColumns::parse(text).unwrap_err().to_string();
        assert_eq!(
            error(""),
            "custom-columns format specified but no custom columns given"
        );
        assert_eq!(
            error("NAME"),
            "unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>"
        );
        assert_eq!(error("A:{.x"), "custom column A");
    }
}
