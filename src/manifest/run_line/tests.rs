use serde_json::{Value, json};

use super::pod_of_run_line;
use crate::manifest::{check, load};

fn pod(line: &str) -> (Value, Vec<String>) {
    let text = pod_of_run_line(line).unwrap();
    let loaded = load(&text, "");
    assert_eq!(loaded.diagnostics, [], "{text}");
    assert_eq!(check(&loaded.documents[0]), [], "{text}");
    let notes = text
        .lines()
        .filter_map(|line| line.strip_prefix("# * "))
        .map(str::to_owned)
        .collect();
    (loaded.documents[0].value.clone(), notes)
}

/// `fields` are JSON pointers below `spec`; `notes` are parts of the comments, one each.
#[track_caller]
fn check_line(flags: &str, fields: &[(&str, Value)], notes: &[&str]) {
    let (value, found) = pod(&format!("docker run {flags} img"));
    for (pointer, expected) in fields {
        let place = if pointer.starts_with("/metadata") {
            (*pointer).to_owned()
        } else {
            format!("/spec{}", pointer.replace("/c/", "/containers/0/"))
        };
        assert_eq!(value.pointer(&place), Some(expected), "{flags}: {value:#}");
    }
    assert_eq!(found.len(), notes.len(), "{flags}: {found:?}");
    for (found, part) in found.iter().zip(notes) {
        assert!(found.contains(part), "{found} lacks {part}");
    }
}

#[test]
fn a_whole_line() {
    let line = "sudo docker run -dit --name web --restart=unless-stopped -p 127.0.0.1:8080:80 -p 53:53/udp -v /srv/www:/www:ro \\\n  \
        -e MODE=prod -e 'GREETING=hello world' --memory 512m --cpus 1.5 --rm nginx:1.27 nginx -g 'daemon off;'";
    insta::assert_snapshot!(pod_of_run_line(line).unwrap());
}

#[test]
fn an_empty_entrypoint_takes_that_of_the_image_away() {
    let (value, notes) = pod("docker run --entrypoint '' img sh -c 'echo hi'");
    let container = value.pointer("/spec/containers/0").unwrap();
    assert_eq!(container["command"], json!(["sh", "-c", "echo hi"]));
    assert_eq!(container.get("args"), None);
    assert_eq!(notes, Vec::<String>::new());
    check_line("--entrypoint ''", &[], &["nothing to run"]);
}

#[test]
fn flags_with_a_field() {
    check_line(
        "",
        &[
            ("/restartPolicy", json!("Never")),
            ("/c/imagePullPolicy", json!("IfNotPresent")),
        ],
        &[],
    );
    check_line(
        "-it",
        &[("/c/stdin", json!(true)), ("/c/tty", json!(true))],
        &[],
    );
    check_line("-d --tty=false", &[], &[]);
    check_line(
        "--name my_pod",
        &[("/metadata/name", json!("my-pod"))],
        &["--name=my_pod"],
    );
    check_line(
        "-p 80",
        &[("/c/ports", json!([{"containerPort": 80}]))],
        &["no random host ports"],
    );
    check_line(
        "-p8000-8001:80-81",
        &[(
            "/c/ports",
            json!([{"containerPort": 80, "hostPort": 8000}, {"containerPort": 81, "hostPort": 8001}]),
        )],
        &[],
    );
    check_line(
        "-p [::1]:8080:80/udp",
        &[(
            "/c/ports",
            json!([{"containerPort": 80, "hostPort": 8080, "hostIP": "::1", "protocol": "UDP"}]),
        )],
        &[],
    );
    check_line("-p 1-2:3-9", &[], &["differ in length"]);
    check_line(
        "-v /a:/b:ro,z -v cache:/c -v cache:/d -v /e",
        &[
            (
                "/volumes",
                json!([
                    {"name": "a", "hostPath": {"path": "/a"}},
                    {"name": "cache", "emptyDir": {}},
                    {"name": "data", "emptyDir": {}},
                ]),
            ),
            (
                "/c/volumeMounts",
                json!([
                    {"name": "a", "mountPath": "/b", "readOnly": true},
                    {"name": "cache", "mountPath": "/c"},
                    {"name": "cache", "mountPath": "/d"},
                    {"name": "data", "mountPath": "/e"},
                ]),
            ),
        ],
        &["option z", "named volume cache"],
    );
    check_line(
        "-v ./src:/src",
        &[("/volumes/0/hostPath/path", json!("./src"))],
        &["absolute path"],
    );
    check_line(
        "--mount type=bind,src=/a,dst=/b,readonly --tmpfs /run:size=64m,mode=700",
        &[
            (
                "/volumes/1",
                json!({"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}),
            ),
            (
                "/c/volumeMounts/0",
                json!({"name": "a", "mountPath": "/b", "readOnly": true}),
            ),
            (
                "/c/volumeMounts/1",
                json!({"name": "tmp", "mountPath": "/run"}),
            ),
        ],
        &["option mode=700"],
    );
    check_line(
        "-e A=1 -e B --env-file ./x.env",
        &[
            (
                "/c/env",
                json!([{"name": "A", "value": "1"}, {"name": "B", "value": ""}]),
            ),
            ("/c/envFrom", json!([{"configMapRef": {"name": "img-env"}}])),
        ],
        &["from your shell", "--from-env-file=./x.env"],
    );
    check_line(
        "-w /app -u 1000:50",
        &[
            ("/c/workingDir", json!("/app")),
            (
                "/c/securityContext",
                json!({"runAsUser": 1000, "runAsGroup": 50}),
            ),
        ],
        &[],
    );
    check_line("-u www-data", &[], &["numeric ids"]);
    check_line(
        "--entrypoint /bin/sh",
        &[("/c/command", json!(["/bin/sh"]))],
        &[],
    );
    check_line(
        "--entrypoint '[\"a\", \"b\"]'",
        &[("/c/command", json!(["a", "b"]))],
        &[],
    );
    check_line(
        "--restart always",
        &[("/restartPolicy", json!("Always"))],
        &[],
    );
    check_line(
        "--restart on-failure:3",
        &[("/restartPolicy", json!("OnFailure"))],
        &["not counted"],
    );
    check_line(
        "-m 1g --memory-reservation 1024",
        &[(
            "/c/resources",
            json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1024"}}),
        )],
        &[],
    );
    check_line(
        "--network host --pid=host --ipc host",
        &[
            ("/hostNetwork", json!(true)),
            ("/hostPID", json!(true)),
            ("/hostIPC", json!(true)),
        ],
        &[],
    );
    check_line("--net mine", &[], &["--network=mine: not carried over"]);
    check_line(
        "--privileged --cap-add CAP_NET_ADMIN --cap-add sys_time --cap-drop all --read-only",
        &[(
            "/c/securityContext",
            json!({"privileged": true, "capabilities": {"add": ["NET_ADMIN", "SYS_TIME"], "drop": ["ALL"]}, "readOnlyRootFilesystem": true}),
        )],
        &[],
    );
    check_line(
        "-h web --add-host a:10.0.0.1 --add-host b:10.0.0.1 --add-host x:host-gateway",
        &[
            ("/hostname", json!("web")),
            (
                "/hostAliases",
                json!([{"ip": "10.0.0.1", "hostnames": ["a", "b"]}]),
            ),
        ],
        &["only IP addresses"],
    );
    check_line(
        "-l app=web --label 'text=two words'",
        &[
            ("/metadata/labels", json!({"app": "web"})),
            ("/metadata/annotations", json!({"text": "two words"})),
        ],
        &["it is an annotation"],
    );
    check_line(
        "--pull always",
        &[("/c/imagePullPolicy", json!("Always"))],
        &[],
    );
    check_line(
        "--dns 1.1.1.1 --dns-search x.org",
        &[
            ("/dnsPolicy", json!("None")),
            (
                "/dnsConfig",
                json!({"nameservers": ["1.1.1.1"], "searches": ["x.org"]}),
            ),
        ],
        &[],
    );
    check_line(
        "--stop-timeout 5 --sysctl net.ipv4.ip_forward=1 --group-add 7",
        &[
            ("/terminationGracePeriodSeconds", json!(5)),
            (
                "/securityContext",
                json!({"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}], "supplementalGroups": [7]}),
            ),
        ],
        &[],
    );
    check_line(
        "--shm-size 1g",
        &[(
            "/volumes/0/emptyDir",
            json!({"medium": "Memory", "sizeLimit": "1Gi"}),
        )],
        &[],
    );
}

#[test]
fn what_a_pod_cannot_do_is_said() {
    check_line("--rm", &[], &["--rm: the pod stays"]);
    check_line(
        "--gpus all --device /dev/fuse",
        &[],
        &["--gpus=all", "--device=/dev/fuse"],
    );
    check_line(
        "--frobnicate",
        &[],
        &["--frobnicate: not carried over; this flag is not known"],
    );
}

#[test]
fn images_and_their_arguments() {
    let (value, _) = pod("podman run --name=x -- quay.io/a/b:1@sha256:00 --flag -x");
    assert_eq!(
        value["spec"]["containers"][0]["args"],
        json!(["--flag", "-x"])
    );
    let (value, _) = pod("docker container run registry:5000/some/App_x:2");
    assert_eq!(value["metadata"]["name"], "app-x");
}

#[test]
fn lines_that_are_none() {
    let check = |line: &str, part: &str| {
        let error = pod_of_run_line(line).unwrap_err();
        assert!(error.contains(part), "{line}: {error}");
    };
    check("", "no docker run");
    check("ls -l", "no docker run");
    check("docker build .", "no docker run");
    check("docker run -d", "names no image");
    check("docker run -p", "-p needs a value");
    check("docker run --name", "--name needs a value");
    check("docker run 'a", "not closed");
    check("docker run -d a | cat", "belongs to the shell");
    check("docker run -Z a", "-Z (in -Z) is no flag");
    check("docker -H x run a", "stands before run");
}
