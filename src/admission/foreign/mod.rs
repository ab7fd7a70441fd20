//! Volume sources of other machines and clouds. Nothing here carries them out, but what is wrong with them is
//! told as on a cluster, in pods and in persistent volumes alike, and what they leave out is filled in.

mod csi;
mod defaults;
mod iscsi;
mod source;

pub(super) use defaults::{default_persistent, default_pod};
pub(super) use source::{FOREIGN, Place, source};
