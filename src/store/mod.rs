//! The object store: the one place where desired and observed state live.
//!
//! Three capabilities instead of one handle: [`Store`] reads and watches (clonable), [`SpecWriter`] writes
//! what users want and takes only [`crate::admission::Admitted`] objects, [`StatusWriter`] writes what the
//! engine sees (not clonable; the engine owns it).
//!
//! One writer task applies writes in order, gives each a [`crate::model::ResourceVersion`], appends it to the
//! journal on disk and then publishes it. Reads come from memory. A watcher that falls behind the ring gets
//! [`Gone`] and must list again.
//!
//! A write is appended to the journal before anybody sees it, so what a watcher saw survives a crash of
//! podtui. The answer to a [`SpecWriter`] also waits for the disk; all writes that wait share one sync.
//! What a user wants is refused when it finds no space, and leaves nothing behind, in memory or on disk. What
//! the engine sees, and a deletion, which may be the way to get space, goes on in memory; it is written as
//! soon as there is room, before anything else is, and [`Store::unsaved`] tells of it until then.
//! Secrets are on disk in clear, as on a control plane without encryption at rest; directory 0700, files 0600.
//!
//! Deliberately absent: policy. What may be written is decided in `admission`, when a pod is finally removed
//! in `engine`.

mod backlog;
mod error;
mod handle;
mod journal;
mod reader;
mod record;
mod rules;
mod state;
mod task;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use error::{Gone, StoreError};
pub(crate) use handle::{SpecWriter, StatusWriter};
pub(crate) use reader::Store;
pub(crate) use task::open;
#[cfg(test)]
pub(crate) use task::{Opened, Settings, open_with};
pub(crate) use watch::{Change, WatchEvent, Watcher};
