use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::console::Console;

/// Verbs of kubectl that are not here, and what to do instead. The parser would point at whatever verb of ours is
/// spelt alike.
const OF_KUBECTL: [(&str, &str); 18] = [
    ("alpha", ""),
    ("api-resources", ""),
    ("api-versions", ""),
    ("auth", ""),
    ("autoscale", ""),
    ("certificate", ""),
    (
        "cluster-info",
        "podtui engine status tells about the engine",
    ),
    ("config", ""),
    ("drain", ""),
    ("expose", ""),
    ("kustomize", ""),
    ("options", "podtui --help lists the options of all verbs"),
    ("plugin", ""),
    ("port-forward", ""),
    ("proxy", ""),
    ("rollout", ""),
    ("scale", ""),
    ("set", ""),
];

/// Prints help or the mistake in the arguments; a mistake exits with 1 as in kubectl, not with clap's 2.
pub(crate) fn usage(message: &clap::Error) -> ExitCode {
    if let Some(text) = missing_verb(message) {
        Console::process().note(&text);
        return ExitCode::FAILURE;
    }
    // A closed pipe is no reason to fail over a help text.
    let _ = message.print();
    if message.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn missing_verb(message: &clap::Error) -> Option<String> {
    if message.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    // `podtui engine cp` lacks a verb of `engine`.
    let Some(ContextValue::StyledStr(usage)) = message.get(ContextKind::Usage) else {
        return None;
    };
    if !usage.to_string().contains("podtui [") {
        return None;
    }
    let Some(ContextValue::String(word)) = message.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (verb, instead) = OF_KUBECTL.iter().find(|(verb, _)| verb == word)?;
    let rest = if instead.is_empty() {
        "podtui --help lists what there is"
    } else {
        instead
    };
    Some(format!(
        "error: podtui does not have kubectl's {verb:?}; {rest}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Arguments;

    #[track_caller]
    fn check(words: &[&str], expected: Option<&str>) {
        let words = std::iter::once(&"podtui").chain(words);
        let message = Arguments::try_parse_from(words).unwrap_err();
        assert_eq!(missing_verb(&message).as_deref(), expected);
    }

    #[test]
    fn verbs_of_kubectl_that_are_missing_are_said_to_be() {
        check(
            &["autoscale", "x"],
            Some(
                "error: podtui does not have kubectl's \"autoscale\"; podtui --help lists what there is",
            ),
        );
        check(
            &["cluster-info"],
            Some(
                "error: podtui does not have kubectl's \"cluster-info\"; podtui engine status tells about the engine",
            ),
        );
        check(&["gte"], None);
        check(&["engine", "proxy"], None);
        check(&["get", "--nonsense"], None);
    }

    #[test]
    fn what_there_is_is_not_said_to_be_missing() {
        for verb in Arguments::command().get_subcommands() {
            let name = verb.get_name();
            assert!(OF_KUBECTL.iter().all(|(missing, _)| *missing != name));
        }
    }
}
