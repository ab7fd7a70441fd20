//! Checks that many fields share.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::model::{FieldError, names, pod};

pub(super) type Errors = Vec<FieldError>;

pub(super) fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// One error per problem of a name rule.
pub(super) fn by_rule(errors: &mut Errors, path: &str, value: &str, rule: fn(&str) -> Vec<String>) {
    let problems = rule(value).into_iter();
    errors.extend(problems.map(|problem| FieldError::invalid_string(path, value, problem)));
}

/// Required, and then a name by its rule.
pub(super) fn required_by_rule(
    errors: &mut Errors,
    path: &str,
    value: &str,
    rule: fn(&str) -> Vec<String>,
) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        by_rule(errors, path, value, rule);
    }
}

pub(super) fn required(errors: &mut Errors, path: String, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

/// `supported` must be in the order of the message.
pub(super) fn one_of(errors: &mut Errors, path: &str, value: &str, supported: &[&str]) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

/// As [`one_of`], but to say nothing is no better than to say something else.
pub(super) fn supported(errors: &mut Errors, path: &str, value: &str, supported: &[&str]) {
    if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

/// Init containers, the others, then ephemeral ones: as the API goes through them.
pub(super) fn containers_with_paths(
    spec: &PodSpec,
) -> impl Iterator<Item = (String, Cow<'_, Container>)> {
    let path = |list: &str, index: usize| format!("spec.{list}[{index}]");
    let init = pod::init_containers(spec).iter().enumerate();
    let init = init.map(move |(index, one)| (path("initContainers", index), Cow::Borrowed(one)));
    let app = spec.containers.iter().enumerate();
    let app = app.map(move |(index, one)| (path("containers", index), Cow::Borrowed(one)));
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
    let ephemeral = ephemeral.map(move |(index, one)| {
        let path = path("ephemeralContainers", index);
        (path, Cow::Owned(pod::as_container(one)))
    });
    init.chain(app).chain(ephemeral)
}

pub(super) fn non_negative(errors: &mut Errors, path: String, value: Option<impl Into<i64>>) {
    if let Some(value) = value.map(Into::into).filter(|value| *value < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path, value, detail));
    }
}

pub(super) fn port(errors: &mut Errors, path: &str, port: i64) {
    for problem in names::port_number(port) {
        errors.push(FieldError::invalid(path, port, problem));
    }
}

/// User and group ids.
pub(super) fn id(errors: &mut Errors, path: String, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        let detail = "must be between 0 and 2147483647, inclusive";
        errors.push(FieldError::invalid(path, id, detail));
    }
}

/// Permission bits.
pub(super) fn mode(errors: &mut Errors, path: String, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path, mode, detail));
    }
}

pub(super) fn no_backsteps(errors: &mut Errors, path: &str, value: &str) {
    if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid_string(
            path,
            value,
            "must not contain '..'",
        ));
    }
}

/// A path that stays below where it starts.
pub(super) fn descending(errors: &mut Errors, path: &str, value: &str) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid_string(
            path,
            value,
            "must be a relative path",
        ));
    }
    no_backsteps(errors, path, value);
}

/// A file inside a volume: names beginning with `..` belong to the atomic writer.
pub(super) fn volume_file(errors: &mut Errors, path: &str, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    descending(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") && value != ".." {
        errors.push(FieldError::invalid_string(
            path,
            value,
            "must not start with '..'",
        ));
    }
}
