//! What the API server fills in before it looks for errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    Container, ContainerResizePolicy, EmptyDirVolumeSource, EnvVar, EnvVarSource, Namespace,
    NamespaceSpec, NamespaceStatus, ObjectFieldSelector, Pod, PodSpec, Probe, ResourceRequirements,
    Secret, Toleration, Volume,
};
use k8s_openapi::api::core::v1::{HTTPGetAction, LifecycleHandler, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{foreign, storage};
use crate::model::priority::PREEMPT;
use crate::model::{Object, PodPreset, pod};

/// 0644.
const VOLUME_MODE: i32 = 420;

pub(super) fn apply(object: &mut Object) {
    match object {
        Object::Pod(pod) => default_pod(Arc::make_mut(pod)),
        Object::Secret(secret) => default_secret(Arc::make_mut(secret)),
        Object::Namespace(namespace) => default_namespace(Arc::make_mut(namespace)),
        Object::PodPreset(preset) => default_preset(Arc::make_mut(preset)),
        Object::PersistentVolume(volume) => storage::default_volume(Arc::make_mut(volume)),
        Object::PersistentVolumeClaim(claim) => storage::default_claim(Arc::make_mut(claim)),
        Object::PriorityClass(class) => {
            let class = Arc::make_mut(class);
            fill(&mut class.preemption_policy, PREEMPT);
            class.value.get_or_insert(0);
        }
        Object::ConfigMap(_) | Object::ServiceAccount(_) | Object::Event(_) | Object::Node(_) => {}
    }
}

/// An empty enum counts as unset.
pub(super) fn fill(field: &mut Option<String>, default: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(default.to_owned());
    }
}

fn is_given(field: &Option<String>) -> bool {
    field.as_ref().is_some_and(|text| !text.is_empty())
}

pub(super) fn default_pod(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    default_spec(spec);
    let qos = pod::qos_class(spec).as_str().to_owned();
    let status = pod.status.get_or_insert_with(PodStatus::default);
    fill(&mut status.phase, "Pending");
    status.qos_class.get_or_insert(qos);
}

fn default_spec(spec: &mut PodSpec) {
    fill(&mut spec.restart_policy, "Always");
    fill(&mut spec.dns_policy, "ClusterFirst");
    fill(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds
        .get_or_insert(pod::DEFAULT_GRACE_SECONDS);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_default();
    service_account(spec);
    fill(&mut spec.preemption_policy, PREEMPT);
    // What a class means is known only where the classes are.
    if !is_given(&spec.priority_class_name) {
        spec.priority.get_or_insert(0);
    }
    tolerations(spec);
    let host_network = spec.host_network == Some(true);
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        default_container(container, host_network);
        requests_from_limits(container.resources.as_mut());
        resize_policy(container);
    }
    for ephemeral in spec.ephemeral_containers.iter_mut().flatten() {
        let mut container = pod::as_container(ephemeral);
        default_container(&mut container, host_network);
        *ephemeral = pod::as_ephemeral(container, ephemeral.target_container_name.take());
    }
    for volume in spec.volumes.iter_mut().flatten() {
        default_volume(volume);
    }
    huge_pages_of_the_pod(spec);
    requests_of_the_pod(spec);
}

/// What initialisation and containers have of their own, without what the pod says itself.
fn without_pod_level(spec: &PodSpec) -> PodSpec {
    PodSpec {
        init_containers: spec.init_containers.clone(),
        containers: spec.containers.clone(),
        ..PodSpec::default()
    }
}

/// A pod with resources of its own is limited to the huge pages of its containers, unless it says otherwise
/// (`defaultHugePagePodLimits`).
fn huge_pages_of_the_pod(spec: &mut PodSpec) {
    let of_containers = pod::pod_limits(&without_pod_level(spec));
    let Some(resources) = &mut spec.resources else {
        return;
    };
    let is_empty = |amounts: &Option<BTreeMap<String, Quantity>>| {
        amounts.as_ref().is_none_or(BTreeMap::is_empty)
    };
    if is_empty(&resources.limits) && is_empty(&resources.requests) {
        return;
    }
    for (name, amount) in &of_containers {
        let is_asked = |amounts: &BTreeMap<String, Quantity>| amounts.contains_key(name);
        if name.starts_with("hugepages-") && !resources.requests.as_ref().is_some_and(is_asked) {
            let limits = resources.limits.get_or_insert_default();
            limits
                .entry(name.clone())
                .or_insert_with(|| Quantity(amount.to_string()));
        }
    }
}

/// A pod with limits of its own asks for what its containers ask for together, and for its limits where they ask for
/// nothing (pkg/apis/core/v1/defaults.go, `defaultPodRequests`).
fn requests_of_the_pod(spec: &mut PodSpec) {
    let own = spec.resources.as_ref();
    let is_limited = own.is_some_and(|own| own.limits.as_ref().is_some_and(|all| !all.is_empty()));
    if !is_limited {
        return;
    }
    let of_containers = pod::pod_requests(&without_pod_level(spec));
    if let Some(resources) = &mut spec.resources {
        let requests = resources.requests.get_or_insert_default();
        for name in ["cpu", "memory"] {
            if let Some(amount) = of_containers.get(name)
                && !requests.contains_key(name)
            {
                requests.insert(name.to_owned(), Quantity(amount.to_string()));
            }
        }
    }
    requests_from_limits(spec.resources.as_mut());
}

fn service_account(spec: &mut PodSpec) {
    let deprecated = spec.service_account.clone().unwrap_or_default();
    let name = match spec.service_account_name.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ if !deprecated.is_empty() => deprecated,
        _ => "default".to_owned(),
    };
    spec.service_account = Some(name.clone());
    spec.service_account_name = Some(name);
}

/// Pods stay five minutes on a node that has gone, unless they say otherwise.
fn tolerations(spec: &mut PodSpec) {
    let tolerations = spec.tolerations.get_or_insert_default();
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let covered = tolerations.iter().any(|toleration| {
            let known = toleration.key.as_deref().unwrap_or_default();
            let effect = toleration.effect.as_deref().unwrap_or_default();
            (known.is_empty() || known == key) && (effect.is_empty() || effect == "NoExecute")
        });
        if !covered {
            tolerations.push(Toleration {
                key: Some(key.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(300),
                value: None,
            });
        }
    }
}

fn default_container(container: &mut Container, host_network: bool) {
    let policy = pull_policy(container.image.as_deref().unwrap_or_default());
    fill(&mut container.image_pull_policy, policy);
    fill(
        &mut container.termination_message_path,
        "/dev/termination-log",
    );
    fill(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        fill(&mut port.protocol, "TCP");
        if host_network && port.host_port.unwrap_or(0) == 0 {
            port.host_port = Some(port.container_port);
        }
    }
    container.resources.get_or_insert_default();
    default_env(container.env.as_mut());
    for probe in [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ] {
        probe.iter_mut().for_each(default_probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop] {
            handler.iter_mut().for_each(default_handler);
        }
    }
}

fn default_env(env: Option<&mut Vec<EnvVar>>) {
    for variable in env.into_iter().flatten() {
        if let Some(EnvVarSource {
            field_ref: Some(field),
            ..
        }) = &mut variable.value_from
        {
            default_field_ref(field);
        }
    }
}

/// `Always` for an image without tag and digest and for the tag `latest`, decided once.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.rsplit_once(':').map(|(_, tag)| tag) {
        Some("latest") => "Always",
        None if digest.is_none() => "Always",
        _ => "IfNotPresent",
    }
}

fn requests_from_limits(resources: Option<&mut ResourceRequirements>) {
    let Some(resources) = resources else { return };
    let Some(limits) = &resources.limits else {
        return;
    };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        if !requests.contains_key(name) {
            requests.insert(name.clone(), limit.clone());
        }
    }
}

fn resize_policy(container: &mut Container) {
    let Some(resources) = &container.resources else {
        return;
    };
    let given = |name: &&str| {
        let maps = [&resources.requests, &resources.limits];
        maps.into_iter()
            .flatten()
            .any(|map| map.contains_key(*name))
    };
    let names: Vec<&str> = ["cpu", "memory"].into_iter().filter(given).collect();
    if names.is_empty() {
        return;
    }
    let policies = container.resize_policy.get_or_insert_default();
    for name in names {
        if !policies.iter().any(|policy| policy.resource_name == name) {
            policies.push(ContainerResizePolicy {
                resource_name: name.to_owned(),
                restart_policy: "NotRequired".to_owned(),
            });
        }
    }
}

fn default_field_ref(field: &mut ObjectFieldSelector) {
    fill(&mut field.api_version, "v1");
}

fn default_probe(probe: &mut Probe) {
    let fill_number = |field: &mut Option<i32>, default: i32| {
        if field.unwrap_or(0) == 0 {
            *field = Some(default);
        }
    };
    fill_number(&mut probe.timeout_seconds, 1);
    fill_number(&mut probe.period_seconds, 10);
    fill_number(&mut probe.success_threshold, 1);
    fill_number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(default_http);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn default_http(http: &mut HTTPGetAction) {
    fill(&mut http.path, "/");
    fill(&mut http.scheme, "HTTP");
}

fn default_handler(handler: &mut LifecycleHandler) {
    handler.http_get.iter_mut().for_each(default_http);
}

fn default_volume(volume: &mut Volume) {
    let bare = Volume {
        name: volume.name.clone(),
        ..Volume::default()
    };
    if *volume == bare {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(host_path) = &mut volume.host_path {
        host_path.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(VOLUME_MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(VOLUME_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(VOLUME_MODE);
        for item in source.items.iter_mut().flatten() {
            item.field_ref.iter_mut().for_each(default_field_ref);
        }
    }
    foreign::default_pod(volume);
    if let Some(image) = &mut volume.image {
        let policy = pull_policy(image.reference.as_deref().unwrap_or_default());
        fill(&mut image.pull_policy, policy);
    }
    let ephemeral = volume.ephemeral.as_mut();
    if let Some(template) = ephemeral.and_then(|source| source.volume_claim_template.as_mut()) {
        storage::default_claim_spec(&mut template.spec);
    }
    let Some(projected) = &mut volume.projected else {
        return;
    };
    projected.default_mode.get_or_insert(VOLUME_MODE);
    for source in projected.sources.iter_mut().flatten() {
        if let Some(token) = &mut source.service_account_token {
            token.expiration_seconds.get_or_insert(3600);
        }
        if let Some(downward) = &mut source.downward_api {
            for item in downward.items.iter_mut().flatten() {
                item.field_ref.iter_mut().for_each(default_field_ref);
            }
        }
    }
}

fn default_secret(secret: &mut Secret) {
    fill(&mut secret.type_, "Opaque");
    // Write-only: what is given as text becomes data and is never read back as text.
    if let Some(texts) = secret.string_data.take() {
        let data = secret.data.get_or_insert_default();
        for (key, text) in texts {
            data.insert(key, ByteString(text.into_bytes()));
        }
    }
}

fn default_preset(preset: &mut PodPreset) {
    let Some(spec) = &mut preset.spec else { return };
    default_env(spec.env.as_mut());
    for volume in spec.volumes.iter_mut().flatten() {
        default_volume(volume);
    }
}

fn default_namespace(namespace: &mut Namespace) {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let labels = namespace.metadata.labels.get_or_insert_default();
    labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    let spec = namespace.spec.get_or_insert_with(NamespaceSpec::default);
    let finalizers = spec.finalizers.get_or_insert_default();
    if finalizers.is_empty() {
        finalizers.push("kubernetes".to_owned());
    }
    let status = namespace
        .status
        .get_or_insert_with(NamespaceStatus::default);
    fill(&mut status.phase, "Active");
}
