//! Persistent volumes and their claims (kubernetes-semantics §8.6): who is bound to whom, what keeps whom, and
//! the claims of ephemeral volumes.
//!
//! * `plan` is the pure pass over all volumes, claims and pods: it returns them as they should be, and what is
//!   to be told of it. A binding is written to the volume first, so what a crash leaves half done, the next pass
//!   completes. Its steps: `ephemeral` (claims of pods come and go with them), `guard` (what is used is kept),
//!   `binding` of claims with the partner that `matching` finds, `reclaim` of volumes that lost theirs.
//! * `keep` runs the pass whenever one of them changes, and writes what came out. Every write names the version
//!   that the pass saw; what was overtaken is planned anew.
//! * `look` is what a scheduler sees of the claims of one pod, `serve` what is mounted of them.
//!
//! There are no storage classes: a claim that names one waits for a volume of that class, and is told that the
//! class does not exist. Nothing is provisioned, so nothing grows.
//!
//! Deliberately absent: mounting (room `volume`), recycling, which Kubernetes has given up.

mod binding;
mod ephemeral;
mod guard;
mod keep;
mod look;
mod matching;
mod plan;
mod reclaim;
mod serve;
#[cfg(test)]
mod tests;

pub(super) use keep::keep;
pub(super) use look::{Needs, exclusive, look, wanted};
