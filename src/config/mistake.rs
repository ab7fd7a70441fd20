//! Where a mistake in `config.toml` stands, and what can still be understood of the rest.

use std::fmt;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::File;

/// Line and column of a key, both from 1, where they are known; written as `:LINE:COLUMN` behind a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At(Option<(usize, usize)>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Line and column of a byte of the text, both from 1.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The place of a key such as `images.gc_low_threshold` or `registries."a.b:5000".mirrors`.
pub(super) fn place(text: &str, key: &str) -> At {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut table = Some(root.get_ref());
    let mut offset = None;
    for step in steps(key) {
        let Some((name, value)) = table.and_then(|table| find(table, &step)) else {
            break;
        };
        offset = Some(name.span().start);
        table = value.get_ref().as_table();
    }
    At(offset.map(|offset| line_and_column(text, offset)))
}

fn find<'a, 't>(
    table: &'a DeTable<'t>,
    step: &str,
) -> Option<(
    &'a Spanned<std::borrow::Cow<'t, str>>,
    &'a Spanned<DeValue<'t>>,
)> {
    table.iter().find(|(name, _)| name.get_ref() == step)
}

/// The names of a dotted key; a quoted one may hold dots.
fn steps(key: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut quoted = false;
    for character in key.chars() {
        match character {
            '"' => quoted = !quoted,
            '.' if !quoted => steps.push(String::new()),
            other => steps
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|step| step.push(other)),
        }
    }
    steps
}

/// The directories a wrong file names, as far as it can be understood: an engine that runs is found by them.
pub(super) fn salvage(text: &str) -> File {
    let (table, _) = DeTable::parse_recoverable(text);
    let directory = |key: &str| {
        let (_, value) = find(table.get_ref(), key)?;
        value.get_ref().as_str().map(PathBuf::from)
    };
    File {
        state_dir: directory("state_dir"),
        run_dir: directory("run_dir"),
        ..File::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_place(text: &str, key: &str, expected: &str) {
        assert_eq!(place(text, key).to_string(), expected);
    }

    #[test]
    fn keys_have_places() {
        let text = "log_level = \"x\"\n\n[images]\n  gc_low_threshold = 99\n[registries.\"a.b:1\"]\nmirrors = []\n";
        check_place(text, "log_level", ":1:1");
        check_place(text, "images.gc_low_threshold", ":4:3");
        check_place(text, "registries.\"a.b:1\".mirrors", ":6:1");
        // What is not written stands where its table does.
        check_place(text, "images.gc_high_threshold", ":3:2");
        check_place(text, "nowhere", "");
    }

    #[track_caller]
    fn check_salvaged(text: &str, state_dir: Option<&str>, run_dir: Option<&str>) {
        let file = salvage(text);
        let found = (file.state_dir, file.run_dir);
        assert_eq!(found, (state_dir.map(Into::into), run_dir.map(Into::into)));
    }

    #[test]
    fn directories_survive_a_mistake_elsewhere() {
        let good = "state_dir = \"/s\"\nrun_dir = \"/r\"\n";
        check_salvaged(&format!("{good}nonsense\n"), Some("/s"), Some("/r"));
        check_salvaged(&format!("x = [\n{good}"), None, None);
        check_salvaged(&format!("{good}[node\nname = 3"), Some("/s"), Some("/r"));
        check_salvaged("state_dir = 7\nrun_dir = \"/r\"", None, Some("/r"));
    }
}
