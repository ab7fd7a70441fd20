//! Reading logs: [`follow`] a container live, [`page`]s of the merged log from the files, [`save`] to a file.
//! All of them read the text the API serves ([`lines`]).

mod follow;
mod lines;
mod page;
mod save;

pub(in crate::tui) use follow::{LogRequest, follow_logs};
pub(in crate::tui) use page::read_logs;
pub(in crate::tui) use save::save_logs;
