use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedMutexGuard, mpsc};

use super::download::download;
use super::partial::Partial;
use super::progress::Progress;
use crate::image::ImageError;
use crate::image::chain::{LayerId, Place};
use crate::image::digest::Digest;
use crate::image::document::Descriptor;
use crate::image::lease::Lease;
use crate::image::registry::Session;
use crate::image::store::{Store, StoredLayer};
use crate::image::unpack::Unpacked;

/// Pieces between the network and the disk.
const PIECES: usize = 64;

/// One download per blob at a time, whichever pulls want it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    async fn of(&self, blob: &Digest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(blob).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(blob.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

/// Leases that are let go of where blocking is allowed.
#[derive(Debug)]
pub(super) struct Held(Option<Lease>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            drop(tokio::task::spawn_blocking(move || drop(lease)));
        }
    }
}

/// One layer of an image that is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) descriptor: &'a Descriptor,
    pub(super) id: &'a LayerId,
    pub(super) at: &'a Place,
}

/// The layer, unpacked and leased: already here, or fetched and unpacked at once. `None` when it needs the
/// layers below it, which are not here yet; what came of it is kept.
pub(super) async fn ensure_layer(
    store: &Arc<Store>,
    session: &Session,
    turns: &Turns,
    wanted: Wanted<'_>,
    progress: &Progress,
) -> Result<(Option<StoredLayer>, Held), ImageError> {
    let Wanted { descriptor, id, .. } = wanted;
    let _turn = turns.of(&descriptor.digest).await;
    let held = Held(Some(Lease::take(store, id)));
    let known = store
        .known_layer(id)?
        .or_else(|| held.0.as_ref().and_then(Lease::layer));
    if let Some(layer) = known {
        progress.done(&descriptor.digest);
        return Ok((Some(layer), held));
    }
    let first = fetch(store, session, wanted, progress).await;
    let layer = match first {
        // What an earlier download left may be damaged; nothing of it is left now.
        Err((ImageError::BadArchive { reason, .. }, resumed)) if resumed => {
            tracing::info!(blob = %descriptor.digest, reason, "a resumed download was damaged, starting anew");
            let again = fetch(store, session, wanted, progress).await;
            again.map_err(|(error, _)| error)?
        }
        other => other.map_err(|(error, _)| error)?,
    };
    let Some(layer) = layer else {
        return Ok((None, held));
    };
    if let Some(lease) = &held.0 {
        lease.fulfil(layer.clone());
    }
    progress.done(&descriptor.digest);
    Ok((Some(layer), held))
}

/// An error comes with whether bytes of an earlier download were used.
async fn fetch(
    store: &Arc<Store>,
    session: &Session,
    wanted: Wanted<'_>,
    progress: &Progress,
) -> Result<Option<StoredLayer>, (ImageError, bool)> {
    let descriptor = wanted.descriptor;
    let path = store.partial_path(&descriptor.digest);
    let partial = Partial::open(&path, descriptor.size).map_err(|error| (error, false))?;
    let offset = partial.length();
    let resumed = offset > 0;
    progress.fetched(&descriptor.digest, offset);
    let (out, arriving) = mpsc::channel(PIECES);
    let unpacking = {
        let (store, descriptor) = (Arc::clone(store), descriptor.clone());
        let (id, at) = (wanted.id.clone(), wanted.at.clone());
        // Its own lease: this thread may outlive a pull that is cancelled.
        let lease = Lease::take(&store, &id);
        tokio::task::spawn_blocking(move || {
            let busy = store.busy()?;
            let source = partial.reader(descriptor.size, arriving);
            let name = format!("layer {}", descriptor.digest);
            let verify = |unpacked: &Unpacked| verify(&descriptor, &id.diff_id, unpacked);
            let algorithm = descriptor.digest.algorithm();
            let added = store.try_add_layer(&busy, &name, algorithm, source, &at, verify);
            drop(busy);
            Ok((added?, lease))
        })
    };
    let (downloaded, unpacked) = tokio::join!(
        async {
            let result = download(session, descriptor, offset, &out, progress).await;
            drop(out);
            result
        },
        unpacking
    );
    // A download that broke off is why the unpacking failed, not the other way round.
    downloaded.map_err(|error| (error.into(), resumed))?;
    let unpacked = unpacked.unwrap_or_else(|error| {
        Err(ImageError::Io {
            operation: "unpack into",
            path: path.clone(),
            source: std::io::Error::other(error),
        })
    });
    match unpacked {
        Ok((layer, lease)) => {
            drop(Held(Some(lease)));
            Ok(layer)
        }
        Err(error) => {
            Partial::remove(&path);
            Err((error, resumed))
        }
    }
}

/// The size was verified on the way.
fn verify(descriptor: &Descriptor, diff_id: &Digest, unpacked: &Unpacked) -> Result<(), String> {
    if unpacked.compressed != descriptor.size {
        return Err(format!(
            "it has {} bytes instead of {}",
            unpacked.compressed, descriptor.size
        ));
    }
    if unpacked.digest != descriptor.digest {
        return Err(format!("its content has the digest {}", unpacked.digest));
    }
    if unpacked.diff_id != *diff_id {
        return Err(format!(
            "it unpacks to {}, the configuration promises {diff_id}",
            unpacked.diff_id
        ));
    }
    Ok(())
}
