use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::tree::{DIRECTORY, OPAQUE_XATTR, is_whiteout};
use crate::linux::path::{self, Links};

/// Number of this layer in a pile; those below count on, topmost first.
pub(super) const HERE: usize = 0;

/// What a path means in this layer and those below it, as overlayfs would show it.
#[derive(Debug)]
pub(super) enum Found {
    /// Anything but a directory.
    Object {
        layer: usize,
        parent: OwnedFd,
        stat: Stat,
    },
    Directory,
    /// Behind something that is no directory: a link is not followed.
    Blocked,
    Nothing,
    /// Not in this layer, and the layers below are not known.
    Unknown,
}

enum Step {
    /// The directories of this name, topmost first; whether they hide what is further below.
    Directories(Vec<(usize, OwnedFd)>, bool),
    Object(usize, Stat),
    Hidden,
    Nothing,
}

/// Directories that lie on each other, with the number of their layer.
type Pile<'a> = Vec<(usize, BorrowedFd<'a>)>;

/// The layers below the one that is made, and what was copied from them (overlayfs: copy up).
#[derive(Debug)]
pub(super) struct Lower {
    /// Topmost first.
    layers: Option<Vec<OwnedFd>>,
    /// By layer: the names of every file with more than one.
    names: BTreeMap<usize, HashMap<u64, Vec<PathBuf>>>,
    /// Path and inode of what stands in this layer without an entry of its own.
    pub(super) copies: BTreeMap<PathBuf, u64>,
    /// Whether the layer may be another one on other layers.
    pub(super) used: bool,
}

impl Lower {
    pub(super) const fn new(layers: Option<Vec<OwnedFd>>) -> Self {
        Self {
            layers,
            names: BTreeMap::new(),
            copies: BTreeMap::new(),
            used: false,
        }
    }

    pub(super) fn layer(&self, number: usize) -> Option<BorrowedFd<'_>> {
        let layers = self.layers.as_ref()?;
        Some(layers.get(number.checked_sub(1)?)?.as_fd())
    }

    /// `root` with everything below it.
    pub(super) fn pile<'a>(&'a self, root: BorrowedFd<'a>) -> Pile<'a> {
        let below = self.layers.iter().flatten().map(AsFd::as_fd);
        std::iter::once(root).chain(below).enumerate().collect()
    }

    pub(super) fn find(&self, root: BorrowedFd<'_>, path: &Path) -> io::Result<Found> {
        let mut held: Vec<(usize, OwnedFd)> = Vec::new();
        // What hides the layers below makes it unimportant that they are not known.
        let mut is_whole = self.layers.is_some();
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            let pile = match held.is_empty() {
                true => self.pile(root),
                false => borrowed(&held),
            };
            let is_last = names.peek().is_none();
            let next = match step(&pile, name)? {
                Step::Directories(found, hides) if !is_last => {
                    is_whole |= hides;
                    found
                }
                Step::Directories(..) => return Ok(Found::Directory),
                Step::Object(..) if !is_last => return Ok(Found::Blocked),
                Step::Object(layer, stat) => {
                    let parent = pile.iter().find(|(number, _)| *number == layer);
                    let parent = parent.ok_or(Errno::NOENT)?.1.try_clone_to_owned()?;
                    return Ok(Found::Object {
                        layer,
                        parent,
                        stat,
                    });
                }
                Step::Hidden => return Ok(Found::Nothing),
                Step::Nothing if is_whole => return Ok(Found::Nothing),
                Step::Nothing => return Ok(Found::Unknown),
            };
            held = next;
        }
        Ok(Found::Directory)
    }

    /// Every name that a file of a layer below has there.
    pub(super) fn names_of(&mut self, layer: usize, inode: u64) -> io::Result<Vec<PathBuf>> {
        if !self.names.contains_key(&layer) {
            let root = self.layer(layer).ok_or(Errno::NOENT)?;
            let names = linked_names(root)?;
            self.names.insert(layer, names);
        }
        let names = self.names.get(&layer).and_then(|names| names.get(&inode));
        Ok(names.cloned().unwrap_or_default())
    }

    /// Takes away what was copied to `path` and below it, because an entry hides the layers below there.
    /// With `inside` the path itself stays.
    pub(super) fn forget(
        &mut self,
        root: BorrowedFd<'_>,
        path: &Path,
        inside: bool,
    ) -> io::Result<()> {
        let doomed: Vec<(PathBuf, u64)> = self
            .copies
            .range(path.to_owned()..)
            .take_while(|(copy, _)| copy.starts_with(path))
            .filter(|(copy, _)| !inside || copy.as_path() != path)
            .map(|(copy, inode)| (copy.clone(), *inode))
            .collect();
        for (copy, inode) in doomed.iter().rev() {
            self.copies.remove(copy);
            remove_copy(root, copy, *inode)?;
        }
        Ok(())
    }
}

/// A directory stays that holds entries of the layer, as does what stands there instead by now.
fn remove_copy(root: BorrowedFd<'_>, copy: &Path, inode: u64) -> io::Result<()> {
    let (Some(parent), Some(name)) = (copy.parent(), copy.file_name()) else {
        return Ok(());
    };
    let Ok(parent) = path::open(root, parent, DIRECTORY, Links::Refuse) else {
        return Ok(());
    };
    let flags = match rfs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if stat.st_ino != inode => return Ok(()),
        Ok(stat) if is_directory(&stat) => AtFlags::REMOVEDIR,
        Ok(_) => AtFlags::empty(),
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match rfs::unlinkat(&parent, name, flags) {
        Ok(()) | Err(Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn borrowed(held: &[(usize, OwnedFd)]) -> Pile<'_> {
    held.iter()
        .map(|(number, directory)| (*number, directory.as_fd()))
        .collect()
}

/// The directories that `name` means in a pile, topmost first; an error when it is none.
pub(super) fn directories(pile: &Pile<'_>, name: &OsStr) -> io::Result<Vec<(usize, OwnedFd)>> {
    match step(pile, name)? {
        Step::Directories(found, _) => Ok(found),
        Step::Object(..) => Err(Errno::NOTDIR.into()),
        Step::Hidden | Step::Nothing => Err(Errno::NOENT.into()),
    }
}

fn step(pile: &Pile<'_>, name: &OsStr) -> Result<Step, Errno> {
    let mut found = Vec::new();
    for (number, directory) in pile {
        let stat = match rfs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        if is_directory(&stat) {
            let opened = rfs::openat(directory, name, DIRECTORY, Mode::empty())?;
            let is_opaque = is_opaque(opened.as_fd())?;
            found.push((*number, opened));
            if is_opaque {
                return Ok(Step::Directories(found, true));
            }
        } else if !found.is_empty() {
            return Ok(Step::Directories(found, true));
        } else if is_whiteout(&stat) {
            return Ok(Step::Hidden);
        } else {
            return Ok(Step::Object(*number, stat));
        }
    }
    Ok(match found.is_empty() {
        true => Step::Nothing,
        false => Step::Directories(found, false),
    })
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut value = [0; 1];
    match rfs::fgetxattr(directory, OPAQUE_XATTR, &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

fn linked_names(root: BorrowedFd<'_>) -> io::Result<HashMap<u64, Vec<PathBuf>>> {
    let mut names: HashMap<u64, Vec<PathBuf>> = HashMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(place) = waiting.pop() {
        let directory = path::open(root, &place, DIRECTORY, Links::Refuse)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let stat = rfs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_directory(&stat) {
                waiting.push(place.join(name));
            } else if stat.st_nlink > 1 {
                names.entry(stat.st_ino).or_default().push(place.join(name));
            }
        }
    }
    Ok(names)
}
