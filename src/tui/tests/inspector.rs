//! The tabs that look into a pod, and the queue of pods in trouble.

use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::json;

use crate::base::{IncidentKind, Pid, Victim};
use crate::client::{ContainerMetrics, NetworkBytes, PodMetrics, PodProcesses, WatchEvent};
use crate::model::{Kind, Object};
use crate::tui::TuiSettings;
use crate::tui::alerts::Alert;
use crate::tui::effect::Effect;
use crate::tui::inspector::Tab;
use crate::tui::logs::Target;
use crate::tui::msg::{Msg, Reply};
use crate::tui::overlay::Overlay;
use crate::tui::personal::PersonalFiles;
use crate::tui::testing::{
    Screen, changes, crashing, event, incident, now, pod_json, process, running, settings,
};

fn polled(screen: &Screen) -> Vec<Option<String>> {
    let polled = screen.effects.iter().filter_map(|effect| match effect {
        Effect::PollProcesses(target) => {
            Some(target.as_ref().map(|target| target.key.name.clone()))
        }
        _ => None,
    });
    polled.collect()
}

fn target(screen: &Screen) -> Target {
    let row = screen.model.list.selected().unwrap();
    Target {
        key: row.key.clone(),
        uid: row.object.uid(),
    }
}

fn ascii() -> TuiSettings {
    TuiSettings {
        ascii: true,
        ..settings()
    }
}

/// Two containers, `second` seconds from now, with what they have used since then.
fn reading(second: u64) -> PodProcesses {
    let used = |rate: u64| rate * second * 1_000_000;
    let mut busy = process("main", 4714, 4711, "stress --cpu 1", used(300));
    busy.process.state = 'R';
    busy.process.threads = 3;
    let mut zombie = process("main", 4716, 4711, "gone", 0);
    zombie.process.command = String::new();
    zombie.process.state = 'Z';
    zombie.process.descriptors = None;
    let shell = "sh -c 'stress & \u{1b}[31mwait'";
    let processes = vec![
        process("", 4700, 4690, "/pause", 0),
        process("main", 4711, 4690, shell, used(4)),
        busy,
        process("main", 4715, 4714, "worker", used(1)),
        zombie,
        process("sidecar", 4730, 4690, "nginx: master process", 0),
        process("sidecar", 4731, 4730, "nginx: worker process", 0),
    ];
    PodProcesses {
        at: now() + SignedDuration::from_secs(second.cast_signed()),
        total: 9,
        processes,
    }
}

fn show_processes(screen: &mut Screen) {
    screen.keys("G4");
    for second in [0, 2] {
        let msg = Msg::Processes(target(screen), Ok(reading(second)));
        screen.send(msg);
    }
}

#[test]
fn process_tree_80x24() {
    let mut screen = Screen::populated(80, 24);
    show_processes(&mut screen);
    assert_snapshot!(screen.text());
}

#[test]
fn processes_by_memory_have_no_branches() {
    let mut screen = Screen::populated(120, 30);
    show_processes(&mut screen);
    let branch = screen.model.look.glyphs.tree[3];
    assert!(screen.text().contains(branch));
    screen.keys("<tab>M");
    let text = screen.text();
    assert!(
        !text.contains(branch) && text.contains("by memory"),
        "{text}"
    );
}

#[test]
fn the_limit_of_tasks_is_drawn() {
    let mut screen = Screen::populated(120, 40);
    screen.model.session.pids_limit = Some(12);
    screen.keys("5");
    let text = screen.text();
    assert!(text.contains("TASKS 3  limit 12 25%"), "{text}");
}

#[test]
fn process_tree_ascii_200x50() {
    let mut screen = Screen::with(ascii(), 200, 50);
    screen.populate();
    show_processes(&mut screen);
    let text = screen.text();
    assert!(text.is_ascii(), "{text}");
    assert_snapshot!(text);
}

#[test]
fn processes_are_read_only_while_they_are_shown() {
    let mut screen = Screen::populated(80, 24);
    assert_eq!(polled(&screen), []);
    screen.keys("4");
    assert_eq!(polled(&screen), [Some("api-7d9".to_owned())]);
    screen.keys("j");
    assert_eq!(polled(&screen).last(), Some(&Some("web-0".to_owned())));
    screen.keys("1");
    assert_eq!(polled(&screen).last(), Some(&None));
    let count = polled(&screen).len();
    screen.keys("2356jk:cm<enter>");
    assert_eq!(polled(&screen).len(), count, "nothing of it was shown");
}

#[test]
fn processes_that_do_nothing_new_draw_nothing() {
    let mut screen = Screen::populated(80, 24);
    show_processes(&mut screen);
    let still = |screen: &mut Screen, second| {
        let mut same = reading(2);
        same.at = now() + SignedDuration::from_secs(second);
        screen.model.pending.is_dirty = false;
        let target = target(screen);
        screen.send(Msg::Processes(target, Ok(same)));
        screen.model.pending.is_dirty
    };
    // The rates of those that were busy go to zero once.
    assert!(still(&mut screen, 4));
    assert!(!still(&mut screen, 6));
    // An answer about another pod that comes late changes nothing.
    let late = target(&screen);
    screen.keys("k");
    screen.model.pending.is_dirty = false;
    screen.send(Msg::Processes(late, Ok(reading(8))));
    assert!(!screen.model.pending.is_dirty);
    assert!(screen.text().contains("reading processes"));
}

#[test]
fn why_processes_cannot_be_read_is_told() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("4");
    let target = target(&screen);
    let problem = "the pod has no\nsandbox".to_owned();
    screen.send(Msg::Processes(target, Err(problem)));
    assert!(screen.text().contains("the pod has no sandbox"));
}

#[test]
fn tabs_by_number_and_bracket() {
    let mut screen = Screen::populated(80, 24);
    let all = [
        Tab::Logs,
        Tab::Events,
        Tab::Spec,
        Tab::Procs,
        Tab::Metrics,
        Tab::Describe,
    ];
    for (number, tab) in (1..).zip(all) {
        screen.keys(&number.to_string());
        assert_eq!(screen.model.tab(), tab);
    }
    screen.keys("1");
    for tab in all.into_iter().cycle().skip(1).take(6) {
        screen.keys("]");
        assert_eq!(screen.model.tab(), tab);
    }
    screen.keys("[");
    assert_eq!(screen.model.tab(), Tab::Describe);
    // Other kinds have no processes.
    screen.keys(":cm<enter>4");
    assert_ne!(screen.model.tab(), Tab::Procs);
}

fn use_resources(screen: &mut Screen, seconds: u64) {
    for step in 0..=seconds / 2 {
        let second = step * 2;
        let wave = (second % 60).abs_diff(30);
        let reading = PodMetrics {
            namespace: "default".to_owned(),
            name: "api-7d9".to_owned(),
            at: now() + SignedDuration::from_secs(second.cast_signed()),
            containers: vec![ContainerMetrics {
                name: "main".to_owned(),
                cpu_nanocores: (50 + wave * 5) * 1_000_000,
                memory_bytes: (200 + second) << 20,
            }],
            processes: Some(5 + wave / 10),
            network: Some(NetworkBytes {
                received: second * 2000,
                sent: second * second,
            }),
        };
        screen.send(Msg::Metrics(Ok(vec![reading])));
    }
}

fn requesting(name: &str) -> Object {
    let mut value = running(name).to_value();
    value["spec"]["containers"][0]["resources"]["requests"] =
        json!({"cpu": "100m", "memory": "128Mi"});
    Object::from_value(Kind::Pod, value).unwrap()
}

#[test]
fn charts_80x24() {
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, vec![requesting("api-7d9")]);
    screen.keys("5");
    use_resources(&mut screen, 240);
    assert_snapshot!(screen.text());
}

#[test]
fn charts_ascii_200x50_and_an_hour() {
    let mut screen = Screen::with(ascii(), 200, 50);
    screen.populate();
    screen.list(Kind::Pod, vec![requesting("api-7d9")]);
    screen.keys("5<tab>");
    use_resources(&mut screen, 240);
    let text = screen.text();
    assert!(text.is_ascii(), "{text}");
    assert_snapshot!(text);
    let text = screen.keys("t").text();
    assert!(text.contains("1 hour"), "{text}");
}

fn tell(screen: &mut Screen) {
    let mut killed = incident("main", 6, 137);
    killed.signal = Some(9);
    killed.reason = "OOMKilled".to_owned();
    killed.at = now() - SignedDuration::from_secs(12);
    killed.started_at = Some(killed.at - SignedDuration::from_secs(90));
    killed.oom_kills = 1;
    killed.memory_peak = 511 << 20;
    killed.memory_limit = Some(512 << 20);
    let mut survived = killed.clone();
    survived.kind = IncidentKind::OutOfMemory;
    survived.exit_code = None;
    survived.at = now() - SignedDuration::from_secs(300);
    survived.victim = Some(Victim {
        pid: Pid::new(4714),
        name: "python3".to_owned(),
        is_main: false,
    });
    let mut probed = incident("sidecar", 0, 143);
    probed.at = now() - SignedDuration::from_hours(20);
    probed.cause = Some("Container sidecar failed liveness probe, will be restarted".to_owned());
    let target = target(screen);
    screen.send(Msg::Story(target, Ok(vec![probed, survived, killed])));
}

fn with_story(columns: u16, rows: u16) -> Screen {
    let mut screen = Screen::populated(columns, rows);
    let message = "Readiness probe failed: connection refused";
    let mut probe = event("worker-1", "Unhealthy", "Warning", message, 4).to_value();
    probe["involvedObject"]["fieldPath"] = json!("spec.containers{sidecar}");
    let probe = Object::from_value(Kind::Event, probe).unwrap();
    let other = event("worker-1", "Created", "Normal", "Container created", 8);
    screen.list(Kind::Event, vec![other, probe]);
    screen.keys("G2");
    tell(&mut screen);
    screen
}

#[test]
fn the_story_above_the_events_80x24() {
    assert_snapshot!(with_story(80, 24).text());
}

#[test]
fn the_story_alone_200x50() {
    let mut screen = with_story(200, 50);
    screen.keys("<tab>t");
    assert_snapshot!(screen.text());
}

#[test]
fn the_story_is_read_again_when_something_happened() {
    let mut screen = Screen::populated(80, 24);
    let reads = |screen: &Screen| {
        let is_read = |effect: &&Effect| matches!(effect, Effect::ReadStory(_));
        screen.effects.iter().filter(is_read).count()
    };
    assert_eq!(reads(&screen), 0);
    screen.keys("G2");
    assert_eq!(reads(&screen), 1);
    screen.tick(1);
    screen.metrics(&[("worker-1", 1, 1)]);
    assert_eq!(reads(&screen), 1);
    let mut again = crashing("worker-1").to_value();
    again["status"]["containerStatuses"][0]["restartCount"] = json!(8);
    let again = Object::from_value(Kind::Pod, again).unwrap();
    let generation = screen.model.collections.get(Kind::Pod).unwrap().generation;
    screen.send(Msg::Watch {
        kind: Kind::Pod,
        generation,
        news: changes(vec![WatchEvent::Modified(again)]),
    });
    assert_eq!(reads(&screen), 2);
    let killed = event("worker-1", "OOMKilling", "Warning", "out of memory", 1);
    screen.list(Kind::Event, vec![killed]);
    assert_eq!(reads(&screen), 3);
}

#[test]
fn the_last_log_is_one_key_away() {
    let mut screen = with_story(80, 24);
    screen.keys("<tab>p");
    let asked = screen.effects.iter().find_map(|effect| match effect {
        Effect::ReadExcerpt {
            container,
            previous,
            ..
        } => Some((container.clone(), *previous)),
        _ => None,
    });
    // It waits for its restart, so the last instance is the newest one.
    assert_eq!(asked, Some(("main".to_owned(), false)));
    let answer = |lines| {
        Msg::Reply(Reply::Excerpt {
            container: "main".to_owned(),
            lines,
        })
    };
    let lines = (0..100).map(|number| format!("line {number}")).collect();
    screen.send(answer(Ok(lines)));
    let text = screen.text();
    assert!(text.contains("main: last lines before it ended"), "{text}");
    assert!(text.contains("line 99"), "{text}");
    screen.keys("<esc>");
    let problem = "previous terminated container not found".to_owned();
    screen.send(answer(Err(problem)));
    assert!(screen.text().contains("previous terminated container"));
}

fn three_in_trouble(columns: u16, rows: u16) -> Screen {
    let mut screen = Screen::populated(columns, rows);
    let pending = pod_json(
        "waits",
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available: Insufficient cpu.",
            "lastTransitionTime": "2026-01-02T02:30:00Z"}]}),
    );
    let probed = pod_json(
        "probed",
        json!({"phase": "Running", "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T02:59:55Z"},
                {"type": "podtui.dev/ProbeFailing", "status": "True",
                    "message": "main: readiness probe failing 2/3"}],
            "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0, "image": "i",
                "imageID": "", "state": {"running": {"startedAt": "2026-01-02T02:00:01Z"}}}]}),
    );
    let object = |value| Object::from_value(Kind::Pod, value).unwrap();
    let pods = vec![
        running("api-7d9"),
        object(pending),
        object(probed),
        crashing("worker-1"),
    ];
    screen.list(Kind::Pod, pods);
    screen
}

#[test]
fn attention_80x24() {
    let mut screen = three_in_trouble(80, 24);
    screen.keys("!");
    assert_snapshot!(screen.text());
}

#[test]
fn the_queue_goes_on_and_leads_there() {
    let mut screen = three_in_trouble(80, 24);
    let selected = |screen: &Screen| screen.model.list.selected().unwrap().key.name.clone();
    screen.keys("!");
    assert_eq!(selected(&screen), "probed");
    screen.keys("!");
    assert_eq!(selected(&screen), "worker-1");
    screen.keys("j!");
    assert_eq!(selected(&screen), "probed");
    screen.keys("kk2");
    assert!(screen.model.overlays.is_empty());
    assert_eq!(selected(&screen), "worker-1");
    assert_eq!(screen.model.tab(), Tab::Events);
    // From another kind, and with a filter that hides it.
    screen.keys(":cm<enter>!!<enter>");
    assert_eq!(screen.model.list.kind, Kind::Pod);
    assert_eq!(selected(&screen), "worker-1");
    screen.keys("/api<enter>!<enter>");
    assert_eq!(selected(&screen), "probed");
    // A pod that recovers leaves the queue while it is open; the last one leaves it empty.
    screen.keys("!");
    screen.list(Kind::Pod, vec![running("probed"), crashing("worker-1")]);
    let Some(Overlay::Attention(attention)) = screen.model.overlays.last() else {
        panic!("the queue is gone");
    };
    assert_eq!(attention.selected.as_ref().unwrap().name, "worker-1");
    screen.list(Kind::Pod, vec![running("probed")]);
    assert!(screen.text().contains("every pod in view is well"));
    screen.keys("<enter>!");
    assert!(screen.text().contains("nothing is in trouble"));
}

#[test]
fn a_pod_that_falls_is_noted_and_called_out_when_asked_for() {
    let mut screen = Screen::populated(80, 24);
    let falls = |screen: &mut Screen, name: &str| {
        screen.effects.clear();
        let generation = screen.model.collections.get(Kind::Pod).unwrap().generation;
        screen.send(Msg::Watch {
            kind: Kind::Pod,
            generation,
            news: changes(vec![WatchEvent::Modified(crashing(name))]),
        });
        let alerts = screen.effects.iter().filter_map(|effect| match effect {
            Effect::Alert(alert) => Some(alert.clone()),
            _ => None,
        });
        alerts.collect::<Vec<Alert>>()
    };
    assert_eq!(falls(&mut screen, "api-7d9"), []);
    let text = screen.keys(":messages<enter>").text();
    assert!(
        text.contains("api-7d9: main: OOMKilled, exit 137"),
        "{text}"
    );
    screen.keys("<esc>");
    let files = PersonalFiles {
        config: Ok(Some("[screen]\nbell = true\nnotify = true\n".to_owned())),
        ..PersonalFiles::default()
    };
    screen.send(Msg::Personal(Box::new(files)));
    // It was bad before: that is no news.
    assert_eq!(falls(&mut screen, "worker-1"), []);
    let alerts = falls(&mut screen, "web-0");
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].bell);
    let text = alerts[0].text.as_deref().unwrap();
    assert!(text.starts_with("podtui: web-0: main: OOMKilled"), "{text}");
}
