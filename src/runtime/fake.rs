//! A runtime in memory for tests of the engine: containers behave as they are told, on tokio's clock.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{ContainerRuntime, Discovered, ExecResult, RuntimeError, RuntimeEvent};
use crate::base::{Clock, ContainerId, Pid, ProcessInfo, SandboxId, SessionStream};
use crate::wire::{
    AttachSpec, CgroupLevel, Cleanup, ContainerPhase, ContainerSpec, ContainerState,
    ContainerStats, EffectiveUser, Event, EventKind, ExecSpec, ExitRecord, Fault, MemoryRecord,
    NetworkStats, ResourceLimits, SandboxPhase, SandboxProcess, SandboxProcesses, SandboxSpec,
    SandboxState, SandboxStats, Stage, VolumeContent,
};

const NAME: &str = "io.kubernetes.container.name";

/// What the next instance of a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Runs until it is asked to end, then ends at once with 143.
    Runs,
    /// Ends by itself.
    Exits {
        after: Duration,
        code: i32,
    },
    /// Does not react to its stop signal.
    Ignores,
    /// Does not even die of SIGKILL before this has passed, as a process that waits for a dead disk.
    Lingers(Duration),
    FailsToCreate,
    FailsToStart,
}

#[derive(Default)]
struct World {
    sandboxes: HashMap<SandboxId, SandboxState>,
    /// Dead shims, found by the next `discover`.
    dead: Vec<SandboxState>,
    script: HashMap<String, VecDeque<Behaviour>>,
    doing: HashMap<ContainerId, Behaviour>,
    refuse_sandboxes: u32,
    refusal: Option<Fault>,
    /// Verbs that fail so many times more.
    failing: HashMap<&'static str, u32>,
    /// Command line → what it writes, its exit code and how long it takes. Others succeed at once.
    commands: HashMap<String, (String, i32, Duration)>,
    calls: Vec<String>,
    events: Option<mpsc::Sender<RuntimeEvent>>,
    sequence: u64,
}

#[derive(Clone)]
pub(crate) struct FakeRuntime {
    world: Arc<Mutex<World>>,
    clock: Clock,
}

fn fault(stage: Stage, message: &str) -> RuntimeError {
    RuntimeError::Fault(Fault {
        stage,
        errno: 2,
        message: message.to_owned(),
    })
}

impl FakeRuntime {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            world: Arc::default(),
            clock,
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last behaviour of a container repeats; without any it runs.
    pub(crate) fn script(&self, container: &str, behaviours: &[Behaviour]) {
        self.world()
            .script
            .insert(container.to_owned(), behaviours.iter().copied().collect());
    }

    /// What a command does from now on.
    pub(crate) fn answer(&self, command: &str, output: &str, code: i32, after: Duration) {
        self.world()
            .commands
            .insert(command.to_owned(), (output.to_owned(), code, after));
    }

    /// The next sandboxes cannot be made.
    pub(crate) fn refuse_sandboxes(&self, count: u32) {
        self.world().refuse_sandboxes = count;
    }

    /// The next sandbox cannot be made, for want of its cgroup.
    pub(crate) fn refuse_cgroup(&self) {
        self.refuse_sandboxes(1);
        self.world().refusal = Some(Fault {
            stage: Stage::Cgroup,
            errno: 12,
            message: "make the pod's cgroup: cannot allocate memory".to_owned(),
        });
    }

    /// The next calls of this verb (`stop` a container, `look` at a sandbox) fail.
    pub(crate) fn fail(&self, verb: &'static str, count: u32) {
        self.world().failing.insert(verb, count);
    }

    fn fails(&self, verb: &'static str) -> bool {
        let mut world = self.world();
        let left = world.failing.entry(verb).or_default();
        let fails = *left > 0;
        *left = left.saturating_sub(1);
        fails
    }

    /// `verb name` of every call that changed something, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    pub(crate) fn sandbox_count(&self) -> usize {
        self.world().sandboxes.len()
    }

    pub(crate) fn only_sandbox(&self) -> SandboxState {
        let world = self.world();
        assert_eq!(world.sandboxes.len(), 1);
        world.sandboxes.values().next().unwrap().clone()
    }

    /// Pause dies; the containers run on until they are killed.
    pub(crate) fn kill_pause(&self) {
        let ids: Vec<SandboxId> = self.world().sandboxes.keys().cloned().collect();
        for id in ids {
            if let Some(sandbox) = self.world().sandboxes.get_mut(&id) {
                sandbox.phase = SandboxPhase::NotReady;
                sandbox.pause_pid = None;
            }
            self.tell(&id, EventKind::SandboxExited);
        }
    }

    /// All shims die. `seen`: the engine is told; otherwise it finds out at its next start.
    pub(crate) fn kill_shims(&self, seen: bool) {
        let gone: Vec<SandboxState> = self.world().sandboxes.drain().map(|(_, it)| it).collect();
        for state in gone {
            let sandbox = state.spec.id.clone();
            self.world().dead.push(state);
            if seen {
                let events = self.world().events.clone();
                if let Some(events) = events {
                    let _ = events.try_send(RuntimeEvent::ShimLost { sandbox });
                }
            }
        }
    }

    /// The newest instance of this name ends now.
    pub(crate) fn end(&self, name: &str, code: i32) {
        let id = self
            .world()
            .sandboxes
            .values()
            .flat_map(|sandbox| &sandbox.containers)
            .filter(|container| container.spec.labels.get(NAME).is_some_and(|it| it == name))
            .last()
            .map(|container| container.spec.id.clone())
            .unwrap();
        self.exit(&id, code);
    }

    fn tell(&self, sandbox: &SandboxId, kind: EventKind) {
        let mut world = self.world();
        world.sequence += 1;
        let event = Event {
            sequence: world.sequence,
            at: self.clock.now(),
            kind,
        };
        if let Some(events) = &world.events {
            let _ = events.try_send(RuntimeEvent::Sandbox {
                sandbox: sandbox.clone(),
                event,
            });
        }
    }

    fn with_container<T>(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&SandboxId, &mut ContainerState) -> T,
    ) -> Result<T, RuntimeError> {
        let mut world = self.world();
        for sandbox in world.sandboxes.values_mut() {
            let owner = sandbox.spec.id.clone();
            if let Some(container) = sandbox
                .containers
                .iter_mut()
                .find(|container| container.spec.id == *id)
            {
                return Ok(change(&owner, container));
            }
        }
        Err(RuntimeError::UnknownContainer(id.clone()))
    }

    fn exit(&self, id: &ContainerId, code: i32) {
        let now = self.clock.now();
        let told = self.with_container(id, |sandbox, container| {
            let ContainerPhase::Running { started_at, .. } = container.phase else {
                return None;
            };
            let exit = ExitRecord {
                code,
                signal: (code > 128).then(|| code - 128),
                started_at: Some(started_at),
                finished_at: now,
                oom_killed: false,
                start_error: None,
            };
            container.phase = ContainerPhase::Exited(exit.clone());
            Some((sandbox.clone(), exit))
        });
        if let Ok(Some((sandbox, exit))) = told {
            self.tell(
                &sandbox,
                EventKind::Exited {
                    container: id.clone(),
                    exit,
                },
            );
        }
    }

    fn record(&self, id: &ContainerId) -> Option<ExitRecord> {
        self.with_container(id, |_, container| match &container.phase {
            ContainerPhase::Exited(exit) => Some(exit.clone()),
            ContainerPhase::Created | ContainerPhase::Running { .. } => None,
        })
        .ok()
        .flatten()
    }

    fn call(&self, verb: &str, name: &str) {
        self.world().calls.push(format!("{verb} {name}"));
    }
}

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    async fn discover(&self) -> Result<Vec<Discovered>, RuntimeError> {
        let mut world = self.world();
        let dead = std::mem::take(&mut world.dead);
        let alive = world.sandboxes.values().cloned();
        Ok(alive
            .map(|state| Discovered::Alive(Box::new(state)))
            .chain(
                dead.into_iter()
                    .map(|state| Discovered::Dead(Box::new(state))),
            )
            .collect())
    }

    async fn run_pod_sandbox(&self, spec: SandboxSpec) -> Result<SandboxState, RuntimeError> {
        let mut world = self.world();
        if world.refuse_sandboxes > 0 {
            world.refuse_sandboxes -= 1;
            if let Some(refusal) = world.refusal.take() {
                return Err(RuntimeError::Fault(refusal));
            }
            return Err(fault(Stage::Network, "creating the bridge failed"));
        }
        world.calls.push(format!("sandbox {}", spec.hostname));
        let state = SandboxState {
            address: spec.network.as_ref().map(|plan| plan.address.addr()),
            phase: SandboxPhase::Ready,
            created_at: self.clock.now(),
            shim_pid: Pid::new(1),
            pause_pid: Some(Pid::new(2)),
            containers: Vec::new(),
            notes: Vec::new(),
            spec,
        };
        world.sandboxes.insert(state.spec.id.clone(), state.clone());
        Ok(state)
    }

    async fn stop_pod_sandbox(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let running: Vec<ContainerId> = {
            let mut world = self.world();
            let Some(state) = world.sandboxes.get_mut(sandbox) else {
                return Ok(());
            };
            state.phase = SandboxPhase::NotReady;
            state
                .containers
                .iter()
                .filter(|container| matches!(container.phase, ContainerPhase::Running { .. }))
                .map(|container| container.spec.id.clone())
                .collect()
        };
        for id in running {
            self.exit(&id, 137);
        }
        Ok(())
    }

    async fn remove_pod_sandbox(
        &self,
        sandbox: &SandboxId,
        bridge: Option<String>,
    ) -> Result<(), RuntimeError> {
        let removed = self.world().sandboxes.remove(sandbox);
        if let Some(state) = removed {
            let with = if bridge.is_some() { " and bridge" } else { "" };
            self.call("remove", &format!("{}{with}", state.spec.hostname));
        }
        Ok(())
    }

    async fn clean_up(&self, what: Cleanup) -> Result<Option<Box<SandboxState>>, RuntimeError> {
        self.world()
            .dead
            .retain(|state| state.spec.directory != what.directory);
        Ok(None)
    }

    async fn write_volume(
        &self,
        sandbox: &SandboxId,
        content: VolumeContent,
    ) -> Result<(), RuntimeError> {
        let mut world = self.world();
        if !world.sandboxes.contains_key(sandbox) {
            return Err(RuntimeError::UnknownSandbox(sandbox.clone()));
        }
        world.calls.push(format!("write {}", content.key));
        Ok(())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        spec: ContainerSpec,
    ) -> Result<(), RuntimeError> {
        let name = spec.labels.get(NAME).cloned().unwrap_or_default();
        let mut world = self.world();
        let script = world.script.entry(name.clone()).or_default();
        let behaviour = if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script.front().copied().unwrap_or(Behaviour::Runs)
        };
        if behaviour == Behaviour::FailsToCreate {
            return Err(fault(Stage::Mount, "mounting /nope failed"));
        }
        world.calls.push(format!("create {name}"));
        world.doing.insert(spec.id.clone(), behaviour);
        let state = world
            .sandboxes
            .get_mut(sandbox)
            .ok_or_else(|| RuntimeError::UnknownSandbox(sandbox.clone()))?;
        state.containers.push(ContainerState {
            spec,
            phase: ContainerPhase::Created,
            created_at: self.clock.now(),
            user: None,
            notes: Vec::new(),
            memory: MemoryRecord::default(),
        });
        Ok(())
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let now = self.clock.now();
        let behaviour = self.world().doing.get(id).copied();
        let fails = behaviour == Some(Behaviour::FailsToStart);
        let sandbox = self.with_container(id, |sandbox, container| {
            container.phase = if fails {
                ContainerPhase::Exited(ExitRecord {
                    code: 128,
                    signal: None,
                    started_at: None,
                    finished_at: now,
                    oom_killed: false,
                    start_error: Some("exec: \"nope\": not found".to_owned()),
                })
            } else {
                ContainerPhase::Running {
                    pid: Pid::new(7),
                    started_at: now,
                }
            };
            container.user = Some(EffectiveUser {
                uid: 0,
                gid: 0,
                supplementary_groups: vec![0],
            });
            sandbox.clone()
        })?;
        if fails {
            return Err(fault(Stage::Exec, "exec: \"nope\": not found"));
        }
        self.tell(
            &sandbox,
            EventKind::Started {
                container: id.clone(),
            },
        );
        if let Some(Behaviour::Exits { after, code }) = behaviour {
            let (fake, id) = (self.clone(), id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                fake.exit(&id, code);
            });
        }
        Ok(())
    }

    async fn stop_container(
        &self,
        id: &ContainerId,
        _signal: Option<String>,
        grace: Duration,
    ) -> Result<ExitRecord, RuntimeError> {
        let name = self.with_container(id, |_, container| {
            container.spec.labels.get(NAME).cloned().unwrap_or_default()
        })?;
        if self.fails("stop") {
            return Err(fault(Stage::State, "the shim is busy"));
        }
        self.call("stop", &format!("{name} {}s", grace.as_secs()));
        let doing = self.world().doing.get(id).copied();
        if let Some(Behaviour::Lingers(time)) = doing {
            tokio::time::sleep(time).await;
            self.exit(id, 137);
        } else if self.world().doing.get(id) == Some(&Behaviour::Ignores) {
            let until = tokio::time::Instant::now() + grace;
            while self.record(id).is_none() && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.exit(id, 137);
        } else {
            self.exit(id, 143);
        }
        self.record(id)
            .ok_or_else(|| RuntimeError::UnknownContainer(id.clone()))
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        for sandbox in self.world().sandboxes.values_mut() {
            sandbox
                .containers
                .retain(|container| container.spec.id != *id);
        }
        Ok(())
    }

    async fn update_limits(
        &self,
        container: &ContainerId,
        limits: ResourceLimits,
    ) -> Result<(), RuntimeError> {
        self.with_container(container, |_, container| container.spec.limits = limits)
    }

    async fn update_cgroups(
        &self,
        sandbox: &SandboxId,
        cgroup: Vec<CgroupLevel>,
    ) -> Result<(), RuntimeError> {
        if let Some(found) = self.world().sandboxes.get_mut(sandbox) {
            found.spec.cgroup = cgroup;
        }
        Ok(())
    }

    async fn sandbox(&self, sandbox: &SandboxId) -> Result<SandboxState, RuntimeError> {
        if self.fails("look") {
            return Err(fault(Stage::State, "the shim is busy"));
        }
        let found = self.world().sandboxes.get(sandbox).cloned();
        found.ok_or_else(|| RuntimeError::UnknownSandbox(sandbox.clone()))
    }

    async fn stats(&self, sandbox: &SandboxId) -> Result<SandboxStats, RuntimeError> {
        let state = self.sandbox(sandbox).await?;
        let now = self.clock.now();
        let reading = |container: ContainerState| match container.phase {
            // Half a CPU since it started.
            ContainerPhase::Running { started_at, .. } => Some(ContainerStats {
                container: container.spec.id,
                at: now,
                cpu_nanoseconds: u64::try_from(now.duration_since(started_at).as_nanos()).unwrap()
                    / 2,
                memory_working_set: 1 << 20,
                memory_peak: 1 << 20,
                processes: 1,
            }),
            ContainerPhase::Created | ContainerPhase::Exited(_) => None,
        };
        Ok(SandboxStats {
            containers: state.containers.into_iter().filter_map(reading).collect(),
            network: Some(NetworkStats {
                received: 1000,
                sent: 100,
            }),
        })
    }

    /// One process per running container.
    async fn processes(&self, sandbox: &SandboxId) -> Result<SandboxProcesses, RuntimeError> {
        let state = self.sandbox(sandbox).await?;
        let running = |container: ContainerState| match container.phase {
            ContainerPhase::Running { pid, .. } => Some(SandboxProcess {
                process: ProcessInfo {
                    pid,
                    parent: Pid::new(1),
                    inner_pid: Pid::new(1),
                    started_ticks: 0,
                    user: 0,
                    name: container.spec.cgroup_leaf.clone(),
                    command: container.spec.argv.join(" "),
                    state: 'S',
                    threads: 1,
                    cpu_nanoseconds: 0,
                    memory_bytes: 1 << 20,
                    descriptors: Some(3),
                },
                container: Some(container.spec.id),
            }),
            ContainerPhase::Created | ContainerPhase::Exited(_) => None,
        };
        let processes: Vec<SandboxProcess> =
            state.containers.into_iter().filter_map(running).collect();
        Ok(SandboxProcesses {
            at: self.clock.now(),
            total: processes.len() as u64,
            processes,
        })
    }

    async fn exec(&self, spec: ExecSpec) -> Result<SessionStream, RuntimeError> {
        Err(RuntimeError::UnknownContainer(spec.container))
    }

    async fn attach(&self, spec: AttachSpec) -> Result<SessionStream, RuntimeError> {
        Err(RuntimeError::UnknownContainer(spec.container))
    }

    async fn exec_sync(
        &self,
        container: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecResult, RuntimeError> {
        let name = self.with_container(container, |_, container| {
            container.spec.labels.get(NAME).cloned().unwrap_or_default()
        })?;
        self.call("exec", &format!("{name} {}", command.join(" ")));
        let (output, code, after) = self
            .world()
            .commands
            .get(&command.join(" "))
            .cloned()
            .unwrap_or_default();
        if let Some(timeout) = timeout.filter(|timeout| *timeout < after) {
            tokio::time::sleep(timeout).await;
            return Ok(ExecResult {
                output: Vec::new(),
                exit_code: None,
            });
        }
        tokio::time::sleep(after).await;
        Ok(ExecResult {
            output: output.into_bytes(),
            exit_code: Some(code),
        })
    }

    async fn dial(
        &self,
        _sandbox: &SandboxId,
        address: SocketAddr,
    ) -> Result<TcpStream, RuntimeError> {
        let connected = tokio::net::TcpStream::connect(address).await;
        connected
            .and_then(tokio::net::TcpStream::into_std)
            .map_err(|source| RuntimeError::Dial { address, source })
    }

    fn events(&self) -> mpsc::Receiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::channel(1024);
        self.world().events = Some(sender);
        receiver
    }
}
