//! Restarts, back-off, OOM kills, termination: the texts and codes a user sees.

use std::time::{Duration, Instant};

use crate::support::{Podtui, status};

fn pod(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{spec}  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n{container}"
    )
}

#[test]
fn a_crashing_container_backs_off() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "crash",
        "",
        "    command: [sh, -c, 'echo dying; exit 3']\n",
    ));
    let pod = podtui.wait("the first restart", || {
        podtui
            .try_pod("crash")
            .filter(|pod| status(pod, "c")["restartCount"] == 1)
    });
    let last = &status(&pod, "c")["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&3.into(), &"Error".into())
    );
    let pod = podtui.wait("CrashLoopBackOff", || {
        podtui
            .try_pod("crash")
            .filter(|pod| status(pod, "c")["state"]["waiting"]["reason"] == "CrashLoopBackOff")
    });
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(
        status(&pod, "c")["state"]["waiting"]["message"],
        format!("back-off 10s restarting failed container=c pod=crash_default({uid})")
    );
    assert_eq!(pod["status"]["phase"], "Running");
    let table = podtui.ok(&["get", "pods"]);
    assert!(table.contains("CrashLoopBackOff"), "{table}");
    assert!(
        table.starts_with("NAME    READY   STATUS             RESTARTS"),
        "{table}"
    );
    let begin = Instant::now();
    podtui.wait("the second restart", || {
        podtui
            .try_pod("crash")
            .filter(|pod| status(pod, "c")["restartCount"] == 2)
    });
    assert!(
        begin.elapsed() > Duration::from_secs(5),
        "the second restart came without back-off"
    );
    let events = podtui.ok(&["events"]);
    for text in [
        "Scheduled",
        "Created",
        "Container created",
        "Started",
        "BackOff",
        "Back-off restarting failed container c in pod crash_default(",
    ] {
        assert!(events.contains(text), "{text} is missing:\n{events}");
    }
    assert_eq!(podtui.ok(&["logs", "crash", "-p"]), "dying\n");
    podtui.delete_all();
}

#[test]
fn a_container_over_its_limit_is_oom_killed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "oom",
        "  restartPolicy: Never\n",
        "    command: [sh, -c, 'exec tail /dev/zero']\n    resources: {limits: {memory: 24Mi}}\n",
    ));
    let pod = podtui.wait_phase("oom", "Failed");
    let terminated = &status(&pod, "c")["state"]["terminated"];
    assert_eq!(
        (&terminated["reason"], &terminated["exitCode"]),
        (&"OOMKilled".into(), &137.into())
    );
    assert!(podtui.ok(&["get", "pods"]).contains("OOMKilled"));
    podtui.delete_all();
}

#[test]
fn policies_decide_the_phase() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "done",
        "  restartPolicy: Never\n",
        "    command: ['true']\n",
    ));
    podtui.apply(&pod(
        "bad",
        "  restartPolicy: Never\n",
        "    command: [sh, -c, 'exit 7']\n",
    ));
    podtui.apply(&pod(
        "fine",
        "  restartPolicy: OnFailure\n",
        "    command: ['true']\n",
    ));
    podtui.apply(&pod(
        "nothing",
        "  restartPolicy: Never\n",
        "    command: [/does/not/exist]\n",
    ));
    podtui.wait_phase("done", "Succeeded");
    podtui.wait_phase("fine", "Succeeded");
    let bad = podtui.wait_phase("bad", "Failed");
    assert_eq!(status(&bad, "c")["state"]["terminated"]["exitCode"], 7);
    let nothing = podtui.wait_phase("nothing", "Failed");
    let terminated = &status(&nothing, "c")["state"]["terminated"];
    assert_eq!(
        (&terminated["reason"], &terminated["exitCode"]),
        (&"StartError".into(), &128.into()),
        "{terminated}"
    );
    podtui.delete_all();
}

#[test]
fn termination_asks_first_and_then_kills() {
    require_root!();
    let podtui = Podtui::start();
    let polite =
        "    command: [sh, -c, 'trap \"echo bye; exit 0\" TERM; while :; do sleep 0.1; done']\n";
    let stubborn = "    command: [sh, -c, 'trap \"\" TERM; while :; do sleep 0.1; done']\n";
    podtui.apply(&pod(
        "polite",
        "  terminationGracePeriodSeconds: 30\n",
        polite,
    ));
    podtui.apply(&pod(
        "stubborn",
        "  terminationGracePeriodSeconds: 3\n",
        stubborn,
    ));
    podtui.wait_running("polite");
    podtui.wait_running("stubborn");
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    podtui.ok(&["delete", "pod", "polite"]);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "SIGTERM was not delivered"
    );
    let begin = Instant::now();
    podtui.ok(&["delete", "pod", "stubborn"]);
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_millis(2900) && took < Duration::from_secs(15),
        "{took:?}"
    );
    podtui.delete_all();
}

#[test]
fn images_that_are_not_here_say_why() {
    require_root!();
    let podtui = Podtui::start();
    let spec = |name: &str, policy: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: c, image: nginx, imagePullPolicy: {policy}}}\n"
        )
    };
    podtui.apply(&spec("never", "Never"));
    podtui.apply(&spec("always", "Always"));
    let reason = |name: &str, wanted: &[&str]| {
        podtui.wait(&format!("{name} to say {wanted:?}"), || {
            let pod = podtui.try_pod(name)?;
            let reason = status(&pod, "c")["state"]["waiting"]["reason"]
                .as_str()?
                .to_owned();
            wanted.contains(&reason.as_str()).then_some(())
        });
    };
    reason("never", &["ErrImageNeverPull"]);
    reason("always", &["ErrImagePull", "ImagePullBackOff"]);
    let events = podtui.ok(&["events"]);
    assert!(
        events.contains("Container image \"nginx\" is not present with pull policy of Never"),
        "{events}"
    );
    podtui.delete_all();
}

#[test]
fn exec_passes_streams_and_codes() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "exec",
        "  terminationGracePeriodSeconds: 0\n",
        "    command: [sleep, '1000000']\n",
    ));
    podtui.wait_running("exec");
    let output = podtui.output(&[
        "exec",
        "exec",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 42",
    ]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("err\n"));
    assert_eq!(output.status.code(), Some(42));
    // Two megabytes through stdin and back, unchanged.
    let data: Vec<u8> = (0..2_000_000u32)
        .map(|index| index.to_le_bytes()[index as usize % 4])
        .collect();
    let mut child = podtui
        .command(&["exec", "-i", "exec", "--", "cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("podtui starts");
    let mut stdin = child.stdin.take().expect("piped");
    let copy = data.clone();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &copy));
    let output = child.wait_with_output().expect("podtui ends");
    writer
        .join()
        .expect("no panic")
        .expect("the pipe takes everything");
    assert!(
        output.stdout == data,
        "exec -i cat changed the data: {} bytes back",
        output.stdout.len()
    );
    podtui.delete_all();
}
