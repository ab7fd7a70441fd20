//! What the disk holds, what a prune takes away, and what goes by itself.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::fake::{Fake, Manner};
use crate::pulls::leftovers;
use crate::registry::{configure, pod, run};
use crate::support::{Podtui, image::Rootfs};

fn rows(podtui: &Podtui) -> Vec<Value> {
    let text = podtui.ok(&["system", "df", "-o", "json"]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    found["items"].as_array().expect("a list").clone()
}

fn row(podtui: &Podtui, kind: &str) -> Value {
    let rows = rows(podtui);
    let found = rows.iter().find(|row| row["kind"] == kind);
    found.unwrap_or_else(|| panic!("{kind}: {rows:?}")).clone()
}

/// The rows together are every byte of the state directory. The engine's log may grow meanwhile.
#[track_caller]
pub fn check_accounts(podtui: &Podtui) {
    podtui.wait("df to agree with du", || {
        let du = || {
            let text = run(Command::new("du").args(["-s", "-B1"]).arg(podtui.state()));
            let bytes = text.split_whitespace().next().expect("a number");
            bytes.parse::<u64>().expect("a number")
        };
        let before = du();
        let sum: u64 = rows(podtui)
            .iter()
            .map(|row| row["size"].as_u64().expect("bytes"))
            .sum();
        (before == sum && du() == sum).then_some(())
    });
}

#[test]
fn every_byte_is_accounted_for_and_pruned_when_unused() {
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    check_accounts(&podtui);
    let idle = fake.image("idle", "v1", &[("file", &"x".repeat(500_000))]);
    podtui.ok(&["image", "pull", &idle]);
    Rootfs::new().import(&podtui, "used");
    podtui.apply(&pod(
        "p",
        "localhost/used",
        "Never",
        "    command: [sleep, '1000000']\n",
    ));
    podtui.wait_running("p");
    // A pull that is killed half-way leaves what came.
    let half = fake.image("half", "v1", &[("file", &noise(2_000_000))]);
    fake.manner(Manner {
        pause: Duration::from_millis(100),
        ..Manner::default()
    });
    let mut pull = podtui
        .command(&["image", "pull", "-q", &half])
        .spawn()
        .expect("podtui starts");
    podtui.wait("bytes", || {
        (row(&podtui, "Partial downloads")["size"].as_u64()? > 100_000).then_some(())
    });
    podtui.kill_engine();
    pull.wait().expect("the client ends");
    podtui.serve();
    check_accounts(&podtui);
    let images = row(&podtui, "Images");
    assert_eq!(
        (&images["total"], &images["active"]),
        (&2.into(), &1.into())
    );
    let partial = row(&podtui, "Partial downloads");
    assert_eq!(partial["reclaimable"], partial["size"]);

    // Without --all only what has no name.
    let text = podtui.ok(&["image", "prune"]);
    assert!(!text.contains("Deleted"), "{text}");
    assert!(text.contains("Total reclaimed space: "), "{text}");
    assert_eq!(leftovers(&podtui), Vec::<String>::new());
    let text = podtui.ok(&["system", "prune", "--all"]);
    assert!(text.contains(&format!("Untagged: {idle}")), "{text}");
    assert!(!text.contains("used"), "{text}");
    let images = row(&podtui, "Images");
    assert_eq!(
        (&images["total"], &images["active"]),
        (&1.into(), &1.into())
    );
    check_accounts(&podtui);
    podtui.wait_running("p");
    podtui.delete_all();
}

/// Letters that do not compress well.
pub fn noise(length: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b' ' + u8::try_from(state % 95).expect("small"))
        })
        .collect()
}

#[test]
fn a_full_disk_takes_unused_images_only() {
    require_images!();
    let podtui = Podtui::idle();
    configure(
        &podtui,
        "[images]\ngc_high_threshold = 1\ngc_low_threshold = 0\ngc_minimum_age_seconds = 0\n",
    );
    podtui.serve();
    Rootfs::new().import(&podtui, "used");
    Rootfs::new().file("more", b"x").import(&podtui, "idle");
    podtui.apply(&pod(
        "p",
        "localhost/used",
        "Never",
        "    command: [sleep, '1000000']\n",
    ));
    podtui.wait_running("p");
    let list = || podtui.ok(&["image", "ls"]);
    assert!(list().contains("localhost/idle"));
    // It looks at its start, and then every five minutes.
    podtui.serve_again();
    podtui.wait("the unused image to go", || {
        (!list().contains("localhost/idle")).then_some(())
    });
    assert!(list().contains("localhost/used"));
    let node = podtui.ok(&["get", "events", "-A", "-o", "json"]);
    assert!(node.contains("FreeDiskSpaceFailed"), "{node}");
    podtui.delete_all();
}

/// A name more is neither a copy nor a way around a removal, and an image is found by everything it is known by.
#[test]
fn an_image_is_known_by_names_and_digests() {
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let name = fake.image("x", "v1", &[("file", "content")]);
    podtui.ok(&["image", "pull", "-q", &name]);
    let text = podtui.ok(&["image", "inspect", &name]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let digest = found[0]["repoDigests"][0].as_str();
    let digest = digest.expect("a digest").to_owned();
    let id = found[0]["id"].as_str().expect("an ID").to_owned();
    podtui.ok(&["image", "tag", &name, "mine", "localhost/a/b:2"]);
    podtui.ok(&["image", "tag", &digest, "by-digest"]);
    let listed = |arguments: &[&str]| {
        let text = podtui.ok(&[&["image", "ls"], arguments].concat());
        let line = |line: &str| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        };
        text.lines().skip(1).map(line).collect::<Vec<_>>()
    };
    let repository = name.trim_end_matches(":v1");
    let all = [
        format!("{repository} v1"),
        "docker.io/library/mine latest".to_owned(),
        "localhost/a/b 2".to_owned(),
        "docker.io/library/by-digest latest".to_owned(),
    ];
    assert_eq!(listed(&[]), all);
    assert_eq!(listed(&["mine"]), all[1..2]);
    assert_eq!(listed(&["a/b:2"]), all[2..3]);
    assert_eq!(listed(&["a/b:3"]), Vec::<String>::new());
    let short = digest.split_once('@').expect("a digest").1;
    let digests = podtui.ok(&["image", "ls", "--digests", repository]);
    assert!(digests.contains(short), "{digests}");
    let inspected = podtui.ok(&["image", "inspect", &digest]);
    assert!(inspected.contains(&id), "{inspected}");
    for (image, wanted, reason) in [
        ("nothing", "a", "not found"),
        ("mine", "a b", "invalid reference format"),
        ("mine", digest.as_str(), "a digest cannot be chosen"),
    ] {
        let error = podtui.refused(&["image", "tag", image, wanted]);
        assert!(error.contains(reason), "{error}");
    }
    // A name that another image has moves.
    let second = fake.image("y", "v1", &[("file", "other")]);
    podtui.ok(&["image", "pull", "-q", &second]);
    podtui.ok(&["image", "tag", &second, "mine"]);
    podtui.ok(&["image", "rm", &name, "by-digest", "localhost/a/b:2"]);
    let left = [
        format!("{} v1", second.trim_end_matches(":v1")),
        "docker.io/library/mine latest".to_owned(),
    ];
    assert_eq!(listed(&[]), left);
    podtui.ok(&["image", "rm", &second, "mine"]);
    // Pulled by digest alone it has a repository and no tag.
    podtui.ok(&["image", "pull", "-q", &digest]);
    assert_eq!(listed(&[]), [format!("{repository} <none>")]);
}

#[test]
fn names_are_taken_away_and_found() {
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let name = fake.image("x", "v1", &[("file", "content")]);
    podtui.ok(&["image", "pull", "-q", &name]);
    podtui.ok(&["image", "tag", &name, "mine", "localhost/a/b:2"]);
    let names = |arguments: &[&str]| {
        let text = podtui.ok(&[&["image", "ls", "-o", "name"], arguments].concat());
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["--filter", "reference=mi*"]),
        ["docker.io/library/mine:latest"]
    );
    assert_eq!(names(&["--filter", "dangling=true"]), Vec::<String>::new());
    let ids = podtui.ok(&["image", "ls", "-q", "--no-trunc"]);
    let id = ids.lines().next().expect("an ID").to_owned();

    // An ID of several names means all of them: that is asked for.
    let refused = podtui.refused(&["image", "rm", &id]);
    assert!(
        refused.contains("has several names") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(
        podtui.ok(&["image", "untag", "mine", "localhost/a/b:2"]),
        "Untagged: localhost/a/b:2\n"
    );
    let refused = podtui.refused(&["image", "untag", "mine", "localhost/a/b:2"]);
    assert!(refused.contains("the image has no such name"), "{refused}");
    podtui.ok(&["image", "untag", &id]);
    assert_eq!(names(&["--filter", "dangling=false"]), Vec::<String>::new());
    let dangling = podtui.ok(&[
        "image",
        "ls",
        "-q",
        "--no-trunc",
        "--filter",
        "dangling=true",
    ]);
    assert_eq!(dangling.trim(), id);
    podtui.ok(&["image", "rm", &id]);
    assert!(
        podtui
            .refused(&["image", "ls", "--filter", "since=x"])
            .contains("is no filter")
    );
    podtui.ok(&["image", "pull", "-q", &name]);
    podtui.ok(&["image", "tag", &name, "mine"]);
    podtui.ok(&["image", "rm", "--force", &id]);
    assert_eq!(podtui.ok(&["image", "ls", "-q"]), "");
}

/// Whatever an archive says, the built-in image stays what it is; and an archive may come through a pipe.
#[test]
fn the_toolbox_is_not_replaced() {
    use std::process::Stdio;

    require_images!();
    let podtui = Podtui::start();
    let saved = podtui.path().join("toolbox.tar");
    let saved = saved.to_str().expect("UTF-8 path");
    podtui.ok(&["image", "save", "localhost/toolbox", "-o", saved]);
    // It itself may come again.
    podtui.ok(&["image", "load", "-i", saved]);
    let id = podtui.ok(&["image", "ls", "-q", "--no-trunc"]);
    let tar = podtui.path().join("root.tar");
    let made = std::process::Command::new("tar")
        .args([
            "-cf",
            tar.to_str().expect("UTF-8 path"),
            "-C",
            "/etc",
            "hostname",
        ])
        .status();
    assert!(made.expect("tar starts").success());
    let import = |name: &str| {
        let input = std::fs::File::open(&tar).expect("the archive");
        let mut command = podtui.command(&["image", "import", "-", name]);
        command
            .stdin(Stdio::from(input))
            .output()
            .expect("podtui starts")
    };
    let imported = import("localhost/mine:1");
    assert!(imported.status.success(), "{imported:?}");
    let refused = import("localhost/toolbox");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && text.contains("podtui's own image"),
        "{text}"
    );
    let tagged = podtui.refused(&[
        "image",
        "tag",
        "localhost/mine:1",
        "localhost/toolbox:latest",
    ]);
    assert!(tagged.contains("podtui's own image"), "{tagged}");
    let other = podtui.path().join("other.tar");
    let other = other.to_str().expect("UTF-8 path");
    let copied = std::process::Command::new("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            &format!("docker-archive:{saved}"),
        ])
        .arg(format!("docker-archive:{other}:localhost/toolbox:latest"))
        .status();
    // A copy has other bytes or the same ones; neither makes another image of that name.
    if copied.is_ok_and(|status| status.success()) {
        let loaded = podtui.output(&["image", "load", "-i", other]);
        let text = String::from_utf8_lossy(&loaded.stderr).into_owned();
        assert!(
            loaded.status.success() || text.contains("podtui's own image"),
            "{text}"
        );
    }
    let now = podtui.ok(&[
        "image",
        "ls",
        "-q",
        "--no-trunc",
        "--filter",
        "reference=toolbox",
    ]);
    assert_eq!(now, id);
}
