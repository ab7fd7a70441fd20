//! What podtui is measured against: the C floor and podman.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::api::{time_until_grown, timed_output};

/// `floor.c`, compiled, with a busybox root.
pub struct Floor {
    binary: PathBuf,
    directory: PathBuf,
    rootfs: String,
}

impl Floor {
    pub fn build(scratch: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/floor.c");
        let directory = scratch.join("floor");
        let root = directory.join("root");
        for name in ["bin", "proc", "dev", "sys"] {
            fs::create_dir_all(root.join(name)).expect("floor root");
        }
        if fs::copy("/bin/busybox", root.join("bin/busybox")).is_err() {
            println!("floor: /bin/busybox (static) is not installed, left out");
            return None;
        }
        let binary = scratch.join("floor-program");
        let compiled = Command::new("cc")
            .args(["-O2", "-o"])
            .arg(&binary)
            .arg(source)
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            println!("floor: no C compiler, left out");
            return None;
        }
        let rootfs = root.to_str().expect("UTF-8 path").to_owned();
        Some(Self {
            binary,
            directory,
            rootfs,
        })
    }

    pub fn rootfs(&self) -> &str {
        &self.rootfs
    }

    /// One duration per line that the program prints (microseconds).
    pub fn run(&self, arguments: &[&str]) -> Vec<Duration> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("FLOOR_DIR", &self.directory)
            .stderr(Stdio::inherit())
            .output()
            .expect("the floor program starts");
        assert!(
            output.status.success(),
            "floor {arguments:?} failed: {}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| Duration::from_micros(line.parse().expect("a number of microseconds")))
            .collect()
    }
}

/// podman with runc and cgroupfs, its own storage below the scratch directory.
pub struct Podman {
    directory: PathBuf,
}

const IMAGE: &str = "localhost/bench:latest";

impl Podman {
    pub fn find(scratch: &Path) -> Option<Self> {
        for program in ["podman", "runc"] {
            if !Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
            {
                println!("{program}: not installed, podman is left out");
                return None;
            }
        }
        let podman = Self {
            directory: scratch.join("podman"),
        };
        fs::create_dir_all(&podman.directory).expect("podman directory");
        // crun refuses hybrid cgroup mounts and raising limits needs CAP_SYS_RESOURCE: name what works everywhere.
        fs::write(
            podman.directory.join("containers.conf"),
            "[containers]\ndefault_ulimits=[]\nlog_driver=\"k8s-file\"\n[engine]\nruntime=\"runc\"\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\n",
        )
        .expect("containers.conf");
        let tar = podman.directory.join("root.tar");
        let root = scratch.join("floor/root");
        let made = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        if !made.is_ok_and(|status| status.success())
            || !podman.quiet(&["import", tar.to_str()?, IMAGE])
        {
            println!("podman: importing an image failed, left out");
            return None;
        }
        let warm = podman.manifest("warm");
        let works = podman.quiet(&["kube", "play", warm.to_str()?]);
        podman.quiet(&["kube", "down", warm.to_str()?]);
        if !works {
            println!("podman: kube play failed here, left out");
            return None;
        }
        Some(podman)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", self.directory.join("containers.conf"))
            .arg("--root")
            .arg(self.directory.join("storage"))
            .arg("--runroot")
            .arg(self.directory.join("run"))
            .stdin(Stdio::null());
        command
    }

    fn quiet(&self, arguments: &[&str]) -> bool {
        let log = fs::File::create(self.directory.join("last.log")).expect("podman log");
        let both = log.try_clone().expect("podman log");
        self.command()
            .args(arguments)
            .stdout(log)
            .stderr(both)
            .status()
            .is_ok_and(|status| status.success())
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.manifest_of(name, 2, &["/bin/busybox", "sleep", "1000000"])
    }

    fn manifest_of(&self, name: &str, containers: usize, command: &[&str]) -> PathBuf {
        let container = |index: usize| {
            format!(
                "  - name: c{index}\n    image: {IMAGE}\n    imagePullPolicy: Never\n    command: {command:?}\n"
            )
        };
        let containers: String = (0..containers).map(container).collect();
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n{containers}",
        );
        let path = self.directory.join(format!("{name}.yaml"));
        fs::write(&path, text).expect("podman manifest");
        path
    }

    fn timed(&self, arguments: &[&str]) -> Duration {
        let begin = Instant::now();
        let worked = self.quiet(arguments);
        let time = begin.elapsed();
        assert!(
            worked,
            "podman {arguments:?} failed:\n{}",
            fs::read_to_string(self.directory.join("last.log")).unwrap_or_default()
        );
        time
    }

    /// Something whose time the caller takes.
    pub fn work(&self, arguments: &[&str]) {
        self.timed(arguments);
    }

    pub fn play_rounds(&self, rounds: usize) -> (Vec<Duration>, Vec<Duration>) {
        (0..rounds)
            .map(|round| {
                let path = self.manifest(&format!("play{round}"));
                let path = path.to_str().expect("UTF-8 path");
                (
                    self.timed(&["kube", "play", path]),
                    self.timed(&["kube", "down", path]),
                )
            })
            .unzip()
    }

    pub fn play_many(&self, count: usize) -> Duration {
        let paths: Vec<PathBuf> = (0..count)
            .map(|index| self.manifest(&format!("many{index}")))
            .collect();
        let begin = Instant::now();
        let mut players: Vec<_> = paths
            .iter()
            .map(|path| {
                self.command()
                    .args(["kube", "play"])
                    .arg(path)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("podman starts")
            })
            .collect();
        let worked = players
            .iter_mut()
            .all(|player| player.wait().is_ok_and(|status| status.success()));
        let time = begin.elapsed();
        for path in &paths {
            self.quiet(&["kube", "down", path.to_str().expect("UTF-8 path")]);
        }
        if !worked {
            println!(
                "podman: some of {count} parallel kube plays failed; the time is that of all attempts"
            );
        }
        time
    }

    pub fn exec_rounds(&self, rounds: usize) -> Vec<Duration> {
        let path = self.manifest("exec");
        let path = path.to_str().expect("UTF-8 path");
        self.timed(&["kube", "play", path]);
        let times = (0..rounds)
            .map(|_| self.timed(&["exec", "exec-c0", "/bin/busybox", "true"]))
            .collect();
        self.timed(&["kube", "down", path]);
        times
    }
}

impl Podman {
    /// Times to write `bytes` in lines of `line` bytes to the log (driver `k8s-file`), and to read them back.
    pub fn log_rounds(
        &self,
        line: usize,
        bytes: usize,
        rounds: usize,
    ) -> (Vec<Duration>, Vec<Duration>) {
        // `kube play` and `inspect` are over before the first byte.
        let script = format!("sleep 3; {}", writer(line, bytes));
        (0..rounds)
            .map(|round| {
                let name = format!("logs{line}-{round}");
                let path = self.manifest_of(&name, 1, &["/bin/busybox", "sh", "-c", &script]);
                let path = path.to_str().expect("UTF-8 path");
                self.timed(&["kube", "play", path]);
                let container = format!("{name}-c0");
                let log = self.log_path(&container);
                let size = || fs::metadata(&log).map_or(0, |metadata| metadata.len());
                let written = time_until_grown(&name, bytes, size);
                let (read, got) = timed_output(self.command().args(["logs", &container]));
                assert_eq!(
                    got, bytes,
                    "`podman logs` returned other bytes than were written"
                );
                self.timed(&["kube", "down", path]);
                (written, read)
            })
            .unzip()
    }

    fn log_path(&self, container: &str) -> PathBuf {
        let format = "{{.HostConfig.LogConfig.Path}}";
        let output = self
            .command()
            .args(["inspect", "--format", format, container])
            .output()
            .expect("podman inspect");
        String::from_utf8_lossy(&output.stdout).trim().into()
    }
}

/// The Docker API of podman, and containers to look at.
pub struct Service<'a> {
    podman: &'a Podman,
    child: Child,
}

impl Podman {
    /// Starts containers of these names that do nothing, and a service that tells of them.
    pub fn serve(&self, names: &[&str]) -> Option<Service<'_>> {
        for name in names {
            let sleep = [
                "run",
                "-d",
                "--name",
                name,
                IMAGE,
                "/bin/busybox",
                "sleep",
                "1000000",
            ];
            self.timed(&sleep);
        }
        let child = self
            .command()
            .args(["system", "service", "--time=0"])
            .arg(self.address())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("podman starts");
        let service = Service {
            podman: self,
            child,
        };
        let begin = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(service)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("service.sock")
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }
}

impl Service<'_> {
    pub fn address(&self) -> String {
        self.podman.address()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; its containers go with the rest of podman's.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.podman.quiet(&["rm", "-fa", "-t", "0"]);
    }
}

pub fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.stderr(Stdio::null()).status().is_ok()
}

/// A shell script that writes `bytes` in lines of `line` bytes and sleeps.
pub fn writer(line: usize, bytes: usize) -> String {
    let text = "x".repeat(line - 1);
    format!("yes {text} | head -c {bytes}; exec sleep 1000000")
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.quiet(&["pod", "rm", "-fa"]);
        self.quiet(&["system", "reset", "-f"]);
    }
}
