use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header;
use jiff::{SignedDuration, Timestamp};

use super::query::Query;
use super::reply::Answer;
use super::router::{Shared, key};
use super::stream::{self, Told};
use super::upgrade::Upgrade;
use crate::client::LogOptions;
use crate::model::{ApiError, FieldError, Kind};

pub(super) async fn log(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    upgrade: Upgrade,
) -> Answer {
    key(Kind::Pod, &namespace, &name)?;
    let options = log_options(&query, &name, Timestamp::now())?;
    let text = shared.client.logs(&namespace, &name, options).await?;
    let shutdown = shared.shutdown.clone();
    let text = text.take_until(async move { shutdown.cancelled().await });
    if upgrade.is_wanted() {
        let handshake = upgrade.with_any_of(&[Told::BINARY, Told::BASE64])?;
        let told = Told::by(handshake.protocol);
        // An error in the middle ends the text, as it does in an HTTP answer.
        let whole = text
            .take_while(|part| std::future::ready(part.is_ok()))
            .filter_map(async |part: Result<Bytes, ApiError>| part.ok())
            .boxed();
        return Ok(handshake.accept(move |socket| stream::tell(socket, whole, told)));
    }
    let headers = [(header::CONTENT_TYPE, "text/plain")];
    Ok((headers, Body::from_stream(text)).into_response())
}

/// Numbers that are none are bad requests, those that mean nothing make the options invalid
/// (`ValidatePodLogOptions`).
fn log_options(query: &Query, pod: &str, now: Timestamp) -> Result<LogOptions, ApiError> {
    let mut errors = Vec::new();
    let seconds: Option<i64> = query.number("sinceSeconds")?;
    let time: Option<Timestamp> = query.number("sinceTime")?;
    let tail: Option<i64> = query.number("tailLines")?;
    let limit: Option<i64> = query.number("limitBytes")?;
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("tailLines", tail, detail));
    }
    if let Some(limit) = limit.filter(|limit| *limit < 1) {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid("limitBytes", limit, detail));
    }
    match (seconds, time) {
        (Some(_), Some(_)) => errors.push(FieldError::forbidden(
            "",
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        )),
        (Some(seconds), None) if seconds < 1 => {
            let detail = "must be greater than 0";
            errors.push(FieldError::invalid("sinceSeconds", seconds, detail));
        }
        (Some(_) | None, None) | (None, Some(_)) => {}
    }
    if let Some(stream) = query.text("stream").filter(|stream| *stream != "All") {
        errors.push(FieldError::not_supported("stream", stream, &["All"]));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid_options("PodLogOptions", pod, &errors));
    }
    let since = seconds.map_or(time, |seconds| {
        let at = now.checked_sub(SignedDuration::from_secs(seconds));
        Some(at.unwrap_or(Timestamp::MIN))
    });
    Ok(LogOptions {
        container: query.text("container").map(str::to_owned),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: tail.and_then(|tail| u64::try_from(tail).ok()),
        since,
        until: query.number("untilTime")?,
        limit_bytes: limit.and_then(|limit| u64::try_from(limit).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let query = Query::parse(query).unwrap();
        let error = log_options(&query, "web", Timestamp::UNIX_EPOCH).unwrap_err();
        let code = error.reason.http_code();
        assert_eq!(format!("{code} {}", error.message), expected);
    }

    #[test]
    fn options_that_mean_nothing() {
        check(
            "tailLines=-3",
            "422 PodLogOptions \"web\" is invalid: tailLines: Invalid value: -3: must be greater than or equal to 0",
        );
        check(
            "limitBytes=0&tailLines=-1",
            "422 PodLogOptions \"web\" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, \
             limitBytes: Invalid value: 0: must be greater than 0]",
        );
        check(
            "sinceSeconds=0",
            "422 PodLogOptions \"web\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0",
        );
        check(
            "sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z",
            "422 PodLogOptions \"web\" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        );
        check(
            "tailLines=x",
            "400 invalid value \"x\" of parameter tailLines",
        );
    }

    #[test]
    fn since_is_a_time() {
        let query = Query::parse("sinceSeconds=10&tailLines=0&limitBytes=1").unwrap();
        let now = Timestamp::from_second(100).unwrap();
        let options = log_options(&query, "web", now).unwrap();
        assert_eq!(options.since, Some(Timestamp::from_second(90).unwrap()));
        assert_eq!(
            (options.tail_lines, options.limit_bytes),
            (Some(0), Some(1))
        );
    }
}
