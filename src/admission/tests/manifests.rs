//! Whole manifests: those with mistakes, those that podtui brings along and those of the scenarios.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::ApiError;

fn fixtures(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&root).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    assert!(!files.is_empty(), "{} has manifests", root.display());
    files
}

/// Everything there is to say about a file on its way into the store, one line each.
fn judge(text: &str, name: &str) -> Vec<String> {
    let result = manifest::load(text, name);
    let mut lines: Vec<String> = result.diagnostics.iter().map(ToString::to_string).collect();
    for document in &result.documents {
        let found = manifest::check(document);
        if !found.is_empty() {
            lines.extend(found.iter().map(ToString::to_string));
            continue;
        }
        let mut object = object(document.value.clone());
        if object.namespace().is_empty() && object.kind().is_namespaced() {
            object.meta_mut().namespace = Some("default".to_owned());
        }
        if let Err(errors) = admit_create(object, &context()) {
            let errors = errors.iter();
            lines.extend(
                errors.map(|error| document.error(&error.path, error.to_string()).to_string()),
            );
        }
    }
    lines
}

#[track_caller]
fn check_broken(name: &str, expected: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/manifests/broken")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(judge(&text, name), expected);
}

#[test]
fn broken_manifests_are_refused_with_place_and_reason() {
    check_broken(
        "bad-indent.yaml",
        &["bad-indent.yaml:9:13: invalid YAML: mapping values are not allowed in this context"],
    );
    check_broken(
        "unknown-field.yaml",
        &["unknown-field.yaml:9:5: unknown field \"spec.containers[0].imgae\""],
    );
    check_broken(
        "wrong-type.yaml",
        &[
            "wrong-type.yaml:9:5: Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field \
           Container.spec.containers.ports of type []v1.ContainerPort",
        ],
    );
    check_broken(
        "two-errors.yaml",
        &[
            &format!(
                "two-errors.yaml:8:5: spec.containers[0].name: Invalid value: \"Web_Server\": {LABEL}"
            ),
            "two-errors.yaml:6:3: spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ],
    );
    check_broken(
        "duplicate-name.yaml",
        &["duplicate-name.yaml:9:5: spec.containers[1].name: Duplicate value: \"web\""],
    );
    check_broken(
        "bad-quantity.yaml",
        &[
            "bad-quantity.yaml:11:9: Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression \
           '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ],
    );
    check_broken(
        "missing-image.yaml",
        &["missing-image.yaml:7:5: spec.containers[0].image: Required value"],
    );
    check_broken(
        "tab.yaml",
        &["tab.yaml:6:1: found a tab character in the indentation; YAML is indented with blanks"],
    );
    check_broken(
        "empty.yaml",
        &["empty.yaml:1:1: there is no object in this file"],
    );
}

#[test]
fn assets_are_good_and_need_nothing_that_is_missing() {
    for path in fixtures("assets") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(judge(&text, name), [""; 0]);
        for document in manifest::load(&text, name).documents {
            let mut object = object(document.value);
            object.meta_mut().namespace = Some("default".to_owned());
            let (_, warnings) = admit_create(object, &context()).unwrap();
            assert_eq!(warnings, [""; 0], "{name}");
        }
    }
}

/// The scenarios that use only kinds podtui has are accepted; the others are refused by the name of the kind.
#[test]
fn scenarios() {
    let mut refused = Vec::new();
    let files = fixtures("tests/fixtures/manifests/scenarios");
    assert_eq!(files.len(), 20);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        refused.extend(judge(&text, name));
    }
    let none = |place: &str, kind: &str, version: &str| {
        format!(
            "{place}: no matches for kind \"{kind}\" in version \"{version}\" (podtui does not have this kind yet)"
        )
    };
    assert_eq!(
        refused,
        [none(
            "17-replication-controller.yaml:2:1",
            "ReplicationController",
            "v1"
        ),]
    );
}

#[test]
fn errors_of_one_object_make_one_status() {
    let errors = create(pod(
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "a"}]}),
    ))
    .unwrap_err();
    let status = ApiError::invalid(Kind::Pod, "p", &errors);
    assert_eq!(
        status.message,
        "Pod \"p\" is invalid: [spec.containers[1].image: Required value, spec.containers[1].name: Duplicate value: \"a\"]"
    );
}
