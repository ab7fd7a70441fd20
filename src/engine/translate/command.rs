use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use crate::image::ImageConfig;
pub(super) use crate::model::expand;

/// Like [`expand`], but a name that is undefined or empty is an error.
pub(super) fn expand_strictly(
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<String, String> {
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        let after = &rest[position + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some((name, tail)) = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            if variables.get(name).is_none_or(String::is_empty) {
                return Err(format!("missing value for \"{name}\""));
            }
            rest = tail;
        } else {
            rest = after;
        }
    }
    Ok(expand(text, variables))
}

/// What is executed; empty when neither the container nor the image names a command.
pub(super) fn argv(
    container: &Container,
    image: &ImageConfig,
    variables: &BTreeMap<String, String>,
) -> Vec<String> {
    let given = |list: &Option<Vec<String>>| {
        list.as_ref().filter(|list| !list.is_empty()).map(|list| {
            list.iter()
                .map(|text| expand(text, variables))
                .collect::<Vec<_>>()
        })
    };
    match (given(&container.command), given(&container.args)) {
        (Some(command), args) => [command, args.unwrap_or_default()].concat(),
        (None, Some(args)) => [image.entrypoint.clone(), args].concat(),
        (None, None) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_expansion(text: &str, expected: &str) {
        let variables = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("EMPTY".to_owned(), String::new()),
            ("NESTED".to_owned(), "$(A)".to_owned()),
        ]);
        assert_eq!(expand(text, &variables), expected);
    }

    #[test]
    fn expansion() {
        check_expansion("$(A)", "1");
        check_expansion("x$(A)y$(A)", "x1y1");
        check_expansion("$(NOPE)", "$(NOPE)");
        check_expansion("$(EMPTY)", "");
        check_expansion("$(NESTED)", "$(A)");
        check_expansion("$$(A)", "$(A)");
        check_expansion("$$$(A)", "$1");
        check_expansion("$$$$(A)", "$$(A)");
        check_expansion("$(A", "$(A");
        check_expansion("$A `A` ${A}", "$A `A` ${A}");
        check_expansion("end$", "end$");
        check_expansion("$()", "$()");
        check_expansion("ü$(A)ü", "ü1ü");
    }

    /// At least what the table of the forked expansion package asks, derived from its rules.
    #[test]
    fn operators_and_what_only_looks_like_one() {
        check_expansion("$(A)-$(A)", "1-1");
        check_expansion("$(A)-1", "1-1");
        check_expansion("___$(A)___", "___1___");
        check_expansion("___$(A)", "___1");
        check_expansion("$$(A)_$(A)", "$(A)_1");
        check_expansion("$$(A)_$$(A)", "$(A)_$(A)");
        check_expansion("f000-$$A", "f000-$A");
        // A backslash escapes nothing.
        check_expansion(r"foo\$(A)bar", r"foo\1bar");
        check_expansion(r"foo\\$(A)bar", r"foo\\1bar");
        check_expansion(r"foo-\$(A", r"foo-\$(A");
        check_expansion("$(A$(A))", "$(A$(A))");
        check_expansion("$(A$(A)", "$(A$(A)");
        // What a value holds is not expanded again.
        check_expansion("%%$(NESTED)--$(NESTED)%%", "%%$(A)--$(A)%%");
        check_expansion("foo$(EMPTY)bar", "foobar");
        check_expansion("foo$(Awhoops!", "foo$(Awhoops!");
        check_expansion("f00__(A)__", "f00__(A)__");
        check_expansion("$?_boo_$!", "$?_boo_$!");
        check_expansion("$A", "$A");
        check_expansion("$A)", "$A)");
        check_expansion("$$$$$$(NOPE)", "$$$(NOPE)");
        check_expansion("$$$$$$(A)", "$$$(A)");
        check_expansion("$$$$$$$(NOPE)", "$$$$(NOPE)");
        check_expansion("$$$$$$$(A)", "$$$1");
        check_expansion("$(A)_______$(A", "1_______$(A");
        check_expansion("$(A)_______$(", "1_______$(");
        check_expansion("$(A)foobarzab$", "1foobarzab$");
        check_expansion("--$($($($($--", "--$($($($($--");
        check_expansion("$($($($($--foo$(", "$($($($($--foo$(");
        check_expansion("foo0--$($($($(", "foo0--$($($($(");
        check_expansion("$(foo$$var)", "$(foo$$var)");
        check_expansion("\n", "\n");
    }

    #[track_caller]
    fn check_matrix(command: &[&str], args: &[&str], expected: &[&str]) {
        let list = |list: &[&str]| Some(list.iter().map(|&text| text.to_owned()).collect());
        let container = Container {
            command: list(command),
            args: list(args),
            ..Container::default()
        };
        let image = ImageConfig {
            entrypoint: vec!["/entry".to_owned()],
            cmd: vec!["cmd".to_owned()],
            ..ImageConfig::default()
        };
        assert_eq!(argv(&container, &image, &BTreeMap::new()), expected);
    }

    #[test]
    fn command_matrix() {
        check_matrix(&[], &[], &["/entry", "cmd"]);
        check_matrix(&[], &["a"], &["/entry", "a"]);
        check_matrix(&["/c"], &[], &["/c"]);
        check_matrix(&["/c"], &["a"], &["/c", "a"]);
    }
}
