//! What each frame of a client does.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::connection::Role;
use super::container::Container;
use super::fault::{At, refuse};
use super::reactor::Key;
use super::sandbox;
use super::server::{Shim, Waiter, unknown};
use super::session::{Kept, Session, are_watched};
use super::streams::Taken;
use super::viewer::Attach;
use crate::base::{ContainerId, TerminalSize};
use crate::linux::signal::Signal;
use crate::wire::frame::Kind;
use crate::wire::{
    AttachSpec, ContainerPhase, ContainerSpec, ContainerStats, ExecSpec, Fault, Hello,
    MOST_SOCKETS, OLDEST_PROTOCOL, PROTOCOL, PidNamespace, Reply, Request, ResourceLimits,
    SandboxPhase, SandboxStats, Stage, ToEngine, ToShim,
};

impl Shim {
    /// `false` when the client breaks the protocol and is to be dropped.
    pub(super) fn handle_frame(&mut self, key: Key, kind: Kind, payload: &[u8]) -> bool {
        let Some(client) = self.connections.get(&key) else {
            return true;
        };
        match (&client.role, kind) {
            (Role::Greeting, Kind::Control) => self.greet(key, payload),
            (Role::Control { .. }, Kind::Control) => {
                let Ok(ToShim { id, request }) = serde_json::from_slice(payload) else {
                    return false;
                };
                let waiter = Waiter {
                    connection: key,
                    request: id,
                };
                if let Some(reply) = self.handle(waiter, request) {
                    self.reply(waiter, reply);
                }
                true
            }
            (Role::Exec(_) | Role::Attach(_), Kind::Stdin) => {
                self.stdin(key, payload);
                true
            }
            (Role::Exec(_) | Role::Attach(_), Kind::Resize) => {
                let Ok(size) = serde_json::from_slice::<TerminalSize>(payload) else {
                    return false;
                };
                self.resize(key, size);
                true
            }
            _ => false,
        }
    }

    fn greet(&mut self, key: Key, payload: &[u8]) -> bool {
        let Ok(Hello { protocol }) = serde_json::from_slice(payload) else {
            return false;
        };
        let Some(client) = self.connections.get_mut(&key) else {
            return true;
        };
        client.role = Role::Control { subscribed: false };
        let hello = Hello { protocol: PROTOCOL };
        // Who has asked already reads both answers at once.
        let sent = if client.has_sent_more() {
            client.put_message(&hello)
        } else {
            client.send_message(&hello, &self.reactor)
        };
        // A newer engine decides itself whether it can speak to an old shim.
        sent.is_ok() && protocol >= OLDEST_PROTOCOL
    }

    /// The answer, unless it comes later.
    fn handle(&mut self, waiter: Waiter, request: Request) -> Option<Reply> {
        match request {
            Request::Subscribe => {
                if let Some(client) = self.connections.get_mut(&waiter.connection) {
                    client.role = Role::Control { subscribed: true };
                }
                Some(Reply::State(Box::new(self.state())))
            }
            Request::State => Some(Reply::State(Box::new(self.state()))),
            Request::Create(spec) => Some(fault_or(self.create(*spec), |()| Reply::Created)),
            Request::Start(id) => self.start(waiter, &id),
            Request::Stop {
                container,
                signal,
                grace_milliseconds,
            } => {
                let grace = Duration::from_millis(grace_milliseconds);
                self.stop(waiter, &container, signal.as_deref(), grace)
            }
            Request::Signal { container, signal } => {
                let sent = self.signal(&container, &signal);
                Some(fault_or(sent, |()| Reply::Done))
            }
            Request::Remove(id) => Some(fault_or(self.remove(&id), |()| Reply::Done)),
            Request::UpdateLimits { container, limits } => {
                let updated = self.update_limits(&container, limits);
                Some(fault_or(updated, |()| Reply::Done))
            }
            Request::UpdateCgroups(cgroup) => {
                let updated = self.sandbox.update_cgroups(cgroup);
                self.dirty = true;
                Some(fault_or(updated, |()| Reply::Done))
            }
            Request::WriteVolume(content) => {
                let written = self.sandbox.write_volume(&content);
                Some(fault_or(written, |()| Reply::Done))
            }
            Request::Stats => Some(Reply::Stats(self.stats())),
            Request::Processes => Some(Reply::Processes(self.processes())),
            Request::Exec(spec) => self.exec(waiter, &spec).err().map(Reply::Fault),
            Request::Run(spec) => self.run_command(waiter, spec).err().map(Reply::Fault),
            Request::GiveUp { run } => {
                self.give_up(Waiter {
                    request: run,
                    ..waiter
                });
                Some(Reply::Done)
            }
            Request::Attach(spec) => Some(fault_or(self.attach(waiter, &spec), |()| {
                Reply::SessionStarted
            })),
            Request::Socket { ipv6, count } => {
                let count = usize::from(count).clamp(1, MOST_SOCKETS);
                self.sockets(waiter, ipv6, count).err().map(Reply::Fault)
            }
            Request::StopSandbox => {
                self.waiters.sandbox.push(waiter);
                self.stop_sandbox();
                None
            }
            Request::RemoveSandbox { bridge } => {
                self.waiters.remove.push((waiter, bridge));
                self.stop_sandbox();
                None
            }
        }
    }

    fn create(&mut self, spec: ContainerSpec) -> Result<(), Fault> {
        if self.key_of(&spec.id).is_some() {
            return Ok(());
        }
        if self.sandbox.phase != SandboxPhase::Ready || self.stopping != super::server::Stopping::No
        {
            return Err(refuse(Stage::Request, "the sandbox is not ready"));
        }
        let taken = self
            .containers
            .iter()
            .any(|other| !other.is_exited() && other.state.spec.cgroup_leaf == spec.cgroup_leaf);
        if taken {
            return Err(refuse(
                Stage::Cgroup,
                format!("cgroup name {:?} is in use", spec.cgroup_leaf),
            ));
        }
        self.sandbox.make_volumes(&spec)?;
        let key = self.reactor.new_key();
        self.containers.push(Container::new(key, spec)?);
        self.dirty = true;
        Ok(())
    }

    fn start(&mut self, waiter: Waiter, id: &ContainerId) -> Option<Reply> {
        let Some(key) = self.key_of(id) else {
            return Some(unknown());
        };
        let container = self.container(key)?;
        if container.state.phase != ContainerPhase::Created {
            return Some(self.start_reply(key));
        }
        if container.running.is_none() {
            let target = self.target_of(container);
            let container = self.containers.iter_mut().find(|found| found.key == key)?;
            let started = target.and_then(|target| {
                let target = target.as_ref().map(AsFd::as_fd);
                let witness = Self::witness()?;
                container.start(&self.sandbox, &self.reactor, &witness, target)
            });
            self.dirty = true;
            if let Err(fault) = started {
                self.container_failed(key, fault.clone());
                return Some(Reply::Fault(fault));
            }
        }
        self.waiters.start.push((key, waiter));
        None
    }

    /// The first process of the container whose pid namespace this one joins.
    fn target_of(&self, container: &Container) -> Result<Option<OwnedFd>, Fault> {
        let Some(id) = &container.state.spec.pid_of else {
            return Ok(None);
        };
        if self.sandbox.spec.namespaces.pid != PidNamespace::Container {
            return Ok(None);
        }
        let target = self.key_of(id).and_then(|key| self.container(key));
        let running = target
            .filter(|target| !target.is_draining())
            .and_then(|target| target.running.as_ref())
            .ok_or_else(|| refuse(Stage::Request, "the target container is not running"))?;
        let pidfd = running.child.pidfd.as_fd().try_clone_to_owned();
        pidfd.map(Some).at(
            Stage::Namespaces,
            "hold the process of the target container",
        )
    }

    fn stop(
        &mut self,
        waiter: Waiter,
        id: &ContainerId,
        signal: Option<&str>,
        grace: Duration,
    ) -> Option<Reply> {
        let Some(key) = self.key_of(id) else {
            return Some(unknown());
        };
        let container = self.container_mut(key)?;
        let name = signal.unwrap_or(&container.state.spec.stop_signal);
        let Some(signal) = Signal::parse(name) else {
            let text = format!("unknown signal {name:?}");
            return Some(Reply::Fault(refuse(Stage::Request, text)));
        };
        match &container.state.phase {
            ContainerPhase::Exited(record) => return Some(Reply::Stopped(record.clone())),
            ContainerPhase::Created if container.running.is_none() => {
                let fault = refuse(
                    Stage::Request,
                    "the container was stopped before it was started",
                );
                self.container_failed(key, fault);
                return self.stop(waiter, id, None, grace);
            }
            ContainerPhase::Created | ContainerPhase::Running { .. } => {}
        }
        if let Err(fault) = container.stop(signal, grace) {
            return Some(Reply::Fault(fault));
        }
        self.waiters.stop.push((key, waiter));
        None
    }

    fn signal(&self, id: &ContainerId, name: &str) -> Result<(), Fault> {
        let signal = Signal::parse(name)
            .ok_or_else(|| refuse(Stage::Request, format!("unknown signal {name:?}")))?;
        match self.key_of(id).and_then(|key| self.container(key)) {
            Some(container) if container.running.is_some() => container.signal(signal),
            Some(_) => Err(refuse(Stage::Request, "the container is not running")),
            None => Err(refuse(Stage::Request, "the container is not known")),
        }
    }

    fn remove(&mut self, id: &ContainerId) -> Result<(), Fault> {
        let Some(key) = self.key_of(id) else {
            return Ok(());
        };
        if self
            .container(key)
            .is_some_and(|container| container.running.is_some())
        {
            return Err(refuse(Stage::Request, "the container is running"));
        }
        self.containers.retain(|container| container.key != key);
        self.dirty = true;
        Ok(())
    }

    fn update_limits(&mut self, id: &ContainerId, limits: ResourceLimits) -> Result<(), Fault> {
        let found = self.key_of(id).and_then(|key| self.container_mut(key));
        let Some(container) = found else {
            return Err(refuse(Stage::Request, "the container is not known"));
        };
        if let Some(running) = &container.running {
            let notes = running
                .cgroup
                .apply(&sandbox::limits_of(&limits))
                .at(Stage::Cgroup, "change the limits")?;
            container.state.notes.extend(notes);
        }
        container.state.spec.limits = limits;
        self.dirty = true;
        Ok(())
    }

    fn stats(&self) -> SandboxStats {
        let containers = self.containers.iter().filter_map(|container| {
            let running = container.running.as_ref()?;
            // A group that vanishes at this moment has nothing to tell.
            let stats = running.cgroup.stats().ok()?;
            Some(ContainerStats {
                container: container.state.spec.id.clone(),
                at: jiff::Timestamp::now(),
                cpu_nanoseconds: stats.cpu_ns,
                memory_working_set: stats.memory_working_set,
                memory_peak: stats.memory_peak,
                processes: stats.processes,
            })
        });
        SandboxStats {
            containers: containers.collect(),
            network: self.network_stats(),
        }
    }

    fn exec(&mut self, waiter: Waiter, spec: &ExecSpec) -> Result<(), Fault> {
        self.start_session(waiter, spec, None)?;
        if let Some(client) = self.connections.get_mut(&waiter.connection) {
            client.role = Role::ExecStarting;
        }
        // What the client sends from now on is for the process.
        self.pause(waiter.connection, true);
        Ok(())
    }

    pub(super) fn start_session(
        &mut self,
        waiter: Waiter,
        spec: &ExecSpec,
        kept: Option<Kept>,
    ) -> Result<(), Fault> {
        let key = self.reactor.new_key();
        let container = self
            .containers
            .iter()
            .find(|found| found.state.spec.id == spec.container)
            .ok_or_else(|| refuse(Stage::Request, "the container is not known"))?;
        let witness = Self::witness()?;
        let session = Session::start(
            key,
            waiter,
            (spec, kept),
            (container, are_watched(&self.containers, &self.sandbox)),
            &self.sandbox,
            &self.reactor,
            &witness,
        )?;
        self.sessions.insert(key, session);
        Ok(())
    }

    /// The client does not wait for this command any more.
    fn give_up(&mut self, waiter: Waiter) {
        for session in self.sessions.values_mut() {
            if session.is_of(waiter) {
                session.abandon(&self.reactor);
            }
        }
        self.finish_sessions();
    }

    /// Makes the sockets and sends them.
    fn sockets(&mut self, waiter: Waiter, ipv6: bool, count: usize) -> Result<(), Fault> {
        let sockets = self.sandbox.sockets(ipv6, count)?;
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        let message = ToEngine::Reply {
            id: waiter.request,
            reply: Reply::Socket,
        };
        let Some(client) = self.connections.get_mut(&waiter.connection) else {
            return Ok(());
        };
        if client.send_descriptors(&message, &descriptors).is_err() {
            self.disconnect(waiter.connection);
        }
        Ok(())
    }

    fn attach(&mut self, waiter: Waiter, spec: &AttachSpec) -> Result<(), Fault> {
        let container = self
            .key_of(&spec.container)
            .and_then(|key| self.container(key))
            .ok_or_else(|| refuse(Stage::Request, "the container is not known"))?;
        let Some(running) = container
            .running
            .as_ref()
            .filter(|_| !container.is_draining())
        else {
            return Err(refuse(Stage::Request, "the container is not running"));
        };
        if let Some(size) = spec.size {
            running.streams.resize(size);
        }
        let attach = Attach {
            container: container.key,
            terminal: container.state.spec.tty,
            stdin: spec.stdin,
            outputs: [spec.stdout, spec.stderr],
            wrote: false,
            dropped: 0,
            untold: 0,
        };
        if let Some(client) = self.connections.get_mut(&waiter.connection) {
            client.role = Role::Attach(attach);
        }
        Ok(())
    }

    fn resize(&self, key: Key, size: TerminalSize) {
        let Some(client) = self.connections.get(&key) else {
            return;
        };
        let streams = match &client.role {
            Role::Exec(session) => self.sessions.get(session).map(|found| &found.streams),
            Role::Attach(attach) => self
                .container(attach.container)
                .and_then(|container| container.running.as_ref())
                .map(|running| &running.streams),
            _ => None,
        };
        if let Some(streams) = streams {
            streams.resize(size);
        }
    }

    fn stdin(&mut self, key: Key, bytes: &[u8]) {
        let Some(client) = self.connections.get_mut(&key) else {
            return;
        };
        let (target, input, may_close) = match &mut client.role {
            Role::Exec(session) => {
                let session = *session;
                let Some(found) = self.sessions.get_mut(&session) else {
                    return;
                };
                (session, &mut found.streams.input, true)
            }
            Role::Attach(attach) if attach.stdin => {
                attach.wrote = true;
                let container = attach.container;
                let found = self
                    .containers
                    .iter_mut()
                    .find(|found| found.key == container);
                let Some(found) = found else { return };
                let once = found.state.spec.stdin_once;
                let Some(running) = found.running.as_mut() else {
                    return;
                };
                (container, &mut running.streams.input, once)
            }
            _ => return,
        };
        let taken = match input {
            Some(input) if !bytes.is_empty() => input.write(bytes, target, &self.reactor),
            Some(input) if may_close => input.finish(target, &self.reactor),
            Some(_) => Taken::All,
            None => Taken::Closed,
        };
        match taken {
            Taken::All => {}
            Taken::Part => self.pause(key, true),
            Taken::Closed => *input = None,
        }
    }
}

fn fault_or<T>(result: Result<T, Fault>, reply: impl FnOnce(T) -> Reply) -> Reply {
    result.map_or_else(Reply::Fault, reply)
}
