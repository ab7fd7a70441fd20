//! What an image or an archive says of itself steers nothing: it is data, and shown as such.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::registry::pod;
use crate::support::{Podtui, image::Rootfs};

fn sh(podtui: &Podtui, pod: &str, script: &str) -> String {
    podtui.ok(&["exec", pod, "--", "/bin/sh", "-c", script])
}

fn sleeping(podtui: &Podtui, name: &str, image: &str) -> Value {
    let command = "    command: [/bin/sleep, '1000000']\n";
    podtui.apply(&pod(name, &format!("localhost/{image}"), "Never", command));
    podtui.wait_running(name)
}

/// Rights, namespaces, mounts and devices as a process of the container sees them.
fn rights(podtui: &Podtui, pod: &str) -> String {
    sh(
        podtui,
        pod,
        "cat /proc/self/status | grep -E '^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups)'; ls /dev; \
         while read -r _ _ _ root place options _; do echo \"$place $options\"; done < /proc/self/mountinfo",
    )
}

/// 14 (CVE-2022-23648) and 32 (CVE-2026-53488): volumes and labels that the image wishes for.
#[test]
fn volumes_of_an_image_stay_inside_and_labels_have_no_effect() {
    require_root!();
    require_images!();
    let podtui = Podtui::start();
    let victim = podtui.path().join("victim");
    fs::create_dir(&victim).expect("a directory");
    fs::write(victim.join("file"), "of the machine").expect("a file");
    let up = format!("/../../../../..{}", victim.display());
    let mut volumes = serde_json::Map::new();
    for place in [up.as_str(), "../../../etc", "/..", "/", "", "/data"] {
        volumes.insert(place.to_owned(), json!({}));
    }
    let labels = json!({
        "io.kubernetes.cri-o.userns-mode": "host",
        "io.kubernetes.container.privileged": "true",
        "io.podman.annotations.privileged": "TRUE",
        "io.podman.annotations.seccomp": "unconfined",
        "io.containerd.runc.options": "{\"NoPivotRoot\":true}",
        "run.oci.keep_original_groups": "1",
        "run.oci.hooks.stdin": victim.display().to_string(),
        "org.systemd.property.DeviceAllow": "/dev/vda rwm",
        "podtui": "\u{1b}]0;owned\u{7}",
    });
    let plain = json!({"Cmd": ["/bin/sh"], "Volumes": volumes});
    let wishes = json!({"Cmd": ["/bin/sh"], "Volumes": volumes, "Labels": labels});
    let rootfs = || {
        Rootfs::new()
            .directory("data")
            .file("data/inside", b"of the image")
    };
    rootfs().load(&podtui, "plain", plain);
    rootfs().load(&podtui, "wishful", wishes);
    sleeping(&podtui, "plain", "plain");
    sleeping(&podtui, "wishful", "wishful");
    assert_eq!(rights(&podtui, "plain"), rights(&podtui, "wishful"));
    assert_eq!(sh(&podtui, "wishful", "cat /data/inside"), "of the image");
    let visible = format!("ls {} 2>/dev/null; true", victim.display());
    assert_eq!(sh(&podtui, "wishful", &visible), "");
    let found: Vec<_> = fs::read_dir(&victim).expect("a directory").collect();
    assert_eq!(found.len(), 1);
    let content = fs::read_to_string(victim.join("file")).expect("a file");
    assert_eq!(content, "of the machine");
    // Shown, but nothing of it reaches the terminal.
    let shown = podtui.ok(&["image", "inspect", "localhost/wishful"]);
    assert!(
        shown.contains("io.podman.annotations.privileged"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'));
    // What the kernel shows there is not to be covered; runc refuses such a mount with the same words.
    let covers = json!({"Cmd": ["/bin/sh"], "Volumes": {"/proc": {}}});
    rootfs().load(&podtui, "covers", covers);
    podtui.apply(&pod("covers", "localhost/covers", "Never", ""));
    podtui.wait("the refusal", || {
        let events = podtui.ok(&["events", "--for", "pod/covers"]);
        let refusal = "mount the image's volume /proc: it is inside /proc";
        events.contains(refusal).then_some(())
    });
    podtui.delete_all();
}

/// 33 (CVE-2026-50195): an archive is what it was asked to be, and takes nothing from those who run.
#[test]
fn an_archive_takes_no_name_that_nobody_gave_it() {
    require_root!();
    require_images!();
    let podtui = Podtui::start();
    Rootfs::new()
        .file("which", b"first")
        .load(&podtui, "used", json!({}));
    let running = sleeping(&podtui, "p", "used");
    let pinned = &running["status"]["containerStatuses"][0]["imageID"];
    let names = || -> BTreeSet<String> {
        let text = podtui.ok(&["image", "ls", "-o", "json"]);
        let found: Value = serde_json::from_str(&text).expect("JSON");
        let images = found.as_array().expect("a list");
        images
            .iter()
            .flat_map(|image| image["names"].as_array().cloned().unwrap_or_default())
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let before = names();
    // A root file system whose files look like an image archive.
    let claim =
        json!([{"Config": "config.json", "RepoTags": ["localhost/used:latest"], "Layers": []}]);
    let index = json!({"schemaVersion": 2, "manifests": []});
    Rootfs::new()
        .file("manifest.json", claim.to_string().as_bytes())
        .file("repositories", br#"{"localhost/used":{"latest":"x"}}"#)
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index.to_string().as_bytes())
        .import(&podtui, "imported");
    let mut expected = before.clone();
    expected.insert("localhost/imported:latest".to_owned());
    assert_eq!(names(), expected);
    // Whoever loads an archive of that name moves the name; what runs keeps what it has.
    Rootfs::new()
        .file("which", b"second")
        .load(&podtui, "used", json!({}));
    assert_eq!(names(), expected);
    assert_eq!(sh(&podtui, "p", "cat /which"), "first");
    let now = podtui.pod("p");
    assert_eq!(&now["status"]["containerStatuses"][0]["imageID"], pinned);
    sleeping(&podtui, "q", "used");
    assert_eq!(sh(&podtui, "q", "cat /which"), "second");
    podtui.ok(&["image", "prune", "--all"]);
    assert_eq!(sh(&podtui, "p", "cat /which"), "first");
    podtui.delete_all();
}

/// 34 (CVE-2026-57231, CVE-2020-14370): the environment of a container is that of its image and its spec.
#[test]
fn an_image_sees_nothing_of_the_engines_environment() {
    require_root!();
    require_images!();
    let podtui = Podtui::start();
    let own: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    assert!(own.iter().any(|name| name.starts_with("CARGO")), "{own:?}");
    let mut wishes: Vec<String> = own.clone();
    wishes.extend(
        [
            "*",
            "=x",
            "",
            "N=a\u{0}b",
            "PLAIN=of the image",
            "LINE=a\nFAKE=b",
        ]
        .map(str::to_owned),
    );
    Rootfs::new().load(&podtui, "curious", json!({"Env": wishes}));
    Rootfs::new().load(&podtui, "other", json!({}));
    sleeping(&podtui, "first", "curious");
    sleeping(&podtui, "second", "other");
    let environment = |pod: &str| -> BTreeSet<String> {
        let text = sh(&podtui, pod, "cat /proc/1/environ");
        text.split('\0').map(str::to_owned).collect()
    };
    let first = environment("first");
    assert!(first.contains("PLAIN=of the image"), "{first:?}");
    assert!(
        !environment("second")
            .iter()
            .any(|one| one.starts_with("PLAIN"))
    );
    // A variable is one string, whatever it holds.
    assert!(!first.contains("FAKE=b"), "{first:?}");
    for pod in ["first", "second"] {
        for line in environment(pod) {
            let (name, value) = line.split_once('=').unwrap_or((&line, ""));
            let mine = std::env::var(name).is_ok_and(|mine| !mine.is_empty() && mine == value);
            let usual = matches!(name, "PATH" | "HOME" | "TERM" | "HOSTNAME" | "");
            assert!(!mine || usual, "{pod}: {line}");
        }
    }
    podtui.delete_all();
}
