//! The log file of one container instance.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::fault::error_text;
use crate::logs::format::{rotated_files, rotated_path};

/// A log file of a container and its rotation.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_files: u32,
    /// Bytes of output lost since writing began to fail.
    lost: u64,
}

/// What the user should hear of a log file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogTrouble {
    Failing(String),
    Recovered(u64),
}

impl LogFile {
    /// The last component must not be a link (a container with a volume over the log directory could
    /// have planted one).
    pub(super) fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Self> {
        let file = Self::open_file(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            path: path.to_owned(),
            size: metadata.len(),
            file,
            max_size,
            max_files,
            lost: 0,
        })
    }

    fn open_file(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(
                (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)
                    .bits()
                    .cast_signed(),
            )
            .open(path)
    }

    /// Appends whole lines. A full disk loses them instead of stopping the container; the answer tells
    /// when that begins and ends.
    pub(super) fn write(&mut self, lines: &[u8], now: jiff::Timestamp) -> Option<LogTrouble> {
        if lines.is_empty() {
            return None;
        }
        let result = self.rotate_before(lines.len() as u64, now);
        match result.and_then(|()| self.file.write_all(lines)) {
            Ok(()) => {
                self.size += lines.len() as u64;
                let lost = std::mem::take(&mut self.lost);
                (lost > 0).then_some(LogTrouble::Recovered(lost))
            }
            Err(error) => {
                // A part may have been written; a torn line would swallow the prefix of the next one.
                let _ = self.file.set_len(self.size);
                let first = self.lost == 0;
                self.lost += lines.len() as u64;
                first.then(|| {
                    LogTrouble::Failing(format!(
                        "writing {} failed, output is dropped: {}",
                        self.path.display(),
                        error_text(&error)
                    ))
                })
            }
        }
    }

    fn rotate_before(&mut self, more: u64, now: jiff::Timestamp) -> io::Result<()> {
        if self.max_size == 0 || self.size == 0 || self.size + more <= self.max_size {
            return Ok(());
        }
        let rotated = rotated_files(&self.path)?;
        let keep = usize::try_from(self.max_files.max(2) - 2).unwrap_or(usize::MAX);
        for old in &rotated[..rotated.len().saturating_sub(keep)] {
            std::fs::remove_file(old)?;
        }
        if self.max_files <= 1 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, rotated_path(&self.path, now))?;
        }
        self.file = Self::open_file(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    #[test]
    fn full_files_are_rotated_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let mut log = LogFile::open(&path, 10, 3).unwrap();
        for number in 0..5 {
            assert_eq!(
                log.write(format!("line {number}\n").as_bytes(), now()),
                None
            );
        }
        let kept: Vec<String> = rotated_files(&path)
            .unwrap()
            .iter()
            .chain([&path])
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        assert_eq!(kept, ["line 2\n", "line 3\n", "line 4\n"]);
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(LogFile::open(&path, 0, 0).is_err());
    }

    #[test]
    fn a_full_disk_is_told_once_and_counted() {
        let mut log = LogFile {
            path: "/dev/full".into(),
            file: OpenOptions::new().append(true).open("/dev/full").unwrap(),
            size: 0,
            max_size: 0,
            max_files: 0,
            lost: 0,
        };
        assert!(matches!(
            log.write(b"1\n", now()),
            Some(LogTrouble::Failing(_))
        ));
        assert_eq!(log.write(b"22\n", now()), None);
        log.file = OpenOptions::new().append(true).open("/dev/null").unwrap();
        assert_eq!(log.write(b"3\n", now()), Some(LogTrouble::Recovered(5)));
    }
}
