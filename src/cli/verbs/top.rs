use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::client::PodMetrics;
use crate::model::ObjectKey;
use crate::printer::Table;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(subcommand)]
    what: TopWhat,
}

#[derive(Debug, Subcommand)]
enum TopWhat {
    /// Use of pods
    #[command(visible_aliases = ["pods", "po"])]
    Pod {
        name: Option<String>,
        /// One line per container
        #[arg(long)]
        containers: bool,
        /// Pods of all namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// cpu or memory
        #[arg(long, value_parser = ["cpu", "memory"])]
        sort_by: Option<String>,
        /// Add a line with the sum
        #[arg(long)]
        sum: bool,
        /// Leave the header line out
        #[arg(long)]
        no_headers: bool,
    },
}

pub(crate) async fn top(context: &mut Context, args: TopArgs) -> Result<(), Failure> {
    let TopWhat::Pod {
        name,
        containers,
        all_namespaces,
        sort_by,
        sum,
        no_headers,
    } = args.what;
    let namespace = context.namespace();
    let client = context.client().await?;
    let mut pods = client
        .pod_metrics((!all_namespaces).then_some(namespace.as_str()))
        .await?;
    // A pod without a running container uses nothing that could be shown.
    pods.retain(|pod| !pod.containers.is_empty());
    if let Some(name) = &name {
        client.get(&ObjectKey::pod(&namespace, name)).await?;
        pods.retain(|pod| pod.name == *name);
    }
    if pods.is_empty() {
        return Err(Failure::local("metrics not available yet"));
    }
    match sort_by.as_deref() {
        Some("cpu") => pods.sort_by_key(|pod| std::cmp::Reverse(cpu(pod))),
        Some(_) => pods.sort_by_key(|pod| std::cmp::Reverse(memory(pod))),
        None => pods.sort_by(|one, other| {
            (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name))
        }),
    }
    let mut headers = if containers {
        vec!["POD", "NAME"]
    } else {
        vec!["NAME"]
    };
    headers.extend(["CPU(cores)", "MEMORY(bytes)"]);
    if all_namespaces {
        headers.insert(0, "NAMESPACE");
    }
    let mut table = Table::new(headers);
    let mut push = |namespace: &str, names: &[&str], cpu: u64, memory: u64| {
        let mut row: Vec<String> = Vec::new();
        if all_namespaces {
            row.push(namespace.to_owned());
        }
        row.extend(names.iter().map(|&name| name.to_owned()));
        row.push(cpu_text(cpu));
        row.push(memory_text(memory));
        table.push(row);
    };
    for pod in &pods {
        if containers {
            for container in &pod.containers {
                let names = [pod.name.as_str(), container.name.as_str()];
                push(
                    &pod.namespace,
                    &names,
                    container.cpu_nanocores,
                    container.memory_bytes,
                );
            }
        } else {
            push(&pod.namespace, &[&pod.name], cpu(pod), memory(pod));
        }
    }
    if sum {
        let names: &[&str] = if containers { &["", ""] } else { &[""] };
        push(
            "",
            names,
            pods.iter().map(cpu).sum(),
            pods.iter().map(memory).sum(),
        );
    }
    let text = table.render(!no_headers);
    // kubectl writes the units of these two columns in lower case.
    context
        .console
        .print(&text.replacen("CPU(CORES)", "CPU(cores)", 1).replacen(
            "MEMORY(BYTES)",
            "MEMORY(bytes)",
            1,
        ))
}

fn cpu(pod: &PodMetrics) -> u64 {
    pod.containers
        .iter()
        .map(|container| container.cpu_nanocores)
        .sum()
}

fn memory(pod: &PodMetrics) -> u64 {
    pod.containers
        .iter()
        .map(|container| container.memory_bytes)
        .sum()
}

/// Thousandths of a CPU, rounded up.
fn cpu_text(nanocores: u64) -> String {
    format!("{}m", nanocores.div_ceil(1_000_000))
}

fn memory_text(bytes: u64) -> String {
    format!("{}Mi", bytes >> 20)
}
