//! The system-call filter of containers (profile `RuntimeDefault`).

/// A BPF program ready to be installed.
#[derive(Clone, Debug)]
pub(crate) struct Program(Vec<libc::sock_filter>);

/// Rules are in the next commit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeccompError {
    #[error("install the system-call filter")]
    Install(#[source] std::io::Error),
}
