use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use tokio::sync::Notify;

use super::company::{Company, is_particular};
use super::fit::{Claim, Rejection, Unfit, admit, schedule};
use crate::base::Uid;
use crate::engine::claims::Needs;
use crate::model::{ObjectKey, Resource};

/// What the pods of the node hold of it.
#[derive(Default)]
pub(in crate::engine) struct Placements {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    claims: HashMap<Uid, Claim>,
    waiting: HashMap<Uid, Waiter>,
}

/// The worker of a pod that waits for room.
struct Waiter {
    worker: Arc<Notify>,
    /// It matters to this pod who else is there.
    is_particular: bool,
}

impl Inner {
    fn others<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a Claim> {
        let others = self.claims.iter().filter(move |(other, _)| *other != uid);
        others.map(|(_, claim)| claim)
    }

    /// Somebody came, or is not what it was.
    fn tell_particular(&self) {
        let waiting = self.waiting.values().filter(|waiter| waiter.is_particular);
        for waiter in waiting {
            waiter.worker.notify_one();
        }
    }
}

impl Placements {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pod that has its place already.
    pub(in crate::engine) fn hold(&self, uid: &Uid, spec: &PodSpec, one_pod: BTreeSet<ObjectKey>) {
        let mut inner = self.lock();
        inner.claims.insert(uid.clone(), Claim::of(spec, one_pod));
        inner.tell_particular();
    }

    /// The labels of a pod that has its place have changed.
    pub(in crate::engine) fn changed(&self) {
        self.lock().tell_particular();
    }

    /// Takes everything the pod asks for, or nothing; then `worker` is woken as soon as others give back. Of
    /// `company` those count who have their place.
    pub(in crate::engine) fn place(
        &self,
        pod: &Pod,
        needs: &Needs,
        node: Option<&Node>,
        company: Company<'_>,
        worker: &Arc<Notify>,
    ) -> Result<(), Unfit> {
        let uid = pod.uid();
        let mut inner = self.lock();
        let others = company.placed.iter().filter(|other| {
            let other = other.uid();
            other != uid && inner.claims.contains_key(&other)
        });
        let placed: Vec<Arc<Pod>> = others.cloned().collect();
        let company = Company {
            placed: &placed,
            ..company
        };
        match schedule(pod, needs, node, inner.others(&uid), company) {
            Ok(claim) => {
                inner.claims.insert(uid.clone(), claim);
                inner.waiting.remove(&uid);
                inner.tell_particular();
                Ok(())
            }
            Err(unfit) => {
                let waiter = Waiter {
                    worker: Arc::clone(worker),
                    is_particular: pod.spec.as_ref().is_some_and(is_particular),
                };
                inner.waiting.insert(uid, waiter);
                Err(unfit)
            }
        }
    }

    /// The same for a pod that names the node itself; it does not wait.
    pub(in crate::engine) fn admit(
        &self,
        uid: &Uid,
        spec: &PodSpec,
        one_pod: BTreeSet<ObjectKey>,
        node: Option<&Node>,
    ) -> Result<(), Rejection> {
        let mut inner = self.lock();
        let claim = admit(spec, one_pod, node, inner.others(uid))?;
        inner.claims.insert(uid.clone(), claim);
        inner.tell_particular();
        Ok(())
    }

    /// The pod has ended or is gone, or waits no more.
    pub(in crate::engine) fn release(&self, uid: &Uid) {
        let mut inner = self.lock();
        inner.waiting.remove(uid);
        if inner.claims.remove(uid).is_some() {
            for waiter in inner.waiting.values() {
                waiter.worker.notify_one();
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
        let placements = Placements::default();
        let (first, second) = (Uid::new("1"), Uid::new("2"));
        let hint = Arc::new(Notify::new());
        let place = |uid: &Uid| {
            let pod = json!({"metadata": {"uid": uid.as_str()}, "spec":
                {"containers": [{"name": "c", "resources": {"requests": {"cpu": "600m"}}}]}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let company = Company::default();
            let needs = Needs::default();
            placements
                .place(&pod, &needs, Some(&node), company, &hint)
                .is_ok()
        };
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
