//! Exec sessions: a second process inside a running container, and its client.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::container::{Container, c_strings, joined};
use super::fault::{At, refuse};
use super::init;
use super::reactor::{Interest, Key, Reactor, Token};
use super::sandbox::Sandbox;
use super::server::Waiter;
use super::streams::{self, Streams};
use crate::linux::clone::{self, Child, Namespaces, SingleThreaded};
use crate::linux::pidfd::{self, Exit};
use crate::linux::proc::CStringArray;
use crate::linux::signal::Signal;
use crate::wire::{ExecSpec, Fault, PidNamespace, Stage};

/// A process that the session left behind may hold its output open; it is not waited for longer.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    /// `None` when the client has gone.
    pub(super) connection: Option<Key>,
    pub(super) request: u64,
    pub(super) child: Child,
    pub(super) reports: Option<init::Reports>,
    pub(super) streams: Streams,
    pub(super) exit: Option<Exit>,
    drain_until: Option<Instant>,
    /// The process does not outlive its client.
    kill_with_client: bool,
    /// See [`ExecSpec::brief`]: the outputs are watched from the beginning, the reports never.
    pub(super) brief: bool,
    /// The client reads too slowly; the output waits in the kernel and stalls only this session.
    pub(super) blocked: bool,
}

impl Session {
    /// Makes the process; it reports on the way to exec.
    pub(super) fn start(
        key: Key,
        client: Waiter,
        spec: &ExecSpec,
        container: &Container,
        sandbox: &Sandbox,
        reactor: &Reactor,
        witness: &SingleThreaded,
    ) -> Result<Self, Fault> {
        let running = container
            .running
            .as_ref()
            .filter(|running| running.reports.is_none() && !container.is_draining());
        let (Some(running), Some(user)) = (running, container.identity()) else {
            return Err(refuse(Stage::Request, "the container is not running"));
        };
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
        let brief = spec.brief && !spec.tty && !spec.stdin;
        let (streams, ends) = if brief {
            // Whoever asks in this way asks again.
            running
                .cgroup
                .keep_open()
                .at(Stage::Cgroup, "open the cgroup of the container")?;
            streams::make_brief()?
        } else {
            streams::make(running.devpts.as_fd(), spec.tty, spec.stdin, spec.size)?
        };
        let path = init::path_of(&environment).map(<[u8]>::to_vec);
        let plan = init::Session {
            process: init::Process {
                arguments: &arguments,
                path: path.as_deref(),
                capabilities: of.capabilities,
                no_new_privileges: of.no_new_privileges,
                filter: running.filter.as_ref(),
                apparmor: of.apparmor.as_deref(),
                stdin: ends.stdin(),
                stdout: ends.output(0),
                stderr: ends.output(1),
                terminal: ends.terminal(),
                user_namespace: sandbox.user.as_ref().map(|user| user.fd.as_fd()),
            },
            first_id: sandbox.user.as_ref().map_or(0, |user| user.start),
            environment: CStringArray::new(environment),
            user,
            cwd: &of.cwd,
            oom_score_adj: of.oom_score_adj,
            cgroup: &running.cgroup,
            target: running.child.pidfd.as_fd(),
            join: joined(sandbox)
                .with(Namespaces::MOUNT)
                .with_if(!of.privileged, Namespaces::CGROUP),
        };
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
        let child = if sandbox.spec.namespaces.pid == PidNamespace::Host {
            spawn()
        } else {
            sandbox
                .own_pid
                .children_in(running.child.pidfd.as_fd(), &mut spawn)
                .at(
                    Stage::Namespaces,
                    "enter the pid namespace of the container",
                )?
        };
        let child = child.at(Stage::Clone, "make the process")?;
        let watched = if brief {
            // What it reports is read when it writes or ends.
            streams.watch_outputs(key, reactor)
        } else {
            reactor.add(reports.as_fd(), Token::Reports(key), Interest::READ)
        };
        watched.at(Stage::State, "watch the session")?;
        Ok(Self {
            key,
            connection: Some(client.connection),
            request: client.request,
            child,
            reports: Some(reports),
            streams,
            exit: None,
            drain_until: None,
            kill_with_client: spec.kill_with_client,
            brief,
            blocked: false,
        })
    }

    /// Exec succeeded.
    pub(super) fn started(&mut self, reactor: &Reactor) -> io::Result<()> {
        if self.brief {
            return Ok(());
        }
        self.streams.watch_outputs(self.key, reactor)
    }

    pub(super) fn exited(&mut self, exit: Exit) {
        self.exit = Some(exit);
        self.drain_until = Some(Instant::now() + DRAIN);
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
        self.streams.close(reactor);
        if self.exit.is_some() {
            return;
        }
        let pidfd = self.child.pidfd.as_fd();
        // Our own child that is not reaped yet can always be signalled.
        if self.kill_with_client {
            let _ = pidfd::send_to_group(pidfd, Signal::KILL);
        } else if self.reports.is_some() {
            let _ = pidfd::send(pidfd, Signal::KILL);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.drain_until.filter(|_| !self.blocked)
    }

    /// The exit code, once the process is gone and its output has been read or is given up.
    pub(super) fn outcome(&self, now: Instant) -> Option<i32> {
        let code = match self.exit? {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        };
        let over = self.deadline().is_some_and(|at| at <= now);
        (!self.streams.has_output() || over).then_some(code)
    }
}
