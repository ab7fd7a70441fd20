use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const BUFFER: usize = 128 * 1024;
/// What a zstd frame may ask for as its window. The reference decoder's default limit is the same 128 MiB.
const ZSTD_WINDOW: u64 = 128 << 20;

/// Decompresses by what the stream starts with, not by what a media type claims: plain, gzip of any
/// number of members, zstd of any number of frames.
pub(super) fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(BUFFER, source);
    let start = source.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(source)));
    }
    if is_zstd(start) {
        return Ok(Box::new(ZstdReader::new(source)));
    }
    for (magic, name) in [(&b"BZh"[..], "bzip2"), (&b"\xfd7zXZ\0"[..], "xz")] {
        if start.starts_with(magic) {
            let message =
                format!("it is compressed with {name}; podtui reads plain, gzip and zstd");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    Ok(Box::new(source))
}

/// A data frame or a skippable frame (RFC 8878, 3.1).
fn is_zstd(start: &[u8]) -> bool {
    match start.first_chunk::<4>() {
        Some(magic) => {
            let magic = u32::from_le_bytes(*magic);
            magic == 0xfd2f_b528 || magic & 0xffff_fff0 == 0x184d_2a50
        }
        None => false,
    }
}

struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        Self {
            source,
            decoder,
            in_frame: false,
        }
    }

    /// Skippable frames are passed over. `false` at the end of the stream.
    fn start_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = (&mut self.source).take(length);
                    if io::copy(&mut { skipped }, &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }

    fn end_frame(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(wanted) if self.decoder.get_calculated_checksum() != Some(wanted) => {
                Err(invalid("a zstd frame does not match its checksum"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.start_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(invalid)?;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.end_frame()?;
            self.in_frame = false;
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn read(data: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(data)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn members_and_frames_are_joined() {
        let (a, b) = (vec![b'a'; 300_000], b"second".to_vec());
        let both = [a.clone(), b.clone()].concat();
        assert_eq!(read(&both).unwrap(), both);
        assert_eq!(read(&[gzip(&a), gzip(&b)].concat()).unwrap(), both);
        let skippable = [
            &0x184d_2a53_u32.to_le_bytes()[..],
            &3_u32.to_le_bytes(),
            b"xyz",
        ]
        .concat();
        let frames = [skippable.clone(), zstd(&a), skippable, zstd(&b)].concat();
        assert_eq!(read(&frames).unwrap(), both);
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn damage_is_an_error() {
        let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for packed in [gzip(&data), zstd(&data)] {
            assert!(read(&packed[..packed.len() / 2]).is_err());
            let mut tail = packed.clone();
            tail.extend_from_slice(b"no frame");
            assert!(read(&tail).is_err());
        }
        assert!(read(b"BZh9").unwrap_err().to_string().contains("bzip2"));
    }
}
