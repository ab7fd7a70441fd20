use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags, statvfs, syncfs};
use serde::{Deserialize, Serialize};

use super::chain::{LayerId, Place};
use super::config::{self, CONFIG_MAX};
use super::credentials::Proof;
use super::digest::{Algorithm, Digest};
use super::lease::Leases;
use super::unpack::{Limits, TarError, Unpacked, unpack_layer};
use super::{ImageError, ImageRecord};

/// Raised when an older podtui could misread the file; an unknown version is refused, not guessed. New
/// optional fields keep the version: old readers ignore them.
pub(super) const INDEX_VERSION: u32 = 1;
/// A download that broke off this long ago is not gone on with.
const PARTIAL_KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexFile {
    pub(super) version: u32,
    pub(super) images: Vec<StoredImage>,
}

/// One image as the index keeps it. The configuration itself is a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredImage {
    pub(super) id: Digest,
    pub(super) names: Vec<String>,
    pub(super) repo_digests: Vec<String>,
    /// Lowest first.
    pub(super) layers: Vec<StoredLayer>,
    /// Proofs of the credentials it was pulled with; empty: anybody may use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) proofs: Vec<Proof>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredLayer {
    pub(super) diff_id: Digest,
    /// Unpacked bytes.
    pub(super) size: u64,
    /// Its chain ID, when it depends on the layers below: it holds copies of their files or directories, or has
    /// directories without an entry of their own, which would be copies elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Digest>,
}

impl StoredLayer {
    /// Under which its files are kept.
    pub(super) fn key(&self) -> &Digest {
        self.chain.as_ref().unwrap_or(&self.diff_id)
    }

    pub(super) fn is(&self, id: &LayerId) -> bool {
        self.diff_id == id.diff_id && self.chain.as_ref().is_none_or(|chain| *chain == id.chain)
    }
}

/// Identity of a version of the index file: inode, and change time in nanoseconds.
type Stamp = (u64, i64, i64);

#[derive(Debug, Default)]
struct Cache {
    stamp: Option<Stamp>,
    images: Vec<StoredImage>,
    records: Vec<ImageRecord>,
}

/// The files below `images/`:
///
/// * `index.json` — which images there are; replaced as a whole. `index.backup.json` — the same once more.
/// * `blobs/sha256/<hex>` — image configurations.
/// * `layers/<hex of the diff or chain id>/` — unpacked layers, complete from the moment they have this name.
/// * `recipes/<the same>` — how the layer's archive can be made of it again.
/// * `tmp/` — what is being made; emptied when a store is opened and nobody else is writing.
/// * `partial/<algorithm>-<hex>` — layers on their way from a registry, compressed; kept when a download
///   breaks off so that the next one goes on from there, removed when their image is complete or when they
///   are a day old.
/// * `lock` — held (flock(2)) by whoever changes the index.
/// * `busy` — held shared by whoever makes layers without holding `lock`.
///
/// A layer that no image needs is removed with the next change, unless it is leased ([`Leases`]).
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    cache: Mutex<Cache>,
    counter: AtomicU64,
    /// What was mended when it was opened.
    pub(super) repaired: Option<String>,
    pub(super) leases: Leases,
}

/// Whoever makes temporary files shows one of these, so that no other process sweeps them away.
pub(super) trait Working {}

impl Working for WriteLock {}
impl Working for Busy {}

/// Held while layers are made for an image that is yet to come.
#[derive(Debug)]
pub(super) struct Busy {
    _file: File,
}

/// Held while the store is changed, across processes and threads.
#[derive(Debug)]
pub(super) struct WriteLock {
    _file: File,
}

/// A path below `tmp/` that vanishes with this value unless it was moved away before.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next open.
        let removed = match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&self.path),
            Ok(_) => fs::remove_file(&self.path),
            Err(_) => return,
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "remove temporary image files");
        }
    }
}

pub(super) fn io_error(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> ImageError + use<> {
    let path = path.to_owned();
    move |source| ImageError::Io {
        operation,
        path,
        source,
    }
}

impl Store {
    pub(super) fn open(root: &Path) -> Result<Self, ImageError> {
        for part in ["", "blobs/sha256", "layers", "partial", "recipes", "tmp"] {
            let path = root.join(part);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(io_error("create", &path))?;
        }
        spread_layers(&root.join("tmp"));
        let mut store = Self {
            repaired: None,
            root: root.to_owned(),
            cache: Mutex::new(Cache::default()),
            counter: AtomicU64::new(0),
            leases: Leases::default(),
        };
        if let Some(lock) = store.try_lock("lock")? {
            store.repaired = store.repair(&lock)?;
            if store.try_lock("busy")?.is_some() {
                store.sweep(&lock)?;
            }
        }
        Ok(store)
    }

    /// Every image, in the order they came.
    pub(super) fn records(&self) -> Result<Vec<ImageRecord>, ImageError> {
        self.with_cache(|cache| cache.records.clone())
    }

    /// The first image that fits.
    pub(super) fn find(
        &self,
        fits: impl Fn(&ImageRecord) -> bool,
    ) -> Result<Option<ImageRecord>, ImageError> {
        self.with_cache(|cache| cache.records.iter().find(|record| fits(record)).cloned())
    }

    /// Waits for its turn.
    pub(super) fn lock(&self) -> Result<WriteLock, ImageError> {
        let (file, path) = self.lock_file("lock")?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok(WriteLock { _file: file })
    }

    /// Keeps other processes from sweeping, nothing else.
    pub(super) fn busy(&self) -> Result<Busy, ImageError> {
        let (file, path) = self.lock_file("busy")?;
        flock(&file, FlockOperation::LockShared)
            .map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok(Busy { _file: file })
    }

    fn try_lock(&self, name: &str) -> Result<Option<WriteLock>, ImageError> {
        let (file, path) = self.lock_file(name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(WriteLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(io_error("lock", &path)(error.into())),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), ImageError> {
        let path = self.root.join(name);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        Ok((file, path))
    }

    /// A path for something that is being made.
    pub(super) fn temporary(&self, _held: &impl Working) -> Temporary {
        self.unnamed("new")
    }

    fn unnamed(&self, what: &str) -> Temporary {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{what}-{number}", std::process::id());
        Temporary {
            path: self.root.join("tmp").join(name),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn partial_path(&self, blob: &Digest) -> PathBuf {
        let name = blob.to_string().replace(':', "-");
        self.root.join("partial").join(name)
    }

    /// A layer that is already here, on these layers.
    pub(super) fn known_layer(&self, id: &LayerId) -> Result<Option<StoredLayer>, ImageError> {
        self.named_layer(|layer| layer.is(id))
    }

    /// A layer that an image names.
    pub(super) fn named_layer(
        &self,
        fits: impl Fn(&StoredLayer) -> bool,
    ) -> Result<Option<StoredLayer>, ImageError> {
        self.with_cache(|cache| {
            cache
                .images
                .iter()
                .flat_map(|image| &image.layers)
                .find(|layer| fits(layer))
                .cloned()
        })
    }

    /// Where the next layer comes, on these (lowest first).
    pub(super) fn place(&self, below: &[StoredLayer], id: &LayerId) -> Place {
        if below.is_empty() {
            return Place::Lowest;
        }
        let below = below.iter().rev().map(|layer| self.layer_path(layer.key()));
        Place::On {
            below: without_repetition(below.collect()),
            chain: id.chain.clone(),
        }
    }

    /// Unpacks one layer. It gets its name only when `verify` accepts what went through. `None` when it
    /// depends on layers below that are not known yet.
    pub(super) fn try_add_layer(
        &self,
        held: &impl Working,
        archive: &str,
        algorithm: Algorithm,
        source: impl Read + Send,
        at: &Place,
        verify: impl FnOnce(&Unpacked) -> Result<(), String>,
    ) -> Result<Option<StoredLayer>, ImageError> {
        let bad = |reason: String| ImageError::BadArchive {
            archive: archive.to_owned(),
            reason,
        };
        let temporary = self.temporary(held);
        let path = temporary.path();
        DirBuilder::new()
            .mode(0o755)
            .create(path)
            .map_err(io_error("create", path))?;
        let root = File::open(path).map_err(io_error("open", path))?;
        // The umask must not decide who may enter the root of a container.
        root.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(io_error("change the mode of", path))?;
        let recipe = self.temporary(held);
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(recipe.path())
            .map_err(io_error("create", recipe.path()))?;
        let limits = self.disk_limits()?;
        let lower = open_lower(at)?;
        let unpacked = match unpack_layer(source, algorithm, root.as_fd(), lower, limits, out) {
            Err(TarError::NeedsBelow) if matches!(at, Place::Floating) => return Ok(None),
            other => other.map_err(|error| match error {
                TarError::NoSpace { free } => ImageError::DiskFull {
                    path: self.root.clone(),
                    what: format!(
                        "{archive}, which unpacks to more than the {free} bytes that are free"
                    ),
                },
                TarError::Write { source, .. } | TarError::Read(source)
                    if source.kind() == ErrorKind::StorageFull =>
                {
                    ImageError::DiskFull {
                        path: self.root.clone(),
                        what: archive.to_owned(),
                    }
                }
                error => bad(error.to_string()),
            })?,
        };
        verify(&unpacked).map_err(bad)?;
        let layer = StoredLayer {
            chain: match at {
                Place::On { chain, .. } if unpacked.needs_lower => Some(chain.clone()),
                // The chain of the lowest layer.
                Place::Lowest if unpacked.needs_lower => Some(unpacked.diff_id.clone()),
                Place::On { .. } | Place::Lowest | Place::Floating => None,
            },
            diff_id: unpacked.diff_id,
            size: unpacked.size,
        };
        // First: a layer that is there has its recipe.
        let place = self.recipe_path(layer.key());
        fs::rename(recipe.path(), &place).map_err(io_error("rename", &place))?;
        let target = self.layer_path(layer.key());
        match fs::rename(path, &target) {
            Ok(()) => {}
            // The same layer is there already, whole.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
                ) => {}
            Err(error) => return Err(io_error("rename", &target)(error)),
        }
        Ok(Some(layer))
    }

    /// As [`Self::try_add_layer`], where everything below is here.
    pub(super) fn add_layer(
        &self,
        held: &impl Working,
        archive: &str,
        algorithm: Algorithm,
        source: impl Read + Send,
        at: &Place,
        verify: impl FnOnce(&Unpacked) -> Result<(), String>,
    ) -> Result<StoredLayer, ImageError> {
        self.try_add_layer(held, archive, algorithm, source, at, verify)?
            .ok_or(ImageError::Interrupted)
    }

    /// Enters an image whose layers are all here. A name that another image had moves to this one.
    pub(super) fn add_image(
        &self,
        lock: &WriteLock,
        config: &[u8],
        image: StoredImage,
    ) -> Result<ImageRecord, ImageError> {
        let blob = self.root.join("blobs").join(image.id.blob_path());
        // One that is there but damaged is mended.
        if fs::read(&blob).ok().as_deref() != Some(config) {
            self.write_atomically(lock, &blob, config)?;
        }
        // One flush for everything that was unpacked: an index that survives a power failure must not name
        // layers that did not.
        let root = File::open(&self.root).map_err(io_error("open", &self.root))?;
        syncfs(&root).map_err(|error| io_error("sync", &self.root)(error.into()))?;
        self.enter(lock, image)
    }

    /// As [`Self::add_image`] for an image whose configuration is here already.
    pub(super) fn enter(
        &self,
        lock: &WriteLock,
        image: StoredImage,
    ) -> Result<ImageRecord, ImageError> {
        let id = image.id.clone();
        self.change(lock, |images| {
            for other in images.iter_mut().filter(|other| other.id != id) {
                other.names.retain(|name| !image.names.contains(name));
            }
            match images.iter_mut().find(|known| known.id == id) {
                Some(known) => {
                    let known_names = std::mem::take(&mut known.names);
                    known.names = union(known_names, image.names);
                    let known_digests = std::mem::take(&mut known.repo_digests);
                    known.repo_digests = union(known_digests, image.repo_digests);
                    known.proofs = image.proofs;
                }
                None => images.push(image),
            }
        })?;
        let id = id.to_string();
        self.find(|record| record.id == id)?
            .ok_or(ImageError::NotFound(id))
    }

    /// What the index says of an image.
    pub(super) fn stored(&self, id: &str) -> Result<Option<StoredImage>, ImageError> {
        self.with_cache(|cache| {
            let mut images = cache.images.iter();
            images.find(|image| image.id.to_string() == id).cloned()
        })
    }

    /// Writes what `edit` makes of the list of images, then removes what no image needs any more.
    pub(super) fn change(
        &self,
        lock: &WriteLock,
        edit: impl FnOnce(&mut Vec<StoredImage>),
    ) -> Result<(), ImageError> {
        let mut images = self.with_cache(|cache| cache.images.clone())?;
        edit(&mut images);
        let file = IndexFile {
            version: INDEX_VERSION,
            images,
        };
        let text =
            serde_json::to_vec_pretty(&file).expect("the index holds only strings and numbers");
        self.write_atomically(lock, &self.index_path(), &text)?;
        self.write_atomically(lock, &self.backup_path(), &text)?;
        self.remove_unused(lock)
    }

    pub(super) fn layer_path(&self, key: &Digest) -> PathBuf {
        self.root.join("layers").join(key.hex())
    }

    pub(super) fn recipe_path(&self, key: &Digest) -> PathBuf {
        self.root.join("recipes").join(key.hex())
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn backup_path(&self) -> PathBuf {
        self.root.join("index.backup.json")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(super) fn disk_limits(&self) -> Result<Limits, ImageError> {
        let disk = statvfs(&self.root)
            .map_err(|error| io_error("look at the free space of", &self.root)(error.into()))?;
        Ok(Limits::for_disk(
            disk.f_bavail.saturating_mul(disk.f_frsize),
        ))
    }

    /// Bytes used and bytes altogether of the disk.
    pub(super) fn disk(&self) -> Result<(u64, u64), ImageError> {
        let disk = statvfs(&self.root)
            .map_err(|error| io_error("look at the free space of", &self.root)(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        Ok((all.saturating_sub(free), all))
    }

    pub(super) fn write_atomically(
        &self,
        lock: &WriteLock,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), ImageError> {
        let temporary = self.temporary(lock);
        let write = |path: &Path| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write(temporary.path()).map_err(io_error("write", path))?;
        fs::rename(temporary.path(), path).map_err(io_error("rename", path))?;
        let parent = path.parent().unwrap_or(&self.root);
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(io_error("sync", parent))
    }

    /// Runs `read` on what the index says now.
    fn with_cache<T>(&self, read: impl FnOnce(&Cache) -> T) -> Result<T, ImageError> {
        let path = self.index_path();
        let stamp = match fs::metadata(&path) {
            Ok(found) => Some((found.ino(), found.ctime(), found.ctime_nsec())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("stat", &path)(error)),
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.stamp != stamp {
            *cache = match stamp {
                Some(_) => self.load(&path, stamp)?,
                None => Cache::default(),
            };
        }
        Ok(read(&cache))
    }

    fn load(&self, path: &Path, stamp: Option<Stamp>) -> Result<Cache, ImageError> {
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        let file: IndexFile = serde_json::from_slice(&bytes)
            .map_err(|error| io_error("parse", path)(error.into()))?;
        if file.version != INDEX_VERSION {
            let message = format!(
                "version {} was written by another podtui, this one reads {INDEX_VERSION}",
                file.version
            );
            return Err(io_error("parse", path)(std::io::Error::other(message)));
        }
        // A damaged image must not take the others with it: it is not found, but its files stay until it is
        // loaded again or the user removes them.
        let records = file
            .images
            .iter()
            .filter_map(|image| match self.record(image) {
                Ok(record) => Some(record),
                Err(error) => {
                    let cause = crate::base::chain(&error);
                    tracing::warn!(image = %image.id, cause, "an image of the store is damaged");
                    None
                }
            })
            .collect();
        Ok(Cache {
            stamp,
            images: file.images,
            records,
        })
    }

    fn record(&self, image: &StoredImage) -> Result<ImageRecord, ImageError> {
        let path = self.root.join("blobs").join(image.id.blob_path());
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(CONFIG_MAX).read_to_end(&mut bytes))
            .map_err(io_error("read", &path))?;
        let damaged = |reason: String| ImageError::BadArchive {
            archive: path.display().to_string(),
            reason,
        };
        if Digest::of(&bytes) != image.id {
            return Err(damaged("does not match its digest".to_owned()));
        }
        let parsed = config::parse(&bytes).map_err(damaged)?;
        let layers: Vec<PathBuf> = image
            .layers
            .iter()
            .rev()
            .map(|layer| self.layer_path(layer.key()))
            .collect();
        let layers = without_repetition(layers);
        if let Some(missing) = layers.iter().find(|layer| !layer.is_dir()) {
            return Err(io_error("open", missing)(ErrorKind::NotFound.into()));
        }
        Ok(ImageRecord {
            id: image.id.to_string(),
            names: image.names.clone(),
            repo_digests: image.repo_digests.clone(),
            layers,
            diff_ids: image
                .layers
                .iter()
                .map(|layer| layer.diff_id.to_string())
                .collect(),
            size: image.layers.iter().map(|layer| layer.size).sum(),
            created: parsed.created,
            config: parsed.config,
            layer_sizes: image.layers.iter().map(|layer| layer.size).collect(),
            raw_config: parsed.raw,
            history: parsed.history,
        })
    }

    /// After a crash: half-made files, and layers whose image never came to be.
    fn sweep(&self, lock: &WriteLock) -> Result<(), ImageError> {
        let tmp = self.root.join("tmp");
        for path in entries(&tmp)? {
            drop(Temporary { path });
        }
        for path in entries(&self.root.join("partial"))? {
            let fresh = fs::symlink_metadata(&path)
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < PARTIAL_KEPT));
            if !fresh {
                drop(Temporary { path });
            }
        }
        self.remove_unused(lock)
    }

    /// Layers and blobs that no image of the index names and no pull has leased. A layer goes through
    /// `tmp/`, so that it is never half there under its name.
    pub(super) fn remove_unused(&self, _lock: &WriteLock) -> Result<(), ImageError> {
        let mut doomed = Vec::new();
        // Nobody may lease between the look and the removal.
        self.leases.with_all(|leased| {
            let (layers, blobs) = self.with_cache(|cache| {
                let named = cache.images.iter().flat_map(|image| &image.layers);
                let layers: BTreeSet<String> = named
                    .map(|layer| layer.key().hex().to_owned())
                    .chain(leased.map(|digest| digest.hex().to_owned()))
                    .collect();
                let ids = cache.images.iter();
                let blobs: BTreeSet<String> = ids.map(|image| image.id.hex().to_owned()).collect();
                (layers, blobs)
            })?;
            for (directory, used) in [
                ("layers", &layers),
                ("recipes", &layers),
                ("blobs/sha256", &blobs),
            ] {
                for path in entries(&self.root.join(directory))? {
                    let name = path.file_name().and_then(|name| name.to_str());
                    if name.is_some_and(|name| used.contains(name)) {
                        continue;
                    }
                    let gone = self.unnamed("gone");
                    fs::rename(&path, gone.path()).map_err(io_error("rename", &path))?;
                    doomed.push(gone);
                }
            }
            Ok(())
        })
    }
}

/// Lets ext4 give every directory that is made here a block group of its own ("top directory", Orlov). In the
/// group of its parent it looks at every inode that was freed in the last minutes before it takes one, for
/// each new file: 5,000 files took 4.6 s after others had been removed, and take 0.3 s elsewhere. Other file
/// systems have no such flag and no such need.
fn spread_layers(directory: &Path) {
    let Ok(directory) = File::open(directory) else {
        return;
    };
    if let Ok(flags) = ioctl_getflags(&directory) {
        // Only speed depends on it.
        let _ = ioctl_setflags(&directory, flags | IFlags::TOPDIR);
    }
}

fn open_lower(at: &Place) -> Result<Option<Vec<OwnedFd>>, ImageError> {
    let open = |path: &PathBuf| {
        let opened = File::open(path).map_err(io_error("open", path))?;
        Ok(OwnedFd::from(opened))
    };
    match at {
        Place::Lowest => Ok(Some(Vec::new())),
        Place::Floating => Ok(None),
        Place::On { below, .. } => below.iter().map(open).collect::<Result<_, _>>().map(Some),
    }
}

/// An image may have a layer twice, overlayfs takes a directory once. Topmost first, the later one shows
/// nothing that the earlier one does not show already.
pub(super) fn without_repetition(layers: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut layers = layers;
    layers.retain(|layer| seen.insert(layer.clone()));
    layers
}

pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, ImageError> {
    fs::read_dir(directory)
        .and_then(|list| list.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(io_error("list", directory))
}

fn union(mut list: Vec<String>, more: Vec<String>) -> Vec<String> {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}
