//! Registries and images that want to do harm: refused with a reason, nothing touched, nothing left.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};
use tar::EntryType;

use crate::fake::{CONFIG, Fake, INDEX, LAYER, Layer, MANIFEST, architecture, digest, gzip};
use crate::pulls::leftovers;
use crate::registry::{PASSWORD, USER, configure};
use crate::support::Podtui;

/// What the store holds: nothing.
#[track_caller]
fn check_empty(podtui: &Podtui, case: &str) {
    assert_eq!(leftovers(podtui), Vec::<String>::new(), "{case}");
    for directory in ["images/layers", "images/blobs/sha256"] {
        let list = fs::read_dir(podtui.state().join(directory)).expect("a directory");
        assert_eq!(list.count(), 0, "{case}: {directory}");
    }
}

#[track_caller]
fn check_refused(podtui: &Podtui, case: &str, name: &str, expected: &str) {
    let error = podtui.refused(&["image", "pull", name]);
    assert!(error.contains(expected), "{case}: {error}");
    assert!(!error.contains('\u{1b}') && error.len() < 2000, "{case}");
    podtui.wait(&format!("nothing left of {case}"), || {
        leftovers(podtui).is_empty().then_some(())
    });
    check_empty(podtui, case);
}

fn started(fake: &Fake) -> Podtui {
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    podtui
}

#[test]
fn manifests() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let layer = Layer::new().file("a", b"content").bytes();
    let good = || fake.image_manifest(std::slice::from_ref(&layer));
    let put = |tag: &str, document: &Value| {
        fake.manifest("x", tag, MANIFEST, document.to_string().as_bytes());
        format!("{}/x:{tag}", fake.host)
    };
    let changed = |pointer: &str, value: Value| {
        let mut document = good();
        *document.pointer_mut(pointer).expect("a place") = value;
        document
    };
    let check = |tag: &str, document: &Value, expected: &str| {
        check_refused(&podtui, tag, &put(tag, document), expected);
    };

    check("not-json", &json!("text"), "x:not-json");
    check(
        "nothing",
        &json!({"schemaVersion": 2}),
        "neither a manifest nor an index",
    );
    let mut both = good();
    both["manifests"] = json!([]);
    check("both", &both, "a manifest and an index at once");
    check(
        "schema1",
        &changed("/schemaVersion", json!(1)),
        "only schema version 2",
    );
    check(
        "other-type",
        &changed("/mediaType", json!(INDEX)),
        "is listed as",
    );
    check(
        "traversal",
        &changed("/layers/0/digest", json!("sha256:../../../../etc/passwd")),
        "digest",
    );
    check(
        "md5",
        &changed("/layers/0/digest", json!("md5:00")),
        "digest",
    );
    let size = good()["layers"][0]["size"].as_u64().expect("a size");
    check(
        "shorter",
        &changed("/layers/0/size", json!(size - 1)),
        &format!("{size} bytes instead of {}", size - 1),
    );
    check(
        "longer",
        &changed("/layers/0/size", json!(size + 1)),
        &format!("{size} bytes instead of {}", size + 1),
    );
    check(
        "negative",
        &changed("/layers/0/size", json!(-1)),
        "invalid value",
    );
    check(
        "foreign",
        &changed(
            "/layers/0/mediaType",
            json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        ),
        "foreign (nondistributable)",
    );
    check(
        "chart",
        &changed(
            "/layers/0/mediaType",
            json!("application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
        ),
        "is no layer of a container image",
    );
    check(
        "artifact",
        &changed(
            "/config/mediaType",
            json!("application/vnd.cncf.helm.config.v1+json"),
        ),
        "application/vnd.cncf.helm.config.v1+json, which is no container image",
    );
    check(
        "config-size",
        &changed("/config/size", json!(100_000_000)),
        "more than 8388608",
    );
    check(
        "config-short",
        &changed("/config/size", json!(3)),
        "bytes instead of 3",
    );
    let many: Vec<Value> = std::iter::repeat_n(good()["layers"][0].clone(), 501).collect();
    check(
        "many-layers",
        &changed("/layers", json!(many)),
        "more than 500 layers",
    );
    let two = vec![good()["layers"][0].clone(); 2];
    check(
        "count",
        &changed("/layers", json!(two)),
        "lists 2 layers, the image configuration 1",
    );
    let wrong = fake.config(&[digest(b"something else")]);
    check(
        "diff-id",
        &changed("/config", wrong),
        "the configuration promises",
    );
    let windows = fake.blob(
        CONFIG,
        br#"{"os":"windows","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    check("windows", &changed("/config", windows), "made for windows");
    let s390x = fake.blob(
        CONFIG,
        br#"{"os":"linux","architecture":"s390x","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    check(
        "architecture",
        &changed("/config", s390x),
        "made for linux/s390x, this machine is linux/",
    );

    fake.manifest("x", "huge", MANIFEST, &vec![b' '; (4 << 20) + 1]);
    check_refused(
        &podtui,
        "huge",
        &format!("{}/x:huge", fake.host),
        "longer than 4194304 bytes",
    );
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    fake.manifest("x", "deep", MANIFEST, deep.as_bytes());
    check_refused(&podtui, "deep", &format!("{}/x:deep", fake.host), "x:deep");

    // An index inside an index inside …
    let platform = json!({"os": "linux", "architecture": architecture()});
    let mut inner = fake.manifest("x", "good", MANIFEST, good().to_string().as_bytes());
    for depth in 0..5 {
        inner["platform"] = platform.clone();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
        inner = fake.manifest(
            "x",
            &format!("index{depth}"),
            INDEX,
            index.to_string().as_bytes(),
        );
    }
    check_refused(
        &podtui,
        "index4",
        &format!("{}/x:index4", fake.host),
        "an index inside an index",
    );
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": digest(b"x"), "size": 1, "platform": {"os": "plan9", "architecture": "mips"}}]});
    fake.manifest("x", "plan9", INDEX, index.to_string().as_bytes());
    check_refused(
        &podtui,
        "plan9",
        &format!("{}/x:plan9", fake.host),
        "it has plan9/mips",
    );

    // Content that is not what its digest says.
    let wanted = digest(b"another manifest");
    fake.lie("x", &wanted, good().to_string().as_bytes());
    check_refused(
        &podtui,
        "lie",
        &format!("{}/x@{wanted}", fake.host),
        "sent a manifest with the digest",
    );
    let name = put("damaged", &good());
    let blob = good()["layers"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    // The time in its header: it unpacks to the same.
    let mut other = gzip(&layer);
    other[4] ^= 1;
    fake.replace_blob(&blob, &other);
    check_refused(&podtui, "damaged", &name, "its content has the digest");
    let text = fake.config(&[digest(&layer)]);
    let config = text["digest"].as_str().expect("a digest").to_owned();
    let length = usize::try_from(text["size"].as_u64().expect("a size")).expect("small");
    fake.replace_blob(&config, &vec![b' '; length]);
    check_refused(&podtui, "config", &name, "has the digest");
    // Nothing of all this stands in the way of a good image.
    let name = fake.image("y", "good", &[("file", "content")]);
    podtui.ok(&["image", "pull", &name]);
}

#[test]
fn layers() {
    require_images!();
    let fake = Fake::start();
    let podtui = started(&fake);
    let victim = podtui.path().join("victim");
    fs::create_dir(&victim).expect("a directory");
    fs::write(victim.join("file"), "untouched").expect("a file");
    for (path, mode) in [(victim.clone(), 0o751), (victim.join("file"), 0o600)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }
    let victim_text = victim.to_str().expect("text");
    let up = format!("{}{}/file", "../".repeat(20), victim_text);
    let untouched = |case: &str| {
        let found = fs::read_dir(&victim).expect("a directory").count();
        let content = fs::read_to_string(victim.join("file")).expect("a file");
        assert_eq!((found, content.as_str()), (1, "untouched"), "{case}");
        let modes = [victim.as_path(), &victim.join("file")].map(|path| {
            let meta = fs::metadata(path).expect("it is there");
            (meta.mode(), meta.uid(), meta.nlink() > 2)
        });
        assert_eq!(
            modes,
            [(0o040_751, 0, false), (0o100_600, 0, false)],
            "{case}"
        );
    };
    let check_raw = |case: &str, bytes: Vec<u8>, stored: &[u8], expected: &str| {
        let manifest = json!({
            "schemaVersion": 2,
            "config": fake.config(&[digest(&bytes)]),
            "layers": [fake.blob(LAYER, stored)],
        });
        fake.manifest("x", case, MANIFEST, manifest.to_string().as_bytes());
        check_refused(&podtui, case, &format!("{}/x:{case}", fake.host), expected);
        untouched(case);
    };
    let check = |case: &str, layer: Layer, expected: &str| {
        let bytes = layer.bytes();
        check_raw(case, bytes.clone(), &gzip(&bytes), expected);
    };
    let raw = |name: &[u8], kind, link: &str| Layer::new().raw(name, kind, link.as_bytes(), b"");
    let long = "d/".repeat(300);
    let record = |key: &str, value: &str| {
        let length = key.len() + value.len() + 3;
        let total = length + (length + 2).to_string().len();
        format!("{total} {key}={value}\n")
    };

    check(
        "absolute",
        Layer::new().file("/etc/passwd", b"x"),
        "absolute path",
    );
    check(
        "parent",
        Layer::new().file(&up[..99.min(up.len())], b"x"),
        "\"..\"",
    );
    check(
        "inner-parent",
        Layer::new().file("a/../../x", b"x"),
        "\"..\"",
    );
    check("empty-name", raw(b"", EntryType::Regular, ""), "empty name");
    check(
        "nul",
        Layer::new()
            .pax(record("path", "a\0b").as_bytes())
            .file("x", b""),
        "NUL",
    );
    check(
        "deep",
        Layer::new()
            .pax(record("path", &long).as_bytes())
            .file("x", b""),
        "deep",
    );
    check(
        "long",
        Layer::new()
            .pax(record("path", &"n".repeat(256)).as_bytes())
            .file("x", b""),
        "longer than 255",
    );
    check(
        "hard-link-out",
        Layer::new().hard_link("x", &up[..99.min(up.len())]),
        "\"..\"",
    );
    check(
        "hard-link-absolute",
        Layer::new().hard_link("x", "/etc/passwd"),
        "absolute path",
    );
    check(
        "hard-link-through-link",
        Layer::new().link("d", victim_text).hard_link("x", "d/file"),
        "hard link",
    );
    check(
        "hard-link-self",
        Layer::new().hard_link("x", "x"),
        "hard link to itself",
    );
    check(
        "hard-link-directory",
        raw(b"d", EntryType::Directory, "").hard_link("x", "d"),
        "hard link to a directory",
    );
    check(
        "whiteout-nothing",
        Layer::new().file("d/.wh.", b""),
        "whiteout of nothing",
    );
    check(
        "whiteout-dot",
        Layer::new().file("d/.wh..", b""),
        "whiteout of nothing",
    );
    check(
        "whiteout-parent",
        Layer::new().file("d/.wh...", b""),
        "whiteout of nothing",
    );
    check(
        "whiteout-link",
        Layer::new().file("a", b"").hard_link("d/.wh.b", "a"),
        "a whiteout must be an empty file",
    );
    check(
        "opaque-link",
        Layer::new().file("a", b"").hard_link("d/.wh..wh..opq", "a"),
        "a whiteout must be an empty file",
    );
    check(
        "opaque-root",
        Layer::new().file(".wh..wh..opq", b""),
        "opaque root",
    );
    check(
        "inside-whiteout",
        Layer::new().file(".wh.d/x", b""),
        "inside a whiteout",
    );
    check(
        "whiteout-device",
        raw(b"x", EntryType::Char, ""),
        "character device 0:0",
    );
    check("sparse", raw(b"x", EntryType::GNUSparse, ""), "sparse");
    check(
        "unknown",
        raw(b"x", EntryType::new(b'Z'), ""),
        "unknown entry type",
    );
    check(
        "root-file",
        raw(b"./", EntryType::Symlink, victim_text),
        "the root of a layer must be a directory",
    );
    check(
        "pax-rubbish",
        Layer::new().pax(b"rubbish").file("x", b""),
        "malformed PAX record",
    );
    check(
        "owner",
        Layer::new()
            .pax(record("uid", "4294967295").as_bytes())
            .file("x", b""),
        "4294967295",
    );
    check(
        "escape",
        Layer::new().file("/\u{1b}]0;owned\u{7}", b""),
        "\\x1b]0;owned",
    );

    // Four gigabytes of names for one entry; a size beyond the archive; no archive at all.
    let mut giant = Layer::new().pax(b"6 a=b\n").file("x", b"").bytes();
    giant[124..136].copy_from_slice(b"37777777777\0");
    checksum(&mut giant[..512]);
    check_raw(
        "giant-header",
        giant.clone(),
        &gzip(&giant),
        "bytes of names and attributes",
    );
    let mut beyond = Layer::new().file("x", b"y").bytes();
    beyond[124..136].copy_from_slice(b"00077777777\0");
    checksum(&mut beyond[..512]);
    check_raw("beyond", beyond.clone(), &gzip(&beyond), "end of file");
    let broken = Layer::new().file("x", b"y").bytes();
    let packed = gzip(&broken);
    check_raw(
        "torn-gzip",
        broken.clone(),
        &packed[..packed.len() - 9],
        "read archive",
    );
    check_raw(
        "rubbish",
        vec![7; 2000],
        &gzip(&vec![7; 2000]),
        "is this a tar archive?",
    );
    check_raw("empty", Vec::new(), b"", "the archive is empty");
    check_raw("xz", broken.clone(), b"\xfd7zXZ\0rest", "xz");
    // A frame that wants a gigabyte of memory for its window (RFC 8878, 3.1.1.1.2).
    let frame = b"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00rest";
    check_raw("zstd-window", broken.clone(), frame, "window");

    // Through a symlink: it stays inside.
    let name = fake.image_of(
        "x",
        "inside",
        &[Layer::new()
            .link("d", victim_text)
            .file("d/file", b"inside")
            .bytes()],
    );
    podtui.ok(&["image", "pull", &name]);
    untouched("inside");
    // Mode and owner are those of what is made, not of what a link leads to (CVE-2021-32760).
    let loud = (0o4777, 1000, 1000);
    let changing = Layer::new()
        .link("f", &format!("{victim_text}/file"))
        .owned(b"f", EntryType::Regular, b"", b"x", loud)
        .link("d", victim_text)
        .owned(b"d", EntryType::Directory, b"", b"", loud)
        .owned(b"l", EntryType::Symlink, victim_text.as_bytes(), b"", loud);
    let other = fake.image_of("x", "changing", &[changing.bytes()]);
    podtui.ok(&["image", "pull", &other]);
    untouched("changing");
    podtui.ok(&["image", "rm", &other]);
    let layer = fs::read_dir(podtui.state().join("images/layers"))
        .expect("a directory")
        .next()
        .expect("the layer")
        .expect("an entry")
        .path();
    let inside = layer.join(Path::new(victim_text).strip_prefix("/").expect("absolute"));
    assert_eq!(
        fs::read_to_string(inside.join("file")).expect("a file"),
        "inside"
    );
}

fn checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn places_a_registry_may_not_send_to() {
    require_images!();
    let fake = Fake::start();
    let elsewhere = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let name = fake.image("x", "v1", &[("file", "content")]);
    let manifest = "/v2/x/manifests/v1";
    for (case, location, expected) in [
        (
            "plain http",
            format!("http://{}/", elsewhere.host),
            "plain http is used only",
        ),
        (
            "metadata",
            "https://169.254.169.254/latest".to_owned(),
            "link-local",
        ),
        (
            "file",
            "file:///etc/passwd".to_owned(),
            "only https and http",
        ),
        ("loop", manifest.to_owned(), "more than 10 redirects"),
        (
            "password",
            "https://a:b@host.example/".to_owned(),
            "must not hold a password",
        ),
    ] {
        fake.redirect(manifest, &location);
        check_refused(&podtui, case, &name, expected);
    }
    fake.redirect(manifest, manifest);
    // A token server without TLS that is not configured gets nothing.
    let fake = Fake::start();
    let name = fake.image("x", "v1", &[("file", "content")]);
    configure(&podtui, &fake.table());
    podtui.serve_again();
    fake.challenge(
        manifest,
        &format!(
            "Bearer realm=\"http://{}/token\",service=\"x\"",
            elsewhere.host
        ),
    );
    check_refused(&podtui, "realm", &name, "plain http is used only");
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[test]
fn credentials_stay_with_their_registry() {
    require_images!();
    let fake = Fake::start();
    let elsewhere = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &format!("{}{}", fake.table(), elsewhere.table()));
    let docker = podtui.path().join("docker");
    fs::create_dir(&docker).expect("a directory");
    let config = json!({"auths": {&fake.host: {"username": USER, "password": PASSWORD}}});
    fs::write(docker.join("config.json"), config.to_string()).expect("a file");
    let name = fake.image("x", "v1", &[("file", "content")]);
    // Blobs lie elsewhere, as in the clouds.
    let manifest = fake.image_manifest(&[Layer::new().file("file", b"content").bytes()]);
    for descriptor in [&manifest["config"], &manifest["layers"][0]] {
        let blob = descriptor["digest"].as_str().expect("a digest");
        let path = format!("/v2/x/blobs/{blob}");
        fake.redirect(&path, &format!("http://{}{path}", elsewhere.host));
    }
    elsewhere.image("x", "v1", &[("file", "content")]);
    fake.require_token(USER, PASSWORD);
    let output = podtui
        .command(&["image", "pull", &name])
        .env("DOCKER_CONFIG", &docker)
        .output()
        .expect("podtui starts");
    podtui.ok(&["engine", "stop"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen = elsewhere.requests();
    assert_eq!(seen.len(), 2, "{seen:#?}");
    for line in seen {
        assert!(line.ends_with(' '), "it was shown credentials: {line}");
    }
}
