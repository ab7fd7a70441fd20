use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::client::{Client, LogOptions};
use crate::tui::logs::Target;
use crate::tui::msg::{Msg, Reply};
use crate::tui::sanitize::output_line;

/// Lines of an excerpt: what is worth reading after an end, on a screen or two.
const EXCERPT: u64 = 60;
const EXCERPT_BYTES: u64 = 64 << 10;

pub(in crate::tui) async fn read_story(
    client: Arc<dyn Client>,
    target: Target,
    messages: mpsc::Sender<Msg>,
) {
    let namespace = target.key.namespace.clone().unwrap_or_default();
    let told = client.pod_incidents(&namespace, &target.key.name).await;
    let told = told.map_err(|error| error.to_string());
    // The screen may be gone.
    let _ = messages.send(Msg::Story(target, told)).await;
}

/// The end of the log of the last instance, or of the one before it.
pub(in crate::tui) async fn read_excerpt(
    client: Arc<dyn Client>,
    target: Target,
    container: String,
    previous: bool,
) -> Reply {
    let options = LogOptions {
        container: Some(container.clone()),
        previous,
        timestamps: false,
        tail_lines: Some(EXCERPT),
        limit_bytes: Some(EXCERPT_BYTES),
        ..LogOptions::default()
    };
    let namespace = target.key.namespace.clone().unwrap_or_default();
    let lines = async {
        let mut stream = client.logs(&namespace, &target.key.name, options).await?;
        let mut text = Vec::new();
        while let Some(chunk) = stream.next().await {
            text.extend_from_slice(&chunk?);
        }
        Ok::<_, crate::model::ApiError>(text)
    };
    let lines = match lines.await {
        Ok(text) => {
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            let lines = text.split(|&byte| byte == b'\n');
            Ok(lines.map(|line| output_line(line).text.into()).collect())
        }
        Err(error) => Err(error.to_string()),
    };
    Reply::Excerpt { container, lines }
}
