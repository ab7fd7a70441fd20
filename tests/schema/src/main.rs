//! Writes assets/kubernetes-schema.json: the fields of every kind podtui has with their types and one line
//! about each, compacted from the JSON schema that k8s-openapi carries. Run it by hand when k8s-openapi changes:
//! `cargo run --manifest-path tests/schema/Cargo.toml > assets/kubernetes-schema.json`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    ServiceAccount,
};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

fn main() {
    let mut generator = SchemaGenerator::default();
    for_kind::<Pod>(&mut generator);
    for_kind::<ConfigMap>(&mut generator);
    for_kind::<Secret>(&mut generator);
    for_kind::<ServiceAccount>(&mut generator);
    for_kind::<PersistentVolume>(&mut generator);
    for_kind::<PersistentVolumeClaim>(&mut generator);
    for_kind::<Namespace>(&mut generator);
    for_kind::<Node>(&mut generator);
    for_kind::<Event>(&mut generator);
    for_kind::<PriorityClass>(&mut generator);
    let definitions = generator.take_definitions(false);
    let mut types = BTreeMap::new();
    for (name, definition) in &definitions {
        let Some(properties) = definition.get("properties").and_then(Value::as_object) else {
            continue;
        };
        let required: Vec<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let fields: serde_json::Map<String, Value> = properties
            .iter()
            .map(|(field, schema)| {
                let about = json!({
                    "type": type_of(schema),
                    "required": required.contains(&field.as_str()),
                    "doc": first_sentence(schema["description"].as_str().unwrap_or_default()),
                });
                (field.clone(), about)
            })
            .collect();
        types.insert(short(name).to_owned(), Value::Object(fields));
    }
    presets(&mut types);
    keep_reachable(&mut types);
    println!("{{");
    let count = types.len();
    for (index, (name, fields)) in types.iter().enumerate() {
        println!("{}: {{", json!(name));
        let fields = fields.as_object().expect("made above");
        for (index, (field, about)) in fields.iter().enumerate() {
            let comma = if index + 1 < fields.len() { "," } else { "" };
            println!(
                "{}:[{},{},{}]{comma}",
                json!(field),
                about["type"],
                about["required"],
                about["doc"]
            );
        }
        println!("}}{}", if index + 1 < count { "," } else { "" });
    }
    println!("}}");
}

/// The roots: what no kind reaches is left out.
const KINDS: [&str; 11] = [
    "Pod",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Namespace",
    "Node",
    "Event",
    "PodPreset",
    "PriorityClass",
];

/// settings.k8s.io/v1alpha1 is in no current release of Kubernetes, so k8s-openapi does not have it.
fn presets(types: &mut BTreeMap<String, Value>) {
    let field = |type_name: &str, doc: &str| json!({"type": type_name, "required": false, "doc": doc});
    let kind = json!({
        "apiVersion": types["Pod"]["apiVersion"],
        "kind": types["Pod"]["kind"],
        "metadata": types["Pod"]["metadata"],
        "spec": field("PodPresetSpec", "What is added to the pods that the selector matches"),
    });
    let spec = json!({
        "selector": field("LabelSelector", "The pods that this preset is for, by their labels; without one all of the namespace"),
        "env": field("[]EnvVar", "Environment variables that every container gets"),
        "envFrom": field("[]EnvFromSource", "Sources of environment variables that every container gets"),
        "volumes": field("[]Volume", "Volumes that the pod gets"),
        "volumeMounts": field("[]VolumeMount", "Mounts that every container gets"),
    });
    types.insert("PodPreset".to_owned(), kind);
    types.insert("PodPresetSpec".to_owned(), spec);
}

fn for_kind<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) {
    let _ = generator.subschema_for::<T>();
}

fn short(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return match short(reference) {
            scalar @ ("Quantity" | "IntOrString" | "Time" | "MicroTime" | "ByteString") => {
                scalar.to_owned()
            }
            other => other.to_owned(),
        };
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return type_of(&parts[0]);
    }
    match schema["type"].as_str().unwrap_or("string") {
        "array" => format!("[]{}", type_of(&schema["items"])),
        "object" => match schema.get("additionalProperties") {
            Some(inner) => format!("map[string]{}", type_of(inner)),
            None => "object".to_owned(),
        },
        other => other.to_owned(),
    }
}

/// Without the links, and not longer than a line that one can read in passing.
fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.split(" More info:").next().unwrap_or_default();
    let mut end = text.len();
    for (index, _) in text.match_indices(". ") {
        let head = &text[..index];
        if !["e.g", "i.e", "etc", "cf"]
            .iter()
            .any(|short| head.ends_with(short))
        {
            end = index;
            break;
        }
    }
    let mut sentence: String = text[..end].trim_end_matches('.').to_owned();
    if sentence.chars().count() > 160 {
        sentence = sentence.chars().take(159).collect::<String>() + "…";
    }
    sentence
}

fn keep_reachable(types: &mut BTreeMap<String, Value>) {
    let mut wanted: Vec<String> = KINDS.map(str::to_owned).to_vec();
    let mut seen = Vec::new();
    while let Some(name) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        for about in types
            .get(&name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let inner = about.1["type"].as_str().unwrap_or_default();
            let inner = inner
                .trim_start_matches("[]")
                .trim_start_matches("map[string]");
            wanted.push(inner.to_owned());
        }
        seen.push(name);
    }
    types.retain(|name, _| seen.contains(name));
}
