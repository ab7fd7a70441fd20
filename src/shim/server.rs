//! The running shim: the loop, and what each event does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::net::{SocketFlags, accept_with};

use super::connection::{Attach, Connection, Role};
use super::container::{Container, Pumped};
use super::fault::error_text;
use super::reactor::{Interest, Key, Reactor, Ready, Token};
use super::sandbox::Sandbox;
use super::session::Session;
use super::streams::{Got, Taken};
use crate::base::{ContainerId, Pid, SessionEnd};
use crate::linux::clone::SingleThreaded;
use crate::linux::pidfd::{self, Exit};
use crate::linux::signal::ChildSignals;
use crate::wire::frame::Kind;
use crate::wire::{
    ContainerPhase, Event, EventKind, Fault, PidNamespace, Reply, SandboxPhase, SandboxState,
    Stage, ToEngine,
};

/// Clients at the same time; one more is turned away.
const MAX_CONNECTIONS: usize = 256;
/// One read of output. Lines of one byte grow about 45-fold in the log, so this bounds that buffer too.
const CHUNK: usize = 64 * 1024;
/// What an exec client may have waiting before its process has to wait.
const MAX_EXEC_WAITING: usize = 256 * 1024;
/// What an attached viewer may have waiting before it loses output.
const MAX_ATTACH_WAITING: usize = 1 << 20;

/// How long the last answer may take to be read.
const GOODBYE: Duration = Duration::from_secs(1);

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
    pub(super) connections: BTreeMap<Key, Connection>,
    pub(super) waiters: Waiters,
    pub(super) stopping: Stopping,
    pub(super) reactor: Reactor,
    /// State on disk is older than the state in memory. Written when there is nothing else to do, except
    /// for exits, which are written before anybody hears of them.
    pub(super) dirty: bool,
    removed: Option<Instant>,
    sequence: u64,
    listener: OwnedFd,
    child_signals: ChildSignals,
    buffer: Vec<u8>,
    lines: Vec<u8>,
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
            connections: BTreeMap::new(),
            waiters: Waiters::default(),
            stopping: Stopping::No,
            reactor,
            dirty: false,
            removed: None,
            sequence: 0,
            listener,
            child_signals,
            buffer: vec![0; CHUNK],
            lines: Vec::new(),
        })
    }

    /// Serves until the sandbox has been removed and everybody has been told.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            if self.is_over() {
                return Ok(());
            }
            if self.dirty {
                self.save();
            }
            let ready = self.reactor.wait(self.deadline())?;
            for ready in ready {
                self.dispatch(ready);
            }
            self.run_timers();
            self.lines.shrink_to(8 * CHUNK);
        }
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
        if self.removed.is_some() {
            return;
        }
        if let Err(error) = self.sandbox.directory.write(&self.state()) {
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

    fn note(&mut self, container: Key, notes: Vec<String>) {
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
                session.abandon();
            }
        }
        if let Role::Attach(attach) = client.role {
            self.viewer_gone(&attach);
        }
        self.finish_sessions();
    }

    fn viewer_gone(&mut self, attach: &Attach) {
        if attach.dropped > 0 {
            let text = format!(
                "{} bytes were not shown to an attached viewer",
                attach.dropped
            );
            self.note(attach.container, vec![text]);
        }
        if attach.wrote
            && let Some(container) = self.container_mut(attach.container)
            && container.state.spec.stdin_once
            && let Some(running) = container.running.as_mut()
        {
            running.streams.input = None;
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

    fn container_output(&mut self, key: Key, stream: u8) {
        let mut slow = Vec::new();
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        let terminal = container.state.spec.tty;
        let connections = &mut self.connections;
        let reactor = &self.reactor;
        let pumped = container.pump(stream, &mut self.buffer, &mut self.lines, |bytes| {
            for (viewer, client) in connections.iter_mut() {
                show(
                    client, *viewer, key, stream, terminal, bytes, reactor, &mut slow,
                );
            }
        });
        let draining = container.is_draining();
        for (viewer, told) in slow {
            match told {
                Slow::First => self.note(
                    key,
                    vec![
                        "an attached viewer reads too slowly and does not see all output"
                            .to_owned(),
                    ],
                ),
                Slow::Broken => self.disconnect(viewer),
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
        let got = session.streams.read(stream, &mut self.buffer);
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

    // ---- processes

    fn reports_ready(&mut self, key: Key) {
        let reports = if let Some(session) = self.sessions.get_mut(&key) {
            session.reports.as_mut()
        } else {
            self.container_mut(key)
                .and_then(|container| container.running.as_mut())
                .and_then(|running| running.reports.as_mut())
        };
        let Some(reports) = reports else { return };
        if matches!(reports.receive(), Ok(false)) {
            return;
        }
        self.start_decided(key);
    }

    /// Exec has succeeded or failed: whoever waits is told.
    fn start_decided(&mut self, key: Key) {
        if self.sessions.contains_key(&key) {
            return self.session_started(key);
        }
        let Some(container) = self.container_mut(key) else {
            return;
        };
        let Some(reports) = container
            .running
            .as_mut()
            .and_then(|running| running.reports.take())
        else {
            return;
        };
        let id = container.state.spec.id.clone();
        let started = container.started(reports.told());
        self.dirty = true;
        // After a fault the child still has to be reaped; whoever asked is told when its state says so.
        if started.is_ok() {
            self.emit(EventKind::Started { container: id });
            self.answer_starts(key);
        }
    }

    fn answer_starts(&mut self, key: Key) {
        let answer = self.start_reply(key);
        let waiting = std::mem::take(&mut self.waiters.start);
        for (wanted, waiter) in waiting {
            if wanted == key {
                self.reply(waiter, answer.clone());
            } else {
                self.waiters.start.push((wanted, waiter));
            }
        }
    }

    /// The answer to a start that is over.
    pub(super) fn start_reply(&self, key: Key) -> Reply {
        let Some(container) = self.container(key) else {
            return unknown();
        };
        if let Some(fault) = &container.start_fault {
            return Reply::Fault(fault.clone());
        }
        let started_at = match &container.state.phase {
            ContainerPhase::Running { started_at, .. } => Some(*started_at),
            ContainerPhase::Exited(record) => record.started_at,
            ContainerPhase::Created => None,
        };
        match (container.pid, started_at, container.identity()) {
            (Some(pid), Some(started_at), Some(user)) => Reply::Started {
                pid,
                started_at,
                user: user.clone(),
            },
            _ => Reply::Fault(super::fault::refuse(
                Stage::Request,
                "the container was stopped before it was started",
            )),
        }
    }

    fn session_started(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(reports) = session.reports.take() else {
            return;
        };
        let told = reports.told();
        let watched = session.started(&self.reactor);
        let Some(connection) = session.connection else {
            return;
        };
        let waiter = Waiter {
            connection,
            request: session.request,
        };
        let fault = match (told.fault, told.identity, watched) {
            (Some(fault), _, _) => Some(fault),
            (None, None, _) => Some(super::fault::refuse(
                Stage::Clone,
                "the process died before it was executed",
            )),
            (None, Some(_), Err(error)) => Some(super::fault::refuse(
                Stage::State,
                format!("watch the session: {}", error_text(&error)),
            )),
            (None, Some(_), Ok(())) => None,
        };
        let role = if fault.is_some() {
            session.abandon();
            Role::Control { subscribed: false }
        } else {
            Role::Exec(key)
        };
        let reply = fault.map_or(Reply::SessionStarted, Reply::Fault);
        if let Some(client) = self.connections.get_mut(&connection) {
            client.role = role;
        }
        self.reply(waiter, reply);
        self.pause(connection, false);
        self.finish_sessions();
    }

    /// Takes the exit of every child that has ended: pause, containers, sessions, and orphans that the
    /// kernel gave to this subreaper.
    fn reap(&mut self) {
        // It fails only without children, or not at all.
        while let Ok(Some(pid)) = pidfd::next_zombie() {
            if !self.reap_known(pid) {
                let _ = pidfd::reap_by_pid(pid);
            }
        }
    }

    /// A zombie keeps its number, so here, and only here, a number is as good as the pidfd.
    fn reap_known(&mut self, pid: Pid) -> bool {
        if let Some(child) = self.sandbox.pause.as_ref().filter(|child| child.pid == pid) {
            let reaped = pidfd::reap(child.pidfd.as_fd());
            if matches!(reaped, Ok(Some(_))) {
                self.pause_exited();
            }
            return matches!(reaped, Ok(Some(_)));
        }
        let container = self.containers.iter().find_map(|container| {
            let running = container.running.as_ref()?;
            (running.child.pid == pid && !container.is_draining())
                .then(|| (container.key, pidfd::reap(running.child.pidfd.as_fd())))
        });
        if let Some((key, reaped)) = container {
            if let Ok(Some(exit)) = reaped {
                self.container_exited(key, exit);
                return true;
            }
            return false;
        }
        let session = self
            .sessions
            .values_mut()
            .find(|session| session.child.pid == pid && session.exit.is_none());
        let Some(session) = session else { return false };
        let Ok(Some(exit)) = pidfd::reap(session.child.pidfd.as_fd()) else {
            return false;
        };
        session.exited(exit);
        if session.reports.is_some() {
            let key = session.key;
            self.reports_ready(key);
        }
        self.finish_sessions();
        true
    }

    fn container_exited(&mut self, key: Key, exit: Exit) {
        // The process is gone, so everything it reported is in the pipe.
        self.reports_ready(key);
        let own_pid = self.sandbox.spec.namespaces.pid == PidNamespace::Container;
        let Some(container) = self.container_mut(key) else {
            return;
        };
        if container.exited(exit, own_pid) {
            return self.container_finished(key);
        }
        self.container_output(key, 0);
        self.container_output(key, 1);
    }

    /// The container is over and its output complete: first on disk, then to everybody.
    fn container_finished(&mut self, key: Key) {
        let lines = &mut self.lines;
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        if container.running.is_none() || container.is_exited() {
            return;
        }
        let known_kills = container.oom_kills;
        let pumped = container.finish(lines);
        let id = container.state.spec.id.clone();
        let kills = container.oom_kills;
        let ContainerPhase::Exited(record) = container.state.phase.clone() else {
            return;
        };
        self.save();
        self.note(key, pumped.notes);
        if kills > known_kills {
            self.emit(EventKind::OutOfMemory {
                container: id.clone(),
                kills,
            });
        }
        self.emit(EventKind::Exited {
            container: id,
            exit: record.clone(),
        });
        self.answer_starts(key);
        let waiting = std::mem::take(&mut self.waiters.stop);
        for (wanted, waiter) in waiting {
            if wanted == key {
                self.reply(waiter, Reply::Stopped(record.clone()));
            } else {
                self.waiters.stop.push((wanted, waiter));
            }
        }
        self.end_viewers(key);
        if let Some(container) = self.container_mut(key) {
            container.release();
        }
        self.advance_stop();
    }

    /// A container that never had a process is over too.
    pub(super) fn container_failed(&mut self, key: Key, fault: Fault) {
        let Some(container) = self.container_mut(key) else {
            return;
        };
        container.failed(fault);
        let id = container.state.spec.id.clone();
        let ContainerPhase::Exited(exit) = container.state.phase.clone() else {
            return;
        };
        self.save();
        self.emit(EventKind::Exited {
            container: id,
            exit,
        });
    }

    fn end_viewers(&mut self, key: Key) {
        let viewers: Vec<Key> = self
            .connections
            .iter()
            .filter(|(_, client)| {
                matches!(&client.role, Role::Attach(attach) if attach.container == key)
            })
            .map(|(viewer, _)| *viewer)
            .collect();
        for viewer in viewers {
            self.end_session(viewer, &SessionEnd::Closed);
        }
    }

    /// Sends the last frame of a session; the connection closes when it is out.
    fn end_session(&mut self, connection: Key, end: &SessionEnd) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        let role = std::mem::replace(&mut client.role, Role::Closing);
        let sent = client.send_json(Kind::End, end, &self.reactor);
        if sent.is_err() || client.is_finished() {
            self.disconnect(connection);
        }
        if let Role::Attach(attach) = role {
            self.viewer_gone(&attach);
        }
    }

    /// Ends every session whose process is gone and whose output is out.
    fn finish_sessions(&mut self) {
        let now = Instant::now();
        let over: Vec<(Key, i32)> = self
            .sessions
            .iter()
            .filter_map(|(key, session)| Some((*key, session.outcome(now)?)))
            .collect();
        for (key, code) in over {
            let session = self.sessions.remove(&key);
            if let Some(connection) = session.and_then(|session| session.connection) {
                self.end_session(connection, &SessionEnd::Exited(code));
            }
        }
    }

    fn out_of_memory(&mut self, key: Key, event: bool) {
        let Some(container) = self.container_mut(key) else {
            return;
        };
        let Some(kills) = container.check_oom(event) else {
            return;
        };
        let id = container.state.spec.id.clone();
        self.emit(EventKind::OutOfMemory {
            container: id,
            kills,
        });
    }

    // ---- end of the sandbox

    /// Begins, or goes on with, the end of the sandbox.
    pub(super) fn stop_sandbox(&mut self) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Containers;
            let created: Vec<Key> = self
                .containers
                .iter()
                .filter(|container| container.running.is_none() && !container.is_exited())
                .map(|container| container.key)
                .collect();
            for key in created {
                let fault = super::fault::refuse(
                    Stage::Request,
                    "the sandbox was stopped before the container was started",
                );
                self.container_failed(key, fault);
            }
            for container in &mut self.containers {
                container.kill();
            }
        }
        self.advance_stop();
    }

    fn advance_stop(&mut self) {
        if self.stopping == Stopping::Containers && self.containers.iter().all(Container::is_exited)
        {
            self.stopping = Stopping::Pause;
            self.sandbox.kill_pause();
        }
        if self.stopping == Stopping::Pause && self.sandbox.pause.is_none() {
            self.stopping = Stopping::Done;
        }
        if self.stopping == Stopping::Done {
            for waiter in std::mem::take(&mut self.waiters.sandbox) {
                self.reply(waiter, Reply::Done);
            }
            for (waiter, bridge) in std::mem::take(&mut self.waiters.remove) {
                self.remove_sandbox(waiter, bridge.as_deref());
            }
        }
    }

    fn pause_exited(&mut self) {
        self.sandbox.pause = None;
        self.sandbox.phase = SandboxPhase::NotReady;
        self.save();
        self.emit(EventKind::SandboxExited);
        // Without it nothing can be started, and what runs has lost its namespaces' keeper.
        if self.stopping == Stopping::No {
            self.stop_sandbox();
        } else {
            self.advance_stop();
        }
    }

    fn remove_sandbox(&mut self, waiter: Waiter, bridge: Option<&str>) {
        if self.removed.is_none() {
            if let Err(fault) = self.sandbox.remove(bridge) {
                return self.reply(waiter, Reply::Fault(fault));
            }
            if let Err(error) = self.sandbox.directory.remove() {
                let fault = Fault {
                    stage: Stage::State,
                    errno: error.raw_os_error().unwrap_or(0),
                    message: format!("remove the sandbox's files: {}", error_text(&error)),
                };
                return self.reply(waiter, Reply::Fault(fault));
            }
            self.removed = Some(Instant::now());
        }
        self.reply(waiter, Reply::Done);
    }

    // ---- time

    fn deadline(&self) -> Option<Instant> {
        let containers = self.containers.iter().filter_map(Container::deadline);
        let sessions = self.sessions.values().filter_map(Session::deadline);
        let goodbye = self.removed.map(|at| at + GOODBYE);
        containers.chain(sessions).chain(goodbye).min()
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
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

enum Slow {
    First,
    Broken,
}

/// Shows a piece of output to one client, if it is a viewer of that stream. A viewer that does not keep up
/// loses it: neither the container nor other viewers wait.
#[expect(
    clippy::too_many_arguments,
    reason = "the fields of a Shim, borrowed apart"
)]
fn show(
    client: &mut Connection,
    key: Key,
    container: Key,
    stream: u8,
    terminal: bool,
    bytes: &[u8],
    reactor: &Reactor,
    slow: &mut Vec<(Key, Slow)>,
) {
    let waiting = client.waiting();
    let Role::Attach(attach) = &mut client.role else {
        return;
    };
    let wanted = attach.outputs[usize::from(stream.min(1))];
    if attach.container != container || !(wanted || terminal && attach.outputs[1]) {
        return;
    }
    if waiting + bytes.len() > MAX_ATTACH_WAITING {
        if attach.dropped == 0 {
            slow.push((key, Slow::First));
        }
        attach.dropped += bytes.len() as u64;
        return;
    }
    let kind = if stream == 0 {
        Kind::Stdout
    } else {
        Kind::Stderr
    };
    if client.send_bytes(kind, bytes, reactor).is_err() {
        slow.push((key, Slow::Broken));
    }
}
