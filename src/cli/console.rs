use std::io::{self, IsTerminal as _, Read, Write};
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::failure::Failure;
use crate::printer::{Moment, inert};

/// Standard input, output and error of a command; tests have their own.
pub(super) struct Console {
    input: Option<Box<dyn Read + Send>>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    pub(super) input_is_terminal: bool,
    pub(super) out_is_terminal: bool,
    pub(super) err_is_terminal: bool,
    zone: OnceLock<TimeZone>,
}

impl Console {
    /// Those of this process.
    pub(super) fn process() -> Self {
        Self {
            input: Some(Box::new(io::stdin())),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input_is_terminal: io::stdin().is_terminal(),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            zone: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(
        input: Box<dyn Read + Send>,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            input: Some(input),
            out,
            err,
            input_is_terminal: false,
            out_is_terminal: false,
            err_is_terminal: false,
            zone: OnceLock::from(TimeZone::UTC),
        }
    }

    /// Now, in the time zone of the user.
    pub(super) fn moment(&self) -> Moment {
        let zone = self.zone.get_or_init(TimeZone::system).clone();
        Moment::new(Timestamp::now(), zone)
    }

    /// Writes to standard output and flushes, so that a reader of a pipe sees it at once. What objects say
    /// cannot act on a terminal (CVE-2021-25743).
    pub(super) fn print(&mut self, text: &str) -> Result<(), Failure> {
        if self.out_is_terminal {
            return self.write(inert(text).as_bytes());
        }
        self.write(text.as_bytes())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out
            .write_all(bytes)
            .and_then(|()| self.out.flush())
            .map_err(Failure::Output)
    }

    /// Writes to standard error. There is nobody to tell when that fails, so it is not an error.
    pub(super) fn write_err(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }

    /// One line on standard error.
    pub(super) fn note(&mut self, line: &str) {
        let line = if self.err_is_terminal {
            inert(line)
        } else {
            line.into()
        };
        self.write_err(format!("{line}\n").as_bytes());
    }

    /// `Warning: …` for each, once.
    pub(super) fn warnings(&mut self, warnings: &[String]) {
        for (index, warning) in warnings.iter().enumerate() {
            if !warnings[..index].contains(warning) {
                self.note(&format!("Warning: {warning}"));
            }
        }
    }

    /// Standard input, once.
    pub(super) fn take_input(&mut self) -> Option<Box<dyn Read + Send>> {
        self.input.take()
    }
}
