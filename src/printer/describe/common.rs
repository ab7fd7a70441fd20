use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::text::{Text, clean};
use crate::model::applied::{APPLIED_TEXT, LAST_APPLIED};

pub(super) type Strings = BTreeMap<String, String>;

/// Longer annotations are put on lines of their own and cut (`maxAnnotationLen` of kubectl).
const ANNOTATION_WIDTH: usize = 140;

pub(super) fn labels(text: &mut Text, title: &str, labels: Option<&Strings>) {
    let mut key = format!("{title}:");
    for (name, value) in labels.into_iter().flatten() {
        text.line(0, format_args!("{key}\t{}={}", clean(name), clean(value)));
        key.clear();
    }
    if !key.is_empty() {
        text.line(0, format_args!("{key}\t<none>"));
    }
}

pub(super) fn annotations(text: &mut Text, annotations: Option<&Strings>) {
    let mut title = "Annotations:";
    for (name, value) in annotations
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != LAST_APPLIED && *name != APPLIED_TEXT)
    {
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.len() + name.len() + 2 > ANNOTATION_WIDTH || value.contains('\n') {
            text.line(0, format_args!("{title}\t{}:", clean(name)));
            for line in value.split('\n') {
                text.line(
                    0,
                    format_args!("\t  {}", clean(&shorten(line, ANNOTATION_WIDTH - 2))),
                );
            }
        } else {
            text.line(
                0,
                format_args!("{title}\t{}: {}", clean(name), clean(value)),
            );
        }
        title = "";
    }
    if !title.is_empty() {
        text.line(0, format_args!("{title}\t<none>"));
    }
}

fn shorten(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width).chain("...".chars()).collect()
}

pub(super) fn resources(text: &mut Text, level: usize, resources: Option<&ResourceRequirements>) {
    let Some(resources) = resources else { return };
    quantities(text, level, "Limits", resources.limits.as_ref());
    quantities(text, level, "Requests", resources.requests.as_ref());
}

pub(super) fn quantities(
    text: &mut Text,
    level: usize,
    title: &str,
    quantities: Option<&BTreeMap<String, Quantity>>,
) {
    let Some(quantities) = quantities.filter(|quantities| !quantities.is_empty()) else {
        return;
    };
    text.line(level, format_args!("{title}:"));
    for (name, quantity) in quantities {
        text.line(level + 1, format_args!("{name}:\t{}", quantity.0));
    }
}

pub(super) fn tolerations(text: &mut Text, tolerations: &[Toleration]) {
    let mut sorted: Vec<&Toleration> = tolerations.iter().collect();
    sorted.sort_by_key(|toleration| toleration.key.clone().unwrap_or_default());
    let mut title = "Tolerations:";
    for toleration in sorted {
        text.line(0, format_args!("{title}\t{}", toleration_text(toleration)));
        title = "";
    }
    if !title.is_empty() {
        text.line(0, format_args!("{title}\t<none>"));
    }
}

fn toleration_text(toleration: &Toleration) -> String {
    let mut line = toleration.key.clone().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    if !value.is_empty() {
        line.push('=');
        line.push_str(value);
    }
    if let Some(effect) = toleration
        .effect
        .as_deref()
        .filter(|effect| !effect.is_empty())
    {
        line.push(':');
        line.push_str(effect);
    }
    // A toleration with operator Exists and no key tolerates everything.
    if toleration.operator.as_deref() == Some("Exists") && value.is_empty() {
        line.push_str(if line.is_empty() {
            "op=Exists"
        } else {
            " op=Exists"
        });
    }
    if let Some(seconds) = toleration.toleration_seconds {
        line.push_str(&format!(" for {seconds}s"));
    }
    line
}

/// As `metav1.FormatLabelSelector` writes it: `app=web,tier in (a,b),!old`.
pub(super) fn selector_text(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().flatten();
    let mut parts: Vec<(&str, String)> = equal
        .map(|(key, value)| (key.as_str(), format!("{key}={value}")))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let key = expression.key.as_str();
        let mut values: Vec<&str> = expression
            .values
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            other => format!("{key} {other} ({values})"),
        };
        parts.push((key, text));
    }
    if parts.is_empty() {
        return "<none>".to_owned();
    }
    parts.sort();
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}
