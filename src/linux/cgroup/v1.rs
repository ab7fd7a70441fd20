//! Files of the v1 hierarchies (Documentation/admin-guide/cgroup-v1/).

use std::fs;
use std::path::Path;

use super::error::CgroupError;
use super::files;
use super::limits::Limits;
use super::tree::Tree;

/// The controllers whose trees a pod gets a group in. Not `cpuset`: nothing is set there, and a process that
/// stays in the group of the engine may use exactly what the engine may.
pub(super) const WANTED: [&str; 7] = [
    "cpu", "cpuacct", "memory", "devices", "hugetlb", "pids", "freezer",
];

/// A new cpuset group is empty, and a task cannot enter it before it has processors and memory nodes. Only
/// needed where the controller is mounted together with a wanted one.
pub(super) fn inherit_cpuset(directory: &Path) -> Result<(), CgroupError> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    // Written last, so a group that has them is complete, whoever made it.
    if !files::read(&directory.join("cpuset.mems"))?
        .trim()
        .is_empty()
    {
        return Ok(());
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let inherited = files::read(&parent.join(file))?;
        files::write(&directory.join(file), inherited.trim())?;
    }
    Ok(())
}

/// Writes the limits that belong to the controllers of this tree.
pub(super) fn apply(tree: &Tree, directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
    for controller in &tree.controllers {
        match controller.as_str() {
            "memory" => apply_memory(directory, limits)?,
            "cpu" => apply_cpu(directory, limits)?,
            "pids" => {
                if let Some(limit) = limits.pids_limit {
                    let value = if limit < 0 {
                        "max".to_owned()
                    } else {
                        limit.to_string()
                    };
                    files::write(&directory.join("pids.max"), &value)?;
                }
            }
            "hugetlb" => {
                for (file, bytes) in limits.huge_page_files() {
                    for what in ["limit_in_bytes", "rsvd.limit_in_bytes"] {
                        let path = directory.join(format!("{file}.{what}"));
                        if path.exists() {
                            files::write(&path, &bytes.to_string())?;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was asked for but has no tree.
pub(super) fn missing(trees: &[Tree], limits: &Limits) -> Vec<String> {
    let has = |name: &str| trees.iter().any(|tree| tree.has(name));
    let asked = [
        ("memory", limits.memory_limit.is_some(), "memory limit"),
        (
            "cpu",
            limits.cpu_shares.is_some() || limits.cpu_quota.is_some(),
            "cpu shares and limit",
        ),
        ("pids", limits.pids_limit.is_some(), "limit of processes"),
        (
            "hugetlb",
            limits.huge_pages.values().any(|bytes| *bytes > 0),
            "limit of huge pages",
        ),
    ];
    asked
        .into_iter()
        .filter(|(controller, wanted, _)| *wanted && !has(controller))
        .map(|(controller, _, what)| {
            format!("{what} is not enforced: no cgroup tree for {controller}")
        })
        .collect()
}

/// The kernel refuses any state with limit > limit+swap, so the order of the two writes depends on
/// which way they move. Raising writes memsw first, lowering writes the limit first.
fn apply_memory(directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
    let limit_path = directory.join("memory.limit_in_bytes");
    let both_path = directory.join("memory.memsw.limit_in_bytes");
    // Memory and swap have one limit together, which means nothing without that of memory.
    let Some(limit) = limits.memory_limit.map(unsigned) else {
        return Ok(());
    };
    let present = files::read_number(&limit_path)?;
    // Without CONFIG_MEMCG_SWAP or with swapaccount=0 the file is missing and swap cannot be limited.
    let both = match fs::read_to_string(&both_path) {
        Ok(text) => {
            let present_both = files::parse_number(&both_path, text.trim())?;
            Some(match limits.swap_limit {
                Some(swap) => limit.saturating_add(unsigned(swap)),
                None => present_both.max(limit),
            })
        }
        Err(_) => None,
    };
    match both {
        Some(both) if both >= present => {
            write_bytes(&both_path, both)?;
            write_bytes(&limit_path, limit)
        }
        Some(both) => {
            write_bytes(&limit_path, limit)?;
            write_bytes(&both_path, both)
        }
        None => write_bytes(&limit_path, limit),
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// v1 writes "no limit" as -1 and reads it back as the highest multiple of a page.
fn write_bytes(path: &Path, value: u64) -> Result<(), CgroupError> {
    match i64::try_from(value) {
        Ok(bytes) => files::write(path, &bytes.to_string()),
        Err(_) => files::write(path, "-1"),
    }
}

fn apply_cpu(directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
    if let Some(shares) = limits.cpu_shares {
        files::write(&directory.join("cpu.shares"), &shares.to_string())?;
    }
    let quota_path = directory.join("cpu.cfs_quota_us");
    let period_path = directory.join("cpu.cfs_period_us");
    if let Some(period) = limits.cpu_period {
        // A shorter period with the old quota may exceed the share of the group above (EINVAL), so the
        // quota is lifted while the period changes and set again below.
        let value = period.to_string();
        let quota_after = limits.cpu_quota;
        if files::write(&period_path, &value).is_err() {
            let old_quota = files::read(&quota_path)?;
            files::write(&quota_path, "-1")?;
            files::write(&period_path, &value)?;
            if quota_after.is_none() {
                files::write(&quota_path, old_quota.trim())?;
            }
        }
    }
    if let Some(quota) = limits.cpu_quota {
        let value = if quota < 0 {
            "-1".to_owned()
        } else {
            quota.to_string()
        };
        files::write(&quota_path, &value)?;
    }
    Ok(())
}
