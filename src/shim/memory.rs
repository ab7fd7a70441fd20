//! What is remembered of a container's memory.

use std::path::Path;

use crate::base::Pid;
use crate::linux::cgroup::Cgroup;
use crate::linux::kmsg;
use crate::wire::{MemoryRecord, OomVictim};

const KERNEL_LOG: &str = "/dev/kmsg";

/// The record as it is now. The kernel's log is read only when somebody was killed since `before`: once per
/// kill that was noticed, never while nothing happens.
///
/// `told` is the last record of that log which told of a container of this pod: the kernel may leave a kill out,
/// and what an earlier instance died of must not stand for it.
pub(super) fn record(
    cgroup: &Cgroup,
    main: Pid,
    before: &MemoryRecord,
    kills: u64,
    told: &mut u64,
) -> MemoryRecord {
    let peak = cgroup.stats().map_or(0, |stats| stats.memory_peak);
    let victim = if kills > before.kills {
        let killed = kmsg::last_oom_kill(Path::new(KERNEL_LOG), cgroup.path(), *told);
        *told = killed.as_ref().map_or(*told, |killed| killed.sequence);
        killed.map(|killed| OomVictim {
            is_main: killed.pid == main,
            pid: killed.pid,
            name: killed.name,
        })
    } else {
        before.victim.clone()
    };
    MemoryRecord {
        peak: peak.max(before.peak),
        kills,
        victim,
    }
}
