use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use super::ahead::{Ahead, PIECES, read_ahead};
use super::archive::{Skip, TarReader, read_away};
use super::entry::{Entry, Kind, TarError};
use super::limits::Limits;
use super::lower::Lower;
use super::recipe::RecipeWriter;
use super::tree::{LayerWriter, Piece};
use crate::image::digest::{Algorithm, Digest, HashingReader};

const COPY_BUFFER: usize = 256 * 1024;

/// What went through [`unpack_layer`]. The caller compares it with what the image promises.
#[derive(Debug)]
pub(in crate::image) struct Unpacked {
    /// Digest and length of the archive as it was stored.
    pub(in crate::image) digest: Digest,
    pub(in crate::image) compressed: u64,
    /// Digest of the plain tar stream.
    pub(in crate::image) diff_id: Digest,
    /// Bytes of file content on the disk.
    pub(in crate::image) size: u64,
    /// It holds copies of what is in the layers below, or would on others.
    pub(in crate::image) needs_lower: bool,
}

/// The decompressed stream, hashed as it passes. All but the content of files goes into the recipe.
struct Stream<W: Write> {
    plain: HashingReader<Ahead>,
    recipe: RecipeWriter<W>,
}

impl<W: Write> Read for Stream<W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.plain.read(buffer)?;
        self.recipe.raw(&buffer[..length])?;
        Ok(length)
    }
}

impl<W: Write> Skip for Stream<W> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        read_away(self, count)
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.plain.read(buffer)
    }
}

/// Where a layer goes.
struct Destination<'a> {
    root: BorrowedFd<'a>,
    lower: Option<Vec<OwnedFd>>,
    limits: Limits,
}

/// What came of the plain stream: its digest, bytes on the disk, and whether layers below were needed.
type Written = (Digest, u64, bool);

/// Unpacks a possibly compressed tar stream into the empty directory `root`, and writes to `recipe` how the
/// stream can be made again from that directory. `lower` are the directories of the layers below, topmost
/// first; without them a hard link that leads there, and a directory that may be theirs, is
/// [`TarError::NeedsBelow`].
///
/// A thread of its own reads, hashes and decompresses ahead of this one, which hashes what comes out and
/// writes files: together they take as long as the slower of both.
pub(in crate::image) fn unpack_layer(
    source: impl Read + Send,
    algorithm: Algorithm,
    root: BorrowedFd<'_>,
    lower: Option<Vec<OwnedFd>>,
    limits: Limits,
    recipe: impl Write,
) -> Result<Unpacked, TarError> {
    let count = AtomicU64::new(0);
    let to = Destination {
        root,
        lower,
        limits,
    };
    let (written, stored) = std::thread::scope(|scope| {
        let (out, pieces) = sync_channel(PIECES);
        let ahead = || read_ahead(source, algorithm, &count, out);
        let reading = std::thread::Builder::new()
            .spawn_scoped(scope, ahead)
            .map_err(TarError::Read)?;
        // It takes the pieces with it: without them the other thread ends.
        let written = unpack(Ahead::new(pieces), to, recipe, &count);
        Ok::<_, TarError>((written, reading.join()))
    })?;
    let (diff_id, size, needs_lower) = written?;
    let (digest, compressed) = stored
        .map_err(|_| TarError::Read(io::Error::other("the thread that decompresses has failed")))?
        .map_err(TarError::Read)?;
    Ok(Unpacked {
        digest,
        compressed,
        diff_id,
        size,
        needs_lower,
    })
}

/// `count` says how much of the archive has been read.
fn unpack(
    plain: Ahead,
    to: Destination<'_>,
    recipe: impl Write,
    count: &AtomicU64,
) -> Result<Written, TarError> {
    let limits = to.limits;
    let read = || count.load(Ordering::Relaxed);
    let plain = HashingReader::new(plain, Algorithm::Sha256);
    let recipe = RecipeWriter::new(recipe).map_err(TarError::Read)?;
    let mut archive = TarReader::new(Stream { plain, recipe });
    let mut writer = LayerWriter::new(to.root, Lower::new(to.lower));
    let (mut entries, mut written, mut zeros, mut copied) = (0, 0, 0, 0_u64);
    let mut buffer = vec![0; COPY_BUFFER];
    while let Some(entry) = archive.next()? {
        entries += 1;
        // Checked with what the entry announces, before any of it is written.
        limits.check_announced(entry.size.saturating_add(written), entries)?;
        let mut progress = |piece: Piece| {
            match piece {
                Piece::Data(length) => written += length,
                Piece::Zeros(length) => zeros += length,
                // The archive is small however large they are: only the disk counts.
                Piece::Copied(length) => copied = copied.saturating_add(length),
            }
            limits.check_space(copied.saturating_add(written))?;
            limits.check(written, entries, read())?;
            limits.check_zeros(zeros, read())
        };
        write_entry(
            &mut writer,
            &entry,
            &mut archive,
            &mut buffer,
            &mut progress,
        )?;
    }
    let needs_lower = writer.finish()?;
    let mut rest = archive.into_source();
    // Padding behind the end belongs to the digest, but nobody needs much of it.
    drain(&mut rest, &mut buffer, |length| {
        limits.check(length, entries, read())
    })?;
    rest.recipe.finish().map_err(TarError::Read)?;
    Ok((rest.plain.finish().0, written + copied, needs_lower))
}

fn write_entry<W: Write>(
    writer: &mut LayerWriter<'_>,
    entry: &Entry,
    archive: &mut TarReader<Stream<W>>,
    buffer: &mut [u8],
    progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
) -> Result<(), TarError> {
    if entry.kind != Kind::File {
        return writer.other(entry, progress);
    }
    let stands = writer.file(entry, archive, buffer, progress)?;
    if stands && entry.size > 0 {
        let recipe = &mut archive.source().recipe;
        recipe
            .content(&entry.path()?, &entry.pieces())
            .map_err(TarError::Read)?;
    }
    Ok(())
}

fn drain(
    source: &mut impl Read,
    buffer: &mut [u8],
    check: impl Fn(u64) -> Result<(), TarError>,
) -> Result<(), TarError> {
    let mut count = 0;
    loop {
        match source.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => count += u64::try_from(length).unwrap_or(u64::MAX),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TarError::Read(error)),
        }
        check(count)?;
    }
}
