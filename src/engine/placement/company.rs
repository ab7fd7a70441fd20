//! Pods that want, or do not want, to be where others are: required (anti-)affinity and hard topology spread
//! (kubernetes-semantics §12.1; scheduler plugins `interpodaffinity` and `podtopologyspread`).
//!
//! With one node a topology domain is that node, if it has the label of the key, and nothing otherwise. Whom the
//! node runs already is everybody there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Namespace, Node, Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as Selector;

use crate::model::selector::LabelSelector;

/// Who is on the node, and what is known of their namespaces.
#[derive(Clone, Copy, Default)]
pub(in crate::engine) struct Company<'a> {
    /// Pods that have their place and have not ended.
    pub(in crate::engine) placed: &'a [Arc<Pod>],
    pub(in crate::engine) namespaces: &'a [Arc<Namespace>],
}

/// What the others are in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwelcome {
    Affinity,
    AntiAffinity,
    /// Somebody there wants nobody of this kind.
    OthersAntiAffinity,
    Spread,
    /// The node has no label of the key.
    NoDomain,
}

impl Unwelcome {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Affinity => "node(s) didn't match pod affinity rules",
            Self::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::OthersAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::NoDomain => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
        }
    }

    /// Evicting others could help.
    pub(super) const fn is_resolvable(self) -> bool {
        match self {
            Self::Affinity | Self::NoDomain => false,
            Self::AntiAffinity | Self::OthersAntiAffinity | Self::Spread => true,
        }
    }
}

/// Whether the pod asks for anything here at all: only then others that come wake it.
pub(super) fn is_particular(spec: &PodSpec) -> bool {
    !affinity(spec).is_empty() || !anti_affinity(spec).is_empty() || hard_spread(spec).count() > 0
}

/// The scheduler looks at the spread first.
pub(super) fn unwelcome(pod: &Pod, node: &Node, company: Company<'_>) -> Option<Unwelcome> {
    let spec = pod.spec.as_ref()?;
    spread(pod, spec, node, company)
        .or_else(|| missed(pod, spec, node, company))
        .or_else(|| repelled(pod, spec, node, company))
}

fn affinity(spec: &PodSpec) -> &[PodAffinityTerm] {
    let wanted = spec
        .affinity
        .as_ref()
        .and_then(|all| all.pod_affinity.as_ref());
    let required = wanted.and_then(|wanted| {
        let list = &wanted.required_during_scheduling_ignored_during_execution;
        list.as_deref()
    });
    required.unwrap_or_default()
}

fn anti_affinity(spec: &PodSpec) -> &[PodAffinityTerm] {
    let wanted = spec
        .affinity
        .as_ref()
        .and_then(|all| all.pod_anti_affinity.as_ref());
    let required = wanted.and_then(|wanted| {
        let list = &wanted.required_during_scheduling_ignored_during_execution;
        list.as_deref()
    });
    required.unwrap_or_default()
}

fn hard_spread(spec: &PodSpec) -> impl Iterator<Item = &TopologySpreadConstraint> {
    let all = spec.topology_spread_constraints.iter().flatten();
    all.filter(|one| one.when_unsatisfiable == "DoNotSchedule")
}

fn has_domain(node: &Node, key: &str) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(key))
}

/// A selector that is absent matches nothing, an empty one everything. `own`: keys whose value must be that of the
/// asking pod (`true`) or must not be (`false`); a key that the pod does not have asks for nothing.
fn selects(
    selector: Option<&Selector>,
    own: &[(&Option<Vec<String>>, bool)],
    asking: &Pod,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    let Some(selector) = selector else {
        return false;
    };
    let asked = asking.metadata.labels.as_ref();
    let equal = selector.match_labels.iter().flatten();
    let equal = equal.map(|(key, value)| (key.as_str(), "In", std::slice::from_ref(value)));
    let expressions = selector.match_expressions.iter().flatten().map(|one| {
        let values = one.values.as_deref().unwrap_or_default();
        (one.key.as_str(), one.operator.as_str(), values)
    });
    let own = own.iter().flat_map(|(keys, alike)| {
        let operator = if *alike { "In" } else { "NotIn" };
        keys.iter().flatten().filter_map(move |key| {
            let value = asked?.get(key)?;
            Some((key.as_str(), operator, std::slice::from_ref(value)))
        })
    });
    LabelSelector::of(equal.chain(expressions).chain(own))
        .is_some_and(|selector| selector.matches(labels))
}

/// Whether the term of `asking` is about `other`.
fn is_about(term: &PodAffinityTerm, asking: &Pod, other: &Pod, company: Company<'_>) -> bool {
    let own = [
        (&term.match_label_keys, true),
        (&term.mismatch_label_keys, false),
    ];
    let namespace = other.metadata.namespace.as_deref().unwrap_or_default();
    covers(term, asking, namespace, company)
        && selects(
            term.label_selector.as_ref(),
            &own,
            asking,
            other.metadata.labels.as_ref(),
        )
}

/// The listed namespaces and the selected ones; with neither, the pod's own.
fn covers(term: &PodAffinityTerm, asking: &Pod, namespace: &str, company: Company<'_>) -> bool {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    if listed.is_empty() && term.namespace_selector.is_none() {
        return asking.metadata.namespace.as_deref().unwrap_or_default() == namespace;
    }
    let labels = || {
        let mut all = company.namespaces.iter();
        let found = all.find(|one| one.metadata.name.as_deref() == Some(namespace))?;
        found.metadata.labels.as_ref()
    };
    listed.iter().any(|one| one == namespace)
        || selects(term.namespace_selector.as_ref(), &[], asking, labels())
}

fn missed(pod: &Pod, spec: &PodSpec, node: &Node, company: Company<'_>) -> Option<Unwelcome> {
    let terms = affinity(spec);
    if terms.is_empty() {
        return None;
    }
    let fits_all = |other: &Pod| terms.iter().all(|term| is_about(term, pod, other, company));
    let has_domains = terms
        .iter()
        .all(|term| has_domain(node, &term.topology_key));
    // The first of its kind may begin alone.
    let welcome = company.placed.iter().any(|other| fits_all(other)) || fits_all(pod);
    (!has_domains || !welcome).then_some(Unwelcome::Affinity)
}

fn repelled(pod: &Pod, spec: &PodSpec, node: &Node, company: Company<'_>) -> Option<Unwelcome> {
    let shuns = |term: &PodAffinityTerm, asking: &Pod, other: &Pod| {
        has_domain(node, &term.topology_key) && is_about(term, asking, other, company)
    };
    let mut placed = company.placed.iter();
    let own = anti_affinity(spec);
    if placed.any(|other| own.iter().any(|term| shuns(term, pod, other))) {
        return Some(Unwelcome::AntiAffinity);
    }
    let mut placed = company.placed.iter();
    let shunned = placed.any(|other| {
        let theirs = other.spec.as_ref().map(anti_affinity).unwrap_or_default();
        theirs.iter().any(|term| shuns(term, other, pod))
    });
    shunned.then_some(Unwelcome::OthersAntiAffinity)
}

/// The one domain is the emptiest, so that only `minDomains` can ask for more than there are. Pods on their way out
/// do not count.
fn spread(pod: &Pod, spec: &PodSpec, node: &Node, company: Company<'_>) -> Option<Unwelcome> {
    hard_spread(spec).find_map(|constraint| {
        if !has_domain(node, &constraint.topology_key) {
            return Some(Unwelcome::NoDomain);
        }
        let own = [(&constraint.match_label_keys, true)];
        let counts = |other: &Pod| {
            let selector = constraint.label_selector.as_ref();
            selects(selector, &own, pod, other.metadata.labels.as_ref())
        };
        let here = company.placed.iter().filter(|other| {
            other.metadata.namespace == pod.metadata.namespace
                && other.metadata.deletion_timestamp.is_none()
                && counts(other)
        });
        let here = i32::try_from(here.count()).unwrap_or(i32::MAX);
        let least = if constraint.min_domains.unwrap_or(1) > 1 {
            0
        } else {
            here
        };
        let skew = here
            .saturating_add(i32::from(counts(pod)))
            .saturating_sub(least);
        (skew > constraint.max_skew).then_some(Unwelcome::Spread)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(namespace: &str, labels: Value, spec: Value) -> Pod {
        let mut whole = json!({"containers": []});
        json_patch::merge(&mut whole, &spec);
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": namespace, "labels": labels}, "spec": whole,
        }))
        .unwrap()
    }

    fn required(kind: &str, terms: Value) -> Value {
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
    }

    fn near(terms: Value) -> Value {
        required("podAffinity", terms)
    }

    fn apart(terms: Value) -> Value {
        required("podAntiAffinity", terms)
    }

    /// A term about pods with `app: web`.
    fn web(more: Value) -> Value {
        let mut term =
            json!({"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "web"}}});
        json_patch::merge(&mut term, &more);
        json!([term])
    }

    #[track_caller]
    fn check_pod(asking: &Pod, placed: &[Pod], expected: Option<Unwelcome>) {
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"host": "n"}}}))
                .unwrap();
        let namespaces = [("a", "red"), ("b", "blue")].map(|(name, team)| {
            let value = json!({"metadata": {"name": name, "labels": {"team": team}}});
            Arc::new(serde_json::from_value::<Namespace>(value).unwrap())
        });
        let placed: Vec<Arc<Pod>> = placed.iter().cloned().map(Arc::new).collect();
        let company = Company {
            placed: &placed,
            namespaces: &namespaces,
        };
        assert_eq!(unwelcome(asking, &node, company), expected);
    }

    /// A pod `app: db` of namespace `a` beside one of `b` and these others of `a`.
    #[track_caller]
    fn check(spec: Value, others: &[Value], expected: Option<Unwelcome>) {
        let others: Vec<Pod> = others
            .iter()
            .map(|labels| pod("a", labels.clone(), json!({})))
            .collect();
        check_pod(
            &pod("a", json!({"app": "db", "v": "1"}), spec),
            &others,
            expected,
        );
    }

    #[test]
    fn company_that_is_wanted() {
        let none = Some(Unwelcome::Affinity);
        let (site, shop) = (json!({"app": "web"}), json!({"app": "shop"}));
        check(near(web(json!({}))), &[], none);
        check(near(web(json!({}))), std::slice::from_ref(&site), None);
        check(near(web(json!({}))), std::slice::from_ref(&shop), none);
        // The node is in no such domain.
        check(
            near(web(json!({"topologyKey": "zone"}))),
            std::slice::from_ref(&site),
            none,
        );
        // One pod must fit all terms.
        let both = json!([web(json!({}))[0], {"topologyKey": "host", "labelSelector": {"matchLabels": {"tier": "1"}}}]);
        let (tier, whole) = (json!({"tier": "1"}), json!({"app": "web", "tier": "1"}));
        check(near(both.clone()), &[site.clone(), tier], none);
        check(near(both), &[whole], None);
        // Nothing and everything.
        check(
            near(json!([{"topologyKey": "host"}])),
            std::slice::from_ref(&site),
            none,
        );
        check(
            near(json!([{"topologyKey": "host", "labelSelector": {}}])),
            &[],
            None,
        );
        // A first pod of a kind that wants its own kind.
        let own = json!([{"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "db"}}}]);
        check(near(own), &[site], None);
    }

    #[test]
    fn company_that_is_not_wanted() {
        let refused = Some(Unwelcome::AntiAffinity);
        let (site, shop) = (json!({"app": "web"}), json!({"app": "shop"}));
        check(apart(web(json!({}))), &[], None);
        check(apart(web(json!({}))), std::slice::from_ref(&shop), None);
        check(apart(web(json!({}))), &[shop, site.clone()], refused);
        check(
            apart(web(json!({"topologyKey": "zone"}))),
            std::slice::from_ref(&site),
            None,
        );
        let alike = |more: Value| apart(web(more));
        let old = json!({"app": "web", "v": "0"});
        let new = json!({"app": "web", "v": "1"});
        check(
            alike(json!({"matchLabelKeys": ["v"]})),
            std::slice::from_ref(&old),
            None,
        );
        check(
            alike(json!({"matchLabelKeys": ["v"]})),
            std::slice::from_ref(&new),
            refused,
        );
        check(
            alike(json!({"mismatchLabelKeys": ["v"]})),
            std::slice::from_ref(&old),
            refused,
        );
        check(alike(json!({"mismatchLabelKeys": ["v"]})), &[new], None);
        check(alike(json!({"matchLabelKeys": ["w"]})), &[old], refused);
        // It is not its own neighbour.
        let own = json!([{"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "db"}}}]);
        check(apart(own), &[], None);
    }

    #[test]
    fn those_who_are_there_may_want_nobody() {
        let hermit = |namespace: &str, more: Value| {
            let terms =
                json!([{"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "db"}}}]);
            let mut spec = apart(terms);
            let term = "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
            json_patch::merge(spec.pointer_mut(term).unwrap(), &more);
            pod(namespace, json!({"app": "hermit"}), spec)
        };
        let asking = pod("a", json!({"app": "db"}), json!({}));
        let shunned = Some(Unwelcome::OthersAntiAffinity);
        check_pod(&asking, &[hermit("a", json!({}))], shunned);
        check_pod(&asking, &[hermit("b", json!({}))], None);
        check_pod(
            &asking,
            &[hermit("b", json!({"namespaces": ["a"]}))],
            shunned,
        );
        check_pod(
            &asking,
            &[hermit("b", json!({"namespaceSelector": {}}))],
            shunned,
        );
        let team = |team: &str| json!({"namespaceSelector": {"matchLabels": {"team": team}}});
        check_pod(&asking, &[hermit("b", team("red"))], shunned);
        check_pod(&asking, &[hermit("b", team("blue"))], None);
        let other = pod("a", json!({"app": "web"}), json!({}));
        check_pod(&other, &[hermit("a", json!({}))], None);
    }

    fn spread_by(more: Value) -> Value {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "db"}}});
        json_patch::merge(&mut constraint, &more);
        json!({"topologySpreadConstraints": [constraint]})
    }

    #[test]
    fn spread_over_one_node() {
        let db = json!({"app": "db"});
        let three = [db.clone(), db.clone(), db.clone()];
        check(spread_by(json!({})), &three, None);
        let missing = Some(Unwelcome::NoDomain);
        check(spread_by(json!({"topologyKey": "zone"})), &[], missing);
        let soft = json!({"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
        check(spread_by(soft), &three, None);
        // Two domains are asked for, and there is one.
        let two = |skew: i32| spread_by(json!({"minDomains": 2, "maxSkew": skew}));
        let full = Some(Unwelcome::Spread);
        check(two(1), &[], None);
        check(two(1), std::slice::from_ref(&db), full);
        check(two(3), &three[..2], None);
        check(two(3), &three, full);
        // Others are not counted.
        check(two(1), &[json!({"app": "web"})], None);
        let own = spread_by(json!({"minDomains": 2, "matchLabelKeys": ["v"]}));
        check(own.clone(), &[json!({"app": "db", "v": "0"})], None);
        check(own, &[json!({"app": "db", "v": "1"})], full);
        let asking = pod("a", json!({"app": "db"}), two(1));
        let elsewhere = pod("b", json!({"app": "db"}), json!({}));
        let mut leaving = pod("a", json!({"app": "db"}), json!({}));
        let now = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        leaving.metadata.deletion_timestamp = Some(now);
        check_pod(&asking, &[elsewhere, leaving], None);
    }
}
