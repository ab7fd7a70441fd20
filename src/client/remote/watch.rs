use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::Value;

use super::connection::{broken, lost};
use crate::client::WatchEvent;
use crate::model::{ApiError, Kind, Object};

/// An object is at most 3 MiB on its way in; JSON escapes and a status do not make five times of it.
pub(super) const LONGEST_LINE: usize = 16 << 20;

pub(super) fn bytes(body: Incoming) -> BoxStream<'static, Result<Bytes, ApiError>> {
    body.into_data_stream()
        .map_err(|error| lost(&error))
        .boxed()
}

/// The events of a watch. It ends after an error and when the server ends it.
pub(super) fn events(
    kind: Kind,
    body: Incoming,
) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
    let lines = Lines {
        body: bytes(body),
        buffer: BytesMut::new(),
        ready: VecDeque::new(),
    };
    stream::unfold(Some(lines), move |lines| async move {
        let mut lines = lines?;
        let event = match lines.next().await? {
            Ok(line) => event(kind, &line),
            Err(error) => Err(error),
        };
        let lines = event.is_ok().then_some(lines);
        Some((event, lines))
    })
    .boxed()
}

struct Lines {
    body: BoxStream<'static, Result<Bytes, ApiError>>,
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            let data = match self.body.next().await? {
                Ok(data) => data,
                Err(error) => return Some(Err(error)),
            };
            // Only the new part can hold the end of a line.
            let mut searched = self.buffer.len();
            self.buffer.extend_from_slice(&data);
            while let Some(end) = self.buffer[searched..]
                .iter()
                .position(|&byte| byte == b'\n')
            {
                let line = self.buffer.split_to(searched + end + 1).freeze();
                self.ready.push_back(line);
                searched = 0;
            }
            if self.buffer.len() > LONGEST_LINE {
                return Some(Err(broken("a watch event is too long")));
            }
        }
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    type_: String,
}

fn event(kind: Kind, line: &[u8]) -> Result<WatchEvent, ApiError> {
    let unreadable = |error: serde_json::Error| broken(&error.to_string());
    let head: Head = serde_json::from_slice(line).map_err(unreadable)?;
    let decoded = || Object::from_event(kind, line).map_err(unreadable);
    // What is no whole object.
    let object = || -> Result<Value, ApiError> {
        let mut value: Value = serde_json::from_slice(line).map_err(unreadable)?;
        Ok(value.get_mut("object").map(Value::take).unwrap_or_default())
    };
    match &*head.type_ {
        "ADDED" => decoded().map(WatchEvent::Added),
        "MODIFIED" => decoded().map(WatchEvent::Modified),
        "DELETED" => decoded().map(WatchEvent::Deleted),
        "BOOKMARK" => object()?
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .map(WatchEvent::Bookmark)
            .ok_or_else(|| broken("a bookmark without resourceVersion")),
        "ERROR" => {
            let object = object()?;
            let code = object.get("code").and_then(Value::as_u64).unwrap_or(500);
            let code = u16::try_from(code).unwrap_or(500);
            Err(ApiError::from_status(code, &object))
        }
        other => Err(broken(&format!("unknown watch event {other:?}"))),
    }
}
