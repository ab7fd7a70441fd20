//! Gives the terminal back when the screen dies without doing it: SIGKILL, or the kernel out of memory.
//!
//! A process that is killed can clean nothing up, so another one has to: `podtui __watch`, started behind the first
//! frame. It sleeps in poll(2) on a pipe whose other end only the screen holds, so it costs no wakeup, and it
//! knows what the screen has last said:
//!
//! ```text
//! take MODES…   the terminal is the screen's; MODES is how it was before
//! give          it was given back (the end, ctrl-z, a panic)
//! end of file   the screen is gone: behind `take` the terminal is given back, behind `give` nothing is done
//! ```
//!
//! * It leads a session of its own, so neither signals of the terminal nor of the screen's process group reach it, and
//!   it may set a terminal that a shell has taken already (tty_ioctl(4), job control). All other signals are blocked;
//!   it ends with the pipe, or with the terminal.
//! * The kernel closes the files of a process before it tells the parent of its death, so the reset is mostly written
//!   before the shell writes its prompt. A shell that was faster has set the terminal as it likes; then the modes are
//!   its own, and only the sequences are written.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    tcgetattr, tcsetattr,
};

use crate::linux::signal;
use crate::tui::{GIVE_BACK, TerminalKeeper};

pub(crate) const WATCH: &str = "__watch";

/// Ends a control sequence that the screen has not written to its end (CAN, ECMA-48).
const CANCEL: &str = "\x18";
/// The shell's prompt may have gone with the screen that it was written on.
const KILLED: &str =
    "\r\npodtui: the screen was killed; the pods go on. Press enter for the prompt.\r\n";
/// A terminal that takes nothing for so long (ctrl-s) is left as it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// The end of the screen.
#[derive(Default)]
pub(super) struct Keeper {
    /// The terminal before it was taken; `None` while it is not.
    before: Option<Modes>,
    watcher: Option<PipeWriter>,
}

impl TerminalKeeper for Keeper {
    fn take(&mut self) {
        // Without its modes at least its screen comes back.
        let modes = tcgetattr(io::stdout()).map(|termios| Modes::of(&termios));
        self.before = Some(modes.unwrap_or_default());
        self.tell();
    }

    fn watch(&mut self) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        // Reaped by tokio, should it die first.
        tokio::process::Command::new("/proc/self/exe")
            .arg(WATCH)
            .current_dir("/")
            .env_clear()
            .stdin(reader)
            .stdout(Stdio::inherit())
            .stderr(Stdio::null())
            .spawn()?;
        self.watcher = Some(writer);
        self.tell();
        Ok(())
    }

    fn give(&mut self) {
        self.before = None;
        self.tell();
    }
}

impl Keeper {
    fn tell(&mut self) {
        let line = match &self.before {
            Some(modes) => format!("take {}\n", modes.to_text()),
            None => "give\n".to_owned(),
        };
        if let Some(watcher) = &mut self.watcher {
            // A watcher that is gone cannot be told anything.
            let _ = watcher.write_all(line.as_bytes());
        }
    }
}

/// What cfmakeraw(3) changes of a terminal: input, output, control and local modes, VMIN and VTIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Modes([u32; 6]);

impl Modes {
    fn of(termios: &Termios) -> Self {
        let code = |index| u32::from(termios.special_codes[index]);
        Self([
            termios.input_modes.bits(),
            termios.output_modes.bits(),
            termios.control_modes.bits(),
            termios.local_modes.bits(),
            code(SpecialCodeIndex::VMIN),
            code(SpecialCodeIndex::VTIME),
        ])
    }

    fn set_on(self, termios: &mut Termios) {
        let [input, output, control, local, min, time] = self.0;
        termios.input_modes = InputModes::from_bits_retain(input);
        termios.output_modes = OutputModes::from_bits_retain(output);
        termios.control_modes = ControlModes::from_bits_retain(control);
        termios.local_modes = LocalModes::from_bits_retain(local);
        let code = |value: u32| u8::try_from(value).unwrap_or_default();
        termios.special_codes[SpecialCodeIndex::VMIN] = code(min);
        termios.special_codes[SpecialCodeIndex::VTIME] = code(time);
    }

    fn to_text(self) -> String {
        self.0.map(|number| format!("{number:x}")).join(" ")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut modes = Self::default();
        let mut words = text.split_ascii_whitespace();
        for number in &mut modes.0 {
            *number = u32::from_str_radix(words.next()?, 16).ok()?;
        }
        words.next().is_none().then_some(modes)
    }

    /// None of a terminal was ever asked for.
    fn is_known(self) -> bool {
        self != Self::default()
    }
}

/// `podtui __watch`: standard input is the pipe, standard output the terminal. Called by `main` before any thread
/// exists.
pub(crate) fn watch_terminal() -> ExitCode {
    match watch() {
        Ok(()) => ExitCode::SUCCESS,
        // There is nobody to tell: standard error is the screen's, if it is anything.
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch() -> io::Result<()> {
    signal::block_all()?;
    rustix::process::setsid()?;
    let terminal = own_description(io::stdout().as_fd())?;
    let pipe = PipeReader::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut lines = BufReader::new(pipe);
    let mut taken = None;
    loop {
        if !wait(lines.get_ref().as_fd(), terminal.as_fd())? {
            return Ok(());
        }
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return taken.map_or(Ok(()), |modes| give_back(terminal.as_fd(), modes));
        }
        taken = line.strip_prefix("take ").and_then(Modes::parse);
        // More than one line may have come at once.
        while lines.buffer().contains(&b'\n') {
            line.clear();
            lines.read_line(&mut line)?;
            taken = line.strip_prefix("take ").and_then(Modes::parse);
        }
    }
}

/// The terminal, opened anew: it may become non-blocking without the shell's becoming so.
fn own_description(terminal: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", terminal.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Until there is something to read; false when the terminal is gone.
fn wait(pipe: BorrowedFd<'_>, terminal: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [
        PollFd::from_borrowed_fd(pipe, PollFlags::IN),
        // Hang-ups are reported without being asked for.
        PollFd::from_borrowed_fd(terminal, PollFlags::empty()),
    ];
    match poll(&mut fds, None) {
        Ok(_) => Ok(fds[1].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn give_back(terminal: BorrowedFd<'_>, before: Modes) -> io::Result<()> {
    write(terminal, format!("{CANCEL}{GIVE_BACK}{KILLED}").as_bytes())?;
    if !before.is_known() {
        return Ok(());
    }
    let now = tcgetattr(terminal)?;
    let mut wanted = now.clone();
    before.set_on(&mut wanted);
    let mut raw = wanted.clone();
    raw.make_raw();
    // Only what the screen has set is undone; a shell that came first knows better.
    if Modes::of(&raw) == Modes::of(&now) {
        // What is typed but not read is thrown away: it may be half of a report of the mouse.
        tcsetattr(terminal, OptionalActions::Flush, &wanted)?;
    }
    Ok(())
}

fn write(terminal: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    let begin = Instant::now();
    while !bytes.is_empty() {
        match rustix::io::write(terminal, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let Some(left) = PATIENCE.checked_sub(begin.elapsed()) else {
                    return Err(io::ErrorKind::TimedOut.into());
                };
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                let mut fds = [PollFd::from_borrowed_fd(terminal, PollFlags::OUT)];
                poll(&mut fds, Some(&left))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_through_the_pipe() {
        let modes = Modes([0x4500, 5, 0xbf, 0x8a3b, 1, 0]);
        assert_eq!(modes.to_text(), "4500 5 bf 8a3b 1 0");
        assert_eq!(Modes::parse(&modes.to_text()), Some(modes));
        for wrong in ["", "1 2 3", "1 2 3 4 5 x", "1 2 3 4 5 6 7"] {
            assert_eq!(Modes::parse(wrong), None, "{wrong:?}");
        }
        assert!(modes.is_known() && !Modes::default().is_known());
    }
}
