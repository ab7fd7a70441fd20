//! `phase` and the conditions of readiness over every state that a container can be in: at least the situations
//! that the kubelet's own tables have for `getPhase`, `GenerateContainersReadyCondition`,
//! `GeneratePodReadyCondition` and `GeneratePodInitializedCondition`, derived from the rules
//! (kubernetes-semantics §1.1, §2).

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodCondition, PodReadinessGate,
};

use super::super::conditions::{Inputs, of};
use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
use super::super::resize::Resizing;
use super::*;

/// A container in one word: `?` nothing is known of it, `w` it waits, `w0` and `w1` it waits after it ended well or
/// badly, `K` it was removed to begin anew, `r` it runs, `s` it has also started, `S` it is ready too, `0` and `1` it ended well or badly.
fn state_of_word(name: &str, word: &str) -> Option<ContainerStatus> {
    let ended = |code| ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: code,
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    };
    let waits = || ContainerState {
        waiting: Some(ContainerStateWaiting::default()),
        ..ContainerState::default()
    };
    let runs = || ContainerState {
        running: Some(ContainerStateRunning::default()),
        ..ContainerState::default()
    };
    let mut removed = ended(137);
    if let Some(end) = &mut removed.terminated {
        end.reason = Some(RESTARTING_ALL.to_owned());
    }
    let (state, last) = match word {
        "?" => return None,
        "w" => (waits(), None),
        "w0" => (waits(), Some(ended(0))),
        "K" => (waits(), Some(removed)),
        "w1" => (waits(), Some(ended(1))),
        "r" | "s" | "S" => (runs(), None),
        "0" => (ended(0), None),
        "1" => (ended(1), None),
        other => panic!("no state {other}"),
    };
    Some(ContainerStatus {
        name: name.to_owned(),
        ready: word == "S",
        started: Some(matches!(word, "s" | "S")),
        state: Some(state),
        last_state: last,
        ..ContainerStatus::default()
    })
}

/// Names `i0`, `i1`, … or `a0`, `a1`, ….
fn statuses_of(letter: char, words: &str) -> Vec<ContainerStatus> {
    let words = words.split_whitespace().enumerate();
    words
        .filter_map(|(index, word)| state_of_word(&format!("{letter}{index}"), word))
        .collect()
}

/// `kinds`: one letter per init container, `i` a regular one, `s` a sidecar.
fn spec_of(policy: &str, kinds: &str, apps: usize) -> PodSpec {
    let init = kinds.chars().enumerate().map(|(index, kind)| {
        let name = format!("i{index}");
        if kind == 's' {
            sidecar(&name)
        } else {
            container(&name)
        }
    });
    let mut spec = pod(policy, init.collect(), &[]).spec.unwrap();
    spec.containers = (0..apps)
        .map(|index| container(&format!("a{index}")))
        .collect();
    spec
}

struct Table {
    policy: &'static str,
    kinds: &'static str,
    is_terminal: bool,
}

impl Table {
    /// `states`: those of the init containers, a bar, those of the two application containers.
    #[track_caller]
    fn check(&self, states: &str, expected: &str) {
        let (init, app) = states.split_once('|').unwrap();
        let apps = app.split_whitespace().count();
        let spec = spec_of(self.policy, self.kinds, apps);
        let (init, app) = (statuses_of('i', init), statuses_of('a', app));
        let found = phase(&spec, &init, &app, self.is_terminal);
        let Self {
            policy,
            kinds,
            is_terminal,
        } = self;
        assert_eq!(found, expected, "{policy} {kinds} {states} {is_terminal}");
    }
}

const fn table(policy: &'static str, kinds: &'static str) -> Table {
    Table {
        policy,
        kinds,
        is_terminal: false,
    }
}

const fn terminal(policy: &'static str, kinds: &'static str) -> Table {
    Table {
        policy,
        kinds,
        is_terminal: true,
    }
}

#[test]
fn phases_of_applications() {
    for policy in ["Always", "OnFailure", "Never"] {
        let table = table(policy, "");
        table.check("| ? ?", PENDING);
        table.check("| w w", PENDING);
        table.check("| r ?", PENDING);
        table.check("| r w", PENDING);
        table.check("| w0 w", PENDING);
        table.check("| 1 w", PENDING);
        table.check("| 0 ?", PENDING);
        table.check("| r r", RUNNING);
        table.check("| s S", RUNNING);
        table.check("| r 0", RUNNING);
        table.check("| r 1", RUNNING);
        table.check("| r w0", RUNNING);
        table.check("| r w1", RUNNING);
    }
    let always = table("Always", "");
    always.check("| 0 0", RUNNING);
    always.check("| 1 1", RUNNING);
    always.check("| w1 w1", RUNNING);
    let on_failure = table("OnFailure", "");
    on_failure.check("| 0 0", SUCCEEDED);
    on_failure.check("| 0 1", RUNNING);
    on_failure.check("| 1 1", RUNNING);
    on_failure.check("| 0 w1", RUNNING);
    // What waits although it ended well is not counted as a success.
    on_failure.check("| w0 0", FAILED);
    let never = table("Never", "");
    never.check("| 0 0", SUCCEEDED);
    never.check("| 0 1", FAILED);
    never.check("| 1 1", FAILED);
}

#[test]
fn phases_of_pods_that_are_over() {
    for policy in ["Always", "OnFailure", "Never"] {
        let over = terminal(policy, "");
        over.check("| 0 0", SUCCEEDED);
        over.check("| 0 1", FAILED);
        over.check("| 1 1", FAILED);
        over.check("| w0 0", FAILED);
        over.check("| r 0", RUNNING);
        // The exit codes of sidecars never count.
        let beside = terminal(policy, "s");
        beside.check("0 | 0 0", SUCCEEDED);
        beside.check("1 | 0 0", SUCCEEDED);
        beside.check("w1 | 0 0", SUCCEEDED);
        beside.check("0 | 0 1", FAILED);
    }
}

#[test]
fn phases_with_one_init_container() {
    for policy in ["Always", "OnFailure", "Never"] {
        let table = table(policy, "i");
        table.check("? | ? ?", PENDING);
        table.check("w | ? ?", PENDING);
        table.check("w0 | ? ?", PENDING);
        table.check("r | ? ?", PENDING);
        table.check("s | ? ?", PENDING);
        table.check("0 | ? ?", PENDING);
        table.check("0 | w w", PENDING);
        table.check("0 | r r", RUNNING);
        // One that runs, whatever the others are said to do.
        table.check("r | r r", PENDING);
    }
    for (policy, expected) in [
        ("Always", PENDING),
        ("OnFailure", PENDING),
        ("Never", FAILED),
    ] {
        let table = table(policy, "i");
        table.check("1 | ? ?", expected);
        table.check("w1 | ? ?", expected);
        table.check("1 | w w", expected);
    }
    table("OnFailure", "i").check("0 | 0 0", SUCCEEDED);
    table("Never", "i").check("0 | 0 1", FAILED);
}

#[test]
fn phases_with_one_sidecar() {
    for policy in ["Always", "OnFailure", "Never"] {
        let table = table(policy, "s");
        table.check("? | ? ?", PENDING);
        table.check("w | ? ?", PENDING);
        table.check("w0 | ? ?", PENDING);
        table.check("w1 | ? ?", PENDING);
        table.check("r | ? ?", PENDING);
        table.check("s | ? ?", PENDING);
        table.check("0 | ? ?", PENDING);
        table.check("1 | ? ?", PENDING);
        table.check("s | r ?", PENDING);
        table.check("s | r w", PENDING);
        table.check("s | r r", RUNNING);
        // Initialisation is over once an application container has run.
        table.check("r | r r", RUNNING);
        table.check("0 | r r", RUNNING);
        table.check("1 | r r", RUNNING);
        table.check("w0 | r r", RUNNING);
        table.check("w1 | r r", RUNNING);
        // A sidecar that never came up still holds the pod.
        table.check("w | r r", PENDING);
    }
    for policy in ["OnFailure", "Never"] {
        let table = table(policy, "s");
        // While a sidecar runs the pod does.
        table.check("s | 0 0", RUNNING);
        table.check("r | 0 0", RUNNING);
        table.check("0 | 0 0", SUCCEEDED);
        table.check("1 | 0 0", SUCCEEDED);
        table.check("w0 | 0 0", SUCCEEDED);
        table.check("w1 | 0 0", SUCCEEDED);
    }
    table("Never", "s").check("1 | 0 1", FAILED);
    table("OnFailure", "s").check("s | 0 1", RUNNING);
    table("OnFailure", "s").check("0 | 0 1", RUNNING);
}

#[test]
fn phases_with_init_containers_and_sidecars() {
    let always = table("Always", "is");
    always.check("r r | r", PENDING);
    always.check("r r | 0", PENDING);
    always.check("0 r | 0", RUNNING);
    always.check("0 r | r", RUNNING);
    always.check("0 s | w", PENDING);
    always.check("0 w | ?", PENDING);
    let never = table("Never", "si");
    never.check("s 1 | ?", FAILED);
    never.check("1 1 | ?", FAILED);
    never.check("s w1 | ?", FAILED);
    never.check("1 r | ?", PENDING);
}

/// The rules and the policy of a container come before those of the pod.
#[test]
fn phases_by_the_policy_of_a_container() {
    let check = |pod_policy: &str, own: &str, states: &str, expected: &str| {
        let mut spec = spec_of(pod_policy, "", 2);
        spec.containers[0].restart_policy = Some(own.to_owned());
        let found = phase(&spec, &[], &statuses_of('a', states), false);
        assert_eq!(found, expected, "{pod_policy} {own} {states}");
    };
    check("Always", "Never", "1 r", RUNNING);
    check("Never", "Always", "0 0", RUNNING);
    check("Never", "OnFailure", "0 0", SUCCEEDED);
    check("Never", "OnFailure", "1 0", RUNNING);
    check("OnFailure", "Never", "1 0", FAILED);
    check("OnFailure", "Never", "0 0", SUCCEEDED);
}

/// `status reason message` of one condition.
struct Given<'a> {
    kinds: &'a str,
    init: &'a str,
    app: &'a str,
    phase: &'a str,
    gates: &'a [&'a str],
    others: &'a [(&'a str, &'a str)],
}

const GIVEN: Given<'static> = Given {
    kinds: "",
    init: "",
    app: "",
    phase: RUNNING,
    gates: &[],
    others: &[],
};

impl Given<'_> {
    #[track_caller]
    fn check(&self, kind: &str, expected: &str) {
        let mut spec = spec_of("Always", self.kinds, self.app.split_whitespace().count());
        let gates = self.gates.iter().map(|gate| PodReadinessGate {
            condition_type: (*gate).to_owned(),
        });
        spec.readiness_gates = Some(gates.collect());
        let mut init = statuses_of('i', self.init);
        // A regular init container is ready once it has ended well.
        for status in &mut init {
            let state = status.state.clone().unwrap_or_default();
            let ended_well = state.terminated.is_some_and(|end| end.exit_code == 0);
            let index = status
                .name
                .trim_start_matches('i')
                .parse::<usize>()
                .unwrap();
            if self.kinds.chars().nth(index) == Some('i') {
                status.ready = ended_well;
            }
        }
        let others = self.others.iter().map(|(type_, status)| PodCondition {
            type_: (*type_).to_owned(),
            status: (*status).to_owned(),
            ..PodCondition::default()
        });
        let others: Vec<PodCondition> = others.collect();
        let inputs = Inputs {
            spec: &spec,
            init: &init,
            app: &statuses_of('a', self.app),
            phase: self.phase,
            target: self.phase,
            sandbox: None,
            restarting_all: false,
            failing_probes: &[],
            resize: &Resizing::default(),
            is_resizing: false,
            generation: Some(1),
        };
        let conditions = of(&inputs, &others, at(1));
        let found = conditions.iter().find(|one| one.type_ == kind).unwrap();
        let words = [
            Some(found.status.clone()),
            found.reason.clone(),
            found.message.clone(),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        assert_eq!(
            words.join(" "),
            expected,
            "{kind} {} | {}",
            self.init,
            self.app
        );
    }
}

#[test]
fn containers_ready() {
    let check = |kinds, init, app, phase, expected: &str| {
        let given = Given {
            kinds,
            init,
            app,
            phase,
            ..GIVEN
        };
        given.check("ContainersReady", expected);
        given.check("Ready", expected);
    };
    let not = |what: &str| format!("False ContainersNotReady {what}");
    check("", "", "", RUNNING, "True");
    check("", "", "S", RUNNING, "True");
    check("", "", "S S", RUNNING, "True");
    check(
        "",
        "",
        "S ?",
        RUNNING,
        &not("containers with unknown status: [a1]"),
    );
    check(
        "",
        "",
        "S w",
        RUNNING,
        &not("containers with unready status: [a1]"),
    );
    check(
        "",
        "",
        "r w1 ?",
        RUNNING,
        &not("containers with unknown status: [a2], containers with unready status: [a0 a1]"),
    );
    // Regular init containers do not count, sidecars do, and come first.
    check("i", "r", "S", RUNNING, "True");
    check("i", "1", "S", RUNNING, "True");
    check(
        "s",
        "?",
        "S",
        RUNNING,
        &not("containers with unknown status: [i0]"),
    );
    check(
        "s",
        "s",
        "S",
        RUNNING,
        &not("containers with unready status: [i0]"),
    );
    check(
        "s",
        "r",
        "s",
        RUNNING,
        &not("containers with unready status: [i0 a0]"),
    );
    check("s", "S", "S", RUNNING, "True");
    check(
        "s",
        "0",
        "S",
        RUNNING,
        &not("containers with unready status: [i0]"),
    );
    check("is", "0 S", "S", RUNNING, "True");
    check("", "", "0", SUCCEEDED, "False PodCompleted");
    check("", "", "?", SUCCEEDED, "False PodCompleted");
    check("s", "1", "0", SUCCEEDED, "False PodCompleted");
    check("", "", "1", FAILED, "False PodFailed");
    check("", "", "1 S", FAILED, "False PodFailed");
}

#[test]
fn readiness_gates() {
    let check = |app, gates: &[&str], others: &[(&str, &str)], expected: &str| {
        let given = Given {
            app,
            gates,
            others,
            ..GIVEN
        };
        given.check("Ready", expected);
    };
    let not = |what: &str| format!("False ReadinessGatesNotReady {what}");
    let missing = |name: &str| {
        format!("corresponding condition of pod readiness gate \"{name}\" does not exist.")
    };
    let holds_not = |name: &str, status: &str| {
        format!("the status of pod readiness gate \"{name}\" is not \"True\", but {status}")
    };
    check("S", &[], &[("gate1", "False")], "True");
    check("S", &["gate1"], &[], &not(&missing("gate1")));
    check(
        "S",
        &["gate1"],
        &[("gate1", "False")],
        &not(&holds_not("gate1", "False")),
    );
    check(
        "S",
        &["gate1"],
        &[("gate1", "Unknown")],
        &not(&holds_not("gate1", "Unknown")),
    );
    check("S", &["gate1"], &[("gate1", "True")], "True");
    check(
        "S",
        &["gate1", "gate2"],
        &[("gate1", "True")],
        &not(&missing("gate2")),
    );
    check(
        "S",
        &["gate1", "gate2"],
        &[("gate1", "False"), ("gate2", "True")],
        &not(&holds_not("gate1", "False")),
    );
    check(
        "S",
        &["gate1", "gate2"],
        &[("gate2", "False")],
        &not(&format!(
            "{}, {}",
            missing("gate1"),
            holds_not("gate2", "False")
        )),
    );
    check(
        "S",
        &["gate1", "gate2"],
        &[("gate1", "True"), ("gate2", "True")],
        "True",
    );
    // What the containers are comes first.
    check(
        "w",
        &["gate1"],
        &[("gate1", "True")],
        "False ContainersNotReady containers with unready status: [a0]",
    );
}

#[test]
fn initialized() {
    let check = |kinds, init, app, phase, expected: &str| {
        let given = Given {
            kinds,
            init,
            app,
            phase,
            ..GIVEN
        };
        given.check("Initialized", expected);
    };
    let not = |what: &str| format!("False ContainersNotInitialized {what}");
    check("", "", "w", PENDING, "True");
    check(
        "i",
        "w",
        "w",
        PENDING,
        &not("containers with incomplete status: [i0]"),
    );
    check(
        "i",
        "r",
        "w",
        PENDING,
        &not("containers with incomplete status: [i0]"),
    );
    check(
        "i",
        "1",
        "w",
        PENDING,
        &not("containers with incomplete status: [i0]"),
    );
    check(
        "i",
        "?",
        "w",
        PENDING,
        &not("containers with unknown status: [i0]"),
    );
    check("i", "0", "w", PENDING, "True");
    check(
        "ii",
        "0 w",
        "w",
        PENDING,
        &not("containers with incomplete status: [i1]"),
    );
    check(
        "ii",
        "0 ?",
        "w",
        PENDING,
        &not("containers with unknown status: [i1]"),
    );
    check(
        "ii",
        "w ?",
        "w",
        PENDING,
        &not("containers with unknown status: [i1], containers with incomplete status: [i0]"),
    );
    check(
        "s",
        "w",
        "w",
        PENDING,
        &not("containers with incomplete status: [i0]"),
    );
    check(
        "s",
        "r",
        "w",
        PENDING,
        &not("containers with incomplete status: [i0]"),
    );
    check("s", "s", "w", PENDING, "True");
    check("s", "S", "w", PENDING, "True");
    check(
        "si",
        "s r",
        "w",
        PENDING,
        &not("containers with incomplete status: [i1]"),
    );
    check("is", "0 s", "w", PENDING, "True");
    // Once an application container has run, a sidecar may come and go.
    check("s", "w1", "r", RUNNING, "True");
    check("s", "0", "1", RUNNING, "True");
    check("s", "r", "w1", RUNNING, "True");
    check("i", "?", "0", SUCCEEDED, "True PodCompleted");
    check(
        "i",
        "1",
        "w",
        FAILED,
        &not("containers with incomplete status: [i0]"),
    );
}

/// A restart of the whole pod by a rule. In the table: `K` was removed and waits; the policy lets nothing else run
/// again.
#[test]
fn what_was_removed_to_begin_anew_is_not_an_end() {
    let check = |kinds: &str, states: &str, expected: &str| {
        let (init, app) = states.split_once('|').unwrap();
        let spec = spec_of("Never", kinds, app.split_whitespace().count());
        let (init, app) = (statuses_of('i', init), statuses_of('a', app));
        assert_eq!(
            phase(&spec, &init, &app, false),
            expected,
            "{kinds} {states}"
        );
    };
    check("", "| K", RUNNING);
    check("", "| K K", RUNNING);
    check("", "| K r", RUNNING);
    check("", "| K w", PENDING);
    // The first round of the initialisation, and the next.
    check("i", "K | w", PENDING);
    check("i", "K | K", RUNNING);
    check("i", "0 | w", PENDING);
    check("i", "0 | K", RUNNING);
    check("i", "1 | K", FAILED);
    check("i", "r | K", PENDING);
    check("s", "1 | w", PENDING);
    check("s", "K | w", PENDING);
    check("s", "K | K", RUNNING);
    check("s", "s | K", RUNNING);
    check("s", "w | K", PENDING);
    check("si", "1 w | w", PENDING);
    check("si", "K K | w", PENDING);
    check("si", "s K | w", PENDING);
}

/// What asks for a restart of all is not over itself, whatever its policy says.
#[test]
fn what_asks_for_a_restart_of_all_is_not_an_end() {
    let rule = serde_json::json!([{
        "action": "RestartAllContainers",
        "exitCodes": {"operator": "In", "values": [1]},
    }]);
    let mut spec = spec_of("Never", "i", 1);
    spec.containers[0].restart_policy_rules = Some(serde_json::from_value(rule).unwrap());
    let check = |spec: &PodSpec, init: &str, app: &str, expected: &str| {
        let (init, app) = (statuses_of('i', init), statuses_of('a', app));
        assert_eq!(phase(spec, &init, &app, false), expected);
    };
    check(&spec, "0", "1", RUNNING);
    let rules = spec.containers[0].restart_policy_rules.take();
    check(&spec, "0", "1", FAILED);
    spec.init_containers.as_mut().unwrap()[0].restart_policy_rules = rules;
    // Whoever failed to begin holds the pod nowhere: only what waits does.
    check(&spec, "1", "w", PENDING);
}

/// A sidecar asks for all to begin anew. Nothing that ends on the way ends the pod, not under any policy.
#[test]
fn a_pod_that_begins_anew_does_not_end() {
    let rule = serde_json::json!([
        {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [6]}},
    ]);
    let check = |list: &[(&str, &[Was])], expected: &str| {
        for policy in ["Always", "OnFailure", "Never"] {
            let mut asks = sidecar("s");
            asks.restart_policy_rules = serde_json::from_value(rule.clone()).unwrap();
            let pod = pod(policy, vec![container("i"), asks], &["a", "b"]);
            let seen = observation(Box::Ready, list);
            let (probes, history) = (Probes::default(), History::default());
            let status = pod_status(&pod, &seen, &probes, &history, at(100));
            assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {list:?}");
            let conditions = status.conditions.unwrap();
            let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
            assert_eq!(ready.reason.as_deref(), Some("ContainersNotReady"));
        }
    };
    let asked: &[Was] = &[Was::Exited(6, 90)];
    let (ok, killed): (&[Was], &[Was]) = (&[Was::Exited(0, 80)], &[Was::Exited(137, 95)]);
    let run: &[Was] = &[Was::Running];
    check(&[("i", ok), ("s", asked), ("a", run), ("b", ok)], RUNNING);
    check(
        &[("i", ok), ("s", asked), ("a", killed), ("b", ok)],
        RUNNING,
    );
    check(&[("i", ok), ("s", asked), ("a", ok), ("b", ok)], RUNNING);
    let (gone, over): (&[Was], &[Was]) = (&[Was::Removed(6, 90)], &[Was::Removed(0, 80)]);
    check(
        &[("i", over), ("s", gone), ("a", over), ("b", over)],
        RUNNING,
    );
    // The initialisation runs once more.
    check(
        &[("i", run), ("s", gone), ("a", over), ("b", over)],
        PENDING,
    );
    // It was asked for before the application had run.
    check(&[("i", killed), ("s", asked)], PENDING);
}

/// What the end of a pod makes of states: those of the init containers, a bar, those of the applications. `U` is an end
/// that nobody knows (the kubelet's `TerminatePod`).
#[test]
fn the_end_of_a_pod() {
    let check = |kinds: &str, states: &str, expected: &str| {
        let (init, app) = states.split_once('|').unwrap();
        let spec = spec_of("Never", kinds, app.split_whitespace().count());
        let (mut init, mut app) = (statuses_of('i', init), statuses_of('a', app));
        mark_unknown_ends(&spec, &mut init, &mut app);
        let word = |status: &ContainerStatus| {
            let state = status.state.clone().unwrap_or_default();
            match state.terminated {
                Some(end) if end.reason.as_deref() == Some(LOST) => "U".to_owned(),
                Some(end) => end.exit_code.to_string(),
                None if state.running.is_some() => "r".to_owned(),
                None => "w".to_owned(),
            }
        };
        let words = |list: &[ContainerStatus]| list.iter().map(word).collect::<Vec<_>>().join(" ");
        assert_eq!(
            format!("{} | {}", words(&init), words(&app)),
            expected,
            "{kinds} {states}"
        );
    };
    check("", "| w", " | U");
    check("", "| r w 0 1 w0", " | U U 0 1 U");
    // Only what was begun has an end, and the first was begun.
    check("iii", "w w w | w", "U w w | w");
    check("iii", "w 1 w | w", "U 1 w | w");
    check("iii", "w w1 w | w", "U U w | w");
    check("iii", "w r w | w", "U U w | w");
    check("iii", "w w 1 | w", "U U 1 | w");
    // The last one ended well, now or before: the applications could have been begun.
    check("iii", "w w 0 | w", "U U 0 | U");
    check("iii", "w w w0 | w", "U U U | U");
    check("iii", "w 0 w | w", "U 0 w | w");
    // So could they when one of them was.
    check("i", "w | r", "U | U");
    check("i", "w | 0", "U | 0");
    check("i", "w | w0", "U | U");
    check("i", "w | 1 w", "U | 1 U");
    check("ii", "w w | r", "U w | U");
    // A sidecar at the end has to have started.
    check("s", "w | w", "U | w");
    check("s", "r | w", "U | w");
    check("s", "s | w", "U | U");
    check("s", "0 | w", "0 | w");
    check("is", "0 s | w", "0 U | U");
}
