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
    // The container has left no word; the event says what is known of its memory.
    assert!(terminated["message"].is_null(), "{terminated}");
    assert!(podtui.ok(&["get", "pods"]).contains("OOMKilled"));
    podtui.delete_all();
}

#[test]
fn last_words_of_containers() {
    require_root!();
    let podtui = Podtui::start();
    let one = |name: &str, script: &str, more: &str| {
        format!(
            "  - {{name: {name}, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, '{script}']{more}}}\n"
        )
    };
    let falls_back = ", terminationMessagePolicy: FallbackToLogsOnError";
    podtui.apply(
        &[
            "apiVersion: v1\nkind: Pod\nmetadata: {name: last}\nspec:\n  restartPolicy: Never\n  containers:\n",
            &one("plain", "printf bye > /dev/termination-log; echo no; exit 3", ""),
            &one("path", "printf there > /tmp/words; exit 0", ", terminationMessagePath: /tmp/words"),
            &one("silent", "echo only to the log; exit 4", ""),
            &one("log", "echo first; echo second >&2; exit 5", falls_back),
            &one("both", "printf file > /dev/termination-log; echo log; exit 6", falls_back),
            &one("fine", "echo log; exit 0", falls_back),
            &one("long", "for n in 1 2 3 4 5 6; do head -c 1000 /dev/zero | tr \"\\\\0\" $n; done > /dev/termination-log; exit 7", ""),
        ]
        .concat(),
    );
    let pod = podtui.wait_phase("last", "Failed");
    let words = |name: &str| {
        let end = &status(&pod, name)["state"]["terminated"];
        end["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(words("plain"), "bye");
    assert_eq!(words("path"), "there");
    assert_eq!(words("silent"), "");
    assert_eq!(words("log"), "first\nsecond\n");
    assert_eq!(words("both"), "file");
    assert_eq!(words("fine"), "");
    // Of 6,000 bytes the last 4,096 are read, and of those a seventh of 12 KiB is kept.
    let expected = ["2".repeat(96), "3".repeat(1000), "4".repeat(659)].concat();
    assert_eq!(words("long"), expected);
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

/// The names of events tell the nanosecond at which they were recorded.
#[test]
fn containers_are_started_in_the_order_of_the_spec() {
    require_root!();
    let podtui = Podtui::start();
    // Not that of the alphabet.
    let names = ["e", "a", "d", "b", "c", "f"];
    for pod in ["one", "two", "three"] {
        let mut manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n"
        );
        for name in names {
            manifest.push_str(&format!(
                "  - {{name: {name}, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sleep, \"1000\"]}}\n"
            ));
        }
        podtui.apply(&manifest);
    }
    for pod in ["one", "two", "three"] {
        podtui.wait_running(pod);
        let selector = format!("involvedObject.name={pod}");
        let mut started = podtui.wait("the events", || {
            let columns = "custom-columns=N:.metadata.name,R:.reason,F:.involvedObject.fieldPath";
            let text = podtui.ok(&[
                "get",
                "events",
                "--no-headers",
                "-o",
                columns,
                "--field-selector",
                &selector,
            ]);
            let lines: Vec<String> = text
                .lines()
                .filter(|line| line.contains(" Started "))
                .map(str::to_owned)
                .collect();
            (lines.len() == names.len()).then_some(lines)
        });
        started.sort();
        let order: Vec<&str> = started
            .iter()
            .filter_map(|line| line.split_once('{')?.1.strip_suffix('}'))
            .collect();
        assert_eq!(order, names, "{started:?}");
    }
    podtui.delete_all();
}
