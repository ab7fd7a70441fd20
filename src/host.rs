//! The composition root: what a process that owns a state directory is made of, and the two processes
//! that can own one — the screen and `podtui serve`.

mod keeper;
mod programs;
mod registries;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{MemfdFlags, SealFlags};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::{Clock, chain};
use crate::cli::TuiArgs;
use crate::client::{Client, Local, Remote};
use crate::config::{self, ConfigError, Settings};
use crate::engine::{
    self, EngineApi, EngineHandle, ImageGc, NodeLimits, SoftThresholds, Threshold, Thresholds,
};
use crate::image::{CredentialFiles, ImageSettings, LocalImages, PullRate};
use crate::model::Kind;
use crate::network::{Allocator, ClusterDns};
use crate::runtime::{ShimProgram, ShimRuntime};
use crate::store::{self, Store, WatchEvent};
use crate::tui::{ExitChoice, TuiSettings};
use crate::{cli, server, telemetry, tui};

pub(crate) use keeper::{WATCH, watch_terminal};
pub(crate) use programs::{TTY, become_program};

/// A background engine without pods and clients ends after this time.
const RETIRE_AFTER: Duration = Duration::from_secs(30);

/// How long the tasks of a crashed screen may take to end.
const CRASH_PATIENCE: Duration = Duration::from_secs(2);
/// What Rust programs exit with when they panic.
const PANICKED: u8 = 101;

/// A running engine with its API socket. One per state directory, proved by the lock.
struct Host {
    engine: Arc<EngineHandle>,
    client: Arc<dyn Client>,
    store: Store,
    connections: TaskTracker,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
    _lock: File,
}

impl Host {
    async fn open(settings: &Settings, lock: File) -> Result<Self> {
        let clock = Clock::system();
        let opened = store::open(&settings.state_dir.join("objects"))
            .with_context(|| cannot_use(&settings.state_dir.join("objects")))?;
        let images =
            LocalImages::open(&settings.state_dir.join("images"), image_settings(settings))
                .with_context(|| cannot_use(&settings.state_dir.join("images")))?;
        images.follow(registries::source(settings.config_dir.clone()));
        let damage = opened.damage.into_iter().chain(images.repaired()).collect();
        let network = Allocator::new(settings.pod_range, engine::path_hash(&settings.run_dir))?;
        let program = sealed_copy().map_or_else(
            |error| {
                tracing::warn!(%error, "shims run from the binary on disk: no sealed copy of it could be made");
                ShimProgram::current()
            },
            ShimProgram::sealed,
        );
        let engine = engine::start(engine::Parts {
            state_dir: settings.state_dir.clone(),
            run_dir: settings.run_dir.clone(),
            node_name: settings.node_name.clone().map_or_else(host_name, Ok)?,
            runtime: Arc::new(ShimRuntime::new(settings.run_dir.clone(), program, true)),
            images: Arc::new(images),
            image_gc: ImageGc {
                high: settings.images.gc_high,
                low: settings.images.gc_low,
                minimum_age: Duration::from_secs(settings.images.gc_minimum_age),
                maximum_age: settings.images.gc_maximum_age.map(Duration::from_secs),
            },
            network,
            limits: node_limits(settings),
            clock: clock.clone(),
            store: opened.store.clone(),
            status: opened.status,
            damage,
        })
        .await?;
        let engine = Arc::new(engine);
        let api: Arc<dyn EngineApi> = engine.clone();
        let client: Arc<dyn Client> =
            Arc::new(Local::new(opened.store.clone(), opened.spec, api, clock));
        let door = server::Door::open(&settings.socket())?;
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let server = tokio::spawn(server::serve(
            door,
            Arc::clone(&client),
            stop.clone(),
            connections.clone(),
        ));
        Ok(Self {
            engine,
            client,
            store: opened.store,
            connections,
            stop,
            server,
            _lock: lock,
        })
    }

    /// Ends the socket first, so that no client writes into a store that is about to go.
    async fn close(self, settings: &Settings, stop_pods: bool) {
        self.engine.shut_down(stop_pods).await;
        self.stop.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the API server broke");
        }
        let _ = std::fs::remove_file(settings.socket());
        remove_if_empty(&settings.run_dir.join("shim.log"));
    }

    /// Returns once there were neither pods nor clients for a while. While there are pods nothing is polled.
    async fn retired(&self) {
        let mut idle = Duration::ZERO;
        let step = RETIRE_AFTER / 6;
        while idle < RETIRE_AFTER {
            if self.last_pod_gone().await {
                idle = Duration::ZERO;
            }
            tokio::time::sleep(step).await;
            idle = if self.connections.is_empty() {
                idle + step
            } else {
                Duration::ZERO
            };
        }
    }

    /// Waits until there is no pod; false when there was none to begin with.
    async fn last_pod_gone(&self) -> bool {
        let mut waited = false;
        loop {
            let (pods, version) = self.store.list_objects(Kind::Pod, None);
            if pods.is_empty() {
                return waited;
            }
            waited = true;
            // A watcher that was overtaken ends with an error and the list is read again.
            let Ok(mut changes) = self.store.watch(Kind::Pod, version) else {
                continue;
            };
            while let Ok(change) = changes.next().await {
                if matches!(change, WatchEvent::Deleted(_)) {
                    break;
                }
            }
        }
    }
}

/// The umask of an engine, whatever that of its starter was: modes that are not given on purpose are those of a
/// daemon, and what shims and their programs inherit does not depend on who came first.
///
/// Returns the one before.
fn own_umask() -> u32 {
    crate::linux::proc::set_umask(0o022)
}

/// Closes what a process was left by the one that started it, beyond the standard streams. To be called before it
/// opens anything itself.
pub(crate) fn close_inherited() {
    // Without this call (Linux 5.9) the descriptors stay, which costs the caller more than it does us.
    if let Err(error) = crate::linux::proc::close_from(3) {
        tracing::debug!(%error, "inherited descriptors stay open");
    }
}

/// `podtui serve`: the engine without a screen, until it is told to end.
pub(crate) fn serve(settings: &Settings, background: bool) -> Result<()> {
    if background {
        rustix::process::setsid().context("leaving the session of the terminal")?;
    }
    own_umask();
    settings.ensure_directories()?;
    let Some(lock) = wait_lock(&settings.state_dir)? else {
        bail!(owned(settings));
    };
    let _log = telemetry::start(settings)?;
    runtime()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let host = Host::open(settings, lock).await?;
        tracing::info!(pid = std::process::id(), state_dir = %settings.state_dir.display(), "engine started");
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending, pods go on"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending, pods go on"),
            () = host.engine.ended() => tracing::info!("ended on request"),
            () = host.retired(), if background => tracing::info!("no pods and no clients: retiring"),
        }
        host.close(settings, false).await;
        Ok(())
    })
}

/// The screen: owns the engine when nobody else does, otherwise a client of who does. With a `mistake` in its
/// configuration it can only be a client.
pub(crate) fn screen(
    settings: &Settings,
    mistake: Option<ConfigError>,
    namespace: Option<String>,
    options: &TuiArgs,
) -> Result<ExitCode> {
    let mistake = match mistake {
        Some(mistake) if config::lock_holder(&settings.state_dir).is_none() => bail!(mistake),
        other => other,
    };
    let umask = own_umask();
    settings.ensure_directories()?;
    let lock = try_lock(&settings.state_dir)?;
    if let (Some(_), Some(mistake)) = (&lock, mistake) {
        // The engine has ended in this moment.
        bail!(mistake);
    }
    let owns_engine = lock.is_some();
    let _log = telemetry::start(settings)?;
    let runtime = runtime()?;
    let (ready_tx, ready_rx) = tokio::sync::oneshot::channel();
    let start = settings.clone();
    // The screen draws while the engine starts; it gets its client when there is one.
    let host = runtime.spawn(async move {
        let opened = match lock {
            Some(lock) => Host::open(&start, lock)
                .await
                .map(|host| (Arc::clone(&host.client), Some(host))),
            None => Remote::connect(&start.socket())
                .await
                .with_context(|| owned(&start))
                .map(|remote| {
                    let client: Arc<dyn Client> = Arc::new(remote);
                    (client, None)
                }),
        };
        match opened {
            Ok((client, host)) => {
                let _ = ready_tx.send(Ok(Arc::clone(&client)));
                Some((client, host))
            }
            Err(error) => {
                let _ = ready_tx.send(Err(format!("{error:#}")));
                None
            }
        }
    });
    let mut screen = TuiSettings::from_env(settings.on_exit, |name| std::env::var(name).ok());
    screen.readonly = options.readonly;
    screen.config_dir = Some(settings.config_dir.clone());
    screen.namespace_is_given = namespace.is_some();
    screen.namespace = Some(namespace.unwrap_or_else(|| "default".to_owned()));
    screen.session_file = Some(settings.state_dir.join("screen.json"));
    screen.record.clone_from(&options.record);
    screen.edits_dir = Some(settings.state_dir.join("edits"));
    let client = async move {
        ready_rx
            .await
            .unwrap_or_else(|_| Err("the engine did not start".into()))
    };
    let show = async {
        let (programs, keeper) = (
            Arc::new(programs::Programs { umask }),
            Box::new(keeper::Keeper::default()),
        );
        let choice = tui::run(screen, programs, keeper, client).await?;
        let Some((client, host)) = host.await.context("starting the engine")? else {
            return Ok(());
        };
        let stop_pods = matches!(choice, ExitChoice::Stop);
        let pods = client.engine_info().await.map_or(0, |info| info.pods);
        if pods > 0 {
            // The terminal may be gone.
            let _ = writeln!(io::stderr(), "{}", farewell(pods, stop_pods));
        }
        let Some(host) = host else {
            if stop_pods {
                client.stop_engine(true).await?;
            }
            return Ok(());
        };
        let pods_go_on = !stop_pods && !host.store.list_objects(Kind::Pod, None).0.is_empty();
        host.close(settings, stop_pods).await;
        if pods_go_on {
            if let Some(mistake) = Settings::mistake_in(&settings.config_dir) {
                let _ = writeln!(
                    io::stderr(),
                    "Warning: {}; until that is mended no engine looks after the pods",
                    chain(&mistake)
                );
            }
            cli::spawn_engine(settings, Stdio::null())?;
        }
        Ok(())
    };
    // A bug of the screen must not end the pods: what it leaves behind is taken care of here.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(show)));
    match ended {
        Ok(result) => result.map(|()| ExitCode::SUCCESS),
        Err(_) => {
            // Ends the engine of this process, and gives its lock back.
            runtime.shutdown_timeout(CRASH_PATIENCE);
            after_crash(settings, owns_engine)
        }
    }
}

/// The terminal is restored and the panic told and logged; the pods get a new engine, if theirs has gone.
fn after_crash(settings: &Settings, owned_engine: bool) -> Result<ExitCode> {
    let mut text = format!(
        "the screen has crashed. This is a bug; the log says more: {}",
        settings.log_dir().join(telemetry::LOG_FILE).display()
    );
    if owned_engine {
        cli::spawn_engine(settings, Stdio::null())?;
        text.push_str(
            "\nYour pods go on: the engine runs in the background, podtui shows them again.",
        );
    }
    // Its code is that of other programs that panic, not that of a mistake.
    let _ = cli::fail(&anyhow::anyhow!(text));
    Ok(ExitCode::from(PANICKED))
}

/// `podtui --replay FILE`: a recording, played without an engine and without a state directory.
pub(crate) fn replay(settings: &Settings, options: &TuiArgs) -> Result<()> {
    let Some(path) = &options.replay else {
        return Ok(());
    };
    let mut screen = TuiSettings::from_env(settings.on_exit, |name| std::env::var(name).ok());
    screen.config_dir = Some(settings.config_dir.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    let keeper = Box::new(keeper::Keeper::default());
    runtime.block_on(tui::replay(&screen, path, keeper))?;
    Ok(())
}

/// What becomes of the pods, as the last line of a screen that leaves.
fn farewell(pods: usize, stops: bool) -> String {
    let number = match pods {
        1 => "1 pod".to_owned(),
        many => format!("{many} pods"),
    };
    if stops {
        format!("stopping {number}; what ignores SIGTERM is killed after its grace period")
    } else {
        let goes = if pods == 1 { "goes" } else { "go" };
        format!("{number} {goes} on running; `podtui engine stop --stop-pods` ends that")
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")
}

/// The exclusive lock of a state directory; `None` when another process holds it. It belongs to the open file
/// (flock(2)), so it ends with the process, however that ends.
fn try_lock(state_dir: &Path) -> Result<Option<File>> {
    let path = config::lock_file(state_dir);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            // Only messages need it; on a full disk the engine starts without.
            if let Err(error) = config::sign_lock(&file) {
                tracing::warn!(%error, "the lock does not name its holder");
            }
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// Said when the lock is held by a process that does not answer.
fn owned(settings: &Settings) -> String {
    let state = settings.state_dir.display();
    match config::lock_holder(&settings.state_dir) {
        Some(pid) => format!(
            "the podtui with pid {pid} owns {state} and does not answer on {}; `kill {pid}` ends it, its pods go on \
             and the next engine takes them over",
            settings.socket().display()
        ),
        None => format!("another podtui owns {state}; `fuser {state}/lock` tells which"),
    }
}

/// As [`try_lock`], with patience for an engine that was killed while it started a shim: between fork and
/// exec the child still holds a copy of the descriptor, and with it the lock.
fn wait_lock(state_dir: &Path) -> Result<Option<File>> {
    const PATIENCE: Duration = Duration::from_millis(300);
    let begin = Instant::now();
    loop {
        let lock = try_lock(state_dir)?;
        if lock.is_some() || begin.elapsed() >= PATIENCE {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A copy of this binary in memory that nobody can change, for shims to run from (CVE-2019-5736). It is one
/// file for all shims of this engine, so its pages count once.
fn sealed_copy() -> Result<OwnedFd> {
    let mut binary = File::open("/proc/self/exe")?;
    let copy = rustix::fs::memfd_create("podtui", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    std::io::copy(&mut binary, &mut copy)?;
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(copy.into())
}

/// Shims write there what they cannot tell otherwise, which is mostly nothing.
fn remove_if_empty(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        let _ = std::fs::remove_file(path);
    }
}

/// Said where podtui cannot mend by itself what it keeps.
fn cannot_use(directory: &Path) -> String {
    format!(
        "{0} cannot be used. To go on without what is in it: mv {0} {0}.bad",
        directory.display()
    )
}

fn node_limits(settings: &Settings) -> NodeLimits {
    NodeLimits {
        log_max_size: settings.container_logs.max_size,
        log_max_files: settings.container_logs.max_files,
        max_pods: settings.max_pods,
        pod_pids: settings.pod_pids_limit,
        cgroup_root: settings.cgroup_root.clone(),
        unsafe_sysctls: settings.allowed_unsafe_sysctls.clone(),
        dns: ClusterDns {
            domain: settings.cluster_domain.clone(),
            servers: settings.cluster_dns.clone(),
        },
        eviction: Thresholds {
            memory: threshold(settings.eviction.memory_available),
            nodefs: threshold(settings.eviction.nodefs_available),
            inodes: threshold(settings.eviction.nodefs_inodes_free),
        },
        soft_eviction: SoftThresholds {
            memory: settings.eviction.soft.memory_available.map(soft),
            nodefs: settings.eviction.soft.nodefs_available.map(soft),
            inodes: settings.eviction.soft.nodefs_inodes_free.map(soft),
            max_pod_grace: Duration::from_secs(settings.eviction.max_pod_grace_seconds),
        },
    }
}

fn soft(soft: config::SoftThreshold) -> (Threshold, Duration) {
    (
        threshold(soft.below),
        Duration::from_secs(soft.grace_seconds),
    )
}

fn threshold(threshold: config::Threshold) -> Threshold {
    match threshold {
        config::Threshold::Amount(amount) => Threshold::Amount(amount),
        config::Threshold::Percent(part) => Threshold::Percent(part),
    }
}

fn image_settings(settings: &Settings) -> ImageSettings {
    ImageSettings {
        registries: registries::settings(&settings.registries),
        credentials: CredentialFiles::from_environment(|name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(Into::into)
        }),
        pulls_at_once: settings.images.pulls_at_once,
        pull_rate: PullRate {
            per_second: settings.images.pull_qps,
            burst: settings.images.pull_burst,
        },
    }
}

fn host_name() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("reading /proc/sys/kernel/hostname")?;
    Ok(name.trim().to_ascii_lowercase())
}
