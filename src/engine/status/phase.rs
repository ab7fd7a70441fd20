//! The phase of a pod: the kubelet's `getPhase`.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, PodSpec};

use super::{FAILED, PENDING, RESTARTING_ALL, RUNNING, SUCCEEDED};
use crate::engine::restart::{Role, containers, restarts_after};

/// What the last known end of a container was, if it counts as a run of the present round: one that was removed
/// to begin anew has not begun yet.
pub(super) fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    end_before(status).filter(|end| end.reason.as_deref() != Some(RESTARTING_ALL))
}

#[derive(Default)]
struct Counts {
    pending_init: u32,
    pending_sidecar: u32,
    failed_init_final: u32,
    unknown: u32,
    waiting: u32,
    running: u32,
    stopped: u32,
    succeeded: u32,
    stopped_final: u32,
}

/// The phase. `is_terminal`: the worker has finished terminating, nothing restarts any more.
pub(super) fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    app: &[ContainerStatus],
    is_terminal: bool,
) -> &'static str {
    let mut counts = Counts::default();
    for (container, role) in containers(spec) {
        let list = if role == Role::App { app } else { init };
        let status = list.iter().find(|status| status.name == container.name);
        match role {
            Role::Init => count_init(&mut counts, spec, container, status),
            Role::Sidecar => count_sidecar(&mut counts, status),
            Role::App => count_app(&mut counts, spec, container, status),
            Role::Ephemeral => {}
        }
    }
    let initialized = app.iter().any(has_started);
    if counts.failed_init_final > 0 {
        return FAILED;
    }
    if counts.pending_init > 0 || (counts.pending_sidecar > 0 && !initialized) {
        return PENDING;
    }
    if counts.waiting > 0 {
        return PENDING;
    }
    if counts.running > 0 && counts.unknown == 0 {
        return RUNNING;
    }
    if counts.running == 0 && counts.stopped > 0 && counts.unknown == 0 {
        if is_terminal {
            return if counts.stopped == counts.succeeded {
                SUCCEEDED
            } else {
                FAILED
            };
        }
        if counts.stopped != counts.stopped_final {
            return RUNNING;
        }
        return if counts.stopped == counts.succeeded {
            SUCCEEDED
        } else {
            FAILED
        };
    }
    PENDING
}

pub(in crate::engine) fn has_started(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        || last_end(status).is_some()
}

fn end_before(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let last = status.last_state.as_ref();
    last.and_then(|last| last.terminated.as_ref())
}

/// Whether no other run follows this end. What was removed to begin anew will run, whatever its policy says.
fn is_final(
    spec: &PodSpec,
    container: &Container,
    role: Role,
    end: &ContainerStateTerminated,
) -> bool {
    end.reason.as_deref() != Some(RESTARTING_ALL)
        && !restarts_after(spec, container, role, end.exit_code)
}

fn count_init(
    counts: &mut Counts,
    spec: &PodSpec,
    container: &Container,
    status: Option<&ContainerStatus>,
) {
    let failed = |counts: &mut Counts, end: &ContainerStateTerminated| {
        if end.exit_code != 0 && is_final(spec, container, Role::Init, end) {
            counts.failed_init_final += 1;
        }
    };
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        counts.pending_init += 1;
        return;
    };
    if let Some(end) = &state.terminated {
        failed(counts, end);
    } else if state.waiting.is_some()
        && let Some(end) = status.and_then(end_before)
    {
        failed(counts, end);
    } else {
        counts.pending_init += 1;
    }
}

fn count_sidecar(counts: &mut Counts, status: Option<&ContainerStatus>) {
    let Some(status) = status else {
        counts.unknown += 1;
        return;
    };
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        counts.running += 1;
        if status.started != Some(true) {
            counts.pending_sidecar += 1;
        }
    } else if state.is_none_or(|state| state.terminated.is_none()) && end_before(status).is_none() {
        counts.pending_sidecar += 1;
        counts.waiting += 1;
    }
}

fn count_app(
    counts: &mut Counts,
    spec: &PodSpec,
    container: &Container,
    status: Option<&ContainerStatus>,
) {
    let Some(status) = status else {
        counts.unknown += 1;
        return;
    };
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        counts.running += 1;
        return;
    }
    let present = state.and_then(|state| state.terminated.as_ref());
    match present.or_else(|| end_before(status)) {
        Some(end) => {
            counts.stopped += 1;
            if present.is_some() && end.exit_code == 0 {
                counts.succeeded += 1;
            }
            if is_final(spec, container, Role::App, end) {
                counts.stopped_final += 1;
            }
        }
        None => counts.waiting += 1,
    }
}
