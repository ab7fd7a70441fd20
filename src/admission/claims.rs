//! `spec.resourceClaims` and the references of containers to them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, PodResourceClaim, PodSpec, ResourceClaim};

use super::annotations::MIRROR;
use super::field::{Errors, by_rule};
use crate::model::{FieldError, names};

/// Names of the claims of a pod, those that are not empty.
pub(super) type Names<'a> = BTreeSet<&'a str>;

pub(super) fn names(spec: &PodSpec) -> Names<'_> {
    let claims = spec.resource_claims.iter().flatten();
    let names = claims.map(|claim| claim.name.as_str());
    names.filter(|name| !name.is_empty()).collect()
}

pub(super) fn of_pod(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    let annotations = pod.metadata.annotations.as_ref();
    let is_mirror = annotations.is_some_and(|all| all.contains_key(MIRROR));
    let mut seen = Names::new();
    for (index, claim) in spec.resource_claims.iter().flatten().enumerate() {
        if is_mirror {
            // The API names no field here.
            errors.push(FieldError::forbidden(
                "",
                "static pods do not support resource claims",
            ));
        } else {
            let path = format!("spec.resourceClaims[{index}]");
            one(errors, &path, claim, &mut seen);
        }
    }
}

fn one<'a>(errors: &mut Errors, path: &str, claim: &'a PodResourceClaim, seen: &mut Names<'a>) {
    let name_path = format!("{path}.name");
    if claim.name.is_empty() {
        errors.push(FieldError::required(name_path, ""));
    } else if seen.insert(&claim.name) {
        by_rule(errors, &name_path, &claim.name, names::dns_label);
    } else {
        errors.push(FieldError::duplicate(name_path, &claim.name));
    }
    let (direct, template) = (
        claim.resource_claim_name.as_deref(),
        claim.resource_claim_template_name.as_deref(),
    );
    let mut invalid = |detail: &str| {
        let rendered = serde_json::to_string(claim).unwrap_or_default();
        errors.push(FieldError::invalid(path, rendered, detail));
    };
    match (direct, template) {
        (Some(_), Some(_)) => invalid(
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        ),
        (None, None) => {
            invalid("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    for (field, name) in [
        ("resourceClaimName", direct),
        ("resourceClaimTemplateName", template),
    ] {
        if let Some(name) = name {
            let path = format!("{path}.{field}");
            by_rule(errors, &path, name, names::dns_subdomain);
        }
    }
}

/// The claims that a container uses: each once, and of the pod. A claim that is used as a whole cannot be used in
/// part besides.
pub(super) fn references(
    errors: &mut Errors,
    path: &str,
    claims: &[ResourceClaim],
    of_pod: &Names<'_>,
) {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = claim.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        let request = claim.request.as_deref().unwrap_or_default();
        let parts = seen.iter().filter(|(other, _)| *other == name).count();
        if seen.contains(&(name, "")) {
            errors.push(FieldError::duplicate(path.clone(), name));
        } else {
            if !request.is_empty() {
                by_rule(
                    errors,
                    &format!("{path}.request"),
                    request,
                    names::dns_label,
                );
            }
            if seen.contains(&(name, request)) {
                let both = format!("{name}/{request}");
                errors.push(FieldError::duplicate(path.clone(), &both));
            } else if request.is_empty() {
                // Once for every part that is used already.
                let duplicate = FieldError::duplicate(path.clone(), name);
                errors.extend(std::iter::repeat_n(duplicate, parts));
            }
            seen.insert((name, request));
        }
        if !of_pod.contains(name) {
            let known: Vec<&str> = of_pod.iter().copied().collect();
            let known = if known.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", known.join(", "))
            };
            let mut error = FieldError::not_found(path, name);
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{known}");
            errors.push(error);
        }
    }
}
