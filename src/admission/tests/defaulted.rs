//! Situations of Kubernetes' own table of defaults (pkg/apis/core/v1/defaults_test.go), as far as the other tests do
//! not have them.

use super::storage::{claim, volume};
use super::*;

/// Of everything in a container that has defaults, in each list of containers.
#[test]
fn every_kind_of_container() {
    let get = |path: &str, scheme: &str| json!({"host": "localhost", "port": 1, "path": path, "scheme": scheme});
    let bare = json!({"name": "c", "image": "alpine",
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "default", "containerPort": 8080}],
        "livenessProbe": {"httpGet": {"host": "localhost", "port": 1}},
        "readinessProbe": {"httpGet": {"host": "localhost", "port": 1}},
        "startupProbe": {"httpGet": {"host": "localhost", "port": 1}},
        "lifecycle": {"postStart": {"httpGet": {"host": "localhost", "port": 1}}, "preStop": {"httpGet": {"host": "localhost", "port": 1}}},
        "restartPolicy": "Always"});
    let mut own = bare.clone();
    own.as_object_mut().unwrap().shift_remove("restartPolicy");
    let made = created(pod(
        json!({"containers": [own], "initContainers": [{"name": "i", "image": "alpine:3", "restartPolicy": "Always"}]}),
    ));
    let mut sidecar = bare;
    sidecar["name"] = json!("i");
    let side = created(pod(json!({ "initContainers": [sidecar] })));
    let full = json!({"httpGet": get("/", "HTTP"), "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    for container in [
        &made["spec"]["containers"][0],
        &side["spec"]["initContainers"][0],
    ] {
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["terminationMessagePath"], "/dev/termination-log");
        assert_eq!(container["terminationMessagePolicy"], "File");
        let field = &container["env"][0]["valueFrom"]["fieldRef"];
        assert_eq!(field["apiVersion"], "v1");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["ports"][0].get("hostPort"), None);
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            assert_eq!(container[probe], full, "{probe}");
        }
        for hook in ["postStart", "preStop"] {
            assert_eq!(container["lifecycle"][hook]["httpGet"], get("/", "HTTP"));
        }
    }
    assert_eq!(
        made["spec"]["initContainers"][0]["imagePullPolicy"],
        "IfNotPresent"
    );
}

#[test]
fn amounts_are_rounded_up() {
    let of = |resources: Value| {
        pod(json!({
            "containers": [{"name": "c", "image": "x", "resources": resources}],
            "initContainers": [{"name": "i", "image": "x", "resources": resources}],
        }))
    };
    for list in ["containers", "initContainers"] {
        let at = |part: &str| format!("/{list}/0/resources/{part}");
        // Nothing is finer than a thousandth.
        let fine = json!({"requests": {"memory": "1n"}, "limits": {"cpu": "2n"}});
        becomes(of(fine.clone()), &at("limits"), json!({"cpu": "1m"}));
        becomes(
            of(fine),
            &at("requests"),
            json!({"memory": "1m", "cpu": "1m"}),
        );
        // A request of nothing is a request.
        let nothing =
            json!({"requests": {"memory": "0"}, "limits": {"cpu": "100m", "memory": "1Gi"}});
        becomes(
            of(nothing),
            &at("requests"),
            json!({"memory": "0", "cpu": "100m"}),
        );
        becomes(of(json!({})), &at("requests"), Value::Null);
    }
}

#[test]
fn ports_of_the_host() {
    let port = |fields: Value| {
        let ports = |name: &str| json!([{"name": name, "image": "x", "ports": [fields]}]);
        pod(json!({"hostNetwork": true, "containers": ports("c"), "initContainers": ports("i")}))
    };
    for list in ["containers", "initContainers"] {
        let at = format!("/{list}/0/ports/0/hostPort");
        becomes(port(json!({"containerPort": 8080})), &at, json!(8080));
        becomes(
            port(json!({"containerPort": 8080, "hostPort": 8080})),
            &at,
            json!(8080),
        );
    }
}

#[test]
fn huge_pages_of_the_pod() {
    let of = |own: Value, containers: &[Value]| {
        let containers = containers.iter().enumerate().map(|(index, limits)| {
            json!({"name": format!("c{index}"), "image": "x", "resources": {"limits": limits}})
        });
        pod(json!({"resources": own, "containers": containers.collect::<Vec<_>>()}))
    };
    let huge = |amount: &str| json!({"cpu": "1", "memory": "1Gi", "hugepages-2Mi": amount});
    let made = |value: Value| {
        let made = created(value)["spec"]["resources"].clone();
        (made["limits"].clone(), made["requests"].clone())
    };
    // What the containers have together; requests of huge pages are their limits.
    let (limits, requests) = made(of(
        json!({"limits": {"cpu": "4", "memory": "4Gi"}}),
        &[huge("2Mi"), huge("4Mi")],
    ));
    assert_eq!(
        limits,
        json!({"cpu": "4", "memory": "4Gi", "hugepages-2Mi": "6Mi"})
    );
    assert_eq!(
        requests,
        json!({"cpu": "2", "memory": "2Gi", "hugepages-2Mi": "6Mi"})
    );
    // What the pod says itself stays.
    let (limits, requests) = made(of(
        json!({"limits": {"cpu": "4", "memory": "4Gi", "hugepages-2Mi": "8Mi"}}),
        &[huge("2Mi"), json!({})],
    ));
    assert_eq!(limits["hugepages-2Mi"], "8Mi");
    assert_eq!(requests["hugepages-2Mi"], "8Mi");
    // A pod without resources of its own gets none.
    let bare = created(of(Value::Null, &[huge("2Mi")]));
    assert_eq!(bare["spec"].get("resources"), None);
    let (limits, requests) = made(of(json!({}), &[huge("2Mi")]));
    assert_eq!((limits, requests), (Value::Null, Value::Null));
}

#[test]
fn sources_of_other_machines() {
    let azure = json!({"diskName": "d", "diskURI": "https://x", "cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": false});
    let disk = json!({"targetPortal": "t", "iqn": "iqn.2001-04.com.example:x", "lun": 0});
    let mut iscsi = disk.clone();
    iscsi["iscsiInterface"] = json!("default");
    let mut other = disk.clone();
    other["iscsiInterface"] = json!("mine");
    let scale =
        json!({"gateway": "g", "system": "s", "volumeName": "v", "secretRef": {"name": "s"}});
    let mut scaled = scale.clone();
    scaled["storageMode"] = json!("ThinProvisioned");
    scaled["fsType"] = json!("xfs");
    for (name, source, expected) in [
        ("iscsi", disk, iscsi),
        ("iscsi", other.clone(), other),
        (
            "rbd",
            json!({"monitors": ["m"], "image": "i"}),
            json!({"monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}),
        ),
        (
            "azureDisk",
            json!({"diskName": "d", "diskURI": "https://x"}),
            azure,
        ),
        ("scaleIO", scale, scaled),
    ] {
        let value = pod(json!({"volumes": [{"name": "v", (name): source}]}));
        becomes(value, &format!("/volumes/0/{name}"), expected.clone());
        let value = volume(json!({"hostPath": null, (name): source}));
        becomes(value, &format!("/{name}"), expected);
    }
}

#[test]
fn modes_of_volumes() {
    for mode in [None, Some("Filesystem"), Some("Block")] {
        let expected = json!(mode.unwrap_or("Filesystem"));
        becomes(
            volume(json!({ "volumeMode": mode })),
            "/volumeMode",
            expected.clone(),
        );
        becomes(
            claim(json!({ "volumeMode": mode })),
            "/volumeMode",
            expected.clone(),
        );
        let template = json!({"spec": {"volumeMode": mode, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        becomes(
            pod(
                json!({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]}),
            ),
            "/volumes/0/ephemeral/volumeClaimTemplate/spec/volumeMode",
            expected,
        );
    }
}

#[test]
fn images_of_volumes() {
    let policy = |reference: &str, given: Option<&str>| {
        pod(
            json!({"volumes": [{"name": "v", "image": {"reference": reference, "pullPolicy": given}}]}),
        )
    };
    let at = "/volumes/0/image/pullPolicy";
    for (reference, given, expected) in [
        ("r/a", None, "Always"),
        ("r/a:latest", None, "Always"),
        ("r/a:v1", None, "IfNotPresent"),
        ("r/a:v1", Some(""), "IfNotPresent"),
        ("r/a:latest", Some("Never"), "Never"),
    ] {
        becomes(policy(reference, given), at, json!(expected));
    }
}

#[test]
fn files_of_projected_volumes() {
    let made = created(pod(
        json!({"volumes": [{"name": "v", "projected": {"sources": [
            {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {"serviceAccountToken": {"path": "t"}}, {"serviceAccountToken": {"path": "u", "expirationSeconds": 700}},
        ]}}]}),
    ));
    let projected = &made["spec"]["volumes"][0]["projected"];
    assert_eq!(projected["defaultMode"], 420);
    let sources = &projected["sources"];
    let field = &sources[0]["downwardAPI"]["items"][0]["fieldRef"];
    assert_eq!(field["apiVersion"], "v1");
    let seconds = |index: usize| &sources[index]["serviceAccountToken"]["expirationSeconds"];
    assert_eq!(seconds(1), 3600);
    assert_eq!(seconds(2), 700);
}
