//! Others go so that this pod has its place.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::task::PodWorker;
use crate::base::chain;
use crate::engine::eviction::{Eviction, PREEMPTING};
use crate::engine::placement::reason_for;
use crate::engine::recorder::{Level, SCHEDULER};
use crate::engine::status::time;
use crate::model::Resource;
use crate::model::pod::{DISRUPTION, grace_period_seconds};

impl PodWorker {
    /// Deletes those who have to go, gracefully, as the scheduler does. False when one could not be told.
    pub(super) async fn preempt(&self, victims: &[Arc<Pod>]) -> bool {
        let mut all_told = true;
        for victim in victims {
            // Who goes already is only waited for.
            if victim.metadata.deletion_timestamp.is_none() {
                all_told &= self.preempt_one(victim).await;
            }
        }
        all_told
    }

    async fn preempt_one(&self, victim: &Arc<Pod>) -> bool {
        let machine = &self.machine;
        let condition = PodCondition {
            type_: DISRUPTION.to_owned(),
            status: "True".to_owned(),
            reason: Some("PreemptionByScheduler".to_owned()),
            message: self.pod.spec.as_ref().map(reason_for),
            last_probe_time: None,
            last_transition_time: Some(time(machine.clock.now())),
            observed_generation: victim.metadata.generation,
        };
        let (key, uid) = (victim.key(), victim.uid());
        let told = machine
            .status
            .disrupt_pod(&key, &uid, condition, None)
            .await;
        if let Err(error) = told {
            tracing::warn!(pod = self.name(), victim = %key, error = chain(&error), "not preempted");
            return false;
        }
        tracing::info!(pod = self.name(), victim = %key, "preempted");
        let node = &machine.node.name;
        let text = format!("Preempted by pod {} on node {node}", self.uid);
        let recorder = &machine.recorder;
        recorder.pod(SCHEDULER, victim, None, Level::Normal, "Preempted", text);
        true
    }

    /// Has pods fail for this critical one, as the kubelet does.
    pub(super) fn send_away(&self, victims: &[Arc<Pod>]) {
        for victim in victims {
            let uid = victim.uid();
            let seconds = u64::try_from(grace_period_seconds(victim)).unwrap_or(1);
            let eviction = Eviction {
                reason: PREEMPTING,
                message: "Preempted in order to admit critical pod".to_owned(),
                grace: Duration::from_secs(seconds),
                disruption: Some(
                    "Pod was preempted by Kubelet to accommodate a critical pod.".to_owned(),
                ),
            };
            if self.machine.evictions.evict(&uid, eviction) {
                tracing::info!(pod = self.name(), victim = %uid, "makes room");
            }
        }
    }
}
