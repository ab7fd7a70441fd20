use std::fmt::Write as _;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::resources::parse_kind;
use crate::manifest::{Field, Schema};
use crate::model::Kind;

/// Columns of a line of prose, its indentation included, as kubectl breaks it.
const WIDTH: usize = 80;
const INDENTATION: &str = "    ";

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// KIND or KIND.FIELD.FIELD, e.g. pod.spec.containers
    #[arg(value_name = "KIND[.FIELD]...")]
    what: String,
    /// The fields of fields too, without their descriptions
    #[arg(long)]
    recursive: bool,
    /// The version of the API; there is one of every kind
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
}

/// Needs no engine: what podtui understands is part of it.
pub(crate) fn explain(context: &mut Context, args: &ExplainArgs) -> Result<(), Failure> {
    let mut words = args.what.split('.').filter(|word| !word.is_empty());
    let kind = parse_kind(words.next().unwrap_or_default())?;
    if let Some(version) = &args.api_version
        && version != kind.api_version()
    {
        return Err(Failure::local(format!(
            "couldn't find resource for \"{version}, Kind={}\": it is of {}",
            kind.as_str(),
            kind.api_version()
        )));
    }
    let schema = Schema::built_in();
    let path: Vec<&str> = words.collect();
    let place = Place::find(&schema, kind, &path)?;
    let text = place.text(&schema, kind, args.recursive);
    context.console.print(&text)
}

/// What is explained: a kind, or a field with the type that has it.
struct Place<'a> {
    field: Option<(&'a str, &'a str, &'a Field)>,
    /// The type whose fields are listed; one without any is a scalar.
    type_name: &'a str,
}

impl<'a> Place<'a> {
    fn find(schema: &'a Schema, kind: Kind, path: &[&'a str]) -> Result<Self, Failure> {
        let mut place = Self {
            field: None,
            type_name: kind.as_str(),
        };
        for name in path {
            let owner = place.type_name;
            let field = schema
                .field(owner, name)
                .ok_or_else(|| Failure::local(format!("field \"{name}\" does not exist")))?;
            place = Self {
                field: Some((owner, name, field)),
                type_name: field.inner_type(),
            };
        }
        Ok(place)
    }

    fn text(&self, schema: &Schema, kind: Kind, recursive: bool) -> String {
        let mut text = String::new();
        if !kind.group().is_empty() {
            let _ = writeln!(text, "GROUP:      {}", kind.group());
        }
        let version = kind.api_version().rsplit('/').next().unwrap_or_default();
        let _ = writeln!(
            text,
            "KIND:       {}\nVERSION:    {version}\n",
            kind.as_str()
        );
        if let Some((owner, name, field)) = self.field {
            let _ = writeln!(
                text,
                "FIELD: {name} <{}>{}",
                field.type_name,
                required(field)
            );
            let values = schema.values(owner, name);
            if field.type_name == "string" && !values.is_empty() {
                text.push_str("ENUM:\n");
                for value in values {
                    let _ = writeln!(text, "{INDENTATION}{value}");
                }
            }
            text.push_str("\n\nDESCRIPTION:\n");
            prose(&mut text, &field.doc, INDENTATION);
        } else {
            text.push_str("DESCRIPTION:\n");
            prose(&mut text, Schema::about(kind), INDENTATION);
        }
        if schema.fields(self.type_name).next().is_some() {
            text.push_str("    \nFIELDS:\n");
            fields(&mut text, schema, self.type_name, recursive, 1);
        }
        text.push('\n');
        text
    }
}

fn required(field: &Field) -> &'static str {
    if field.is_required { " -required-" } else { "" }
}

fn fields(text: &mut String, schema: &Schema, owner: &str, recursive: bool, level: usize) {
    let margin = "  ".repeat(level);
    for (name, field) in schema.fields(owner) {
        let _ = writeln!(
            text,
            "{margin}{name}\t<{}>{}",
            field.type_name,
            required(field)
        );
        let values = schema.values(owner, name);
        if field.type_name == "string" && !values.is_empty() {
            let _ = writeln!(text, "{margin}enum: {}", values.join(", "));
        }
        if recursive {
            fields(text, schema, field.inner_type(), recursive, level + 1);
        } else {
            prose(text, &field.doc, INDENTATION);
            text.push('\n');
        }
    }
}

/// Words in lines of at most [`WIDTH`] columns.
fn prose(text: &mut String, words: &str, margin: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > WIDTH {
            if column > 0 {
                text.push('\n');
            }
            text.push_str(margin);
            column = margin.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    if column > 0 {
        // The schema leaves the full stop out, and has an ellipsis where a sentence was too long.
        text.push_str(if words.ends_with('…') { "\n" } else { ".\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(path: &str, recursive: bool) -> String {
        let schema = Schema::built_in();
        let mut words = path.split('.');
        let kind = parse_kind(words.next().unwrap()).unwrap();
        let path: Vec<&str> = words.collect();
        Place::find(&schema, kind, &path)
            .unwrap()
            .text(&schema, kind, recursive)
    }

    #[test]
    fn a_kind_and_a_field_of_a_field() {
        let pod = told("po", false);
        assert!(pod.starts_with("KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    "));
        assert!(pod.contains("\n  spec\t<PodSpec>\n    "), "{pod}");
        let preset = told("podpreset.spec", false);
        assert!(
            preset.starts_with("GROUP:      settings.k8s.io\n"),
            "{preset}"
        );
        assert!(preset.contains("\n  envFrom\t<[]EnvFromSource>\n"));
        let containers = told("pod.spec.containers", false);
        assert!(containers.contains("\nFIELD: containers <[]Container> -required-\n"));
        assert!(containers.contains("\n  name\t<string> -required-\n"));
        assert!(
            containers
                .contains("\n  imagePullPolicy\t<string>\n  enum: Always, IfNotPresent, Never\n")
        );
        let policy = told("pods.spec.restartPolicy", false);
        assert!(policy.contains("FIELD: restartPolicy <string>\nENUM:\n    Always\n"));
        assert!(!policy.contains("FIELDS:"));
        assert!(
            told("pod.status.containerStatuses.state", false)
                .contains("  waiting\t<ContainerStateWaiting>")
        );
    }

    #[test]
    fn every_kind_is_explained_to_its_last_field() {
        for kind in Kind::ALL {
            let text = told(kind.singular(), true);
            assert!(text.contains("\n    name\t<string>\n"), "{text}");
        }
        assert!(told("pod", true).contains("\n          port\t<IntOrString> -required-\n"));
    }

    #[test]
    fn lines_are_not_longer_than_a_terminal() {
        for line in told("pod.spec", false).lines() {
            assert!(line.chars().count() <= WIDTH + 1, "{line}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let schema = Schema::built_in();
        let error = Place::find(&schema, Kind::Pod, &["spec", "nothing"])
            .err()
            .unwrap();
        assert!(
            format!("{error:?}").contains("field \\\"nothing\\\" does not exist"),
            "{error:?}"
        );
    }
}
