//! What is accepted with a word: Kubernetes' own table `TestWarnings`, derived from the rules.

use super::*;

#[track_caller]
fn check_warnings(rows: &[Row<'_>]) {
    for (text, expected) in rows {
        let (_, warnings) = create(pod(fields(text))).unwrap();
        let of_engine = |text: &&String| text.contains(": not supported yet: ");
        let warnings: Vec<&String> = warnings.iter().filter(|text| !of_engine(text)).collect();
        assert_eq!(warnings, *expected, "{text}");
    }
}

#[test]
fn volumes_of_the_past() {
    let old = |field: &str, since: &str| format!("spec.volumes[0].{field}: deprecated in {since}");
    check_warnings(&[
        (
            "{volumes: [{name: v, photonPersistentDisk: {pdID: p}}]}",
            &[&old(
                "photonPersistentDisk",
                "v1.11, non-functional in v1.16+",
            )],
        ),
        (
            "{volumes: [{name: v, gitRepo: {repository: r}}]}",
            &[&old("gitRepo", "v1.11")],
        ),
        (
            "{volumes: [{name: v, scaleIO: {gateway: g, system: s, volumeName: v, secretRef: {name: s}}}]}",
            &[&old("scaleIO", "v1.16, non-functional in v1.22+")],
        ),
        (
            "{volumes: [{name: v, flocker: {datasetName: d}}]}",
            &[&old("flocker", "v1.22, non-functional in v1.25+")],
        ),
        (
            "{volumes: [{name: v, quobyte: {registry: 'r:1', volume: v}}]}",
            &[&old("quobyte", "v1.22, non-functional in v1.25+")],
        ),
        (
            "{volumes: [{name: v, glusterfs: {endpoints: e, path: p}}]}",
            &[&old("glusterfs", "v1.25, non-functional in v1.26+")],
        ),
        (
            "{volumes: [{name: v, cephfs: {monitors: [m]}}]}",
            &[&old("cephfs", "v1.28, non-functional in v1.31+")],
        ),
        (
            "{volumes: [{name: v, rbd: {monitors: [m], image: i}}]}",
            &[&old("rbd", "v1.28, non-functional in v1.31+")],
        ),
    ]);
}

#[test]
fn files_at_the_same_place() {
    let of = |source: &str| format!("{{volumes: [{{name: v, {source}}}]}}");
    let items = |one: &str, other: &str| {
        format!("items: [{{key: a, path: {one}}}, {{key: b, path: {other}}}]")
    };
    let two = |first: &str, second: &str| {
        of(&format!(
            "projected: {{sources: [{{{first}}}, {{{second}}}]}}"
        ))
    };
    let token = "serviceAccountToken: {path: a}";
    let config = |path: &str| format!("configMap: {{name: m, items: [{{key: k, path: {path}}}]}}");
    let secret = "secret: {name: s, items: [{key: k, path: a}]}";
    let downward = "downwardAPI: {items: [{path: a/b, fieldRef: {fieldPath: metadata.name}}]}";
    let projected = |text: &str| format!("volume \"v\" (Projected): overlapping paths: {text}");
    check_warnings(&[
        (
            &of(&format!("configMap: {{name: m, {}}}", items("a", "b"))),
            &[],
        ),
        (
            &of(&format!("configMap: {{name: m, {}}}", items("a", "ab"))),
            &[],
        ),
        (
            &of(&format!("configMap: {{name: m, {}}}", items("a", "a"))),
            &["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"a\" with \"a\""],
        ),
        (
            &of(&format!("configMap: {{name: m, {}}}", items("a", "a/b"))),
            &["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"a/b\" with \"a\""],
        ),
        (
            &of(&format!("secret: {{secretName: s, {}}}", items("a/b", "a"))),
            &["volume \"v\" (Secret \"s\"): overlapping paths: \"a\" with \"a/b\""],
        ),
        (
            &of(
                "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}, {path: a, fieldRef: {fieldPath: metadata.labels}}]}",
            ),
            &["volume \"v\" (DownwardAPI): overlapping paths: \"a\" with \"a\""],
        ),
        (
            &two(&config("a"), token),
            &[&projected(
                "\"a\" (ServiceAccountToken) with \"a\" (ConfigMap \"m\")",
            )],
        ),
        (
            &two(&config("a/b"), token),
            &[&projected(
                "\"a\" (ServiceAccountToken) with \"a/b\" (ConfigMap \"m\")",
            )],
        ),
        (
            &two(secret, token),
            &[&projected(
                "\"a\" (ServiceAccountToken) with \"a\" (Secret \"s\")",
            )],
        ),
        (
            &two(downward, token),
            &[&projected(
                "\"a\" (ServiceAccountToken) with \"a/b\" (DownwardAPI)",
            )],
        ),
        (
            &two(secret, &config("a/b")),
            &[&projected(
                "\"a/b\" (ConfigMap \"m\") with \"a\" (Secret \"s\")",
            )],
        ),
        (&two(secret, &config("b")), &[]),
    ]);
}

#[test]
fn names_that_repeat() {
    check_warnings(&[
        ("{hostAliases: [{ip: 1.1.1.1}, {ip: 2.2.2.2}]}", &[]),
        (
            "{hostAliases: [{ip: 1.1.1.1}, {ip: 1.1.1.1}, {ip: 1.1.1.1}]}",
            &[
                "spec.hostAliases[1].ip: duplicate ip \"1.1.1.1\"",
                "spec.hostAliases[2].ip: duplicate ip \"1.1.1.1\"",
            ],
        ),
        (
            "{imagePullSecrets: [{name: a}, {name: a}, {name: ''}]}",
            &[
                "spec.imagePullSecrets[1].name: duplicate name \"a\"",
                "spec.imagePullSecrets[2].name: invalid empty name \"\"",
            ],
        ),
    ]);
    let hides = |index: usize| {
        format!(
            "spec.containers[0].env[{index}]: hides previous definition of \"A\", which may be dropped when using apply"
        )
    };
    let env = |second: &str| {
        format!(
            "{{containers: [{{name: c, image: x, env: [{{name: A, value: x}}, {{name: A, {second}}}]}}]}}"
        )
    };
    check_warnings(&[
        (&env("value: z"), &[&hides(1)]),
        (&env("value: $(A)"), &[&hides(1)]),
        (&env("value: '$(A)y'"), &[]),
        (&env("value: '$(B)y'"), &[&hides(1)]),
        (
            &env("valueFrom: {fieldRef: {fieldPath: metadata.name}}"),
            &[&hides(1)],
        ),
    ]);
}

#[test]
fn amounts_that_are_no_bytes() {
    let fraction =
        |path: &str| format!("{path}: fractional byte value \"4m\" is invalid, must be an integer");
    check_warnings(&[
        ("{overhead: {cpu: 100m}}", &[]),
        (
            "{overhead: {memory: 4m, ephemeral-storage: 4m}}",
            &[
                &fraction("spec.overhead[memory]"),
                &fraction("spec.overhead[ephemeral-storage]"),
            ],
        ),
        (
            "{initContainers: [{name: i, image: x, resources: {requests: {memory: 4m}}}]}",
            &[&fraction(
                "spec.initContainers[0].resources.requests[memory]",
            )],
        ),
        (
            "{containers: [{name: c, image: x, resources: {limits: {memory: 4m, ephemeral-storage: 4m}}}]}",
            &[
                &fraction("spec.containers[0].resources.limits[memory]"),
                &fraction("spec.containers[0].resources.requests[memory]"),
                &fraction("spec.containers[0].resources.limits[ephemeral-storage]"),
                &fraction("spec.containers[0].resources.requests[ephemeral-storage]"),
            ],
        ),
        (
            "{volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 4m}}}}}}]}",
            &[&fraction(
                "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]",
            )],
        ),
    ]);
}

#[test]
fn ports_that_repeat() {
    let with = |lists: &[&str]| {
        let container = |(index, ports): (usize, &&str)| {
            format!("{{name: c{index}, image: x, ports: [{ports}]}}")
        };
        let all: Vec<String> = lists.iter().enumerate().map(container).collect();
        format!("{{containers: [{}]}}", all.join(", "))
    };
    let said = |at: &str, what: &str, other: &str| {
        format!("spec.containers{at}: {what} port definition with spec.containers{other}")
    };
    let plain = "{containerPort: 80}";
    let on = |host: &str| format!("{{containerPort: 80, hostPort: 80{host}}}");
    let one = on(", hostIP: 10.0.0.1");
    let other = on(", hostIP: 10.0.0.2");
    check_warnings(&[
        (&with(&["{containerPort: 80}, {containerPort: 81}"]), &[]),
        (
            &with(&["{containerPort: 80}, {containerPort: 80, protocol: UDP}"]),
            &[],
        ),
        (
            &with(&["{containerPort: 80, hostPort: 80}, {containerPort: 80, hostPort: 81}"]),
            &[],
        ),
        (&with(&[&one, &other]), &[]),
        (
            &with(&[&format!("{plain}, {plain}")]),
            &[&said("[0].ports[1]", "duplicate", "[0].ports[0]")],
        ),
        (
            &with(&[plain, plain]),
            &[&said("[1].ports[0]", "duplicate", "[0].ports[0]")],
        ),
        (
            &with(&[&on(""), plain]),
            &[&said("[1].ports[0]", "overlapping", "[0].ports[0]")],
        ),
        (
            &with(&[&one, &on("")]),
            &[&said(
                "[1].ports[0]",
                "dangerously ambiguous",
                "[0].ports[0]",
            )],
        ),
        (
            &with(&[&format!("{one}, {}, {other}", on(""))]),
            &[
                &said("[0].ports[1]", "dangerously ambiguous", "[0].ports[0]"),
                &said("[0].ports[2]", "dangerously ambiguous", "[0].ports[1]"),
            ],
        ),
        (
            &with(&["{containerPort: 80, protocol: UDP, hostIP: 10.0.0.1}"]),
            &[
                "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:UDP HostIP:10.0.0.1}",
            ],
        ),
    ]);
}

#[test]
fn labels_of_the_past_and_missing_selectors() {
    let null = "a null labelSelector results in matching no pod";
    let term = "{topologyKey: t}";
    let weighted = "{weight: 1, podAffinityTerm: {topologyKey: t}}";
    let both = format!(
        "{{requiredDuringSchedulingIgnoredDuringExecution: [{term}], preferredDuringSchedulingIgnoredDuringExecution: [{weighted}]}}"
    );
    let rule = "{key: beta.kubernetes.io/os, operator: In, values: ['-1']}";
    check_warnings(&[
        (
            "{nodeSelector: {beta.kubernetes.io/arch: amd64, kubernetes.io/os: linux}}",
            &[
                "spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            ],
        ),
        (
            "{topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule, topologyKey: failure-domain.beta.kubernetes.io/zone}]}",
            &[
                "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \
                 \"topology.kubernetes.io/zone\" instead",
                &format!("spec.topologySpreadConstraints[0].labelSelector: {null}"),
            ],
        ),
        (
            &format!(
                "{{affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 1, preference: {{matchExpressions: \
                 [{rule}]}}}}]}}}}}}"
            ),
            &[
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: \
                 beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
                &format!(
                    "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]: -1 \
                     is invalid, {LABEL_VALUE}"
                ),
            ],
        ),
        (
            &format!("{{affinity: {{podAffinity: {both}, podAntiAffinity: {both}}}}}"),
            &[
                &format!(
                    "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: {null}"
                ),
                &format!(
                    "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: {null}"
                ),
                &format!(
                    "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: {null}"
                ),
                &format!(
                    "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: {null}"
                ),
            ],
        ),
        (
            "{terminationGracePeriodSeconds: -1}",
            &[
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        ),
    ]);
}

#[test]
fn annotations_of_the_past() {
    let with = |annotations: Value, spec: Value| {
        let mut value = pod(spec);
        value["metadata"]["annotations"] = annotations;
        create(value).unwrap().1
    };
    let gone = |key: &str| {
        format!(
            "metadata.annotations[{key}]: non-functional in v1.27+; use the \"seccompProfile\" field instead"
        )
    };
    let of_pod = "seccomp.security.alpha.kubernetes.io/pod";
    let of_web = "container.seccomp.security.alpha.kubernetes.io/web";
    assert_eq!(
        with(
            json!({"scheduler.alpha.kubernetes.io/critical-pod": "", "security.alpha.kubernetes.io/sysctls": ""}),
            json!({})
        ),
        [
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field \
             instead",
            "metadata.annotations[security.alpha.kubernetes.io/sysctls]: non-functional in v1.11+; use the \"sysctls\" field instead",
        ]
    );
    assert_eq!(
        with(json!({(of_pod): "unconfined"}), json!({})),
        [gone(of_pod)]
    );
    assert_eq!(
        with(json!({(of_web): "unconfined"}), json!({})),
        [gone(of_web)]
    );
    let profile = json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}});
    assert_eq!(with(json!({(of_pod): "unconfined"}), profile), [""; 0]);
}

#[test]
fn levels_of_pod_security_that_nobody_enforces() {
    let told = |labels: Value| {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels},
        });
        create(namespace).unwrap().1
    };
    let key = "pod-security.kubernetes.io/enforce";
    assert_eq!(
        told(json!({(key): "baseline", "pod-security.kubernetes.io/enforce-version": "latest"})),
        [
            "metadata.labels[pod-security.kubernetes.io/enforce]: not supported: pods are not measured by the Pod \
             Security Standards here, \"baseline\" refuses none"
        ]
    );
    assert_eq!(told(json!({(key): "privileged"})), [""; 0]);
}

#[test]
fn warnings() {
    let mut value = pod(json!({
        "terminationGracePeriodSeconds": -1,
        "containers": [{"name": "web", "image": "x",
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            "resources": {"limits": {"memory": "100m"}},
        }],
        "subdomain": "other",
    }));
    value["metadata"]["name"] = json!("a.b");
    value["metadata"]["annotations"] = json!({"podtui.dev/restarted-at": "soon"});
    let (_, warnings) = create(value).unwrap();
    assert_eq!(
        warnings,
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "metadata.annotations[podtui.dev/restarted-at]: \"soon\" is neither an instant (2026-01-02T03:04:05Z) nor an object of instants by container: nothing is restarted",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            "spec.subdomain: not supported yet: there is no DNS record for it",
        ]
    );
}
