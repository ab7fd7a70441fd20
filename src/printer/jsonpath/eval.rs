use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::parse::{
    Comparison, Expression, JsonPathError, Node, Step, parse_relaxed, parse_template,
};

/// A parsed template. Missing fields yield nothing; only impossible operations are errors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    nodes: Vec<Node>,
}

type Results<'a> = Vec<Cow<'a, Value>>;

impl JsonPath {
    /// A template: text with `{…}` actions. Text without any brace is taken as one path.
    pub(crate) fn parse(template: &str) -> Result<Self, JsonPathError> {
        if template.contains('{') {
            return parse_template(template).map(|nodes| Self { nodes });
        }
        Self::parse_relaxed(template)
    }

    /// One path, braces and first dot optional.
    pub(crate) fn parse_relaxed(path: &str) -> Result<Self, JsonPathError> {
        parse_relaxed(path).map(|nodes| Self { nodes })
    }

    /// The text of the template for this document.
    pub(crate) fn render(&self, document: &Value) -> Result<String, JsonPathError> {
        let mut out = String::new();
        render(&self.nodes, document, document, &mut out)?;
        Ok(out)
    }

    /// The values of all actions, in order; text is left out.
    pub(crate) fn find(&self, document: &Value) -> Result<Vec<Value>, JsonPathError> {
        let mut found = Vec::new();
        for node in &self.nodes {
            if let Node::Action(expression) = node {
                let results = evaluate(expression, document, document)?;
                found.extend(results.into_iter().map(Cow::into_owned));
            }
        }
        Ok(found)
    }
}

/// Strings bare, structures as JSON.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn render(
    nodes: &[Node],
    root: &Value,
    current: &Value,
    out: &mut String,
) -> Result<(), JsonPathError> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Action(expression) => {
                let results = evaluate(expression, root, current)?;
                let texts: Vec<String> = results.iter().map(|value| value_text(value)).collect();
                out.push_str(&texts.join(" "));
            }
            Node::Range { over, body } => {
                for item in evaluate(over, root, current)? {
                    render(body, root, &item, out)?;
                }
            }
        }
    }
    Ok(())
}

fn evaluate<'a>(
    expression: &Expression,
    root: &'a Value,
    current: &'a Value,
) -> Result<Results<'a>, JsonPathError> {
    match expression {
        Expression::Literal(value) => Ok(vec![Cow::Owned(value.clone())]),
        Expression::Path(steps) => {
            let found = walk(steps, root, vec![current])?;
            Ok(found.into_iter().map(Cow::Borrowed).collect())
        }
    }
}

fn walk<'a>(
    steps: &[Step],
    root: &'a Value,
    mut values: Vec<&'a Value>,
) -> Result<Vec<&'a Value>, JsonPathError> {
    for step in steps {
        let mut next = Vec::new();
        if *step == Step::Root {
            next.push(root);
        } else if let Step::Union(paths) = step {
            // All of the first, then all of the second.
            for path in paths {
                next.extend(walk(path, root, values.clone())?);
            }
        } else {
            for value in values {
                take(step, root, value, &mut next)?;
            }
        }
        values = next;
    }
    Ok(values)
}

fn take<'a>(
    step: &Step,
    root: &'a Value,
    value: &'a Value,
    out: &mut Vec<&'a Value>,
) -> Result<(), JsonPathError> {
    match step {
        Step::Root => out.push(root),
        Step::Field(name) => out.extend(value.get(name.as_str())),
        Step::Quoted(name) => match value.get(name.as_str()) {
            Some(found) => out.push(found),
            None => out.extend(
                name.split('.')
                    .try_fold(value, |value, name| value.get(name)),
            ),
        },
        Step::Wildcard => out.extend(children(value)),
        Step::Recursive => descend(value, out),
        Step::Index(index) => {
            if let Some(items) = array(value)? {
                let position = if *index < 0 {
                    index + length(items)
                } else {
                    *index
                };
                let found = usize::try_from(position)
                    .ok()
                    .and_then(|position| items.get(position));
                out.push(found.ok_or(JsonPathError::OutOfBounds {
                    index: position,
                    length: items.len(),
                })?);
            }
        }
        Step::Slice { from, to, step } => {
            if let Some(items) = array(value)? {
                let range = bounds(*from, *to, items.len())?;
                let step = usize::try_from(*step).unwrap_or(1).max(1);
                out.extend(items.get(range).unwrap_or_default().iter().step_by(step));
            }
        }
        Step::Union(paths) => {
            for path in paths {
                out.extend(walk(path, root, vec![value])?);
            }
        }
        Step::Filter { left, test } => {
            for item in array(value)?.into_iter().flatten() {
                if passes(left, test.as_ref(), root, item)? {
                    out.push(item);
                }
            }
        }
    }
    Ok(())
}

/// The elements from `from` up to `to`, negative numbers counted from the end. An empty slice may lie anywhere,
/// any other must lie inside (client-go `util/jsonpath`, `evalArray`).
fn bounds(
    from: Option<i64>,
    to: Option<i64>,
    length: usize,
) -> Result<std::ops::Range<usize>, JsonPathError> {
    let count = i64::try_from(length).unwrap_or(i64::MAX);
    let absolute = |index: i64| if index < 0 { index + count } else { index };
    let (from, to) = (absolute(from.unwrap_or(0)), absolute(to.unwrap_or(count)));
    if from == to {
        return Ok(0..0);
    }
    let out_of_bounds = |index| JsonPathError::OutOfBounds { index, length };
    if from < 0 || from >= count {
        return Err(out_of_bounds(from));
    }
    if to < 0 || to > count {
        return Err(out_of_bounds(to - 1));
    }
    if from > to {
        return Err(JsonPathError::Backwards { from, to });
    }
    let position = |index: i64| usize::try_from(index).map_err(|_| out_of_bounds(index));
    Ok(position(from)?..position(to)?)
}

fn length(items: &[Value]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// `None` for a missing (null) value, an error for anything that cannot be indexed.
fn array(value: &Value) -> Result<Option<&Vec<Value>>, JsonPathError> {
    match value {
        Value::Array(items) => Ok(Some(items)),
        Value::Null => Ok(None),
        other => Err(JsonPathError::NotAnArray(value_text(other))),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

/// Everything that has members, from the outside inwards.
fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    let below = children(value);
    if below.is_empty() {
        return;
    }
    out.push(value);
    for child in below {
        descend(child, out);
    }
}

fn passes(
    left: &Expression,
    test: Option<&(Comparison, Expression)>,
    root: &Value,
    item: &Value,
) -> Result<bool, JsonPathError> {
    let left = evaluate(left, root, item)?;
    let Some((comparison, right)) = test else {
        return Ok(!left.is_empty());
    };
    let right = evaluate(right, root, item)?;
    if left.len() > 1 || right.len() > 1 {
        return Err(JsonPathError::ManyOperands);
    }
    let (Some(left), Some(right)) = (left.first(), right.first()) else {
        return Ok(false);
    };
    let order = compare(left, right);
    Ok(match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// `None` when the two are of different kinds.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (left, right) if left == right => Some(Ordering::Equal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "kind": "List",
            "items": [
                {"kind": "Node", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/os": "linux", "a.b": "dotted"}},
                 "status": {"capacity": {"cpu": "4"}, "ready": true, "n": 3}},
                {"kind": "Node", "metadata": {"name": "127.0.0.2"}, "status": {"capacity": {"cpu": "8"}, "ready": false, "n": 7}},
            ],
            "users": [{"name": "myself", "user": {}}, {"name": "e2e", "user": {"username": "admin", "password": "secret"}}],
            "numbers": [0, 1, 2, 3, 4, 5],
        })
    }

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let text = JsonPath::parse(template).and_then(|path| path.render(&document()));
        assert_eq!(text, Ok(expected.to_owned()), "{template}");
    }

    #[track_caller]
    fn check_error(template: &str, expected: &str) {
        let error = JsonPath::parse(template)
            .and_then(|path| path.render(&document()))
            .unwrap_err();
        assert_eq!(error.to_string(), expected, "{template}");
    }

    #[test]
    fn fields_and_wildcards() {
        check("{.kind}", "List");
        check("kind is {.kind}!", "kind is List!");
        check(".kind", "List");
        check("{$.kind} {['kind']}", "List List");
        check("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2");
        check("{.users[1].user.*}", "admin secret");
        check("{..username}", "admin");
        check("{.missing.field}", "");
        check(
            "{.users[1].user}",
            r#"{"username":"admin","password":"secret"}"#,
        );
        check("{@.kind}", "List");
    }

    #[test]
    fn keys_with_dots() {
        check(r"{.items[0].metadata.labels.kubernetes\.io/os}", "linux");
        check(r"{.items[0].metadata.labels['kubernetes\.io/os']}", "linux");
        check("{.items[0].metadata.labels['a.b']}", "dotted");
    }

    #[test]
    fn arrays() {
        check("{.numbers[0]} {.numbers[-1]}", "0 5");
        check("{.numbers[1:3]}", "1 2");
        check("{.numbers[:-3]}", "0 1 2");
        check("{.numbers[::2]}", "0 2 4");
        check("{.numbers[-2:]}", "4 5");
        check("{.numbers[0,3]}", "0 3");
        check("{.users[0]['name', 'user']}", "myself {}");
        check_error(
            "{.numbers[9]}",
            "array index out of bounds: index 9, length 6",
        );
        check(
            "{.items[*]['kind','metadata.name']}",
            "Node Node 127.0.0.1 127.0.0.2",
        );
        check("{.users[].name} {.users[0:0]}", "myself ");
        check_error(
            "{.users[0:3]}",
            "array index out of bounds: index 2, length 2",
        );
        check_error(
            "{.numbers[3:1]}",
            "starting index 3 is greater than ending index 1",
        );
        check_error("{.kind[0]}", "List is not array or slice");
    }

    #[test]
    fn filters() {
        check(r#"{.users[?(@.name=="e2e")].user.password}"#, "secret");
        check(r"{.users[?(@.name=='e2e')].user.password}", "secret");
        check(r#"{.users[?(@.name != "e2e")].name}"#, "myself");
        check("{.items[?(@.status.n > 3)].metadata.name}", "127.0.0.2");
        check("{.items[?(@.status.n<=3)].metadata.name}", "127.0.0.1");
        check(
            "{.items[?(@.status.ready==true)].metadata.name}",
            "127.0.0.1",
        );
        check("{.users[?(@.user.username)].name}", "e2e");
        check(r#"{.items[?(@.metadata.name=="nobody")].kind}"#, "");
    }

    #[test]
    fn ranges() {
        check(
            r#"{range .items[*]}{.metadata.name}{"\t"}{.status.capacity.cpu}{"\n"}{end}"#,
            "127.0.0.1\t4\n127.0.0.2\t8\n",
        );
        check("{range .users[*]}[{.name}]{end}", "[myself][e2e]");
        check(
            "{range .items[*]}{range .status.capacity}{.cpu};{end}{end}",
            "4;8;",
        );
        check("{range .users[*]}{$.kind} {end}", "List List ");
    }

    #[test]
    fn mistakes() {
        check_error("{.kind", "unclosed action");
        check_error(
            "{range .items[*]}{.kind}",
            "unclosed range: {end} is missing",
        );
        check_error("{end}", "not in range, nothing to end");
        check_error("{.items[0}", "unterminated array");
        check_error(r#"{.users[?(@.name=="x"].y}"#, "unterminated filter");
        check_error("{\"x}", "unterminated quoted string");
        check_error("{hello}", "unrecognized identifier hello");
        check_error("{.a[x]}", "invalid array index x");
        check_error("{.a[::0]}", "step must be > 0");
    }
}
