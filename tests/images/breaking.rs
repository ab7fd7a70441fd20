//! Connections that break, engines that are killed, pods that go: the next pull finishes, nothing is left.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fake::{Fake, Layer, Manner};
use crate::housekeeping::check_accounts;
use crate::pulls::leftovers;
use crate::registry::{configure, events, pod};
use crate::support::Podtui;

/// Bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn layers(count: usize, length: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| {
            let content = noise(length, 7 + index as u64);
            let mut layer = Layer::new();
            for part in 0..10 {
                layer = layer.file(
                    &format!("layer{index}/part{part}"),
                    &content[part * length / 10..],
                );
            }
            layer.bytes()
        })
        .collect()
}

fn started(fake: &Fake) -> Podtui {
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    podtui
}

fn blobs(fake: &Fake) -> Vec<String> {
    fake.requests()
        .into_iter()
        .filter(|line| line.contains("/blobs/"))
        .collect()
}

#[test]
fn downloads_go_on_where_they_broke() {
    require_images!();
    for no_ranges in [false, true] {
        let fake = Fake::start();
        let podtui = started(&fake);
        let name = fake.image_of("big", "v1", &layers(1, 300_000));
        let length = if no_ranges { 1_400_000 } else { 600_000 };
        fake.manner(Manner {
            break_after: Some(length),
            no_ranges,
            ..Manner::default()
        });
        if no_ranges {
            // Never a whole one: given up, but what came stays for the next try.
            let error = podtui.refused(&["image", "pull", &name]);
            assert!(error.contains("broke"), "{error}");
            fake.manner(Manner {
                no_ranges,
                ..Manner::default()
            });
        }
        podtui.ok(&["image", "pull", &name]);
        let asked = blobs(&fake);
        assert!(
            asked.iter().any(|line| line.contains(" from ")),
            "{asked:#?}"
        );
        assert_eq!(leftovers(&podtui), Vec::<String>::new());
    }
}

#[test]
fn a_damaged_part_is_not_gone_on_with() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let layers = layers(1, 200_000);
    let name = fake.image_of("big", "v1", &layers);
    let blob = fake.image_manifest(&layers)["layers"][0]["digest"]
        .as_str()
        .expect("a digest")
        .replace(':', "-");
    // As after a power failure: length without content.
    std::fs::write(
        podtui.state().join("images/partial").join(blob),
        vec![0; 5000],
    )
    .expect("a file");
    podtui.ok(&["image", "pull", &name]);
    assert_eq!(leftovers(&podtui), Vec::<String>::new());
}

#[test]
fn one_pull_for_all_who_wait() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let name = fake.image_of("big", "v1", &layers(2, 100_000));
    fake.manner(Manner {
        pause: Duration::from_millis(40),
        ..Manner::default()
    });
    for index in 0..5 {
        podtui.apply(&pod(&format!("p{index}"), &name, "Always", ""));
    }
    for index in 0..5 {
        podtui.wait("Pulled", || {
            events(&podtui, &format!("p{index}"))
                .into_iter()
                .find(|line| line.starts_with("Pulled: "))
        });
    }
    let mut asked = blobs(&fake);
    asked.sort();
    let all = asked.len();
    asked.dedup();
    assert_eq!(
        (all, asked.len()),
        (3, 3),
        "config and two layers: {asked:#?}"
    );
    podtui.delete_all();
}

#[test]
fn deleting_the_pod_ends_its_pull() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let name = fake.image_of("big", "v1", &layers(3, 400_000));
    fake.manner(Manner {
        pause: Duration::from_millis(300),
        ..Manner::default()
    });
    podtui.apply(&pod("p", &name, "", ""));
    podtui.wait("the download", || (blobs(&fake).len() > 2).then_some(()));
    let begin = Instant::now();
    podtui.ok(&["delete", "pod", "p", "--grace-period=0", "--force"]);
    podtui.wait("the pull to end", || {
        let tmp = std::fs::read_dir(podtui.state().join("images/tmp")).expect("a directory");
        (tmp.count() == 0).then_some(())
    });
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    let layers = std::fs::read_dir(podtui.state().join("images/layers")).expect("a directory");
    assert_eq!(layers.count(), 0, "no layer without an image");
    podtui.delete_all();
    // What came is used by the next.
    fake.manner(Manner::default());
    fake.forget_requests();
    podtui.ok(&["image", "pull", &name]);
    let asked = blobs(&fake);
    assert!(
        asked.iter().any(|line| line.contains(" from ")),
        "{asked:#?}"
    );
    assert_eq!(leftovers(&podtui), Vec::<String>::new());
}

/// Moments that are not the same every time; the seed is told when it fails.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let seed = u64::from(now.subsec_nanos()) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        most.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// `PODTUI_TEST_KILLS` for more of them.
#[test]
fn killed_at_many_moments_of_a_pull() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let mut layers = layers(5, 150_000);
    // One that is unpacked in a second round.
    layers.push(Layer::new().hard_link("again", "layer0/part3").bytes());
    let name = fake.image_of("big", "v1", &layers);
    fake.manner(Manner {
        pause: Duration::from_millis(1),
        ..Manner::default()
    });
    let begin = Instant::now();
    podtui.ok(&["image", "pull", "-q", &name]);
    let whole = begin.elapsed();
    podtui.ok(&["image", "rm", &name]);
    let kills = std::env::var("PODTUI_TEST_KILLS");
    let kills: u32 = kills.map_or(50, |text| text.parse().expect("a number"));
    let mut moments = Moments::new();
    for kill in 0..kills {
        let mut pull = podtui
            .command(&["image", "pull", "-q", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("podtui starts");
        std::thread::sleep(moments.below(whole));
        podtui.kill_engine();
        pull.wait().expect("the client ends");
        podtui.serve();
        let tmp = std::fs::read_dir(podtui.state().join("images/tmp")).expect("a directory");
        assert_eq!(tmp.count(), 0, "kill {kill}: the start clears away");
        check_accounts(&podtui);
        // Sometimes the next one is killed as well, and the one after that.
        if kill % 5 == 4 || kill + 1 == kills {
            podtui.ok(&["image", "pull", "-q", &name]);
            assert_eq!(leftovers(&podtui), Vec::<String>::new(), "kill {kill}");
            let layers =
                std::fs::read_dir(podtui.state().join("images/layers")).expect("a directory");
            assert_eq!(layers.count(), 6, "kill {kill}");
            check_accounts(&podtui);
            podtui.ok(&["image", "rm", &name]);
        }
    }
    check_accounts(&podtui);
    for kind in ["layers", "recipes", "blobs/sha256"] {
        let left = std::fs::read_dir(podtui.state().join("images").join(kind));
        assert_eq!(left.expect("a directory").count(), 0, "{kind}");
    }
}
