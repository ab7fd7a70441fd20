//! Init containers and sidecars: their order, what their failures do, and how the pod ends with them.

use serde_json::Value;

use crate::support::{Podtui, status};

/// One container of a flow-style list.
fn container(name: &str, script: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]{more}}}\n"
    )
}

fn pod(name: &str, spec: &str, init: &[String], app: &[String]) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{spec}  volumes: [{{name: v, emptyDir: {{}}}}]\n  initContainers:\n{}  containers:\n{}",
        init.concat(),
        app.concat()
    )
}

fn init_status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    pod["status"]["initContainerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|status| status["name"] == container)
        .unwrap_or(&Value::Null)
}

fn line<'a>(table: &'a str, pod: &str) -> &'a str {
    table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(pod))
        .unwrap_or_default()
}

/// Waits until `get pods` shows this STATUS for the pod.
#[track_caller]
fn wait_shown(podtui: &Podtui, pod: &str, shown: &str) -> String {
    podtui.wait(&format!("{pod} to show {shown}"), || {
        let table = podtui.ok(&["get", "pods"]);
        let line = line(&table, pod).to_owned();
        (line.split_whitespace().nth(2) == Some(shown)).then_some(line)
    })
}

#[test]
fn the_sequence_runs_in_order_and_sidecars_end_last() {
    require_root!();
    let podtui = Podtui::start();
    let side = |name: &str| {
        container(
            name,
            &format!(
                "echo {name} >> /v/order; trap \"echo end-{name} >> /v/order; exit 0\" TERM; while :; do sleep 0.05; done"
            ),
            ", restartPolicy: Always",
        )
    };
    podtui.apply(&pod(
        "order",
        "  restartPolicy: Never\n  terminationGracePeriodSeconds: 5\n",
        &[
            container("one", "sleep 0.3; echo one >> /v/order", ""),
            side("first"),
            container("two", "sleep 0.3; echo two >> /v/order", ""),
            side("second"),
        ],
        &[container(
            "main",
            "echo main >> /v/order; while [ ! -e /v/go ]; do sleep 0.05; done; echo end-main >> /v/order",
            "",
        )],
    ));
    let line = wait_shown(&podtui, "order", "Running");
    assert_eq!(line.split_whitespace().nth(1), Some("3/3"), "{line}");
    let read =
        |podtui: &Podtui| podtui.ok(&["exec", "order", "-c", "main", "--", "cat", "/v/order"]);
    assert_eq!(read(&podtui), "one\nfirst\ntwo\nsecond\nmain\n");
    let running = podtui.pod("order");
    assert_eq!(init_status(&running, "first")["started"], true);
    assert_eq!(init_status(&running, "one")["ready"], true);
    // The volume outlives the containers only as long as the pod is not over: look at it from outside.
    let uid = running["metadata"]["uid"]
        .as_str()
        .expect("a uid")
        .to_owned();
    let volume = podtui.state().join("pods").join(uid);
    let file = find(&volume, "order").expect("the volume is on disk");
    let watcher = std::thread::spawn(move || {
        let mut last = String::new();
        while let Ok(text) = std::fs::read_to_string(&file) {
            last = text;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        last
    });
    podtui.ok(&["exec", "order", "-c", "main", "--", "touch", "/v/go"]);
    let ended = podtui.wait_phase("order", "Succeeded");
    let order = watcher.join().expect("the watcher ends");
    assert!(
        order.ends_with("end-main\nend-second\nend-first\n"),
        "{order}"
    );
    for name in ["first", "second"] {
        assert_eq!(
            init_status(&ended, name)["state"]["terminated"]["exitCode"],
            0,
            "{name}"
        );
    }
    let table = podtui.ok(&["get", "pods"]);
    assert!(table.contains("Completed"), "{table}");
    podtui.delete_all();
}

fn find(directory: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if entry.file_name() == name && path.is_file() {
            return Some(path);
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}

#[test]
fn failures_of_init_containers() {
    require_root!();
    let podtui = Podtui::start();
    let main = [container("main", "exec sleep 1000", "")];
    let fails = container("bad", "exit 3", "");
    podtui.apply(&pod(
        "never",
        "  restartPolicy: Never\n",
        &[container("good", "true", ""), fails.clone()],
        &main,
    ));
    podtui.apply(&pod(
        "oom",
        "  restartPolicy: Never\n",
        &[container(
            "big",
            "exec tail /dev/zero",
            ", resources: {limits: {memory: 24Mi}}",
        )],
        &main,
    ));
    podtui.apply(&pod(
        "again",
        "  terminationGracePeriodSeconds: 0\n",
        &[fails],
        &main,
    ));
    podtui.apply(&pod(
        "heals",
        "  restartPolicy: OnFailure\n  terminationGracePeriodSeconds: 0\n",
        &[container(
            "twice",
            "[ -e /v/seen ] || { touch /v/seen; exit 1; }",
            "",
        )],
        &main,
    ));
    wait_shown(&podtui, "again", "Init:CrashLoopBackOff");
    let again = podtui.pod("again");
    assert_eq!(again["status"]["phase"], "Pending");
    assert_eq!(
        init_status(&again, "bad")["lastState"]["terminated"]["exitCode"],
        3
    );
    assert_eq!(
        status(&again, "main")["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    let conditions = again["status"]["conditions"]
        .as_array()
        .expect("conditions");
    let initialized = conditions
        .iter()
        .find(|condition| condition["type"] == "Initialized")
        .expect("Initialized");
    assert_eq!(
        (&initialized["reason"], &initialized["message"]),
        (
            &"ContainersNotInitialized".into(),
            &"containers with incomplete status: [bad]".into()
        )
    );
    podtui.wait_phase("never", "Failed");
    podtui.wait_phase("oom", "Failed");
    wait_shown(&podtui, "never", "Init:Error");
    wait_shown(&podtui, "oom", "Init:OOMKilled");
    let healed = podtui.wait_running("heals");
    assert_eq!(init_status(&healed, "twice")["restartCount"], 1);
    podtui.delete_all();
}

#[test]
fn a_rule_restarts_all_containers_in_their_sandbox() {
    require_root!();
    let podtui = Podtui::start();
    let rules = ", restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]";
    let deaf_hook = ", lifecycle: {preStop: {sleep: {seconds: 20}}}";
    podtui.apply(&pod(
        "again",
        "  restartPolicy: Never\n  terminationGracePeriodSeconds: 30\n",
        &[container("one", "echo one >> /v/log", "")],
        &[
            container(
                "asks",
                "sleep 0.5; [ -e /v/seen ] || { touch /v/seen; exit 42; }; exec sleep 1000",
                rules,
            ),
            container(
                "other",
                "cat /v/log; trap \"exit 0\" TERM; while :; do sleep 0.05; done",
                deaf_hook,
            ),
        ],
    ));
    let first = podtui.wait_running("again");
    let second = podtui.wait("the second round", || {
        podtui.try_pod("again").filter(|pod| {
            ["asks", "other"]
                .iter()
                .all(|name| status(pod, name)["state"]["running"].is_object())
                && status(pod, "asks")["restartCount"] == 1
        })
    });
    assert_eq!(second["status"]["podIP"], first["status"]["podIP"]);
    assert_eq!(init_status(&second, "one")["restartCount"], 1);
    let last = |pod: &Value, name: &str| status(pod, name)["lastState"]["terminated"].clone();
    for name in ["asks", "other"] {
        let told = last(&second, name);
        assert_eq!(
            (&told["reason"], &told["exitCode"]),
            (&"RestartingAllContainers".into(), &137.into())
        );
    }
    let conditions = second["status"]["conditions"]
        .as_array()
        .expect("conditions");
    let told = conditions
        .iter()
        .find(|condition| condition["type"] == "AllContainersRestarting")
        .expect("the condition");
    assert_eq!(told["status"], "False");
    let read = podtui.wait("the log", || {
        Some(podtui.ok(&["logs", "again", "-c", "other"])).filter(|text| text.lines().count() == 2)
    });
    assert_eq!(read, "one\none\n");
    podtui.delete_all();
}

/// The sidecar asks, and what is killed for it would not run again by any policy: the pod goes on all the same.
#[test]
fn a_sidecar_restarts_all_containers_under_any_policy() {
    require_root!();
    let podtui = Podtui::start();
    let rules = ", restartPolicy: Always, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [6]}}]";
    let asks = "while [ ! -e /v/go ]; do sleep 0.05; done; [ -e /v/seen ] || { touch /v/seen; exit 6; }; trap \"exit 0\" TERM; while :; do sleep 0.05; done";
    let runs = "trap \"exit 0\" TERM; while :; do sleep 0.05; done";
    let policies = ["Never", "OnFailure", "Always"];
    for policy in policies {
        podtui.apply(&pod(
            &policy.to_lowercase(),
            &format!("  restartPolicy: {policy}\n"),
            &[
                container("one", "echo one >> /v/log", ""),
                container("side", asks, rules),
            ],
            &[
                container("polite", runs, ""),
                container("deaf", "echo up >> /v/up; exec sleep 1000", ""),
            ],
        ));
    }
    for policy in policies {
        let name = policy.to_lowercase();
        podtui.wait_running(&name);
        podtui.ok(&["exec", &name, "-c", "polite", "--", "touch", "/v/go"]);
    }
    for policy in policies {
        let name = policy.to_lowercase();
        let again = podtui.wait("the second round", || {
            let pod = podtui.pod(&name);
            assert_eq!(
                pod["status"]["phase"]
                    .as_str()
                    .filter(|phase| matches!(*phase, "Succeeded" | "Failed")),
                None,
                "{pod}"
            );
            let runs = |name| status(&pod, name)["state"]["running"].is_object();
            (runs("polite") && runs("deaf") && status(&pod, "deaf")["restartCount"] == 1)
                .then_some(pod)
        });
        assert_eq!(again["status"]["phase"], "Running");
        assert_eq!(init_status(&again, "one")["restartCount"], 1);
        assert_eq!(init_status(&again, "side")["restartCount"], 1);
        let log = podtui.ok(&["exec", &name, "-c", "polite", "--", "cat", "/v/log"]);
        assert_eq!(log, "one\none\n");
    }
    podtui.delete_all();
}
