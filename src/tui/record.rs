//! The last messages in short, for bug reports. Contents of objects and logs and what is typed into programs are
//! not in it, so secrets are not either.

use std::collections::VecDeque;
use std::fmt::Write;

use jiff::Timestamp;

use super::editor::{EditorReply, OutsideEnd};
use super::msg::{LogNews, Msg, Reply, TtyNews, WatchNews};
use super::views::SessionRead;

const KEPT: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Record {
    kept: VecDeque<(Timestamp, String)>,
}

impl Record {
    /// `is_private`: keys go to a program, which may ask for a password.
    pub(super) fn push(&mut self, at: Timestamp, msg: &Msg, is_private: bool) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        let text = match msg {
            Msg::Key(_) if is_private => "a key for the program in the terminal".to_owned(),
            msg => summary(msg),
        };
        self.kept.push_back((at, text));
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (at, summary) in &self.kept {
            writeln!(text, "{at} {summary}").expect("writing to a string cannot fail");
        }
        text
    }
}

/// Must not be asked about keys that are private.
pub(super) fn summary(msg: &Msg) -> String {
    match msg {
        Msg::Key(key) => format!("key {}", super::keymap::Key::of(*key)),
        Msg::Mouse(event) => format!("mouse {:?} {},{}", event.kind, event.column, event.row),
        Msg::Paste(text) => format!("paste of {} bytes", text.len()),
        Msg::Resize { columns, rows } => format!("resize {columns}x{rows}"),
        Msg::Terminate => "terminate".to_owned(),
        Msg::Suspend => "suspend".to_owned(),
        Msg::Resumed => "resumed".to_owned(),
        Msg::Images(images) => format!(
            "{} images, {} pulls, problem {:?}",
            images.all.len(),
            images.pulls.len(),
            images.problem
        ),
        Msg::Session(read) => match **read {
            SessionRead::None => "no kept views".to_owned(),
            SessionRead::Kept(_) => "kept views".to_owned(),
            SessionRead::Damaged { .. } => "kept views, damaged".to_owned(),
            SessionRead::Later(version) => format!("kept views of version {version}"),
            SessionRead::Unreadable(_) => "kept views that cannot be read".to_owned(),
        },
        Msg::Tick(_) => "tick".to_owned(),
        Msg::Connected(info) => format!("connected to engine {}", info.version),
        Msg::ConnectFailed(problem) => format!("no engine: {problem}"),
        Msg::Watch {
            kind,
            generation,
            news,
        } => {
            let news = match news {
                WatchNews::Listed(objects) => format!("list of {}", objects.len()),
                WatchNews::More(objects) => format!("{} more of the list", objects.len()),
                WatchNews::Changes(events) => format!("{} changes", events.len()),
                WatchNews::Lost(problem) => format!("lost: {problem}"),
            };
            format!("watch {} #{generation}: {news}", kind.plural())
        }
        Msg::Logs {
            generation,
            source,
            news,
        } => {
            let news = match news {
                LogNews::Lines(lines) => format!("{} lines", lines.len()),
                LogNews::Hidden { lines, .. } => format!("{lines} hidden"),
                LogNews::Skipped(from) => format!("skipped to {from}"),
                LogNews::Ended(problem) => format!("ended {problem:?}"),
            };
            format!("logs #{generation}/{source}: {news}")
        }
        Msg::LogPage { id, page } => format!(
            "logs read #{id}: {} lines, {} hidden",
            page.entries.len(),
            page.hidden
        ),
        Msg::Focus(is_focused) => format!("focus {is_focused}"),
        Msg::Tty { id, news } => {
            let news = match news {
                TtyNews::Started(program) => format!("{program} started"),
                TtyNews::Output(chunk) => format!("{} bytes", chunk.bytes.len()),
                TtyNews::InputFull => "input is full".to_owned(),
                TtyNews::Release(hold) => format!("release {hold}"),
                TtyNews::Ended(end) => format!("ended: {end:?}"),
            };
            format!("{id:?}: {news}")
        }
        Msg::MetricsPart(readings) => format!("metrics of {} pods and more", readings.len()),
        Msg::Metrics(result) => format!("metrics of {:?} pods", result.as_ref().map(Vec::len)),
        Msg::Processes(target, result) => {
            let count = result.as_ref().map(|found| found.total);
            format!("processes of {}: {count:?}", target.key)
        }
        Msg::Story(target, result) => {
            let count = result.as_ref().map(Vec::len);
            format!("story of {}: {count:?}", target.key)
        }
        Msg::PersonalUnwatched(problem) => format!("configuration not watched: {problem}"),
        Msg::Personal(files) => {
            let read = |text: &super::personal::FileText| match text {
                Ok(Some(text)) => format!("{} bytes", text.len()),
                Ok(None) => "none".to_owned(),
                Err(problem) => problem.clone(),
            };
            let (config, keys) = (read(&files.config), read(&files.keys));
            format!(
                "config.toml {config}, keys.toml {keys}, {} themes",
                files.themes.len()
            )
        }
        Msg::Reply(reply) => match reply {
            Reply::Restarted(what, result) => format!("restarted {what}: {result:?}"),
            Reply::LogSaved(path, result) => format!("saved logs to {path}: {result:?}"),
            Reply::Deleted(key, result) => format!("deleted {key}: {result:?}"),
            Reply::Created {
                created, problems, ..
            } => {
                let created: Vec<String> =
                    created.iter().map(|one| one.key().to_string()).collect();
                format!("created {created:?}, {} problems", problems.len())
            }
            Reply::Paths { found, .. } => format!("{} paths", found.len()),
            Reply::Editor(reply) => editor(reply),
            Reply::Excerpt { container, lines } => {
                format!(
                    "log of {container}: {:?} lines",
                    lines.as_ref().map(Vec::len)
                )
            }
            Reply::Images(result) => format!("images: {result:?}"),
            Reply::Saved(path, result) => format!("saved {path}: {result:?}"),
        },
    }
}

fn editor(reply: &EditorReply) -> String {
    match reply {
        EditorReply::Checked { generation, report } => {
            format!("checked #{generation}: {} problems", report.problems.len())
        }
        EditorReply::Applied {
            written, refused, ..
        } => {
            let refused = refused.as_ref().map(|(error, _)| error.reason);
            format!("applied {written:?}, refused {refused:?}")
        }
        EditorReply::External(id, end) => match end {
            OutsideEnd::Left(text) => format!("{id:?}: edited outside: {} bytes", text.len()),
            OutsideEnd::HungUp { text, .. } => format!("{id:?}: hung up: {} bytes", text.len()),
            OutsideEnd::Failed(problem) => format!("{id:?}: edited outside: {problem}"),
        },
        EditorReply::Recovered(found) => format!("{} unfinished edits", found.len()),
        EditorReply::FileRead(path, result) => {
            format!("read {path}: {:?}", result.as_ref().map(String::len))
        }
    }
}
