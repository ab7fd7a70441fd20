//! Pods that have to go: what they use of the disk is more than they may, or the machine runs short of memory
//! or disk and somebody has to make room (kubelet's eviction manager).
//!
//! Every ten seconds: `local` judges the pods that have limits of ephemeral storage; unless one of them went,
//! `node` looks at what the machine has left, and the first of its ranking goes. `task` reads and acts, the
//! others decide and are pure. A worker hears of it through the [`Evictions`] board, ends its pod with the
//! grace of an eviction and writes phase Failed, reason `Evicted`.
//!
//! While the machine runs short the Node says so in its conditions, and for five minutes after. `condition_taints` makes
//! taints of them, so that the scheduler leaves new pods waiting that do not tolerate it; what comes without the
//! scheduler is refused (`worker::admit`). A shortage of disk first takes the images that nobody uses.
//!
//! `no_execute` deletes pods that do not tolerate a taint of the node with effect NoExecute, at once or after the
//! seconds of their toleration; `taints` decides whom and when (kube-controller-manager `tainteviction`).
//!
//! A soft threshold tells at once, and has somebody go when it was met for its grace; the pod then has its own grace,
//! up to the most of the configuration.
//!
//! `requested` ends a pod because somebody asked for its eviction (`kubectl drain`).
//!
//! Deliberately absent: disruption budgets, minimum reclaim, thresholds of process numbers.

mod board;
mod condition_taints;
mod local;
mod no_execute;
mod node;
mod requested;
mod taints;
mod task;

pub(super) use board::{EVICTED, Eviction, Evictions, PREEMPTING};
pub(super) use condition_taints::with_condition_taints;
pub(super) use no_execute::keep_away;
pub(super) use node::Pressures;
pub(crate) use node::{SoftThresholds, Threshold, Thresholds};
pub(super) use requested::evict;
pub(super) use task::{keep_room, shortages_now};
