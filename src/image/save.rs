use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ImageError;
use super::chain::LayerId;
use super::digest::{Algorithm, Digest, HashingReader};
use super::lease::Lease;
use super::local::{Found, find};
use super::reference::Reference;
use super::store::{Store, StoredImage, StoredLayer, io_error};
use super::unpack::{ArchiveReader, archive_length};

/// Bytes that go to the reader at once.
const CHUNK: usize = 256 * 1024;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Images on their way into an archive: everything that can be wrong is known before the first byte, except
/// for damage of a layer's files.
///
/// The archive is an OCI layout and a docker archive at once, as `docker save` writes it, so that docker,
/// podman, containerd and skopeo read it. Layers are the plain tar streams they were made of, so every image
/// keeps its ID.
pub(super) struct Saving {
    store: Arc<Store>,
    images: Vec<Image>,
    layers: BTreeMap<Digest, Layer>,
}

struct Image {
    stored: StoredImage,
    config: Vec<u8>,
    /// Under which it goes; none when it was asked for by its ID.
    names: Vec<String>,
}

struct Layer {
    /// Under which its files are kept.
    key: Digest,
    length: u64,
    _lease: Lease,
}

impl Saving {
    pub(super) fn prepare(store: &Arc<Store>, wanted: &[String]) -> Result<Self, ImageError> {
        let mut images: Vec<Image> = Vec::new();
        let mut layers = BTreeMap::new();
        for text in wanted {
            let stored = stored(store, text)?;
            let name = name_of(text, &stored);
            let known = images.iter_mut().find(|image| image.stored.id == stored.id);
            if let Some(known) = known {
                known.names.extend(name);
                continue;
            }
            let ids = LayerId::all(stored.layers.iter().map(|layer| &layer.diff_id));
            for (layer, id) in stored.layers.iter().zip(&ids) {
                if !layers.contains_key(&layer.diff_id) {
                    let prepared = prepare_layer(store, text, layer, id)?;
                    layers.insert(layer.diff_id.clone(), prepared);
                }
            }
            let path = store.root().join("blobs").join(stored.id.blob_path());
            images.push(Image {
                config: fs::read(&path).map_err(io_error("read", &path))?,
                names: name.into_iter().collect(),
                stored,
            });
        }
        Ok(Self {
            store: Arc::clone(store),
            images,
            layers,
        })
    }

    /// Writes the archive. Blocking; ends early when nobody reads any more.
    pub(super) fn run(self, out: mpsc::Sender<Result<Bytes, ImageError>>) {
        let stream = Chunks {
            out: &out,
            buffer: Vec::with_capacity(CHUNK),
        };
        match self.write(stream) {
            Ok(()) => {}
            Err(ImageError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => drop(out.blocking_send(Err(error))),
        }
    }

    fn write(&self, out: impl Write) -> Result<(), ImageError> {
        let failed = |error| ImageError::Io {
            operation: "write",
            path: "the archive".into(),
            source: error,
        };
        let mut archive = Builder::new(out);
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        append(&mut archive, "oci-layout", layout.as_bytes()).map_err(failed)?;
        for name in ["blobs", "blobs/sha256"] {
            directory(&mut archive, name).map_err(failed)?;
        }
        for (diff_id, layer) in &self.layers {
            self.write_layer(&mut archive, diff_id, layer)?;
        }
        let (mut index, mut items) = (Vec::new(), Vec::new());
        for image in &self.images {
            let manifest = self.manifest(image);
            let digest = Digest::of(&manifest);
            for (digest, bytes) in [(&image.stored.id, &image.config), (&digest, &manifest)] {
                append(&mut archive, &blob(digest), bytes).map_err(failed)?;
            }
            index.extend(descriptors(image, &digest, manifest.len()));
            items.push(docker_item(image));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": index,
        });
        append(&mut archive, "index.json", index.to_string().as_bytes()).map_err(failed)?;
        let items = Value::Array(items).to_string();
        append(&mut archive, "manifest.json", items.as_bytes()).map_err(failed)?;
        let mut out = archive.into_inner().map_err(failed)?;
        out.flush().map_err(failed)
    }

    fn write_layer(
        &self,
        archive: &mut Builder<impl Write>,
        diff_id: &Digest,
        layer: &Layer,
    ) -> Result<(), ImageError> {
        let place = self.store.layer_path(&layer.key);
        let failed = |error| io_error("put together the layer", &place)(error);
        let root = File::open(&place).map_err(failed)?;
        let recipe = File::open(self.store.recipe_path(&layer.key)).map_err(failed)?;
        let made = ArchiveReader::new(recipe, root.as_fd()).map_err(failed)?;
        let mut made = HashingReader::new(made, Algorithm::Sha256);
        let mut header = header(EntryType::Regular, 0o644, layer.length);
        let exact = (&mut made).take(layer.length);
        archive
            .append_data(&mut header, blob(diff_id), exact)
            .map_err(failed)?;
        let (found, count) = made.finish();
        if found == *diff_id && count == layer.length {
            return Ok(());
        }
        let reason = "its files have changed since it was unpacked, or its archive had the same name twice: remove the image and get it again";
        Err(failed(io::Error::new(ErrorKind::InvalidData, reason)))
    }

    fn manifest(&self, image: &Image) -> Vec<u8> {
        let layers: Vec<Value> = image
            .stored
            .layers
            .iter()
            .map(|layer| {
                let length = self.layers.get(&layer.diff_id).map_or(0, |one| one.length);
                json!({"mediaType": LAYER, "digest": layer.diff_id, "size": length})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": image.stored.id,
                "size": image.config.len(),
            },
            "layers": layers,
        });
        manifest.to_string().into_bytes()
    }
}

fn stored(store: &Store, text: &str) -> Result<StoredImage, ImageError> {
    let missing = || ImageError::NotFound(text.to_owned());
    match find(store, text)? {
        Found::Image(record) => store.stored(&record.id)?.ok_or_else(missing),
        Found::Nothing | Found::NeedsToolbox => Err(missing()),
    }
}

fn name_of(text: &str, stored: &StoredImage) -> Option<String> {
    let tagged = Reference::parse(text).ok()?.tagged()?;
    stored.names.contains(&tagged).then_some(tagged)
}

fn prepare_layer(
    store: &Arc<Store>,
    image: &str,
    layer: &StoredLayer,
    id: &LayerId,
) -> Result<Layer, ImageError> {
    let lease = Lease::take(store, id);
    let path = store.recipe_path(layer.key());
    let recipe = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ImageError::NoRecipe {
            image: image.to_owned(),
            layer: layer.diff_id.to_string(),
        },
        _ => io_error("open", &path)(error),
    })?;
    Ok(Layer {
        key: layer.key().clone(),
        length: archive_length(recipe).map_err(io_error("read", &path))?,
        _lease: lease,
    })
}

fn blob(digest: &Digest) -> String {
    format!("blobs/{}", digest.blob_path())
}

/// One entry of the index per name (OCI image-spec `annotations.md`; the full name is containerd's).
fn descriptors(image: &Image, digest: &Digest, size: usize) -> Vec<Value> {
    let plain = json!({"mediaType": MANIFEST, "digest": digest, "size": size});
    if image.names.is_empty() {
        return vec![plain];
    }
    image
        .names
        .iter()
        .map(|name| {
            let mut one = plain.clone();
            let tag = name.rsplit(':').next().unwrap_or_default();
            one["annotations"] = json!({
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": tag,
            });
            one
        })
        .collect()
}

fn docker_item(image: &Image) -> Value {
    let layers: Vec<String> = image
        .stored
        .layers
        .iter()
        .map(|layer| blob(&layer.diff_id))
        .collect();
    let tags = match image.names.as_slice() {
        [] => Value::Null,
        names => json!(names),
    };
    json!({"Config": blob(&image.stored.id), "RepoTags": tags, "Layers": layers})
}

/// The same images make the same archive: no time, no owner.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append(archive: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    archive.append_data(&mut header(EntryType::Regular, 0o644, size), name, bytes)
}

fn directory(archive: &mut Builder<impl Write>, name: &str) -> io::Result<()> {
    let mut header = header(EntryType::Directory, 0o755, 0);
    archive.append_data(&mut header, name, io::empty())
}

/// Gathers what is written into pieces for a channel.
struct Chunks<'a> {
    out: &'a mpsc::Sender<Result<Bytes, ImageError>>,
    buffer: Vec<u8>,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let sent = self.out.blocking_send(Ok(Bytes::from(full)));
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }
}
