//! postStart and preStop hooks, and how they share the grace period with the container.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::image::Rootfs;
use crate::support::{Podtui, status};

/// `script` answers SIGTERM at once unless it says otherwise.
fn pod(name: &str, spec: &str, script: &str, lifecycle: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{spec}  volumes: [{{name: v, emptyDir: {{}}}}]\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, '{script}']\n    volumeMounts: [{{name: v, mountPath: /v}}]\n    lifecycle: {lifecycle}\n"
    )
}

const POLITE: &str = "trap \"exit 0\" TERM; while :; do sleep 0.05; done";

#[test]
fn post_start_runs_before_the_container_is_told_as_running() {
    require_root!();
    let podtui = Podtui::start();
    let mut manifest = pod(
        "hooked",
        "  terminationGracePeriodSeconds: 0\n",
        POLITE,
        "{postStart: {exec: {command: [sh, -c, \"while [ ! -e /v/go ]; do sleep 0.05; done; echo done > /v/hook\"]}}}",
    );
    // The second one must wait for the hook of the first.
    manifest.push_str(
        "  - {name: d, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, 'cat /v/hook; exec sleep 1000'], volumeMounts: [{name: v, mountPath: /v}]}\n",
    );
    podtui.apply(&manifest);
    let pid = podtui.container_pid("hooked", "c");
    std::thread::sleep(Duration::from_millis(500));
    let waits = podtui.pod("hooked");
    for name in ["c", "d"] {
        assert_eq!(
            status(&waits, name)["state"]["waiting"]["reason"],
            "ContainerCreating",
            "{name}: {waits}"
        );
    }
    std::fs::write(format!("/proc/{pid}/root/v/go"), "").expect("the volume is there");
    podtui.wait_running("hooked");
    let read = podtui.wait("the log", || {
        Some(podtui.ok(&["logs", "hooked", "-c", "d"])).filter(|text| !text.is_empty())
    });
    assert_eq!(read, "done\n");
    podtui.delete_all();
}

#[test]
fn a_failed_post_start_kills_the_container() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "bad",
        "  restartPolicy: Always\n  terminationGracePeriodSeconds: 2\n",
        POLITE,
        "{postStart: {exec: {command: [sh, -c, \"echo out; echo err >&2; exit 7\"]}}, preStop: {exec: {command: [sh, -c, \"exit 1\"]}}}",
    ));
    let pod = podtui.wait("PostStartHookError", || {
        podtui
            .try_pod("bad")
            .filter(|pod| status(pod, "c")["state"]["waiting"]["reason"] == "PostStartHookError")
    });
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    let shown = "sh -c echo out; echo err >&2; exit 7";
    assert_eq!(
        status(&pod, "c")["state"]["waiting"]["message"],
        format!(
            "Exec lifecycle hook ([{shown}]) for Container \"c\" in Pod \"bad_default({uid})\" failed - error: command '{shown}' exited with 7: err\n, message: \"out\\nerr\\n\""
        )
    );
    podtui.wait("CrashLoopBackOff", || {
        podtui
            .try_pod("bad")
            .filter(|pod| status(pod, "c")["state"]["waiting"]["reason"] == "CrashLoopBackOff")
    });
    let events = podtui.ok(&["events"]);
    for text in [
        "FailedPostStartHook",
        "PostStartHook failed",
        "FailedPreStopHook",
        "PreStopHook failed",
        "Killing",
    ] {
        assert!(events.contains(text), "{text} is missing:\n{events}");
    }
    podtui.delete_all();
}

/// Deletes the pod and says how long that took.
fn delete(podtui: &Podtui, arguments: &[&str]) -> f64 {
    let begin = Instant::now();
    let mut all = vec!["delete", "pod"];
    all.extend(arguments);
    podtui.ok(&all);
    begin.elapsed().as_secs_f64()
}

#[test]
fn pre_stop_uses_up_the_grace_period() {
    require_root!();
    let podtui = Podtui::start();
    let deaf = "trap \"\" TERM; while :; do sleep 0.05; done";
    let sleeps = |seconds: u32| format!("{{preStop: {{sleep: {{seconds: {seconds}}}}}}}");
    let grace = |seconds: u32| format!("  terminationGracePeriodSeconds: {seconds}\n");
    // The hook takes one of the five seconds, the deaf container the other four.
    podtui.apply(&pod("deaf", &grace(5), deaf, &sleeps(1)));
    // The hook would take longer than there is: at its end two seconds are left all the same.
    let endless = "{preStop: {exec: {command: [sleep, \"1000\"]}}}";
    podtui.apply(&pod("endless", &grace(2), deaf, endless));
    // Nothing is waited for but the hook.
    podtui.apply(&pod("polite", &grace(30), POLITE, &sleeps(2)));
    // Grace period 0 skips the hook (its second is the least that a deletion leaves).
    podtui.apply(&pod("forced", &grace(30), POLITE, &sleeps(20)));
    podtui.apply(&pod("shorter", &grace(60), POLITE, &sleeps(50)));
    for name in ["deaf", "endless", "polite", "forced", "shorter"] {
        podtui.wait_running(name);
    }
    let deletions: Vec<_> = [
        ("deaf", 4.9, 9.0),
        ("endless", 3.9, 8.0),
        ("polite", 1.9, 6.0),
    ]
    .into_iter()
    .map(|(name, least, most)| {
        let mut command = podtui.command(&["delete", "pod", name]);
        std::thread::spawn(move || {
            let begin = Instant::now();
            let output = command.output().expect("podtui starts");
            assert!(output.status.success(), "{output:?}");
            let took = begin.elapsed().as_secs_f64();
            assert!(took >= least && took < most, "{name} took {took} s");
        })
    })
    .collect();
    for deletion in deletions {
        deletion.join().expect("as long as it should");
    }
    podtui.ok(&["delete", "pod", "shorter", "--wait=false"]);
    let took = delete(&podtui, &["shorter", "--grace-period=1"]);
    assert!(took < 6.0, "a shorter period ended the hook after {took} s");
    podtui.ok(&["delete", "pod", "forced", "--force", "--grace-period=0"]);
    podtui.delete_all();
}

/// Answers one request with a status that a hook does not care about, and gives the request back.
fn answer_once(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().expect("a request");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket takes a timeout");
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut bytes).expect("a request");
        assert!(read > 0, "{}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&bytes[..read]);
    }
    let answer =
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).expect("the hook reads");
    String::from_utf8_lossy(&request).into_owned()
}

#[test]
fn http_hooks_fail_only_when_nobody_answers() {
    require_root!();
    let podtui = Podtui::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let get = |path: &str| format!("{{httpGet: {{host: 127.0.0.1, port: {port}, path: {path}}}}}");
    podtui.apply(&pod(
        "web",
        "  terminationGracePeriodSeconds: 20\n",
        POLITE,
        &format!("{{postStart: {}, preStop: {}}}", get("/hello"), get("/bye")),
    ));
    let hello = answer_once(&listener);
    assert!(hello.starts_with("GET /hello HTTP/1.1\r\n"), "{hello}");
    let agent = "user-agent: kube-lifecycle/1.36";
    assert!(hello.to_lowercase().contains(agent), "{hello}");
    podtui.wait_running("web");
    let mut deletion = podtui.command(&["delete", "pod", "web"]);
    let deletion = std::thread::spawn(move || deletion.output().expect("podtui starts"));
    let bye = answer_once(&listener);
    assert!(bye.starts_with("GET /bye HTTP/1.1\r\n"), "{bye}");
    assert!(deletion.join().expect("it ends").status.success());

    // Without a host it goes to the pod itself, where nobody listens.
    podtui.apply(&pod(
        "deaf",
        "  terminationGracePeriodSeconds: 1\n",
        POLITE,
        "{postStart: {httpGet: {port: 81, path: /x}}}",
    ));
    let pod = podtui.wait("PostStartHookError", || {
        podtui
            .try_pod("deaf")
            .filter(|pod| status(pod, "c")["state"]["waiting"]["reason"] == "PostStartHookError")
    });
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    let ip = pod["status"]["podIP"].as_str().expect("an address");
    assert_eq!(
        status(&pod, "c")["state"]["waiting"]["message"],
        format!(
            "HTTP lifecycle hook (/x) for Container \"c\" in Pod \"deaf_default({uid})\" failed - error: \
             Get \"http://{ip}:81/x\": dial tcp {ip}:81: connect: connection refused"
        )
    );
    podtui.delete_all();
}

/// The image says which signal asks its process to end.
#[test]
fn an_image_chooses_its_stop_signal() {
    require_images!();
    let podtui = Podtui::start();
    let config = serde_json::json!({"StopSignal": "SIGUSR1"});
    Rootfs::new().load(&podtui, "choosy", config);
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: choosy}\nspec:\n  restartPolicy: Never\n  activeDeadlineSeconds: 2\n  terminationGracePeriodSeconds: 30\n  containers:\n  - name: c\n    image: localhost/choosy:latest\n    imagePullPolicy: Never\n    command: [sh, -c, 'trap \"exit 5\" USR1; trap \"exit 6\" TERM; while :; do sleep 0.1; done']\n",
    );
    let pod = podtui.wait_phase("choosy", "Failed");
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    assert_eq!(
        pod["status"]["message"],
        "Pod was active on the node longer than the specified deadline"
    );
    assert_eq!(status(&pod, "c")["state"]["terminated"]["exitCode"], 5);
    podtui.delete_all();
}
