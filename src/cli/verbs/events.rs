use clap::Args;
use k8s_openapi::api::core::v1::Event;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::follow::{Seen, follow};
use crate::cli::output::{Format, render};
use crate::cli::resources::{Target, parse_targets};
use crate::client::ListOptions;
use crate::model::{Kind, Object, ResourceVersion};
use crate::printer::{Moment, Table, event_interval, event_time};

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only events about this object, e.g. pod/web
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,
    /// Only events of these types: Normal, Warning
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    types: Vec<String>,
    /// Events of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// After listing, go on with new events
    #[arg(short = 'w', long)]
    watch: bool,
    /// Leave the header line out
    #[arg(long)]
    no_headers: bool,
    /// yaml, json, name, jsonpath=TEMPLATE
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    output: Format,
}

struct Filter {
    about: Option<(Kind, String)>,
    types: Vec<String>,
}

impl Filter {
    fn new(args: &EventsArgs) -> Result<Self, Failure> {
        let about = match &args.about {
            None => None,
            Some(word) => match parse_targets(std::slice::from_ref(word))?.pop() {
                Some(Target::Name(kind, name)) => Some((kind, name)),
                _ => return Err(Failure::local("--for must be in resource/name form")),
            },
        };
        for kind in &args.types {
            if !kind.eq_ignore_ascii_case("Normal") && !kind.eq_ignore_ascii_case("Warning") {
                return Err(Failure::local(format!(
                    "valid --types are Normal or Warning, got {kind}"
                )));
            }
        }
        Ok(Self {
            about,
            types: args.types.clone(),
        })
    }

    fn takes(&self, event: &Event) -> bool {
        let involved = &event.involved_object;
        let about = self.about.as_ref().is_none_or(|(kind, name)| {
            involved.kind.as_deref() == Some(kind.as_str())
                && involved.name.as_deref() == Some(name)
        });
        let kind = event.type_.as_deref().unwrap_or_default();
        about
            && (self.types.is_empty()
                || self
                    .types
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(kind)))
    }
}

pub(crate) async fn events(context: &mut Context, args: EventsArgs) -> Result<(), Failure> {
    let filter = Filter::new(&args)?;
    let namespace = context.namespace();
    let options = ListOptions {
        namespace: (!args.all_namespaces).then(|| namespace.clone()),
        ..ListOptions::default()
    };
    let client = context.client().await?;
    let console = &mut context.console;
    let mut with_headers = !args.no_headers;
    let mut newest: Option<ResourceVersion> = None;
    follow(&*client, Kind::Event, &options, |seen| {
        let first = newest.is_none();
        let mut found = match seen {
            Seen::Listed(objects) => objects,
            Seen::Changed(object) => vec![object],
            Seen::Gone(_) => Vec::new(),
        };
        let seen_before = newest.unwrap_or_default();
        newest = Some(
            found
                .iter()
                .map(Object::resource_version)
                .fold(seen_before, ResourceVersion::max),
        );
        found.retain(|object| {
            matches!(object, Object::Event(event) if filter.takes(event))
                && object.resource_version() > seen_before
        });
        found.sort_by_key(|object| match object {
            Object::Event(event) => event_time(event),
            _ => None,
        });
        if found.is_empty() {
            if first && !args.watch {
                let place = if args.all_namespaces {
                    ".".to_owned()
                } else {
                    format!(" in {namespace} namespace.")
                };
                console.note(&format!("No events found{place}"));
            }
        } else if args.output.is_table() {
            let moment = console.moment();
            console.print(&table(&found, args.all_namespaces, with_headers, &moment))?;
            with_headers = false;
        } else {
            console.print(&render(&args.output, &found, false)?)?;
        }
        Ok((!args.watch).then_some(()))
    })
    .await
}

fn table(events: &[Object], with_namespace: bool, with_headers: bool, moment: &Moment) -> String {
    let mut headers = vec!["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    if with_namespace {
        headers.insert(0, "NAMESPACE");
    }
    let mut table = Table::new(headers);
    for object in events {
        let Object::Event(event) = object else {
            continue;
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let involved = &event.involved_object;
        let mut row = vec![
            event_interval(event, moment),
            text(&event.type_),
            text(&event.reason),
            format!("{}/{}", text(&involved.kind), text(&involved.name)),
            text(&event.message).trim().to_owned(),
        ];
        if with_namespace {
            row.insert(0, object.namespace().to_owned());
        }
        table.push(row);
    }
    table.render(with_headers)
}
