use std::collections::BTreeMap;

/// The labels of one object, for selecting: one text instead of a tree with two texts for each.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Labels(Box<str>);

/// Neither keys nor values can hold it.
const BETWEEN: char = '\0';

impl Labels {
    pub(super) fn of(labels: Option<&BTreeMap<String, String>>) -> Self {
        let mut text = String::new();
        for (key, value) in labels.into_iter().flatten() {
            for part in [key, value] {
                text.extend(part.chars().filter(|sign| *sign != BETWEEN));
                text.push(BETWEEN);
            }
        }
        Self(text.into())
    }

    pub(in crate::tui) fn get(&self, wanted: &str) -> Option<&str> {
        let mut parts = self.0.split_terminator(BETWEEN);
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            if key == wanted {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_found_by_its_whole_key() {
        let labels = [("a", "b"), ("app.kubernetes.io/name", ""), ("b", "a")];
        let map = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let kept = Labels::of(Some(&BTreeMap::from(map)));
        for (key, value) in labels {
            assert_eq!(kept.get(key), Some(value), "{key}");
        }
        for missing in ["", "app", "c"] {
            assert_eq!(kept.get(missing), None, "{missing}");
        }
        assert_eq!(Labels::of(None).get("a"), None);
    }
}
