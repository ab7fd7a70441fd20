//! The terminal a program is looked at in: a pseudo terminal, and the emulator of `alacritty_terminal` as what
//! a person would see. podtui and its peers stand behind the same glass, so that its cost is in all their times.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use alacritty_terminal::Term;
use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::Config;
use alacritty_terminal::term::cell::Cell;
use alacritty_terminal::vte::ansi::Processor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long something that must appear may take; never the thing measured.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.rows.into()
    }

    fn screen_lines(&self) -> usize {
        self.rows.into()
    }

    fn columns(&self) -> usize {
        self.columns.into()
    }
}

/// What a program wrote by itself.
pub struct Draws {
    pub all: usize,
    /// After these the screen was as before.
    pub of_nothing: usize,
    pub bytes: u64,
}

pub struct Glass {
    master: File,
    child: Child,
    term: Term<VoidListener>,
    processor: Processor,
    size: Size,
    chunk: Vec<u8>,
    /// Bytes the program has written so far.
    pub written: u64,
}

impl Glass {
    pub fn open(mut command: Command, size: Size) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(name.as_c_str(), flags, Mode::empty()).expect("the slave opens");
        let window = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, window).expect("the size can be set");
        let stream = |fd: &OwnedFd| fd.try_clone().expect("dup");
        let child = command
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .stdin(stream(&slave))
            .stdout(stream(&slave))
            .stderr(stream(&slave))
            .spawn()
            .expect("the program starts");
        Self {
            master: File::from(master),
            child,
            term: Term::new(Config::default(), &size, VoidListener),
            processor: Processor::new(),
            size,
            chunk: vec![0; 64 << 10],
            written: 0,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn press(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("the terminal takes input");
    }

    pub fn row(&self, row: usize) -> String {
        let line = Line(i32::try_from(row).expect("a row of the screen"));
        let cells = (0..self.term.columns()).map(|column| self.term.grid()[line][Column(column)].c);
        cells.collect::<String>().trim_end().to_owned()
    }

    pub fn last_row(&self) -> String {
        self.row(usize::from(self.size.rows) - 1)
    }

    pub fn text(&self) -> String {
        let rows: Vec<String> = (0..usize::from(self.size.rows))
            .map(|row| self.row(row))
            .collect();
        rows.join("\n")
    }

    /// Takes in what the program has written, waiting at most `wait` for it; false when there was nothing.
    fn read(&mut self, wait: Duration) -> bool {
        let timeout = Timespec::try_from(wait).expect("seconds");
        let mut fds = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
        if !poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            return false;
        }
        // EIO: nobody has the slave open any more (pty(7)).
        let count = self.master.read(&mut self.chunk).unwrap_or(0);
        assert!(count > 0, "the program has ended:\n{}", self.text());
        self.written += count as u64;
        self.processor.advance(&mut self.term, &self.chunk[..count]);
        true
    }

    /// Looks on for this long.
    pub fn watch(&mut self, time: Duration) {
        let begin = Instant::now();
        while let Some(left) = time.checked_sub(begin.elapsed()) {
            self.read(left);
        }
    }

    /// Looks on for this long and counts what is drawn; a program that writes a frame at once is read at once.
    pub fn watch_draws(&mut self, time: Duration) -> Draws {
        let begin = Instant::now();
        let written = self.written;
        let (mut all, mut of_nothing) = (0, 0);
        let mut before = self.cells();
        while let Some(left) = time.checked_sub(begin.elapsed()) {
            if self.read(left) {
                let now = self.cells();
                all += 1;
                of_nothing += usize::from(now == before);
                before = now;
            }
        }
        Draws {
            all,
            of_nothing,
            bytes: self.written - written,
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let cells = self.term.grid().display_iter();
        cells.map(|indexed| indexed.cell.clone()).collect()
    }

    /// The time until this is on the screen.
    pub fn until(&mut self, what: &str, is_shown: impl Fn(&Self) -> bool) -> Duration {
        let begin = Instant::now();
        while !is_shown(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "waited for {what} on\n{}",
                self.text()
            );
            self.read(Duration::from_millis(100));
        }
        begin.elapsed()
    }

    /// The time from a key to what it paints.
    pub fn key(&mut self, key: &str, is_painted: impl Fn(&Self) -> bool) -> Duration {
        // Nothing of before may count as the answer, nor be read in its time.
        while self.read(Duration::ZERO) {
            if is_painted(self) {
                break;
            }
        }
        let begin = Instant::now();
        self.press(key);
        self.until(&format!("what {key:?} paints"), is_painted);
        begin.elapsed()
    }

    /// Keys to the line at the bottom that a person types into, one by one, `pause` apart.
    pub fn type_keys(&mut self, keys: usize, pause: Duration) -> Vec<Duration> {
        let mut times = Vec::new();
        while times.len() < keys {
            for length in 1..=20 {
                let typed = "qwertyuiopasdfghjklz";
                let letter = &typed[length - 1..length];
                let line = &typed[..length];
                times.push(self.key(letter, |glass| glass.last_row().contains(line)));
                self.watch(pause);
            }
            self.press("\x15");
            self.until("an empty line", |glass| !glass.last_row().contains('q'));
        }
        times.truncate(keys);
        times
    }
}

impl Drop for Glass {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
