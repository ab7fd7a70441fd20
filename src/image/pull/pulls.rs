use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::progress::{Progress, PullProgress};
use super::rate::{Bucket, PullRate};
use super::work::Puller;
use crate::image::credentials::PullSecret;
use crate::image::reference::Reference;
use crate::image::{ImageError, ImageRecord};

/// A finished pull.
#[derive(Clone, Debug)]
pub(crate) struct PullOutcome {
    /// Normalised.
    pub(crate) name: String,
    pub(crate) image: ImageRecord,
    /// The pull itself.
    pub(crate) took: Duration,
    /// With the time until its turn came, for the one who asked.
    pub(crate) with_waiting: Duration,
}

/// Who begins a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Not more often than the [`PullRate`] allows.
    Pod,
    User,
}

type Finished = Result<(ImageRecord, Duration), Arc<ImageError>>;
/// Different credentials make a different pull: one pod's must not open an image to another.
type Key = (Reference, Vec<PullSecret>);

/// The pulls under way.
#[derive(Debug)]
pub(in crate::image) struct Pulls {
    puller: Arc<Puller>,
    turns: Arc<Semaphore>,
    bucket: Arc<Mutex<Bucket>>,
    running: Mutex<HashMap<Key, Weak<Running>>>,
}

/// Held by everybody who waits; the last one who stops waiting ends it.
#[derive(Debug)]
struct Running {
    finished: watch::Receiver<Option<Finished>>,
    progress: Progress,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pulls {
    /// `at_once` pulls run beside each other, the others wait for their turn.
    pub(in crate::image) fn new(puller: Arc<Puller>, at_once: usize, rate: PullRate) -> Self {
        Self {
            puller,
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            bucket: Arc::new(Mutex::new(Bucket::new(rate, Instant::now()))),
            running: Mutex::default(),
        }
    }

    pub(in crate::image) async fn pull(
        &self,
        reference: Reference,
        secrets: Vec<PullSecret>,
        asker: Asker,
    ) -> Result<PullOutcome, ImageError> {
        let asked = Instant::now();
        let name = reference.to_string();
        let running = self.join(reference, secrets, asker);
        let mut finished = running.finished.clone();
        let result = match finished.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => None,
        };
        match result {
            Some(Ok((image, took))) => Ok(PullOutcome {
                name,
                image,
                took,
                with_waiting: asked.elapsed().max(took),
            }),
            Some(Err(error)) => Err(ImageError::Shared(error)),
            // Only a panic of the task leads here.
            None => Err(ImageError::Interrupted),
        }
    }

    /// In the order in which they were asked for.
    pub(in crate::image) fn progress(&self) -> Vec<PullProgress> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<PullProgress> = running
            .values()
            .filter_map(Weak::upgrade)
            .filter(|one| one.finished.borrow().is_none())
            .map(|one| one.progress.get())
            .collect();
        found.sort_by_key(|progress| progress.started_at);
        found
    }

    fn join(&self, reference: Reference, secrets: Vec<PullSecret>, asker: Asker) -> Arc<Running> {
        let key = (reference, secrets);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, one| one.strong_count() > 0);
        if let Some(known) = running.get(&key).and_then(Weak::upgrade)
            && known.finished.borrow().is_none()
        {
            return known;
        }
        let (done, finished) = watch::channel(None);
        let progress = Progress::new(key.0.to_string());
        let bucket = match asker {
            Asker::Pod => Some(Arc::clone(&self.bucket)),
            Asker::User => None,
        };
        let task = tokio::spawn(run(
            Arc::clone(&self.puller),
            Arc::clone(&self.turns),
            bucket,
            key.clone(),
            progress.clone(),
            done,
        ));
        let new = Arc::new(Running {
            finished,
            progress,
            task: task.abort_handle(),
        });
        running.insert(key, Arc::downgrade(&new));
        new
    }
}

async fn run(
    puller: Arc<Puller>,
    turns: Arc<Semaphore>,
    bucket: Option<Arc<Mutex<Bucket>>>,
    (reference, secrets): Key,
    progress: Progress,
    done: watch::Sender<Option<Finished>>,
) {
    let Ok(_turn) = turns.acquire().await else {
        return;
    };
    let began = Instant::now();
    // When its turn has come, as the kubelet does: waiting for others costs nothing.
    let may_begin = bucket.is_none_or(|bucket| {
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.try_take(began)
    });
    let result = match may_begin {
        true => puller.pull(&reference, &secrets, &progress).await,
        false => Err(ImageError::TooManyPulls),
    };
    done.send_replace(Some(match result {
        Ok(image) => Ok((image, began.elapsed())),
        Err(error) => Err(Arc::new(error)),
    }));
}
