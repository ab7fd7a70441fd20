//! One container: checked, started, running, draining, exited.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::fault::{At, refuse};
use super::init::{self, Told};
use super::log_file::{LogFile, LogTrouble};
use super::memory;
use super::reactor::{Interest, Key, Reactor, Token};
use super::sandbox::{self, Sandbox};
use super::streams::{self, Got, Streams};
use crate::linux::cgroup::{Cgroup, DEFAULT_DEVICES, DeviceRule, OomWatch, block_device};
use crate::linux::clone::{self, Child, Namespaces, SingleThreaded};
use crate::linux::mount::{self, Attributes, Context};
use crate::linux::pidfd::{self, Exit};
use crate::linux::proc::{self, CStringArray};
use crate::linux::seccomp::Program;
use crate::linux::signal::Signal;
use crate::linux::{ns, path};
use crate::logs::format::{Encoder, Stamps, Stream};
use crate::wire::{
    ContainerPhase, ContainerSpec, ContainerState, EffectiveUser, ExitRecord, Fault, MemoryRecord,
    MountSource, Namespace, PidNamespace, Propagation, Stage,
};

/// A process that outlives the container may hold its output open; it is not waited for longer.
const DRAIN: Duration = Duration::from_secs(2);
/// A kill through the cgroup is repeated while the container lives.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// The v1 event fires before the kernel has killed anybody, so the count is read again after these.
const OOM_RECHECKS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(1000),
];
/// Reads of one output before others get their turn.
const READS_PER_TURN: usize = 4;
/// More than a pipe holds: enough to empty it when nobody writes any more.
const READS_TO_DRAIN: usize = 64;

/// The part of a container that exists from start to exit.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    /// `None` once exec has succeeded or failed.
    pub(super) reports: Option<init::Reports>,
    pub(super) streams: Streams,
    pub(super) cgroup: Cgroup,
    /// The container's devpts instance, for terminals of exec sessions.
    pub(super) devpts: OwnedFd,
    pub(super) filter: Option<Program>,
    log: LogFile,
    encoders: [Encoder; 2],
    stamps: Stamps,
    oom: Option<OomWatch>,
    oom_recheck: Option<(Instant, usize)>,
    exit: Option<(Exit, Timestamp)>,
    drain_until: Option<Instant>,
    stop_at: Option<Instant>,
    started_at: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) key: Key,
    pub(super) state: ContainerState,
    pub(super) running: Option<Running>,
    pub(super) pid: Option<crate::base::Pid>,
    pub(super) home: String,
    pub(super) start_fault: Option<Fault>,
}

/// What a piece of output meant.
#[derive(Debug, Default)]
pub(super) struct Pumped {
    pub(super) ended: bool,
    pub(super) notes: Vec<String>,
}

impl Container {
    pub(super) fn new(key: Key, spec: ContainerSpec) -> Result<Self, Fault> {
        check(&spec)?;
        Ok(Self {
            key,
            state: ContainerState {
                spec,
                phase: ContainerPhase::Created,
                created_at: Timestamp::now(),
                user: None,
                notes: Vec::new(),
                memory: MemoryRecord::default(),
            },
            running: None,
            pid: None,
            home: "/".to_owned(),
            start_fault: None,
        })
    }

    pub(super) const fn is_exited(&self) -> bool {
        matches!(self.state.phase, ContainerPhase::Exited(_))
    }

    /// Makes everything the container needs and its first process, which reports on the way to exec.
    pub(super) fn start(
        &mut self,
        sandbox: &Sandbox,
        reactor: &Reactor,
        witness: &SingleThreaded,
        target: Option<BorrowedFd<'_>>,
    ) -> Result<(), Fault> {
        let spec = &self.state.spec;
        let log = LogFile::open(&spec.log_path, spec.log_max_size, spec.log_max_files).at(
            Stage::Log,
            format_args!("open the log {}", spec.log_path.display()),
        )?;
        let (cgroup, mut notes) = sandbox
            .template
            .hierarchy
            .create_leaf(
                &sandbox.levels(),
                &spec.cgroup_leaf,
                &sandbox::limits_of(&spec.limits),
            )
            .at(Stage::Cgroup, "make the container's cgroup")?;
        let spawned = self.spawn(sandbox, &cgroup, witness, target, &mut notes);
        self.state.notes.extend(notes);
        let spawned = match spawned {
            Ok(spawned) => spawned,
            Err(fault) => {
                let _ = cgroup.remove();
                return Err(fault);
            }
        };
        let oom = match cgroup.watch_oom() {
            Ok(watch) => Some(watch),
            Err(error) => {
                let text = crate::base::chain(&error);
                self.state
                    .notes
                    .push(format!("no word of OOM kills: {text}"));
                None
            }
        };
        self.pid = Some(spawned.child.pid);
        let running = Running {
            child: spawned.child,
            reports: Some(spawned.reports),
            streams: spawned.streams,
            cgroup,
            devpts: spawned.devpts,
            filter: spawned.filter,
            log,
            encoders: [Encoder::new(Stream::Stdout), Encoder::new(Stream::Stderr)],
            stamps: Stamps::default(),
            oom,
            oom_recheck: None,
            exit: None,
            drain_until: None,
            stop_at: None,
            started_at: None,
        };
        let running = self.running.insert(running);
        running
            .watch(self.key, reactor)
            .at(Stage::State, "watch the container")
    }

    fn spawn(
        &self,
        sandbox: &Sandbox,
        cgroup: &Cgroup,
        witness: &SingleThreaded,
        target: Option<BorrowedFd<'_>>,
        notes: &mut Vec<String>,
    ) -> Result<Spawned, Fault> {
        let spec = &self.state.spec;
        let pause = sandbox
            .pause
            .as_ref()
            .ok_or_else(|| refuse(Stage::Request, "the sandbox is not ready"))?;
        if !spec.privileged {
            let restricted = cgroup
                .restrict_devices(&device_rules(spec))
                .at(Stage::Cgroup, "restrict devices")?;
            notes.extend(restricted);
        }
        let devpts = new_devpts().at(Stage::Mount, "make a devpts instance")?;
        let null = sandbox.template.null.as_fd();
        let (streams, ends) = streams::make(devpts.as_fd(), null, spec.tty, spec.stdin, None)?;
        let arguments = c_strings(&spec.argv, "an argument")?;
        let environment = c_strings(&spec.env, "an environment variable")?;
        let filter = sandbox.template.filter_for(spec);
        let shm = match sandbox.spec.namespaces.ipc {
            Namespace::Sandbox => sandbox.directory.shm(),
            Namespace::Host => "/dev/shm".into(),
        };
        let plan = init::Plan {
            process: init::Process {
                is_watched: false,
                arguments: &CStringArray::new(arguments),
                path: init::path_of(&environment),
                capabilities: spec.capabilities,
                no_new_privileges: spec.no_new_privileges,
                filter: filter.as_ref(),
                apparmor: spec.apparmor.as_deref(),
                stdin: ends.stdin(),
                stdout: ends.output(0),
                stderr: ends.output(1),
                terminal: ends.terminal(),
                user_namespace: sandbox.user.as_ref().map(|user| user.fd.as_fd()),
            },
            first_id: sandbox.user.as_ref().map_or(0, |user| user.start),
            environment: environment.clone(),
            rlimits: rlimits(spec)?,
            cgroup,
            cgroup_is_unified: sandbox.is_unified(),
            pause: pause.pidfd.as_fd(),
            join: joined(sandbox),
            devpts: devpts.as_fd(),
            terminal: ends.terminal(),
            shm: &shm,
            tmpfs_directory: &sandbox.directory.tmpfs(),
            propagating: propagating(sandbox, spec)?,
            spec,
        };
        let (reports, reporter) = init::channel().at(Stage::Clone, "make a pipe")?;
        let mut reporter = Some(reporter);
        let wanted = sandbox.spec.namespaces.pid;
        let own_pid = wanted == PidNamespace::Container && target.is_none();
        let namespaces = Namespaces::MOUNT.with_if(own_pid, Namespaces::PID);
        let mut spawn = || {
            clone::spawn(witness, namespaces, cgroup.unified_dir(), || {
                reporter
                    .take()
                    .map_or(1, |reporter| init::container(&plan, reporter))
            })
        };
        let entered = match wanted {
            PidNamespace::Sandbox => Some((pause.pidfd.as_fd(), "the sandbox")),
            PidNamespace::Container => target.map(|target| (target, "the target container")),
            PidNamespace::Host => None,
        };
        let child = match entered {
            Some((pidfd, whose)) => sandbox.own_pid.children_in(pidfd, &mut spawn).at(
                Stage::Namespaces,
                format_args!("enter the pid namespace of {whose}"),
            )?,
            None => spawn(),
        };
        Ok(Spawned {
            child: child.at(Stage::Clone, "make the first process")?,
            reports,
            streams,
            devpts,
            filter,
        })
    }

    pub(super) fn identity(&self) -> Option<&EffectiveUser> {
        self.state.user.as_ref()
    }

    /// The child has executed its program or given up.
    pub(super) fn started(&mut self, told: Told) -> Result<(), Fault> {
        let Some(running) = self.running.as_mut() else {
            return Ok(());
        };
        self.state.notes.extend(told.notes);
        if let Some((user, home)) = told.identity {
            self.state.user = Some(user);
            self.home = home;
        } else if told.fault.is_none() {
            let fault = refuse(
                Stage::Clone,
                "the first process died before it was executed",
            );
            self.start_fault = Some(fault.clone());
            return Err(fault);
        }
        if let Some(fault) = told.fault {
            self.start_fault = Some(fault.clone());
            return Err(fault);
        }
        let now = Timestamp::now();
        running.started_at = Some(now);
        self.state.phase = ContainerPhase::Running {
            pid: running.child.pid,
            started_at: now,
        };
        Ok(())
    }

    /// It could not be started at all.
    pub(super) fn failed(&mut self, fault: Fault) {
        self.state.phase = ContainerPhase::Exited(ExitRecord {
            code: 128,
            signal: None,
            started_at: None,
            finished_at: Timestamp::now(),
            oom_killed: false,
            start_error: Some(fault.message.clone()),
        });
        self.start_fault = Some(fault);
    }

    /// The first process is gone: what is left of the output is read. `true` when it is complete.
    pub(super) fn exited(&mut self, exit: Exit, own_pid_namespace: bool) -> bool {
        let Some(running) = self.running.as_mut() else {
            return false;
        };
        running.exit = Some((exit, Timestamp::now()));
        running.drain_until = Some(Instant::now() + DRAIN);
        running.stop_at = None;
        if !own_pid_namespace {
            // In its own namespace the kernel has killed the rest (pid_namespaces(7)).
            let _ = running.cgroup.kill();
        }
        !running.streams.has_output()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.exit.is_some())
    }

    /// Reads an output, writes the log and shows each piece to `view`.
    pub(super) fn pump(
        &mut self,
        stream: u8,
        buffer: &mut [u8],
        lines: &mut Vec<u8>,
        reactor: &Reactor,
        mut view: impl FnMut(&[u8]),
    ) -> Pumped {
        let mut pumped = Pumped::default();
        let Some(running) = self.running.as_mut() else {
            return pumped;
        };
        let turns = if running.exit.is_some() {
            READS_TO_DRAIN
        } else {
            READS_PER_TURN
        };
        for _ in 0..turns {
            match running.streams.read(stream, buffer, reactor) {
                Got::Bytes(length) => {
                    let now = Timestamp::now();
                    lines.clear();
                    running.encoders[usize::from(stream.min(1))].encode(
                        &buffer[..length],
                        now,
                        &mut running.stamps,
                        lines,
                    );
                    let trouble = running.log.write(lines, now);
                    pumped.notes.extend(trouble.map(describe));
                    view(&buffer[..length]);
                    if length < buffer.len() {
                        break;
                    }
                }
                Got::Nothing => break,
                Got::End => {
                    pumped.ended = !running.streams.has_output();
                    break;
                }
            }
        }
        pumped
    }

    /// Exit is known and output is complete: the record. Processes and cgroup are gone afterwards.
    /// `told` as in [`memory::record`].
    pub(super) fn finish(&mut self, lines: &mut Vec<u8>, told: &mut u64) -> Pumped {
        let mut pumped = Pumped::default();
        let Some(mut running) = self.running.take() else {
            return pumped;
        };
        let now = Timestamp::now();
        lines.clear();
        for encoder in &mut running.encoders {
            encoder.finish(now, &mut running.stamps, lines);
        }
        pumped
            .notes
            .extend(running.log.write(lines, now).map(describe));
        let kills = running.oom.as_ref().and_then(|oom| oom.kills().ok());
        let kills = kills.unwrap_or(0).max(self.state.memory.kills);
        let main = running.child.pid;
        let memory = memory::record(&running.cgroup, main, &self.state.memory, kills, told);
        self.state.memory = memory;
        let (exit, finished_at) = running.exit.unwrap_or((Exit::Code(255), now));
        let (code, signal) = match (&self.start_fault, exit) {
            (Some(_), _) => (128, None),
            (None, Exit::Code(code)) => (code, None),
            (None, Exit::Signal(signal)) => (128 + signal, Some(signal)),
        };
        self.state.phase = ContainerPhase::Exited(ExitRecord {
            code,
            signal,
            started_at: running.started_at,
            finished_at,
            oom_killed: self.state.memory.kills > 0,
            start_error: self.start_fault.as_ref().map(|fault| fault.message.clone()),
        });
        self.running = Some(running);
        pumped
    }

    /// Frees the name of the cgroup for the next instance; after [`Self::finish`].
    pub(super) fn release(&mut self, reactor: &Reactor) {
        if let Some(mut running) = self.running.take() {
            running.streams.close(reactor);
            if let Some(oom) = &running.oom {
                reactor.remove(oom.as_fd());
            }
            // What cannot be removed now is removed with the sandbox.
            let _ = running.cgroup.remove();
        }
    }

    /// The kernel has run out of memory in the cgroup, or it is time to count again. The new number of
    /// kills when it has grown.
    pub(super) fn check_oom(&mut self, event: bool, told: &mut u64) -> Option<u64> {
        let running = self.running.as_mut()?;
        let watch = running.oom.as_ref()?;
        let round = if event {
            watch.drain();
            0
        } else {
            running.oom_recheck.map_or(0, |(_, round)| round + 1)
        };
        running.oom_recheck = OOM_RECHECKS
            .get(round)
            .map(|after| (Instant::now() + *after, round));
        let kills = watch.kills().unwrap_or(0);
        if kills <= self.state.memory.kills {
            return None;
        }
        let main = running.child.pid;
        let memory = memory::record(&running.cgroup, main, &self.state.memory, kills, told);
        self.state.memory = memory;
        Some(kills)
    }

    /// When this container wants to be looked at again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        [
            running.stop_at,
            running.drain_until,
            running.oom_recheck.map(|(at, _)| at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn oom_recheck_is_due(&self, now: Instant) -> bool {
        self.running
            .as_ref()
            .and_then(|running| running.oom_recheck)
            .is_some_and(|(at, _)| at <= now)
    }

    pub(super) fn drain_is_over(&self, now: Instant) -> bool {
        self.running
            .as_ref()
            .and_then(|running| running.drain_until)
            .is_some_and(|at| at <= now)
    }

    pub(super) fn kill_is_due(&self, now: Instant) -> bool {
        self.running
            .as_ref()
            .and_then(|running| running.stop_at)
            .is_some_and(|at| at <= now)
    }

    /// Signals the first process and sets, or shortens, the time until the rest is killed.
    pub(super) fn stop(&mut self, signal: Signal, grace: Duration) -> Result<(), Fault> {
        let Some(running) = self.running.as_mut() else {
            return Ok(());
        };
        let at = Instant::now() + grace.min(Duration::from_secs(60 * 60 * 24 * 365));
        running.stop_at = Some(running.stop_at.map_or(at, |earlier| earlier.min(at)));
        if grace.is_zero() {
            self.kill();
            return Ok(());
        }
        self.signal(signal)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), Fault> {
        if let Some(running) = &self.running {
            pidfd::send(running.child.pidfd.as_fd(), signal)
                .at(Stage::Request, "signal the container")?;
        }
        Ok(())
    }

    /// Kills everything in the container now, and again later if that was not enough.
    pub(super) fn kill(&mut self) {
        if let Some(running) = self.running.as_mut() {
            let _ = pidfd::send(running.child.pidfd.as_fd(), Signal::KILL);
            let _ = running.cgroup.kill();
            running.stop_at = running.exit.is_none().then(|| Instant::now() + KILL_AGAIN);
        }
    }
}

impl Running {
    fn watch(&self, key: Key, reactor: &Reactor) -> io::Result<()> {
        self.streams.watch_outputs(key, reactor)?;
        if let Some(reports) = &self.reports {
            reactor.add(reports.as_fd(), Token::Reports(key), Interest::READ)?;
        }
        if let Some(oom) = &self.oom {
            reactor.add(oom.as_fd(), Token::OutOfMemory(key), Interest::READ)?;
        }
        Ok(())
    }
}

struct Spawned {
    child: Child,
    reports: init::Reports,
    streams: Streams,
    devpts: OwnedFd,
    filter: Option<Program>,
}

fn describe(trouble: LogTrouble) -> String {
    match trouble {
        LogTrouble::Failing(text) => text,
        LogTrouble::Recovered(lost) => {
            format!("writing the log works again, {lost} bytes were lost")
        }
    }
}

/// Namespaces of the sandbox that its processes join; what is the machine's is the shim's already.
pub(super) fn joined(sandbox: &Sandbox) -> Namespaces {
    let wanted = sandbox.spec.namespaces;
    let own = |namespace| namespace == Namespace::Sandbox;
    Namespaces::NONE
        .with_if(own(wanted.network), Namespaces::NETWORK)
        .with_if(own(wanted.ipc), Namespaces::IPC)
        .with_if(own(wanted.uts), Namespaces::UTS)
}

fn new_devpts() -> io::Result<OwnedFd> {
    let context = Context::open("devpts")?;
    context.flag("newinstance")?;
    // Group 5 is tty by custom; the mode is what grantpt(3) would set.
    for (key, value) in [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")] {
        context.set(key, value)?;
    }
    context.mount(Attributes::NO_SUID.with(Attributes::NO_EXEC))
}

pub(super) fn c_strings(texts: &[String], what: &str) -> Result<Vec<CString>, Fault> {
    texts
        .iter()
        .map(|text| init::c_string(text, what))
        .collect()
}

/// What every container may use, and the devices of its own volumes.
fn device_rules(spec: &ContainerSpec) -> Vec<DeviceRule> {
    let own = spec.devices.iter();
    let own = own.map(|device| block_device(device.major, device.minor, device.writable));
    DEFAULT_DEVICES.into_iter().chain(own).collect()
}

fn rlimits(spec: &ContainerSpec) -> Result<Vec<(u32, u64, u64)>, Fault> {
    spec.rlimits
        .iter()
        .map(|limit| {
            let resource = proc::resource(&limit.name).ok_or_else(|| {
                refuse(Stage::Rlimit, format!("unknown resource {:?}", limit.name))
            })?;
            Ok((resource, limit.soft, limit.hard))
        })
        .collect()
}

/// A volume whose mounts are to appear on the machine has to be copied where the machine's own mounts are
/// (`Bidirectional`): in the shim's namespace they are only slaves. One entry for each mount of the spec.
fn propagating(sandbox: &Sandbox, spec: &ContainerSpec) -> Result<Vec<Option<OwnedFd>>, Fault> {
    let [machine, own] = &sandbox.mounts;
    spec.mounts
        .iter()
        .map(|wanted| {
            let MountSource::Bind {
                path,
                follow_symlinks,
            } = &wanted.source
            else {
                return Ok(None);
            };
            if wanted.propagation != Propagation::Bidirectional {
                return Ok(None);
            }
            let links = if *follow_symlinks {
                path::Links::InRoot
            } else {
                path::Links::Refuse
            };
            let what = format!("share mounts of {}", path.display());
            ns::enter(machine.as_fd(), Namespaces::MOUNT).at(Stage::Mount, &what)?;
            let copied = init::open_host(path, links).and_then(|fd| {
                let unshared = mount::unshared_mount(fd.as_fd())?;
                Ok((mount::copy(fd.as_fd(), true)?, unshared))
            });
            ns::enter(own.as_fd(), Namespaces::MOUNT).at(Stage::Mount, &what)?;
            let (copied, unshared) = copied.at(Stage::Mount, &what)?;
            match unshared {
                None => Ok(Some(copied)),
                // In the words of containerd (`ensureShared`).
                Some(point) => Err(refuse(
                    Stage::Mount,
                    format!(
                        "path \"{}\" is mounted on \"{}\" but it is not a shared mount",
                        path.display(),
                        point.display()
                    ),
                )),
            }
        })
        .collect()
}

/// What can be refused without trying.
fn check(spec: &ContainerSpec) -> Result<(), Fault> {
    let request = |message: String| Err(refuse(Stage::Request, message));
    if spec.argv.first().is_none_or(String::is_empty) {
        return request("no command specified".to_owned());
    }
    c_strings(&spec.argv, "an argument")?;
    c_strings(&spec.env, "an environment variable")?;
    if let Some(entry) = spec
        .env
        .iter()
        .find(|entry| entry.find('=').is_none_or(|at| at == 0))
    {
        return request(format!("environment entry {entry:?} is not NAME=value"));
    }
    if !spec.cwd.starts_with('/') {
        return Err(refuse(
            Stage::WorkingDirectory,
            format!("working directory {:?} is not absolute", spec.cwd),
        ));
    }
    if spec.rootfs.layers.is_empty() {
        return Err(refuse(Stage::Rootfs, "the image has no layers"));
    }
    if !sandbox::is_name(&spec.cgroup_leaf) {
        return Err(refuse(
            Stage::Cgroup,
            format!("cgroup name {:?} is not a file name", spec.cgroup_leaf),
        ));
    }
    if Signal::parse(&spec.stop_signal).is_none() {
        return request(format!("unknown stop signal {:?}", spec.stop_signal));
    }
    if let Some(wanted) = spec
        .mounts
        .iter()
        .find(|wanted| !wanted.destination.starts_with('/') || wanted.destination.contains('\0'))
    {
        return Err(refuse(
            Stage::Mount,
            format!("mount destination {:?} is not absolute", wanted.destination),
        ));
    }
    rlimits(spec).map(|_| ())
}
