use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::devices::{self, DeviceRule};
use super::error::CgroupError;
use super::files;
use super::hierarchy::{Hierarchy, Version};
use super::limits::Limits;
use super::oom::OomWatch;
use super::tree::{self, IfBusy, Tree};

/// One reading of a group's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Processor time used since the group was made, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Usage minus inactive file pages, bytes: what `kubectl top` prints.
    pub(crate) memory_working_set: u64,
    /// Highest usage seen, bytes; 0 where the kernel does not tell (v2 before Linux 5.19).
    pub(crate) memory_peak: u64,
    /// Threads count as the pids controller counts them; processes where it is missing.
    pub(crate) processes: u64,
}

/// Where a v1 group takes threads.
const TASKS: &str = "tasks";

/// One group in every tree of a hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    trees: Vec<Tree>,
    path: PathBuf,
    unified: Option<OwnedFd>,
    /// The `tasks` files of the v1 trees, once [`Self::keep_open`] was called.
    tasks: OnceCell<Vec<File>>,
}

impl Cgroup {
    pub(super) fn open(hierarchy: &Hierarchy, path: PathBuf) -> Result<Self, CgroupError> {
        let trees = hierarchy.trees().to_vec();
        let unified = match trees.iter().find(|tree| tree.unified) {
            Some(tree) => open_directory(&tree.mount.join(&path))?,
            None => None,
        };
        Ok(Self {
            version: hierarchy.version(),
            trees,
            path,
            unified,
            tasks: OnceCell::new(),
        })
    }

    /// The path below the mount point of every tree.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The group in the cgroup2 tree, for clone3(2) with CLONE_INTO_CGROUP; also on a hybrid machine,
    /// where [`Self::join_v1`] does the rest.
    pub(crate) fn unified_dir(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Moves a process into the group, in every tree.
    #[cfg(test)]
    pub(crate) fn add(&self, pid: crate::base::Pid) -> Result<(), CgroupError> {
        for tree in &self.trees {
            self.add_to(tree, pid)?;
        }
        Ok(())
    }

    /// Moves the calling process, which has one thread, into the group of every v1 tree; with
    /// [`Self::unified_dir`] it was born in the group of the cgroup2 tree.
    ///
    /// Through `tasks`, not `cgroup.procs`: for the only thread that is running this very call the kernel
    /// need not keep every fork of the machine waiting (`cgroup_threadgroup_rwsem`), which costs a grace
    /// period of RCU, 4 to 20 ms, whenever nobody has done so for a while (cgroup_procs_write_start() in
    /// kernel/cgroup/cgroup.c).
    pub(crate) fn join_v1(&self) -> Result<(), CgroupError> {
        let legacy = self.trees.iter().filter(|tree| !tree.unified);
        let Some(tasks) = self.tasks.get() else {
            for tree in legacy {
                files::write(&self.directory(tree).join(TASKS), "0")?;
            }
            return Ok(());
        };
        for (mut file, tree) in tasks.iter().zip(legacy) {
            file.write_all(b"0").map_err(|source| CgroupError::Write {
                path: self.directory(tree).join(TASKS),
                value: "0".to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    /// Opens what [`Self::join_v1`] writes to, for a group that will be joined again and again: looking up a
    /// path in every tree takes longer than joining. It is opened once; children inherit it.
    pub(crate) fn keep_open(&self) -> Result<(), CgroupError> {
        if self.tasks.get().is_some() {
            return Ok(());
        }
        let open = |tree| {
            let path = self.directory(tree).join(TASKS);
            let opened = OpenOptions::new().write(true).open(&path);
            opened.map_err(|source| CgroupError::Open { path, source })
        };
        let legacy = self.trees.iter().filter(|tree| !tree.unified);
        let files = legacy.map(open).collect::<Result<_, _>>()?;
        // It was empty a moment ago, and this process has one thread.
        let _ = self.tasks.set(files);
        Ok(())
    }

    /// What [`Self::keep_open`] has opened; whoever writes `0` to each of them joins as [`Self::join_v1`] does.
    pub(crate) fn kept_open(&self) -> &[File] {
        self.tasks.get().map_or(&[], Vec::as_slice)
    }

    #[cfg(test)]
    fn add_to(&self, tree: &Tree, pid: crate::base::Pid) -> Result<(), CgroupError> {
        let path = self.directory(tree).join("cgroup.procs");
        files::write(&path, &pid.to_string())
    }

    /// Writes the limits. Returns notes on what this machine cannot enforce.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        Hierarchy::apply_at(&self.trees, self.version, &self.path, limits)
    }

    /// Denies every device node but those of `rules` to the processes of the group, whoever made the
    /// node. Returns a note where the machine has no means to.
    pub(crate) fn restrict_devices(
        &self,
        rules: &[DeviceRule],
    ) -> Result<Vec<String>, CgroupError> {
        if let Some(tree) = self.tree_of("devices").filter(|tree| !tree.unified) {
            devices::restrict_v1(&self.directory(tree), rules)?;
            return Ok(Vec::new());
        }
        match (&self.unified, self.version) {
            (Some(_), Version::V2 | Version::Hybrid) => {
                let tree = self.trees.iter().find(|tree| tree.unified);
                let directory = tree.map(|tree| self.directory(tree)).unwrap_or_default();
                devices::restrict_v2(&directory, rules)
            }
            _ => Ok(vec![
                "access to devices is not restricted: no cgroup tree for devices".to_owned(),
            ]),
        }
    }

    /// Sends SIGKILL to every process in the group and below it, and does not wait for their end.
    pub(crate) fn kill(&self) -> Result<(), CgroupError> {
        if let Some(tree) = self.trees.iter().find(|tree| tree.unified) {
            let path = self.directory(tree).join("cgroup.kill");
            if path.exists() {
                files::write(&path, "1")?;
                if self.version == Version::V2 {
                    return Ok(());
                }
            }
        }
        // A process may stand in a v1 group and not in the cgroup2 one, and an old kernel has no
        // cgroup.kill: freeze, so that nothing forks meanwhile, then signal.
        let freezer = self.tree_of("freezer").filter(|tree| !tree.unified);
        let Some(tree) = freezer.or_else(|| self.process_tree()) else {
            return Ok(());
        };
        let directory = self.directory(tree);
        if tree::processes(&directory)?.is_empty() {
            return Ok(());
        }
        let state = directory.join("freezer.state");
        let frozen = freezer.is_some() && files::write(&state, "FROZEN").is_ok();
        let signalled = tree::signal_all(&directory);
        if frozen {
            // A frozen task of v1 takes the signal only when thawed.
            files::write(&state, "THAWED")?;
        }
        signalled.map(|_| ())
    }

    /// Processes in the group and below it, in no order.
    pub(crate) fn processes(&self) -> Result<Vec<crate::base::Pid>, CgroupError> {
        let mut found = Vec::new();
        let unified = self.trees.iter().find(|tree| tree.unified);
        let legacy = self.process_tree().filter(|tree| !tree.unified);
        for tree in unified.into_iter().chain(legacy) {
            found.extend(tree::processes(&self.directory(tree))?);
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(crate) fn stats(&self) -> Result<Stats, CgroupError> {
        let memory = self.memory()?;
        Ok(Stats {
            cpu_ns: self.cpu_ns()?,
            memory_working_set: memory.0,
            memory_peak: memory.1,
            processes: self.process_count()?,
        })
    }

    fn cpu_ns(&self) -> Result<u64, CgroupError> {
        if self.version == Version::V2 {
            let Some(tree) = self.trees.first() else {
                return Ok(0);
            };
            let usec = files::read_key(&self.directory(tree).join("cpu.stat"), "usage_usec")?;
            return Ok(usec.unwrap_or(0).saturating_mul(1000));
        }
        self.tree_of("cpuacct").map_or(Ok(0), |tree| {
            files::read_number(&self.directory(tree).join("cpuacct.usage"))
        })
    }

    fn memory(&self) -> Result<(u64, u64), CgroupError> {
        let Some(directory) = self.memory_directory() else {
            return Ok((0, 0));
        };
        let (usage, inactive, peak) = if self.version == Version::V2 {
            ("memory.current", "inactive_file", "memory.peak")
        } else {
            (
                "memory.usage_in_bytes",
                "total_inactive_file",
                "memory.max_usage_in_bytes",
            )
        };
        let usage = files::read_number(&directory.join(usage))?;
        let inactive = files::read_key(&directory.join("memory.stat"), inactive)?.unwrap_or(0);
        let peak_path = directory.join(peak);
        let peak = if peak_path.exists() {
            files::read_number(&peak_path)?
        } else {
            0
        };
        Ok((usage.saturating_sub(inactive), peak))
    }

    fn process_count(&self) -> Result<u64, CgroupError> {
        if let Some(tree) = self.tree_of("pids") {
            let path = self.directory(tree).join("pids.current");
            if path.exists() {
                return files::read_number(&path);
            }
        }
        Ok(u64::try_from(self.processes()?.len()).unwrap_or(u64::MAX))
    }

    /// Watches for kills for lack of memory from now on.
    pub(crate) fn watch_oom(&self) -> Result<OomWatch, CgroupError> {
        let directory = self
            .memory_directory()
            .ok_or_else(|| CgroupError::NoMemoryController(self.path.clone()))?;
        if self.version == Version::V2 {
            OomWatch::v2(&directory)
        } else {
            OomWatch::v1(&directory)
        }
    }

    /// Removes the group, and whatever groups its processes made below it, from every tree. It must hold
    /// no process any more; for a moment it is tried again.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        for tree in &self.trees {
            let directory = self.directory(tree);
            if !tree::remove(&directory, IfBusy::Leave)? {
                tree::remove_all(&directory)?;
            }
        }
        Ok(())
    }

    fn directory(&self, tree: &Tree) -> PathBuf {
        tree.mount.join(&self.path)
    }

    fn tree_of(&self, controller: &str) -> Option<&Tree> {
        self.trees
            .iter()
            .find(|tree| tree.controllers.iter().any(|name| name == controller))
    }

    /// The group where memory is counted, when this machine counts it there.
    fn memory_directory(&self) -> Option<PathBuf> {
        let directory = self.directory(self.tree_of("memory")?);
        let file = if self.version == Version::V2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        directory.join(file).exists().then_some(directory)
    }

    /// The v1 tree whose list of processes is believed, or the cgroup2 tree.
    fn process_tree(&self) -> Option<&Tree> {
        ["pids", "memory", "cpu"]
            .into_iter()
            .find_map(|name| self.tree_of(name))
            .or_else(|| self.trees.first())
    }
}

/// `None` when the group is gone.
fn open_directory(path: &Path) -> Result<Option<OwnedFd>, CgroupError> {
    let opened: Result<File, _> = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file.into())),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(source) => Err(CgroupError::Open {
            path: path.to_owned(),
            source,
        }),
    }
}
