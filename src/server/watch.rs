use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{BoxStream, iter};
use futures_util::{Stream, StreamExt};
use http::header;
use serde_json::{Value, json};

use super::query::Query;
use super::reply::Answer;
use super::router::Shared;
use super::stream::{self, Told};
use super::table::{Form, metadata_of};
use super::upgrade::Upgrade;
use crate::client::{ListOptions, WatchEvent};
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};

/// Annotation of the bookmark after the objects that were there.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// Answers with one JSON line per event until the client goes, `timeoutSeconds` are over, or the history was
/// lost; the last is told by an `ERROR` event with status 410, after which clients list again. Over a WebSocket
/// every event is a message.
pub(super) async fn start(
    shared: &Shared,
    kind: Kind,
    options: ListOptions,
    query: &Query,
    upgrade: Upgrade,
) -> Answer {
    let form = Form::wanted(&upgrade.headers, query)?;
    let timeout = query.number("timeoutSeconds")?.map(Duration::from_secs);
    let events = events(shared, kind, options, query).await?;
    let mut writer = Writer {
        kind,
        form,
        bookmarks: query.flag("allowWatchBookmarks"),
        is_first: true,
    };
    let lines = events.filter_map(move |event| {
        let line = writer.line(event);
        async move { line }
    });
    let shutdown = shared.shutdown.clone();
    let lines = lines.take_until(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = after(timeout) => {}
        }
    });
    if upgrade.is_wanted() {
        let handshake = upgrade.with_any_of(&[])?;
        return Ok(handshake.accept(move |socket| stream::tell(socket, lines.boxed(), Told::Text)));
    }
    Ok(json_lines(lines.map(Ok::<Bytes, std::convert::Infallible>)))
}

/// What a watch tells beside the events of the store.
enum Event {
    Store(WatchEvent),
    /// All that was there when the watch began has been told.
    InitialEnd(ResourceVersion),
}

/// The events a request asks for: those after a version, or with `sendInitialEvents` all there is as if it came
/// now, and then what changes.
async fn events(
    shared: &Shared,
    kind: Kind,
    options: ListOptions,
    query: &Query,
) -> Result<BoxStream<'static, Result<Event, ApiError>>, ApiError> {
    let later = |events: BoxStream<'static, Result<WatchEvent, ApiError>>| {
        events.map(|event| event.map(Event::Store)).boxed()
    };
    if !query.flag("sendInitialEvents") {
        let from = query
            .number::<ResourceVersion>("resourceVersion")?
            .unwrap_or_default();
        // Clients expect the expiry inside the stream as well as instead of it; the code is the same.
        let events = shared.client.watch(kind, options, from).await?;
        return Ok(later(events));
    }
    if query.text("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(ApiError::new(
            Reason::Invalid,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires \
             setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let list = shared.client.list(kind, options.clone()).await?;
    let version = list.resource_version;
    let events = shared.client.watch(kind, options, version).await?;
    let there = list
        .items
        .into_iter()
        .map(|object| Event::Store(WatchEvent::Added(object)));
    let there = there.chain([Event::InitialEnd(version)]).map(Ok);
    Ok(iter(there).chain(later(events)).boxed())
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
    fn line(&mut self, event: Result<Event, ApiError>) -> Option<Bytes> {
        let (name, object) = match event {
            Ok(Event::Store(WatchEvent::Added(object))) => ("ADDED", self.object(&object)),
            Ok(Event::Store(WatchEvent::Modified(object))) => ("MODIFIED", self.object(&object)),
            Ok(Event::Store(WatchEvent::Deleted(object))) => ("DELETED", self.object(&object)),
            Ok(Event::Store(WatchEvent::Bookmark(version))) if self.bookmarks => {
                ("BOOKMARK", self.bookmark(version))
            }
            Ok(Event::InitialEnd(version)) if self.bookmarks => {
                let mut bookmark = self.bookmark(version);
                bookmark["metadata"]["annotations"] = json!({INITIAL_END: "true"});
                ("BOOKMARK", bookmark)
            }
            Ok(Event::Store(WatchEvent::Bookmark(_)) | Event::InitialEnd(_)) => return None,
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
            Form::Metadata(version) => metadata_of(object, version),
            Form::Table(table) => table.of_event(object, is_first),
        }
    }

    fn bookmark(&self, version: ResourceVersion) -> Value {
        match self.form {
            Form::Whole => bookmark(self.kind.as_str(), self.kind.api_version(), version),
            Form::Metadata(form) => bookmark(
                "PartialObjectMetadata",
                &format!("meta.k8s.io/{form}"),
                version,
            ),
            Form::Table(table) => table.bookmark(version),
        }
    }
}

fn bookmark(kind: &str, api_version: &str, version: ResourceVersion) -> Value {
    json!({
        "kind": kind,
        "apiVersion": api_version,
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    })
}
