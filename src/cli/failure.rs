use std::fmt::Write as _;
use std::io;

use super::connect::ConnectError;
use super::console::Console;
use crate::base::chain;
use crate::model::{ApiError, Reason};

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A refusal of the server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A mistake found here; printed as `error: …`.
    #[error("{0}")]
    Local(String),
    /// Complete text in kubectl's form, possibly of several lines.
    #[error("{0}")]
    Text(String),
    /// A refusal of one object of the files. Beside others kubectl prints it in another form.
    #[error("{alone}")]
    Refused { alone: String, one_of_many: String },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// Everything has been said already.
    #[error("exit code {0}")]
    Exit(u8),
}

/// As a shell reports death by SIGPIPE, which is what happens to other filters here.
const BROKEN_PIPE: u8 = 128 + 13;

impl Failure {
    pub(super) fn local(text: impl Into<String>) -> Self {
        Self::Local(text.into())
    }

    /// What goes to standard error; empty when there is nothing to say.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Api(error) => api_error_text(error),
            Self::Local(text) => format!("error: {text}"),
            Self::Text(text) => text.clone(),
            Self::Refused { alone, .. } => alone.clone(),
            Self::Connect(error) => format!("error: {}", chain(error)),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => String::new(),
            Self::Output(_) => format!("error: {}", chain(self)),
            Self::Exit(_) => String::new(),
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Exit(code) => *code,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => BROKEN_PIPE,
            Self::Api(_)
            | Self::Local(_)
            | Self::Text(_)
            | Self::Refused { .. }
            | Self::Connect(_)
            | Self::Output(_) => 1,
        }
    }

    /// Says it on standard error.
    pub(super) fn report(&self, console: &mut Console) {
        let text = self.text();
        if !text.is_empty() {
            console.note(&text);
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(error) if error.reason == Reason::NotFound)
    }
}

/// An API error as kubectl prints it.
pub(super) fn api_error_text(error: &ApiError) -> String {
    if error.reason == Reason::Invalid && !error.causes.is_empty() {
        let mut lines: Vec<String> = Vec::new();
        for cause in &error.causes {
            let line = if cause.field.is_empty() {
                cause.message.clone()
            } else {
                format!("{}: {}", cause.field, cause.message)
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let mut text = format!("The {} \"{}\" is invalid: ", error.kind, error.name);
        if let [one] = lines.as_slice() {
            text.push_str(one);
        } else {
            for line in &lines {
                write!(text, "\n* {line}").expect("writing to a String cannot fail");
            }
        }
        return text;
    }
    format!(
        "Error from server ({}): {}",
        error.reason.as_str(),
        error.message
    )
}

/// Reports each failure and turns them into one exit code.
pub(super) fn finish(console: &mut Console, failures: &[Failure]) -> Result<(), Failure> {
    for failure in failures {
        match failure {
            Failure::Refused { one_of_many, .. } if failures.len() > 1 => console.note(one_of_many),
            other => other.report(console),
        }
    }
    match failures.first() {
        Some(failure) => Err(Failure::Exit(failure.exit_code())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldError, Kind};

    #[track_caller]
    fn check(error: ApiError, expected: &str) {
        assert_eq!(Failure::Api(error).text(), expected);
    }

    #[test]
    fn api_errors_read_as_kubectl_prints_them() {
        check(
            ApiError::not_found(Kind::Pod, "a"),
            "Error from server (NotFound): pods \"a\" not found",
        );
        let image = FieldError::required("spec.containers[0].image", "");
        check(
            ApiError::invalid(Kind::Pod, "a", std::slice::from_ref(&image)),
            "The Pod \"a\" is invalid: spec.containers[0].image: Required value",
        );
        let name = FieldError::duplicate("spec.containers[0].name", "x");
        check(
            ApiError::invalid(Kind::Pod, "a", &[image.clone(), name, image]),
            "The Pod \"a\" is invalid: \n* spec.containers[0].image: Required value\n* spec.containers[0].name: Duplicate value: \"x\"",
        );
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        let failure = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.text().as_str(), failure.exit_code()), ("", 141));
    }
}
