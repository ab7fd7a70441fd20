//! Defaulting, validation and immutability: the pure gate in front of the store.
//!
//! An object becomes [`Admitted`] only here; the store takes nothing else from users. All errors of an object
//! are found at once and reported in the order and words of the Kubernetes API.

mod admitted;

pub(crate) use admitted::Admitted;
