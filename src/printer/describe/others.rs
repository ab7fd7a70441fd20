use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::common::{annotations, labels};
use super::events::events;
use super::node::describe_node;
use super::pod::describe_pod;
use super::storage::{describe_claim, describe_persistent_volume};
use super::text::{Text, clean};
use crate::model::Object;
use crate::model::applied::APPLIED_TEXT;
use crate::printer::duration::Moment;

/// What belongs to a description beside the object itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Related {
    /// Events whose `involvedObject` is the object.
    pub(crate) events: Vec<Arc<Event>>,
    /// Nothing is said of events, not even that there are none.
    pub(crate) without_events: bool,
    /// For a node: the pods bound to it; for a claim: the pods that use it.
    pub(crate) pods: Vec<Arc<Pod>>,
}

/// The text of `describe`; every line ends with a newline.
pub(crate) fn describe(object: &Object, related: &Related, moment: &Moment) -> String {
    match object {
        Object::Pod(pod) => describe_pod(pod, related, moment),
        Object::Node(node) => describe_node(node, related, moment),
        Object::ConfigMap(map) => describe_config_map(map, related, moment),
        Object::Secret(secret) => describe_secret(secret),
        Object::ServiceAccount(account) => describe_service_account(account, related, moment),
        Object::Namespace(namespace) => describe_namespace(namespace),
        Object::PersistentVolume(volume) => describe_persistent_volume(volume, related, moment),
        Object::PersistentVolumeClaim(claim) => describe_claim(claim, related, moment),
        Object::PriorityClass(class) => describe_priority_class(class, related, moment),
        Object::Event(event) => describe_generic(&event.metadata, object.to_value()),
        Object::PodPreset(preset) => describe_generic(&preset.metadata, object.to_value()),
    }
}

fn head(text: &mut Text, meta: &ObjectMeta, namespaced: bool) {
    text.pair("Name", meta.name.as_deref().unwrap_or_default());
    if namespaced {
        text.pair("Namespace", meta.namespace.as_deref().unwrap_or_default());
    }
    labels(text, "Labels", meta.labels.as_ref());
    annotations(text, meta.annotations.as_ref());
}

fn section(text: &mut Text, title: &str) {
    text.line(0, format_args!("\n{title}\n===="));
}

fn describe_config_map(map: &ConfigMap, related: &Related, moment: &Moment) -> String {
    let mut text = Text::default();
    head(&mut text, &map.metadata, true);
    section(&mut text, "Data");
    for (key, value) in map.data.iter().flatten() {
        text.line(0, format_args!("{key}:\n----\n{}\n", clean(value)));
    }
    section(&mut text, "BinaryData");
    for (key, value) in map.binary_data.iter().flatten() {
        text.line(0, format_args!("{key}: {} bytes", value.0.len()));
    }
    text.line(0, format_args!(""));
    events(&mut text, related, moment);
    text.finish()
}

fn describe_secret(secret: &Secret) -> String {
    let mut text = Text::default();
    head(&mut text, &secret.metadata, true);
    let kind = secret.type_.as_deref().unwrap_or_default();
    text.line(0, format_args!("\nType:\t{kind}"));
    section(&mut text, "Data");
    for (key, value) in secret.data.iter().flatten() {
        text.line(0, format_args!("{key}:\t{} bytes", value.0.len()));
    }
    text.finish()
}

fn describe_service_account(
    account: &ServiceAccount,
    related: &Related,
    moment: &Moment,
) -> String {
    let mut text = Text::default();
    head(&mut text, &account.metadata, true);
    let names = |names: Vec<&str>| {
        if names.is_empty() {
            "<none>".to_owned()
        } else {
            names.join("\n\t")
        }
    };
    let pulls = account.image_pull_secrets.iter().flatten();
    text.pair(
        "Image pull secrets",
        names(pulls.map(|secret| secret.name.as_str()).collect()),
    );
    events(&mut text, related, moment);
    text.finish()
}

/// On one line as kubectl writes them here, but without our own.
fn annotations_in_line(text: &mut Text, annotations: Option<&BTreeMap<String, String>>) {
    let all = annotations.into_iter().flatten();
    let pairs: Vec<String> = all
        .filter(|(name, _)| *name != APPLIED_TEXT)
        .map(|(name, value)| clean(&format!("{name}={value}")))
        .collect();
    let pairs = pairs.join(",");
    let shown = if pairs.is_empty() { "<none>" } else { &pairs };
    text.pair("Annotations", shown);
}

fn describe_priority_class(class: &PriorityClass, related: &Related, moment: &Moment) -> String {
    let mut text = Text::default();
    text.pair("Name", class.metadata.name.as_deref().unwrap_or_default());
    text.pair("Value", class.value.unwrap_or(0));
    text.pair("GlobalDefault", class.global_default.unwrap_or(false));
    if let Some(policy) = &class.preemption_policy {
        text.pair("PreemptionPolicy", policy);
    }
    text.pair(
        "Description",
        clean(class.description.as_deref().unwrap_or_default()),
    );
    annotations_in_line(&mut text, class.metadata.annotations.as_ref());
    events(&mut text, related, moment);
    text.finish()
}

fn describe_namespace(namespace: &Namespace) -> String {
    let mut text = Text::default();
    head(&mut text, &namespace.metadata, false);
    let phase = namespace
        .status
        .as_ref()
        .and_then(|status| status.phase.clone());
    text.pair("Status", phase.unwrap_or_default());
    text.line(0, format_args!("\nNo resource quota."));
    text.line(0, format_args!("\nNo LimitRange resource."));
    text.finish()
}

/// Kinds without a text of their own are shown field by field, as kubectl's generic describer does.
fn describe_generic(meta: &ObjectMeta, value: Value) -> String {
    let mut text = Text::default();
    head(&mut text, meta, true);
    if let Value::Object(fields) = value {
        for (name, value) in &fields {
            field(&mut text, 0, name, value);
        }
    }
    text.finish()
}

fn field(text: &mut Text, level: usize, name: &str, value: &Value) {
    let title = title(name);
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            text.line(level, format_args!("{title}:"));
            for (name, value) in fields {
                // The head of the description has shown these.
                let shown = name == "name"
                    || name == "namespace"
                    || name == "labels"
                    || name == "annotations";
                if !(title == "Metadata" && shown) {
                    field(text, level + 1, name, value);
                }
            }
        }
        Value::Array(items) => {
            text.line(level, format_args!("{title}:"));
            for item in items {
                field(text, level + 1, "item", item);
            }
        }
        Value::String(word) => text.line(level, format_args!("{title}:\t{}", clean(word))),
        Value::Bool(_) | Value::Number(_) => text.line(level, format_args!("{title}:\t{value}")),
    }
}

/// `firstTimestamp` → `First Timestamp`.
fn title(name: &str) -> String {
    let mut title = String::new();
    let mut previous_lower = false;
    for character in name.chars() {
        if title.is_empty() {
            title.extend(character.to_uppercase());
        } else {
            if character.is_uppercase() && previous_lower {
                title.push(' ');
            }
            title.push(character);
        }
        previous_lower = character.is_lowercase();
    }
    if title == "Api Version" {
        "API Version".to_owned()
    } else {
        title
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;
    use crate::model::Kind;

    fn moment() -> Moment {
        Moment::new("2026-01-01T00:10:00Z".parse().unwrap(), TimeZone::UTC)
    }

    #[track_caller]
    fn check(kind: Kind, value: Value, events: Vec<Value>, expected: &str) {
        let object = Object::from_value(kind, value).unwrap();
        let related = Related {
            events: events
                .into_iter()
                .map(|event| Arc::new(serde_json::from_value(event).unwrap()))
                .collect(),
            ..Related::default()
        };
        let text = describe(&object, &related, &moment());
        assert_eq!(text, expected, "\n--- got\n{text}\n--- want\n{expected}");
    }

    #[test]
    fn pod() {
        let pod = json!({
            "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web", "tier": "front"},
                "annotations": {"note": "two\nlines", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"priority": 0, "serviceAccountName": "default", "nodeName": "box",
                "initContainers": [{"name": "setup", "image": "localhost/toolbox:latest", "command": ["sh", "-c", "true\nexit 0"]}],
                "containers": [{
                    "name": "a", "image": "localhost/toolbox:latest", "args": ["-x"],
                    "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}, {"containerPort": 53, "protocol": "UDP", "hostPort": 5353}],
                    "env": [{"name": "A", "value": "1"},
                            {"name": "ME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
                    "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cfg"}}],
                    "resources": {"limits": {"memory": "64Mi", "cpu": "100m"}, "requests": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 3,
                        "timeoutSeconds": 1, "periodSeconds": 3, "successThreshold": 1, "failureThreshold": 3},
                    "volumeMounts": [{"name": "data", "mountPath": "/z"}, {"name": "data", "mountPath": "/d", "readOnly": true, "subPath": "sub"}]
                }],
                "volumes": [{"name": "data", "emptyDir": {}}, {"name": "host", "hostPath": {"path": "/tmp", "type": ""}}],
                "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
            "status": {"phase": "Running", "hostIP": "10.1.1.1", "podIP": "10.2.0.2", "podIPs": [{"ip": "10.2.0.2"}], "qosClass": "Burstable",
                "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}],
                "containerStatuses": [{"name": "a", "image": "x", "imageID": "sha256:1", "containerID": "podtui://abc", "ready": false,
                    "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "not shown"}},
                    "lastState": {"terminated": {"exitCode": 137, "signal": 9, "reason": "OOMKilled", "message": "bad\u{1b}[2J",
                        "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:02:00Z"}}}]}
        });
        let events = vec![
            json!({"metadata": {}, "involvedObject": {"fieldPath": "spec.containers{a}"}, "type": "Warning", "reason": "BackOff", "message": "Back-off",
                   "count": 3, "source": {"component": "kubelet"}, "firstTimestamp": "2026-01-01T00:05:00Z", "lastTimestamp": "2026-01-01T00:09:50Z"}),
            json!({"metadata": {}, "involvedObject": {}, "type": "Normal", "reason": "Scheduled", "message": "Successfully assigned default/web to box",
                   "reportingComponent": "default-scheduler", "eventTime": "2026-01-01T00:00:00.000000Z"}),
        ];
        let expected = "\
Name:             web
Namespace:        default
Priority:         0
Service Account:  default
Node:             box/10.1.1.1
Start Time:       Thu, 01 Jan 2026 00:00:00 +0000
Labels:           app=web
                  tier=front
Annotations:      note:
                    two
                    lines
Status:           Running
IP:               10.2.0.2
IPs:
  IP:  10.2.0.2
Init Containers:
  setup:
    Image:      localhost/toolbox:latest
    Port:       <none>
    Host Port:  <none>
    Command:
      sh
      -c
      true
      exit 0
    Environment:  <none>
    Mounts:       <none>
Containers:
  a:
    Container ID:  podtui://abc
    Image:         localhost/toolbox:latest
    Image ID:      sha256:1
    Ports:         80/TCP (web), 53/UDP
    Host Ports:    0/TCP (web), 5353/UDP
    Args:
      -x
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Message:      bad^[[2J
      Exit Code:    137
      Signal:       9
      Started:      Thu, 01 Jan 2026 00:01:00 +0000
      Finished:     Thu, 01 Jan 2026 00:02:00 +0000
    Ready:          False
    Restart Count:  2
    Limits:
      cpu:     100m
      memory:  64Mi
    Requests:
      cpu:     100m
    Liveness:  http-get http://:8080/healthz delay=3s timeout=1s period=3s #success=1 #failure=3
    Environment Variables from:
      cfg  ConfigMap with prefix 'P_'  Optional: false
    Environment:
      A:   1
      ME:  web (v1:metadata.name)
      K:   <set to the key 'k' of config map 'c'>  Optional: false
    Mounts:
      /d from data (ro,path=\"sub\")
      /z from data (rw)
Conditions:
  Type          Status
  Initialized   True 
  Ready         False 
Volumes:
  data:
    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:     
    SizeLimit:  <unset>
  host:
    Type:          HostPath (bare host directory volume)
    Path:          /tmp
    HostPathType:  
QoS Class:         Burstable
Node-Selectors:    <none>
Tolerations:       node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
Events:
  Type     Reason     Age               From               Message
  ----     ------     ----              ----               -------
  Normal   Scheduled  10m               default-scheduler  Successfully assigned default/web to box
  Warning  BackOff    10s (x3 over 5m)  kubelet            spec.containers{a}: Back-off
";
        check(Kind::Pod, pod, events, expected);
    }

    #[test]
    fn a_pod_being_deleted() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "ns", "deletionTimestamp": "2026-01-01T00:09:55Z", "deletionGracePeriodSeconds": 30},
            "spec": {"containers": []}, "status": {"phase": "Running"}
        });
        let expected = "\
Name:                      p
Namespace:                 ns
Node:                      <none>
Labels:                    <none>
Annotations:               <none>
Status:                    Terminating (lasts 5s)
Termination Grace Period:  30s
IP:                        
IPs:                       <none>
Containers: <none>
Volumes:         <none>
QoS Class:       
Node-Selectors:  <none>
Tolerations:     <none>
Events:          <none>
";
        check(Kind::Pod, pod, Vec::new(), expected);
    }

    #[test]
    fn config_map() {
        let map = json!({"metadata": {"name": "c", "namespace": "d"}, "data": {"a": "1"}, "binaryData": {"b": "AAE="}});
        let expected = "\
Name:         c
Namespace:    d
Labels:       <none>
Annotations:  <none>

Data
====
a:
----
1


BinaryData
====
b: 2 bytes

Events:  <none>
";
        check(Kind::ConfigMap, map, Vec::new(), expected);
    }

    #[test]
    fn a_secret_shows_sizes_only() {
        let secret = json!({"metadata": {"name": "s", "namespace": "d"}, "type": "Opaque", "data": {"password": "c2VjcmV0"}});
        let expected = "\
Name:         s
Namespace:    d
Labels:       <none>
Annotations:  <none>

Type:  Opaque

Data
====
password:  6 bytes
";
        check(Kind::Secret, secret, Vec::new(), expected);
    }
}
