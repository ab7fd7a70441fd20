use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use crate::image::decompress::decompress;
use crate::image::digest::{Algorithm, Digest, HashingReader};

/// Pieces that wait between the two threads of a layer, and bytes of a piece.
pub(super) const PIECES: usize = 8;
const PIECE: usize = 256 * 1024;

type Piece = io::Result<Vec<u8>>;

/// Hashes and decompresses `source` for an [`Ahead`]; digest and length of what was stored. Ends early when
/// nobody takes the pieces any more.
pub(super) fn read_ahead(
    source: impl Read,
    algorithm: Algorithm,
    count: &AtomicU64,
    out: SyncSender<Piece>,
) -> io::Result<(Digest, u64)> {
    let mut stored = Counted {
        inner: HashingReader::new(source, algorithm),
        count,
    };
    if let Err(error) = send_plain(&mut stored, &out) {
        // The other thread tells it; when it has ended it has an error of its own.
        let _ = out.send(Err(error));
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    drop(out);
    // Compressors may leave bytes behind their last frame; they belong to the digest as well.
    io::copy(&mut stored, &mut io::sink())?;
    Ok(stored.inner.finish())
}

fn send_plain(stored: &mut impl Read, out: &SyncSender<Piece>) -> io::Result<()> {
    let mut plain = decompress(stored)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let most = u64::try_from(PIECE).unwrap_or(u64::MAX);
        let result = plain.by_ref().take(most).read_to_end(&mut piece);
        let is_last = piece.len() < PIECE;
        // What came before an error may be worth more than the error: the archive says what it ends with.
        if !piece.is_empty() && out.send(Ok(piece)).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        result?;
        if is_last {
            return Ok(());
        }
    }
}

/// Reads what [`read_ahead`] sends from another thread.
pub(super) struct Ahead {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    pub(super) const fn new(pieces: Receiver<Piece>) -> Self {
        Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece?, 0),
                // The end.
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

struct Counted<'a, R> {
    inner: HashingReader<R>,
    count: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.store(self.inner.count(), Ordering::Relaxed);
        Ok(length)
    }
}
