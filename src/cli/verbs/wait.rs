use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::Instant;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::follow::{Waited, parse_duration, wait_for, wait_gone};
use crate::cli::resources::{SelectorArgs, Target, check_selection, find, parse_targets};
use crate::model::{Object, ObjectKey, Reason};
use crate::printer::JsonPath;

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// KIND/NAME… or KIND with names, -l or --all
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    selector: SelectorArgs,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// delete, create, condition=NAME[=VALUE] or jsonpath=PATH[=VALUE]
    #[arg(long = "for", value_name = "CONDITION")]
    condition: String,
    /// How long to wait; negative = a week
    #[arg(long, default_value = "30s", allow_hyphen_values = true, value_parser = parse_timeout)]
    timeout: Duration,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    match text.strip_prefix('-') {
        Some(rest) => parse_duration(rest).map(|_| WEEK),
        None => parse_duration(text),
    }
}

/// What is waited for.
#[derive(Debug)]
enum Goal {
    Delete,
    Create,
    Condition {
        name: String,
        value: String,
    },
    Path {
        path: JsonPath,
        value: Option<String>,
    },
}

impl Goal {
    fn parse(text: &str) -> Result<Self, Failure> {
        if text.eq_ignore_ascii_case("delete") {
            return Ok(Self::Delete);
        }
        if text.eq_ignore_ascii_case("create") {
            return Ok(Self::Create);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Self::Condition {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        let Some(expression) = text.strip_prefix("jsonpath=") else {
            return Err(Failure::local(format!(
                "unrecognized condition: \"{text}\""
            )));
        };
        // An equals sign inside braces belongs to a filter.
        let end = expression.rfind('}').map_or(0, |brace| brace + 1);
        let (path, value) = match expression[end..].split_once('=') {
            Some((rest, value)) => (&expression[..end + rest.len()], Some(value)),
            None => (expression, None),
        };
        if value == Some("") {
            return Err(Failure::local(
                "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3",
            ));
        }
        let path = JsonPath::parse(path).map_err(|error| Failure::local(error.to_string()))?;
        Ok(Self::Path {
            path,
            value: value.map(|value| value.trim_matches(['\'', '"']).to_owned()),
        })
    }

    fn is_met(&self, object: &Object) -> Result<bool, Failure> {
        match self {
            Self::Delete => Ok(false),
            Self::Create => Ok(true),
            Self::Condition { name, value } => {
                let document = object.to_value();
                let conditions = document
                    .pointer("/status/conditions")
                    .and_then(Value::as_array);
                let found = conditions.into_iter().flatten().find(|condition| {
                    condition["type"]
                        .as_str()
                        .is_some_and(|kind| kind.eq_ignore_ascii_case(name))
                });
                let status = found.and_then(|condition| condition["status"].as_str());
                Ok(status.is_some_and(|status| status.eq_ignore_ascii_case(value)))
            }
            Self::Path { path, value } => {
                let found = path
                    .find(&object.to_value())
                    .map_err(|error| Failure::local(error.to_string()))?;
                let text = |found: &Value| {
                    found
                        .as_str()
                        .map_or_else(|| found.to_string(), str::to_owned)
                };
                match (found.as_slice(), value) {
                    ([], _) => Ok(false),
                    ([_, ..], None) => Ok(true),
                    ([one], Some(value)) => {
                        if one.is_object() || one.is_array() {
                            return Err(Failure::local(
                                "jsonpath leads to a nested object or list which is not supported",
                            ));
                        }
                        Ok(text(one) == *value)
                    }
                    (_, Some(_)) => Err(Failure::local(
                        "given jsonpath expression matches more than one value",
                    )),
                }
            }
        }
    }
}

pub(crate) async fn wait(context: &mut Context, args: WaitArgs) -> Result<(), Failure> {
    let goal = Goal::parse(&args.condition)?;
    let keys = select(context, &args, &goal).await?;
    if keys.is_empty() {
        // Nothing left to wait for is what --for=delete wants.
        return if matches!(goal, Goal::Delete) {
            Ok(())
        } else {
            Err(Failure::local("no matching resources found"))
        };
    }
    let client = context.client().await?;
    let deadline = Some(Instant::now() + args.timeout);
    let mut failures = Vec::new();
    for key in keys {
        let (plural, name) = (key.kind.qualified_plural(), &key.name);
        let waited = match &goal {
            Goal::Delete => match client.get(&key).await {
                Ok(object) => wait_gone(&*client, &key, &object.uid(), deadline).await?,
                // It was gone before: nothing was waited for, and nothing is said.
                Err(error) if error.reason == Reason::NotFound => continue,
                Err(error) => return Err(error.into()),
            },
            Goal::Create => {
                wait_for(&*client, &key, deadline, |object| Ok(object.map(|_| ()))).await?
            }
            Goal::Condition { .. } | Goal::Path { .. } => {
                let missing = || crate::model::ApiError::not_found(key.kind, name);
                let result = wait_for(&*client, &key, deadline, |object| match object {
                    None => Err(missing().into()),
                    Some(object) => Ok(goal.is_met(object)?.then_some(())),
                })
                .await;
                match result {
                    Ok(waited) => waited,
                    Err(failure @ Failure::Api(_)) => {
                        failures.push(failure);
                        continue;
                    }
                    Err(failure) => return Err(failure),
                }
            }
        };
        match waited {
            Waited::Met(()) => context.console.print(&format!("{key} condition met\n"))?,
            Waited::TimedOut => failures.push(Failure::local(format!(
                "timed out waiting for the condition on {plural}/{name}"
            ))),
        }
    }
    finish(&mut context.console, &failures)
}

async fn select(
    context: &mut Context,
    args: &WaitArgs,
    goal: &Goal,
) -> Result<Vec<ObjectKey>, Failure> {
    if !args.files.files.is_empty() {
        let namespace = context.given_namespace.clone();
        let manifests = load(
            &args.files,
            Validate::Ignore,
            namespace.as_deref(),
            &mut context.console,
        )?;
        return Ok(manifests.into_iter().map(|manifest| manifest.key).collect());
    }
    let targets = parse_targets(&args.words)?;
    check_selection(&targets, &args.selector)?;
    let namespace = context.namespace();
    let named: Vec<ObjectKey> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Name(kind, name) => Some(ObjectKey::new(*kind, &namespace, name)),
            Target::Kind(_) => None,
        })
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    if !args.all && !args.selector.is_given() && !args.selector.all_namespaces {
        return Err(Failure::local(
            "resource(s) were provided, but no name, label selector, or --all flag specified",
        ));
    }
    if matches!(goal, Goal::Create) {
        return Err(Failure::local(
            "--for=create needs the names of the objects",
        ));
    }
    let client = context.client().await?;
    let found = find(&*client, &targets, &args.selector, &namespace).await?;
    Ok(found.objects.iter().map(Object::key).collect())
}
