use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::handler::{Attempt, Outcome};
use super::probes::{Failing, ProbeKind, Probes, Verdict};
use super::settings::{PodNet, Settings};
use super::state::{Run, first_after, next_after};
use crate::base::{Clock, ContainerId};
use crate::runtime::ContainerRuntime;

/// An attempt that cannot be made is tried this often at once (kubelet `maxProbeRetries`).
const TRIES: u32 = 3;

/// Something to be told as a Warning event of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeEvent {
    pub(crate) container: String,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What the pod's status said of an instance when this engine found it running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) started: bool,
    pub(crate) ready: bool,
}

/// A running container instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probed<'a> {
    pub(crate) container: &'a Container,
    pub(crate) id: &'a ContainerId,
    pub(crate) started_at: Timestamp,
    /// `Some` for an instance that an earlier engine started.
    pub(crate) kept: Option<Kept>,
}

/// The probes of one pod. Dropping it ends them.
pub(crate) struct ProbeWorkers {
    shared: Arc<Shared>,
    instances: HashMap<ContainerId, Instance>,
}

struct Shared {
    runtime: Arc<dyn ContainerRuntime>,
    clock: Clock,
    tell: Box<dyn Fn(ProbeEvent) + Send + Sync>,
    /// Woken when a verdict changes.
    changed: Arc<Notify>,
    probes: Mutex<Probes>,
}

/// The tasks of one container instance; they end with it.
#[derive(Default)]
struct Instance {
    tasks: Vec<(ProbeKind, JoinHandle<()>)>,
}

impl Instance {
    fn end(&mut self, which: impl Fn(ProbeKind) -> bool) {
        self.tasks.retain(|(kind, task)| {
            let ends = which(*kind);
            if ends {
                task.abort();
            }
            !ends
        });
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end(|_| true);
    }
}

impl Shared {
    fn probes(&self) -> MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: &ContainerId, kind: ProbeKind, verdict: Verdict) {
        let news = self.probes().set(id, kind, verdict);
        if news {
            self.changed.notify_one();
        }
    }
}

impl Shared {
    fn set_failing(&self, id: &ContainerId, kind: ProbeKind, failing: Option<Failing>) {
        let news = self.probes().set_failing(id, kind, failing);
        if news {
            self.changed.notify_one();
        }
    }
}

impl ProbeWorkers {
    /// `changed` is notified when a verdict changes; `tell` must not block.
    pub(crate) fn new(
        runtime: Arc<dyn ContainerRuntime>,
        clock: Clock,
        changed: Arc<Notify>,
        tell: impl Fn(ProbeEvent) + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                runtime,
                clock,
                tell: Box::new(tell),
                changed,
                probes: Mutex::default(),
            }),
            instances: HashMap::new(),
        }
    }

    /// Probes exactly these instances from now on: what is new begins, what is missing ends. Verdicts of
    /// an instance are forgotten with it.
    pub(crate) fn ensure(&mut self, running: &[Probed<'_>], net: Option<&PodNet>) {
        self.instances
            .retain(|id, _| running.iter().any(|probed| probed.id == id));
        self.shared
            .probes()
            .retain(|id| running.iter().any(|probed| probed.id == id));
        let Some(net) = net else { return };
        for probed in running {
            if !self.instances.contains_key(probed.id) {
                let instance = self.begin(probed, net);
                self.instances.insert(probed.id.clone(), instance);
            }
        }
    }

    /// What runs is being stopped: liveness and startup do not matter any more, readiness does.
    pub(crate) fn terminate(&mut self) {
        for (id, instance) in &mut self.instances {
            for (kind, _) in &instance.tasks {
                if *kind != ProbeKind::Readiness {
                    self.shared.probes().set(id, *kind, Verdict::Success);
                }
            }
            instance.end(|kind| kind != ProbeKind::Readiness);
        }
    }

    /// The verdicts of now.
    pub(crate) fn snapshot(&self) -> Probes {
        self.shared.probes().clone()
    }

    fn begin(&self, probed: &Probed<'_>, net: &PodNet) -> Instance {
        let mut instance = Instance::default();
        let has_startup = probed.container.startup_probe.is_some();
        let started = !has_startup || probed.kept.is_some_and(|kept| kept.started);
        let (gate, opened) = watch::channel(started);
        for kind in ProbeKind::ALL {
            let Some(settings) = Settings::of(kind, probed.container) else {
                continue;
            };
            let done = kind == ProbeKind::Startup && started;
            let kept_ready =
                kind == ProbeKind::Readiness && probed.kept.is_some_and(|kept| kept.ready);
            let verdict = if done || kept_ready {
                Verdict::Success
            } else {
                kind.initial()
            };
            self.shared.probes().set(probed.id, kind, verdict);
            if done {
                continue;
            }
            let worker = Worker {
                shared: Arc::clone(&self.shared),
                container: probed.container.name.clone(),
                id: probed.id.clone(),
                started_at: probed.started_at,
                adopted: probed.kept.is_some(),
                net: net.clone(),
                settings,
                gate: gate.clone(),
                opened: opened.clone(),
            };
            instance.tasks.push((kind, tokio::spawn(worker.run())));
        }
        instance
    }
}

/// One probe of one container instance.
struct Worker {
    shared: Arc<Shared>,
    container: String,
    id: ContainerId,
    started_at: Timestamp,
    adopted: bool,
    net: PodNet,
    settings: Settings,
    /// Opened by the startup probe for the other two.
    gate: watch::Sender<bool>,
    opened: watch::Receiver<bool>,
}

impl Worker {
    async fn run(mut self) {
        let kind = self.settings.kind;
        if kind != ProbeKind::Startup && self.opened.wait_for(|open| *open).await.is_err() {
            return;
        }
        let period = self.settings.period;
        let share = self.adopted.then(rand::random::<f64>);
        let wait = first_after(self.age(), self.settings.initial_delay, period, share);
        let mut due = Instant::now() + wait;
        let mut fire = due;
        let mut run = Run::default();
        loop {
            tokio::time::sleep_until(fire).await;
            let outcome = self.probe().await;
            let verdict = outcome.and_then(|success| run.add(success, self.settings.thresholds));
            let failing = run.failing(self.settings.thresholds);
            self.shared.set_failing(&self.id, kind, failing);
            if let Some(verdict) = verdict {
                self.shared.set(&self.id, kind, verdict);
                match (kind, verdict) {
                    (ProbeKind::Startup, verdict) => {
                        if verdict == Verdict::Success {
                            self.gate.send_replace(true);
                        }
                        return;
                    }
                    // The container is killed for it; nothing more is to be learned of this instance.
                    (ProbeKind::Liveness, Verdict::Failure) => return,
                    _ => {}
                }
            }
            let (after, grid) = next_after(due.elapsed(), period);
            fire = due + after;
            due += grid;
        }
    }

    fn age(&self) -> Duration {
        let age = self.shared.clock.now().duration_since(self.started_at);
        Duration::try_from(age).unwrap_or(Duration::ZERO)
    }

    /// One attempt, told. `None` when none could be made.
    async fn probe(&self) -> Option<bool> {
        let title = self.settings.kind.title();
        let mut attempt = self.attempt().await;
        for _ in 1..TRIES {
            if attempt.is_ok() {
                break;
            }
            attempt = self.attempt().await;
        }
        match attempt {
            Ok(Outcome::Success) => Some(true),
            Ok(Outcome::Warning(text)) => {
                self.tell("ProbeWarning", format!("{title} probe warning: {text}"));
                Some(true)
            }
            Ok(Outcome::Failure(text)) => {
                self.tell("Unhealthy", format!("{title} probe failed: {text}"));
                Some(false)
            }
            Err(text) => {
                let message =
                    format!("{title} probe errored and resulted in unknown state: {text}");
                self.tell("Unhealthy", message);
                None
            }
        }
    }

    async fn attempt(&self) -> Attempt {
        let runtime = self.shared.runtime.as_ref();
        match &self.settings.action {
            Err(text) => Err(text.clone()),
            Ok(action) => {
                action
                    .attempt(runtime, &self.id, &self.net, self.settings.timeout)
                    .await
            }
        }
    }

    fn tell(&self, reason: &'static str, message: String) {
        (self.shared.tell)(ProbeEvent {
            container: self.container.clone(),
            reason,
            // Events name the container, not the instance, as the kubelet's do.
            message: message.replace(&self.id.to_string(), &self.container),
        });
    }
}
