use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::docker::{DockerConfig, parse_dockercfg};
use super::helper;
use super::keyring::{Keyring, normal};
use super::secret::Credential;
use crate::base::Login;
use crate::image::ImageError;
use crate::image::reference::Reference;

/// Larger ones are not read.
const FILE_MAX: u64 = 1 << 20;

/// Types of the Secrets that hold credentials of registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PullSecretKind {
    /// `kubernetes.io/dockerconfigjson`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`.
    DockerCfg,
}

/// A Secret of a pod's `imagePullSecrets`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PullSecret {
    /// For messages; empty where a user gave it for one pull, which binds nobody to have it too.
    pub(crate) name: String,
    pub(crate) kind: PullSecretKind,
    /// The value of `.dockerconfigjson` or `.dockercfg`.
    pub(crate) data: Vec<u8>,
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl PullSecret {
    /// A login of the user's own for the registry of an image.
    ///
    /// # Errors
    /// The name of the image is none.
    pub(crate) fn of_user(image: &str, login: &Login) -> Result<Self, ImageError> {
        let domain = Reference::parse(image)?.domain().to_owned();
        let entry = json!({"username": login.username, "password": login.password});
        Ok(Self {
            name: String::new(),
            kind: PullSecretKind::DockerConfigJson,
            data: json!({"auths": {domain: entry}}).to_string().into_bytes(),
        })
    }

    fn keyring(&self) -> Result<Keyring, String> {
        match self.kind {
            PullSecretKind::DockerConfigJson => {
                DockerConfig::parse(&self.data).and_then(|config| config.keyring())
            }
            PullSecretKind::DockerCfg => parse_dockercfg(&self.data),
        }
    }
}

/// Where the user of the engine keeps credentials. Read anew for every pull: a login counts at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CredentialFiles {
    /// Later ones are tried after earlier ones; missing ones are fine.
    pub(crate) files: Vec<PathBuf>,
}

impl CredentialFiles {
    /// The usual places, as `docker login`, `podman login` and containers-auth.json(5) have them.
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let docker = variable("DOCKER_CONFIG")
            .or_else(|| variable("HOME").map(|home| home.join(".docker")))
            .map(|directory| directory.join("config.json"));
        let podman = variable("REGISTRY_AUTH_FILE").or_else(|| {
            variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"))
        });
        let kept = variable("HOME").map(|home| home.join(".config/containers/auth.json"));
        Self {
            files: [podman, kept, docker].into_iter().flatten().collect(),
        }
    }

    /// What to show for `name` (`host[:port]/path`), in the order to try: the pod's secrets, then the user's
    /// files. `[None]` when there is nothing: then anonymously.
    pub(in crate::image) async fn candidates(
        &self,
        secrets: &[PullSecret],
        name: &str,
    ) -> Vec<Option<Credential>> {
        let mut found = of_secrets(secrets, name);
        for file in &self.files {
            found.extend(of_file(file, name).await);
        }
        let mut unique: Vec<Option<Credential>> = Vec::new();
        for credential in found {
            if !unique.contains(&Some(credential.clone())) {
                unique.push(Some(credential));
            }
        }
        if unique.is_empty() {
            unique.push(None);
        }
        unique
    }
}

/// A secret that cannot be read is worth a warning; the others may do.
pub(in crate::image) fn of_secrets(secrets: &[PullSecret], name: &str) -> Vec<Credential> {
    // The entries of all secrets are one keyring, so a more specific one of a later secret comes first.
    let mut all = Keyring::default();
    for secret in secrets {
        match secret.keyring() {
            Ok(keyring) => all.extend(keyring),
            Err(error) => {
                tracing::warn!(
                    secret = secret.name,
                    error,
                    "an image pull secret is unreadable"
                );
            }
        }
    }
    all.lookup(name)
}

async fn of_file(path: &Path, name: &str) -> Vec<Credential> {
    let read = read(path).await.and_then(|bytes| match bytes {
        Some(bytes) => DockerConfig::parse(&bytes).map(Some),
        None => Ok(None),
    });
    let config = match read {
        Ok(Some(config)) => config,
        Ok(None) => return Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "credentials are unreadable");
            return Vec::new();
        }
    };
    let mut found = match config.keyring() {
        Ok(keyring) => keyring.lookup(name),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "credentials are unreadable");
            Vec::new()
        }
    };
    if let Some((helper, registry)) = helper_for(&config, name) {
        match helper::ask(&helper, &registry).await {
            Ok(credential) => found.splice(0..0, credential).for_each(drop),
            Err(error) => tracing::warn!(error, registry, "a credential helper gave nothing"),
        }
    }
    found
}

/// Helper and the name to ask it for: the registry's own, else the store.
fn helper_for(config: &DockerConfig, name: &str) -> Option<(String, String)> {
    let host = name.split('/').next().unwrap_or(name);
    let is_hub = host == "docker.io";
    let concerns = |key: &str| {
        let key = normal(key);
        key == host || (is_hub && key == "index.docker.io")
    };
    if let Some((key, helper)) = config.helpers.iter().find(|(key, _)| concerns(key)) {
        return Some((helper.clone(), key.clone()));
    }
    let store = config.store.clone()?;
    let listed = config.listed().find(|key| concerns(key));
    let default = if is_hub {
        "https://index.docker.io/v1/"
    } else {
        host
    };
    Some((store, listed.unwrap_or(default).to_owned()))
}

async fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let path = path.to_owned();
    let work = move || -> std::io::Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
            return Err(std::io::Error::other(format!(
                "larger than {FILE_MAX} bytes"
            )));
        }
        Ok(Some(bytes))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
