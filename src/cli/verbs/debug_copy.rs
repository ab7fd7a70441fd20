//! `debug --copy-to`: the pod once more, changed for debugging.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::debug::{DebugArgs, Profile, debugger};
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
    container: Option<&str>,
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
/// nothing restarts it while somebody looks, unless they are to be kept. The profile of old keeps all but labels.
fn copy_of(args: &DebugArgs, pod: &Pod, container: Option<&str>) -> Result<Value, Failure> {
    let is_legacy = args.profile == Profile::Legacy;
    let live = Object::Pod(std::sync::Arc::new(pod.clone())).to_value();
    let mut spec = live.get("spec").cloned().unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("ephemeralContainers");
        if !args.same_node {
            fields.remove("nodeName");
        }
        if !args.keep_init_containers && !is_legacy {
            fields.remove("initContainers");
        }
        if let Some(share) = args.share_processes {
            fields.insert("shareProcessNamespace".to_owned(), json!(share));
        }
    }
    for one in list_of(&mut spec) {
        set_image(args, one)?;
    }
    place_debugger(args, &mut spec, container)?;
    // A copy that only gets other images is not touched otherwise.
    let is_changed = container.is_some() && !is_legacy;
    if is_changed {
        for one in list_of(&mut spec) {
            remove_probes(args, one);
        }
        if let Some(fields) = spec.as_object_mut() {
            fields.entry("shareProcessNamespace").or_insert(json!(true));
        }
    }
    let keeps_labels = args.keep_labels && !is_legacy || container.is_none();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": args.copy_to,
            "namespace": pod.metadata.namespace,
            "labels": pod.metadata.labels.as_ref().filter(|_| keeps_labels),
            "annotations": pod.metadata.annotations.as_ref().filter(|_| !is_changed || args.keep_annotations),
        },
        "spec": spec,
    }))
}

fn list_of(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let list = spec.get_mut("containers").and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn remove_probes(args: &DebugArgs, container: &mut Value) {
    let Some(fields) = container.as_object_mut() else {
        return;
    };
    for (probe, keep) in [
        ("livenessProbe", args.keep_liveness),
        ("readinessProbe", args.keep_readiness),
        ("startupProbe", args.keep_startup),
    ] {
        if !keep {
            fields.remove(probe);
        }
    }
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
fn place_debugger(args: &DebugArgs, spec: &mut Value, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let mut wanted = debugger(args, name)?;
    let Some(list) = spec.get_mut("containers").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    let known = list
        .iter_mut()
        .find(|container| container.get("name").and_then(Value::as_str) == Some(name));
    let Some(known) = known else {
        if args.image.is_none() {
            let text = "you must specify image when creating new container";
            return Err(Failure::local(text));
        }
        list.push(wanted);
        return Ok(());
    };
    wanted["stdin"] = json!(args.stdin);
    wanted["tty"] = json!(args.tty);
    if let Some(fields) = wanted.as_object_mut() {
        // That of a container that is there already stays.
        fields.remove("terminationMessagePolicy");
        fields.retain(|_, value| !value.is_null());
    }
    if let Some(fields) = known.as_object_mut() {
        if !args.command.is_empty() && !args.arguments_only {
            // The arguments of the old command mean nothing to the new one.
            fields.remove("args");
        }
        if matches!(args.profile, Profile::Baseline | Profile::Restricted) {
            fields.remove("securityContext");
        }
    }
    let added = known.pointer("/securityContext/capabilities/add").cloned();
    json_patch::merge(known, &wanted);
    let both = known.pointer_mut("/securityContext/capabilities/add");
    if let (Some(Value::Array(both)), Some(Value::Array(before))) = (both, added) {
        let new = std::mem::take(both);
        both.extend(before);
        both.extend(new);
        let mut seen = Vec::new();
        both.retain(|name| {
            let is_new = !seen.contains(name);
            seen.push(name.clone());
            is_new
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DebugArgs,
    }

    fn copy(line: &str) -> Result<Value, String> {
        let words = ["debug", "p", "--copy-to=q"].into_iter();
        let args = Line::try_parse_from(words.chain(line.split(' ')))
            .unwrap()
            .args;
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {"l": "1"}, "annotations": {"a": "1"}},
            "spec": {"nodeName": "here", "initContainers": [{"name": "i", "image": "x"}], "containers": [
                {"name": "c", "image": "x", "args": ["old"], "terminationMessagePolicy": "FallbackToLogsOnError",
                    "livenessProbe": {"tcpSocket": {"port": 1}}, "readinessProbe": {"tcpSocket": {"port": 1}},
                    "securityContext": {"runAsUser": 7, "capabilities": {"add": ["KILL"]}}},
                {"name": "d", "image": "x"}]},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let name = args
            .container
            .clone()
            .or(args.image.as_ref().map(|_| "debugger-x".to_owned()));
        copy_of(&args, &pod, name.as_deref()).map_err(|failure| failure.to_string())
    }

    #[track_caller]
    fn check(line: &str, pointer: &str, expected: Value) {
        let copy = copy(line).unwrap();
        let found = copy.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{line} {pointer}");
    }

    #[test]
    fn what_a_copy_keeps() {
        let other = "--image=y";
        check(other, "/metadata/labels", Value::Null);
        check(other, "/metadata/annotations", Value::Null);
        check(other, "/spec/containers/0/livenessProbe", Value::Null);
        check(other, "/spec/containers/2/name", json!("debugger-x"));
        check(other, "/spec/shareProcessNamespace", json!(true));
        check(other, "/spec/nodeName", Value::Null);
        check(other, "/spec/initContainers/0/name", json!("i"));
        check("--image=y --same-node", "/spec/nodeName", json!("here"));
        check(
            "--image=y --share-processes=false",
            "/spec/shareProcessNamespace",
            json!(false),
        );
        check("--image=y --keep-labels", "/metadata/labels/l", json!("1"));
        check(
            "--image=y --keep-annotations",
            "/metadata/annotations/a",
            json!("1"),
        );
        let port = "/spec/containers/0/livenessProbe/tcpSocket/port";
        check("--image=y --keep-liveness", port, json!(1));
        check(
            "--image=y --keep-liveness",
            "/spec/containers/0/readinessProbe",
            Value::Null,
        );
        check(
            "--image=y --keep-init-containers=false",
            "/spec/initContainers",
            Value::Null,
        );
        check("--image=y --profile=legacy", port, json!(1));
        check(
            "--image=y --profile=legacy",
            "/metadata/labels",
            Value::Null,
        );
        check(
            "--image=y --profile=legacy",
            "/metadata/annotations/a",
            json!("1"),
        );
        check(
            "--image=y --profile=legacy",
            "/spec/shareProcessNamespace",
            Value::Null,
        );
        // Other images alone change nothing else.
        check(
            "--set-image=*=z,d=w",
            "/spec/containers/0/image",
            json!("z"),
        );
        check(
            "--set-image=*=z,d=w",
            "/spec/containers/1/image",
            json!("w"),
        );
        check("--set-image=*=z", "/metadata/labels/l", json!("1"));
        check("--set-image=*=z", port, json!(1));
    }

    #[test]
    fn what_becomes_of_a_container_that_is_there() {
        let shell = "-c c -i -- sh";
        check(shell, "/spec/containers/0/command", json!(["sh"]));
        check(shell, "/spec/containers/0/args", Value::Null);
        check(shell, "/spec/containers/0/stdin", json!(true));
        check(shell, "/spec/containers/0/tty", json!(false));
        check(shell, "/spec/containers/0/image", json!("x"));
        check(
            shell,
            "/spec/containers/0/terminationMessagePolicy",
            json!("FallbackToLogsOnError"),
        );
        let security = "/spec/containers/0/securityContext";
        check(
            shell,
            security,
            json!({"runAsUser": 7, "capabilities": {"add": ["KILL", "SYS_PTRACE"]}}),
        );
        check("-c c --profile=baseline -- sh", security, Value::Null);
        check(
            "-c c --profile=sysadmin -- sh",
            security,
            json!({"runAsUser": 7, "capabilities": {"add": ["KILL"]}, "privileged": true}),
        );
        let missing = copy("-c e -- sh").unwrap_err();
        assert_eq!(
            missing,
            "you must specify image when creating new container"
        );
    }
}
