use clap::Args;

use crate::cli::console::Console;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::follow::{Seen, follow, only};
use crate::cli::output::{Format, TableStyle, columns_of, render, sort};
use crate::cli::resources::{SelectorArgs, Target, check_selection, find, parse_targets};
use crate::model::{Kind, Object, ObjectKey, ResourceVersion};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of kubectl get")]
pub(crate) struct GetArgs {
    /// KIND[,KIND…] [NAME…] or KIND/NAME…
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    selector: SelectorArgs,
    /// wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=SPEC
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    output: Format,
    /// After listing, go on with changes
    #[arg(short = 'w', long)]
    watch: bool,
    /// Only changes, without the list
    #[arg(long)]
    watch_only: bool,
    /// Add a column with all labels
    #[arg(long)]
    show_labels: bool,
    /// Add a column for each of these labels
    #[arg(short = 'L', long, value_delimiter = ',', value_name = "KEY")]
    label_columns: Vec<String>,
    /// Print names as KIND/NAME
    #[arg(long)]
    show_kind: bool,
    /// Leave the header line out
    #[arg(long)]
    no_headers: bool,
    /// Order by a field, e.g. .metadata.creationTimestamp
    #[arg(long, value_name = "JSONPATH")]
    sort_by: Option<String>,
    /// An object that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
}

pub(crate) async fn get(context: &mut Context, args: GetArgs) -> Result<(), Failure> {
    let targets = if args.files.files.is_empty() {
        parse_targets(&args.words)?
    } else {
        file_targets(context, &args)?
    };
    check_selection(&targets, &args.selector)?;
    let kinds: Vec<Kind> = kinds(&targets);
    let style = TableStyle {
        wide: args.output == Format::Wide,
        with_namespace: args.selector.all_namespaces,
        with_kind: args.show_kind
            || kinds.len() > 1
            || args.words.first().is_some_and(|word| word == "all"),
        show_labels: args.show_labels,
        label_columns: args.label_columns.clone(),
        no_headers: args.no_headers,
    };
    if args.watch || args.watch_only {
        return watch(context, &args, &targets, &style).await;
    }
    let namespace = context.namespace();
    let client = context.client().await?;
    let mut found = find(&*client, &targets, &args.selector, &namespace).await?;
    if args.ignore_not_found {
        found.failures.retain(|failure| !failure.is_not_found());
    }
    if let Some(path) = &args.sort_by {
        sort(&mut found.objects, path)?;
    }
    let single = matches!(targets.as_slice(), [Target::Name(..)]);
    let console = &mut context.console;
    if args.output.is_table() {
        if found.objects.is_empty() {
            if found.failures.is_empty() && !args.ignore_not_found {
                console.note(&nothing(&kinds, &args.selector, &namespace));
            }
        } else {
            let moment = console.moment();
            console.print(&style.render(&found.objects, &moment))?;
        }
    } else if !(single && found.objects.is_empty()) {
        let text = match &args.output {
            Format::CustomColumns(columns) => {
                columns_of(columns, &found.objects, !style.no_headers)?
            }
            other => render(other, &found.objects, single)?,
        };
        console.print(&text)?;
    }
    finish(console, &found.failures)
}

fn kinds(targets: &[Target]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for target in targets {
        let (Target::Kind(kind) | Target::Name(kind, _)) = target;
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds
}

fn nothing(kinds: &[Kind], selector: &SelectorArgs, namespace: &str) -> String {
    if selector.all_namespaces || kinds.iter().any(|kind| !kind.is_namespaced()) {
        return "No resources found".to_owned();
    }
    format!("No resources found in {namespace} namespace.")
}

fn file_targets(context: &mut Context, args: &GetArgs) -> Result<Vec<Target>, Failure> {
    let namespace = context.given_namespace.clone();
    let manifests = load(
        &args.files,
        Validate::Ignore,
        namespace.as_deref(),
        &mut context.console,
    )?;
    if let Some(namespace) = manifests
        .iter()
        .find_map(|manifest| manifest.key.namespace.clone())
    {
        context.given_namespace = Some(namespace);
    }
    Ok(manifests
        .into_iter()
        .map(|manifest| Target::Name(manifest.kind, manifest.key.name))
        .collect())
}

async fn watch(
    context: &mut Context,
    args: &GetArgs,
    targets: &[Target],
    style: &TableStyle,
) -> Result<(), Failure> {
    let [target] = targets else {
        return Err(Failure::local(
            "you may only specify a single resource type",
        ));
    };
    let namespace = context.namespace();
    let (kind, options) = match target {
        Target::Kind(kind) => (*kind, args.selector.list_options(*kind, &namespace)),
        Target::Name(kind, name) => (*kind, only(&ObjectKey::new(*kind, &namespace, name))),
    };
    let client = context.client().await?;
    let mut printer = WatchPrinter {
        format: &args.output,
        style: style.clone(),
        started: false,
        widths: Vec::new(),
        newest: ResourceVersion(0),
    };
    let console = &mut context.console;
    let (watch_only, sort_by) = (args.watch_only, args.sort_by.as_deref());
    let named = matches!(target, Target::Name(..));
    follow(&*client, kind, &options, |seen| {
        match seen {
            Seen::Listed(mut objects) => {
                if !printer.started && named && objects.is_empty() {
                    let Target::Name(kind, name) = target else {
                        return Ok(None);
                    };
                    return Err(crate::model::ApiError::not_found(*kind, name).into());
                }
                if let (false, Some(path)) = (printer.started, sort_by) {
                    sort(&mut objects, path)?;
                }
                printer.listed(console, &objects, watch_only)?;
            }
            Seen::Changed(object) | Seen::Gone(object) => printer.show(console, &[object])?,
        }
        Ok(None::<std::convert::Infallible>)
    })
    .await
    .map(|never| match never {})
}

/// Prints rows as they come; columns never get narrower, so that rows stay under each other.
struct WatchPrinter<'a> {
    format: &'a Format,
    style: TableStyle,
    started: bool,
    widths: Vec<usize>,
    /// Everything up to here has been printed.
    newest: ResourceVersion,
}

impl WatchPrinter<'_> {
    fn listed(
        &mut self,
        console: &mut Console,
        objects: &[Object],
        quiet: bool,
    ) -> Result<(), Failure> {
        let first = !std::mem::replace(&mut self.started, true);
        // After lost history only what changed since is news.
        let news: Vec<Object> = objects
            .iter()
            .filter(|object| first || object.resource_version() > self.newest)
            .cloned()
            .collect();
        let newest = objects.iter().map(Object::resource_version).max();
        self.newest = self.newest.max(newest.unwrap_or_default());
        if first && quiet {
            return Ok(());
        }
        self.show(console, &news)
    }

    fn show(&mut self, console: &mut Console, objects: &[Object]) -> Result<(), Failure> {
        let Some(newest) = objects.iter().map(Object::resource_version).max() else {
            return Ok(());
        };
        self.newest = self.newest.max(newest);
        let with_headers = !std::mem::replace(&mut self.style.no_headers, true);
        if let Format::CustomColumns(columns) = self.format {
            return console.print(&columns_of(columns, objects, with_headers)?);
        }
        if !self.format.is_table() {
            for object in objects {
                console.print(&render(self.format, std::slice::from_ref(object), true)?)?;
            }
            return Ok(());
        }
        let moment = console.moment();
        console.print(
            &self
                .style
                .rows(objects, &moment, &mut self.widths, with_headers),
        )
    }
}
