use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::prepare::VolumeSource;
use super::{Prepared, VolumeError};
use crate::linux::path::open_beneath;

/// Most that is read of a file that a container has written, bytes.
const LIMIT: u64 = 1 << 20;

impl Prepared {
    /// The text of a file in a volume on disk; `None` when there is none. The file is a container's: it is
    /// opened beneath the volume, and only a regular file of bounded size is read. Blocking file work.
    pub(crate) fn read_file(
        &self,
        volume: &str,
        path: &str,
    ) -> Result<Option<String>, VolumeError> {
        let refused = |reason: String| VolumeError::ReadFile {
            volume: volume.to_owned(),
            path: path.to_owned(),
            reason,
        };
        let root = match self.volumes.get(volume) {
            Some(VolumeSource::Own(root)) => root,
            Some(VolumeSource::Memory { .. } | VolumeSource::Huge { .. }) => {
                return Err(refused("the medium of the volume is Memory".to_owned()));
            }
            Some(
                VolumeSource::Host { .. }
                | VolumeSource::Written
                | VolumeSource::Image
                | VolumeSource::Device(_),
            )
            | None => {
                return Err(refused("it is not an emptyDir of the pod".to_owned()));
            }
        };
        let io = |error: Errno| match error {
            Errno::XDEV => refused("it leads out of its volume through a symlink".to_owned()),
            other => refused(other.to_string()),
        };
        let file = match open(root, path) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(io)?,
        };
        let kind = FileType::from_raw_mode(rfs::fstat(&file).map_err(io)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(refused("it is not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        let read = file.take(LIMIT + 1).read_to_end(&mut bytes);
        read.map_err(|error| refused(error.to_string()))?;
        if bytes.len() as u64 > LIMIT {
            return Err(refused(format!("it is longer than {LIMIT} bytes")));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| refused("it is not valid UTF-8".to_owned()))
    }
}

fn open(root: &PathBuf, path: &str) -> Result<File, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rfs::open(root, flags, Mode::empty())?;
    // Not blocking: a pipe in place of the file must not hold anybody up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open_beneath(root.as_fd(), Path::new(path), flags).map(File::from)
}
