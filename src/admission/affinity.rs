//! How a pod that is held by scheduling gates may be told more of the node it wants.

use k8s_openapi::api::core::v1::{Affinity, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use super::field::Errors;
use crate::model::FieldError;

const TERMS: &str =
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// Terms are alternatives, so another one would ask for less; a requirement more in each asks for more.
pub(super) fn changes(errors: &mut Errors, old: &PodSpec, new: &PodSpec) {
    let (old, new) = (required(old), required(new));
    if old.is_empty() {
        return;
    }
    if old.len() != new.len() {
        let rendered = serde_json::to_string(new).unwrap_or_default();
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(TERMS, rendered, detail));
        return;
    }
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        if !only_adds(old, new) {
            let rendered = serde_json::to_string(new).unwrap_or_default();
            let path = format!("{TERMS}[{index}]");
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path, rendered, detail));
        }
    }
}

fn required(spec: &PodSpec) -> &[NodeSelectorTerm] {
    let affinity = spec.affinity.as_ref();
    let node = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let required = node.and_then(|node| {
        node.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    required.map_or(&[], |selector| &selector.node_selector_terms)
}

/// A term that is empty matches nothing; what is added to it lets something in.
fn only_adds(old: &NodeSelectorTerm, new: &NodeSelectorTerm) -> bool {
    type List = Option<Vec<NodeSelectorRequirement>>;
    fn list(list: &List) -> &[NodeSelectorRequirement] {
        list.as_deref().unwrap_or_default()
    }
    let pairs = [
        (list(&old.match_expressions), list(&new.match_expressions)),
        (list(&old.match_fields), list(&new.match_fields)),
    ];
    let was_empty = pairs.iter().all(|(old, _)| old.is_empty());
    let is_empty = pairs.iter().all(|(_, new)| new.is_empty());
    (!was_empty || is_empty) && pairs.iter().all(|(old, new)| new.starts_with(old))
}

/// Takes the node affinity of `new`, and nothing else of its affinity.
pub(super) fn take(spec: &mut PodSpec, new: &PodSpec) {
    let wanted = new.affinity.as_ref();
    let wanted = wanted.and_then(|affinity| affinity.node_affinity.clone());
    let mut affinity = spec.affinity.clone().unwrap_or_default();
    affinity.node_affinity = wanted;
    let nothing = affinity == Affinity::default();
    // An affinity without anything in it is as good as none, whichever of the two was written.
    spec.affinity = if nothing && new.affinity.as_ref().is_none_or(|new| *new == affinity) {
        new.affinity.clone()
    } else {
        Some(affinity)
    };
}
