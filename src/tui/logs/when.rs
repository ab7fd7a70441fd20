use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What part of a log to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Range {
    /// From the first line there is.
    Start,
    /// From this instant.
    Since(Timestamp),
    /// Only so many lines at the end, then what comes.
    Tail(usize),
}

/// `5m`, `1h30m`, `12:04`, `12:04:18`, `2026-01-02 12:04`, RFC 3339, `100 lines`, `start`. A time of the day is
/// the last one that has been.
pub(in crate::tui) fn parse_range(
    text: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Range, String> {
    let text = text.trim();
    if matches!(text, "start" | "first" | "0") {
        return Ok(Range::Start);
    }
    let lines = text
        .strip_suffix("lines")
        .or_else(|| text.strip_suffix("line"));
    if let Some(count) = lines.and_then(|count| count.trim().parse().ok()) {
        return Ok(Range::Tail(count));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Range::Since(at));
    }
    let local = now.to_zoned(zone.clone());
    let of = |date: DateTime| {
        let zoned = date.to_zoned(zone.clone());
        zoned.map(|zoned| zoned.timestamp())
    };
    if let Ok(date) = text.parse::<DateTime>() {
        return of(date)
            .map(Range::Since)
            .map_err(|error| error.to_string());
    }
    if let Ok(time) = text.parse::<Time>() {
        let today = of(local.date().to_datetime(time)).map_err(|error| error.to_string())?;
        let yesterday = || of(local.date().yesterday()?.to_datetime(time));
        let at = if today > now {
            yesterday().unwrap_or(today)
        } else {
            today
        };
        return Ok(Range::Since(at));
    }
    let ago = text.strip_suffix(" ago").unwrap_or(text);
    if let Ok(ago) = ago.parse::<SignedDuration>() {
        let at = now.checked_sub(ago.abs());
        return at.map(Range::Since).map_err(|error| error.to_string());
    }
    Err(format!(
        "{text:?} is no time: write 5m, 1h30m, 12:04, 12:04:18, 2026-01-02 12:04, \"100 lines\" or start"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let now: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let range = match parse_range(text, now, &zone) {
            Ok(Range::Since(at)) => at.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(range, expected, "{text}");
    }

    #[test]
    fn times_as_people_write_them() {
        check("5m", "2026-01-02T02:55:00Z");
        check("1h30m ago", "2026-01-02T01:30:00Z");
        check("03:30", "2026-01-02T02:30:00Z");
        check("03:30:09", "2026-01-02T02:30:09Z");
        // 05:00 here is two hours ahead.
        check("05:00", "2026-01-01T04:00:00Z");
        check("2026-01-01 12:00", "2026-01-01T11:00:00Z");
        check("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z");
        check("start", "Ok(Start)");
        check("100 lines", "Ok(Tail(100))");
        assert!(parse_range("soon", Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_err());
    }
}
