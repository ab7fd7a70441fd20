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
