use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::progress::Progress;
use crate::base::BackoffSequence;
use crate::image::document::Descriptor;
use crate::image::registry::{RegistryError, Session};

/// Tries without a byte in between.
const TRIES: u32 = 6;
const PAUSES: BackoffSequence =
    BackoffSequence::new(Duration::from_millis(200), Duration::from_secs(5));

/// Sends the bytes of the blob from `offset` on, exactly as many as its descriptor promises. Ends early,
/// without an error, when nobody takes them any more.
pub(super) async fn download(
    session: &Session,
    descriptor: &Descriptor,
    mut offset: u64,
    out: &mpsc::Sender<Bytes>,
    progress: &Progress,
) -> Result<(), RegistryError> {
    let mut failures = 0;
    while offset < descriptor.size {
        let before = offset;
        let error = match fetch(session, descriptor, &mut offset, out, progress).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        failures = if offset > before { 1 } else { failures + 1 };
        let again = error.is_passing() || matches!(error, RegistryError::Unreachable { .. });
        if !again || failures >= TRIES {
            return Err(error);
        }
        tracing::debug!(%error, blob = %descriptor.digest, offset, "a download broke off and goes on");
        tokio::time::sleep(PAUSES.delay(failures - 1)).await;
    }
    Ok(())
}

async fn fetch(
    session: &Session,
    descriptor: &Descriptor,
    offset: &mut u64,
    out: &mpsc::Sender<Bytes>,
    progress: &Progress,
) -> Result<(), RegistryError> {
    let size = descriptor.size;
    let wrong = |found: String| RegistryError::BadAnswer {
        what: format!("layer {}", descriptor.digest),
        reason: format!("it has {found} bytes instead of {size}"),
    };
    let mut blob = session.blob(&descriptor.digest, *offset).await?;
    if let Some(total) = blob.total
        && total != size
    {
        return Err(wrong(total.to_string()));
    }
    // A server without ranges starts anew; what is here already passes by.
    let mut skip = offset.saturating_sub(blob.start);
    while let Some(piece) = blob.content.next().await {
        let mut piece = piece?;
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        drop(piece.split_to(skipped));
        skip -= u64::try_from(skipped).unwrap_or(skip);
        if piece.is_empty() {
            continue;
        }
        let end = offset.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if end > size {
            return Err(wrong("more".to_owned()));
        }
        if out.send(piece).await.is_err() {
            return Ok(());
        }
        *offset = end;
        progress.fetched(&descriptor.digest, end);
    }
    if *offset < size {
        return Err(RegistryError::Broken {
            what: format!("layer {}", descriptor.digest),
            host: session.host().to_owned(),
            reason: format!("it ended after {offset} of {size} bytes"),
        });
    }
    Ok(())
}
