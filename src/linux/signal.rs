//! Signal numbers and names, blocking, and reception through a descriptor (signalfd(2)).

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// A signal number the kernel knows, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(i32);

impl Signal {
    pub(crate) const KILL: Self = Self(libc::SIGKILL);

    pub(crate) const fn as_raw(self) -> i32 {
        self.0
    }

    /// Reads `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`, as image configs write them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<i32>() {
            return (1..=64).contains(&number).then_some(Self(number));
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(Self(*number));
        }
        // 34 and 64 are what signal(7) calls SIGRTMIN and SIGRTMAX under glibc; images mean these.
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            34_i32.checked_add(offset(rest, '+')?)?
        } else {
            64_i32.checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?
        };
        (34..=64).contains(&number).then_some(Self(number))
    }
}

fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

const NAMES: [(&str, i32); 34] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Blocks every signal that can be blocked, so that only [`ChildSignals`] is told of them and nothing but
/// SIGKILL ends the process.
pub(crate) fn block_all() -> io::Result<()> {
    mask(libc::SIG_SETMASK, libc::sigfillset)
}

pub(crate) fn unblock_all() -> io::Result<()> {
    mask(libc::SIG_SETMASK, libc::sigemptyset)
}

/// What a program expects to find when it is executed: nothing blocked, nothing ignored. Rust's start-up
/// code ignores SIGPIPE, and a front end may have been started with SIGHUP ignored (nohup(1)).
pub(crate) fn reset_for_exec() -> io::Result<()> {
    for number in 1..=64 {
        if number == libc::SIGKILL || number == libc::SIGSTOP || number == 32 || number == 33 {
            continue;
        }
        // SAFETY: setting a disposition to SIG_DFL installs no handler, so there is no code to be sound.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    mask(libc::SIG_SETMASK, libc::sigemptyset)
}

/// Ends this process as the signal does, but for its core; it returns when the signal is none that ends a process.
pub(crate) fn end_by(number: i32) {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let _ = reset_for_exec();
    // SAFETY: raise(3) has no precondition; with all dispositions at their default there is no handler to run.
    unsafe { libc::raise(number) };
}

/// Children of this process leave no zombie when they end.
pub(crate) fn ignore_children() -> io::Result<()> {
    // SAFETY: SIG_IGN installs no handler, so there is no code to be sound.
    let old = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if old == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn mask(how: i32, fill: unsafe extern "C" fn(*mut libc::sigset_t) -> i32) -> io::Result<()> {
    let set = signal_set(fill);
    // SAFETY: `set` is initialised; the old set is not asked for.
    let result = unsafe { libc::sigprocmask(how, &raw const set, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn signal_set(fill: unsafe extern "C" fn(*mut libc::sigset_t) -> i32) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3) and sigfillset(3) initialise the whole set they are given.
    unsafe { fill(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    unsafe { set.assume_init() }
}

/// Readable while SIGCHLD is pending.
#[derive(Debug)]
pub(crate) struct ChildSignals(File);

impl ChildSignals {
    /// SIGCHLD must be blocked already.
    pub(crate) fn new() -> io::Result<Self> {
        let mut set = signal_set(libc::sigemptyset);
        // SAFETY: `set` is initialised and SIGCHLD is a valid number.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let raw =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd(2) returned a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self(File::from(fd)))
    }

    /// Takes what is pending, so that the descriptor is not readable any more.
    pub(crate) fn drain(&mut self) {
        let mut buffer = [0u8; 4 * size_of::<libc::signalfd_siginfo>()];
        while matches!(self.0.read(&mut buffer), Ok(length) if length == buffer.len()) {}
    }
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i32>) {
        assert_eq!(Signal::parse(text).map(Signal::as_raw), expected, "{text}");
    }

    #[test]
    fn names_of_image_configs_are_read() {
        check("SIGTERM", Some(15));
        check("term", Some(15));
        check("9", Some(9));
        check("SIGRTMIN", Some(34));
        check("SIGRTMIN+3", Some(37));
        check("RTMAX-1", Some(63));
        check("SIGRTMIN+31", None);
        check("SIGRTMIN+-1", None);
        check("0", None);
        check("65", None);
        check("SIGNOPE", None);
        check("", None);
    }
}
