//! Images made from Debian packages, kept in a docker-registry's directory for all tests of this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::Digest;

use crate::registry::{Registry, run};

/// Changes when the images do, so that old ones are not taken for new ones.
const EDITION: &str = "scenario-images-1";

/// Ends the test, saying so, where the images cannot be made or pods cannot run.
#[allow(unused_macros, reason = "macros of modules are found by text")]
macro_rules! require_debian {
    () => {
        require_registry!();
        for program in ["apt-get", "dpkg-deb", "flock"] {
            if !crate::registry::has(program) {
                println!("skipped: the images of this test are made with {program}");
                return;
            }
        }
        if let Err(error) = crate::debian::images() {
            println!("skipped: the images of this test cannot be made: {error}");
            return;
        }
    };
}

struct Recipe {
    name: &'static str,
    packages: &'static [&'static str],
    /// Run with the root of the image as working directory.
    script: &'static str,
    config: fn() -> serde_json::Value,
}

/// Links for all applets, and what every image needs to know itself.
const BUSYBOX: &str = "mkdir -p bin etc tmp run root var\nchmod 1777 tmp\n\
    for applet in $(bin/busybox --list); do [ -e bin/$applet ] || ln -s busybox bin/$applet; done\n\
    printf 'root:x:0:0:root:/root:/bin/sh\\nwww-data:x:33:33::/var/www:/bin/sh\\n' > etc/passwd\n\
    printf 'root:x:0:\\nwww-data:x:33:\\n' > etc/group\n";

/// The paths of the official image, whose users mount and call them.
const NGINX: &str = "mkdir -p usr/share/nginx/html var/log/nginx var/lib/nginx\n\
    echo 'Welcome to nginx!' > usr/share/nginx/html/index.html\n\
    cat > etc/nginx/nginx.conf <<'END'\n\
    user www-data;\n\
    worker_processes 1;\n\
    pid /run/nginx.pid;\n\
    error_log /dev/stderr notice;\n\
    events { worker_connections 64; }\n\
    http { access_log /dev/stdout; server { listen 80; root /usr/share/nginx/html; } }\n\
    END\n";

const RECIPES: [Recipe; 5] = [
    Recipe {
        name: "busybox",
        packages: &["busybox-static"],
        script: "",
        config: || json!({"Cmd": ["sh"]}),
    },
    Recipe {
        name: "alpine",
        packages: &["busybox-static"],
        script: "echo 3.22.0 > etc/alpine-release",
        config: || json!({"Cmd": ["/bin/sh"]}),
    },
    Recipe {
        name: "nginx",
        packages: &[
            "busybox-static",
            "nginx",
            "nginx-common",
            "libc6",
            "libpcre2-8-0",
            "libssl3",
            "zlib1g",
            "libcrypt1",
        ],
        script: NGINX,
        config: || json!({"Cmd": ["nginx", "-g", "daemon off;"], "StopSignal": "SIGQUIT", "ExposedPorts": {"80/tcp": {}}}),
    },
    Recipe {
        name: "redis",
        packages: &[
            "busybox-static",
            "redis-server",
            "redis-tools",
            "libc6",
            "libatomic1",
            "libjemalloc2",
            "libstdc++6",
            "libgcc-s1",
            "libssl3",
            "liblzf1",
            "libsystemd0",
            "libcap2",
            "libgcrypt20",
            "libgpg-error0",
            "liblz4-1",
            "liblzma5",
            "libzstd1",
        ],
        script: "mkdir -p data",
        config: || json!({"Cmd": ["redis-server"], "WorkingDir": "/data", "Volumes": {"/data": {}}}),
    },
    Recipe {
        name: "debian",
        packages: &[
            "base-files",
            "dash",
            "coreutils",
            "perl-base",
            "libc6",
            "libcrypt1",
            "libacl1",
            "libattr1",
            "libgmp10",
            "libselinux1",
            "libpcre2-8-0",
        ],
        script: "",
        config: || json!({"Cmd": ["/bin/sh"]}),
    },
];

/// The directory of a registry that has all of them under `library/`; made once, whoever asks first.
pub fn images() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(EDITION);
    let data = root.join("data");
    fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let lock = fs::File::create(root.join("lock")).map_err(|error| error.to_string())?;
    // Given back when the file is closed.
    lock.lock().map_err(|error| error.to_string())?;
    if root.join("complete").exists() {
        return Ok(data);
    }
    let _ = fs::remove_dir_all(&data);
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    let registry = Registry::start_on(&data);
    for recipe in &RECIPES {
        let archive = recipe.build(&root.join(recipe.name))?;
        let name = format!("library/{}:latest", recipe.name);
        registry.push(&format!("docker-archive:{}", archive.display()), &name);
        let _ = fs::remove_dir_all(root.join(recipe.name));
    }
    drop(registry);
    fs::write(root.join("complete"), "").map_err(|error| error.to_string())?;
    Ok(data)
}

impl Recipe {
    /// A docker archive of one layer.
    fn build(&self, work: &Path) -> Result<PathBuf, String> {
        let _ = fs::remove_dir_all(work);
        let rootfs = work.join("rootfs");
        fs::create_dir_all(&rootfs).map_err(|error| error.to_string())?;
        let downloaded = Command::new("apt-get")
            .args(["download", "-q"])
            .args(self.packages)
            .current_dir(work)
            .output()
            .map_err(|error| error.to_string())?;
        if !downloaded.status.success() {
            return Err(String::from_utf8_lossy(&downloaded.stderr).into_owned());
        }
        let busybox = if self.packages.contains(&"busybox-static") {
            BUSYBOX
        } else {
            ""
        };
        let script = format!(
            "set -e\nfor package in ../*.deb; do dpkg-deb -x $package .; done\n\
             rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info\n{busybox}{}\n\
             tar --numeric-owner --owner=0 --group=0 -cf ../layer.tar .\n",
            self.script
        );
        run(Command::new("sh")
            .args(["-c", &script])
            .current_dir(&rootfs));
        let layer = work.join("layer.tar");
        let bytes = fs::read(&layer).map_err(|error| error.to_string())?;
        let sum: String = sha2::Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let document = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": (self.config)(),
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
        });
        let tag = format!("{}:latest", self.name);
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]);
        fs::write(work.join("config.json"), document.to_string())
            .map_err(|error| error.to_string())?;
        fs::write(work.join("manifest.json"), manifest.to_string())
            .map_err(|error| error.to_string())?;
        let archive = work.join("image.tar");
        run(Command::new("tar")
            .args([
                "-cf",
                "image.tar",
                "config.json",
                "manifest.json",
                "layer.tar",
            ])
            .current_dir(work));
        Ok(archive)
    }
}
