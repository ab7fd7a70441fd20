//! Hostile images: a root file system entry by entry, and a config to go with it.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::Podtui;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 13] = [
    "sh", "cat", "ls", "sleep", "true", "id", "stat", "readlink", "mkdir", "echo", "test", "find",
    "grep",
];

pub fn has_busybox() -> bool {
    std::fs::read(BUSYBOX).is_ok_and(|bytes| !bytes.windows(9).any(|part| part == b"/ld-linux"))
}

/// Ends the test, saying so, where images cannot be built or pods cannot run.
#[allow(unused_macros, reason = "only some test binaries build images")]
macro_rules! require_images {
    () => {
        require_root!();
        if !crate::support::image::has_busybox() {
            println!("skipped: the images of this test need a static /bin/busybox");
            return;
        }
    };
}

/// The one layer of an image: busybox with a few applets, and what the test adds.
pub struct Rootfs(Builder<Vec<u8>>);

impl Rootfs {
    pub fn new() -> Self {
        let mut rootfs = Self(Builder::new(Vec::new()));
        let program = std::fs::read(BUSYBOX).expect("has_busybox() was asked");
        rootfs = rootfs
            .directory("bin")
            .entry("bin/busybox", EntryType::Regular, 0o755, &program);
        for applet in APPLETS {
            rootfs = rootfs.link(&format!("bin/{applet}"), "busybox");
        }
        rootfs
    }

    fn entry(mut self, path: &str, kind: EntryType, mode: u32, data: &[u8]) -> Self {
        let mut header = header(kind, mode);
        header.set_size(data.len() as u64);
        self.0
            .append_data(&mut header, path, data)
            .expect("writing to memory");
        self
    }

    pub fn directory(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, 0o755, &[])
    }

    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(path, EntryType::Regular, 0o644, data)
    }

    pub fn fifo(self, path: &str) -> Self {
        self.entry(path, EntryType::Fifo, 0o666, &[])
    }

    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = header(EntryType::Symlink, 0o777);
        header.set_size(0);
        self.0
            .append_link(&mut header, path, target)
            .expect("writing to memory");
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("writing to memory")
    }

    /// `image import`: no config.
    #[track_caller]
    pub fn import(self, podtui: &Podtui, name: &str) {
        self.import_as(podtui, &format!("localhost/{name}:latest"));
    }

    /// `image import` under any name.
    #[track_caller]
    pub fn import_as(self, podtui: &Podtui, reference: &str) {
        let file = reference.replace(['/', ':'], "-");
        let tar = podtui.path().join(format!("{file}.tar"));
        std::fs::write(&tar, self.bytes()).expect("the archive can be written");
        podtui.ok(&["image", "import", text(&tar), reference]);
    }

    /// `image load` of a docker archive with this `config`.
    #[track_caller]
    pub fn load(self, podtui: &Podtui, name: &str, config: Value) {
        self.load_as(podtui, &format!("localhost/{name}:latest"), config);
    }

    /// `image load` under any name.
    #[track_caller]
    pub fn load_as(self, podtui: &Podtui, reference: &str, config: Value) {
        let layer = self.bytes();
        let diff_id = sha256(&layer);
        let document = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        })
        .to_string();
        let manifest = json!([{
            "Config": "config.json",
            "RepoTags": [reference],
            "Layers": ["layer.tar"],
        }])
        .to_string();
        let file = reference.replace(['/', ':'], "-");
        let tar = podtui.path().join(format!("{file}.tar"));
        let mut archive = Builder::new(File::create(&tar).expect("the archive can be made"));
        for (path, data) in [
            ("config.json", document.as_bytes()),
            ("manifest.json", manifest.as_bytes()),
            ("layer.tar", layer.as_slice()),
        ] {
            let mut header = header(EntryType::Regular, 0o644);
            header.set_size(data.len() as u64);
            archive
                .append_data(&mut header, path, data)
                .expect("the archive can be written");
        }
        archive.finish().expect("the archive can be written");
        drop(archive);
        podtui.ok(&["image", "load", "-i", text(&tar)]);
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn sha256(data: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8 path")
}
