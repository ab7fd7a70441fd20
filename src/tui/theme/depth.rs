//! How many colours the terminal has, and which of them comes nearest.

use ratatui::style::Color;

/// The xterm values of the 16 colours; what a terminal really shows is the user's choice.
const SIXTEEN: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];

/// The steps of the 6x6x6 cube of the 256-colour palette.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum Depth {
    Sixteen,
    Indexed,
    #[default]
    True,
}

impl Depth {
    /// `COLORTERM` says `truecolor` or `24bit` where there is truecolor; `TERM` names 256 colours
    /// (<https://github.com/termstandard/colors>). tmux and screen name themselves and pass 256 on.
    pub(in crate::tui) fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let colorterm = variable("COLORTERM").unwrap_or_default();
        let term = variable("TERM").unwrap_or_default();
        let is_true = ["truecolor", "24bit"].contains(&colorterm.as_str())
            || ["direct", "kitty", "alacritty", "ghostty", "wezterm", "foot"]
                .iter()
                .any(|name| term.contains(name));
        match term.as_str() {
            _ if is_true => Self::True,
            term if term.contains("256color") => Self::Indexed,
            term if term.starts_with("tmux") => Self::Indexed,
            _ => Self::Sixteen,
        }
    }

    /// The same colour where the terminal has it, else the nearest one.
    pub(super) fn nearest(self, color: Color) -> Color {
        let Color::Rgb(red, green, blue) = color else {
            return color;
        };
        let wanted = [red, green, blue];
        match self {
            Self::True => color,
            Self::Indexed => indexed(wanted),
            Self::Sixteen => {
                let nearest = SIXTEEN
                    .iter()
                    .min_by_key(|(_, value)| distance(wanted, *value));
                nearest.map_or(Color::Reset, |(color, _)| *color)
            }
        }
    }
}

fn indexed(wanted: [u8; 3]) -> Color {
    let cube = (0u8..216).map(|index| {
        let step = |part: u8| CUBE[usize::from(part % 6)];
        (16 + index, [step(index / 36), step(index / 6), step(index)])
    });
    let greys = (0u8..24).map(|index| (232 + index, [8 + 10 * index; 3]));
    let nearest = cube
        .chain(greys)
        .min_by_key(|(_, value)| distance(wanted, *value));
    nearest.map_or(Color::Reset, |(index, _)| Color::Indexed(index))
}

/// Weighted by how bright each part looks.
fn distance(left: [u8; 3], right: [u8; 3]) -> u32 {
    let part = |index: usize| u32::from(left[index].abs_diff(right[index])).pow(2);
    3 * part(0) + 6 * part(1) + part(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(colorterm: &str, term: &str, expected: Depth) {
        let variable = |name: &str| match name {
            "COLORTERM" => Some(colorterm.to_owned()),
            "TERM" => Some(term.to_owned()),
            _ => None,
        };
        assert_eq!(Depth::from_env(variable), expected, "{colorterm} {term}");
    }

    #[test]
    fn the_environment_decides() {
        check("truecolor", "screen", Depth::True);
        check("24bit", "xterm-256color", Depth::True);
        check("", "xterm-kitty", Depth::True);
        check("", "xterm-256color", Depth::Indexed);
        check("", "tmux", Depth::Indexed);
        check("", "linux", Depth::Sixteen);
        check("", "", Depth::Sixteen);
    }

    #[test]
    fn the_nearest_colour() {
        let near = |depth: Depth, red, green, blue| depth.nearest(Color::Rgb(red, green, blue));
        assert_eq!(near(Depth::True, 1, 2, 3), Color::Rgb(1, 2, 3));
        assert_eq!(near(Depth::Indexed, 0, 0, 0), Color::Indexed(16));
        assert_eq!(near(Depth::Indexed, 255, 0, 0), Color::Indexed(196));
        assert_eq!(near(Depth::Indexed, 29, 28, 27), Color::Indexed(234));
        assert_eq!(near(Depth::Sixteen, 250, 250, 248), Color::White);
        assert_eq!(near(Depth::Sixteen, 200, 10, 10), Color::Red);
        assert_eq!(Depth::Sixteen.nearest(Color::Cyan), Color::Cyan);
    }
}
