//! ConfigMaps and Secrets as variables and files, seen from inside the containers and from the machine.

use serde_json::Value;

use crate::support::{PATIENCE, Podtui, status};

/// `exec` in the first container of a pod.
#[track_caller]
fn inside(podtui: &Podtui, pod: &str, command: &str) -> String {
    podtui.ok(&["exec", pod, "--", "sh", "-c", command])
}

#[track_caller]
fn wait_waiting(podtui: &Podtui, name: &str, reason: &str) -> Value {
    podtui.wait(&format!("{name} to wait with {reason}"), || {
        podtui
            .try_pod(name)
            .map(|pod| status(&pod, "c")["state"]["waiting"].clone())
            .filter(|waiting| waiting["reason"] == reason)
    })
}

const EVERY_VARIABLE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1", b: $(A)}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {user: admin, password: p-4-ss}
---
apiVersion: v1
kind: Pod
metadata: {name: env, labels: {zone: eu}}
spec:
  containers:
  - name: c
    image: localhost/toolbox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "exec sleep 1000"]
    resources: {limits: {cpu: 250m, memory: 64Mi}}
    envFrom:
    - {configMapRef: {name: settings}, prefix: S_}
    - {secretRef: {name: login}}
    - {secretRef: {name: absent, optional: true}}
    env:
    - {name: A, value: "2"}
    - {name: B, value: "$(A)-$(S_a)-$$(A)-$(LATER)"}
    - {name: FROM_MAP, valueFrom: {configMapKeyRef: {name: settings, key: b}}}
    - {name: FROM_SECRET, valueFrom: {secretKeyRef: {name: login, key: password}}}
    - {name: NONE, valueFrom: {configMapKeyRef: {name: settings, key: nothing, optional: true}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: ZONE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['zone']"}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MILLI, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
"#;

#[test]
fn every_source_of_variables() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(EVERY_VARIABLE);
    let pod = podtui.wait_running("env");
    let env = inside(&podtui, "env", "env");
    let lines: Vec<&str> = env.lines().collect();
    let address = format!("ADDRESS={}", pod["status"]["podIP"].as_str().unwrap());
    let node = format!("NODE={}", pod["spec"]["nodeName"].as_str().unwrap());
    for line in [
        "S_a=1",
        "S_b=$(A)",
        "user=admin",
        "password=p-4-ss",
        "A=2",
        "B=2-1-$(A)-$(LATER)",
        "FROM_MAP=$(A)",
        "FROM_SECRET=p-4-ss",
        "POD=env",
        "ZONE=eu",
        &address,
        &node,
        "CPU=1",
        "MILLI=250",
        "MEMORY=64",
    ] {
        assert!(lines.contains(&line), "{line} is missing:\n{env}");
    }
    assert!(!env.contains("NONE="), "{env}");
    // What a shim writes to disk has no values of secrets in it.
    for entry in std::fs::read_dir(podtui.run().join("pods"))
        .unwrap()
        .flatten()
    {
        let state = std::fs::read_to_string(entry.path().join("state.json")).unwrap();
        assert!(!state.contains("p-4-ss"), "a secret is in a state file");
    }
    podtui.delete_all();
}

#[test]
fn a_missing_source_holds_the_container_until_it_appears() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: late}\nspec:\n  containers:\n  - name: c\n    \
         image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'exec sleep 1000']\n    \
         env:\n    - {name: ONE, valueFrom: {configMapKeyRef: {name: later, key: k}}}\n    \
         - {name: TWO, valueFrom: {secretKeyRef: {name: hidden, key: k}}}\n",
    );
    let waiting = wait_waiting(&podtui, "late", "CreateContainerConfigError");
    assert_eq!(waiting["message"], "configmap \"later\" not found");
    podtui.ok(&["create", "configmap", "later", "--from-literal=other=1"]);
    podtui.wait("the key to be missed", || {
        let pod = podtui.pod("late");
        (status(&pod, "c")["state"]["waiting"]["message"]
            == "couldn't find key k in ConfigMap default/later")
            .then_some(())
    });
    podtui.ok(&["delete", "configmap", "later"]);
    podtui.ok(&["create", "configmap", "later", "--from-literal=k=there"]);
    podtui.wait("the secret to be missed", || {
        let pod = podtui.pod("late");
        (status(&pod, "c")["state"]["waiting"]["message"] == "secret \"hidden\" not found")
            .then_some(())
    });
    let events = podtui.ok(&["events"]);
    assert!(
        events.contains("Error: configmap \"later\" not found"),
        "{events}"
    );
    let begin = std::time::Instant::now();
    podtui.ok(&[
        "create",
        "secret",
        "generic",
        "hidden",
        "--from-literal=k=v",
    ]);
    let pod = podtui.wait_running("late");
    assert!(begin.elapsed() < PATIENCE / 12, "it was polled for");
    assert_eq!(status(&pod, "c")["restartCount"], 0);
    assert_eq!(inside(&podtui, "late", "echo $ONE$TWO"), "therev\n");
    podtui.delete_all();
}
