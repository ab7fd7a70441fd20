use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::client::{DiskUsageRow, ImageSummary};
use crate::manifest;
use crate::printer::{Table, human_duration, size_text};

/// Of a command line in `image history`.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct SystemArgs {
    #[command(subcommand)]
    verb: SystemVerb,
}

#[derive(Debug, Subcommand)]
enum SystemVerb {
    /// Show what takes how much of the disk
    Df {
        /// yaml, json
        #[arg(
            short = 'o',
            long,
            value_name = "FORMAT",
            default_value = "",
            hide_default_value = true
        )]
        output: Format,
    },
    /// Remove what no pod uses: downloads that broke off and images without a name
    Prune {
        /// Also images with a name
        #[arg(short = 'a', long)]
        all: bool,
    },
}

pub(in crate::cli) async fn system(context: &mut Context, args: SystemArgs) -> Result<(), Failure> {
    match args.verb {
        SystemVerb::Df { output } => {
            let client = context.client().await?;
            let rows = client.disk_usage().await?;
            context.console.print(&disk_text(&rows, &output)?)
        }
        SystemVerb::Prune { all } => prune(context, all).await,
    }
}

pub(super) async fn prune(context: &mut Context, all: bool) -> Result<(), Failure> {
    let client = context.client().await?;
    let report = client.prune_images(all).await?;
    for line in &report.images {
        let word = if line.starts_with("sha256:") {
            "Deleted"
        } else {
            "Untagged"
        };
        context.console.print(&format!("{word}: {line}\n"))?;
    }
    let freed = size_text(report.freed);
    context
        .console
        .print(&format!("Total reclaimed space: {freed}\n"))
}

fn disk_text(rows: &[DiskUsageRow], output: &Format) -> Result<String, Failure> {
    if !output.is_table() {
        let value = json!({"items": rows});
        return match output {
            Format::Yaml => Ok(manifest::to_yaml(&value)),
            Format::JsonPath(path) => path
                .render(&value)
                .map_err(|error| Failure::local(error.to_string())),
            _ => serde_json::to_string_pretty(&value)
                .map(|text| format!("{text}\n"))
                .map_err(|error| Failure::local(format!("cannot write JSON: {error}"))),
        };
    }
    let mut table = Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in rows {
        table.push(vec![
            row.kind.clone(),
            row.total.to_string(),
            row.active.to_string(),
            size_text(row.size),
            size_text(row.reclaimable),
        ]);
    }
    Ok(table.render(true))
}

/// One line per entry of the image's history; entries that made no layer have no size.
pub(super) fn history(image: &ImageSummary, no_trunc: bool) -> String {
    let entries = image.history.as_array().cloned().unwrap_or_default();
    let mut sizes = image.layer_sizes.iter();
    let mut rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let size = match entry["empty_layer"] {
                Value::Bool(true) => Some(0),
                _ => sizes.next().copied(),
            };
            let created = text("created").parse::<Timestamp>().map_or_else(
                |_| "<unknown>".to_owned(),
                |at| {
                    format!(
                        "{} ago",
                        human_duration(Timestamp::now().duration_since(at))
                    )
                },
            );
            vec![
                created,
                shortened(&text("created_by"), no_trunc),
                size.map_or_else(|| "<unknown>".to_owned(), size_text),
                text("comment"),
            ]
        })
        .collect();
    // Layers that no entry tells of.
    rows.extend(sizes.map(|size| {
        vec![
            "<unknown>".to_owned(),
            String::new(),
            size_text(*size),
            String::new(),
        ]
    }));
    let mut table = Table::new(["CREATED", "CREATED BY", "SIZE", "COMMENT"]);
    for row in rows.into_iter().rev() {
        table.push(row);
    }
    table.render(true)
}

fn shortened(command: &str, whole: bool) -> String {
    let line = command.replace(['\n', '\t'], " ");
    if whole || line.chars().count() <= SHOWN {
        return line;
    }
    let start: String = line.chars().take(SHOWN - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_pairs_entries_with_layers() {
        let image: ImageSummary = serde_json::from_value(json!({
            "names": [], "id": "sha256:00", "created": null, "size": 3, "layers": ["a", "b"], "usedBy": [], "config": null,
            "layerSizes": [1_000, 2_000],
            "history": [
                {"created_by": "ADD rootfs"},
                {"created_by": "CMD sh", "empty_layer": true},
                {"created_by": format!("RUN {}", "x".repeat(80)), "comment": "built"},
            ],
        }))
        .unwrap();
        let text = history(&image, false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("<unknown>   RUN xxx") && lines[1].contains("x…"));
        assert!(lines[1].contains("2.00kB") && lines[1].ends_with("built"));
        assert!(lines[2].contains("CMD sh") && lines[2].contains("0B"));
        assert!(lines[3].contains("ADD rootfs") && lines[3].contains("1.00kB"));
        assert!(history(&image, true).contains(&"x".repeat(80)));
    }

    #[test]
    fn bytes_are_exact_for_programs_and_short_for_people() {
        let rows = [DiskUsageRow {
            kind: "Images".to_owned(),
            total: 2,
            active: 1,
            size: 1_234_567,
            reclaimable: 0,
        }];
        let table = disk_text(&rows, &Format::Table).unwrap();
        assert_eq!(
            table,
            "TYPE     TOTAL   ACTIVE   SIZE     RECLAIMABLE\nImages   2       1        1.23MB   0B\n"
        );
        let exact = disk_text(&rows, &Format::Json).unwrap();
        assert!(exact.contains("1234567"), "{exact}");
    }
}
