use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::company::{Company, Unwelcome, unwelcome};
use super::critical::{Need, make_room};
use crate::engine::claims::Needs;
use crate::model::ObjectKey;
use crate::model::pod::{Totals, all_containers, pod_requests};
use crate::model::priority::is_critical;
use crate::model::quantity::ParsedQuantity;
use crate::model::storage::selects_node;

/// What a pod takes of the node for as long as it has not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Claim {
    requests: Totals,
    ports: BTreeSet<HostPort>,
    /// PersistentVolumeClaims that it has for itself alone.
    one_pod: BTreeSet<ObjectKey>,
}

/// Protocol, address (empty for all) and number.
type HostPort = (String, String, i32);

impl Claim {
    pub(super) fn of(spec: &PodSpec, one_pod: BTreeSet<ObjectKey>) -> Self {
        let ports = all_containers(spec).flat_map(|container| container.ports.iter().flatten());
        let ports = ports.filter_map(|port| {
            let number = port.host_port.filter(|number| *number != 0)?;
            let address = port.host_ip.clone().filter(|address| address != "0.0.0.0");
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            Some((protocol, address.unwrap_or_default(), number))
        });
        Self {
            requests: pod_requests(spec),
            ports: ports.collect(),
            one_pod,
        }
    }
}

impl Claim {
    /// Ports and volumes are those of its beginning.
    pub(super) fn resize(&mut self, spec: &PodSpec) {
        self.requests = pod_requests(spec);
    }
}

/// Equal protocol and number collide unless both name different addresses.
fn collide(one: &HostPort, other: &HostPort) -> bool {
    let same_place = one.1.is_empty() || other.1.is_empty() || one.1 == other.1;
    one.0 == other.0 && one.2 == other.2 && same_place
}

/// A resource of which there is too little.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shortage {
    resource: String,
    requested: ParsedQuantity,
    used: ParsedQuantity,
    capacity: ParsedQuantity,
}

/// Why a pod does not fit: what the first check that failed found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misfit {
    Cordoned,
    Tainted,
    /// nodeSelector or required node affinity.
    Selector,
    Ports,
    Resources(Vec<Shortage>),
    Company(Unwelcome),
    /// A claim that only one pod may use is used by another.
    OnePod,
    /// A claim is bound to a volume that does not exist.
    NoVolume,
    /// A volume is not on this node.
    VolumeElsewhere,
}

/// Why a pod that names the node itself is turned away there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Rejection {
    pub(in crate::engine) reason: String,
    pub(in crate::engine) text: String,
}

/// What the kubelet says of a pod that it does not take as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    Rejected(Rejection),
    /// The pod is critical: these go, and then it has what it claims.
    Room {
        claim: Claim,
        victims: Vec<Arc<Pod>>,
    },
}

/// The scheduler's look: the first of its checks that fails decides.
pub(super) fn fit(
    pod: &Pod,
    needs: &Needs,
    node: &Node,
    held: &[&Claim],
    company: Company<'_>,
) -> Result<Claim, Misfit> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let claim = Claim::of(spec, needs.one_pod.clone());
    let misfit = cordon(spec, node)
        .or_else(|| untolerated(spec, node, &["NoSchedule", "NoExecute"]))
        .or_else(|| selector(spec, node))
        .or_else(|| ports(&claim, held))
        .or_else(|| resources(&claim, node, held))
        .or_else(|| volumes(&claim, needs, node, held))
        .or_else(|| unwelcome(pod, node, company).map(Misfit::Company));
    match misfit {
        None => Ok(claim),
        Some(misfit) => Err(misfit),
    }
}

/// The kubelet's look at a pod that came without the scheduler. Only taints that evict count. `placed` are those who
/// could make room for a critical pod that lacks nothing else.
pub(super) fn admit(
    pod: &Pod,
    one_pod: BTreeSet<ObjectKey>,
    node: Option<&Node>,
    held: &[&Claim],
    placed: &[Arc<Pod>],
) -> Result<Claim, Refusal> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let claim = Claim::of(spec, one_pod);
    let Some(node) = node else { return Ok(claim) };
    let lacking = resources(&claim, node, held);
    let other = selector(spec, node)
        .or_else(|| ports(&claim, held))
        .or_else(|| untolerated(spec, node, &["NoExecute"]));
    match (lacking, other) {
        (None, None) => Ok(claim),
        (Some(Misfit::Resources(shortages)), None) if is_critical(spec) => {
            let needs: Vec<Need> = shortages.iter().map(Shortage::need).collect();
            Err(match make_room(pod, placed, &needs) {
                Ok(victims) => Refusal::Room { claim, victims },
                Err(why) => Refusal::Rejected(Rejection {
                    reason: "UnexpectedAdmissionError".to_owned(),
                    text: format!(
                        "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of \
                         pods to preempt: {why}"
                    ),
                }),
            })
        }
        // What a critical pod lacks is no reason to turn it away.
        (Some(_), Some(other)) if is_critical(spec) => Err(Refusal::Rejected(other.rejection())),
        (Some(misfit), _) | (None, Some(misfit)) => Err(Refusal::Rejected(misfit.rejection())),
    }
}

/// `0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods.`
pub(super) fn unavailable(reasons: &[String]) -> String {
    let mut reasons: Vec<String> = reasons.iter().map(|reason| format!("1 {reason}")).collect();
    reasons.sort();
    format!("0/1 nodes are available: {}.", reasons.join(", "))
}

impl Misfit {
    pub(super) fn reasons(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Cordoned => one("node(s) were unschedulable"),
            Self::Tainted => one("node(s) had untolerated taint(s)"),
            Self::Selector => one("node(s) didn't match Pod's node affinity/selector"),
            Self::Ports => one("node(s) didn't have free ports for the requested pod ports"),
            Self::Resources(shortages) => {
                let text = |shortage: &Shortage| match shortage.resource.as_str() {
                    "pods" => "Too many pods".to_owned(),
                    resource => format!("Insufficient {resource}"),
                };
                shortages.iter().map(text).collect()
            }
            Self::Company(why) => one(why.reason()),
            Self::OnePod => one(
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
            ),
            Self::NoVolume => {
                one("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
            }
            Self::VolumeElsewhere => one("node(s) didn't match PersistentVolume's node affinity"),
        }
    }

    /// Evicting others could make room.
    pub(super) fn is_resolvable(&self) -> bool {
        match self {
            Self::Cordoned
            | Self::Tainted
            | Self::Selector
            | Self::NoVolume
            | Self::VolumeElsewhere => false,
            Self::Ports | Self::OnePod => true,
            Self::Resources(shortages) => shortages
                .iter()
                .all(|shortage| shortage.requested <= shortage.capacity),
            Self::Company(why) => why.is_resolvable(),
        }
    }

    fn rejection(&self) -> Rejection {
        let predicate = |name: &str| Rejection {
            reason: name.to_owned(),
            text: format!("Predicate {name} failed: {}", self.reasons().join(", ")),
        };
        match self {
            // The kubelet does not look at all of these, nor at volumes; they are the scheduler's.
            Self::Cordoned | Self::Tainted => predicate("TaintToleration"),
            Self::Company(_) => predicate("InterPodAffinity"),
            Self::Selector => predicate("NodeAffinity"),
            Self::Ports => predicate("NodePorts"),
            Self::OnePod => predicate("VolumeRestrictions"),
            Self::NoVolume | Self::VolumeElsewhere => predicate("VolumeBinding"),
            Self::Resources(shortages) => match shortages.first() {
                Some(shortage) => shortage.rejection(),
                None => predicate("NodeResourcesFit"),
            },
        }
    }
}

impl Shortage {
    /// In thousandths of a CPU, else as it is.
    fn amount(&self, quantity: ParsedQuantity) -> i64 {
        match self.resource.as_str() {
            "cpu" => quantity.milli_value(),
            _ => quantity.value(),
        }
    }

    /// What is missing.
    fn need(&self) -> Need {
        let free = self
            .amount(self.capacity)
            .saturating_sub(self.amount(self.used));
        Need {
            resource: self.resource.clone(),
            amount: self.amount(self.requested).saturating_sub(free),
        }
    }

    fn rejection(&self) -> Rejection {
        let resource = &self.resource;
        Rejection {
            reason: format!("OutOf{resource}"),
            text: format!(
                "Node didn't have enough resource: {resource}, requested: {}, used: {}, capacity: {}",
                self.amount(self.requested),
                self.amount(self.used),
                self.amount(self.capacity)
            ),
        }
    }
}

fn tolerates(spec: &PodSpec, key: &str, value: &str, effect: &str) -> bool {
    let mut tolerations = spec.tolerations.iter().flatten();
    tolerations.any(|toleration| covers(toleration, key, value, effect))
}

/// Whether the toleration is about this taint.
pub(in crate::engine) fn covers(
    toleration: &Toleration,
    key: &str,
    value: &str,
    effect: &str,
) -> bool {
    let given = |field: &Option<String>| field.clone().unwrap_or_default();
    let (own_key, own_effect) = (given(&toleration.key), given(&toleration.effect));
    let same_value = match given(&toleration.operator).as_str() {
        "Exists" => true,
        _ => given(&toleration.value) == value,
    };
    (own_effect.is_empty() || own_effect == effect)
        && (own_key.is_empty() || own_key == key)
        && same_value
}

fn cordon(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let is_cordoned = node
        .spec
        .as_ref()
        .is_some_and(|spec| spec.unschedulable == Some(true));
    let key = "node.kubernetes.io/unschedulable";
    (is_cordoned && !tolerates(spec, key, "", "NoSchedule")).then_some(Misfit::Cordoned)
}

fn untolerated(spec: &PodSpec, node: &Node, effects: &[&str]) -> Option<Misfit> {
    let mut taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    let repels = |taint: &Taint| {
        let value = taint.value.as_deref().unwrap_or_default();
        effects.contains(&taint.effect.as_str())
            && !tolerates(spec, &taint.key, value, &taint.effect)
    };
    taints.any(repels).then_some(Misfit::Tainted)
}

fn selector(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let labels = node.metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    let mut wanted = spec.node_selector.iter().flatten();
    let selected = wanted.all(|(key, value)| label(key) == Some(value));
    let affinity = spec.affinity.as_ref();
    let required = affinity.and_then(|affinity| {
        let node = affinity.node_affinity.as_ref()?;
        node.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let preferred = required.is_none_or(|required| selects_node(required, labels, name));
    (!selected || !preferred).then_some(Misfit::Selector)
}

fn ports(claim: &Claim, held: &[&Claim]) -> Option<Misfit> {
    let mut taken = held.iter().flat_map(|claim| &claim.ports);
    taken
        .any(|taken| claim.ports.iter().any(|port| collide(port, taken)))
        .then_some(Misfit::Ports)
}

fn volumes(claim: &Claim, needs: &Needs, node: &Node, held: &[&Claim]) -> Option<Misfit> {
    let taken = |other: &&Claim| !other.one_pod.is_disjoint(&claim.one_pod);
    if held.iter().any(taken) {
        Some(Misfit::OnePod)
    } else if needs.lacks_volume {
        Some(Misfit::NoVolume)
    } else {
        (!needs.is_reachable_from(node)).then_some(Misfit::VolumeElsewhere)
    }
}

/// What asks for nothing always fits, but for the number of pods.
fn resources(claim: &Claim, node: &Node, held: &[&Claim]) -> Option<Misfit> {
    let allocatable = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    let capacity = |resource: &str| {
        let amount = allocatable.and_then(|amounts| amounts.get(resource));
        amount.map_or(ParsedQuantity::ZERO, ParsedQuantity::of)
    };
    let mut shortages = Vec::new();
    let count = |pods: usize| ParsedQuantity::of(&Quantity(pods.to_string()));
    let most = capacity("pods");
    if count(held.len() + 1) > most {
        shortages.push(Shortage {
            resource: "pods".to_owned(),
            requested: count(1),
            used: count(held.len()),
            capacity: most,
        });
    }
    for (resource, requested) in claim
        .requests
        .iter()
        .filter(|(_, amount)| !amount.is_zero())
    {
        let used = held
            .iter()
            .filter_map(|claim| claim.requests.get(resource))
            .fold(ParsedQuantity::ZERO, |sum, amount| sum.add(*amount));
        let capacity = capacity(resource);
        if used.add(*requested) > capacity {
            shortages.push(Shortage {
                resource: resource.clone(),
                requested: *requested,
                used,
                capacity,
            });
        }
    }
    (!shortages.is_empty()).then_some(Misfit::Resources(shortages))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::preempt::{Case, Preemption, preempt};
    use super::*;

    fn node() -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": "here", "labels": {"disk": "ssd", "cores": "4"}},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3", "ephemeral-storage": "1000"}},
        }))
        .unwrap()
    }

    fn spec(value: Value) -> PodSpec {
        let mut spec = json!({"containers": [{"name": "c"}]});
        json_patch::merge(&mut spec, &value);
        serde_json::from_value(spec).unwrap()
    }

    fn requests(value: Value) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": value}}]})
    }

    fn held(values: &[Value]) -> Vec<Claim> {
        values
            .iter()
            .map(|value| Claim::of(&spec(value.clone()), BTreeSet::new()))
            .collect()
    }

    /// The reasons and the end of the message; empty when the pod fits.
    #[track_caller]
    fn check_at(node: &Node, value: Value, others: &[Value], expected: &str) {
        let others = held(others);
        let pod = Pod {
            spec: Some(spec(value)),
            ..Pod::default()
        };
        let needs = Needs::default();
        let others: Vec<&Claim> = others.iter().collect();
        let found = fit(&pod, &needs, node, &others, Company::default());
        let told = |misfit: Misfit| {
            let case = Case {
                pod: &pod,
                misfit: &misfit,
                is_nominated: false,
                placed: &[],
            };
            let reasons = unavailable(&misfit.reasons());
            match preempt(&case, |_| Ok(())) {
                Preemption::Nobody { why, keeps: false } => {
                    format!("{reasons} no new claims to deallocate, preemption: {why}")
                }
                other => format!("{other:?}"),
            }
        };
        let message = found.err().map(told).unwrap_or_default();
        assert_eq!(message, expected);
    }

    #[track_caller]
    fn check(value: Value, others: &[Value], reasons: &str, end: &str) {
        let expected = if reasons.is_empty() {
            String::new()
        } else {
            format!(
                "0/1 nodes are available: {reasons}. no new claims to deallocate, preemption: {end}"
            )
        };
        check_at(&node(), value, others, &expected);
    }

    const HELPLESS: &str = "0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    const NO_VICTIM: &str =
        "0/1 nodes are available: 1 No preemption victims found for incoming pod.";

    #[test]
    fn requests_against_what_is_left() {
        check(requests(json!({"cpu": "2", "memory": "1Gi"})), &[], "", "");
        check(
            requests(json!({"memory": "2Gi", "cpu": "2001m"})),
            &[],
            "1 Insufficient cpu, 1 Insufficient memory",
            HELPLESS,
        );
        let half = requests(json!({"cpu": "1500m"}));
        check(half.clone(), &[json!({})], "", "");
        check(
            half.clone(),
            std::slice::from_ref(&half),
            "1 Insufficient cpu",
            NO_VICTIM,
        );
        let mut never = half.clone();
        never["preemptionPolicy"] = json!("Never");
        check(
            never,
            &[half],
            "1 Insufficient cpu",
            "not eligible due to preemptionPolicy=Never.",
        );
        check(
            requests(json!({"example.com/foo": "1"})),
            &[],
            "1 Insufficient example.com/foo",
            HELPLESS,
        );
        check(requests(json!({"example.com/foo": "0"})), &[], "", "");
        check(
            json!({}),
            &[json!({}), json!({}), json!({})],
            "1 Too many pods",
            NO_VICTIM,
        );
        // The whole pod, not container by container.
        let third =
            |name: &str| json!({"name": name, "resources": {"requests": {"memory": "400Mi"}}});
        check(
            json!({"containers": [third("a"), third("b"), third("c")]}),
            &[],
            "1 Insufficient memory",
            HELPLESS,
        );
    }

    #[test]
    fn labels_of_the_node() {
        let unmatched = "1 node(s) didn't match Pod's node affinity/selector";
        check(json!({"nodeSelector": {"disk": "ssd"}}), &[], "", "");
        check(
            json!({"nodeSelector": {"disk": "ssd", "zone": "a"}}),
            &[],
            unmatched,
            HELPLESS,
        );
        let terms = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        let one = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        check(
            terms(json!([one("disk", "In", json!(["hdd", "ssd"]))])),
            &[],
            "",
            "",
        );
        check(
            terms(json!([one("zone", "NotIn", json!(["a"]))])),
            &[],
            "",
            "",
        );
        check(
            terms(json!([one("cores", "Gt", json!(["3"]))])),
            &[],
            "",
            "",
        );
        check(
            terms(json!([one("cores", "Lt", json!(["4"]))])),
            &[],
            unmatched,
            HELPLESS,
        );
        check(
            terms(json!([one("zone", "Exists", json!([]))])),
            &[],
            unmatched,
            HELPLESS,
        );
        check(
            terms(json!([
                one("zone", "Exists", json!([])),
                one("zone", "DoesNotExist", json!([]))
            ])),
            &[],
            "",
            "",
        );
        check(terms(json!([{}])), &[], unmatched, HELPLESS);
        let field = |name: &str| json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]);
        check(terms(field("here")), &[], "", "");
        check(terms(field("there")), &[], unmatched, HELPLESS);
    }

    #[test]
    fn taints_and_ports() {
        let tainted = |effect: &str| {
            let mut node = node();
            node.spec = serde_json::from_value(
                json!({"taints": [{"key": "k", "value": "v", "effect": effect}]}),
            )
            .unwrap();
            node
        };
        let refusal = |reason: &str| {
            format!(
                "0/1 nodes are available: 1 {reason}. no new claims to deallocate, preemption: {HELPLESS}"
            )
        };
        let repelled = refusal("node(s) had untolerated taint(s)");
        check_at(&tainted("NoSchedule"), json!({}), &[], &repelled);
        check_at(&tainted("NoExecute"), json!({}), &[], &repelled);
        check_at(&tainted("PreferNoSchedule"), json!({}), &[], "");
        for toleration in [
            json!({"operator": "Exists"}),
            json!({"key": "k", "value": "v"}),
            json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
        ] {
            check_at(
                &tainted("NoSchedule"),
                json!({"tolerations": [toleration]}),
                &[],
                "",
            );
        }
        let other = json!({"tolerations": [{"key": "k", "value": "w"}]});
        check_at(&tainted("NoSchedule"), other, &[], &repelled);
        let mut cordoned = node();
        cordoned.spec = serde_json::from_value(json!({"unschedulable": true})).unwrap();
        check_at(
            &cordoned,
            json!({}),
            &[],
            &refusal("node(s) were unschedulable"),
        );

        let port = |port: Value| json!({"containers": [{"name": "c", "ports": [port]}]});
        let web = port(json!({"containerPort": 80, "hostPort": 80}));
        check(
            port(json!({"containerPort": 8080, "hostPort": 80, "hostIP": "127.0.0.1"})),
            std::slice::from_ref(&web),
            "1 node(s) didn't have free ports for the requested pod ports",
            NO_VICTIM,
        );
        check(
            port(json!({"containerPort": 80, "hostPort": 80, "protocol": "UDP"})),
            std::slice::from_ref(&web),
            "",
            "",
        );
        check(port(json!({"containerPort": 80})), &[web], "", "");
    }

    #[test]
    fn what_the_kubelet_turns_away() {
        let rejected = |value: Value, others: &[Value]| {
            let others = held(others);
            let others: Vec<&Claim> = others.iter().collect();
            let pod = Pod {
                spec: Some(spec(value)),
                ..Pod::default()
            };
            match admit(&pod, BTreeSet::new(), Some(&node()), &others, &[]).unwrap_err() {
                Refusal::Rejected(rejection) => (rejection.reason, rejection.text),
                Refusal::Room { victims, .. } => panic!("{victims:?} were to make room"),
            }
        };
        let half = requests(json!({"cpu": "1500m"}));
        let (reason, text) = rejected(half.clone(), &[half]);
        assert_eq!(reason, "OutOfcpu");
        assert_eq!(
            text,
            "Node didn't have enough resource: cpu, requested: 1500, used: 1500, capacity: 2000"
        );
        let (reason, text) = rejected(requests(json!({"memory": "2Gi"})), &[]);
        assert_eq!(reason, "OutOfmemory");
        assert_eq!(
            text,
            "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"
        );
        let (reason, text) = rejected(json!({"nodeSelector": {"zone": "a"}}), &[]);
        assert_eq!(reason, "NodeAffinity");
        assert_eq!(
            text,
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        );
    }
}
