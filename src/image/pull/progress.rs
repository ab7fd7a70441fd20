use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::image::digest::Digest;

/// A pull that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullProgress {
    /// Normalised name.
    pub(crate) image: String,
    pub(crate) started_at: Timestamp,
    pub(crate) phase: PullPhase,
    /// Lowest first; empty until the manifest is known.
    pub(crate) layers: Vec<LayerProgress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPhase {
    /// For its turn.
    Waiting,
    /// Asking for the manifest.
    Resolving,
    /// Layers are on their way, or being unpacked.
    Fetching,
    /// Everything is here and is being entered.
    Finishing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerProgress {
    pub(crate) digest: String,
    /// Compressed bytes.
    pub(crate) size: u64,
    /// Compressed bytes that are here, including those of an earlier try.
    pub(crate) fetched: u64,
    /// Unpacked and verified, or present from the start.
    pub(crate) done: bool,
}

/// Written by the pull, read by everybody.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<PullProgress>>);

impl Progress {
    pub(super) fn new(image: String) -> Self {
        Self(Arc::new(Mutex::new(PullProgress {
            image,
            started_at: Timestamp::now(),
            phase: PullPhase::Waiting,
            layers: Vec::new(),
        })))
    }

    pub(super) fn get(&self) -> PullProgress {
        self.change(|progress| progress.clone())
    }

    pub(super) fn phase(&self, phase: PullPhase) {
        self.change(|progress| progress.phase = phase);
    }

    pub(super) fn layers(&self, layers: impl Iterator<Item = (Digest, u64)>) {
        let layers = layers
            .map(|(digest, size)| LayerProgress {
                digest: digest.to_string(),
                size,
                fetched: 0,
                done: false,
            })
            .collect();
        self.change(|progress| progress.layers = layers);
    }

    /// Every layer with this digest: a manifest may list one twice.
    pub(super) fn fetched(&self, digest: &Digest, bytes: u64) {
        let digest = digest.to_string();
        self.change(|progress| {
            for layer in &mut progress.layers {
                if layer.digest == digest {
                    layer.fetched = bytes.min(layer.size);
                }
            }
        });
    }

    pub(super) fn done(&self, digest: &Digest) {
        let digest = digest.to_string();
        self.change(|progress| {
            for layer in &mut progress.layers {
                if layer.digest == digest {
                    layer.done = true;
                    layer.fetched = layer.size;
                }
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut PullProgress) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
