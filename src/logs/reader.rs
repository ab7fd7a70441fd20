use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;

use super::change::Changes;
use super::cursor::{Cursor, Step};

/// Which part of a log, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogQuery {
    /// Each line with its time in front, RFC 3339 with nanoseconds.
    pub(crate) timestamps: bool,
    /// Only so many lines at the end.
    pub(crate) tail_lines: Option<u64>,
    pub(crate) since: Option<Timestamp>,
    /// No line that began later; the lines at the end are counted back from here.
    pub(crate) until: Option<Timestamp>,
    /// The text ends after so many bytes, if need be within a line.
    pub(crate) limit_bytes: Option<u64>,
}

/// The text of the log file `path` (`…/0.log`) and of the files it was rotated into. With `ended` it is
/// followed until that future is ready; what has been written by then is still delivered. A log that is not
/// there is empty.
pub(crate) async fn read(
    path: &Path,
    query: LogQuery,
    ended: Option<BoxFuture<'static, ()>>,
) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
    // Watched first, so that no change falls between the reading and the waiting.
    let changes = match (&ended, path.parent()) {
        (Some(_), Some(directory)) => Some(Changes::of(directory)),
        _ => None,
    };
    let opened = path.to_owned();
    let cursor = blocking(move || Cursor::open(&opened, query)).await?;
    let reading = Reading {
        cursor,
        follow: changes.zip(ended),
    };
    Ok(stream::unfold(Some(reading), |reading| async {
        match reading?.next().await {
            Ok(Some((text, reading))) => Some((Ok(text), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed())
}

struct Reading {
    cursor: Cursor,
    follow: Option<(Changes, BoxFuture<'static, ()>)>,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            let mut cursor = self.cursor;
            let step;
            (cursor, step) = blocking(move || cursor.step().map(|step| (cursor, step))).await?;
            self.cursor = cursor;
            match step {
                Step::Text(text) => return Ok(Some((Bytes::from(text), self))),
                Step::Full => return Ok(None),
                Step::End => {}
            }
            let Some((changes, ended)) = &mut self.follow else {
                return Ok(None);
            };
            tokio::select! {
                // Both only tell; what they tell of stays where it is.
                () = ended => self.follow = None,
                () = changes.wait() => {}
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let result = tokio::task::spawn_blocking(job).await;
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::sync::oneshot;

    use super::*;
    use crate::logs::cursor::OVERTAKEN;

    fn raw(second: u32, stream: &str, tag: &str, text: &str) -> String {
        format!("2026-01-02T03:04:{second:02}.000000006Z {stream} {tag} {text}\n")
    }

    fn log(files: &[(&str, &[String])]) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        for (name, lines) in files {
            fs::write(directory.path().join(name), lines.concat()).unwrap();
        }
        let path = directory.path().join("0.log");
        (directory, path)
    }

    async fn text(path: &Path, query: LogQuery) -> String {
        let mut stream = read(path, query, None).await.unwrap();
        let mut text = Vec::new();
        while let Some(part) = stream.next().await {
            text.extend_from_slice(&part.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// `tail` lines between two seconds, as `a b c`.
    #[track_caller]
    fn check_range(
        path: &Path,
        tail_lines: Option<u64>,
        since: Option<u32>,
        until: Option<u32>,
        expected: &str,
    ) {
        let time = |second: u32| format!("2026-01-02T03:04:{second:02}.000000006Z");
        let time = |second: Option<u32>| second.map(|second| time(second).parse().unwrap());
        let query = LogQuery {
            tail_lines,
            since: time(since),
            until: time(until),
            ..LogQuery::default()
        };
        let text = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(text(path, query));
        assert_eq!(text.replace('\n', " ").trim_end(), expected);
    }

    #[test]
    fn times_select_across_files() {
        let line = |second: u32| raw(second, "stdout", "F", &second.to_string());
        let (_directory, path) = log(&[
            ("0.log.20260102-030401.000000000", &[line(1), line(2)]),
            ("0.log.20260102-030405.000000000", &[line(3), line(5)]),
            (
                "0.log",
                &[
                    line(6),
                    raw(7, "stdout", "P", "long"),
                    raw(8, "stderr", "F", "8"),
                    raw(9, "stdout", "F", "er"),
                    line(10),
                ],
            ),
        ]);
        check_range(&path, None, None, None, "1 2 3 5 6 long8 er 10");
        check_range(&path, None, None, Some(3), "1 2 3");
        check_range(&path, None, Some(2), Some(5), "2 3 5");
        check_range(&path, None, Some(4), Some(4), "");
        check_range(&path, Some(2), None, Some(4), "2 3");
        check_range(&path, Some(2), None, Some(2), "1 2");
        check_range(&path, Some(9), None, Some(0), "");
        check_range(&path, Some(1), None, Some(10), "10");
        // A line that has begun is shown to its end; one whose beginning is not asked for is not shown.
        check_range(&path, None, Some(6), Some(7), "6 longer");
        check_range(&path, None, Some(8), None, "8 10");
    }

    #[test]
    fn times_are_found_in_big_files() {
        let at = |number: u32| {
            let base: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
            base + jiff::SignedDuration::from_millis(i64::from(number))
        };
        let line = |number: u32| {
            let padding = "x".repeat((number as usize * 7919) % 300);
            format!("{:.9} stdout F {number} {padding}\n", at(number))
        };
        let lines = |from: u32, to: u32| (from..to).map(line).collect::<Vec<_>>();
        let (_directory, path) = log(&[
            ("0.log.20260102-030401.000000000", &lines(0, 20_000)),
            ("0.log", &lines(20_000, 30_000)),
        ]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for number in [0, 1, 777, 10_000, 19_999, 20_000, 20_001, 29_999] {
            let query = LogQuery {
                since: Some(at(number)),
                until: Some(at(number + 2)),
                ..LogQuery::default()
            };
            let found = runtime.block_on(text(&path, query));
            let expected: Vec<String> = (number..(number + 3).min(30_000))
                .map(|number| number.to_string())
                .collect();
            let found: Vec<&str> = found
                .lines()
                .filter_map(|line| line.split(' ').next())
                .collect();
            assert_eq!(found, expected, "{number}");
            let query = LogQuery {
                tail_lines: Some(2),
                until: Some(at(number)),
                ..LogQuery::default()
            };
            let found = runtime.block_on(text(&path, query));
            let first: Vec<&str> = found
                .lines()
                .filter_map(|line| line.split(' ').next())
                .collect();
            let expected: Vec<String> = (number.saturating_sub(1)..=number)
                .map(|number| number.to_string())
                .collect();
            assert_eq!(first, expected, "before {number}");
        }
    }

    fn tail(lines: u64) -> LogQuery {
        LogQuery {
            tail_lines: Some(lines),
            ..LogQuery::default()
        }
    }

    fn sample() -> (TempDir, PathBuf) {
        log(&[
            (
                "0.log.20260102-030401.000000000",
                &[raw(1, "stdout", "F", "a"), raw(2, "stderr", "F", "b")],
            ),
            (
                "0.log",
                &[
                    raw(3, "stdout", "P", "long"),
                    raw(4, "stdout", "F", "er"),
                    "no line of ours\n".to_owned(),
                    raw(5, "stdout", "F", ""),
                    "2026-01-02T03:04:06.0000".to_owned(),
                ],
            ),
        ])
    }

    #[tokio::test]
    async fn pieces_and_rotated_files_are_joined() {
        let (_directory, path) = sample();
        let all = "a\nb\nlonger\nno line of ours\n\n";
        assert_eq!(text(&path, LogQuery::default()).await, all);
        assert_eq!(
            text(Path::new("/nowhere/0.log"), LogQuery::default()).await,
            ""
        );
    }

    #[tokio::test]
    async fn the_tail_counts_lines_of_output() {
        let (_directory, path) = sample();
        for (lines, expected) in [
            (0, ""),
            (1, "\n"),
            (2, "no line of ours\n\n"),
            (3, "longer\nno line of ours\n\n"),
            (4, "b\nlonger\nno line of ours\n\n"),
            (5, "a\nb\nlonger\nno line of ours\n\n"),
            (9, "a\nb\nlonger\nno line of ours\n\n"),
        ] {
            assert_eq!(text(&path, tail(lines)).await, expected, "{lines}");
        }
    }

    #[tokio::test]
    async fn a_long_tail_crosses_blocks() {
        let lines: Vec<String> = (0..20_000)
            .map(|number| raw(1, "stdout", "F", &number.to_string()))
            .collect();
        let (_directory, path) = log(&[("0.log", &lines)]);
        let mut expected = String::new();
        for number in 5_000..20_000 {
            writeln!(expected, "{number}").unwrap();
        }
        assert_eq!(text(&path, tail(15_000)).await, expected);
    }

    #[tokio::test]
    async fn time_and_size_select() {
        let (_directory, path) = sample();
        let since = LogQuery {
            since: Some("2026-01-02T03:04:02Z".parse().unwrap()),
            timestamps: true,
            ..LogQuery::default()
        };
        let shown = text(&path, since).await;
        let first = "2026-01-02T03:04:02.000000006Z b\n2026-01-02T03:04:03.000000006Z longer\n";
        assert!(shown.starts_with(first), "{shown}");
        let limit = LogQuery {
            limit_bytes: Some(6),
            ..LogQuery::default()
        };
        assert_eq!(text(&path, limit).await, "a\nb\nlo");
    }

    async fn next(stream: &mut BoxStream<'static, io::Result<Bytes>>) -> Option<String> {
        let part = tokio::time::timeout(Duration::from_secs(5), stream.next());
        let part = part.await.expect("the reader wakes up")?;
        Some(String::from_utf8(part.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn following_survives_rotation_and_ends_with_the_container() {
        let (directory, path) = log(&[("0.log", &[raw(1, "stdout", "F", "a")])]);
        let append = |text: &str| {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let (end, ended) = oneshot::channel::<()>();
        let ended = Box::pin(async move {
            let _ = ended.await;
        });
        let mut stream = read(&path, LogQuery::default(), Some(ended)).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "a\n");
        append(&raw(2, "stdout", "F", "b"));
        assert_eq!(next(&mut stream).await.unwrap(), "b\n");

        append(&raw(3, "stdout", "F", "c"));
        fs::rename(
            &path,
            directory.path().join("0.log.20260102-030405.000000000"),
        )
        .unwrap();
        append(&raw(4, "stdout", "F", "d"));
        fs::rename(
            &path,
            directory.path().join("0.log.20260102-030406.000000000"),
        )
        .unwrap();
        append(&raw(5, "stdout", "F", "e"));
        let mut seen = String::new();
        while seen.len() < 6 {
            seen += &next(&mut stream).await.unwrap();
        }
        assert_eq!(seen, "c\nd\ne\n");

        append(&raw(6, "stdout", "F", "last"));
        end.send(()).unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "last\n");
        assert_eq!(next(&mut stream).await, None);
    }

    #[tokio::test]
    async fn a_reader_that_rotation_overtakes_says_so() {
        let (directory, path) = log(&[("0.log", &[raw(1, "stdout", "F", "a")])]);
        let ended = Box::pin(std::future::pending());
        let mut stream = read(&path, LogQuery::default(), Some(ended)).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "a\n");
        // Before the reader looks again its file and the next ones are gone. (The open file keeps its inode.)
        fs::remove_file(&path).unwrap();
        let rotated = directory.path().join("0.log.20260102-030406.000000000");
        fs::write(rotated, raw(4, "stdout", "F", "d")).unwrap();
        fs::write(&path, raw(5, "stdout", "F", "e")).unwrap();
        let mut seen = String::new();
        while !seen.ends_with("e\n") {
            seen += &next(&mut stream).await.unwrap();
        }
        assert_eq!(seen, format!("{OVERTAKEN}\nd\ne\n"));
    }

    #[tokio::test]
    async fn a_line_without_end_is_passed_on_in_pieces() {
        let endless = "x".repeat(5 << 20);
        let (_directory, path) = log(&[("0.log", std::slice::from_ref(&endless))]);
        let shown = text(&path, LogQuery::default()).await;
        assert!(
            shown.len() > 4 << 20 && endless.starts_with(&shown),
            "{}",
            shown.len()
        );
    }

    #[tokio::test]
    async fn a_link_is_not_followed() {
        let (directory, path) = log(&[("secret", &[raw(1, "stdout", "F", "x")])]);
        std::os::unix::fs::symlink(directory.path().join("secret"), &path).unwrap();
        assert!(read(&path, LogQuery::default(), None).await.is_err());
    }
}
