//! Files of the unified hierarchy (cgroup-v2.rst).

use std::fs;
use std::path::Path;

use super::error::CgroupError;
use super::files;
use super::limits::Limits;

/// What a pod's groups may use, where the machine has it.
pub(super) const WANTED: [&str; 5] = ["cpu", "cpuset", "memory", "hugetlb", "pids"];

/// Enables the wanted controllers for the children of `directory`. Returns those that it offers but
/// refuses, each with the reason.
pub(super) fn enable(directory: &Path) -> Result<Vec<String>, CgroupError> {
    let offered = words(&directory.join("cgroup.controllers"))?;
    let control = directory.join("cgroup.subtree_control");
    let present = words(&control)?;
    let missing: Vec<&str> = WANTED
        .into_iter()
        .filter(|name| offered.iter().any(|other| other == name))
        .filter(|name| !present.iter().any(|other| other == name))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
    match files::write(&control, &all.join(" ")) {
        Ok(()) => return Ok(Vec::new()),
        Err(error) if error.is_missing() && !directory.exists() => return Err(error),
        Err(_) => {}
    }
    // The write is all or nothing; one at a time gets what can be had.
    let mut notes = Vec::new();
    for name in missing {
        if let Err(error) = files::write(&control, &format!("+{name}")) {
            notes.push(format!(
                "cgroup controller {name} cannot be enabled in {}: {}",
                directory.display(),
                crate::base::chain(&error)
            ));
        }
    }
    Ok(notes)
}

pub(super) fn words(path: &Path) -> Result<Vec<String>, CgroupError> {
    Ok(files::read(path)?
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

/// Writes the limits; memory before cpu, so that a group refused for its memory has no other trace.
pub(super) fn apply(directory: &Path, limits: &Limits) -> Result<Vec<String>, CgroupError> {
    let mut writer = Writer {
        directory,
        notes: Vec::new(),
    };
    if let Some(limit) = limits.memory_limit {
        writer.write("memory.max", &or_max(limit), "memory limit")?;
    }
    if let Some(limit) = limits.swap_limit {
        writer.write_optional("memory.swap.max", &or_max(limit))?;
    }
    if limits.memory_limit.is_some() || limits.oom_group {
        writer.write_optional("memory.oom.group", if limits.oom_group { "1" } else { "0" })?;
    }
    if let Some(weight) = limits.cpu_weight {
        writer.write("cpu.weight", &weight.to_string(), "cpu weight")?;
    }
    if limits.cpu_quota.is_some() || limits.cpu_period.is_some() {
        let value = cpu_max(directory, limits);
        writer.write("cpu.max", &value, "cpu limit")?;
    }
    if let Some(limit) = limits.pids_limit {
        writer.write("pids.max", &or_max(limit), "limit of processes")?;
    }
    writer.huge_pages(limits)?;
    Ok(writer.notes)
}

/// Writes the limits of huge pages alone: on a hybrid machine the others belong to v1 trees.
pub(super) fn apply_huge_pages(
    directory: &Path,
    limits: &Limits,
) -> Result<Vec<String>, CgroupError> {
    let mut writer = Writer {
        directory,
        notes: Vec::new(),
    };
    writer.huge_pages(limits)?;
    Ok(writer.notes)
}

/// `cpu.max` takes both numbers at once, so one that is not given is read back first.
fn cpu_max(directory: &Path, limits: &Limits) -> String {
    let present = fs::read_to_string(directory.join("cpu.max")).unwrap_or_default();
    let mut present = present.split_whitespace();
    let present_quota = present.next().unwrap_or("max").to_owned();
    let present_period = present.next().unwrap_or("100000").to_owned();
    let quota = limits.cpu_quota.map_or(present_quota, or_max);
    let period = limits
        .cpu_period
        .map_or(present_period, |period| period.to_string());
    format!("{quota} {period}")
}

fn or_max(value: i64) -> String {
    if value < 0 {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

struct Writer<'a> {
    directory: &'a Path,
    notes: Vec<String>,
}

impl Writer<'_> {
    /// Writes a value that limits something; without the file it is noted that nothing limits `what`.
    fn write(&mut self, file: &str, value: &str, what: &str) -> Result<(), CgroupError> {
        if !self.write_optional(file, value)? {
            self.notes.push(format!(
                "{what} {value} is not enforced: {} has no {file}",
                self.directory.display()
            ));
        }
        Ok(())
    }

    fn huge_pages(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        for (file, bytes) in limits.huge_page_files() {
            let value = bytes.to_string();
            let used = format!("{file}.max");
            if bytes > 0 {
                self.write(&used, &value, "limit of huge pages")?;
            } else {
                // Nobody asked for any; that there are none to be had is no news.
                self.write_optional(&used, &value)?;
            }
            // So that mmap(2) is refused, not the first touch (Linux 5.7).
            self.write_optional(&format!("{file}.rsvd.max"), &value)?;
        }
        Ok(())
    }

    /// Writes a value that means nothing where its file is missing (swap accounting is off, or there is
    /// no memory controller to group kills for). Returns whether the file is there.
    fn write_optional(&self, file: &str, value: &str) -> Result<bool, CgroupError> {
        let path = self.directory.join(file);
        if !path.exists() {
            return Ok(false);
        }
        files::write(&path, value)?;
        Ok(true)
    }
}
