//! The doors of the engine: names, its socket, control groups, secrets, profiles.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Podtui, processes};

fn sleeper(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sleep, '1000000']\n"
    )
}

fn connect(podtui: &Podtui) -> UnixStream {
    let stream = UnixStream::connect(podtui.run().join("api.sock")).expect("the engine listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream
}

/// The answer to raw bytes; empty when the engine just hangs up.
fn answer(podtui: &Podtui, request: &[u8]) -> String {
    let mut stream = connect(podtui);
    // The engine may have hung up before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer and no end"),
        _ => String::from_utf8_lossy(&text).into_owned(),
    }
}

#[track_caller]
fn assert_responsive(podtui: &Podtui) {
    let begin = Instant::now();
    podtui.ok(&["get", "pods"]);
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "the engine took {:?}",
        begin.elapsed()
    );
}

/// 38: garbage, oversized and lying requests are answered with an error or an end, and never with data.
#[test]
fn garbage_on_the_socket_is_refused() {
    let podtui = Podtui::start();
    let long = "x".repeat(1 << 20);
    let requests: Vec<Vec<u8>> = vec![
        vec![0; 100_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        format!("GET /api HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").into_bytes(),
        format!("GET /api HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000)).into_bytes(),
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\n".to_vec(),
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"a\":\xff\xfe}}".to_vec(),
        format!("POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{}", "[".repeat(100_000)).into_bytes(),
        b"GET /api/v1/namespaces/default/pods/x/exec?command=sh HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
    ];
    for request in requests {
        let begin = Instant::now();
        let text = answer(&podtui, &request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{shown:?}: {:?}",
            begin.elapsed()
        );
        assert!(
            !text.starts_with("HTTP/1.1 2"),
            "{shown:?} was accepted: {text}"
        );
    }
    // Four megabytes of a well-formed object.
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"x": "x".repeat(4 << 20)}}).to_string();
    let text = answer(
        &podtui,
        format!("POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{object}", object.len()).as_bytes(),
    );
    assert!(
        text.is_empty() || text.contains("413"),
        "{}",
        &text[..text.len().min(500)]
    );
    assert_responsive(&podtui);
    assert_eq!(
        podtui.ok(&["get", "pods,configmaps", "-o", "name"]),
        "configmap/kube-root-ca.crt\n"
    );
}

/// 38, 26: a path in a URL is never a path on the machine.
#[test]
fn urls_do_not_lead_out_of_the_api() {
    let podtui = Podtui::start();
    for path in [
        "/../../../etc/passwd",
        "/api/v1/../../../../etc/passwd",
        "/api/v1/namespaces/default/pods/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/namespaces/..%2f../pods",
        "/api/v1/namespaces/default/pods/..",
        "/api/v1/namespaces/default/pods/%2e%2e/log",
        "/api/v1/namespaces/default/pods/%00/log",
        "/api/v1/namespaces/default/pods/x%0d%0aSet-Cookie:y/log",
        "/api/v1/namespaces/%2e%2e/pods/%2e%2e%2f%2e%2e/log?container=../../../../etc/passwd",
    ] {
        // A whole request: hanging up now would let the engine drop it unanswered.
        let mut stream = connect(&podtui);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("the engine reads");
        let mut text = String::new();
        stream
            .read_to_string(&mut text)
            .expect("an answer and an end");
        assert!(!text.contains("root:"), "{path}: {text}");
        assert!(!text.contains("\r\nSet-Cookie"), "{path}: {text}");
        assert!(
            text.starts_with("HTTP/1.1 4") || text.contains("\"items\":[]"),
            "{path}: {text}"
        );
    }
}

/// 38: a thousand connections that send nothing, half a request or never read hold nobody up.
#[test]
fn a_thousand_slow_connections_hold_nobody_up() {
    let podtui = Podtui::start();
    let mut open = Vec::new();
    for number in 0..1000 {
        // This process may have fewer descriptors than the test wants.
        let Ok(mut stream) = UnixStream::connect(podtui.run().join("api.sock")) else {
            break;
        };
        match number % 3 {
            0 => {}
            1 => {
                let _ = stream.write_all(b"GET /api/v1/pods HTT");
            }
            _ => {
                let _ =
                    stream.write_all(b"GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: x\r\n\r\n");
            }
        }
        open.push(stream);
    }
    assert!(open.len() > 900, "only {} connections", open.len());
    for _ in 0..5 {
        assert_responsive(&podtui);
    }
    drop(open);
    assert_responsive(&podtui);
    podtui.wait("the engine to close its ends", || {
        let fds = fs::read_dir(format!("/proc/{}/fd", podtui.engine_pid()))
            .ok()?
            .count();
        (fds < 100).then_some(())
    });
}

/// 38: another user is refused, even where the directory and the mode of the socket were opened.
#[test]
fn another_user_gets_no_answer() {
    require_root!();
    let podtui = Podtui::start();
    let client = |podtui: &Podtui| {
        let script = format!(
            "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => '{}') or do {{ print \"closed: $!\"; exit }}; \
             print $s \"GET /api/v1/pods HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\"; local $/; print <$s>;",
            podtui.run().join("api.sock").display()
        );
        let output = Command::new("perl")
            .args(["-e", &script])
            .uid(65534)
            .gid(65534)
            .current_dir("/")
            .output()
            .expect("perl is part of every Debian");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = client(&podtui);
    assert!(text.contains("closed: Permission denied"), "{text}");
    let open =
        |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("chmod");
    for path in [podtui.path(), &podtui.run(), &podtui.run().join("api.sock")] {
        open(path);
    }
    let text = client(&podtui);
    assert_eq!(text, "", "the peer was answered or could not even connect");
    assert_responsive(&podtui);
}

/// 38: something else at the place of the socket is left alone and named.
#[test]
fn what_lies_at_the_place_of_the_socket_is_not_removed() {
    let podtui = Podtui::idle();
    let precious = podtui.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::create_dir_all(podtui.run()).unwrap();
    let socket = podtui.run().join("api.sock");
    std::os::unix::fs::symlink(&precious, &socket).unwrap();
    let text = podtui.refused(&["serve"]);
    assert!(text.contains("is not a socket of ours"), "{text}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(&socket).unwrap().is_symlink());
    fs::remove_file(&socket).unwrap();
}

/// 26: names that are paths, control bytes, too long or look like others are refused, and never used.
#[test]
fn hostile_names_are_refused() {
    let podtui = Podtui::start();
    let long = "a".repeat(10_000);
    for name in [
        "../../x",
        "..",
        ".",
        "a/b",
        "a\0b",
        "a\u{1b}[2Jb",
        "\u{430}bc",
        "A",
        "-a",
        "a ",
        "",
        &long,
    ] {
        let pod = |what: &str| {
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fine", "namespace": "default"},
                "spec": {
                    "containers": [{"name": "c", "image": "localhost/toolbox", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
                    "volumes": [{"name": "v", "emptyDir": {}}],
                },
            });
            *pod.pointer_mut(what).expect("a field") = json!(name);
            if what == "/spec/volumes/0/name" {
                pod["spec"]["containers"][0]["volumeMounts"][0]["name"] = json!(name);
            }
            pod.to_string()
        };
        for field in [
            "/metadata/name",
            "/metadata/namespace",
            "/spec/containers/0/name",
            "/spec/volumes/0/name",
        ] {
            if name.is_empty() && field == "/metadata/namespace" {
                continue;
            }
            let output = podtui.apply_output(&pod(field));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{field} = {name:?} was taken");
            assert!(
                text.len() < 50_000,
                "{field}: {} bytes of error",
                text.len()
            );
        }
    }
    for image in [
        "../../etc",
        "localhost/../x",
        "a\u{1b}[2J",
        "localhost/x@sha256:../../x",
        &long,
    ] {
        let image_pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "image"},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image, "imagePullPolicy": "Never"}]}});
        if podtui.apply_output(&image_pod.to_string()).status.success() {
            podtui.wait("the image to be refused", || {
                let pod = podtui.try_pod("image")?;
                let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
                (reason == "InvalidImageName").then_some(())
            });
            podtui.ok(&["delete", "pod", "image", "--grace-period=0", "--force"]);
        }
        podtui.refused(&["image", "inspect", image]);
        podtui.refused(&["image", "rm", image]);
    }
    assert_eq!(podtui.ok(&["get", "pods", "-A", "-o", "name"]), "");
    assert_responsive(&podtui);
}

/// 36 (CVE-2022-0492): no release_agent can be written or mounted, as root of a container.
#[test]
fn release_agents_are_out_of_reach() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a"));
    podtui.wait_running("a");
    let agent = podtui.path().join("agent");
    let script = format!(
        "for file in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release -o -name cgroup.procs -o -name devices.allow); do \
           (echo {} > $file) 2>/dev/null && echo WRITTEN $file; done; \
         mkdir -p /tmp/cg; for type in 'cgroup -o rdma' 'cgroup -o memory' cgroup2; do mount -t $type x /tmp/cg 2>/dev/null && echo MOUNTED $type; \
           unshare -UrmC sh -c \"mount -t $type x /tmp/cg\" 2>/dev/null && echo UNSHARED $type; done; \
         mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo REMOUNTED; \
         find /sys/fs/cgroup -maxdepth 1 | wc -l; echo the end",
        agent.display()
    );
    let text = podtui.ok(&["exec", "a", "--", "sh", "-c", &script]);
    assert!(text.contains("the end"), "{text}");
    for word in ["WRITTEN", "MOUNTED", "UNSHARED", "REMOUNTED"] {
        assert!(!text.contains(word), "{text}");
    }
    podtui.delete_all();
}

/// 48: the bytes of a Secret are in the object store and nowhere else: no argument, environment, log, run file.
#[test]
fn secrets_stay_in_the_object_store() {
    require_root!();
    let podtui = Podtui::idle();
    // Of this run, and never part of a command line or an environment of the test.
    let marker = format!("s3cr3t{}", podtui.path().display()).replace('/', "-") + "-z";
    let marker: String = marker.chars().rev().collect();
    fs::create_dir_all(podtui.path().join("config")).unwrap();
    fs::write(
        podtui.path().join("config/config.toml"),
        "log_level = \"trace\"\n",
    )
    .unwrap();
    podtui.serve();
    podtui.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {marker}}}\n"
    ));
    podtui.apply(&sleeper("a"));
    podtui.apply(
        &(sleeper("b").replace(
            "    command",
            "    volumeMounts: [{name: s, mountPath: /s}]\n    command",
        ) + "  volumes: [{name: s, secret: {secretName: s}}]\n"),
    );
    podtui.wait_running("a");
    podtui.wait_running("b");
    assert_eq!(
        podtui.ok(&["exec", "b", "--", "cat", "/s/password"]),
        marker
    );
    for arguments in [
        &["get", "secrets"][..],
        &["get", "secrets", "-o", "wide"],
        &["describe", "secret", "s"],
        &["events"],
        &["describe", "pods"],
    ] {
        let text = podtui.ok(arguments);
        assert!(
            !text.contains(&marker) && !text.contains(&base64(&marker)),
            "{arguments:?}: {text}"
        );
    }
    let needles = [marker.clone(), base64(&marker)];
    let holds = |bytes: &[u8]| {
        needles
            .iter()
            .any(|needle| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
    };
    let mut places = Vec::new();
    for entry in walkdir::WalkDir::new(podtui.path()).into_iter().flatten() {
        if entry.file_type().is_file() && fs::read(entry.path()).is_ok_and(|bytes| holds(&bytes)) {
            places.push(entry.into_path());
        }
    }
    assert!(!places.is_empty(), "the search finds nothing at all");
    for place in &places {
        assert!(
            place.starts_with(podtui.state().join("objects")),
            "{}",
            place.display()
        );
        assert_eq!(
            fs::metadata(place).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            place.display()
        );
    }
    for pid in processes() {
        for file in ["environ", "cmdline"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert!(!holds(&bytes), "/proc/{pid}/{file}");
        }
    }
    // After deletion and a new start nothing shows it, either.
    podtui.ok(&["delete", "secret", "s"]);
    podtui.serve_again();
    assert_eq!(podtui.ok(&["get", "secrets", "-o", "name"]), "");
    podtui.delete_all();
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// 49 (CVE-2023-2431): an empty or escaping profile is an error, and a profile that cannot be used is not the
/// same as none.
#[test]
fn a_broken_seccomp_profile_is_not_unconfined() {
    require_root!();
    let podtui = Podtui::start();
    let pod = |name: &str, profile: &str| {
        sleeper(name).replace(
            "    command",
            &format!("    securityContext: {{seccompProfile: {{{profile}}}}}\n    command"),
        )
    };
    for profile in [
        "type: Localhost",
        "type: Localhost, localhostProfile: ../../etc/passwd",
        "type: Localhost, localhostProfile: /etc/passwd",
        "type: Localhost, localhostProfile: a/../../b",
        "type: RuntimeDefault, localhostProfile: x.json",
        "type: Unconfined, localhostProfile: x.json",
        "type: unconfined",
        "type: ''",
    ] {
        let output = podtui.apply_output(&pod("broken", profile));
        assert!(!output.status.success(), "{profile} was taken");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("seccompProfile"), "{profile}: {text}");
    }
    for (name, file, told) in [
        ("missing", "missing.json", "missing.json"),
        ("nameless", "''", "localhostProfile must be set"),
    ] {
        podtui.apply(&pod(
            name,
            &format!("type: Localhost, localhostProfile: {file}"),
        ));
        let state = podtui.wait("the refusal", || {
            let state = podtui.pod(name)["status"]["containerStatuses"][0]["state"].clone();
            let message = state["waiting"]["message"].as_str()?;
            message.contains(told).then_some(state)
        });
        assert_eq!(state["waiting"]["reason"], "CreateContainerError");
        assert!(podtui.container_pids(name, "c").is_empty());
    }
    podtui.delete_all();
}
