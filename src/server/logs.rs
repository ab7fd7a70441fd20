use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use futures_util::StreamExt;
use http::header;
use jiff::{SignedDuration, Timestamp};

use super::query::Query;
use super::reply::Answer;
use super::router::{Shared, key};
use crate::client::LogOptions;
use crate::model::{ApiError, Kind};

pub(super) async fn log(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
) -> Answer {
    key(Kind::Pod, &namespace, &name)?;
    let options = log_options(&query, Timestamp::now())?;
    let text = shared.client.logs(&namespace, &name, options).await?;
    let shutdown = shared.shutdown.clone();
    let text = text.take_until(async move { shutdown.cancelled().await });
    let headers = [(header::CONTENT_TYPE, "text/plain")];
    Ok((headers, Body::from_stream(text)).into_response())
}

fn log_options(query: &Query, now: Timestamp) -> Result<LogOptions, ApiError> {
    let seconds: Option<i64> = query.number("sinceSeconds")?;
    let time: Option<Timestamp> = query.number("sinceTime")?;
    let since = match (seconds, time) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        (Some(seconds), None) if seconds < 1 => {
            return Err(ApiError::bad_request(
                "sinceSeconds: must be greater than 0",
            ));
        }
        (Some(seconds), None) => Some(
            now.checked_sub(SignedDuration::from_secs(seconds))
                .unwrap_or(Timestamp::MIN),
        ),
        (None, time) => time,
    };
    if let Some(stream) = query.text("stream")
        && stream != "All"
    {
        return Err(ApiError::bad_request(format!(
            "stream: Unsupported value: {stream:?}: supported values: \"All\""
        )));
    }
    Ok(LogOptions {
        container: query.text("container").map(str::to_owned),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: query.number("tailLines")?,
        since,
        until: query.number("untilTime")?,
        limit_bytes: query.number("limitBytes")?,
    })
}
