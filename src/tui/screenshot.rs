//! The screen as a text or SVG file.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

const CELL_WIDTH: f64 = 8.4;
const CELL_HEIGHT: f64 = 17.0;
const FOREGROUND: &str = "#d8dee9";
const BACKGROUND: &str = "#14181f";
/// The 16 terminal colours on a dark background.
const PALETTE: [&str; 16] = [
    "#2e3440", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
    "#6b7686", "#ff7b85", "#b5e890", "#ffd68a", "#7cc4ff", "#da8ef0", "#6fd6e2", "#ffffff",
];

pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut row = String::new();
        for (_, cell) in cells(buffer, y) {
            row.push_str(cell.symbol());
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The cells of a row with their columns; the second half of a wide character is left out.
fn cells(buffer: &Buffer, y: u16) -> impl Iterator<Item = (u16, &Cell)> {
    let mut next = buffer.area.left();
    (buffer.area.left()..buffer.area.right()).filter_map(move |x| {
        if x < next {
            return None;
        }
        let cell = &buffer[(x, y)];
        next = x + u16::try_from(cell.symbol().width().max(1)).unwrap_or(1);
        Some((x, cell))
    })
}

pub(super) fn svg(buffer: &Buffer) -> String {
    let width = f64::from(buffer.area.width) * CELL_WIDTH + 16.0;
    let height = f64::from(buffer.area.height) * CELL_HEIGHT + 16.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n"
    );
    for y in buffer.area.top()..buffer.area.bottom() {
        for run in runs(buffer, y) {
            write_run(&mut svg, y, &run);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Neighbouring cells that look alike.
struct Run<'a> {
    start: u16,
    columns: u16,
    text: String,
    look: &'a Cell,
}

fn runs(buffer: &Buffer, y: u16) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (x, cell) in cells(buffer, y) {
        let columns = u16::try_from(cell.symbol().width().max(1)).unwrap_or(1);
        let same_look = |run: &&mut Run<'_>| {
            (run.look.fg, run.look.bg, run.look.modifier) == (cell.fg, cell.bg, cell.modifier)
        };
        match runs.last_mut().filter(same_look) {
            Some(run) => {
                run.columns += columns;
                run.text.push_str(cell.symbol());
            }
            None => runs.push(Run {
                start: x,
                columns,
                text: cell.symbol().to_owned(),
                look: cell,
            }),
        }
    }
    runs
}

fn write_run(svg: &mut String, y: u16, run: &Run<'_>) {
    let look = run.look;
    let (mut fg, mut bg) = (color(look.fg, FOREGROUND), color(look.bg, BACKGROUND));
    if look.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut fg, &mut bg);
    }
    let x = f64::from(run.start) * CELL_WIDTH + 8.0;
    let top = f64::from(y) * CELL_HEIGHT + 8.0;
    let width = f64::from(run.columns) * CELL_WIDTH;
    let written = (|| {
        if bg != BACKGROUND {
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{bg}\"/>"
            )?;
        }
        if run.text.trim().is_empty() {
            return Ok(());
        }
        let mut attributes = String::new();
        if look.modifier.contains(Modifier::BOLD) {
            attributes.push_str(" font-weight=\"bold\"");
        }
        if look.modifier.contains(Modifier::ITALIC) {
            attributes.push_str(" font-style=\"italic\"");
        }
        if look.modifier.contains(Modifier::UNDERLINED) {
            attributes.push_str(" text-decoration=\"underline\"");
        }
        if look.modifier.contains(Modifier::DIM) {
            attributes.push_str(" opacity=\"0.6\"");
        }
        let base = top + CELL_HEIGHT * 0.76;
        let text = escape(&run.text);
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{base:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             xml:space=\"preserve\" fill=\"{fg}\"{attributes}>{text}</text>"
        )
    })();
    written
        .map_err(|_: std::fmt::Error| ())
        .expect("writing to a string cannot fail");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn color(color: Color, default: &str) -> String {
    let index = match color {
        Color::Reset => return default.to_owned(),
        Color::Rgb(red, green, blue) => return format!("#{red:02x}{green:02x}{blue:02x}"),
        Color::Indexed(index) => return indexed(index),
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    PALETTE[index].to_owned()
}

/// The 256-colour table of xterm: 16 named, a 6x6x6 cube, 24 greys.
fn indexed(index: u8) -> String {
    match index {
        0..=15 => PALETTE[usize::from(index)].to_owned(),
        16..=231 => {
            let step = |value: u8| if value == 0 { 0 } else { 55 + value * 40 };
            let cube = index - 16;
            let (red, green, blue) = (cube / 36, cube / 6 % 6, cube % 6);
            format!("#{:02x}{:02x}{:02x}", step(red), step(green), step(blue))
        }
        232..=255 => {
            let grey = 8 + (index - 232) * 10;
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "a<b> 世界", Style::new().fg(Color::Red));
        buffer.set_string(0, 1, "end", Style::new().add_modifier(Modifier::REVERSED));
        assert_eq!(text(&buffer), "a<b> 世界\nend\n");
        let svg = svg(&buffer);
        assert!(svg.contains("a&lt;b&gt; 世界"), "{svg}");
        assert!(
            svg.contains(PALETTE[1]) && svg.contains(&format!("fill=\"{FOREGROUND}\"")),
            "{svg}"
        );
    }
}
