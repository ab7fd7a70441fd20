//! Runs a test body in a forked child, for calls that change the process for good.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Forks, runs `body` in the child and fails the test when the child panics or dies by a signal.
#[expect(unsafe_code, reason = "fork(2) in a test")]
#[track_caller]
pub(crate) fn run(body: impl FnOnce()) {
    // SAFETY: the child runs `body` and leaves with _exit. Another test thread may hold a lock of the
    // allocator only for an instant; glibc resets its own locks in the child.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}
