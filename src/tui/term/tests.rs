//! The emulator beside another one: the same bytes give the same grid as tmux makes of them.

use std::process::Command;
use std::time::{Duration, Instant};

use super::emulator::Emulator;
use super::vt::Vt;
use crate::base::TerminalSize;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/terminal/grid");
const SIZE: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Rows without trailing blanks, and column and row of the cursor.
type Grid = (Vec<String>, String);

fn ours(bytes: &[u8], piece: usize) -> Grid {
    let mut emulator = Vt::new(SIZE, false);
    for piece in bytes.chunks(piece) {
        emulator.feed(piece);
    }
    let mut rows = vec![String::new(); SIZE.rows.into()];
    emulator.cells(&mut |_, row, symbol, _| rows[usize::from(row)].push_str(symbol));
    let rows = rows.iter().map(|row| row.trim_end().to_owned()).collect();
    let cursor = emulator.cursor().expect("no corpus hides the cursor");
    (rows, format!("{} {}", cursor.column, cursor.row))
}

/// A server of its own, without the configuration of whoever runs the tests.
struct Tmux(tempfile::TempDir);

impl Tmux {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .arg("-S")
            .arg(self.0.path().join("socket"))
            .args(["-f", "/dev/null", "-u"])
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("tmux runs");
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn show(&self, name: &str, path: &std::path::Path) {
        let (columns, rows) = (SIZE.columns.to_string(), SIZE.rows.to_string());
        // Raw, so that the kernel changes no byte.
        let script = format!("stty raw -echo; cat '{}'; exec sleep 1000", path.display());
        self.output(&[
            "new-session",
            "-d",
            "-s",
            name,
            "-x",
            &columns,
            "-y",
            &rows,
            "sh",
            "-c",
            &script,
        ]);
    }

    fn grid(&self, name: &str) -> Grid {
        // With escapes, because without them line drawing is not told from letters.
        let text = self.output(&["capture-pane", "-p", "-e", "-t", name]);
        let text = characters(&text);
        let mut rows: Vec<String> = text.lines().map(|row| row.trim_end().to_owned()).collect();
        rows.resize(SIZE.rows.into(), String::new());
        let cursor = self.output(&[
            "display-message",
            "-p",
            "-t",
            name,
            "#{cursor_x} #{cursor_y}",
        ]);
        (rows, cursor.trim().to_owned())
    }
}

/// What `` ` `` to `~` are in the special graphics of DEC (VT100 User Guide, table 3-9).
const LINE_DRAWING: &str = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";

/// The text without colours; between SO and SI, which may be rows apart, it is line drawing.
fn characters(captured: &str) -> String {
    let (mut text, mut is_drawing) = (String::new(), false);
    let mut rest = captured.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                rest.by_ref().find(|character| *character == 'm');
            }
            '\x0e' => is_drawing = true,
            '\x0f' => is_drawing = false,
            '`'..='~' if is_drawing => {
                let index = character as usize - '`' as usize;
                text.extend(LINE_DRAWING.chars().nth(index));
            }
            other => text.push(other),
        }
    }
    text
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Nothing is left to kill when the server could not start.
        let _ = self.command(&["kill-server"]).output();
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn the_grid_is_the_one_of_tmux() {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("skipped: tmux is the reference and is not installed");
        return;
    }
    let tmux = Tmux(tempfile::tempdir().unwrap());
    let (mut count, mut different) = (0, Vec::new());
    for entry in std::fs::read_dir(CORPUS).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let expected = ours(&bytes, usize::MAX);
        assert_eq!(ours(&bytes, 1), expected, "{name}, one byte at a time");
        tmux.show(&name, &path);
        let begin = Instant::now();
        // tmux needs a moment to read; what stays different is different.
        let mut grid = tmux.grid(&name);
        while grid != expected && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            grid = tmux.grid(&name);
        }
        let (rows, cursor) = &grid;
        for (row, (ours, theirs)) in expected.0.iter().zip(rows).enumerate() {
            if ours != theirs {
                different.push(format!("{name}, row {row}: ours {ours:?}, tmux {theirs:?}"));
            }
        }
        if expected.1 != *cursor {
            let ours = &expected.1;
            different.push(format!("{name}, cursor: ours {ours}, tmux {cursor}"));
        }
        count += 1;
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(count >= 40, "{count} files");
}

#[track_caller]
fn check_row(written: &str, expected: &str) {
    let (rows, _) = ours(written.as_bytes(), usize::MAX);
    assert_eq!(rows[0], expected, "{}", written.escape_debug());
}

/// tmux leaves halves standing; these are what xterm makes of it.
#[test]
fn no_half_of_a_wide_glyph_is_left() {
    check_row("世界\x1b[1;2HX", " X界");
    check_row("世界\x1b[1;1HX", "X 界");
    check_row("世界\r\x1b[P", " 界");
    check_row("世界世\x1b[1;4H\x1b[K", "世");
    check_row("世界世\x1b[1;3H\x1b[1K", "    世");
    check_row("世界\x1b[1;2H\x1b[@", "   界");
    check_row("世界\x1b[1;2H\x1b[X", "  界");
    check_row("世界\x1b[1;4H\x1b[J", "世");
    let wide = "世".repeat(40);
    check_row(&format!("{wide}\r\x1b[@"), &format!(" {}", "世".repeat(39)));
}

/// What xterm does and tmux does not.
#[test]
fn tabs_and_margins_as_in_xterm() {
    check_row("\x1b[3g\x1b[40G\x1b[2Zx", "x");
    check_row("\x1b[2IA", "                A");
    let full = "c".repeat(79);
    check_row(
        &format!("{full}cc\x1b[1;80H\x08d"),
        &format!("{}dc", "c".repeat(78)),
    );
    check_row(&format!("{full}c\x1b[Dd"), &format!("{}dc", "c".repeat(78)));
}
