//! The frames of an exec or attach session over a WebSocket: the first byte of a binary message names the
//! channel (kubernetes/apimachinery `pkg/util/remotecommand`, kubernetes/cri-streaming).

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::base::{SessionEnd, TerminalSize};

/// Adds [`CLOSE`] to version 4.
pub(crate) const PROTOCOL_V5: &str = "v5.channel.k8s.io";
pub(crate) const PROTOCOL_V4: &str = "v4.channel.k8s.io";

/// Our own parameters of exec and attach: the size of the terminal before the process starts. A [`RESIZE`]
/// message would come after that. Other servers ignore them.
pub(crate) const COLUMNS: &str = "columns";
pub(crate) const ROWS: &str = "rows";

pub(crate) const STDIN: u8 = 0;
pub(crate) const STDOUT: u8 = 1;
pub(crate) const STDERR: u8 = 2;
/// Carries one `Status` at the end of the session.
pub(crate) const ERROR: u8 = 3;
pub(crate) const RESIZE: u8 = 4;
/// The byte after it names the channel that ends.
pub(crate) const CLOSE: u8 = 255;

pub(crate) fn frame(channel: u8, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(data.len() + 1);
    frame.put_u8(channel);
    frame.put_slice(data);
    frame.freeze()
}

pub(crate) fn resize_frame(size: TerminalSize) -> Bytes {
    let text = json!({"Width": size.columns, "Height": size.rows}).to_string();
    frame(RESIZE, text.as_bytes())
}

pub(crate) fn parse_resize(data: &[u8]) -> Option<TerminalSize> {
    let value: Value = serde_json::from_slice(data).ok()?;
    let side = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|n| u16::try_from(n).ok())
    };
    Some(TerminalSize {
        columns: side("Width")?,
        rows: side("Height")?,
    })
}

pub(crate) fn end_status(end: &SessionEnd) -> Value {
    match end {
        SessionEnd::Exited(0) | SessionEnd::Closed => {
            json!({"metadata": {}, "status": "Success"})
        }
        SessionEnd::Exited(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        SessionEnd::Failed(message) => json!({
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "InternalError",
            "code": 500,
        }),
    }
}

/// `success` is what a `Status` of success means for this session.
pub(crate) fn end_from_status(data: &[u8], success: SessionEnd) -> SessionEnd {
    let Ok(status) = serde_json::from_slice::<Value>(data) else {
        return SessionEnd::Failed("the server ended the session with an unreadable status".into());
    };
    if status.get("status").and_then(Value::as_str) == Some("Success") {
        return success;
    }
    let causes = status
        .pointer("/details/causes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let code = causes
        .iter()
        .find(|cause| cause["reason"] == "ExitCode")
        .and_then(|cause| cause["message"].as_str())
        .and_then(|text| text.parse().ok());
    let message = status.get("message").and_then(Value::as_str);
    code.map_or_else(
        || SessionEnd::Failed(message.unwrap_or("the session failed").to_owned()),
        SessionEnd::Exited,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_survive_the_way_over_the_wire() {
        for end in [
            SessionEnd::Exited(0),
            SessionEnd::Exited(137),
            SessionEnd::Failed("no such file".to_owned()),
        ] {
            let text = end_status(&end).to_string();
            assert_eq!(end_from_status(text.as_bytes(), SessionEnd::Exited(0)), end);
        }
    }

    #[test]
    fn sizes_survive_the_way_over_the_wire() {
        let size = TerminalSize {
            columns: 132,
            rows: 43,
        };
        let frame = resize_frame(size);
        assert_eq!(frame[0], RESIZE);
        assert_eq!(parse_resize(&frame[1..]), Some(size));
        assert_eq!(parse_resize(b"{\"Width\":70000,\"Height\":1}"), None);
    }
}
