//! The loop: messages in, model changed, effects started, frames drawn.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::buffer::Buffer;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::cast::{Cast, CastError};
use super::editor::{Draft, Drafts, EditorEffect, EditorReply, OutsideEdit};
use super::effect::{Effect, ExitChoice};
use super::host::{HostPrograms, TerminalKeeper};
use super::look::Look;
use super::model::{Connection, Model, Session};
use super::msg::{Msg, Reply, TtyNews};
use super::overlay::Focus;
use super::pace::Pace;
use super::panes::view;
use super::record::Record;
use super::screenshot;
use super::settings::TuiSettings;
use super::tasks::{
    LogRequest, TtyInput, WatchRequest, apply, check, create, edit_outside, editor_command,
    expand_home, follow_kind, follow_logs, follow_personal, keep_drafts, keep_session, list_paths,
    poll_images, poll_metrics, poll_processes, read_excerpt, read_logs, read_manifest,
    read_personal, read_session, read_story, release_later, run_terminal, save_logs,
    terminal_input, watch_signals, work_on_images,
};
use super::term::SessionId;
use super::terminal::{self, FrameBackend, TerminalGuard};
use super::theme::Glyphs;
use super::update::update;
use super::views::{SessionChange, SessionRead};
use crate::base::Clock;
use crate::client::{Client, Patch, WriteOptions};

/// Messages that wait at most; a batch of log lines is one message.
const CHANNEL: usize = 64;
/// Input of one terminal that waits because its program does not read.
const TTY_INPUT: usize = 1024;
/// How long the end of podtui waits for the engine to take a deletion.
const DELETE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the first frame may wait for the views of the last time.
const SESSION_PATIENCE: Duration = Duration::from_millis(15);
/// Messages handled before the next look at the frame that is due.
const MAX_BURST: usize = 256;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TuiError {
    #[error(transparent)]
    Record(#[from] CastError),
    #[error("cannot use this terminal")]
    Terminal(#[source] io::Error),
    /// The text is the engine's; the screen has shown it.
    #[error("{0}")]
    Engine(String),
}

/// Takes the terminal, draws the first frame, and only then lets `client` run. Returns when the user leaves,
/// with the terminal as it was. To be driven by `block_on` on one thread: a panic of that thread gives the
/// terminal back.
pub(crate) async fn run(
    settings: TuiSettings,
    programs: Arc<dyn HostPrograms>,
    keeper: Box<dyn TerminalKeeper>,
    client: impl Future<Output = Result<Arc<dyn Client>, String>> + Send + 'static,
) -> Result<ExitChoice, TuiError> {
    let mut model = initial_model(&settings, Clock::system().now(), TimeZone::system());
    let mut first_effects = Vec::new();
    if let Some(directory) = &settings.config_dir {
        // A few small files, before the terminal is touched: the first frame has the right colours.
        let personal = Msg::Personal(Box::new(read_personal(directory)));
        first_effects = update(&mut model, personal);
    }
    let late_session = match settings.session_file.clone() {
        Some(path) => read_session_soon(path).await,
        None => Err(None),
    };
    let late_session = match late_session {
        Ok(read) => {
            first_effects.extend(update(&mut model, Msg::Session(Box::new(read))));
            None
        }
        Err(late) => late,
    };
    let personal = model.personal.clone();
    // Before the terminal is taken: a file that cannot be written is told like any other mistake.
    let cast = settings
        .record
        .as_deref()
        .map(|path| Cast::create(path, Clock::system()))
        .transpose()?;
    let guard = TerminalGuard::take(keeper).map_err(TuiError::Terminal)?;
    let (suspending, taking) = (guard.hold(), guard.hold());
    let terminal = Terminal::new(FrameBackend::stdout(cast.clone())).map_err(TuiError::Terminal)?;
    let mut app = App::new(
        model,
        terminal,
        Clock::system(),
        Host {
            suspend: Box::new(move || terminal::suspend(&suspending)),
            reenter: Box::new(move || terminal::reenter(&taking)),
            write: terminal::write,
            programs,
            editor: editor_command(|name| std::env::var(name).ok()),
        },
    );
    app.cast = cast;
    app.draw().map_err(TuiError::Terminal)?;
    guard.watch();
    // The model counts on them: what it believes to be watched has to be.
    for effect in first_effects {
        app.start(effect);
    }
    app.listen();
    if let Some(directory) = settings.edits_dir {
        app.keep_drafts_in(directory);
    }
    if let Some(path) = settings.session_file {
        app.keep_session_in(path, late_session);
    }
    let signals = app.input_tx.clone();
    let _signals = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = watch_signals(signals).await {
            tracing::error!(%error, "signals cannot be watched");
        }
    }));
    let changes = app.messages_tx.clone();
    let _personal = settings.config_dir.map(|directory| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = follow_personal(directory, personal, changes.clone()).await {
                // The screen may be gone.
                let _ = changes
                    .send(Msg::PersonalUnwatched(error.to_string()))
                    .await;
            }
        }))
    });
    let result = app.run(client).await;
    app.finish_deletions().await;
    app.finish_session().await;
    app.finish_drafts().await;
    if let Some(cast) = &app.cast {
        cast.finish();
        if let Some((path, problem)) = cast.take_problem() {
            tracing::error!(path, problem, "the recording is not whole");
        }
    }
    result
}

type Reading = tokio::task::JoinHandle<SessionRead>;

/// A small file is read before the first frame, so that nothing jumps; one that takes its time comes later.
async fn read_session_soon(path: PathBuf) -> Result<SessionRead, Option<Reading>> {
    let mut reading = tokio::task::spawn_blocking(move || read_session(&path));
    match tokio::time::timeout(SESSION_PATIENCE, &mut reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Ok(SessionRead::Unreadable(error.to_string())),
        Err(_) => Err(Some(reading)),
    }
}

pub(super) fn initial_model(settings: &TuiSettings, now: jiff::Timestamp, zone: TimeZone) -> Model {
    let glyphs = if settings.ascii {
        Glyphs::ASCII
    } else {
        Glyphs::UNICODE
    };
    let look = Look::new(glyphs, settings.no_color, settings.depth);
    let session = Session {
        context: settings.context.clone(),
        zone,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        on_exit: settings.on_exit,
        is_readonly: settings.readonly,
        connection: Connection::Starting,
        machine_notes: 0,
        pids_limit: None,
    };
    let mut model = Model::new(session, look, settings.namespace.clone(), now);
    model.views.is_namespace_given = settings.namespace_is_given;
    model
}

/// What only the real terminal and the machine can do.
pub(super) struct Host {
    pub(super) suspend: Box<dyn Fn() -> io::Result<()>>,
    pub(super) reenter: Box<dyn Fn() -> io::Result<()>>,
    /// Writes a whole sequence between two frames.
    pub(super) write: fn(&[u8]),
    pub(super) programs: Arc<dyn HostPrograms>,
    /// The command line of `$EDITOR`.
    pub(super) editor: String,
}

type ClientSlot = watch::Receiver<Option<Arc<dyn Client>>>;

/// Tasks of the effects that go on until they are replaced.
#[derive(Default)]
struct Running {
    watches: HashMap<crate::model::Kind, AbortOnDropHandle<()>>,
    logs: Vec<AbortOnDropHandle<()>>,
    log_read: Option<AbortOnDropHandle<()>>,
    metrics: Option<AbortOnDropHandle<()>>,
    processes: Option<AbortOnDropHandle<()>>,
    story: Option<AbortOnDropHandle<()>>,
    images: Option<AbortOnDropHandle<()>>,
    terminals: HashMap<SessionId, RunningTerminal>,
    check: Option<AbortOnDropHandle<()>>,
    /// Reads keys.
    input: Option<AbortOnDropHandle<()>>,
    drafts: Option<KeptDrafts>,
    session: Option<KeptSession>,
    /// What was decided on is done before podtui ends.
    deletions: Vec<tokio::task::JoinHandle<()>>,
}

struct RunningTerminal {
    input: mpsc::Sender<TtyInput>,
    /// `None`: it ends by itself when its input is closed.
    _task: Option<AbortOnDropHandle<()>>,
}

/// The task that keeps the draft file.
struct KeptDrafts {
    directory: std::path::PathBuf,
    latest_tx: watch::Sender<Option<Draft>>,
    task: tokio::task::JoinHandle<()>,
}

/// The task that keeps the views.
struct KeptSession {
    latest_tx: watch::Sender<Option<SessionChange>>,
    task: tokio::task::JoinHandle<()>,
}

pub(super) struct App<B: Backend> {
    model: Model,
    terminal: Terminal<B>,
    clock: Clock,
    host: Host,
    /// What the user does; it is handled before everything else.
    input_tx: mpsc::Sender<Msg>,
    input_rx: mpsc::Receiver<Msg>,
    messages_tx: mpsc::Sender<Msg>,
    messages_rx: mpsc::Receiver<Msg>,
    client_tx: watch::Sender<Option<Arc<dyn Client>>>,
    running: Running,
    record: Record,
    cast: Option<Cast>,
    pace: Pace,
    pub(super) frames: u64,
}

impl<B: Backend<Error: Send + Sync + 'static>> App<B> {
    pub(super) fn new(model: Model, terminal: Terminal<B>, clock: Clock, host: Host) -> Self {
        let (input_tx, input_rx) = mpsc::channel(CHANNEL);
        let (messages_tx, messages_rx) = mpsc::channel(CHANNEL);
        let mut app = Self {
            model,
            terminal,
            clock,
            host,
            input_tx,
            input_rx,
            messages_tx,
            messages_rx,
            client_tx: watch::Sender::new(None),
            running: Running::default(),
            record: Record::default(),
            cast: None,
            pace: Pace::from(Instant::now()),
            frames: 0,
        };
        if let Ok(size) = app.terminal.size() {
            app.model.screen = ratatui::layout::Rect::new(0, 0, size.width, size.height);
        }
        app
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> mpsc::Sender<Msg> {
        self.messages_tx.clone()
    }

    #[cfg(test)]
    pub(super) fn backend(&self) -> &B {
        self.terminal.backend()
    }

    pub(super) fn draw(&mut self) -> io::Result<()> {
        self.model.pending.is_dirty = false;
        self.pace.drawn(Instant::now());
        self.frames += 1;
        let model = &self.model;
        self.terminal
            .draw(|frame| view(model, frame))
            .map_err(io::Error::other)?;
        if let Some((path, problem)) = self.cast.as_ref().and_then(Cast::take_problem) {
            let reply = Reply::Saved(path, Err(problem));
            for effect in update(&mut self.model, Msg::Reply(reply)) {
                self.start(effect);
            }
        }
        Ok(())
    }

    pub(super) async fn run(
        &mut self,
        client: impl Future<Output = Result<Arc<dyn Client>, String>> + Send + 'static,
    ) -> Result<ExitChoice, TuiError> {
        let _connecting = AbortOnDropHandle::new(tokio::spawn(connect(
            client,
            self.client_tx.clone(),
            self.messages_tx.clone(),
        )));
        let mut ticks = tokio::time::interval_at(
            Instant::now() + Duration::from_secs(1),
            Duration::from_secs(1),
        );
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let is_dirty = self.model.pending.is_dirty;
            // Every arm is cancel safe: `recv`, `tick` and `sleep_until` lose nothing when dropped. A frame
            // that is due comes first, so that a flood of messages cannot starve the screen; then comes the
            // user, so that it cannot delay a key.
            let msg = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.pace.due()), if is_dirty => {
                    if let Err(error) = self.draw() {
                        // The terminal is gone; what is left to do is what SIGHUP would.
                        tracing::warn!(%error, "cannot draw");
                        Msg::Terminate
                    } else {
                        continue;
                    }
                }
                Some(msg) = self.input_rx.recv() => msg,
                _ = ticks.tick() => Msg::Tick(self.clock.now()),
                Some(msg) = self.messages_rx.recv() => msg,
            };
            if let Some(choice) = self.handle_burst(msg) {
                return match &self.model.session.connection {
                    Connection::Failed(problem) => Err(TuiError::Engine(problem.clone())),
                    Connection::Starting | Connection::Up { .. } => Ok(choice),
                };
            }
        }
    }

    /// Handles what is there already, up to the time of the next frame.
    fn handle_burst(&mut self, first: Msg) -> Option<ExitChoice> {
        let mut next = Some(first);
        for _ in 0..MAX_BURST {
            let Some(msg) = next else { break };
            let at = self.clock.now();
            let is_private = self.model.types_into_program(&msg);
            self.record.push(at, &msg, is_private);
            if msg.is_from_user() {
                let is_answered = self.model.focus == Focus::Terminal;
                self.pace.ask(Instant::now(), is_answered);
            }
            if let Some(cast) = &self.cast {
                cast.message(&msg, is_private);
            }
            for effect in update(&mut self.model, msg) {
                if let Some(choice) = self.start(effect) {
                    return Some(choice);
                }
            }
            if self.model.pending.is_dirty && Instant::now() >= self.pace.due() {
                break;
            }
            let input = self.input_rx.try_recv();
            next = input.or_else(|_| self.messages_rx.try_recv()).ok();
        }
        None
    }

    /// Starts an effect; `Some` ends the loop.
    fn start(&mut self, effect: Effect) -> Option<ExitChoice> {
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

    /// Starts reading keys.
    fn listen(&mut self) {
        let input = tokio::spawn(terminal_input(self.input_tx.clone()));
        self.running.input = Some(AbortOnDropHandle::new(input));
    }

    /// Keeps the text of an open editor in a file of this directory, and looks for those of dead screens.
    pub(super) fn keep_drafts_in(&mut self, directory: std::path::PathBuf) {
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
    pub(super) async fn finish_drafts(&mut self) {
        let Some(kept) = self.running.drafts.take() else {
            return;
        };
        drop(kept.latest_tx);
        if let Err(error) = kept.task.await {
            tracing::warn!(%error, "the draft may not be the last one");
        }
    }

    /// Keeps the views in this file. What was not read yet is told when it is.
    fn keep_session_in(&mut self, path: PathBuf, late: Option<Reading>) {
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

    async fn finish_session(&mut self) {
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
    pub(super) async fn finish_deletions(&mut self) {
        // Nobody reads the replies any more.
        self.messages_rx.close();
        let all = futures_util::future::join_all(self.running.deletions.drain(..));
        if tokio::time::timeout(DELETE_PATIENCE, all).await.is_err() {
            tracing::warn!("the engine has not answered to a deletion; it may not be carried out");
        }
    }

    /// A task that starts when there is a client.
    fn with_client<F, T>(&self, task: F) -> AbortOnDropHandle<()>
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
    fn reply_from<F, T>(&self, action: F) -> tokio::task::JoinHandle<()>
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

    fn reply_blocking(&self, action: impl FnOnce() -> Reply + Send + 'static) {
        let messages = self.messages_tx.clone();
        tokio::task::spawn_blocking(move || {
            let _ = messages.blocking_send(Msg::Reply(action()));
        });
    }

    /// The next frame draws every cell.
    fn redraw(&mut self) {
        let area = self
            .terminal
            .size()
            .map(|size| ratatui::layout::Rect::new(0, 0, size.width, size.height));
        if let Ok(area) = area {
            self.model.screen = area;
            if let Err(error) = self.terminal.resize(area) {
                tracing::warn!(%error, "cannot clear the screen");
            }
        }
        self.model.pending.is_dirty = true;
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

async fn connect(
    client: impl Future<Output = Result<Arc<dyn Client>, String>>,
    slot: watch::Sender<Option<Arc<dyn Client>>>,
    messages: mpsc::Sender<Msg>,
) {
    let msg = match client.await {
        Ok(client) => {
            slot.send_replace(Some(Arc::clone(&client)));
            match client.engine_info().await {
                Ok(info) => Msg::Connected(Box::new(info)),
                Err(error) => Msg::ConnectFailed(error.to_string()),
            }
        }
        Err(problem) => Msg::ConnectFailed(problem),
    };
    // The screen may be gone before the engine has answered.
    let _ = messages.send(msg).await;
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
