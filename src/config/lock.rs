//! Who holds the lock of a state directory, for messages.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file whose lock makes a process the engine of a state directory.
pub(crate) fn lock_file(state_dir: &Path) -> PathBuf {
    state_dir.join("lock")
}

/// Notes in the locked file whose it is.
pub(crate) fn sign_lock(mut file: &fs::File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// The process that holds the lock, as far as it can be told: what stands in the file may be old, so the kernel
/// has to know of a lock of this process on this file (proc_locks(5)). Nothing is locked for that; a lock held for
/// a moment would keep an engine from starting.
pub(crate) fn lock_holder(state_dir: &Path) -> Option<u32> {
    let path = lock_file(state_dir);
    let pid = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let inode = fs::metadata(&path).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    is_held(&locks, pid, inode).then_some(pid)
}

/// `1: FLOCK  ADVISORY  WRITE 4242 fd:00:131090 0 EOF`
fn is_held(locks: &str, pid: u32, inode: u64) -> bool {
    let (pid, inode) = (pid.to_string(), inode.to_string());
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let file = |place: &str| place.rsplit(':').next() == Some(&inode);
        matches!(words.as_slice(), [_, "FLOCK", _, _, holder, place, ..] if *holder == pid && file(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_is_held_has_a_holder() {
        let directory = tempfile::tempdir().unwrap();
        let file = fs::File::create(lock_file(directory.path())).unwrap();
        assert_eq!(lock_holder(directory.path()), None);
        sign_lock(&file).unwrap();
        assert_eq!(lock_holder(directory.path()), None, "signed, not locked");
        file.lock().unwrap();
        assert_eq!(lock_holder(directory.path()), Some(std::process::id()));
        file.unlock().unwrap();
        assert_eq!(lock_holder(directory.path()), None);
    }

    #[test]
    fn waiting_for_a_lock_is_not_holding_it() {
        let locks = "1: FLOCK  ADVISORY  WRITE 42 fd:00:7 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 43 fd:00:7 0 EOF\n2: POSIX  ADVISORY  WRITE 44 fd:00:7 0 EOF\n";
        assert!(is_held(locks, 42, 7));
        assert!(!is_held(locks, 42, 8));
        assert!(!is_held(locks, 43, 7));
        assert!(!is_held(locks, 44, 7));
    }
}
