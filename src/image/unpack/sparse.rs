use std::io;

use tar::{GnuExtSparseHeader, GnuSparseHeader};

/// More pieces than this are no file of an image.
const SEGMENTS_MAX: usize = 1 << 16;
const BLOCK: usize = 512;

/// A piece of a sparse file that an archive holds; between the pieces there is nothing but zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) struct Segment {
    pub(in crate::image) offset: u64,
    pub(in crate::image) length: u64,
}

/// Where the stored bytes of a file belong (GNU tar manual, "Storing Sparse Files").
///
/// Invariant: the segments ascend, do not overlap, end within `size`, and their lengths make up what the
/// archive stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct SparseMap {
    pub(in crate::image) segments: Vec<Segment>,
    /// Bytes of the whole file.
    pub(in crate::image) size: u64,
}

impl SparseMap {
    pub(super) fn new(segments: Vec<Segment>, size: u64, stored: u64) -> Result<Self, String> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for segment in &segments {
            let next = segment.offset.checked_add(segment.length);
            match next {
                Some(next) if segment.offset >= end && next <= size => end = next,
                _ => return Err("its sparse map is out of order".to_owned()),
            }
            sum += segment.length;
        }
        if sum != stored {
            return Err(format!(
                "its sparse map is for {sum} bytes, the archive has {stored}"
            ));
        }
        Ok(Self { segments, size })
    }
}

/// The map of an old GNU header (type `S`), and whether a block with more of it follows.
pub(super) fn add_gnu(
    descriptors: &[GnuSparseHeader],
    segments: &mut Vec<Segment>,
) -> Result<(), String> {
    for descriptor in descriptors.iter().take_while(|one| !one.is_empty()) {
        let number = |value: io::Result<u64>| value.map_err(|_| "malformed sparse map".to_owned());
        push(
            segments,
            number(descriptor.offset())?,
            number(descriptor.length())?,
        )?;
    }
    Ok(())
}

/// A block that goes on with the map; `true` when one more follows.
pub(super) fn add_extension(
    block: &[u8; BLOCK],
    segments: &mut Vec<Segment>,
) -> Result<bool, String> {
    let mut extension = GnuExtSparseHeader::new();
    extension.as_mut_bytes().copy_from_slice(block);
    add_gnu(extension.sparse(), segments)?;
    Ok(extension.is_extended())
}

fn push(segments: &mut Vec<Segment>, offset: u64, length: u64) -> Result<(), String> {
    if segments.len() >= SEGMENTS_MAX {
        return Err(format!("more than {SEGMENTS_MAX} pieces of a sparse file"));
    }
    segments.push(Segment { offset, length });
    Ok(())
}

/// What PAX records say about a sparse file, in each of their three versions.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    present: bool,
    major: u64,
    pub(super) name: Option<Vec<u8>>,
    /// Bytes of the whole file.
    size: Option<u64>,
    /// Offsets and lengths in turn (versions 0.0 and 0.1).
    numbers: Vec<u64>,
}

impl PaxSparse {
    pub(super) const fn is_present(&self) -> bool {
        self.present
    }

    /// The map stands in front of the content (version 1.0).
    pub(super) const fn is_in_content(&self) -> bool {
        self.major > 0
    }

    /// One record, its key without `GNU.sparse.`.
    pub(super) fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.present = true;
        let number = || {
            let text = std::str::from_utf8(value).ok();
            let number = text.and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| format!("malformed PAX GNU.sparse.{}", key.escape_ascii()))
        };
        match key {
            b"major" => self.major = number()?,
            b"minor" | b"numblocks" => {
                number()?;
            }
            b"name" => self.name = Some(value.to_owned()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"offset" | b"numbytes" => self.add(number()?)?,
            b"map" => {
                for text in value.split(|byte| *byte == b',') {
                    let text = std::str::from_utf8(text).ok();
                    let number = text.and_then(|text| text.parse().ok());
                    self.add(number.ok_or("malformed PAX GNU.sparse.map")?)?;
                }
            }
            other => {
                return Err(format!(
                    "unknown record GNU.sparse.{}",
                    other.escape_ascii()
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, number: u64) -> Result<(), String> {
        if self.numbers.len() >= 2 * SEGMENTS_MAX {
            return Err(format!("more than {SEGMENTS_MAX} pieces of a sparse file"));
        }
        self.numbers.push(number);
        Ok(())
    }

    /// The map, when `stored` bytes of content are left.
    pub(super) fn finish(&self, stored: u64) -> Result<SparseMap, String> {
        let size = self.size.ok_or("a sparse file without its size")?;
        SparseMap::new(pairs(&self.numbers)?, size, stored)
    }

    /// Reads the decimal lines in front of the content: how many pieces, then offset and length of each,
    /// filled up to whole blocks. `block` gives the next block.
    pub(super) fn read_content<E>(
        &mut self,
        mut block: impl FnMut() -> Result<[u8; BLOCK], E>,
        broken: impl Fn(String) -> E,
    ) -> Result<(), E> {
        let mut wanted = None;
        let mut line: u64 = 0;
        let mut has_digit = false;
        loop {
            for byte in block()? {
                match byte {
                    b'0'..=b'9' => {
                        has_digit = true;
                        line = line
                            .checked_mul(10)
                            .and_then(|line| line.checked_add(u64::from(byte - b'0')))
                            .ok_or_else(|| broken("malformed sparse map".to_owned()))?;
                    }
                    b'\n' if has_digit => {
                        match wanted {
                            None => wanted = Some(usize::try_from(line).unwrap_or(usize::MAX)),
                            Some(_) => self.add(line).map_err(&broken)?,
                        }
                        (line, has_digit) = (0, false);
                        if wanted.is_some_and(|wanted| self.numbers.len() / 2 >= wanted) {
                            return Ok(());
                        }
                    }
                    _ => return Err(broken("malformed sparse map".to_owned())),
                }
            }
        }
    }
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, String> {
    if !numbers.len().is_multiple_of(2) {
        return Err("malformed sparse map".to_owned());
    }
    Ok(numbers
        .chunks_exact(2)
        .map(|pair| Segment {
            offset: pair[0],
            length: pair[1],
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(offset: u64, length: u64) -> Segment {
        Segment { offset, length }
    }

    #[test]
    fn a_map_must_fit() {
        let new = |pieces: &[(u64, u64)], size, stored| {
            let pieces = pieces.iter().map(|(at, length)| segment(*at, *length));
            SparseMap::new(pieces.collect(), size, stored)
        };
        assert!(new(&[(0, 1), (4, 2), (9, 0)], 9, 3).is_ok());
        assert!(new(&[], 1 << 40, 0).is_ok());
        for (pieces, size, stored) in [
            (&[(4, 2), (0, 1)][..], 9, 3),
            (&[(0, 5), (4, 1)], 9, 6),
            (&[(8, 2)], 9, 2),
            (&[(u64::MAX, 2)], u64::MAX, 2),
            (&[(0, 2)], 9, 3),
        ] {
            assert!(new(pieces, size, stored).is_err(), "{pieces:?}");
        }
    }

    #[test]
    fn the_lines_in_front_of_the_content_are_read_to_the_last_of_them() {
        let read = |text: &[u8]| {
            let mut found = PaxSparse {
                size: Some(100),
                ..PaxSparse::default()
            };
            let mut text = text.to_vec();
            text.resize(BLOCK, b'0');
            let mut blocks = vec![text].into_iter();
            let next = || match blocks.next() {
                Some(block) => Ok(block.try_into().unwrap()),
                None => Err("ended".to_owned()),
            };
            found.read_content(next, |reason| reason)?;
            found.finish(7)
        };
        let map = read(b"2\n0\n3\n96\n4\n\0\0").unwrap();
        assert_eq!(map.segments, [segment(0, 3), segment(96, 4)]);
        for bad in [
            &b"x\n"[..],
            b"\n",
            b"-1\n",
            b"99999999999999999999999\n",
            b"3\n0\n",
        ] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
