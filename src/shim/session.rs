//! Exec sessions: a second process inside a running container, and its client.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::container::{Container, Running, c_strings, joined};
use super::fault::{At, refuse};
use super::init;
use super::reactor::{Interest, Key, Reactor, Token};
use super::sandbox::Sandbox;
use super::server::Waiter;
use super::streams::{self, ChildEnds, Got, Streams};
use crate::base::Pid;
use crate::linux::caps;
use crate::linux::clone::{self, Child, Namespaces, SingleThreaded};
use crate::linux::pidfd::{self, Exit};
use crate::linux::proc::CStringArray;
use crate::linux::signal::Signal;
use crate::linux::spawner::{Progress, Started};
use crate::wire::{ContainerSpec, EffectiveUser, ExecSpec, Fault, PidNamespace, Stage};

/// A process that the session left behind may hold its output open; it is not waited for longer.
const DRAIN: Duration = Duration::from_secs(1);
/// More than a pipe holds.
const READS_TO_DRAIN: usize = 8;
/// Most commands that are only asked how they end have ended before: then nothing had to be watched but their end.
const LONG: Duration = Duration::from_millis(50);

/// How long a process that is to be killed may take to be made.
const SOON: Duration = Duration::from_millis(20);

/// The process of a session.
#[derive(Debug)]
pub(super) enum Process {
    Forked(Child),
    /// Made by the spawner; what was asked for, should it fail.
    Ordered(Started, ExecSpec),
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    /// `None` when the client has gone.
    pub(super) connection: Option<Key>,
    pub(super) request: u64,
    process: Process,
    pub(super) reports: Option<init::Reports>,
    pub(super) streams: Streams,
    pub(super) exit: Option<Exit>,
    drain_until: Option<Instant>,
    /// The process does not outlive its client.
    kill_with_client: bool,
    /// Of a command that is only asked how it ends. Its reports and its output are read when it has ended, or when
    /// it takes long.
    pub(super) kept: Option<Kept>,
    /// When the output of a command that is still running begins to be watched.
    watch_at: Option<Instant>,
    /// The client reads too slowly; the output waits in the kernel and stalls only this session.
    pub(super) blocked: bool,
}

/// The beginning of an output.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    limit: usize,
}

impl Kept {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What a session executes, without its streams.
pub(super) struct Command<'a> {
    running: &'a Running,
    user: &'a EffectiveUser,
    of: &'a ContainerSpec,
    sandbox: &'a Sandbox,
    arguments: CStringArray,
    environment: CStringArray,
    path: Option<Vec<u8>>,
    is_watched: bool,
}

impl<'a> Command<'a> {
    pub(super) fn new(
        spec: &ExecSpec,
        container: &'a Container,
        sandbox: &'a Sandbox,
    ) -> Result<Self, Fault> {
        let (running, user) = target(container)?;
        if spec.argv.first().is_none_or(String::is_empty) {
            return Err(refuse(Stage::Request, "no command specified"));
        }
        let of = &container.state.spec;
        let mut environment = of.env.clone();
        if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
            environment.push(format!("HOME={}", container.home));
        }
        // The first of two entries wins in most C libraries, so an overridden one has to go.
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        environment.retain(|entry| !spec.env.iter().any(|other| name(other) == name(entry)));
        environment.extend(spec.env.iter().cloned());
        let environment = c_strings(&environment, "an environment variable")?;
        let arguments = CStringArray::new(c_strings(&spec.argv, "an argument")?);
        let path = init::path_of(&environment).map(<[u8]>::to_vec);
        Ok(Self {
            running,
            user,
            of,
            sandbox,
            arguments,
            environment: CStringArray::new(environment),
            path,
            is_watched: false,
        })
    }

    pub(super) fn plan<'b>(&'b self, ends: &'b ChildEnds) -> init::Session<'b> {
        let (of, running) = (self.of, self.running);
        let user = self.sandbox.user.as_ref();
        init::Session {
            process: init::Process {
                is_watched: self.is_watched,
                arguments: &self.arguments,
                path: self.path.as_deref(),
                capabilities: of.capabilities,
                no_new_privileges: of.no_new_privileges,
                filter: running.filter.as_ref(),
                apparmor: of.apparmor.as_deref(),
                stdin: ends.stdin(),
                stdout: ends.output(0),
                stderr: ends.output(1),
                terminal: ends.terminal(),
                user_namespace: user.map(|user| user.fd.as_fd()),
            },
            first_id: user.map_or(0, |user| user.start),
            environment: &self.environment,
            user: self.user,
            cwd: &of.cwd,
            oom_score_adj: of.oom_score_adj,
            cgroup: &running.cgroup,
            target: running.child.pidfd.as_fd(),
            join: joined(self.sandbox)
                .with(Namespaces::MOUNT)
                .with_if(!of.privileged, Namespaces::CGROUP),
            own_pids: self.sandbox.spec.namespaces.pid != PidNamespace::Host,
        }
    }
}

/// Whether a process of one of these containers may look into what is executed in another of them; see
/// [`init::Process::is_watched`].
pub(super) fn are_watched(containers: &[Container], sandbox: &Sandbox) -> bool {
    let may_trace =
        |container: &Container| container.state.spec.capabilities.bounding & caps::SYS_PTRACE != 0;
    sandbox.user.is_none()
        && sandbox.spec.namespaces.pid != PidNamespace::Host
        && containers.iter().any(may_trace)
}

/// What runs in the container, and as whom.
pub(super) fn target(container: &Container) -> Result<(&Running, &EffectiveUser), Fault> {
    let running = container
        .running
        .as_ref()
        .filter(|running| running.reports.is_none() && !container.is_draining());
    running
        .zip(container.identity())
        .ok_or_else(|| refuse(Stage::Request, "the container is not running"))
}

impl Session {
    /// Makes the process; it reports on the way to exec.
    pub(super) fn start(
        key: Key,
        client: Waiter,
        (spec, kept): (&ExecSpec, Option<Kept>),
        (container, is_watched): (&Container, bool),
        sandbox: &Sandbox,
        reactor: &Reactor,
        witness: &SingleThreaded,
    ) -> Result<Self, Fault> {
        let mut command = Command::new(spec, container, sandbox)?;
        command.is_watched = is_watched;
        let running = command.running;
        let null = sandbox.template.null.as_fd();
        let (streams, ends) = if kept.is_some() {
            // Whoever asks in this way asks again.
            running
                .cgroup
                .keep_open()
                .at(Stage::Cgroup, "open the cgroup of the container")?;
            streams::make_brief(null)?
        } else {
            streams::make(
                running.devpts.as_fd(),
                null,
                spec.tty,
                spec.stdin,
                spec.size,
            )?
        };
        let plan = command.plan(&ends);
        let (reports, reporter) = init::channel().at(Stage::Clone, "make a pipe")?;
        let mut reporter = Some(reporter);
        let mut spawn = || {
            clone::spawn(
                witness,
                Namespaces::NONE,
                running.cgroup.unified_dir(),
                || {
                    reporter
                        .take()
                        .map_or(1, |reporter| init::session(&plan, reporter))
                },
            )
        };
        let child = if plan.own_pids && !is_watched {
            sandbox
                .own_pid
                .children_in(running.child.pidfd.as_fd(), &mut spawn)
                .at(
                    Stage::Namespaces,
                    "enter the pid namespace of the container",
                )?
        } else {
            spawn()
        };
        let child = child.at(Stage::Clone, "make the process")?;
        if kept.is_none() {
            reactor
                .add(reports.as_fd(), Token::Reports(key), Interest::READ)
                .at(Stage::State, "watch the session")?;
        }
        let process = Process::Forked(child);
        let mut session = Self::new(key, client, process, streams, kept);
        session.reports = Some(reports);
        session.kill_with_client = spec.kill_with_client;
        Ok(session)
    }

    /// What the spawner was told to execute.
    pub(super) fn ordered(
        key: Key,
        client: Waiter,
        (started, spec): (Started, ExecSpec),
        streams: Streams,
        kept: Kept,
    ) -> Self {
        let process = Process::Ordered(started, spec);
        Self::new(key, client, process, streams, Some(kept))
    }

    fn new(
        key: Key,
        client: Waiter,
        process: Process,
        streams: Streams,
        kept: Option<Kept>,
    ) -> Self {
        Self {
            key,
            connection: Some(client.connection),
            request: client.request,
            process,
            reports: None,
            streams,
            exit: None,
            drain_until: None,
            kill_with_client: true,
            watch_at: kept.as_ref().map(|_| Instant::now() + LONG),
            kept,
            blocked: false,
        }
    }

    /// `None` until there is a process.
    pub(super) fn pid(&self) -> Option<Pid> {
        match &self.process {
            Process::Forked(child) => Some(child.pid),
            Process::Ordered(started, _) => started.pid(),
        }
    }

    /// How far an ordered command came.
    pub(super) fn progress(&self) -> Option<Progress> {
        match &self.process {
            Process::Forked(_) => None,
            Process::Ordered(started, _) => Some(started.progress()),
        }
    }

    /// Exec succeeded.
    pub(super) fn started(&mut self, reactor: &Reactor) -> io::Result<()> {
        if self.kept.is_some() {
            return Ok(());
        }
        self.streams.watch_outputs(self.key, reactor)
    }

    /// Whether this is what the client asked for with this request.
    pub(super) fn is_of(&self, waiter: Waiter) -> bool {
        self.connection == Some(waiter.connection) && self.request == waiter.request
    }

    pub(super) fn exited(&mut self, exit: Exit) {
        self.exit = Some(exit);
        self.drain_until = Some(Instant::now() + DRAIN);
    }

    /// Keeps what a command that has ended has written.
    pub(super) fn collect(&mut self, buffer: &mut [u8], reactor: &Reactor) {
        let Some(kept) = &mut self.kept else { return };
        for _ in 0..READS_TO_DRAIN {
            match self.streams.read(0, buffer, reactor) {
                Got::Bytes(length) => kept.add(&buffer[..length]),
                Got::End => {
                    self.watch_at = None;
                    return;
                }
                Got::Nothing => break,
            }
        }
        // Another process holds it open.
        self.watch_late(reactor);
    }

    /// A command that takes long is read before its end; one that nobody wants any more is killed once it is there.
    pub(super) fn run_timer(&mut self, now: Instant, reactor: &Reactor) {
        if self.watch_at.is_none_or(|at| at > now) {
            return;
        }
        if self.connection.is_some() {
            self.watch_late(reactor);
        } else {
            self.watch_at = None;
            self.kill();
        }
    }

    fn watch_late(&mut self, reactor: &Reactor) {
        if self.watch_at.take().is_some() {
            // Without a watch it is read at the end, or given up then.
            let _ = self.streams.watch_outputs(self.key, reactor);
        }
    }

    /// Stops or resumes reading the output.
    pub(super) fn set_blocked(&mut self, blocked: bool, reactor: &Reactor) -> io::Result<()> {
        if self.blocked == blocked {
            return Ok(());
        }
        self.blocked = blocked;
        if blocked {
            // Removed, not muted: epoll(7) tells of a hang-up in any case and would spin.
            self.streams.unwatch_outputs(reactor);
            return Ok(());
        }
        if self.exit.is_some() {
            self.drain_until = Some(Instant::now() + DRAIN);
        }
        self.streams.watch_outputs(self.key, reactor)
    }

    /// The client has gone: a terminal hangs up, pipes break, and a process that is to end with its
    /// client is killed.
    pub(super) fn abandon(&mut self, reactor: &Reactor) {
        self.connection = None;
        self.watch_at = None;
        self.streams.close(reactor);
        if self.exit.is_some() {
            return;
        }
        if self.kill_with_client || self.reports.is_some() {
            self.kill();
        }
    }

    /// Our own child that is not reaped yet can always be signalled, and its number is its own.
    fn kill(&mut self) {
        match &self.process {
            Process::Forked(child) if self.kill_with_client => {
                let _ = pidfd::send_to_group(child.pidfd.as_fd(), Signal::KILL);
            }
            Process::Forked(child) => {
                let _ = pidfd::send(child.pidfd.as_fd(), Signal::KILL);
            }
            Process::Ordered(started, _) => match started.pid().map(pidfd::open) {
                Some(Ok(pidfd)) => {
                    let _ = pidfd::send_to_group(pidfd.as_fd(), Signal::KILL);
                }
                Some(Err(_)) => {}
                None => self.watch_at = Some(Instant::now() + SOON),
            },
        }
    }

    /// Whether no process was made and none will be; when the spawner does not live, no more are made.
    pub(super) fn is_unborn(&self, lives: bool) -> bool {
        let progress = self.progress();
        let never = progress == Some(Progress::Failed) || !lives;
        progress.is_some() && self.pid().is_none() && never
    }

    /// Takes out what was asked for, and of whom, to ask anew.
    pub(super) fn into_asked(self) -> Option<(Waiter, ExecSpec, Kept)> {
        let Process::Ordered(_, spec) = self.process else {
            return None;
        };
        let waiter = Waiter {
            connection: self.connection?,
            request: self.request,
        };
        Some((waiter, spec, self.kept?))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let drained = self.drain_until.filter(|_| !self.blocked);
        drained.into_iter().chain(self.watch_at).min()
    }

    /// The exit code, once the process is gone and its output has been read or is given up.
    pub(super) fn outcome(&self, now: Instant) -> Option<i32> {
        let code = match self.exit? {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        };
        let over = !self.blocked && self.drain_until.is_some_and(|at| at <= now);
        (!self.streams.has_output() || over).then_some(code)
    }
}
