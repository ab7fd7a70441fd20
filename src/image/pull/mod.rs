//! `image pull`: from a name to a complete image of the store.
//!
//! * [`pulls`] lets those who want the same image wait for the same pull, gives pulls their turn, and ends one
//!   that nobody waits for any more; [`rate`] holds back pods that ask too often.
//! * [`work`] does one pull: places and credentials in their order, digest, manifest, configuration, layers
//!   side by side, and the index last.
//! * [`download`] fetches one blob, going on where a connection broke; [`partial`] keeps its bytes on disk and
//!   hands them on while they arrive; [`layer`] unpacks them at the same time.
//! * [`progress`] is what front ends see meanwhile.
//!
//! Invariants: nothing is visible before its size and digest are verified; cancelling (dropping) a pull at any
//! point leaves complete layers of other images, and partial downloads that the next pull goes on with.

mod download;
mod layer;
mod partial;
mod progress;
mod pulls;
mod rate;
mod work;

pub(crate) use progress::{PullPhase, PullProgress};
pub(super) use pulls::Pulls;
pub(crate) use pulls::{Asker, PullOutcome};
pub(crate) use rate::PullRate;
pub(super) use work::Puller;
