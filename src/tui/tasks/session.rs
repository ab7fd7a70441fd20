//! Reads and writes the file of [`crate::tui::views`].

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;

use crate::tui::views::{SessionChange, SessionFile, SessionRead, VERSION};

/// Changes that come this close together are written once.
const PAUSE: Duration = Duration::from_millis(500);
/// A wrong link must not fill the memory.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
struct Head {
    version: u32,
}

pub(in crate::tui) fn read_session(path: &Path) -> SessionRead {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return SessionRead::Unreadable(format!("{}: it is not a file", path.display()));
        }
        Ok(metadata) if metadata.len() > MAX_BYTES => return put_aside(path, "larger than 1 MiB"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return SessionRead::None,
        Err(error) => return SessionRead::Unreadable(format!("{}: {error}", path.display())),
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return SessionRead::Unreadable(format!("{}: {error}", path.display())),
    };
    match serde_json::from_slice::<Head>(&bytes) {
        Ok(head) if head.version > VERSION => return SessionRead::Later(head.version),
        Ok(_) => {}
        Err(error) => return put_aside(path, &error.to_string()),
    }
    match serde_json::from_slice(&bytes) {
        Ok(file) => SessionRead::Kept(Box::new(file)),
        Err(error) => put_aside(path, &error.to_string()),
    }
}

/// Nothing of it is lost; the next start does not stumble over it again.
fn put_aside(path: &Path, why: &str) -> SessionRead {
    let names = (1u32..1000).map(|number| path.with_extension(format!("damaged{number}.json")));
    for aside in names {
        // A hard link is refused where the name is taken; a rename would replace it.
        match fs::hard_link(path, &aside) {
            Ok(()) => {
                let _ = fs::remove_file(path);
                return SessionRead::Damaged {
                    aside: aside.display().to_string(),
                    why: why.to_owned(),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return SessionRead::Unreadable(format!("{}: {error}", path.display())),
        }
    }
    SessionRead::Unreadable(format!("{}: {why}", path.display()))
}

/// Carries every change into the file, after a pause. Ends, with the last one written, when the sender is gone.
pub(in crate::tui) async fn keep_session(
    path: PathBuf,
    mut latest: watch::Receiver<Option<SessionChange>>,
) {
    let mut is_open = true;
    let mut is_told = false;
    while is_open {
        // Cancel safe: the change stays in the channel.
        is_open = latest.changed().await.is_ok();
        if is_open {
            let more = latest.clone();
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                // The end of the screen does not wait.
                () = closed(more) => {}
            }
        }
        let Some(change) = latest.borrow_and_update().clone() else {
            continue;
        };
        let path = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &change)).await;
        if let Ok(Err(error)) = written
            && !std::mem::replace(&mut is_told, true)
        {
            tracing::warn!(%error, "the view cannot be kept for the next start");
        }
    }
}

async fn closed(mut latest: watch::Receiver<Option<SessionChange>>) {
    while latest.changed().await.is_ok() {}
}

/// Reads what other screens wrote meanwhile, changes it, and puts it in the place of the file at once.
fn write(path: &Path, change: &SessionChange) -> io::Result<()> {
    let open = |path: &Path| {
        let mut options = fs::OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        options.open(path)
    };
    let lock = open(&path.with_extension("lock"))?;
    // Held for a moment by each screen that writes; the lock goes with the descriptor.
    lock.lock()?;
    let mut file = match read_session(path) {
        SessionRead::Kept(file) => *file,
        SessionRead::None | SessionRead::Damaged { .. } => SessionFile::default(),
        SessionRead::Later(_) => return Ok(()),
        SessionRead::Unreadable(problem) => return Err(io::Error::other(problem)),
    };
    change.carry_into(&mut file);
    let beside = path.with_extension("tmp");
    let mut new = open(&beside)?;
    new.write_all(&serde_json::to_vec_pretty(&file)?)?;
    new.sync_data()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (tempfile::TempDir, PathBuf, SessionRead) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("screen.json");
        fs::write(&path, text).unwrap();
        let read = read_session(&path);
        (directory, path, read)
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_never_written_over() {
        for text in ["", "{", "{\"version\": 1, \"nope\": 2}", "[]"] {
            let (_directory, path, found) = read(text);
            let SessionRead::Damaged { aside, .. } = found else {
                panic!("{text}: {found:?}");
            };
            assert_eq!(fs::read_to_string(&aside).unwrap(), text);
            assert_eq!(read_session(&path), SessionRead::None);
            fs::write(&path, "again").unwrap();
            write(&path, &SessionChange::default()).unwrap();
            assert_eq!(fs::read_to_string(&aside).unwrap(), text);
            assert!(matches!(read_session(&path), SessionRead::Kept(_)));
        }
    }

    #[test]
    fn the_file_of_a_later_podtui_is_left_alone() {
        let text = "{\"version\": 3, \"nope\": 3}";
        let (_directory, path, found) = read(text);
        assert_eq!(found, SessionRead::Later(3));
        write(&path, &SessionChange::default()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[tokio::test]
    async fn the_last_change_is_written_before_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("screen.json");
        let (tx, rx) = watch::channel(None);
        let task = tokio::spawn(keep_session(path.clone(), rx));
        tx.send_replace(Some(SessionChange::default()));
        drop(tx);
        task.await.unwrap();
        assert!(matches!(read_session(&path), SessionRead::Kept(_)));
        let names = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 2, "the file and its lock");
    }
}
