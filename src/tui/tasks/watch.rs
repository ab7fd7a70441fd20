use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use crate::base::BackoffSequence;
use crate::client::{Client, ListOptions, ListPart, WatchEvent};
use crate::model::{ApiError, Kind, Reason, ResourceVersion};
use crate::tui::data::{Row, RowEvent};
use crate::tui::msg::{Msg, WatchNews};

/// Changes that become one message at most.
const MAX_BATCH: usize = 512;
/// Changes are collected this long, so that ten thousand pods that change at once cost few frames.
const COLLECT: Duration = Duration::from_millis(15);
const RETRY: BackoffSequence =
    BackoffSequence::new(Duration::from_millis(250), Duration::from_secs(5));

#[derive(Clone, Debug)]
pub(in crate::tui) struct WatchRequest {
    pub(in crate::tui) kind: Kind,
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) namespace: Option<String>,
}

/// Lists and watches until it is aborted or the screen is gone. A watch that expires or breaks is followed
/// by a new list. What the list shows of an object is worked out here, so that the thread of the screen need not.
pub(in crate::tui) async fn follow_kind(
    client: Arc<dyn Client>,
    request: WatchRequest,
    messages: mpsc::Sender<Msg>,
) {
    let (mut failures, mut lists) = (0, 0_u32);
    loop {
        let lists_before = lists;
        let end = list_and_watch(&*client, &request, &messages, &mut lists).await;
        let has_listed = lists > lists_before;
        if has_listed {
            failures = 0;
        }
        match end {
            End::ScreenGone => return,
            // What was missed is read at once; a server that expires every watch still gets a pause.
            End::Expired if has_listed => failures = 0,
            End::Expired => failures += 1,
            End::Broken(problem) => {
                if !send(&messages, &request, WatchNews::Lost(problem)).await {
                    return;
                }
                failures += 1;
            }
        }
        let delay = RETRY.delay(u32::saturating_sub(failures, 1));
        tokio::time::sleep(delay).await;
    }
}

enum End {
    ScreenGone,
    Expired,
    Broken(String),
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        match error.reason {
            Reason::Expired => Self::Expired,
            _ => Self::Broken(error.to_string()),
        }
    }
}

async fn list_and_watch(
    client: &dyn Client,
    request: &WatchRequest,
    messages: &mpsc::Sender<Msg>,
    lists: &mut u32,
) -> End {
    let is_first = *lists == 0;
    let version = match list_rows(client, request, messages, is_first).await {
        Ok(version) => version,
        Err(end) => return end,
    };
    *lists = lists.saturating_add(1);
    let mut stream = match client.watch(request.kind, options(request), version).await {
        Ok(stream) => stream,
        Err(error) => return error.into(),
    };
    loop {
        let mut batch: Vec<RowEvent> = Vec::new();
        let end = match stream.next().await {
            Some(Ok(WatchEvent::Bookmark(_))) => continue,
            Some(Ok(event)) => {
                batch.extend(RowEvent::of(event));
                tokio::time::sleep(COLLECT).await;
                collect(&mut stream, &mut batch)
            }
            Some(Err(error)) => Some(error.into()),
            None => Some(End::Broken("the watch was closed".to_owned())),
        };
        if !batch.is_empty() && !send(messages, request, WatchNews::Changes(batch)).await {
            return End::ScreenGone;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// A long list comes in parts, so that the screen stays awake meanwhile. A list that takes the place of an
/// older one comes whole: what is not in it is gone.
async fn list_rows(
    client: &dyn Client,
    request: &WatchRequest,
    messages: &mpsc::Sender<Msg>,
    is_first: bool,
) -> Result<ResourceVersion, End> {
    let mut parts = client.list_in_parts(request.kind, options(request)).await?;
    let (mut rows, mut has_sent) = (Vec::new(), false);
    while let Some(part) = parts.next().await {
        let objects = match part? {
            ListPart::Objects(objects) => objects,
            ListPart::Version(version) => {
                if !has_sent || !rows.is_empty() {
                    send_rows(messages, request, rows, has_sent).await?;
                }
                return Ok(version);
            }
        };
        for object in objects {
            rows.push(Arc::new(Row::of(object)));
            if is_first && rows.len() == MAX_BATCH {
                send_rows(messages, request, std::mem::take(&mut rows), has_sent).await?;
                has_sent = true;
            }
        }
    }
    Err(End::Broken("the list ended early".to_owned()))
}

fn options(request: &WatchRequest) -> ListOptions {
    ListOptions {
        namespace: request.namespace.clone(),
        ..ListOptions::default()
    }
}

async fn send_rows(
    messages: &mpsc::Sender<Msg>,
    request: &WatchRequest,
    rows: Vec<Arc<Row>>,
    is_more: bool,
) -> Result<(), End> {
    let news = if is_more {
        WatchNews::More(rows)
    } else {
        WatchNews::Listed(rows)
    };
    let is_sent = send(messages, request, news).await;
    is_sent.then_some(()).ok_or(End::ScreenGone)
}

/// Takes what is ready now; says when the stream is at its end.
fn collect(
    stream: &mut (impl futures_util::Stream<Item = Result<WatchEvent, ApiError>> + Unpin),
    batch: &mut Vec<RowEvent>,
) -> Option<End> {
    while batch.len() < MAX_BATCH {
        match stream.next().now_or_never() {
            None => return None,
            Some(Some(Ok(event))) => batch.extend(RowEvent::of(event)),
            Some(Some(Err(error))) => return Some(error.into()),
            Some(None) => return Some(End::Broken("the watch was closed".to_owned())),
        }
    }
    None
}

async fn send(messages: &mpsc::Sender<Msg>, request: &WatchRequest, news: WatchNews) -> bool {
    let msg = Msg::Watch {
        kind: request.kind,
        generation: request.generation,
        news,
    };
    messages.send(msg).await.is_ok()
}
