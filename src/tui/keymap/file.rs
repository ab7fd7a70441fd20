//! `keys.toml`: other keys for the commands, in whole or in part.
//!
//! ```toml
//! preset = "vim"            # podtui (the default), k9s or vim
//!
//! [anywhere]                # or [list], [logs], [editor], [input] ...: where the keys hold
//! zoom = "z ctrl-space"     # one or several keys, separated by spaces
//! suspend = ""              # no key
//! ```
//!
//! A mistake costs its own line, never the rest of the file. A key that a line takes from another command is
//! reported, so that no command loses its key unnoticed.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Binding, Cmd, Key, Keymap, Place};

const PRESETS: &[(&str, &str)] = &[
    ("podtui", ""),
    ("k9s", include_str!("../../../assets/keys/k9s.toml")),
    ("vim", include_str!("../../../assets/keys/vim.toml")),
];

/// One line of a file: these keys and no others do this, there.
struct Line {
    cmd: Cmd,
    place: Place,
    keys: Vec<Key>,
    at: usize,
}

impl Keymap {
    /// The built-in table changed by a preset and then by `text`, with every problem as
    /// `keys.toml:LINE:COLUMN: what, and how to mend it`.
    pub(in crate::tui) fn from_file(text: &str) -> (Self, Vec<String>) {
        let mut file = File {
            text,
            problems: Vec::new(),
        };
        let mut keymap = Self::default();
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                file.problem(at, error.message());
                return (keymap, file.into_problems());
            }
        };
        let (preset, lines) = file.read(&table);
        keymap.apply_preset(preset);
        file.bind(&mut keymap, &lines);
        (keymap, file.into_problems())
    }

    fn apply_preset(&mut self, text: &str) {
        let mut preset = File {
            text,
            problems: Vec::new(),
        };
        let Ok(table) = DeTable::parse(text) else {
            return;
        };
        let (_, lines) = preset.read(&table.into_inner());
        // A preset takes keys without a word; its file says what it is.
        preset.bind(self, &lines);
    }

    /// A place the command had no keys in gets a row of its own.
    fn rebind(&mut self, cmd: Cmd, place: Place, keys: Vec<Key>) {
        let same = |binding: &&mut Binding| binding.cmd == cmd && binding.place == place;
        if let Some(binding) = self.bindings.iter_mut().find(same) {
            binding.keys = keys;
            return;
        }
        let known = self.bindings.iter().position(|binding| binding.cmd == cmd);
        if let Some(index) = known {
            let binding = Binding {
                place,
                keys,
                ..self.bindings[index].clone()
            };
            self.bindings.insert(index + 1, binding);
        }
    }
}

struct File<'a> {
    text: &'a str,
    /// With the place each is about.
    problems: Vec<(usize, String)>,
}

impl File<'_> {
    fn problem(&mut self, at: usize, what: impl std::fmt::Display) {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count() + 1;
        self.problems
            .push((at, format!("keys.toml:{line}:{column}: {what}")));
    }

    /// In the order of the file.
    fn into_problems(mut self) -> Vec<String> {
        self.problems.sort();
        self.problems.into_iter().map(|(_, text)| text).collect()
    }

    /// The text of the preset and the lines, in the order of the file.
    fn read(&mut self, table: &DeTable<'_>) -> (&'static str, Vec<Line>) {
        let mut preset = "";
        let mut lines = Vec::new();
        for (name, value) in table {
            let at = name.span().start;
            let place = Place::ALL
                .into_iter()
                .find(|place| place.name() == name.get_ref().as_ref());
            match (name.get_ref().as_ref(), place, value.get_ref()) {
                ("preset", _, DeValue::String(wanted)) => {
                    let found = PRESETS.iter().find(|(name, _)| *name == wanted.as_ref());
                    match found {
                        Some((_, text)) => preset = text,
                        None => {
                            let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                            let names = names.join(", ");
                            self.problem(
                                value.span().start,
                                format!("there is no preset {wanted:?}: choose one of {names}"),
                            );
                        }
                    }
                }
                (_, Some(place), DeValue::Table(table)) => self.section(place, table, &mut lines),
                ("preset", ..) => self.problem(value.span().start, "preset must be a string"),
                (name, None, _) => {
                    let places: Vec<&str> = Place::ALL.iter().map(|place| place.name()).collect();
                    let places = places.join("], [");
                    self.problem(
                        at,
                        format!("unknown key {name:?}: write preset, [{places}]"),
                    );
                }
                (name, Some(_), _) => {
                    self.problem(at, format!("{name} must be a table: write [{name}]"));
                }
            }
        }
        lines.sort_by_key(|line| line.at);
        (preset, lines)
    }

    fn section(&mut self, place: Place, table: &DeTable<'_>, lines: &mut Vec<Line>) {
        for (name, value) in table {
            let at = name.span().start;
            let Some(cmd) = command_named(name.get_ref()) else {
                let near = nearest(name.get_ref());
                self.problem(
                    at,
                    format!("there is no command {:?}{near}", name.get_ref()),
                );
                continue;
            };
            let DeValue::String(keys) = value.get_ref() else {
                self.problem(
                    value.span().start,
                    "write the keys as one string, separated by spaces",
                );
                continue;
            };
            match parse_keys(keys) {
                Ok(keys) if place.takes_text() && keys.iter().any(|key| key.is_text()) => {
                    self.problem(
                        value.span().start,
                        format!(
                            "characters are typed in [{}], so they cannot be commands there: take a key with ctrl- or \
                             alt-, or a named one",
                            place.name()
                        ),
                    );
                }
                Ok(keys) => lines.push(Line {
                    cmd,
                    place,
                    keys,
                    at,
                }),
                Err(wrong) => self.unknown_key(value, &wrong),
            }
        }
    }

    fn unknown_key(&mut self, value: &Spanned<DeValue<'_>>, wrong: &str) {
        self.problem(
            value.span().start,
            format!(
                "{wrong:?} is no key: write a character, a name (enter esc tab space up home pgup f5 …), \
                 with ctrl- or alt- before it"
            ),
        );
    }

    /// One key does one thing in one place: lines of the file win over the table, later lines over earlier ones.
    fn bind(&mut self, keymap: &mut Keymap, lines: &[Line]) {
        for (index, line) in lines.iter().enumerate() {
            keymap.rebind(line.cmd, line.place, line.keys.clone());
            let is_set_later = |cmd: Cmd| {
                let later = &lines[index + 1..];
                later
                    .iter()
                    .any(|later| later.cmd == cmd && later.place == line.place)
            };
            for &key in &line.keys {
                for loser in keymap.take_key(key, line.place, line.cmd) {
                    if !is_set_later(loser) {
                        let (place, winner, loser) =
                            (line.place.name(), line.cmd.name(), loser.name());
                        self.problem(
                            line.at,
                            format!("{key} in [{place}] is now {winner}; {loser} has lost it"),
                        );
                    }
                }
            }
        }
    }
}

impl Keymap {
    /// Takes `key` from every command but `winner` in that place and tells whose it was.
    fn take_key(&mut self, key: Key, place: Place, winner: Cmd) -> Vec<Cmd> {
        let others = self
            .bindings
            .iter_mut()
            .filter(|binding| binding.place == place && binding.cmd != winner);
        let mut losers = Vec::new();
        for binding in others {
            let before = binding.keys.len();
            binding.keys.retain(|&bound| bound != key);
            if binding.keys.len() < before {
                losers.push(binding.cmd);
            }
        }
        losers
    }
}

fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    text.split_whitespace()
        .map(|word| Key::parse(word).ok_or_else(|| word.to_owned()))
        .collect()
}

fn command_named(name: &str) -> Option<Cmd> {
    commands().find(|cmd| cmd.name() == name)
}

fn commands() -> impl Iterator<Item = Cmd> {
    super::TABLE.iter().map(|(cmd, ..)| *cmd)
}

/// `: did you mean …?` when a name is similar.
fn nearest(wrong: &str) -> String {
    let similar = |name: &str| {
        name.split('-').any(|part| wrong.contains(part))
            || name.starts_with(wrong.get(..3).unwrap_or(wrong))
    };
    let mut names: Vec<String> = commands()
        .map(Cmd::name)
        .filter(|name| similar(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "; the help (?) shows the names".to_owned()
    } else {
        format!(": did you mean {}?", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::columns::ColumnId;
    use crate::tui::keymap::{EditorCmd, InputCmd};

    fn command(keymap: &Keymap, place: Place, key: &str) -> Option<Cmd> {
        keymap.command(place, Key::parse(key).unwrap())
    }

    #[track_caller]
    fn check_problem(text: &str, expected: &[&str]) -> Keymap {
        let (keymap, problems) = Keymap::from_file(text);
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        keymap
    }

    #[test]
    fn a_partial_file_changes_only_what_it_names() {
        let keymap = check_problem(
            "[list]\ndelete = \"x del\"\n[anywhere]\nsuspend = \"\"\n",
            &[],
        );
        assert_eq!(command(&keymap, Place::List, "x"), Some(Cmd::Delete));
        assert_eq!(command(&keymap, Place::List, "del"), Some(Cmd::Delete));
        assert_eq!(command(&keymap, Place::Logs, "D"), Some(Cmd::Delete));
        assert_eq!(command(&keymap, Place::List, "ctrl-z"), None);
        assert_eq!(
            command(&keymap, Place::List, "l"),
            command(&Keymap::default(), Place::List, "l")
        );
    }

    #[test]
    fn presets_are_whole_files_without_problems() {
        for (name, text) in PRESETS {
            let (_, problems) = Keymap::from_file(text);
            let lost: Vec<&String> = problems
                .iter()
                .filter(|problem| !problem.contains("has lost it"))
                .collect();
            assert!(lost.is_empty(), "{name}: {lost:?}");
            check_problem(&format!("preset = \"{name}\""), &[]);
        }
        let vim = check_problem("preset = \"vim\"", &[]);
        assert_eq!(command(&vim, Place::Logs, "h"), Some(Cmd::Left));
        assert_eq!(command(&vim, Place::List, "D"), Some(Cmd::Delete));
    }

    #[test]
    fn every_command_can_be_reached_in_every_preset() {
        for (name, _) in PRESETS {
            let (keymap, _) = Keymap::from_file(&format!("preset = \"{name}\""));
            for cmd in commands() {
                let mut bound = keymap.bindings.iter().filter(|binding| binding.cmd == cmd);
                assert!(
                    bound.any(|binding| !binding.keys.is_empty()),
                    "{name}: {} has no key",
                    cmd.name()
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut seen: Vec<(String, Cmd)> = Vec::new();
        for cmd in commands() {
            let name = cmd.name();
            assert!(
                !seen.iter().any(|(other, of)| *other == name && *of != cmd),
                "{name}"
            );
            seen.push((name, cmd));
        }
    }

    #[test]
    fn mistakes_have_a_place_and_cost_only_their_line() {
        let keymap = check_problem(
            "preset = \"emacs\"\n[list]\ndelte = \"x\"\nwide = \"meta-x\"\ndelete = \"X\"\n[nowhere]\n",
            &[
                "keys.toml:1:10: there is no preset \"emacs\": choose one of podtui, k9s, vim",
                "keys.toml:3:1: there is no command \"delte\": did you mean delete?",
                "keys.toml:4:8: \"meta-x\" is no key",
                "keys.toml:6:2: unknown key \"nowhere\": write preset, [anywhere], [list]",
            ],
        );
        assert_eq!(command(&keymap, Place::List, "X"), Some(Cmd::Delete));
        check_problem("[list\n", &["keys.toml:1:"]);
    }

    #[test]
    fn a_key_that_changes_hands_is_reported() {
        let keymap = check_problem(
            "[list]\ndelete = \"w\"\nfilter = \"w\"\n",
            &[
                "keys.toml:2:1: w in [list] is now delete; wide has lost it",
                "keys.toml:3:1: w in [list] is now filter; delete has lost it",
            ],
        );
        assert_eq!(command(&keymap, Place::List, "w"), Some(Cmd::Filter));
    }

    #[test]
    fn the_editor_and_lines_of_input_have_places_of_their_own() {
        let file = "[editor]\neditor-review = \"ctrl-g\"\neditor-undo = \"u\"\n\
                    [input]\ninput-next = \"ctrl-n down\"\ninput-cancel = \"ctrl-w\"\n";
        let keymap = check_problem(
            file,
            &[
                "keys.toml:3:15: characters are typed in [editor], so",
                "keys.toml:6:1: ctrl-w in [input] is now input-cancel; input-delete-word has lost it",
            ],
        );
        let review = Some(Cmd::Editor(EditorCmd::Review));
        assert_eq!(command(&keymap, Place::Editor, "ctrl-g"), review);
        assert_eq!(command(&keymap, Place::Editor, "ctrl-s"), None);
        let undo = Some(Cmd::Editor(EditorCmd::Undo));
        assert_eq!(command(&keymap, Place::Editor, "ctrl-z"), undo);
        let next = Some(Cmd::Input(InputCmd::Next));
        assert_eq!(command(&keymap, Place::Input, "ctrl-n"), next);
        assert_eq!(command(&keymap, Place::Input, "j"), None);
    }

    #[test]
    fn keys_can_be_swapped() {
        let swapped = "[list]\nsort-age = \"C\"\nsort-cpu = \"A\"\n";
        let keymap = check_problem(swapped, &[]);
        assert_eq!(
            command(&keymap, Place::List, "A"),
            Some(Cmd::Sort(ColumnId::Cpu))
        );
    }
}
