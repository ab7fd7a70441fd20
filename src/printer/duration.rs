use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// When and where something is printed: ages are relative to `now`, points in time are shown in `zone`.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
}

impl Moment {
    pub(crate) fn new(now: Timestamp, zone: TimeZone) -> Self {
        Self { now, zone }
    }

    /// The age of a point in time, `<unknown>` for none.
    pub(super) fn age(&self, time: Option<&Time>) -> String {
        age(self.now, time)
    }

    /// RFC 1123 with a numeric zone, the form of `describe`.
    pub(super) fn rfc1123z(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone())
            .strftime("%a, %d %b %Y %H:%M:%S %z")
            .to_string()
    }

    pub(super) fn point(&self, time: Option<&Time>) -> String {
        // Go formats its zero time this way; the API leaves the field out in the same cases.
        time.map_or_else(
            || "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
            |time| self.rfc1123z(time.0),
        )
    }
}

/// The AGE of a point in time, `<unknown>` for none.
pub(crate) fn age(now: Timestamp, time: Option<&Time>) -> String {
    time.map_or_else(
        || "<unknown>".to_owned(),
        |time| human_duration(now.duration_since(time.0)),
    )
}

/// A duration in at most two units, as `duration.HumanDuration` of apimachinery prints it.
pub(crate) fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let pair = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{large_unit}")
        } else {
            format!("{large}{large_unit}{small}{small_unit}")
        }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        pair(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        pair(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        pair(days, "d", hours % 24, "h")
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        pair(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(human_duration(SignedDuration::from_secs(seconds)), expected);
    }

    #[test]
    fn durations_are_printed_in_at_most_two_units() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        const YEAR: i64 = 365 * DAY;
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (90, "90s"),
            (119, "119s"),
            (120, "2m"),
            (5 * MINUTE + 30, "5m30s"),
            (10 * MINUTE - 1, "9m59s"),
            (10 * MINUTE, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 20 * MINUTE, "3h20m"),
            (8 * HOUR - 1, "7h59m"),
            (30 * HOUR, "30h"),
            (48 * HOUR - 1, "47h"),
            (48 * HOUR, "2d"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (8 * DAY - 1, "7d23h"),
            (8 * DAY, "8d"),
            (120 * DAY, "120d"),
            (2 * YEAR - 1, "729d"),
            (2 * YEAR, "2y"),
            (2 * YEAR + 40 * DAY, "2y40d"),
            (8 * YEAR - 1, "7y364d"),
            (9 * YEAR + 3 * DAY, "9y"),
        ] {
            check(seconds, expected);
        }
    }

    #[test]
    fn a_missing_time_is_unknown() {
        assert_eq!(age(Timestamp::UNIX_EPOCH, None), "<unknown>");
    }
}
