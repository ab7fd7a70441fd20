use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::client::Client;
use crate::model::{Object, ObjectKey};

pub(super) async fn get_pod(
    client: &dyn Client,
    namespace: &str,
    name: &str,
) -> Result<Arc<Pod>, Failure> {
    match client.get(&ObjectKey::pod(namespace, name)).await? {
        Object::Pod(pod) => Ok(pod),
        other => Err(Failure::local(format!(
            "the server answered with a {}",
            other.kind().as_str()
        ))),
    }
}

/// Names of all containers in the order of the hint: app containers, then init and ephemeral ones.
struct Names {
    app: Vec<String>,
    init: Vec<String>,
    ephemeral: Vec<String>,
}

impl Names {
    fn of(pod: &Pod) -> Self {
        let none = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&none);
        Self {
            app: spec
                .containers
                .iter()
                .map(|container| container.name.clone())
                .collect(),
            init: spec
                .init_containers
                .iter()
                .flatten()
                .map(|container| container.name.clone())
                .collect(),
            ephemeral: spec
                .ephemeral_containers
                .iter()
                .flatten()
                .map(|container| container.name.clone())
                .collect(),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.app
            .iter()
            .chain(&self.init)
            .chain(&self.ephemeral)
            .any(|known| known == name)
    }

    fn hint(&self) -> String {
        let marked = |names: &[String], mark: &str| -> Vec<String> {
            names.iter().map(|name| format!("{name}{mark}")).collect()
        };
        let mut all = self.app.clone();
        all.extend(marked(&self.ephemeral, " (ephem)"));
        all.extend(marked(&self.init, " (init)"));
        all.join(", ")
    }
}

/// The container a verb acts on: the given one, the one of the annotation, else the first. A choice among
/// several is told on standard error.
pub(super) fn choose(
    console: &mut Console,
    pod: &Pod,
    given: Option<&str>,
) -> Result<String, Failure> {
    let names = Names::of(pod);
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    if let Some(given) = given {
        if names.contains(given) {
            return Ok(given.to_owned());
        }
        return Err(Failure::local(format!(
            "container {given} not found in pod {pod_name}"
        )));
    }
    let annotation = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get("kubectl.kubernetes.io/default-container"));
    if let Some(name) = annotation.filter(|name| names.contains(name)) {
        return Ok(name.clone());
    }
    let Some(first) = names.app.first() else {
        return Err(Failure::local(format!("pod {pod_name} has no containers")));
    };
    if names.app.len() + names.init.len() + names.ephemeral.len() > 1 {
        console.note(&format!(
            "Defaulted container \"{first}\" out of: {}",
            names.hint()
        ));
    }
    Ok(first.clone())
}

/// Refuses a container that the pod does not have, in the words of kubectl's logs.
pub(super) fn check_container(pod: &Pod, given: &str) -> Result<(), Failure> {
    let names = Names::of(pod);
    if names.contains(given) {
        return Ok(());
    }
    Err(Failure::local(format!(
        "container {given} is not valid for pod {} out of: {}",
        pod.metadata.name.as_deref().unwrap_or_default(),
        names.hint()
    )))
}

/// Every container, init containers first, as `logs --all-containers` goes through them.
pub(super) fn all(pod: &Pod) -> Vec<String> {
    let names = Names::of(pod);
    names
        .init
        .into_iter()
        .chain(names.app)
        .chain(names.ephemeral)
        .collect()
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}
