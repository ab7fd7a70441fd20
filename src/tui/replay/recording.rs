use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::base::TerminalSize;
use crate::tui::cast::MESSAGE;

/// A day of a busy screen is a tenth of it.
const MAX_BYTES: u64 = 512 << 20;
/// Columns and rows; more is no terminal but an attempt on the memory.
const MAX_SIDE: u64 = 1000;

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("cannot read the recording {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: larger than 512 MiB, which no recording of a screen is", .path.display())]
    TooLarge { path: PathBuf },
    #[error(
        "{}: this is no recording: its first line is not the header of an asciicast (podtui --record FILE.cast makes one)",
        .path.display()
    )]
    Foreign { path: PathBuf },
    #[error(
        "{}: asciicast version {version} is not known here, only version 2 is (asciinema convert -f asciicast-v2 makes it)",
        .path.display()
    )]
    Version { path: PathBuf, version: u64 },
    #[error("{}:{line}: {problem}", .path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        problem: String,
    },
    #[error("{}: the recording ends before anything was shown", .path.display())]
    Empty { path: PathBuf },
    #[error("cannot use this terminal")]
    Terminal(#[source] io::Error),
}

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) size: TerminalSize,
    pub(super) events: Vec<Event>,
    /// The last line is cut off in the middle: it has this number and is left out.
    pub(super) cut_at: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Since the begin; never less than that of the event before.
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    Output(String),
    Input(String),
    Resize(TerminalSize),
    /// A word of the recorder, or what podtui was told.
    Message(String),
}

#[derive(Deserialize)]
struct Header {
    version: u64,
    width: Option<u64>,
    height: Option<u64>,
}

impl Recording {
    pub(super) fn read(path: &Path) -> Result<Self, ReplayError> {
        let failed = |source| ReplayError::Read {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        // One byte more tells too much from just enough; a device has no length to ask for.
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(ReplayError::TooLarge {
                path: path.to_owned(),
            });
        }
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ReplayError> {
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').zip(1..);
        let first = lines.next().map_or(&[][..], |(line, _)| line);
        let size = header(path, first)?;
        let mut recording = Self {
            size,
            events: Vec::new(),
            cut_at: None,
        };
        let mut now = Duration::ZERO;
        for (bytes, line) in lines {
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match event(bytes) {
                Ok((at, what)) => {
                    // Some recorders let the clock go back; time here only goes on.
                    now = now.max(at);
                    let event = what.map(|what| Event { at: now, what });
                    recording.events.extend(event);
                }
                // A program that is killed writes no last line feed.
                Err(_) if !bytes.ends_with(b"\n") => recording.cut_at = Some(line),
                Err(problem) => {
                    return Err(ReplayError::Line {
                        path: path.to_owned(),
                        line,
                        problem,
                    });
                }
            }
        }
        let shows = |event: &Event| matches!(event.what, What::Output(_));
        if !recording.events.iter().any(shows) {
            return Err(ReplayError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(recording)
    }

    pub(super) fn length(&self) -> Duration {
        self.events.last().map_or(Duration::ZERO, |event| event.at)
    }
}

fn header(path: &Path, line: &[u8]) -> Result<TerminalSize, ReplayError> {
    let path = || path.to_owned();
    let Ok(header) = serde_json::from_slice::<Header>(line) else {
        return Err(ReplayError::Foreign { path: path() });
    };
    if header.version != 2 {
        return Err(ReplayError::Version {
            path: path(),
            version: header.version,
        });
    }
    size(header.width.unwrap_or(0), header.height.unwrap_or(0)).map_err(|problem| {
        ReplayError::Line {
            path: path(),
            line: 1,
            problem,
        }
    })
}

/// `[seconds, code, data]`; `None` for codes that players skip.
fn event(line: &[u8]) -> Result<(Duration, Option<What>), String> {
    let (seconds, code, data): (f64, String, Value) = serde_json::from_slice(line)
        .map_err(|_| "an event is written [seconds, \"code\", \"data\"]".to_owned())?;
    let at = Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{seconds} is no time since the begin, in seconds"))?;
    let Value::String(data) = data else {
        return match code.as_str() {
            "o" | "i" | "r" | "m" => Err(format!("the data of an event {code:?} is a string")),
            _ => Ok((at, None)),
        };
    };
    let what = match code.as_str() {
        "o" => What::Output(data),
        "i" => What::Input(data),
        "r" => What::Resize(resize(&data)?),
        "m" | MESSAGE => What::Message(crate::tui::sanitize::plain(&data)),
        _ => return Ok((at, None)),
    };
    Ok((at, Some(what)))
}

fn resize(data: &str) -> Result<TerminalSize, String> {
    let wrong = || format!("{data:?} is no size: it is written COLUMNSxROWS");
    let (columns, rows) = data.split_once('x').ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    size(number(columns)?, number(rows)?)
}

fn size(columns: u64, rows: u64) -> Result<TerminalSize, String> {
    let side = |cells: u64| {
        let cells = (1..=MAX_SIDE).contains(&cells).then_some(cells);
        cells.and_then(|cells| u16::try_from(cells).ok())
    };
    match (side(columns), side(rows)) {
        (Some(columns), Some(rows)) => Ok(TerminalSize { columns, rows }),
        _ => Err(format!(
            "a screen of {columns} columns and {rows} rows: both must be 1 to {MAX_SIDE}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{\"version\":2,\"width\":80,\"height\":24}\n";

    fn parse(text: &str) -> Result<Recording, ReplayError> {
        Recording::parse(Path::new("a.cast"), text.as_bytes())
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.cast{expected}")), "{error}");
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_place() {
        check_refused("", ": this is no recording");
        check_refused("\x7fELF\n", ": this is no recording");
        check_refused("{\"kind\":\"Pod\"}\n", ": this is no recording");
        check_refused("{\"version\":3,\"term\":{}}\n", ": asciicast version 3");
        check_refused("{\"version\":2}\n", ":1: a screen of 0 columns");
        let huge = "{\"version\":2,\"width\":65535,\"height\":9}\n";
        check_refused(huge, ":1: a screen of 65535 columns");
        check_refused(HEADER, ": the recording ends before");
        let after = |lines: &str| format!("{HEADER}[0,\"o\",\"x\"]\n{lines}\n");
        check_refused(&after("{}"), ":3: an event is written");
        check_refused(&after("[-1,\"o\",\"x\"]"), ":3: -1 is no time");
        check_refused(&after("[1e300,\"o\",\"x\"]"), ":3: 1");
        check_refused(&after("[1,\"r\",\"9999x1\"]"), ":3: a screen of 9999");
        check_refused(&after("[1,\"r\",\"wide\"]"), ":3: \"wide\" is no size");
        check_refused(&after("[1,\"o\",7]"), ":3: the data of an event");
    }

    #[test]
    fn a_recording_that_was_cut_off_plays_as_far_as_it_goes() {
        let text = format!("{HEADER}[0.5,\"o\",\"x\"]\n[1.25,\"i\",\"j\"]\n[2,\"o\",\"ha");
        let recording = parse(&text).unwrap();
        assert_eq!((recording.events.len(), recording.cut_at), (2, Some(4)));
        assert_eq!(recording.length(), Duration::from_millis(1250));
    }

    #[test]
    fn time_only_goes_on_and_unknown_events_are_skipped() {
        let lines =
            "[2,\"o\",\"a\"]\n\n[1,\"m\",\"one\\u001b[2J\"]\n[3,\"x\",0]\n[4,\"z\",\"?\"]\n";
        let recording = parse(&format!("{HEADER}{lines}")).unwrap();
        let times: Vec<u64> = recording.events.iter().map(|e| e.at.as_secs()).collect();
        assert_eq!(times, [2, 2]);
        let What::Message(text) = &recording.events[1].what else {
            panic!("{:?}", recording.events[1]);
        };
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}
