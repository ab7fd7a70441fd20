use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::base::{Pid, ProcessInfo};
use crate::client::PodProcesses;
use crate::tui::logs::Target;
use crate::tui::sanitize::plain;

/// One line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct ProcessRow {
    /// Empty for pause.
    pub(in crate::tui) container: String,
    pub(in crate::tui) pid: Pid,
    pub(in crate::tui) inner_pid: Pid,
    pub(in crate::tui) user: u32,
    pub(in crate::tui) state: char,
    pub(in crate::tui) threads: u64,
    /// `None` before there are two readings of it.
    pub(in crate::tui) cpu_millicores: Option<u64>,
    pub(in crate::tui) memory_bytes: u64,
    pub(in crate::tui) descriptors: Option<u64>,
    /// For every level above, whether a sibling follows there; the last one is its own.
    pub(in crate::tui) branches: Vec<bool>,
    /// Safe to draw.
    pub(in crate::tui) command: String,
}

/// Pid and start; a pid alone may have been used again.
type Identity = (Pid, u64);

/// The processes of one pod, as last read.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Processes {
    target: Option<Target>,
    pub(in crate::tui) rows: Vec<ProcessRow>,
    /// Processes there are; `rows` may be fewer.
    pub(in crate::tui) total: u64,
    /// Why they cannot be read, safe to draw.
    pub(in crate::tui) problem: Option<String>,
    pub(in crate::tui) is_read: bool,
    /// Time of the last reading, and what each process had used by then.
    before: Option<(Timestamp, HashMap<Identity, u64>)>,
}

impl Processes {
    /// Forgets everything when it is about another pod.
    pub(in crate::tui) fn retarget(&mut self, target: Option<&Target>) {
        if self.target.as_ref() != target {
            *self = Self {
                target: target.cloned(),
                ..Self::default()
            };
        }
    }

    /// Takes a reading; false when it changes nothing that is shown, or is of another pod.
    pub(in crate::tui) fn update(
        &mut self,
        target: &Target,
        reading: Result<PodProcesses, String>,
    ) -> bool {
        if self.target.as_ref() != Some(target) {
            return false;
        }
        let was_read = std::mem::replace(&mut self.is_read, true);
        let (rows, total, problem) = match reading {
            Ok(reading) => (self.rows_of(&reading), reading.total, None),
            Err(problem) => (Vec::new(), 0, Some(plain(&problem))),
        };
        let is_changed =
            !was_read || rows != self.rows || total != self.total || problem != self.problem;
        self.rows = rows;
        self.total = total;
        self.problem = problem;
        is_changed
    }

    fn rows_of(&mut self, reading: &PodProcesses) -> Vec<ProcessRow> {
        let now = reading.at;
        let before = self.before.take();
        let identity = |process: &ProcessInfo| (process.pid, process.started_ticks);
        let cpu = |process: &ProcessInfo| {
            let (at, used) = before.as_ref()?;
            let passed = u64::try_from(now.duration_since(*at).as_nanos()).ok()?;
            let used = process
                .cpu_nanoseconds
                .checked_sub(*used.get(&identity(process))?)?;
            // Rounded up, so that a process that does something is never shown as idle.
            used.saturating_mul(1000)
                .checked_add(passed.checked_sub(1)?)?
                .checked_div(passed)
        };
        let mut rows = Vec::new();
        let processes = &reading.processes;
        let mut containers: Vec<Option<&str>> = Vec::new();
        for one in processes {
            if !containers.contains(&one.container.as_deref()) {
                containers.push(one.container.as_deref());
            }
        }
        for container in containers {
            let mine: BTreeMap<Pid, &ProcessInfo> = processes
                .iter()
                .filter(|one| one.container.as_deref() == container)
                .map(|one| (one.process.pid, &one.process))
                .collect();
            for (process, branches) in tree(&mine) {
                rows.push(ProcessRow {
                    container: plain(container.unwrap_or_default()),
                    pid: process.pid,
                    inner_pid: process.inner_pid,
                    user: process.user,
                    state: process.state,
                    threads: process.threads,
                    cpu_millicores: cpu(process),
                    memory_bytes: process.memory_bytes,
                    descriptors: process.descriptors,
                    branches,
                    command: command(process),
                });
            }
        }
        let used = processes
            .iter()
            .map(|one| (identity(&one.process), one.process.cpu_nanoseconds));
        self.before = Some((now, used.collect()));
        rows
    }
}

/// What was typed, else the name in brackets, as ps(1) shows them.
fn command(process: &ProcessInfo) -> String {
    let text = plain(&process.command);
    match text.trim() {
        "" => format!("[{}]", plain(&process.name)),
        text => text.to_owned(),
    }
}

/// Depth first, children in the order of their pids. A process whose parent is not among them is a root.
fn tree<'a>(processes: &BTreeMap<Pid, &'a ProcessInfo>) -> Vec<(&'a ProcessInfo, Vec<bool>)> {
    let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, process) in processes {
        // What was read of two moments may contradict itself: nobody is its own parent.
        if processes.contains_key(&process.parent) && process.parent != *pid {
            children.entry(process.parent).or_default().push(*pid);
        } else {
            roots.push(*pid);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open: Vec<(Pid, Vec<bool>)> = roots
        .into_iter()
        .rev()
        .map(|pid| (pid, Vec::new()))
        .collect();
    while let Some((pid, branches)) = open.pop() {
        let Some(process) = processes.get(&pid).filter(|_| seen.insert(pid)) else {
            continue;
        };
        let below = children.remove(&pid).unwrap_or_default();
        let last = below.len();
        for (index, child) in below.into_iter().enumerate().rev() {
            let mut branches = branches.clone();
            branches.push(index + 1 < last);
            open.push((child, branches));
        }
        found.push((*process, branches));
    }
    // A ring of parents, read while pids were used again, has no root; it is shown all the same.
    for (pid, process) in processes {
        if seen.insert(*pid) {
            found.push((*process, Vec::new()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PodProcess;
    use crate::model::ObjectKey;
    use crate::tui::testing::{now, process};

    fn target() -> Target {
        Target {
            key: ObjectKey::pod("default", "p"),
            uid: crate::base::Uid::new("u"),
        }
    }

    fn reading(at: Timestamp, processes: Vec<PodProcess>) -> PodProcesses {
        PodProcesses {
            at,
            total: processes.len() as u64,
            processes,
        }
    }

    /// `pid:parent` per process; expected: pids with their depths.
    #[track_caller]
    fn check(processes: &[(i32, i32)], expected: &[(i32, usize)]) {
        let processes = processes
            .iter()
            .map(|&(pid, parent)| process("main", pid, parent, "x", 0));
        let mut found = Processes::default();
        found.retarget(Some(&target()));
        assert!(found.update(&target(), Ok(reading(now(), processes.collect()))));
        let tree: Vec<(i32, usize)> = found
            .rows
            .iter()
            .map(|row| (row.pid.as_raw(), row.branches.len()))
            .collect();
        assert_eq!(tree, expected);
    }

    #[test]
    fn children_stand_below_their_parents() {
        check(
            &[(5, 1), (7, 5), (6, 5), (8, 6), (9, 1)],
            &[(5, 0), (6, 1), (8, 2), (7, 1), (9, 0)],
        );
        // Contradictions are shown, not followed for ever.
        check(&[(5, 6), (6, 5), (7, 7)], &[(7, 0), (5, 0), (6, 0)]);
        check(&[], &[]);
    }

    #[test]
    fn rates_are_of_the_same_process() {
        let mut found = Processes::default();
        found.retarget(Some(&target()));
        let first = process("main", 5, 1, "a", 1_000_000_000);
        found.update(&target(), Ok(reading(now(), vec![first])));
        assert_eq!(found.rows[0].cpu_millicores, None);
        let later = now() + jiff::SignedDuration::from_secs(2);
        let mut second = process("main", 5, 1, "a", 2_000_000_000);
        let known = vec![second.clone()];
        assert!(found.update(&target(), Ok(reading(later, known))));
        assert_eq!(found.rows[0].cpu_millicores, Some(500));
        // The pid was used again.
        let later = later + jiff::SignedDuration::from_secs(2);
        second.process.started_ticks += 1;
        found.update(&target(), Ok(reading(later, vec![second])));
        assert_eq!(found.rows[0].cpu_millicores, None);
    }

    #[test]
    fn what_shows_nothing_new_is_no_change() {
        let mut found = Processes::default();
        found.retarget(Some(&target()));
        let same = || vec![process("main", 5, 1, "a\u{1b}[2J", 0)];
        let at = |seconds| now() + jiff::SignedDuration::from_secs(seconds);
        assert!(found.update(&target(), Ok(reading(at(0), same()))));
        assert!(found.update(&target(), Ok(reading(at(2), same()))));
        assert!(!found.update(&target(), Ok(reading(at(4), same()))));
        assert!(!found.rows[0].command.contains('\u{1b}'));
        assert!(found.update(&target(), Err("gone".to_owned())));
        found.retarget(None);
        assert!(!found.update(&target(), Ok(reading(at(6), same()))));
    }
}
