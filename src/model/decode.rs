//! JSON to typed objects, strictly: fields the API does not know and values of a wrong type are reported with
//! their path. `null` means absent.

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::quantity::{self, QuantityError};
use super::{Kind, Object};

/// A typed object and the paths of fields that do not exist in its type, in document order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) object: Object,
    pub(crate) unknown_fields: Vec<String>,
}

impl Decoded {
    /// The refusal of a strict decoder; `None` when every field is known.
    pub(crate) fn strict_error(&self) -> Option<String> {
        if self.unknown_fields.is_empty() {
            return None;
        }
        let list: Vec<String> = self
            .unknown_fields
            .iter()
            .map(|path| format!("unknown field \"{path}\""))
            .collect();
        Some(handled_as(
            self.object.kind(),
            &format!("strict decoding error: {}", list.join(", ")),
        ))
    }
}

fn handled_as(kind: Kind, problem: &str) -> String {
    let (name, version) = (kind.as_str(), kind.version());
    format!("{name} in version \"{version}\" cannot be handled as a {name}: {problem}")
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the document is {found}, an object with apiVersion and kind was expected")]
    NotAnObject { found: &'static str },
    /// `missing` is kubectl's list, e.g. `[apiVersion not set, kind not set]`; one alone has no brackets.
    #[error("error validating data: {missing}")]
    MissingType { missing: String },
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\"{hint}")]
    UnknownKind {
        kind: String,
        api_version: String,
        hint: String,
    },
    #[error("{}", handled_as(*.kind, .problem))]
    WrongType {
        kind: Kind,
        /// `spec.containers[0].ports`.
        path: String,
        /// In the words of Go's `encoding/json`.
        problem: String,
    },
}

impl DecodeError {
    /// Where in the document; empty for the document as a whole.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::NotAnObject { .. } | Self::MissingType { .. } => "",
            Self::UnknownKind { .. } => "kind",
            Self::WrongType { path, .. } => path,
        }
    }
}

/// Kinds of Kubernetes that a user may well have in a file; the refusal then says that the kind is real.
const KNOWN_ELSEWHERE: [&str; 26] = [
    "Service",
    "ServiceAccount",
    "Endpoints",
    "EndpointSlice",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "StorageClass",
    "PodTemplate",
    "LimitRange",
    "ResourceQuota",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "RuntimeClass",
    "CustomResourceDefinition",
    "Lease",
];

/// Finds the kind of a document.
pub(crate) fn kind_of(value: &Value) -> Result<Kind, DecodeError> {
    let Some(map) = value.as_object() else {
        let found = describe(value);
        return Err(DecodeError::NotAnObject { found });
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let trouble = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Some(format!("{key} not set")),
        Some(Value::String(text)) => text.is_empty().then(|| format!("{key} not set")),
        Some(_) => Some(format!("{key} isn't string type")),
    };
    let missing: Vec<String> = ["apiVersion", "kind"]
        .into_iter()
        .filter_map(trouble)
        .collect();
    match missing.as_slice() {
        [] => {}
        [one] => {
            let missing = one.clone();
            return Err(DecodeError::MissingType { missing });
        }
        many => {
            let missing = format!("[{}]", many.join(", "));
            return Err(DecodeError::MissingType { missing });
        }
    }
    Kind::from_manifest(api_version, kind).ok_or_else(|| {
        let served = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
        let hint = match served {
            Some(served) => format!(
                " (the kind is served in version {:?})",
                served.api_version()
            ),
            None if KNOWN_ELSEWHERE.contains(&kind) => {
                " (podtui does not have this kind yet)".to_owned()
            }
            None => String::new(),
        };
        DecodeError::UnknownKind {
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
            hint,
        }
    })
}

const fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Turns one document into an object. Quantities come out in canonical form.
pub(crate) fn decode(mut value: Value) -> Result<Decoded, DecodeError> {
    let kind = kind_of(&value)?;
    let mut rounds = 0;
    loop {
        let mut unknown_fields = Vec::new();
        let error = match read(kind, &value, &mut unknown_fields) {
            Ok(mut object) => {
                canonical_quantities(kind, &mut object)?;
                return Ok(Decoded {
                    object,
                    unknown_fields,
                });
            }
            Err(error) => error,
        };
        rounds += 1;
        if rounds > NULL_ROUNDS || !fill_nulls(&mut value, &error) {
            return Err(wrong_type(kind, &value, error));
        }
    }
}

/// Lists and maps with nulls in them that one document may have: each is one more round of decoding.
const NULL_ROUNDS: usize = 64;

/// Go's decoder leaves an element alone for which it finds null, so in a list or map it is the zero value of
/// its type. Does so with the nulls beside the one that was stumbled over; `false` if it was another mistake.
fn fill_nulls(value: &mut Value, error: &ReadError) -> bool {
    let Some(expected) = expectation(&error.message) else {
        return false;
    };
    let Some((last, parents)) = error.path.split_last() else {
        return false;
    };
    let zero = match expected {
        "a string" | "string" => Value::String(String::new()),
        "a boolean" => Value::Bool(false),
        "i32" | "i64" | "Quantity" => Value::from(0),
        "a sequence" | "a map" => return false,
        _ => Value::Object(serde_json::Map::new()),
    };
    let container = parents.iter().try_fold(value, |value, step| match step {
        Step::Index(index) => value.get_mut(index),
        Step::Key(key) => value.get_mut(key),
    });
    let elements: Vec<&mut Value> = match (container, last) {
        (Some(Value::Array(list)), Step::Index(index)) if list[*index].is_null() => {
            list.iter_mut().collect()
        }
        (Some(Value::Object(map)), Step::Key(key)) if map[key].is_null() => {
            map.values_mut().collect()
        }
        _ => return false,
    };
    for element in elements {
        if element.is_null() {
            *element = zero.clone();
        }
    }
    true
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Index(usize),
    Key(String),
}

struct ReadError {
    path: Vec<Step>,
    message: String,
}

fn read(kind: Kind, value: &Value, unknown: &mut Vec<String>) -> Result<Object, ReadError> {
    fn typed<T: for<'de> Deserialize<'de>>(
        value: &Value,
        unknown: &mut Vec<String>,
    ) -> Result<Arc<T>, ReadError> {
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
        let result = serde_ignored::deserialize(deserializer, |path| unknown.push(render(&path)));
        result.map(Arc::new).map_err(|error: serde_json::Error| {
            let path = track.path();
            let steps = path.iter().filter_map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
                serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
                _ => None,
            });
            ReadError {
                path: steps.collect(),
                message: error.to_string(),
            }
        })
    }
    match kind {
        Kind::Pod => typed(value, unknown).map(Object::Pod),
        Kind::ConfigMap => typed(value, unknown).map(Object::ConfigMap),
        Kind::Secret => typed(value, unknown).map(Object::Secret),
        Kind::ServiceAccount => typed(value, unknown).map(Object::ServiceAccount),
        Kind::PodPreset => typed(value, unknown).map(Object::PodPreset),
        Kind::Event => typed(value, unknown).map(Object::Event),
        Kind::Node => typed(value, unknown).map(Object::Node),
        Kind::Namespace => typed(value, unknown).map(Object::Namespace),
        Kind::PersistentVolume => typed(value, unknown).map(Object::PersistentVolume),
        Kind::PersistentVolumeClaim => typed(value, unknown).map(Object::PersistentVolumeClaim),
        Kind::PriorityClass => typed(value, unknown).map(Object::PriorityClass),
    }
}

/// `spec.containers[0].imgae`; serde_ignored's own rendering shows options and newtypes as `?`.
fn render(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", render(parent)),
        Path::Map { parent, key } => {
            let parent = render(parent);
            if parent.is_empty() {
                key.clone()
            } else {
                format!("{parent}.{key}")
            }
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => render(parent),
    }
}

fn render_steps(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
        }
    }
    text
}

fn wrong_type(kind: Kind, value: &Value, error: ReadError) -> DecodeError {
    let path = render_steps(&error.path);
    let problem = go_message(kind, value, &error);
    DecodeError::WrongType {
        kind,
        path,
        problem,
    }
}

/// The message of Go's decoder for the same mistake, as API server and kubectl print it.
fn go_message(kind: Kind, value: &Value, error: &ReadError) -> String {
    let Some(found) = locate(value, &error.path) else {
        return error.message.clone();
    };
    let Some(expected) = expectation(&error.message) else {
        return custom_message(&error.message);
    };
    match expected {
        "Quantity" => return QuantityError::Format.to_string(),
        "a base64-encoded string" => {
            return format!(
                "json: cannot unmarshal {} into Go struct field {}.data of type []uint8",
                go_value(found),
                kind.as_str()
            );
        }
        _ => {}
    }
    let wanted = go_type(kind, value, &error.path, expected);
    let (owner, fields) = go_place(kind, value, &error.path);
    let found = match found {
        // Go quotes the number where its size or fraction is the trouble.
        Value::Number(number) if matches!(expected, "i32" | "i64") => format!("number {number}"),
        other => go_value(other),
    };
    format!("json: cannot unmarshal {found} into Go struct field {owner}.{fields} of type {wanted}")
}

fn custom_message(message: &str) -> String {
    // The base64 crate: `Invalid symbol 33, offset 3.`, `Invalid last symbol 1, offset 3.`
    match message.rsplit_once("offset ") {
        Some((head, offset)) if head.starts_with("Invalid ") => {
            let offset = offset.trim_end_matches('.');
            format!("illegal base64 data at input byte {offset}")
        }
        _ if message.starts_with("Invalid input length") || message == "Invalid padding" => {
            "illegal base64 data".to_owned()
        }
        _ => message.to_owned(),
    }
}

fn locate<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Index(index) => value.get(index),
        Step::Key(key) => value.get(key),
    })
}

fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// `a sequence` of `invalid type: string "x", expected a sequence`.
fn expectation(message: &str) -> Option<&str> {
    if !message.starts_with("invalid ") {
        return None;
    }
    message.rsplit_once(", expected ").map(|(_, text)| text)
}

/// What the decoder expects at a place: asked by putting a value there that fits nothing.
///
/// The API types carry no schema, but their own errors name what they wanted.
fn probe(kind: Kind, value: &Value, path: &[Step], bait: Value) -> Option<String> {
    let mut changed = value.clone();
    let mut place = &mut changed;
    for step in path {
        place = match step {
            Step::Index(index) => place.get_mut(index)?,
            Step::Key(key) => place.get_mut(key)?,
        };
    }
    *place = bait;
    let error = read(kind, &changed, &mut Vec::new()).err()?;
    expectation(&error.message).map(str::to_owned)
}

fn go_type(kind: Kind, value: &Value, path: &[Step], expected: &str) -> String {
    let inner = |bait: Value| {
        probe(kind, value, path, bait).map_or_else(
            || "bool".to_owned(),
            |expected| match expected.as_str() {
                // Lists of lists do not occur in the API.
                "a sequence" | "a map" => "interface {}".to_owned(),
                other => simple_go_type(other),
            },
        )
    };
    match expected {
        "a sequence" => format!("[]{}", inner(serde_json::json!([true]))),
        "a map" => format!("map[string]{}", inner(serde_json::json!({"x": true}))),
        "a string" if matches!(path.last(), Some(Step::Key(key)) if key == "uid") => {
            "types.UID".to_owned()
        }
        other => simple_go_type(other),
    }
}

/// How the types that are not of the API crate name themselves in errors; they are of `settings.k8s.io/v1alpha1`.
const OWN_TYPE: &str = "struct ";

fn simple_go_type(expected: &str) -> String {
    match expected {
        "a string" | "string" => "string".to_owned(),
        "a boolean" => "bool".to_owned(),
        "i32" => "int32".to_owned(),
        "i64" => "int64".to_owned(),
        "Quantity" => "resource.Quantity".to_owned(),
        "a base64-encoded string" => "[]uint8".to_owned(),
        structure => match structure.strip_prefix(OWN_TYPE) {
            Some(own) => format!("v1alpha1.{own}"),
            None => format!("v1.{structure}"),
        },
    }
}

/// Innermost structure around the place, and the names of all structure fields on the way to it.
fn go_place(kind: Kind, value: &Value, path: &[Step]) -> (String, String) {
    let mut owner = kind.as_str().to_owned();
    let mut fields: Vec<&str> = Vec::new();
    for (index, step) in path.iter().enumerate() {
        let Step::Key(key) = step else { continue };
        if index == 0 {
            fields.push(key);
            continue;
        }
        match probe(kind, value, &path[..index], Value::Bool(true)).as_deref() {
            Some("a map" | "a sequence") | None => {}
            Some(structure) => {
                let structure = structure.strip_prefix(OWN_TYPE).unwrap_or(structure);
                structure.clone_into(&mut owner);
                fields.push(key);
            }
        }
    }
    (owner, fields.join("."))
}

/// Rewrites every quantity of the object in canonical form, or reports the first that is none.
fn canonical_quantities(kind: Kind, object: &mut Object) -> Result<(), DecodeError> {
    let mut visit = |path: String, quantity: &mut Quantity| {
        quantity.0 = quantity::canonical(&quantity.0).map_err(|error| DecodeError::WrongType {
            kind,
            path,
            problem: error.to_string(),
        })?;
        Ok(())
    };
    match object {
        Object::Pod(pod) => match &mut Arc::make_mut(pod).spec {
            Some(spec) => visit_quantities(spec, &mut visit),
            None => Ok(()),
        },
        Object::PodPreset(preset) => match &mut Arc::make_mut(preset).spec {
            Some(spec) => {
                visit_env("spec.env", spec.env.as_mut(), &mut visit)?;
                visit_volumes(spec.volumes.as_mut(), &mut visit)
            }
            None => Ok(()),
        },
        Object::PersistentVolume(volume) => {
            let spec = Arc::make_mut(volume).spec.as_mut();
            visit_map(
                "spec.capacity",
                spec.and_then(|spec| spec.capacity.as_mut()),
                &mut visit,
            )
        }
        Object::PersistentVolumeClaim(claim) => {
            let claim = Arc::make_mut(claim);
            if let Some(spec) = &mut claim.spec {
                visit_claim("spec", spec, &mut visit)?;
            }
            let status = claim.status.as_mut();
            visit_map(
                "status.capacity",
                status.and_then(|status| status.capacity.as_mut()),
                &mut visit,
            )
        }
        Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::Namespace(_)
        | Object::PriorityClass(_) => Ok(()),
    }
}

type Visit<'a> = &'a mut dyn FnMut(String, &mut Quantity) -> Result<(), DecodeError>;

fn visit_quantities(
    spec: &mut k8s_openapi::api::core::v1::PodSpec,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    let lists = [
        ("initContainers", spec.init_containers.as_mut()),
        ("containers", Some(&mut spec.containers)),
    ];
    for (name, list) in lists {
        for (index, container) in list.into_iter().flatten().enumerate() {
            let path = format!("spec.{name}[{index}]");
            visit_resources(
                &format!("{path}.resources"),
                container.resources.as_mut(),
                visit,
            )?;
            visit_env(&format!("{path}.env"), container.env.as_mut(), visit)?;
        }
    }
    visit_resources("spec.resources", spec.resources.as_mut(), visit)?;
    for (name, amount) in spec.overhead.iter_mut().flatten() {
        visit(format!("spec.overhead.{name}"), amount)?;
    }
    visit_volumes(spec.volumes.as_mut(), visit)
}

fn visit_map(
    path: &str,
    map: Option<&mut BTreeMap<String, Quantity>>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    for (name, amount) in map.into_iter().flatten() {
        visit(format!("{path}.{name}"), amount)?;
    }
    Ok(())
}

fn visit_claim(
    path: &str,
    spec: &mut PersistentVolumeClaimSpec,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    let Some(resources) = &mut spec.resources else {
        return Ok(());
    };
    for (part, map) in [
        ("limits", resources.limits.as_mut()),
        ("requests", resources.requests.as_mut()),
    ] {
        visit_map(&format!("{path}.resources.{part}"), map, visit)?;
    }
    Ok(())
}

fn visit_env(
    path: &str,
    env: Option<&mut Vec<k8s_openapi::api::core::v1::EnvVar>>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    for (index, env) in env.into_iter().flatten().enumerate() {
        let source = env.value_from.as_mut();
        let field = source.and_then(|source| source.resource_field_ref.as_mut());
        if let Some(divisor) = field.and_then(|field| field.divisor.as_mut()) {
            visit(
                format!("{path}[{index}].valueFrom.resourceFieldRef.divisor"),
                divisor,
            )?;
        }
    }
    Ok(())
}

fn visit_volumes(
    volumes: Option<&mut Vec<k8s_openapi::api::core::v1::Volume>>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    for (index, volume) in volumes.into_iter().flatten().enumerate() {
        let path = format!("spec.volumes[{index}]");
        if let Some(limit) = volume
            .empty_dir
            .as_mut()
            .and_then(|dir| dir.size_limit.as_mut())
        {
            visit(format!("{path}.emptyDir.sizeLimit"), limit)?;
        }
        let ephemeral = volume.ephemeral.as_mut();
        if let Some(template) =
            ephemeral.and_then(|ephemeral| ephemeral.volume_claim_template.as_mut())
        {
            let path = format!("{path}.ephemeral.volumeClaimTemplate.spec");
            visit_claim(&path, &mut template.spec, visit)?;
        }
        visit_downward(
            &format!("{path}.downwardAPI"),
            volume
                .downward_api
                .as_mut()
                .and_then(|source| source.items.as_mut()),
            visit,
        )?;
        let sources = volume
            .projected
            .as_mut()
            .and_then(|projected| projected.sources.as_mut());
        for (index, source) in sources.into_iter().flatten().enumerate() {
            let path = format!("{path}.projected.sources[{index}].downwardAPI");
            visit_downward(
                &path,
                source
                    .downward_api
                    .as_mut()
                    .and_then(|source| source.items.as_mut()),
                visit,
            )?;
        }
    }
    Ok(())
}

fn visit_resources(
    path: &str,
    resources: Option<&mut k8s_openapi::api::core::v1::ResourceRequirements>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    let Some(resources) = resources else {
        return Ok(());
    };
    for (part, map) in [
        ("limits", &mut resources.limits),
        ("requests", &mut resources.requests),
    ] {
        for (name, amount) in map.iter_mut().flatten() {
            visit(format!("{path}.{part}.{name}"), amount)?;
        }
    }
    Ok(())
}

fn visit_downward(
    path: &str,
    items: Option<&mut Vec<k8s_openapi::api::core::v1::DownwardAPIVolumeFile>>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    for (index, item) in items.into_iter().flatten().enumerate() {
        let field = item.resource_field_ref.as_mut();
        if let Some(divisor) = field.and_then(|field| field.divisor.as_mut()) {
            visit(
                format!("{path}.items[{index}].resourceFieldRef.divisor"),
                divisor,
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    }

    #[track_caller]
    fn check(value: Value, path: &str, expected: &str) {
        let error = decode(value).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.path(), path);
    }

    #[test]
    fn type_errors_read_like_those_of_the_api_server() {
        let handled = "Pod in version \"v1\" cannot be handled as a Pod: ";
        let container = |part: Value| {
            let mut container = json!({"name": "c"});
            for (key, value) in part.as_object().unwrap() {
                container[key] = value.clone();
            }
            pod(json!({ "containers": [container] }))
        };
        let wrong = |value: Value, path: &str, problem: &str| {
            check(value, path, &format!("{handled}{problem}"))
        };
        wrong(
            container(json!({"ports": "80"})),
            "spec.containers[0].ports",
            "json: cannot unmarshal string into Go struct field Container.spec.containers.ports of type []v1.ContainerPort",
        );
        wrong(
            pod(json!({"containers": "x"})),
            "spec.containers",
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        );
        wrong(
            pod(json!({"containers": ["x"]})),
            "spec.containers[0]",
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        );
        wrong(
            container(json!({"env": [{"name": "A", "value": true}]})),
            "spec.containers[0].env[0].value",
            "json: cannot unmarshal bool into Go struct field EnvVar.spec.containers.env.value of type string",
        );
        wrong(
            container(json!({"command": "ls"})),
            "spec.containers[0].command",
            "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string",
        );
        wrong(
            container(json!({"args": [1]})),
            "spec.containers[0].args[0]",
            "json: cannot unmarshal number into Go struct field Container.spec.containers.args of type string",
        );
        wrong(
            container(json!({"stdin": "yes"})),
            "spec.containers[0].stdin",
            "json: cannot unmarshal string into Go struct field Container.spec.containers.stdin of type bool",
        );
        wrong(
            container(json!({"ports": [{"containerPort": "80"}]})),
            "spec.containers[0].ports[0].containerPort",
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        );
        wrong(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": true}}}),
            "metadata.labels.a",
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        );
        wrong(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": "x"}}),
            "metadata.labels",
            "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        );
        wrong(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"ownerReferences": [{"uid": 1}]}}),
            "metadata.ownerReferences[0].uid",
            "json: cannot unmarshal number into Go struct field OwnerReference.metadata.ownerReferences.uid of type types.UID",
        );
        wrong(
            json!({"apiVersion": "v1", "kind": "Pod", "spec": 5}),
            "spec",
            "json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec",
        );
        wrong(
            container(json!({"resources": {"limits": {"cpu": "1KB"}}})),
            "spec.containers[0].resources.limits.cpu",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
        wrong(
            container(json!({"resources": {"limits": {"memory": "1K"}}})),
            "spec.containers[0].resources.limits.memory",
            "unable to parse quantity's suffix",
        );
    }

    #[test]
    fn documents_without_a_known_type() {
        check(
            json!({}),
            "",
            "error validating data: [apiVersion not set, kind not set]",
        );
        check(
            json!({"apiVersion": "v1"}),
            "",
            "error validating data: kind not set",
        );
        check(
            json!({"apiVersion": 1, "kind": ["Pod"]}),
            "",
            "error validating data: [apiVersion isn't string type, kind isn't string type]",
        );
        check(
            json!("x"),
            "",
            "the document is a string, an object with apiVersion and kind was expected",
        );
        check(
            json!({"apiVersion": "v1", "kind": "Podd"}),
            "kind",
            "no matches for kind \"Podd\" in version \"v1\"",
        );
        check(
            json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
            "kind",
            "no matches for kind \"Deployment\" in version \"apps/v1\" (podtui does not have this kind yet)",
        );
    }

    #[test]
    fn null_in_a_list_or_map_is_the_zero_value() {
        let mut value = pod(json!({
            "containers": [null, {"name": "c", "image": "x", "command": ["a", null], "args": [null]}],
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": [null, "b"]}],
            "nodeSelector": {"k": null},
            "securityContext": {"supplementalGroups": [null, 5]},
            "overhead": {"cpu": null},
        }));
        value["metadata"]["labels"] = json!({"a": null, "b": "c"});
        let found = decode(value).unwrap().object.to_value();
        assert_eq!(found["metadata"]["labels"], json!({"a": "", "b": "c"}));
        let spec = &found["spec"];
        assert_eq!(spec["containers"][0]["name"], "");
        assert_eq!(spec["containers"][1]["command"], json!(["a", ""]));
        assert_eq!(spec["containers"][1]["args"], json!([""]));
        assert_eq!(spec["hostAliases"][0]["hostnames"], json!(["", "b"]));
        assert_eq!(spec["nodeSelector"], json!({"k": ""}));
        assert_eq!(spec["overhead"], json!({"cpu": "0"}));
        assert_eq!(spec["securityContext"]["supplementalGroups"], json!([0, 5]));
        // A document of nothing but such lists is not decoded for ever.
        let aliases: Vec<Value> = (0..=NULL_ROUNDS)
            .map(|_| json!({"ip": "", "hostnames": [null]}))
            .collect();
        let error = decode(pod(json!({"containers": [], "hostAliases": aliases}))).unwrap_err();
        assert!(
            error.to_string().contains("cannot unmarshal null"),
            "{error}"
        );
    }

    #[test]
    fn base64_errors_name_the_byte() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "ab!d"}});
        check(
            secret,
            "data.a",
            "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 2",
        );
    }

    #[test]
    fn unknown_fields_are_listed_with_their_paths() {
        let value = pod(json!({
            "containers": [{"name": "c", "imgae": "x", "ports": [{"containerport": 80}]}],
            "Volumes": null,
        }));
        let decoded = decode(value).unwrap();
        assert_eq!(
            decoded.strict_error().unwrap(),
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.containers[0].imgae\", \
             unknown field \"spec.containers[0].ports[0].containerport\", unknown field \"spec.Volumes\""
        );
    }

    #[test]
    fn null_is_absent_and_quantities_become_canonical() {
        let value = pod(json!({
            "containers": [{"name": "c", "image": null, "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}],
            "volumes": null,
        }));
        let decoded = decode(value).unwrap();
        assert!(decoded.unknown_fields.is_empty());
        let Object::Pod(pod) = decoded.object else {
            panic!("a pod was decoded")
        };
        let limits = pod.spec.as_ref().unwrap().containers[0]
            .resources
            .clone()
            .unwrap()
            .limits
            .unwrap();
        assert_eq!(limits["cpu"].0, "500m");
        assert_eq!(limits["memory"].0, "1Gi");
    }
}
