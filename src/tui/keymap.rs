//! Which key does what, as a table. Hints and help are made from the live table, so they cannot lie.
//! `keys.toml` changes the table ([`Keymap::from_file`]).

mod cmds;
mod file;
mod key;
mod place;
mod screen;
mod table;

pub(super) use cmds::{EditorCmd, InputCmd, ReplayCmd};
pub(super) use key::Key;
pub(super) use place::Place;
pub(super) use screen::{Cmd, LogCmd, TermCmd};

use table::TABLE;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) cmd: Cmd,
    pub(super) place: Place,
    pub(super) keys: Vec<Key>,
    /// Short word for the hint row; `None` keeps it out of there.
    pub(super) hint: Option<&'static str>,
    pub(super) help: &'static str,
}

impl Binding {
    /// All keys, as help shows them.
    pub(super) fn keys_text(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(Key::to_string).collect();
        keys.join(" ")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = TABLE.iter().map(|&(cmd, place, keys, hint, help)| Binding {
            cmd,
            place,
            keys: keys
                .split(' ')
                .map(|key| Key::parse(key).expect("a test parses every key of the table"))
                .collect(),
            hint,
            help,
        });
        Self {
            bindings: bindings.collect(),
        }
    }
}

impl Keymap {
    /// What `key` does in `place`; a binding of that place hides one for anywhere.
    pub(super) fn command(&self, place: Place, key: Key) -> Option<Cmd> {
        let bound = |wanted| {
            self.bindings
                .iter()
                .find(|binding| binding.place == wanted && binding.keys.contains(&key))
        };
        bound(place)
            .or_else(|| bound(Place::Anywhere).filter(|_| place.inherits()))
            .map(|binding| binding.cmd)
    }

    /// The first key that does this there, for texts that name it.
    pub(super) fn key_of(&self, place: Place, cmd: Cmd) -> Option<Key> {
        let mut live = self.live(place).filter(|binding| binding.cmd == cmd);
        live.find_map(|binding| binding.keys.first().copied())
    }

    /// That key as a text; a question mark where there is none.
    pub(super) fn key_text(&self, place: Place, cmd: Cmd) -> String {
        self.key_of(place, cmd)
            .map_or_else(|| "?".to_owned(), |key| key.to_string())
    }

    /// `d detach`: first keys and hints of one place alone.
    pub(super) fn hints_of(&self, place: Place) -> Vec<String> {
        let hint = |binding: &Binding| Some(format!("{} {}", binding.keys.first()?, binding.hint?));
        let here = self
            .bindings
            .iter()
            .filter(|binding| binding.place == place);
        here.filter_map(hint).collect()
    }

    /// The bindings that work in `place`, in the order of the table.
    pub(super) fn live(&self, place: Place) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| {
            binding
                .keys
                .iter()
                .any(|&key| self.command(place, key) == Some(binding.cmd))
                && (binding.place == place
                    || (binding.place == Place::Anywhere && place.inherits()))
        })
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    #[test]
    fn every_key_of_the_table_parses_and_means_one_thing() {
        let mut seen: Vec<(Place, Key)> = Vec::new();
        for (_, place, keys, _, _) in TABLE {
            for text in keys.split(' ') {
                let key = Key::parse(text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(key.to_string(), text);
                assert!(!seen.contains(&(*place, key)), "{text} is bound twice");
                seen.push((*place, key));
            }
        }
    }

    #[test]
    fn the_special_place_wins() {
        let keymap = Keymap::default();
        let key = Key::parse("n").unwrap();
        assert_eq!(keymap.command(Place::List, key), Some(Cmd::Create));
        assert_eq!(keymap.command(Place::Logs, key), Some(Cmd::NextMatch));
        assert_eq!(keymap.command(Place::Anywhere, key), None);
    }

    #[test]
    fn no_ctrl_chord_destroys_anything() {
        let keymap = Keymap::default();
        for letter in 'a'..='z' {
            let key = Key::parse(&format!("ctrl-{letter}")).unwrap();
            for place in [
                Place::List,
                Place::Logs,
                Place::Events,
                Place::Metrics,
                Place::Text,
                Place::Anywhere,
                Place::Terminal,
                Place::Chord,
                Place::Scroll,
                Place::Ended,
            ] {
                assert_ne!(keymap.command(place, key), Some(Cmd::Delete));
            }
        }
    }

    #[test]
    fn a_program_gets_every_key_but_the_chord() {
        let keymap = Keymap::default();
        let keys = TABLE.iter().flat_map(|row| row.2.split(' '));
        for text in keys.filter(|text| *text != "ctrl-]") {
            let key = Key::parse(text).unwrap();
            assert_eq!(keymap.command(Place::Terminal, key), None, "{text}");
        }
        let chord = KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL);
        assert_eq!(
            keymap.command(Place::Terminal, Key::of(chord)),
            Some(Cmd::Terminal(TermCmd::Chord))
        );
    }

    #[test]
    fn shifted_characters_match_however_the_terminal_reports_them() {
        let event = KeyEvent::new(KeyCode::Char('D'), KeyModifiers::SHIFT);
        assert_eq!(Some(Key::of(event)), Key::parse("D"));
    }
}
