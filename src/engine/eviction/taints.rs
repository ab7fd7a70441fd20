use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

use crate::base::Uid;
use crate::engine::placement::covers;
use crate::model::Resource;
use crate::model::pod::node_name;

const EFFECT: &str = "NoExecute";

/// What the taints mean for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    /// For so long after the taint was seen.
    StaysFor(Duration),
    Goes,
}

/// Each taint needs a toleration, of which the first counts; the shortest time of those holds.
fn verdict(taints: &[Taint], tolerations: &[Toleration]) -> Verdict {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let value = taint.value.as_deref().unwrap_or_default();
        let mut matching = tolerations.iter();
        let Some(first) = matching.find(|one| covers(one, &taint.key, value, EFFECT)) else {
            return Verdict::Goes;
        };
        if let Some(seconds) = first.toleration_seconds {
            shortest = Some(shortest.map_or(seconds, |known| known.min(seconds)));
        }
    }
    match shortest.map(u64::try_from) {
        None => Verdict::Stays,
        Some(Ok(0) | Err(_)) => Verdict::Goes,
        Some(Ok(seconds)) => Verdict::StaysFor(Duration::from_secs(seconds)),
    }
}

/// The taints that end pods.
pub(super) fn evicting(taints: &[Taint]) -> Vec<Taint> {
    let evicting = taints.iter().filter(|taint| taint.effect == EFFECT);
    evicting.cloned().collect()
}

/// What is to be done with a pod now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Delete(Arc<Pod>),
    /// It was to be deleted later, and is not any more.
    Cancel(Arc<Pod>),
}

/// The pods that are to be deleted later.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    pods: HashMap<Uid, (Arc<Pod>, Timestamp)>,
}

impl Deadlines {
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// When the next one is due, from `now` on.
    pub(super) fn next(&self, now: Timestamp) -> Option<Duration> {
        let next = self.pods.values().map(|(_, at)| *at).min()?;
        Some(Duration::try_from(next.duration_since(now)).unwrap_or_default())
    }

    /// Brings the deadlines to what taints and pods are now. A deadline that is set stays, whatever other
    /// tolerations come (kube-controller-manager `tainteviction`).
    pub(super) fn steps(
        &mut self,
        taints: &[Taint],
        pods: &[Arc<Pod>],
        now: Timestamp,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut before = std::mem::take(&mut self.pods);
        for pod in pods.iter().filter(|pod| node_name(pod).is_some()) {
            let uid = pod.uid();
            let known = before.remove(&uid).map(|(_, at)| at);
            let spec = pod.spec.as_ref();
            let tolerations = spec.and_then(|spec| spec.tolerations.as_deref());
            let is_going = pod.metadata.deletion_timestamp.is_some();
            match verdict(taints, tolerations.unwrap_or_default()) {
                Verdict::Stays => steps.extend(known.map(|_| Step::Cancel(Arc::clone(pod)))),
                Verdict::Goes => {
                    steps.extend(known.map(|_| Step::Cancel(Arc::clone(pod))));
                    steps.extend((!is_going).then(|| Step::Delete(Arc::clone(pod))));
                }
                Verdict::StaysFor(time) => {
                    let at = match known {
                        Some(at) => at,
                        None if is_going => continue,
                        None => now.checked_add(time).unwrap_or(Timestamp::MAX),
                    };
                    if at > now {
                        self.pods.insert(uid, (Arc::clone(pod), at));
                    } else if !is_going {
                        steps.push(Step::Delete(Arc::clone(pod)));
                    }
                }
            }
        }
        steps.extend(before.into_values().map(|(pod, _)| Step::Cancel(pod)));
        steps
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;

    fn taints(list: &[(&str, &str)]) -> Vec<Taint> {
        let one = |(key, value): &(&str, &str)| Taint {
            effect: EFFECT.to_owned(),
            key: (*key).to_owned(),
            time_added: None,
            value: Some((*value).to_owned()),
        };
        list.iter().map(one).collect()
    }

    #[track_caller]
    fn check(list: &[(&str, &str)], tolerations: Value, expected: Verdict) {
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(verdict(&taints(list), &tolerations), expected);
    }

    #[test]
    fn what_is_tolerated_and_for_how_long() {
        let seconds = |seconds| Verdict::StaysFor(Duration::from_secs(seconds));
        let for_seconds = |key: &str, time: i64| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": time});
        check(&[], json!([]), Verdict::Stays);
        check(&[("a", "")], json!([]), Verdict::Goes);
        check(
            &[("a", "x")],
            json!([{"operator": "Exists"}]),
            Verdict::Stays,
        );
        check(
            &[("a", "x")],
            json!([{"key": "a", "value": "x"}]),
            Verdict::Stays,
        );
        check(
            &[("a", "x")],
            json!([{"key": "a", "value": "y"}]),
            Verdict::Goes,
        );
        let other = json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]);
        check(&[("a", "x")], other, Verdict::Goes);
        check(&[("a", "")], json!([for_seconds("a", 7)]), seconds(7));
        check(&[("a", "")], json!([for_seconds("a", 0)]), Verdict::Goes);
        check(&[("a", "")], json!([for_seconds("a", -4)]), Verdict::Goes);
        let both = json!([for_seconds("a", 7), for_seconds("b", 5)]);
        check(&[("a", ""), ("b", "")], both.clone(), seconds(5));
        check(&[("a", ""), ("c", "")], both, Verdict::Goes);
        // The first that matches counts.
        let first = json!([{"key": "a", "operator": "Exists"}, for_seconds("a", 7)]);
        check(&[("a", "")], first, Verdict::Stays);
    }

    fn pod(uid: &str, tolerations: Value) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": uid, "uid": uid},
                "spec": {"nodeName": "n", "containers": [], "tolerations": tolerations},
            }))
            .unwrap(),
        )
    }

    fn told(steps: &[Step]) -> Vec<String> {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        let mut told: Vec<String> = steps
            .iter()
            .map(|step| match step {
                Step::Delete(pod) => format!("delete {}", name(pod)),
                Step::Cancel(pod) => format!("cancel {}", name(pod)),
            })
            .collect();
        told.sort();
        told
    }

    #[test]
    fn deadlines_are_kept_met_and_cancelled() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let short = |seconds: i64| json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
        let mut deadlines = Deadlines::default();
        let (none, tainted) = (taints(&[]), taints(&[("a", "")]));
        let pods = [
            pod("now", json!([])),
            pod("soon", short(10)),
            pod("later", short(60)),
            pod("never", json!([{"operator": "Exists"}])),
        ];
        assert_eq!(told(&deadlines.steps(&none, &pods, at(0))), [] as [&str; 0]);
        assert!(deadlines.is_empty());
        assert_eq!(
            told(&deadlines.steps(&tainted, &pods, at(100))),
            ["delete now"]
        );
        assert_eq!(deadlines.next(at(104)), Some(Duration::from_secs(6)));
        // More time that is asked for later is too late.
        let pods = [pod("soon", short(3600)), pod("later", short(60))];
        assert_eq!(
            told(&deadlines.steps(&tainted, &pods, at(105))),
            [] as [&str; 0]
        );
        assert_eq!(
            told(&deadlines.steps(&tainted, &pods, at(110))),
            ["delete soon"]
        );
        assert_eq!(deadlines.next(at(110)), Some(Duration::from_secs(50)));
        // It is not to be deleted once more while it ends.
        let mut ending = Pod::clone(&pods[0]);
        ending.metadata.deletion_timestamp = Some(Time(at(140)));
        let ending = [Arc::new(ending), Arc::clone(&pods[1])];
        assert_eq!(
            told(&deadlines.steps(&tainted, &ending, at(111))),
            [] as [&str; 0]
        );
        assert_eq!(deadlines.next(at(130)), Some(Duration::from_secs(30)));
        // The taint goes, or the pod.
        assert_eq!(
            told(&deadlines.steps(&none, &pods, at(120))),
            ["cancel later"]
        );
        assert_eq!(deadlines.next(at(120)), None);
        assert_eq!(
            told(&deadlines.steps(&tainted, &pods[1..], at(130))),
            [] as [&str; 0]
        );
        assert_eq!(
            told(&deadlines.steps(&tainted, &[], at(140))),
            ["cancel later"]
        );
        // Somebody else deletes it meanwhile.
        deadlines.steps(&tainted, &pods[1..], at(200));
        let mut going = Pod::clone(&pods[1]);
        going.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(201)),
        );
        let going = [Arc::new(going)];
        assert_eq!(
            told(&deadlines.steps(&tainted, &going, at(300))),
            [] as [&str; 0]
        );
    }
}
