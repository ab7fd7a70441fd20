//! Beginning to write a file to the disk without waiting for it (sync_file_range(2)): what is flushed in the
//! end finds little left to do. It promises nothing; durability comes from the flush.

#![expect(unsafe_code, reason = "a system call without a safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Starts writing what of `file` is dirty. Waits only where the disk's queue is full.
pub(crate) fn start(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, so it stays open; the call touches no memory of this process.
    let result =
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_taken_and_a_pipe_is_not() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        start(file.as_fd()).unwrap();
        let (read, _write) = rustix::pipe::pipe().unwrap();
        assert!(start(read.as_fd()).is_err());
    }
}
