use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod};

use super::duration::human_duration;

/// The computed columns of `get pods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodSummary {
    pub(crate) ready: usize,
    pub(crate) total: usize,
    /// The STATUS column: a waiting or terminated reason where there is one, else the phase.
    pub(crate) status: String,
    pub(crate) restarts: i64,
    /// End of the newest earlier instance of a counted container.
    pub(crate) last_restart: Option<Timestamp>,
}

impl PodSummary {
    /// `1/2`.
    pub(crate) fn ready_text(&self) -> String {
        format!("{}/{}", self.ready, self.total)
    }

    /// `3 (5m ago)`, or only the number when nothing is known of an earlier instance.
    pub(crate) fn restarts_text(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(at) if self.restarts != 0 => format!(
                "{} ({} ago)",
                self.restarts,
                human_duration(now.duration_since(at))
            ),
            _ => self.restarts.to_string(),
        }
    }
}

/// Restarts counted so far, with the newest end of an instance.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count += i64::from(status.restart_count);
        let finished = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
            .and_then(|terminated| terminated.finished_at.as_ref())
            .map(|time| time.0);
        self.last = self.last.max(finished);
    }
}

/// What a walk over the init containers found.
struct InitWalk {
    /// `Init:…` when initialization is not over.
    reason: Option<String>,
    ready: usize,
    all: Restarts,
    sidecars: Restarts,
}

/// READY, STATUS and RESTARTS as `printPod` of kubectl's server-side printer computes them.
pub(crate) fn pod_summary(pod: &Pod) -> PodSummary {
    let none = Vec::new();
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let init_containers = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .unwrap_or(&none);
    let sidecars = init_containers
        .iter()
        .filter(|container| is_sidecar(container))
        .count();
    let total = spec.map_or(0, |spec| spec.containers.len()) + sidecars;

    let phase = status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    let status_reason = status
        .and_then(|status| status.reason.as_deref())
        .unwrap_or_default();
    let mut reason = if status_reason.is_empty() {
        phase
    } else {
        status_reason
    }
    .to_owned();
    if condition(pod, "PodScheduled").is_some_and(|found| found.reason == Some("SchedulingGated")) {
        "SchedulingGated".clone_into(&mut reason);
    }

    let walk = walk_init_containers(pod, init_containers);
    let mut ready = walk.ready;
    let mut restarts = walk.all;
    let initializing = walk.reason.is_some();
    if let Some(init_reason) = walk.reason {
        reason = init_reason;
    }

    if !initializing || is_true(pod, "Initialized") {
        restarts = walk.sidecars;
        let (mut has_running, mut error_reason) = (false, None);
        let statuses = status
            .and_then(|status| status.container_statuses.as_deref())
            .unwrap_or_default();
        for container in statuses.iter().rev() {
            restarts.add(container);
            let state = container.state.as_ref();
            let waiting = state
                .and_then(|state| state.waiting.as_ref())
                .and_then(|waiting| waiting.reason.as_deref())
                .filter(|text| !text.is_empty());
            let terminated = state.and_then(|state| state.terminated.as_ref());
            if let Some(waiting) = waiting {
                waiting.clone_into(&mut reason);
            } else if let Some(terminated) = terminated {
                reason = terminated_reason(terminated);
                if terminated.exit_code != 0 {
                    error_reason = Some(reason.clone());
                }
            } else if container.ready && state.is_some_and(|state| state.running.is_some()) {
                has_running = true;
                ready += 1;
            }
        }
        if reason == "Completed" {
            if has_running && is_true(pod, "Ready") {
                "Running".clone_into(&mut reason);
            } else if let Some(error_reason) = error_reason {
                reason = error_reason;
            } else if has_running {
                "NotReady".clone_into(&mut reason);
            }
        }
    }

    if pod.metadata.deletion_timestamp.is_some() {
        if status_reason == "NodeLost" {
            "Unknown".clone_into(&mut reason);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut reason);
        }
    }
    PodSummary {
        ready,
        total,
        status: reason,
        restarts: restarts.count,
        last_restart: restarts.last,
    }
}

fn walk_init_containers(pod: &Pod, init_containers: &[Container]) -> InitWalk {
    let mut walk = InitWalk {
        reason: None,
        ready: 0,
        all: Restarts::default(),
        sidecars: Restarts::default(),
    };
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default();
    for (index, container) in statuses.iter().enumerate() {
        walk.all.add(container);
        let sidecar = init_containers
            .iter()
            .any(|spec| spec.name == container.name && is_sidecar(spec));
        if sidecar {
            walk.sidecars.add(container);
        }
        let state = container.state.as_ref();
        let terminated = state.and_then(|state| state.terminated.as_ref());
        if terminated.is_some_and(|terminated| terminated.exit_code == 0) {
            continue;
        }
        if sidecar && container.started == Some(true) {
            walk.ready += usize::from(container.ready);
            continue;
        }
        let waiting = state
            .and_then(|state| state.waiting.as_ref())
            .and_then(|waiting| waiting.reason.as_deref())
            .filter(|reason| !reason.is_empty() && *reason != "PodInitializing");
        walk.reason = Some(if let Some(terminated) = terminated {
            format!("Init:{}", terminated_reason(terminated))
        } else if let Some(waiting) = waiting {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", init_containers.len())
        });
        break;
    }
    walk
}

fn terminated_reason(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref(), terminated.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", terminated.exit_code),
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

struct Found<'a> {
    status: &'a str,
    reason: Option<&'a str>,
}

fn condition<'a>(pod: &'a Pod, wanted: &str) -> Option<Found<'a>> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == wanted)?;
    Some(Found {
        status: &found.status,
        reason: found.reason.as_deref(),
    })
}

fn is_true(pod: &Pod, wanted: &str) -> bool {
    condition(pod, wanted).is_some_and(|found| found.status == "True")
}

/// `<true>/<total>` of the readiness gates, `<none>` without any.
pub(super) fn readiness_gates(pod: &Pod) -> String {
    let gates = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.readiness_gates.as_deref())
        .unwrap_or_default();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates
        .iter()
        .filter(|gate| is_true(pod, &gate.condition_type))
        .count();
    format!("{met}/{}", gates.len())
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    /// `spec` and `status` of a pod; expected `READY STATUS RESTARTS`.
    #[track_caller]
    fn check(spec: Value, status: Value, expected: &str) {
        check_pod(
            json!({"metadata": {"name": "p"}, "spec": spec, "status": status}),
            expected,
        );
    }

    #[track_caller]
    fn check_pod(pod: Value, expected: &str) {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let summary = pod_summary(&pod);
        let now = NOW.parse().unwrap();
        let text = format!(
            "{} {} {}",
            summary.ready_text(),
            summary.status,
            summary.restarts_text(now)
        );
        assert_eq!(text, expected);
    }

    fn containers(count: usize) -> Value {
        json!({"containers": vec![json!({"name": "c", "image": "i"}); count]})
    }

    fn running(ready: bool) -> Value {
        json!({"name": "c", "image": "", "imageID": "", "ready": ready, "restartCount": 3, "state": {"running": {}}})
    }

    fn terminated(code: i32, reason: &str) -> Value {
        json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 3,
               "state": {"terminated": {"exitCode": code, "reason": reason}}})
    }

    fn waiting(reason: &str) -> Value {
        json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 3,
               "state": {"waiting": {"reason": reason}}})
    }

    fn ready_condition(status: &str) -> Value {
        json!([{"type": "Ready", "status": status}])
    }

    #[test]
    fn phase_is_the_status_unless_a_reason_says_more() {
        check(containers(2), json!({"phase": "Pending"}), "0/2 Pending 0");
        check(
            containers(2),
            json!({"phase": "podPhase", "containerStatuses": [running(true), {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 3}]}),
            "1/2 podPhase 6",
        );
        check(
            containers(2),
            json!({"phase": "podPhase", "containerStatuses": [running(true), running(false)]}),
            "1/2 podPhase 6",
        );
        check(
            containers(2),
            json!({"phase": "podPhase", "containerStatuses": [waiting("ContainerWaitingReason"), waiting("")]}),
            "0/2 ContainerWaitingReason 6",
        );
        check(
            containers(1),
            json!({"phase": "Failed", "reason": "Evicted"}),
            "0/1 Evicted 0",
        );
        check(
            containers(1),
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
            "0/1 SchedulingGated 0",
        );
    }

    #[test]
    fn the_first_container_that_is_not_running_wins() {
        check(
            containers(2),
            json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff"), waiting("ErrImagePull")]}),
            "0/2 CrashLoopBackOff 6",
        );
        check(
            containers(2),
            json!({"phase": "Running", "containerStatuses": [running(true), terminated(137, "OOMKilled")]}),
            "1/2 OOMKilled 6",
        );
    }

    #[test]
    fn signals_and_exit_codes_stand_in_for_a_missing_reason() {
        let signal = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                            "state": {"terminated": {"exitCode": 0, "signal": 9}}});
        check(
            containers(1),
            json!({"phase": "Running", "containerStatuses": [signal]}),
            "0/1 Signal:9 0",
        );
        check(
            containers(1),
            json!({"phase": "Running", "containerStatuses": [terminated(7, "")]}),
            "0/1 ExitCode:7 3",
        );
    }

    #[test]
    fn completed_containers_beside_running_ones() {
        let statuses = json!([terminated(0, "Completed"), running(true)]);
        check(
            containers(2),
            json!({"phase": "Running", "containerStatuses": statuses, "conditions": ready_condition("True")}),
            "1/2 Running 6",
        );
        check(
            containers(2),
            json!({"phase": "Running", "containerStatuses": statuses, "conditions": ready_condition("False")}),
            "1/2 NotReady 6",
        );
        check(
            containers(2),
            json!({"phase": "Failed", "containerStatuses": [terminated(0, "Completed"), terminated(1, "Error")]}),
            "0/2 Error 6",
        );
        check(
            containers(3),
            json!({"phase": "Running", "containerStatuses": [terminated(0, "Completed"), terminated(1, "Error"), running(true)],
                   "conditions": ready_condition("True")}),
            "1/3 Running 9",
        );
    }

    #[test]
    fn deletion_shows_unless_the_pod_has_ended() {
        let deleted = |phase: &str, reason: &str, statuses: Value| {
            json!({"metadata": {"name": "p", "deletionTimestamp": NOW}, "spec": containers(1),
                   "status": {"phase": phase, "reason": reason, "containerStatuses": statuses}})
        };
        check_pod(
            deleted("Running", "", json!([running(true)])),
            "1/1 Terminating 3",
        );
        check_pod(
            deleted("Running", "NodeLost", json!([running(true)])),
            "1/1 Unknown 3",
        );
        check_pod(
            deleted("Succeeded", "", json!([terminated(0, "Completed")])),
            "0/1 Completed 3",
        );
    }

    #[test]
    fn init_containers_come_first() {
        let spec = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i0"}, {"name": "i1"}]});
        let init = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 2, "state": state});
        let done = init("i0", json!({"terminated": {"exitCode": 0}}));
        let app = waiting("PodInitializing");
        let status = |second: Value| {
            json!({"phase": "Pending", "initContainerStatuses": [done, second], "containerStatuses": [app],
                   "conditions": [{"type": "Initialized", "status": "False"}]})
        };
        check(
            spec.clone(),
            status(init("i1", json!({"running": {}}))),
            "0/1 Init:1/2 4",
        );
        check(
            spec.clone(),
            status(init(
                "i1",
                json!({"waiting": {"reason": "PodInitializing"}}),
            )),
            "0/1 Init:1/2 4",
        );
        check(
            spec.clone(),
            status(init(
                "i1",
                json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            )),
            "0/1 Init:CrashLoopBackOff 4",
        );
        check(
            spec.clone(),
            status(init(
                "i1",
                json!({"terminated": {"exitCode": 1, "reason": "Error"}}),
            )),
            "0/1 Init:Error 4",
        );
        check(
            spec.clone(),
            status(init("i1", json!({"terminated": {"exitCode": 3}}))),
            "0/1 Init:ExitCode:3 4",
        );
        check(
            spec,
            status(init(
                "i1",
                json!({"terminated": {"exitCode": 137, "signal": 9}}),
            )),
            "0/1 Init:Signal:9 4",
        );
    }

    #[test]
    fn sidecars_count_in_ready_and_restarts() {
        let spec = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "once"}]});
        let side = |started: bool, ready: bool, state: Value| json!({"name": "side", "image": "", "imageID": "", "ready": ready, "started": started, "restartCount": 2, "state": state});
        let once = json!({"name": "once", "image": "", "imageID": "", "ready": true, "restartCount": 5, "state": {"terminated": {"exitCode": 0}}});
        check(
            spec.clone(),
            json!({"phase": "Running", "initContainerStatuses": [side(true, true, json!({"running": {}})), once], "containerStatuses": [running(true)],
                   "conditions": [{"type": "Initialized", "status": "True"}]}),
            "2/2 Running 5",
        );
        // After initialization a crashed sidecar shows only as long as no app container supplies a reason.
        let crashed = side(
            false,
            false,
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        );
        check(
            spec.clone(),
            json!({"phase": "Running", "initContainerStatuses": [crashed, once], "containerStatuses": [running(true)],
                   "conditions": [{"type": "Initialized", "status": "True"}]}),
            "1/2 Init:CrashLoopBackOff 5",
        );
        check(
            spec,
            json!({"phase": "Running", "initContainerStatuses": [crashed, once], "containerStatuses": [waiting("ErrImagePull")],
                   "conditions": [{"type": "Initialized", "status": "True"}]}),
            "0/2 ErrImagePull 5",
        );
    }

    #[test]
    fn restarts_tell_how_long_ago_the_newest_was() {
        let restarted = |at: &str| {
            json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3, "state": {"running": {}},
                   "lastState": {"terminated": {"exitCode": 1, "finishedAt": at}}})
        };
        check(
            containers(2),
            json!({"phase": "Running", "containerStatuses": [restarted("2026-01-01T00:00:00Z"), restarted("2026-01-01T00:09:50Z")]}),
            "2/2 Running 6 (10s ago)",
        );
    }
}
