use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use tokio::sync::Notify;

use super::company::{Company, is_particular};
use super::fit::{Claim, Misfit, Refusal, Rejection, admit, fit, unavailable};
use super::preempt::{Case, Preemption, preempt};
use crate::base::Uid;
use crate::engine::claims::Needs;
use crate::model::priority::pod_priority;
use crate::model::{ObjectKey, Resource};

/// What the pods of the node hold of it, and who waits for a part of it.
#[derive(Default)]
pub(in crate::engine) struct Placements {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    claims: HashMap<Uid, Claim>,
    waiting: HashMap<Uid, Waiter>,
    /// How many have ever waited.
    arrivals: u64,
    /// Version of the node that the waiting ones have been told of.
    node: Option<String>,
}

/// The worker of a pod that waits for room.
struct Waiter {
    worker: Arc<Notify>,
    /// It matters to this pod who else is there.
    is_particular: bool,
    priority: i32,
    arrival: u64,
    /// It has been woken and did not look yet: who is less important waits for its turn.
    is_awake: bool,
    /// The place that is kept for it: others go, or the node lets it in without the scheduler.
    nominated: Option<(Arc<Pod>, Claim)>,
}

impl Waiter {
    /// The most important first: by priority, and then in the order of arrival (scheduler plugin `queuesort`).
    fn rank(&self) -> (Reverse<i32>, u64) {
        (Reverse(self.priority), self.arrival)
    }
}

/// What came of the look for a place.
#[derive(Debug)]
pub(in crate::engine) enum Placing {
    Taken,
    /// Somebody more important looks first; the worker is woken after that.
    NotYet,
    Unfit(Unfit),
}

/// Why a pod is not placed, for a scheduler to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct Unfit {
    pub(in crate::engine) message: String,
    /// These have to go for it.
    pub(in crate::engine) victims: Vec<Arc<Pod>>,
    /// Its place on the node is kept while others go.
    pub(in crate::engine) is_nominated: bool,
}

/// What came of the kubelet's look at a pod that names the node.
#[derive(Debug)]
pub(in crate::engine) enum Entry {
    Admitted,
    /// These have to go first; the worker is woken when one has.
    MakesRoom(Vec<Arc<Pod>>),
}

impl Inner {
    /// Somebody came, or is not what it was.
    fn tell_particular(&mut self) {
        for waiter in self.waiting.values_mut() {
            if waiter.is_particular {
                waiter.is_awake = true;
                waiter.worker.notify_one();
            }
        }
    }

    /// There is more room than before: everybody may look, one after the other.
    fn wake_all(&mut self) {
        for waiter in self.waiting.values_mut() {
            waiter.is_awake = true;
        }
        self.wake_next();
    }

    fn wake_next(&self) {
        let awake = self.waiting.values().filter(|waiter| waiter.is_awake);
        if let Some(next) = awake.min_by_key(|waiter| waiter.rank()) {
            next.worker.notify_one();
        }
    }

    fn arrive(&mut self, pod: &Pod, worker: &Arc<Notify>) {
        let arrival = self.arrivals;
        let waiter = self.waiting.entry(pod.uid()).or_insert_with(|| Waiter {
            worker: Arc::clone(worker),
            is_particular: false,
            priority: pod_priority(pod),
            arrival,
            is_awake: true,
            nominated: None,
        });
        waiter.is_awake = true;
        waiter.is_particular = pod.spec.as_ref().is_some_and(is_particular);
        if waiter.arrival == arrival {
            self.arrivals += 1;
        }
    }

    /// A changed node is news for everybody who waits.
    fn see(&mut self, node: Option<&Node>) {
        let version = node.and_then(|node| node.metadata.resource_version.clone());
        if self.node != version {
            self.node = version;
            for waiter in self.waiting.values_mut() {
                waiter.is_awake = true;
            }
        }
    }

    fn is_anothers_turn(&self, uid: &Uid) -> bool {
        let Some(own) = self.waiting.get(uid).map(Waiter::rank) else {
            return false;
        };
        let mut others = self.waiting.values();
        others.any(|other| other.is_awake && other.rank() < own)
    }

    /// Places that are kept for others, as far as this pod has to leave them.
    fn kept(&self, uid: &Uid, priority: i32) -> Vec<&(Arc<Pod>, Claim)> {
        let waiting = self.waiting.iter();
        let others = waiting.filter(|(other, waiter)| *other != uid && waiter.priority >= priority);
        others
            .filter_map(|(_, waiter)| waiter.nominated.as_ref())
            .collect()
    }

    fn others(&self, uid: &Uid, gone: &HashSet<Uid>) -> Vec<&Claim> {
        let claims = self.claims.iter();
        let others = claims.filter(|(other, _)| *other != uid && !gone.contains(other));
        others.map(|(_, claim)| claim).collect()
    }

    /// Whether the pod fits when these are gone: beside those who wait for a place that is kept, and without them,
    /// as nobody knows whether they will come (scheduler `RunFilterPluginsWithNominatedPods`).
    fn look(
        &self,
        pod: &Pod,
        needs: &Needs,
        node: &Node,
        company: Company<'_>,
        gone: &HashSet<Uid>,
    ) -> Result<Claim, Misfit> {
        let uid = pod.uid();
        let held = self.others(&uid, gone);
        let stay = company.placed.iter();
        let mut placed: Vec<Arc<Pod>> = stay
            .filter(|other| !gone.contains(&other.uid()))
            .cloned()
            .collect();
        let beside = |placed: &[Arc<Pod>], held: &[&Claim]| {
            fit(pod, needs, node, held, Company { placed, ..company })
        };
        let kept = self.kept(&uid, pod_priority(pod));
        if !kept.is_empty() {
            let alone = placed.len();
            let mut more = held.clone();
            for (other, claim) in kept {
                placed.push(Arc::clone(other));
                more.push(claim);
            }
            beside(&placed, &more)?;
            placed.truncate(alone);
        }
        beside(&placed, &held)
    }

    /// Whoever is less important and waits for others to go looks anew.
    fn denominate_below(&mut self, priority: i32) {
        for waiter in self.waiting.values_mut() {
            if waiter.priority < priority && waiter.nominated.take().is_some() {
                waiter.is_awake = true;
            }
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

    /// A pod that has its place has been given other resources there.
    pub(in crate::engine) fn resized(&self, uid: &Uid, spec: &PodSpec) {
        let mut inner = self.lock();
        if let Some(claim) = inner.claims.get_mut(uid) {
            claim.resize(spec);
            inner.wake_all();
        }
    }

    /// The labels of a pod that has its place have changed.
    pub(in crate::engine) fn changed(&self) {
        self.lock().tell_particular();
    }

    /// A pod that is going to look for a place: who is less important looks after it.
    pub(in crate::engine) fn expect(&self, pod: &Pod, worker: &Arc<Notify>) {
        self.lock().arrive(pod, worker);
    }

    /// The pod does not look for a place now.
    pub(in crate::engine) fn pass(&self, uid: &Uid) {
        let mut inner = self.lock();
        if let Some(waiter) = inner.waiting.remove(uid) {
            if waiter.nominated.is_some() {
                inner.wake_all();
            } else if waiter.is_awake {
                inner.wake_next();
            }
        }
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
    ) -> Placing {
        let uid = pod.uid();
        let mut inner = self.lock();
        inner.arrive(pod, worker);
        inner.see(node);
        if inner.is_anothers_turn(&uid) {
            inner.wake_next();
            return Placing::NotYet;
        }
        let others = company.placed.iter().filter(|other| {
            let other = other.uid();
            other != uid && inner.claims.contains_key(&other)
        });
        let placed: Vec<Arc<Pod>> = others.cloned().collect();
        let company = Company {
            placed: &placed,
            ..company
        };
        let found = match node {
            Some(node) => inner.attempt(pod, needs, node, company),
            None => Err(Unfit {
                message: "no nodes available to schedule pods".to_owned(),
                ..Unfit::default()
            }),
        };
        let placing = match found {
            Ok(claim) => {
                inner.claims.insert(uid.clone(), claim);
                inner.waiting.remove(&uid);
                inner.tell_particular();
                Placing::Taken
            }
            Err(unfit) => {
                if let Some(waiter) = inner.waiting.get_mut(&uid) {
                    waiter.is_awake = false;
                }
                Placing::Unfit(unfit)
            }
        };
        inner.wake_next();
        placing
    }

    /// The same for a pod that names the node itself. It does not wait, unless it is critical and others make room.
    pub(in crate::engine) fn admit(
        &self,
        pod: &Pod,
        one_pod: BTreeSet<ObjectKey>,
        node: Option<&Node>,
        pods: &[Arc<Pod>],
        worker: &Arc<Notify>,
    ) -> Result<Entry, Rejection> {
        let uid = pod.uid();
        let mut inner = self.lock();
        let placed: Vec<Arc<Pod>> = pods
            .iter()
            .filter(|other| other.uid() != uid && inner.claims.contains_key(&other.uid()))
            .cloned()
            .collect();
        let held = inner.others(&uid, &HashSet::new());
        match admit(pod, one_pod, node, &held, &placed) {
            Ok(claim) => {
                inner.waiting.remove(&uid);
                inner.claims.insert(uid, claim);
                inner.tell_particular();
                Ok(Entry::Admitted)
            }
            Err(Refusal::Room { claim, victims }) => {
                inner.arrive(pod, worker);
                if let Some(waiter) = inner.waiting.get_mut(&uid) {
                    waiter.is_awake = false;
                    waiter.nominated = Some((Arc::new(pod.clone()), claim));
                }
                Ok(Entry::MakesRoom(victims))
            }
            Err(Refusal::Rejected(rejection)) => Err(rejection),
        }
    }

    /// The pod has ended or is gone, or waits no more.
    pub(in crate::engine) fn release(&self, uid: &Uid) {
        self.pass(uid);
        let mut inner = self.lock();
        if inner.claims.remove(uid).is_some() {
            inner.wake_all();
        }
    }
}

impl Inner {
    /// A place, or whom it takes to have one.
    fn attempt(
        &mut self,
        pod: &Pod,
        needs: &Needs,
        node: &Node,
        company: Company<'_>,
    ) -> Result<Claim, Unfit> {
        let misfit = match self.look(pod, needs, node, company, &HashSet::new()) {
            Ok(claim) => return Ok(claim),
            Err(misfit) => misfit,
        };
        let uid = pod.uid();
        let waiter = self.waiting.get(&uid);
        let case = Case {
            pod,
            misfit: &misfit,
            is_nominated: waiter.is_some_and(|waiter| waiter.nominated.is_some()),
            placed: company.placed,
        };
        let was_nominated = case.is_nominated;
        let preemption = preempt(&case, |gone| {
            self.look(pod, needs, node, company, gone).map(|_| ())
        });
        let reasons = unavailable(&misfit.reasons());
        match preemption {
            Preemption::Victims(victims) => {
                self.denominate_below(pod_priority(pod));
                let claim = Claim::of(&pod.spec.clone().unwrap_or_default(), needs.one_pod.clone());
                if let Some(waiter) = self.waiting.get_mut(&uid) {
                    waiter.nominated = Some((Arc::new(pod.clone()), claim));
                }
                Err(Unfit {
                    message: reasons,
                    victims,
                    is_nominated: true,
                })
            }
            Preemption::Nobody { why, keeps } => {
                if was_nominated && !keeps {
                    if let Some(waiter) = self.waiting.get_mut(&uid) {
                        waiter.nominated = None;
                    }
                    self.wake_all();
                }
                Err(Unfit {
                    message: format!("{reasons} no new claims to deallocate, preemption: {why}"),
                    victims: Vec::new(),
                    is_nominated: was_nominated && keeps,
                })
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
            let placing = placements.place(&pod, &needs, Some(&node), company, &hint);
            matches!(placing, Placing::Taken)
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

    /// A pod of this priority that asks for so many thousandths of the one CPU.
    fn asking(name: &str, priority: i32, cpu: u32) -> Arc<Pod> {
        let pod = json!({"metadata": {"name": name, "uid": name}, "spec": {"priority": priority,
            "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m")}}}]}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    /// The node, who is on it, and a worker for each who asks.
    struct Scene {
        placements: Placements,
        node: Node,
        pods: Vec<Arc<Pod>>,
        workers: HashMap<Uid, Arc<Notify>>,
    }

    impl Scene {
        fn new() -> Self {
            let node =
                json!({"metadata": {}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}});
            Self {
                placements: Placements::default(),
                node: serde_json::from_value(node).unwrap(),
                pods: Vec::new(),
                workers: HashMap::new(),
            }
        }

        /// `taken`, `not yet`, or who goes for it (`+`: its place is kept).
        fn place(&mut self, pod: &Arc<Pod>) -> String {
            if !self.pods.iter().any(|known| known.uid() == pod.uid()) {
                self.pods.push(Arc::clone(pod));
            }
            let worker = self.workers.entry(pod.uid()).or_default();
            let company = Company {
                placed: &self.pods,
                namespaces: &[],
            };
            let needs = Needs::default();
            let node = Some(&self.node);
            match self.placements.place(pod, &needs, node, company, worker) {
                Placing::Taken => "taken".to_owned(),
                Placing::NotYet => "not yet".to_owned(),
                Placing::Unfit(unfit) => {
                    let names = unfit
                        .victims
                        .iter()
                        .flat_map(|pod| pod.metadata.name.clone());
                    let names = names.collect::<Vec<_>>().join(" ");
                    let sign = if unfit.is_nominated { "+" } else { "-" };
                    format!("{sign}{names}")
                }
            }
        }

        async fn is_woken(&self, pod: &Pod) -> bool {
            let notified = self.workers[&pod.uid()].notified();
            let now = std::time::Duration::ZERO;
            tokio::time::timeout(now, notified).await.is_ok()
        }

        fn end(&mut self, pod: &Pod) {
            self.pods.retain(|known| known.uid() != pod.uid());
            self.placements.release(&pod.uid());
        }
    }

    #[tokio::test]
    async fn the_most_important_one_looks_first() {
        let mut scene = Scene::new();
        let full = asking("full", 9, 900);
        let (low, first, second) = (
            asking("low", 1, 600),
            asking("first", 5, 600),
            asking("second", 5, 600),
        );
        assert_eq!(scene.place(&full), "taken");
        for pod in [&low, &first, &second] {
            assert_eq!(scene.place(pod), "-");
        }
        scene.end(&full);
        // Only the first is told; whoever comes before it has to wait.
        assert!(!scene.is_woken(&low).await && !scene.is_woken(&second).await);
        assert_eq!(scene.place(&low), "not yet");
        assert_eq!(scene.place(&second), "not yet");
        assert!(scene.is_woken(&first).await);
        assert_eq!(scene.place(&first), "taken");
        assert!(scene.is_woken(&second).await);
        assert_eq!(scene.place(&second), "-");
        assert!(scene.is_woken(&low).await);
        assert_eq!(scene.place(&low), "-");
        // Whoever gives up lets the next one look.
        scene.end(&first);
        scene.placements.pass(&second.uid());
        assert!(scene.is_woken(&low).await);
        assert_eq!(scene.place(&low), "taken");
    }

    #[tokio::test]
    async fn the_place_of_a_preemptor_is_kept() {
        let mut scene = Scene::new();
        let victim = asking("victim", 0, 900);
        let (high, low, higher) = (
            asking("high", 5, 500),
            asking("low", 1, 600),
            asking("higher", 9, 800),
        );
        assert_eq!(scene.place(&victim), "taken");
        assert_eq!(scene.place(&high), "+victim");
        // It would fit once the victim is gone, but for the one that comes then.
        assert_eq!(scene.place(&low), "-");
        scene.end(&victim);
        assert!(scene.is_woken(&high).await);
        // A small one fits beside both.
        let small = asking("small", 5, 400);
        assert_eq!(scene.place(&small), "not yet");
        assert_eq!(scene.place(&high), "taken");
        assert_eq!(scene.place(&small), "taken");
        // Somebody yet more important takes the place of one that waits.
        let mut scene = Scene::new();
        assert_eq!(scene.place(&victim), "taken");
        assert_eq!(scene.place(&high), "+victim");
        assert_eq!(scene.place(&higher), "+victim");
        scene.end(&victim);
        assert_eq!(scene.place(&high), "not yet");
        assert_eq!(scene.place(&higher), "taken");
        assert!(scene.is_woken(&high).await);
        assert_eq!(scene.place(&high), "-");
    }
}
