//! Fields that Kubernetes knows and whose feature is off by default: an API server takes them out of what is written,
//! unless the object had them before (`dropDisabledFields`). Here the user is told.

use k8s_openapi::api::core::v1::{Lifecycle, Pod, PodSpec};

use super::field::containers_with_paths;

/// Takes them out of `new`; returns what its user should hear of that.
pub(super) fn drop_fields(old: Option<&Pod>, new: &mut Pod) -> Vec<String> {
    let had = old.and_then(|pod| pod.spec.as_ref());
    let Some(spec) = &mut new.spec else {
        return Vec::new();
    };
    if had.is_some_and(|spec| !stop_signals(spec).is_empty()) {
        return Vec::new();
    }
    let paths = stop_signals(spec);
    if paths.is_empty() {
        return Vec::new();
    }
    let init = spec.init_containers.iter_mut().flatten();
    let app = init.chain(&mut spec.containers);
    let ephemeral = spec.ephemeral_containers.iter_mut().flatten();
    let all = app.map(|container| &mut container.lifecycle);
    let all = all.chain(ephemeral.map(|container| &mut container.lifecycle));
    all.for_each(without_stop_signal);
    let why = "the feature ContainerStopSignals is off in this version of Kubernetes; the signal of the image is sent";
    paths
        .iter()
        .map(|path| format!("{path}: dropped: {why}"))
        .collect()
}

fn stop_signals(spec: &PodSpec) -> Vec<String> {
    let all = containers_with_paths(spec);
    let with = all.filter(|(_, container)| {
        let lifecycle = container.lifecycle.as_ref();
        lifecycle.is_some_and(|lifecycle| lifecycle.stop_signal.is_some())
    });
    with.map(|(path, _)| format!("{path}.lifecycle.stopSignal"))
        .collect()
}

/// Hooks that say nothing else are no hooks.
fn without_stop_signal(lifecycle: &mut Option<Lifecycle>) {
    let Some(hooks) = lifecycle else { return };
    if hooks.stop_signal.take().is_some() && *hooks == Lifecycle::default() {
        *lifecycle = None;
    }
}
