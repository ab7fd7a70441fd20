//! Frames on the shim's socket: one kind byte, a little-endian `u32` length, that many bytes.
//!
//! A connection starts with a [`Kind::Control`] frame holding [`super::Hello`] from each side. Control
//! frames hold JSON. After a session has started, [`Kind::Stdin`] … [`Kind::End`] carry its streams; a
//! [`Kind::Stdin`] frame of length 0 closes standard input.

use serde::Serialize;

/// Longest payload either side accepts; a longer announcement closes the connection.
/// The largest are the files of a volume ([`super::VolumeContent`]) and an environment of a megabyte.
pub(crate) const MAX_PAYLOAD: usize = 16 << 20;
/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON: `Hello`, `ToShim` or `ToEngine`.
    Control = 0,
    Stdin = 1,
    Stdout = 2,
    Stderr = 3,
    /// JSON [`crate::base::TerminalSize`].
    Resize = 4,
    /// JSON [`crate::base::SessionEnd`]; last frame of a session.
    End = 5,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    #[error("frame of {0} bytes exceeds {MAX_PAYLOAD}")]
    TooLong(usize),
}

/// Kind and payload length of the frame that starts with these bytes.
pub(crate) fn parse_header(bytes: [u8; HEADER]) -> Result<(Kind, usize), FrameError> {
    let kind = match bytes[0] {
        0 => Kind::Control,
        1 => Kind::Stdin,
        2 => Kind::Stdout,
        3 => Kind::Stderr,
        4 => Kind::Resize,
        5 => Kind::End,
        other => return Err(FrameError::UnknownKind(other)),
    };
    let length = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    Ok((kind, length))
}

/// Appends one frame to `buffer`. Payloads above [`MAX_PAYLOAD`] are the caller's error.
pub(crate) fn put(buffer: &mut Vec<u8>, kind: Kind, payload: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD)
        .ok_or(FrameError::TooLong(payload.len()))?;
    buffer.push(kind as u8);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(payload);
    Ok(())
}

/// Appends one frame with a JSON payload.
pub(crate) fn put_json<T: Serialize>(
    buffer: &mut Vec<u8>,
    kind: Kind,
    message: &T,
) -> Result<(), FrameError> {
    let payload = serde_json::to_vec(message)
        .expect("wire messages have string keys and no failing serializer");
    put(buffer, kind, &payload)
}

/// Takes one whole frame off the front of `buffer`, if it is there.
pub(crate) fn take(
    buffer: &mut bytes::BytesMut,
) -> Result<Option<(Kind, bytes::Bytes)>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let (kind, length) = parse_header(*header)?;
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(HEADER + length).freeze();
    Ok(Some((kind, frame.split_off(HEADER))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_any_cut() {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Stdout, b"hello").unwrap();
        put(&mut bytes, Kind::Stdin, b"").unwrap();
        for cut in 0..bytes.len() {
            let mut buffer = bytes::BytesMut::from(&bytes[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = take(&mut buffer).unwrap() {
                frames.push(frame);
            }
            buffer.extend_from_slice(&bytes[cut..]);
            while let Some(frame) = take(&mut buffer).unwrap() {
                frames.push(frame);
            }
            assert_eq!(
                frames,
                [(Kind::Stdout, "hello".into()), (Kind::Stdin, "".into())]
            );
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        assert_eq!(
            parse_header([9, 0, 0, 0, 0]),
            Err(FrameError::UnknownKind(9))
        );
        assert_eq!(
            parse_header([0, 255, 255, 255, 255]),
            Err(FrameError::TooLong(u32::MAX as usize))
        );
    }
}
