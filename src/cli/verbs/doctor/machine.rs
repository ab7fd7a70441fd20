use std::io::BufRead as _;
use std::path::{Path, PathBuf};

/// The files of a machine. Tests point it at a directory of their own.
pub(super) struct Machine {
    root: PathBuf,
}

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    pub(super) kind: String,
    /// Options of the file system; for cgroup v1 they name the controllers.
    pub(super) options: String,
}

impl Machine {
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    pub(super) fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The trimmed content of a small file.
    pub(super) fn read(&self, absolute: &str) -> Option<String> {
        std::fs::read_to_string(self.path(absolute))
            .ok()
            .map(|text| text.trim().to_owned())
    }

    pub(super) fn number(&self, absolute: &str) -> Option<u64> {
        self.read(absolute)?.parse().ok()
    }

    /// A field of `/proc/self/status`.
    pub(super) fn status(&self, field: &str) -> Option<String> {
        let status = self.read("/proc/self/status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// Whether the effective set holds a capability (capabilities(7), by number).
    pub(super) fn has_capability(&self, number: u32) -> bool {
        let set = self
            .status("CapEff")
            .and_then(|hex| u64::from_str_radix(&hex, 16).ok());
        set.is_some_and(|set| set & (1 << number) != 0)
    }

    pub(super) fn effective_uid(&self) -> Option<u32> {
        self.status("Uid")?.split_whitespace().nth(1)?.parse().ok()
    }

    pub(super) fn release(&self) -> Option<String> {
        self.read("/proc/sys/kernel/osrelease")
    }

    /// Whether a kernel part is there: loaded, built in, or loadable. Built-in parts without parameters do
    /// not show below `/sys/module`, and a kernel may come without its module lists; then a function of
    /// the part in the kernel's symbol table tells.
    pub(super) fn has_module(&self, name: &str, function: &str) -> bool {
        if self.exists(&format!("/sys/module/{name}")) {
            return true;
        }
        let release = self.release().unwrap_or_default();
        let listed = ["modules.builtin", "modules.dep"].into_iter().any(|list| {
            let text = self
                .read(&format!("/lib/modules/{release}/{list}"))
                .unwrap_or_default();
            text.lines().any(|line| {
                let file = line.split(':').next().unwrap_or_default();
                let file = file.rsplit('/').next().unwrap_or_default();
                file.split(".ko").next() == Some(name)
            })
        });
        listed || self.has_symbol(function)
    }

    fn has_symbol(&self, function: &str) -> bool {
        let Ok(file) = std::fs::File::open(self.path("/proc/kallsyms")) else {
            return false;
        };
        let mut lines = std::io::BufReader::new(file).lines().map_while(Result::ok);
        lines.any(|line| line.split_whitespace().nth(2) == Some(function))
    }

    /// Whether any pool of huge pages has pages (hugetlbpage.rst).
    pub(super) fn has_huge_pages(&self) -> bool {
        let pools = std::fs::read_dir(self.path("/sys/kernel/mm/hugepages"));
        let counts = pools.into_iter().flatten().flatten();
        counts
            .filter_map(|pool| std::fs::read_to_string(pool.path().join("nr_hugepages")).ok())
            .any(|count| count.trim() != "0")
    }

    pub(super) fn mounts(&self) -> Vec<Mount> {
        let text = self.read("/proc/self/mountinfo").unwrap_or_default();
        let parse = |line: &str| {
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?;
            let mut right = right.split(' ');
            Some(Mount {
                point: PathBuf::from(point.replace("\\040", " ")),
                kind: right.next()?.to_owned(),
                options: right.nth(1).unwrap_or_default().to_owned(),
            })
        };
        text.lines().filter_map(parse).collect()
    }

    /// The file system type under a path.
    pub(super) fn file_system(&self, path: &Path) -> Option<String> {
        let mounts = self.mounts();
        let under = mounts
            .iter()
            .enumerate()
            .filter(|(_, mount)| path.starts_with(&mount.point));
        // The longest mount point wins, and of equal ones the last, which covers the others.
        let found = under.max_by_key(|(index, mount)| (mount.point.components().count(), *index));
        found.map(|(_, mount)| mount.kind.clone())
    }

    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        [
            "/usr/sbin",
            "/sbin",
            "/usr/bin",
            "/bin",
            "/usr/local/sbin",
            "/usr/local/bin",
        ]
        .into_iter()
        .map(|directory| self.path(directory).join(name))
        .find(|path| path.exists())
    }
}
