use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;
use tokio::sync::mpsc;

use crate::image::ImageError;
use crate::image::store::io_error;

/// The bytes of a blob that are here, from its start.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Partial {
    /// Goes on with what an earlier download left; more than `size` bytes cannot be right and are dropped.
    pub(super) fn open(path: &Path, size: u64) -> Result<Self, ImageError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(
                i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags fit into an int"),
            )
            .open(path)
            .map_err(io_error("open", path))?;
        let mut length = file.metadata().map_err(io_error("stat", path))?.len();
        if length > size {
            file.set_len(0).map_err(io_error("truncate", path))?;
            length = 0;
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            length,
        })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The whole blob of `size` bytes: first what is in the file, then what arrives, which is also kept.
    pub(super) fn reader(self, size: u64, arriving: mpsc::Receiver<Bytes>) -> BlobReader {
        BlobReader {
            partial: self,
            size,
            position: 0,
            piece: Bytes::new(),
            arriving,
        }
    }

    pub(super) fn remove(path: &Path) {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "remove a partial download");
            }
            _ => {}
        }
    }
}

/// Read by the thread that unpacks.
#[derive(Debug)]
pub(super) struct BlobReader {
    partial: Partial,
    size: u64,
    position: u64,
    piece: Bytes,
    arriving: mpsc::Receiver<Bytes>,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position == self.size {
            return Ok(0);
        }
        if self.piece.is_empty() && self.position == self.partial.length {
            self.receive()?;
        }
        let length = if self.piece.is_empty() {
            let left = self.partial.length - self.position;
            let wanted = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.partial
                .file
                .read_at(&mut buffer[..wanted], self.position)?
        } else {
            let length = buffer.len().min(self.piece.len());
            buffer[..length].copy_from_slice(&self.piece.split_to(length));
            length
        };
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.position += u64::try_from(length).unwrap_or(u64::MAX);
        Ok(length)
    }
}

impl BlobReader {
    fn receive(&mut self) -> io::Result<()> {
        let ended = || io::Error::new(ErrorKind::UnexpectedEof, "the download broke off");
        self.piece = self.arriving.blocking_recv().ok_or_else(ended)?;
        self.partial
            .file
            .write_all_at(&self.piece, self.partial.length)
            .map_err(|error| io::Error::new(error.kind(), format!("keep the download: {error}")))?;
        self.partial.length += u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // An empty one is of no use to anybody.
        if self.length == 0 {
            Self::remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_comes_before_what_arrives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blob");
        std::fs::write(&path, "0123").unwrap();
        let partial = Partial::open(&path, 10).unwrap();
        assert_eq!(partial.length(), 4);
        let (tx, rx) = mpsc::channel(4);
        tx.try_send(Bytes::from_static(b"45")).unwrap();
        tx.try_send(Bytes::from_static(b"6789")).unwrap();
        drop(tx);
        let mut text = String::new();
        partial.reader(10, rx).read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456789");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_download_that_ends_early_is_kept_and_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blob");
        let (tx, rx) = mpsc::channel(4);
        tx.try_send(Bytes::from_static(b"45")).unwrap();
        drop(tx);
        let mut reader = Partial::open(&path, 10).unwrap().reader(10, rx);
        assert!(reader.read_to_string(&mut String::new()).is_err());
        drop(reader);
        assert_eq!(std::fs::read(&path).unwrap(), b"45");
        std::fs::write(&path, "too many bytes").unwrap();
        assert_eq!(Partial::open(&path, 3).unwrap().length(), 0);
        assert!(!path.exists());
    }
}
