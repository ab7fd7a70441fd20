use std::path::Path;

use super::source::Source;
use super::{docker, oci};
use crate::image::ImageError;
use crate::image::chain::LayerId;
use crate::image::config::{self, ParsedConfig};
use crate::image::digest::{Algorithm, Digest};
use crate::image::store::{Store, StoredImage, WriteLock};
use crate::image::unpack::Unpacked;

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
    let mut layers = Vec::with_capacity(candidate.layers.len());
    let ids = LayerId::all(&parsed.diff_ids);
    for (layer, id) in candidate.layers.iter().zip(&ids) {
        if let Some(known) = store.known_layer(id)? {
            layers.push(known);
            continue;
        }
        let member = source.member(&layer.member).map_err(bad)?;
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
        let place = store.place(&layers, id);
        layers.push(store.add_layer(lock, &archive, algorithm, member, &place, verify)?);
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
