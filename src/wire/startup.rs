use serde::{Deserialize, Serialize};

use super::message::Fault;
use super::sandbox::SandboxSpec;
use super::state::SandboxState;

/// The one line that `__shim` and `__shim --cleanup` write to their standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShimAnswer {
    /// The sandbox runs and `shim.sock` accepts connections.
    Ready(Box<SandboxState>),
    /// Nothing is left of the attempt.
    Fault(Fault),
    /// A clean-up has finished.
    Done(()),
}

/// One line on the standard input of `__shim --factory`: fork a shim for this sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FactoryRequest {
    /// Chosen by the engine; comes back in the answer. Answers may overtake each other.
    pub(crate) id: u64,
    pub(crate) spec: Box<SandboxSpec>,
}

/// One line on the standard output of `__shim --factory`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FactoryAnswer {
    pub(crate) id: u64,
    pub(crate) answer: ShimAnswer,
}
