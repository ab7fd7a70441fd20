//! Lists in parts: a limit ends a part, a token in its answer asks for the next. All parts are of one moment
//! (Kubernetes API concepts, "Retrieving large results sets in chunks"): the rest of a list that was cut is kept,
//! which costs little, because objects are shared with the store, and forgotten after a while.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::reply::ListMeta;
use super::router::Shared;
use crate::client::ListOptions;
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};

/// As long as etcd keeps old versions for the API server.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Beyond this number the oldest is forgotten.
const KEPT: usize = 16;

pub(super) struct Page {
    pub(super) items: Vec<Object>,
    pub(super) meta: ListMeta,
}

/// Lists that were cut.
#[derive(Default)]
pub(super) struct Pages(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lists: VecDeque<List>,
    last_id: u64,
}

struct List {
    id: u64,
    kind: Kind,
    options: ListOptions,
    items: Vec<Object>,
    version: ResourceVersion,
    at: Instant,
}

/// What a client sends back; it is not to look inside.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "v")]
    format: String,
    id: u64,
    start: usize,
}

const FORMAT: &str = "podtui.dev/v1";

impl Token {
    fn encode(id: u64, start: usize) -> String {
        let token = Self {
            format: FORMAT.to_owned(),
            id,
            start,
        };
        let text = serde_json::to_vec(&token).expect("numbers and text can be written");
        URL_SAFE_NO_PAD.encode(text)
    }

    fn decode(text: &str) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|token| token.format == FORMAT)
            .ok_or_else(|| ApiError::bad_request(format!("continue key is not valid: {text:?}")))
    }
}

/// The API server's words.
fn expired() -> ApiError {
    ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You must start a new list \
         without the continue parameter.",
    )
}

/// The part of a list that a request asks for.
pub(super) async fn list(
    shared: &Shared,
    kind: Kind,
    options: ListOptions,
    query: &Query,
) -> Result<Page, ApiError> {
    let limit = match query.number::<i64>("limit")? {
        Some(limit) if limit < 0 => {
            let message = "ListOptions.meta.k8s.io \"\" is invalid: limit: Invalid value: must be greater than or equal to 0";
            return Err(ApiError::new(Reason::Invalid, message));
        }
        limit => usize::try_from(limit.unwrap_or(0)).unwrap_or(0),
    };
    if let Some(token) = query.text("continue") {
        if query
            .text("resourceVersion")
            .is_some_and(|version| version != "0")
        {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        return shared.pages.next(
            &Token::decode(token)?,
            kind,
            &options,
            limit,
            Instant::now(),
        );
    }
    let list = shared.client.list(kind, options.clone()).await?;
    check_version(query, list.resource_version)?;
    if limit == 0 || list.items.len() <= limit {
        return Ok(Page {
            items: list.items,
            meta: ListMeta::of(list.resource_version),
        });
    }
    let list = List {
        id: 0,
        kind,
        options,
        items: list.items,
        version: list.resource_version,
        at: Instant::now(),
    };
    Ok(shared.pages.first(list, limit))
}

/// Only the latest state can be listed.
fn check_version(query: &Query, current: ResourceVersion) -> Result<(), ApiError> {
    let wanted: Option<ResourceVersion> = query.number("resourceVersion")?;
    match (query.text("resourceVersionMatch"), wanted) {
        (Some("Exact"), Some(version)) if version != current => Err(ApiError::expired(format!(
            "The resourceVersion for the provided list is too old: {version} (current: {current})"
        ))),
        (None | Some("Exact" | "NotOlderThan"), _) => Ok(()),
        (Some(other), _) => Err(ApiError::new(
            Reason::Invalid,
            format!(
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: {other:?}: \
                 supported values: \"Exact\", \"NotOlderThan\""
            ),
        )),
    }
}

impl Pages {
    fn first(&self, mut list: List, limit: usize) -> Page {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(list.at);
        kept.last_id += 1;
        list.id = kept.last_id;
        let page = list.page(0, limit);
        if kept.lists.len() == KEPT {
            kept.lists.pop_front();
        }
        kept.lists.push_back(list);
        page
    }

    fn next(
        &self,
        token: &Token,
        kind: Kind,
        options: &ListOptions,
        limit: usize,
        now: Instant,
    ) -> Result<Page, ApiError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(now);
        let list = kept.lists.iter().find(|list| list.id == token.id);
        let list = list.ok_or_else(expired)?;
        if list.kind != kind || list.options != *options || token.start > list.items.len() {
            return Err(ApiError::bad_request(
                "continue key is not valid: it belongs to another list",
            ));
        }
        Ok(list.page(token.start, limit))
    }
}

impl Kept {
    fn forget(&mut self, now: Instant) {
        self.lists
            .retain(|list| now.saturating_duration_since(list.at) < KEPT_FOR);
    }
}

impl List {
    fn page(&self, start: usize, limit: usize) -> Page {
        let rest = &self.items[start..];
        let end = if limit == 0 {
            rest.len()
        } else {
            limit.min(rest.len())
        };
        let remaining = rest.len() - end;
        Page {
            items: rest[..end].to_vec(),
            meta: ListMeta {
                version: self.version,
                next: (remaining > 0).then(|| Token::encode(self.id, start + end)),
                remaining: (remaining > 0).then_some(remaining),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(at: Instant) -> List {
        List {
            id: 0,
            kind: Kind::ConfigMap,
            options: ListOptions::default(),
            items: Vec::new(),
            version: ResourceVersion::default(),
            at,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_time_and_number() {
        let pages = Pages::default();
        let now = Instant::now();
        for _ in 0..=KEPT {
            pages.first(list(now), 1);
        }
        let next = |id, now| {
            let token = Token::decode(&Token::encode(id, 0)).unwrap();
            let options = ListOptions::default();
            pages
                .next(&token, Kind::ConfigMap, &options, 1, now)
                .map(|_| ())
                .map_err(|error| error.reason)
        };
        assert_eq!(next(1, now), Err(Reason::Expired));
        assert_eq!(next(2, now), Ok(()));
        assert_eq!(next(2, now + KEPT_FOR), Err(Reason::Expired));
        assert_eq!(pages.0.lock().unwrap().lists.len(), 0);
    }

    #[test]
    fn a_token_is_that_of_one_list() {
        let pages = Pages::default();
        let now = Instant::now();
        pages.first(list(now), 1);
        let token = Token::decode(&Token::encode(1, 0)).unwrap();
        let other = pages.next(&token, Kind::Pod, &ListOptions::default(), 1, now);
        assert!(other.is_err_and(|error| error.reason == Reason::BadRequest));
        for text in ["x", "", "e30"] {
            assert!(Token::decode(text).is_err(), "{text}");
        }
    }
}
