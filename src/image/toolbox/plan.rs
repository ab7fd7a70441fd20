use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::libraries::Libraries;
use super::tools;

/// What stands at a path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory {
        mode: u32,
    },
    /// A copy of a file of the host.
    File {
        source: PathBuf,
        mode: u32,
    },
    Text(&'static str),
    Symlink(String),
    /// Another path of the image.
    HardLink(PathBuf),
}

/// Every file of the image by its path without leading slash. The order is the order in the archive.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: BTreeMap<PathBuf, Node>,
}

const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

const TEXTS: &[(&str, &str)] = &[
    (
        "etc/group",
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
    ),
    // The three files below are mount points in every pod; a mount point that exists saves making one.
    ("etc/hostname", ""),
    ("etc/hosts", ""),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
    (
        "etc/os-release",
        "NAME=toolbox\nID=podtui-toolbox\nPRETTY_NAME=\"podtui toolbox (programs of this machine)\"\n",
    ),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n\
         www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    ),
    ("etc/resolv.conf", ""),
];

impl Plan {
    /// Looks at the machine. What a wanted program lacks leaves only that program out.
    pub(super) fn of_this_host() -> Self {
        let mut plan = Self::default();
        let mut libraries = Libraries::new();
        for (path, mode) in DIRECTORIES {
            plan.directory(Path::new(path), *mode);
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            plan.nodes
                .insert(PathBuf::from(name), Node::Symlink(format!("usr/{name}")));
        }
        for (path, text) in TEXTS {
            plan.nodes.insert(PathBuf::from(path), Node::Text(text));
        }
        for tool in tools::TOOLS {
            plan.tool(tool, &mut libraries);
        }
        plan.busybox(&mut libraries);
        plan.terminals();
        for path in tools::CERTIFICATES {
            plan.copy(Path::new(path), Path::new(path), 0o644);
        }
        plan
    }

    pub(super) fn has_shell(&self) -> bool {
        self.nodes.contains_key(Path::new("usr/bin/sh"))
    }

    fn tool(&mut self, name: &str, libraries: &mut Libraries) {
        let found = tools::PROGRAM_DIRECTORIES
            .iter()
            .map(|dir| Path::new(dir).join(name))
            .find(|path| path.is_file());
        let Some(path) = found else {
            return;
        };
        let Ok(real) = path.canonicalize() else {
            return;
        };
        if !self.program(&real, libraries) {
            return;
        }
        // The name stays a link where it is one on the host: programs of many names look at theirs.
        let place = Path::new("usr/bin").join(name);
        let target = merged(&real);
        if place != target && !self.nodes.contains_key(&place) {
            let target = format!("/{}", target.display());
            self.nodes.insert(place, Node::Symlink(target));
        }
    }

    /// The program with all it needs, or nothing of it.
    fn program(&mut self, real: &Path, libraries: &mut Libraries) -> bool {
        if self.nodes.contains_key(&merged(real)) {
            return true;
        }
        match libraries.of(real) {
            Some(Ok(needed)) => {
                for library in needed {
                    self.copy(&library.source, &library.place, 0o755);
                }
                self.name_services();
                self.copy(real, real, 0o755)
            }
            Some(Err(missing)) => {
                tracing::debug!(program = %real.display(), missing, "left out of the toolbox");
                false
            }
            None => self.runs_as_script(real) && self.copy(real, real, 0o755),
        }
    }

    /// A script whose interpreter is part of the image already (the shells come first).
    fn runs_as_script(&self, path: &Path) -> bool {
        let mut start = [0; 128];
        let length = std::fs::File::open(path)
            .and_then(|mut file| file.read(&mut start))
            .unwrap_or(0);
        let line = String::from_utf8_lossy(&start[..length]);
        let interpreter = line
            .strip_prefix("#!")
            .and_then(|rest| rest.split_whitespace().next())
            .map(|path| merged(Path::new(path)));
        interpreter.is_some_and(|place| self.nodes.contains_key(&place))
    }

    /// Before version 2.34 glibc loaded these when a name was looked up, unknown to the program's header.
    fn name_services(&mut self) {
        let libc = self
            .nodes
            .iter()
            .find(|(path, _)| path.file_name().is_some_and(|name| name == "libc.so.6"));
        let Some((_, Node::File { source, .. })) = libc else {
            return;
        };
        let Some(dir) = source.parent().map(Path::to_owned) else {
            return;
        };
        for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
            let path = dir.join(name);
            self.copy(&path, &path, 0o755);
        }
    }

    /// Busybox stands in for whatever the host lacks, under hard links: a link costs a thirtieth of a file.
    fn busybox(&mut self, libraries: &mut Libraries) {
        let found = tools::PROGRAM_DIRECTORIES
            .iter()
            .find_map(|dir| Path::new(dir).join("busybox").canonicalize().ok());
        let Some(real) = found.filter(|real| self.program(real, libraries)) else {
            return;
        };
        let place = merged(&real);
        for applet in applets(&real) {
            let bin = Path::new("usr/bin").join(&applet);
            let sbin = Path::new("usr/sbin").join(&applet);
            // In the archive a link must follow its target.
            let missing = !self.nodes.contains_key(&bin) && !self.nodes.contains_key(&sbin);
            if missing && bin != place {
                self.nodes.insert(bin, Node::HardLink(place.clone()));
            }
        }
    }

    fn terminals(&mut self) {
        for name in tools::TERMINALS {
            let Some(first) = name.chars().next() else {
                continue;
            };
            let inside = format!("{first}/{name}");
            let found = tools::TERMINFO_DIRECTORIES
                .iter()
                .map(|dir| Path::new(dir).join(&inside))
                .find(|path| path.is_file());
            if let Some(path) = found {
                self.copy(
                    &path,
                    &Path::new("/usr/share/terminfo").join(&inside),
                    0o644,
                );
            }
        }
    }

    /// A regular file of the host under `place`; `false` when there is none.
    fn copy(&mut self, source: &Path, place: &Path, mode: u32) -> bool {
        let Ok(real) = source.canonicalize() else {
            return false;
        };
        if !real.is_file() {
            return false;
        }
        let place = merged(place);
        if let Some(parent) = place.parent() {
            self.directory(parent, 0o755);
        }
        self.nodes
            .entry(place)
            .or_insert(Node::File { source: real, mode });
        true
    }

    fn directory(&mut self, path: &Path, mode: u32) {
        for parent in path
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            self.nodes
                .entry(parent.to_owned())
                .or_insert(Node::Directory { mode: 0o755 });
        }
        self.nodes
            .entry(path.to_owned())
            .or_insert(Node::Directory { mode });
    }
}

/// The path inside the image of an absolute path of the host: normalised, and below `usr` what a merged
/// system has there.
fn merged(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let first = clean.iter().next().and_then(|first| first.to_str());
    match first {
        Some("bin" | "sbin" | "lib" | "lib64") => Path::new("usr").join(clean),
        _ => clean,
    }
}

/// What this busybox was built with. A busybox that does not answer adds nothing.
fn applets(busybox: &Path) -> BTreeSet<String> {
    let output = Command::new(busybox)
        .arg("--list")
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let plain = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b'_' | b'-' | b'.')
            })
            && !matches!(*name, "." | "..")
    };
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(plain)
            .map(str::to_owned)
            .collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_merged() {
        let check =
            |path: &str, expected: &str| assert_eq!(merged(Path::new(path)), Path::new(expected));
        check("/bin/ls", "usr/bin/ls");
        check("/lib64/ld.so", "usr/lib64/ld.so");
        check("/usr/lib/x/../y", "usr/lib/y");
        check("/nix/store/x/bin/ls", "nix/store/x/bin/ls");
        check("/library/x", "library/x");
    }
}
