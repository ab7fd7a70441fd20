//! What is wrong with a text, each problem at its line. Pure: what exists on the server comes in as
//! [`Surroundings`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::outcome::{Change, Outcome, changes};
use crate::admission::{Context, admit_create};
use crate::manifest::{Diagnostic, Document, Severity, check, load};
use crate::model::applied::apply_patch;
use crate::model::patch::apply_strategic;
use crate::model::{ApiError, Kind, Object, ObjectKey, decode, pod};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Problem {
    /// From 1; 0 for the text as a whole.
    pub(in crate::tui) line: usize,
    pub(in crate::tui) column: usize,
    pub(in crate::tui) severity: Severity,
    pub(in crate::tui) message: String,
}

/// Names of objects in view, with their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Names(pub(in crate::tui) BTreeMap<String, BTreeSet<String>>);

/// What a text is judged against.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Surroundings {
    /// The object that is edited; `None` for new ones.
    pub(in crate::tui) subject: Option<ObjectKey>,
    /// As it is now; `None` when it is gone, or new.
    pub(in crate::tui) live: Option<Object>,
    /// What the edit began with: what is taken out of it goes.
    pub(in crate::tui) base: serde_json::Value,
    /// For objects whose text names none.
    pub(in crate::tui) namespace: String,
    /// Config maps and secrets of `namespace`; `None` while they are not known.
    pub(in crate::tui) config_maps: Option<Names>,
    pub(in crate::tui) secrets: Option<Names>,
    pub(in crate::tui) now: jiff::Timestamp,
}

/// One object of the text, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Accepted {
    pub(in crate::tui) document: Document,
    pub(in crate::tui) key: ObjectKey,
    /// The manifest with its namespace set.
    pub(in crate::tui) manifest: serde_json::Value,
    /// What it would change in the live object; empty for a new one.
    pub(in crate::tui) changes: Vec<Change>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::tui) struct Report {
    pub(in crate::tui) problems: Vec<Problem>,
    /// Only documents without errors.
    pub(in crate::tui) accepted: Vec<Accepted>,
}

impl Report {
    pub(in crate::tui) fn errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count()
    }
}

/// Everything that can be said about a text without asking the server.
pub(in crate::tui) fn diagnose(text: &str, around: &Surroundings) -> Report {
    let loaded = load(text, "");
    let mut report = Report::default();
    report
        .problems
        .extend(loaded.diagnostics.iter().map(problem));
    // A text without objects is only a warning elsewhere; here there is nothing to apply.
    if loaded.documents.is_empty() && report.errors() == 0 {
        report.problems.clear();
        report
            .problems
            .push(at_start("there is no object in this text"));
    }
    if let (Some(subject), true) = (&around.subject, loaded.documents.len() > 1) {
        let message = format!("only {subject} is edited here; take the other objects out");
        report.problems.push(at_start(&message));
    }
    for document in loaded.documents {
        examine(document, around, &mut report);
    }
    report
        .problems
        .sort_by_key(|problem| (problem.line, problem.column));
    report.problems.dedup();
    report
}

fn at_start(message: &str) -> Problem {
    Problem {
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: message.to_owned(),
    }
}

fn problem(diagnostic: &Diagnostic) -> Problem {
    Problem {
        line: diagnostic.line,
        column: diagnostic.column,
        severity: diagnostic.severity,
        message: crate::tui::sanitize::plain(&diagnostic.message),
    }
}

fn examine(document: Document, around: &Surroundings, report: &mut Report) {
    let found = check(&document);
    let is_broken = found.iter().any(|one| one.severity == Severity::Error);
    report.problems.extend(found.iter().map(problem));
    let Ok(decoded) = decode::decode(document.value.clone()) else {
        return;
    };
    let mut object = decoded.object;
    if object.kind().is_namespaced() && object.namespace().is_empty() {
        object.meta_mut().namespace = Some(around.namespace.clone());
    }
    let mut add = |severity, path: &str, message: &str| {
        let mut diagnostic = document.error(path, message);
        diagnostic.severity = severity;
        report.problems.push(problem(&diagnostic));
    };
    let context = Context { now: around.now };
    let mut is_refused = is_broken;
    match admit_create(object.clone(), &context) {
        Ok((_, warnings)) => {
            for warning in &warnings {
                let path = warning.split_once(": ").map_or("", |(path, _)| path);
                let path = if path.contains(' ') { "" } else { path };
                add(Severity::Warning, path, warning);
            }
        }
        Err(errors) => {
            is_refused = true;
            for error in &errors {
                add(Severity::Error, &error.path, &error.to_string());
            }
        }
    }
    if let Some((path, message)) = around
        .subject
        .as_ref()
        .and_then(|subject| mistaken_identity(subject, &object))
    {
        is_refused = true;
        add(Severity::Error, path, &message);
    }
    for (path, message) in dangling(&object, around) {
        add(Severity::Warning, &path, &message);
    }
    if is_refused {
        return;
    }
    let mut manifest = document.value.clone();
    set_namespace(&mut manifest, &object);
    let changes = around
        .live
        .as_ref()
        .filter(|live| live.key() == object.key())
        .map(|live| changes_to(live, &manifest, &document, around))
        .unwrap_or_default();
    for change in &changes {
        if let Outcome::Refused(why) = &change.outcome {
            let path = change.path.within(&document.value);
            let message = format!("{path}: {why}; applying offers to recreate the object");
            add(Severity::Warning, &path, &message);
        }
    }
    report.accepted.push(Accepted {
        key: object.key(),
        document,
        manifest,
        changes,
    });
}

fn set_namespace(manifest: &mut serde_json::Value, object: &Object) {
    if object.kind().is_namespaced()
        && let Some(metadata) = manifest
            .get_mut("metadata")
            .and_then(|metadata| metadata.as_object_mut())
    {
        metadata.insert("namespace".to_owned(), object.namespace().into());
    }
}

/// What applying the manifest would change.
fn changes_to(
    live: &Object,
    manifest: &serde_json::Value,
    document: &Document,
    around: &Surroundings,
) -> Vec<Change> {
    let patch = apply_patch(&around.base, live, manifest, document.text());
    let merged = apply_strategic(live.kind(), &live.to_value(), &patch).ok();
    let merged = merged.and_then(|value| decode::decode(value).ok());
    merged.map_or_else(Vec::new, |merged| changes(live, &merged.object, around.now))
}

/// An edit that names another object would leave the edited one as it is.
fn mistaken_identity(subject: &ObjectKey, object: &Object) -> Option<(&'static str, String)> {
    let key = object.key();
    let refusal = |what: &str, was: &str| {
        format!(
            "the {what} of an object cannot be changed; it was {was:?}. To make another object, quit and press n"
        )
    };
    if key.kind != subject.kind {
        Some(("kind", refusal("kind", subject.kind.as_str())))
    } else if key.name != subject.name {
        Some(("metadata.name", refusal("name", &subject.name)))
    } else if key.namespace != subject.namespace {
        let was = subject.namespace.as_deref().unwrap_or_default();
        Some(("metadata.namespace", refusal("namespace", was)))
    } else {
        None
    }
}

/// The refusal of the server, each cause at its line.
pub(in crate::tui) fn located(error: &ApiError, document: Option<&Document>) -> Vec<Problem> {
    let place = |path: &str| {
        document
            .and_then(|document| document.position(path))
            .unwrap_or((1, 1))
    };
    let make = |path: &str, text: String| {
        let (line, column) = place(path);
        Problem {
            line,
            column,
            severity: Severity::Error,
            message: crate::tui::sanitize::plain(&text),
        }
    };
    if error.causes.is_empty() {
        return vec![make(
            "metadata.name",
            format!("refused ({}): {error}", error.reason.as_str()),
        )];
    }
    let causes = error.causes.iter();
    causes
        .map(|cause| {
            make(
                &cause.field,
                format!("refused: {}: {}", cause.field, cause.message),
            )
        })
        .collect()
}

/// References to config maps and secrets that do not exist.
fn dangling(object: &Object, around: &Surroundings) -> Vec<(String, String)> {
    let Object::Pod(pod) = object else {
        return Vec::new();
    };
    // What exists in other namespaces is not known.
    if object.namespace() != around.namespace {
        return Vec::new();
    }
    let mut found = Vec::new();
    for reference in references(pod) {
        let known = match reference.kind {
            Kind::ConfigMap => &around.config_maps,
            _ => &around.secrets,
        };
        let (Some(known), false) = (known, reference.optional || reference.name.is_empty()) else {
            continue;
        };
        let what = reference.kind.singular();
        match (known.0.get(&reference.name), reference.key) {
            (None, _) => found.push((
                reference.path,
                format!(
                    "{what} {:?} does not exist in namespace {:?}",
                    reference.name, around.namespace
                ),
            )),
            (Some(keys), Some(key)) if !keys.contains(&key) => {
                found.push((
                    reference.path,
                    format!("{what} {:?} has no key {key:?}", reference.name),
                ));
            }
            _ => {}
        }
    }
    found
}

struct Reference {
    kind: Kind,
    path: String,
    name: String,
    key: Option<String>,
    optional: bool,
}

fn references(pod: &Pod) -> Vec<Reference> {
    let mut found = Vec::new();
    let Some(spec) = &pod.spec else { return found };
    for (list, containers) in [
        ("initContainers", pod::init_containers(spec)),
        ("containers", spec.containers.as_slice()),
    ] {
        for (index, container) in containers.iter().enumerate() {
            container_references(&format!("spec.{list}[{index}]"), container, &mut found);
        }
    }
    let mut add = |kind, path: String, name: &str, optional: Option<bool>| {
        found.push(Reference {
            kind,
            path,
            name: name.to_owned(),
            key: None,
            optional: optional == Some(true),
        });
    };
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = format!("spec.volumes[{index}]");
        if let Some(source) = &volume.config_map {
            add(
                Kind::ConfigMap,
                format!("{path}.configMap.name"),
                &source.name,
                source.optional,
            );
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            add(
                Kind::Secret,
                format!("{path}.secret.secretName"),
                name,
                source.optional,
            );
        }
        let sources = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for (index, source) in sources.enumerate() {
            let path = format!("{path}.projected.sources[{index}]");
            if let Some(source) = &source.config_map {
                add(
                    Kind::ConfigMap,
                    format!("{path}.configMap.name"),
                    &source.name,
                    source.optional,
                );
            }
            if let Some(source) = &source.secret {
                add(
                    Kind::Secret,
                    format!("{path}.secret.name"),
                    &source.name,
                    source.optional,
                );
            }
        }
    }
    for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        add(
            Kind::Secret,
            format!("spec.imagePullSecrets[{index}].name"),
            &secret.name,
            None,
        );
    }
    found
}

fn container_references(path: &str, container: &Container, found: &mut Vec<Reference>) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let config_map = source.config_map_key_ref.as_ref();
        let config_map = config_map.map(|key| {
            (
                Kind::ConfigMap,
                "configMapKeyRef",
                &key.name,
                &key.key,
                key.optional,
            )
        });
        let secret = source.secret_key_ref.as_ref();
        let secret = secret.map(|key| {
            (
                Kind::Secret,
                "secretKeyRef",
                &key.name,
                &key.key,
                key.optional,
            )
        });
        for (kind, field, name, key, optional) in config_map.into_iter().chain(secret) {
            found.push(Reference {
                kind,
                path: format!("{path}.env[{index}].valueFrom.{field}.name"),
                name: name.clone(),
                key: Some(key.clone()),
                optional: optional == Some(true),
            });
        }
    }
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let config_map = source.config_map_ref.as_ref();
        let config_map =
            config_map.map(|all| (Kind::ConfigMap, "configMapRef", &all.name, all.optional));
        let secret = source.secret_ref.as_ref();
        let secret = secret.map(|all| (Kind::Secret, "secretRef", &all.name, all.optional));
        for (kind, field, name, optional) in config_map.into_iter().chain(secret) {
            found.push(Reference {
                kind,
                path: format!("{path}.envFrom[{index}].{field}.name"),
                name: name.clone(),
                key: None,
                optional: optional == Some(true),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        let names = |name: &str, key: &str| {
            Some(Names(BTreeMap::from([(
                name.to_owned(),
                BTreeSet::from([key.to_owned()]),
            )])))
        };
        Surroundings {
            subject: None,
            live: None,
            base: serde_json::Value::Null,
            namespace: "default".to_owned(),
            config_maps: names("settings", "mode"),
            secrets: names("login", "password"),
            now: "2026-01-02T03:00:00Z".parse().unwrap(),
        }
    }

    const HEAD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n";

    #[track_caller]
    fn check_in(text: &str, around: &Surroundings, expected: &[&str]) {
        let found: Vec<String> = diagnose(text, around)
            .problems
            .iter()
            // Which fields are carried out is not what is tested here.
            .filter(|problem| !problem.message.contains("not supported yet"))
            .map(|problem| {
                let mark = if problem.severity == Severity::Error {
                    'E'
                } else {
                    'W'
                };
                format!("{mark}{}: {}", problem.line, problem.message)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_pod(containers: &str, expected: &[&str]) {
        check_in(&format!("{HEAD}{containers}"), &surroundings(), expected);
    }

    #[test]
    fn problems_stand_at_their_lines() {
        check_pod("  - name: c\n    image: i\n", &[]);
        check_pod(
            "  - name: c\n    imgae: i\n",
            &[
                "E7: spec.containers[0].image: Required value",
                "E8: unknown field \"spec.containers[0].imgae\"",
            ],
        );
        check_pod(
            "  - name: c\n    image: i\n    command: ls\n",
            &[
                "E9: Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field \
             Container.spec.containers.command of type []string",
            ],
        );
        check_pod(
            "  - name: c\n   image: i\n",
            &["E8: invalid YAML: while parsing a block mapping, did not find expected key"],
        );
        check_in(
            "# nothing\n",
            &surroundings(),
            &["E1: there is no object in this text"],
        );
    }

    #[test]
    fn references_to_nothing_are_warned_about() {
        check_pod(
            "  - name: c\n    image: i\n    envFrom:\n    - configMapRef: {name: settings}\n    - configMapRef: {name: gone}\n    \
             - secretRef: {name: maybe, optional: true}\n    env:\n    - name: A\n      valueFrom:\n        secretKeyRef:\n          \
             name: login\n          key: user\n",
            &[
                "W11: configmap \"gone\" does not exist in namespace \"default\"",
                "W17: secret \"login\" has no key \"user\"",
            ],
        );
        let mut unknown = surroundings();
        unknown.config_maps = None;
        let text = format!(
            "{HEAD}  - name: c\n    image: i\n    envFrom:\n    - configMapRef: {{name: gone}}\n"
        );
        check_in(&text, &unknown, &[]);
    }

    #[test]
    fn an_edit_is_about_its_object() {
        let mut around = surroundings();
        around.subject = Some(ObjectKey::pod("default", "other"));
        let text = format!("{HEAD}  - name: c\n    image: i\n");
        check_in(
            &text,
            &around,
            &[
                "E4: the name of an object cannot be changed; it was \"other\". To make another object, quit and press n",
            ],
        );
    }

    #[test]
    fn what_cannot_be_changed_is_known_before_it_is_sent() {
        let text = format!("{HEAD}  - name: c\n    image: i\n    command: [a]\n");
        let mut around = surroundings();
        let accepted = diagnose(&text, &around).accepted.remove(0);
        let object = Object::from_value(Kind::Pod, accepted.manifest).unwrap();
        around.subject = Some(object.key());
        around.live = Some(object);
        let edited = text.replace("[a]", "[b]").replace("image: i", "image: j");
        check_in(
            &edited,
            &around,
            &["W9: spec.containers[0].command: immutable; applying offers to recreate the object"],
        );
        let words: Vec<String> = diagnose(&edited, &around).accepted[0]
            .changes
            .iter()
            .map(|change| change.outcome.words())
            .collect();
        assert_eq!(words, ["refused: immutable", "restarts c"]);
    }

    #[test]
    fn refusals_of_the_server_stand_at_their_lines() {
        let text = format!("{HEAD}  - name: c\n    image: i\n");
        let document = load(&text, "").documents.remove(0);
        let error = crate::model::FieldError::invalid_string(
            "spec.containers[0].image",
            "i",
            "no such thing",
        );
        let invalid = ApiError::invalid(Kind::Pod, "p", &[error]);
        let lines = |error: &ApiError| -> Vec<usize> {
            located(error, Some(&document))
                .iter()
                .map(|problem| problem.line)
                .collect()
        };
        assert_eq!(lines(&invalid), [8]);
        assert_eq!(lines(&ApiError::conflict(Kind::Pod, "p")), [4]);
    }
}
