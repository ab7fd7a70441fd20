//! Priorities, for which the classes that there are must be known: of a new pod, and which class is the default.

use std::sync::Arc;

use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::Local;
use crate::admission::{refuse_default, use_priority};
use crate::model::priority::system_classes;
use crate::model::{ApiError, Kind, Object};

/// Gives a new pod the priority of its class.
pub(super) fn apply(local: &Local, object: &mut Object) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else {
        return Ok(());
    };
    let (classes, _) = local.store.list::<PriorityClass>(None);
    use_priority(Arc::make_mut(pod), &classes)
        .map_err(|why| ApiError::forbidden(object.kind(), object.name(), &why))
}

/// A second default class is refused.
pub(super) fn check_class(local: &Local, object: &Object) -> Result<(), ApiError> {
    let Object::PriorityClass(class) = object else {
        return Ok(());
    };
    let (classes, _) = local.store.list::<PriorityClass>(None);
    match refuse_default(class, &classes) {
        Some(why) => Err(ApiError::forbidden(object.kind(), object.name(), &why)),
        None => Ok(()),
    }
}

pub(super) fn check_deletable(name: &str) -> Result<(), ApiError> {
    let is_system = |class: &PriorityClass| class.metadata.name.as_deref() == Some(name);
    if system_classes().iter().any(is_system) {
        let why = "this is a system priority class and cannot be deleted";
        return Err(ApiError::forbidden(Kind::PriorityClass, name, why));
    }
    Ok(())
}
