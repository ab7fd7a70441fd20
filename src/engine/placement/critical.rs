//! Who makes room for a critical pod that came without the scheduler (kubelet `preemption`): best-effort pods before
//! burstable ones before guaranteed ones, few before many, small before large.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::model::pod::{QosClass, pod_requests, qos_class};
use crate::model::priority::{CRITICAL, pod_priority};

/// What is missing of a resource: thousandths of a CPU, bytes, or pieces.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Need {
    pub(super) resource: String,
    pub(super) amount: i64,
}

type Pods<'a> = Vec<&'a Arc<Pod>>;

/// Who has to go so that the preemptor has what it needs; `Err` is the kubelet's word for "nothing helps".
pub(super) fn make_room(
    preemptor: &Pod,
    pods: &[Arc<Pod>],
    needs: &[Need],
) -> Result<Vec<Arc<Pod>>, String> {
    let of = |class: QosClass| -> Pods<'_> {
        let all = pods.iter();
        all.filter(|pod| {
            may_preempt(preemptor, pod)
                && pod
                    .spec
                    .as_ref()
                    .is_some_and(|spec| qos_class(spec) == class)
        })
        .collect()
    };
    let best_effort = of(QosClass::BestEffort);
    let burstable = of(QosClass::Burstable);
    let guaranteed = of(QosClass::Guaranteed);
    let all = [&best_effort[..], &burstable, &guaranteed].concat();
    let unmet = left(needs, &all);
    if !unmet.is_empty() {
        return Err(nothing_helps(&unmet));
    }
    // Each class gives only what the others together cannot.
    let rest = left(needs, &[&best_effort[..], &burstable].concat());
    let guaranteed = nearest(guaranteed, rest)?;
    let rest = left(needs, &[&best_effort[..], &guaranteed].concat());
    let burstable = nearest(burstable, rest)?;
    let rest = left(needs, &[&burstable[..], &guaranteed].concat());
    let best_effort = nearest(best_effort, rest)?;
    let chosen = best_effort.iter().chain(&burstable).chain(&guaranteed);
    Ok(chosen.map(|pod| Arc::clone(pod)).collect())
}

fn may_preempt(preemptor: &Pod, pod: &Pod) -> bool {
    let (own, other) = (pod_priority(preemptor), pod_priority(pod));
    own >= CRITICAL && other < CRITICAL || own > other
}

fn nothing_helps(needs: &[Need]) -> String {
    let list: String = needs
        .iter()
        .map(|need| format!("(res: {}, q: {}), ", need.resource, need.amount))
        .collect();
    format!("no set of running pods found to reclaim resources: [{list}]")
}

fn request(pod: &Pod, resource: &str) -> i64 {
    if resource == "pods" {
        return 1;
    }
    let requests = pod.spec.as_ref().map(pod_requests).unwrap_or_default();
    let amount = requests.get(resource);
    amount.map_or(0, |amount| match resource {
        "cpu" => amount.milli_value(),
        _ => amount.value(),
    })
}

/// What is still needed when these are gone.
fn left(needs: &[Need], gone: &[&Arc<Pod>]) -> Vec<Need> {
    let rest = |need: &Need| {
        let freed = gone.iter().map(|pod| request(pod, &need.resource));
        let amount = freed.fold(need.amount, i64::saturating_sub);
        (amount > 0).then(|| Need {
            amount,
            ..need.clone()
        })
    };
    needs.iter().filter_map(rest).collect()
}

/// One after the other whoever comes nearest to what is needed, and of equals the smallest.
fn nearest<'a>(mut pods: Pods<'a>, mut needs: Vec<Need>) -> Result<Pods<'a>, String> {
    let mut chosen = Vec::new();
    while !needs.is_empty() {
        let size = |pod: &Pod| (request(pod, "memory"), request(pod, "cpu"));
        let rank = |pod: &Pod| (distance(&needs, pod), size(pod));
        let ranked = pods.iter().enumerate();
        let best = ranked.min_by(|(_, a), (_, b)| {
            let ((far_a, size_a), (far_b, size_b)) = (rank(a), rank(b));
            far_a.total_cmp(&far_b).then(size_a.cmp(&size_b))
        });
        let Some((index, _)) = best else {
            return Err(nothing_helps(&needs));
        };
        let pod = pods.swap_remove(index);
        needs = left(&needs, &[pod]);
        chosen.push(pod);
    }
    Ok(chosen)
}

/// The parts of the needs that are left, squared: every resource counts alike.
fn distance(needs: &[Need], pod: &Pod) -> f64 {
    let parts = needs.iter().map(|need| {
        let rest = need.amount.saturating_sub(request(pod, &need.resource));
        if rest > 0 {
            (as_float(rest) / as_float(need.amount)).powi(2)
        } else {
            0.0
        }
    });
    parts.sum()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rank needs no more digits than a float has"
)]
fn as_float(amount: i64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CLUSTER: &str = "cluster-critical";
    const NODE: &str = "node-critical";
    const BEST: &str = "best-effort";
    const BURST: &str = "burstable";
    const BIG_BURST: &str = "high-request-burstable";
    const SURE: &str = "guaranteed";
    const BIG_SURE: &str = "high-request-guaranteed";

    /// The pods of the kubelet's own tests.
    fn pod(name: &str) -> Arc<Pod> {
        let amounts = |size: u32| json!({"cpu": format!("{size}m"), "memory": format!("{size}Mi")});
        let (priority, resources): (i32, Value) = match name {
            CLUSTER => (CRITICAL, json!({"requests": amounts(100)})),
            NODE => (CRITICAL + 100, json!({"requests": amounts(100)})),
            BURST => (0, json!({"requests": amounts(100)})),
            BIG_BURST => (0, json!({"requests": amounts(300)})),
            SURE => (0, json!({"requests": amounts(100), "limits": amounts(100)})),
            BIG_SURE => (0, json!({"requests": amounts(300), "limits": amounts(300)})),
            _ => (0, json!({})),
        };
        let value = json!({
            "metadata": {"name": name},
            "spec": {"priority": priority, "containers": [{"name": "c", "resources": resources}]},
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    /// Thousandths of a CPU, Mi of memory and pods; zero asks for nothing.
    fn needs((cpu, memory, pods): (i64, i64, i64)) -> Vec<Need> {
        let all = [("cpu", cpu), ("memory", memory << 20), ("pods", pods)];
        let some = all.into_iter().filter(|(_, amount)| *amount > 0);
        some.map(|(resource, amount)| Need {
            resource: resource.to_owned(),
            amount,
        })
        .collect()
    }

    #[track_caller]
    fn check(
        preemptor: &str,
        pods: &[&str],
        wanted: (i64, i64, i64),
        expected: Result<&[&str], &str>,
    ) {
        let pods: Vec<Arc<Pod>> = pods.iter().map(|name| pod(name)).collect();
        let found = make_room(&pod(preemptor), &pods, &needs(wanted));
        let found = found.map(|pods| {
            let names = pods.iter().map(|pod| pod.metadata.name.clone().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        });
        let expected = expected
            .map(|names| {
                let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
                names.sort();
                names
            })
            .map_err(|list| format!("no set of running pods found to reclaim resources: [{list}]"));
        assert_eq!(found, expected);
    }

    #[test]
    fn as_few_and_as_small_as_can_be() {
        check(CLUSTER, &[], (0, 0, 0), Ok(&[]));
        check(CLUSTER, &[], (0, 0, 1), Err("(res: pods, q: 1), "));
        check(CLUSTER, &[BURST], (100, 100, 1), Ok(&[BURST]));
        check(
            CLUSTER,
            &[BURST],
            (200, 200, 2),
            Err("(res: cpu, q: 100), (res: memory, q: 104857600), (res: pods, q: 1), "),
        );
        check(CLUSTER, &[BURST, BEST], (0, 0, 1), Ok(&[BEST]));
        check(CLUSTER, &[BURST, SURE], (0, 0, 1), Ok(&[BURST]));
        check(
            CLUSTER,
            &[BEST, BIG_BURST, BURST],
            (100, 100, 0),
            Ok(&[BURST]),
        );
        check(
            CLUSTER,
            &[BEST, BURST, BIG_BURST],
            (150, 150, 0),
            Ok(&[BIG_BURST]),
        );
        let all = [BEST, BURST, BIG_BURST, SURE, BIG_SURE];
        check(CLUSTER, &all, (350, 350, 0), Ok(&[BURST, BIG_BURST]));
        check(CLUSTER, &all, (0, 550, 0), Ok(&[BIG_BURST, BIG_SURE]));
        check(
            CLUSTER,
            &[BEST],
            (0, 1, 0),
            Err("(res: memory, q: 1048576), "),
        );
    }

    #[test]
    fn critical_pods_give_way_to_more_critical_ones_only() {
        check(CLUSTER, &[CLUSTER], (0, 0, 1), Err("(res: pods, q: 1), "));
        check(NODE, &[CLUSTER], (100, 0, 0), Ok(&[CLUSTER]));
        check(CLUSTER, &[NODE], (100, 0, 0), Err("(res: cpu, q: 100), "));
    }
}
