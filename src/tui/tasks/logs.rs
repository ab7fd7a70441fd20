use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::client::{Client, LogOptions};
use crate::model::ApiError;
use crate::tui::logs::{LogEntry, Opening, Origin, Target};
use crate::tui::msg::{LogNews, Msg};
use crate::tui::sanitize::output_line;

/// Lines read back when a container's log is opened.
const TAIL: u64 = 5000;
const MAX_BATCH: usize = 4000;
/// Lines are collected this long before they become a message.
const COLLECT: Duration = Duration::from_millis(10);
/// Moving through the list opens no stream for what is only passed.
const SETTLE: Duration = Duration::from_millis(60);
const RETRY: Duration = Duration::from_secs(1);
/// A line that does not end is cut here; the rest of it is counted with it, not kept.
const MAX_PENDING: usize = 64 * 1024;

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
    let delay = if request.opening.is_retry {
        RETRY
    } else {
        SETTLE
    };
    tokio::time::sleep(delay).await;
    let mut reader = Reader {
        request: &request,
        messages: &messages,
        newest: request.opening.after,
        pending: BytesMut::new(),
    };
    // The end of an instance that died between two readings is in the log of the previous one. It may not
    // exist; that is no news.
    if request.opening.after.is_some() {
        let previous = reader.open(&*client, true).await;
        if let Ok(stream) = previous
            && reader.read(stream).await.is_err()
        {
            return;
        }
    }
    let problem = match reader.open(&*client, false).await {
        Err(error) => Some(error.to_string()),
        Ok(stream) => match reader.read(stream).await {
            Err(ScreenGone) => return,
            Ok(problem) => problem,
        },
    };
    let problem = problem.map(|problem| crate::tui::sanitize::plain(&problem));
    let _ = reader.send(LogNews::Ended(problem)).await;
}

struct ScreenGone;

struct Reader<'a> {
    request: &'a LogRequest,
    messages: &'a mpsc::Sender<Msg>,
    /// Lines up to here were shown before.
    newest: Option<Timestamp>,
    pending: BytesMut,
}

impl Reader<'_> {
    async fn open(
        &self,
        client: &dyn Client,
        previous: bool,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let key = &self.request.target.key;
        let options = LogOptions {
            container: Some(self.request.opening.container.clone()),
            follow: !previous,
            previous,
            timestamps: true,
            tail_lines: self.newest.is_none().then_some(TAIL),
            since: self.newest,
            limit_bytes: None,
        };
        client
            .logs(
                key.namespace.as_deref().unwrap_or_default(),
                &key.name,
                options,
            )
            .await
    }

    /// Reads to the end of the stream; the text is why it ended, when not in order.
    async fn read(
        &mut self,
        mut stream: BoxStream<'static, Result<Bytes, ApiError>>,
    ) -> Result<Option<String>, ScreenGone> {
        loop {
            let mut batch = Vec::new();
            let mut end = None;
            match stream.next().await {
                Some(chunk) => self.take(chunk, &mut batch, &mut end),
                None => end = Some(None),
            }
            if end.is_none() {
                tokio::time::sleep(COLLECT).await;
                while end.is_none() && batch.len() < MAX_BATCH {
                    match stream.next().now_or_never() {
                        None => break,
                        Some(Some(chunk)) => self.take(chunk, &mut batch, &mut end),
                        Some(None) => end = Some(None),
                    }
                }
            }
            if end.is_some() && !self.pending.is_empty() {
                let rest = self.pending.split();
                self.push_line(&rest, &mut batch);
            }
            if !batch.is_empty() {
                self.send(LogNews::Lines(batch)).await?;
            }
            if let Some(problem) = end {
                return Ok(problem);
            }
        }
    }

    fn take(
        &mut self,
        chunk: Result<Bytes, ApiError>,
        batch: &mut Vec<LogEntry>,
        end: &mut Option<Option<String>>,
    ) {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                *end = Some(Some(error.to_string()));
                return;
            }
        };
        let mut rest = &chunk[..];
        while let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
            let line = &rest[..length];
            if self.pending.is_empty() {
                self.push_line(line, batch);
            } else {
                self.keep(line);
                let whole = self.pending.split();
                self.push_line(&whole, batch);
            }
            rest = &rest[length + 1..];
        }
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_PENDING.saturating_sub(self.pending.len());
        self.pending
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// A line as the API serves it: RFC 3339 with nanoseconds, a space, the text.
    fn push_line(&mut self, line: &[u8], batch: &mut Vec<LogEntry>) {
        let space = line.iter().take(40).position(|&byte| byte == b' ');
        let stamp = space.and_then(|space| {
            let text = std::str::from_utf8(&line[..space]).ok()?;
            Some((space, text.parse::<Timestamp>().ok()?))
        });
        let (at, text) = match stamp {
            Some((space, at)) => (Some(at), &line[space + 1..]),
            None => (None, line),
        };
        // `since` has the precision of the server, so lines of that same instant come again.
        if at.is_some() && at <= self.request.opening.after {
            return;
        }
        self.newest = at.or(self.newest);
        batch.push(LogEntry {
            at,
            source: self.request.opening.source,
            origin: Origin::Output,
            line: output_line(text),
        });
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
