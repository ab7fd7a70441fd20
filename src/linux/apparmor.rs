//! AppArmor: the profile of the next program (apparmor(7)).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

/// Where this thread asks for it; the second is what kernels before 5.8 have, which share it with other modules.
const ATTRIBUTES: [&str; 2] = [
    "/proc/thread-self/attr/apparmor/exec",
    "/proc/thread-self/attr/exec",
];

/// The next execve(2) of this thread changes to `profile`, which must be loaded (`ENOENT`). It is remembered by the
/// kernel whatever happens between, so this is done while `/proc` is still that of the machine: what a container has
/// there cannot be trusted (CVE-2019-16884). With no_new_privs it works as long as this thread is unconfined.
pub(crate) fn change_on_exec(profile: &str) -> io::Result<()> {
    let mut file = open()?;
    // The kernel wants the command in one piece.
    let command = format!("exec {profile}");
    let written = file.write(command.as_bytes())?;
    if written == command.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

fn open() -> io::Result<File> {
    let open = |path: &str| OpenOptions::new().write(true).open(path);
    let [own, shared] = ATTRIBUTES;
    match open(own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(shared),
        opened => opened,
    }
}
