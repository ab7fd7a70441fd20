//! 09 and 20: what a preset gives, and a group that is placed as a whole or not at all.

use serde_json::Value;

use crate::stage::Stage;
use crate::support::statuses;

#[test]
fn scenario_09_a_preset_and_the_pods_it_selects() {
    require_debian!();
    let stage = Stage::start();
    assert_eq!(
        stage.apply_file("09-pod-preset.yaml"),
        "podpreset.settings.k8s.io/allow-database created\npod/website created\n"
    );
    let pod = stage.wait_running("website");
    let version = stage.ok(&[
        "get",
        "podpreset",
        "allow-database",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ]);
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        annotations["podpreset.admission.kubernetes.io/podpreset-allow-database"],
        version.as_str()
    );
    let look = |command: &str| stage.inside("website", "website", command);
    assert_eq!(
        look("echo $DB_PORT; touch /cache/x; ls /cache"),
        "6379\nx\n"
    );
    assert!(look("cat /proc/mounts").contains(" /cache "));
    // A contradiction leaves the pod as it was, and its user is told.
    let other = "apiVersion: v1\nkind: Pod\nmetadata: {name: other, labels: {role: frontend}}\nspec:\n  containers:\n  \
                 - {name: c, image: busybox, command: [sleep, '1000'], env: [{name: DB_PORT, value: '5432'}]}\n";
    let output = stage.apply_output(other);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Warning: podpreset allow-database is not applied: its variable DB_PORT differs from the one of container c\n"
    );
    stage.wait_running("other");
    assert_eq!(
        stage.inside("other", "c", "echo $DB_PORT; ls -d /cache 2>&1 || true"),
        "5432\nls: /cache: No such file or directory\n"
    );
    // A preset is looked at when a pod is created, never again.
    assert_eq!(
        stage.ok(&["delete", "podpreset", "allow-database"]),
        "podpreset.settings.k8s.io \"allow-database\" deleted from default namespace\n"
    );
    assert_eq!(look("echo $DB_PORT"), "6379\n");
    stage.delete_all();
}

/// What of the memory of the node is left for pods, Mi.
fn allocatable(stage: &Stage) -> u64 {
    let node: Value = serde_json::from_str(&stage.ok(&["get", "nodes", "-o", "json"])).unwrap();
    let memory = node["items"][0]["status"]["allocatable"]["memory"]
        .as_str()
        .unwrap();
    memory.strip_suffix("Ki").unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn scenario_20_three_containers_as_one() {
    require_debian!();
    let stage = Stage::start();
    let memory = allocatable(&stage);
    if memory < 3 * 1024 + 64 {
        println!("skipped: three times 1Gi do not fit on this machine of {memory}Mi");
        return;
    }
    // Room for two of the three.
    let taken = memory - 2560;
    stage.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: large}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - {{name: c, image: busybox, command: [sleep, '1000'], resources: {{requests: {{memory: {taken}Mi}}}}}}\n"
    ));
    stage.wait_running("large");
    stage.apply_file("20-rsyslog-group.yaml");
    let unfit = "FailedScheduling 0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 \
                 nodes are available: 1 No preemption victims found for incoming pod.";
    stage.wait("FailedScheduling", || {
        let events = stage.events_of("rsyslogd", "default");
        events.iter().any(|event| event == unfit).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    let pod = stage.pod("rsyslogd");
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(statuses(&pod).count(), 0, "not one of them was started");
    assert_eq!(stage.row("rsyslogd")[1..3], ["0/3", "Pending"]);
    // The next engine knows what is taken.
    stage.kill_engine();
    stage.serve();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(stage.pod("rsyslogd")["status"]["phase"], "Pending");
    stage.ok(&["delete", "pod", "large"]);
    stage.wait_running("rsyslogd");
    let row = stage.row("rsyslogd");
    assert_eq!(row[1..4], ["3/3", "Running", "0"], "{row:?}");
    stage.delete_all();
}
