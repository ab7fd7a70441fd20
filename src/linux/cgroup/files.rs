//! Reading and writing the small files of a cgroup.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::error::CgroupError;
use crate::base::Pid;

pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

/// One write(2), without creating the file: cgroup files take a whole command per write.
pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    write_each(path, &[value])
}

/// One write(2) for each value, in this order, without creating the file.
pub(super) fn write_each(path: &Path, values: &[impl AsRef<str>]) -> Result<(), CgroupError> {
    let failed = |value: &str, source| CgroupError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|source| failed(values.first().map_or("", AsRef::as_ref), source))?;
    for value in values {
        file.write_all(value.as_ref().as_bytes())
            .map_err(|source| failed(value.as_ref(), source))?;
    }
    Ok(())
}

pub(super) fn read_number(path: &Path) -> Result<u64, CgroupError> {
    let text = read(path)?;
    parse_number(path, text.trim())
}

/// A number or `max` (which reads as `u64::MAX`).
pub(super) fn parse_number(path: &Path, text: &str) -> Result<u64, CgroupError> {
    if text == "max" {
        return Ok(u64::MAX);
    }
    text.parse().map_err(|_| CgroupError::Parse {
        path: path.to_owned(),
        text: text.to_owned(),
    })
}

/// The value of `key` in a file of `key value` lines; `None` when the key is not there.
pub(super) fn read_key(path: &Path, key: &str) -> Result<Option<u64>, CgroupError> {
    let text = read(path)?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| parse_number(path, value.trim()))
        .transpose()
}

/// Process ids in `cgroup.procs` of one directory. A directory that is gone holds none.
pub(super) fn processes(directory: &Path) -> Result<Vec<Pid>, CgroupError> {
    let path = directory.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => text
            .lines()
            .map(|line| {
                line.parse().map(Pid::new).map_err(|_| CgroupError::Parse {
                    path: path.clone(),
                    text: line.to_owned(),
                })
            })
            .collect(),
        // ENODEV: the group was removed after the file was opened. EOPNOTSUPP: a threaded v2 group,
        // whose processes are listed in the group above it.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP)
            ) =>
        {
            Ok(Vec::new())
        }
        Err(source) => Err(CgroupError::Read { path, source }),
    }
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}
