//! Label selectors (`app=web,tier in (a,b),!old`) and field selectors (`status.phase=Running`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::names;
use super::{Kind, Object};

use crate::base::quoted;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    #[error("invalid selector: {0}")]
    Field(String),
    #[error("field label not supported: {0}")]
    UnknownField(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

/// All requirements must hold; the empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { rest: text };
        let mut requirements = Vec::new();
        parser.skip_blanks();
        while !parser.rest.is_empty() {
            requirements.push(parser.requirement()?);
            parser.skip_blanks();
            match parser.rest.strip_prefix(',') {
                Some(rest) => {
                    parser.rest = rest;
                    parser.skip_blanks();
                    if parser.rest.is_empty() {
                        return Err(parser.expected("identifier after ','"));
                    }
                }
                None if parser.rest.is_empty() => {}
                None => return Err(parser.expected("',' or 'end of string'")),
            }
        }
        Ok(Self { requirements })
    }

    /// Of the requirements of an object: key, operator and values each. `None` when one of them is none.
    pub(crate) fn of<'a>(
        requirements: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>,
    ) -> Option<Self> {
        let requirement = |(key, operator, values): (&str, &str, &[String])| {
            let number = || match values {
                [value] => value.parse().ok(),
                _ => None,
            };
            let test = match operator {
                "In" => Test::In(values.to_vec()),
                "NotIn" => Test::NotIn(values.to_vec()),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                "Gt" => Test::Greater(number()?),
                "Lt" => Test::Less(number()?),
                _ => return None,
            };
            let key = key.to_owned();
            Some(Requirement { key, test })
        };
        let requirements = requirements.into_iter().map(requirement);
        let requirements = requirements.collect::<Option<Vec<Requirement>>>()?;
        Some(Self { requirements })
    }

    pub(crate) fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.holds(|key| labels?.get(key).map(String::as_str))
    }

    /// As [`LabelSelector::matches`], whatever holds the labels.
    pub(crate) fn holds<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        let mut requirements = self.requirements.iter();
        requirements.all(|one| one.test.holds(value_of(&one.key)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => {
                value.is_some_and(|value| values.iter().any(|known| known == value))
            }
            // A missing key satisfies `!=` and `notin`.
            Self::NotIn(values) => {
                value.is_none_or(|value| values.iter().all(|known| known != value))
            }
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Greater(bound) => number().is_some_and(|number| number > *bound),
            Self::Less(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn expected(&self, what: &str) -> SelectorError {
        let found = self
            .rest
            .chars()
            .next()
            .map_or_else(String::new, String::from);
        SelectorError::Requirement(format!("found '{found}', expected: {what}"))
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        self.skip_blanks();
        let special = |symbol: char| symbol.is_whitespace() || "=!(),<>".contains(symbol);
        let end = self.rest.find(special).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        let key = self.word();
        if key.is_empty() {
            return Err(self.expected("!, identifier, or 'end of string'"));
        }
        match names::qualified_name(&key).first() {
            None => Ok(key),
            Some(problem) => {
                let message = format!("key: Invalid value: {key}: {problem}", key = quoted(&key));
                Err(SelectorError::Requirement(message))
            }
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let value = self.word();
        match names::label_value(&value).first() {
            None => Ok(value),
            Some(problem) => {
                let message = format!(
                    "values[0]: Invalid value: {value}: {problem}",
                    value = quoted(&value)
                );
                Err(SelectorError::Requirement(message))
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take("!") {
            let key = self.key()?;
            return Ok(Requirement {
                key,
                test: Test::Absent,
            });
        }
        let key = self.key()?;
        let test = self.test()?;
        Ok(Requirement { key, test })
    }

    fn test(&mut self) -> Result<Test, SelectorError> {
        self.skip_blanks();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(Test::Exists);
        }
        if self.take("!=") {
            return Ok(Test::NotIn(vec![self.value()?]));
        }
        if self.take("==") || self.take("=") {
            return Ok(Test::In(vec![self.value()?]));
        }
        if self.take(">") {
            return self.number().map(Test::Greater);
        }
        if self.take("<") {
            return self.number().map(Test::Less);
        }
        let before = self.rest;
        match self.word().as_str() {
            "in" => self.set().map(Test::In),
            "notin" => self.set().map(Test::NotIn),
            _ => {
                self.rest = before;
                Err(self.expected("in, notin, =, ==, !=, gt, lt"))
            }
        }
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        let word = self.word();
        word.parse().map_err(|_| {
            SelectorError::Requirement(format!(
                "values[0]: Invalid value: {word}: for 'Gt', 'Lt' operators, the value must be an integer", word = quoted(&word)
            ))
        })
    }

    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        if !self.take("(") {
            return Err(self.expected("'('"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.expected("',' or ')'"));
            }
        }
    }
}

/// Comparisons on a few fields that the API makes selectable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

const POD_FIELDS: [&str; 11] = [
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENT_FIELDS: [&str; 13] = [
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

fn selectable(kind: Kind, field: &str) -> bool {
    match kind {
        Kind::Pod => POD_FIELDS.contains(&field),
        Kind::Event => EVENT_FIELDS.contains(&field),
        Kind::Secret => ["metadata.name", "metadata.namespace", "type"].contains(&field),
        Kind::Node => ["metadata.name", "spec.unschedulable"].contains(&field),
        Kind::Namespace => ["metadata.name", "status.phase"].contains(&field),
        Kind::PersistentVolume => {
            // The name stands also without its prefix, as it does since 2014.
            ["metadata.name", "name"].contains(&field)
        }
        Kind::PriorityClass => ["metadata.name"].contains(&field),
        Kind::PersistentVolumeClaim => {
            ["metadata.name", "metadata.namespace", "name"].contains(&field)
        }
        Kind::ConfigMap | Kind::ServiceAccount | Kind::PodPreset => {
            ["metadata.name", "metadata.namespace"].contains(&field)
        }
    }
}

impl FieldSelector {
    /// `a.b=x,c!=y`; `==` is the same as `=`, a backslash makes the next `,`, `=` or `\` literal.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = term.split_once("==") {
                (field, true, value)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, true, value)
            } else {
                let message = format!("'{text}'; can't understand '{term}'");
                return Err(SelectorError::Field(message));
            };
            if !selectable(kind, field) {
                return Err(SelectorError::UnknownField(field.to_owned()));
            }
            terms.push((field.to_owned(), equal, unescape(value)));
        }
        Ok(Self { terms })
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let value = object.to_value();
        self.terms
            .iter()
            .all(|(field, equal, wanted)| (field_text(&value, field) == *wanted) == *equal)
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, symbol) in text.char_indices() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        match symbol {
            '\\' => result.extend(symbols.next()),
            other => result.push(other),
        }
    }
    result
}

/// Absent fields are empty, absent booleans `false`, as the API server lists them.
fn field_text(object: &Value, field: &str) -> String {
    let field = match field {
        // Events of `events.k8s.io` have no source.
        "source" if object["source"]["component"].is_null() => "reportingComponent",
        "source" => "source.component",
        "name" => "metadata.name",
        other => other,
    };
    let mut value = object;
    for name in field.split('.') {
        value = &value[name];
    }
    match value {
        Value::Null if matches!(field, "spec.hostNetwork" | "spec.unschedulable") => {
            "false".to_owned()
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let addresses: Vec<&str> = items
                .iter()
                .filter_map(|item| item["ip"].as_str())
                .collect();
            addresses.join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let selector = LabelSelector::parse(selector).unwrap();
        assert_eq!(selector.matches(Some(&labels)), expected);
    }

    #[test]
    fn label_selectors() {
        let web = [("app", "web"), ("tier", "front"), ("n", "5")];
        check("", &web, true);
        check("app=web", &web, true);
        check("app==web,tier=front", &web, true);
        check("app=db", &web, false);
        check("app!=db", &web, true);
        check("missing!=db", &web, true);
        check("app in (web, db)", &web, true);
        check("app in (db)", &web, false);
        check("tier notin (back),app", &web, true);
        check("missing notin (back)", &web, true);
        check("missing", &web, false);
        check("!missing", &web, true);
        check("!app", &web, false);
        check("app=", &web, false);
        check("n>4,n<6", &web, true);
        check(" app = web , tier = front ", &web, true);
    }

    #[track_caller]
    fn check_error(selector: &str, expected: &str) {
        let error = LabelSelector::parse(selector).unwrap_err();
        assert!(error.to_string().contains(expected), "{selector}: {error}");
    }

    #[test]
    fn label_selector_errors() {
        check_error("app in web", "expected: '('");
        check_error("app=web,", "expected: identifier after ','");
        check_error("a b", "expected: in, notin, =, ==, !=, gt, lt");
        check_error("=x", "expected: !, identifier, or 'end of string'");
        check_error("-bad=x", "name part must consist of");
        check_error("a=x y", "expected: ',' or 'end of string'");
        check_error("a=_", "a valid label must be an empty string or consist of");
    }

    #[test]
    fn field_selectors() {
        let pod = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": []}, "status": {"phase": "Running"}});
        let pod = Object::from_value(Kind::Pod, pod).unwrap();
        let matches = |text: &str| FieldSelector::parse(Kind::Pod, text).unwrap().matches(&pod);
        assert!(matches("status.phase=Running,metadata.name=web"));
        assert!(matches("status.phase!=Pending"));
        assert!(!matches("status.phase==Pending"));
        assert!(matches("spec.hostNetwork=false"));
        assert_eq!(
            FieldSelector::parse(Kind::Pod, "spec.image=x")
                .unwrap_err()
                .to_string(),
            "field label not supported: spec.image"
        );
        assert!(FieldSelector::parse(Kind::Pod, "abc").is_err());
    }
}
