//! The same tree as umoci unpacks, for images that are made to be nasty.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::fake::{Fake, INDEX, LAYER, Layer, MANIFEST, gzip};
use crate::registry::{configure, has, run};
use crate::support::Podtui;

/// Everything that can be seen of one file.
fn facts(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).expect("stat");
    let kind = meta.mode() & 0o170_000;
    let mut text = format!(
        "{:o} {}:{} dev={}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.rdev()
    );
    // What a directory's links and times are depends on the file system.
    if !meta.is_dir() {
        text.push_str(&format!(
            " nlink={} size={} mtime={}.{}",
            meta.nlink(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
    }
    if meta.file_type().is_symlink() {
        let target = fs::read_link(path).expect("a link");
        text.push_str(&format!(" -> {target:?}"));
    }
    if kind == 0o100_000 {
        text.push_str(&format!(" {}", digest_of(path)));
    }
    let mut names = [0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).expect("attributes");
    for name in names[..length].split(|byte| *byte == 0) {
        let name = std::ffi::OsStr::from_bytes(name);
        if name.is_empty() || name.as_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = [0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value).expect("an attribute");
        text.push_str(&format!(" {name:?}={:?}", &value[..length]));
    }
    text
}

/// In pieces: a file may be larger than the memory.
fn digest_of(path: &Path) -> String {
    let mut file = fs::File::open(path).expect("readable");
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).expect("readable") {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    walkdir::WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let path = entry.expect("readable").into_path();
            let name = path.strip_prefix(root).expect("below").to_owned();
            (name, facts(&path))
        })
        .collect()
}

/// A mount that goes with the value.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// The layers as overlayfs shows them to a container.
fn ours(podtui: &Podtui, name: &str) -> BTreeMap<PathBuf, String> {
    let text = podtui.ok(&["image", "inspect", name]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let layers = found[0]["layers"].as_array().expect("layers");
    let store = podtui.state().join("images/layers");
    let empty = podtui.path().join("empty");
    fs::create_dir_all(&empty).expect("a directory");
    let mut chain = String::new();
    let mut lower: Vec<String> = layers
        .iter()
        .map(|layer| {
            let diff_id = layer.as_str().expect("a digest");
            chain = match chain.as_str() {
                "" => diff_id.to_owned(),
                below => crate::fake::digest(format!("{below} {diff_id}").as_bytes()),
            };
            // One that has hard links into others is kept under its chain ID.
            let place = |id: &str| store.join(id.trim_start_matches("sha256:"));
            let place = [place(diff_id), place(&chain)]
                .into_iter()
                .find(|place| place.is_dir());
            place.expect("a layer").display().to_string()
        })
        .collect();
    lower.reverse();
    // Two at least: overlayfs takes no single lower directory without an upper one.
    lower.push(empty.display().to_string());
    // As the engine has it: the same directory twice is refused by the kernel.
    let mut seen = std::collections::BTreeSet::new();
    lower.retain(|layer| seen.insert(layer.clone()));
    let target = podtui.path().join("merged");
    fs::create_dir_all(&target).expect("a directory");
    run(Command::new("mount")
        .args(["-t", "overlay", "overlay", "-o"])
        .arg(format!("ro,lowerdir={}", lower.join(":")))
        .arg(&target));
    let mount = Mount(target);
    tree(&mount.0)
}

/// The same blobs as an OCI layout, unpacked by umoci.
fn theirs(
    directory: &Path,
    manifest: &Value,
    blobs: &[(String, Vec<u8>)],
) -> BTreeMap<PathBuf, String> {
    let layout = directory.join("layout");
    let store = layout.join("blobs/sha256");
    fs::create_dir_all(&store).expect("a directory");
    for (digest, bytes) in blobs {
        fs::write(store.join(digest.trim_start_matches("sha256:")), bytes).expect("a file");
    }
    let text = manifest.to_string();
    let digest = crate::fake::digest(text.as_bytes());
    fs::write(store.join(digest.trim_start_matches("sha256:")), &text).expect("a file");
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("a file");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": MANIFEST, "digest": digest, "size": text.len(),
        "annotations": {"org.opencontainers.image.ref.name": "v1"}}]});
    fs::write(layout.join("index.json"), index.to_string()).expect("a file");
    let bundle = directory.join("bundle");
    run(Command::new("umoci")
        .args(["unpack", "--image", &format!("{}:v1", layout.display())])
        .arg(&bundle));
    tree(&bundle.join("rootfs"))
}

fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let length = key.len() + value.len() + 3;
    let mut total = length + 1;
    while total != length + total.to_string().len() {
        total += 1;
    }
    [format!("{total} {key}=").as_bytes(), value, b"\n"].concat()
}

fn base() -> Layer {
    Layer::new()
        .directory("d")
        .file("d/a", b"a")
        .file("d/b", b"b")
        .directory("d/sub")
        .file("d/sub/deep", b"deep")
        .file("f", b"f")
        .link("l", "d")
}

/// Directories without an entry of their own: those of layers below stay as they are, others are 0755 and root's.
/// The same layer twice, between others that change what it implies.
fn implied() -> Vec<Layer> {
    let directory = |layer: Layer, name: &str, owner: (u32, u64, u64)| {
        layer.owned(name.as_bytes(), EntryType::Directory, b"", b"", owner)
    };
    let noted = Layer::new().pax(&pax("SCHILY.xattr.user.note", b"kept"));
    let lowest = directory(noted, "low", (0o2750, 1000, 1000));
    let lowest = directory(lowest, "low/sub", (0o1777, 1001, 1001)).file("low/sub/a", b"a");
    let again = || {
        Layer::new()
            .file("low/sub/b", b"b")
            .file("fresh/deep/c", b"c")
            .file("low/.wh.nothing", b"")
    };
    let late = Layer::new().file("late/file", b"x");
    vec![
        lowest.directory("gone").file("gone/x", b"x"),
        again(),
        directory(Layer::new(), "fresh", (0o700, 7, 7)),
        directory(Layer::new(), "low", (0o711, 5, 6)),
        again(),
        Layer::new()
            .file(".wh.gone", b"")
            .file("gone/new", b"new")
            .file("low/sub/deeper/z", b"z"),
        directory(late, "late", (0o711, 9, 9)),
    ]
}

fn images() -> Vec<(&'static str, Vec<Layer>)> {
    let long = "ü".repeat(127) + "x";
    let mut many = Layer::new();
    for directory in 0..50 {
        many = many.directory(&format!("m{directory}"));
        for file in 0..100 {
            many = many.file(
                &format!("m{directory}/f{file}"),
                format!("{file}").as_bytes(),
            );
        }
    }
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut path = String::new();
    let mut deep = Layer::new();
    for level in 0..12 {
        path.push_str(&format!("level{level:02}-{}/", "y".repeat(20)));
        deep = deep.pax(&pax("path", path.as_bytes())).directory("x");
    }
    path.push_str("file");
    let owned = |layer: Layer, path: &str, mode, uid, gid| {
        layer.owned(
            path.as_bytes(),
            EntryType::Regular,
            b"",
            b"x",
            (mode, uid, gid),
        )
    };
    vec![
        (
            "whiteout-file",
            vec![base(), Layer::new().directory("d").file("d/.wh.a", b"")],
        ),
        (
            "whiteout-directory",
            vec![base(), Layer::new().file(".wh.d", b"")],
        ),
        (
            "whiteout-link",
            vec![base(), Layer::new().file(".wh.l", b"")],
        ),
        (
            "whiteout-absent",
            vec![base(), Layer::new().file(".wh.nothing", b"")],
        ),
        (
            "whiteout-twice",
            vec![
                base(),
                Layer::new().file(".wh.f", b""),
                Layer::new().file(".wh.f", b""),
            ],
        ),
        (
            "whiteout-and-back",
            vec![
                base(),
                Layer::new().file(".wh.d", b""),
                base().file("d/new", b"n"),
            ],
        ),
        (
            "opaque",
            vec![
                base(),
                Layer::new()
                    .directory("d")
                    .file("d/.wh..wh..opq", b"")
                    .file("d/new", b"n"),
            ],
        ),
        (
            "opaque-late",
            vec![
                base(),
                Layer::new()
                    .directory("d")
                    .file("d/new", b"n")
                    .file("d/.wh..wh..opq", b""),
            ],
        ),
        (
            "opaque-deep",
            vec![
                base(),
                Layer::new()
                    .directory("d")
                    .directory("d/sub")
                    .file("d/sub/.wh..wh..opq", b""),
            ],
        ),
        (
            "directory-by-file",
            vec![base(), Layer::new().file("d", b"now a file")],
        ),
        (
            "file-by-directory",
            vec![base(), Layer::new().directory("f").file("f/x", b"x")],
        ),
        (
            "link-by-directory",
            vec![base(), Layer::new().directory("l").file("l/x", b"x")],
        ),
        (
            "directory-by-link",
            vec![base(), Layer::new().link("d", "/etc")],
        ),
        (
            "links",
            vec![
                base()
                    .hard_link("hard", "f")
                    .hard_link("d/hard", "f")
                    .link("dangling", "../../nowhere")
                    .link("absolute", "/etc/passwd"),
            ],
        ),
        (
            "one-of-three-links",
            vec![
                base().hard_link("h1", "f").hard_link("h2", "f"),
                Layer::new().file(".wh.h1", b""),
            ],
        ),
        (
            "link-below",
            vec![base(), Layer::new().hard_link("hard", "f")],
        ),
        (
            "link-below-deep",
            vec![
                base().owned(b"d/sub", EntryType::Directory, b"", b"", (0o2710, 7, 8)),
                Layer::new().file("other", b"o"),
                Layer::new()
                    .hard_link("top", "d/sub/deep")
                    .hard_link("again", "d/sub/deep")
                    .hard_link("chained", "again"),
            ],
        ),
        ("link-below-metadata", {
            let layer = Layer::new()
                .pax(&pax("SCHILY.xattr.security.capability", &capability))
                .file("ping", b"x")
                .pax(&pax("mtime", b"1234567890.123456789"))
                .file("timed", b"x")
                .raw(b"fifo", EntryType::Fifo, b"", b"")
                .link("symbolic", "nowhere");
            vec![
                owned(layer, "setuid", 0o6755, 1000, 1001),
                ["ping", "timed", "fifo", "symbolic", "setuid"]
                    .iter()
                    .fold(Layer::new(), |layer, name| {
                        layer.hard_link(&format!("{name}.hard"), name)
                    }),
            ]
        }),
        (
            "link-below-of-many-names",
            vec![
                base().hard_link("h1", "f").hard_link("d/h2", "f"),
                Layer::new().hard_link("h3", "h1"),
            ],
        ),
        (
            "link-below-of-a-hidden-name",
            vec![
                base().hard_link("h1", "f").hard_link("d/h2", "f"),
                Layer::new().file("d/.wh.h2", b"").directory("d"),
                Layer::new().file("f", b"another f"),
                Layer::new().hard_link("h3", "h1"),
            ],
        ),
        (
            "link-below-and-hidden",
            vec![
                base(),
                Layer::new()
                    .hard_link("x", "f")
                    .hard_link("y", "d/sub/deep")
                    .hard_link("z", "d/a")
                    .file(".wh.f", b"")
                    .file("d/.wh.sub", b"")
                    .directory("d")
                    .file("d/.wh.a", b""),
            ],
        ),
        (
            "link-below-and-opaque",
            vec![
                base(),
                Layer::new()
                    .directory("d")
                    .hard_link("d/new", "d/sub/deep")
                    .hard_link("x", "d/a")
                    .file("d/.wh..wh..opq", b""),
            ],
        ),
        (
            "link-below-and-replaced",
            vec![
                base(),
                Layer::new()
                    .hard_link("x", "f")
                    .file("f", b"another")
                    .hard_link("y", "f")
                    .hard_link("d/a", "d/b"),
            ],
        ),
        (
            "link-below-a-link-below",
            vec![
                base(),
                Layer::new().hard_link("x", "f"),
                Layer::new().hard_link("y", "f"),
                Layer::new().file(".wh.x", b"").hard_link("z", "y"),
            ],
        ),
        ("modes", {
            let layer = owned(Layer::new(), "setuid", 0o4755, 0, 0);
            let layer = owned(layer, "setgid", 0o2755, 0, 7);
            let layer = owned(layer, "nothing", 0o000, 1000, 1000);
            let layer = owned(layer, "large-id", 0o640, 2_000_000, 2_000_001);
            vec![layer.owned(b"sticky", EntryType::Directory, b"", b"", (0o1777, 0, 0))]
        }),
        (
            "directory-metadata",
            vec![
                base(),
                Layer::new().owned(b"d", EntryType::Directory, b"", b"", (0o700, 5, 6)),
            ],
        ),
        (
            "capabilities",
            vec![
                Layer::new()
                    .pax(&pax("SCHILY.xattr.security.capability", &capability))
                    .file("ping", b"x")
                    .pax(&pax("SCHILY.xattr.user.note", "grüße".as_bytes()))
                    .file("noted", b"x"),
            ],
        ),
        (
            "names",
            vec![
                Layer::new()
                    .pax(&pax("path", long.as_bytes()))
                    .file("x", b"255 bytes")
                    .file("e\u{301}", b"decomposed")
                    .file("\u{e9}", b"composed")
                    .raw(b"latin-\xe9", EntryType::Regular, b"", b"no UTF-8")
                    .file("new\nline", b"x")
                    .file(" blank ", b"x"),
            ],
        ),
        (
            "deep",
            vec![deep.pax(&pax("path", path.as_bytes())).file("x", b"deep")],
        ),
        (
            "nodes",
            vec![Layer::new().raw(b"fifo", EntryType::Fifo, b"", b"")],
        ),
        (
            "times",
            vec![
                Layer::new()
                    .pax(&pax("mtime", b"1234567890.123456789"))
                    .file("exact", b"x")
                    .pax(&pax("mtime", b"-1.5"))
                    .file("before", b"x"),
            ],
        ),
        ("implied", implied()),
        // As kaniko has it.
        (
            "root-entry",
            vec![
                base(),
                base().owned(b"/", EntryType::Directory, b"", b"", (0o755, 0, 0)),
            ],
        ),
        ("many", vec![many]),
        ("nothing", vec![base(), Layer::new().directory("d"), base()]),
    ]
}

/// What differs between what podtui and umoci make of an image.
fn differences(podtui: &Podtui, fake: &Fake, case: &str, layers: &[Vec<u8>]) -> Vec<String> {
    let name = fake.image_of(case, "v1", layers);
    podtui.ok(&["image", "pull", "-q", &name]);
    let manifest = fake.image_manifest(layers);
    let mut blobs: Vec<(String, Vec<u8>)> = layers
        .iter()
        .map(|layer| gzip(layer))
        .map(|bytes| (crate::fake::digest(&bytes), bytes))
        .collect();
    assert_eq!(manifest["layers"][0]["mediaType"], LAYER);
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    blobs.push((config.to_owned(), fake.bytes(config)));
    let directory = tempfile::tempdir_in("/tmp").expect("a directory");
    let theirs = theirs(directory.path(), &manifest, &blobs);
    let mut ours = ours(podtui, &name);
    if case == "one-of-three-links" {
        // overlayfs counts the names a file has in its layer, also those that a whiteout hides.
        for facts in ours.values_mut() {
            *facts = facts.replace("nlink=3", "nlink=2");
        }
    }
    assert!(case == "whiteout-directory" || !ours.is_empty(), "{case}");
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| {
            format!(
                "{case}: {path:?}\n  ours   {:?}\n  theirs {:?}",
                ours.get(path),
                theirs.get(path)
            )
        })
        .collect()
}

#[track_caller]
fn check(images: Vec<(&'static str, Vec<Vec<u8>>)>) {
    let fake = Fake::start();
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let mut differing = Vec::new();
    for (case, layers) in images {
        differing.extend(differences(&podtui, &fake, case, &layers));
    }
    podtui.ok(&["image", "prune", "--all"]);
    for kind in ["layers", "recipes", "blobs/sha256", "tmp", "partial"] {
        let left = fs::read_dir(podtui.state().join("images").join(kind)).expect("a directory");
        assert_eq!(left.count(), 0, "{kind} after the last image is gone");
    }
    assert!(
        differing.is_empty(),
        "{}",
        differing[..differing.len().min(20)].join("\n")
    );
}

#[test]
fn trees_are_those_of_umoci() {
    require_images!();
    if !has("umoci") {
        println!("skipped: this test needs umoci");
        return;
    }
    let bytes = |layers: Vec<Layer>| layers.into_iter().map(Layer::bytes).collect();
    let images = images().into_iter();
    check(images.map(|(case, layers)| (case, bytes(layers))).collect());
}

/// As `tar --sparse` writes it.
fn sparse_layer(size: u64) -> Vec<u8> {
    let directory = tempfile::tempdir_in("/tmp").expect("a directory");
    let file = fs::File::create(directory.path().join("sparse")).expect("a file");
    for at in [0, 1 << 20, size / 2, size - 5] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"piece", at).expect("write");
    }
    let made = Command::new("tar")
        .args([
            "--sparse",
            "--format=pax",
            "--owner=0",
            "--group=0",
            "-c",
            "-C",
        ])
        .arg(directory.path())
        .arg("sparse")
        .output()
        .expect("tar runs");
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

#[test]
fn a_sparse_file_of_four_gib_is_that_of_umoci() {
    require_images!();
    if !has("umoci") {
        println!("skipped: this test needs umoci");
        return;
    }
    check(vec![("sparse", vec![sparse_layer(4 << 30)])]);
}
