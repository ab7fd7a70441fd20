//! Colours and glyphs. A theme is a TOML file; the default one is part of the binary and uses the
//! terminal's own 16 colours and background.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

const DEFAULT: &str = include_str!("../../themes/default.toml");

#[derive(Debug, thiserror::Error)]
pub(super) enum ThemeError {
    /// The text carries line, column and an excerpt.
    #[error("theme {name}: {problem}")]
    Parse { name: String, problem: String },
    #[error("theme {name}: style {role:?} is missing from [styles]")]
    Missing { name: String, role: &'static str },
    #[error("theme {name}: `containers` needs at least one colour")]
    NoContainerColors { name: String },
}

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident),+ $(,)?) => {
        /// What is drawn where; the field names are the keys of `[styles]`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct Styles {
            $($(#[$doc])* pub(super) $role: Style,)+
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct StylesFile {
            $($role: Option<StyleSpec>,)+
        }

        impl StylesFile {
            fn complete(self, name: &str) -> Result<Styles, ThemeError> {
                Ok(Styles {
                    $($role: self.$role.ok_or_else(|| ThemeError::Missing {
                        name: name.to_owned(),
                        role: stringify!($role),
                    })?.style(),)+
                })
            }
        }

        impl Styles {
            fn map(self, change: impl Fn(Style) -> Style) -> Self {
                Self { $($role: change(self.$role),)+ }
            }
        }
    };
}

roles!(
    text,
    /// Less important text: ages, separators, notes.
    dim,
    /// The top row.
    header,
    /// Column titles.
    heading,
    /// The selected row while the list has the focus, and while it has not.
    selected,
    selected_unfocused,
    /// Rules and titles of a region, without and with the focus.
    title,
    title_focused,
    /// The tab that is shown.
    tab,
    ok,
    wait,
    bad,
    /// Finished, neither good nor bad.
    done,
    warning,
    /// Keys in hints and help.
    key,
    mode,
    prompt,
    matched,
    /// Restart and OOM lines in logs.
    marker,
    /// Windows above the regions.
    overlay,
    overlay_title,
);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    pub(super) name: String,
    pub(super) styles: Styles,
    /// Colours that tell containers apart in merged logs.
    containers: Vec<Style>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    containers: Vec<ColorSpec>,
    styles: StylesFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StyleSpec {
    fg: Option<ColorSpec>,
    bg: Option<ColorSpec>,
    #[serde(default)]
    bold: bool,
    #[serde(default)]
    dim: bool,
    #[serde(default)]
    italic: bool,
    #[serde(default)]
    underline: bool,
    #[serde(default)]
    reverse: bool,
}

impl StyleSpec {
    fn style(&self) -> Style {
        let mut style = Style::new();
        style.fg = self.fg.as_ref().map(|color| color.0);
        style.bg = self.bg.as_ref().map(|color| color.0);
        for (wanted, modifier) in [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.italic, Modifier::ITALIC),
            (self.underline, Modifier::UNDERLINED),
            (self.reverse, Modifier::REVERSED),
        ] {
            if wanted {
                style = style.add_modifier(modifier);
            }
        }
        style
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ColorSpec(Color);

impl TryFrom<String> for ColorSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let color = match text.as_str() {
            "default" => Color::Reset,
            "black" => Color::Black,
            "red" => Color::Red,
            "green" => Color::Green,
            "yellow" => Color::Yellow,
            "blue" => Color::Blue,
            "magenta" => Color::Magenta,
            "cyan" => Color::Cyan,
            "white" => Color::Gray,
            "bright-black" => Color::DarkGray,
            "bright-red" => Color::LightRed,
            "bright-green" => Color::LightGreen,
            "bright-yellow" => Color::LightYellow,
            "bright-blue" => Color::LightBlue,
            "bright-magenta" => Color::LightMagenta,
            "bright-cyan" => Color::LightCyan,
            "bright-white" => Color::White,
            hex => rgb(hex).ok_or_else(|| {
                format!(
                    "unknown colour {hex:?}: write \"default\", one of the 16 terminal colours \
                     (\"red\", \"bright-red\" …) or \"#rrggbb\""
                )
            })?,
        };
        Ok(Self(color))
    }
}

fn rgb(text: &str) -> Option<Color> {
    let digits = text.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let part = |index: usize| u8::from_str_radix(&digits[index..index + 2], 16).ok();
    Some(Color::Rgb(part(0)?, part(2)?, part(4)?))
}

impl Theme {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, ThemeError> {
        let file: ThemeFile = toml::from_str(text).map_err(|error| ThemeError::Parse {
            name: name.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        if file.containers.is_empty() {
            return Err(ThemeError::NoContainerColors {
                name: name.to_owned(),
            });
        }
        let containers = file.containers.iter().map(|color| Style::new().fg(color.0));
        Ok(Self {
            name: name.to_owned(),
            containers: containers.collect(),
            styles: file.styles.complete(name)?,
        })
    }

    /// The names of the themes inside the binary.
    pub(super) const BUILT_IN: [&str; 2] = ["default", "mono"];

    pub(super) fn built_in(name: &str) -> Option<Self> {
        let default = || Self::parse("default", DEFAULT).expect("a test parses the embedded theme");
        match name {
            "default" => Some(default()),
            "mono" => Some(default().without_colors()),
            _ => None,
        }
    }

    /// What <https://no-color.org> asks for: attributes stay, colours go.
    pub(super) fn without_colors(self) -> Self {
        let plain = |style: Style| Style {
            fg: None,
            bg: None,
            underline_color: None,
            ..style
        };
        Self {
            name: "mono".to_owned(),
            containers: vec![Style::new()],
            styles: self.styles.map(plain),
        }
    }

    pub(super) fn container(&self, index: usize) -> Style {
        self.containers[index % self.containers.len()]
    }
}

/// Every sign beyond ASCII and what stands for it where the terminal has only ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyphs {
    pub(super) rule: char,
    /// The rule of the region that has the focus: not told by colour alone.
    pub(super) rule_focused: char,
    pub(super) bar: char,
    pub(super) bar_focused: char,
    pub(super) cursor: char,
    pub(super) ellipsis: char,
    pub(super) ascending: char,
    pub(super) descending: char,
    pub(super) spark: [char; 8],
}

impl Glyphs {
    pub(super) const UNICODE: Self = Self {
        rule: '─',
        rule_focused: '━',
        bar: '│',
        bar_focused: '┃',
        cursor: '▶',
        ellipsis: '…',
        ascending: '↑',
        descending: '↓',
        spark: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    };

    pub(super) const ASCII: Self = Self {
        rule: '-',
        rule_focused: '=',
        bar: '|',
        bar_focused: '#',
        cursor: '>',
        ellipsis: '~',
        ascending: '^',
        descending: 'v',
        spark: ['.', '.', ':', '-', '=', '+', '#', '|'],
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_theme_parses_and_uses_only_terminal_colours() {
        let theme = Theme::parse("default", DEFAULT).unwrap();
        let true_colour =
            |color: Option<Color>| matches!(color, Some(Color::Rgb(..) | Color::Indexed(_)));
        theme.styles.map(|style| {
            assert!(
                !true_colour(style.fg) && !true_colour(style.bg),
                "{style:?}"
            );
            style
        });
    }

    #[test]
    fn no_color_leaves_no_colour() {
        let theme = Theme::built_in("mono").unwrap();
        assert_eq!(theme.container(5), Style::new());
        theme.styles.map(|style| {
            assert_eq!((style.fg, style.bg), (None, None));
            style
        });
    }

    #[track_caller]
    fn check(change: (&str, &str), expected: &[&str]) {
        assert!(DEFAULT.contains(change.0), "{}", change.0);
        let text = DEFAULT.replace(change.0, change.1);
        let message = Theme::parse("mine", &text).unwrap_err().to_string();
        for part in expected {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        check(
            ("\"bright-black\"", "\"grey\""),
            &["theme mine", "line ", "unknown colour \"grey\"", "#rrggbb"],
        );
        check(
            ("marker =", "makrer ="),
            &["line ", "unknown field `makrer`"],
        );
        check(("[styles]", "[styles"), &["line "]);
        check(
            ("\nheading =", "\n# heading ="),
            &["style \"heading\" is missing"],
        );
        check(
            ("\"green\"", "\"#12345g\""),
            &["unknown colour \"#12345g\""],
        );
    }
}
