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
        let text = self.output(&["capture-pane", "-p", "-t", name]);
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
    let mut count = 0;
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
        while grid != expected && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
            grid = tmux.grid(&name);
        }
        let (rows, cursor) = &grid;
        assert_eq!(expected.0, *rows, "{name}: ours is the first");
        assert_eq!(expected.1, *cursor, "{name}: the cursor; ours is the first");
        count += 1;
    }
    assert!(count >= 10, "{count} files");
}
