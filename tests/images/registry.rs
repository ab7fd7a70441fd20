//! A docker-registry of one test, and images for it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::Podtui;

pub const USER: &str = "reader";
pub const PASSWORD: &str = "s3cr3t-Pass";
/// bcrypt of [`PASSWORD`], cost 5.
const HTPASSWD: &str = "reader:$2a$05$abcdefghijklmnopqrstuuddZ6nveHX/b8nrgEgJQAyJbY/q98hI6\n";

/// Ends the test, saying so, where the peers are missing.
#[allow(unused_macros, reason = "not every module talks to a registry")]
macro_rules! require_registry {
    () => {
        require_root!();
        for program in ["docker-registry", "skopeo", "umoci", "openssl"] {
            if !crate::registry::has(program) {
                println!("skipped: this test needs {program}");
                return;
            }
        }
        require_images!();
    };
}

pub fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// How clients must come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Door {
    pub tls: bool,
    pub basic_auth: bool,
}

pub struct Registry {
    pub directory: TempDir,
    pub host: String,
    door: Door,
    child: Child,
}

impl Registry {
    pub fn start(door: Door) -> Self {
        Self::start_with(door, "")
    }

    /// `extra` is appended to the configuration.
    pub fn start_with(door: Door, extra: &str) -> Self {
        Self::start_in(directory(), door, extra)
    }

    /// Serves what an earlier registry has left in `data`.
    #[allow(dead_code, reason = "for the scenarios, which share this file")]
    pub fn start_on(data: &Path) -> Self {
        let directory = directory();
        std::os::unix::fs::symlink(data, directory.path().join("data")).expect("a link");
        Self::start_in(directory, Door::default(), "")
    }

    fn start_in(directory: TempDir, door: Door, extra: &str) -> Self {
        let port = free_port();
        let host = format!("127.0.0.1:{port}");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let mut text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: {host}\n",
            path("data")
        );
        if door.tls {
            certificates(directory.path());
            text.push_str(&format!(
                "  tls: {{certificate: {}, key: {}}}\n",
                path("server.pem"),
                path("server.key")
            ));
        }
        if door.basic_auth {
            fs::write(path("htpasswd"), HTPASSWD).expect("a file");
            text.push_str(&format!(
                "auth:\n  htpasswd: {{realm: test, path: {}}}\n",
                path("htpasswd")
            ));
        }
        text.push_str(extra);
        fs::write(path("config.yml"), text).expect("a file");
        let log = fs::File::create(path("log")).expect("a file");
        let child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("docker-registry starts");
        let registry = Self {
            directory,
            host,
            door,
            child,
        };
        let begin = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "docker-registry: {}",
                fs::read_to_string(registry.path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `HOST/name`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// Copies an OCI layout (`oci:DIR:TAG`) there.
    pub fn push(&self, source: &str, name: &str) {
        self.push_with(source, name, &[]);
    }

    pub fn push_with(&self, source: &str, name: &str, more: &[&str]) {
        let mut command = Command::new("skopeo");
        command.args(["copy", "-q", "--dest-tls-verify=false"]);
        if self.door.basic_auth {
            command.args(["--dest-creds", &format!("{USER}:{PASSWORD}")]);
        }
        command
            .args(more)
            .args([source, &format!("docker://{}", self.name(name))]);
        run(&mut command);
    }

    /// The table of `config.toml` for this registry.
    pub fn table(&self) -> String {
        let line = if self.door.tls {
            format!("ca_file = \"{}\"", self.path("ca.pem").display())
        } else {
            "plain_http = true".to_owned()
        };
        format!("[registries.\"{}\"]\n{line}\n", self.host)
    }

    /// The digest that a tag stands for.
    pub fn digest(&self, name: &str) -> String {
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--format", "{{.Digest}}", "--tls-verify=false"]);
        if self.door.basic_auth {
            command.args(["--creds", &format!("{USER}:{PASSWORD}")]);
        }
        run(command.arg(format!("docker://{}", self.name(name))))
            .trim()
            .to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("ptr")
        .tempdir_in("/tmp")
        .expect("a directory in /tmp")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Standard output of a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An authority of our own, and a certificate of 127.0.0.1 by it.
fn certificates(directory: &Path) {
    let script = "set -e; cd \"$0\"\n\
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem\n\
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=registry -keyout server.key -out server.csr\n\
        printf 'subjectAltName=IP:127.0.0.1,DNS:registry.podtui.invalid\\nbasicConstraints=CA:FALSE\\n' > ext\n\
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem\n";
    run(Command::new("sh").args(["-c", script]).arg(directory));
}

/// An OCI layout with one image, `oci:DIR:v1`, made by umoci: busybox and what `fill` adds to its root.
pub fn umoci_image(directory: &Path, fill: impl FnOnce(&Path)) -> String {
    let layout = directory.join("layout");
    let bundle = directory.join("bundle");
    let image = format!("{}:v1", layout.display());
    run(Command::new("umoci")
        .args(["init", "--layout"])
        .arg(&layout));
    run(Command::new("umoci").args(["new", "--image", &image]));
    run(Command::new("umoci")
        .args(["unpack", "--image", &image])
        .arg(&bundle));
    let bin = bundle.join("rootfs/bin");
    fs::create_dir_all(&bin).expect("a directory");
    fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox");
    for applet in ["sh", "sleep", "cat", "echo"] {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
    }
    fill(&bundle.join("rootfs"));
    run(Command::new("umoci")
        .args(["repack", "--image", &image])
        .arg(&bundle));
    run(Command::new("umoci").args([
        "config",
        "--image",
        &image,
        "--config.cmd=sleep",
        "--config.cmd=1000000",
    ]));
    format!("oci:{image}")
}

/// Writes `config.toml` before the engine starts.
pub fn configure(podtui: &Podtui, text: &str) {
    let directory = podtui.path().join("config");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("config.toml"), text).expect("a file");
}

/// A pod of one container that is not started twice.
pub fn pod(name: &str, image: &str, policy: &str, rest: &str) -> String {
    let policy = if policy.is_empty() {
        String::new()
    } else {
        format!("    imagePullPolicy: {policy}\n")
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: {image}\n{policy}{rest}"
    )
}

/// `reason: message` of the events of a pod, oldest first.
pub fn events(podtui: &Podtui, name: &str) -> Vec<String> {
    let text = podtui.ok(&["get", "events", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut found: Vec<(String, String)> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["involvedObject"]["name"] == name)
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let name = event["metadata"]["name"].as_str().unwrap_or_default();
            (
                // The names end with the nanoseconds of the first time, also those of the scheduler's events.
                name.rsplit('.').next().unwrap_or_default().to_owned(),
                format!("{}: {}", text("reason"), text("message")),
            )
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

/// Reason and message of the waiting container.
pub fn waiting(podtui: &Podtui, name: &str) -> Option<(String, String)> {
    let pod = podtui.try_pod(name)?;
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    Some((
        waiting["reason"].as_str()?.to_owned(),
        waiting["message"].as_str().unwrap_or_default().to_owned(),
    ))
}
