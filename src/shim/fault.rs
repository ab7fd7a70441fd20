//! Failures of steps, told with their stage, errno and object.

use std::fmt::Display;
use std::io;

use crate::base::chain;
use crate::linux::caps::CapsError;
use crate::linux::cgroup::CgroupError;
use crate::linux::netlink::NetlinkError;
use crate::linux::pause::PauseError;
use crate::linux::seccomp::SeccompError;
use crate::wire::{Fault, Stage};

/// What went wrong in a step, in the words of the kernel: `no such file or directory`.
pub(super) fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}

pub(super) fn error_text(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), errno_text)
}

/// A refusal that no system call made.
pub(super) fn refuse(stage: Stage, message: impl Into<String>) -> Fault {
    Fault {
        stage,
        errno: 0,
        message: message.into(),
    }
}

/// Turns the error of a step into a [`Fault`].
pub(super) trait At<T> {
    /// `what` reads before a colon: `mount /proc`.
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault {
            stage,
            errno: error.raw_os_error().unwrap_or(0),
            message: format!("{what}: {}", error_text(&error)),
        })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
        self.map_err(io::Error::from).at(stage, what)
    }
}

/// Errors of the `linux` room: what failed is in their text, the number at the end of their chain.
macro_rules! at_for {
    ($($error:ty),*) => {$(
        impl<T> At<T> for Result<T, $error> {
            fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
                self.map_err(|error| {
                    let errno = errno_of(&error);
                    let plain = io::Error::from_raw_os_error(errno).to_string();
                    let text = chain(&error).replace(&plain, &errno_text(errno));
                    Fault {
                        stage,
                        errno,
                        message: format!("{what}: {text}"),
                    }
                })
            }
        }
    )*};
}
at_for!(
    CapsError,
    CgroupError,
    NetlinkError,
    PauseError,
    SeccompError
);

fn errno_of(error: &(dyn std::error::Error + 'static)) -> i32 {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(errno) = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return errno;
        }
        next = cause.source();
    }
    0
}
