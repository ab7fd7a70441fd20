//! Capability masks and the calls that change the capabilities of this process.
//!
//! Bit N of a mask is capability number N (capabilities(7)). Order in a container's init, with the
//! full set still in hand: [`drop_bounding`], change of groups and user, [`set`], [`clear_ambient`]. The inheritable and ambient sets are always left empty: a non-empty inheritable
//! set lets a file capability raise a process above what it was given (CVE-2022-24769).

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::fs;
use std::io;
use std::sync::LazyLock;

use crate::base::CAPABILITIES;

/// What a container gets when it asks for nothing: CHOWN, DAC_OVERRIDE, FSETID, FOWNER, MKNOD, NET_RAW,
/// SETGID, SETUID, SETFCAP, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, KILL, AUDIT_WRITE. The same 14 that
/// containerd and Docker grant.
pub(crate) const DEFAULT: u64 = 0xa804_25fb;

pub(crate) const SYS_ADMIN: u64 = bit(21);

/// The mask of one capability number.
pub(crate) const fn bit(number: u32) -> u64 {
    1 << number
}

/// Every capability this build knows by name.
#[cfg(test)]
pub(crate) const ALL: u64 = (1 << CAPABILITIES.len()) - 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CapsError {
    #[error("drop capability {name} from the bounding set")]
    Bounding {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("read the capability sets of this process")]
    Get(#[source] io::Error),
    #[error("set effective {effective:#x} and permitted {permitted:#x} capabilities")]
    Set {
        effective: u64,
        permitted: u64,
        #[source]
        source: io::Error,
    },
    #[error("clear the ambient capabilities")]
    Ambient(#[source] io::Error),
}

/// Whoever has it may look into every process that it sees, and change it (capabilities(7)).
pub(crate) const SYS_PTRACE: u64 = 1 << 19;

/// The bit of a capability name without its prefix.
#[cfg(test)]
pub(crate) fn named(name: &str) -> u64 {
    let number = CAPABILITIES.iter().position(|known| *known == name);
    1 << number.expect("tests name capabilities that exist")
}

fn name_of(number: usize) -> String {
    CAPABILITIES
        .get(number)
        .map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// The mask of every capability the running kernel has. Read once: it does not change, and children of a process
/// that has asked need not open anything.
pub(crate) fn kernel_mask() -> u64 {
    static MASK: LazyLock<u64> = LazyLock::new(read_kernel_mask);
    *MASK
}

fn read_kernel_mask() -> u64 {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok())
        .unwrap_or(40)
        .min(63);
    u64::MAX >> (63 - last)
}

/// Drops every capability outside `keep` from the bounding set of the calling thread. Needs
/// CAP_SETPCAP. Allocates only on failure, so it may run between fork and exec.
pub(crate) fn drop_bounding(keep: u64) -> Result<(), CapsError> {
    for number in 0..64u64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        // SAFETY: PR_CAPBSET_DROP takes one plain number and touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } == 0 {
            continue;
        }
        let source = io::Error::last_os_error();
        if source.raw_os_error() == Some(libc::EINVAL) {
            // The kernel has no capability of this number nor of any above it.
            return Ok(());
        }
        // SAFETY: PR_CAPBSET_READ takes one plain number and touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) } == 0 {
            // Without CAP_SETPCAP even what is not there cannot be dropped.
            continue;
        }
        return Err(CapsError::Bounding {
            name: name_of(usize::try_from(number).unwrap_or_default()),
            source,
        });
    }
    Ok(())
}

/// `_LINUX_CAPABILITY_VERSION_3`: two data elements of 32 bits per set.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Effective and permitted sets of the calling thread.
pub(crate) fn get() -> Result<(u64, u64), CapsError> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: capget(2) writes two elements for version 3, and both pointers outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if done != 0 {
        return Err(CapsError::Get(io::Error::last_os_error()));
    }
    let join = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
    Ok((
        join(data[0].effective, data[1].effective),
        join(data[0].permitted, data[1].permitted),
    ))
}

/// Sets effective and permitted of the calling thread and empties the inheritable set. Bits the kernel
/// does not know must be masked out with [`kernel_mask`] first; a bit that is not permitted now is an
/// error (EPERM).
pub(crate) fn set(effective: u64, permitted: u64) -> Result<(), CapsError> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| Data {
        effective: low_half(effective >> shift),
        permitted: low_half(permitted >> shift),
        inheritable: 0,
    };
    let data = [half(0), half(32)];
    // SAFETY: capset(2) reads two elements for version 3, and both pointers outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if done != 0 {
        return Err(CapsError::Set {
            effective,
            permitted,
            source: io::Error::last_os_error(),
        });
    }
    Ok(())
}

fn low_half(mask: u64) -> u32 {
    u32::try_from(mask & u64::from(u32::MAX)).expect("masked to 32 bits")
}

/// Empties the ambient set of the calling thread.
pub(crate) fn clear_ambient() -> Result<(), CapsError> {
    // SAFETY: PR_CAP_AMBIENT takes plain numbers and touches no memory.
    let done = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    };
    if done != 0 {
        return Err(CapsError::Ambient(io::Error::last_os_error()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_the_fourteen() {
        assert_eq!(DEFAULT.count_ones(), 14);
        assert_eq!(DEFAULT & named("SYS_ADMIN"), 0);
        assert_eq!(DEFAULT & named("MKNOD"), named("MKNOD"));
        assert_eq!(named("CHECKPOINT_RESTORE"), 1 << 40);
    }

    #[test]
    fn the_kernel_mask_covers_the_default_set() {
        assert_eq!(kernel_mask() & DEFAULT, DEFAULT);
    }

    #[test]
    fn a_child_loses_what_it_drops() {
        let (_, permitted) = get().unwrap();
        let keep = permitted & DEFAULT;
        crate::linux::fork_test::run(|| {
            if permitted & (1 << 8) != 0 {
                drop_bounding(keep).unwrap();
            }
            clear_ambient().unwrap();
            set(keep, keep).unwrap();
            assert_eq!(get().unwrap(), (keep, keep));
            if keep != permitted {
                assert!(set(permitted, permitted).is_err());
            }
        });
    }
}
