//! The tasks beside the loop: each turns one source of news into messages on the one bounded channel. A full
//! channel slows the source down; nothing is dropped.

mod create;
mod edit;
mod images;
mod input;
mod logs;
mod metrics;
mod outside;
mod paths;
mod personal;
mod processes;
mod session;
mod story;
mod terminal;
mod watch;

pub(super) use create::create;
pub(super) use edit::{apply, check, keep_drafts, read_manifest};
pub(super) use images::{poll_images, work_on_images};
pub(super) use input::{terminal_input, watch_signals};
pub(super) use logs::{LogRequest, follow_logs, read_logs, save_logs};
pub(super) use metrics::poll_metrics;
pub(super) use outside::{edit_outside, editor_command};
pub(super) use paths::{expand_home, list_paths};
pub(super) use personal::{follow_personal, read_personal};
pub(super) use processes::poll_processes;
pub(super) use session::{keep_session, read_session};
pub(super) use story::{read_excerpt, read_story};
pub(super) use terminal::{TtyInput, release_later, run_terminal};
pub(super) use watch::{WatchRequest, follow_kind};
