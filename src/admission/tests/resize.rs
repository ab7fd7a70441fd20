//! Writes of `resize` and `ephemeralcontainers`, derived from the rules behind `TestValidatePodResize` and
//! `TestValidatePodEphemeralContainersUpdate`.

use super::*;
use crate::admission::admit_part;
use crate::model::Subresource;

/// Each row: the spec before, a merge patch of it, and the errors; of a difference only that there is one.
#[track_caller]
fn check_parts(part: Subresource, rows: &[(&str, &str, &[&str])]) {
    for (before, change, expected) in rows {
        let old = created(pod(fields(before)));
        assert_eq!(
            errors_of(part, old, &fields(change)),
            *expected,
            "{before} {change}"
        );
    }
}

fn errors_of(part: Subresource, old: Value, change: &Value) -> Vec<String> {
    let mut new = old.clone();
    json_patch::merge(&mut new["spec"], change);
    let old = Object::from_value(Kind::Pod, old).unwrap();
    let errors = admit_part(&old, object(new), part)
        .err()
        .unwrap_or_default();
    let first_line = |error: &FieldError| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    };
    errors.iter().map(first_line).collect()
}

fn one(resources: &str) -> String {
    format!("{{containers: [{}]}}", container_with("web", resources))
}

/// A container as it is stored, so that a merge patch of the list leaves the rest as it is.
fn container_with(name: &str, resources: &str) -> String {
    format!(
        "{{name: {name}, image: nginx, imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, \
         terminationMessagePolicy: File, resizePolicy: [{{resourceName: cpu, restartPolicy: NotRequired}}, \
         {{resourceName: memory, restartPolicy: NotRequired}}], resources: {resources}}}"
    )
}

const CLASS: &str =
    "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing";

#[test]
fn amounts_change_and_stay() {
    let at = |part: &str| {
        format!("spec.containers[0].resources.{part}: Forbidden: resource {part} cannot be removed")
    };
    let both = "{requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 200m, memory: 200Mi}}";
    let row = one(both);
    let change = |resources: &str| one(resources);
    check_parts(
        Subresource::Resize,
        &[
            (
                &row,
                &change(
                    "{requests: {cpu: 150m, memory: 150Mi}, limits: {cpu: 250m, memory: 150Mi}}",
                ),
                &[],
            ),
            (
                &one("{requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 200m}}"),
                &change("{requests: {cpu: 100m}, limits: {cpu: 200m}}"),
                &[&at("requests")],
            ),
            // A request that is left out is what its limit is.
            (
                &row,
                &change("{requests: {cpu: 100m}, limits: {cpu: 200m, memory: 200Mi}}"),
                &[],
            ),
            (
                &row,
                &change("{requests: {cpu: 100m, memory: 100Mi}, limits: {cpu: 200m}}"),
                &[&at("limits")],
            ),
            (
                &row,
                &change(
                    "{requests: {cpu: 200m, memory: 200Mi}, limits: {cpu: 200m, memory: 200Mi}}",
                ),
                &[CLASS],
            ),
            (
                &row,
                &change(
                    "{requests: {cpu: 100m, memory: 300Mi}, limits: {cpu: 200m, memory: 200Mi}}",
                ),
                &[
                    "spec.containers[0].resources.requests: Invalid value: \"300Mi\": must be less than or equal to memory limit of 200Mi",
                ],
            ),
            (
                &one("{requests: {cpu: 100m, memory: 100Mi}}"),
                &change("{requests: {cpu: 100m, memory: 100Mi}, limits: {memory: 1Gi}}"),
                &[],
            ),
            (
                &one("{requests: {cpu: 100m, memory: 100Mi, ephemeral-storage: 1Gi}}"),
                &change("{requests: {cpu: 100m, memory: 100Mi, ephemeral-storage: 2Gi}}"),
                &["spec: Forbidden: only cpu and memory resources are mutable"],
            ),
            (
                &row,
                &format!(
                    "{{containers: [{}, {}]}}",
                    container_with("web", both),
                    container_with("two", both)
                ),
                &["spec.containers: Forbidden: containers may not be added or removed on resize"],
            ),
            (
                &row,
                &format!("{{containers: [{}]}}", container_with("two", both)),
                &[
                    "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
                ],
            ),
            (
                &row,
                &format!("{{initContainers: [{}]}}", container_with("init", both)),
                &[
                    "spec.initContainers: Forbidden: initContainers may not be added or removed on resize",
                ],
            ),
            (
                &row,
                "{activeDeadlineSeconds: 5}",
                &["spec: Forbidden: only cpu and memory resources are mutable"],
            ),
        ],
    );
}

#[test]
fn init_containers_and_sidecars() {
    let pod_with = |extra: &str, resources: &str| {
        let main = container_with("web", "{requests: {cpu: 1, memory: 1Gi}}");
        let init = container_with("init", resources)
            .replace("image: nginx", &format!("image: nginx{extra}"));
        format!("{{containers: [{main}], initContainers: [{init}]}}")
    };
    let little = "{requests: {cpu: 100m, memory: 100Mi}}";
    let more = "{requests: {cpu: 200m, memory: 100Mi}}";
    let sidecar = ", restartPolicy: Always";
    let only = "spec.initContainers[0]: Forbidden: only cpu and memory resources for init or sidecar containers are mutable";
    check_parts(
        Subresource::Resize,
        &[
            (&pod_with("", little), &pod_with("", more), &[]),
            (&pod_with(sidecar, little), &pod_with(sidecar, more), &[]),
            (&pod_with("", little), &pod_with(":2", little), &[only]),
            (
                &pod_with(sidecar, little),
                &pod_with(sidecar, "{requests: {cpu: 100m}}"),
                &[
                    "spec.initContainers[0].resources.requests: Forbidden: resource requests cannot be removed",
                ],
            ),
            (
                &pod_with("", little),
                &pod_with(
                    "",
                    "{requests: {cpu: 100m, memory: 100Mi, ephemeral-storage: 1Gi}}",
                ),
                &[only],
            ),
        ],
    );
}

#[test]
fn the_pod_as_a_whole() {
    let of = |resources: &str| {
        format!(
            "{{resources: {resources}, {}",
            one("{requests: {cpu: 100m}}").strip_prefix('{').unwrap()
        )
    };
    check_parts(
        Subresource::Resize,
        &[
            (
                &of("{requests: {cpu: 100m, memory: 100Mi}}"),
                &of("{requests: {cpu: 200m, memory: 200Mi}}"),
                &[],
            ),
            (
                &of("{requests: {cpu: 100m, memory: 100Mi}}"),
                "{resources: null}",
                &["spec.resources: Forbidden: pod-level resources cannot be removed"],
            ),
            (
                &of("{requests: {cpu: 100m, memory: 100Mi}}"),
                "{resources: {requests: {memory: null}}}",
                &[
                    "spec.resources.requests: Forbidden: pod-level resource requests cannot be removed",
                ],
            ),
            (
                &of("{requests: {cpu: 200m}}"),
                "{resources: {requests: {cpu: 50m}}}",
                &[
                    "spec.resources.requests[cpu]: Invalid value: \"50m\": must be greater than or equal to aggregate container requests of 100m",
                ],
            ),
        ],
    );
}

#[test]
fn pods_that_keep_their_size() {
    let small = one("{requests: {cpu: 100m}}");
    let large = one("{requests: {cpu: 200m}}");
    let windows = format!(
        "{{os: {{name: windows}}, {}",
        small.strip_prefix('{').unwrap()
    );
    check_parts(
        Subresource::Resize,
        &[(
            &windows,
            &large,
            &[": Forbidden: windows pods cannot be resized"],
        )],
    );
    let mirror = |spec: &str| {
        let mut old = created(pod(fields(spec)));
        old["spec"]["nodeName"] = json!("here");
        old["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        old
    };
    assert_eq!(
        errors_of(Subresource::Resize, mirror(&small), &fields(&large)),
        [": Forbidden: static pods cannot be resized"]
    );
    let debug = json!({"ephemeralContainers": [{"name": "debug", "image": "x"}]});
    assert_eq!(
        errors_of(Subresource::EphemeralContainers, mirror("{}"), &debug),
        [": Forbidden: static pods do not support ephemeral containers"]
    );
}

/// An ephemeral container as it is stored.
fn debugger(name: &str, more: &str) -> String {
    format!(
        "{{name: {name}, image: busybox, imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, \
         terminationMessagePolicy: File, resources: {{}}{more}}}"
    )
}

#[test]
fn ephemeral_containers_are_only_added() {
    let list = |all: &[String]| format!("{{ephemeralContainers: [{}]}}", all.join(", "));
    let (a, b) = (debugger("a", ""), debugger("b", ""));
    let refused = |name: &str, what: &str| {
        format!(
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"{name}\" may not be {what}"
        )
    };
    let with = |all: &[String]| {
        let part = Subresource::EphemeralContainers;
        let old = created(pod(json!({})));
        let admitted = errors_of(part, old.clone(), &fields(&list(all)));
        assert_eq!(admitted, [""; 0]);
        let mut old = old;
        json_patch::merge(&mut old["spec"], &fields(&list(all)));
        old
    };
    let check = |had: &[String], wanted: &[String], expected: &[&str]| {
        let errors = errors_of(
            Subresource::EphemeralContainers,
            with(had),
            &fields(&list(wanted)),
        );
        assert_eq!(errors, expected, "{had:?} {wanted:?}");
    };
    let none: &[String] = &[];
    check(none, none, &[]);
    check(none, &[a.clone(), b.clone()], &[]);
    let (only_a, only_b) = (std::slice::from_ref(&a), std::slice::from_ref(&b));
    check(only_a, only_a, &[]);
    check(only_a, &[b.clone(), a.clone()], &[]);
    check(&[a.clone(), b.clone()], &[b.clone(), a.clone()], &[]);
    check(only_a, none, &[&refused("a", "removed")]);
    check(only_a, only_b, &[&refused("a", "removed")]);
    check(
        &[a.clone(), b.clone()],
        &[debugger("a", ", tty: true"), b.clone()],
        &[&refused("a", "changed")],
    );
    check(
        &[a.clone(), b.clone()],
        none,
        &[&refused("a", "removed"), &refused("b", "removed")],
    );
    check(
        none,
        &[debugger("a", ", targetContainerName: gone")],
        &["spec.ephemeralContainers[0].targetContainerName: Not found: \"gone\""],
    );
    check(
        none,
        &[debugger("web", "")],
        &["spec.ephemeralContainers[0].name: Duplicate value: \"web\""],
    );
    check(
        none,
        &[debugger(
            "a",
            ", volumeMounts: [{name: gone, mountPath: /x}]",
        )],
        &["spec.ephemeralContainers[0].volumeMounts[0].name: Not found: \"gone\""],
    );
}
