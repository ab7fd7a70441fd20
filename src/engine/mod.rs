//! The mini-kubelet: turns pods of the store into sandboxes and containers, and what happens to those back
//! into pod status and events.
//!
//! * `supervisor` owns one `worker` per pod uid; a worker sees the latest desired pod and the latest
//!   observation, asks the pure `plan` what to do, does it through `runtime`, and publishes the pure
//!   `status`. Events are hints; the latest state is always read again.
//! * `translate` is the only place that turns a Pod into wire specs.
//! * `recorder` is the only writer of Events; workers are the only writers of pod status.
//! * [`EngineApi`] is what front ends may ask of a running engine beside the store.
//!
//! * `references` knows which objects a pod is made of beside itself and wakes its worker when they change.
//! * `tokens` signs what service accounts mount, with the keys of `authority`; `accounts` keeps what every
//!   namespace has.
//! * `claims` binds persistent volumes and claims.
//! * `resize` decides on other cpu and memory for a running pod.
//! * `observe` is what a worker sees, `restart` who runs again and when, `gc` what deleted pods left behind,
//!   `node` the one Node, `machine` what all workers share.
//! * `incidents` remembers the ends of a pod's containers and kills for lack of memory, beside its logs.
//!
//! * `forward` connects to ports in the networks of pods, `node_usage` reads what the machine uses.
//! * `apparmor` knows the profiles of the machine and loads the one of podtui.
//! * `id_ranges` keeps the ids of pods with a user namespace of their own apart.
//! * `eviction` ends pods that use more of the disk than they may, and others when the machine runs short.
//! * `placement` says whether a pod fits on the one node, and keeps what each holds of it; who fits is bound.
//!
//! The sandbox of a pod lives in a shim, so it outlives the
//! engine; the next one adopts it by the code path of a normal start, takes back-off and restart counts from
//! the status, the sandbox and the log files, and removes what belongs to no pod any more.
//! A field that must not be ignored ([`crate::model::Support::Blocks`]) holds its pod; others only warn.
//!
//! States of a worker: `Syncing → Terminating → Terminated`, one way.
//! Deliberately absent: system calls, HTTP, printing.

mod accounts;
mod api;
mod apparmor;
mod authority;
mod claims;
mod conditions;
mod cordon;
mod eviction;
#[cfg(test)]
mod fixtures;
mod forward;
mod gc;
mod handle;
mod id_ranges;
mod images;
mod incidents;
mod machine;
mod node;
mod node_usage;
mod observe;
mod placement;
mod plan;
mod recorder;
mod references;
mod resize;
mod restart;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;
mod tokens;
mod translate;
mod worker;

pub(crate) use api::{
    AttachRequest, EngineApi, EngineError, ExecRequest, ImageView, PodProcessView, PodUsage,
    PullView,
};
#[cfg(test)]
pub(crate) use api::{ContainerUsage, EngineStatus, PodProcessesView, PullLayerView};
pub(crate) use eviction::{SoftThresholds, Threshold, Thresholds};
pub(crate) use handle::{EngineHandle, Parts, start};
#[cfg(test)]
pub(crate) use images::Pruned;
pub(crate) use images::{DiskUsage, ImageGc};
pub(crate) use machine::{NodeLimits, path_hash};
#[cfg(test)]
pub(crate) use node_usage::NodeUsage;
#[cfg(test)]
pub(crate) use tokens::IssuedToken;
pub(crate) use tokens::{TokenBinding, TokenOrder};
