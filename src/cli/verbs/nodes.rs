//! `cordon`, `uncordon` and `taint`: who may come to the node.

use clap::Args;
use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::{Value, json};

use super::write::{DryRun, WriteArgs};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::Validate;
use crate::cli::resources::{SelectorArgs, Target, check_selection, find};
use crate::client::{Client, Patch};
use crate::model::{Kind, Object};

#[derive(Debug, Args)]
pub(crate) struct CordonArgs {
    /// Names of nodes
    #[arg(value_name = "NODE")]
    names: Vec<String>,
    #[command(flatten)]
    selector: SelectorArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TaintArgs {
    /// node NAME…, then KEY=VALUE:EFFECT to set, KEY:EFFECT- or KEY- to remove
    #[arg(required = true, value_name = "node NAME KEY=VALUE:EFFECT")]
    words: Vec<String>,
    #[command(flatten)]
    selector: SelectorArgs,
    /// All nodes
    #[arg(long)]
    all: bool,
    /// Existing taints may get another value
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) async fn cordon(
    context: &mut Context,
    args: CordonArgs,
    wanted: bool,
) -> Result<(), Failure> {
    let verb = if wanted { "cordon" } else { "uncordon" };
    if args.names.is_empty() && !args.selector.is_given() {
        return Err(Failure::local(format!(
            "USAGE: {verb} NODE [flags]\nSee 'podtui {verb} -h' for help and examples"
        )));
    }
    let targets = nodes(&args.names);
    check_selection(&targets, &args.selector)?;
    let client = context.client().await?;
    let mut found = find(&*client, &targets, &args.selector, "").await?;
    for object in &found.objects {
        let Object::Node(node) = object else { continue };
        let is = node.spec.as_ref().and_then(|spec| spec.unschedulable);
        if is.unwrap_or(false) == wanted {
            let done = format!("already {verb}ed");
            args.write
                .report(&mut context.console, &object.key(), &done, Some(object))?;
            continue;
        }
        let value = if wanted { json!(true) } else { Value::Null };
        let patch = json!({"spec": {"unschedulable": value}});
        let changed = change(context, &*client, object, patch, &args.write);
        match changed.await {
            Ok(after) => {
                let done = format!("{verb}ed");
                args.write
                    .report(&mut context.console, &object.key(), &done, Some(&after))?;
            }
            Err(failure) => found.failures.push(failure),
        }
    }
    finish(&mut context.console, &found.failures)
}

pub(crate) async fn taint(context: &mut Context, args: TaintArgs) -> Result<(), Failure> {
    let (names, changes) = read(&args.words)?;
    if changes.is_empty() {
        return Err(Failure::local("at least one taint update is required"));
    }
    if names.is_empty() && !args.all && !args.selector.is_given() {
        return Err(Failure::local(
            "at least one resource name must be specified since 'all' parameter is not set",
        ));
    }
    let targets = nodes(&names);
    check_selection(&targets, &args.selector)?;
    let client = context.client().await?;
    let mut found = find(&*client, &targets, &args.selector, "").await?;
    for object in &found.objects {
        let Object::Node(node) = object else { continue };
        let (taints, done) = match plan(node, &changes, args.overwrite) {
            Ok(planned) => planned,
            Err(text) => {
                found.failures.push(Failure::local(text));
                continue;
            }
        };
        let taints = if taints.is_empty() {
            Value::Null
        } else {
            json!(taints)
        };
        let patch = json!({"spec": {"taints": taints}});
        match change(context, &*client, object, patch, &args.write).await {
            Ok(after) => {
                args.write
                    .report(&mut context.console, &object.key(), done, Some(&after))?;
            }
            Err(failure) => found.failures.push(failure),
        }
    }
    finish(&mut context.console, &found.failures)
}

fn nodes(names: &[String]) -> Vec<Target> {
    if names.is_empty() {
        return vec![Target::Kind(Kind::Node)];
    }
    let name = |name: &String| {
        let name = name.rsplit('/').next().unwrap_or(name);
        Target::Name(Kind::Node, name.to_owned())
    };
    names.iter().map(name).collect()
}

/// The node as it is afterwards, or would be.
async fn change(
    context: &mut Context,
    client: &dyn Client,
    object: &Object,
    patch: Value,
    write: &WriteArgs,
) -> Result<Object, Failure> {
    if write.dry_run == DryRun::Client {
        return Ok(object.clone());
    }
    let options = write.options(Validate::Strict);
    let written = client
        .patch(&object.key(), Patch::Merge(patch), options)
        .await?;
    context.console.warnings(&written.warnings);
    Ok(written.object)
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Set(Taint),
    /// Without an effect: every taint of the key.
    Remove(String, Option<String>),
}

/// Words up to the first change name nodes; the first of them is the kind, unless it is `node/NAME`.
fn read(words: &[String]) -> Result<(Vec<String>, Vec<Change>), Failure> {
    let is_change = |word: &String| word.contains('=') || word.contains(':') || word.ends_with('-');
    let end = words.iter().position(is_change).unwrap_or(words.len());
    let (names, specs) = words.split_at(end);
    let names = match names.split_first() {
        Some((first, rest)) if !first.contains('/') => {
            if crate::cli::resources::parse_kind(first)? != Kind::Node {
                return Err(Failure::local(format!(
                    "invalid resource type {first}, only node types are supported"
                )));
            }
            rest.to_vec()
        }
        _ => names.to_vec(),
    };
    let mut changes: Vec<Change> = Vec::new();
    for spec in specs {
        let change = parse(spec)?;
        if let Change::Set(taint) = &change
            && changes
                .iter()
                .any(|known| matches!(known, Change::Set(other) if same(other, taint)))
        {
            let value = taint.value.as_deref().unwrap_or_default();
            return Err(misused(&format!(
                "duplicated taints with the same key and effect: {{{} {value} {} <nil>}}",
                taint.key, taint.effect
            )));
        }
        changes.push(change);
    }
    Ok((names, changes))
}

/// kubectl's words for a key that is none.
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn misused(text: &str) -> Failure {
    Failure::local(format!(
        "{text}\nSee 'podtui taint -h' for help and examples"
    ))
}

fn parse(spec: &str) -> Result<Change, Failure> {
    let bad = |text: String| Err(misused(&text));
    let effect_of = |effect: &str| match effect {
        "NoSchedule" | "PreferNoSchedule" | "NoExecute" => Ok(effect.to_owned()),
        other => Err(misused(&format!(
            "invalid taint effect: {other}, unsupported taint effect"
        ))),
    };
    let removed = spec.strip_suffix('-');
    let (head, effect) = match removed.unwrap_or(spec).split_once(':') {
        Some((head, effect)) if !effect.contains(':') => (head, Some(effect)),
        Some(_) => return bad(format!("invalid taint spec: {spec}")),
        None => (removed.unwrap_or(spec), None),
    };
    let (key, value) = match head.split_once('=') {
        Some((key, value)) if !value.contains('=') => (key, Some(value)),
        Some(_) => return bad(format!("invalid taint spec: {spec}")),
        None => (head, None),
    };
    if key.is_empty() {
        return bad(format!("invalid taint spec: {spec}"));
    }
    match (removed, effect) {
        (Some(_), None) => Ok(Change::Remove(key.to_owned(), None)),
        (Some(_), Some(effect)) => Ok(Change::Remove(key.to_owned(), Some(effect_of(effect)?))),
        // Without an effect kubectl takes all of it for the key.
        (None, None) => bad(format!("invalid taint spec: {spec}, {NAME_PART}")),
        (None, Some(effect)) => Ok(Change::Set(Taint {
            effect: effect_of(effect)?,
            key: key.to_owned(),
            time_added: None,
            value: value.filter(|value| !value.is_empty()).map(str::to_owned),
        })),
    }
}

fn same(one: &Taint, other: &Taint) -> bool {
    one.key == other.key && one.effect == other.effect
}

/// The taints afterwards, new ones first, and kubectl's word for what was done.
fn plan(
    node: &Node,
    changes: &[Change],
    overwrite: bool,
) -> Result<(Vec<Taint>, &'static str), String> {
    let old: &[Taint] = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let set: Vec<&Taint> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Set(taint) => Some(taint),
            Change::Remove(..) => None,
        })
        .collect();
    if !overwrite {
        let known = set
            .iter()
            .filter(|taint| old.iter().any(|other| same(other, taint)));
        let known: Vec<&str> = known.map(|taint| taint.key.as_str()).collect();
        if !known.is_empty() {
            return Err(format!(
                "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                node.metadata.name.as_deref().unwrap_or_default(),
                known.join(",")
            ));
        }
    }
    let mut taints: Vec<Taint> = set.iter().map(|taint| (*taint).clone()).collect();
    let kept = old
        .iter()
        .filter(|taint| !set.iter().any(|other| same(other, taint)));
    taints.extend(kept.cloned());
    let added = taints.len() != old.len();
    let mut removed = false;
    for change in changes {
        let Change::Remove(key, effect) = change else {
            continue;
        };
        let before = taints.len();
        taints.retain(|taint| {
            taint.key != *key
                || effect
                    .as_ref()
                    .is_some_and(|effect| *effect != taint.effect)
        });
        removed = taints.len() != before;
        if !removed {
            let effect = effect
                .as_ref()
                .map_or_else(String::new, |effect| format!(":{effect}"));
            return Err(format!("taint \"{key}{effect}\" not found"));
        }
    }
    let done = match (added, removed) {
        (true, true) => "modified",
        _ if overwrite => "modified",
        (true, false) => "tainted",
        (false, _) => "untainted",
    };
    Ok((taints, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &[&str], words: &str, overwrite: bool, expected: Result<(&str, &str), &str>) {
        let taint = |spec: &&str| match parse(spec).unwrap() {
            Change::Set(taint) => taint,
            Change::Remove(..) => panic!("{spec}"),
        };
        let taints: Vec<Taint> = old.iter().map(taint).collect();
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "n"}, "spec": {"taints": taints},
        }))
        .unwrap();
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let result = read(&words)
            .map_err(|failure| {
                failure
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
            .and_then(|(_, changes)| plan(&node, &changes, overwrite));
        let result = result.map(|(taints, done)| {
            let shown = taints.iter().map(|taint| {
                let value = taint.value.as_deref().unwrap_or_default();
                format!("{}={value}:{}", taint.key, taint.effect)
            });
            (shown.collect::<Vec<_>>().join(" "), done)
        });
        let expected = expected
            .map(|(taints, done)| (taints.to_owned(), done))
            .map_err(str::to_owned);
        assert_eq!(result, expected, "{words:?}");
    }

    #[test]
    fn taints_are_set_and_removed() {
        check(
            &[],
            "node n a=b:NoSchedule",
            false,
            Ok(("a=b:NoSchedule", "tainted")),
        );
        check(
            &[],
            "node n a:NoExecute",
            false,
            Ok(("a=:NoExecute", "tainted")),
        );
        check(
            &["a=b:NoSchedule"],
            "node/n a-",
            false,
            Ok(("", "untainted")),
        );
        check(
            &["a=b:NoSchedule", "a=b:NoExecute"],
            "nodes n a:NoSchedule-",
            false,
            Ok(("a=b:NoExecute", "untainted")),
        );
        check(
            &["a=b:NoSchedule"],
            "no n a=c:NoSchedule",
            false,
            Err("node n already has a taint(s) with same effect(s) and --overwrite is false"),
        );
        check(
            &["a=b:NoSchedule"],
            "no n a=c:NoSchedule",
            true,
            Ok(("a=c:NoSchedule", "modified")),
        );
        check(&[], "node n a-", false, Err("taint \"a\" not found"));
        check(
            &[],
            "node n a:NoSchedule-",
            false,
            Err("taint \"a:NoSchedule\" not found"),
        );
        check(
            &[],
            "node n a=b:Never",
            false,
            Err("invalid taint effect: Never, unsupported taint effect"),
        );
        check(
            &[],
            "node n a=b",
            false,
            Err(&format!("invalid taint spec: a=b, {NAME_PART}")),
        );
        check(
            &[],
            "node n a=b:NoSchedule a=c:NoSchedule",
            false,
            Err("duplicated taints with the same key and effect: {a c NoSchedule <nil>}"),
        );
    }
}
