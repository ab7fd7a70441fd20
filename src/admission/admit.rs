use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{defaults, metadata};
use crate::base::Uid;
use crate::model::{FieldError, Object, unsupported};

/// Proof that a value went through this room. There is no other way to make one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admitted<T>(T);

impl<T> Admitted<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    pub(crate) const fn get(&self) -> &T {
        &self.0
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }

    /// Lets tests of other rooms write objects without going through the rules.
    #[cfg(test)]
    pub(crate) const fn for_test(object: T) -> Self {
        Self::new(object)
    }
}

/// What admission must be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) now: Timestamp,
}

/// An accepted object and what the user should hear about it.
pub(crate) type Admission = Result<(Admitted<Object>, Vec<String>), Vec<FieldError>>;

/// Makes a new object of what a user sent: server-owned metadata is filled in (a fresh uid, the creation time,
/// generation 1, a name from `generateName`), a status sent along is dropped, defaults are set, everything
/// is checked. `metadata.namespace` must already be set for kinds that have one.
pub(crate) fn admit_create(mut object: Object, context: &Context) -> Admission {
    metadata::prepare_create(object.meta_mut(), context);
    defaults::apply(&mut object);
    let errors = metadata::validate(&object);
    if errors.is_empty() {
        let warnings = warnings(&object);
        Ok((Admitted::new(object), warnings))
    } else {
        Err(errors)
    }
}

/// Makes the successor of `old` of what a user sent: server-owned metadata and the status are kept, the
/// generation grows when the spec changed, and only what may change has changed.
pub(crate) fn admit_update(old: &Object, mut new: Object, context: &Context) -> Admission {
    let _ = context;
    metadata::prepare_update(old.meta(), new.meta_mut());
    defaults::apply(&mut new);
    keep_status(old, &mut new);
    let errors = metadata::validate(&new);
    if errors.is_empty() {
        let warnings = warnings(&new);
        Ok((Admitted::new(new), warnings))
    } else {
        Err(errors)
    }
}

/// A user's write never touches the status; that is what the `status` subresource is for.
fn keep_status(old: &Object, new: &mut Object) {
    match (old, new) {
        (Object::Pod(old), Object::Pod(new)) => Arc::make_mut(new).status.clone_from(&old.status),
        (Object::Node(old), Object::Node(new)) => Arc::make_mut(new).status.clone_from(&old.status),
        (Object::Namespace(old), Object::Namespace(new)) => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        _ => {}
    }
}

pub(super) fn fresh_uid() -> String {
    Uid::random().as_str().to_owned()
}

pub(super) fn time(now: Timestamp) -> Time {
    // The API keeps whole seconds.
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn warnings(object: &Object) -> Vec<String> {
    match object {
        Object::Pod(pod) => unsupported(pod).iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}
