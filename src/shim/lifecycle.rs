//! Processes come to life and end: what each child told or how it died, and the end of the sandbox.

use std::os::fd::AsFd;
use std::time::Instant;

use super::connection::Role;
use super::container::Container;
use super::fault::{error_text, refuse};
use super::reactor::Key;
use super::server::{LOOK_AROUND, Shim, Stopping, Waiter, unknown};
use super::viewer;
use crate::base::{Pid, SessionEnd};
use crate::linux::pidfd::{self, Exit};
use crate::linux::spawner::Progress;
use crate::wire::frame::Kind;
use crate::wire::{ContainerPhase, EventKind, Fault, PidNamespace, Reply, SandboxPhase, Stage};

impl Shim {
    pub(super) fn reports_ready(&mut self, key: Key) {
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
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        let Some(reports) = container
            .running
            .as_mut()
            .and_then(|running| running.reports.take())
        else {
            return;
        };
        self.reactor.remove(reports.as_fd());
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
            _ => Reply::Fault(refuse(
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
        let is_kept = session.kept.is_some();
        if !is_kept {
            self.reactor.remove(reports.as_fd());
        }
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
            (None, None, _) => Some(refuse(
                Stage::Clone,
                "the process died before it was executed",
            )),
            (None, Some(_), Err(error)) => Some(refuse(
                Stage::State,
                format!("watch the session: {}", error_text(&error)),
            )),
            (None, Some(_), Ok(())) => None,
        };
        let role = if fault.is_some() {
            session.abandon(&self.reactor);
            Role::Control { subscribed: false }
        } else {
            Role::Exec(key)
        };
        if is_kept {
            // It is answered when it is over; the connection stays what it was.
            if let Some(fault) = fault {
                self.reply(waiter, Reply::Fault(fault));
            }
            return;
        }
        if let Some(client) = self.connections.get_mut(&connection) {
            client.role = role;
        }
        let answer = fault.map_or(Reply::SessionStarted, Reply::Fault);
        self.reply(waiter, answer);
        self.pause(connection, false);
        self.finish_sessions();
    }

    /// Takes the exit of every child that has ended: pause, containers, sessions, and orphans that the
    /// kernel gave to this subreaper.
    pub(super) fn reap(&mut self) {
        // It fails only without children, or not at all.
        while let Ok(Some((pid, exit))) = pidfd::reap_next() {
            self.ended(pid, exit);
        }
    }

    /// The number was the child's until this moment, and no process has been made since: here, and only here, it is as
    /// good as the pidfd.
    fn ended(&mut self, pid: Pid, exit: Exit) {
        let pause = self.sandbox.pause.as_ref();
        if pause.is_some_and(|pause| pause.pid == pid) {
            return self.pause_exited();
        }
        let container = self.containers.iter().find(|container| {
            let running = container.running.as_ref();
            running.is_some_and(|running| running.child.pid == pid) && !container.is_draining()
        });
        if let Some(container) = container {
            return self.container_exited(container.key, exit);
        }
        let session = self
            .sessions
            .values_mut()
            .find(|session| session.exit.is_none() && session.pid() == Some(pid));
        let Some(session) = session else { return };
        session.exited(exit);
        session.collect(&mut self.buffer, &self.reactor);
        if matches!(
            session.progress(),
            Some(Progress::Begins | Progress::Failed)
        ) {
            let key = session.key;
            return self.ask_again(key);
        }
        if session.reports.is_some() {
            let key = session.key;
            self.reports_ready(key);
        }
        self.finish_sessions();
    }

    fn container_exited(&mut self, key: Key, exit: Exit) {
        // The process is gone, so everything it reported is in the pipe.
        self.reports_ready(key);
        let own_pid = self.sandbox.spec.namespaces.pid == PidNamespace::Container;
        let Some(container) = self.container_mut(key) else {
            return;
        };
        let own_pid = own_pid && container.state.spec.pid_of.is_none();
        if container.exited(exit, own_pid) {
            return self.container_finished(key);
        }
        self.container_output(key, 0);
        self.container_output(key, 1);
    }

    /// The container is over and its output complete: first on disk, then to everybody.
    pub(super) fn container_finished(&mut self, key: Key) {
        let lines = &mut self.lines;
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        if container.running.is_none() || container.is_exited() {
            return;
        }
        let known_kills = container.state.memory.kills;
        let pumped = container.finish(lines, &mut self.told_oom);
        let id = container.state.spec.id.clone();
        let kills = container.state.memory.kills;
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
        if let Some(container) = self.containers.iter_mut().find(|found| found.key == key) {
            container.release(&self.reactor);
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
        let told = viewer::tell_gap(client, &self.reactor);
        let role = std::mem::replace(&mut client.role, Role::Closing);
        let sent = told.and_then(|()| client.send_json(Kind::End, end, &self.reactor));
        if sent.is_err() || client.is_finished() {
            self.disconnect(connection);
        }
        if let Role::Attach(attach) = role {
            self.viewer_gone(&attach);
        }
    }

    /// Ends every session whose process is gone and whose output is out.
    pub(super) fn finish_sessions(&mut self) {
        let now = Instant::now();
        let over: Vec<(Key, i32)> = self
            .sessions
            .iter()
            .filter_map(|(key, session)| Some((*key, session.outcome(now)?)))
            .collect();
        for (key, code) in over {
            let Some(mut session) = self.sessions.remove(&key) else {
                continue;
            };
            session.streams.close(&self.reactor);
            match (session.connection, &session.kept) {
                (None, _) => {}
                (Some(connection), None) => {
                    self.end_session(connection, &SessionEnd::Exited(code));
                }
                (Some(connection), Some(kept)) => {
                    let waiter = Waiter {
                        connection,
                        request: session.request,
                    };
                    let output = kept.text();
                    self.reply(waiter, Reply::Ran { code, output });
                }
            }
        }
    }

    pub(super) fn out_of_memory(&mut self, key: Key, event: bool) {
        let Some(container) = self.containers.iter_mut().find(|found| found.key == key) else {
            return;
        };
        let Some(kills) = container.check_oom(event, &mut self.told_oom) else {
            return;
        };
        let id = container.state.spec.id.clone();
        self.dirty = true;
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
                let fault = refuse(
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
        self.look_at = Some(Instant::now() + LOOK_AROUND);
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
}
