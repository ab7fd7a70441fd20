//! The text of an open editor in a file, so that a crash, a lost terminal or a kill costs at most the last pause.
//!
//! One file per screen, in the state directory, mode 0600 because the text may be a secret. The file names its
//! screen by process id and start time; the file of a screen that is gone is offered by the next one. Format
//! version 1; a file of another version is left alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Editor, Subject};
use crate::model::{Kind, ObjectKey};

const VERSION: u32 = 1;

/// An unfinished edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::tui) struct Draft {
    version: u32,
    /// `None` for new objects.
    kind: Option<Kind>,
    name: String,
    pub(in crate::tui) namespace: String,
    pub(in crate::tui) text: String,
    pub(in crate::tui) saved_at: Timestamp,
}

impl Draft {
    pub(super) fn of(editor: &Editor, text: &str, now: Timestamp) -> Self {
        let key = match &editor.subject {
            Subject::Existing { key, .. } => Some(key),
            Subject::New => None,
        };
        Self {
            version: VERSION,
            kind: key.map(|key| key.kind),
            name: key.map(|key| key.name.clone()).unwrap_or_default(),
            namespace: editor.namespace.clone(),
            text: text.to_owned(),
            saved_at: now,
        }
    }

    /// The object that was edited; `None` when it was a new one.
    pub(in crate::tui) fn key(&self) -> Option<ObjectKey> {
        self.kind.map(|kind| {
            let namespace = if kind.is_namespaced() {
                self.namespace.as_str()
            } else {
                ""
            };
            ObjectKey::new(kind, namespace, &self.name)
        })
    }
}

/// A draft of a screen that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Recovered {
    pub(in crate::tui) path: PathBuf,
    pub(in crate::tui) draft: Draft,
}

/// The draft file of this process, and those of others.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Drafts {
    directory: PathBuf,
}

impl Drafts {
    pub(in crate::tui) fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn own_path(&self) -> PathBuf {
        let pid = std::process::id();
        let started = start_time(pid).unwrap_or_default();
        self.directory.join(format!("{pid}-{started}.json"))
    }

    pub(in crate::tui) fn save(&self, draft: &Draft) -> std::io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let path = self.own_path();
        let beside = path.with_extension("tmp");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&serde_json::to_vec(draft)?)?;
        file.sync_data()?;
        fs::rename(beside, path)
    }

    pub(in crate::tui) fn forget(&self) -> std::io::Result<()> {
        match fs::remove_file(self.own_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The drafts of screens that are not there any more, the newest first.
    pub(in crate::tui) fn recovered(&self) -> Vec<Recovered> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let mut found: Vec<Recovered> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_orphaned(path))
            .filter_map(|path| {
                let draft: Draft = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
                (draft.version == VERSION).then_some(Recovered { path, draft })
            })
            .collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.draft.saved_at));
        found
    }
}

fn is_orphaned(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let owner = name
        .strip_suffix(".json")
        .and_then(|name| name.split_once('-'));
    let Some((pid, started)) = owner else {
        return false;
    };
    let Ok(pid) = pid.parse() else { return false };
    start_time(pid).is_none_or(|now| now != started)
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)): ticks since boot. `None` when there is no such process.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields behind it are numbered from 3.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn draft(text: &str) -> Draft {
        Draft {
            version: VERSION,
            kind: Some(Kind::Pod),
            name: "p".to_owned(),
            namespace: "default".to_owned(),
            text: text.to_owned(),
            saved_at: "2026-01-02T03:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_drafts_of_the_living_are_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let drafts = Drafts::in_directory(directory.path().join("edits"));
        assert_eq!(drafts.recovered(), []);
        drafts.save(&draft("one")).unwrap();
        drafts.save(&draft("two")).unwrap();
        assert_eq!(drafts.recovered(), []);
        let mode = fs::metadata(drafts.own_path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drafts.forget().unwrap();
        drafts.forget().unwrap();
        assert!(!drafts.own_path().exists());
    }

    #[test]
    fn the_drafts_of_the_dead_are_offered() {
        let directory = tempfile::tempdir().unwrap();
        let drafts = Drafts::in_directory(directory.path().to_owned());
        let pid = std::process::id();
        // The same process id, but of another process.
        for (name, text) in [
            (format!("{pid}-1.json"), "mine"),
            (format!("{pid}-1.tmp"), "half"),
        ] {
            fs::write(
                directory.path().join(name),
                serde_json::to_vec(&draft(text)).unwrap(),
            )
            .unwrap();
        }
        fs::write(directory.path().join("1-0.json"), "{\"version\": 2}").unwrap();
        let found = drafts.recovered();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].draft, draft("mine"));
        assert_eq!(found[0].draft.key(), Some(ObjectKey::pod("default", "p")));
    }
}
