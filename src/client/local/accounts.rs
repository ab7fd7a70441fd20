//! The service account of a new pod, looked up before the pod is admitted.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use rand::RngExt;

use super::Local;
use crate::admission::{
    admit_create, default_service_account, use_service_account, wanted_account,
};
use crate::model::{ApiError, Kind, Object, Resource};

/// Letters and digits of generated names (apimachinery `pkg/util/rand`).
const CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Gives a pod what its service account brings. Every namespace has the account `default`: where its keeper
/// has not made it yet, it is made here. `dry_run` makes nothing.
pub(super) async fn apply(
    local: &Local,
    object: &mut Object,
    dry_run: bool,
) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else {
        return Ok(());
    };
    let account = find(local, pod, dry_run).await?;
    let mut random = rand::rng();
    let suffix: String = (0..5)
        .map(|_| char::from(CHARACTERS[random.random_range(0..CHARACTERS.len())]))
        .collect();
    use_service_account(Arc::make_mut(pod), &account, &suffix);
    Ok(())
}

async fn find(local: &Local, pod: &Pod, dry_run: bool) -> Result<Arc<ServiceAccount>, ApiError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = wanted_account(pod);
    if let Some(account) = local.store.get::<ServiceAccount>(namespace, name) {
        return Ok(account);
    }
    let made = default_service_account(namespace);
    if made.metadata.name.as_deref() == Some(name) {
        let made = Arc::new(made);
        if !dry_run
            && let Ok((admitted, _)) = admit_create(
                Arc::clone(&made).into_object(),
                &super::write::context(local),
            )
        {
            // Whoever was faster made the same one.
            let _ = local.spec.create(admitted).await;
        }
        return Ok(made);
    }
    let shown = pod.metadata.name.as_deref().unwrap_or_default();
    let why = format!(
        "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
    );
    Err(ApiError::forbidden(Kind::Pod, shown, &why))
}
