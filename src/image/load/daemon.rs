use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, StatusCode, Url};

use crate::image::ImageError;
use crate::image::document::shown;
use crate::image::store::io_error;

/// The daemon packs an image before it sends the first byte of it.
const FIRST_BYTE: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER_MAX: usize = 4096;

/// Writes the archive of an image that a docker daemon has to the new file `to` (Docker Engine API,
/// `GET /images/{name}/get`; podman's service answers it as well).
pub(in crate::image) async fn export(
    socket: &Path,
    name: &str,
    to: &Path,
) -> Result<(), ImageError> {
    let failed = |reason: String| ImageError::BadArchive {
        archive: format!("docker-daemon:{name}"),
        reason,
    };
    let far = |error: reqwest::Error| {
        failed(format!(
            "ask the docker daemon at {}: {}",
            socket.display(),
            crate::base::chain(&error.without_url())
        ))
    };
    let client = Client::builder()
        .unix_socket(socket)
        .no_proxy()
        .connect_timeout(CONNECT)
        .read_timeout(FIRST_BYTE)
        .build()
        .map_err(far)?;
    let mut url = Url::parse("http://docker/images").expect("a well-formed address");
    url.path_segments_mut()
        .expect("an address with a path")
        .extend(name.split('/'))
        .push("get");
    let response = client.get(url).send().await.map_err(far)?;
    let status = response.status();
    let mut body = response.bytes_stream();
    if status != StatusCode::OK {
        let mut text = Vec::new();
        while let Some(part) = body.next().await {
            text.extend_from_slice(&part.map_err(far)?);
            if text.len() > ANSWER_MAX {
                break;
            }
        }
        return Err(failed(refusal(status, &text)));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(io_error("create", to))?;
    while let Some(part) = body.next().await {
        let part = part.map_err(far)?;
        // Blocking for the time of one piece; the disk's cache takes it.
        file.write_all(&part).map_err(io_error("write", to))?;
    }
    Ok(())
}

/// The daemon explains itself with `{"message": …}`.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| Some(shown(value.get("message")?.as_str()?)));
    match message {
        Some(message) => format!("the docker daemon answers: {message}"),
        None => format!("the docker daemon answers with {status}"),
    }
}
