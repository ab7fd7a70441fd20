//! Evictions that somebody asks for, as `kubectl drain` does.

use k8s_openapi::api::core::v1::PodCondition;

use crate::base::Uid;
use crate::engine::machine::Machine;
use crate::engine::status::time;
use crate::model::ObjectKey;
use crate::model::pod::DISRUPTION;
use crate::store::StoreError;

/// Deletes the pod and says by whose wish, in one write.
pub(in crate::engine) async fn evict(
    machine: &Machine,
    key: &ObjectKey,
    uid: &Uid,
    grace_seconds: Option<i64>,
) -> Result<(), StoreError> {
    let condition = PodCondition {
        type_: DISRUPTION.to_owned(),
        status: "True".to_owned(),
        reason: Some("EvictionByEvictionAPI".to_owned()),
        message: Some("Eviction API: evicting".to_owned()),
        last_probe_time: None,
        last_transition_time: Some(time(machine.clock.now())),
        observed_generation: None,
    };
    let status = &machine.status;
    status.disrupt_pod(key, uid, condition, grace_seconds).await
}
