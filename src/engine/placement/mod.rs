//! Whether a pod fits on the one node (kubernetes-semantics §6.9, §12.1), and who holds what of it.
//!
//! `fit` is the pure decision: labels, taints and amounts of the Node object against one pod and what the
//! others hold. [`Placements`] is what they hold: a pod takes its requests and host ports as a whole or not at
//! all, in one step, and gives them back when it has ended. Who did not fit is woken then.
//!
//! Deliberately absent: preferences (there is one node), affinity between pods, priorities and preemption.

mod fit;
mod ledger;

pub(super) use fit::Rejection;
pub(super) use ledger::Placements;
