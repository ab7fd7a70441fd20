//! Probe workers and handlers (exec, httpGet, tcpSocket, grpc), their thresholds pure.
//!
//! * [`ProbeWorkers`] belongs to one pod worker of the engine, which tells it which containers run
//!   ([`Probed`]); it keeps one task per probe of a running container instance.
//! * [`Probes`] is what the engine's pure `plan` and `status` see: the latest verdicts by container id. A new
//!   instance of a container has a new id, so its verdicts start over by themselves.
//! * `state` holds the decisions: runs and thresholds, when the next attempt is due.
//! * [`handler`] makes one attempt. Lifecycle hooks use the same HTTP client ([`handler::http`]).
//!
//! A task of a startup probe ends with its first verdict and, if that is success, opens the gate for the
//! other two; a task of a liveness probe ends with failure: the container is killed and its successor gets
//! a task of its own. Initial verdicts are liveness Success, readiness Failure, startup Unknown. A container
//! that an earlier engine left running keeps what the pod's status says of it, and its first attempts are
//! spread over one period.
//!
//! Attempts go to the pod's address from inside the pod's network (`ContainerRuntime::dial`), so they need
//! no route from the machine; a `host` in the probe is connected from the machine, as the kubelet does.
//!
//! Events are told through a function that the engine hands in; this room writes none. Deliberately absent:
//! what follows from a verdict (`engine::plan`), restart policy, the store.

pub(crate) mod handler;
mod probes;
mod settings;
mod state;
mod worker;

#[cfg(test)]
pub(crate) use probes::{Failing, Verdict};
pub(crate) use probes::{ProbeKind, Probes};
pub(crate) use settings::PodNet;
pub(crate) use worker::{Kept, ProbeEvent, ProbeWorkers, Probed};
