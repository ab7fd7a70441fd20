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
use super::table::Form;
use crate::client::{ListOptions, WatchEvent};
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};

/// Answers with one JSON line per event until the client goes, `timeoutSeconds` are over, or the history was
/// lost; the last is told by an `ERROR` event with status 410, after which clients list again.
pub(super) async fn start(
    shared: &Shared,
    kind: Kind,
    options: ListOptions,
    query: &Query,
    form: Form,
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
    let mut writer = Writer {
        kind,
        form,
        bookmarks,
        is_first: true,
    };
    let lines = events
        .filter_map(move |event| {
            let line = writer.line(event);
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

/// Events as lines.
struct Writer {
    kind: Kind,
    form: Form,
    bookmarks: bool,
    /// No object was told yet.
    is_first: bool,
}

impl Writer {
    fn line(&mut self, event: Result<WatchEvent, ApiError>) -> Option<Bytes> {
        let (name, object) = match event {
            Ok(WatchEvent::Added(object)) => ("ADDED", self.object(&object)),
            Ok(WatchEvent::Modified(object)) => ("MODIFIED", self.object(&object)),
            Ok(WatchEvent::Deleted(object)) => ("DELETED", self.object(&object)),
            Ok(WatchEvent::Bookmark(version)) if self.bookmarks => {
                ("BOOKMARK", self.bookmark(version))
            }
            Ok(WatchEvent::Bookmark(_)) => return None,
            Err(error) => ("ERROR", error.to_status()),
        };
        let mut text = json!({"type": name, "object": object}).to_string();
        text.push('\n');
        Some(Bytes::from(text))
    }

    fn object(&mut self, object: &Object) -> Value {
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.form {
            Form::Whole => object.to_value(),
            Form::Table(table) => table.of_event(object, is_first),
        }
    }

    fn bookmark(&self, version: ResourceVersion) -> Value {
        match self.form {
            Form::Whole => bookmark(self.kind, version),
            Form::Table(table) => table.bookmark(version),
        }
    }
}

fn bookmark(kind: Kind, version: ResourceVersion) -> Value {
    json!({
        "kind": kind.as_str(),
        "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    })
}
