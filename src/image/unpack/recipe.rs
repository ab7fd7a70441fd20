use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rustix::fs::OFlags;

use super::sparse::Segment;
use crate::linux::path::{self, Links};

/// Raised when an older podtui could misread a recipe.
const MAGIC: &[u8] = b"podtui-recipe 1\n";
const RAW: u8 = b'r';
const CONTENT: u8 = b'c';
const RAW_MAX: usize = 1 << 20;
const PATH_MAX: usize = 1 << 16;
const SEGMENTS_MAX: u32 = 1 << 16;
/// Raw bytes that are gathered before they are written.
const GATHERED: usize = 64 * 1024;

/// Notes how a layer's archive was put together, so that the same archive, byte for byte, can be made of the
/// unpacked layer again: everything that is not the content of a file as it stood, and for content the file
/// that has it. An archive made anew would have another digest, and the image another ID.
pub(in crate::image) struct RecipeWriter<W: Write> {
    out: ZlibEncoder<W>,
    raw: Vec<u8>,
}

impl<W: Write> RecipeWriter<W> {
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self {
            out: ZlibEncoder::new(out, Compression::fast()),
            raw: Vec::new(),
        })
    }

    /// Bytes of the archive as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        if self.raw.len() < GATHERED {
            return Ok(());
        }
        self.flush_raw()
    }

    /// What the archive has here are these pieces of a file of the layer.
    pub(super) fn content(&mut self, file: &Path, pieces: &[Segment]) -> io::Result<()> {
        self.flush_raw()?;
        let name = file.as_os_str().as_bytes();
        self.out.write_all(&[CONTENT])?;
        self.number(name.len())?;
        self.out.write_all(name)?;
        self.number(pieces.len())?;
        for piece in pieces {
            self.out.write_all(&piece.offset.to_le_bytes())?;
            self.out.write_all(&piece.length.to_le_bytes())?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush_raw()?;
        self.out.finish()?.flush()
    }

    fn flush_raw(&mut self) -> io::Result<()> {
        let raw = std::mem::take(&mut self.raw);
        for part in raw.chunks(RAW_MAX) {
            self.out.write_all(&[RAW])?;
            self.number(part.len())?;
            self.out.write_all(part)?;
        }
        self.raw = raw;
        self.raw.clear();
        Ok(())
    }

    fn number(&mut self, number: usize) -> io::Result<()> {
        let number = u32::try_from(number).map_err(|_| ErrorKind::InvalidInput)?;
        self.out.write_all(&number.to_le_bytes())
    }
}

enum Record {
    Raw(Vec<u8>),
    Content(PathBuf, Vec<Segment>),
}

struct Records<R: Read> {
    source: ZlibDecoder<BufReader<R>>,
}

impl<R: Read> Records<R> {
    fn new(mut source: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        source.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(bad("it was written by another podtui"));
        }
        let source = ZlibDecoder::new(BufReader::new(source));
        Ok(Self { source })
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        let mut kind = [0];
        if self.source.read(&mut kind)? == 0 {
            return Ok(None);
        }
        match kind[0] {
            RAW => self.bytes(RAW_MAX).map(Record::Raw).map(Some),
            CONTENT => {
                let name = self.bytes(PATH_MAX)?;
                let count = self.number()?;
                if count > SEGMENTS_MAX {
                    return Err(bad("too many pieces"));
                }
                let pieces = (0..count)
                    .map(|_| {
                        Ok(Segment {
                            offset: self.long()?,
                            length: self.long()?,
                        })
                    })
                    .collect::<io::Result<_>>()?;
                let name = PathBuf::from(std::ffi::OsString::from_vec(name));
                Ok(Some(Record::Content(name, pieces)))
            }
            _ => Err(bad("unknown record")),
        }
    }

    fn bytes(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > max {
            return Err(bad("a record is too long"));
        }
        let mut bytes = vec![0; length];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn long(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.source.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

/// Bytes of the archive that a recipe makes.
pub(in crate::image) fn archive_length(recipe: impl Read) -> io::Result<u64> {
    let mut records = Records::new(recipe)?;
    let mut length = 0_u64;
    while let Some(record) = records.next()? {
        length = length.saturating_add(match record {
            Record::Raw(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Record::Content(_, pieces) => pieces
                .iter()
                .fold(0, |sum: u64, piece| sum.saturating_add(piece.length)),
        });
    }
    Ok(length)
}

/// The archive of a layer, made again from its recipe and the layer's directory. Whoever reads it to its end
/// compares the digest: files of the layer may have been replaced by later entries, or damaged.
pub(in crate::image) struct ArchiveReader<'a, R: Read> {
    records: Records<R>,
    layer: BorrowedFd<'a>,
    part: Part,
}

enum Part {
    Between,
    Raw {
        bytes: Vec<u8>,
        at: usize,
    },
    File {
        file: File,
        name: PathBuf,
        pieces: std::vec::IntoIter<Segment>,
        piece: Segment,
    },
}

impl<'a, R: Read> ArchiveReader<'a, R> {
    pub(in crate::image) fn new(recipe: R, layer: BorrowedFd<'a>) -> io::Result<Self> {
        Ok(Self {
            records: Records::new(recipe)?,
            layer,
            part: Part::Between,
        })
    }

    fn open(&self, record: Record) -> io::Result<Part> {
        match record {
            Record::Raw(bytes) => Ok(Part::Raw { bytes, at: 0 }),
            Record::Content(name, pieces) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let file = path::open(self.layer, &name, flags, Links::InRoot)
                    .map(File::from)
                    .map_err(|error| changed(&name, &error.to_string()))?;
                if !file.metadata()?.is_file() {
                    return Err(changed(&name, "it is no regular file"));
                }
                let piece = Segment {
                    offset: 0,
                    length: 0,
                };
                let pieces = pieces.into_iter();
                Ok(Part::File {
                    file,
                    name,
                    pieces,
                    piece,
                })
            }
        }
    }
}

fn changed(name: &Path, why: &str) -> io::Error {
    bad(&format!(
        "the file {} of the layer is not what it was: {why}",
        name.display()
    ))
}

impl<R: Read> Read for ArchiveReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.part {
                Part::Raw { bytes, at } if *at < bytes.len() => {
                    let length = buffer.len().min(bytes.len() - *at);
                    buffer[..length].copy_from_slice(&bytes[*at..*at + length]);
                    *at += length;
                    return Ok(length);
                }
                Part::File {
                    file, name, piece, ..
                } if piece.length > 0 => {
                    let wanted = usize::try_from(piece.length).unwrap_or(usize::MAX);
                    let wanted = wanted.min(buffer.len());
                    let length = file.read_at(&mut buffer[..wanted], piece.offset)?;
                    if length == 0 {
                        return Err(changed(name, "it is shorter"));
                    }
                    let count = u64::try_from(length).unwrap_or(u64::MAX);
                    piece.offset += count;
                    piece.length -= count;
                    return Ok(length);
                }
                Part::File { pieces, piece, .. } if pieces.len() > 0 => {
                    if let Some(next) = pieces.next() {
                        *piece = next;
                    }
                }
                Part::Between | Part::Raw { .. } | Part::File { .. } => {
                    match self.records.next()? {
                        Some(record) => self.part = self.open(record)?,
                        None => return Ok(0),
                    }
                }
            }
        }
    }
}
