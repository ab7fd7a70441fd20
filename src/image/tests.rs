//! The store as its users see it. Root is needed, because layers are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::digest::Digest;
use super::unpack::tests::Tar;
use super::{ImageError, ImageService, ImageSettings, LocalImages};

/// Names and contents of an archive.
type Members = Vec<(String, Vec<u8>)>;

struct Fixture {
    dir: tempfile::TempDir,
    images: LocalImages,
}

impl Fixture {
    /// `None`, with the reason on the screen, where the tests cannot run.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: unpacking images needs root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let images =
            LocalImages::open(&dir.path().join("images"), ImageSettings::default()).unwrap();
        Some(Self { dir, images })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn layer_count(&self) -> usize {
        std::fs::read_dir(self.path("images/layers"))
            .unwrap()
            .count()
    }

    fn leftovers(&self) -> usize {
        std::fs::read_dir(self.path("images/tmp")).unwrap().count()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn config(diff_ids: &[Digest]) -> Vec<u8> {
    json!({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/x"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes()
}

/// An OCI layout under construction, as (name, content).
struct Layout {
    members: Vec<(String, Vec<u8>)>,
    manifests: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        Self {
            members: vec![(
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            )],
            manifests: Vec::new(),
        }
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.members
            .push((format!("blobs/{}", digest.blob_path()), bytes.to_vec()));
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn manifest(&mut self, layers: &[(Vec<u8>, Vec<u8>)]) -> Value {
        let diff_ids: Vec<Digest> = layers.iter().map(|(plain, _)| Digest::of(plain)).collect();
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            &config(&diff_ids),
        );
        let layers: Vec<Value> = layers
            .iter()
            .map(|(_, stored)| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", stored))
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": layers});
        self.blob(
            "application/vnd.oci.image.manifest.v1+json",
            document.to_string().as_bytes(),
        )
    }

    fn list(&mut self, mut descriptor: Value, name: &str) {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.manifests.push(descriptor);
    }

    fn finish(mut self) -> Vec<(String, Vec<u8>)> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests}).to_string();
        self.members
            .push(("index.json".to_owned(), index.into_bytes()));
        self.members
    }
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    members
        .iter()
        .fold(Tar::default(), |tar, (name, bytes)| tar.file(name, bytes))
        .bytes()
}

fn layers() -> Vec<(Vec<u8>, Vec<u8>)> {
    let base = Tar::default().dir("etc").file("etc/a", b"a").bytes();
    let top = Tar::default()
        .file("etc/.wh.a", b"")
        .file("etc/b", b"b")
        .bytes();
    vec![(base.clone(), gzip(&base)), (top.clone(), zstd(&top))]
}

#[tokio::test]
async fn an_import_is_found_under_every_name_and_goes_again() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let images = &fixture.images;
    let tar = fixture.write(
        "root.tar.gz",
        &gzip(&Tar::default().dir("bin").file("bin/x", b"x").bytes()),
    );
    let record = images.import(&tar, "app:1").await.unwrap();
    assert_eq!(record.names, ["docker.io/library/app:1"]);
    assert_eq!(std::fs::read(record.layers[0].join("bin/x")).unwrap(), b"x");
    let hex = record.id.strip_prefix("sha256:").unwrap();
    for name in [
        "app:1",
        "docker.io/library/app:1",
        record.id.as_str(),
        hex,
        &hex[..12],
    ] {
        assert_eq!(
            images.status(name).await.unwrap().unwrap().id,
            record.id,
            "{name}"
        );
    }
    assert!(images.status("app").await.unwrap().is_none());
    assert!(images.status("abcdef123456").await.unwrap().is_none());
    assert!(matches!(
        images.status("APP").await,
        Err(ImageError::InvalidName { .. })
    ));
    let again = images.import(&tar, "second").await.unwrap();
    assert_eq!(
        (again.layers, fixture.layer_count()),
        (record.layers.clone(), 1)
    );
    let user = ["default/web".to_owned()];
    assert!(matches!(
        images.remove("app:1", false, &user).await,
        Err(ImageError::InUse { .. })
    ));
    let gone = images.remove("app:1", true, &user).await.unwrap();
    assert!(
        gone.contains(&"docker.io/library/app:1".to_owned()),
        "{gone:?}"
    );
    assert_eq!(
        fixture.layer_count(),
        1,
        "the second image still needs the layer"
    );
    images.remove("second", false, &[]).await.unwrap();
    assert_eq!((fixture.layer_count(), fixture.leftovers()), (0, 0));
    assert!(matches!(
        images.remove("second", false, &[]).await,
        Err(ImageError::NotFound(_))
    ));
}

#[tokio::test]
async fn oci_layouts_load_as_directory_and_archive() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let mut layout = Layout::new();
    let manifest = layout.manifest(&layers());
    let mut mine = manifest.clone();
    mine["platform"] = json!({"os": "linux", "architecture": super::import::architecture()});
    let mut other = manifest.clone();
    other["platform"] = json!({"os": "linux", "architecture": "pdp11"});
    let index = json!({"schemaVersion": 2, "manifests": [other, mine]}).to_string();
    let index = layout.blob("application/vnd.oci.image.index.v1+json", index.as_bytes());
    layout.list(manifest, "quay.io/org/app:v1");
    layout.list(index.clone(), "multi");
    let members = layout.finish();
    for (name, bytes) in &members {
        fixture.write(&format!("my-dir/{name}"), bytes);
    }
    let plain = fixture.write("my-arch.tar", &archive(&members));
    let packed = fixture.write("packed.tar.gz", &gzip(&archive(&members)));
    for (path, multi) in [
        (fixture.path("my-dir"), "localhost/my-dir:multi"),
        (plain, "localhost/my-arch:multi"),
        (packed, "localhost/packed-tar:multi"),
    ] {
        let mut names = fixture.images.load(&path).await.unwrap();
        names.sort();
        assert_eq!(names, [multi, "quay.io/org/app:v1"]);
    }
    let record = fixture
        .images
        .status("quay.io/org/app:v1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.config.cmd, ["/x"]);
    assert_eq!((record.layers.len(), fixture.layer_count()), (2, 2));
    assert!(record.layers[0].join("etc/b").exists(), "topmost first");
    assert!(
        record
            .repo_digests
            .iter()
            .any(|digest| digest.starts_with("quay.io/org/app@sha256:"))
    );
    let digest = record
        .repo_digests
        .iter()
        .find(|digest| digest.starts_with("quay.io"))
        .unwrap();
    assert_eq!(
        fixture.images.status(digest).await.unwrap().unwrap().id,
        record.id
    );
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn docker_archives_load_with_links_between_layers() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let layer = layers()[0].0.clone();
    let diff_id = Digest::of(&layer);
    let config = config(&[diff_id.clone(), diff_id]);
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let manifest = json!([{"Config": config_name, "RepoTags": ["app:2", "other/app:3"],
        "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    let tar = Tar::default()
        .file(&config_name, &config)
        .dir("a")
        .file("a/layer.tar", &layer)
        .symlink("b/layer.tar", "../a/layer.tar")
        .file("manifest.json", manifest.to_string().as_bytes())
        .bytes();
    let names = fixture
        .images
        .load(&fixture.write("saved.tar", &tar))
        .await
        .unwrap();
    assert_eq!(names, ["docker.io/library/app:2", "docker.io/other/app:3"]);
    let removed = fixture
        .images
        .remove("app:2", false, &["default/web".to_owned()])
        .await
        .unwrap();
    assert_eq!(
        removed,
        ["docker.io/library/app:2"],
        "one of two names goes although the image is used"
    );
    assert!(
        fixture
            .images
            .status("other/app:3")
            .await
            .unwrap()
            .is_some()
    );
}

/// Cases 23 and 24 of the fifty attack cases.
/// The same archive on two bases: two layers, for one holds a copy of what the other has not.
#[tokio::test]
async fn layers_that_link_to_others_are_kept_with_them() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let mut layout = Layout::new();
    let top = Tar::default().hard_link("again", "file").bytes();
    let plain = Tar::default().file("beside", b"b").bytes();
    for name in ["one", "two"] {
        let base = Tar::default().file("file", name.as_bytes()).bytes();
        let layers = [base, top.clone(), plain.clone()];
        let layers = layers.map(|tar| (tar.clone(), gzip(&tar)));
        let manifest = layout.manifest(&layers);
        layout.list(manifest, &format!("localhost/{name}:v1"));
    }
    let members = layout.finish();
    let path = fixture.write("both.tar", &archive(&members));
    let images = &fixture.images;
    images.load(&path).await.unwrap();
    // Two bases, two tops, one that lies on both.
    assert_eq!((fixture.layer_count(), fixture.leftovers()), (5, 0));
    for name in ["one", "two"] {
        let record = images.status(&format!("localhost/{name}:v1")).await;
        let record = record.unwrap().unwrap();
        let read = |file: &str| std::fs::read_to_string(record.layers[1].join(file)).unwrap();
        assert_eq!((read("file"), read("again")), (name.into(), name.into()));
        assert_eq!(record.size, 3 + 3 + 1, "the copy counts");
    }
    // Found again without an index, and gone with the last image that has them.
    fixture.write("images/index.json", b"?");
    fixture.write("images/index.backup.json", b"?");
    let reopened = LocalImages::open(&fixture.path("images"), ImageSettings::default()).unwrap();
    let told = reopened.repaired().unwrap();
    assert!(told.contains("2 images were found again"), "{told}");
    let records = reopened.list().await.unwrap();
    assert!(records.iter().all(|record| record.size == 7), "{records:?}");
    reopened.remove(&records[0].id, false, &[]).await.unwrap();
    assert_eq!(fixture.layer_count(), 3);
    reopened.remove(&records[1].id, false, &[]).await.unwrap();
    assert_eq!((fixture.layer_count(), fixture.leftovers()), (0, 0));
}

#[tokio::test]
async fn archives_that_lie_are_refused_and_leave_nothing() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let good = || {
        let mut layout = Layout::new();
        let manifest = layout.manifest(&layers());
        layout.list(manifest, "x/y:z");
        layout.finish()
    };
    let edited = |edit: &dyn Fn(&mut Members)| {
        let mut members = good();
        edit(&mut members);
        archive(&members)
    };
    let position = |members: &[(String, Vec<u8>)], test: &dyn Fn(&[u8]) -> bool| {
        members
            .iter()
            .position(|(name, bytes)| name.starts_with("blobs/") && test(bytes))
            .unwrap()
    };
    let is_gzip = |bytes: &[u8]| bytes.starts_with(&[0x1f, 0x8b]);
    let is_manifest = |bytes: &[u8]| bytes.starts_with(b"{\"schemaVersion\"");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "changed layer",
            edited(&|members| {
                let at = position(members, &is_gzip);
                let last = members[at].1.len() - 1;
                members[at].1[last] ^= 1;
            }),
            "read archive",
        ),
        (
            "same layer, stored otherwise",
            edited(&|members| {
                let at = position(members, &is_gzip);
                // The time in a gzip header changes nothing but the digest.
                members[at].1[4] ^= 1;
            }),
            "digest",
        ),
        (
            "truncated layer",
            edited(&|members| {
                let at = position(members, &is_gzip);
                members[at].1.truncate(40);
            }),
            "bytes instead of",
        ),
        (
            "missing layer",
            edited(&|members| {
                let at = position(members, &is_gzip);
                members.remove(at);
            }),
            "lacks",
        ),
        (
            "changed manifest",
            edited(&|members| {
                let at = position(members, &is_manifest);
                members[at].1[20] ^= 1;
            }),
            "digest",
        ),
        (
            "digest that is a path",
            edited(&|members| {
                let last = members.len() - 1;
                let text =
                    json!({"manifests": [{"digest": "sha256:../../../etc/passwd", "size": 1}]})
                        .to_string();
                members[last].1 = text.into_bytes();
            }),
            "not a sha256",
        ),
        (
            "huge manifest",
            edited(&|members| {
                let last = members.len() - 1;
                members[last].1 = vec![b' '; 5 << 20];
            }),
            "more than",
        ),
        (
            "manifest and index at once",
            edited(&|members| {
                let last = members.len() - 1;
                members[last].1 = br#"{"manifests":[],"layers":[]}"#.to_vec();
            }),
            "at once",
        ),
        (
            "deep json",
            edited(&|members| {
                let last = members.len() - 1;
                members[last].1 = "[".repeat(100_000).into_bytes();
            }),
            "index.json",
        ),
        (
            "no image archive",
            Tar::default().file("etc/passwd", b"").bytes(),
            "neither",
        ),
        (
            "cut off",
            {
                let mut bytes = archive(&good());
                bytes.truncate(1600);
                bytes
            },
            "middle of a member",
        ),
        (
            "device inside",
            Tar::default().file("index.json", b"{}").dir("../x").bytes(),
            "\"..\"",
        ),
        ("rubbish", vec![7; 4096], "tar archive"),
    ];
    for (what, bytes, reason) in cases {
        let path = fixture.write("bad.tar", &bytes);
        let error = crate::base::chain(&fixture.images.load(&path).await.unwrap_err());
        assert!(error.contains(reason), "{what}: {error}");
        assert_eq!(fixture.leftovers(), 0, "{what}");
        assert!(fixture.images.list().await.unwrap().is_empty(), "{what}");
    }
    // A layer whose stored form is right and whose content is not what the configuration promises.
    let mut layout = Layout::new();
    let plain = layers()[0].0.clone();
    let manifest = layout.manifest(&[(b"something else".to_vec(), gzip(&plain))]);
    layout.list(manifest, "x/y:z");
    let path = fixture.write("bad.tar", &archive(&layout.finish()));
    let error = fixture.images.load(&path).await.unwrap_err().to_string();
    assert!(error.contains("the configuration promises"), "{error}");
    drop(LocalImages::open(&fixture.path("images"), ImageSettings::default()).unwrap());
    assert_eq!(fixture.layer_count(), 0);
}

#[tokio::test]
async fn an_open_clears_what_a_crash_left() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let tar = fixture.write("root.tar", &Tar::default().file("x", b"x").bytes());
    let record = fixture.images.import(&tar, "kept").await.unwrap();
    fixture.write("images/tmp/1-1/half/file", b"");
    fixture.write("images/layers/00ff/file", b"");
    fixture.write("images/blobs/sha256/00ff", b"");
    let images = LocalImages::open(&fixture.path("images"), ImageSettings::default()).unwrap();
    assert_eq!((fixture.leftovers(), fixture.layer_count()), (0, 1));
    assert_eq!(images.status("kept").await.unwrap().unwrap(), record);
    assert!(!fixture.path("images/blobs/sha256/00ff").exists());
    // An index of another version is never guessed at, and nothing is removed because of it.
    fixture.write("images/index.json", br#"{"version":99,"images":[]}"#);
    let error = LocalImages::open(&fixture.path("images"), ImageSettings::default()).unwrap_err();
    assert!(crate::base::chain(&error).contains("version 99"));
    assert_eq!(fixture.layer_count(), 1);
}

#[tokio::test]
async fn a_damaged_image_does_not_hide_the_others() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let tar = fixture.write("root.tar", &Tar::default().file("x", b"x").bytes());
    let other = fixture.write("other.tar", &Tar::default().file("y", b"y").bytes());
    let bad = fixture.images.import(&tar, "bad").await.unwrap();
    let blob = format!(
        "images/blobs/{}",
        Digest::parse(&bad.id).unwrap().blob_path()
    );
    fixture.write(&blob, b"{}");
    fixture.images.import(&other, "good").await.unwrap();
    let names: Vec<_> = fixture
        .images
        .list()
        .await
        .unwrap()
        .into_iter()
        .flat_map(|image| image.names)
        .collect();
    assert_eq!(names, ["docker.io/library/good:latest"]);
    fixture.images.import(&tar, "bad").await.unwrap();
    assert!(fixture.images.status("bad").await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_index_is_made_anew() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let tar = fixture.write("root.tar", &Tar::default().file("x", b"abc").bytes());
    let record = fixture.images.import(&tar, "kept").await.unwrap();
    let reopen = || LocalImages::open(&fixture.path("images"), ImageSettings::default()).unwrap();
    assert_eq!(reopen().repaired(), None);
    for damage in [&b""[..], b"{\"version\":", b"\xff\xfe\0", b"[]"] {
        let index = fixture.write("images/index.json", damage);
        let images = reopen();
        let told = images.repaired().unwrap();
        assert!(told.contains("its backup"), "{told}");
        assert_eq!(images.status("kept").await.unwrap().as_ref(), Some(&record));
        let aside = index.with_extension("json.damaged");
        assert_eq!(std::fs::read(aside).unwrap(), damage);
    }
    std::fs::remove_file(fixture.path("images/index.json")).unwrap();
    assert!(reopen().repaired().unwrap().contains("missing"));

    // Without a backup the names are lost, nothing else.
    fixture.write("images/index.json", b"?");
    fixture.write("images/index.backup.json", b"?");
    let images = reopen();
    let told = images.repaired().unwrap();
    assert!(told.contains("1 images were found again"), "{told}");
    let found = images.status(&record.id).await.unwrap().unwrap();
    assert_eq!((&found.layers, found.size), (&record.layers, 3));
    assert!(found.names.is_empty());
    let again = images.import(&tar, "kept").await.unwrap();
    assert_eq!(again.layers, record.layers);
    assert_eq!(reopen().repaired(), None);
}

fn chroot(root: &Path, script: &str) -> String {
    let output = Command::new("chroot")
        .arg(root)
        .args(["/bin/sh", "-c", script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_toolbox_is_this_hosts_and_works() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let start = std::time::Instant::now();
    let record = fixture
        .images
        .status("localhost/toolbox")
        .await
        .unwrap()
        .unwrap();
    let root = &record.layers[0];
    let count = walkdir::WalkDir::new(root).into_iter().count();
    eprintln!(
        "toolbox: {:?}, {count} paths, {} bytes",
        start.elapsed(),
        record.size
    );
    assert_eq!(record.names, ["localhost/toolbox:latest"]);
    assert_eq!(record.config.cmd, ["/bin/sh"]);
    let said = chroot(
        root,
        "set -e; echo hello | grep h | sed s/h/j/; ls / >/dev/null; id -u; seq 3 | sort -r | head -1; cat /etc/hostname; \
         test -k /tmp; date >/dev/null; find /etc -name passwd | xargs ls >/dev/null",
    );
    assert_eq!(said, "jello\n0\n3\n");
    let host_has_busybox =
        Path::new("/usr/bin/busybox").exists() || Path::new("/bin/busybox").exists();
    if host_has_busybox {
        chroot(
            root,
            "command -v wget && command -v nc && command -v httpd || command -v busybox",
        );
    }
    // Everything that is in there must find its libraries.
    for dir in ["usr/bin", "usr/sbin"] {
        for entry in std::fs::read_dir(root.join(dir))
            .unwrap()
            .map(Result::unwrap)
        {
            let real = entry.path();
            if real.symlink_metadata().unwrap().is_file() {
                assert!(real.metadata().unwrap().len() > 0, "{real:?}");
            }
        }
    }
    let second = tempfile::tempdir().unwrap();
    let again = LocalImages::open(second.path(), ImageSettings::default())
        .unwrap()
        .status("localhost/toolbox:latest")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.id, record.id, "the same host gives the same image");
    assert_eq!(fixture.leftovers(), 0);
}

#[test]
fn a_layer_is_mounted_once() {
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let found = super::store::without_repetition(paths(&["a", "b", "a", "c", "b"]));
    assert_eq!(found, paths(&["a", "b", "c"]));
}
