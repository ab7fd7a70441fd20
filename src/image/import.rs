use std::fs::File;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::chain::Place;
use super::digest::{Algorithm, Digest};
use super::reference::Reference;
use super::store::{Store, StoredImage, StoredLayer, WriteLock, io_error};
use super::{ImageError, ImageRecord, toolbox};

/// A root file system as (compressed) tar becomes an image of one layer.
pub(super) fn import(store: &Store, tar: &Path, name: &str) -> Result<ImageRecord, ImageError> {
    let reference = Reference::parse(name)?;
    let Some(tagged) = reference.tagged() else {
        return Err(ImageError::InvalidName {
            reference: name.to_owned(),
            reason: "an image is imported under a tag, not under a digest".to_owned(),
        });
    };
    // What is imported never has its ID: that holds the time of the import.
    toolbox::keep(store, std::slice::from_ref(&tagged), "")?;
    let source = File::open(tar).map_err(io_error("open", tar))?;
    let lock = store.lock()?;
    let archive = tar.display().to_string();
    let layer = store.add_layer(
        &lock,
        &archive,
        Algorithm::Sha256,
        source,
        &Place::Lowest,
        |_| Ok(()),
    )?;
    let created = Timestamp::now().to_string();
    add_single_layer(store, &lock, layer, tagged, &Value::Null, Some(&created))
}

/// Writes the configuration for a layer that has none.
pub(super) fn add_single_layer(
    store: &Store,
    lock: &WriteLock,
    layer: StoredLayer,
    name: String,
    config: &Value,
    created: Option<&str>,
) -> Result<ImageRecord, ImageError> {
    let mut document = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    });
    if let Some(created) = created {
        document["created"] = json!(created);
    }
    let bytes = document.to_string().into_bytes();
    let image = StoredImage {
        id: Digest::of(&bytes),
        names: vec![name],
        repo_digests: Vec::new(),
        layers: vec![layer],
        proofs: Vec::new(),
    };
    store.add_image(lock, &bytes, image)
}

/// This machine as Go and therefore OCI call it (GOARCH).
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    }
}
