//! What the editor asks of the world: checks after a pause, writes, files.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::expand_home;
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
    let (mut written, mut objects, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
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
                objects.push(answer.object);
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
        objects,
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
