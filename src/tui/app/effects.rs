//! Effects become tasks, writes to the terminal, and answers.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::buffer::Buffer;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::App;
use super::keeping::{KeptDrafts, KeptSession};
use crate::client::{Client, Patch, WriteOptions};
use crate::tui::editor::{Drafts, EditorEffect, OutsideEdit};
use crate::tui::effect::{Effect, ExitChoice};
use crate::tui::msg::{Msg, Reply, TtyNews};
use crate::tui::panes::view;
use crate::tui::screenshot;
use crate::tui::tasks::{
    LogRequest, TtyInput, WatchRequest, apply, check, create, edit_outside, expand_home,
    follow_kind, follow_logs, list_paths, poll_images, poll_metrics, poll_processes, read_excerpt,
    read_logs, read_manifest, read_story, release_later, run_terminal, save_logs, work_on_images,
};
use crate::tui::term::SessionId;
use crate::tui::terminal;

/// Input of one terminal that waits because its program does not read.
const TTY_INPUT: usize = 1024;

type ClientSlot = watch::Receiver<Option<Arc<dyn Client>>>;

/// Tasks of the effects that go on until they are replaced.
#[derive(Default)]
pub(super) struct Running {
    pub(super) watches: HashMap<crate::model::Kind, AbortOnDropHandle<()>>,
    pub(super) logs: Vec<AbortOnDropHandle<()>>,
    pub(super) log_read: Option<AbortOnDropHandle<()>>,
    pub(super) metrics: Option<AbortOnDropHandle<()>>,
    pub(super) processes: Option<AbortOnDropHandle<()>>,
    pub(super) story: Option<AbortOnDropHandle<()>>,
    pub(super) images: Option<AbortOnDropHandle<()>>,
    pub(super) terminals: HashMap<SessionId, RunningTerminal>,
    pub(super) check: Option<AbortOnDropHandle<()>>,
    /// Reads keys.
    pub(super) input: Option<AbortOnDropHandle<()>>,
    pub(super) drafts: Option<KeptDrafts>,
    pub(super) session: Option<KeptSession>,
    /// What was decided on is done before podtui ends.
    pub(super) deletions: Vec<tokio::task::JoinHandle<()>>,
}

pub(super) struct RunningTerminal {
    input: mpsc::Sender<TtyInput>,
    /// `None`: it ends by itself when its input is closed.
    _task: Option<AbortOnDropHandle<()>>,
}

impl<B: Backend<Error: Send + Sync + 'static>> App<B> {
    /// Starts an effect; `Some` ends the loop.
    pub(super) fn start(&mut self, effect: Effect) -> Option<ExitChoice> {
        match effect {
            Effect::Watch {
                kind,
                generation,
                namespace,
            } => {
                let request = WatchRequest {
                    kind,
                    generation,
                    namespace,
                };
                let task = self
                    .with_client(move |client, messages| follow_kind(client, request, messages));
                self.running.watches.insert(kind, task);
            }
            Effect::Unwatch(kind) => {
                self.running.watches.remove(&kind);
            }
            Effect::CloseLogs => self.running.logs.clear(),
            Effect::OpenLogs {
                generation,
                target,
                opening,
            } => {
                let request = LogRequest {
                    generation,
                    target,
                    opening,
                };
                let task = self
                    .with_client(move |client, messages| follow_logs(client, request, messages));
                self.running.logs.retain(|task| !task.is_finished());
                self.running.logs.push(task);
            }
            Effect::ReadLogs(read) => {
                let task =
                    self.with_client(move |client, messages| read_logs(client, *read, messages));
                self.running.log_read = Some(task);
            }
            Effect::SaveLogs { path, read } => {
                self.reply_from(move |client| save_logs(client, *read, path));
            }
            Effect::PollMetrics(scope) => {
                self.running.metrics = scope.map(|scope| {
                    self.with_client(move |client, messages| {
                        poll_metrics(client, scope.0, messages)
                    })
                });
            }
            Effect::PollProcesses(target) => {
                self.running.processes = target.map(|target| {
                    self.with_client(move |client, messages| {
                        poll_processes(client, target, messages)
                    })
                });
            }
            Effect::ReadStory(target) => {
                let task =
                    self.with_client(move |client, messages| read_story(client, target, messages));
                self.running.story = Some(task);
            }
            Effect::ReadExcerpt {
                target,
                container,
                previous,
            } => {
                self.reply_from(move |client| read_excerpt(client, target, container, previous));
            }
            Effect::Alert(alert) => (self.host.write)(&terminal::alert_sequence(&alert)),
            Effect::Create { path, namespace } => {
                self.reply_from(move |client| create(client, path, namespace));
            }
            Effect::Delete { key, options } => {
                let task = self.reply_from(move |client| async move {
                    let result = client.delete(&key, options).await;
                    if let Err(error) = &result {
                        // Told on the screen as well, if there still is one.
                        tracing::warn!(%error, %key, "not deleted");
                    }
                    Reply::Deleted(key, result.map(|_| ()).map_err(|error| error.to_string()))
                });
                self.running.deletions.retain(|task| !task.is_finished());
                self.running.deletions.push(task);
            }
            Effect::Restart { key, what, patch } => {
                self.reply_from(move |client| async move {
                    let options = WriteOptions::default();
                    let result = client.patch(&key, Patch::Merge(patch), options).await;
                    Reply::Restarted(what, result.map(|_| ()).map_err(|error| error.to_string()))
                });
            }
            Effect::Editor(effect) => self.start_editor(effect),
            Effect::ListPaths(typed) => self.reply_blocking(move || {
                let found = list_paths(&typed);
                Reply::Paths { typed, found }
            }),
            Effect::Screenshot(path) => {
                let buffer = self.snapshot();
                self.reply_blocking(move || {
                    let content = if path.ends_with(".svg") {
                        screenshot::svg(&buffer)
                    } else {
                        screenshot::text(&buffer)
                    };
                    save(path, &content)
                });
            }
            Effect::SaveRecord(path) => {
                let content = self.record.text();
                self.reply_blocking(move || save(path, &content));
            }
            Effect::PollImages(is_wanted) => {
                self.running.images = is_wanted.then(|| self.with_client(poll_images));
            }
            Effect::KeepSession(change) => {
                if let Some(kept) = &self.running.session {
                    kept.latest_tx.send_replace(Some(*change));
                }
            }
            Effect::OpenTerminal(request) => {
                let (input, input_rx) = mpsc::channel(TTY_INPUT);
                let id = request.id;
                let task = self.with_client(move |client, messages| {
                    run_terminal(client, *request, input_rx, messages)
                });
                let running = RunningTerminal {
                    input,
                    _task: Some(task),
                };
                self.running.terminals.insert(id, running);
            }
            Effect::SendTty { id, bytes } => self.send_tty(id, TtyInput::Bytes(bytes.into())),
            Effect::ResizeTty { id, size } => self.send_tty(id, TtyInput::Size(size)),
            Effect::ReleaseTtySoon { id, hold } => {
                tokio::spawn(release_later(id, hold, self.messages_tx.clone()));
            }
            Effect::CloseTerminal(id) => {
                self.running.terminals.remove(&id);
            }
            Effect::Copy(text) => (self.host.write)(&terminal::copy_sequence(&text)),
            Effect::Mouse(is_on) => (self.host.write)(terminal::mouse_sequence(is_on)),
            Effect::MouseMotion(is_on) => (self.host.write)(terminal::motion_sequence(is_on)),
            Effect::CursorShape(shape) => (self.host.write)(terminal::cursor_sequence(shape)),
            Effect::Redraw => self.redraw(),
            Effect::Suspend => {
                if let Err(error) = (self.host.suspend)() {
                    tracing::warn!(%error, "cannot suspend");
                }
                self.redraw();
            }
            Effect::Reenter => {
                if let Err(error) = (self.host.reenter)() {
                    tracing::warn!(%error, "cannot take the terminal again");
                }
                self.redraw();
            }
            Effect::Image(work) => {
                self.reply_from(move |client| work_on_images(client, work));
            }
            Effect::Panic => panic!("the user has asked for a crash"),
            Effect::Exit(choice) => return Some(choice),
        }
        None
    }

    fn send_tty(&mut self, id: SessionId, input: TtyInput) {
        let Some(terminal) = self.running.terminals.get(&id) else {
            return;
        };
        let is_input = matches!(input, TtyInput::Bytes(_));
        // A program that has ended takes no input; that it has is told by another message.
        if let Err(mpsc::error::TrySendError::Full(_)) = terminal.input.try_send(input)
            && is_input
        {
            let news = TtyNews::InputFull;
            // Told again with the next key if there is no room for it now.
            let _ = self.messages_tx.try_send(Msg::Tty { id, news });
        }
    }

    fn start_editor(&mut self, effect: EditorEffect) {
        match effect {
            EditorEffect::Check {
                generation,
                text,
                around,
            } => {
                let task = check(generation, text, *around, self.messages_tx.clone());
                self.running.check = Some(AbortOnDropHandle::new(tokio::spawn(task)));
            }
            EditorEffect::Apply(request) => {
                self.reply_from(move |client| apply(client, *request));
            }
            EditorEffect::Keep(draft) => {
                if let Some(kept) = &self.running.drafts {
                    kept.latest_tx.send_replace(draft);
                }
            }
            EditorEffect::DropRecovered {
                recovered,
                is_discarded,
            } => {
                for one in recovered {
                    if let Err(error) = Drafts::let_go(&one, is_discarded) {
                        tracing::warn!(%error, path = %one.path.display(), "cannot remove an old draft");
                    }
                }
            }
            EditorEffect::External(edit) => self.edit_outside(*edit),
            EditorEffect::ReadFile(path) => self.reply_blocking(move || read_manifest(&path)),
        }
    }

    fn edit_outside(&mut self, edit: OutsideEdit) {
        let (input, input_rx) = mpsc::channel(TTY_INPUT);
        self.running
            .terminals
            .insert(edit.id, RunningTerminal { input, _task: None });
        let kept = self.running.drafts.as_ref();
        let directory = kept.map_or_else(std::env::temp_dir, |kept| kept.directory.clone());
        let drafts = Drafts::in_directory(directory);
        let (programs, command) = (Arc::clone(&self.host.programs), self.host.editor.clone());
        let messages = self.messages_tx.clone();
        // Not aborted with its terminal: somebody has to take what the editor has saved.
        tokio::spawn(edit_outside(
            programs, command, edit, drafts, input_rx, messages,
        ));
    }

    /// A task that starts when there is a client.
    pub(super) fn with_client<F, T>(&self, task: F) -> AbortOnDropHandle<()>
    where
        F: FnOnce(Arc<dyn Client>, mpsc::Sender<Msg>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let slot = self.client_tx.subscribe();
        let messages = self.messages_tx.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            if let Some(client) = connected(slot).await {
                task(client, messages).await;
            }
        }))
    }

    /// A one-time action; it goes on even when its pane is gone, its answer comes as a message.
    pub(super) fn reply_from<F, T>(&self, action: F) -> tokio::task::JoinHandle<()>
    where
        F: FnOnce(Arc<dyn Client>) -> T + Send + 'static,
        T: Future<Output = Reply> + Send + 'static,
    {
        let slot = self.client_tx.subscribe();
        let messages = self.messages_tx.clone();
        tokio::spawn(async move {
            if let Some(client) = connected(slot).await {
                let reply = action(client).await;
                // Nobody waits for the answer when the screen is gone.
                let _ = messages.send(Msg::Reply(reply)).await;
            }
        })
    }

    pub(super) fn reply_blocking(&self, action: impl FnOnce() -> Reply + Send + 'static) {
        let messages = self.messages_tx.clone();
        tokio::task::spawn_blocking(move || {
            let _ = messages.blocking_send(Msg::Reply(action()));
        });
    }

    /// What the screen shows now, drawn once more into a buffer of its own.
    fn snapshot(&self) -> Buffer {
        let screen = self.model.screen;
        let backend = ratatui::backend::TestBackend::new(screen.width, screen.height);
        let mut terminal = Terminal::new(backend).expect("a buffer in memory has no errors");
        let frame = terminal
            .draw(|frame| view(&self.model, frame))
            .expect("a buffer in memory has no errors");
        frame.buffer.clone()
    }
}

async fn connected(mut slot: ClientSlot) -> Option<Arc<dyn Client>> {
    let client = slot.wait_for(Option::is_some).await.ok()?;
    client.clone()
}

fn save(path: String, content: &str) -> Reply {
    // What is on a screen is as private as a recording of it.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(expand_home(&path));
    let result = file
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|error| error.to_string());
    Reply::Saved(path, result)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_saved_of_the_screen_is_for_its_user_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("screen.svg");
        for content in ["a longer one", "short"] {
            let Reply::Saved(_, result) = save(path.to_str().unwrap().to_owned(), content) else {
                panic!("another reply");
            };
            result.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
