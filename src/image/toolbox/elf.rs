use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a program or library says it needs (elf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// ELF class and machine: a library must have the same.
    pub(super) machine: (u8, u16),
    /// Path of the dynamic loader; `None` for static programs and for libraries.
    pub(super) interpreter: Option<String>,
    pub(super) libraries: Vec<String>,
    /// DT_RUNPATH, or DT_RPATH where that is missing, one directory each, `$ORIGIN` not replaced.
    pub(super) search: Vec<String>,
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
/// Bounds for damaged files.
const TABLE_MAX: u64 = 16 << 20;

/// `None` when the file is not ELF.
pub(super) fn read(path: &Path) -> io::Result<Option<Needs>> {
    let file = File::open(path)?;
    let mut ident = [0; 20];
    if file.read_at(&mut ident, 0)? < ident.len() || ident[..4] != *b"\x7fELF" {
        return Ok(None);
    }
    let elf = Elf {
        file: &file,
        wide: ident[4] == 2,
        big: ident[5] == 2,
    };
    let mut needs = Needs {
        machine: (
            ident[4],
            u16::try_from(elf.number(&ident, 18, 2)).unwrap_or(0),
        ),
        ..Needs::default()
    };
    elf.fill(&mut needs)?;
    Ok(Some(needs))
}

struct Elf<'a> {
    file: &'a File,
    wide: bool,
    big: bool,
}

/// A program header as far as it matters.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

impl Elf<'_> {
    fn fill(&self, needs: &mut Needs) -> io::Result<()> {
        let segments = self.segments()?;
        let of_kind = |kind| segments.iter().find(move |segment| segment.kind == kind);
        if let Some(segment) = of_kind(PT_INTERP) {
            needs.interpreter = Some(text(&self.bytes(segment.offset, segment.size)?, 0)?);
        }
        let Some(dynamic) = of_kind(PT_DYNAMIC) else {
            return Ok(());
        };
        let entries = self.dynamic(dynamic)?;
        let value = |tag| {
            entries
                .iter()
                .find(|(known, _)| *known == tag)
                .map(|(_, value)| *value)
        };
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
            return Ok(());
        };
        let offset = segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .find(|segment| {
                address
                    .checked_sub(segment.address)
                    .is_some_and(|inside| inside < segment.size)
            })
            .map(|segment| address - segment.address + segment.offset)
            .ok_or_else(|| damaged("its string table is nowhere"))?;
        let strings = self.bytes(offset, size)?;
        for (tag, value) in &entries {
            if *tag == DT_NEEDED {
                needs.libraries.push(text(&strings, *value)?);
            }
        }
        if let Some(at) = value(DT_RUNPATH).or_else(|| value(DT_RPATH)) {
            let list = text(&strings, at)?;
            needs.search = list
                .split(':')
                .filter(|dir| !dir.is_empty())
                .map(str::to_owned)
                .collect();
        }
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        // Places of e_phoff, e_phentsize and e_phnum, and of the fields of a program header.
        let (header, word) = if self.wide { (64, 8) } else { (52, 4) };
        let bytes = self.bytes(0, header)?;
        let (table_at, sizes_at) = if self.wide { (32, 54) } else { (28, 42) };
        let table = self.number(&bytes, table_at, word);
        let size = self.number(&bytes, sizes_at, 2);
        let count = self.number(&bytes, sizes_at + 2, 2);
        let (offset_at, address_at, size_at) = if self.wide { (8, 16, 32) } else { (4, 8, 16) };
        if size < if self.wide { 56 } else { 32 } {
            return Err(damaged("its program headers are too short"));
        }
        let all = self.bytes(table, size * count)?;
        let step =
            usize::try_from(size).map_err(|_| damaged("its program headers are too long"))?;
        Ok(all
            .chunks_exact(step)
            .map(|header| Segment {
                kind: self.number(header, 0, 4),
                offset: self.number(header, offset_at, word),
                address: self.number(header, address_at, word),
                size: self.number(header, size_at, word),
            })
            .collect())
    }

    fn dynamic(&self, segment: &Segment) -> io::Result<Vec<(u64, u64)>> {
        let word = if self.wide { 8 } else { 4 };
        let bytes = self.bytes(segment.offset, segment.size)?;
        Ok(bytes
            .chunks_exact(word * 2)
            .map(|pair| (self.number(pair, 0, word), self.number(pair, word, word)))
            .take_while(|(tag, _)| *tag != 0)
            .collect())
    }

    fn bytes(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > TABLE_MAX {
            return Err(damaged("a table of it is too long"));
        }
        let mut bytes =
            vec![0; usize::try_from(size).map_err(|_| damaged("a table of it is too long"))?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// An unsigned number of `size` bytes; 0 where the bytes end early.
    fn number(&self, bytes: &[u8], at: usize, size: usize) -> u64 {
        let Some(field) = bytes.get(at..at + size) else {
            return 0;
        };
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        if self.big {
            field.iter().fold(0, add)
        } else {
            field.iter().rev().fold(0, add)
        }
    }
}

fn text(bytes: &[u8], at: u64) -> io::Result<String> {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
    let rest = rest.ok_or_else(|| damaged("a name lies outside its string table"))?;
    let end = rest
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(rest.len());
    String::from_utf8(rest[..end].to_vec()).map_err(|_| damaged("a name in it is not text"))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("damaged ELF file: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself_and_refuses_rubbish() {
        let own = read(Path::new("/proc/self/exe")).unwrap().unwrap();
        assert!(
            own.libraries.iter().any(|name| name.starts_with("libc.")),
            "{own:?}"
        );
        assert!(own.interpreter.is_some_and(|path| path.starts_with('/')));
        assert_eq!(read(Path::new("/etc/passwd")).unwrap(), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = std::fs::read("/proc/self/exe").unwrap()[..64].to_vec();
        std::fs::write(file.path(), &bytes).unwrap();
        assert!(read(file.path()).is_err());
        bytes[32..40].copy_from_slice(&[0xff; 8]);
        std::fs::write(file.path(), &bytes).unwrap();
        assert!(read(file.path()).is_err());
    }
}
