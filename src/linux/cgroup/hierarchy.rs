use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::CgroupError;
use super::files;
use super::group::Cgroup;
use super::limits::{Level, Limits};
use super::tree::{self, IfBusy, Tree};
use super::{v1, v2};

/// Each failed attempt means that another shim has just finished removing a level.
const MAKE_ATTEMPTS: u32 = 100;

/// How long a killed group may take to become empty.
const KILL_SECONDS: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
    /// v1 trees for the controllers beside a cgroup2 tree, which has none or what no v1 tree has (hugetlb).
    Hybrid,
}

/// The cgroup trees of this machine that podtui uses.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    version: Version,
    /// The cgroup2 tree, if any, is the first.
    trees: Vec<Tree>,
}

impl Hierarchy {
    /// Finds the trees below `root`, usually `/sys/fs/cgroup`, by the files and names found there: the
    /// mount points of v1 trees are named after their controllers on every system (systemd, OpenRC,
    /// cgroupfs-mount), and a cgroup2 root shows `cgroup.controllers`.
    pub(crate) fn detect(root: &Path) -> Result<Self, CgroupError> {
        if root.join("cgroup.controllers").exists() {
            let tree = unified(root.to_owned())?;
            return Ok(Self {
                version: Version::V2,
                trees: vec![tree],
            });
        }
        Self::from_mounts(root, mounts(root)?)
    }

    pub(super) fn from_mounts(root: &Path, mounts: Vec<PathBuf>) -> Result<Self, CgroupError> {
        let mut found = None;
        let mut trees = Vec::new();
        for mount in mounts {
            if mount.join("cgroup.controllers").exists() {
                found = Some(unified(mount)?);
            } else if let Some(tree) = legacy(mount) {
                trees.push(tree);
            }
        }
        if trees.is_empty() {
            return match found {
                // A cgroup2 tree that is mounted one level deeper and has no v1 company.
                Some(tree) => Ok(Self {
                    version: Version::V2,
                    trees: vec![tree],
                }),
                None => Err(CgroupError::NotMounted(root.to_owned())),
            };
        }
        let Some(tree) = found else {
            return Ok(Self {
                version: Version::V1,
                trees,
            });
        };
        // cgroup.kill (Linux 5.14) makes the freezer unnecessary; an older kernel needs both.
        trees.retain(|other| other.controllers != ["freezer"] || !has_kill_file());
        trees.insert(0, tree);
        Ok(Self {
            version: Version::Hybrid,
            trees,
        })
    }

    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Names of the controllers that can limit something, as in /proc/cgroups, sorted.
    #[cfg(test)]
    pub(crate) fn controllers(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .trees
            .iter()
            .flat_map(|tree| tree.controllers.iter().cloned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// Makes every level in every tree and writes the given limits. Several shims may
    /// do this at once. Returns notes on what this machine cannot do.
    pub(crate) fn ensure(&self, levels: &[Level<'_>]) -> Result<Vec<String>, CgroupError> {
        let names: Vec<&str> = levels.iter().map(|level| level.name).collect();
        let mut limits = levels.iter().filter_map(|level| level.limits);
        let controllers = match self.version {
            Version::V2 => true,
            // There only huge pages can be limited by the cgroup2 tree, which nobody else may have use for.
            Version::Hybrid => limits.any(|limits| !limits.huge_pages.is_empty()),
            Version::V1 => false,
        };
        let mut notes = self.make(&names, controllers)?;
        for (depth, level) in levels.iter().enumerate() {
            if let Some(limits) = level.limits {
                notes.extend(self.apply(&names[..=depth], limits)?);
            }
        }
        notes.dedup();
        Ok(notes)
    }

    /// Makes the group `leaf` below `levels` (which exist) with these limits.
    pub(crate) fn create_leaf(
        &self,
        levels: &[&str],
        leaf: &str,
        limits: &Limits,
    ) -> Result<(Cgroup, Vec<String>), CgroupError> {
        check_name(leaf)?;
        let path = relative(levels)?.join(leaf);
        for tree in &self.trees {
            Self::make_one(tree, &tree.mount.join(&path))?;
        }
        let group = Cgroup::open(self, path)?;
        let notes = group.apply(limits)?;
        Ok((group, notes))
    }

    /// Makes the group `leaf` below `levels` (which exist) for a process that nothing is limited or counted
    /// of: in the cgroup2 tree alone where there is one, so that a kill finds it, else in every tree.
    pub(crate) fn create_bare_leaf(
        &self,
        levels: &[&str],
        leaf: &str,
    ) -> Result<Cgroup, CgroupError> {
        check_name(leaf)?;
        let path = relative(levels)?.join(leaf);
        let unified = self.trees.iter().position(|tree| tree.unified);
        let trees = unified.map_or(&self.trees[..], |index| &self.trees[index..=index]);
        for tree in trees {
            Self::make_one(tree, &tree.mount.join(&path))?;
        }
        Cgroup::open(self, path)
    }

    /// The group at this path. Whether it exists shows when it is used; without it in the cgroup2 tree,
    /// [`Cgroup::unified_dir`] is `None`.
    #[cfg(test)]
    pub(crate) fn open(&self, levels: &[&str]) -> Result<Cgroup, CgroupError> {
        Cgroup::open(self, relative(levels)?)
    }

    /// Removes the innermost level in every tree, then the levels above it as long as they are empty.
    /// A level that is not there is fine; an innermost one that stays busy is an error.
    pub(crate) fn remove(&self, levels: &[&str]) -> Result<(), CgroupError> {
        for tree in &self.trees {
            for depth in (1..=levels.len()).rev() {
                let directory = tree.mount.join(relative(&levels[..depth])?);
                let busy = if depth == levels.len() {
                    IfBusy::Retry
                } else {
                    IfBusy::Leave
                };
                if !tree::remove(&directory, busy)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Kills every process in the group and below, waits until none is left (10 s at most), and removes
    /// the groups below it and itself. A group that is not there is fine.
    pub(crate) fn kill_tree(&self, levels: &[&str]) -> Result<(), CgroupError> {
        let path = relative(levels)?;
        if path.as_os_str().is_empty() {
            return Err(CgroupError::Name(String::new()));
        }
        let group = Cgroup::open(self, path)?;
        let deadline = Instant::now() + Duration::from_secs(KILL_SECONDS);
        let mut pause = Duration::from_micros(500);
        loop {
            group.kill()?;
            let left = group.processes()?;
            if left.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Survivors {
                    path: group.path().to_owned(),
                    pids: left.iter().map(|pid| pid.as_raw()).collect(),
                    seconds: KILL_SECONDS,
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        for tree in &self.trees {
            tree::remove_all(&tree.mount.join(group.path()))?;
        }
        Ok(())
    }

    /// Another shim removes an outer level at the moment it is empty, which may be just before our next
    /// level is made in it; then the path is made anew from its top.
    /// `controllers`: those of the cgroup2 tree are switched on for what will be below.
    fn make(&self, names: &[&str], controllers: bool) -> Result<Vec<String>, CgroupError> {
        relative(names)?;
        let mut notes = Vec::new();
        for tree in &self.trees {
            let mut attempts = 0;
            let made = loop {
                match Self::make_in(tree, names, controllers && tree.unified) {
                    Err(error) if error.is_missing() && attempts < MAKE_ATTEMPTS => attempts += 1,
                    other => break other?,
                }
            };
            notes.extend(made);
        }
        Ok(notes)
    }

    fn make_in(tree: &Tree, names: &[&str], controllers: bool) -> Result<Vec<String>, CgroupError> {
        let mut notes = Vec::new();
        if !controllers {
            // Mostly the outer levels are there already, made for another pod.
            match Self::make_one(tree, &tree.mount.join(relative(names)?)) {
                Err(error) if error.is_missing() => {}
                made => return made.map(|()| notes),
            }
        }
        for depth in 0..=names.len() {
            let directory = tree.mount.join(relative(&names[..depth])?);
            if depth > 0 {
                Self::make_one(tree, &directory)?;
            }
            if controllers {
                notes.extend(v2::enable(&directory)?);
            }
        }
        Ok(notes)
    }

    fn make_one(tree: &Tree, directory: &Path) -> Result<(), CgroupError> {
        match fs::create_dir(directory) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(source) => {
                return Err(CgroupError::Create {
                    path: directory.to_owned(),
                    source,
                });
            }
        }
        if !tree.unified && tree.controllers.iter().any(|name| name == "cpuset") {
            v1::inherit_cpuset(directory)?;
        }
        Ok(())
    }

    /// Writes limits to one group in every tree.
    pub(super) fn apply_at(
        trees: &[Tree],
        version: Version,
        path: &Path,
        limits: &Limits,
    ) -> Result<Vec<String>, CgroupError> {
        if version == Version::V2 {
            let mut notes = Vec::new();
            for tree in trees {
                notes.extend(v2::apply(&tree.mount.join(path), limits)?);
            }
            return Ok(notes);
        }
        // Memory first, so that a group refused for its memory has no other trace.
        let is_memory = |tree: &&Tree| tree.has("memory");
        let memory = trees.iter().filter(is_memory);
        let others = trees.iter().filter(|tree| !is_memory(tree));
        for tree in memory.chain(others).filter(|tree| !tree.unified) {
            v1::apply(tree, &tree.mount.join(path), limits)?;
        }
        let mut notes = v1::missing(trees, limits);
        let is_unified = |tree: &&Tree| tree.unified && tree.has("hugetlb");
        if let Some(tree) = trees.iter().find(is_unified) {
            notes.extend(v2::apply_huge_pages(&tree.mount.join(path), limits)?);
        }
        Ok(notes)
    }

    fn apply(&self, names: &[&str], limits: &Limits) -> Result<Vec<String>, CgroupError> {
        Self::apply_at(&self.trees, self.version, &relative(names)?, limits)
    }
}

/// The directories below `root` that may be mount points of trees. Links (`cpu` → `cpu,cpuacct`) name a
/// directory that is listed itself.
pub(super) fn mounts(root: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let fail = |source| CgroupError::Read {
        path: root.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_dir() && entry.path().join("cgroup.procs").exists() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn unified(mount: PathBuf) -> Result<Tree, CgroupError> {
    let controllers = v2::words(&mount.join("cgroup.controllers"))?;
    Ok(Tree {
        mount,
        controllers,
        unified: true,
    })
}

/// The v1 tree mounted here, if it has a controller that podtui uses.
fn legacy(mount: PathBuf) -> Option<Tree> {
    let name = mount.file_name()?.to_str()?;
    let is_wanted = |name: &str| v1::WANTED.contains(&name);
    if !name.split(',').any(is_wanted) {
        return None;
    }
    let controllers = name
        .split(',')
        .filter(|name| is_wanted(name) || *name == "cpuset")
        .map(str::to_owned)
        .collect();
    Some(Tree {
        mount,
        controllers,
        unified: false,
    })
}

/// Whether this kernel has `cgroup.kill`. The file is not in the root group, so the release tells.
fn has_kill_file() -> bool {
    let release = files::read(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 14)
}

fn relative(names: &[&str]) -> Result<PathBuf, CgroupError> {
    let mut path = PathBuf::new();
    for name in names {
        check_name(name)?;
        path.push(name);
    }
    Ok(path)
}

/// A name must be one path component, and no file name of the kernel may be shadowed by it.
fn check_name(name: &str) -> Result<(), CgroupError> {
    let bad = name.is_empty()
        || name.len() > 255
        || name.starts_with('.')
        || name.starts_with("cgroup.")
        || name.contains(['/', '\0', '\n']);
    if bad {
        return Err(CgroupError::Name(name.to_owned()));
    }
    Ok(())
}
