//! Which key does what, as a table. Hints and help are made from the live table, so they cannot lie.
//! `keys.toml` changes the table ([`Keymap::from_file`]).

mod file;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::columns::ColumnId;
use super::inspector::Tab;

/// Everything a person can ask of the screen outside a line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cmd {
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    HalfPageUp,
    HalfPageDown,
    PageUp,
    PageDown,
    Open,
    Back,
    Quit,
    NextFocus,
    PreviousFocus,
    Show(Tab),
    TabNumber(u8),
    NextTab,
    PreviousTab,
    Palette,
    Filter,
    Help,
    Create,
    Delete,
    AllNamespaces,
    Sort(ColumnId),
    Wide,
    Zoom,
    Follow,
    Wrap,
    Timestamps,
    Container,
    NextMatch,
    FaultsOnly,
    NextProblem,
    Mark,
    MarkRange,
    SortPicker,
    PreviousMatch,
    Redraw,
    Suspend,
}

impl Cmd {
    /// How `keys.toml` and the help call it.
    pub(super) fn name(self) -> String {
        let fixed = match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::HalfPageUp => "half-page-up",
            Self::HalfPageDown => "half-page-down",
            Self::PageUp => "page-up",
            Self::PageDown => "page-down",
            Self::Open => "open",
            Self::Back => "back",
            Self::Quit => "quit",
            Self::NextFocus => "next-focus",
            Self::PreviousFocus => "previous-focus",
            Self::Show(tab) => return tab.title().to_lowercase(),
            Self::TabNumber(number) => return format!("tab-{number}"),
            Self::NextTab => "next-tab",
            Self::PreviousTab => "previous-tab",
            Self::Palette => "palette",
            Self::Filter => "filter",
            Self::Help => "help",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::AllNamespaces => "all-namespaces",
            Self::Sort(column) => return format!("sort-{}", column.name()),
            Self::Wide => "wide",
            Self::Zoom => "zoom",
            Self::Follow => "follow",
            Self::Wrap => "wrap",
            Self::Timestamps => "timestamps",
            Self::Container => "container",
            Self::NextMatch => "next-match",
            Self::FaultsOnly => "faults-only",
            Self::NextProblem => "next-problem",
            Self::Mark => "mark",
            Self::MarkRange => "mark-range",
            Self::SortPicker => "sort",
            Self::PreviousMatch => "previous-match",
            Self::Redraw => "redraw",
            Self::Suspend => "suspend",
        };
        fixed.to_owned()
    }
}

/// Where a binding holds. A more special place wins over `Anywhere`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    List,
    Logs,
}

impl Place {
    const ALL: [Self; 3] = [Self::Anywhere, Self::List, Self::Logs];

    /// Its table in `keys.toml`.
    const fn name(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::List => "list",
            Self::Logs => "logs",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// Shift is part of the character for characters, and BackTab for the tab key.
    fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers =
            modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code, modifiers }
    }

    pub(super) fn of(event: KeyEvent) -> Self {
        Self::new(event.code, event.modifiers)
    }

    /// `ctrl-u`, `shift-tab`, `enter`, `j`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('-').filter(|(_, tail)| !tail.is_empty()) {
            modifiers |= match head {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return None,
            };
            rest = tail;
        }
        let code = match rest {
            "tab" if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            named => NAMED
                .iter()
                .find(|(_, name)| *name == named)
                .map(|(code, _)| *code)
                .or_else(|| {
                    let mut characters = named.chars();
                    characters
                        .next()
                        .filter(|_| characters.next().is_none())
                        .map(KeyCode::Char)
                })?,
        };
        Some(Self::new(code, modifiers))
    }

    #[cfg(test)]
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

const NAMED: [(KeyCode, &str); 17] = [
    (KeyCode::Enter, "enter"),
    (KeyCode::Esc, "esc"),
    (KeyCode::Tab, "tab"),
    (KeyCode::BackTab, "shift-tab"),
    (KeyCode::Backspace, "backspace"),
    (KeyCode::Delete, "del"),
    (KeyCode::Up, "up"),
    (KeyCode::Down, "down"),
    (KeyCode::Left, "left"),
    (KeyCode::Right, "right"),
    (KeyCode::Home, "home"),
    (KeyCode::End, "end"),
    (KeyCode::PageUp, "pgup"),
    (KeyCode::PageDown, "pgdn"),
    (KeyCode::F(1), "f1"),
    (KeyCode::F(5), "f5"),
    (KeyCode::Char(' '), "space"),
];

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        match (NAMED.iter().find(|(code, _)| *code == self.code), self.code) {
            (Some((_, name)), _) => f.write_str(name),
            (None, KeyCode::Char(character)) => write!(f, "{character}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

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

type Row = (Cmd, Place, &'static str, Option<&'static str>, &'static str);

/// Keys of one row are separated by spaces. The order is the order of the hints.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (Cmd::Open, Place::List, "enter", Some("open"), "open the selected object in the inspector"),
    (Cmd::Show(Tab::Logs), Place::Anywhere, "l", Some("logs"), "logs of the selected pod"),
    (Cmd::Show(Tab::Describe), Place::Anywhere, "d", Some("desc"), "describe the selected object"),
    (Cmd::Create, Place::List, "n", Some("new"), "create objects from a file or directory"),
    (Cmd::Delete, Place::Anywhere, "D", Some("delete"), "delete the selected object (asks first)"),
    (Cmd::Follow, Place::Logs, "f", Some("follow"), "follow new lines, or stop following"),
    (Cmd::Container, Place::Logs, "o", Some("container"), "choose one container, or all merged"),
    (Cmd::Wrap, Place::Logs, "w", Some("wrap"), "wrap long lines, or cut them"),
    (Cmd::Timestamps, Place::Logs, "t", Some("time"), "timestamps: short, full, off"),
    (Cmd::Filter, Place::List, "/", Some("filter"), "filter: text, !without, -l label=x, ~fuzzy, /regex/"),
    (Cmd::Filter, Place::Logs, "/", Some("search"), "search in the logs"),
    (Cmd::NextMatch, Place::Logs, "n", None, "next match"),
    (Cmd::PreviousMatch, Place::Logs, "N", None, "previous match"),
    (Cmd::NextProblem, Place::List, "!", Some("problem"), "select the next object in trouble"),
    (Cmd::FaultsOnly, Place::List, "f", Some("faults"), "only objects in trouble, or all"),
    (Cmd::Mark, Place::List, "space", Some("mark"), "mark the object, for actions on several"),
    (Cmd::MarkRange, Place::List, "v", None, "mark everything from the last mark to here"),
    (Cmd::SortPicker, Place::List, "o", None, "sort by any column"),
    (Cmd::NextFocus, Place::Anywhere, "tab", Some("focus"), "move the focus between list and inspector"),
    (Cmd::PreviousFocus, Place::Anywhere, "shift-tab", None, "move the focus back"),
    (Cmd::Palette, Place::Anywhere, ":", Some("command"), "command palette: verbs, kinds, namespaces, themes"),
    (Cmd::Help, Place::Anywhere, "? f1", Some("help"), "all keys, searchable"),
    (Cmd::Quit, Place::Anywhere, "q ctrl-c", Some("quit"), "leave podtui; deeper than the root: go back"),
    (Cmd::Back, Place::Anywhere, "esc", None, "back, one level; never leaves podtui"),
    (Cmd::Up, Place::Anywhere, "up k", None, "up"),
    (Cmd::Down, Place::Anywhere, "down j", None, "down"),
    (Cmd::Left, Place::Anywhere, "left", None, "scroll left (logs that are not wrapped)"),
    (Cmd::Right, Place::Anywhere, "right", None, "scroll right (logs that are not wrapped)"),
    (Cmd::Top, Place::Anywhere, "g home", None, "first"),
    (Cmd::Bottom, Place::Anywhere, "G end", None, "last; in logs: follow"),
    (Cmd::HalfPageUp, Place::Anywhere, "ctrl-u", None, "half a page up"),
    (Cmd::HalfPageDown, Place::Anywhere, "ctrl-d", None, "half a page down"),
    (Cmd::PageUp, Place::Anywhere, "pgup ctrl-b", None, "page up"),
    (Cmd::PageDown, Place::Anywhere, "pgdn ctrl-f", None, "page down"),
    (Cmd::NextTab, Place::Anywhere, "]", None, "next tab of the inspector"),
    (Cmd::PreviousTab, Place::Anywhere, "[", None, "previous tab of the inspector"),
    (Cmd::TabNumber(1), Place::Anywhere, "1", None, "first tab of the inspector"),
    (Cmd::TabNumber(2), Place::Anywhere, "2", None, "second tab of the inspector"),
    (Cmd::TabNumber(3), Place::Anywhere, "3", None, "third tab of the inspector"),
    (Cmd::Zoom, Place::Anywhere, "z", None, "zoom the focused region, or back"),
    (Cmd::AllNamespaces, Place::Anywhere, "0", None, "all namespaces, or back to one"),
    (Cmd::Wide, Place::List, "w", None, "more columns"),
    (Cmd::Sort(ColumnId::Name), Place::List, "N", None, "sort by name (again: reverse)"),
    (Cmd::Sort(ColumnId::Status), Place::List, "S", None, "sort by status"),
    (Cmd::Sort(ColumnId::Restarts), Place::List, "R", None, "sort by restarts"),
    (Cmd::Sort(ColumnId::Cpu), Place::List, "C", None, "sort by CPU"),
    (Cmd::Sort(ColumnId::Memory), Place::List, "M", None, "sort by memory"),
    (Cmd::Sort(ColumnId::Age), Place::List, "A", None, "sort by age"),
    (Cmd::Redraw, Place::Anywhere, "ctrl-l f5", None, "draw the whole screen again"),
    (Cmd::Suspend, Place::Anywhere, "ctrl-z", None, "suspend podtui (fg brings it back)"),
];

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
            .or_else(|| bound(Place::Anywhere))
            .map(|binding| binding.cmd)
    }

    /// The first key that does this there, for texts that name it.
    pub(super) fn key_of(&self, place: Place, cmd: Cmd) -> Option<Key> {
        let mut live = self.live(place).filter(|binding| binding.cmd == cmd);
        live.find_map(|binding| binding.keys.first().copied())
    }

    /// The bindings that work in `place`, in the order of the table.
    pub(super) fn live(&self, place: Place) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| {
            binding
                .keys
                .iter()
                .any(|&key| self.command(place, key) == Some(binding.cmd))
                && (binding.place == place || binding.place == Place::Anywhere)
        })
    }
}

#[cfg(test)]
mod tests {
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
            for place in [Place::List, Place::Logs, Place::Anywhere] {
                assert_ne!(keymap.command(place, key), Some(Cmd::Delete));
            }
        }
    }

    #[test]
    fn shifted_characters_match_however_the_terminal_reports_them() {
        let event = KeyEvent::new(KeyCode::Char('D'), KeyModifiers::SHIFT);
        assert_eq!(Some(Key::of(event)), Key::parse("D"));
    }
}
