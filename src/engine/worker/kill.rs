use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use tokio::sync::watch;
use tokio::time::Instant;

use super::hooks::Hook;
use crate::base::{ContainerId, chain};
use crate::engine::machine::Machine;
use crate::engine::recorder::{KUBELET, Level};
use crate::engine::restart::{Role, containers};
use crate::probe::PodNet;
use crate::runtime::RuntimeError;

/// However short the grace period, a container has this long to end by itself
/// (kubelet `minimumGracePeriodInSeconds`).
const MINIMUM_GRACE: Duration = Duration::from_secs(2);

/// One container on its way out: its preStop hook, its turn, its stop signal, and SIGKILL in the end.
pub(super) struct Kill {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    /// `None` for an instance whose container the spec does not have any more.
    pub(super) container: Option<Container>,
    pub(super) name: String,
    pub(super) id: ContainerId,
    pub(super) net: Option<PodNet>,
    /// The grace period; a deletion may shorten it while the kill goes on.
    pub(super) grace: watch::Receiver<Duration>,
    pub(super) turn: Turn,
}

/// Containers that must be gone before the stop signal goes out.
pub(super) type Turn = Vec<watch::Receiver<bool>>;

/// Who waits for whom when all these running containers are stopped at once: a sidecar waits for the
/// application and for the sidecars declared after it. Without sidecars nobody waits.
pub(super) fn waits_for<'a>(spec: &'a PodSpec, running: &[&str], name: &str) -> Vec<&'a str> {
    let present: Vec<(&str, Role)> = containers(spec)
        .map(|(container, role)| (container.name.as_str(), role))
        .filter(|(other, _)| running.contains(other))
        .collect();
    let Some(place) = present
        .iter()
        .position(|(other, role)| *other == name && *role == Role::Sidecar)
    else {
        return Vec::new();
    };
    present[place + 1..]
        .iter()
        .filter(|(_, role)| *role != Role::Init)
        .map(|(other, _)| *other)
        .collect()
}

/// The turns of these running containers, and what each says when it is gone.
pub(super) fn turns(
    spec: &PodSpec,
    running: &[&str],
) -> HashMap<String, (watch::Sender<bool>, Turn)> {
    let gone: HashMap<&str, watch::Sender<bool>> = running
        .iter()
        .map(|name| (*name, watch::Sender::new(false)))
        .collect();
    running
        .iter()
        .filter_map(|name| {
            let turn = waits_for(spec, running, name)
                .into_iter()
                .filter_map(|other| gone.get(other).map(watch::Sender::subscribe))
                .collect();
            Some(((*name).to_owned(), (gone.get(name)?.clone(), turn)))
        })
        .collect()
}

/// What is left of the grace period. Time is charged in whole seconds, as the kubelet does.
struct Window {
    grace: Duration,
    since: Instant,
    shorter: watch::Receiver<Duration>,
}

impl Window {
    fn new(mut shorter: watch::Receiver<Duration>) -> Self {
        let grace = *shorter.borrow_and_update();
        Self {
            grace,
            since: Instant::now(),
            shorter,
        }
    }

    fn deadline(&self) -> Instant {
        self.since + self.grace
    }

    fn charge(&mut self) {
        let now = Instant::now();
        let elapsed = Duration::from_secs((now - self.since).as_secs());
        self.grace = self.grace.saturating_sub(elapsed);
        self.since = now;
    }

    /// A shorter period counts from when it was asked for.
    fn shorten(&mut self, grace: Duration) {
        let now = Instant::now();
        if now + grace < self.deadline() {
            self.grace = grace;
            self.since = now;
        }
    }

    /// Runs `work` until it ends or the period does. Cancel-safe as far as `work` is.
    async fn bound<T>(&mut self, work: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        loop {
            // `changed` loses nothing when it is dropped.
            tokio::select! {
                done = &mut *work => return Some(done),
                () = tokio::time::sleep_until(self.deadline()) => return None,
                grace = next(&mut self.shorter) => self.shorten(grace),
            }
        }
    }
}

/// The next shorter period; never, when nobody can shorten it any more.
async fn next(shorter: &mut watch::Receiver<Duration>) -> Duration {
    if shorter.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    *shorter.borrow_and_update()
}

impl Kill {
    /// Returns when the container is gone. `Err`: the runtime could not kill it.
    pub(super) async fn run(mut self) -> Result<(), String> {
        let mut window = Window::new(self.grace.clone());
        if !window.grace.is_zero() {
            self.pre_stop(&mut window).await;
        }
        let turn = std::mem::take(&mut self.turn);
        if !turn.is_empty() {
            let mut turn = Box::pin(async {
                for mut gone in turn {
                    // An error means that nobody can say so any more: do not wait.
                    let _ = gone.wait_for(|gone| *gone).await;
                }
            });
            let _ = window.bound(&mut turn).await;
            window.charge();
        }
        loop {
            let grace = window.grace.max(MINIMUM_GRACE);
            let stop = self.machine.runtime.stop_container(&self.id, None, grace);
            // A stop that is dropped goes on in the runtime, and the next one shortens it.
            tokio::select! {
                done = stop => return match done {
                    // Gone is gone, whoever did it.
                    Ok(_) | Err(RuntimeError::UnknownContainer(_) | RuntimeError::UnknownSandbox(_)) => Ok(()),
                    Err(error) => Err(chain(&error)),
                },
                grace = next(&mut window.shorter) => window.shorten(grace),
            }
        }
    }

    async fn pre_stop(&self, window: &mut Window) {
        let Some(container) = &self.container else {
            return;
        };
        let lifecycle = container.lifecycle.as_ref();
        let handler = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.clone());
        let Some(handler) = handler else { return };
        let hook = Hook {
            machine: Arc::clone(&self.machine),
            pod: Arc::clone(&self.pod),
            container: container.clone(),
            id: self.id.clone(),
            net: self.net.clone(),
            handler,
        };
        let abandon = hook.outlives_its_timer();
        let mut running = Box::pin(hook.run());
        match window.bound(&mut running).await {
            Some(Ok(())) => {}
            Some(Err(text)) => {
                tracing::info!(container = self.name, text, "preStop failed");
                self.tell(
                    Level::Warning,
                    "FailedPreStopHook",
                    "PreStopHook failed".to_owned(),
                );
            }
            None if abandon => {
                tokio::spawn(running);
            }
            None => {}
        }
        window.charge();
    }

    fn tell(&self, level: Level, reason: &str, message: String) {
        self.machine
            .recorder
            .pod(KUBELET, &self.pod, Some(&self.name), level, reason, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixtures::{container, pod, sidecar};

    #[track_caller]
    fn check(running: &[&str], name: &str, expected: &[&str]) {
        let pod = pod(
            "Always",
            vec![sidecar("s"), container("i"), sidecar("t"), container("j")],
            &["a", "b"],
        );
        let spec = pod.spec.unwrap();
        assert_eq!(waits_for(&spec, running, name), expected, "{name}");
    }

    #[test]
    fn sidecars_go_last_and_in_reverse() {
        let all = ["a", "b", "s", "t"];
        check(&all, "a", &[]);
        check(&all, "b", &[]);
        check(&all, "t", &["a", "b"]);
        check(&all, "s", &["t", "a", "b"]);
        check(&["a", "s"], "s", &["a"]);
        check(&["s", "t"], "s", &["t"]);
        check(&["s", "t"], "t", &[]);
        // An init container is not waited for and does not wait.
        check(&["s", "i"], "s", &[]);
        check(&["s", "i"], "i", &[]);
        check(&["ghost", "s"], "ghost", &[]);
    }

    #[tokio::test(start_paused = true)]
    async fn grace_is_charged_in_whole_seconds_and_only_shrinks() {
        let (sender, receiver) = watch::channel(Duration::from_secs(30));
        let mut window = Window::new(receiver);
        let mut wait = Box::pin(tokio::time::sleep(Duration::from_millis(3900)));
        assert_eq!(window.bound(&mut wait).await, Some(()));
        window.charge();
        assert_eq!(window.grace, Duration::from_secs(27));
        // Asked for while something runs: from then on it is five seconds.
        let mut long = Box::pin(tokio::time::sleep(Duration::from_secs(60)));
        let begun = Instant::now();
        let asks = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            sender.send_replace(Duration::from_secs(5));
        };
        let (done, ()) = tokio::join!(window.bound(&mut long), asks);
        assert_eq!((done, begun.elapsed().as_secs()), (None, 7));
        window.charge();
        assert_eq!(window.grace, Duration::ZERO);
        window.shorten(Duration::from_secs(40));
        assert_eq!(window.grace, Duration::ZERO);
    }
}
