//! Credentials of registries: from the secrets of a pod, and from what the user of the engine has logged in to.
//!
//! * [`secret`] holds a name and a password that cannot be printed by accident.
//! * [`docker`] reads the files of docker and podman, which are also what pull secrets hold.
//! * [`keyring`] says which entries concern an image, in the order in which the kubelet tries them.
//! * [`proof`] remembers that a credential was used, not the credential.
//! * [`helper`] asks a credential helper program, bounded in time and size.
//!
//! Invariant: no password is part of `Debug`, of an error, of an argument vector or of an environment.

mod docker;
mod helper;
mod keyring;
mod proof;
mod secret;
mod sources;

pub(super) use proof::Proof;
pub(super) use secret::Credential;
pub(super) use sources::of_secrets;
pub(crate) use sources::{CredentialFiles, PullSecret, PullSecretKind};
