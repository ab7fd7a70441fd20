use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod, PodCondition, PodStatus};
use tokio::time::Instant;

use super::task::{End, PodWorker};
use crate::base::chain;
use crate::engine::claims;
use crate::engine::placement::{Company, Entry, Placing, Rejection, Unfit};
use crate::engine::recorder::{Level, SCHEDULER};
use crate::engine::status::{Why, time};
use crate::model::pod::node_name;
use crate::model::{Kind, ObjectKey, Resource};

/// Pods that found no place are looked at again after this even when nothing seems to have changed
/// (scheduler `unschedulableQ` flush).
const FLUSH: Duration = Duration::from_secs(300);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What becomes of a pod that has no place yet.
enum Place {
    /// The room is taken; the pod may be bound.
    Taken,
    /// It had a place before this engine started.
    Kept,
    /// It says itself that it does not want one yet.
    Gated(Vec<String>),
    Unfit(Unfit),
    /// Somebody more important looks first.
    NotYet,
    /// It is critical and names the node: these go before it is let in.
    MakesRoom(Vec<Arc<Pod>>),
    /// The pod of another node or of another scheduler.
    NotOurs,
    Rejected(Rejection),
}

/// What was told of failed tries. A pod is tried with every change that may help it, at once; the same answer
/// is told no more often than the scheduler would try (`podInitialBackoff`, `podMaxBackoff`).
#[derive(Default)]
struct Failures {
    told: Option<(String, Instant)>,
    tries: u32,
}

impl Failures {
    fn is_news(&mut self, message: &str) -> bool {
        let now = Instant::now();
        let pause = SHORTEST_PAUSE * 2_u32.pow(self.tries.saturating_sub(1).min(8));
        let is_news = self.told.as_ref().is_none_or(|(told, at)| {
            told != message || now.duration_since(*at) >= pause.min(LONGEST_PAUSE)
        });
        if is_news {
            self.told = Some((message.to_owned(), now));
            self.tries += 1;
        }
        is_news
    }
}

impl PodWorker {
    /// Waits until the pod has its place on the node. `Some` when it comes to its end before.
    pub(super) async fn find_place(&mut self) -> Option<End> {
        let mut failures = Failures::default();
        loop {
            if let Some(end) = self.take_desired() {
                self.machine.placements.pass(&self.uid);
                return Some(end);
            }
            let mut again = FLUSH;
            // Before the look: what changes after it wakes us.
            self.want_node();
            match self.place() {
                Place::Taken | Place::Kept => return None,
                Place::Rejected(rejection) => return Some(self.reject(rejection)),
                Place::Gated(gates) => {
                    let names = gates.join(" ");
                    tracing::debug!(pod = self.name(), names, "scheduling gates");
                    let message =
                        "Scheduling is blocked due to non-empty scheduling gates".to_owned();
                    self.not_scheduled("SchedulingGated", message, false).await;
                }
                Place::Unfit(unfit) => {
                    let message = unfit.message;
                    if !self.preempt(&unfit.victims).await {
                        again = SHORTEST_PAUSE;
                    }
                    if failures.is_news(&message) {
                        self.machine.recorder.pod(
                            SCHEDULER,
                            &self.pod,
                            None,
                            Level::Warning,
                            "FailedScheduling",
                            message.clone(),
                        );
                    }
                    let nominated = unfit.is_nominated;
                    self.not_scheduled("Unschedulable", message, nominated)
                        .await;
                }
                Place::MakesRoom(victims) => self.send_away(&victims),
                Place::NotOurs | Place::NotYet => {}
            }
            // All three only say "look again"; none of them loses anything when dropped.
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() {
                    return Some(End::Leave);
                },
                () = self.hint.notified() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    fn place(&self) -> Place {
        let place = self.look();
        match place {
            // The ledger knows of these.
            Place::Taken | Place::Unfit(_) | Place::NotYet | Place::MakesRoom(_) => {}
            Place::Kept | Place::Gated(_) | Place::NotOurs | Place::Rejected(_) => {
                self.machine.placements.pass(&self.uid);
            }
        }
        place
    }

    fn look(&self) -> Place {
        let machine = &self.machine;
        let Some(spec) = &self.pod.spec else {
            return Place::NotOurs;
        };
        let accepted = self
            .pod
            .status
            .as_ref()
            .is_some_and(|status| status.start_time.is_some());
        let named = node_name(&self.pod);
        // Whatever name the node had then: there is one.
        if named.is_some() && (accepted || self.sandbox.is_some()) {
            let exclusive = claims::exclusive(&machine.store, &self.pod);
            machine.placements.hold(&self.uid, spec, exclusive);
            return Place::Kept;
        }
        let node = machine.store.get("", &machine.node.name);
        let node = node.as_deref();
        if let Some(name) = named {
            if name != machine.node.name {
                return Place::NotOurs;
            }
            let exclusive = claims::exclusive(&machine.store, &self.pod);
            let (pods, _) = machine.store.list::<Pod>(None);
            let placements = &machine.placements;
            let admitted = placements.admit(&self.pod, exclusive, node, &pods, &self.hint);
            return match admitted {
                Ok(Entry::Admitted) => Place::Kept,
                Ok(Entry::MakesRoom(victims)) => Place::MakesRoom(victims),
                Err(rejection) => Place::Rejected(rejection),
            };
        }
        let gates = spec.scheduling_gates.iter().flatten();
        let gates: Vec<String> = gates.map(|gate| gate.name.clone()).collect();
        if !gates.is_empty() {
            return Place::Gated(gates);
        }
        let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
        if !scheduler.is_empty() && scheduler != DEFAULT_SCHEDULER {
            return Place::NotOurs;
        }
        let needs = match claims::look(&machine.store, &self.pod) {
            Ok(needs) => needs,
            // The tail is what the scheduler's plugins say to each other when one of them stops the rest.
            Err(why) => {
                machine.placements.pass(&self.uid);
                return Place::Unfit(Unfit {
                    message: format!("0/1 nodes are available: {why}. not found"),
                    ..Unfit::default()
                });
            }
        };
        let (pods, _) = machine.store.list::<Pod>(None);
        let (namespaces, _) = machine.store.list::<Namespace>(None);
        let company = Company {
            placed: &pods,
            namespaces: &namespaces,
        };
        let placements = &machine.placements;
        match placements.place(&self.pod, &needs, node, company, &self.hint) {
            Placing::Taken => Place::Taken,
            Placing::NotYet => Place::NotYet,
            Placing::Unfit(unfit) => Place::Unfit(unfit),
        }
    }

    /// New labels or taints may let the pod in, and so may its claims.
    fn want_node(&self) {
        let node = ObjectKey::new(Kind::Node, "", &self.machine.node.name);
        let board = &self.machine.board;
        let mut wanted = claims::wanted(&self.machine.store, &self.pod);
        wanted.insert(node);
        board.want(&self.uid, wanted, &self.hint);
    }

    /// The kubelet takes the pod's word for its node, and then finds that it cannot stay.
    fn reject(&mut self, rejection: Rejection) -> End {
        self.accept();
        let Rejection { reason, text } = rejection;
        self.event(Level::Warning, &reason, text.clone());
        self.history.failed = Some(Why {
            reason,
            message: format!("Pod was rejected: {text}"),
        });
        self.history.rejected = true;
        End::Completion
    }

    /// The only status of a pod without a node is why it has none. It has no publisher yet.
    async fn not_scheduled(&mut self, reason: &str, message: String, nominated: bool) {
        let now = self.machine.clock.now();
        let generation = self.pod.metadata.generation;
        let old = self.pod.status.clone().unwrap_or_default();
        let condition = unscheduled(&old, reason, message, generation, now);
        let status = PodStatus {
            phase: Some("Pending".to_owned()),
            conditions: Some(with_condition(&old, condition)),
            observed_generation: generation,
            nominated_node_name: nominated.then(|| self.machine.node.name.clone()),
            ..old
        };
        if self.pod.status.as_ref() == Some(&status) {
            return;
        }
        let key = self.pod.key();
        let written = self
            .machine
            .status
            .pod_status(&key, &self.uid, status.clone());
        match written.await {
            Ok(_) => self.pod.status = Some(status),
            Err(error) => {
                tracing::debug!(pod = self.name(), error = chain(&error), "not written");
            }
        }
    }
}

fn unscheduled(
    old: &PodStatus,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) -> PodCondition {
    let before = old.conditions.iter().flatten();
    let since = before
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .find_map(|condition| condition.last_transition_time.clone());
    PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_probe_time: None,
        last_transition_time: since.or_else(|| Some(time(now))),
        observed_generation: generation,
    }
}

fn with_condition(old: &PodStatus, condition: PodCondition) -> Vec<PodCondition> {
    let kept = old.conditions.iter().flatten();
    let kept = kept.filter(|other| other.type_ != condition.type_).cloned();
    kept.chain([condition.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_failure_is_told_ever_more_seldom() {
        let mut failures = Failures::default();
        let mut told = Vec::new();
        for second in 0..40 {
            for _ in 0..5 {
                if failures.is_news("0/1 nodes are available") {
                    told.push(second);
                }
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [0, 1, 3, 7, 15, 25, 35]);
        assert!(failures.is_news("another reason"));
    }
}
