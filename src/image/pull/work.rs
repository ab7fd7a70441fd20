use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::layer::{Held, Turns, Wanted, ensure_layer};
use super::partial::Partial;
use super::progress::{Progress, PullPhase};
use crate::base::Login;
use crate::image::chain::{LayerId, Place};
use crate::image::config::{self, CONFIG_MAX};
use crate::image::credentials::{Credential, CredentialFiles, Proof, PullSecret, of_secrets};
use crate::image::digest::{Digest, HashingReader};
use crate::image::document::{self, Descriptor, Document, Manifest, NESTING_MAX};
use crate::image::reference::Reference;
use crate::image::registry::{
    Endpoint, Http, RegistryError, RegistrySource, Session, endpoints, root,
};
use crate::image::store::{Store, StoredImage, StoredLayer};
use crate::image::{ImageError, ImageRecord};

/// As containerd and docker have it.
const LAYERS_AT_ONCE: usize = 3;

/// What every pull needs.
pub(in crate::image) struct Puller {
    store: Arc<Store>,
    /// Whoever pulls keeps the one it began with.
    http: Mutex<Arc<Http>>,
    /// Where other settings of registries come from.
    source: OnceLock<RegistrySource>,
    credentials: CredentialFiles,
    turns: Turns,
}

impl fmt::Debug for Puller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puller")
            .field("store", &self.store)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// An image found at a registry, before its layers are here.
struct Found {
    /// Of what the name stands for: an index, or a manifest.
    digest: Digest,
    manifest: Manifest,
    config: Vec<u8>,
    diff_ids: Vec<Digest>,
}

impl Puller {
    pub(in crate::image) fn new(
        store: Arc<Store>,
        http: Http,
        credentials: CredentialFiles,
    ) -> Self {
        Self {
            store,
            http: Mutex::new(Arc::new(http)),
            source: OnceLock::new(),
            credentials,
            turns: Turns::default(),
        }
    }

    /// Asks there for settings from now on; only the first source counts.
    pub(in crate::image) fn follow(&self, source: RegistrySource) {
        let _ = self.source.set(source);
    }

    /// With the settings of now.
    fn http(&self) -> Arc<Http> {
        let changed = self.source.get().and_then(|source| source());
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = changed {
            *http = Arc::new(Http::new(settings));
        }
        Arc::clone(&http)
    }

    /// Whether the owner of these secrets may use an image that is here.
    pub(in crate::image) async fn may_use(
        &self,
        reference: &Reference,
        record: &ImageRecord,
        secrets: &[PullSecret],
    ) -> Result<bool, ImageError> {
        let proofs = self
            .store
            .stored(&record.id)?
            .map(|image| image.proofs)
            .unwrap_or_default();
        if proofs.is_empty() {
            return Ok(true);
        }
        let name = reference.repository();
        let shown = self.credentials.candidates(secrets, &name).await;
        let mut shown = shown.iter().flatten();
        Ok(shown.any(|credential| proofs.iter().any(|proof| proof.is_of(credential))))
    }

    /// Whether a registry takes a login. One that asks nobody takes every one.
    pub(in crate::image) async fn check_login(
        &self,
        registry: &str,
        login: &Login,
    ) -> Result<(), ImageError> {
        let http = self.http();
        let endpoint = root(http.settings(), registry);
        let credential = Credential::Password {
            username: login.username.clone(),
            password: login.password.clone(),
        };
        let session = Session::new(http, endpoint, Some(credential));
        Ok(session.check().await?)
    }

    /// Asks every place, and there with every credential, until one gives the image.
    pub(super) async fn pull(
        &self,
        reference: &Reference,
        secrets: &[PullSecret],
        progress: &Progress,
    ) -> Result<ImageRecord, ImageError> {
        progress.phase(PullPhase::Resolving);
        let binding: Vec<PullSecret> = secrets
            .iter()
            .filter(|secret| !secret.name.is_empty())
            .cloned()
            .collect();
        let mut failures: Vec<(Endpoint, RegistryError)> = Vec::new();
        let http = self.http();
        for endpoint in endpoints(http.settings(), reference) {
            let name = &endpoint.credential_name;
            let own = of_secrets(&binding, name);
            let mut denied = None;
            for credential in self.credentials.candidates(secrets, name).await {
                let secret = credential.clone().filter(|shown| own.contains(shown));
                let session = Session::new(Arc::clone(&http), endpoint.clone(), credential);
                let secret = secret.as_ref();
                match self.pull_from(reference, &session, secret, progress).await {
                    Err(ImageError::Registry(error)) if error.is_denied() => denied = Some(error),
                    Err(ImageError::Registry(error)) => {
                        denied = Some(error);
                        break;
                    }
                    other => return other,
                }
            }
            failures.extend(denied.map(|error| (endpoint, error)));
        }
        Err(failure(failures))
    }

    async fn pull_from(
        &self,
        reference: &Reference,
        session: &Session,
        secret: Option<&Credential>,
        progress: &Progress,
    ) -> Result<ImageRecord, ImageError> {
        if let Some(here) = self.current(reference, session, secret).await? {
            return Ok(here);
        }
        let found = find(reference, session).await?;
        let layers = found.manifest.layers.iter();
        progress.layers(layers.map(|layer| (layer.digest.clone(), layer.size)));
        progress.phase(PullPhase::Fetching);
        let layers = self.layers(&found, session, progress).await;
        if matches!(layers, Err(ImageError::DiskFull { .. })) {
            // Elsewhere they are gone on with; here they are in the way.
            let manifest = found.manifest.clone();
            self.blocking(move |store| {
                remove_downloads(store, &manifest);
                Ok(())
            })
            .await?;
        }
        let layers = layers?;
        progress.phase(PullPhase::Finishing);
        self.enter(reference, found, layers, secret).await
    }

    /// All layers, side by side; in a second round, from the bottom up, those that need what is below them.
    async fn layers(
        &self,
        found: &Found,
        session: &Session,
        progress: &Progress,
    ) -> Result<Vec<(StoredLayer, Held)>, ImageError> {
        let (store, turns) = (&self.store, &self.turns);
        let ids = LayerId::all(&found.diff_ids);
        let pairs = found.manifest.layers.iter().zip(&ids);
        // Collected first: a closure in a stream makes the future too hard to prove Send for the compiler.
        let work: Vec<_> = pairs
            .clone()
            .enumerate()
            .map(|(number, (descriptor, id))| {
                let at = match number {
                    0 => &Place::Lowest,
                    _ => &Place::Floating,
                };
                let wanted = Wanted { descriptor, id, at };
                ensure_layer(store, session, turns, wanted, progress)
            })
            .collect();
        let first: Vec<(Option<StoredLayer>, Held)> =
            iter(work).buffered(LAYERS_AT_ONCE).try_collect().await?;
        let (mut layers, mut leases) = (Vec::new(), Vec::new());
        for ((descriptor, id), (layer, held)) in pairs.zip(first) {
            let (layer, held) = match layer {
                Some(layer) => (layer, held),
                None => {
                    let at = &store.place(&layers, id);
                    let wanted = Wanted { descriptor, id, at };
                    let (layer, held) =
                        ensure_layer(store, session, turns, wanted, progress).await?;
                    (layer.ok_or(ImageError::Interrupted)?, held)
                }
            };
            layers.push(layer);
            leases.push(held);
        }
        Ok(layers.into_iter().zip(leases).collect())
    }

    /// The image if it is here and up to date: `Always` costs one small request when nothing has changed.
    async fn current(
        &self,
        reference: &Reference,
        session: &Session,
        secret: Option<&Credential>,
    ) -> Result<Option<ImageRecord>, ImageError> {
        let digest = match (reference.digest(), reference.tag()) {
            // Asked all the same, because the registry decides who may have it.
            (Some(digest), _) => session.digest(&digest.to_string()).await?,
            (None, tag) => session.digest(tag.unwrap_or("latest")).await?,
        };
        let Some(digest) = digest else {
            return Ok(None);
        };
        let wanted = format!("{}@{digest}", reference.repository());
        let Some(record) = self
            .store
            .find(|record| record.repo_digests.contains(&wanted))?
        else {
            return Ok(None);
        };
        let Some(stored) = self.store.stored(&record.id)? else {
            return Ok(None);
        };
        let named = reference
            .tagged()
            .is_none_or(|name| reference.digest().is_some() || record.names.contains(&name));
        let proofs = proofs(secret, &stored.proofs);
        if named && proofs == stored.proofs {
            return Ok(Some(record));
        }
        let image = StoredImage {
            names: names(reference),
            proofs,
            ..stored
        };
        self.blocking(move |store| {
            let lock = store.lock()?;
            store.enter(&lock, image)
        })
        .await
        .map(Some)
    }

    /// Config, names and index: from here on the image is there.
    async fn enter(
        &self,
        reference: &Reference,
        found: Found,
        layers: Vec<(StoredLayer, Held)>,
        secret: Option<&Credential>,
    ) -> Result<ImageRecord, ImageError> {
        let id = Digest::of(&found.config);
        let known = self.store.stored(&id.to_string())?;
        let proofs = match &known {
            Some(image) => proofs(secret, &image.proofs),
            None => secret.map(Proof::of).into_iter().collect(),
        };
        let (layers, held): (Vec<StoredLayer>, Vec<Held>) = layers.into_iter().unzip();
        let image = StoredImage {
            id,
            names: names(reference),
            repo_digests: vec![format!("{}@{}", reference.repository(), found.digest)],
            layers,
            proofs,
        };
        let entered = self
            .blocking(move |store| {
                let lock = store.lock()?;
                // First: once the image is there, no pull comes to clear them away.
                remove_downloads(store, &found.manifest);
                store.add_image(&lock, &found.config, image)
            })
            .await;
        drop(held);
        entered
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let store = Arc::clone(&self.store);
        let root = store.root().to_owned();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| {
            Err(ImageError::Io {
                operation: "work on",
                path: root,
                source: std::io::Error::other(error),
            })
        })
    }
}

fn remove_downloads(store: &Store, manifest: &Manifest) {
    for layer in &manifest.layers {
        Partial::remove(&store.partial_path(&layer.digest));
    }
}

/// A pull by digest gives no name: the tag beside a digest is only a comment.
fn names(reference: &Reference) -> Vec<String> {
    match reference.digest() {
        Some(_) => Vec::new(),
        None => reference.tagged().into_iter().collect(),
    }
}

/// Who may use an image that is here, once it was pulled with this secret of a pod. Empty: anybody, because
/// some pull needed no secret.
fn proofs(secret: Option<&Credential>, known: &[Proof]) -> Vec<Proof> {
    let Some(secret) = secret else {
        return Vec::new();
    };
    let mut proofs = known.to_vec();
    if !known.is_empty() && !known.iter().any(|proof| proof.is_of(secret)) {
        proofs.push(Proof::of(secret));
    }
    proofs
}

/// What the registry itself said, and what its mirrors said before.
fn failure(mut failures: Vec<(Endpoint, RegistryError)>) -> ImageError {
    let Some((_, last)) = failures.pop() else {
        return ImageError::Interrupted;
    };
    if failures.is_empty() {
        return last.into();
    }
    let mirrors: Vec<String> = failures
        .iter()
        .map(|(endpoint, error)| format!("mirror {}: {error}", endpoint.host))
        .collect();
    ImageError::EveryPlace {
        last: Box::new(last),
        mirrors: mirrors.join("; "),
    }
}

async fn find(reference: &Reference, session: &Session) -> Result<Found, ImageError> {
    let name = match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    };
    let bad = |reason: String| ImageError::BadArchive {
        archive: reference.to_string(),
        reason,
    };
    let served = session.manifest(&name).await?;
    let digest = match reference.digest() {
        Some(wanted) => {
            check_digest(&served.bytes, wanted).map_err(bad)?;
            wanted.clone()
        }
        None => Digest::of(&served.bytes),
    };
    let mut current = document::parse(&served.bytes, &served.media_type, &name).map_err(bad)?;
    let mut depth = 0;
    let manifest = loop {
        match current {
            Document::Manifest(manifest) => break manifest,
            Document::Index(list) => {
                depth += 1;
                if depth > NESTING_MAX {
                    return Err(bad(format!(
                        "an index inside an index, more than {NESTING_MAX} deep"
                    )));
                }
                let chosen = document::choose(&list).ok_or_else(|| {
                    bad(format!(
                        "it has no image for {}; it has {}",
                        document::this_machine(),
                        document::platforms(&list)
                    ))
                })?;
                let name = chosen.digest.to_string();
                let served = session.manifest(&name).await?;
                chosen.verify(&served.bytes, &name).map_err(bad)?;
                current = document::parse(&served.bytes, &chosen.media_type, &name).map_err(bad)?;
            }
        }
    };
    if let Some(foreign) = manifest.layers.iter().find(|layer| layer.is_foreign()) {
        return Err(bad(format!(
            "layer {} is foreign (nondistributable): its content is not for registries to give, and podtui fetches nothing from addresses in a manifest; load the image from an archive that holds the layer",
            foreign.digest
        )));
    }
    let config = read_config(session, &manifest.config, &bad).await?;
    let parsed = config::parse(&config).map_err(bad)?;
    parsed.check_machine().map_err(bad)?;
    if parsed.diff_ids.len() != manifest.layers.len() {
        return Err(bad(format!(
            "the manifest lists {} layers, the image configuration {}",
            manifest.layers.len(),
            parsed.diff_ids.len()
        )));
    }
    Ok(Found {
        digest,
        manifest,
        config,
        diff_ids: parsed.diff_ids,
    })
}

async fn read_config(
    session: &Session,
    descriptor: &Descriptor,
    bad: &impl Fn(String) -> ImageError,
) -> Result<Vec<u8>, ImageError> {
    if descriptor.size > CONFIG_MAX {
        return Err(bad(format!(
            "its configuration has {} bytes, more than {CONFIG_MAX}",
            descriptor.size
        )));
    }
    let mut bytes = Vec::new();
    let mut blob = session.blob(&descriptor.digest, 0).await?;
    while let Some(piece) = blob.content.next().await {
        bytes.extend_from_slice(&piece?);
        // The promised size is what counts, however much is sent.
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > descriptor.size {
            break;
        }
    }
    let name = format!("configuration {}", descriptor.digest);
    descriptor.verify(&bytes, &name).map_err(bad)?;
    Ok(bytes)
}

fn check_digest(bytes: &[u8], wanted: &Digest) -> Result<(), String> {
    let mut reader = HashingReader::new(bytes, wanted.algorithm());
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| error.to_string())?;
    let (found, _) = reader.finish();
    if found == *wanted {
        Ok(())
    } else {
        Err(format!(
            "the registry sent a manifest with the digest {found}"
        ))
    }
}
