//! Whom a pod sends away that finds no room (scheduler plugin `defaultpreemption`).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::fit::{Misfit, unavailable};
use crate::base::Uid;
use crate::model::Resource;
use crate::model::priority::{never_preempts, pod_priority};

/// What becomes of a pod that does not fit.
#[derive(Debug, PartialEq)]
pub(super) enum Preemption {
    /// These have to go; the place is kept for the pod meanwhile.
    Victims(Vec<Arc<Pod>>),
    /// Nobody goes, with the scheduler's words for it. `keeps`: those who went before are not gone yet, and a place
    /// that is kept stays so.
    Nobody { why: String, keeps: bool },
}

/// Whom the decision is about.
pub(super) struct Case<'a> {
    pub(super) pod: &'a Pod,
    /// Why it does not fit now.
    pub(super) misfit: &'a Misfit,
    /// Its place is kept already.
    pub(super) is_nominated: bool,
    /// Who has a place beside it.
    pub(super) placed: &'a [Arc<Pod>],
}

/// `fits` is the look at the node without these pods.
pub(super) fn preempt(
    case: &Case<'_>,
    fits: impl Fn(&HashSet<Uid>) -> Result<(), Misfit>,
) -> Preemption {
    let nobody = |why: &str| Preemption::Nobody {
        why: why.to_owned(),
        keeps: false,
    };
    if case.pod.spec.as_ref().is_some_and(never_preempts) {
        return nobody("not eligible due to preemptionPolicy=Never.");
    }
    if !case.misfit.is_resolvable() {
        return nobody(&unavailable(&[
            "Preemption is not helpful for scheduling".to_owned()
        ]));
    }
    let own = pod_priority(case.pod);
    let mut lower: Vec<&Arc<Pod>> = case
        .placed
        .iter()
        .filter(|other| pod_priority(other) < own)
        .collect();
    let is_going = |pod: &&Arc<Pod>| pod.metadata.deletion_timestamp.is_some();
    if case.is_nominated && lower.iter().any(is_going) {
        return Preemption::Nobody {
            why: "not eligible due to a terminating pod on the nominated node.".to_owned(),
            keeps: true,
        };
    }
    if lower.is_empty() {
        return nobody(&unavailable(&[
            "No preemption victims found for incoming pod".to_owned(),
        ]));
    }
    let mut gone: HashSet<Uid> = lower.iter().map(|pod| pod.uid()).collect();
    if let Err(still) = fits(&gone) {
        return nobody(&unavailable(&still.reasons()));
    }
    // The most important ones are the first to stay.
    lower.sort_by_key(|pod| importance(pod));
    let mut victims = Vec::new();
    for pod in lower {
        let uid = pod.uid();
        gone.remove(&uid);
        if fits(&gone).is_err() {
            gone.insert(uid);
            victims.push(Arc::clone(pod));
        }
    }
    Preemption::Victims(victims)
}

/// Higher priority first, and then who began earlier. What has not begun begins now.
fn importance(pod: &Pod) -> (Reverse<i32>, Timestamp) {
    let status = pod.status.as_ref();
    let start = status.and_then(|status| status.start_time.as_ref());
    let start = start.map_or(Timestamp::MAX, |start| start.0);
    (Reverse(pod_priority(pod)), start)
}

/// What tells of the preemption in the pod that goes.
pub(in crate::engine) fn reason_for(preemptor: &PodSpec) -> String {
    let scheduler = preemptor.scheduler_name.as_deref().unwrap_or_default();
    format!("{scheduler}: preempting to accommodate a higher priority pod")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fit::Claim;
    use super::super::{company::Company, fit::fit};
    use super::*;
    use crate::engine::claims::Needs;

    /// Name, priority, thousandths of a CPU, second of its start.
    type Row = (&'static str, i32, u32, i64);

    fn pod((name, priority, cpu, start): Row) -> Arc<Pod> {
        let start = Timestamp::from_second(start).unwrap().to_string();
        let value = json!({
            "metadata": {"name": name, "uid": name},
            "spec": {"priority": priority, "schedulerName": "default-scheduler", "containers": [
                {"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m")}}}]},
            "status": {"startTime": start},
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn decide(asking: &Pod, placed: &[Arc<Pod>], is_nominated: bool) -> Preemption {
        let node = json!({"metadata": {}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}});
        let node = serde_json::from_value(node).unwrap();
        let look = |gone: &HashSet<Uid>| {
            let stay: Vec<Claim> = placed
                .iter()
                .filter(|pod| !gone.contains(&pod.uid()))
                .map(|pod| Claim::of(pod.spec.as_ref().unwrap(), Default::default()))
                .collect();
            let held: Vec<&Claim> = stay.iter().collect();
            fit(asking, &Needs::default(), &node, &held, Company::default()).map(|_| ())
        };
        let misfit = look(&HashSet::new()).unwrap_err();
        let case = Case {
            pod: asking,
            misfit: &misfit,
            is_nominated,
            placed,
        };
        preempt(&case, look)
    }

    /// Who goes, the most important first.
    #[track_caller]
    fn check(asking: Row, placed: &[Row], victims: &[&str]) {
        let placed: Vec<_> = placed.iter().copied().map(pod).collect();
        let found = match decide(&pod(asking), &placed, false) {
            Preemption::Victims(victims) => victims,
            other => panic!("{other:?}"),
        };
        let names = found.iter().map(|pod| pod.metadata.name.clone().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), victims);
    }

    #[track_caller]
    fn check_nobody(asking: &Pod, placed: &[Arc<Pod>], is_nominated: bool, why: &str, keeps: bool) {
        let why = why.to_owned();
        let expected = Preemption::Nobody { why, keeps };
        assert_eq!(decide(asking, placed, is_nominated), expected);
    }

    #[test]
    fn as_few_as_can_be_and_the_least_important() {
        let asking = ("p", 100, 500, 0);
        check(asking, &[("a", 0, 1000, 1)], &["a"]);
        check(asking, &[("a", 0, 600, 1), ("b", 50, 400, 1)], &["a"]);
        // One that is not in the way stays, however unimportant it is.
        check(asking, &[("a", 99, 800, 1), ("b", 0, 100, 1)], &["a"]);
        // Of equals the younger goes.
        let twins = [("old", 0, 400, 1), ("new", 0, 400, 9), ("kin", 100, 200, 1)];
        check(("p", 100, 400, 0), &twins, &["new"]);
        // All who must, the most important first.
        let three = [("a", 1, 300, 1), ("b", 2, 300, 1), ("c", 3, 400, 1)];
        check(("p", 100, 1000, 0), &three, &["c", "b", "a"]);
        check(("p", 3, 600, 0), &three, &["b", "a"]);
    }

    #[test]
    fn nobody_goes_in_vain() {
        let list = |text: &str| format!("0/1 nodes are available: 1 {text}.");
        let asking = pod(("p", 100, 500, 0));
        let kin = [pod(("a", 100, 800, 1))];
        let none = list("No preemption victims found for incoming pod");
        check_nobody(&asking, &kin, false, &none, false);
        let short = list("Insufficient cpu");
        let mixed = [kin[0].clone(), pod(("b", 0, 200, 1))];
        check_nobody(&asking, &mixed, false, &short, false);
        let helpless = list("Preemption is not helpful for scheduling");
        let huge = pod(("p", 100, 1001, 0));
        check_nobody(&huge, &[pod(("a", 0, 1, 1))], false, &helpless, false);
        let mut meek = Pod::clone(&asking);
        meek.spec.as_mut().unwrap().preemption_policy = Some("Never".to_owned());
        let never = "not eligible due to preemptionPolicy=Never.";
        check_nobody(&meek, &[pod(("a", 0, 800, 1))], false, never, false);
    }

    #[test]
    fn who_goes_already_is_waited_for() {
        let asking = pod(("p", 100, 500, 0));
        let mut going = Pod::clone(&pod(("a", 0, 800, 1)));
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        going.metadata.deletion_timestamp = Some(now);
        let placed = [Arc::new(going)];
        let waits = "not eligible due to a terminating pod on the nominated node.";
        check_nobody(&asking, &placed, true, waits, true);
        // The first time its place is kept, and nobody else goes.
        let found = decide(&asking, &placed, false);
        assert_eq!(found, Preemption::Victims(placed.to_vec()));
    }
}
