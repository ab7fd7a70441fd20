//! Stands between the parser and the emulator: passes on what draws, keeps back what reaches further.

use alacritty_terminal::index::Column;
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::term::{Term, TermMode};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, LineClearMode,
    Mode, PrivateMode, Rgb, StandardCharset, TabulationClearMode,
};
use unicode_width::UnicodeWidthChar;

use super::vt::Listener;

/// Combining marks on one cell; the emulator itself would keep any number.
const MAX_MARKS: usize = 8;

pub(super) struct Guard<'a>(pub(super) &'a mut Term<Listener>);

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*);)+) => {
        $(fn $name(&mut self, $($argument: $type),*) {
            self.0.$name($($argument),*);
        })+
    };
}

/// Absent on purpose: titles, clipboard and mouse pointer (`osc` judges them), sizes in pixels (unknown
/// here), keyboard protocols (the outer terminal is not asked for them).
impl Handler for Guard<'_> {
    fn input(&mut self, character: char) {
        if is_harmful(character) || (character.width() == Some(0) && self.marks() >= MAX_MARKS) {
            return;
        }
        self.0.input(character);
    }

    /// The emulator knows LNM, but not for LF itself.
    fn linefeed(&mut self) {
        if self.0.mode().contains(TermMode::LINE_FEED_NEW_LINE) {
            self.0.newline();
        } else {
            self.0.linefeed();
        }
    }

    /// In front of the first stop is the first column; the emulator would stay where it is.
    fn move_backward_tabs(&mut self, count: u16) {
        let column = |term: &Term<Listener>| term.grid().cursor.point.column.0;
        for _ in 0..count {
            let before = column(self.0);
            if before == 0 {
                return;
            }
            self.0.move_backward_tabs(1);
            if column(self.0) == before {
                self.0.goto_col(0);
            }
        }
    }

    fn insert_blank(&mut self, count: usize) {
        self.0.insert_blank(count);
        self.mend_row();
    }

    fn delete_chars(&mut self, count: usize) {
        self.0.delete_chars(count);
        self.mend_row();
    }

    fn erase_chars(&mut self, count: usize) {
        self.0.erase_chars(count);
        self.mend_row();
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        self.0.clear_line(mode);
        self.mend_row();
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        self.0.clear_screen(mode);
        self.mend_row();
    }

    fn bell(&mut self) {
        self.0.bell();
    }

    pass_on! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: CursorShape);
        goto(line: i32, column: usize);
        goto_line(line: i32);
        goto_col(column: usize);
        move_up(rows: usize);
        move_down(rows: usize);
        identify_terminal(intermediate: Option<char>);
        device_status(kind: usize);
        move_forward(columns: usize);
        move_backward(columns: usize);
        move_down_and_cr(rows: usize);
        move_up_and_cr(rows: usize);
        put_tab(count: u16);
        backspace();
        carriage_return();
        substitute();
        newline();
        set_horizontal_tabstop();
        scroll_up(rows: usize);
        scroll_down(rows: usize);
        insert_blank_lines(count: usize);
        delete_lines(count: usize);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_tabs(mode: TabulationClearMode);
        set_tabs(interval: u16);
        reset_state();
        reverse_index();
        terminal_attribute(attribute: Attr);
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        report_mode(mode: Mode);
        set_private_mode(mode: PrivateMode);
        unset_private_mode(mode: PrivateMode);
        report_private_mode(mode: PrivateMode);
        set_scrolling_region(top: usize, bottom: Option<usize>);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        set_active_charset(index: CharsetIndex);
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        dynamic_color_sequence(prefix: String, index: usize, terminator: &str);
        reset_color(index: usize);
        decaln();
        text_area_size_chars();
        set_hyperlink(link: Option<Hyperlink>);
    }
}

impl Guard<'_> {
    /// The emulator erases and moves cells without regard to glyphs of two columns; what is left of one that was cut
    /// through becomes a blank, as in other terminals.
    fn mend_row(&mut self) {
        let line = self.0.grid().cursor.point.line;
        let row = &mut self.0.grid_mut()[line];
        let columns = row.len();
        for index in 0..columns {
            let has =
                |index: usize, flag| index < columns && row[Column(index)].flags.contains(flag);
            let is_half = (has(index, Flags::WIDE_CHAR)
                && !has(index + 1, Flags::WIDE_CHAR_SPACER))
                || (has(index, Flags::WIDE_CHAR_SPACER)
                    && (index == 0 || !has(index - 1, Flags::WIDE_CHAR)));
            if is_half {
                let cell = &mut row[Column(index)];
                cell.flags
                    .remove(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER);
                cell.clear_wide();
            }
        }
    }

    /// Marks on the cell that the next one would go to; the same choice as in `Term::input`.
    fn marks(&self) -> usize {
        let grid = self.0.grid();
        let cursor = &grid.cursor;
        let mut column = cursor.point.column;
        if !cursor.input_needs_wrap {
            column.0 = column.0.saturating_sub(1);
        }
        let row = &grid[cursor.point.line];
        if row[column].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column.0 = column.0.saturating_sub(1);
        }
        row[column].zerowidth().map_or(0, <[char]>::len)
    }
}

/// C1 controls, separators that some terminals take for line ends, and bidi controls: a pane shows text in
/// the order it was written (CVE-2021-42574).
const fn is_harmful(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}' | '\u{2029}'
            | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}
