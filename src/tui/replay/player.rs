use std::time::Duration;

use super::recording::{Recording, What};
use crate::tui::term::{Display, KeyNames};

/// Times of the recorded speed.
const SPEEDS: [f64; 9] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
const NORMAL: usize = 3;
/// Names of keys that are remembered.
const MAX_KEYS: usize = 40;
const MAX_MESSAGES: usize = 200;

/// A place in a recording, and what the screen looked like there.
pub(super) struct Player {
    recording: Recording,
    names: KeyNames,
    display: Display,
    at: Duration,
    /// The first event that was not played yet.
    next: usize,
    speed: usize,
    is_paused: bool,
    keys: Vec<String>,
    messages: Vec<(Duration, String)>,
}

impl Player {
    pub(super) fn new(recording: Recording) -> Self {
        let mut player = Self {
            display: Display::new(recording.size),
            recording,
            names: KeyNames::default(),
            at: Duration::ZERO,
            next: 0,
            speed: NORMAL,
            is_paused: false,
            keys: Vec::new(),
            messages: Vec::new(),
        };
        player.play_until(Duration::ZERO);
        player
    }

    pub(super) fn display(&self) -> &Display {
        &self.display
    }

    pub(super) fn position(&self) -> (Duration, Duration) {
        (self.at, self.recording.length())
    }

    pub(super) fn speed(&self) -> f64 {
        SPEEDS[self.speed]
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) fn is_over(&self) -> bool {
        self.next == self.recording.events.len()
    }

    /// Names of the keys pressed so far, the newest last.
    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The newest last.
    pub(super) fn messages(&self) -> &[(Duration, String)] {
        &self.messages
    }

    /// The number of the line that is cut off, said at the end of the recording.
    pub(super) fn cut_at(&self) -> Option<usize> {
        self.recording.cut_at.filter(|_| self.is_over())
    }

    /// At the end it starts again.
    pub(super) fn toggle_pause(&mut self) {
        if self.is_over() {
            self.seek(Duration::ZERO);
            self.is_paused = false;
        } else {
            self.is_paused ^= true;
        }
    }

    pub(super) fn change_speed(&mut self, faster: bool) {
        self.speed = if faster {
            (self.speed + 1).min(SPEEDS.len() - 1)
        } else {
            self.speed.saturating_sub(1)
        };
    }

    /// How long until something changes by itself, in the time of the watcher.
    pub(super) fn due_after(&self) -> Option<Duration> {
        if self.is_paused {
            return None;
        }
        let next = self.recording.events.get(self.next)?;
        // The time that is shown goes on by seconds.
        let second = Duration::from_secs(self.at.as_secs() + 1);
        let left = next.at.min(second).saturating_sub(self.at);
        Some(left.div_f64(self.speed()))
    }

    /// So much time of the watcher has passed.
    pub(super) fn pass(&mut self, time: Duration) {
        if !self.is_paused && !self.is_over() {
            self.play_until(self.at + time.mul_f64(self.speed()));
        }
    }

    pub(super) fn skip(&mut self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let to = if seconds < 0 {
            self.at.saturating_sub(by)
        } else {
            self.at + by
        };
        self.seek(to);
    }

    pub(super) fn go_to_start(&mut self) {
        self.seek(Duration::ZERO);
    }

    pub(super) fn go_to_end(&mut self) {
        self.seek(self.recording.length());
    }

    /// To what the next key did: up to the first frame behind it. False when no key follows.
    pub(super) fn go_to_next_key(&mut self) -> bool {
        let rest = &self.recording.events[self.next..];
        let is_key = |what: &What| matches!(what, What::Input(_));
        let Some(key) = rest.iter().position(|event| is_key(&event.what)) else {
            return false;
        };
        let frame = rest[key..]
            .iter()
            .position(|event| matches!(event.what, What::Output(_)));
        let last = frame.map_or(key, |frame| key + frame);
        let to = rest[last].at;
        self.play_until(to);
        true
    }

    /// One event that shows something, for going through a recording picture by picture.
    pub(super) fn step(&mut self) {
        self.is_paused = true;
        let rest = &self.recording.events[self.next..];
        let next = rest
            .iter()
            .find(|event| matches!(event.what, What::Output(_) | What::Resize(_)));
        if let Some(event) = next {
            let to = event.at;
            self.play_until(to);
        }
    }

    fn seek(&mut self, to: Duration) {
        if to < self.at {
            self.display = Display::new(self.recording.size);
            (self.at, self.next) = (Duration::ZERO, 0);
            self.keys.clear();
            self.messages.clear();
        }
        self.play_until(to);
    }

    fn play_until(&mut self, to: Duration) {
        let to = to.min(self.recording.length());
        while let Some(event) = self.recording.events.get(self.next) {
            if event.at > to {
                break;
            }
            match &event.what {
                What::Output(text) => self.display.feed(text.as_bytes()),
                What::Resize(size) => self.display.resize(*size),
                What::Input(text) => {
                    self.keys.extend(self.names.of(text));
                    let old = self.keys.len().saturating_sub(MAX_KEYS);
                    self.keys.drain(..old);
                }
                What::Message(text) => {
                    self.messages.push((event.at, text.clone()));
                    // Not one by one: what is in front moves.
                    if self.messages.len() > 2 * MAX_MESSAGES {
                        self.messages.drain(..MAX_MESSAGES);
                    }
                }
            }
            self.next += 1;
        }
        self.at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TerminalSize;
    use crate::tui::replay::recording::Event;

    fn player() -> Player {
        let event = |seconds, what| Event {
            at: Duration::from_secs(seconds),
            what,
        };
        let output = |text: &str| What::Output(text.to_owned());
        Player::new(Recording {
            size: TerminalSize {
                columns: 10,
                rows: 2,
            },
            events: vec![
                event(0, output("one")),
                event(4, What::Input("j\r".to_owned())),
                event(5, output("\r\x1b[Ktwo")),
                event(
                    60,
                    What::Resize(TerminalSize {
                        columns: 20,
                        rows: 3,
                    }),
                ),
                event(60, output("\r\x1b[Kthree")),
            ],
            cut_at: Some(7),
        })
    }

    fn shown(player: &Player) -> String {
        let mut text = String::new();
        player
            .display()
            .cells(&mut |_, _, symbol, _| text.push_str(symbol));
        text.trim().to_owned()
    }

    #[test]
    fn time_passes_as_fast_as_is_wished() {
        let mut player = player();
        assert_eq!(
            (shown(&player), player.due_after()),
            ("one".to_owned(), Some(Duration::from_secs(1)))
        );
        player.change_speed(true);
        assert_eq!(player.due_after(), Some(Duration::from_millis(500)));
        player.pass(Duration::from_secs(2));
        assert_eq!(
            (shown(&player), player.keys().join(" ")),
            ("one".to_owned(), "j enter".to_owned())
        );
        player.pass(Duration::from_millis(500));
        assert_eq!(shown(&player), "two");
        player.toggle_pause();
        player.pass(Duration::from_secs(1000));
        assert_eq!(
            (shown(&player), player.due_after()),
            ("two".to_owned(), None)
        );
        player.toggle_pause();
        player.pass(Duration::from_secs(1000));
        assert!(player.is_over() && player.due_after().is_none());
        assert_eq!(player.cut_at(), Some(7));
        assert_eq!(shown(&player), "three");
        player.toggle_pause();
        assert_eq!(shown(&player), "one");
    }

    #[test]
    fn one_goes_to_and_fro() {
        let mut player = player();
        assert!(player.go_to_next_key());
        assert_eq!(shown(&player), "two");
        assert!(!player.go_to_next_key());
        player.skip(-3);
        assert_eq!((shown(&player), player.keys().len()), ("one".to_owned(), 0));
        player.skip(1000);
        assert_eq!(
            (shown(&player), player.display().size().columns),
            ("three".to_owned(), 20)
        );
        player.go_to_start();
        assert_eq!(
            (shown(&player), player.display().size().columns),
            ("one".to_owned(), 10)
        );
        player.step();
        assert_eq!(
            (shown(&player), player.is_paused()),
            ("two".to_owned(), true)
        );
        player.step();
        assert!(player.is_over());
        player.step();
    }
}
