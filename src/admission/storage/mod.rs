//! PersistentVolumes and their claims: what is filled in, what is wrong with them, and what may change.
//!
//! * `fill` sets defaults and the finalizers that keep both while they are used.
//! * `volume` and `claim` check the two kinds; `template` the claim that a pod brings with a volume of its own.
//! * `change` says what of a stored one may become otherwise.

mod change;
mod claim;
mod fill;
mod template;
mod volume;

pub(crate) use change::refuse_growth;
pub(super) use change::{claim_update, volume_update};
pub(super) use claim::claim;
pub(super) use fill::{default_claim, default_claim_spec, default_volume, protect};
pub(super) use template::{ephemeral, ephemeral_name};
pub(super) use volume::volume;
