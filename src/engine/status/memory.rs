//! Memory that ran out, in words.

use crate::base::Victim;

/// `peak 63.9Mi, limit 64Mi; killed child sh (pid 77)`.
pub(in crate::engine) fn oom_words(
    peak: u64,
    limit: Option<i64>,
    victim: Option<&Victim>,
) -> String {
    let limit = limit.and_then(|limit| u64::try_from(limit).ok());
    let mut numbers: Vec<String> = Vec::new();
    if peak > 0 {
        numbers.push(format!("peak {}", binary(peak)));
    }
    numbers.extend(limit.map(|limit| format!("limit {}", binary(limit))));
    let who = match victim {
        Some(victim) if victim.is_main => format!("killed the main process (pid {})", victim.pid),
        Some(victim) => format!("killed child {} (pid {})", victim.name, victim.pid),
        None => "killed a process".to_owned(),
    };
    if numbers.is_empty() {
        return who;
    }
    format!("{}; {who}", numbers.join(", "))
}

/// Bytes as quantities are written, with at most one decimal.
fn binary(bytes: u64) -> String {
    let (unit, suffix) = match bytes {
        0..1_048_576 => (1 << 10, "Ki"),
        1_048_576..1_073_741_824 => (1 << 20, "Mi"),
        _ => (1 << 30, "Gi"),
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole, 0) => format!("{whole}{suffix}"),
        (whole, tenth) => format!("{whole}.{tenth}{suffix}"),
    }
}
