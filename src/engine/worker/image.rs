use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Container;

use super::task::PodWorker;
use crate::base::chain;
use crate::engine::plan::END_SHOWN_FOR;
use crate::engine::recorder::Level;
use crate::engine::status::Why;
use crate::image::{ImageError, ImageRecord};

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
        let present = match self.machine.images.status(&name).await {
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
            Some(_) | None => self.pull(container, &name).await,
        }
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

    async fn pull(&mut self, container: &Container, name: &str) -> Result<ImageRecord, NotNow> {
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
        let asked = Instant::now();
        let turn = self.machine.pulls.lock().await;
        let began = Instant::now();
        let pulled = self.machine.images.pull(name).await;
        drop(turn);
        match pulled {
            Ok(image) => {
                self.pull_backoffs.forget(name);
                self.pull_errors.remove(name);
                self.container_event(
                    container,
                    Level::Normal,
                    "Pulled",
                    format!(
                        "Successfully pulled image \"{name}\" in {} ({} including waiting). Image size: {} bytes.",
                        seconds(began.elapsed()),
                        seconds(asked.elapsed()),
                        image.size
                    ),
                );
                Ok(image)
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

/// Go's duration text, to the millisecond.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_millis())
    } else {
        let text = format!("{:.3}", duration.as_secs_f64());
        format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}
