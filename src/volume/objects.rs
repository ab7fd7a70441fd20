use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, Pod, Secret, Volume};

use crate::model::downward::Allocatable;

/// The objects that the contents of volumes and the values of variables come from, as they are now.
pub(crate) trait Objects {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;
    /// The persistent volume behind a volume with a claim; `Err`: why there is none to be mounted.
    fn claimed(&self, pod: &Pod, volume: &Volume) -> Result<Claimed, String>;
    /// A token of the pod's service account for `audience` (empty: the API itself); the same one until it is
    /// time to renew it. `Err`: why there is none.
    fn token(&self, pod: &Pod, audience: &str, seconds: i64) -> Result<String, String>;
}

/// A persistent volume that a pod may mount.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) volume: Arc<PersistentVolume>,
    /// Other pods have it, too.
    pub(crate) is_shared: bool,
}

/// Where the files of a volume come from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) objects: &'a dyn Objects,
    pub(crate) allocatable: Allocatable,
}

/// Nothing exists.
#[cfg(test)]
pub(crate) struct NoObjects;

#[cfg(test)]
impl Objects for NoObjects {
    fn config_map(&self, _namespace: &str, _name: &str) -> Option<Arc<ConfigMap>> {
        None
    }

    fn secret(&self, _namespace: &str, _name: &str) -> Option<Arc<Secret>> {
        None
    }

    fn claimed(&self, _pod: &Pod, _volume: &Volume) -> Result<Claimed, String> {
        Err("there are no claims".to_owned())
    }

    fn token(&self, _pod: &Pod, _audience: &str, _seconds: i64) -> Result<String, String> {
        Err("there are no tokens".to_owned())
    }
}
