//! From identity to exec, the same for a container's first process and for an exec session.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, accessat, fchown, statat,
};

use super::Process;
use super::report::Reporter;
use crate::base::quoted;
use crate::linux::path::{self, Links};
use crate::linux::{caps, clone, proc, pty, seccomp};
use crate::shim::fault::{At, errno_text, refuse};
use crate::wire::{EffectiveUser, Fault, Stage};

/// What a shell uses when nobody set PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Goes to the working directory, which may have been made by the image as a link: it is resolved
/// beneath the root and what the kernel calls it afterwards is checked (CVE-2024-21626).
pub(super) fn enter_directory(
    root: BorrowedFd<'_>,
    cwd: &str,
    create_for: Option<&EffectiveUser>,
) -> Result<(), Fault> {
    let what = format!("chdir to cwd ({cwd})", cwd = quoted(cwd));
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = match path::open(root, Path::new(cwd), flags, Links::InRoot) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create_for.is_some() => {
            let made = path::ensure_directory(root, Path::new(cwd), 0o755, Links::InRoot)
                .at(Stage::WorkingDirectory, &what)?;
            if let Some(user) = create_for {
                let reopened =
                    path::open(made.as_fd(), Path::new("."), OFlags::RDONLY, Links::Refuse);
                reopened
                    .and_then(|fd| give_to(fd.as_fd(), user).map_err(std::io::Error::from))
                    .at(Stage::WorkingDirectory, &what)?;
            }
            made
        }
        opened => opened.at(Stage::WorkingDirectory, &what)?,
    };
    rustix::process::fchdir(&directory).at(Stage::WorkingDirectory, &what)?;
    let real = proc::working_directory().at(Stage::WorkingDirectory, &what)?;
    if real.is_absolute() {
        Ok(())
    } else {
        Err(refuse(
            Stage::WorkingDirectory,
            format!("{what}: it is outside of the container"),
        ))
    }
}

fn give_to(fd: BorrowedFd<'_>, user: &EffectiveUser) -> rustix::io::Result<()> {
    fchown(
        fd,
        Some(Uid::from_raw(user.uid)),
        Some(Gid::from_raw(user.gid)),
    )
}

/// Connects the standard streams. They are given to the user, or `/dev/stdout` could not be opened by
/// anybody but root.
pub(super) fn connect_streams(process: &Process<'_>, user: &EffectiveUser) -> Result<(), Fault> {
    if let Some(slave) = process.terminal {
        fchown(slave, Some(Uid::from_raw(user.uid)), None)
            .at(Stage::Terminal, "change the owner of the terminal")?;
        if !process.is_watched {
            take_terminal(slave)?;
        }
    }
    for (number, stream) in [process.stdin, process.stdout, process.stderr]
        .into_iter()
        .enumerate()
    {
        let stat = rustix::fs::fstat(stream).at(Stage::Exec, "look at a standard stream")?;
        let is_theirs = (stat.st_uid, stat.st_gid) == (user.uid, user.gid);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && !is_theirs {
            give_to(stream, user).at(Stage::Exec, "change the owner of a standard stream")?;
        }
        let number = i32::try_from(number).unwrap_or(0);
        proc::redirect(stream, number).at(Stage::Exec, "connect a standard stream")?;
    }
    Ok(())
}

fn take_terminal(slave: BorrowedFd<'_>) -> Result<(), Fault> {
    pty::make_controlling(slave).at(Stage::Terminal, "set the controlling terminal")
}

/// Goes into the pid namespace of the container, with no more than everybody there has.
fn appear(process: &Process<'_>, reporter: &Reporter) -> Result<(), Fault> {
    proc::close_all_but(reporter.as_fd()).at(Stage::Exec, "close descriptors")?;
    clone::go_on_in_child().at(Stage::Clone, "make the process in the container")?;
    if process.terminal.is_some() {
        proc::new_session().at(Stage::Clone, "start a session")?;
        take_terminal(rustix::stdio::stdin())?;
    }
    Ok(())
}

/// Gives up what the process may not keep and executes the program. The working directory and the
/// streams are set.
pub(super) fn execute(
    process: &Process<'_>,
    user: &EffectiveUser,
    environment: &proc::CStringArray,
    reporter: &Reporter,
) -> Result<Infallible, Fault> {
    // A machine may keep capabilities from us too; what we do not have, nobody gets.
    let (_, ours) = caps::get().at(Stage::Capabilities, "read own capabilities")?;
    let kernel = caps::kernel_mask();
    let capabilities = &process.capabilities;
    drop_privileges_before_seccomp(process, kernel)?;
    proc::become_user(user.uid, user.gid, &user.supplementary_groups).at(
        Stage::User,
        format_args!("become user {}:{}", user.uid, user.gid),
    )?;
    let keep = if user.uid == 0 {
        capabilities.effective & capabilities.bounding & kernel & ours
    } else {
        0
    };
    caps::set(keep, keep).at(Stage::Capabilities, "set capabilities")?;
    caps::clear_ambient().at(Stage::Capabilities, "clear ambient capabilities")?;
    proc::set_umask(0o022);

    let program = find(process)?;
    if process.is_watched {
        appear(process, reporter)?;
    }
    proc::close_from_on_exec(3).at(Stage::Exec, "close descriptors")?;
    if process.no_new_privileges {
        // A profile of the user may allow next to nothing: only execve(2) follows.
        install_filter(process)?;
    }
    let error = proc::execute(&program, process.arguments, environment);
    let errno = error.raw_os_error().unwrap_or(0);
    Err(Fault {
        stage: Stage::Exec,
        errno,
        message: format!("exec {}: {}", program.to_string_lossy(), errno_text(errno)),
    })
}

/// Without no_new_privs a filter can be installed only by a process that still has CAP_SYS_ADMIN
/// (seccomp(2)); with it, it is installed last, so that it need not allow what comes between.
fn drop_privileges_before_seccomp(process: &Process<'_>, kernel: u64) -> Result<(), Fault> {
    if process.no_new_privileges {
        proc::set_no_new_privileges().at(Stage::Capabilities, "set no_new_privs")?;
    } else {
        install_filter(process)?;
    }
    caps::drop_bounding(process.capabilities.bounding & kernel).at(
        Stage::Capabilities,
        "drop capabilities from the bounding set",
    )
}

fn install_filter(process: &Process<'_>) -> Result<(), Fault> {
    match process.filter {
        Some(filter) => seccomp::install(filter).at(Stage::Seccomp, "install the seccomp filter"),
        None => Ok(()),
    }
}

/// The file to execute, searched as the container's user in the container's PATH.
fn find(process: &Process<'_>) -> Result<CString, Fault> {
    let name = &process.arguments.strings()[0];
    let shown = name.to_string_lossy();
    if name.as_bytes().contains(&b'/') {
        return match executable(name) {
            Ok(()) => Ok(name.clone()),
            Err(rustix::io::Errno::NOENT) => Err(Fault {
                stage: Stage::Exec,
                errno: rustix::io::Errno::NOENT.raw_os_error(),
                message: format!(
                    "exec: {}: stat {shown}: no such file or directory",
                    quoted(&shown)
                ),
            }),
            Err(error) => Err(error).at(
                Stage::Exec,
                format_args!("exec: {shown}", shown = quoted(&shown)),
            ),
        };
    }
    let found = candidates(process)
        .into_iter()
        .find(|candidate| executable(candidate).is_ok());
    found.ok_or_else(|| Fault {
        stage: Stage::Exec,
        errno: rustix::io::Errno::NOENT.raw_os_error(),
        message: format!(
            "exec: {shown}: executable file not found in $PATH",
            shown = quoted(&shown)
        ),
    })
}

/// Where the program may be.
pub(super) fn candidates(process: &Process<'_>) -> Vec<CString> {
    let name = &process.arguments.strings()[0];
    if name.as_bytes().contains(&b'/') {
        return vec![name.clone()];
    }
    let path = process.path.unwrap_or(DEFAULT_PATH);
    let places = path.split(|byte| *byte == b':').map(|directory| {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        [directory, b"/", name.as_bytes()].concat()
    });
    // There is no NUL in the name, nor in a variable.
    places
        .filter_map(|place| CString::new(place).ok())
        .collect()
}

fn executable(path: &CStr) -> rustix::io::Result<()> {
    let stat = statat(CWD, path, AtFlags::empty())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(rustix::io::Errno::ISDIR);
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::empty())?;
    // Root may "execute" anything with one x bit; without any the answer of execve is EACCES too.
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::from_raw_mode(0o111)) {
        Ok(())
    } else {
        Err(rustix::io::Errno::ACCESS)
    }
}

/// A C string for execve(2); NUL inside is refused where the spec is checked, before any fork.
pub(in crate::shim) fn c_string(text: &str, what: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| refuse(Stage::Request, format!("{what} contains a NUL byte")))
}

/// The value of PATH in an environment.
pub(in crate::shim) fn path_of(environment: &[CString]) -> Option<&[u8]> {
    environment
        .iter()
        .rev()
        .find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="))
}

pub(super) fn has_variable(environment: &[CString], name: &str) -> bool {
    environment.iter().any(|entry| {
        entry
            .as_bytes()
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'='))
    })
}
