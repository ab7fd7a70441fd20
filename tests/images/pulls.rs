//! Names, digests, policies, events.

use std::fs;
use std::process::Command;

use crate::fake::{Fake, Layer};
use crate::registry::{Door, Registry, configure, events, pod, run, umoci_image, waiting};
use crate::support::Podtui;

fn field<'a>(pod: &'a serde_json::Value, name: &str) -> &'a str {
    pod["status"]["containerStatuses"][0][name]
        .as_str()
        .unwrap_or_default()
}

#[test]
fn by_tag_and_by_digest_and_again_without_a_download() {
    require_registry!();
    let registry = Registry::start(Door::default());
    let image = umoci_image(registry.directory.path(), |root| {
        fs::write(root.join("one"), "1").expect("a file");
    });
    registry.push(&image, "team/app:v1");
    let digest = registry.digest("team/app:v1");
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    podtui.serve();

    let name = registry.name("team/app:v1");
    podtui.apply(&pod("tag", &name, "", ""));
    let running = podtui.wait_running("tag");
    assert_eq!(field(&running, "image"), name);
    assert_eq!(
        field(&running, "imageID"),
        format!("{}@{digest}", registry.name("team/app"))
    );
    let told = events(&podtui, "tag");
    let at = |text: &str| {
        told.iter()
            .position(|line| line.starts_with(text))
            .unwrap_or_else(|| panic!("{text} is not among {told:#?}"))
    };
    let pulling = at(&format!("Pulling: Pulling image \"{name}\""));
    let pulled = at(&format!("Pulled: Successfully pulled image \"{name}\" in "));
    assert!(pulling < pulled, "{told:#?}");
    let text = &told[pulled];
    assert!(
        text.contains("s (")
            && text.contains("s including waiting). Image size: ")
            && text.ends_with(" bytes."),
        "{text}"
    );

    // By digest: the same image, found without a download.
    let pinned = format!("{}@{digest}", registry.name("team/app"));
    podtui.apply(&pod("pinned", &pinned, "IfNotPresent", ""));
    podtui.wait_running("pinned");
    assert_eq!(
        events(&podtui, "pinned")
            .iter()
            .filter(|line| line.starts_with("Pull"))
            .collect::<Vec<_>>(),
        [&format!(
            "Pulled: Container image \"{pinned}\" already present on machine and can be accessed by the pod"
        )]
    );

    // `Always` asks, and takes what the tag stands for now.
    podtui.apply(&pod("same", &name, "Always", ""));
    let same = podtui.wait_running("same");
    assert_eq!(field(&same, "imageID"), field(&running, "imageID"));
    let other = tempfile::tempdir().expect("a directory");
    let image = umoci_image(other.path(), |root| {
        fs::write(root.join("two"), "2").expect("a file");
    });
    registry.push(&image, "team/app:v1");
    podtui.apply(&pod("moved", &name, "Always", ""));
    let moved = podtui.wait_running("moved");
    assert_ne!(field(&moved, "imageID"), field(&running, "imageID"));
    // And `IfNotPresent` does not ask.
    drop(registry);
    podtui.apply(&pod("local", &name, "IfNotPresent", ""));
    podtui.wait_running("local");
    podtui.delete_all();
}

#[test]
fn refusals_have_the_kubelets_words() {
    require_registry!();
    let registry = Registry::start(Door::default());
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    podtui.serve();
    let name = registry.name("nothing/here:v1");
    podtui.apply(&pod("absent", &name, "", ""));
    let error = podtui.wait("ErrImagePull", || {
        waiting(&podtui, "absent").filter(|(reason, _)| reason == "ErrImagePull")
    });
    assert_eq!(error.1, format!("{name}: not found"));
    let backoff = podtui.wait("ImagePullBackOff", || {
        waiting(&podtui, "absent").filter(|(reason, _)| reason == "ImagePullBackOff")
    });
    assert_eq!(
        backoff.1,
        format!("Back-off pulling image \"{name}\": ErrImagePull: {name}: not found")
    );
    let told = events(&podtui, "absent");
    for expected in [
        format!("Pulling: Pulling image \"{name}\""),
        format!("Failed: Failed to pull image \"{name}\": {name}: not found"),
        "Failed: Error: ErrImagePull".to_owned(),
        format!("BackOff: Back-off pulling image \"{name}\""),
        "Failed: Error: ImagePullBackOff".to_owned(),
    ] {
        assert!(
            told.contains(&expected),
            "{expected} is not among {told:#?}"
        );
    }
    assert_eq!(podtui.pod("absent")["status"]["phase"], "Pending");

    podtui.apply(&pod("never", &name, "Never", ""));
    let never = podtui.wait("ErrImageNeverPull", || {
        waiting(&podtui, "never").filter(|(reason, _)| reason == "ErrImageNeverPull")
    });
    assert_eq!(
        never.1,
        format!("Container image \"{name}\" is not present with pull policy of Never")
    );
    // The registry gets the image meanwhile: the next try finds it.
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "nothing/here:v1");
    podtui.wait_running("absent");
    podtui.delete_all();
}

#[test]
fn a_mirror_stands_in_for_the_hub() {
    require_registry!();
    let registry = Registry::start(Door::default());
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "library/busybox:latest");
    let podtui = Podtui::idle();
    configure(
        &podtui,
        &format!(
            "{}[registries.\"docker.io\"]\nmirrors = [\"127.0.0.1:1\", \"{}\"]\n",
            registry.table(),
            registry.host
        ),
    );
    podtui.serve();
    podtui.apply(&pod("hub", "busybox", "", ""));
    let pod = podtui.wait_running("hub");
    assert!(
        field(&pod, "imageID").starts_with("docker.io/library/busybox@sha256:"),
        "{pod}"
    );
    // Every place is named when none has it.
    let error = podtui.refused(&["image", "pull", "nothing"]);
    assert!(
        error.contains(&format!("mirror {}: ", registry.host)),
        "{error}"
    );
    podtui.delete_all();
}

#[test]
fn lists_and_compressions_of_every_kind() {
    require_registry!();
    let registry = Registry::start(Door::default());
    let image = umoci_image(registry.directory.path(), |root| {
        fs::write(root.join("content"), "x".repeat(100_000)).expect("a file");
    });
    registry.push_with(&image, "kinds:docker", &["--format", "v2s2"]);
    registry.push_with(&image, "kinds:oci", &["--format", "oci"]);
    registry.push_with(
        &image,
        "kinds:zstd",
        &[
            "--format",
            "oci",
            "--dest-compress-format",
            "zstd",
            "--dest-compress",
        ],
    );
    // A plain layer and an index around it.
    let plain = registry.path("plain");
    run(Command::new("skopeo")
        .args(["copy", "-q", "--dest-decompress", &image])
        .arg(format!("dir:{}", plain.display())));
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    podtui.serve();
    let mut trees = Vec::new();
    for tag in ["docker", "oci", "zstd"] {
        let name = registry.name(&format!("kinds:{tag}"));
        podtui.ok(&["image", "pull", "-q", &name]);
        let text = podtui.ok(&["image", "inspect", &name]);
        let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        trees.push(found[0]["layers"].clone());
    }
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0], trees[2]);
    assert_eq!(leftovers(&podtui), Vec::<String>::new());
}

/// What lies about in the image store beside complete things.
pub fn leftovers(podtui: &Podtui) -> Vec<String> {
    ["images/tmp", "images/partial"]
        .iter()
        .flat_map(|name| fs::read_dir(podtui.state().join(name)).expect("a directory"))
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect()
}

#[test]
fn plain_http_is_never_guessed() {
    require_registry!();
    let registry = Registry::start(Door::default());
    let podtui = Podtui::start();
    let error = podtui.refused(&["image", "pull", &registry.name("x")]);
    assert!(error.contains("over TLS"), "{error}");
    assert!(
        error.contains(&format!(
            "[registries.\"{}\"] plain_http = true",
            registry.host
        )),
        "{error}"
    );
}

/// kubelet: `registryPullQPS`. What a user asks for is never held back.
#[test]
fn pods_that_pull_too_often_wait() {
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(
        &podtui,
        &format!(
            "{}[images]\nregistry_pull_qps = 1\nregistry_burst = 1\n",
            fake.table()
        ),
    );
    podtui.serve();
    let busybox = fs::read("/bin/busybox").expect("busybox");
    let image = |number: usize| {
        let name = format!("number{number}");
        let layer = Layer::new().directory("bin").owned(
            b"bin/sh",
            tar::EntryType::Regular,
            b"",
            &busybox,
            (0o755, 0, 0),
        );
        let layers = [layer.bytes(), Layer::new().file(&name, b"x").bytes()];
        fake.image_of(&name, "v1", &layers)
    };
    for number in 0..4 {
        podtui.ok(&["image", "pull", "-q", &image(number)]);
    }
    let command = "    command: [/bin/sh, -c, 'read x']\n    stdin: true\n";
    for number in 4..6 {
        podtui.apply(&pod(&format!("p{number}"), &image(number), "", command));
    }
    podtui.wait("somebody to be told", || {
        (4..6).find(|number| {
            events(&podtui, &format!("p{number}")).iter().any(|line| {
                line.starts_with("Failed: Failed to pull image")
                    && line.ends_with(": pull QPS exceeded")
            })
        })
    });
    for number in 4..6 {
        podtui.wait_running(&format!("p{number}"));
    }
    podtui.delete_all();
}

#[test]
fn settings_of_registries_hold_from_the_next_pull() {
    let fake = Fake::start();
    fake.image("team/app", "v1", &[("one", "1")]);
    let name = format!("{}/team/app:v1", fake.host);
    let podtui = Podtui::start();
    let refused = podtui.refused(&["image", "pull", &name]);
    assert!(refused.contains("plain_http = true"), "{refused}");
    configure(&podtui, &fake.table());
    podtui.ok(&["image", "pull", &name]);
    // A mistake leaves what was read.
    configure(&podtui, "[registries]\nnonsense = 1\n");
    podtui.ok(&["image", "pull", &name]);
    configure(&podtui, "");
    let refused = podtui.refused(&["image", "pull", &name]);
    assert!(refused.contains("plain_http = true"), "{refused}");
}
