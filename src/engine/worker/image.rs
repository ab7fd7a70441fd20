use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Secret};

use super::task::PodWorker;
use crate::base::chain;
use crate::engine::plan::END_SHOWN_FOR;
use crate::engine::recorder::Level;
use crate::engine::status::Why;
use crate::image::{Asker, ImageError, ImageRecord, PullSecret, PullSecretKind};

/// A container cannot be started now.
#[derive(Debug)]
pub(super) struct NotNow {
    pub(super) why: Why,
    pub(super) retry_after: Duration,
}

impl NotNow {
    pub(super) fn new(reason: &str, message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            why: Why {
                reason: reason.to_owned(),
                message: message.into(),
            },
            retry_after,
        }
    }
}

/// Retry of failures that have no back-off of their own (kubelet `backOffPeriod`).
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// Images of this registry name exist only in the local store, so the local store is where `Always` looks.
const LOCAL: &str = "localhost/";

impl PodWorker {
    /// The image of this container, pulled if its policy says so.
    pub(super) async fn ensure_image(
        &mut self,
        container: &Container,
    ) -> Result<ImageRecord, NotNow> {
        let name = container.image.clone().unwrap_or_default();
        let policy = container.image_pull_policy.as_deref();
        let always = match policy {
            Some("Always") => true,
            Some(_) => false,
            None => {
                name.ends_with(":latest") || !name.rsplit('/').next().unwrap_or("").contains(':')
            }
        } && !name.starts_with(LOCAL);
        let secrets = self.pull_secrets();
        let present = match self.usable(&name, &secrets).await {
            Ok(present) => present,
            Err(error) => return Err(self.inspect_failed(container, &name, &error)),
        };
        match present {
            Some(image) if !always => {
                self.container_event(
                    container,
                    Level::Normal,
                    "Pulled",
                    format!(
                        "Container image \"{name}\" already present on machine and can be accessed by the pod"
                    ),
                );
                Ok(image)
            }
            None if policy == Some("Never") => {
                let text =
                    format!("Container image \"{name}\" is not present with pull policy of Never");
                self.container_event(container, Level::Warning, "ErrImageNeverPull", text.clone());
                self.failed(container, "ErrImageNeverPull");
                Err(NotNow::new("ErrImageNeverPull", text, RETRY))
            }
            Some(_) | None => self.pull(container, &name, &secrets).await,
        }
    }

    /// The layers of the image volumes that this container mounts, by volume; pulled as its own image is,
    /// with the same words.
    pub(super) async fn ensure_image_volumes(
        &mut self,
        container: &Container,
    ) -> Result<BTreeMap<String, Vec<PathBuf>>, NotNow> {
        let mounted = |name: &str| {
            let mut mounts = container.volume_mounts.iter().flatten();
            mounts.any(|mount| mount.name == name)
        };
        let volumes = self.pod.spec.iter().flat_map(|spec| &spec.volumes);
        let wanted: Vec<(String, Container)> = volumes
            .flatten()
            .filter(|volume| mounted(&volume.name))
            .filter_map(|volume| {
                let source = volume.image.as_ref()?;
                let as_container = Container {
                    name: container.name.clone(),
                    image: source.reference.clone(),
                    image_pull_policy: source.pull_policy.clone(),
                    ..Container::default()
                };
                Some((volume.name.clone(), as_container))
            })
            .collect();
        let mut layers = BTreeMap::new();
        for (volume, source) in wanted {
            let image = self.ensure_image(&source).await?;
            layers.insert(volume, image.layers);
        }
        Ok(layers)
    }

    /// The image if it is here and this pod may use it.
    async fn usable(
        &self,
        name: &str,
        secrets: &PullSecrets,
    ) -> Result<Option<ImageRecord>, ImageError> {
        let images = &self.machine.images;
        let Some(image) = images.status(name).await? else {
            return Ok(None);
        };
        let may_use = images.may_use(name, &image, &secrets.found).await?;
        Ok(may_use.then_some(image))
    }

    fn pull_secrets(&self) -> PullSecrets {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let names = self.pod.spec.iter().flat_map(|spec| {
            let references = spec.image_pull_secrets.iter().flatten();
            references.map(|reference| reference.name.clone())
        });
        pull_secrets(names, |name| {
            self.machine.store.get::<Secret>(namespace, name)
        })
    }

    fn inspect_failed(&self, container: &Container, name: &str, error: &ImageError) -> NotNow {
        let (reason, text) = match error {
            ImageError::InvalidName { .. } => (
                "InvalidImageName",
                format!("Failed to apply default image tag \"{name}\": {error}"),
            ),
            error => (
                "ImageInspectError",
                format!("Failed to inspect image \"{name}\": {}", chain(error)),
            ),
        };
        self.container_event(container, Level::Warning, "InspectFailed", text.clone());
        self.failed(container, reason);
        NotNow::new(reason, text, RETRY)
    }

    async fn pull(
        &mut self,
        container: &Container,
        name: &str,
        secrets: &PullSecrets,
    ) -> Result<ImageRecord, NotNow> {
        let now = self.machine.clock.now();
        if let Some(wait) = self.pull_backoffs.wait_since_step(name, now) {
            let last = self.pull_errors.get(name).cloned().unwrap_or_default();
            let shown_at = wait
                .until
                .checked_sub(wait.delay)
                .and_then(|failed_at| failed_at.checked_add(END_SHOWN_FOR))
                .unwrap_or(now);
            if let Ok(rest) = Duration::try_from(shown_at.duration_since(now))
                && !rest.is_zero()
            {
                return Err(NotNow::new("ErrImagePull", last, rest));
            }
            let text = format!("Back-off pulling image \"{name}\"");
            self.container_event(container, Level::Normal, "BackOff", text.clone());
            self.failed(container, "ImagePullBackOff");
            let after = Duration::try_from(wait.until.duration_since(now)).unwrap_or(RETRY);
            return Err(NotNow::new(
                "ImagePullBackOff",
                format!("{text}: ErrImagePull: {last}"),
                after,
            ));
        }
        self.container_event(
            container,
            Level::Normal,
            "Pulling",
            format!("Pulling image \"{name}\""),
        );
        if !secrets.missing.is_empty() {
            let missing = secrets.missing.join(", ");
            let text = format!(
                "Unable to retrieve some image pull secrets ({missing}); attempting to pull the image may not succeed."
            );
            self.event(Level::Warning, "FailedToRetrieveImagePullSecret", text);
        }
        // Dropped with this pass when the pod is deleted, which ends a pull that nobody else waits for.
        match self
            .machine
            .images
            .pull(name, &secrets.found, Asker::Pod)
            .await
        {
            Ok(pulled) => {
                self.pull_backoffs.forget(name);
                self.pull_errors.remove(name);
                self.container_event(
                    container,
                    Level::Normal,
                    "Pulled",
                    format!(
                        "Successfully pulled image \"{name}\" in {} ({} including waiting). Image size: {} bytes.",
                        go_duration(pulled.took),
                        go_duration(pulled.with_waiting),
                        pulled.image.size
                    ),
                );
                Ok(pulled.image)
            }
            Err(error) => {
                let text = chain(&error);
                let now = self.machine.clock.now();
                self.pull_backoffs.step(name.to_owned(), now, now);
                self.pull_errors.insert(name.to_owned(), text.clone());
                self.container_event(
                    container,
                    Level::Warning,
                    "Failed",
                    format!("Failed to pull image \"{name}\": {text}"),
                );
                self.failed(container, "ErrImagePull");
                // The next look shows the back-off.
                Err(NotNow::new("ErrImagePull", text, END_SHOWN_FOR))
            }
        }
    }

    /// `Failed` with `Error: …`, the event that follows every refusal to start.
    pub(super) fn failed(&self, container: &Container, what: &str) {
        self.container_event(
            container,
            Level::Warning,
            "Failed",
            format!("Error: {what}"),
        );
    }
}

/// The secrets of a pod that hold credentials of registries, and the names of those that are not there.
#[derive(Debug, Default)]
struct PullSecrets {
    found: Vec<PullSecret>,
    missing: Vec<String>,
}

fn pull_secrets(
    names: impl Iterator<Item = String>,
    get: impl Fn(&str) -> Option<Arc<Secret>>,
) -> PullSecrets {
    let mut secrets = PullSecrets::default();
    for name in names {
        // A secret of another type holds nothing for a registry; the kubelet passes over it as well.
        match get(&name) {
            Some(secret) => secrets.found.extend(pull_secret(name, &secret)),
            None => secrets.missing.push(name),
        }
    }
    secrets
}

fn pull_secret(name: String, secret: &Secret) -> Option<PullSecret> {
    let (kind, key) = match secret.type_.as_deref()? {
        "kubernetes.io/dockerconfigjson" => (PullSecretKind::DockerConfigJson, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => (PullSecretKind::DockerCfg, ".dockercfg"),
        _ => return None,
    };
    let data = secret.data.as_ref()?.get(key)?.0.clone();
    Some(PullSecret { name, kind, data })
}

/// Go's text of a duration, cut to the millisecond: `0s`, `345ms`, `1.2s`, `1m2.5s`.
fn go_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    if milliseconds < 1000 {
        return format!("{milliseconds}ms");
    }
    let fraction = format!("{:03}", milliseconds % 1000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", milliseconds / 1000 % 60);
    match (milliseconds / 3_600_000, milliseconds / 60_000 % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let check = |milliseconds: u64, expected: &str| {
            assert_eq!(go_duration(Duration::from_millis(milliseconds)), expected);
        };
        check(0, "0s");
        check(345, "345ms");
        check(1000, "1s");
        check(1200, "1.2s");
        check(1045, "1.045s");
        check(62_500, "1m2.5s");
        check(3_600_000, "1h0m0s");
    }
}
