//! Pages of merged logs: whatever is read in pieces is the whole, in order and once.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::app::FakeEngine;
use crate::base::Uid;
use crate::client::Client;
use crate::model::ObjectKey;
use crate::tui::logs::{LogPage, LogRead, Pattern, ReadFrom, Seek, Target};
use crate::tui::msg::{Msg, Reply};
use crate::tui::tasks::{read_logs, save_logs};

/// A busy container that was restarted once, and a quiet one: 21100 lines.
fn engine() -> Arc<FakeEngine> {
    let engine = FakeEngine::default();
    let lines = |name: &'static str, seconds: Vec<i64>| -> Vec<(i64, String)> {
        let line = |second: i64| (second, format!("{name} {second}"));
        seconds.into_iter().map(line).collect()
    };
    let mut files = engine.files.lock().unwrap();
    files.insert(("busy".to_owned(), true), lines("old", (0..1000).collect()));
    files.insert(
        ("busy".to_owned(), false),
        lines("busy", (1000..21_000).collect()),
    );
    let rare = (0..100).map(|index| index * 200 + 7).collect();
    files.insert(("quiet".to_owned(), false), lines("quiet", rare));
    drop(files);
    Arc::new(engine)
}

fn everything(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let engine = engine();
    let files = engine.files.lock().unwrap();
    let mut lines: Vec<(i64, String)> = files.values().flatten().cloned().collect();
    lines.sort_by_key(|(second, text)| (*second, text.starts_with("quiet")));
    lines
        .into_iter()
        .map(|(_, text)| text)
        .filter(|text| wanted(text))
        .collect()
}

fn read(seek: Seek, from: Option<Timestamp>, filter: Option<&str>) -> LogRead {
    let source = |(source, name): (usize, &str)| ReadFrom {
        source,
        container: name.to_owned(),
    };
    LogRead {
        id: 1,
        target: Target {
            key: ObjectKey::pod("default", "web"),
            uid: Uid::new("u"),
        },
        sources: ["busy", "quiet"]
            .into_iter()
            .enumerate()
            .map(source)
            .collect(),
        seek,
        from,
        filter: filter.and_then(|text| Pattern::filter(text).unwrap()),
        previous: false,
        lines: 700,
    }
}

async fn page(engine: &Arc<FakeEngine>, read: LogRead) -> LogPage {
    let (messages, mut received) = mpsc::channel(1);
    let client: Arc<dyn Client> = Arc::<FakeEngine>::clone(engine);
    read_logs(client, read, messages).await;
    match received.recv().await {
        Some(Msg::LogPage { page, .. }) => *page,
        other => panic!("{other:?}"),
    }
}

fn texts(page: &LogPage) -> Vec<String> {
    page.entries
        .iter()
        .map(|entry| entry.line.text.to_string())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn pages_back_to_the_first_line() {
    let engine = engine();
    for filter in [None, Some("00"), Some("!1")] {
        let mut all: Vec<String> = Vec::new();
        let mut hidden = 0;
        let mut next = read(Seek::End, None, filter);
        loop {
            let page = page(&engine, next).await;
            hidden += page.hidden;
            all.splice(0..0, texts(&page));
            match page.older {
                None => break,
                older => next = read(Seek::Back, older, filter),
            }
        }
        let pattern = filter.and_then(|text| Pattern::filter(text).unwrap());
        let passes = |text: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
        };
        assert_eq!(all, everything(passes), "{filter:?}");
        let total = all.len() as u64 + hidden;
        // Runs of hidden lines are counted as a whole.
        assert!(total.abs_diff(21_100) < 100 * 64, "{filter:?}: {total}");
        assert!(filter.is_some() || total == 21_100);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_forward_to_the_last_line() {
    let engine = engine();
    for filter in [None, Some("7")] {
        let mut all: Vec<String> = Vec::new();
        let mut next = read(Seek::Start, None, filter);
        loop {
            let page = page(&engine, next).await;
            all.extend(texts(&page));
            match page.newer {
                None => {
                    let last = |second| Timestamp::from_second(second).unwrap();
                    assert!(
                        page.newest.contains(&(0, last(20_999))),
                        "{:?}",
                        page.newest
                    );
                    break;
                }
                newer => next = read(Seek::Forward, newer, filter),
            }
        }
        assert_eq!(
            all,
            everything(|text| filter.is_none_or(|part| text.contains(part)))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn searches_find_the_nearest_match() {
    let engine = engine();
    let find = |text: &str, forward, second| {
        let pattern = Pattern::search(text).unwrap();
        let from = Timestamp::from_second(second).ok();
        page(&engine, read(Seek::Find { pattern, forward }, from, None))
    };
    let at = |second, source| Some((Timestamp::from_second(second).unwrap(), source));
    let found = find("old", false, 20_000).await;
    assert_eq!(found.found, at(999, 0));
    let text = texts(&found);
    assert!(
        text.windows(2)
            .any(|pair| pair[0] == "old 999" && pair[1] == "busy 1000")
    );
    assert_eq!(find("quiet", false, 5000).await.found, at(4807, 1));
    assert_eq!(find("quiet", true, 5000).await.found, at(5007, 1));
    assert_eq!(find("old", true, 5000).await.found, None);
    assert_eq!(find("nothing", false, 20_000).await.found, None);
}

#[tokio::test]
async fn saving_writes_everything_or_nothing() {
    let engine = engine();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved.log");
    let save = |path: &std::path::Path| {
        let client: Arc<dyn Client> = Arc::<FakeEngine>::clone(&engine);
        save_logs(
            client,
            read(Seek::Start, None, Some("!quiet 7")),
            path.display().to_string(),
        )
    };
    let Reply::LogSaved(_, result) = save(&path).await else {
        unreachable!()
    };
    assert_eq!(result, Ok(21_094));
    let saved = std::fs::read_to_string(&path).unwrap();
    let mut lines = saved.lines();
    assert_eq!(
        lines.next(),
        Some("1970-01-01T00:00:00.000000000Z busy old 0")
    );
    assert_eq!(lines.count(), 21_093);
    let Reply::LogSaved(_, Err(problem)) = save(&path).await else {
        panic!("a file was overwritten")
    };
    assert_eq!(problem, "it exists already, choose another name");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), saved);
    let Reply::LogSaved(_, Err(problem)) = save(&directory.path().join("no/x")).await else {
        panic!("there is no such directory")
    };
    assert_eq!(problem, "there is no such directory");
}
