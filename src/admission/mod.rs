//! Defaulting, validation and immutability: the pure gate in front of the store.
//!
//! An object becomes [`Admitted`] only here; the store takes nothing else from users. All errors of an object
//! are found at once and reported in the order and words of the Kubernetes API.
//!
//! The steps of a create are: defaults ([`defaults`]), then validation ([`metadata`], [`pod`], [`data`], [`storage`]), then
//! warnings ([`warnings`]). Before that a new pod is given what its service account brings
//! ([`use_service_account`]) and the priority of its class ([`use_priority`]), and before that what the presets of its
//! namespace bring ([`use_presets`]). An
//! update keeps what the server owns, then checks what may change ([`update`]); a write of one part of a pod
//! takes that part and nothing else ([`part`], [`resize`]).
//! Deletion is a decision about the object as it is ([`delete`]). Nothing here reads the store: whether the
//! namespace exists, or the name is taken, is for the caller to see.

mod admit;
mod affinity;
mod annotations;
mod claims;
mod container;
mod data;
mod defaults;
mod delete;
mod disabled;
mod env;
mod ephemeral;
mod field;
mod foreign;
mod metadata;
mod node;
mod os;
mod overlaps;
mod part;
mod pod;
mod pod_warnings;
mod preset;
mod priority;
mod probe;
mod resize;
mod resources;
mod restart;
mod scheduling;
mod security;
mod service_account;
mod storage;
mod tolerations;
mod update;
mod volume;
mod warnings;
mod windows;

#[cfg(test)]
mod tests;

pub(crate) use admit::{Admitted, Context, admit_create, admit_part, admit_update};
pub(crate) use delete::{DeletePlan, plan_delete};
pub(crate) use preset::use_presets;
pub(crate) use priority::{refuse_default, use_priority};
pub(crate) use service_account::{default_service_account, use_service_account, wanted_account};
pub(crate) use storage::refuse_growth;
