use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::sparse::{Segment, SparseMap};

/// As PATH_MAX (limits.h).
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;
const COMPONENTS_MAX: usize = 255;

/// Why an archive is refused. The text names the entry with control characters escaped.
#[derive(Debug, thiserror::Error)]
pub(in crate::image) enum TarError {
    #[error("entry \"{entry}\": {reason}")]
    Entry { entry: String, reason: String },
    #[error("entry \"{entry}\": {operation}: {source}")]
    Write {
        entry: String,
        operation: &'static str,
        source: std::io::Error,
    },
    #[error("broken tar header at byte {offset}: {reason}")]
    Header { offset: u64, reason: String },
    #[error("read archive: {0}")]
    Read(std::io::Error),
    #[error("{0}")]
    Limit(String),
    #[error("it unpacks to more than the {free} bytes that are free on the disk")]
    NoSpace { free: u64 },
    /// Not a fault: hard links, and directories that it only implies, mean what lies there. It can be unpacked
    /// when they are here.
    #[error("it depends on the layers below it")]
    NeedsBelow,
}

impl TarError {
    pub(super) fn entry(name: &[u8], reason: impl Into<String>) -> Self {
        Self::Entry {
            entry: shown(name),
            reason: reason.into(),
        }
    }

    pub(super) fn write(
        name: &[u8],
        operation: &'static str,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Write {
            entry: shown(name),
            operation,
            source: source.into(),
        }
    }
}

/// A name from an archive, safe to print and of bounded length.
pub(super) fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 200;
    let mut text = name[..name.len().min(SHOWN)].escape_ascii().to_string();
    if name.len() > SHOWN {
        text.push('…');
    }
    text
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum Kind {
    File,
    Directory,
    Symlink,
    /// The target is another path of the archive.
    HardLink,
    Character,
    Block,
    Fifo,
}

/// One member of an archive; its content follows in the reader.
#[derive(Clone, Debug)]
pub(in crate::image) struct Entry {
    pub(in crate::image) name: Vec<u8>,
    pub(in crate::image) kind: Kind,
    /// Bytes of content that the archive holds.
    pub(in crate::image) size: u64,
    /// Where they belong, when the file has more than them.
    pub(in crate::image) sparse: Option<SparseMap>,
    pub(in crate::image) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(super) mtime: (i64, u32),
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The pieces of the file that the archive holds, in their order.
    pub(super) fn pieces(&self) -> Vec<Segment> {
        let whole = Segment {
            offset: 0,
            length: self.size,
        };
        match &self.sparse {
            Some(map) => map.segments.clone(),
            None => vec![whole],
        }
    }

    /// Bytes of the whole file, holes included.
    pub(super) fn length(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, |map| map.size)
    }

    /// Where the entry goes, relative to the root of the layer; empty for the root itself.
    pub(in crate::image) fn path(&self) -> Result<PathBuf, TarError> {
        clean_path(&self.name).map_err(|reason| TarError::entry(&self.name, reason))
    }

    /// Target of a hard link, relative to the root of the layer.
    pub(in crate::image) fn link_path(&self) -> Result<PathBuf, TarError> {
        clean_path(&self.link).map_err(|reason| {
            TarError::entry(
                &self.name,
                format!("hard link to \"{}\": {reason}", shown(&self.link)),
            )
        })
    }
}

/// A relative path of plain names. `./` in front and doubled slashes are dropped; everything that could
/// lead elsewhere is refused rather than mended.
fn clean_path(name: &[u8]) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("empty name".to_owned());
    }
    if name.contains(&0) {
        return Err("name holds a NUL byte".to_owned());
    }
    if name.len() > PATH_MAX {
        return Err(format!("name is longer than {PATH_MAX} bytes"));
    }
    // kaniko names the root so in every layer.
    let is_root = name.iter().all(|byte| *byte == b'/');
    if name[0] == b'/' && !is_root {
        return Err("absolute path".to_owned());
    }
    let mut path = PathBuf::new();
    let mut count = 0;
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) if part.len() > NAME_MAX => {
                return Err(format!("a component is longer than {NAME_MAX} bytes"));
            }
            Component::Normal(part) => {
                path.push(part);
                count += 1;
            }
            Component::ParentDir => return Err("path contains \"..\"".to_owned()),
            Component::RootDir if is_root => {}
            Component::RootDir | Component::Prefix(_) => return Err("absolute path".to_owned()),
        }
    }
    if count > COMPONENTS_MAX {
        return Err(format!("more than {COMPONENTS_MAX} directories deep"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        assert_eq!(clean_path(b"./a//b/./c/").unwrap(), Path::new("a/b/c"));
        for root in [&b"./"[..], b".", b"/", b"//"] {
            assert_eq!(clean_path(root).unwrap(), Path::new(""));
        }
        let deep = "d/".repeat(256);
        let long = "x".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "a\0b",
            &deep,
            &long,
        ] {
            assert!(clean_path(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(shown(b"a\x1b]0;x\n"), "a\\x1b]0;x\\n");
    }
}
