use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Map, Value, json};

use super::write::{DryRun, WriteArgs};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::Validate;
use crate::cli::resources::{Found, SelectorArgs, Target, check_selection, find, parse_targets};
use crate::client::Patch;
use crate::model::Object;

#[derive(Debug, Args)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// KIND NAME… or KIND/NAME…, then KEY=VALUE to set and KEY- to remove
    #[arg(required = true, value_name = "KIND NAME KEY=VALUE")]
    words: Vec<String>,
    #[command(flatten)]
    selector: SelectorArgs,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// Existing keys may get another value
    #[arg(long)]
    overwrite: bool,
    /// Print what there is, with the changes that are given, and change nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) async fn label(context: &mut Context, args: LabelArgs) -> Result<(), Failure> {
    change(context, args.change, "labels", "labeled").await
}

pub(crate) async fn annotate(context: &mut Context, args: AnnotateArgs) -> Result<(), Failure> {
    change(context, args.change, "annotations", "annotated").await
}

/// `None` removes the key.
type Changes = Vec<(String, Option<String>)>;

/// The words up to the first `KEY=VALUE` or `KEY-` name objects.
fn split(words: &[String]) -> (Vec<String>, Changes) {
    let is_change = |word: &String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let (changes, names): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| is_change(word));
    let changes = changes
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (word.trim_end_matches('-').to_owned(), None),
        })
        .collect();
    (names.into_iter().cloned().collect(), changes)
}

async fn change(
    context: &mut Context,
    args: ChangeArgs,
    field: &str,
    done: &str,
) -> Result<(), Failure> {
    let (names, changes) = split(&args.words);
    if changes.is_empty() && !args.list {
        return Err(Failure::local(format!(
            "at least one {} update is required",
            field.trim_end_matches('s')
        )));
    }
    let targets = parse_targets(&names)?;
    check_selection(&targets, &args.selector)?;
    let named = targets
        .iter()
        .any(|target| matches!(target, Target::Name(..)));
    if !named && !args.all && !args.selector.is_given() {
        return Err(Failure::local(
            "resource(s) were provided, but no name was specified",
        ));
    }
    let namespace = context.namespace();
    let client = context.client().await?;
    let mut found = find(&*client, &targets, &args.selector, &namespace).await?;
    if args.list {
        let one = matches!(targets.as_slice(), [Target::Name(..)]);
        list(context, &mut found, &args, (field, &changes), one)?;
        return finish(&mut context.console, &found.failures);
    }
    // kubectl has a word of its own for taking labels away, and none for annotations.
    let only_removes = changes.iter().all(|(_, value)| value.is_none());
    let changed = if field == "labels" && only_removes {
        "unlabeled"
    } else {
        done
    };
    for object in &found.objects {
        for key in missing(object, field, &changes) {
            let what = field.trim_end_matches('s');
            context
                .console
                .note(&format!("{what} \"{key}\" not found."));
        }
        match plan(object, field, &changes, args.overwrite) {
            Err(failure) => found.failures.push(failure),
            Ok(None) => args.write.report(
                &mut context.console,
                &object.key(),
                &format!("not {done}"),
                None,
            )?,
            Ok(Some(patch)) if args.write.dry_run == DryRun::Client => {
                let _ = patch;
                args.write
                    .report(&mut context.console, &object.key(), changed, Some(object))?;
            }
            Ok(Some(patch)) => {
                let options = args.write.options(Validate::Strict);
                match client
                    .patch(&object.key(), Patch::Merge(patch), options)
                    .await
                {
                    Ok(written) => {
                        context.console.warnings(&written.warnings);
                        args.write.report(
                            &mut context.console,
                            &object.key(),
                            changed,
                            Some(&written.object),
                        )?;
                    }
                    Err(error) => found.failures.push(error.into()),
                }
            }
        }
    }
    finish(&mut context.console, &found.failures)
}

/// A line per key; with several objects a heading on standard error, as kubectl does it.
fn list(
    context: &mut Context,
    found: &mut Found,
    args: &ChangeArgs,
    (field, changes): (&str, &Changes),
    one: bool,
) -> Result<(), Failure> {
    for object in &found.objects {
        // Whether a key may be overwritten is asked here, too.
        if let Err(failure) = plan(object, field, changes, args.overwrite) {
            found.failures.push(failure);
            continue;
        }
        let indent = if one { "" } else { " " };
        if !one {
            let kind = object.kind();
            context.console.note(&format!(
                "Listing {field} for {}.{}/{}:",
                kind.as_str(),
                kind.group(),
                object.name()
            ));
        }
        let mut values = existing(object, field).cloned().unwrap_or_default();
        for (key, value) in changes {
            match value {
                Some(value) => drop(values.insert(key.clone(), value.clone())),
                None => drop(values.remove(key)),
            }
        }
        for (key, value) in values {
            context.console.print(&format!("{indent}{key}={value}\n"))?;
        }
    }
    Ok(())
}

fn existing<'a>(object: &'a Object, field: &str) -> Option<&'a BTreeMap<String, String>> {
    let meta = object.meta();
    if field == "labels" {
        meta.labels.as_ref()
    } else {
        meta.annotations.as_ref()
    }
}

/// Keys that are to be removed and are not there.
fn missing<'a>(
    object: &'a Object,
    field: &'a str,
    changes: &'a Changes,
) -> impl Iterator<Item = &'a str> {
    let has = move |key: &str| existing(object, field).is_some_and(|known| known.contains_key(key));
    changes
        .iter()
        .filter(move |(key, value)| value.is_none() && !has(key))
        .map(|(key, _)| key.as_str())
}

/// The merge patch, `None` when nothing would change.
fn plan(
    object: &Object,
    field: &str,
    changes: &Changes,
    overwrite: bool,
) -> Result<Option<Value>, Failure> {
    let existing = existing(object, field);
    let mut patch = Map::new();
    for (key, value) in changes {
        let now = existing.and_then(|existing| existing.get(key));
        if now == value.as_ref() {
            continue;
        }
        if let (Some(now), Some(_), false) = (now, value, overwrite) {
            return Err(Failure::local(format!(
                "'{key}' already has a value ({now}), and --overwrite is false"
            )));
        }
        patch.insert(
            key.clone(),
            value.clone().map_or(Value::Null, Value::String),
        );
    }
    Ok((!patch.is_empty()).then(|| json!({"metadata": {field: patch}})))
}
