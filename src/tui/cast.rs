//! A recording of the screen (`--record FILE`) as asciicast v2, which `asciinema play` and its kin show:
//! <https://docs.asciinema.org/manual/asciicast/v2/>.
//!
//! What is recorded is what is drawn, frame by frame: text that has been made safe, and the few sequences of a
//! frame. Between them stand the keys and clicks (`i`), so that a report of a bug shows what was done, and in short
//! what the screen was told (`p`, a code of ours that players skip). What is typed into the program of a terminal is
//! not in it, for it may be a password, nor is the text of a paste, nor what is copied to the clipboard.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use ratatui::layout::Size;
use serde_json::json;

use super::msg::{Msg, TtyNews};
use super::record::summary;
use super::term::{key_text, mouse_text};
use crate::base::Clock;

/// The screen of its own on which podtui draws, without a cursor, as at the real start and end.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// Code of an event of podtui's own: a message in short.
pub(super) const MESSAGE: &str = "p";

#[derive(Debug, thiserror::Error)]
pub(crate) enum CastError {
    #[error("cannot record to {}", .path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// One recording; cloning gives another hold of the same.
#[derive(Clone)]
pub(super) struct Cast(Arc<Mutex<State>>);

struct State {
    file: File,
    path: PathBuf,
    clock: Clock,
    begin: Timestamp,
    /// `None` before the first frame.
    size: Option<Size>,
    /// Writing has failed; nothing is recorded any more. Taken by who tells the user.
    problem: Option<io::Error>,
    is_over: bool,
}

impl Cast {
    /// The file must not exist yet: a recording is never written over another.
    pub(super) fn create(path: &Path, clock: Clock) -> Result<Self, CastError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| CastError::Create {
                path: path.to_owned(),
                source,
            })?;
        let begin = clock.now();
        Ok(Self(Arc::new(Mutex::new(State {
            file,
            path: path.to_owned(),
            clock,
            begin,
            size: None,
            problem: None,
            is_over: false,
        }))))
    }

    /// A frame as it went to a terminal of this size. A failure ends the recording, not the screen.
    pub(super) fn frame(&self, size: Size, bytes: &[u8]) {
        self.attempt(|state| state.frame(size, bytes));
    }

    /// What the screen is told, before it acts on it. A key for a program (`is_private`) leaves nothing.
    pub(super) fn message(&self, msg: &Msg, is_private: bool) {
        let (code, data) = match msg {
            Msg::Key(_) if is_private => return,
            Msg::Key(key) => ("i", key_text(*key)),
            Msg::Mouse(event) => ("i", mouse_text(*event)),
            // Sizes are events of the format; ticks and output say nothing that the frame does not.
            Msg::Resize { .. } | Msg::Tick(_) => return,
            Msg::Tty {
                news: TtyNews::Output(_),
                ..
            } => return,
            msg => (MESSAGE, Some(summary(msg))),
        };
        let Some(data) = data else { return };
        self.attempt(|state| match state.size {
            // The format wants its header first, and that wants the size.
            None => Ok(()),
            Some(_) => state.event(code, &data),
        });
    }

    /// The last event; the recording ends.
    pub(super) fn finish(&self) {
        self.attempt(|state| {
            if state.size.is_some() {
                state.event("o", END)?;
            }
            state.is_over = true;
            Ok(())
        });
    }

    /// Why the recording has ended too early, once, with its path.
    pub(super) fn take_problem(&self) -> Option<(String, String)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = state.problem.take()?;
        let text = format!("{problem}; the recording ends before this");
        Some((state.path.display().to_string(), text))
    }

    fn attempt(&self, step: impl FnOnce(&mut State) -> io::Result<()>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return;
        }
        if let Err(error) = step(&mut state) {
            state.is_over = true;
            state.problem = Some(error);
        }
    }
}

impl State {
    fn frame(&mut self, size: Size, bytes: &[u8]) -> io::Result<()> {
        match self.size.replace(size) {
            None => {
                self.header(size)?;
                self.event("o", BEGIN)?;
            }
            Some(before) if before != size => {
                self.event("r", &format!("{}x{}", size.width, size.height))?;
            }
            Some(_) => {}
        }
        self.event("o", &String::from_utf8_lossy(bytes))
    }

    fn header(&mut self, size: Size) -> io::Result<()> {
        let term = std::env::var("TERM").unwrap_or_default();
        let header = json!({
            "version": 2,
            "width": size.width,
            "height": size.height,
            "timestamp": self.begin.as_second(),
            "title": "podtui",
            "env": {"TERM": term},
        });
        self.line(&header.to_string())
    }

    fn event(&mut self, code: &str, data: &str) -> io::Result<()> {
        // The clock of the machine may be set back meanwhile; the time of a recording only goes on.
        let passed = self.clock.now().duration_since(self.begin);
        let seconds = passed.as_secs_f64().max(0.0);
        self.line(&json!([seconds, code, data]).to_string())
    }

    /// One write for each line, so that a process that is killed leaves whole lines.
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(format!("{text}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SMALL: Size = Size {
        width: 10,
        height: 2,
    };

    fn events(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_and_sizes_are_recorded_with_their_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.cast");
        let clock = Clock::tokio_from(crate::tui::testing::now());
        let cast = Cast::create(&path, clock).unwrap();
        cast.frame(SMALL, b"\x1b[?2026hone \"\xe4\xb8\x96\"\x1b[?2026l");
        tokio::time::advance(std::time::Duration::from_millis(1500)).await;
        let wide = Size { width: 20, ..SMALL };
        cast.frame(wide, b"two");
        cast.finish();
        cast.frame(wide, b"late");
        let lines = events(&path);
        let header = &lines[0];
        assert_eq!(
            (&header["version"], &header["width"], &header["height"]),
            (&json!(2), &json!(10), &json!(2))
        );
        assert_eq!(header["timestamp"], crate::tui::testing::now().as_second());
        let expected = [
            json!([0.0, "o", BEGIN]),
            json!([0.0, "o", "\u{1b}[?2026hone \"\u{4e16}\"\u{1b}[?2026l"]),
            json!([1.5, "r", "20x2"]),
            json!([1.5, "o", "two"]),
            json!([1.5, "o", END]),
        ];
        assert_eq!(lines[1..], expected);
        let mode = std::fs::metadata(&path).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn keys_are_recorded_but_those_for_programs() {
        use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.cast");
        let cast = Cast::create(&path, Clock::system()).unwrap();
        let key = |letter| Msg::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
        cast.message(&key('e'), false);
        cast.frame(SMALL, b"one");
        cast.message(&key('j'), false);
        cast.message(&key('s'), true);
        cast.message(&Msg::Paste("hunter2".to_owned()), false);
        let found: Vec<(Value, Value)> = events(&path)[2..]
            .iter()
            .map(|event| (event[1].clone(), event[2].clone()))
            .collect();
        let expected = [("o", "one"), ("i", "j"), ("p", "paste of 7 bytes")];
        assert_eq!(
            found,
            expected.map(|(code, data)| (json!(code), json!(data)))
        );
    }

    #[test]
    fn nothing_is_written_over_and_a_full_disk_ends_the_recording_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.cast");
        std::fs::write(&path, "mine").unwrap();
        assert!(Cast::create(&path, Clock::system()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let full = State {
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            path: "/dev/full".into(),
            clock: Clock::system(),
            begin: Timestamp::now(),
            size: None,
            problem: None,
            is_over: false,
        };
        let cast = Cast(Arc::new(Mutex::new(full)));
        assert_eq!(cast.take_problem(), None);
        cast.frame(SMALL, b"x");
        cast.frame(SMALL, b"y");
        let (path, problem) = cast.take_problem().unwrap();
        assert!(
            path == "/dev/full" && problem.contains("the recording ends"),
            "{problem}"
        );
        assert_eq!(cast.take_problem(), None);
    }
}
