use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::credentials::{CredentialFiles, PullSecret};
use super::pull::{Asker, PullOutcome, PullProgress, PullRate, Puller, Pulls};
use super::reference::Reference;
use super::registry::{Http, RegistrySettings, RegistrySource};
use super::save::Saving;
use super::store::Store;
use super::usage::{self, StoreUsage};
use super::{ImageError, ImageRecord, ImageService, import, load, remove, tag, toolbox};
use crate::base::Login;

/// Digits from which an image can be named by the beginning of its ID.
const ID_PREFIX_MIN: usize = 6;
/// Pieces of an archive between the disk and whoever saves it.
const SAVED_CHUNKS: usize = 8;

/// The image store below the state directory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LocalImages {
    store: Arc<Store>,
    puller: Arc<Puller>,
    pulls: Arc<Pulls>,
}

/// What the configuration says about images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageSettings {
    pub(crate) registries: RegistrySettings,
    pub(crate) credentials: CredentialFiles,
    /// Pulls beside each other; 1 is the kubelet's `serializeImagePulls`.
    pub(crate) pulls_at_once: usize,
    pub(crate) pull_rate: PullRate,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            registries: RegistrySettings::default(),
            credentials: CredentialFiles::default(),
            pulls_at_once: 1,
            pull_rate: PullRate::default(),
        }
    }
}

impl LocalImages {
    /// Opens (and makes) the store in `directory` and clears away what a crash left there. Blocking.
    pub(crate) fn open(directory: &Path, settings: ImageSettings) -> Result<Self, ImageError> {
        let store = Arc::new(Store::open(directory)?);
        let puller = Arc::new(Puller::new(
            Arc::clone(&store),
            Http::new(settings.registries),
            settings.credentials,
        ));
        Ok(Self {
            store,
            pulls: Arc::new(Pulls::new(
                Arc::clone(&puller),
                settings.pulls_at_once,
                settings.pull_rate,
            )),
            puller,
        })
    }

    /// Pulls take their settings of registries from there, as they are when a pull begins.
    pub(crate) fn follow(&self, source: RegistrySource) {
        self.puller.follow(source);
    }

    /// What was mended when the store was opened, for the user.
    pub(crate) fn repaired(&self) -> Option<String> {
        self.store.repaired.clone()
    }

    /// File work happens on threads that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| {
            Err(ImageError::Io {
                operation: "work on",
                path: PathBuf::from("the image store"),
                source: std::io::Error::other(error),
            })
        })
    }
}

#[async_trait]
impl ImageService for LocalImages {
    async fn status(&self, reference: &str) -> Result<Option<ImageRecord>, ImageError> {
        // The usual answer costs one stat(2); only a new image is worth another thread.
        match find(&self.store, reference)? {
            Found::Image(record) => Ok(Some(*record)),
            Found::Nothing => Ok(None),
            Found::NeedsToolbox => self.run(|store| toolbox::assemble(store).map(Some)).await,
        }
    }

    async fn may_use(
        &self,
        reference: &str,
        image: &ImageRecord,
        secrets: &[PullSecret],
    ) -> Result<bool, ImageError> {
        // By ID: whoever knows it has seen the image.
        let Ok(reference) = Reference::parse(reference) else {
            return Ok(true);
        };
        self.puller.may_use(&reference, image, secrets).await
    }

    async fn pull(
        &self,
        reference: &str,
        secrets: &[PullSecret],
        asker: Asker,
    ) -> Result<PullOutcome, ImageError> {
        let reference = Reference::parse(reference)?;
        self.pulls.pull(reference, secrets.to_owned(), asker).await
    }

    fn pulls(&self) -> Vec<PullProgress> {
        self.pulls.progress()
    }

    fn known(&self, reference: &str) -> Result<Option<String>, ImageError> {
        Ok(match find(&self.store, reference)? {
            Found::Image(record) => Some(record.id),
            Found::Nothing | Found::NeedsToolbox => None,
        })
    }

    async fn usage(&self) -> Result<StoreUsage, ImageError> {
        let pulls = self.pulls.progress();
        self.run(move |store| usage::usage(store, &pulls)).await
    }

    async fn disk(&self) -> Result<(u64, u64), ImageError> {
        self.run(Store::disk).await
    }

    async fn remove_partial(&self) -> Result<u64, ImageError> {
        let pulls = self.pulls.progress();
        self.run(move |store| usage::remove_partial(store, &pulls))
            .await
    }

    async fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        self.run(Store::records).await
    }

    async fn import(&self, tar: &Path, name: &str) -> Result<ImageRecord, ImageError> {
        let (tar, name) = (tar.to_owned(), name.to_owned());
        self.run(move |store| import::import(store, &tar, &name))
            .await
    }

    async fn tag(&self, image: &str, name: &str) -> Result<Vec<String>, ImageError> {
        let (image, name) = (image.to_owned(), name.to_owned());
        self.run(move |store| tag::tag(store, &image, &name)).await
    }

    async fn untag(&self, name: &str) -> Result<Vec<String>, ImageError> {
        let name = name.to_owned();
        self.run(move |store| tag::untag(store, &name)).await
    }

    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ImageError> {
        self.puller.check_login(registry, login).await
    }

    async fn load(&self, path: &Path) -> Result<Vec<String>, ImageError> {
        let path = path.to_owned();
        self.run(move |store| load::load(store, &path)).await
    }

    async fn load_from_daemon(&self, socket: &Path, name: &str) -> Result<Vec<String>, ImageError> {
        let (busy, archive) = self
            .run(|store| {
                let busy = store.busy()?;
                let archive = store.temporary(&busy);
                Ok((busy, archive))
            })
            .await?;
        load::export(socket, name, archive.path()).await?;
        self.run(move |store| {
            let names = load::load(store, archive.path());
            drop((archive, busy));
            names
        })
        .await
    }

    async fn save(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ImageError>>, ImageError> {
        // The toolbox is there as soon as somebody asks for it.
        for name in names {
            self.status(name).await?;
        }
        let (shared, names) = (Arc::clone(&self.store), names.to_owned());
        let saving = self.run(move |_| Saving::prepare(&shared, &names)).await?;
        let (out, chunks) = mpsc::channel(SAVED_CHUNKS);
        drop(tokio::task::spawn_blocking(move || saving.run(out)));
        Ok(ReceiverStream::new(chunks).boxed())
    }

    async fn remove(
        &self,
        name: &str,
        force: bool,
        users: &[String],
    ) -> Result<Vec<String>, ImageError> {
        let (name, users) = (name.to_owned(), users.to_owned());
        self.run(move |store| remove::remove(store, &name, force, &users))
            .await
    }
}

#[derive(Debug)]
pub(super) enum Found {
    Image(Box<ImageRecord>),
    Nothing,
    /// The toolbox was asked for and has not been put together yet.
    NeedsToolbox,
}

/// By ID, by name in any form, or by the beginning of an ID.
pub(super) fn find(store: &Store, text: &str) -> Result<Found, ImageError> {
    if let Some(record) = by_id(store, text)? {
        return Ok(Found::Image(Box::new(record)));
    }
    if is_id(text) {
        return Ok(Found::Nothing);
    }
    let reference = Reference::parse(text)?;
    let record = match (reference.digest(), reference.tagged()) {
        // A digest says exactly which image is meant; the tag beside it is only a comment.
        (Some(digest), _) => {
            let wanted = format!("{}@{digest}", reference.repository());
            store.find(|record| record.repo_digests.contains(&wanted))?
        }
        (None, Some(tagged)) => store.find(|record| record.names.contains(&tagged))?,
        (None, None) => None,
    };
    if let Some(record) = record {
        return Ok(Found::Image(Box::new(record)));
    }
    if reference.to_string() == toolbox::NAME {
        return Ok(Found::NeedsToolbox);
    }
    Ok(by_prefix(store, text)?.map_or(Found::Nothing, |record| Found::Image(Box::new(record))))
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `sha256:` and 64 digits, or the digits alone, which are never a name.
fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() == 64 && is_hex(hex)
}

fn by_id(store: &Store, text: &str) -> Result<Option<ImageRecord>, ImageError> {
    if !is_id(text) {
        return Ok(None);
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    store.find(|record| record.id.strip_prefix("sha256:") == Some(hex))
}

/// `None` also when several images begin like this.
fn by_prefix(store: &Store, text: &str) -> Result<Option<ImageRecord>, ImageError> {
    if text.len() < ID_PREFIX_MIN || !is_hex(text) {
        return Ok(None);
    }
    let records = store.records()?;
    let mut fitting = records.into_iter().filter(|record| {
        record
            .id
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.starts_with(text))
    });
    let first = fitting.next();
    Ok(if fitting.next().is_some() {
        None
    } else {
        first
    })
}
