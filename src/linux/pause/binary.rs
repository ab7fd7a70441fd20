use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// The program, an ELF executable for this architecture.
pub(crate) static BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

#[derive(Debug, thiserror::Error)]
pub(crate) enum PauseError {
    #[error("create a memory file for a program")]
    Create(#[source] io::Error),
    #[error("write a program into its memory file")]
    Write(#[source] io::Error),
    #[error("seal the memory file of a program")]
    Seal(#[source] io::Error),
}

/// A memory file with the program that nobody can change any more, for execveat(2) with AT_EMPTY_PATH.
/// The descriptor is close-on-exec: a program, unlike a script, is still found through it.
pub(crate) fn sealed() -> Result<OwnedFd, PauseError> {
    seal(c"pause", BINARY)
}

/// The same for any program of this binary.
pub(in crate::linux) fn seal(name: &CStr, program: &[u8]) -> Result<OwnedFd, PauseError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC (Linux 6.3) says that the file is meant to be run, which vm.memfd_noexec asks for; an
    // older kernel answers EINVAL and needs no such word. The name is what /proc/PID/comm shows first.
    let made = memfd_create(name, flags | MemfdFlags::EXEC);
    let made = match made {
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags),
        other => other,
    };
    let mut file = File::from(made.map_err(|errno| PauseError::Create(errno.into()))?);
    file.write_all(program).map_err(PauseError::Write)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(|errno| PauseError::Seal(errno.into()))?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    /// Starts pause through its memory file, as `/pause`.
    fn start() -> Child {
        let file = sealed().unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Command::new(path).arg0("/pause").spawn().unwrap()
    }

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).unwrap())
    }

    fn read(child: &Child, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default()
    }

    fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn waiting(child: &Child) -> bool {
        // Pause sets its name after it has blocked the signals. (While it waits for them, the kernel
        // shows them as unblocked.)
        read(child, "comm") == "pause\n" && read(child, "status").contains("State:\tS")
    }

    #[test]
    fn shows_as_pause_and_is_small() {
        let mut child = start();
        wait_for("pause to wait", || waiting(&child));
        assert_eq!(read(&child, "cmdline"), "/pause\0");
        assert_eq!(read(&child, "comm"), "pause\n");
        let private: u64 = read(&child, "smaps_rollup")
            .lines()
            .filter(|line| line.starts_with("Private_"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum();
        assert!(private > 0 && private < 64, "{private} KiB");
        assert!(BINARY.len() < 16 * 1024, "{} bytes", BINARY.len());
        kill(pid(&child), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn leaves_on_interrupt_and_ignores_the_end_of_children() {
        let mut child = start();
        wait_for("pause to wait", || waiting(&child));
        kill(pid(&child), Signal::SIGCHLD).unwrap();
        wait_for("pause to wait again", || waiting(&child));
        assert!(child.try_wait().unwrap().is_none());
        kill(pid(&child), Signal::SIGINT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    /// Children that its program inherits across execve(2) are reaped like orphans of a pid namespace.
    #[test]
    fn reaps_its_children() {
        let file = sealed().unwrap();
        let script = "sleep 0.2 & sleep 0.3 & true & exec \"$0\"";
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let mut child = Command::new("sh")
            .args(["-c", script, &path])
            .spawn()
            .unwrap();
        wait_for("pause to wait", || waiting(&child));
        let children = format!("task/{}/children", child.id());
        wait_for("all children to be reaped", || {
            read(&child, &children).is_empty()
        });
        kill(pid(&child), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn nobody_can_change_the_sealed_file() {
        let file = File::from(sealed().unwrap());
        let error = (&file).write_all(b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert!(file.set_len(0).is_err());
    }
}
