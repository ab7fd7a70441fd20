//! A disk that is full before an image is here: said so with a way out, nothing left, and no harm done.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::fake::{Fake, Layer};
use crate::housekeeping::{check_accounts, noise};
use crate::pulls::leftovers;
use crate::registry::{configure, run};
use crate::support::Podtui;

/// The state directory on a file system of its own. Unmounted with this value, also after a failure.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(podtui: &Podtui, size: &str) -> Self {
        let place = podtui.state();
        fs::create_dir_all(&place).expect("a directory");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&place));
        Self(place)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the engine may be about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_survived() {
    require_root!();
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    // Nothing goes by itself: the full disk is what this is about.
    let text = format!(
        "{}[images]\ngc_high_threshold = 100\n[eviction]\nnodefs_available = \"0%\"\n",
        fake.table()
    );
    configure(&podtui, &text);
    let disk = SmallDisk::mount(&podtui, "24m");
    podtui.serve();
    let small = fake.image("small", "v1", &[("file", "content")]);
    podtui.ok(&["image", "pull", "-q", &small]);
    let content = noise(6 << 20);
    let layers = [
        Layer::new().file("one", content.as_bytes()).bytes(),
        Layer::new()
            .file("two", content.replace(' ', "x").as_bytes())
            .bytes(),
    ];
    let large = fake.image_of("large", "v1", &layers);
    let filler = podtui.state().join("filler");
    // Nothing for the download; room for that but not for what it unpacks to; room for one of two layers.
    for left in [1_usize << 20, 9 << 20, 15 << 20] {
        fs::write(&filler, vec![1; (23 << 20) - left]).expect("a file");
        let error = podtui.refused(&["image", "pull", &large]);
        assert!(
            error.contains("no space left on the disk"),
            "{left}: {error}"
        );
        assert!(
            error.contains("podtui image prune --all"),
            "{left}: {error}"
        );
        podtui.wait("nothing left", || {
            leftovers(&podtui).is_empty().then_some(())
        });
        let layers = fs::read_dir(podtui.state().join("images/layers")).expect("a directory");
        assert_eq!(layers.count(), 1, "{left}: the layer of the small image");
        podtui.ok(&["image", "inspect", &small]);
        fs::remove_file(&filler).expect("remove");
        check_accounts(&podtui);
    }
    // What would never fit.
    let huge = fake.image_of(
        "huge",
        "v1",
        &[Layer::new()
            .file("huge", noise(30 << 20).as_bytes())
            .bytes()],
    );
    let error = podtui.refused(&["image", "pull", &huge]);
    assert!(error.contains("no space left on the disk"), "{error}");
    assert!(error.contains("podtui image prune --all"), "{error}");
    podtui.wait("nothing left", || {
        leftovers(&podtui).is_empty().then_some(())
    });

    // A smaller one fits now; the disk is as large as it was.
    let fits = fake.image_of("fits", "v1", &layers[..1]);
    podtui.ok(&["image", "pull", "-q", &fits]);
    podtui.ok(&["image", "rm", &fits]);
    // And with the next disk the large one as well.
    run(Command::new("mount")
        .args(["-o", "remount,size=200m"])
        .arg(podtui.state()));
    podtui.ok(&["image", "pull", "-q", &large]);
    check_accounts(&podtui);
    podtui.ok(&["engine", "stop"]);
    // Before anybody looks for what was left on the machine.
    drop(disk);
}
