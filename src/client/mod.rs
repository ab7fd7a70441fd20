//! The one interface of every front end: [`Client`].
//!
//! * `Local` — in the process that owns the engine: admission, then the store's writers, then the engine's
//!   session verbs.
//! * `Remote` — a Kubernetes API client over a connector (the unix socket of another podtui today).
//!
//! Both give the same answers for the same calls; `server` is written over this trait, so the socket adds
//! no behaviour of its own. Views are fed by `watch`; the visible result of an action is the store changing,
//! not its reply.

mod api;
pub(crate) mod channel;
#[cfg(test)]
pub(crate) mod fixture;
mod local;
mod remote;

#[cfg(test)]
mod tests;

pub(crate) use api::{
    BoundObject, Client, ContainerMetrics, DeleteOptions, DiskUsageRow, EngineInfo, ExecOptions,
    FieldValidation, ImagePull, ImagePullLayer, ImageSource, ImageSummary, IssuedToken,
    ListOptions, ListPart, LogOptions, NetworkBytes, NodeMetrics, ObjectList, PROCESSES_ANNOTATION,
    Patch, PodMetrics, PodProcess, PodProcesses, PortStream, Preconditions, PruneReport,
    RECEIVED_ANNOTATION, SENT_ANNOTATION, SessionVerb, TokenWanted, WatchEvent, WriteOptions,
    Written,
};
pub(crate) use local::Local;
pub(crate) use remote::Remote;
