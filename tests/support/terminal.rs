//! A pseudo terminal around one command of podtui.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

pub struct Terminal {
    master: File,
    pub child: Child,
    pub seen: Vec<u8>,
}

impl Terminal {
    /// All three streams of the command are a terminal of `rows` and `columns`.
    pub fn spawn(mut command: Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave = open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .expect("the slave opens");
        tcsetwinsize(
            &slave,
            Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .expect("the size can be set");
        let stream = |fd: &OwnedFd| fd.try_clone().expect("dup");
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(stream(&slave))
            .stdout(stream(&slave))
            .stderr(stream(&slave))
            .spawn()
            .expect("podtui starts");
        Self {
            master: File::from(master),
            child,
            seen: Vec::new(),
        }
    }

    /// Reads for at most `time`, until `done` is true of everything seen or the command is gone. True if done.
    pub fn read_until(&mut self, time: Duration, done: impl Fn(&[u8]) -> bool) -> bool {
        let begin = Instant::now();
        while !done(&self.seen) {
            let Some(left) = time.checked_sub(begin.elapsed()) else {
                return false;
            };
            let timeout = Timespec::try_from(left).expect("seconds");
            let mut fds = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
                let mut chunk = [0; 4096];
                match self.master.read(&mut chunk) {
                    // EIO: nobody has the slave open any more (pty(7)).
                    Err(_) | Ok(0) => return done(&self.seen),
                    Ok(count) => self.seen.extend_from_slice(&chunk[..count]),
                }
            }
        }
        true
    }

    /// Everything that the command writes until it ends.
    pub fn output(mut self, time: Duration) -> String {
        self.read_until(time, |_| false);
        let _ = self.child.kill();
        let _ = self.child.wait();
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    pub fn write(&mut self, bytes: &[u8]) {
        std::io::Write::write_all(&mut self.master, bytes).expect("the terminal takes input");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
