//! Images: load and pull beside podman, and beside tar(1), gzip(1) and a plain download of the same layers.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::api::{Engine, cpu_milliseconds};
use crate::peers::Podman;
use crate::table::Table;

/// Odd, so that the median is a measured one: one round in which neighbours were busy changes nothing.
const ROUNDS: usize = 5;
/// Bytes of all layers together, unpacked.
const CONTENT: u64 = 320 << 20;

/// Debian's docker-registry on a free port of loopback, until dropped.
struct Registry {
    child: Child,
    host: String,
}

impl Registry {
    fn start(directory: &Path) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = free.local_addr().expect("an address").to_string();
        drop(free);
        let config = directory.join("registry.yml");
        let data = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: {host}\n",
            data.display()
        );
        fs::write(&config, text).expect("a file");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let registry = Self { child, host };
        let begin = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image of real files: an OCI layout, the same as an archive, and its layers one by one.
struct Image {
    name: String,
    archive: PathBuf,
    layers: Vec<PathBuf>,
    size: u64,
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn shell(script: &str, arguments: &[&Path]) -> String {
    let output = Command::new("sh")
        .args(["-euc", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("sh starts");
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Files of this machine, dealt out to `count` directories until there are enough bytes.
fn trees(directory: &Path, count: usize) -> Vec<PathBuf> {
    let trees: Vec<PathBuf> = (0..count)
        .map(|index| directory.join(format!("tree{index}")))
        .collect();
    for tree in &trees {
        fs::create_dir_all(tree).expect("a directory");
    }
    let (mut total, mut number) = (0, 0);
    let mut waiting = vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/lib")];
    while let Some(place) = waiting.pop() {
        let Ok(list) = fs::read_dir(&place) else {
            continue;
        };
        for entry in list.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() && total < CONTENT {
                let name = format!("{number}-{}", entry.file_name().to_string_lossy());
                if let Ok(length) = fs::copy(entry.path(), trees[number % count].join(name)) {
                    total += length;
                    number += 1;
                }
            }
        }
    }
    trees
}

/// `umoci` would do, but one tar and gzip per layer says exactly what is in it.
fn image(directory: &Path, registry: &Registry, case: &str, count: usize) -> Image {
    let directory = directory.join(case);
    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    let (mut layers, mut diff_ids, mut descriptors) = (Vec::new(), Vec::new(), Vec::new());
    for tree in trees(&directory, count) {
        let tar = directory.join("layer.tar");
        let script = "tar -C \"$1\" --owner=0 --group=0 -cf \"$2\" . && sha256sum \"$2\" | cut -d' ' -f1 && gzip -1 -n \"$2\"";
        diff_ids.push(format!("sha256:{}", shell(script, &[&tree, &tar])));
        let packed = directory.join("layer.tar.gz");
        let hex = shell("sha256sum \"$1\" | cut -d' ' -f1", &[&packed]);
        let size = fs::metadata(&packed).expect("a layer").len();
        let blob = blobs.join(&hex);
        fs::rename(&packed, &blob).expect("rename");
        layers.push(blob);
        descriptors.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{hex}"), "size": size}));
        fs::remove_dir_all(&tree).expect("remove");
    }
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let config = serde_json::json!({"os": "linux", "architecture": architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let put = |value: &serde_json::Value| {
        let text = value.to_string();
        let place = layout.join("blob");
        fs::write(&place, &text).expect("a file");
        let hex = shell("sha256sum \"$1\" | cut -d' ' -f1", &[&place]);
        fs::rename(&place, blobs.join(&hex)).expect("rename");
        (format!("sha256:{hex}"), text.len())
    };
    let (digest, size) = put(&config);
    let manifest = serde_json::json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size},
        "layers": descriptors});
    let (digest, size) = put(&manifest);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": format!("localhost/{case}:v1")}}]});
    fs::write(layout.join("index.json"), index.to_string()).expect("a file");
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("a file");
    let archive = directory.join("image.tar");
    run(Command::new("tar")
        .arg("-C")
        .arg(&layout)
        .arg("-cf")
        .arg(&archive)
        .arg("."));
    let name = format!("{}/{case}:v1", registry.host);
    run(Command::new("skopeo")
        .args(["copy", "-q", "--dest-tls-verify=false"])
        .arg(format!("oci:{}:localhost/{case}:v1", layout.display()))
        .arg(format!("docker://{name}")));
    let size = layers
        .iter()
        .map(|layer| fs::metadata(layer).expect("a layer").len())
        .sum();
    Image {
        name,
        archive,
        layers,
        size,
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    // What others wrote before is not to be paid here.
    run(&mut Command::new("sync"));
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// `gzip -dc | tar -x` of every layer, one after the other.
fn untar(image: &Image, directory: &Path) -> Duration {
    let place = directory.join("untar");
    let time = timed(|| {
        for (number, layer) in image.layers.iter().enumerate() {
            let into = place.join(number.to_string());
            fs::create_dir_all(&into).expect("a directory");
            shell("gzip -dc \"$1\" | tar -x -C \"$2\"", &[layer, &into]);
        }
    });
    fs::remove_dir_all(&place).expect("remove");
    time
}

/// The slower of downloading the layers and decompressing them: what nothing that does both can beat.
fn slower(image: &Image) -> Duration {
    let (host, rest) = image.name.split_once('/').expect("a host");
    let repository = rest.split(':').next().expect("a name");
    let download = timed(|| {
        for layer in &image.layers {
            let hex = layer.file_name().expect("a name").to_string_lossy();
            let url = format!("http://{host}/v2/{repository}/blobs/sha256:{hex}");
            run(Command::new("curl").args(["-sSf", "-o", "/dev/null", &url]));
        }
    });
    let decompress = timed(|| {
        for layer in &image.layers {
            shell("gzip -dc \"$1\" > /dev/null", &[layer]);
        }
    });
    download.max(decompress)
}

/// Times of one piece of work, and how many processors it kept busy on the average.
#[derive(Default)]
struct Work {
    times: Vec<Duration>,
    cores: Vec<f64>,
    /// The same of the registry, which runs on the same processors.
    registry: Vec<f64>,
}

impl Work {
    /// `engine` and `registry` work beside the command that is waited for.
    fn measure(&mut self, engine: Option<u32>, registry: u32, work: impl FnOnce()) {
        let spent = |pid: u32| cpu_milliseconds(pid) as f64 / 1e3;
        let (mut own, mut theirs) = (0.0, 0.0);
        let time = timed(|| {
            let before = (children() + engine.map_or(0.0, spent), spent(registry));
            work();
            own = children() + engine.map_or(0.0, spent) - before.0;
            theirs = spent(registry) - before.1;
        });
        self.times.push(time);
        self.cores.push(own / time.as_secs_f64());
        self.registry.push(theirs / time.as_secs_f64());
    }

    fn is_measured(&self) -> Option<&Self> {
        (!self.times.is_empty()).then_some(self)
    }
}

/// Seconds of processor time of the commands that were waited for, and of theirs.
fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("times of children");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// `podtui` and podman beside each other: what was busy, and what of it was the registry.
fn cores(table: &mut Table, what: &str, own: &Work, podman: Option<&Work>) {
    let words = |work: &Work| match median(&work.registry) {
        registry if registry >= 0.005 => {
            format!("{:.2} + registry {registry:.2}", median(&work.cores))
        }
        _ => format!("{:.2}", median(&work.cores)),
    };
    let all = std::thread::available_parallelism().map_or(1, NonZero::get);
    let what = format!("… processors busy meanwhile, of {all}{what} (median)");
    let theirs = podman.map(words).unwrap_or_default();
    table.beside_podman(&what, &words(own), &theirs);
}

pub fn images(table: &mut Table, podman: Option<&Podman>, scratch: &Path) {
    let directory = scratch.join("images");
    fs::create_dir_all(&directory).expect("a directory");
    let Some(registry) = Registry::start(&directory) else {
        println!("images: docker-registry is not installed, left out");
        return;
    };
    let text = format!("[registries.\"{}\"]\nplain_http = true\n", registry.host);
    let engine = Engine::start_with(&directory, &text);
    for (case, count, what) in [("one", 1, "one layer"), ("twenty", 20, "20 layers")] {
        let image = image(&directory, &registry, case, count);
        let megabytes = image.size as f64 / 1e6;
        let local = format!("localhost/{case}:v1");
        let archive = image.archive.to_str().expect("UTF-8 path");
        let (mut loads, mut pulls) = (Work::default(), Work::default());
        let (mut load_floor, mut pull_floor) = (Vec::new(), Vec::new());
        let (mut their_loads, mut their_pulls) = (Work::default(), Work::default());
        let (own, server) = (Some(engine.pid()), registry.child.id());
        for _ in 0..ROUNDS {
            loads.measure(own, server, || {
                engine.timed_cli(&["image", "load", archive]);
            });
            engine.timed_cli(&["image", "rm", &local]);
            load_floor.push(untar(&image, &directory));
            pulls.measure(own, server, || {
                engine.timed_cli(&["image", "pull", "-q", &image.name]);
            });
            engine.timed_cli(&["image", "rm", &image.name]);
            pull_floor.push(slower(&image));
            if let Some(podman) = podman {
                their_loads.measure(None, server, || {
                    podman.work(&["load", "-q", "-i", archive]);
                });
                podman.work(&["image", "rm", "-f", &local]);
                their_pulls.measure(None, server, || {
                    podman.work(&["pull", "-q", "--tls-verify=false", &image.name]);
                });
                podman.work(&["image", "rm", "-f", &image.name]);
            }
        }
        let times = |work: &Work| work.is_measured().map(|work| work.times.clone());
        table.row(
            &format!(
                "`image load`, {what}, {megabytes:.0} MB of gzip (floor: `gzip -dc \\| tar -x`)"
            ),
            &loads.times,
            Some(&load_floor),
            times(&their_loads).as_deref(),
        );
        cores(table, "", &loads, their_loads.is_measured());
        table.row(
            &format!(
                "`image pull` from loopback, {what} (floor: the slower of download and `gzip -dc`)"
            ),
            &pulls.times,
            Some(&pull_floor),
            times(&their_pulls).as_deref(),
        );
        cores(table, ", registry apart", &pulls, their_pulls.is_measured());
        fs::remove_dir_all(directory.join(case)).expect("remove");
    }
}
