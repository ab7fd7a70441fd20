//! What the editor asks of the world: checks after a pause, writes, `$EDITOR`, files.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::expand_home;
use super::input::LentTerminal;
use crate::client::{Client, DeleteOptions, Preconditions, WriteOptions, Written};
use crate::manifest::Document;
use crate::model::applied::{apply_patch, with_applied};
use crate::model::{ApiError, Object, ObjectKey, Reason, pod};
use crate::tui::editor::{
    ApplyRequest, Draft, Drafts, EditorReply, Subject, Surroundings, diagnose,
};
use crate::tui::msg::{Msg, Reply};

/// A pause in typing this long brings new diagnostics and a new draft.
const PAUSE: Duration = Duration::from_millis(150);
/// How often it is looked whether a deleted object is gone.
const GONE_POLL: Duration = Duration::from_millis(200);
/// Beyond the grace period of a pod: time for unmounting and cleaning up.
const GONE_PATIENCE: Duration = Duration::from_secs(60);
const MAX_BYTES: u64 = 16 << 20;

/// Diagnoses after the pause; a newer request aborts this one before.
pub(in crate::tui) async fn check(
    generation: u64,
    text: String,
    around: Surroundings,
    messages: mpsc::Sender<Msg>,
) {
    tokio::time::sleep(PAUSE).await;
    let checked = tokio::task::spawn_blocking(move || diagnose(&text, &around)).await;
    if let Ok(report) = checked {
        let reply = EditorReply::Checked { generation, report };
        // The screen may be gone.
        let _ = messages.send(Msg::Reply(Reply::Editor(reply))).await;
    }
}

/// Keeps the draft file as the latest state says, `None` being no file. Ends, with the last state written, when the
/// sender is gone.
pub(in crate::tui) async fn keep_drafts(
    drafts: Drafts,
    mut latest: watch::Receiver<Option<Draft>>,
) {
    let mut is_open = true;
    while is_open {
        // Cancel safe: the state stays in the channel.
        is_open = latest.changed().await.is_ok();
        if is_open && latest.borrow().is_some() {
            tokio::time::sleep(PAUSE).await;
        }
        let draft = latest.borrow_and_update().clone();
        let drafts = drafts.clone();
        let written = tokio::task::spawn_blocking(move || match draft {
            Some(draft) => drafts.save(&draft),
            None => drafts.forget(),
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "the text of the editor cannot be kept in a file");
        }
    }
}

/// Writes the objects of a request in their order, up to the first refusal.
pub(in crate::tui) async fn apply(client: Arc<dyn Client>, request: ApplyRequest) -> Reply {
    let (mut written, mut warnings) = (Vec::new(), Vec::new());
    let mut refused = None;
    for (key, manifest, document) in request.objects {
        let text = document.text();
        let result = match &request.subject {
            Subject::New => create(&*client, &manifest, text)
                .await
                .map(|done| ("created", done)),
            Subject::Existing { key, uid } if request.recreate => {
                let result = recreate(&*client, key, uid, &manifest, text).await;
                result.map(|done| ("recreated", done))
            }
            Subject::Existing { key, uid } => {
                change(&*client, key, uid, &request.base, &manifest, &document)
                    .await
                    .map(|done| ("configured", done))
            }
        };
        match result {
            Ok((done, answer)) => {
                written.push(format!("{key} {done}"));
                warnings.extend(answer.warnings);
            }
            Err(error) => {
                refused = Some((error, Some(Box::new(document))));
                break;
            }
        }
    }
    Reply::Editor(EditorReply::Applied {
        written,
        warnings,
        refused,
    })
}

async fn create(
    client: &dyn Client,
    manifest: &serde_json::Value,
    text: Option<&str>,
) -> Result<Written, ApiError> {
    client
        .create(with_applied(manifest, text), WriteOptions::default())
        .await
}

async fn change(
    client: &dyn Client,
    key: &ObjectKey,
    uid: &crate::base::Uid,
    base: &serde_json::Value,
    manifest: &serde_json::Value,
    document: &Document,
) -> Result<Written, ApiError> {
    let live = client.get(key).await?;
    if live.uid() != *uid {
        return Err(replaced(key));
    }
    let patch = apply_patch(base, &live, manifest, document.text());
    client
        .patch(
            key,
            crate::client::Patch::Strategic(patch),
            WriteOptions::default(),
        )
        .await
}

fn replaced(key: &ObjectKey) -> ApiError {
    ApiError::new(
        Reason::Conflict,
        format!("{key} was deleted and created anew since the editor was opened"),
    )
}

/// Deletes and creates. The server is asked whether it would take the new object before the old one goes.
async fn recreate(
    client: &dyn Client,
    key: &ObjectKey,
    uid: &crate::base::Uid,
    manifest: &serde_json::Value,
    text: Option<&str>,
) -> Result<Written, ApiError> {
    let trial = WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    match client.create(with_applied(manifest, text), trial).await {
        Err(error) if error.reason != Reason::AlreadyExists => return Err(error),
        _ => {}
    }
    let options = DeleteOptions {
        preconditions: Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        },
        ..DeleteOptions::default()
    };
    match client.delete(key, options).await {
        Ok(object) => wait_gone(client, key, &object).await?,
        Err(error) if error.reason == Reason::NotFound => {}
        Err(error) => return Err(error),
    }
    create(client, manifest, text).await
}

async fn wait_gone(client: &dyn Client, key: &ObjectKey, deleted: &Object) -> Result<(), ApiError> {
    let grace = match deleted {
        Object::Pod(pod) => pod::grace_period_seconds(pod),
        _ => 0,
    };
    let patience = GONE_PATIENCE + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let wait = async {
        loop {
            match client.get(key).await {
                Ok(object) if object.uid() == deleted.uid() => tokio::time::sleep(GONE_POLL).await,
                Err(error) if error.reason != Reason::NotFound => return Err(error),
                _ => return Ok(()),
            }
        }
    };
    match tokio::time::timeout(patience, wait).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::new(
            Reason::Timeout,
            format!(
                "{key} is still being deleted after {} s; try again when it is gone",
                patience.as_secs()
            ),
        )),
    }
}

/// Runs `$KUBE_EDITOR`, `$EDITOR` or `vi` on a file with this text, as kubectl does, and returns what it holds then.
/// The caller has given the terminal away.
pub(in crate::tui) fn edit_outside(text: &str, directory: Option<&Path>) -> Result<String, String> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    let command = variable("KUBE_EDITOR")
        .or_else(|| variable("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned());
    let directory = directory.map_or_else(std::env::temp_dir, Path::to_path_buf);
    edit_with(&command, text, &directory)
}

fn edit_with(command: &str, text: &str, directory: &Path) -> Result<String, String> {
    let path = directory.join(format!("edit-{}.yaml", std::process::id()));
    let lent = LentTerminal::lend();
    let result = edit_file(command, &path, text);
    drop(lent);
    // Bytes: what cannot be read back because it is not UTF-8 was typed all the same.
    let is_changed = || fs::read(&path).is_ok_and(|left| left != text.as_bytes());
    if result.is_err() && is_changed() {
        let kept = keep(&path).unwrap_or(path);
        let place = kept.display();
        return result.map_err(|error| format!("$EDITOR: {error}; what was typed is in {place}"));
    }
    // The text is in the editor of the screen and in its draft from here on.
    let _ = fs::remove_file(&path);
    result.map_err(|error| format!("$EDITOR: {error}"))
}

/// A name of its own, so that no later edit writes over it.
fn keep(path: &Path) -> Option<PathBuf> {
    let names = (1u32..).map(|number| path.with_extension(format!("kept{number}.yaml")));
    // A hard link is refused where the name is taken; a rename would replace it.
    for kept in names.take(1000) {
        match fs::hard_link(path, &kept) {
            Ok(()) => {
                let _ = fs::remove_file(path);
                return Some(kept);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

fn edit_file(command: &str, path: &PathBuf, text: &str) -> Result<String, String> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    // Whatever stands at the place, a link for instance, is not written through.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    drop(file);
    // Through a shell: the variable may hold arguments.
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("{command} \"$1\""), "sh"])
        .arg(path)
        .status()
        .map_err(|error| format!("{command}: {error}"))?;
    if !status.success() {
        return Err(format!("{command}: {status}"));
    }
    fs::read_to_string(path).map_err(failed)
}

/// A manifest to be opened in the editor.
pub(in crate::tui) fn read_manifest(path: &str) -> Reply {
    let place = expand_home(path);
    let read = || -> Result<String, String> {
        let metadata = fs::metadata(&place).map_err(|error| format!("{path}: {error}"))?;
        // A pipe or a device could block or never end.
        if !metadata.is_file() {
            return Err(format!("{path}: it is not a regular file"));
        }
        if metadata.len() > MAX_BYTES {
            return Err(format!("{path}: it is larger than {} MiB", MAX_BYTES >> 20));
        }
        fs::read_to_string(&place).map_err(|error| format!("{path}: {error}"))
    };
    Reply::Editor(EditorReply::FileRead(path.to_owned(), read()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_outlives_a_failing_editor() {
        let directory = tempfile::tempdir().unwrap();
        let edit = |command: &str| edit_with(command, "a: 1\n", directory.path());
        let types = "f() { echo 'b: 2' >> \"$1\"; return 3; }; f";
        let error = edit(types).unwrap_err();
        let (_, place) = error.split_once("what was typed is in ").unwrap();
        assert_eq!(fs::read_to_string(place).unwrap(), "a: 1\nb: 2\n");
        // A later edit leaves it alone, and an editor that changed nothing leaves nothing.
        assert!(edit("false").unwrap_err().contains("exit status: 1"));
        assert_eq!(edit("true").unwrap(), "a: 1\n");
        assert_eq!(fs::read_to_string(place).unwrap(), "a: 1\nb: 2\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        // Neither does a second failure write over the first, nor are bytes that are no text thrown away.
        let bytes = "f() { printf '\\377' > \"$1\"; }; f";
        let error = edit(bytes).unwrap_err();
        let (_, second) = error.split_once("what was typed is in ").unwrap();
        assert_ne!(second, place);
        assert_eq!(fs::read(second).unwrap(), [0xff]);
        assert_eq!(fs::read_to_string(place).unwrap(), "a: 1\nb: 2\n");
    }
}
