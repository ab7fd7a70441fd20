use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use crate::base::{Uid, quoted};
use crate::client::{Client, ListOptions, WatchEvent};
use crate::model::{Kind, Object, ObjectKey, Reason};

/// One thing seen while following a selection of objects.
pub(super) enum Seen {
    /// What the selection is now, all at once: at the start, and again after history was lost.
    Listed(Vec<Object>),
    Changed(Object),
    Gone(Object),
}

/// Lists, then watches, and lists again whenever the server says that the history is gone. Ends when `see`
/// returns a value, or never.
pub(super) async fn follow<T>(
    client: &dyn Client,
    kind: Kind,
    options: &ListOptions,
    mut see: impl FnMut(Seen) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    loop {
        let list = client.list(kind, options.clone()).await?;
        let mut from = list.resource_version;
        if let Some(value) = see(Seen::Listed(list.items))? {
            return Ok(value);
        }
        'watch: loop {
            let mut events = match client.watch(kind, options.clone(), from).await {
                Ok(events) => events,
                Err(error) if error.reason == Reason::Expired => break 'watch,
                Err(error) => return Err(error.into()),
            };
            while let Some(event) = events.next().await {
                let seen = match event {
                    Ok(WatchEvent::Bookmark(version)) => {
                        from = version;
                        continue;
                    }
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        from = from.max(object.resource_version());
                        Seen::Changed(object)
                    }
                    Ok(WatchEvent::Deleted(object)) => {
                        from = from.max(object.resource_version());
                        Seen::Gone(object)
                    }
                    Err(error) if error.reason == Reason::Expired => break 'watch,
                    Err(error) => return Err(error.into()),
                };
                if let Some(value) = see(seen)? {
                    return Ok(value);
                }
            }
            // The server closed a watch in order; it is taken up where it ended, but not in a tight circle.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Options that select one object.
pub(super) fn only(key: &ObjectKey) -> ListOptions {
    ListOptions {
        namespace: key.namespace.clone(),
        label_selector: String::new(),
        field_selector: format!("metadata.name={}", key.name),
    }
}

/// How an object ended while it was being waited for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Waited<T> {
    Met(T),
    TimedOut,
}

/// Follows one object until `test` gives a value for it; `None` = it does not exist (any more).
pub(super) async fn wait_for<T>(
    client: &dyn Client,
    key: &ObjectKey,
    deadline: Option<Instant>,
    mut test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<Waited<T>, Failure> {
    let options = only(key);
    let following = follow(client, key.kind, &options, |seen| match seen {
        Seen::Listed(objects) => test(objects.iter().find(|object| object.name() == key.name)),
        Seen::Changed(object) if object.name() == key.name => test(Some(&object)),
        Seen::Gone(object) if object.name() == key.name => test(None),
        Seen::Changed(_) | Seen::Gone(_) => Ok(None),
    });
    match deadline {
        None => following.await.map(Waited::Met),
        Some(deadline) => match timeout_at(deadline, following).await {
            Ok(result) => result.map(Waited::Met),
            Err(_) => Ok(Waited::TimedOut),
        },
    }
}

/// Waits until the object with this identity is gone; a new one of the same name counts as gone, too.
pub(super) async fn wait_gone(
    client: &dyn Client,
    key: &ObjectKey,
    uid: &Uid,
    deadline: Option<Instant>,
) -> Result<Waited<()>, Failure> {
    wait_for(client, key, deadline, |object| {
        let still = object.is_some_and(|object| object.uid() == *uid);
        Ok((!still).then_some(()))
    })
    .await
}

/// A duration as kubectl's flags take it: `30s`, `1m30s`, `500ms`, a bare number is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || {
        format!(
            "invalid duration {text}; write e.g. 30s, 5m, 1h30m",
            text = quoted(text)
        )
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|next: char| !(next.is_ascii_digit() || next == '.'))
            .ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .into_iter()
            .find(|unit| rest.starts_with(unit) && !(*unit == "m" && rest.starts_with("ms")))
            .ok_or_else(invalid)?;
        rest = &rest[unit.len()..];
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            _ => 3600.0,
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
    }
    if text.is_empty() {
        Err(invalid())
    } else {
        Ok(total)
    }
}

/// As [`parse_duration`], without bare numbers: Go's `time.ParseDuration`.
pub(super) fn parse_go_duration(text: &str) -> Result<Duration, String> {
    if text != "0" && text.parse::<f64>().is_ok() {
        return Err(format!(
            "time: missing unit in duration {text}; write e.g. 30s, 5m, 1h30m",
            text = quoted(text)
        ));
    }
    parse_duration(text)
}

/// A time of RFC 3339. One beyond the last instant we can name is that instant.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let refused = || {
        format!(
            "{text} is no time of RFC 3339; write e.g. 2026-01-02T15:04:05Z",
            text = quoted(text)
        )
    };
    text.parse().or_else(|_| {
        let pieces = Pieces::parse(text).map_err(|_| refused())?;
        let is_whole = pieces.time().is_some() && pieces.offset().is_some();
        match pieces.date().year() {
            9999 if is_whole => Ok(Timestamp::MAX),
            _ => Err(refused()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_durations() {
        let check = |text: &str, millis: u64| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            )
        };
        check("30s", 30_000);
        check("1m30s", 90_000);
        check("500ms", 500);
        check("1.5h", 5_400_000);
        check("10", 10_000);
        assert!(parse_duration("5 minutes").is_err());
        assert!(parse_duration("").is_err());
    }

    #[test]
    fn go_wants_a_unit() {
        let refused = parse_go_duration("1").unwrap_err();
        assert!(refused.starts_with("time: missing unit in duration \"1\""));
        assert_eq!(parse_go_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_go_duration("1m"), Ok(Duration::from_secs(60)));
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let time = parse_time("2026-01-02T03:04:05+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-01-02T02:04:05Z");
        assert_eq!(parse_time("9999-12-31T23:59:59Z"), Ok(Timestamp::MAX));
        for text in ["9999-12-31", "yesterday", "2026-13-01T00:00:00Z"] {
            let refused = parse_time(text).unwrap_err();
            assert!(refused.contains("is no time of RFC 3339"), "{refused}");
        }
    }
}
