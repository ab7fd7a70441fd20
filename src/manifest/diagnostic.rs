use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// Something to say about one place of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// The file name, or `-`.
    pub(crate) source: String,
    /// Counted from 1, in characters; line 0 means the file as a whole.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) severity: Severity,
    /// The field concerned, e.g. `spec.containers[0].image`; empty when it is not about a field.
    pub(crate) path: String,
    pub(crate) message: String,
}

/// `pod.yaml:7:3: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.source, self.message)
        } else {
            let (source, line, column) = (&self.source, self.line, self.column);
            write!(f, "{source}:{line}:{column}: {}", self.message)
        }
    }
}
