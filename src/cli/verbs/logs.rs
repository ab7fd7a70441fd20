use std::time::Duration;

use bytes::Bytes;
use clap::{ArgAction, Args};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::containers::{all, check_container, choose, get_pod};
use crate::cli::console::Console;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::follow::{parse_go_duration, parse_time};
use crate::cli::resources::parse_pod;
use crate::cli::sanitize::Sanitizer;
use crate::client::{Client, ListOptions, LogOptions};
use crate::model::{ApiError, Kind, Object, Reason};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of kubectl logs")]
pub(crate) struct LogsArgs {
    /// POD or pod/POD
    pod: Option<String>,
    /// Container, as a second word
    #[arg(conflicts_with = "container", value_name = "CONTAINER")]
    container_word: Option<String>,
    /// Container; the first one when left out
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// Go on with new lines until the container ends
    #[arg(short = 'f', long)]
    follow: bool,
    /// The instance before the last restart
    #[arg(short = 'p', long)]
    previous: bool,
    /// All containers of the pod
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    all_containers: bool,
    /// All pods that are meant, each line with pod and container in front
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    all_pods: bool,
    /// Only the last lines; -1 = all (10 with a selector)
    #[arg(long, allow_negative_numbers = true, value_name = "LINES")]
    tail: Option<i64>,
    /// Only lines newer than this long ago: 5s, 2m, 3h
    #[arg(long, value_parser = parse_go_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only lines after this time (RFC 3339)
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    since_time: Option<Timestamp>,
    /// Put the time in front of every line
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    timestamps: bool,
    /// Put pod and container in front of every line
    #[arg(long)]
    prefix: bool,
    /// End after this many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
    /// Logs of all pods with these labels
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    selector: Option<String>,
    /// How many logs may be followed at once with a selector
    #[arg(long, default_value_t = 5, value_name = "N")]
    max_log_requests: usize,
    /// Go on with the other containers when one cannot be read
    #[arg(long)]
    ignore_errors: bool,
}

/// One container whose log is wanted.
struct Source {
    pod: String,
    container: String,
}

pub(crate) async fn logs(context: &mut Context, args: LogsArgs) -> Result<(), Failure> {
    check(&args)?;
    let namespace = context.namespace();
    let client = context.client().await?;
    let sources = sources(context, &*client, &args, &namespace).await?;
    let options = options(&args);
    if args.follow && sources.len() > args.max_log_requests {
        return Err(Failure::local(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to \
             increase the limit",
            sources.len(),
            args.max_log_requests
        )));
    }
    let mut failures = Vec::new();
    let mut streams = Vec::new();
    for source in sources {
        let options = LogOptions {
            container: Some(source.container.clone()),
            ..options.clone()
        };
        match client.logs(&namespace, &source.pod, options).await {
            Ok(chunks) => {
                let printer = Printer::new(&source, &args, context.console.out_is_terminal);
                let lines = printed(chunks.boxed(), printer);
                if args.follow {
                    streams.push(lines);
                } else {
                    copy(
                        &mut context.console,
                        lines,
                        args.ignore_errors,
                        &mut failures,
                    )
                    .await?;
                }
            }
            Err(error) if args.ignore_errors => pass_over(&mut context.console, &error)?,
            Err(error) => failures.push(error.into()),
        }
        if !failures.is_empty() {
            return finish(&mut context.console, &failures);
        }
    }
    copy(
        &mut context.console,
        stream::select_all(streams).boxed(),
        args.ignore_errors,
        &mut failures,
    )
    .await?;
    finish(&mut context.console, &failures)
}

/// Where the log would stand, as kubectl writes it.
fn pass_over(console: &mut Console, error: &ApiError) -> Result<(), Failure> {
    console.write(format!("error: {}\n", error.message).as_bytes())
}

/// The log as it is to be written, its end included.
fn printed(
    chunks: BoxStream<'static, Result<Bytes, ApiError>>,
    mut printer: Printer,
) -> BoxStream<'static, Result<Vec<u8>, ApiError>> {
    let chunks = chunks.map(Some).chain(stream::iter([None]));
    let lines = chunks.map(move |chunk| match chunk {
        Some(chunk) => chunk.map(|bytes| printer.chunk(&bytes)),
        None => Ok(printer.finish()),
    });
    lines.boxed()
}

async fn copy(
    console: &mut Console,
    mut chunks: BoxStream<'_, Result<Vec<u8>, ApiError>>,
    ignore_errors: bool,
    failures: &mut Vec<Failure>,
) -> Result<(), Failure> {
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(bytes) => console.write(&bytes)?,
            Err(error) if ignore_errors => pass_over(console, &error)?,
            Err(error) => {
                failures.push(error.into());
                return Ok(());
            }
        }
    }
    Ok(())
}

fn check(args: &LogsArgs) -> Result<(), Failure> {
    let container = args.container.as_ref().or(args.container_word.as_ref());
    if let (true, Some(container)) = (args.all_containers, container) {
        return Err(Failure::local(format!(
            "--all-containers=true should not be specified with container name {container}"
        )));
    }
    if args.since.is_some() && args.since_time.is_some() {
        return Err(Failure::local(
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ));
    }
    if args.tail.is_some_and(|tail| tail < -1) {
        return Err(Failure::local("--tail must be greater than or equal to -1"));
    }
    match (&args.pod, &args.selector) {
        (None, None) => Err(Failure::local(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'podtui logs -h' for help",
        )),
        (Some(_), Some(_)) => Err(Failure::local(
            "only a selector (-l) or a POD name is allowed",
        )),
        _ => Ok(()),
    }
}

async fn sources(
    context: &mut Context,
    client: &dyn Client,
    args: &LogsArgs,
    namespace: &str,
) -> Result<Vec<Source>, Failure> {
    let pods: Vec<std::sync::Arc<Pod>> = match (&args.pod, &args.selector) {
        (Some(word), _) => {
            let found = get_pod(client, namespace, &parse_pod(word)?).await;
            vec![found.map_err(|failure| not_found(failure, namespace))?]
        }
        (None, selector) => {
            let options = ListOptions {
                namespace: Some(namespace.to_owned()),
                label_selector: selector.clone().unwrap_or_default(),
                field_selector: String::new(),
            };
            let list = client.list(Kind::Pod, options).await?;
            let pods: Vec<_> = list
                .items
                .into_iter()
                .filter_map(|item| match item {
                    Object::Pod(pod) => Some(pod),
                    _ => None,
                })
                .collect();
            if pods.is_empty() {
                context
                    .console
                    .note(&format!("No resources found in {namespace} namespace."));
            }
            pods
        }
    };
    let given = args.container.as_deref().or(args.container_word.as_deref());
    let mut sources = Vec::new();
    for pod in pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let containers = if args.all_containers {
            all(&pod)
        } else if let Some(given) = given {
            check_container(&pod, given)?;
            vec![given.to_owned()]
        } else {
            vec![choose(&mut context.console, &pod, None)?]
        };
        sources.extend(containers.into_iter().map(|container| Source {
            pod: name.clone(),
            container,
        }));
    }
    Ok(sources)
}

/// kubectl words this one differently for logs.
fn not_found(failure: Failure, namespace: &str) -> Failure {
    match failure {
        Failure::Api(error) if error.reason == Reason::NotFound => Failure::local(format!(
            "error from server (NotFound): {} in namespace {namespace:?}",
            error.message
        )),
        other => other,
    }
}

fn options(args: &LogsArgs) -> LogOptions {
    let default_tail = if args.selector.is_some() { 10 } else { -1 };
    let tail = args.tail.unwrap_or(default_tail);
    // Zero is as good as not given.
    let since = args.since.filter(|since| !since.is_zero());
    let since = since
        .and_then(|since| Timestamp::now().checked_sub(since).ok())
        .or(args.since_time);
    LogOptions {
        container: None,
        follow: args.follow,
        previous: args.previous,
        timestamps: args.timestamps,
        tail_lines: u64::try_from(tail).ok(),
        since,
        until: None,
        limit_bytes: args.limit_bytes.filter(|bytes| *bytes > 0),
    }
}

/// What happens to the bytes of one log on their way to standard output.
struct Printer {
    prefix: Option<Vec<u8>>,
    at_line_start: bool,
    /// On a terminal only: files and pipes get the bytes as they are.
    sanitizer: Option<Sanitizer>,
}

impl Printer {
    fn new(source: &Source, args: &LogsArgs, terminal: bool) -> Self {
        let prefix = (args.prefix || args.all_pods)
            .then(|| format!("[pod/{}/{}] ", source.pod, source.container).into_bytes());
        Self {
            prefix,
            at_line_start: true,
            sanitizer: terminal.then(Sanitizer::default),
        }
    }

    fn chunk(&mut self, bytes: &[u8]) -> Vec<u8> {
        let bytes = match &mut self.sanitizer {
            Some(sanitizer) => sanitizer.clean(bytes),
            None => bytes.to_vec(),
        };
        self.with_prefix(bytes)
    }

    /// What is still held back when the log ends.
    fn finish(&mut self) -> Vec<u8> {
        let rest = self.sanitizer.as_mut().map(Sanitizer::finish);
        self.with_prefix(rest.unwrap_or_default())
    }

    fn with_prefix(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(prefix) = &self.prefix else {
            return bytes;
        };
        let mut out = Vec::with_capacity(bytes.len() + prefix.len());
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.at_line_start {
                out.extend_from_slice(prefix);
            }
            out.extend_from_slice(line);
            self.at_line_start = line.ends_with(b"\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_none() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: LogsArgs,
        }
        let read = |words: &[&str]| {
            let line = [&["logs", "p"], words].concat();
            <Line as clap::Parser>::try_parse_from(line).unwrap().args
        };
        let none = options(&read(&["--since=0s", "--limit-bytes=0", "--tail=0"]));
        assert_eq!((none.since, none.limit_bytes), (None, None));
        assert_eq!(none.tail_lines, Some(0));
        let some = options(&read(&["--since=5s", "--limit-bytes=7"]));
        assert!(some.since.is_some());
        assert_eq!(some.limit_bytes, Some(7));
        let source = Source {
            pod: "p".to_owned(),
            container: "c".to_owned(),
        };
        let mut printer = Printer::new(&source, &read(&["--all-pods"]), false);
        assert_eq!(printer.chunk(b"x\n"), b"[pod/p/c] x\n");
    }

    #[test]
    fn prefixes_stand_at_line_starts_only() {
        let mut printer = Printer {
            prefix: Some(b"[x] ".to_vec()),
            at_line_start: true,
            sanitizer: None,
        };
        let mut out = printer.chunk(b"one\ntw");
        out.extend(printer.chunk(b"o\n"));
        out.extend(printer.chunk(b"three\n"));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[x] one\n[x] two\n[x] three\n"
        );
    }
}
