//! `image save`: the same image, for podtui and for others.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake::{Fake, Layer};
use crate::registry::{configure, has, run};
use crate::support::{Podtui, image::Rootfs};

fn id(podtui: &Podtui, name: &str) -> String {
    let text = podtui.ok(&["image", "inspect", name, "-o", "json"]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    found[0]["id"].as_str().expect("an ID").to_owned()
}

/// An image of four layers from a registry, and one that was loaded.
fn two_images(podtui: &Podtui, fake: &Fake) -> [String; 2] {
    let layers = [
        Layer::new()
            .directory("etc")
            .file("etc/a", b"one")
            .hard_link("etc/b", "etc/a"),
        Layer::new().file("etc/.wh.a", b"").link("etc/l", "/etc/b"),
        Layer::new().file("big", &vec![7; 900_000]),
        // Of a file that this layer has not.
        Layer::new()
            .hard_link("large", "big")
            .hard_link("c", "etc/b"),
    ];
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Layer::bytes).collect();
    let pulled = fake.image_of("saved", "v1", &layers);
    podtui.ok(&["image", "pull", "-q", &pulled]);
    let loaded = "localhost/loaded:latest";
    Rootfs::new().load(
        podtui,
        "loaded",
        json!({"Cmd": ["/bin/sh", "-c", "echo hello"]}),
    );
    [pulled, loaded.to_owned()]
}

#[test]
fn a_saved_image_is_the_same_image_elsewhere() {
    require_root!();
    require_images!();
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let names = two_images(&podtui, &fake);
    let file = podtui.path().join("both.tar");
    let path = file.display().to_string();
    podtui.ok(&["image", "save", "-o", &path, &names[0], &names[1]]);

    let other = Podtui::start();
    let text = other.ok(&["image", "load", "-i", &path]);
    for name in &names {
        assert!(text.contains(name.as_str()), "{text}");
        assert_eq!(id(&podtui, name), id(&other, name));
    }
    // What was loaded of it can be saved again, and makes the same archive.
    let again = other.path().join("again.tar");
    let again_path = again.display().to_string();
    other.ok(&["image", "save", "-o", &again_path, &names[0], &names[1]]);
    assert!(fs::read(&file).expect("read") == fs::read(&again).expect("read"));

    // To a pipe, by ID: without a name.
    let by_id = id(&podtui, &names[1]);
    let piped = podtui
        .command(&["image", "save", &by_id])
        .stdout(Stdio::piped())
        .output()
        .expect("podtui runs");
    assert!(piped.status.success());
    assert!(piped.stdout.len() > 10_240);

    if has("skopeo") {
        for (source, name) in [
            (format!("docker-archive:{path}:{}", names[1]), &names[1]),
            (format!("oci-archive:{path}:v1"), &names[0]),
        ] {
            let inspect = ["inspect", "--config", "--raw"];
            let config = run(Command::new("skopeo").args(inspect).arg(&source));
            let digest = crate::fake::digest(config.as_bytes());
            assert_eq!(digest, id(&podtui, name), "{source}");
        }
    } else {
        println!("skipped: this part needs skopeo");
    }
    other.delete_all();
    podtui.delete_all();
}

#[test]
fn what_cannot_be_saved_leaves_no_file() {
    require_root!();
    require_images!();
    let podtui = Podtui::start();
    Rootfs::new()
        .file("data", &vec![b'x'; 300_000])
        .load(&podtui, "damaged", json!({}));
    let file = podtui.path().join("out.tar");
    fs::write(&file, "what was there before").expect("write");
    let path = file.display().to_string();
    let unchanged = || {
        let names: Vec<String> = fs::read_dir(podtui.path())
            .expect("list")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .filter(|name| name.contains("out.tar"))
            .collect();
        assert_eq!(names, ["out.tar"]);
        assert_eq!(
            fs::read_to_string(&file).expect("read"),
            "what was there before"
        );
    };
    let text = podtui.refused(&["image", "save", "-o", &path, "localhost/none"]);
    assert!(text.contains("localhost/none"), "{text}");
    unchanged();
    let text = podtui.refused(&["image", "save", "-o", "/nowhere/x.tar", "localhost/damaged"]);
    assert!(text.contains("/nowhere/x.tar"), "{text}");

    // A file of the layer that is not what it was.
    let data = walkdir::WalkDir::new(podtui.state().join("images/layers"))
        .into_iter()
        .filter_map(Result::ok)
        .find(|entry| entry.file_name() == "data")
        .expect("the file");
    fs::write(data.path(), vec![b'y'; 300_000]).expect("write");
    let output = podtui.output(&["image", "save", "-o", &path, "localhost/damaged"]);
    assert!(!output.status.success());
    unchanged();

    // A layer whose recipe is not there, as before there were any.
    for entry in fs::read_dir(podtui.state().join("images/recipes")).expect("list") {
        fs::remove_file(entry.expect("an entry").path()).expect("remove");
    }
    let text = podtui.refused(&["image", "save", "-o", &path, "localhost/damaged"]);
    assert!(text.contains("older podtui"), "{text}");
    unchanged();
    podtui.delete_all();
}

/// podman's service speaks docker's protocol.
#[test]
fn an_image_comes_from_a_daemon_or_from_standard_input() {
    require_root!();
    require_images!();
    let podtui = Podtui::start();
    Rootfs::new().load(&podtui, "daemon", json!({"Cmd": ["/bin/sh"]}));
    let name = "localhost/daemon:latest";
    let wanted = id(&podtui, name);
    let file = podtui.path().join("daemon.tar");
    podtui.ok(&["image", "save", "-o", &file.display().to_string(), name]);

    podtui.ok(&["image", "rm", name]);
    let loaded = podtui
        .command(&["image", "load"])
        .stdin(fs::File::open(&file).expect("open"))
        .output()
        .expect("podtui runs");
    assert!(loaded.status.success(), "{loaded:?}");
    assert_eq!(id(&podtui, name), wanted);

    if !has("podman") {
        println!("skipped: this part needs podman");
        return podtui.delete_all();
    }
    podtui.ok(&["image", "rm", name]);
    let storage = tempfile::tempdir_in("/tmp").expect("a directory");
    let podman = || {
        let mut podman = Command::new("podman");
        podman
            .args(["--storage-driver", "vfs", "--root"])
            .arg(storage.path().join("root"))
            .arg("--runroot")
            .arg(storage.path().join("run"));
        podman
    };
    run(podman().args(["load", "-q", "-i"]).arg(&file));
    let socket = storage.path().join("api.sock");
    let address = format!("unix://{}", socket.display());
    let mut service = podman()
        .args(["system", "service", "--time=0", &address])
        .spawn()
        .expect("podman starts");
    podtui.wait("the service", || socket.exists().then_some(()));
    let load = |from: &str| {
        podtui
            .command(&["image", "load", from])
            .env("DOCKER_HOST", &address)
            .output()
            .expect("podtui runs")
    };
    let missing = load("docker-daemon:localhost/none:v1");
    let found = load("docker-daemon:localhost/daemon:latest");
    service.kill().expect("podman ends");
    service.wait().expect("podman ends");
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success(), "{text}");
    assert!(text.contains("localhost/none"), "{text}");
    assert!(found.status.success(), "{found:?}");
    assert_eq!(id(&podtui, name), wanted);
    run(podman().args(["rmi", "-a", "-f"]));
    podtui.delete_all();
}
