//! The `resize` part of a pod: cpu and memory, and nothing else (kubernetes-semantics §6.8).

use k8s_openapi::api::core::v1::{
    Container, ContainerResizePolicy, Pod, PodSpec, ResourceRequirements,
};

use super::annotations::MIRROR;
use super::field::Errors;
use super::resources::Quantities;
use super::{pod, update};
use crate::model::FieldError;
use crate::model::pod::{init_containers, is_sidecar, qos_class};

const RESIZABLE: [&str; 2] = ["cpu", "memory"];
const ONLY: &str = "only cpu and memory resources are mutable";

/// `old` with the cpu and memory of `new`. What else differs is refused.
pub(super) fn resize(old: &Pod, new: &Pod) -> (Pod, Errors) {
    let (Some(was), Some(wanted)) = (&old.spec, &new.spec) else {
        return (old.clone(), vec![FieldError::forbidden("spec", ONLY)]);
    };
    let mut pod = old.clone();
    pod.spec = Some(wanted.clone());
    let errors = match never(old, was) {
        Some(detail) => vec![FieldError::forbidden("", detail)],
        None => errors_of(old, &pod, was, wanted),
    };
    (pod, errors)
}

/// Pods that keep what they have.
fn never(old: &Pod, was: &PodSpec) -> Option<&'static str> {
    let annotations = old.metadata.annotations.as_ref();
    if annotations.is_some_and(|all| all.contains_key(MIRROR)) {
        return Some("static pods cannot be resized");
    }
    let windows = was.os.as_ref().is_some_and(|os| os.name == "windows");
    windows.then_some("windows pods cannot be resized")
}

fn errors_of(old: &Pod, new: &Pod, was: &PodSpec, wanted: &PodSpec) -> Errors {
    let mut errors = pod::introduced(old, new);
    if qos_class(was) != qos_class(wanted) {
        // The API names the class that the pod has.
        errors.push(FieldError::invalid_string(
            "spec",
            qos_class(was).as_str(),
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    pod_level(&mut errors, was, wanted);
    if reordered(&mut errors, was, wanted) {
        return errors;
    }
    for (list, was, wanted) in lists(was, wanted) {
        for (index, (was, wanted)) in was.iter().zip(wanted).enumerate() {
            let path = format!("{list}[{index}].resources");
            let (was, wanted) = (was.resources.as_ref(), wanted.resources.as_ref());
            removals(&mut errors, &path, "resource", was, wanted);
        }
    }
    for (index, (was, wanted)) in init_containers(was)
        .iter()
        .zip(init_containers(wanted))
        .enumerate()
    {
        let path = format!("spec.initContainers[{index}]");
        init_container(&mut errors, &path, was, wanted);
    }
    everything_else(&mut errors, was, wanted);
    errors
}

type Lists<'a> = [(&'static str, &'a [Container], &'a [Container]); 2];

fn lists<'a>(was: &'a PodSpec, wanted: &'a PodSpec) -> Lists<'a> {
    let init = (init_containers(was), init_containers(wanted));
    [
        ("spec.initContainers", init.0, init.1),
        ("spec.containers", &was.containers, &wanted.containers),
    ]
}

/// Containers stay what they are and where they are.
fn reordered(errors: &mut Errors, was: &PodSpec, wanted: &PodSpec) -> bool {
    let before = errors.len();
    let [init, app] = lists(was, wanted);
    for (path, was, wanted) in [app, init] {
        let what = path.trim_start_matches("spec.");
        if was.len() != wanted.len() {
            let detail = format!("{what} may not be added or removed on resize");
            errors.push(FieldError::forbidden(path, detail));
            continue;
        }
        for (index, (was, wanted)) in was.iter().zip(wanted).enumerate() {
            if was.name != wanted.name {
                let path = format!("{path}[{index}].name");
                let detail = format!("{what} may not be renamed or reordered on resize");
                errors.push(FieldError::forbidden(path, detail));
            }
        }
    }
    errors.len() > before
}

fn pod_level(errors: &mut Errors, was: &PodSpec, wanted: &PodSpec) {
    let path = "spec.resources";
    let (was, wanted) = (was.resources.as_ref(), wanted.resources.as_ref());
    if was.is_some() && wanted.is_none() {
        let detail = "pod-level resources cannot be removed";
        errors.push(FieldError::forbidden(path, detail));
        return;
    }
    removals(errors, path, "pod-level resource", was, wanted);
    if masked(was, wanted) != normal(was) {
        let detail = format!("{ONLY} at pod-level");
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn removals(
    errors: &mut Errors,
    path: &str,
    what: &str,
    was: Option<&ResourceRequirements>,
    wanted: Option<&ResourceRequirements>,
) {
    let (was, wanted) = (normal(was), normal(wanted));
    for (part, was, wanted) in [
        ("requests", was.requests, wanted.requests),
        ("limits", was.limits, wanted.limits),
    ] {
        let wanted = wanted.unwrap_or_default();
        let mut names = was.iter().flatten().map(|(name, _)| name);
        if names.any(|name| !wanted.contains_key(name)) {
            let detail = format!("{what} {part} cannot be removed");
            errors.push(FieldError::forbidden(format!("{path}.{part}"), detail));
        }
    }
}

fn init_container(errors: &mut Errors, path: &str, was: &Container, wanted: &Container) {
    let reached = masked_container(was, wanted);
    let before = normal_container(was);
    if reached != before {
        let difference = update::difference_of(path, &before, &reached);
        let detail = format!(
            "only cpu and memory resources for init or sidecar containers are mutable\n{difference}"
        );
        errors.push(FieldError::forbidden(path, detail));
    }
    let mut policies = wanted.resize_policy.iter().flatten();
    let restarts = policies.any(|policy| policy.restart_policy == "RestartContainer");
    if restarts && !is_sidecar(wanted) && before != normal_container(wanted) {
        let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// What is none of cpu and memory, nor told of already.
fn everything_else(errors: &mut Errors, was: &PodSpec, wanted: &PodSpec) {
    let mut before = was.clone();
    let mut reached = wanted.clone();
    before.containers = was.containers.iter().map(normal_container).collect();
    let containers = was.containers.iter().zip(&wanted.containers);
    reached.containers = containers
        .map(|(was, wanted)| masked_container(was, wanted))
        .collect();
    reached.init_containers.clone_from(&before.init_containers);
    reached.resources.clone_from(&before.resources);
    if before != reached {
        let difference = update::difference_of("spec", &before, &reached);
        errors.push(FieldError::forbidden(
            "spec",
            format!("{ONLY}\n{difference}"),
        ));
    }
}

/// An empty list asks for as much as none.
fn normal(resources: Option<&ResourceRequirements>) -> ResourceRequirements {
    let mut resources = resources.cloned().unwrap_or_default();
    for part in [&mut resources.limits, &mut resources.requests] {
        *part = part.take().filter(|amounts| !amounts.is_empty());
    }
    resources
}

fn normal_container(container: &Container) -> Container {
    Container {
        resources: Some(normal(container.resources.as_ref())),
        ..container.clone()
    }
}

/// `wanted`, with cpu and memory as they were.
fn masked(
    was: Option<&ResourceRequirements>,
    wanted: Option<&ResourceRequirements>,
) -> ResourceRequirements {
    let (was, mut wanted) = (normal(was), normal(wanted));
    wanted.limits = masked_amounts(was.limits, wanted.limits);
    wanted.requests = masked_amounts(was.requests, wanted.requests);
    wanted
}

fn masked_amounts(was: Option<Quantities>, wanted: Option<Quantities>) -> Option<Quantities> {
    let resizable = |name: &String| RESIZABLE.contains(&name.as_str());
    let mut amounts = wanted.unwrap_or_default();
    amounts.retain(|name, _| !resizable(name));
    let kept = was.unwrap_or_default().into_iter();
    amounts.extend(kept.filter(|(name, _)| resizable(name)));
    (!amounts.is_empty()).then_some(amounts)
}

fn masked_container(was: &Container, wanted: &Container) -> Container {
    let resources = masked(was.resources.as_ref(), wanted.resources.as_ref());
    Container {
        resources: Some(resources),
        resize_policy: masked_policies(was, wanted),
        ..wanted.clone()
    }
}

/// Without the policies that defaulting gave with the first amount of a resource (Kubernetes'
/// `test/e2e/common/node/pod_resize.go`, "add requests"): they say what held before.
fn masked_policies(was: &Container, wanted: &Container) -> Option<Vec<ContainerResizePolicy>> {
    let known = |name: &str| {
        let mut policies = was.resize_policy.iter().flatten();
        policies.any(|policy| policy.resource_name == name)
    };
    let mut policies = wanted.resize_policy.clone()?;
    policies
        .retain(|policy| policy.restart_policy != "NotRequired" || known(&policy.resource_name));
    (!policies.is_empty()).then_some(policies)
}
