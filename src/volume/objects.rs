use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// The objects that the contents of volumes and the values of variables come from, as they are now.
pub(crate) trait Objects {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;
}
