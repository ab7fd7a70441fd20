//! What the engine tells of the inside of a pod: its processes, and the story of its containers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::Podtui;

/// A subresource of a pod in podtui's own group.
fn ask(podtui: &Podtui, pod: &str, what: &str) -> Value {
    let mut stream =
        UnixStream::connect(podtui.run().join("api.sock")).expect("the engine listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let path = format!("/apis/engine.podtui.dev/v1alpha1/namespaces/default/pods/{pod}/{what}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: podtui\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the engine reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the engine answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn pod(name: &str, command: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, '{command}']\n{more}"
    )
}

#[test]
fn processes_are_those_in_the_control_groups_of_the_pod() {
    require_root!();
    let podtui = Podtui::start();
    // One like it, in another pod; and one child that nobody reaps.
    podtui.apply(&pod("other", "exec sleep 1000000", ""));
    podtui.apply(&pod("own", "sleep 0.1 & exec sleep 1000000", ""));
    podtui.wait_running("other");
    podtui.wait_running("own");
    let found = podtui.wait("the zombie", || {
        let found = ask(&podtui, "own", "processes")["status"].clone();
        let all = found["processes"].as_array()?;
        let is_zombie = |one: &&Value| one["process"]["state"] == "Z";
        all.iter().find(is_zombie).is_some().then_some(found)
    });
    assert_eq!(found["total"], 3, "{found}");
    let all = found["processes"].as_array().expect("a list");
    let main = all
        .iter()
        .find(|one| one["process"]["innerPid"] == 1 && one["container"] == "c")
        .unwrap_or_else(|| panic!("no first process: {found}"));
    let main = &main["process"];
    assert_eq!(main["pid"], podtui.container_pid("own", "c"));
    assert_eq!(main["command"], "sleep 1000000");
    assert!(main["memoryBytes"].as_u64() > Some(0), "{main}");
    assert!(main["descriptors"].as_u64() >= Some(3), "{main}");
    let zombie = all.iter().find(|one| one["process"]["state"] == "Z");
    assert_eq!(zombie.expect("a zombie")["process"]["parent"], main["pid"]);
    let pause = all.iter().find(|one| one["container"].is_null());
    let pause = &pause.expect("pause")["process"];
    assert_eq!(pause["pid"], podtui.pause_pid("own"));
    podtui.delete_all();
}

#[test]
fn a_kill_for_lack_of_memory_is_told_and_outlives_the_engine() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "hungry",
        "tail /dev/zero; exec sleep 1000000",
        "    resources: {limits: {memory: 24Mi}}\n",
    ));
    let incidents = podtui.wait("the kill", || {
        let told = ask(&podtui, "hungry", "incidents")["items"].clone();
        (!told.as_array()?.is_empty()).then_some(told)
    });
    let kill = &incidents[0];
    assert_eq!(kill["container"], "c");
    assert!(kill["oomKills"].as_u64() >= Some(1), "{kill}");
    assert_eq!(kill["memoryLimit"], 24 << 20, "{kill}");
    let peak = kill["memoryPeak"].as_u64().expect("a number");
    // Kernels before 5.19 do not tell it in the unified hierarchy.
    assert!(peak == 0 || (20 << 20..=24 << 20).contains(&peak), "{kill}");
    // Where the kernel's log can be read it names the process.
    if let Some(victim) = kill["victim"].as_object() {
        assert!(
            victim["name"] == "tail" || victim["isMain"] == true,
            "{kill}"
        );
    }
    let events = podtui.wait("the event", || {
        let events = podtui.ok(&["events"]);
        events.contains("OOMKilling").then_some(events)
    });
    assert!(events.contains("Container c is out of memory"), "{events}");
    podtui.kill_engine();
    podtui.serve();
    let again = ask(&podtui, "hungry", "incidents")["items"].clone();
    assert_eq!(again[0], incidents[0]);
    podtui.delete_all();
}
