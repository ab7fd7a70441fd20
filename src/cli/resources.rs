use clap::Args;

use super::failure::Failure;
use crate::client::{Client, ListOptions};
use crate::model::{Kind, Object, ObjectKey, Subresource};

/// `-l`, `--field-selector`, `-A`: which objects of a kind.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SelectorArgs {
    /// Selector (label query), e.g. app=web,tier!=db,'env in (a,b)'
    #[arg(
        short = 'l',
        long = "selector",
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) labels: String,
    /// Selector (field query), e.g. status.phase=Running
    #[arg(
        long = "field-selector",
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) fields: String,
    /// Objects of all namespaces
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
}

impl SelectorArgs {
    pub(super) fn is_given(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(super) fn list_options(&self, kind: Kind, namespace: &str) -> ListOptions {
        let all = self.all_namespaces || !kind.is_namespaced();
        ListOptions {
            namespace: (!all).then(|| namespace.to_owned()),
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
        }
    }
}

/// What the words after a verb name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// All (selected) objects of a kind.
    Kind(Kind),
    /// One object.
    Name(Kind, String),
}

/// Reads `pods`, `po,cm`, `pod a b` or `pod/a cm/b`.
pub(super) fn parse_targets(words: &[String]) -> Result<Vec<Target>, Failure> {
    let Some(first) = words.first() else {
        return Err(Failure::local(
            "You must specify the type of resource to get. Kinds are: pods (po), configmaps (cm), secrets, events (ev), \
             nodes (no), namespaces (ns), priorityclasses (pc).",
        ));
    };
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| parse_slash(word)).collect();
    }
    let kinds = parse_kinds(first)?;
    let names = &words[1..];
    if names.is_empty() {
        return Ok(kinds.into_iter().map(Target::Kind).collect());
    }
    let pairs = kinds.iter().flat_map(|&kind| {
        names
            .iter()
            .map(move |name| Target::Name(kind, name.clone()))
    });
    Ok(pairs.collect())
}

fn parse_slash(word: &str) -> Result<Target, Failure> {
    match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Target::Name(parse_kind(kind)?, name.to_owned()))
        }
        Some(_) => Err(Failure::local(
            "arguments in resource/name form must have a single resource and name",
        )),
        None => Err(Failure::local(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name \
             form (e.g. 'podtui get resource/<resource_name>' instead of 'podtui get resource resource/<resource_name>'",
        )),
    }
}

fn parse_kinds(word: &str) -> Result<Vec<Kind>, Failure> {
    let mut kinds = Vec::new();
    for part in word.split(',').filter(|part| !part.is_empty()) {
        let kind = parse_kind(part)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

pub(super) fn parse_kind(word: &str) -> Result<Kind, Failure> {
    // The category "all" holds the workloads; pods are the only one so far.
    if word == "all" {
        return Ok(Kind::Pod);
    }
    // `pods.v1.` and `pods.` are kubectl's fully qualified forms for the core group.
    let plain = word.strip_suffix('.').unwrap_or(word);
    let plain = plain.strip_suffix(".v1").unwrap_or(plain);
    Kind::from_user(plain).ok_or_else(|| {
        Failure::local(format!(
            "the server doesn't have a resource type \"{word}\""
        ))
    })
}

/// `NAME`, `pod/NAME` or `pods/NAME`: the pod of `logs`, `exec` and `attach`.
pub(super) fn parse_pod(word: &str) -> Result<String, Failure> {
    match word.split_once('/') {
        None => Ok(word.to_owned()),
        Some((kind, name)) => match parse_kind(kind)? {
            Kind::Pod if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(Failure::local(format!("{word} is not a pod"))),
        },
    }
}

/// `--subresource`.
pub(super) fn parse_subresource(text: &str) -> Result<Subresource, String> {
    Subresource::parse(text).ok_or_else(|| {
        let known = Subresource::ALL.map(Subresource::as_str).join(" ");
        format!("invalid subresource value: \"{text}\". Must be one of [{known}]")
    })
}

/// Objects that were found, and what went wrong with the others.
#[derive(Default)]
pub(super) struct Found {
    pub(super) objects: Vec<Object>,
    pub(super) failures: Vec<Failure>,
}

/// Reads every object that the targets name.
pub(super) async fn find(
    client: &dyn Client,
    targets: &[Target],
    selector: &SelectorArgs,
    namespace: &str,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    for target in targets {
        match target {
            Target::Kind(kind) => {
                let list = client
                    .list(*kind, selector.list_options(*kind, namespace))
                    .await?;
                found.objects.extend(list.items);
            }
            Target::Name(kind, name) => {
                match client.get(&ObjectKey::new(*kind, namespace, name)).await {
                    Ok(object) => found.objects.push(object),
                    Err(error) => found.failures.push(error.into()),
                }
            }
        }
    }
    Ok(found)
}

/// Names and selectors do not go together.
pub(super) fn check_selection(targets: &[Target], selector: &SelectorArgs) -> Result<(), Failure> {
    let named = targets
        .iter()
        .any(|target| matches!(target, Target::Name(..)));
    if named && selector.is_given() {
        return Err(Failure::local(
            "name cannot be provided when a selector is specified",
        ));
    }
    if named && selector.all_namespaces {
        return Err(Failure::local(
            "a resource cannot be retrieved by name across all namespaces",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &[Target]) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(parse_targets(&words).unwrap(), expected);
    }

    #[track_caller]
    fn check_error(words: &[&str], expected: &str) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(parse_targets(&words).unwrap_err().text(), expected);
    }

    #[test]
    fn the_forms_of_kubectl() {
        let name = |kind, name: &str| Target::Name(kind, name.to_owned());
        check(&["po"], &[Target::Kind(Kind::Pod)]);
        check(
            &["pods,cm"],
            &[Target::Kind(Kind::Pod), Target::Kind(Kind::ConfigMap)],
        );
        check(
            &["pod", "a", "b"],
            &[name(Kind::Pod, "a"), name(Kind::Pod, "b")],
        );
        check(
            &["pod/a", "secret/b"],
            &[name(Kind::Pod, "a"), name(Kind::Secret, "b")],
        );
        check_error(
            &["podd"],
            "error: the server doesn't have a resource type \"podd\"",
        );
        check_error(
            &["pod/a/b"],
            "error: arguments in resource/name form must have a single resource and name",
        );
    }
}
