use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// The program, an ELF executable for this architecture.
pub(crate) static BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

#[derive(Debug, thiserror::Error)]
pub(crate) enum PauseError {
    #[error("create a memory file for pause")]
    Create(#[source] io::Error),
    #[error("write pause into its memory file")]
    Write(#[source] io::Error),
    #[error("seal the memory file of pause")]
    Seal(#[source] io::Error),
}

/// A memory file with the program that nobody can change any more, for execveat(2) with AT_EMPTY_PATH.
/// The descriptor is close-on-exec: a program, unlike a script, is still found through it.
pub(crate) fn sealed() -> Result<OwnedFd, PauseError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC (Linux 6.3) says that the file is meant to be run, which vm.memfd_noexec asks for; an
    // older kernel answers EINVAL and needs no such word. The name is what /proc/PID/comm shows first.
    let made = memfd_create("pause", flags | MemfdFlags::EXEC);
    let made = match made {
        Err(rustix::io::Errno::INVAL) => memfd_create("pause", flags),
        other => other,
    };
    let mut file = File::from(made.map_err(|errno| PauseError::Create(errno.into()))?);
    file.write_all(BINARY).map_err(PauseError::Write)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(|errno| PauseError::Seal(errno.into()))?;
    Ok(file.into())
}
