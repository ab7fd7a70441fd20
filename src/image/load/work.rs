use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::source::Source;
use super::{docker, oci};
use crate::image::chain::{LayerId, Place};
use crate::image::config::{self, ParsedConfig};
use crate::image::digest::{Algorithm, Digest};
use crate::image::store::{Store, StoredImage, StoredLayer, WriteLock};
use crate::image::unpack::Unpacked;
use crate::image::{ImageError, toolbox};

/// One image of an archive, everything but its layers already verified.
pub(super) struct Candidate {
    pub(super) names: Vec<String>,
    pub(super) repo_digests: Vec<String>,
    pub(super) config: Vec<u8>,
    /// Lowest first.
    pub(super) layers: Vec<CandidateLayer>,
}

pub(super) struct CandidateLayer {
    /// Path inside the archive.
    pub(super) member: String,
    /// Digest and size of the stored layer, where the archive promises them.
    pub(super) blob: Option<(Digest, u64)>,
}

/// Everything that can be wrong with an archive, as text; the archive's path is added outside.
pub(super) type Result<T> = std::result::Result<T, String>;

/// Loads every image for this machine and returns the names it now has.
pub(in crate::image) fn load(
    store: &Store,
    path: &Path,
) -> std::result::Result<Vec<String>, ImageError> {
    let lock = store.lock()?;
    let bad = |reason| ImageError::BadArchive {
        archive: path.display().to_string(),
        reason,
    };
    let source = Source::open(store, &lock, path)?;
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let candidates = if source.contains("oci-layout") || source.contains("index.json") {
        oci::candidates(&source, stem)
    } else if source.contains("manifest.json") {
        docker::candidates(&source, stem)
    } else {
        Err("it is neither an OCI layout nor a docker archive (for a root file system use `podtui image import`)".to_owned())
    };
    let mut names = Vec::new();
    for candidate in candidates.map_err(bad)? {
        let parsed = config::parse(&candidate.config).map_err(bad)?;
        parsed.check_machine().map_err(bad)?;
        let id = Digest::of(&candidate.config).to_string();
        toolbox::keep(store, &candidate.names, &id)?;
        names.extend(add(store, &lock, path, &source, candidate, &parsed)?);
    }
    Ok(names)
}

fn add(
    store: &Store,
    lock: &WriteLock,
    path: &Path,
    source: &Source,
    candidate: Candidate,
    parsed: &ParsedConfig,
) -> std::result::Result<Vec<String>, ImageError> {
    let archive = path.display().to_string();
    let bad = |reason: String| ImageError::BadArchive {
        archive: archive.clone(),
        reason,
    };
    if candidate.layers.len() != parsed.diff_ids.len() {
        return Err(bad(format!(
            "the manifest lists {} layers, the image configuration {}",
            candidate.layers.len(),
            parsed.diff_ids.len()
        )));
    }
    let ids = LayerId::all(&parsed.diff_ids);
    let work = Work {
        store,
        lock,
        source,
        archive: &archive,
    };
    let first = side_by_side(&work, &candidate.layers, &ids)?;
    let mut layers: Vec<StoredLayer> = Vec::with_capacity(candidate.layers.len());
    for ((layer, id), done) in candidate.layers.iter().zip(&ids).zip(first) {
        let done = done.or_else(|| layers.iter().find(|other| other.is(id)).cloned());
        layers.push(match done {
            Some(done) => done,
            // It needs those below it, which are here now.
            None => work
                .unpack(layer, id, &store.place(&layers, id))?
                .ok_or(ImageError::Interrupted)?,
        });
    }
    let image = StoredImage {
        id: Digest::of(&candidate.config),
        names: candidate.names,
        repo_digests: candidate.repo_digests,
        layers,
        proofs: Vec::new(),
    };
    let names = image.names.clone();
    store.add_image(lock, &candidate.config, image)?;
    Ok(names)
}

struct Work<'a> {
    store: &'a Store,
    lock: &'a WriteLock,
    source: &'a Source,
    archive: &'a str,
}

type Unpacking = std::result::Result<Option<StoredLayer>, ImageError>;

impl Work<'_> {
    /// `None` when it needs layers below it that may not be here yet.
    fn unpack(&self, layer: &CandidateLayer, id: &LayerId, at: &Place) -> Unpacking {
        if let Some(known) = self.store.known_layer(id)? {
            return Ok(Some(known));
        }
        let bad = |reason: String| ImageError::BadArchive {
            archive: self.archive.to_owned(),
            reason,
        };
        let member = self.source.member(&layer.member).map_err(bad)?;
        if let Some((_, size)) = &layer.blob
            && *size != member.size()
        {
            let found = member.size();
            return Err(bad(format!(
                "layer {} has {found} bytes instead of {size}",
                layer.member
            )));
        }
        let algorithm = layer
            .blob
            .as_ref()
            .map_or(Algorithm::Sha256, |(digest, _)| digest.algorithm());
        let verify = |unpacked: &Unpacked| verify_layer(layer, &id.diff_id, unpacked);
        self.store
            .try_add_layer(self.lock, self.archive, algorithm, member, at, verify)
    }
}

/// Unpacks on every processor what needs nothing below it; the same layer twice only once. The first error
/// in the order of the layers is told.
fn side_by_side(
    work: &Work<'_>,
    layers: &[CandidateLayer],
    ids: &[LayerId],
) -> std::result::Result<Vec<Option<StoredLayer>>, ImageError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let one = |number: usize| {
        let (layer, id) = (layers.get(number)?, ids.get(number)?);
        if ids[..number]
            .iter()
            .any(|other| other.diff_id == id.diff_id)
        {
            return Some(Ok(None));
        }
        let at = match number {
            0 => &Place::Lowest,
            _ => &Place::Floating,
        };
        Some(work.unpack(layer, id, at))
    };
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = one(number) else {
                break;
            };
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let count = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut done: Vec<(usize, Unpacking)> = std::thread::scope(|scope| {
        // Without another thread this one does it all.
        let others: Vec<_> = (1..count.min(layers.len()))
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, worker).ok())
            .collect();
        let mut done = worker();
        for other in others {
            done.extend(
                other
                    .join()
                    .unwrap_or_else(|_| vec![(0, Err(ImageError::Interrupted))]),
            );
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn verify_layer(layer: &CandidateLayer, diff_id: &Digest, unpacked: &Unpacked) -> Result<()> {
    if let Some((digest, size)) = &layer.blob
        && (*digest != unpacked.digest || *size != unpacked.compressed)
    {
        let found = &unpacked.digest;
        return Err(format!(
            "layer {} has the digest {found} instead of {digest}",
            layer.member
        ));
    }
    if *diff_id != unpacked.diff_id {
        let found = &unpacked.diff_id;
        return Err(format!(
            "layer {} unpacks to {found}, the configuration promises {diff_id}",
            layer.member
        ));
    }
    Ok(())
}

/// A name for an image that brings none, from the name of its archive.
pub(super) fn fallback_name(stem: &str, tag: Option<&str>) -> String {
    let clean: String = stem
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let clean = clean.trim_matches('-');
    let clean = if clean.is_empty() { "image" } else { clean };
    let clean = clean
        .get(..100.min(clean.len()))
        .unwrap_or(clean)
        .trim_end_matches('-');
    format!("localhost/{clean}:{}", tag.unwrap_or("latest"))
}
