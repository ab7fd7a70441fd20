use std::collections::HashMap;
use std::fs::DirBuilder;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{RwLock, mpsc};

use super::connection::{Connection, connect, connect_asking};
use super::dial::{self, SocketSource};
use super::discover::read_state;
use super::launcher::{Launcher, ShimProgram};
use super::{
    ContainerRuntime, Discovered, EXEC_OUTPUT_LIMIT, ExecResult, RuntimeError, RuntimeEvent,
    session,
};
use crate::base::{ContainerId, SandboxId, SessionStream};
use crate::wire::{
    AttachSpec, CgroupLevel, Cleanup, ContainerSpec, ExecSpec, ExitRecord, Fault, Reply, Request,
    ResourceLimits, RunSpec, SandboxProcesses, SandboxSpec, SandboxState, SandboxStats, Stage,
    VolumeContent,
};

/// Events in flight; the engine takes them off at once and only marks a pod as to be looked at.
const EVENTS: usize = 1024;

/// The runtime over shim processes.
pub(crate) struct ShimRuntime {
    pub(super) run_dir: PathBuf,
    launcher: Launcher,
    known: Mutex<Known>,
    events: Arc<Mutex<Option<mpsc::Sender<RuntimeEvent>>>>,
    /// Shared by those who create sandboxes, exclusive for whoever may remove the bridge.
    bridge: RwLock<()>,
}

#[derive(Default)]
struct Known {
    sandboxes: HashMap<SandboxId, Sandbox>,
    containers: HashMap<ContainerId, SandboxId>,
}

#[derive(Clone)]
struct Sandbox {
    directory: PathBuf,
    connection: Arc<Connection>,
    /// Opened by the first `dial`.
    sockets: Arc<tokio::sync::Mutex<Option<SocketSource>>>,
}

impl ShimRuntime {
    /// `run_dir` exists and is private to podtui. `use_factory`: start shims through `__shim --factory`.
    pub(crate) fn new(run_dir: PathBuf, program: ShimProgram, use_factory: bool) -> Self {
        Self {
            launcher: Launcher::new(program, &run_dir, use_factory),
            run_dir,
            known: Mutex::default(),
            events: Arc::default(),
            bridge: RwLock::new(()),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, state: &SandboxState) {
        let mut known = self.known();
        for container in &state.containers {
            known
                .containers
                .insert(container.spec.id.clone(), state.spec.id.clone());
        }
    }

    fn forget(&self, sandbox: &SandboxId) -> Option<Sandbox> {
        let mut known = self.known();
        known.containers.retain(|_, owner| owner != sandbox);
        known.sandboxes.remove(sandbox)
    }

    async fn open(
        &self,
        sandbox: &SandboxId,
        directory: &Path,
    ) -> Result<Arc<Connection>, RuntimeError> {
        let events = Arc::clone(&self.events);
        Connection::open(sandbox.clone(), directory, move |event| {
            let sender = events
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            async move {
                // Without a receiver nobody wants events; the engine relists when it subscribes.
                if let Some(sender) = sender {
                    let _ = sender.send(event).await;
                }
            }
        })
        .await
    }

    /// Connects to a living shim, subscribes and remembers it.
    pub(super) async fn adopt(
        &self,
        sandbox: &SandboxId,
        directory: &Path,
    ) -> Result<SandboxState, RuntimeError> {
        let connection = self.open(sandbox, directory).await?;
        let state = state_of(connection.request(Request::Subscribe).await?)?;
        self.learn(&state);
        self.known().sandboxes.insert(
            state.spec.id.clone(),
            Sandbox {
                directory: directory.to_owned(),
                connection,
                sockets: Arc::default(),
            },
        );
        Ok(state)
    }

    /// A connection that works, made anew when the old one broke although the shim may live.
    async fn connection(&self, sandbox: &SandboxId) -> Result<Arc<Connection>, RuntimeError> {
        let found = self.known().sandboxes.get(sandbox).cloned();
        let found = found.ok_or_else(|| RuntimeError::UnknownSandbox(sandbox.clone()))?;
        if !found.connection.is_closed() {
            return Ok(found.connection);
        }
        self.adopt(sandbox, &found.directory).await?;
        let found = self.known().sandboxes.get(sandbox).cloned();
        found
            .map(|found| found.connection)
            .ok_or_else(|| RuntimeError::UnknownSandbox(sandbox.clone()))
    }

    fn owner(&self, container: &ContainerId) -> Result<SandboxId, RuntimeError> {
        let owner = self.known().containers.get(container).cloned();
        owner.ok_or_else(|| RuntimeError::UnknownContainer(container.clone()))
    }

    /// The sandbox of the container and where its shim listens.
    fn place(&self, container: &ContainerId) -> Result<(SandboxId, PathBuf), RuntimeError> {
        let sandbox = self.owner(container)?;
        let directory = self
            .known()
            .sandboxes
            .get(&sandbox)
            .map(|found| found.directory.clone());
        match directory {
            Some(directory) => Ok((sandbox, directory)),
            None => Err(RuntimeError::UnknownSandbox(sandbox)),
        }
    }

    async fn ask(&self, sandbox: &SandboxId, request: Request) -> Result<Reply, RuntimeError> {
        self.connection(sandbox).await?.request(request).await
    }

    async fn ask_owner(
        &self,
        container: &ContainerId,
        request: Request,
    ) -> Result<Reply, RuntimeError> {
        self.ask(&self.owner(container)?, request).await
    }

    pub(super) async fn clean(&self, what: Cleanup) -> Result<(), RuntimeError> {
        let directory = what.directory.clone();
        let done = if what.bridge.is_some() {
            let _alone = self.bridge.write().await;
            self.launcher.clean_up(&what).await
        } else {
            self.launcher.clean_up(&what).await
        };
        done?;
        remove_directory(&directory)
    }

    /// A socket in the sandbox's network, over the connection that is kept for this.
    async fn socket(
        &self,
        sandbox: &SandboxId,
        address: SocketAddr,
    ) -> Result<OwnedFd, RuntimeError> {
        let found = self.known().sandboxes.get(sandbox).cloned();
        let found = found.ok_or_else(|| RuntimeError::UnknownSandbox(sandbox.clone()))?;
        let mut kept = found.sockets.lock().await;
        // Taken out, so that a request that is given up or fails takes its connection along.
        let mut source = match kept.take() {
            Some(source) => source,
            None => SocketSource::open(sandbox, &found.directory).await?,
        };
        match source.socket(address).await {
            Ok(Ok(socket)) => {
                *kept = Some(source);
                Ok(socket)
            }
            Ok(Err(Reply::Fault(fault))) => {
                *kept = Some(source);
                Err(RuntimeError::Fault(fault))
            }
            Ok(Err(other)) => Err(unexpected(&other)),
            Err(source) => Err(RuntimeError::Unreachable {
                sandbox: sandbox.clone(),
                source,
            }),
        }
    }

    async fn session(
        &self,
        container: &ContainerId,
        request: Request,
        stdin: bool,
    ) -> Result<SessionStream, RuntimeError> {
        let (sandbox, directory) = self.place(container)?;
        let (reader, write) = connect(&sandbox, &directory).await?;
        let unreachable = |source| RuntimeError::Unreachable {
            sandbox: sandbox.clone(),
            source,
        };
        session::open(reader, write, request, stdin, unreachable).await
    }
}

/// The shim removes its files; the directory itself goes last, so that a crash in between is found again.
fn remove_directory(directory: &Path) -> Result<(), RuntimeError> {
    match std::fs::remove_dir_all(directory) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::File {
            operation: "removing",
            path: directory.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn unexpected(reply: &Reply) -> RuntimeError {
    RuntimeError::Fault(Fault {
        stage: Stage::Request,
        errno: 0,
        message: format!("the shim answered with something else: {reply:?}"),
    })
}

/// After `timeout`, as whenever its future is dropped, the command is killed.
async fn run_in_time(
    connection: Arc<Connection>,
    spec: RunSpec,
    timeout: Option<Duration>,
) -> Result<ExecResult, RuntimeError> {
    let run = connection.run(spec);
    let reply = match timeout {
        None => run.await?,
        Some(timeout) => match tokio::time::timeout(timeout, run).await {
            Ok(reply) => reply?,
            Err(_) => {
                return Ok(ExecResult {
                    output: Vec::new(),
                    exit_code: None,
                });
            }
        },
    };
    match reply {
        Reply::Ran { code, output } => Ok(ExecResult {
            output: output.into_bytes(),
            exit_code: Some(code),
        }),
        other => Err(unexpected(&other)),
    }
}

fn state_of(reply: Reply) -> Result<SandboxState, RuntimeError> {
    match reply {
        Reply::State(state) => Ok(*state),
        other => Err(unexpected(&other)),
    }
}

fn done(reply: &Reply) -> Result<(), RuntimeError> {
    match reply {
        Reply::Done | Reply::Created | Reply::Started { .. } => Ok(()),
        other => Err(unexpected(other)),
    }
}

#[async_trait]
impl ContainerRuntime for ShimRuntime {
    async fn discover(&self) -> Result<Vec<Discovered>, RuntimeError> {
        self.look_through().await
    }

    async fn run_pod_sandbox(&self, spec: SandboxSpec) -> Result<SandboxState, RuntimeError> {
        if self.known().sandboxes.contains_key(&spec.id) {
            return self.sandbox(&spec.id).await;
        }
        let _shared = self.bridge.read().await;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&spec.directory)
            .map_err(|source| RuntimeError::File {
                operation: "creating",
                path: spec.directory.clone(),
                source,
            })?;
        if let Err(error) = self.launcher.launch(&spec).await {
            // A failed shim undoes what it did; only the directory is ours.
            let _ = remove_directory(&spec.directory);
            return Err(error);
        }
        self.adopt(&spec.id, &spec.directory).await
    }

    async fn stop_pod_sandbox(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        match self.ask(sandbox, Request::StopSandbox).await {
            Ok(reply) => done(&reply),
            Err(RuntimeError::UnknownSandbox(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove_pod_sandbox(
        &self,
        sandbox: &SandboxId,
        bridge: Option<String>,
    ) -> Result<(), RuntimeError> {
        let _alone = match &bridge {
            Some(_) => Some(self.bridge.write().await),
            None => None,
        };
        let connection = match self.connection(sandbox).await {
            Ok(connection) => connection,
            Err(RuntimeError::UnknownSandbox(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        done(&connection.request(Request::StopSandbox).await?)?;
        done(
            &connection
                .request(Request::RemoveSandbox { bridge })
                .await?,
        )?;
        match self.forget(sandbox) {
            Some(gone) => remove_directory(&gone.directory),
            None => Ok(()),
        }
    }

    async fn clean_up(&self, what: Cleanup) -> Result<Option<Box<SandboxState>>, RuntimeError> {
        let gone: Vec<SandboxId> = self
            .known()
            .sandboxes
            .iter()
            .filter(|(_, sandbox)| sandbox.directory == what.directory)
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.forget(&id);
        }
        let record = read_state(&what.directory).ok().map(Box::new);
        self.clean(what).await?;
        Ok(record)
    }

    async fn write_volume(
        &self,
        sandbox: &SandboxId,
        content: VolumeContent,
    ) -> Result<(), RuntimeError> {
        let request = Request::WriteVolume(Box::new(content));
        done(&self.ask(sandbox, request).await?)
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        spec: ContainerSpec,
    ) -> Result<(), RuntimeError> {
        let id = spec.id.clone();
        let reply = self.ask(sandbox, Request::Create(Box::new(spec))).await?;
        self.known().containers.insert(id, sandbox.clone());
        done(&reply)
    }

    async fn start_container(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        done(
            &self
                .ask_owner(container, Request::Start(container.clone()))
                .await?,
        )
    }

    async fn stop_container(
        &self,
        container: &ContainerId,
        signal: Option<String>,
        grace: Duration,
    ) -> Result<ExitRecord, RuntimeError> {
        let request = Request::Stop {
            container: container.clone(),
            signal,
            grace_milliseconds: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        };
        match self.ask_owner(container, request).await? {
            Reply::Stopped(exit) => Ok(exit),
            other => Err(unexpected(&other)),
        }
    }

    async fn remove_container(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        let sandbox = match self.owner(container) {
            Ok(sandbox) => sandbox,
            Err(RuntimeError::UnknownContainer(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let reply = self
            .ask(&sandbox, Request::Remove(container.clone()))
            .await?;
        self.known().containers.remove(container);
        done(&reply)
    }

    async fn update_limits(
        &self,
        container: &ContainerId,
        limits: ResourceLimits,
    ) -> Result<(), RuntimeError> {
        let request = Request::UpdateLimits {
            container: container.clone(),
            limits,
        };
        done(&self.ask_owner(container, request).await?)
    }

    async fn update_cgroups(
        &self,
        sandbox: &SandboxId,
        cgroup: Vec<CgroupLevel>,
    ) -> Result<(), RuntimeError> {
        let request = Request::UpdateCgroups(cgroup);
        done(&self.ask(sandbox, request).await?)
    }

    async fn sandbox(&self, sandbox: &SandboxId) -> Result<SandboxState, RuntimeError> {
        let state = state_of(self.ask(sandbox, Request::State).await?)?;
        // Whoever created a container may not have waited for the answer.
        self.learn(&state);
        Ok(state)
    }

    async fn stats(&self, sandbox: &SandboxId) -> Result<SandboxStats, RuntimeError> {
        match self.ask(sandbox, Request::Stats).await? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(unexpected(&other)),
        }
    }

    async fn processes(&self, sandbox: &SandboxId) -> Result<SandboxProcesses, RuntimeError> {
        let connection = self.connection(sandbox).await?;
        // An older shim would take the request for a broken stream.
        if connection.protocol() < 2 {
            return Err(RuntimeError::Fault(Fault {
                stage: Stage::Request,
                errno: 0,
                message: "the pod was started by an older podtui that cannot tell its processes; \
                          they are shown once the pod has been started anew"
                    .to_owned(),
            }));
        }
        match connection.request(Request::Processes).await? {
            Reply::Processes(processes) => Ok(processes),
            other => Err(unexpected(&other)),
        }
    }

    async fn exec(&self, spec: ExecSpec) -> Result<SessionStream, RuntimeError> {
        let (container, stdin) = (spec.container.clone(), spec.stdin);
        self.session(&container, Request::Exec(Box::new(spec)), stdin)
            .await
    }

    async fn attach(&self, spec: AttachSpec) -> Result<SessionStream, RuntimeError> {
        let (container, stdin) = (spec.container.clone(), spec.stdin);
        self.session(&container, Request::Attach(spec), stdin).await
    }

    async fn exec_sync(
        &self,
        container: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecResult, RuntimeError> {
        let (sandbox, directory) = self.place(container)?;
        let connection = self.connection(&sandbox).await?;
        if connection.protocol() >= 3 {
            let spec = RunSpec {
                container: container.clone(),
                argv: command,
                output_limit: EXEC_OUTPUT_LIMIT,
            };
            return run_in_time(connection, spec, timeout).await;
        }
        let spec = ExecSpec {
            container: container.clone(),
            argv: command,
            env: Vec::new(),
            tty: false,
            stdin: false,
            size: None,
            kill_with_client: true,
        };
        let request = Request::Exec(Box::new(spec));
        let connected = connect_asking(&sandbox, &directory, request);
        let unreachable = |source| RuntimeError::Unreachable {
            sandbox: sandbox.clone(),
            source,
        };
        session::run_to_end(connected, timeout, unreachable).await
    }

    async fn dial(
        &self,
        sandbox: &SandboxId,
        address: SocketAddr,
    ) -> Result<TcpStream, RuntimeError> {
        let socket = self.socket(sandbox, address).await?;
        let connected = dial::establish(socket, address).await;
        connected.map_err(|source| RuntimeError::Dial { address, source })
    }

    fn events(&self) -> mpsc::Receiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}
