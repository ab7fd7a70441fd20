use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    annotations, data, defaults, disabled, metadata, node, part, pod, preset, priority, resize,
    storage, update, warnings,
};
use crate::base::Uid;
use crate::model::{FieldError, Object, Subresource};

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
    drop_status(&mut object);
    storage::protect(&mut object);
    let told = match &mut object {
        Object::Pod(pod) => {
            let pod = Arc::make_mut(pod);
            let dropped = disabled::drop_fields(None, pod);
            [dropped, annotations::take_app_armor(pod)].concat()
        }
        _ => Vec::new(),
    };
    defaults::apply(&mut object);
    let mut errors = metadata::validate(&object);
    errors.extend(match &object {
        Object::Pod(pod) => pod::validate(pod),
        Object::ConfigMap(map) => data::config_map(map),
        Object::Secret(secret) => data::secret(secret),
        Object::PodPreset(preset) => preset::validate(preset),
        Object::Event(event) => data::event(event),
        Object::Namespace(namespace) => data::namespace(namespace),
        Object::PersistentVolume(volume) => storage::volume(volume),
        Object::PersistentVolumeClaim(claim) => storage::claim(claim),
        Object::PriorityClass(class) => priority::class(class),
        Object::Node(node) => node::validate(node),
        Object::ServiceAccount(_) => Vec::new(),
    });
    finish(object, told, errors)
}

/// Makes the successor of `old` of what a user sent: server-owned metadata and the status are kept, the
/// generation grows when the spec changed, and only what may change has changed.
pub(crate) fn admit_update(old: &Object, mut new: Object, _context: &Context) -> Admission {
    metadata::prepare_update(old.meta(), new.meta_mut());
    keep_server_parts(old, &mut new);
    let told = drop_fields(old, &mut new);
    defaults::apply(&mut new);
    let mut errors = update::metadata(old.meta(), new.meta());
    errors.extend(metadata::validate(&new));
    errors.extend(match (old, &new) {
        (Object::Pod(old), Object::Pod(new)) => update::pod(old, new),
        (Object::ConfigMap(old), Object::ConfigMap(new)) => {
            let mut errors = data::config_map_update(old, new);
            errors.extend(data::config_map(new));
            errors
        }
        (Object::Secret(old), Object::Secret(new)) => {
            let mut errors = data::secret_update(old, new);
            errors.extend(data::secret(new));
            errors
        }
        (Object::PodPreset(_), Object::PodPreset(new)) => preset::validate(new),
        (Object::Event(_), Object::Event(new)) => data::event(new),
        (Object::Node(_), Object::Node(new)) => node::validate(new),
        (Object::PersistentVolume(old), Object::PersistentVolume(new)) => {
            storage::volume_update(old, new)
        }
        (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new)) => {
            storage::claim_update(old, new)
        }
        (Object::PriorityClass(old), Object::PriorityClass(new)) => {
            priority::class_update(old, new)
        }
        (old, new) if old.kind() != new.kind() => {
            let kind = new.kind().as_str();
            vec![FieldError::invalid_string(
                "kind",
                kind,
                "field is immutable",
            )]
        }
        _ => Vec::new(),
    });
    count_generation(old, &mut new);
    finish(new, told, errors)
}

/// Makes the successor of `old` with one part of what a user sent.
pub(crate) fn admit_part(old: &Object, mut new: Object, part: Subresource) -> Admission {
    let told = drop_fields(old, &mut new);
    defaults::apply(&mut new);
    if let (Object::Node(before), Object::Node(wanted), Subresource::Status) = (old, &new, part) {
        let (node, errors, told) = node::status(before, wanted);
        return finish(Object::Node(Arc::new(node)), told, errors);
    }
    let (Object::Pod(before), Object::Pod(wanted)) = (old, &new) else {
        let path = part.as_str();
        let detail = format!("a {} has no such part", old.kind().as_str());
        return Err(vec![FieldError::forbidden(path, detail)]);
    };
    let (pod, errors, warnings) = match part {
        Subresource::Status => part::status(before, wanted),
        Subresource::EphemeralContainers => {
            let (pod, errors) = part::ephemeral_containers(before, wanted);
            (pod, errors, Vec::new())
        }
        Subresource::Resize => {
            let (pod, errors) = resize::resize(before, wanted);
            (pod, errors, Vec::new())
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut object = Object::Pod(Arc::new(pod));
    count_generation(old, &mut object);
    Ok((Admitted::new(object), [told, warnings].concat()))
}

fn drop_fields(old: &Object, new: &mut Object) -> Vec<String> {
    match (old, new) {
        (Object::Pod(old), Object::Pod(new)) => {
            disabled::drop_fields(Some(old), Arc::make_mut(new))
        }
        _ => Vec::new(),
    }
}

fn finish(object: Object, told: Vec<String>, errors: Vec<FieldError>) -> Admission {
    if errors.is_empty() {
        let warnings = [told, warnings::of(&object)].concat();
        Ok((Admitted::new(object), warnings))
    } else {
        Err(errors)
    }
}

/// Nodes report their status when they register; everybody else begins without one.
fn drop_status(object: &mut Object) {
    match object {
        Object::Pod(pod) => Arc::make_mut(pod).status = None,
        Object::Namespace(namespace) => Arc::make_mut(namespace).status = None,
        Object::PersistentVolume(volume) => Arc::make_mut(volume).status = None,
        Object::PersistentVolumeClaim(claim) => Arc::make_mut(claim).status = None,
        Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::PodPreset(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::PriorityClass(_) => {}
    }
}

/// A user's write never touches the status, that is what the `status` subresource is for, nor takes a pod from
/// its node.
fn keep_server_parts(old: &Object, new: &mut Object) {
    match (old, new) {
        (Object::Pod(old), Object::Pod(new)) => {
            let new = Arc::make_mut(new);
            new.status.clone_from(&old.status);
            let node = old.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            if let (Some(spec), Some(node)) = (&mut new.spec, node)
                && spec.node_name.as_deref().unwrap_or_default().is_empty()
            {
                spec.node_name = Some(node.clone());
            }
            if let (Some(spec), Some(old)) = (&mut new.spec, &old.spec) {
                priority::keep(old, spec);
            }
        }
        (Object::Node(old), Object::Node(new)) => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::Namespace(old), Object::Namespace(new)) => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::PersistentVolume(old), Object::PersistentVolume(new)) => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new)) => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        _ => {}
    }
}

fn count_generation(old: &Object, new: &mut Object) {
    let changed = match (old, &*new) {
        (Object::Pod(old), Object::Pod(new)) => old.spec != new.spec,
        (Object::Node(old), Object::Node(new)) => old.spec != new.spec,
        (Object::PodPreset(old), Object::PodPreset(new)) => old.spec != new.spec,
        _ => false,
    };
    if changed {
        let meta = new.meta_mut();
        meta.generation = Some(meta.generation.unwrap_or(0) + 1);
    }
}

pub(super) fn fresh_uid() -> String {
    Uid::random().as_str().to_owned()
}

pub(super) fn time(now: Timestamp) -> Time {
    // The API keeps whole seconds.
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
