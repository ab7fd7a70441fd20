use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};

use super::condition_taints::with_condition_taints;
use super::taints::{Deadlines, Step, evicting};
use crate::base::chain;
use crate::engine::machine::Machine;
use crate::engine::recorder::{Level, TAINT_EVICTION};
use crate::engine::status::time;
use crate::model::pod::DISRUPTION;
use crate::model::{Kind, Object, Resource};
use crate::store::StoreError;

/// After changes were missed.
const AGAIN: Duration = Duration::from_millis(100);
/// After a deletion that could not be written.
const RETRY: Duration = Duration::from_secs(1);

struct Looked {
    /// The node has a taint that ends pods.
    tainted: bool,
    /// A pod that has to go is still there.
    failed: bool,
}

/// Deletes the pods that do not tolerate the node's taints, as long as the engine lives. It begins with what is
/// there; a new engine counts the seconds of a toleration anew, as a new controller does.
pub(in crate::engine) async fn keep_away(machine: Arc<Machine>) {
    let mut deadlines = Deadlines::default();
    loop {
        let from = machine.store.resource_version();
        let watch = |kind| machine.store.watch(kind, from);
        if let (Ok(mut nodes), Ok(mut pods)) = (watch(Kind::Node), watch(Kind::Pod)) {
            loop {
                let Looked { tainted, failed } = look(&machine, &mut deadlines).await;
                let due = deadlines.next(machine.clock.now());
                let due = if failed { Some(RETRY) } else { due };
                // Mostly there is no taint, and nothing is done for the pods.
                let watched = tainted || !deadlines.is_empty();
                // Both are cancel-safe: a change is taken only when it is returned.
                let seen = tokio::select! {
                    change = nodes.next() => change.map(|_| ()),
                    change = pods.next(), if watched => change.map(|_| ()),
                    () = sleep(due) => Ok(()),
                };
                if seen.is_err() {
                    break;
                }
                if !watched {
                    // What happened to pods meanwhile is in the list that comes.
                    break;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn sleep(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

async fn look(machine: &Machine, deadlines: &mut Deadlines) -> Looked {
    follow_conditions(machine).await;
    let node = machine.store.get::<Node>("", &machine.node.name);
    let spec = node.as_ref().and_then(|node| node.spec.as_ref());
    let taints = evicting(
        spec.and_then(|spec| spec.taints.as_deref())
            .unwrap_or_default(),
    );
    let mut looked = Looked {
        tainted: !taints.is_empty(),
        failed: false,
    };
    if taints.is_empty() && deadlines.is_empty() {
        return looked;
    }
    let (pods, _) = machine.store.list::<Pod>(None);
    for step in deadlines.steps(&taints, &pods, machine.clock.now()) {
        match step {
            Step::Delete(pod) => looked.failed |= !delete(machine, &pod).await,
            Step::Cancel(pod) => tell(machine, &pod, "Cancelling deletion of"),
        }
    }
    looked
}

/// The taints of the node follow its conditions, and a cordon.
async fn follow_conditions(machine: &Machine) {
    let node = machine.store.get::<Node>("", &machine.node.name);
    let now = machine.clock.now();
    let Some(node) = node.and_then(|node| with_condition_taints(&node, now)) else {
        return;
    };
    match machine.status.replace(Object::Node(Arc::new(node))).await {
        // Somebody was faster, and their change is looked at next.
        Ok(_) | Err(StoreError::Conflict(_)) => {}
        Err(error) => tracing::warn!(error = chain(&error), "the node could not be tainted"),
    }
}

fn tell(machine: &Machine, pod: &Pod, what: &str) {
    let meta = &pod.metadata;
    let message = format!(
        "{what} Pod {}/{}",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default()
    );
    let reason = "TaintManagerEviction";
    let recorder = &machine.recorder;
    recorder.pod(TAINT_EVICTION, pod, None, Level::Normal, reason, message);
}

/// Whether it is written.
async fn delete(machine: &Machine, pod: &Arc<Pod>) -> bool {
    tell(machine, pod, "Marking for deletion");
    let now = machine.clock.now();
    let condition = PodCondition {
        type_: DISRUPTION.to_owned(),
        status: "True".to_owned(),
        reason: Some("DeletionByTaintManager".to_owned()),
        message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
        last_probe_time: None,
        last_transition_time: Some(time(now)),
        observed_generation: pod.metadata.generation,
    };
    let (key, uid) = (pod.key(), pod.uid());
    let deleted = machine.status.disrupt_pod(&key, &uid, condition, None);
    match deleted.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(pod = %pod.uid(), error = chain(&error), "it stays on a tainted node");
            false
        }
    }
}
