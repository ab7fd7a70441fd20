//! Taints that say of the node what its conditions say, so that the scheduler looks at taints alone
//! (kube-controller-manager `nodelifecycle`, `doNoScheduleTaintingPass`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};

use crate::engine::status::time;

const EFFECT: &str = "NoSchedule";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition that is true → key of its taint.
const KEYS: [(&str, &str); 3] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
];

/// The node with the taints of its conditions and no others of their keys; `None` when it has just those. Taints of
/// another effect are not ours.
pub(in crate::engine) fn with_condition_taints(node: &Node, now: Timestamp) -> Option<Node> {
    let is_true = |kind: &str| {
        let status = node.status.as_ref();
        let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
        conditions
            .by_ref()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let spec = node.spec.clone().unwrap_or_default();
    let cordoned = spec.unschedulable == Some(true);
    let wanted = KEYS.map(|(kind, key)| (key, is_true(kind)));
    let wanted = wanted.into_iter().chain([(UNSCHEDULABLE, cordoned)]);
    let before = spec.taints.clone().unwrap_or_default();
    let mut taints = before.clone();
    for (key, is_wanted) in wanted {
        let is_it = |taint: &Taint| taint.key == key && taint.effect == EFFECT;
        if !is_wanted {
            taints.retain(|taint| !is_it(taint));
        } else if !taints.iter().any(is_it) {
            taints.push(Taint {
                key: key.to_owned(),
                effect: EFFECT.to_owned(),
                value: None,
                time_added: Some(time(now)),
            });
        }
    }
    if taints == before {
        return None;
    }
    let mut node = node.clone();
    node.spec = Some(spec);
    let spec = node.spec.get_or_insert_default();
    spec.taints = (!taints.is_empty()).then_some(taints);
    Some(node)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// `key:effect` of the taints after it; empty when nothing changes.
    #[track_caller]
    fn check(conditions: &[(&str, &str)], spec: Value, expected: Option<&[&str]>) {
        let one = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status});
        let conditions: Vec<Value> = conditions.iter().map(one).collect();
        let node = json!({"metadata": {}, "spec": spec, "status": {"conditions": conditions}});
        let node: Node = serde_json::from_value(node).unwrap();
        let changed = with_condition_taints(&node, Timestamp::UNIX_EPOCH);
        let told = changed.map(|node| {
            let taints = node.spec.unwrap().taints.unwrap_or_default();
            let told = taints
                .iter()
                .map(|one| format!("{}:{}", one.key, one.effect));
            told.collect::<Vec<_>>()
        });
        let expected = expected.map(|list| list.iter().map(|&text| text.to_owned()).collect());
        assert_eq!(told, expected);
    }

    #[test]
    fn taints_follow_the_conditions() {
        let [memory, disk, pids] = KEYS.map(|(_, key)| format!("{key}:NoSchedule"));
        let fine = [("MemoryPressure", "False"), ("Ready", "True")];
        check(&fine, json!({}), None);
        check(&[("MemoryPressure", "True")], json!({}), Some(&[&memory]));
        check(
            &[("PIDPressure", "True"), ("DiskPressure", "True")],
            json!({}),
            Some(&[&disk, &pids]),
        );
        let own = |key: &str, effect: &str| json!({"key": key, "effect": effect});
        let known = own("node.kubernetes.io/memory-pressure", "NoSchedule");
        check(
            &[("MemoryPressure", "True")],
            json!({"taints": [known]}),
            None,
        );
        check(&fine, json!({"taints": [known]}), Some(&[]));
        // What somebody else said of the node stays.
        let foreign = own("flood", "NoSchedule");
        let harsh = own("node.kubernetes.io/memory-pressure", "NoExecute");
        check(&fine, json!({"taints": [harsh, foreign]}), None);
        check(
            &fine,
            json!({"taints": [known, foreign]}),
            Some(&["flood:NoSchedule"]),
        );
    }

    #[test]
    fn a_cordoned_node_is_tainted() {
        let taint = "node.kubernetes.io/unschedulable:NoSchedule";
        check(&[], json!({"unschedulable": true}), Some(&[taint]));
        let known = json!([{"key": UNSCHEDULABLE, "effect": EFFECT}]);
        check(&[], json!({"unschedulable": true, "taints": known}), None);
        check(&[], json!({"taints": known}), Some(&[]));
    }
}
