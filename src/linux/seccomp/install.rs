#![expect(unsafe_code, reason = "seccomp(2) has no safe wrapper")]

use std::io;

use super::program::Program;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SeccompError {
    #[error("the system-call filter has {0} instructions, more than a filter may have")]
    TooLong(usize),
    #[error("install the system-call filter")]
    Install(#[source] io::Error),
}

/// Installs the filter in the calling thread, for good and for all programs it runs.
///
/// Without no_new_privs this needs CAP_SYS_ADMIN, so a container that may gain privileges installs it
/// before it gives its capabilities away: every call that follows until execve(2) (setgroups, setresuid,
/// capset, prctl, close_range, write) is on the list.
pub(crate) fn install(program: &Program) -> Result<(), SeccompError> {
    let code = program.instructions();
    // BPF_MAXINSNS (include/uapi/linux/bpf_common.h).
    let length = u16::try_from(code.len())
        .ok()
        .filter(|length| *length <= 4096);
    let length = length.ok_or(SeccompError::TooLong(code.len()))?;
    let flags = if program.is_logged() {
        libc::SECCOMP_FILTER_FLAG_LOG
    } else {
        0
    };
    let header = libc::sock_fprog {
        len: length,
        filter: code.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `len` instructions from `filter`, which outlives the call, and writes
    // nothing.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const header,
        )
    };
    if done != 0 {
        return Err(SeccompError::Install(io::Error::last_os_error()));
    }
    Ok(())
}
