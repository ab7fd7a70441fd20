//! READY, STATUS and RESTARTS over the situations that kubectl's own tables have for `printPod`, derived from the
//! rules (kubernetes-semantics §1.3), with those that follow from them and are easily got wrong.

use serde_json::{Map, Value, json};

use super::*;

const NOW: &str = "2026-01-01T00:10:00Z";

/// A container status in words: `ready`, `started`, `#3` restarts, `@10` its last run ended ten seconds ago, and its
/// state: `run`, `wait`, `wait=Reason`, `end=0`, `end=1:Error`, `signal=9`; without one nothing is known of it.
fn container(name: &str, words: &str) -> Value {
    let mut status =
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0});
    let mut state = Map::new();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "ready" => status["ready"] = json!(true),
            "started" => status["started"] = json!(true),
            "run" => drop(state.insert("running".to_owned(), json!({}))),
            "wait" => {
                let waiting = if value.is_empty() {
                    json!({})
                } else {
                    json!({ "reason": value })
                };
                state.insert("waiting".to_owned(), waiting);
            }
            "end" => {
                let (code, reason) = value.split_once(':').unwrap_or((value, ""));
                let code: i32 = code.parse().unwrap();
                let end = json!({"exitCode": code, "reason": reason});
                state.insert("terminated".to_owned(), end);
            }
            "signal" => {
                let signal: i32 = value.parse().unwrap();
                let end = json!({"exitCode": 128 + signal, "signal": signal});
                state.insert("terminated".to_owned(), end);
            }
            other => match other.split_at(1) {
                ("#", count) => status["restartCount"] = json!(count.parse::<i32>().unwrap()),
                ("@", ago) => {
                    let now: Timestamp = NOW.parse().unwrap();
                    let ago = jiff::SignedDuration::from_secs(ago.parse().unwrap());
                    let at = now.checked_sub(ago).unwrap().to_string();
                    status["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": at}});
                }
                _ => panic!("no word {other}"),
            },
        }
    }
    status["state"] = Value::Object(state);
    status
}

/// A pod; `kinds` has one letter per init container, `i` for a regular one and `s` for a sidecar.
struct Case<'a> {
    kinds: &'a str,
    apps: usize,
    /// `Running`, or `Failed/Evicted` with a reason.
    phase: &'a str,
    /// Conditions that are true, or false with a `!`.
    conditions: &'a str,
    init: &'a [&'a str],
    app: &'a [&'a str],
    deleted: bool,
}

const CASE: Case<'static> = Case {
    kinds: "",
    apps: 1,
    phase: "Running",
    conditions: "",
    init: &[],
    app: &[],
    deleted: false,
};

impl Case<'_> {
    fn pod(&self) -> Pod {
        let init = self.kinds.chars().enumerate().map(|(index, kind)| {
            let policy = (kind == 's').then_some("Always");
            json!({"name": format!("i{index}"), "restartPolicy": policy})
        });
        let apps = (0..self.apps).map(|index| json!({"name": format!("a{index}")}));
        let list = |letter: char, words: &[&str]| -> Vec<Value> {
            let words = words.iter().enumerate();
            words
                .map(|(index, words)| container(&format!("{letter}{index}"), words))
                .collect()
        };
        let conditions = self.conditions.split_whitespace().map(|word| {
            let status = if word.starts_with('!') {
                "False"
            } else {
                "True"
            };
            json!({"type": word.trim_start_matches('!'), "status": status})
        });
        let (phase, reason) = self.phase.split_once('/').unwrap_or((self.phase, ""));
        let value = json!({
            "metadata": {"name": "p", "deletionTimestamp": self.deleted.then_some(NOW)},
            "spec": {"initContainers": init.collect::<Vec<_>>(), "containers": apps.collect::<Vec<_>>()},
            "status": {"phase": phase, "reason": reason, "conditions": conditions.collect::<Vec<_>>(),
                "initContainerStatuses": list('i', self.init), "containerStatuses": list('a', self.app)},
        });
        serde_json::from_value(value).unwrap()
    }

    #[track_caller]
    fn check(&self, expected: &str) {
        let summary = pod_summary(&self.pod());
        let restarts = summary.restarts_text(NOW.parse().unwrap());
        let found = format!("{} {} {restarts}", summary.ready_text(), summary.status);
        assert_eq!(found, expected, "{:?} {:?}", self.init, self.app);
    }
}

/// Application containers only.
#[track_caller]
fn check(phase: &str, apps: usize, app: &[&str], expected: &str) {
    check_with(phase, "", apps, app, expected);
}

#[track_caller]
fn check_with(phase: &str, conditions: &str, apps: usize, app: &[&str], expected: &str) {
    let case = Case {
        phase,
        conditions,
        apps,
        app,
        ..CASE
    };
    case.check(expected);
}

const DAY: u64 = 86_400;

#[test]
fn applications() {
    check("podPhase", 2, &["ready run #3", "#3"], "1/2 podPhase 6");
    check("podPhase", 2, &["ready run #3", "wait=Why #3"], "1/2 Why 6");
    check(
        "podPhase",
        2,
        &["wait=Why #3", "end=0:Done #3"],
        "0/2 Why 6",
    );
    check(
        "podPhase",
        2,
        &["ready run #3", "ready #3"],
        "1/2 podPhase 6",
    );
    check(
        "podPhase/podReason",
        2,
        &["ready run #3", "ready #3"],
        "1/2 podReason 6",
    );
    let one_over = ["ready end=0:Completed #3", "ready run #3"];
    check("Running", 2, &one_over, "1/2 NotReady 6");
    check_with("Running", "Ready", 2, &one_over, "1/2 Running 6");
    check_with("Running", "!Ready", 2, &one_over, "1/2 NotReady 6");
    check(
        "Running",
        1,
        &["ready run #3 @432000"],
        "1/1 Running 3 (5d ago)",
    );
    check(
        "Running",
        2,
        &["ready run", "ready run #3 @864000"],
        "2/2 Running 3 (10d ago)",
    );
    let both = [
        format!("ready run #6 @{}", 5 * DAY),
        format!("ready run #3 @{}", 20 * DAY),
    ];
    let both = [both[0].as_str(), both[1].as_str()];
    check("Running", 2, &both, "2/2 Running 9 (5d ago)");
    check("Succeeded", 1, &["end=0:Completed"], "0/1 Completed 0");
    check("Failed", 1, &["end=1:Error"], "0/1 Error 0");
    // Nobody has told how the earlier run ended.
    check("Running", 1, &["ready run #3"], "1/1 Running 3");
    // It ended, but was never followed by another.
    check("Failed", 1, &["end=1:Error @5"], "0/1 Error 0");
}

#[test]
fn the_first_in_the_order_of_names_wins() {
    check(
        "Running",
        2,
        &["wait=CrashLoopBackOff", "end=1:Error"],
        "0/2 CrashLoopBackOff 0",
    );
    check(
        "Running",
        2,
        &["end=1:Error", "wait=CrashLoopBackOff"],
        "0/2 Error 0",
    );
    check(
        "Running",
        2,
        &["end=137:OOMKilled", "ready run"],
        "1/2 OOMKilled 0",
    );
    check(
        "Failed",
        2,
        &["end=0:Completed", "end=1:Error"],
        "0/2 Error 0",
    );
    check(
        "Failed",
        2,
        &["end=1:Error", "end=0:Completed"],
        "0/2 Error 0",
    );
    check(
        "Failed",
        3,
        &["end=0:Completed", "end=2:Error", "end=137:OOMKilled"],
        "0/3 Error 0",
    );
    check(
        "Running",
        3,
        &["end=0:Completed", "end=1:Error", "ready run"],
        "1/3 Error 0",
    );
    check_with(
        "Running",
        "Ready",
        3,
        &["end=0:Completed", "end=1:Error", "ready run"],
        "1/3 Running 0",
    );
    // Runs, and is not ready.
    check("Running", 1, &["run"], "0/1 Running 0");
    check("Running", 2, &["end=0:Completed", "run"], "0/2 Completed 0");
    check("Running", 1, &["signal=9"], "0/1 Signal:9 0");
    check("Running", 1, &["end=7"], "0/1 ExitCode:7 0");
    check("Pending", 1, &["wait"], "0/1 Pending 0");
    check(
        "Pending",
        1,
        &["wait=ContainerCreating"],
        "0/1 ContainerCreating 0",
    );
    check("Pending", 0, &[], "0/0 Pending 0");
}

/// What its containers say comes before the reason of the pod, also for one that was evicted.
#[test]
fn pods_that_the_node_has_ended() {
    check("Failed/Evicted", 1, &[], "0/1 Evicted 0");
    check("Failed/Evicted", 1, &["end=137:Error"], "0/1 Error 0");
    check(
        "Failed/Evicted",
        2,
        &["end=0:Completed", "end=143:Error"],
        "0/2 Error 0",
    );
    check("Failed/Evicted", 1, &["end=0:Completed"], "0/1 Completed 0");
    check(
        "Failed/Evicted",
        1,
        &["end=137:ContainerStatusUnknown #1"],
        "0/1 ContainerStatusUnknown 1",
    );
    check(
        "Failed/DeadlineExceeded",
        1,
        &["end=137:Error"],
        "0/1 Error 0",
    );
    check("Failed/OutOfcpu", 1, &[], "0/1 OutOfcpu 0");
    check("Failed/NodeAffinity", 1, &[], "0/1 NodeAffinity 0");
}

#[test]
fn deletion() {
    let check = |phase, app: &[&str], expected: &str| {
        let case = Case {
            phase,
            app,
            deleted: true,
            ..CASE
        };
        case.check(expected);
    };
    check("Succeeded", &["end=0:Completed"], "0/1 Completed 0");
    check("Failed", &["end=1:Error"], "0/1 Error 0");
    check("Running", &["run"], "0/1 Terminating 0");
    check(
        "Running",
        &["ready run #2 @30"],
        "1/1 Terminating 2 (30s ago)",
    );
    check(
        "Running",
        &["wait=CrashLoopBackOff #4"],
        "0/1 Terminating 4",
    );
    check("Pending", &[], "0/1 Terminating 0");
    check("Running/NodeLost", &["ready run"], "1/1 Unknown 0");
    check("Failed/NodeLost", &["end=1:Error"], "0/1 Unknown 0");
}

#[track_caller]
fn check_init(kinds: &str, conditions: &str, init: &[&str], app: &str, expected: &str) {
    let case = Case {
        kinds,
        phase: "podPhase",
        conditions,
        init,
        app: &[app],
        ..CASE
    };
    case.check(expected);
}

#[test]
fn init_containers() {
    let again = "run #3 @10";
    check_init("i", "", &[again], "wait", "0/1 Init:0/1 3 (10s ago)");
    check_init(
        "ii",
        "",
        &[again, "wait"],
        "wait",
        "0/1 Init:0/2 3 (10s ago)",
    );
    check_init(
        "ii",
        "",
        &["end=0", again],
        "wait",
        "0/1 Init:1/2 3 (10s ago)",
    );
    check_init(
        "ii",
        "",
        &["end=0 #2 @120", again],
        "wait",
        "0/1 Init:1/2 5 (10s ago)",
    );
    // Once they are over their restarts are not counted any more.
    check_init(
        "i",
        "",
        &["end=0 #2 @120"],
        "run #4 @20",
        "0/1 podPhase 4 (20s ago)",
    );
    check_init(
        "i",
        "",
        &["wait=PodInitializing"],
        "wait=PodInitializing",
        "0/1 Init:0/1 0",
    );
    check_init(
        "i",
        "",
        &["wait=ErrImagePull"],
        "wait=PodInitializing",
        "0/1 Init:ErrImagePull 0",
    );
    check_init(
        "i",
        "",
        &["end=1:Error #1"],
        "wait=PodInitializing",
        "0/1 Init:Error 1",
    );
    check_init("i", "", &["end=5 #1"], "wait", "0/1 Init:ExitCode:5 1");
    check_init("i", "", &["signal=9"], "wait", "0/1 Init:Signal:9 0");
    check_init(
        "ii",
        "",
        &["end=0", "wait=CrashLoopBackOff #5 @7"],
        "wait",
        "0/1 Init:CrashLoopBackOff 5 (7s ago)",
    );
    // Nothing is known of any.
    check_init(
        "ii",
        "",
        &[],
        "wait=PodInitializing",
        "0/1 PodInitializing 0",
    );
    // Initialised, whatever the status of an init container says.
    check_init(
        "i",
        "Initialized",
        &["end=1:Error #2"],
        "ready run #1",
        "1/1 Init:Error 1",
    );
    check_init(
        "i",
        "Initialized",
        &["end=1:Error #2"],
        "wait=Why",
        "0/1 Why 0",
    );
}

#[test]
fn sidecars() {
    let begun = "run #3 @10";
    let up = "run started #3 @10";
    check_init(
        "ss",
        "!Initialized",
        &[begun, "wait"],
        "wait",
        "0/3 Init:0/2 3 (10s ago)",
    );
    check_init(
        "ss",
        "!Initialized",
        &[up, "run"],
        "wait",
        "0/3 Init:1/2 3 (10s ago)",
    );
    check_init(
        "ss",
        "Initialized",
        &[up, "run started"],
        "ready run #4 @20",
        "1/3 podPhase 7 (10s ago)",
    );
    check_init(
        "ss",
        "Initialized",
        &["ready started run", "ready started run"],
        "ready run",
        "3/3 podPhase 0",
    );
    let killed = ["end=137:Error #3 @10", "end=137:Error"];
    check_init(
        "ss",
        "Initialized",
        &killed,
        "end=0:Completed #4 @20",
        "0/3 Completed 7 (10s ago)",
    );
    // Their index counts all init containers.
    check_init(
        "si",
        "!Initialized",
        &["ready started run", "run"],
        "wait",
        "1/2 Init:1/2 0",
    );
    check_init(
        "is",
        "!Initialized",
        &["end=0", "run"],
        "wait",
        "0/2 Init:1/2 0",
    );
    check_init(
        "s",
        "!Initialized",
        &["wait=CrashLoopBackOff #2"],
        "wait",
        "0/2 Init:CrashLoopBackOff 2",
    );
    check_init(
        "s",
        "Initialized",
        &["wait=CrashLoopBackOff #2"],
        "ready run",
        "1/2 Init:CrashLoopBackOff 2",
    );
    check_init(
        "s",
        "Initialized",
        &["wait=CrashLoopBackOff #2"],
        "end=1:Error #1",
        "0/2 Error 3",
    );
    // One that ended well is passed over.
    check_init(
        "s",
        "Initialized",
        &["end=0:Completed #1"],
        "ready run",
        "1/2 podPhase 1",
    );
}

/// Statuses of containers that the spec does not have.
#[test]
fn strangers() {
    let mut pod = Case {
        kinds: "is",
        ..CASE
    }
    .pod();
    let status = pod.status.as_mut().unwrap();
    let list = |names: &[&str]| -> Vec<ContainerStatus> {
        let one = |name: &&str| serde_json::from_value(container(name, "")).unwrap();
        names.iter().map(one).collect()
    };
    status.init_container_statuses = Some(list(&["stranger", "i0", "i1"]));
    status.container_statuses = Some(list(&["stranger", "a0"]));
    let summary = pod_summary(&pod);
    let found = format!(
        "{} {} {}",
        summary.ready_text(),
        summary.status,
        summary.restarts
    );
    assert_eq!(found, "0/2 Init:0/2 0");
}

#[test]
fn gates_count_what_holds() {
    let mut pod = Case {
        conditions: "!one two",
        ..CASE
    }
    .pod();
    assert_eq!(readiness_gates(&pod), "<none>");
    let gates =
        json!([{"conditionType": "one"}, {"conditionType": "two"}, {"conditionType": "three"}]);
    pod.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(gates).unwrap();
    assert_eq!(readiness_gates(&pod), "1/3");
}
