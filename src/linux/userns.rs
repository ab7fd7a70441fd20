//! User namespaces (user_namespaces(7)): their id maps, and whose files a process makes while it works for
//! one from outside.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::caps::{self, CapsError};
use crate::base::Pid;

/// Maps `length` ids from 0 on inside to those from `start` on outside, for users and groups. The process was
/// just born in its namespace; a map is written once.
pub(crate) fn write_maps(pid: Pid, start: u32, length: u32) -> io::Result<()> {
    for map in ["uid_map", "gid_map"] {
        std::fs::write(
            format!("/proc/{pid}/{map}"),
            format!("0 {start} {length}\n"),
        )?;
    }
    Ok(())
}

/// The user namespace of a process.
pub(crate) fn of(pid: Pid) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{pid}/ns/user"))?.into())
}

/// From now on what this process makes belongs to user and group `id`; it keeps all its capabilities, some of
/// which setfsuid(2) would take away.
pub(crate) fn make_files_as(id: u32) -> Result<(), CapsError> {
    let (_, permitted) = caps::get()?;
    // SAFETY: setfsgid(2) and setfsuid(2) take one number, touch no memory and return the old one.
    unsafe { libc::setfsgid(id) };
    // SAFETY: as above.
    unsafe { libc::setfsuid(id) };
    caps::set(permitted, permitted)
}
