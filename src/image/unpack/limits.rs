use super::entry::TarError;

/// What an archive may cost. A small archive that unpacks to very much is a bomb, not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) struct Limits {
    /// Unpacked bytes, from the free space of the disk.
    pub(in crate::image) bytes: u64,
    pub(in crate::image) entries: u64,
    /// Unpacked bytes that are never questioned.
    pub(in crate::image) ratio_free: u64,
    /// Beyond them, unpacked bytes per byte of the archive.
    pub(in crate::image) ratio: u64,
    /// Zeros that are never questioned: they take no room on the disk, only time.
    pub(in crate::image) zeros_free: u64,
}

impl Limits {
    /// `free` bytes on the disk, of which a twentieth stays untouched.
    pub(in crate::image) const fn for_disk(free: u64) -> Self {
        Self {
            bytes: free - free / 20,
            entries: 4_000_000,
            ratio_free: 1 << 30,
            ratio: 300,
            zeros_free: 8 << 30,
        }
    }

    /// With what an entry says of itself, before any of it is read: some of it may turn out to be zeros.
    pub(super) fn check_announced(&self, size: u64, entries: u64) -> Result<(), TarError> {
        self.check(size.saturating_sub(self.zeros_free), entries, u64::MAX)
    }

    pub(super) fn check_zeros(&self, zeros: u64, read: u64) -> Result<(), TarError> {
        if zeros > self.zeros_free && zeros / self.ratio > read {
            return Err(TarError::Limit(format!(
                "{read} bytes unpack to more than {zeros} zeros: this looks like a decompression bomb"
            )));
        }
        Ok(())
    }

    pub(super) fn check_space(&self, bytes: u64) -> Result<(), TarError> {
        if bytes > self.bytes {
            return Err(TarError::NoSpace { free: self.bytes });
        }
        Ok(())
    }

    pub(super) fn check(&self, written: u64, entries: u64, read: u64) -> Result<(), TarError> {
        self.check_space(written)?;
        if entries > self.entries {
            return Err(TarError::Limit(format!(
                "it has more than {} entries",
                self.entries
            )));
        }
        if written > self.ratio_free && written / self.ratio > read {
            return Err(TarError::Limit(format!(
                "{read} bytes unpack to more than {written}: this looks like a decompression bomb"
            )));
        }
        Ok(())
    }
}
