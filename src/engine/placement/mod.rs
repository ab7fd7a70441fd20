//! Whether a pod fits on the one node (kubernetes-semantics §6.9, §12.1), and who holds what of it.
//!
//! `fit` is the pure decision: labels, taints and amounts of the Node object against one pod and what the
//! others hold; `company` whether the pod and those who are there already bear each other. [`Placements`] is what they hold: a pod takes its requests and host ports as a whole or not at
//! all, in one step, and gives them back when it has ended. Who did not fit is woken then, and who waits for
//! others also when somebody comes.
//!
//! Deliberately absent: preferences (there is one node), preferred affinity, priorities and preemption.

mod company;
mod fit;
mod ledger;

pub(super) use company::Company;
pub(super) use fit::{Rejection, covers};
pub(super) use ledger::Placements;
