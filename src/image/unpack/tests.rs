//! Layers as attackers and builders write them. Everything here needs root: owners, device nodes and
//! `trusted.*` attributes do.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;
use crate::image::digest::{Algorithm, Digest};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: unpacking a layer needs root");
    }
    root
}

/// Writes headers byte by byte, so that it can also say what no builder says.
#[derive(Default)]
pub(in crate::image) struct Tar(Vec<u8>);

impl Tar {
    fn raw(
        mut self,
        kind: EntryType,
        name: &[u8],
        link: &[u8],
        data: &[u8],
        edit: impl Fn(&mut Header),
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1000);
        let field = &mut header.as_mut_bytes()[..100];
        field[..name.len()].copy_from_slice(name);
        let field = &mut header.as_mut_bytes()[157..257];
        field[..link.len()].copy_from_slice(link);
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(in crate::image) fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(EntryType::Regular, name.as_bytes(), b"", data, |_| {})
    }

    pub(in crate::image) fn dir(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name.as_bytes(), b"", b"", |header| {
            header.set_mode(0o755)
        })
    }

    pub(in crate::image) fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(
            EntryType::Symlink,
            name.as_bytes(),
            target.as_bytes(),
            b"",
            |_| {},
        )
    }

    pub(in crate::image) fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(
            EntryType::Link,
            name.as_bytes(),
            target.as_bytes(),
            b"",
            |_| {},
        )
    }

    fn device(self, name: &str, major: u32, minor: u32) -> Self {
        self.raw(EntryType::Char, name.as_bytes(), b"", b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw(EntryType::XHeader, b"pax", b"", &data, |_| {})
    }

    pub(in crate::image) fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("layer")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/secret"), "s").unwrap();
        Self { dir }
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    fn unpack(&self, tar: &[u8]) -> Result<Unpacked, String> {
        self.unpack_limited(tar, Limits::for_disk(1 << 40))
    }

    fn unpack_limited(&self, tar: &[u8], limits: Limits) -> Result<Unpacked, String> {
        let root = std::fs::File::open(self.layer()).unwrap();
        unpack_layer(
            tar,
            Algorithm::Sha256,
            root.as_fd(),
            Some(Vec::new()),
            limits,
            std::io::sink(),
        )
        .map_err(|error| error.to_string())
    }

    /// On top of these layers, topmost first.
    fn unpack_on(&self, lower: Option<&[&Self]>, tar: Tar) -> Result<Unpacked, TarError> {
        let open = |layer: &Path| std::fs::File::open(layer).unwrap();
        let lower = lower.map(|lower| {
            let layers = lower.iter().map(|below| open(&below.layer()).into());
            layers.collect()
        });
        let root = open(&self.layer());
        let limits = Limits::for_disk(1 << 40);
        let (tar, out) = (tar.bytes(), std::io::sink());
        unpack_layer(
            &tar[..],
            Algorithm::Sha256,
            root.as_fd(),
            lower,
            limits,
            out,
        )
    }

    fn untouched_outside(&self) -> bool {
        let names: Vec<_> = std::fs::read_dir(self.dir.path()).unwrap().collect();
        let secret = self.dir.path().join("outside/secret");
        names.len() == 2
            && std::fs::read_dir(self.dir.path().join("outside"))
                .unwrap()
                .count()
                == 1
            && std::fs::read_to_string(&secret).unwrap() == "s"
            && secret.metadata().unwrap().nlink() == 1
    }
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn a_layer_keeps_all_that_a_file_can_have() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let tar = Tar::default()
        .raw(EntryType::Directory, b"./", b"", b"", |header| {
            header.set_mode(0o751)
        })
        .raw(EntryType::Directory, b"dir/", b"", b"", |header| {
            header.set_mode(0o1777);
            header.set_uid(5);
            header.set_gid(6);
        })
        .raw(EntryType::Regular, b"dir/su", b"", b"data", |header| {
            header.set_mode(0o4755)
        })
        .hard_link("dir/hard", "dir/su")
        .symlink("dir/link", "/etc/passwd")
        .device("null", 1, 3)
        .raw(EntryType::Fifo, b"fifo", b"", b"", |_| {})
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.note", b"kept"),
            ("mtime", b"1234.5"),
            ("uid", b"70000"),
        ])
        .file("caps", b"x")
        .pax(&[("path", long.as_bytes())])
        .file("short", b"long")
        .raw(
            EntryType::GNULongName,
            b"././@LongLink",
            b"",
            b"implied/parent/file\0",
            |_| {},
        )
        .file("x", b"gnu")
        .bytes();
    let unpacked = sandbox.unpack(&tar).unwrap();
    assert_eq!(unpacked.diff_id, Digest::of(&tar));
    assert_eq!(
        (unpacked.compressed, unpacked.size),
        (tar.len() as u64, 4 + 1 + 4 + 3)
    );
    let layer = sandbox.layer();
    let meta = |path: &str| layer.join(path).symlink_metadata().unwrap();
    assert_eq!(meta("").mode() & 0o7777, 0o751);
    assert_eq!(
        (
            meta("dir").mode() & 0o7777,
            meta("dir").uid(),
            meta("dir").gid()
        ),
        (0o1777, 5, 6)
    );
    assert_eq!(
        meta("dir").mtime(),
        1000,
        "times of directories are set last"
    );
    assert_eq!(meta("dir/su").mode() & 0o7777, 0o4755);
    assert_eq!(
        (meta("dir/hard").ino(), meta("dir/su").nlink()),
        (meta("dir/su").ino(), 2)
    );
    assert_eq!(
        std::fs::read_link(layer.join("dir/link")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert!(meta("null").file_type().is_char_device());
    assert_eq!(meta("null").rdev(), rustix::fs::makedev(1, 3));
    assert!(meta("fifo").file_type().is_fifo());
    let caps = layer.join("caps");
    assert_eq!(
        (
            meta("caps").mtime(),
            meta("caps").mtime_nsec(),
            meta("caps").uid()
        ),
        (1234, 500_000_000, 70000)
    );
    assert_eq!(
        xattr(&caps, "security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(xattr(&caps, "user.note").as_deref(), Some(&b"kept"[..]));
    assert_eq!(xattr(&caps, "trusted.overlay.redirect"), None);
    assert_eq!(xattr(&caps, "user.overlay.opaque"), None);
    assert_eq!(std::fs::read(layer.join(long)).unwrap(), b"long");
    assert_eq!(
        std::fs::read(layer.join("implied/parent/file")).unwrap(),
        b"gnu"
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let tar = Tar::default()
        .dir("d")
        .file("d/old", b"1")
        .file("d", b"now a file")
        .symlink("s", "../outside/secret")
        .file("s", b"not through the link")
        .file("f", b"1")
        .dir("f")
        .file("f/x", b"2")
        .dir("keep")
        .file("keep/a", b"")
        .dir("keep")
        .bytes();
    sandbox.unpack(&tar).unwrap();
    let read = |path: &str| std::fs::read(sandbox.layer().join(path)).unwrap();
    assert_eq!(
        (read("d"), read("s"), read("f/x")),
        (
            b"now a file".to_vec(),
            b"not through the link".to_vec(),
            b"2".to_vec()
        )
    );
    assert!(sandbox.layer().join("keep/a").exists());
    assert!(sandbox.untouched_outside());
}

#[track_caller]
fn refused(tar: Tar, reason: &str) {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let error = sandbox
        .unpack(&tar.bytes())
        .map(|_| ())
        .expect_err("must be refused");
    assert!(error.contains(reason), "{error}");
    assert!(
        !error.contains('\u{1b}') && !error.contains('\n'),
        "{error}"
    );
    assert!(sandbox.untouched_outside());
}

/// Cases 17 to 20 of the fifty attack cases.
#[test]
fn attacks_are_refused() {
    let new = Tar::default;
    refused(new().file("/etc/x", b""), "absolute path");
    refused(new().file("../outside/x", b""), "\"..\"");
    refused(new().file("a/../../outside/x", b""), "\"..\"");
    refused(new().file("", b""), "empty name");
    refused(new().pax(&[("path", b"a\0b")]).file("x", b""), "NUL");
    refused(
        new().pax(&[("path", "d/".repeat(300).as_bytes())]).dir("x"),
        "deep",
    );
    refused(
        new()
            .pax(&[("path", "d/".repeat(3000).as_bytes())])
            .dir("x"),
        "longer than 4096",
    );
    refused(
        new()
            .file("esc\x1b]0;x", &[])
            .hard_link("esc\x1b]0;y", "../x"),
        "..",
    );
    // Hard links.
    refused(new().hard_link("x", "../outside/secret"), "\"..\"");
    refused(new().hard_link("x", "/etc/passwd"), "absolute path");
    refused(new().hard_link("x", "missing"), "hard link");
    refused(
        new()
            .symlink("up", "../outside")
            .hard_link("x", "up/secret"),
        "hard link",
    );
    refused(
        new().dir("d").hard_link("x", "d"),
        "hard link to a directory",
    );
    refused(new().hard_link("x", "x"), "hard link to itself");
    // Whiteouts.
    refused(new().file(".wh.", b""), "whiteout");
    refused(new().file("a/.wh..", b""), "whiteout of");
    refused(new().file("a/.wh...", b""), "whiteout of");
    refused(new().dir(".wh.x"), "whiteout must be");
    refused(new().file(".wh.x/y", b""), "inside a whiteout");
    refused(
        new().file("a", b"").hard_link(".wh..wh..opq", "a"),
        "whiteout must be",
    );
    refused(new().symlink(".wh.x", "y"), "whiteout must be");
    refused(new().file(".wh..wh..opq", b""), "opaque root");
    // Nodes, owners, kinds.
    refused(new().device("w", 0, 0), "character device 0:0");
    refused(
        new().pax(&[("uid", b"4294967296")]).file("x", b""),
        "too large",
    );
    refused(
        new().pax(&[("uid", b"4294967295")]).file("x", b""),
        "4294967295",
    );
    refused(
        new().raw(EntryType::GNUSparse, b"x", b"", b"", |_| {}),
        "sparse",
    );
    refused(
        new().pax(&[("GNU.sparse.major", b"1")]).file("x", b""),
        "sparse",
    );
    let map = [("GNU.sparse.size", &b"9"[..]), ("GNU.sparse.map", b"8,4")];
    refused(new().pax(&map).file("x", b"1234"), "out of order");
    refused(
        new().pax(&[("GNU.sparse.color", b"1")]).file("x", b""),
        "unknown record",
    );
    refused(
        new().raw(EntryType::new(b'Z'), b"x", b"", b"", |_| {}),
        "unknown entry type",
    );
    refused(
        new().raw(EntryType::Regular, b".", b"", b"", |_| {}),
        "root of a layer",
    );
}

#[test]
fn links_inside_lead_no_further_than_the_root() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    symlink("outside", sandbox.dir.path().join("layer/pre")).unwrap();
    let tar = Tar::default()
        .symlink("abs", "/target")
        .symlink("up", "../../../../outside")
        .dir("target")
        .file("abs/a", b"")
        .file("up/b", b"")
        .dir("outside/.wh.secret/..")
        .bytes();
    sandbox.unpack(&tar).unwrap_err();
    assert!(sandbox.layer().join("target/a").exists());
    assert!(sandbox.layer().join("outside/b").exists());
    assert!(sandbox.untouched_outside());
}

/// Hard links to files of other layers follow no link, see nothing that is hidden, and depend on what is
/// below only where they lead there.
#[test]
fn hard_links_into_lower_layers_stay_inside() {
    if !is_root() {
        return;
    }
    let base = Sandbox::new();
    let tar = Tar::default()
        .dir("d")
        .pax(&[("SCHILY.xattr.user.note", b"noted")])
        .file("d/a", b"a")
        .file("f", b"f")
        .symlink("out", "../outside")
        .symlink("abs", base.dir.path().join("outside").to_str().unwrap())
        .symlink("in", "d")
        .bytes();
    assert!(!base.unpack(&tar).unwrap().needs_lower);
    let middle = Sandbox::new();
    let tar = Tar::default().file(".wh.f", b"");
    middle.unpack_on(Some(&[&base]), tar).unwrap();

    #[track_caller]
    fn check(lower: &[&Sandbox], tar: Tar, reason: &str) {
        let sandbox = Sandbox::new();
        let error = sandbox.unpack_on(Some(lower), tar).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(sandbox.untouched_outside() && lower.iter().all(|one| one.untouched_outside()));
    }
    let new = Tar::default;
    let (behind, absent) = ("behind a link", "not there");
    check(&[&base], new().hard_link("x", "out/secret"), behind);
    check(&[&base], new().hard_link("x", "abs/secret"), behind);
    check(&[&base], new().hard_link("x", "in/a"), behind);
    check(&[&base], new().hard_link("x", "f/below"), behind);
    check(&[&base], new().hard_link("x", "d"), "a directory");
    check(&[&base], new().hard_link("x", "d/../f"), "\"..\"");
    check(&[&base], new().hard_link("x", "absent"), absent);
    check(&[], new().hard_link("x", "f"), absent);
    check(&[&middle, &base], new().hard_link("x", "f"), absent);
    check(
        &[&base],
        new().file(".wh.d", b"").hard_link("x", "d/a"),
        absent,
    );
    let opaque = || new().dir("d").file("d/.wh..wh..opq", b"");
    check(&[&base], opaque().hard_link("x", "d/a"), absent);
    check(
        &[&base],
        new().symlink("d", "../outside").hard_link("x", "d/a"),
        behind,
    );
    // The copy of a file is no larger than the disk.
    let sandbox = Sandbox::new();
    let (root, below) = (sandbox.layer(), base.layer());
    let [root, below] = [root, below].map(|path| std::fs::File::open(path).unwrap());
    let error = unpack_layer(
        &new().hard_link("x", "f").bytes()[..],
        Algorithm::Sha256,
        root.as_fd(),
        Some(vec![below.into()]),
        Limits::for_disk(0),
        std::io::sink(),
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("free on the disk"), "{error}");

    // Without the layers below nothing is guessed, unless this layer says all.
    let unknown = |tar: Tar| Sandbox::new().unpack_on(None, tar);
    for tar in [
        new().hard_link("x", "f"),
        new().dir("d").hard_link("x", "d/a"),
    ] {
        assert!(matches!(unknown(tar), Err(TarError::NeedsBelow)));
    }
    let error = unknown(opaque().hard_link("x", "d/a")).unwrap_err();
    assert!(error.to_string().contains(absent), "{error}");
    let own = unknown(new().file("f", b"f").hard_link("x", "f")).unwrap();
    assert!(!own.needs_lower);
    let sandbox = Sandbox::new();
    let made = sandbox
        .unpack_on(Some(&[&base]), new().hard_link("x", "d/a"))
        .unwrap();
    assert_eq!((made.needs_lower, made.size), (true, 1));
    let inode = |name: &str| sandbox.layer().join(name).metadata().unwrap().ino();
    assert_eq!(inode("x"), inode("d/a"));
    let note = xattr(&sandbox.layer().join("x"), "user.note");
    assert_eq!(note.as_deref(), Some(&b"noted"[..]));
}

/// What the recipe of a layer makes of it must be what it was made of.
#[track_caller]
fn check_made_again(tar: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    let root = std::fs::File::open(sandbox.layer()).unwrap();
    let mut recipe = Vec::new();
    let limits = Limits::for_disk(1 << 40);
    unpack_layer(
        tar,
        Algorithm::Sha256,
        root.as_fd(),
        Some(Vec::new()),
        limits,
        &mut recipe,
    )
    .unwrap();
    let mut made = Vec::new();
    std::io::Read::read_to_end(
        &mut ArchiveReader::new(&recipe[..], root.as_fd()).unwrap(),
        &mut made,
    )
    .unwrap();
    assert!(made == tar, "{} bytes of {}", made.len(), tar.len());
    assert_eq!(archive_length(&recipe[..]).unwrap(), tar.len() as u64);
    sandbox
}

#[test]
fn an_archive_is_made_again_byte_for_byte() {
    if !is_root() {
        return;
    }
    let mut noise = vec![0; 700_000];
    for (at, byte) in noise.iter_mut().enumerate() {
        *byte = u8::try_from(at * at % 251).unwrap();
    }
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut tar = Tar::default()
        .dir("./")
        .file("empty", b"")
        .file("noise", &noise)
        .file("zeros", &vec![0; 300_000])
        .pax(&[("path", long.as_bytes()), ("mtime", b"1.5")])
        .file("x", b"long")
        .symlink("link", "/target")
        .file("link/through", b"content")
        .hard_link("again", "noise")
        .file(".wh.gone", b"")
        .file(".wh..wh.plnk", b"content of what nobody reads")
        .bytes();
    check_made_again(&tar);
    // Whatever stands behind the end belongs to the digest.
    tar.extend_from_slice(&[0; 10_240]);
    tar.extend_from_slice(b"rubbish");
    check_made_again(&tar);
}

#[test]
fn sparse_files_of_gnu_tar_keep_their_holes() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("sparse");
    let file = std::fs::File::create(&place).unwrap();
    // More pieces than one header and one block behind it have room for.
    for piece in 0..40_u64 {
        let text = format!("piece {piece}");
        std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), piece << 20).unwrap();
    }
    file.set_len(4 << 30).unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let made = std::process::Command::new("tar")
            .args(format)
            .args(["--sparse", "-c", "-C"])
            .arg(dir.path())
            .arg("sparse")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        assert!(made.stdout.len() < 4 << 20);
        let sandbox = check_made_again(&made.stdout);
        let found = sandbox.layer().join("sparse");
        let meta = found.metadata().unwrap();
        assert_eq!(meta.len(), 4 << 30);
        assert!(meta.blocks() < 4096, "{} blocks", meta.blocks());
        let file = std::fs::File::open(&found).unwrap();
        let mut text = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut text, 39 << 20).unwrap();
        assert_eq!(&text, b"piece 39");
    }
}

#[test]
fn bombs_end_early() {
    if !is_root() {
        return;
    }
    let limits = Limits {
        bytes: 1 << 20,
        entries: 100,
        ratio_free: 64 << 10,
        ratio: 20,
        zeros_free: 512 << 10,
    };
    let gzip = |data: &[u8]| {
        let mut out = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzEncoder::new(data, flate2::Compression::best()),
            &mut out,
        )
        .unwrap();
        out
    };
    let check = |tar: &[u8], reason: &str| {
        let error = Sandbox::new().unpack_limited(tar, limits).unwrap_err();
        assert!(error.contains(reason), "{error}");
    };
    check(
        &gzip(&Tar::default().file("zeros", &vec![0; 900_000]).bytes()),
        "decompression bomb",
    );
    check(
        &Tar::default().file("big", &vec![7; 2 << 20]).bytes(),
        "free on the disk",
    );
    // Beneath the number of zeros that nobody questions.
    let few = gzip(&Tar::default().file("zeros", &vec![0; 500_000]).bytes());
    Sandbox::new().unpack_limited(&few, limits).unwrap();
    let lie = Tar::default().raw(EntryType::Regular, b"lie", b"", b"", |header| {
        header.set_size(1 << 50)
    });
    check(&lie.bytes(), "free on the disk");
    let many = (0..200).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), b""));
    check(&many.bytes(), "more than 100 entries");
    let huge = Tar::default().raw(EntryType::XHeader, b"pax", b"", b"", |header| {
        header.set_size(4 << 30)
    });
    check(&huge.bytes(), "names and attributes");
    check(
        &gzip(&[Tar::default().bytes(), vec![0; 5 << 20]].concat()),
        "decompression bomb",
    );
    let mut torn = Tar::default().file("torn", &[1; 5000]).bytes();
    torn.truncate(3000);
    check(&torn, "read archive");
}

#[test]
fn whiteouts_take_the_form_of_overlayfs() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let tar = Tar::default()
        .file(".wh.gone", b"")
        .file("new/.wh..wh..opq", b"")
        .dir("both")
        .file(".wh.both", b"")
        .file(".wh.again", b"")
        .dir("again")
        .file("kept", b"x")
        .file(".wh.kept", b"")
        .file(".wh..wh.plnk", b"")
        .bytes();
    sandbox.unpack(&tar).unwrap();
    let layer = sandbox.layer();
    let gone = layer.join("gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for opaque in ["new", "both", "again"] {
        assert_eq!(
            xattr(&layer.join(opaque), "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..]),
            "{opaque}"
        );
    }
    assert_eq!(std::fs::read(layer.join("kept")).unwrap(), b"x");
    assert!(!layer.join(".wh..wh.plnk").exists());
}

#[derive(Clone, Debug)]
enum Step {
    File(String, u8),
    Dir(String),
    Whiteout(String),
    Opaque(String),
}

fn step() -> impl Strategy<Value = Step> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|parts| parts.join("/"));
    (0..4_u8, path, any::<u8>()).prop_map(|(kind, path, byte)| match kind {
        0 => Step::File(path, byte),
        1 => Step::Dir(path),
        2 => Step::Whiteout(path),
        _ => Step::Opaque(path),
    })
}

fn tar_of(steps: &[Step]) -> Vec<u8> {
    let with_prefix = |path: &str| match path.rsplit_once('/') {
        Some((dir, name)) => format!("{dir}/.wh.{name}"),
        None => format!(".wh.{path}"),
    };
    steps
        .iter()
        .fold(Tar::default(), |tar, step| match step {
            Step::File(path, byte) => tar.file(path, &[*byte]),
            Step::Dir(path) => tar.dir(path),
            Step::Whiteout(path) => tar.file(&with_prefix(path), b""),
            Step::Opaque(path) => tar.file(&format!("{path}/.wh..wh..opq"), b""),
        })
        .bytes()
}

/// `None` = directory.
type Model = BTreeMap<String, Option<u8>>;

/// What a layer says by the text of the image-spec: its own objects, and which names of lower layers it
/// hides, whatever the order of the entries.
fn apply_by_the_book(lower: &Model, steps: &[Step]) -> Option<Model> {
    let (mut own, mut hidden): (Model, Vec<String>) = (Model::new(), Vec::new());
    for step in steps {
        let (Step::File(path, _) | Step::Dir(path) | Step::Whiteout(path) | Step::Opaque(path)) =
            step;
        let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        for parent in parents {
            // A file in the way is an error of the archive.
            if own.insert(parent, None).is_some_and(|old| old.is_some()) {
                return None;
            }
        }
        match step {
            Step::File(path, byte) => {
                let below = format!("{path}/");
                own.retain(|known, _| !known.starts_with(&below));
                own.insert(path.clone(), Some(*byte));
                // It hides what is there below, also when a directory of this layer replaces it.
                hidden.push(path.clone());
            }
            Step::Dir(path) => {
                own.insert(path.clone(), None);
            }
            Step::Whiteout(path) => hidden.push(path.clone()),
            Step::Opaque(path) => {
                if own
                    .insert(path.clone(), None)
                    .is_some_and(|old| old.is_some())
                {
                    return None;
                }
                hidden.push(path.clone());
            }
        }
    }
    // A parent made only to hold a whiteout is a directory of this layer, and a file hides a directory.
    let covers = |path: &str| {
        hidden
            .iter()
            .any(|hidden| path == hidden || path.starts_with(&format!("{hidden}/")))
            || own.iter().any(|(name, kind)| {
                kind.is_some() && (path == name || path.starts_with(&format!("{name}/")))
            })
    };
    let mut merged: Model = lower
        .iter()
        .filter(|(path, _)| !covers(path))
        .map(|(path, kind)| (path.clone(), *kind))
        .collect();
    for (path, kind) in own {
        let below = format!("{path}/");
        if kind.is_none() && merged.get(&path).is_some_and(Option::is_some) {
            merged.retain(|known, _| !known.starts_with(&below));
        }
        merged.insert(path, kind);
    }
    Some(merged)
}

/// Reads an extracted layer as overlayfs does, on top of `lower`.
fn merge(layer: &Path, prefix: &str, lower: &Model, out: &mut Model) {
    for entry in std::fs::read_dir(layer).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let below = format!("{name}/");
        let meta = entry.metadata().unwrap();
        let is_whiteout = meta.file_type().is_char_device();
        let opaque = xattr(&entry.path(), "trusted.overlay.opaque").is_some();
        let merges = meta.is_dir() && !opaque && lower.get(&name) == Some(&None);
        if !merges {
            out.retain(|known, _| known != &name && !known.starts_with(&below));
        }
        if meta.is_dir() {
            out.insert(name, None);
            merge(&entry.path(), &below, lower, out);
        } else if !is_whiteout {
            out.insert(name, Some(std::fs::read(entry.path()).unwrap()[0]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48,
        failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn two_layers_merge_as_the_spec_says(
        first in prop::collection::vec(step(), 0..8),
        second in prop::collection::vec(step(), 0..8),
    ) {
        if !is_root() {
            return Ok(());
        }
        let mut found = Model::new();
        let mut expected = Some(Model::new());
        for steps in [first, second] {
            let sandbox = Sandbox::new();
            let result = sandbox.unpack(&tar_of(&steps));
            expected = expected.and_then(|lower| apply_by_the_book(&lower, &steps));
            prop_assert_eq!(result.is_ok(), expected.is_some(), "{:?}", result);
            if expected.is_none() {
                return Ok(());
            }
            let lower = found.clone();
            merge(&sandbox.layer(), "", &lower, &mut found);
        }
        prop_assert_eq!(Some(found), expected);
    }
}

/// The names in these tests are plain enough for every encoding.
#[test]
fn helper_writes_what_the_reader_reads() {
    let bytes = Tar::default().file("a", b"x").bytes();
    let source: Box<dyn std::io::Read> = Box::new(std::io::Cursor::new(bytes));
    let mut reader = TarReader::new(source);
    let entry = reader.next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap().as_os_str().as_bytes(), b"a");
    assert!(reader.next().unwrap().is_none());
}
