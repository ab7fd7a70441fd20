//! `debug --copy-to`: the pod once more, changed for debugging.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::debug::{DebugArgs, debugger};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::Validate;
use crate::cli::follow::wait_gone;
use crate::client::{Client, DeleteOptions, WriteOptions};
use crate::model::{Object, ObjectKey, Resource};

pub(super) async fn copied(
    context: &mut Context,
    client: &dyn Client,
    args: &DebugArgs,
    pod: &Pod,
    container: &str,
) -> Result<ObjectKey, Failure> {
    let copy = copy_of(args, pod, container)?;
    if args.replace {
        let key = pod.key();
        client.delete(&key, DeleteOptions::default()).await?;
        // The copy may have the name of the original.
        wait_gone(client, &key, &pod.uid(), None).await?;
    }
    let options = WriteOptions {
        field_validation: Validate::Strict.on_server(),
        ..WriteOptions::default()
    };
    let written = client.create(copy, options).await?;
    context.console.warnings(&written.warnings);
    Ok(written.object.key())
}

/// Without labels, so that no service or controller takes it for the original, and without probes, so that
/// nothing restarts it while somebody looks.
fn copy_of(args: &DebugArgs, pod: &Pod, container: &str) -> Result<Value, Failure> {
    let live = Object::Pod(std::sync::Arc::new(pod.clone())).to_value();
    let mut spec = live.get("spec").cloned().unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("ephemeralContainers");
        if !args.same_node {
            fields.remove("nodeName");
        }
        fields.insert(
            "shareProcessNamespace".to_owned(),
            json!(args.share_processes),
        );
    }
    let lists = ["containers", "initContainers"];
    for list in lists {
        for one in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(fields) = one.as_object_mut() {
                for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                    fields.remove(probe);
                }
            }
            set_image(args, one)?;
        }
    }
    place_debugger(args, &mut spec, container)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": args.copy_to,
            "namespace": pod.metadata.namespace,
            "annotations": pod.metadata.annotations,
        },
        "spec": spec,
    }))
}

/// `NAME=IMAGE`; `*` stands for every container that is not named.
fn set_image(args: &DebugArgs, container: &mut Value) -> Result<(), Failure> {
    let name = container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut chosen = None;
    for pair in &args.set_image {
        let (wanted, image) = pair.split_once('=').ok_or_else(|| {
            Failure::local(format!(
                "invalid --set-image: {pair}, expected CONTAINER=IMAGE"
            ))
        })?;
        if wanted == name || (wanted == "*" && chosen.is_none()) {
            chosen = Some(image.to_owned());
        }
    }
    if let Some(image) = chosen {
        container["image"] = json!(image);
    }
    Ok(())
}

/// Changes the container of this name, or adds it.
fn place_debugger(args: &DebugArgs, spec: &mut Value, name: &str) -> Result<(), Failure> {
    let wanted = debugger(args, name)?;
    let Some(list) = spec.get_mut("containers").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    let known = list
        .iter_mut()
        .find(|container| container.get("name").and_then(Value::as_str) == Some(name));
    match (known, wanted.as_object()) {
        (Some(known), Some(wanted)) => {
            for (field, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
                known[field.as_str()] = value.clone();
            }
            if !args.command.is_empty() && !args.arguments_only {
                // The arguments of the old command mean nothing to the new one.
                if let Some(fields) = known.as_object_mut() {
                    fields.remove("args");
                }
            }
        }
        _ if args.image.is_some() => list.push(wanted),
        _ => {
            return Err(Failure::local(format!(
                "you must specify an existing container or a new image when specifying args: no container \"{name}\""
            )));
        }
    }
    Ok(())
}
