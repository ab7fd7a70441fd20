use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use crate::base::BackoffSequence;
use crate::client::{Client, ListOptions, WatchEvent};
use crate::model::{ApiError, Kind, Object, Reason};
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
/// by a new list.
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
    let options = ListOptions {
        namespace: request.namespace.clone(),
        ..ListOptions::default()
    };
    let list = match client.list(request.kind, options.clone()).await {
        Ok(list) => list,
        Err(error) => return error.into(),
    };
    *lists = lists.saturating_add(1);
    if !send_list(messages, request, list.items, *lists == 1).await {
        return End::ScreenGone;
    }
    let mut stream = match client
        .watch(request.kind, options, list.resource_version)
        .await
    {
        Ok(stream) => stream,
        Err(error) => return error.into(),
    };
    loop {
        let mut batch: Vec<WatchEvent> = Vec::new();
        let end = match stream.next().await {
            Some(Ok(WatchEvent::Bookmark(_))) => continue,
            Some(Ok(event)) => {
                batch.push(event);
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
async fn send_list(
    messages: &mpsc::Sender<Msg>,
    request: &WatchRequest,
    items: Vec<Object>,
    is_first: bool,
) -> bool {
    if !is_first {
        return send(messages, request, WatchNews::Listed(items)).await;
    }
    let mut items = items.into_iter();
    let head = items.by_ref().take(MAX_BATCH).collect();
    if !send(messages, request, WatchNews::Listed(head)).await {
        return false;
    }
    while items.len() > 0 {
        let part = items.by_ref().take(MAX_BATCH).collect();
        if !send(messages, request, WatchNews::More(part)).await {
            return false;
        }
    }
    true
}

/// Takes what is ready now; says when the stream is at its end.
fn collect(
    stream: &mut (impl futures_util::Stream<Item = Result<WatchEvent, ApiError>> + Unpin),
    batch: &mut Vec<WatchEvent>,
) -> Option<End> {
    while batch.len() < MAX_BATCH {
        match stream.next().now_or_never() {
            None => return None,
            Some(Some(Ok(event))) => batch.push(event),
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
