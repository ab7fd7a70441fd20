use std::collections::BTreeMap;

use serde::Deserialize;

use super::digest::{Digest, HashingReader};
use super::import::architecture;
use crate::base::escaped;

/// Largest manifest or index that is read, bytes (as registries limit them).
pub(super) const MANIFEST_MAX: u64 = 4 << 20;
const LAYERS_MAX: usize = 500;
/// Index inside index inside index.
pub(super) const NESTING_MAX: u32 = 3;

/// What is wrong with a document, as text; where it came from is added outside.
pub(super) type Result<T> = std::result::Result<T, String>;

/// What lists a blob: its digest and size are promises to be verified (image-spec `descriptor.md`). The
/// fields `data` and `urls` are not used: content comes from where the document came from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
    #[serde(default)]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) variant: String,
}

impl Platform {
    fn is_this_machine(&self) -> bool {
        self.os == "linux" && self.architecture == architecture()
    }
}

impl Descriptor {
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        let value = self.annotations.as_ref()?.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn member(&self) -> String {
        format!("blobs/{}", self.digest.blob_path())
    }

    /// Size first, then digest.
    pub(super) fn verify(&self, bytes: &[u8], name: &str) -> Result<()> {
        if u64::try_from(bytes.len()) != Ok(self.size) {
            return Err(format!(
                "{name} has {} bytes instead of {}",
                bytes.len(),
                self.size
            ));
        }
        let mut reader = HashingReader::new(bytes, self.digest.algorithm());
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| error.to_string())?;
        let (found, _) = reader.finish();
        if found != self.digest {
            return Err(format!("{name} has the digest {found}"));
        }
        Ok(())
    }

    /// A layer that the makers of the image do not let registries hand out (image-spec `layer.md`,
    /// "Non-Distributable Layers").
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type.contains("nondistributable") || self.media_type.contains(".foreign.")
    }

    /// Build provenance and the like, stored beside images as if it were one.
    fn is_attestation(&self) -> bool {
        self.annotation("vnd.docker.reference.type").is_some()
            || self
                .platform
                .as_ref()
                .is_some_and(|platform| platform.os == "unknown")
    }
}

#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

#[derive(Debug)]
pub(super) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// The entry for this machine: one that says so, else the only one that says nothing.
pub(super) fn choose(list: &[Descriptor]) -> Option<&Descriptor> {
    let images = || list.iter().filter(|entry| !entry.is_attestation());
    images()
        .find(|entry| {
            entry
                .platform
                .as_ref()
                .is_some_and(Platform::is_this_machine)
        })
        .or_else(|| images().find(|entry| entry.platform.is_none()))
}

/// `linux/amd64`, for a message.
pub(super) fn this_machine() -> String {
    format!("linux/{}", architecture())
}

/// The platforms of a list, for a message.
pub(super) fn platforms(list: &[Descriptor]) -> String {
    let names: Vec<String> = list
        .iter()
        .filter(|entry| !entry.is_attestation())
        .filter_map(|entry| entry.platform.as_ref())
        .take(20)
        .map(|platform| {
            let variant = match platform.variant.as_str() {
                "" => String::new(),
                variant => format!("/{variant}"),
            };
            shown(&format!(
                "{}/{}{variant}",
                platform.os, platform.architecture
            ))
        })
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// Reads a manifest or index. `media_type` is what the document was listed or served as, empty when unknown.
pub(super) fn parse(bytes: &[u8], media_type: &str, name: &str) -> Result<Document> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("{name}: {error}"))?;
    // Two parsers must never disagree about what a document is (CVE-2021-41190).
    if raw.manifests.is_some() && (raw.layers.is_some() || raw.config.is_some()) {
        return Err(format!("{name} is a manifest and an index at once"));
    }
    if let Some(own) = &raw.media_type
        && !media_type.is_empty()
        && own != media_type
    {
        return Err(format!(
            "{name} calls itself {} and is listed as {}",
            shown(own),
            shown(media_type)
        ));
    }
    if raw.schema_version.is_some_and(|version| version != 2) {
        return Err(format!("{name}: only schema version 2 is supported"));
    }
    if let Some(list) = raw.manifests {
        return Ok(Document::Index(list));
    }
    let (Some(config), Some(layers)) = (raw.config, raw.layers) else {
        return Err(format!("{name} is neither a manifest nor an index"));
    };
    if !is_config(&config.media_type) {
        return Err(format!(
            "{name}: it is of the type {}, which is no container image",
            shown(&config.media_type)
        ));
    }
    if layers.len() > LAYERS_MAX {
        return Err(format!("{name} lists more than {LAYERS_MAX} layers"));
    }
    if let Some(layer) = layers.iter().find(|layer| !is_layer(&layer.media_type)) {
        return Err(format!(
            "{name}: {} is no layer of a container image",
            shown(&layer.media_type)
        ));
    }
    Ok(Document::Manifest(Manifest { config, layers }))
}

/// Names from a document are text of a stranger.
pub(super) fn shown(name: &str) -> String {
    escaped(&name.chars().take(200).collect::<String>())
}

/// Artifacts (charts, signatures) are told from images by it. Old clients of docker wrote the general type.
fn is_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            | "application/octet-stream"
    )
}

/// Compression is told by the bytes; the type only says that it is a layer at all.
fn is_layer(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    )
}
