//! Reads the files of [`crate::tui::personal`] and follows their changes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::tui::msg::Msg;
use crate::tui::personal::{FileText, PersonalFiles};

/// Editors write a file in several steps; what is read after this time is whole.
const SETTLE: Duration = Duration::from_millis(100);
/// More than anybody writes by hand; a wrong link must not fill the memory.
const MAX_BYTES: u64 = 1 << 20;

pub(in crate::tui) fn read_personal(directory: &Path) -> PersonalFiles {
    PersonalFiles {
        config: read(&directory.join("config.toml")),
        keys: read(&directory.join("keys.toml")),
        themes: read_themes(&directory.join("themes")),
    }
}

fn read(path: &Path) -> FileText {
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err("it is not a file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if length > MAX_BYTES {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(Some(text))
}

fn read_themes(directory: &Path) -> Vec<(String, Result<String, String>)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut themes: Vec<(String, Result<String, String>)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path
                .file_name()?
                .to_str()?
                .strip_suffix(".toml")?
                .to_owned();
            let text = read(&path).map(Option::unwrap_or_default);
            Some((name, text))
        })
        .collect();
    themes.sort();
    themes
}

/// Sends the files anew after every change, until the screen is gone. No directory is made: while it is missing,
/// its parent is watched.
///
/// # Errors
/// inotify(7) refuses, for example because the limit of watches is reached.
pub(in crate::tui) async fn follow_personal(
    directory: PathBuf,
    mut known: PersonalFiles,
    messages: mpsc::Sender<Msg>,
) -> notify::Result<()> {
    let (changed_tx, mut changed_rx) = mpsc::channel(1);
    loop {
        // Set up anew after every change: directories and links may have come or gone.
        let tx = changed_tx.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_reading = event.is_ok_and(|event| event.kind.is_access());
                if !is_reading {
                    // A full channel says already what there is to say.
                    let _ = tx.try_send(());
                }
            })?;
        for watched in watched_directories(&directory) {
            match watcher.watch(&watched, RecursiveMode::NonRecursive) {
                // It went away in this moment, which is a change to look at.
                Err(_) if !watched.exists() => {
                    let _ = changed_tx.try_send(());
                }
                other => other?,
            }
        }
        // What changed before the watch was set up is seen now, everything later wakes the loop.
        let files = {
            let directory = directory.clone();
            tokio::task::spawn_blocking(move || read_personal(&directory)).await
        };
        if let Ok(files) = files
            && files != known
        {
            known = files.clone();
            if messages.send(Msg::Personal(Box::new(files))).await.is_err() {
                return Ok(());
            }
        }
        if changed_rx.recv().await.is_none() {
            return Ok(());
        }
        tokio::time::sleep(SETTLE).await;
        let _ = changed_rx.try_recv();
    }
}

/// The directory, its themes, and where links of its files lead; while it is missing, the nearest directory above.
fn watched_directories(directory: &Path) -> Vec<PathBuf> {
    if !directory.is_dir() {
        let existing = directory.ancestors().skip(1).find(|path| path.is_dir());
        return existing.map(Path::to_owned).into_iter().collect();
    }
    let themes = directory.join("themes");
    let targets = ["config.toml", "keys.toml"].into_iter().filter_map(|name| {
        let path = directory.join(name);
        path.is_symlink()
            .then(|| path.canonicalize().ok()?.parent().map(Path::to_owned))
            .flatten()
    });
    let mut all: Vec<PathBuf> = targets
        .chain(themes.is_dir().then(|| themes.clone()))
        .chain([directory.to_owned()])
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(messages: &mut mpsc::Receiver<Msg>) -> PersonalFiles {
        let msg = tokio::time::timeout(Duration::from_secs(20), messages.recv());
        match msg.await.unwrap() {
            Some(Msg::Personal(files)) => *files,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn changes_are_seen_also_through_links_and_in_new_directories() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("podtui");
        let (tx, mut rx) = mpsc::channel(4);
        let task = tokio::spawn(follow_personal(
            directory.clone(),
            PersonalFiles::default(),
            tx,
        ));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("keys.toml"), "preset = \"vim\"").unwrap();
        let files = next(&mut rx).await;
        assert_eq!(files.keys, Ok(Some("preset = \"vim\"".to_owned())));

        std::fs::create_dir(directory.join("themes")).unwrap();
        std::fs::write(directory.join("themes/mine.toml"), "x").unwrap();
        std::fs::write(directory.join("themes/note.txt"), "x").unwrap();
        let files = next(&mut rx).await;
        assert_eq!(files.themes, [("mine".to_owned(), Ok("x".to_owned()))]);

        let elsewhere = root.path().join("dotfiles");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("c.toml"), "a").unwrap();
        std::os::unix::fs::symlink(elsewhere.join("c.toml"), directory.join("config.toml"))
            .unwrap();
        assert_eq!(next(&mut rx).await.config, Ok(Some("a".to_owned())));
        std::fs::write(elsewhere.join("c.toml"), "b").unwrap();
        assert_eq!(next(&mut rx).await.config, Ok(Some("b".to_owned())));
        drop(rx);
        std::fs::remove_file(directory.join("keys.toml")).unwrap();
        task.await.unwrap().unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("config.toml")).unwrap();
        std::fs::write(root.path().join("keys.toml"), [0xff]).unwrap();
        let files = read_personal(root.path());
        assert_eq!(files.config, Err("it is not a file".to_owned()));
        assert!(files.keys.unwrap_err().contains("UTF-8"));
    }
}
