use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::page::Pages;
use crate::base::Clock;
use crate::client::Client;
use crate::tui::logs::{LogEntry, LogRead};
use crate::tui::msg::Reply;
use crate::tui::tasks::expand_home;

/// Lines are saved whole up to here.
const LONGEST: usize = 1 << 20;

/// Writes everything the pane shows, from the first line in the files to the present, into a new file: time,
/// container if there are several, and the text without control characters. A file that cannot be finished is
/// removed again.
pub(in crate::tui) async fn save_logs(
    client: Arc<dyn Client>,
    read: LogRead,
    path: String,
) -> Reply {
    let target = expand_home(&path);
    let result = save(client, read, &target).await;
    Reply::LogSaved(path, result)
}

async fn save(client: Arc<dyn Client>, read: LogRead, path: &Path) -> Result<u64, String> {
    let created = path.to_owned();
    let mut file = blocking(move || create(&created)).await.map_err(in_words)?;
    let result = write_all(client, read, &mut file).await;
    if result.is_err() {
        let path = path.to_owned();
        // It is ours, and half a log would be taken for a whole one.
        let _ = blocking(move || std::fs::remove_file(path)).await;
    }
    result
}

async fn write_all(client: Arc<dyn Client>, read: LogRead, file: &mut File) -> Result<u64, String> {
    let is_merged = read.sources.len() > 1;
    let names: Vec<(usize, String)> = read
        .sources
        .iter()
        .map(|from| (from.source, from.container.clone()))
        .collect();
    let pages = Pages {
        client,
        read,
        longest: LONGEST,
        until: Clock::system().now(),
    };
    let mut count = 0;
    let mut from = None;
    loop {
        let page = pages.forward(from).await;
        if let Some(problem) = page.problems.into_iter().next() {
            return Err(problem);
        }
        count += page.entries.len() as u64;
        let name = |entry: &LogEntry| {
            let name = names.iter().find(|(source, _)| *source == entry.source);
            name.filter(|_| is_merged).map(|(_, name)| name.as_str())
        };
        let mut text = String::new();
        for entry in &page.entries {
            if let Some(at) = entry.at {
                let _ = write!(text, "{at:.9} ");
            }
            if let Some(name) = name(entry) {
                let _ = write!(text, "{name} ");
            }
            text.push_str(&entry.line.text);
            text.push('\n');
        }
        let mut writer = file.try_clone().map_err(in_words)?;
        blocking(move || writer.write_all(text.as_bytes()))
            .await
            .map_err(in_words)?;
        from = page.newer;
        if from.is_none() {
            break;
        }
    }
    Ok(count)
}

fn create(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn in_words(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists => "it exists already, choose another name".to_owned(),
        ErrorKind::NotFound => "there is no such directory".to_owned(),
        _ => error.to_string(),
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let result = tokio::task::spawn_blocking(job).await;
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}
