//! The running shim: the loop, its clients, and the bytes that pass through.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::net::{SocketFlags, accept_with};

use super::commands::Commands;
use super::connection::{Connection, Role};
use super::container::{Container, Pumped};
use super::fault::error_text;
use super::reactor::{Interest, Key, Reactor, Ready, Token};
use super::sandbox::Sandbox;
use super::session::Session;
use super::streams::{Got, Taken};
use super::viewer::{self, Attach, Shown};
use crate::base::ContainerId;
use crate::linux::clone::SingleThreaded;
use crate::linux::signal::ChildSignals;
use crate::wire::frame::Kind;
use crate::wire::{Event, EventKind, Fault, Reply, SandboxState, Stage, ToEngine};

/// Clients at the same time; one more is turned away.
const MAX_CONNECTIONS: usize = 256;
/// One read of output. Lines of one byte grow about 45-fold in the log, so this bounds that buffer too.
const CHUNK: usize = 64 * 1024;
/// What an exec client may have waiting before its process has to wait.
const MAX_EXEC_WAITING: usize = 256 * 1024;

/// Rounds of events that may pass while the state on disk is older than the one in memory.
const MAX_POSTPONED: u32 = 8;
/// How long the last answer may take to be read.
const GOODBYE: Duration = Duration::from_secs(1);

/// How often a shim whose sandbox is over looks whether it has been cleaned up behind its back.
pub(super) const LOOK_AROUND: Duration = Duration::from_secs(5);

/// Somebody waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) connection: Key,
    pub(super) request: u64,
}

/// What waits for a container or the sandbox to change.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// For the start of this container.
    pub(super) start: Vec<(Key, Waiter)>,
    /// For the end of this container.
    pub(super) stop: Vec<(Key, Waiter)>,
    /// For the end of the sandbox.
    pub(super) sandbox: Vec<Waiter>,
    /// For the removal of the sandbox, with the bridge to remove.
    pub(super) remove: Vec<(Waiter, Option<String>)>,
}

/// The sandbox is to stop, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    Containers,
    Pause,
    Done,
}

pub(super) struct Shim {
    pub(super) sandbox: Sandbox,
    pub(super) containers: Vec<Container>,
    pub(super) sessions: BTreeMap<Key, Session>,
    pub(super) commands: Commands,
    pub(super) connections: BTreeMap<Key, Connection>,
    pub(super) waiters: Waiters,
    pub(super) stopping: Stopping,
    pub(super) reactor: Reactor,
    /// State on disk is older than the state in memory. Written when there is nothing else to do, except
    /// for exits, which are written before anybody hears of them.
    pub(super) dirty: bool,
    /// Rounds of events handled since the state became dirty.
    postponed: u32,
    pub(super) removed: Option<Instant>,
    /// Set once pause is gone.
    pub(super) look_at: Option<Instant>,
    sequence: u64,
    listener: OwnedFd,
    child_signals: ChildSignals,
    pub(super) buffer: Vec<u8>,
    pub(super) lines: Vec<u8>,
    /// The last record of the kernel's log that told of a kill in this pod.
    pub(super) told_oom: u64,
}

impl Shim {
    pub(super) fn new(
        sandbox: Sandbox,
        listener: OwnedFd,
        child_signals: ChildSignals,
    ) -> io::Result<Self> {
        let reactor = Reactor::new()?;
        reactor.add(listener.as_fd(), Token::Listener, Interest::READ)?;
        reactor.add(child_signals.as_fd(), Token::ChildSignals, Interest::READ)?;
        Ok(Self {
            sandbox,
            containers: Vec::new(),
            sessions: BTreeMap::new(),
            commands: Commands::default(),
            connections: BTreeMap::new(),
            waiters: Waiters::default(),
            stopping: Stopping::No,
            reactor,
            dirty: false,
            postponed: 0,
            removed: None,
            look_at: None,
            sequence: 0,
            listener,
            child_signals,
            buffer: vec![0; CHUNK],
            lines: Vec::new(),
            told_oom: 0,
        })
    }

    /// Serves until the sandbox has been removed and everybody has been told.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            if self.is_over() {
                return Ok(());
            }
            for ready in self.next_events()? {
                self.dispatch(ready);
            }
            self.run_timers();
            self.lines.shrink_to(8 * CHUNK);
        }
    }

    /// Waits for events. A state that has changed is written before that, once for all requests that have
    /// come already.
    fn next_events(&mut self) -> io::Result<Vec<Ready>> {
        if self.dirty {
            let ready = self.reactor.poll()?;
            self.postponed += 1;
            if ready.is_empty() || self.postponed > MAX_POSTPONED {
                self.save();
            }
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
        self.reactor.wait(self.deadline())
    }

    /// The sandbox is removed and everybody has been told who listens.
    fn is_over(&self) -> bool {
        let Some(removed_at) = self.removed else {
            return false;
        };
        let mut engines = self
            .connections
            .values()
            .filter(|client| matches!(client.role, Role::Control { .. }));
        removed_at.elapsed() >= GOODBYE || engines.all(|client| client.waiting() == 0)
    }

    fn dispatch(&mut self, ready: Ready) {
        match ready.token {
            Token::Listener => self.accept(),
            Token::ChildSignals => {
                self.child_signals.drain();
                self.reap();
            }
            Token::Connection(key) => self.connection_ready(key, ready),
            Token::Reports(key) => self.reports_ready(key),
            Token::Spawner => self.spawner_ready(),
            Token::OutOfMemory(key) => self.out_of_memory(key, true),
            Token::Output(key, stream) => self.output_ready(key, stream),
            Token::Input(key) => self.input_ready(key),
        }
    }

    // ---- state and events

    pub(super) fn state(&self) -> SandboxState {
        let mut state = self.sandbox.state();
        state.containers = self
            .containers
            .iter()
            .map(|container| container.state.clone())
            .collect();
        state
    }

    pub(super) fn save(&mut self) {
        self.dirty = false;
        self.postponed = 0;
        if self.removed.is_some() {
            return;
        }
        let mut state = self.state();
        for container in &mut state.containers {
            // Values of secrets may be among them, and nobody needs them of a dead shim.
            container.spec.env.clear();
        }
        if let Err(error) = self.sandbox.directory.write(&state) {
            let text = format!("writing the state failed: {}", error_text(&error));
            self.emit(EventKind::Note {
                container: None,
                text,
            });
        }
    }

    pub(super) fn emit(&mut self, kind: EventKind) {
        self.sequence += 1;
        let message = ToEngine::Event(Event {
            sequence: self.sequence,
            at: Timestamp::now(),
            kind,
        });
        let subscribers: Vec<Key> = self
            .connections
            .iter()
            .filter(|(_, client)| matches!(client.role, Role::Control { subscribed: true }))
            .map(|(key, _)| *key)
            .collect();
        for key in subscribers {
            self.send(key, &message);
        }
    }

    pub(super) fn note(&mut self, container: Key, notes: Vec<String>) {
        let id = self
            .container(container)
            .map(|found| found.state.spec.id.clone());
        for text in notes {
            self.emit(EventKind::Note {
                container: id.clone(),
                text,
            });
        }
    }

    fn send(&mut self, connection: Key, message: &ToEngine) {
        if let Some(client) = self.connections.get_mut(&connection)
            && client.send_message(message, &self.reactor).is_err()
        {
            self.disconnect(connection);
        }
    }

    pub(super) fn reply(&mut self, to: Waiter, reply: Reply) {
        self.send(
            to.connection,
            &ToEngine::Reply {
                id: to.request,
                reply,
            },
        );
    }

    pub(super) fn container(&self, key: Key) -> Option<&Container> {
        self.containers.iter().find(|found| found.key == key)
    }

    pub(super) fn container_mut(&mut self, key: Key) -> Option<&mut Container> {
        self.containers.iter_mut().find(|found| found.key == key)
    }

    pub(super) fn key_of(&self, id: &ContainerId) -> Option<Key> {
        self.containers
            .iter()
            .find(|found| found.state.spec.id == *id)
            .map(|found| found.key)
    }

    // ---- clients

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(socket) = accept_with(&self.listener, flags) {
            // The directory is closed to others already; this is the second lock on the door.
            let own = rustix::process::geteuid();
            let peer = rustix::net::sockopt::socket_peercred(&socket);
            if self.connections.len() >= MAX_CONNECTIONS || !peer.is_ok_and(|peer| peer.uid == own)
            {
                continue;
            }
            let key = self.reactor.new_key();
            if let Ok(client) = Connection::new(key, socket, &self.reactor) {
                self.connections.insert(key, client);
                // Most have asked for something already.
                let asked = Ready {
                    token: Token::Connection(key),
                    hung_up: false,
                    readable: true,
                };
                self.connection_ready(key, asked);
            }
        }
    }

    fn connection_ready(&mut self, key: Key, ready: Ready) {
        let Some(client) = self.connections.get_mut(&key) else {
            return;
        };
        if client.flush(&self.reactor).is_err() || client.is_finished() {
            return self.disconnect(key);
        }
        if viewer::has_read(client, &self.reactor).is_err() {
            return self.disconnect(key);
        }
        if matches!(client.role, Role::Exec(_)) && client.waiting() < MAX_EXEC_WAITING / 2 {
            self.unblock_session(key);
        }
        let Some(client) = self.connections.get_mut(&key) else {
            return;
        };
        if ready.readable && !client.is_paused() {
            match client.receive(&mut self.buffer) {
                Ok(true) => self.handle_frames(key),
                Ok(false) | Err(_) => self.disconnect(key),
            }
        } else if ready.hung_up {
            self.disconnect(key);
        }
    }

    /// Handles every whole frame that has come, until the connection has to wait.
    pub(super) fn handle_frames(&mut self, key: Key) {
        while let Some(client) = self.connections.get_mut(&key) {
            match client.next_frame() {
                Ok(Some((kind, payload))) => {
                    if !self.handle_frame(key, kind, &payload) {
                        return self.disconnect(key);
                    }
                }
                Ok(None) => return,
                Err(_) => return self.disconnect(key),
            }
        }
    }

    pub(super) fn disconnect(&mut self, key: Key) {
        let Some(client) = self.connections.remove(&key) else {
            return;
        };
        client.unwatch(&self.reactor);
        self.waiters
            .start
            .retain(|(_, waiter)| waiter.connection != key);
        self.waiters
            .stop
            .retain(|(_, waiter)| waiter.connection != key);
        self.waiters
            .sandbox
            .retain(|waiter| waiter.connection != key);
        for session in self.sessions.values_mut() {
            if session.connection == Some(key) {
                session.abandon(&self.reactor);
            }
        }
        if let Role::Attach(attach) = client.role {
            self.viewer_gone(&attach);
        }
        self.finish_sessions();
    }

    pub(super) fn viewer_gone(&mut self, attach: &Attach) {
        if attach.dropped > 0 {
            let text = format!(
                "{} bytes were not shown to an attached viewer",
                attach.dropped
            );
            self.note(attach.container, vec![text]);
        }
        if attach.wrote
            && let Some(container) = self
                .containers
                .iter_mut()
                .find(|found| found.key == attach.container)
            && container.state.spec.stdin_once
            // A terminal has no end of input; containerd, too, leaves it open for the next viewer.
            && !container.state.spec.tty
            && let Some(running) = container.running.as_mut()
        {
            running.streams.close_input(&self.reactor);
        }
    }

    /// Lets a client wait, or go on, and handles what it has sent meanwhile.
    pub(super) fn pause(&mut self, key: Key, paused: bool) {
        let Some(client) = self.connections.get_mut(&key) else {
            return;
        };
        if client.set_paused(paused, &self.reactor).is_err() {
            return self.disconnect(key);
        }
        if !paused {
            self.handle_frames(key);
        }
    }

    // ---- output and input

    fn output_ready(&mut self, key: Key, stream: u8) {
        if self.sessions.contains_key(&key) {
            self.session_output(key, stream);
        } else {
            self.container_output(key, stream);
        }
    }

    pub(super) fn container_output(&mut self, key: Key, stream: u8) {
        let mut slow = Vec::new();
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        let connections = &mut self.connections;
        let reactor = &self.reactor;
        let (buffer, lines) = (&mut self.buffer, &mut self.lines);
        let pumped = container.pump(stream, buffer, lines, reactor, |bytes| {
            for (viewer, client) in connections.iter_mut() {
                match viewer::show(client, (key, stream), bytes, reactor) {
                    Shown::Fine => {}
                    told @ (Shown::FirstLoss | Shown::Broken) => slow.push((*viewer, told)),
                }
            }
        });
        let draining = container.is_draining();
        for (viewer, told) in slow {
            match told {
                Shown::Fine => {}
                Shown::FirstLoss => self.note(
                    key,
                    vec![
                        "an attached viewer reads too slowly and does not see all output"
                            .to_owned(),
                    ],
                ),
                Shown::Broken => self.disconnect(viewer),
            }
        }
        let Pumped { ended, notes } = pumped;
        self.note(key, notes);
        if ended && draining {
            self.container_finished(key);
        }
    }

    fn session_output(&mut self, key: Key, stream: u8) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let got = session
            .streams
            .read(stream, &mut self.buffer, &self.reactor);
        if let (Some(kept), Got::Bytes(length)) = (&mut session.kept, &got) {
            return kept.add(&self.buffer[..*length]);
        }
        let connection = session.connection;
        match (got, connection) {
            (Got::Bytes(length), Some(connection)) => {
                let kind = if stream == 0 {
                    Kind::Stdout
                } else {
                    Kind::Stderr
                };
                let Some(client) = self.connections.get_mut(&connection) else {
                    return;
                };
                let sent = client.send_bytes(kind, &self.buffer[..length], &self.reactor);
                let full = client.waiting() > MAX_EXEC_WAITING;
                if sent.is_err() {
                    self.disconnect(connection);
                } else if full && let Some(session) = self.sessions.get_mut(&key) {
                    // Failing to wait only costs memory until the next attempt.
                    let _ = session.set_blocked(true, &self.reactor);
                }
            }
            (Got::End, _) => self.finish_sessions(),
            (Got::Bytes(_) | Got::Nothing, _) => {}
        }
    }

    fn unblock_session(&mut self, connection: Key) {
        let session = self
            .sessions
            .values_mut()
            .find(|session| session.connection == Some(connection) && session.blocked);
        if let Some(session) = session
            && session.set_blocked(false, &self.reactor).is_err()
        {
            self.disconnect(connection);
        }
    }

    /// A standard input that was full takes more.
    fn input_ready(&mut self, key: Key) {
        let (input, feeds): (_, Vec<Key>) = if let Some(session) = self.sessions.get_mut(&key) {
            (
                &mut session.streams.input,
                session.connection.into_iter().collect(),
            )
        } else {
            let feeds = self
                .connections
                .iter()
                .filter(|(_, client)| {
                    matches!(&client.role, Role::Attach(attach) if attach.container == key)
                })
                .map(|(connection, _)| *connection)
                .collect();
            let found = self.containers.iter_mut().find(|found| found.key == key);
            let Some(running) = found.and_then(|found| found.running.as_mut()) else {
                return;
            };
            (&mut running.streams.input, feeds)
        };
        let taken = input
            .as_mut()
            .map_or(Taken::Closed, |input| input.flush(key, &self.reactor));
        if taken == Taken::Closed {
            *input = None;
        }
        if taken != Taken::Part {
            for connection in feeds {
                self.pause(connection, false);
            }
        }
    }

    // ---- time

    fn deadline(&self) -> Option<Instant> {
        let containers = self.containers.iter().filter_map(Container::deadline);
        let sessions = self.sessions.values().filter_map(Session::deadline);
        let goodbye = self.removed.map(|at| at + GOODBYE);
        let rest = goodbye.into_iter().chain(self.look_at);
        containers.chain(sessions).chain(rest).min()
    }

    fn run_timers(&mut self) {
        // Asking for the time costs as much as all the rest when there is nothing to wait for.
        let Some(deadline) = self.deadline() else {
            return;
        };
        let now = Instant::now();
        if deadline > now {
            return;
        }
        for session in self.sessions.values_mut() {
            session.run_timer(now, &self.reactor);
        }
        let keys: Vec<Key> = self.containers.iter().map(|found| found.key).collect();
        for key in keys {
            let Some(container) = self.container_mut(key) else {
                continue;
            };
            if container.kill_is_due(now) {
                container.kill();
            }
            let finished = container.drain_is_over(now);
            if container.oom_recheck_is_due(now) {
                self.out_of_memory(key, false);
            }
            if finished {
                self.container_finished(key);
            }
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = Some(now + LOOK_AROUND);
            if self.removed.is_none() && self.sandbox.directory.is_gone() {
                self.removed = Some(now);
            }
        }
        self.finish_sessions();
    }

    pub(super) fn witness() -> Result<SingleThreaded, Fault> {
        use super::fault::At;
        SingleThreaded::check().at(Stage::Clone, "look for threads")
    }
}

pub(super) fn unknown() -> Reply {
    Reply::Fault(super::fault::refuse(
        Stage::Request,
        "the container is not known",
    ))
}
