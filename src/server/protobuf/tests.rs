use super::*;

/// `create configmap cm1 --from-literal=a=b --from-file=bin.dat` of kubectl 1.36.4.
const CONFIG_MAP: &str = "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiwKEwoDY20xEgAaACIAKgAyADgAQgASBgoBYRIBYhoNCgdiaW4uZGF0EgIA/xoAIgA=";
/// `create secret generic s1 --from-literal=a=b`.
const SECRET: &str = "azhzAAoMCgJ2MRIGU2VjcmV0Eh4KEgoCczESABoAIgAqADIAOABCABIGCgFhEgFiGgAaACIA";
/// `create token default --duration 20m --audience x`.
const TOKEN: &str = "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIgChAKABIAGgAiACoAMgA4AEIAEgYKAXggsAkaBAoAEgAaACIA";
/// `create namespace n1`.
const NAMESPACE: &str = "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhoKEgoCbjESABoAIgAqADIAOABCABIAGgIKABoAIgA=";
/// A copy that `debug --copy-to` makes of a pod with most kinds of fields.
const POD: &str = "azhzAAoJCgJ2MRIDUG9kEs8HCicKCGZ1bGxjb3B5EgAaB2RlZmF1bHQiACoAMgA4AEIAWgYKAWESAWISjgcKCQoBZRIEEgIKAAos\
     CgFjEieaASQKEgoQa3ViZS1yb290LWNhLmNydBIJCgFrEgFwGIACGKQDIAEKhAEKFWt1YmUtYXBpLWFjY2Vzcy1teGNubRJr0gFo\
     Cg4iDAoAEJccGgV0b2tlbgooGiYKEgoQa3ViZS1yb290LWNhLmNydBIQCgZjYS5jcnQSBmNhLmNydAopEicKJQoJbmFtZXNwYWNl\
     EhgKAnYxEhJtZXRhZGF0YS5uYW1lc3BhY2UQpAMSpgMKAWMSBGJiOjEaBXNsZWVwGgExKgAyEAoDd2ViEAAYUCIDVENQKgA6BQoB\
     RRIAOhwKAUYSABoVChMKAnYxEg1tZXRhZGF0YS5uYW1lQkIKDQoDY3B1EgYKBDUwMG0KEAoGbWVtb3J5EgYKBDY0TWkSDQoDY3B1\
     EgYKBDUwMG0SEAoGbWVtb3J5EgYKBDY0TWlKDQoBZRAAGgIvZSIAMgBKTAoVa3ViZS1hcGktYWNjZXNzLW14Y25tEAEaLS92YXIv\
     cnVuL3NlY3JldHMva3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudCIAMgBSGwoPGg0KCQgBEAAaA3dlYhIAEAAYASAKKAEwA1oi\
     ChYSFAoCL3gSBggAEFAaABoAIgRIVFRQEAEYASAKKAEwA2oUL2Rldi90ZXJtaW5hdGlvbi1sb2dyDElmTm90UHJlc2VudHoVChEK\
     ClNZU19QVFJBQ0USA0FMTDgAgAEAiAEAkAEAogEERmlsZboBEgoDY3B1EgtOb3RSZXF1aXJlZLoBFQoGbWVtb3J5EgtOb3RSZXF1\
     aXJlZBoGQWx3YXlzIAAyDENsdXN0ZXJGaXJzdDoZChBrdWJlcm5ldGVzLmlvL29zEgVsaW51eEIHZGVmYXVsdEoHZGVmYXVsdFIA\
     WABgAGgAcggQACAFIPCiBIIBAIoBAJoBEWRlZmF1bHQtc2NoZWR1bGVysgEaCgF4EgZFeGlzdHMaACIJTm9FeGVjdXRlKACyATYK\
     HG5vZGUua3ViZXJuZXRlcy5pby9ub3QtcmVhZHkSBkV4aXN0cxoAIglOb0V4ZWN1dGUorAKyATgKHm5vZGUua3ViZXJuZXRlcy5p\
     by91bnJlYWNoYWJsZRIGRXhpc3RzGgAiCU5vRXhlY3V0ZSisAsIBAMgBANgBAfABAfoBFFByZWVtcHRMb3dlclByaW9yaXR5GhMK\
     ABoAIgAqADIASgBaAHIAiAEAGgAiAA==";

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[track_caller]
fn check(body: &str, expected: &Value) {
    assert_eq!(decode(&bytes(body)).unwrap(), *expected);
}

#[test]
fn what_kubectl_sends() {
    check(
        CONFIG_MAP,
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm1"},
            "data": {"a": "b"}, "binaryData": {"bin.dat": "AP8="},
        }),
    );
    check(
        SECRET,
        &json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s1"}, "data": {"a": "Yg=="},
        }),
    );
    check(
        NAMESPACE,
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n1"}}),
    );
    check(
        TOKEN,
        &json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["x"], "expirationSeconds": 1200},
        }),
    );
}

#[test]
fn a_pod_with_most_kinds_of_fields() {
    let pod = decode(&bytes(POD)).unwrap();
    let spec = &pod["spec"];
    // A pointer to zero is not absence, and an empty source of a volume is one.
    assert_eq!(spec["terminationGracePeriodSeconds"], 0);
    assert_eq!(spec["volumes"][0], json!({"name": "e", "emptyDir": {}}));
    let source = json!({
        "name": "kube-root-ca.crt", "optional": true, "defaultMode": 420,
        "items": [{"key": "k", "path": "p", "mode": 256}],
    });
    assert_eq!(
        spec["volumes"][1],
        json!({"name": "c", "configMap": source})
    );
    assert_eq!(
        spec["securityContext"],
        json!({"runAsUser": 0, "supplementalGroups": [5, 70000]})
    );
    assert_eq!(
        spec["tolerations"][0],
        json!({"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0})
    );
    let container = &spec["containers"][0];
    assert_eq!(
        container["resources"]["limits"],
        json!({"cpu": "500m", "memory": "64Mi"})
    );
    // A handler stands in its probe, a port is a number or a name.
    assert_eq!(
        container["readinessProbe"]["httpGet"],
        json!({"path": "/x", "port": 80, "scheme": "HTTP"})
    );
    assert_eq!(container["readinessProbe"]["initialDelaySeconds"], 1);
    assert_eq!(
        container["livenessProbe"]["tcpSocket"],
        json!({"port": "web"})
    );
    assert_eq!(
        container["securityContext"],
        json!({"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}, "allowPrivilegeEscalation": false})
    );
    assert_eq!(container["env"][0], json!({"name": "E"}));
    assert_eq!(
        container["env"][1]["valueFrom"]["fieldRef"],
        json!({"apiVersion": "v1", "fieldPath": "metadata.name"})
    );
    assert_eq!(pod["metadata"]["labels"], json!({"a": "b"}));
    assert!(pod["metadata"].get("creationTimestamp").is_none());
    assert!(pod.get("status").is_none());
    crate::model::decode::decode(pod).unwrap();
}

#[track_caller]
fn check_refused(body: &[u8], expected: &str) {
    let error = decode(body).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn broken_bodies() {
    let config_map = bytes(CONFIG_MAP);
    check_refused(
        b"{}",
        "provided data does not appear to be a protobuf message, expected prefix \"k8s\\0\"",
    );
    check_refused(
        &config_map[..config_map.len() - 1],
        "the protobuf message ends within a field",
    );
    check_refused(
        b"k8s\0\x0a\x05\x12\x03Foo\x12\x00",
        "objects of kind \"Foo\" are not read from protobuf; send JSON",
    );
    // Field 1 of a config map (metadata) as a number.
    check_refused(
        b"k8s\0\x0a\x0b\x12\x09ConfigMap\x12\x02\x08\x01",
        "field 1 of ConfigMap has wire type 0, which does not fit",
    );
    check_refused(
        b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "the protobuf message has a number of more than 64 bits",
    );
    check_refused(
        b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "the protobuf message ends within a field",
    );
}

/// Whatever is cut off, nothing but an error comes of it.
#[test]
fn every_beginning_of_a_body_is_an_error_or_an_object() {
    for body in [CONFIG_MAP, POD] {
        let whole = bytes(body);
        for length in 0..whole.len() {
            if let Ok(value) = decode(&whole[..length]) {
                assert!(value.is_object());
            }
        }
    }
}
