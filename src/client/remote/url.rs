use std::fmt::Write;

use crate::model::{Kind, ObjectKey};

/// The path of a request and its query, every part escaped.
pub(super) struct Url {
    text: String,
    has_query: bool,
}

impl Url {
    pub(super) fn new(path: &str) -> Self {
        Self {
            text: path.to_owned(),
            has_query: false,
        }
    }

    pub(super) fn collection(kind: Kind, namespace: Option<&str>) -> Self {
        let mut url = match kind.group() {
            "" => Self::new("/api/v1"),
            _ => Self::new(&format!("/apis/{}", kind.api_version())),
        };
        if let Some(namespace) = namespace.filter(|_| kind.is_namespaced()) {
            url = url.segment("namespaces").segment(namespace);
        }
        url.segment(kind.plural())
    }

    pub(super) fn object(key: &ObjectKey) -> Self {
        Self::collection(key.kind, key.namespace.as_deref()).segment(&key.name)
    }

    pub(super) fn segment(mut self, segment: &str) -> Self {
        self.text.push('/');
        escape(segment, &mut self.text);
        self
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        escape(key, &mut self.text);
        self.text.push('=');
        escape(value, &mut self.text);
        self
    }

    /// Nothing for an empty value.
    pub(super) fn query_text(self, key: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.query(key, value)
        }
    }

    pub(super) fn query_flag(self, key: &str, value: bool) -> Self {
        if value { self.query(key, "true") } else { self }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Everything but the unreserved characters of RFC 3986 §2.3.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                write!(out, "%{byte:02X}").expect("writing to a string does not fail");
            }
        }
    }
}
