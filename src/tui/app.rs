//! The loop: messages in, model changed, effects started, frames drawn.

mod effects;
mod keeping;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use effects::Running;
use keeping::read_session_soon;

use super::cast::{Cast, CastError};
use super::effect::ExitChoice;
use super::host::{HostPrograms, TerminalKeeper};
use super::look::Look;
use super::model::{Connection, Model, Session};
use super::msg::{Msg, Reply};
use super::overlay::Focus;
use super::pace::Pace;
use super::panes::view;
use super::record::Record;
use super::settings::TuiSettings;
use super::tasks::{editor_command, follow_personal, read_personal, terminal_input, watch_signals};
use super::terminal::{self, FrameBackend, TerminalGuard};
use super::theme::Glyphs;
use super::update::update;
use crate::base::Clock;
use crate::client::Client;

/// Messages that wait at most; a batch of log lines is one message.
const CHANNEL: usize = 64;
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

    /// Starts reading keys.
    fn listen(&mut self) {
        let input = tokio::spawn(terminal_input(self.input_tx.clone()));
        self.running.input = Some(AbortOnDropHandle::new(input));
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
