use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, PodSpec};
use tokio::sync::Notify;

use super::fit::{Claim, Rejection, Unfit, admit, schedule};
use crate::base::Uid;

/// What the pods of the node hold of it.
#[derive(Default)]
pub(in crate::engine) struct Placements {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    claims: HashMap<Uid, Claim>,
    /// Workers of pods that wait for room.
    waiting: HashMap<Uid, Arc<Notify>>,
}

impl Inner {
    fn others<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a Claim> {
        let others = self.claims.iter().filter(move |(other, _)| *other != uid);
        others.map(|(_, claim)| claim)
    }
}

impl Placements {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pod that has its place already.
    pub(in crate::engine) fn hold(&self, uid: &Uid, spec: &PodSpec) {
        self.lock().claims.insert(uid.clone(), Claim::of(spec));
    }

    /// Takes everything the pod asks for, or nothing; then `worker` is woken as soon as others give back.
    pub(in crate::engine) fn place(
        &self,
        uid: &Uid,
        spec: &PodSpec,
        node: Option<&Node>,
        worker: &Arc<Notify>,
    ) -> Result<(), Unfit> {
        let mut inner = self.lock();
        match schedule(spec, node, inner.others(uid)) {
            Ok(claim) => {
                inner.claims.insert(uid.clone(), claim);
                inner.waiting.remove(uid);
                Ok(())
            }
            Err(unfit) => {
                inner.waiting.insert(uid.clone(), Arc::clone(worker));
                Err(unfit)
            }
        }
    }

    /// The same for a pod that names the node itself; it does not wait.
    pub(in crate::engine) fn admit(
        &self,
        uid: &Uid,
        spec: &PodSpec,
        node: Option<&Node>,
    ) -> Result<(), Rejection> {
        let mut inner = self.lock();
        let claim = admit(spec, node, inner.others(uid))?;
        inner.claims.insert(uid.clone(), claim);
        Ok(())
    }

    /// The pod has ended or is gone, or waits no more.
    pub(in crate::engine) fn release(&self, uid: &Uid) {
        let mut inner = self.lock();
        inner.waiting.remove(uid);
        if inner.claims.remove(uid).is_some() {
            for worker in inner.waiting.values() {
                worker.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_who_goes() {
        let node: Node = serde_json::from_value(
            json!({"metadata": {}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}}),
        )
        .unwrap();
        let spec: PodSpec = serde_json::from_value(
            json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "600m"}}}]}),
        )
        .unwrap();
        let placements = Placements::default();
        let (first, second) = (Uid::new("1"), Uid::new("2"));
        let hint = Arc::new(Notify::new());
        let place = |uid: &Uid| placements.place(uid, &spec, Some(&node), &hint).is_ok();
        assert!(place(&first));
        // What it holds itself does not stand in its way.
        assert!(place(&first));
        assert!(!place(&second));
        placements.release(&second);
        placements.release(&first);
        assert!(
            tokio::time::timeout(std::time::Duration::ZERO, hint.notified())
                .await
                .is_err()
        );
        assert!(place(&first));
        assert!(!place(&second));
        placements.release(&first);
        hint.notified().await;
        assert!(place(&second));
    }
}
