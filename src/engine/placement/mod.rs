//! Whether a pod fits on the one node (kubernetes-semantics §6.9, §12.1), and who holds what of it.
//!
//! `fit` is the pure decision: labels, taints and amounts of the Node object against one pod and what the
//! others hold; `company` whether the pod and those who are there already bear each other. [`Placements`] is what they hold: a pod takes its requests and host ports as a whole or not at
//! all, in one step, and gives them back when it has ended. Who did not fit is woken then, the most important first and
//! one after the other, and who waits for others also when somebody comes.
//!
//! `preempt` decides who has to go for a more important pod, whose place is kept meanwhile; `critical` who makes room
//! for a critical pod that came without the scheduler. Both are pure; the worker of the pod has them go.
//!
//! Deliberately absent: preferences (there is one node), preferred affinity, disruption budgets.

mod company;
mod critical;
mod fit;
mod ledger;
mod preempt;

pub(super) use company::Company;
pub(super) use fit::{Rejection, covers};
pub(super) use ledger::{Entry, Placements, Placing, Unfit};
pub(super) use preempt::reason_for;
