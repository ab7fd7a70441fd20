//! Volumes: what is in them, who may see it, and that nobody gets out of one.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::image::Rootfs;
use crate::support::{Podtui, status};

const TOGETHER: Duration = Duration::from_secs(2);

#[track_caller]
fn inside(podtui: &Podtui, pod: &str, command: &str) -> String {
    podtui.ok(&["exec", pod, "--", "sh", "-c", command])
}

/// A pod of one sleeping container with these mounts and volumes, in flow style.
fn pod(name: &str, mounts: &str, volumes: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: c\n    image: localhost/toolbox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'exec sleep 1000']\n    volumeMounts: {mounts}\n  \
         volumes: {volumes}\n"
    )
}

/// A manifest of the scenarios as it is, but for the pull policy: its images are loaded, not pulled.
fn scenario(podtui: &Podtui, file: &str, images: &[&str]) {
    for image in images {
        let config = json!({"Cmd": ["sleep", "1000"]});
        Rootfs::new().load_as(podtui, &format!("{image}:latest"), config);
    }
    let path = format!(
        "{}/tests/fixtures/scenarios/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    let manifest = fs::read_to_string(path).unwrap();
    let local: Vec<String> = manifest
        .lines()
        .flat_map(|line| {
            let indent = line.len() - line.trim_start().len();
            let policy = line
                .trim_start()
                .starts_with("image:")
                .then(|| format!("{}imagePullPolicy: IfNotPresent", " ".repeat(indent)));
            [Some(line.to_owned()), policy]
        })
        .flatten()
        .collect();
    podtui.apply(&local.join("\n"));
}

#[test]
fn scenario_06_two_secrets_in_one_volume() {
    require_images!();
    let podtui = Podtui::start();
    scenario(&podtui, "06-projected-secrets.yaml", &["busybox"]);
    podtui.wait_running("test-projected-volume");
    let look = |command: &str| inside(&podtui, "test-projected-volume", command);
    assert_eq!(look("ls /projected-volume/"), "pass\nuser\n");
    assert_eq!(
        look("cat /projected-volume/user /projected-volume/pass"),
        "admin1f2d1e2e67df"
    );
    assert_eq!(look("stat -L -c %a /projected-volume/user"), "644\n");
    let mounts = look("grep ' /projected-volume ' /proc/mounts");
    assert!(mounts.contains(" tmpfs ro,"), "{mounts}");
    // Without its objects the volume cannot be mounted again, and what is mounted stays.
    podtui.ok(&["delete", "secret", "pass"]);
    let text = "MountVolume.SetUp failed for volume \"mysql-cred\" : secret \"pass\" not found";
    podtui.wait("FailedMount", || {
        podtui.ok(&["events"]).contains(text).then_some(())
    });
    assert_eq!(look("cat /projected-volume/pass"), "1f2d1e2e67df");
    podtui.delete_all();
}

#[test]
fn scenario_07_labels_as_a_file() {
    require_images!();
    let podtui = Podtui::start();
    scenario(&podtui, "07-downward-api.yaml", &["busybox"]);
    let name = "test-downwardapi-volume";
    podtui.wait_running(name);
    let labels = "cluster=\"test-cluster1\"\nrack=\"rack-22\"\nzone=\"us-est-coast\"";
    podtui.wait("the labels in the log", || {
        podtui.ok(&["logs", name]).contains(labels).then_some(())
    });
    let manifest = podtui.ok(&["get", "pod", name, "-o", "yaml"]);
    podtui.apply(&manifest.replace("rack: rack-22", "rack: rack-23"));
    let begin = Instant::now();
    podtui.wait("the changed label", || {
        inside(&podtui, name, "cat /etc/podinfo/labels")
            .contains("rack=\"rack-23\"")
            .then_some(())
    });
    assert!(begin.elapsed() < TOGETHER, "{:?}", begin.elapsed());
    podtui.delete_all();
}

#[test]
fn scenario_11_a_config_map_four_ways() {
    require_images!();
    let podtui = Podtui::start();
    scenario(&podtui, "11-configmap-four-ways.yaml", &["alpine"]);
    let name = "configmap-demo-pod";
    podtui.wait_running(name);
    assert_eq!(
        inside(
            &podtui,
            name,
            "echo $PLAYER_INITIAL_LIVES $UI_PROPERTIES_FILE_NAME; ls /config"
        ),
        "3 user-interface.properties\ngame.properties\nuser-interface.properties\n"
    );
    assert_eq!(
        inside(&podtui, name, "cat /config/game.properties"),
        "enemy.types=aliens,monsters\nplayer.maximum-lives=5\n"
    );
    assert!(
        !podtui
            .output(&[
                "exec",
                name,
                "--",
                "sh",
                "-c",
                "echo x > /config/game.properties"
            ])
            .status
            .success()
    );
    podtui.delete_all();
}

#[test]
fn scenario_12_modes_of_secrets() {
    require_images!();
    let podtui = Podtui::start();
    scenario(&podtui, "12-secret-modes.yaml", &["redis"]);
    podtui.wait_running("mypod");
    let look = |command: &str| inside(&podtui, "mypod", command);
    assert_eq!(
        look(
            "stat -L -c '%a %n' /etc/foo/my-group/my-username /etc/foo/password /etc/foo/.secret-file"
        ),
        "777 /etc/foo/my-group/my-username\n400 /etc/foo/password\n400 /etc/foo/.secret-file\n"
    );
    assert_eq!(
        look("cat /etc/foo/my-group/my-username; echo $SECRET_USERNAME"),
        "adminadmin\n"
    );
    assert_eq!(look("cat /etc/foo/.secret-file"), "value-2\r\n\r\n");
    assert!(look("grep ' /etc/foo ' /proc/mounts").contains(" tmpfs ro,"));
    assert_eq!(look("readlink /etc/foo/password"), "..data/password\n");
    let before = look("readlink /etc/foo/..data");
    let patch = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mysecret"}, "type": "Opaque",
        "stringData": {"username": "root", "password": "new", ".secret-file": "x"}});
    podtui.apply(&patch.to_string());
    let begin = Instant::now();
    podtui.wait("the new password", || {
        (look("cat /etc/foo/password") == "new").then_some(())
    });
    assert!(begin.elapsed() < TOGETHER, "{:?}", begin.elapsed());
    assert_ne!(look("readlink /etc/foo/..data"), before);
    assert_eq!(look("ls -a /etc/foo | grep -c '^\\.\\.2'"), "1\n");
    // Variables are frozen.
    assert_eq!(look("echo $SECRET_USERNAME"), "admin\n");
    // Nothing of it is on a disk, and nothing is mounted on the machine.
    for entry in walkdir::WalkDir::new(podtui.run()).into_iter().flatten() {
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            assert!(
                memchr::memmem::find(&bytes, b"1f2d1e2e67df").is_none(),
                "{}",
                entry.path().display()
            );
        }
    }
    podtui.delete_all();
}

#[test]
fn a_missing_object_holds_the_pod_until_it_appears() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "late",
        "[{name: c, mountPath: /c}, {name: o, mountPath: /o}]",
        "[{name: c, configMap: {name: later, items: [{key: k, path: a/b}]}}, {name: o, secret: {secretName: opt, optional: true}}]",
    ));
    let text = "MountVolume.SetUp failed for volume \"c\" : configmap \"later\" not found";
    podtui.wait("FailedMount", || {
        podtui.ok(&["events"]).contains(text).then_some(())
    });
    assert_eq!(
        status(&podtui.pod("late"), "c")["state"]["waiting"]["reason"],
        "ContainerCreating"
    );
    podtui.ok(&["create", "configmap", "later", "--from-literal=x=1"]);
    let text = "MountVolume.SetUp failed for volume \"c\" : configmap references non-existent config key: k";
    podtui.wait("the key to be missed", || {
        podtui.ok(&["events"]).contains(text).then_some(())
    });
    podtui.ok(&["delete", "configmap", "later"]);
    podtui.ok(&["create", "configmap", "later", "--from-literal=k=there"]);
    podtui.wait_running("late");
    assert_eq!(inside(&podtui, "late", "cat /c/a/b; ls /o"), "there");
    podtui.ok(&["create", "secret", "generic", "opt", "--from-literal=k=v"]);
    podtui.wait("the optional secret", || {
        (inside(&podtui, "late", "cat /o/k 2>/dev/null || true") == "v").then_some(())
    });
    podtui.delete_all();
}

/// The engine may die; the volumes live in the shim, and the next engine brings them up to date.
#[test]
fn volumes_outlive_the_engine() {
    require_root!();
    let podtui = Podtui::start();
    podtui.ok(&["create", "configmap", "m", "--from-literal=k=1"]);
    podtui.apply(&pod(
        "p",
        "[{name: c, mountPath: /c}]",
        "[{name: c, configMap: {name: m}}]",
    ));
    podtui.wait_running("p");
    podtui.kill_engine();
    podtui.serve();
    assert_eq!(inside(&podtui, "p", "cat /c/k"), "1");
    podtui.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: '2'}\n");
    podtui.wait("the update", || {
        (inside(&podtui, "p", "cat /c/k") == "2").then_some(())
    });
    assert_eq!(status(&podtui.pod("p"), "c")["restartCount"], 0);
    podtui.delete_all();
}

#[test]
fn sub_paths_name_a_part_and_are_not_updated() {
    require_root!();
    let podtui = Podtui::start();
    podtui.ok(&[
        "create",
        "configmap",
        "m",
        "--from-literal=a.conf=one",
        "--from-literal=b.conf=b",
    ]);
    let manifest = pod(
        "p",
        "[{name: c, mountPath: /etc/a.conf, subPath: a.conf}, {name: c, mountPath: /c}, \
         {name: d, mountPath: /d, subPath: x/y}, {name: m, mountPath: /m, subPathExpr: '$(NAME)-dir'}, {name: d, mountPath: /all}]",
        "[{name: c, configMap: {name: m}}, {name: d, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}]",
    );
    podtui.apply(&manifest.replace(
        "    command",
        "    env: [{name: NAME, value: an}]\n    command",
    ));
    podtui.wait_running("p");
    let look = |command: &str| inside(&podtui, "p", command);
    assert_eq!(look("cat /etc/a.conf"), "one");
    assert_eq!(
        look("echo 1 > /d/f; cat /all/x/y/f; echo 2 > /m/f; stat -c %a /d"),
        "1\n777\n"
    );
    podtui.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a.conf: two}\n");
    podtui.wait("the update", || {
        (look("cat /c/a.conf") == "two").then_some(())
    });
    assert_eq!(look("cat /etc/a.conf"), "one");
    podtui.delete_all();
}

/// CVE-2017-1002101, CVE-2021-25741: what a subPath names is replaced by a link, for disk and for memory.
#[test]
fn a_sub_path_does_not_lead_out() {
    require_root!();
    for medium in ["", "Memory"] {
        let podtui = Podtui::start();
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: evil}}\nspec:\n  volumes: [{{name: v, emptyDir: {{medium: '{medium}'}}}}]\n  \
             initContainers:\n  - name: plant\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    \
             command: [sh, -c, 'ln -s / /v/out; ln -s ../../../../../../../.. /v/up; mkdir -p /v/in/deep; ln -s in /v/fine']\n    \
             volumeMounts: [{{name: v, mountPath: /v}}]\n  containers:\n"
        );
        let container = |name: &str, sub: &str| {
            format!(
                "  - name: {name}\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    \
                 command: [sh, -c, 'ls /h; exec sleep 1000']\n    volumeMounts: [{{name: v, mountPath: /h, subPath: {sub}}}]\n"
            )
        };
        let containers = [
            ("c", "out"),
            ("d", "out/etc"),
            ("e", "up/etc"),
            ("f", "fine"),
        ];
        let containers: String = containers.map(|(name, sub)| container(name, sub)).concat();
        podtui.apply(&(manifest + &containers));
        for (name, sub) in [("c", "out"), ("d", "out/etc"), ("e", "up/etc")] {
            let waiting = podtui.wait("the refusal", || {
                let waiting = status(&podtui.pod("evil"), name)["state"]["waiting"].clone();
                (waiting["reason"] == "CreateContainerConfigError").then_some(waiting)
            });
            assert_eq!(
                waiting["message"],
                format!(
                    "failed to prepare subPath for volumeMount \"v\" of container \"{name}\": subPath \"{sub}\" leads \
                     out of its volume through a symlink"
                )
            );
        }
        podtui.wait("the harmless one", || {
            (podtui.ok(&["logs", "evil", "-c", "f"]) == "deep\n").then_some(())
        });
        podtui.delete_all();
    }
}

/// The same while a sibling swaps the directory for a link all the time: whatever is mounted is in the volume.
#[test]
fn a_sub_path_that_is_swapped_stays_inside() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: race}\nspec:\n  restartPolicy: Always\n  terminationGracePeriodSeconds: 0\n  \
         volumes: [{name: v, emptyDir: {}}]\n  containers:\n  - name: swap\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    \
         command: [sh, -c, 'cd /v; mkdir dir; touch dir/inside; ln -s / link; while :; do mv dir s; mv link dir; mv dir link; mv s dir; done']\n    \
         volumeMounts: [{name: v, mountPath: /v}]\n",
    );
    podtui.wait_running("race");
    let uid = podtui.pod("race")["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let volume = podtui
        .state()
        .join("pods")
        .join(uid)
        .join("volumes/kubernetes.io~empty-dir/v");
    // A second pod sees the racing directory as a hostPath, so that it can be started again and again.
    for round in 0..12 {
        let name = format!("victim{round}");
        let mut manifest = pod(
            &name,
            "[{name: h, mountPath: /h, subPath: dir}]",
            &format!("[{{name: h, hostPath: {{path: '{}'}}}}]", volume.display()),
        );
        manifest = manifest.replace("exec sleep 1000", "ls -a /h");
        podtui.apply(&manifest.replace("spec:\n", "spec:\n  restartPolicy: Never\n"));
    }
    for round in 0..12 {
        let name = format!("victim{round}");
        podtui.wait(&format!("{name} to end or to be refused"), || {
            let pod = podtui.pod(&name);
            let waiting = status(&pod, "c")["state"]["waiting"]["reason"].clone();
            let refused = waiting == "CreateContainerConfigError" || waiting == "RunContainerError";
            let phase = &pod["status"]["phase"];
            (refused || phase == "Succeeded" || phase == "Failed").then_some(())
        });
        let log = podtui.output(&["logs", &name]).stdout;
        let log = String::from_utf8_lossy(&log);
        assert!(
            !log.contains("etc") && !log.contains("proc"),
            "out of the volume: {log}"
        );
    }
    podtui.delete_all();
}

#[test]
fn the_group_of_volumes() {
    require_root!();
    let podtui = Podtui::start();
    podtui.ok(&["create", "secret", "generic", "s", "--from-literal=k=v"]);
    let outside = podtui.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let volumes = format!(
        "[{{name: s, secret: {{secretName: s, defaultMode: 0400}}}}, {{name: d, emptyDir: {{}}}}, \
         {{name: m, emptyDir: {{medium: Memory}}}}, {{name: h, hostPath: {{path: '{}'}}}}]",
        outside.display()
    );
    let mounts = "[{name: s, mountPath: /s}, {name: d, mountPath: /d}, {name: m, mountPath: /m}, {name: h, mountPath: /h, readOnly: true}]";
    let manifest = pod("p", mounts, &volumes).replace(
        "spec:\n",
        "spec:\n  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000}\n",
    );
    podtui.apply(&manifest);
    podtui.wait_running("p");
    let look = |command: &str| inside(&podtui, "p", command);
    assert_eq!(
        look("cat /s/k; stat -L -c '%a %u %g' /s/k"),
        "v440 0 2000\n"
    );
    assert_eq!(look("stat -c '%a %g' /d /m"), "2777 2000\n2777 2000\n");
    assert_eq!(
        look("touch /d/f /m/f; stat -c '%u %g' /d/f /m/f"),
        "1000 2000\n1000 2000\n"
    );
    assert_eq!(look("stat -c '%g' /h"), "0\n");
    podtui.delete_all();
}

/// 50 pods, one config map, one update.
#[test]
fn an_update_reaches_fifty_pods_together() {
    require_root!();
    let podtui = Podtui::start();
    podtui.ok(&["create", "configmap", "shared", "--from-literal=k=old"]);
    let all: Vec<String> = (0..50)
        .map(|number| {
            pod(
                &format!("p{number}"),
                "[{name: c, mountPath: /c}]",
                "[{name: c, configMap: {name: shared}}]",
            )
        })
        .collect();
    podtui.apply(&all.join("---\n"));
    for number in 0..50 {
        podtui.wait_running(&format!("p{number}"));
    }
    let files: Vec<String> = (0..50)
        .map(|number| {
            let pid = podtui.container_pid(&format!("p{number}"), "c");
            format!("/proc/{pid}/root/c/k")
        })
        .collect();
    podtui.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {k: new}\n");
    let begin = Instant::now();
    for file in &files {
        podtui.wait(&format!("{file} to change"), || {
            (fs::read_to_string(file).ok()? == "new").then_some(())
        });
    }
    let passed = begin.elapsed();
    println!("an update reached 50 pods after {passed:?}");
    assert!(passed < TOGETHER, "{passed:?}");
    podtui.delete_all();
}

/// A pod sees its own volumes and nobody else's, and nothing of them is mounted on the machine.
#[test]
fn a_secret_is_its_pods_alone() {
    require_root!();
    let podtui = Podtui::start();
    podtui.ok(&[
        "create",
        "secret",
        "generic",
        "s",
        "--from-literal=k=only-mine",
    ]);
    podtui.apply(&pod(
        "owner",
        "[{name: s, mountPath: /s}]",
        "[{name: s, secret: {secretName: s}}]",
    ));
    podtui.wait_running("owner");
    // Even one that has the whole of the engine's directories.
    podtui.apply(&pod(
        "thief",
        "[{name: h, mountPath: /h}]",
        &format!(
            "[{{name: h, hostPath: {{path: '{}'}}}}]",
            podtui.run().display()
        ),
    ));
    podtui.wait_running("thief");
    let found = inside(&podtui, "thief", "grep -r only-mine /h 2>/dev/null | wc -l");
    assert_eq!(found.trim(), "0");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(&*podtui.path().to_string_lossy()),
        "{mounts}"
    );
    podtui.delete_all();
}

/// The token, the certificate and the namespace at the usual place, in memory, for this pod only.
#[test]
fn a_service_account_is_mounted() {
    require_root!();
    const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let podtui = Podtui::start();
    podtui.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n");
    let accounts = podtui.ok(&["get", "sa"]);
    assert!(
        accounts.contains("default ") && accounts.contains("robot "),
        "{accounts}"
    );
    let manifest = pod(
        "p",
        "[{name: v, mountPath: /vault}]",
        "[{name: v, projected: {sources: [{serviceAccountToken: {path: t, audience: vault, expirationSeconds: 600}}]}}]",
    )
    .replace("spec:\n", "spec:\n  serviceAccountName: robot\n");
    podtui.apply(&manifest);
    let stored = podtui.wait_running("p");
    let look = |command: &str| inside(&podtui, "p", command);
    assert_eq!(look(&format!("cat {PLACE}/namespace")), "default");
    assert!(look(&format!("cat {PLACE}/ca.crt")).starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(look(&format!("ls {PLACE}")), "ca.crt\nnamespace\ntoken\n");
    assert!(look(&format!("grep ' {PLACE} ' /proc/mounts")).contains(" tmpfs ro,"));
    let claims = |token: &str| -> serde_json::Value {
        use base64::Engine;
        let part = token.split('.').nth(1).expect("three parts");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    };
    let token = look(&format!("cat {PLACE}/token"));
    let found = claims(&token);
    assert_eq!(found["sub"], "system:serviceaccount:default:robot");
    assert_eq!(
        found["kubernetes.io"]["pod"]["uid"],
        stored["metadata"]["uid"]
    );
    assert_eq!(found["kubernetes.io"]["pod"]["name"], "p");
    assert_eq!(
        found["exp"].as_i64().unwrap() - found["iat"].as_i64().unwrap(),
        365 * 24 * 3600
    );
    let vault = claims(&look("cat /vault/t"));
    assert_eq!(vault["aud"], json!(["vault"]));
    assert_eq!(
        vault["exp"].as_i64().unwrap() - vault["iat"].as_i64().unwrap(),
        600
    );
    // In memory only; and the keys are nobody else's.
    for entry in walkdir::WalkDir::new(podtui.path()).into_iter().flatten() {
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let found = memchr::memmem::find(&bytes, token.as_bytes()).is_some();
            assert!(!found, "{}", entry.path().display());
        }
    }
    use std::os::unix::fs::PermissionsExt;
    for name in ["ca.key", "sa.key"] {
        let path = podtui.state().join("pki").join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    podtui.apply(
        &pod("without", "[]", "[]")
            .replace("spec:\n", "spec:\n  automountServiceAccountToken: false\n"),
    );
    podtui.wait_running("without");
    let nothing = podtui.output(&["exec", "without", "--", "ls", PLACE]);
    assert!(!nothing.status.success());
    let refused = podtui.apply_output(
        &pod("nobody", "[]", "[]").replace("spec:\n", "spec:\n  serviceAccountName: nobody\n"),
    );
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("pods \"nobody\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not found"),
        "{text}"
    );
    podtui.delete_all();
}

/// An image as a volume: its files, a part of them, and nothing that can be changed or executed.
#[test]
fn an_image_is_a_volume() {
    require_images!();
    let podtui = Podtui::start();
    Rootfs::new()
        .directory("model")
        .file("model/weights", b"42")
        .import(&podtui, "artifact");
    podtui.apply(&pod(
        "p",
        "[{name: i, mountPath: /i}, {name: i, mountPath: /part, subPath: model}]",
        "[{name: i, image: {reference: 'localhost/artifact:latest'}}]",
    ));
    podtui.wait_running("p");
    let look = |command: &str| inside(&podtui, "p", command);
    assert_eq!(look("cat /i/model/weights /part/weights"), "4242");
    for command in [
        "echo x > /i/model/weights",
        "touch /part/new",
        "/i/bin/busybox true",
    ] {
        let output = podtui.output(&["exec", "p", "--", "sh", "-c", command]);
        assert!(!output.status.success(), "{command}");
    }
    let used = podtui.refused(&["image", "rm", "localhost/artifact:latest"]);
    assert!(used.contains("default/p"), "{used}");
    podtui.apply(&pod(
        "absent",
        "[{name: i, mountPath: /i}]",
        "[{name: i, image: {reference: 'localhost/absent:1', pullPolicy: Never}}]",
    ));
    podtui.wait("the refusal", || {
        let waiting = status(&podtui.pod("absent"), "c")["state"]["waiting"]["reason"].clone();
        (waiting == "ErrImageNeverPull").then_some(())
    });
    podtui.apply(&pod(
        "nowhere",
        "[{name: i, mountPath: /i, subPath: model/none}]",
        "[{name: i, image: {reference: 'localhost/artifact:latest'}}]",
    ));
    podtui.wait("the refusal of the subPath", || {
        let pod = podtui.pod("nowhere");
        let status = status(&pod, "c");
        // Nothing was made, so nothing is begun again.
        assert_eq!(status["restartCount"].as_u64().unwrap_or(0), 0, "{status}");
        let waiting = &status["state"]["waiting"];
        let told = waiting["message"].as_str().unwrap_or_default();
        (waiting["reason"] == "CreateContainerError" && told.starts_with("ImageVolumeMountFailed"))
            .then_some(())
    });
    podtui.delete_all();
}

/// CVE-2021-25741 and its kind, through paths of the machine: what podtui makes or checks for a hostPath is not
/// led elsewhere by somebody else's link, and fsGroup never touches such a path.
#[test]
fn host_paths_are_not_led_elsewhere() {
    require_root!();
    let podtui = Podtui::start();
    let place = podtui.path().join("host");
    fs::create_dir(&place).unwrap();
    let planted = place.join("planted");
    std::os::unix::fs::symlink("/etc", &planted).unwrap();
    std::os::unix::fs::lchown(&planted, Some(12345), Some(12345)).unwrap();
    fs::write(place.join("file"), "x").unwrap();
    let volume = |path: &str, kind: &str| {
        format!(
            "[{{name: h, hostPath: {{path: '{}/{path}', type: {kind}}}}}]",
            place.display()
        )
    };
    let mounts = "[{name: h, mountPath: /h}]";
    podtui.apply(&pod(
        "link",
        mounts,
        &volume("planted/podtui-test-dir", "DirectoryOrCreate"),
    ));
    podtui.apply(&pod("type", mounts, &volume("file", "Directory")));
    podtui.apply(&pod("none", mounts, &volume("missing", "Socket")));
    for text in [
        "is a symlink of user 12345".to_owned(),
        format!(
            "hostPath type check failed: {}/file is not a directory",
            place.display()
        ),
        format!(
            "hostPath type check failed: {}/missing is not a socket file",
            place.display()
        ),
    ] {
        podtui.wait(&text, || {
            podtui.ok(&["events"]).contains(&text).then_some(())
        });
    }
    assert!(!std::path::Path::new("/etc/podtui-test-dir").exists());
    // The group of a pod is not the group of the machine's files, mounted read-only or not.
    use std::os::unix::fs::MetadataExt;
    for (name, readonly) in [("ro", true), ("rw", false)] {
        let mounts = format!("[{{name: h, mountPath: /h, readOnly: {readonly}}}]");
        let manifest = pod(name, &mounts, &volume("", "Directory"))
            .replace("spec:\n", "spec:\n  securityContext: {fsGroup: 4242}\n");
        podtui.apply(&manifest);
        podtui.wait_running(name);
        let touched = podtui.output(&["exec", name, "--", "touch", "/h/new"]);
        assert_eq!(touched.status.success(), !readonly);
        assert_eq!(fs::metadata(&place).unwrap().gid(), 0);
        assert_eq!(fs::metadata(place.join("file")).unwrap().gid(), 0);
    }
    podtui.delete_all();
}

/// What a container mounts below a volume stays its own unless it is privileged and asked to share; then it goes
/// no further than the volume, and goes away again.
#[test]
fn mounts_do_not_escape() {
    require_root!();
    let podtui = Podtui::start();
    let place = podtui.path().join("shared");
    fs::create_dir(&place).unwrap();
    let volumes = format!("[{{name: h, hostPath: {{path: '{}'}}}}]", place.display());
    let privileged = |name: &str, propagation: &str| {
        pod(
            name,
            &format!("[{{name: h, mountPath: /h, mountPropagation: {propagation}}}]"),
            &volumes,
        )
        .replace(
            "    command",
            "    securityContext: {privileged: true}\n    command",
        )
    };
    let refused = podtui.apply_output(&pod(
        "plain",
        "[{name: h, mountPath: /h, mountPropagation: Bidirectional}]",
        &volumes,
    ));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("Bidirectional mount propagation is available only to privileged containers"),
        "{text}"
    );
    for propagation in ["None", "HostToContainer"] {
        let name = propagation.to_lowercase();
        podtui.apply(&privileged(&name, propagation));
        podtui.wait_running(&name);
        inside(
            &podtui,
            &name,
            "mkdir -p /h/m && mount -t tmpfs none /h/m && touch /h/m/inner",
        );
        assert!(
            !place.join("m/inner").exists(),
            "{propagation}: it reached the machine"
        );
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*place.to_string_lossy()), "{mounts}");
    // A pod without privilege cannot mount at all.
    podtui.apply(&pod("weak", "[{name: h, mountPath: /h}]", &volumes));
    podtui.wait_running("weak");
    let weak = podtui.output(&["exec", "weak", "--", "mount", "-t", "tmpfs", "none", "/h"]);
    assert!(!weak.status.success());
    podtui.delete_all();
}
