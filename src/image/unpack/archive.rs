use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tar::{EntryType, Header};

use super::entry::{Entry, Kind, TarError};
use super::sparse::{self, PaxSparse, SparseMap};

const BLOCK: usize = 512;
/// Names, link targets and extended attributes of one entry together.
const EXTENSION_MAX: u64 = 1 << 20;

/// Moving forward without looking: by seeking where the source can, by reading where it cannot.
pub(in crate::image) trait Skip: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>;

    /// As `read`, for what will stand on the disk as the content of a file.
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}

impl Skip for File {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.seek(SeekFrom::Current(count)).map(|_| ())
    }
}

impl<R: Read + ?Sized> Skip for Box<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        read_away(self, count)
    }
}

pub(super) fn read_away(source: &mut (impl Read + ?Sized), count: u64) -> io::Result<()> {
    if io::copy(&mut source.take(count), &mut io::sink())? < count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// The entries of a tar stream. The `tar` crate decodes the header block; the walk is done here, because
/// what comes before an entry (long names, PAX records) must be bounded before it is held in memory.
pub(in crate::image) struct TarReader<R> {
    source: R,
    /// Bytes consumed.
    offset: u64,
    /// Content of the current entry that has not been read, and the padding behind it.
    content: u64,
    padding: u64,
    ended: bool,
}

impl<R: Skip> TarReader<R> {
    pub(in crate::image) const fn new(source: R) -> Self {
        Self {
            source,
            offset: 0,
            content: 0,
            padding: 0,
            ended: false,
        }
    }

    /// Where the content of the current entry starts, when none of it has been read.
    pub(in crate::image) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn source(&mut self) -> &mut R {
        &mut self.source
    }

    pub(in crate::image) fn into_source(self) -> R {
        self.source
    }

    /// The next entry; what was left of the current one is skipped. `None` at the end of the archive.
    pub(in crate::image) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let number = |value: io::Result<u64>, what: &str| {
                value.map_err(|error| self.broken(format!("{what}: {error}")))
            };
            let size = number(header.entry_size(), "size")?;
            self.content = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match header.entry_type() {
                EntryType::GNULongName => long.name = Some(until_nul(self.extension(size)?)),
                EntryType::GNULongLink => long.link = Some(until_nul(self.extension(size)?)),
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    long.read_pax(&records)
                        .map_err(|reason| self.broken(reason))?;
                }
                // Global records carry the comment of `git archive`; none of them concerns a layer.
                EntryType::XGlobalHeader => {
                    self.extension(size)?;
                }
                other => return self.entry(&header, other, long).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        stored_as: EntryType,
        mut long: Extensions,
    ) -> Result<Entry, TarError> {
        let name = (long.sparse.name.take())
            .or_else(|| long.name.take())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match stored_as {
            // In the old format a trailing slash is what makes a directory.
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Char => Kind::Character,
            EntryType::Block => Kind::Block,
            EntryType::Directory => Kind::Directory,
            EntryType::Fifo => Kind::Fifo,
            EntryType::GNUSparse => Kind::File,
            other => {
                let kind = char::from(other.as_byte()).escape_default().to_string();
                return Err(TarError::entry(
                    &name,
                    format!("unknown entry type '{kind}'"),
                ));
            }
        };
        let field = |value: io::Result<u64>, what: &str| {
            value.map_err(|error| TarError::entry(&name, format!("{what}: {error}")))
        };
        let id = |own: Option<u64>, value: io::Result<u64>, what: &str| {
            let id = own.map_or_else(|| field(value, what), Ok)?;
            u32::try_from(id)
                .map_err(|_| TarError::entry(&name, format!("{what} {id} is too large")))
        };
        let device = |value: io::Result<Option<u32>>| {
            value
                .map(Option::unwrap_or_default)
                .map_err(|error| TarError::entry(&name, format!("device: {error}")))
        };
        if let Some(size) = long.size {
            self.content = size;
            self.padding = size.checked_next_multiple_of(BLOCK as u64).unwrap_or(size) - size;
        }
        let sparse = match (kind, stored_as) {
            (Kind::File, EntryType::GNUSparse) => Some(self.gnu_sparse(header, &name)?),
            (Kind::File, _) if long.sparse.is_present() => {
                Some(self.pax_sparse(long.sparse, &name)?)
            }
            _ => None,
        };
        // Only a file has content, whatever the size field of another kind says (POSIX pax, "size").
        let size = if kind == Kind::File { self.content } else { 0 };
        if matches!(kind, Kind::HardLink | Kind::Symlink | Kind::Directory) {
            // GNU tar and bsdtar leave the size of the linked file here without writing its content.
            self.content = 0;
            self.padding = 0;
        }
        let seconds = field(header.mtime(), "time")?;
        Ok(Entry {
            kind,
            size,
            link: long.link.unwrap_or_else(|| {
                header
                    .link_name_bytes()
                    .map(std::borrow::Cow::into_owned)
                    .unwrap_or_default()
            }),
            mode: header
                .mode()
                .map_err(|error| TarError::entry(&name, format!("mode: {error}")))?,
            uid: id(long.uid, header.uid(), "user")?,
            gid: id(long.gid, header.gid(), "group")?,
            mtime: long
                .mtime
                .unwrap_or((i64::try_from(seconds).unwrap_or(i64::MAX), 0)),
            device: match kind {
                Kind::Character | Kind::Block => (
                    device(header.device_major())?,
                    device(header.device_minor())?,
                ),
                _ => (0, 0),
            },
            xattrs: long.xattrs,
            sparse,
            name,
        })
    }

    /// The map in the header, and in the blocks behind it (GNU tar manual, "Old GNU Format").
    fn gnu_sparse(&mut self, header: &Header, name: &[u8]) -> Result<SparseMap, TarError> {
        let broken = |reason: String| TarError::entry(name, reason);
        let header = header
            .as_gnu()
            .ok_or_else(|| broken("a sparse file without a GNU header".to_owned()))?;
        let size = header
            .real_size()
            .map_err(|error| broken(format!("size: {error}")))?;
        let mut segments = Vec::new();
        sparse::add_gnu(&header.sparse, &mut segments).map_err(broken)?;
        let mut has_more = header.is_extended();
        while has_more {
            let mut block = [0; BLOCK];
            if !self.read_block(&mut block)? {
                return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            has_more = sparse::add_extension(&block, &mut segments).map_err(broken)?;
        }
        SparseMap::new(segments, size, self.content).map_err(broken)
    }

    fn pax_sparse(&mut self, mut found: PaxSparse, name: &[u8]) -> Result<SparseMap, TarError> {
        let broken = |reason: String| TarError::entry(name, reason);
        if found.is_in_content() {
            let next = || {
                let mut block = [0; BLOCK];
                let left = self.content.checked_sub(BLOCK as u64);
                let left = left.ok_or_else(|| broken("malformed sparse map".to_owned()))?;
                if !self.read_block(&mut block)? {
                    return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                self.content = left;
                Ok(block)
            };
            found.read_content(next, broken)?;
        }
        found.finish(self.content).map_err(broken)
    }

    /// One header block, verified; `None` at the end: two zero blocks, or simply nothing more.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut header = Header::new_old();
        for zero_blocks in 0..2 {
            if !self.read_block(header.as_mut_bytes())? {
                self.ended = true;
                return match zero_blocks {
                    0 if self.offset == 0 => Err(self.broken("the archive is empty".to_owned())),
                    _ => Ok(None),
                };
            }
            if header.as_bytes().iter().any(|byte| *byte != 0) {
                self.check_sum(&header)?;
                return Ok(Some(header));
            }
        }
        self.ended = true;
        Ok(None)
    }

    fn check_sum(&self, header: &Header) -> Result<(), TarError> {
        let bytes = header.as_bytes();
        // The sum counts its own field (bytes 148 to 155) as blanks.
        let sum: u32 = bytes
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        match header.cksum() {
            Ok(wanted) if wanted == sum => Ok(()),
            _ => Err(self.broken("wrong checksum (is this a tar archive?)".to_owned())),
        }
    }

    /// `false` at the end of the stream; a torn block is an error.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        self.offset += BLOCK as u64;
        Ok(true)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENSION_MAX {
            return Err(self.broken(format!(
                "{size} bytes of names and attributes for one entry"
            )));
        }
        let mut bytes = Vec::new();
        (&mut self.source)
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(TarError::Read)?;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.offset += count;
        self.content -= count;
        if self.content > 0 {
            return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let rest = self.content.saturating_add(self.padding);
        if rest > 0 {
            self.source.skip(rest).map_err(TarError::Read)?;
            self.offset = self.offset.saturating_add(rest);
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn broken(&self, reason: String) -> TarError {
        TarError::Header {
            offset: self.offset,
            reason,
        }
    }
}

/// Content of the current entry.
impl<R: Skip> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.source.read_content(&mut buffer[..wanted])?;
        let count = u64::try_from(length).unwrap_or(u64::MAX);
        self.content -= count;
        self.offset += count;
        Ok(length)
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// What precedes an entry and overrides fields of its header.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

impl Extensions {
    /// Records `LENGTH KEY=VALUE\n`, the length counting itself (POSIX pax, "Extended Header").
    fn read_pax(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() {
            let blank = records
                .iter()
                .take(20)
                .position(|byte| *byte == b' ')
                .ok_or("malformed PAX record")?;
            let length: usize = ascii(&records[..blank]).ok_or("malformed PAX record")?;
            if length <= blank + 1 || length > records.len() || records[length - 1] != b'\n' {
                return Err("malformed PAX record".to_owned());
            }
            let record = &records[blank + 1..length - 1];
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or("malformed PAX record")?;
            self.read_record(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn read_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number =
            || ascii::<u64>(value).ok_or_else(|| format!("malformed PAX {}", key.escape_ascii()));
        match key {
            b"path" => self.name = Some(value.to_owned()),
            b"linkpath" => self.link = Some(value.to_owned()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(time(value).ok_or("malformed PAX mtime")?),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.read(key, value)?;
                }
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        Ok(())
    }
}

fn ascii<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Decimal seconds with a fraction, possibly negative; the fraction counts towards the future.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_records_are_checked() {
        let mut found = Extensions::default();
        found
            .read_pax(b"12 path=a/b\n25 SCHILY.xattr.user.a=b\n21 mtime=-1.250000000\n")
            .unwrap_err();
        let mut found = Extensions::default();
        found
            .read_pax(b"12 path=a/b\n25 SCHILY.xattr.user.a=b\n15 mtime=-1.25\n10 uid=70\n")
            .unwrap();
        assert_eq!(found.name.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(found.xattrs, [(b"user.a".to_vec(), b"b".to_vec())]);
        assert_eq!(
            (found.mtime, found.uid),
            (Some((-2, 750_000_000)), Some(70))
        );
        for bad in [
            &b"5 a"[..],
            b"x",
            b"99999999999999999999 a=b\n",
            b"6 a=b",
            b"7 a=b\n\n\n",
            b"4 ab\n",
            b"0 a=b\n",
        ] {
            assert!(
                Extensions::default().read_pax(bad).is_err(),
                "{}",
                bad.escape_ascii()
            );
        }
    }

    #[test]
    fn rubbish_is_no_archive() {
        for bytes in [&b""[..], &[7; 512], &[7; 100], &b"GIF89a".repeat(200)] {
            let source: Box<dyn Read> = Box::new(bytes);
            assert!(TarReader::new(source).next().is_err());
        }
        let zeros: Box<dyn Read> = Box::new(&[0; 10_240][..]);
        assert!(TarReader::new(zeros).next().unwrap().is_none());
    }
}
