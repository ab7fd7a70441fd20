//! The emulator of `alacritty_terminal`, fed through [`Filter`] and [`Guard`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::{Dimensions, Scroll};
use alacritty_terminal::index::{Boundary, Column, Direction, Line, Point, Side};
use alacritty_terminal::selection::{Selection, SelectionType};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::color::Colors;
use alacritty_terminal::term::search::RegexSearch;
use alacritty_terminal::term::{Config, Term, TermMode, viewport_to_point};
use alacritty_terminal::vi_mode::ViMotion;
use alacritty_terminal::vte::ansi::{
    Color as VtColor, CursorShape as VtCursor, CursorStyle, NamedColor, Processor, Rgb, Timeout,
};
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::emulator::{
    Cursor, CursorShape, Emulator, Modes, Motion, MouseEncoding, MouseMode, Report,
};
use super::filter::{Filter, Piece};
use super::handler::Guard;
use super::osc::{Judgement, host_of, judge};
use crate::base::TerminalSize;

/// Lines kept above the visible part.
const HISTORY: usize = 10_000;
/// Answers to one piece of output, in bytes; a flood of questions must not become a flood of answers.
const MAX_ANSWER: usize = 4096;
/// The emulator itself refuses less.
const MIN_COLUMNS: u16 = 2;

/// Holds what the emulator says until [`Vt::feed`] fetches it.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    answer: Vec<u8>,
    has_rung: bool,
    /// Colours that were asked for; they are answered where the palette is at hand.
    colors: Vec<(usize, ColorAnswer)>,
}

type ColorAnswer = Arc<dyn Fn(Rgb) -> String + Sync + Send>;

impl EventListener for Listener {
    fn send_event(&self, event: Event) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PtyWrite(text) if heard.answer.len() + text.len() <= MAX_ANSWER => {
                heard.answer.extend_from_slice(text.as_bytes());
            }
            Event::ColorRequest(index, answer) if heard.colors.len() < 300 => {
                heard.colors.push((index, answer));
            }
            Event::Bell => heard.has_rung = true,
            Event::PtyWrite(_)
            | Event::ColorRequest(..)
            | Event::MouseCursorDirty
            | Event::Title(_)
            | Event::ResetTitle
            | Event::ClipboardStore(..)
            | Event::ClipboardLoad(..)
            | Event::TextAreaSizeRequest(_)
            | Event::CursorBlinkingChange
            | Event::Wakeup
            | Event::Exit
            | Event::ChildExit(_) => {}
        }
    }
}

/// Whether a synchronised update runs. When it has taken too long is decided outside, where there is a clock.
#[derive(Default)]
struct HoldFlag(bool);

impl Timeout for HoldFlag {
    fn set_timeout(&mut self, _: Duration) {
        self.0 = true;
    }

    fn clear_timeout(&mut self) {
        self.0 = false;
    }

    fn pending_timeout(&self) -> bool {
        self.0
    }
}

struct Dimension(TerminalSize);

impl Dimensions for Dimension {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        self.0.rows.max(1).into()
    }

    fn columns(&self) -> usize {
        self.0.columns.max(MIN_COLUMNS).into()
    }
}

pub(super) struct Vt {
    term: Term<Listener>,
    processor: Processor<HoldFlag>,
    filter: Filter,
    listener: Listener,
    size: TerminalSize,
}

impl fmt::Debug for Vt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vt")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Vt {
    /// `newline`: a line feed also returns the carriage (LNM), for output that has no terminal to do it.
    pub(super) fn new(size: TerminalSize, newline: bool) -> Self {
        Self::with_history(size, newline, HISTORY)
    }

    pub(super) fn with_history(size: TerminalSize, newline: bool, history: usize) -> Self {
        let listener = Listener::default();
        let config = Config {
            scrolling_history: history,
            // No program can ask for this shape, so it means that none was asked for.
            default_cursor_style: CursorStyle {
                shape: VtCursor::HollowBlock,
                blinking: false,
            },
            ..Config::default()
        };
        let mut vt = Self {
            term: Term::new(config, &Dimension(size), listener.clone()),
            processor: Processor::new(),
            filter: Filter::default(),
            listener,
            size,
        };
        if newline {
            vt.feed(b"\x1b[20h");
        }
        vt
    }

    /// What the listener heard meanwhile.
    fn heard(&mut self, reports: &mut Vec<Report>) {
        let heard = std::mem::take(
            &mut *self
                .listener
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let mut answer = heard.answer;
        for (index, format) in heard.colors {
            let text = format(self.term.colors()[index].unwrap_or_else(|| default_color(index)));
            if answer.len() + text.len() <= MAX_ANSWER {
                answer.extend_from_slice(text.as_bytes());
            }
        }
        if !answer.is_empty() {
            reports.push(Report::Answer(answer));
        }
        if heard.has_rung {
            reports.push(Report::Bell);
        }
    }

    /// A program that changes to the other screen takes the lines away that the browsing cursor stands in, and
    /// the emulator would look for them.
    fn keep_browsing_inside(&mut self) {
        let at = self.term.vi_mode_cursor.point;
        let line = at.line.grid_clamp(&self.term, Boundary::Grid);
        let column = at.column.min(self.term.last_column());
        self.term.vi_mode_cursor.point = Point::new(line, column);
    }

    fn point(&self, column: u16, row: u16) -> Point {
        let offset = self.term.grid().display_offset();
        let column = usize::from(column).min(self.term.columns() - 1);
        let row = usize::from(row).min(self.term.screen_lines() - 1);
        viewport_to_point(offset, Point::new(row, Column(column)))
    }

    fn vi(&mut self, motion: ViMotion, times: usize) {
        for _ in 0..times {
            self.term.vi_motion(motion);
        }
    }
}

impl Emulator for Vt {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Report> {
        let mut reports = Vec::new();
        let Self {
            term,
            processor,
            filter,
            ..
        } = self;
        let columns = term.columns();
        let mut guard = Guard(term);
        filter.split(bytes, columns, |piece| match piece {
            Piece::Output(bytes) => processor.advance(&mut guard, bytes),
            Piece::Osc(content) => match judge(content) {
                Judgement::Pass(content) => {
                    let osc = [b"\x1b]", content.as_slice(), b"\x1b\\"].concat();
                    processor.advance(&mut guard, &osc);
                }
                Judgement::Report(report) => reports.push(report),
                Judgement::Drop => {}
            },
        });
        self.keep_browsing_inside();
        self.heard(&mut reports);
        reports
    }

    fn is_held(&self) -> bool {
        self.processor.sync_timeout().pending_timeout()
    }

    fn release(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        if self.is_held() {
            self.processor.stop_sync(&mut Guard(&mut self.term));
            self.keep_browsing_inside();
            self.heard(&mut reports);
        }
        reports
    }

    fn size(&self) -> TerminalSize {
        self.size
    }

    fn resize(&mut self, size: TerminalSize) {
        self.size = size;
        self.term.resize(Dimension(size));
    }

    fn modes(&self) -> Modes {
        let mode = *self.term.mode();
        let has = |flag| mode.contains(flag);
        Modes {
            application_cursor: has(TermMode::APP_CURSOR),
            application_keypad: has(TermMode::APP_KEYPAD),
            bracketed_paste: has(TermMode::BRACKETED_PASTE),
            focus_events: has(TermMode::FOCUS_IN_OUT),
            alternate_screen: has(TermMode::ALT_SCREEN),
            alternate_scroll: has(TermMode::ALTERNATE_SCROLL),
            mouse: if has(TermMode::MOUSE_MOTION) {
                MouseMode::Motion
            } else if has(TermMode::MOUSE_DRAG) {
                MouseMode::Drags
            } else if has(TermMode::MOUSE_REPORT_CLICK) {
                MouseMode::Buttons
            } else {
                MouseMode::Off
            },
            mouse_encoding: if has(TermMode::SGR_MOUSE) {
                MouseEncoding::Sgr
            } else if has(TermMode::UTF8_MOUSE) {
                MouseEncoding::Utf8
            } else {
                MouseEncoding::Bytes
            },
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        // `Term::renderable_content` is not used: it steps back from half a wide glyph in the first column.
        let is_shown = self.is_browsing() || self.term.mode().contains(TermMode::SHOW_CURSOR);
        let shape = match self.term.cursor_style().shape {
            _ if !is_shown => return None,
            VtCursor::Hidden => return None,
            VtCursor::Block => CursorShape::Block,
            VtCursor::Underline => CursorShape::Underline,
            VtCursor::Beam => CursorShape::Bar,
            VtCursor::HollowBlock => CursorShape::Default,
        };
        let grid = self.term.grid();
        let mut point = if self.is_browsing() {
            self.term.vi_mode_cursor.point
        } else {
            grid.cursor.point
        };
        if grid[point].flags.contains(Flags::WIDE_CHAR_SPACER) {
            point.column = Column(point.column.0.saturating_sub(1));
        }
        let offset = i32::try_from(grid.display_offset()).ok()?;
        Some(Cursor {
            column: u16::try_from(point.column.0).ok()?,
            row: u16::try_from(point.line.0 + offset)
                .ok()
                .filter(|row| usize::from(*row) < self.term.screen_lines())?,
            shape,
        })
    }

    fn cells(&self, draw: &mut dyn FnMut(u16, u16, &str, Style)) {
        let grid = self.term.grid();
        let selection = self.term.selection.as_ref();
        let selection = selection.and_then(|selection| selection.to_range(&self.term));
        let top = -i32::try_from(grid.display_offset()).unwrap_or(i32::MAX);
        let mut symbol = String::new();
        for cell in grid.display_iter() {
            let (Ok(column), Ok(row)) = (
                u16::try_from(cell.point.column.0),
                u16::try_from(cell.point.line.0 - top),
            ) else {
                continue;
            };
            if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
                continue;
            }
            let mut style = style_of(cell.cell, self.term.colors());
            if selection.is_some_and(|range| range.contains(cell.point)) {
                style = style.add_modifier(Modifier::REVERSED);
            }
            symbol_of(cell.cell, &mut symbol);
            draw(column, row, &symbol, style);
        }
    }

    fn link_at(&self, column: u16, row: u16) -> Option<String> {
        let point = self.point(column, row);
        let link = self.term.grid()[point].hyperlink()?;
        host_of(link.uri()).is_some().then(|| link.uri().to_owned())
    }

    fn scrolled(&self) -> (usize, usize) {
        let grid = self.term.grid();
        (grid.display_offset(), grid.history_size())
    }

    fn scroll(&mut self, lines: isize) {
        let lines = lines.clamp(-1_000_000, 1_000_000);
        let lines = i32::try_from(lines).expect("the clamp fits");
        self.term.scroll_display(Scroll::Delta(lines));
    }

    fn browse(&mut self, is_on: bool) {
        if is_on != self.is_browsing() {
            self.term.toggle_vi_mode();
        }
        if !is_on {
            self.term.selection = None;
            self.term.scroll_display(Scroll::Bottom);
        }
    }

    fn is_browsing(&self) -> bool {
        self.term.mode().contains(TermMode::VI)
    }

    fn walk(&mut self, motion: Motion) {
        match motion {
            Motion::Left => self.vi(ViMotion::Left, 1),
            Motion::Right => self.vi(ViMotion::Right, 1),
            Motion::Word => self.vi(ViMotion::WordRight, 1),
            Motion::WordBack => self.vi(ViMotion::WordLeft, 1),
            Motion::LineStart => self.vi(ViMotion::First, 1),
            Motion::LineEnd => self.vi(ViMotion::Last, 1),
            Motion::Lines(lines) => {
                let delta = i32::try_from(lines.clamp(-1_000_000, 1_000_000)).unwrap_or(0);
                let at = self.term.vi_mode_cursor.point;
                let line = Line(at.line.0 + delta).grid_clamp(&self.term, Boundary::Grid);
                self.term.vi_goto_point(Point::new(line, at.column));
            }
        }
    }

    fn search(&mut self, text: &str, forward: bool) -> bool {
        let Ok(mut regex) = RegexSearch::new(&escaped(text)) else {
            return false;
        };
        self.browse(true);
        let at = self.term.vi_mode_cursor.point;
        let (origin, direction, side) = if forward {
            (
                at.add(&self.term, Boundary::None, 1),
                Direction::Right,
                Side::Left,
            )
        } else {
            (
                at.sub(&self.term, Boundary::None, 1),
                Direction::Left,
                Side::Right,
            )
        };
        let Some(found) = self
            .term
            .search_next(&mut regex, origin, direction, side, None)
        else {
            return false;
        };
        self.term.selection = None;
        self.term.vi_goto_point(*found.start());
        let mut selection = Selection::new(SelectionType::Simple, *found.start(), Side::Left);
        selection.update(*found.end(), Side::Right);
        self.term.selection = Some(selection);
        true
    }

    fn toggle_selection(&mut self, lines: bool) {
        if self.term.selection.take().is_some() {
            return;
        }
        let kind = if lines {
            SelectionType::Lines
        } else {
            SelectionType::Simple
        };
        let at = self.term.vi_mode_cursor.point;
        let mut selection = Selection::new(kind, at, Side::Left);
        selection.include_all();
        self.term.selection = Some(selection);
    }

    fn select_from(&mut self, column: u16, row: u16) {
        let point = self.point(column, row);
        self.term.selection = Some(Selection::new(SelectionType::Simple, point, Side::Left));
    }

    fn select_to(&mut self, column: u16, row: u16) {
        let point = self.point(column, row);
        if let Some(selection) = &mut self.term.selection {
            selection.update(point, Side::Right);
        }
    }

    fn clear_selection(&mut self) {
        self.term.selection = None;
    }

    fn selected_text(&self) -> Option<String> {
        let text = self.term.selection_to_string()?;
        let is_safe = |character: &char| !character.is_control() || *character == '\n';
        let text: String = text.chars().filter(is_safe).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// The text as a regular expression.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// What is drawn for a cell: exactly as wide as the cell, never a control character.
fn symbol_of(cell: &Cell, symbol: &mut String) {
    symbol.clear();
    let columns = if cell.flags.contains(Flags::WIDE_CHAR) {
        2
    } else {
        1
    };
    symbol.push(cell.c);
    if cell.c.is_control() || symbol.width() != columns {
        symbol.clear();
        symbol.extend(std::iter::repeat_n(' ', columns));
        return;
    }
    // A mark that changes the width (variation selectors, joiners) would shift the rest of the row.
    for &mark in cell.zerowidth().unwrap_or_default() {
        let end = symbol.len();
        symbol.push(mark);
        if mark == '\u{200d}' || symbol.width() != columns {
            symbol.truncate(end);
        }
    }
}

fn style_of(cell: &Cell, colors: &Colors) -> Style {
    let mut style = Style::new()
        .fg(color_of(cell.fg, colors))
        .bg(color_of(cell.bg, colors));
    if let Some(color) = cell.underline_color() {
        style = style.underline_color(color_of(color, colors));
    }
    let is_dim = matches!(cell.fg, VtColor::Named(name) if is_dim(name));
    let modifiers = [
        (cell.flags.contains(Flags::BOLD), Modifier::BOLD),
        (cell.flags.contains(Flags::DIM) || is_dim, Modifier::DIM),
        (cell.flags.contains(Flags::ITALIC), Modifier::ITALIC),
        (
            cell.flags.intersects(Flags::ALL_UNDERLINES) || cell.hyperlink().is_some(),
            Modifier::UNDERLINED,
        ),
        (cell.flags.contains(Flags::INVERSE), Modifier::REVERSED),
        (cell.flags.contains(Flags::HIDDEN), Modifier::HIDDEN),
        (cell.flags.contains(Flags::STRIKEOUT), Modifier::CROSSED_OUT),
    ];
    for (is_set, modifier) in modifiers {
        if is_set {
            style = style.add_modifier(modifier);
        }
    }
    style
}

fn is_dim(name: NamedColor) -> bool {
    (NamedColor::DimBlack as usize..=NamedColor::DimWhite as usize).contains(&(name as usize))
        || name == NamedColor::DimForeground
}

fn color_of(color: VtColor, colors: &Colors) -> Color {
    let set = |index: usize| colors[index].map(|rgb| Color::Rgb(rgb.r, rgb.g, rgb.b));
    match color {
        VtColor::Spec(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
        VtColor::Indexed(index) => set(index.into()).unwrap_or(Color::Indexed(index)),
        VtColor::Named(name) => set(name as usize).unwrap_or_else(|| {
            let index = match name as usize {
                index @ 0..16 => index,
                dim if is_dim(name) && name != NamedColor::DimForeground => {
                    dim - NamedColor::DimBlack as usize
                }
                _ => return Color::Reset,
            };
            u8::try_from(index).map_or(Color::Reset, Color::Indexed)
        }),
    }
}

/// What a question about a colour is answered: the palette of xterm. The colours of the user's terminal are
/// not known here.
fn default_color(index: usize) -> Rgb {
    const BASIC: [u32; 16] = [
        0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5, 0x7f7f7f,
        0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff,
    ];
    let rgb = |r: usize, g: usize, b: usize| {
        let byte = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
        Rgb {
            r: byte(r),
            g: byte(g),
            b: byte(b),
        }
    };
    let hex = |value: u32| {
        let [_, r, g, b] = value.to_be_bytes();
        Rgb { r, g, b }
    };
    let level = |step: usize| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        0..=15 => hex(BASIC[index]),
        16..=231 => {
            let cube = index - 16;
            rgb(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        232..=255 => {
            let gray = 8 + 10 * (index - 232);
            rgb(gray, gray, gray)
        }
        257 | 268 => hex(0x000000),
        _ => hex(0xe5e5e5),
    }
}
