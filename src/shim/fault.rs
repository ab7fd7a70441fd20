//! Failures of steps, told with their stage, errno and object.

use std::fmt::Display;
use std::io;

use crate::base::chain;
use crate::linux::cgroup::CgroupError;
use crate::linux::netlink::NetlinkError;
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

impl<T> At<T> for Result<T, CgroupError> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault {
            stage,
            errno: error.errno(),
            message: format!("{what}: {}", chain(&error)),
        })
    }
}

impl<T> At<T> for Result<T, NetlinkError> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault {
            stage,
            errno: error.errno(),
            message: format!("{what}: {}", chain(&error)),
        })
    }
}
