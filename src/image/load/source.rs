use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::image::ImageError;
use crate::image::decompress::decompress;
use crate::image::document::shown;
use crate::image::store::{Store, WriteLock, io_error};
use crate::image::unpack::{Kind, TarReader};
use crate::linux::path::{self, Links};

const MEMBERS_MAX: usize = 200_000;
/// Links of a docker archive that lead to each other.
const LINKS_MAX: usize = 8;

/// Where the members of an image archive come from.
pub(super) enum Source {
    Directory(File),
    Archive {
        file: Arc<File>,
        members: BTreeMap<PathBuf, Place>,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    File {
        offset: u64,
        size: u64,
    },
    /// Another member; docker writes a layer that occurs twice like this.
    Link(PathBuf),
}

/// One member, read from its start.
pub(super) struct Member {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Member {
    /// Bytes still to be read.
    pub(super) const fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let length = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        let count = u64::try_from(length).unwrap_or(u64::MAX);
        self.offset += count;
        self.left -= count;
        if length == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(length)
    }
}

impl Source {
    pub(super) fn open(store: &Store, lock: &WriteLock, path: &Path) -> Result<Self, ImageError> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(
                i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags fit into an int"),
            )
            .open(path)
            .map_err(io_error("open", path))?;
        let kind = file.metadata().map_err(io_error("stat", path))?.file_type();
        if kind.is_dir() {
            return Ok(Self::Directory(file));
        }
        let bad = |reason: String| ImageError::BadArchive {
            archive: path.display().to_string(),
            reason,
        };
        if !kind.is_file() {
            return Err(bad("it is neither a file nor a directory".to_owned()));
        }
        let file = plain(store, lock, file, path)?;
        let members = index(&file).map_err(bad)?;
        Ok(Self::Archive {
            file: Arc::new(file),
            members,
        })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.member(name).is_ok()
    }

    /// The regular file `name`.
    pub(super) fn member(&self, name: &str) -> Result<Member, String> {
        let missing = || format!("it lacks {}", shown(name));
        match self {
            Self::Directory(root) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
                let file = path::open(root.as_fd(), Path::new(name), flags, Links::InRoot)
                    .map(File::from)
                    .map_err(|error| format!("{}: {error}", missing()))?;
                match file.metadata() {
                    Ok(found) if found.is_file() => Ok(Member {
                        file: Arc::new(file),
                        offset: 0,
                        left: found.len(),
                    }),
                    _ => Err(format!("{} is not a regular file", shown(name))),
                }
            }
            Self::Archive { file, members } => {
                let mut path = normal(Path::new(name)).ok_or_else(missing)?;
                for _ in 0..LINKS_MAX {
                    match members.get(&path) {
                        Some(Place::Link(target)) => path.clone_from(target),
                        Some(Place::File { offset, size }) => {
                            return Ok(Member {
                                file: Arc::clone(file),
                                offset: *offset,
                                left: *size,
                            });
                        }
                        None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    /// A whole member of at most `max` bytes.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, String> {
        let member = self.member(name)?;
        if member.size() > max {
            return Err(format!(
                "{} has {} bytes, more than {max}",
                shown(name),
                member.size()
            ));
        }
        let mut bytes = Vec::new();
        member
            .take(max)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("read {}: {error}", shown(name)))?;
        Ok(bytes)
    }
}

/// The archive itself, or what it decompresses to, so that members can be read in any order.
fn plain(store: &Store, lock: &WriteLock, mut file: File, path: &Path) -> Result<File, ImageError> {
    let mut start = [0; 6];
    let length = file
        .read_at(&mut start, 0)
        .map_err(io_error("read", path))?;
    let is_plain = decompress(&start[..length])
        .is_ok_and(|_| !start.starts_with(&[0x1f, 0x8b]) && !is_zstd(&start));
    if is_plain {
        return Ok(file);
    }
    let bad = |error: io::Error| ImageError::BadArchive {
        archive: path.display().to_string(),
        reason: error.to_string(),
    };
    let compressed = file.metadata().map_err(io_error("stat", path))?.len();
    let temporary = store.temporary(lock);
    let place = temporary.path();
    let mut out = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place)
        .map_err(io_error("create", place))?;
    let limits = store.disk_limits()?;
    let most = limits.bytes.min(
        limits
            .ratio_free
            .max(compressed.saturating_mul(limits.ratio)),
    );
    let mut stream = decompress(&mut file).map_err(bad)?.take(most + 1);
    let written = io::copy(&mut stream, &mut out).map_err(bad)?;
    if written > most {
        return Err(bad(io::Error::other(format!(
            "{compressed} bytes decompress to more than {most}"
        ))));
    }
    out.rewind().map_err(io_error("read", place))?;
    Ok(out)
}

fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || (start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18])
}

fn index(file: &File) -> Result<BTreeMap<PathBuf, Place>, String> {
    let mut members = BTreeMap::new();
    let seekable = file.try_clone().map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut archive = TarReader::new(seekable);
    while let Some(entry) = archive.next().map_err(|error| error.to_string())? {
        let path = entry.path().map_err(|error| error.to_string())?;
        let place = match entry.kind {
            Kind::File if entry.sparse.is_some() => {
                let name = shown(&path.to_string_lossy());
                return Err(format!(
                    "{name} is stored as a sparse file: make the archive without --sparse"
                ));
            }
            Kind::File => Place::File {
                offset: archive.offset(),
                size: entry.size,
            },
            Kind::HardLink => Place::Link(entry.link_path().map_err(|error| error.to_string())?),
            Kind::Symlink => {
                let link = Path::new(std::ffi::OsStr::new(
                    std::str::from_utf8(&entry.link)
                        .map_err(|_| "a link target is not text".to_owned())?,
                ));
                let from = path.parent().unwrap_or(Path::new(""));
                match normal(&from.join(link)) {
                    Some(target) if link.is_relative() => Place::Link(target),
                    _ => {
                        return Err(format!(
                            "{} links out of the archive",
                            shown(&path.to_string_lossy())
                        ));
                    }
                }
            }
            Kind::Directory => continue,
            Kind::Character | Kind::Block | Kind::Fifo => {
                return Err(format!("{} is a device", shown(&path.to_string_lossy())));
            }
        };
        // Seeking beyond the end of a file succeeds, so a torn archive must be noticed here.
        if let Place::File { offset, size } = &place
            && offset.checked_add(*size).is_none_or(|end| end > length)
        {
            return Err("it ends in the middle of a member".to_owned());
        }
        if members.len() >= MEMBERS_MAX {
            return Err(format!("it has more than {MEMBERS_MAX} members"));
        }
        members.insert(path, place);
    }
    Ok(members)
}

/// Without `.` and `..`; `None` when it leads out.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}
