use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};

use super::Health;
use crate::model::pod::{
    container_limit, every_container, is_deleting, is_limited, is_terminal, pod_limits,
    pod_requests,
};
use crate::printer::{PodSummary, pod_summary};
use crate::tui::sanitize::plain;

/// What the screen derives from one version of a pod.
#[derive(Clone, Debug)]
pub(in crate::tui) struct PodFacts {
    pub(in crate::tui) summary: PodSummary,
    pub(in crate::tui) health: Health,
    /// Millicores and bytes, when every container is limited.
    pub(in crate::tui) cpu_limit: Option<i64>,
    pub(in crate::tui) memory_limit: Option<i64>,
    /// Millicores and bytes, when anything is requested.
    pub(in crate::tui) cpu_request: Option<i64>,
    pub(in crate::tui) memory_request: Option<i64>,
    pub(in crate::tui) why: Option<Why>,
    /// When what `why` says began, as far as the status tells.
    pub(in crate::tui) trouble_since: Option<Timestamp>,
    pub(in crate::tui) ip: Option<Box<str>>,
    pub(in crate::tui) node: Option<Box<str>>,
    /// Init containers first, in the order of the spec.
    pub(in crate::tui) containers: Vec<ContainerFacts>,
    /// Grows with every change of the spec, and when the deletion is asked for or hurried.
    pub(in crate::tui) generation: Option<i64>,
    /// Its deletion was asked for.
    pub(in crate::tui) is_deleting: bool,
    /// False for pods of which nothing runs or will run.
    pub(in crate::tui) is_active: bool,
}

/// The reason of a fault in words, with the instant the engine will try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Why {
    text: String,
    retry_at: Option<Timestamp>,
}

impl Why {
    pub(in crate::tui) fn words(&self, now: Timestamp) -> String {
        match self.retry_at {
            Some(at) if at > now => {
                let seconds = at.duration_since(now).as_secs();
                format!("{}; restart in {seconds}s", self.text)
            }
            Some(_) => format!("{}; restart due", self.text),
            None => self.text.clone(),
        }
    }
}

/// One container as the log pane needs it. Two different values mean that its log stream should be opened
/// again when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct ContainerFacts {
    pub(in crate::tui) name: String,
    pub(in crate::tui) image: String,
    pub(in crate::tui) restarts: i32,
    pub(in crate::tui) started_at: Option<Timestamp>,
    pub(in crate::tui) is_running: bool,
    /// The newest end of an instance, current or last.
    pub(in crate::tui) ended: Option<End>,
    pub(in crate::tui) memory_limit: Option<i64>,
}

impl ContainerFacts {
    /// Something was started once, so there can be output.
    pub(in crate::tui) fn has_output(&self) -> bool {
        self.is_running || self.ended.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct End {
    pub(in crate::tui) at: Timestamp,
    pub(in crate::tui) exit_code: i32,
    pub(in crate::tui) reason: String,
}

impl PodFacts {
    pub(super) fn of(pod: &Pod) -> Self {
        let mut summary = pod_summary(pod);
        summary.status = plain(&summary.status);
        let spec = pod.spec.as_ref();
        let limit = |resource: &str| {
            let spec = spec.filter(|spec| is_limited(spec, resource))?;
            pod_limits(spec).get(resource).copied()
        };
        let request = |resource: &str| {
            let request = pod_requests(spec?).get(resource).copied();
            request.filter(|request| !request.is_zero())
        };
        Self {
            health: health(pod, &summary),
            cpu_limit: limit("cpu").map(|limit| limit.milli_value()),
            memory_limit: limit("memory").map(|limit| limit.value()),
            cpu_request: request("cpu").map(|request| request.milli_value()),
            memory_request: request("memory").map(|request| request.value()),
            why: why(pod),
            trouble_since: trouble_since(pod),
            ip: text(
                pod.status
                    .as_ref()
                    .and_then(|status| status.pod_ip.as_deref()),
            ),
            node: text(spec.and_then(|spec| spec.node_name.as_deref())),
            containers: containers(pod),
            generation: pod.metadata.generation,
            is_deleting: is_deleting(pod),
            is_active: !is_terminal(pod),
            summary,
        }
    }
}

fn text(text: Option<&str>) -> Option<Box<str>> {
    text.map(|text| plain(text).into())
}

fn health(pod: &Pod, summary: &PodSummary) -> Health {
    let status = summary
        .status
        .strip_prefix("Init:")
        .unwrap_or(&summary.status);
    match status {
        "Running" if summary.ready == summary.total => Health::Ok,
        "Completed" | "Succeeded" => Health::Done,
        "Running" | "NotReady" | "Pending" | "ContainerCreating" | "PodInitializing"
        | "Terminating" | "SchedulingGated" => Health::Wait,
        // `Init:1/3`
        progress
            if progress.split_once('/').is_some_and(|(done, all)| {
                done.parse::<u32>().is_ok() && all.parse::<u32>().is_ok()
            }) =>
        {
            Health::Wait
        }
        _ if is_deleting(pod) => Health::Wait,
        _ => Health::Bad,
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_deref());
    let app = status.and_then(|status| status.container_statuses.as_deref());
    init.unwrap_or_default()
        .iter()
        .chain(app.unwrap_or_default())
}

fn containers(pod: &Pod) -> Vec<ContainerFacts> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let facts = |container: &k8s_openapi::api::core::v1::Container| {
        let status = statuses(pod).find(|status| status.name == container.name);
        let state = status.and_then(|status| status.state.as_ref());
        let last = status.and_then(|status| status.last_state.as_ref());
        let running = state.and_then(|state| state.running.as_ref());
        let terminated = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
            state.and_then(|state| state.terminated.clone())
        };
        ContainerFacts {
            name: plain(&container.name),
            image: plain(container.image.as_deref().unwrap_or_default()),
            restarts: status.map_or(0, |status| status.restart_count),
            started_at: running
                .and_then(|running| running.started_at.as_ref())
                .map(|time| time.0),
            is_running: running.is_some(),
            ended: terminated(state)
                .or_else(|| terminated(last))
                .and_then(|end| ended(&end)),
            memory_limit: container_limit(container, "memory").map(|limit| limit.value()),
        }
    };
    every_container(spec)
        .map(|container| facts(&container))
        .collect()
}

fn ended(state: &ContainerStateTerminated) -> Option<End> {
    Some(End {
        at: state.finished_at.as_ref()?.0,
        exit_code: state.exit_code,
        reason: plain(state.reason.as_deref().unwrap_or_default()),
    })
}

/// The first container that is in trouble, else the pod itself.
fn why(pod: &Pod) -> Option<Why> {
    let containers = statuses(pod).find_map(container_why);
    containers.or_else(|| failing_probe(pod)).or_else(|| {
        let status = pod.status.as_ref()?;
        let reason = status.reason.as_deref().filter(|reason| !reason.is_empty());
        let message = status.message.as_deref().unwrap_or_default();
        let text = match (reason, message) {
            (None, "") => return unscheduled(pod),
            (Some(reason), "") => reason.to_owned(),
            (None, message) => message.to_owned(),
            (Some(reason), message) => format!("{reason}: {message}"),
        };
        Some(Why {
            text: plain(&text),
            retry_at: None,
        })
    })
}

fn condition<'a>(pod: &'a Pod, kind: &str, status: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == status)
}

/// podtui's engine tells how many failures in a row there were.
fn failing_probe(pod: &Pod) -> Option<Why> {
    if is_terminal(pod) || is_deleting(pod) {
        return None;
    }
    let failing = condition(pod, "podtui.dev/ProbeFailing", "True")?;
    Some(Why {
        text: plain(failing.message.as_deref()?),
        retry_at: None,
    })
}

/// The newest end of a container that is not well, else since when the pod is not ready or not scheduled.
fn trouble_since(pod: &Pod) -> Option<Timestamp> {
    let ends = statuses(pod)
        .filter(|status| !status.ready)
        .filter_map(|status| {
            let end = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
                let end = state?.terminated.as_ref()?;
                end.finished_at.as_ref().map(|time| time.0)
            };
            end(status.state.as_ref()).or_else(|| end(status.last_state.as_ref()))
        });
    let turned = ["Ready", "PodScheduled"].into_iter().filter_map(|kind| {
        let condition = condition(pod, kind, "False")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    });
    ends.max().or_else(|| turned.max())
}

fn unscheduled(pod: &Pod) -> Option<Why> {
    let refused = condition(pod, "PodScheduled", "False")?;
    let text = refused.message.as_deref().or(refused.reason.as_deref())?;
    Some(Why {
        text: plain(text),
        retry_at: None,
    })
}

fn container_why(status: &ContainerStatus) -> Option<Why> {
    let name = &status.name;
    let state = status.state.as_ref()?;
    let last_end = status
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    if let Some(end) = state.terminated.as_ref().filter(|end| end.exit_code != 0) {
        return Some(Why {
            text: plain(&format!("{name}: {}", end_words(end))),
            retry_at: None,
        });
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    if matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
        return None;
    }
    let message = waiting.message.as_deref().unwrap_or_default();
    let (text, retry_at) = match last_end {
        Some(end) if reason == "CrashLoopBackOff" => {
            let delay = back_off(message);
            let retry_at = delay
                .zip(end.finished_at.as_ref())
                .and_then(|(delay, time)| time.0.checked_add(delay).ok());
            (
                format!(
                    "{name}: {}, {}",
                    end_words(end),
                    restarts(status.restart_count)
                ),
                retry_at,
            )
        }
        _ if message.is_empty() => (format!("{name}: {reason}"), None),
        _ => (format!("{name}: {reason}: {message}"), None),
    };
    Some(Why {
        text: plain(&text),
        retry_at,
    })
}

fn restarts(count: i32) -> String {
    match count {
        1 => "1 restart".to_owned(),
        many => format!("{many} restarts"),
    }
}

fn end_words(end: &ContainerStateTerminated) -> String {
    let reason = end
        .reason
        .as_deref()
        .filter(|reason| !reason.is_empty())
        .unwrap_or("ended");
    let mut words = format!("{reason}, exit {}", end.exit_code);
    if let Some(message) = end
        .message
        .as_deref()
        .map(str::trim)
        .filter(|message| !message.is_empty())
    {
        words.push_str(": ");
        words.push_str(message);
    }
    words
}

/// The delay in kubelet's `back-off 1m20s restarting failed container=…` (kuberuntime_manager.go, doBackOff).
fn back_off(message: &str) -> Option<SignedDuration> {
    let duration = message.strip_prefix("back-off ")?.split(' ').next()?;
    let mut seconds = 0i64;
    let mut number = 0i64;
    for character in duration.chars() {
        match character {
            '0'..='9' => {
                let digit = i64::from(character.to_digit(10)?);
                number = number.checked_mul(10)?.checked_add(digit)?;
            }
            'h' => seconds += std::mem::take(&mut number).checked_mul(3600)?,
            'm' => seconds += std::mem::take(&mut number).checked_mul(60)?,
            's' => seconds += std::mem::take(&mut number),
            _ => return None,
        }
    }
    Some(SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::{now, pod};

    #[track_caller]
    fn check(status: serde_json::Value, health: Health, why: Option<&str>) {
        let facts = PodFacts::of(&pod("worker", status));
        assert_eq!(facts.health, health);
        assert_eq!(facts.why.map(|why| why.words(now())).as_deref(), why);
    }

    #[test]
    fn a_faulty_pod_says_why() {
        check(
            serde_json::json!({"phase": "Running", "containerStatuses": [{
                "name": "main", "ready": false, "restartCount": 7, "image": "i", "imageID": "",
                "state": {"waiting": {"reason": "CrashLoopBackOff",
                    "message": "back-off 1m20s restarting failed container=main pod=worker_default(u)"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                    "startedAt": "2026-01-02T02:59:00Z", "finishedAt": "2026-01-02T02:59:30Z"}},
            }]}),
            Health::Bad,
            Some("main: OOMKilled, exit 137, 7 restarts; restart in 50s"),
        );
        check(
            serde_json::json!({"phase": "Pending", "containerStatuses": [{
                "name": "main", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": {"waiting": {"reason": "ErrImagePull", "message": "no such\n\u{1b}[31mimage"}},
            }]}),
            Health::Bad,
            Some("main: ErrImagePull: no such image"),
        );
        check(
            serde_json::json!({"phase": "Pending", "containerStatuses": [{
                "name": "main", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": {"waiting": {"reason": "ContainerCreating"}},
            }]}),
            Health::Wait,
            None,
        );
        check(
            serde_json::json!({"phase": "Running", "containerStatuses": [{
                "name": "main", "ready": false, "restartCount": 1, "image": "i", "imageID": "",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                    "message": "no room left\n",
                    "startedAt": "2026-01-02T02:59:00Z", "finishedAt": "2026-01-02T02:59:55Z"}},
            }]}),
            Health::Bad,
            Some("main: OOMKilled, exit 137: no room left, 1 restart; restart in 5s"),
        );
        check(
            serde_json::json!({"phase": "Running",
                "conditions": [{"type": "podtui.dev/ProbeFailing", "status": "True",
                    "message": "main: liveness probe failing 2/3"}],
                "containerStatuses": [{
                    "name": "main", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
                    "state": {"running": {"startedAt": "2026-01-02T02:59:00Z"}}}]}),
            Health::Ok,
            Some("main: liveness probe failing 2/3"),
        );
        check(
            serde_json::json!({"phase": "Failed", "reason": "Evicted", "message": "no memory"}),
            Health::Bad,
            Some("Evicted: no memory"),
        );
        check(
            serde_json::json!({"phase": "Succeeded"}),
            Health::Done,
            None,
        );
    }

    #[test]
    fn go_durations() {
        let seconds = |text: &str| back_off(text).map(|delay| delay.as_secs());
        assert_eq!(seconds("back-off 10s restarting"), Some(10));
        assert_eq!(seconds("back-off 2m40s restarting"), Some(160));
        assert_eq!(seconds("back-off 5m0s restarting"), Some(300));
        assert_eq!(seconds("something else"), None);
        assert_eq!(seconds("back-off 99999999999999999999h x"), None);
    }
}
