//! The text of an open editor in a file, so that a crash, a lost terminal or a kill costs at most the last pause.
//!
//! One file per screen, in the state directory, mode 0600 because the text may be a secret. The file names its
//! screen by process id and start time; the file of a screen that is gone is offered by the next one. Format
//! version 1; a file of another version is left alone.
//!
//! While `$EDITOR` has the text, it is in a directory beside it (`PID-START-N.outside`), with the draft it began
//! with in [`BEGINNING`] and the edited file; such a directory of a screen that is gone is offered in the same way.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outside::without_head;
use super::state::{Editor, Subject};
use crate::model::{Kind, ObjectKey};

const VERSION: u32 = 1;
/// The draft an outside edit began with.
const BEGINNING: &str = "draft.json";
const OUTSIDE: &str = "outside";
/// How long what an outside editor had not saved is kept after the last change of it.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

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
    /// An outside editor has left more beside the text, for instance what it had not saved.
    pub(in crate::tui) has_strays: bool,
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

    fn own_name() -> String {
        let pid = std::process::id();
        let started = start_time(pid).unwrap_or_default();
        format!("{pid}-{started}")
    }

    fn own_path(&self) -> PathBuf {
        self.directory.join(format!("{}.json", Self::own_name()))
    }

    fn ensure(&self) -> std::io::Result<()> {
        let mut directory = fs::DirBuilder::new();
        directory
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
    }

    /// An empty directory for an outside edit that begins with this draft.
    pub(in crate::tui) fn make_outside(&self, draft: &Draft) -> std::io::Result<PathBuf> {
        self.ensure()?;
        let own = Self::own_name();
        for number in 1..1000 {
            let path = self.directory.join(format!("{own}-{number}.{OUTSIDE}"));
            // A kept one of the same number would be in the way later.
            if path.with_extension("kept").exists() {
                continue;
            }
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let mut options = fs::OpenOptions::new();
                    let options = options.create_new(true).write(true).mode(0o600);
                    let mut file = options.open(path.join(BEGINNING))?;
                    file.write_all(&serde_json::to_vec(draft)?)?;
                    return Ok(path);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::Error::other(format!(
            "{} is full of kept edits",
            self.directory.display()
        )))
    }

    /// More than the draft and the edited file is in the directory of an outside edit.
    pub(in crate::tui) fn has_strays(directory: &Path) -> bool {
        fs::read_dir(directory).is_ok_and(|entries| entries.count() > 2)
    }

    /// What was offered is in an editor now, or not wanted any more. What an outside editor has left beside it is
    /// only removed in the second case.
    pub(in crate::tui) fn let_go(recovered: &Recovered, is_discarded: bool) -> std::io::Result<()> {
        let path = &recovered.path;
        if !path.is_dir() {
            fs::remove_file(path)
        } else if recovered.has_strays && !is_discarded {
            fs::rename(path, path.with_extension("kept"))
        } else {
            fs::remove_dir_all(path)
        }
    }

    pub(in crate::tui) fn save(&self, draft: &Draft) -> std::io::Result<()> {
        self.ensure()?;
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

    /// The drafts of screens that are not there any more, the newest first. What was kept beside an opened one
    /// ([`Drafts::let_go`]) goes after [`KEPT_FOR`].
    pub(in crate::tui) fn recovered(&self) -> Vec<Recovered> {
        self.remove_old(SystemTime::now());
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let mut found: Vec<Recovered> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_orphaned(path))
            .filter_map(recover)
            .collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.draft.saved_at));
        found
    }
}

impl Drafts {
    fn remove_old(&self, now: SystemTime) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_kept = path
                .extension()
                .is_some_and(|extension| extension == "kept");
            // Its name was changed when it was kept, which does not change the time of what is in it.
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            let age = changed.ok().and_then(|at| now.duration_since(at).ok());
            if is_kept && age.is_some_and(|age| age >= KEPT_FOR) {
                match fs::remove_dir_all(&path) {
                    Ok(()) => tracing::info!(path = %path.display(), "removed an old kept edit"),
                    Err(error) => {
                        tracing::warn!(%error, path = %path.display(), "cannot remove an old kept edit");
                    }
                }
            }
        }
    }
}

fn recover(path: PathBuf) -> Option<Recovered> {
    if path.is_dir() {
        return recover_outside(path);
    }
    let draft: Draft = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    (draft.version == VERSION).then_some(Recovered {
        path,
        draft,
        has_strays: false,
    })
}

/// The text as the editor saved it last. One that was never saved, and left nothing else, is no loss and goes.
fn recover_outside(path: PathBuf) -> Option<Recovered> {
    let mut draft: Draft = serde_json::from_slice(&fs::read(path.join(BEGINNING)).ok()?).ok()?;
    if draft.version != VERSION {
        return None;
    }
    let edited = fs::read_dir(&path).ok()?.flatten().find(|entry| {
        let path = entry.path();
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    })?;
    let text = without_head(&fs::read_to_string(edited.path()).ok()?);
    let has_strays = Drafts::has_strays(&path);
    if text == draft.text && !has_strays {
        // Not worth a word: it is tried again by the next screen.
        let _ = fs::remove_dir_all(&path);
        return None;
    }
    let saved = edited.metadata().and_then(|metadata| metadata.modified());
    draft.saved_at = saved
        .ok()
        .and_then(|at| Timestamp::try_from(at).ok())
        .unwrap_or(draft.saved_at);
    draft.text = text;
    Some(Recovered {
        path,
        draft,
        has_strays,
    })
}

/// `PID-START.json` or `PID-START-N.outside`, of a process that is gone.
fn is_orphaned(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let owner = match name.rsplit_once('.') {
        Some((owner, "json")) => Some(owner),
        Some((owner, OUTSIDE)) => owner.rsplit_once('-').map(|(owner, _)| owner),
        _ => None,
    };
    let Some((pid, started)) = owner.and_then(|owner| owner.split_once('-')) else {
        return false;
    };
    let Ok(pid) = pid.parse() else { return false };
    start_time(pid).is_none_or(|now| now != started)
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)): ticks since boot. `None` when there is no such process, and
/// for one that has ended and waits for its parent to notice.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields behind it are numbered from 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
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
    fn a_process_that_nobody_has_reaped_is_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(start_time(pid).is_some_and(|ticks| ticks.parse::<u64>().is_ok()));
        child.kill().unwrap();
        let ends = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while start_time(pid).is_some() && std::time::Instant::now() < ends {
            std::thread::yield_now();
        }
        // Not waited for yet, so it is still there to see.
        assert!(std::path::Path::new(&format!("/proc/{pid}/stat")).exists());
        assert_eq!(start_time(pid), None);
        child.wait().unwrap();
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

    #[test]
    fn what_an_outside_editor_saved_is_offered() {
        let directory = tempfile::tempdir().unwrap();
        let drafts = Drafts::in_directory(directory.path().to_owned());
        let pid = std::process::id();
        let outside = |number: u8, files: &[(&str, &str)]| {
            // Of the same process id, but of another process.
            let path = directory.path().join(format!("{pid}-1-{number}.outside"));
            fs::create_dir(&path).unwrap();
            fs::write(
                path.join(BEGINNING),
                serde_json::to_vec(&draft("old\n")).unwrap(),
            )
            .unwrap();
            for (name, text) in files {
                fs::write(path.join(name), text).unwrap();
            }
            path
        };
        let untouched = outside(1, &[("p.yaml", "old\n")]);
        let saved = outside(2, &[("p.yaml", "new\n")]);
        let unsaved = outside(3, &[("p.yaml", "old\n"), (".p.yaml.swp", "typed")]);
        let living = drafts.make_outside(&draft("old\n")).unwrap();
        let mut found = drafts.recovered();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        let found: Vec<_> = found
            .iter()
            .map(|one| (&one.path, one.draft.text.as_str(), one.has_strays))
            .collect();
        assert_eq!(found, [(&saved, "new\n", false), (&unsaved, "old\n", true)]);
        assert!(!untouched.exists() && living.exists());
        // What is opened is not kept twice, but what the editor had not saved is.
        for one in drafts.recovered() {
            Drafts::let_go(&one, false).unwrap();
        }
        assert!(!saved.exists() && !unsaved.exists());
        let kept = unsaved.with_extension("kept");
        assert!(kept.join(".p.yaml.swp").exists());
        assert_eq!(drafts.recovered(), []);
        let now = SystemTime::now();
        drafts.remove_old(now + KEPT_FOR - Duration::from_secs(60));
        assert!(kept.exists());
        drafts.remove_old(now + KEPT_FOR + Duration::from_secs(60));
        assert!(!kept.exists() && living.exists());
    }
}
