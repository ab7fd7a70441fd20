//! What outlives the screen: drafts, views, and deletions that were decided on.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::backend::Backend;
use tokio::sync::watch;

use super::App;
use crate::tui::editor::{Draft, Drafts, EditorReply};
use crate::tui::msg::{Msg, Reply};
use crate::tui::tasks::{keep_drafts, keep_session, read_session};
use crate::tui::views::{SessionChange, SessionRead};

/// How long the end of podtui waits for the engine to take a deletion.
const DELETE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the first frame may wait for the views of the last time.
const SESSION_PATIENCE: Duration = Duration::from_millis(15);

pub(super) type Reading = tokio::task::JoinHandle<SessionRead>;

/// A small file is read before the first frame, so that nothing jumps; one that takes its time comes later.
pub(super) async fn read_session_soon(path: PathBuf) -> Result<SessionRead, Option<Reading>> {
    let mut reading = tokio::task::spawn_blocking(move || read_session(&path));
    match tokio::time::timeout(SESSION_PATIENCE, &mut reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Ok(SessionRead::Unreadable(error.to_string())),
        Err(_) => Err(Some(reading)),
    }
}

/// The task that keeps the draft file.
pub(super) struct KeptDrafts {
    pub(super) directory: PathBuf,
    pub(super) latest_tx: watch::Sender<Option<Draft>>,
    task: tokio::task::JoinHandle<()>,
}

/// The task that keeps the views.
pub(super) struct KeptSession {
    pub(super) latest_tx: watch::Sender<Option<SessionChange>>,
    task: tokio::task::JoinHandle<()>,
}

impl<B: Backend<Error: Send + Sync + 'static>> App<B> {
    /// Keeps the text of an open editor in a file of this directory, and looks for those of dead screens.
    pub(in crate::tui) fn keep_drafts_in(&mut self, directory: PathBuf) {
        let drafts = Drafts::in_directory(directory.clone());
        let (latest_tx, latest_rx) = watch::channel(None);
        let task = tokio::spawn(keep_drafts(drafts.clone(), latest_rx));
        self.running.drafts = Some(KeptDrafts {
            directory,
            latest_tx,
            task,
        });
        self.reply_blocking(move || Reply::Editor(EditorReply::Recovered(drafts.recovered())));
    }

    /// The draft as it is now is on the disk afterwards; that of a closed editor is gone.
    pub(in crate::tui) async fn finish_drafts(&mut self) {
        let Some(kept) = self.running.drafts.take() else {
            return;
        };
        drop(kept.latest_tx);
        if let Err(error) = kept.task.await {
            tracing::warn!(%error, "the draft may not be the last one");
        }
    }

    /// Keeps the views in this file. What was not read yet is told when it is.
    pub(super) fn keep_session_in(&mut self, path: PathBuf, late: Option<Reading>) {
        let (latest_tx, latest_rx) = watch::channel(None);
        let task = tokio::spawn(keep_session(path, latest_rx));
        self.running.session = Some(KeptSession { latest_tx, task });
        if let Some(late) = late {
            let messages = self.messages_tx.clone();
            tokio::spawn(async move {
                if let Ok(read) = late.await {
                    let _ = messages.send(Msg::Session(Box::new(read))).await;
                }
            });
        }
    }

    pub(super) async fn finish_session(&mut self) {
        let Some(kept) = self.running.session.take() else {
            return;
        };
        drop(kept.latest_tx);
        // A file system that does not answer must not keep anybody in podtui.
        if tokio::time::timeout(DELETE_PATIENCE, kept.task)
            .await
            .is_err()
        {
            tracing::warn!("the view may not be kept for the next start");
        }
    }

    /// Waits for the engine's answers to deletions that were confirmed.
    pub(in crate::tui) async fn finish_deletions(&mut self) {
        // Nobody reads the replies any more.
        self.messages_rx.close();
        let all = futures_util::future::join_all(self.running.deletions.drain(..));
        if tokio::time::timeout(DELETE_PATIENCE, all).await.is_err() {
            tracing::warn!("the engine has not answered to a deletion; it may not be carried out");
        }
    }
}
