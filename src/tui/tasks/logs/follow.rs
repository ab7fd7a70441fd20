use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lines::{Lines, LogText, open};
use crate::base::Clock;
use crate::client::{Client, LogOptions};
use crate::model::ApiError;
use crate::tui::logs::{LogEntry, Opening, Target};
use crate::tui::msg::{LogNews, Msg};
use crate::tui::sanitize::MAX_LINE_BYTES;

/// Lines read back when a stream was too fast to be followed.
const TAIL: u64 = 5000;
const MAX_BATCH: usize = 4000;
const MAX_BATCH_BYTES: usize = 1 << 20;
/// Lines are collected this long before they become a message.
const COLLECT: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_secs(1);
/// A full batch this much behind the present means that the stream cannot be kept up with.
const MAX_LAG: SignedDuration = SignedDuration::from_secs(1);
/// Lines that were written while nobody looked are caught up with for this long.
const MAX_CATCH_UP: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(in crate::tui) struct LogRequest {
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) target: Target,
    pub(in crate::tui) opening: Opening,
}

/// Follows one container's log to its end and reports that end.
pub(in crate::tui) async fn follow_logs(
    client: Arc<dyn Client>,
    request: LogRequest,
    messages: mpsc::Sender<Msg>,
) {
    if request.opening.is_retry {
        tokio::time::sleep(RETRY).await;
    }
    let mut follower = Follower {
        client: &client,
        request: &request,
        messages: &messages,
        newest: request.opening.after,
        clock: Clock::system(),
        resumed_at: None,
        has_skipped: false,
    };
    // The end of an instance that died between two readings is in the log of the previous one. It may not
    // exist; that is no news.
    if request.opening.after.is_some() {
        let since = follower.newest;
        if let Ok(stream) = follower.open(true, since, None).await
            && follower.read(stream, false).await.is_err()
        {
            return;
        }
    }
    if let Ok(problem) = follower.follow().await {
        let problem = problem.map(|problem| crate::tui::sanitize::plain(&problem));
        let _ = follower.send(LogNews::Ended(problem)).await;
    }
}

struct ScreenGone;

enum Outcome {
    /// With the reason, when not in order.
    Ended(Option<String>),
    /// What is read is older and older.
    Lagging,
}

struct Follower<'a> {
    client: &'a Arc<dyn Client>,
    request: &'a LogRequest,
    messages: &'a mpsc::Sender<Msg>,
    /// Lines up to here were read before.
    newest: Option<Timestamp>,
    clock: Clock,
    /// Until a line behind this one has come, lines may be those that are known.
    resumed_at: Option<Timestamp>,
    /// The next line is not the one behind the last.
    has_skipped: bool,
}

/// What becomes one message.
#[derive(Default)]
struct Batch {
    entries: Vec<LogEntry>,
    bytes: usize,
    hidden: u64,
    newest: Option<Timestamp>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.entries.len() >= MAX_BATCH
            || self.bytes >= MAX_BATCH_BYTES
            || self.hidden >= 10 * MAX_BATCH as u64
    }
}

impl Follower<'_> {
    async fn open(
        &self,
        previous: bool,
        since: Option<Timestamp>,
        tail_lines: Option<u64>,
    ) -> Result<LogText, ApiError> {
        let options = LogOptions {
            follow: !previous,
            previous,
            since,
            tail_lines,
            ..LogOptions::default()
        };
        let request = self.request;
        open(
            self.client,
            &request.target,
            &request.opening.container,
            options,
        )
        .await
    }

    /// Follows to the end of the log, from a later place whenever it grows faster than it can be read.
    async fn follow(&mut self) -> Result<Option<String>, ScreenGone> {
        let mut tail = None;
        loop {
            let since = self.newest.filter(|_| tail.is_none());
            let stream = match self.open(false, since, tail).await {
                Ok(stream) => stream,
                Err(error) => return Ok(Some(error.to_string())),
            };
            match self.read(stream, true).await? {
                Outcome::Ended(problem) => return Ok(problem),
                Outcome::Lagging => {
                    self.has_skipped = true;
                    tail = Some(TAIL);
                }
            }
        }
    }

    async fn read(&mut self, mut stream: LogText, may_skip: bool) -> Result<Outcome, ScreenGone> {
        let mut lines = Lines::new(self.request.opening.source, MAX_LINE_BYTES);
        self.resumed_at = self.newest.filter(|_| !self.has_skipped);
        let begun = Instant::now();
        loop {
            let mut batch = Batch::default();
            let mut end = None;
            match stream.next().await {
                Some(chunk) => self.take(chunk, &mut lines, &mut batch, &mut end),
                None => end = Some(None),
            }
            if end.is_none() && !batch.is_full() {
                tokio::time::sleep(COLLECT).await;
            }
            while end.is_none() && !batch.is_full() {
                match stream.next().now_or_never() {
                    None => break,
                    Some(Some(chunk)) => self.take(chunk, &mut lines, &mut batch, &mut end),
                    Some(None) => end = Some(None),
                }
            }
            if end.is_some()
                && let Some(entry) = lines.finish()
            {
                self.push(entry, &mut batch);
            }
            let is_full = batch.is_full();
            self.send_batch(batch).await?;
            if let Some(problem) = end {
                return Ok(Outcome::Ended(problem));
            }
            let lag = self.newest.map(|at| self.clock.now().duration_since(at));
            // A filter wants every match; it lets few lines through anyway.
            let may_skip = may_skip && self.request.opening.filter.is_none();
            if may_skip && is_full && lag > Some(MAX_LAG) && begun.elapsed() > MAX_CATCH_UP {
                return Ok(Outcome::Lagging);
            }
        }
    }

    fn take(
        &mut self,
        chunk: Result<Bytes, ApiError>,
        lines: &mut Lines,
        batch: &mut Batch,
        end: &mut Option<Option<String>>,
    ) {
        match chunk {
            Ok(chunk) => lines.take(&chunk, |entry| self.push(entry, batch)),
            Err(error) => *end = Some(Some(error.to_string())),
        }
    }

    fn push(&mut self, mut entry: LogEntry, batch: &mut Batch) {
        // `since` may have the precision of seconds, so lines of that same second come again; and while a
        // container waits to start again its previous instance is the newest as well.
        if let Some(known) = self.resumed_at {
            if entry.at >= Some(known) {
                self.resumed_at = None;
            }
            if entry.at.is_some_and(|at| at <= known) {
                return;
            }
        }
        // The order is that of the file, also when the clock was set back meanwhile.
        entry.at = entry.at.max(self.newest);
        self.newest = entry.at;
        batch.newest = self.newest;
        if entry.passes(self.request.opening.filter.as_ref()) {
            batch.bytes += entry.weight();
            batch.entries.push(entry);
        } else {
            batch.hidden += 1;
        }
    }

    async fn send_batch(&mut self, batch: Batch) -> Result<(), ScreenGone> {
        if self.has_skipped
            && let Some(from) = batch.entries.iter().find_map(|entry| entry.at)
        {
            self.has_skipped = false;
            self.send(LogNews::Skipped(from)).await?;
        }
        if !batch.entries.is_empty() {
            self.send(LogNews::Lines(batch.entries)).await?;
        }
        if batch.hidden > 0 {
            let news = LogNews::Hidden {
                lines: batch.hidden,
                newest: batch.newest,
            };
            self.send(news).await?;
        }
        Ok(())
    }

    async fn send(&self, news: LogNews) -> Result<(), ScreenGone> {
        let msg = Msg::Logs {
            generation: self.request.generation,
            source: self.request.opening.source,
            news,
        };
        self.messages.send(msg).await.map_err(|_| ScreenGone)
    }
}
