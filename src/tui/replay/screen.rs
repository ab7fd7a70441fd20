use std::path::Path;
use std::time::Duration;

use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use unicode_width::UnicodeWidthStr;

use super::player::Player;
use super::recording::{Recording, ReplayError};
use crate::tui::host::TerminalKeeper;
use crate::tui::keymap::{Cmd, Key, Keymap, Place, ReplayCmd};
use crate::tui::look::Look;
use crate::tui::msg::Msg;
use crate::tui::panes::Canvas;
use crate::tui::settings::TuiSettings;
use crate::tui::tasks::{read_personal, terminal_input, watch_signals};
use crate::tui::terminal::{self, FrameBackend, TerminalGuard};
use crate::tui::theme::Glyphs;

/// 60 frames per second at most.
const FRAME: Duration = Duration::from_millis(16);
/// So long the bar stays over the last row of the recording after a key.
const BAR_STAYS: Duration = Duration::from_secs(4);
/// Rows of messages.
const MESSAGES: usize = 10;

/// Everything that is drawn.
pub(super) struct Stage {
    pub(super) player: Player,
    look: Look,
    keymap: Keymap,
    /// The part of the recorded screen that is shown where the terminal is smaller.
    left: u16,
    top: u16,
    shows_messages: bool,
    /// The bar covers a row of the recording while it is wanted.
    is_bar_wanted: bool,
}

impl Stage {
    pub(super) fn new(player: Player, look: Look, keymap: Keymap) -> Self {
        Self {
            player,
            look,
            keymap,
            left: 0,
            top: 0,
            shows_messages: false,
            is_bar_wanted: true,
        }
    }

    /// False ends the replay.
    fn run(&mut self, cmd: ReplayCmd) -> bool {
        match cmd {
            ReplayCmd::Pause => self.player.toggle_pause(),
            ReplayCmd::Faster => self.player.change_speed(true),
            ReplayCmd::Slower => self.player.change_speed(false),
            ReplayCmd::Skip(seconds) => self.player.skip(seconds.into()),
            ReplayCmd::NextKey => {
                if !self.player.go_to_next_key() {
                    self.player.go_to_end();
                }
            }
            ReplayCmd::Step => self.player.step(),
            ReplayCmd::Start => self.player.go_to_start(),
            ReplayCmd::End => self.player.go_to_end(),
            ReplayCmd::Messages => self.shows_messages ^= true,
            ReplayCmd::Pan(right, down) => {
                self.left = self.left.saturating_add_signed(right);
                self.top = self.top.saturating_add_signed(down);
            }
            ReplayCmd::Quit => return false,
        }
        true
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let screen = frame.area();
        let recorded = self.player.display().size();
        // With room to spare the bar has a row of its own.
        let has_own_row = screen.height > recorded.rows;
        let shows_bar = has_own_row || self.is_bar_wanted || self.player.is_over();
        let rows = screen.height - u16::from(has_own_row);
        self.left = self.left.min(recorded.columns.saturating_sub(screen.width));
        self.top = self.top.min(recorded.rows.saturating_sub(rows));
        let buffer = frame.buffer_mut();
        let mut canvas = Canvas::new(buffer, screen);
        self.draw_screen(&mut canvas.part(Rect {
            height: rows.min(recorded.rows),
            width: screen.width.min(recorded.columns),
            ..screen
        }));
        if self.shows_messages {
            self.draw_messages(&mut canvas);
        }
        if shows_bar {
            let last = Rect {
                y: screen.bottom().saturating_sub(1),
                height: screen.height.min(1),
                ..screen
            };
            self.draw_bar(&mut canvas.part(last));
        }
        if let Some((column, row)) = self.player.display().cursor()
            && let (Some(x), Some(y)) = (column.checked_sub(self.left), row.checked_sub(self.top))
            && x < screen.width
            && y < screen.height - u16::from(shows_bar && screen.height > 0)
        {
            frame.set_cursor_position(Position::new(screen.x + x, screen.y + y));
        }
    }

    fn draw_screen(&self, canvas: &mut Canvas<'_>) {
        let width = canvas.width();
        let no_color = self.look.no_color;
        self.player
            .display()
            .cells(&mut |column, row, symbol, style| {
                let (Some(column), Some(row)) =
                    (column.checked_sub(self.left), row.checked_sub(self.top))
                else {
                    return;
                };
                // Half a glyph at the edge is left out.
                if usize::from(column) + symbol.width() <= width {
                    let style = if no_color { colorless(style) } else { style };
                    canvas.put(column.into(), row.into(), symbol, style);
                }
            });
    }

    fn draw_messages(&self, canvas: &mut Canvas<'_>) {
        let styles = &self.look.theme.styles;
        let messages = self.player.messages();
        let shown = &messages[messages.len().saturating_sub(MESSAGES)..];
        let height = u16::try_from(shown.len().max(1)).unwrap_or(1);
        let screen = canvas.area;
        let area = Rect {
            y: screen.bottom().saturating_sub(height + 1).max(screen.y),
            height: height.min(screen.height.saturating_sub(1)),
            ..screen
        };
        let mut canvas = canvas.part(area);
        canvas.fill(styles.overlay);
        if shown.is_empty() {
            canvas.put(1, 0, "podtui was told nothing yet", styles.dim);
        }
        for (row, (at, text)) in shown.iter().enumerate() {
            let column = canvas.put(1, row, &clock(*at), styles.dim) + 1;
            let width = canvas.width();
            canvas.put_cut(
                column,
                row,
                width,
                text,
                styles.overlay,
                self.look.glyphs.ellipsis,
            );
        }
    }

    fn draw_bar(&self, canvas: &mut Canvas<'_>) {
        let styles = &self.look.theme.styles;
        canvas.fill(styles.prompt);
        let word = if self.player.is_over() {
            " END "
        } else if self.player.is_paused() {
            " PAUSE "
        } else {
            " REPLAY "
        };
        let width = canvas.width();
        let ellipsis = self.look.glyphs.ellipsis;
        let mut column = canvas.put(0, 0, word, styles.mode) + 1;
        let (at, length) = self.player.position();
        let speed = self.player.speed();
        let time = format!("{}/{} {speed}x", clock(at), clock(length));
        column = canvas.put_cut(column, 0, width, &time, styles.key, ellipsis) + 1;
        let recorded = self.player.display().size();
        if canvas.area.width < recorded.columns {
            let size = format!("of {}x{}", recorded.columns, recorded.rows);
            column = canvas.put_cut(column, 0, width, &size, styles.dim, ellipsis) + 1;
        }
        if let Some(line) = self.player.cut_at() {
            let text = format!("the file is cut off in line {line}");
            column = canvas.put_cut(column, 0, width, &text, styles.bad, ellipsis) + 1;
        }
        // Keys of the recording get what the hints leave, but some in any case.
        let room = width.saturating_sub(column);
        let hints = self.hints(room.saturating_sub(room.min(24)));
        let end = width.saturating_sub(hints.width() + 1);
        let keys = self.newest_keys(end.saturating_sub(column + 6));
        if !keys.is_empty() {
            let at = canvas.put(column, 0, "keys ", styles.dim);
            canvas.put(at, 0, &keys, styles.text);
        }
        canvas.put_right(width, 0, &hints, styles.dim);
    }

    fn newest_keys(&self, room: usize) -> String {
        let mut text = String::new();
        for key in self.player.keys().iter().rev() {
            if text.width() + key.width() + 1 > room {
                break;
            }
            text = format!("{key} {text}");
        }
        text.trim_end().to_owned()
    }

    fn hints(&self, room: usize) -> String {
        let mut text = String::new();
        for hint in self.keymap.hints_of(Place::Replay) {
            if text.width() + hint.width() + 2 > room {
                break;
            }
            text = format!("{text}  {hint}");
        }
        text
    }
}

/// `1:02`, `1:00:02`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn colorless(style: Style) -> Style {
    let shape = style.add_modifier - Modifier::empty();
    Style::new()
        .fg(Color::Reset)
        .bg(Color::Reset)
        .add_modifier(shape)
}

/// Plays `path` in this terminal until the user has enough of it.
///
/// # Errors
/// The file is no recording, or there is no terminal.
pub(crate) async fn replay(
    settings: &TuiSettings,
    path: &Path,
    keeper: Box<dyn TerminalKeeper>,
) -> Result<(), ReplayError> {
    // Before the terminal is taken: a wrong file is told like any other mistake.
    let player = Player::new(Recording::read(path)?);
    let mut stage = Stage::new(player, look(settings), keymap(settings));
    let guard = TerminalGuard::take(keeper).map_err(ReplayError::Terminal)?;
    let mut screen = Terminal::new(FrameBackend::stdout(None)).map_err(ReplayError::Terminal)?;
    let (input_tx, mut input) = mpsc::channel(64);
    let signals = input_tx.clone();
    let _signals = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = watch_signals(signals).await {
            tracing::error!(%error, "signals cannot be watched");
        }
    }));
    let _input = AbortOnDropHandle::new(tokio::spawn(terminal_input(input_tx)));
    guard.watch();
    let mut last = Instant::now();
    let mut bar_until = last + BAR_STAYS;
    loop {
        let drawn_at = Instant::now();
        stage.is_bar_wanted = stage.player.is_paused() || drawn_at < bar_until;
        screen
            .draw(|frame| stage.draw(frame))
            .map_err(|error| ReplayError::Terminal(std::io::Error::other(error)))?;
        let due = stage.player.due_after().map(|after| last + after);
        let bar_ends = (drawn_at < bar_until).then_some(bar_until);
        let wake = due.into_iter().chain(bar_ends).min();
        // No earlier than the next frame: what comes meanwhile is shown with it.
        let wake = wake.map(|at| at.max(drawn_at + FRAME));
        // Both arms are cancel safe: `recv` and `sleep_until` lose nothing when dropped.
        let msg = tokio::select! {
            msg = input.recv() => Some(msg.unwrap_or(Msg::Terminate)),
            () = tokio::time::sleep_until(wake.unwrap_or(drawn_at)), if wake.is_some() => None,
        };
        let now = Instant::now();
        stage.player.pass(now - last);
        last = now;
        match msg {
            Some(Msg::Terminate) => return Ok(()),
            Some(Msg::Key(key)) => {
                bar_until = now + BAR_STAYS;
                if let Some(Cmd::Replay(cmd)) = stage.keymap.command(Place::Replay, Key::of(key))
                    && !stage.run(cmd)
                {
                    return Ok(());
                }
            }
            Some(Msg::Suspend) => {
                terminal::suspend(&guard.hold()).map_err(ReplayError::Terminal)?;
                redraw(&mut screen)?;
                last = Instant::now();
            }
            Some(Msg::Resumed) => {
                terminal::reenter(&guard.hold()).map_err(ReplayError::Terminal)?;
                redraw(&mut screen)?;
            }
            // It was time to go on, or the frame that follows asks for the size itself.
            None | Some(_) => {}
        }
    }
}

fn redraw(screen: &mut Terminal<FrameBackend<std::io::Stdout>>) -> Result<(), ReplayError> {
    screen.clear().map_err(ReplayError::Terminal)
}

fn look(settings: &TuiSettings) -> Look {
    let glyphs = if settings.ascii {
        Glyphs::ASCII
    } else {
        Glyphs::UNICODE
    };
    Look::new(glyphs, settings.no_color, settings.depth)
}

/// A mistake in `keys.toml` is told by the screen; here what is right in it holds.
fn keymap(settings: &TuiSettings) -> Keymap {
    let personal = settings.config_dir.as_deref().map(read_personal);
    let keys = personal.and_then(|personal| personal.keys.ok().flatten());
    keys.map_or_else(Keymap::default, |text| Keymap::from_file(&text).0)
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::base::TerminalSize;
    use crate::tui::replay::recording::{Event, What};
    use crate::tui::theme::Depth;

    fn stage(columns: u16, rows: u16, output: &str) -> Stage {
        let event = |what| Event {
            at: Duration::ZERO,
            what,
        };
        let recording = Recording {
            size: TerminalSize { columns, rows },
            events: vec![
                event(What::Output(output.to_owned())),
                event(What::Input("j\r".to_owned())),
                event(What::Message("watch pods #1: list of 3".to_owned())),
                Event {
                    at: Duration::from_secs(70),
                    what: What::Output("late".to_owned()),
                },
            ],
            cut_at: None,
        };
        let look = Look::new(Glyphs::ASCII, false, Depth::True);
        Stage::new(Player::new(recording), look, Keymap::default())
    }

    fn text(stage: &mut Stage, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let frame = terminal.draw(|frame| stage.draw(frame)).unwrap();
        let cells = frame.buffer.content().chunks(usize::from(columns).max(1));
        let rows = cells.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
        rows.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_bar_says_where_one_is_and_what_was_pressed() {
        let mut stage = stage(80, 24, "hello");
        let seen = text(&mut stage, 80, 25);
        assert!(seen.starts_with("hello"), "{seen}");
        let bar = seen.lines().last().unwrap();
        assert!(
            bar.starts_with(" REPLAY  0:00/1:10 1x keys j enter"),
            "{bar}"
        );
        assert!(bar.trim_end().ends_with("n next key"), "{bar}");
        stage.run(ReplayCmd::Messages);
        let seen = text(&mut stage, 80, 25);
        assert!(seen.contains("0:00 watch pods #1: list of 3"), "{seen}");
        stage.run(ReplayCmd::End);
        let seen = text(&mut stage, 80, 25);
        assert!(seen.contains(" END  1:10/1:10 1x"), "{seen}");
    }

    #[test]
    fn a_smaller_terminal_shows_a_part_and_no_size_is_too_small() {
        let mut stage = stage(40, 10, "\x1b[10;31Hcorner \x1b[1;1H\u{4e16}\u{754c}");
        for (columns, rows) in [(1, 1), (2, 1), (20, 5), (39, 9), (40, 10), (200, 50)] {
            text(&mut stage, columns, rows);
        }
        assert!(text(&mut stage, 39, 5).contains("of 40x10"));
        for _ in 0..9 {
            stage.run(ReplayCmd::Pan(8, 0));
            stage.run(ReplayCmd::Pan(0, 4));
        }
        stage.is_bar_wanted = false;
        let seen = text(&mut stage, 20, 5);
        assert!(seen.ends_with("          corner    "), "{seen:?}");
    }

    #[test]
    fn a_hostile_recording_draws_cells_and_nothing_else() {
        let hostile = "\x1b]52;c;aGk=\x07\x1b]0;title\x07\x1bP1$r\x1b\\\x1b[6n\u{9b}31m\x1b[?1049h\u{202e}x\x1b[99999;99999H\u{85}\x07";
        let mut stage = stage(20, 3, hostile);
        let seen = text(&mut stage, 30, 4);
        let is_control = |character: char| character.is_control() && character != '\n';
        assert!(
            !seen.contains(is_control) && !seen.contains("aGk"),
            "{seen:?}"
        );
    }
}
