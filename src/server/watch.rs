use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header;
use serde_json::{Value, json};

use super::query::Query;
use super::reply::Answer;
use super::router::Shared;
use crate::client::{ListOptions, WatchEvent};
use crate::model::{ApiError, Kind, Reason, ResourceVersion};

/// Answers with one JSON line per event until the client goes, `timeoutSeconds` are over, or the history was
/// lost; the last is told by an `ERROR` event with status 410, after which clients list again.
pub(super) async fn start(
    shared: &Shared,
    kind: Kind,
    options: ListOptions,
    query: &Query,
) -> Answer {
    if query.flag("sendInitialEvents") {
        // Clients fall back to list and watch on this answer.
        return Err(ApiError::new(
            Reason::Invalid,
            "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden \
             for watch unless the WatchList feature gate is enabled",
        )
        .into());
    }
    let from = query
        .number::<ResourceVersion>("resourceVersion")?
        .unwrap_or_default();
    let timeout = query.number("timeoutSeconds")?.map(Duration::from_secs);
    let bookmarks = query.flag("allowWatchBookmarks");
    let events = match shared.client.watch(kind, options, from).await {
        Ok(events) => events,
        // Clients expect the expiry inside the stream as well as instead of it; the code is the same.
        Err(error) => return Err(error.into()),
    };
    let lines = events
        .filter_map(move |event| {
            let line = line(kind, event, bookmarks);
            async move { line }
        })
        .map(Ok::<Bytes, std::convert::Infallible>);
    let shutdown = shared.shutdown.clone();
    let lines = lines.take_until(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = after(timeout) => {}
        }
    });
    Ok(json_lines(lines))
}

async fn after(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

fn json_lines(
    lines: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static,
) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (headers, Body::from_stream(lines)).into_response()
}

fn line(kind: Kind, event: Result<WatchEvent, ApiError>, bookmarks: bool) -> Option<Bytes> {
    let (name, object) = match event {
        Ok(WatchEvent::Added(object)) => ("ADDED", object.to_value()),
        Ok(WatchEvent::Modified(object)) => ("MODIFIED", object.to_value()),
        Ok(WatchEvent::Deleted(object)) => ("DELETED", object.to_value()),
        Ok(WatchEvent::Bookmark(version)) if bookmarks => ("BOOKMARK", bookmark(kind, version)),
        Ok(WatchEvent::Bookmark(_)) => return None,
        Err(error) => ("ERROR", error.to_status()),
    };
    let mut text = json!({"type": name, "object": object}).to_string();
    text.push('\n');
    Some(Bytes::from(text))
}

fn bookmark(kind: Kind, version: ResourceVersion) -> Value {
    json!({
        "kind": kind.as_str(),
        "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    })
}
