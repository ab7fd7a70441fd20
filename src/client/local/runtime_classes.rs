//! What admission does about RuntimeClasses (`plugin/pkg/admission/runtimeclass`). There are none here, so no name is known and
//! no pod has an overhead: one that asks for a stronger runtime must not run in this one.

use crate::model::{ApiError, Kind, Object};

/// Before the pod is validated: the class it names must exist.
pub(super) fn check_known(object: &Object) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else {
        return Ok(());
    };
    let class = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.runtime_class_name.as_deref());
    match class {
        // An empty name is for validation to refuse.
        None | Some("") => Ok(()),
        Some(class) => Err(refused(
            object,
            &format!("RuntimeClass \"{class}\" not found"),
        )),
    }
}

/// After the pod was validated: its overhead must be that of its class.
pub(super) fn check_overhead(object: &Object) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else {
        return Ok(());
    };
    let overhead = pod.spec.as_ref().and_then(|spec| spec.overhead.as_ref());
    match overhead {
        None => Ok(()),
        Some(_) => Err(refused(
            object,
            "Pod Overhead set without corresponding RuntimeClass defined Overhead",
        )),
    }
}

fn refused(object: &Object, why: &str) -> ApiError {
    let meta = object.meta();
    let given = meta.name.as_deref().filter(|name| !name.is_empty());
    let name = given.or(meta.generate_name.as_deref()).unwrap_or_default();
    ApiError::forbidden(Kind::Pod, name, &format!("pod rejected: {why}"))
}
