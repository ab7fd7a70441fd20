use std::sync::Arc;

use clap::Args;
use k8s_openapi::api::core::v1::{Event, Pod};

use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::resources::{Found, SelectorArgs, Target, check_selection, find, parse_targets};
use crate::client::{Client, ListOptions};
use crate::model::storage::uses_claim;
use crate::model::{Kind, Object};
use crate::printer::{Related, describe as describe_text};

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// KIND [NAME or the start of one…] or KIND/NAME…
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    selector: SelectorArgs,
    /// Show events: =true also of several objects, =false not even of one
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    show_events: Option<bool>,
}

pub(crate) async fn describe(context: &mut Context, args: DescribeArgs) -> Result<(), Failure> {
    let targets = if args.files.files.is_empty() {
        parse_targets(&args.words)?
    } else {
        let namespace = context.given_namespace.clone();
        let manifests = load(
            &args.files,
            Validate::Ignore,
            namespace.as_deref(),
            &mut context.console,
        )?;
        manifests
            .into_iter()
            .map(|manifest| Target::Name(manifest.kind, manifest.key.name))
            .collect()
    };
    check_selection(&targets, &args.selector)?;
    let namespace = context.namespace();
    let client = context.client().await?;
    let mut found = find(&*client, &targets, &args.selector, &namespace).await?;
    let by_prefix = by_prefix(&*client, &targets, &namespace, &mut found).await?;
    // As kubectl: the events of one object that was asked for, and no others unless they are wanted.
    let is_one = found.objects.len() == 1 && !by_prefix;
    let show_events = args.show_events.unwrap_or(is_one);
    if found.objects.is_empty() && found.failures.is_empty() {
        let place = if args.selector.all_namespaces {
            "."
        } else {
            &format!(" in {namespace} namespace.")
        };
        context.console.note(&format!("No resources found{place}"));
        return Ok(());
    }
    let mut texts = Vec::new();
    for object in &found.objects {
        let related = related(&*client, object, show_events).await?;
        texts.push(describe_text(object, &related, &context.console.moment()));
    }
    context.console.print(&texts.join("\n\n"))?;
    finish(&mut context.console, &found.failures)
}

/// A name that does not exist describes every object whose name starts with it. Returns whether one did.
async fn by_prefix(
    client: &dyn Client,
    targets: &[Target],
    namespace: &str,
    found: &mut Found,
) -> Result<bool, Failure> {
    let mut any = false;
    if !found.failures.iter().any(Failure::is_not_found) {
        return Ok(any);
    }
    for target in targets {
        let Target::Name(kind, prefix) = target else {
            continue;
        };
        if found
            .objects
            .iter()
            .any(|object| object.kind() == *kind && object.name() == prefix)
        {
            continue;
        }
        let selector = SelectorArgs::default();
        let list = client
            .list(*kind, selector.list_options(*kind, namespace))
            .await?;
        let matching: Vec<Object> = list
            .items
            .into_iter()
            .filter(|object| object.name().starts_with(prefix.as_str()))
            .collect();
        if matching.is_empty() {
            continue;
        }
        any = true;
        found.objects.extend(matching);
        let missing = format!("\"{prefix}\"");
        found
            .failures
            .retain(|failure| !(failure.is_not_found() && failure.text().contains(&missing)));
    }
    Ok(any)
}

async fn pods(client: &dyn Client, options: ListOptions) -> Result<Vec<Arc<Pod>>, Failure> {
    let list = client.list(Kind::Pod, options).await?;
    let pods = list.items.into_iter().filter_map(|item| match item {
        Object::Pod(pod) => Some(pod),
        _ => None,
    });
    Ok(pods.collect())
}

async fn related(
    client: &dyn Client,
    object: &Object,
    with_events: bool,
) -> Result<Related, Failure> {
    let mut related = Related {
        without_events: !with_events,
        ..Related::default()
    };
    let everywhere = object.namespace().is_empty();
    let options = |all: bool| ListOptions {
        namespace: (!all).then(|| object.namespace().to_owned()),
        ..ListOptions::default()
    };
    if with_events {
        let list = client.list(Kind::Event, options(everywhere)).await?;
        related.events = list
            .items
            .into_iter()
            .filter_map(|item| match item {
                Object::Event(event) if is_about(&event, object) => Some(event),
                _ => None,
            })
            .collect();
    }
    if object.kind() == Kind::Node {
        related.pods = pods(client, options(true)).await?;
        related.pods.retain(|pod| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            node == Some(object.name())
        });
    }
    if let Object::PersistentVolumeClaim(claim) = object {
        related.pods = pods(client, options(false)).await?;
        related.pods.retain(|pod| uses_claim(pod, claim));
    }
    Ok(related)
}

/// An event without a uid is about whatever has the name.
pub(super) fn is_about(event: &Arc<Event>, object: &Object) -> bool {
    let involved = &event.involved_object;
    let uid = involved.uid.as_deref().unwrap_or_default();
    involved.kind.as_deref() == Some(object.kind().as_str())
        && involved.name.as_deref() == Some(object.name())
        // Events of the node carry its name as uid, as kubelet's do.
        && (uid.is_empty() || uid == object.uid().as_str() || (object.kind() == Kind::Node && uid == object.name()))
}
