//! What the whole machine uses, as the kubelet tells it of its root group.

use jiff::Timestamp;

/// Billionths of a second in a tick of `/proc/stat`: `USER_HZ` is 100 on every architecture podtui knows
/// (proc_stat(5)).
const TICK: u64 = 10_000_000;

/// Usage of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeUsage {
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    /// Average since the reading before, or since the machine started; billionths of a CPU.
    pub(crate) cpu_nanocores: u64,
    /// Working set: what is in use, without files that can be read again.
    pub(crate) memory_bytes: u64,
}

/// CPU time of all processors until one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) at: Timestamp,
    pub(super) used_nanoseconds: u64,
}

/// The time since boot in which processors did something, from `/proc/stat`: all but idle and waiting. Time of
/// guests is in that of users already.
pub(super) fn used_nanoseconds(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let columns: Vec<u64> = line
        .split_whitespace()
        .map_while(|column| column.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, rest @ ..] = columns.as_slice() else {
        return None;
    };
    let interrupts: u64 = rest.iter().take(3).sum();
    Some((user + nice + system + interrupts).saturating_mul(TICK))
}

/// Seconds since boot, from `/proc/uptime`.
pub(super) fn uptime_nanoseconds(uptime: &str) -> Option<u64> {
    let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
    let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    Some(seconds * 1_000_000_000 + hundredths * TICK)
}

/// From `/proc/meminfo`, as cAdvisor counts the root group.
pub(super) fn working_set(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let number = rest.trim().strip_suffix("kB")?.trim();
        number.parse::<u64>().ok()
    };
    let used = kib("MemTotal:")?.saturating_sub(kib("MemFree:")?);
    Some(used.saturating_sub(kib("Inactive(file):")?) * 1024)
}

/// Average use between two readings.
pub(super) fn rate(before: Option<CpuTime>, now: CpuTime, uptime: Option<u64>) -> u64 {
    let (used, passed) = match before {
        Some(before) => {
            let passed = now.at.duration_since(before.at).as_nanos();
            let used = now.used_nanoseconds.saturating_sub(before.used_nanoseconds);
            (used, u128::try_from(passed).unwrap_or(0))
        }
        None => (now.used_nanoseconds, u128::from(uptime.unwrap_or(0))),
    };
    if passed == 0 {
        return 0;
    }
    u64::try_from(u128::from(used) * 1_000_000_000 / passed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let stat = "cpu  100 20 30 9000 400 5 6 7 8 9\ncpu0 1 1 1 1\n";
        assert_eq!(used_nanoseconds(stat), Some(168 * TICK));
        assert_eq!(used_nanoseconds("cpu  1 2 3\n"), None);
        assert_eq!(uptime_nanoseconds("12.34 99.00\n"), Some(12_340_000_000));
        let meminfo = "MemTotal:       1000 kB\nMemFree:         300 kB\nInactive(file):  200 kB\n";
        assert_eq!(working_set(meminfo), Some(500 * 1024));
        assert_eq!(working_set("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn rates_are_averages() {
        let at = |second, used_nanoseconds| CpuTime {
            at: Timestamp::from_second(second).unwrap(),
            used_nanoseconds,
        };
        // Half a processor for two seconds.
        let half = rate(Some(at(10, 5_000_000_000)), at(12, 6_000_000_000), None);
        assert_eq!(half, 500_000_000);
        let since_boot = rate(None, at(10, 5_000_000_000), Some(10_000_000_000));
        assert_eq!(since_boot, 500_000_000);
        assert_eq!(rate(None, at(10, 5), None), 0);
        assert_eq!(rate(Some(at(10, 9)), at(10, 9), None), 0);
    }
}
