//! Colours and glyphs. A theme is a TOML file: those in `themes/` are part of the binary, others are read from
//! the configuration directory. The default one uses the terminal's own 16 colours and background.
//!
//! What a terminal cannot show is replaced once, when a theme is put to use ([`Depth`]), not while drawing.

mod catalog;
#[cfg(test)]
mod contrast;
mod depth;
mod glyphs;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::config::line_and_column;

pub(super) use catalog::Catalog;
pub(super) use depth::Depth;
pub(super) use glyphs::Glyphs;

#[derive(Debug, thiserror::Error)]
pub(super) enum ThemeError {
    #[error("themes/{name}.toml:{line}:{column}: {problem}")]
    Parse {
        name: String,
        line: usize,
        column: usize,
        problem: String,
    },
    #[error("themes/{name}.toml: style {role:?} is missing from [styles]")]
    Missing { name: String, role: &'static str },
    #[error("themes/{name}.toml: `containers` needs at least one colour")]
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
        let file: ThemeFile = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let (line, column) = line_and_column(text, at);
            ThemeError::Parse {
                name: name.to_owned(),
                line,
                column,
                problem: error.message().trim_end().to_owned(),
            }
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

    /// What <https://no-color.org> asks for: attributes stay, colours go.
    pub(super) fn without_colors(self) -> Self {
        let plain = |style: Style| Style {
            fg: None,
            bg: None,
            underline_color: None,
            ..style
        };
        Self {
            name: self.name,
            containers: vec![Style::new()],
            styles: self.styles.map(plain),
        }
    }

    /// The same with the nearest colours a terminal of this depth has.
    pub(super) fn at_depth(self, depth: Depth) -> Self {
        let nearest = |style: Style| Style {
            fg: style.fg.map(|color| depth.nearest(color)),
            bg: style.bg.map(|color| depth.nearest(color)),
            ..style
        };
        Self {
            containers: self.containers.into_iter().map(nearest).collect(),
            styles: self.styles.map(nearest),
            name: self.name,
        }
    }

    pub(super) fn container(&self, index: usize) -> Style {
        self.containers[index % self.containers.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = include_str!("../../themes/default.toml");

    #[test]
    fn no_color_leaves_no_colour() {
        for name in ["default", "ember", "mono"] {
            let theme = Catalog::default().find(name).unwrap().without_colors();
            assert_eq!(theme.container(5), Style::new());
            theme.styles.map(|style| {
                assert_eq!((style.fg, style.bg), (None, None));
                style
            });
        }
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
            &["themes/mine.toml:", "unknown colour \"grey\"", "#rrggbb"],
        );
        check(
            ("marker =", "makrer ="),
            &["themes/mine.toml:28:1: ", "unknown field `makrer`"],
        );
        check(("[styles]", "[styles"), &["themes/mine.toml:"]);
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
