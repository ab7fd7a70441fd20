//! What the pods of a node request of it, as `kubectl describe node` tells it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeStatus, Pod};

use super::text::Text;
use crate::model::pod::{Totals, pod_limits, pod_requests};
use crate::model::quantity::ParsedQuantity;
use crate::printer::duration::Moment;

/// The resources that have a row even when nothing uses them.
const ALWAYS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// `Non-terminated Pods` and `Allocated resources`.
pub(super) fn allocation(text: &mut Text, status: &NodeStatus, pods: &[Arc<Pod>], moment: &Moment) {
    let live: Vec<Taken> = pods
        .iter()
        .filter(|pod| !is_terminated(pod))
        .map(|pod| Taken::by(pod))
        .collect();
    let room = Room::of(status);
    text.pair(
        "Non-terminated Pods",
        format_args!("({} in total)", live.len()),
    );
    text.line(
        1,
        format_args!(
            "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge"
        ),
    );
    text.line(
        1,
        format_args!(
            "---------\t----\t\t------------\t----------\t---------------\t-------------\t---"
        ),
    );
    for taken in &live {
        let share = |totals: &Totals, name| room.share(totals, name);
        text.line(
            1,
            format_args!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
                taken.pod.metadata.namespace.as_deref().unwrap_or_default(),
                taken.pod.metadata.name.as_deref().unwrap_or_default(),
                share(&taken.requests, "cpu"),
                share(&taken.limits, "cpu"),
                share(&taken.requests, "memory"),
                share(&taken.limits, "memory"),
                moment.age(taken.pod.metadata.creation_timestamp.as_ref()),
            ),
        );
    }
    let (requests, limits) = (
        sum(live.iter().map(|taken| &taken.requests)),
        sum(live.iter().map(|taken| &taken.limits)),
    );
    text.line(0, format_args!("Allocated resources:"));
    text.line(
        1,
        format_args!("(Total limits may be over 100 percent, i.e., overcommitted.)"),
    );
    text.line(1, format_args!("Resource\tRequests\tLimits"));
    text.line(1, format_args!("--------\t--------\t------"));
    for name in room.names() {
        let (requests, limits) = if has_share(name) {
            (room.share(&requests, name), room.share(&limits, name))
        } else {
            (
                amount(&requests, name).to_string(),
                amount(&limits, name).to_string(),
            )
        };
        text.line(1, format_args!("{name}\t{requests}\t{limits}"));
    }
}

/// What one pod takes.
struct Taken<'a> {
    pod: &'a Pod,
    requests: Totals,
    limits: Totals,
}

impl<'a> Taken<'a> {
    fn by(pod: &'a Pod) -> Self {
        let totals = |of: fn(&_) -> Totals| pod.spec.as_ref().map(of).unwrap_or_default();
        Self {
            pod,
            requests: totals(pod_requests),
            limits: totals(pod_limits),
        }
    }
}

/// What the node has to give.
struct Room(Totals);

impl Room {
    /// Allocatable, or capacity of a node that does not tell it.
    fn of(status: &NodeStatus) -> Self {
        let told = status.allocatable.as_ref().or(status.capacity.as_ref());
        let totals = told.into_iter().flatten();
        Self(
            totals
                .map(|(name, quantity)| (name.clone(), ParsedQuantity::of(quantity)))
                .collect(),
        )
    }

    /// `AMOUNT (PERCENT of the node%)`, cut to whole percents.
    fn share(&self, totals: &Totals, name: &str) -> String {
        let amount = amount(totals, name);
        let whole = self.0.get(name).map_or(0, |whole| whole.milli_value());
        let percent = if whole == 0 {
            0
        } else {
            i128::from(amount.milli_value()) * 100 / i128::from(whole)
        };
        format!("{amount} ({percent}%)")
    }

    /// The rows: what every node has, huge pages, then what is counted in pieces.
    fn names(&self) -> Vec<&str> {
        let others = |wanted: bool| {
            self.0.keys().map(String::as_str).filter(move |name| {
                !ALWAYS.contains(name) && *name != "pods" && has_share(name) == wanted
            })
        };
        ALWAYS
            .into_iter()
            .chain(others(true))
            .chain(others(false))
            .collect()
    }
}

/// Whether kubectl tells the percentage of this resource: not of extended resources.
fn has_share(name: &str) -> bool {
    ALWAYS.contains(&name) || ParsedQuantity::huge_page(name).is_some()
}

fn amount(totals: &Totals, name: &str) -> ParsedQuantity {
    totals.get(name).copied().unwrap_or(ParsedQuantity::ZERO)
}

fn sum<'a>(all: impl Iterator<Item = &'a Totals>) -> Totals {
    let mut totals = Totals::new();
    for (name, amount) in all.flatten() {
        let total = totals.entry(name.clone()).or_insert(ParsedQuantity::ZERO);
        *total = total.add(*amount);
    }
    totals
}

fn is_terminated(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, resources: Value) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "c", "resources": resources}]},
            "status": {"phase": phase},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn moment() -> Moment {
        Moment::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC)
    }

    fn told(pods: &[Arc<Pod>]) -> Vec<String> {
        let status = json!({"allocatable": {
            "cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi", "pods": "110",
            "hugepages-2Mi": "0", "example.com/foo": "3",
        }});
        let mut text = Text::default();
        let moment = moment();
        allocation(
            &mut text,
            &serde_json::from_value(status).unwrap(),
            pods,
            &moment,
        );
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.finish().lines().map(squeezed).collect()
    }

    #[test]
    fn what_runs_is_summed_and_compared_to_the_node() {
        let half = json!({"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "3"}});
        let piece = json!({"requests": {"example.com/foo": "2", "cpu": "100m"}, "limits": {"example.com/foo": "2"}});
        let told = told(&[
            pod("a", "Running", half.clone()),
            pod("b", "Pending", piece),
            pod("done", "Succeeded", half),
        ]);
        assert_eq!(told[0], "Non-terminated Pods: (2 in total)");
        assert_eq!(
            told[3],
            "default a 500m (25%) 3 (150%) 128Mi (12%) 0 (0%) <unknown>"
        );
        assert_eq!(
            told[4],
            "default b 100m (5%) 0 (0%) 0 (0%) 0 (0%) <unknown>"
        );
        assert_eq!(
            told[9..],
            [
                "cpu 600m (30%) 3 (150%)",
                "memory 128Mi (12%) 0 (0%)",
                "ephemeral-storage 0 (0%) 0 (0%)",
                "hugepages-2Mi 0 (0%) 0 (0%)",
                "example.com/foo 2 2",
            ]
        );
    }

    #[test]
    fn a_node_that_tells_nothing_has_no_percentages() {
        let mut text = Text::default();
        let moment = moment();
        let one = [pod("a", "Running", json!({"requests": {"cpu": "1"}}))];
        allocation(&mut text, &NodeStatus::default(), &one, &moment);
        assert!(text.finish().contains("1 (0%)"));
    }
}
