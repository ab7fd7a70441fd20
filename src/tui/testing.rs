//! What the tests of the screen share: keys as text, objects, a driver and a fake engine.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Pod;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::app::initial_model;
use super::data::{Row, RowEvent};
use super::effect::Effect;
use super::keymap::Key;
use super::logs::{LogEntry, Origin};
use super::model::Model;
use super::msg::{LogNews, Msg, WatchNews};
use super::panes::view;
use super::sanitize::output_line;
use super::settings::TuiSettings;
use super::theme::Depth;
use super::update::update;
use crate::base::{Incident, IncidentKind, Pid, ProcessInfo};
use crate::client::{
    ContainerMetrics, EngineInfo, NetworkBytes, PodMetrics, PodProcess, WatchEvent,
};
use crate::config::OnExit;
use crate::model::{Kind, Object};

pub(super) fn now() -> Timestamp {
    "2026-01-02T03:00:00Z".parse().unwrap()
}

/// What a watch says, as its task tells the screen.
pub(super) fn listed(objects: Vec<Object>) -> WatchNews {
    let rows = objects.into_iter().map(|object| Arc::new(Row::of(object)));
    WatchNews::Listed(rows.collect())
}

pub(super) fn changes(events: Vec<WatchEvent>) -> WatchNews {
    WatchNews::Changes(events.into_iter().filter_map(RowEvent::of).collect())
}

/// `"jj<enter>:ns default"`: characters as they are, names of keys in angle brackets.
pub(super) fn parse_keys(text: &str) -> Vec<KeyEvent> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|tail| tail.split_once('>'));
        let (key, tail) = match named.and_then(|(name, tail)| Some((Key::parse(name)?, tail))) {
            Some(found) => found,
            None => {
                let tail = &rest[first.len_utf8()..];
                (Key::parse(first.encode_utf8(&mut [0; 4])).unwrap(), tail)
            }
        };
        keys.push(key.event());
        rest = tail;
    }
    keys
}

pub(super) fn pod_json(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-01-02T02:00:00Z", "resourceVersion": "7"},
        "spec": {"nodeName": "here", "containers": [
            {"name": "main", "image": "localhost/toolbox:latest",
                "resources": {"limits": {"cpu": "200m", "memory": "512Mi"}}},
        ]},
        "status": status,
    })
}

pub(super) fn pod(name: &str, status: Value) -> Pod {
    serde_json::from_value(pod_json(name, status)).unwrap()
}

fn object(kind: Kind, value: Value) -> Object {
    Object::from_value(kind, value).unwrap()
}

pub(super) fn running(name: &str) -> Object {
    object(
        Kind::Pod,
        pod_json(
            name,
            json!({
                "phase": "Running", "podIP": "10.88.0.7",
                "containerStatuses": [{"name": "main", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
                    "state": {"running": {"startedAt": "2026-01-02T02:00:01Z"}}}],
            }),
        ),
    )
}

pub(super) fn crashing(name: &str) -> Object {
    let mut value = pod_json(
        name,
        json!({
            "phase": "Running", "podIP": "10.88.0.9",
            "containerStatuses": [
                {"name": "main", "ready": false, "restartCount": 7, "image": "i", "imageID": "",
                    "state": {"waiting": {"reason": "CrashLoopBackOff",
                        "message": "back-off 40s restarting failed container=main pod=x"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                        "startedAt": "2026-01-02T02:59:40Z", "finishedAt": "2026-01-02T02:59:48Z"}}},
                {"name": "sidecar", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
                    "state": {"running": {"startedAt": "2026-01-02T02:00:01Z"}}},
            ],
        }),
    );
    let sidecar = json!({"name": "sidecar", "image": "localhost/toolbox:latest"});
    value["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(sidecar);
    object(Kind::Pod, value)
}

pub(super) fn event(pod: &str, reason: &str, type_: &str, message: &str, count: i32) -> Object {
    object(
        Kind::Event,
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{pod}.{reason}"), "namespace": "default", "uid": format!("{pod}.{reason}")},
            "involvedObject": {"kind": "Pod", "name": pod, "namespace": "default", "uid": format!("uid-{pod}")},
            "reason": reason, "type": type_, "message": message, "count": count,
            "firstTimestamp": "2026-01-02T02:50:00Z", "lastTimestamp": "2026-01-02T02:59:48Z",
        }),
    )
}

pub(super) fn namespace(name: &str) -> Object {
    object(
        Kind::Namespace,
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": "Active"},
        }),
    )
}

pub(super) fn config_map(name: &str) -> Object {
    object(
        Kind::ConfigMap,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {"a": "1", "b": "2"},
        }),
    )
}

/// A process of a container that has used `cpu` nanoseconds.
pub(super) fn process(container: &str, pid: i32, parent: i32, name: &str, cpu: u64) -> PodProcess {
    PodProcess {
        container: (!container.is_empty()).then(|| container.to_owned()),
        process: ProcessInfo {
            pid: Pid::new(pid),
            parent: Pid::new(parent),
            inner_pid: Pid::new(pid % 100),
            started_ticks: 5,
            user: 0,
            name: name.to_owned(),
            command: format!("{name} --flag"),
            state: 'S',
            threads: 1,
            cpu_nanoseconds: cpu,
            memory_bytes: 3 << 20,
            descriptors: Some(4),
        },
    }
}

/// The end of a run of eight seconds, just now.
pub(super) fn incident(container: &str, attempt: u32, code: i32) -> Incident {
    Incident {
        container: container.to_owned(),
        kind: IncidentKind::Ended,
        at: now(),
        attempt,
        started_at: Some(now() - jiff::SignedDuration::from_secs(8)),
        exit_code: Some(code),
        signal: None,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        cause: None,
        message: None,
        memory_peak: 0,
        memory_limit: None,
        oom_kills: 0,
        victim: None,
    }
}

pub(super) fn settings() -> TuiSettings {
    TuiSettings {
        context: "local".to_owned(),
        namespace: Some("default".to_owned()),
        on_exit: OnExit::Ask,
        readonly: false,
        no_color: false,
        ascii: false,
        depth: Depth::True,
        config_dir: None,
        edits_dir: None,
        session_file: None,
        namespace_is_given: false,
        record: None,
    }
}

pub(super) fn engine_info() -> EngineInfo {
    EngineInfo {
        version: "test".to_owned(),
        pid: std::process::id(),
        started_at: now(),
        state_dir: "/state".into(),
        run_dir: "/run".into(),
        cgroup: "v2".to_owned(),
        pods: 0,
        notes: Vec::new(),
        pod_pids_limit: None,
    }
}

/// Drives the pure core: messages in, screen and effects out.
pub(super) struct Screen {
    pub(super) model: Model,
    pub(super) effects: Vec<Effect>,
    pub(super) answers_reads: bool,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    pub(super) fn new(columns: u16, rows: u16) -> Self {
        Self::with(settings(), columns, rows)
    }

    pub(super) fn with(settings: TuiSettings, columns: u16, rows: u16) -> Self {
        let mut model = initial_model(&settings, now(), TimeZone::UTC);
        model.session.cpus = 4;
        let mut screen = Self {
            model,
            effects: Vec::new(),
            answers_reads: true,
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
        };
        screen.send(Msg::Resize { columns, rows });
        screen
    }

    /// With an engine, three pods, their events, usage and log lines.
    pub(super) fn populated(columns: u16, rows: u16) -> Self {
        let mut screen = Self::new(columns, rows);
        screen.populate();
        screen
    }

    pub(super) fn populate(&mut self) {
        self.send(Msg::Connected(Box::new(engine_info())));
        self.list(
            Kind::Namespace,
            vec![namespace("default"), namespace("kube-system")],
        );
        self.list(
            Kind::Event,
            vec![
                event("worker-1", "Created", "Normal", "Container created", 8),
                event(
                    "worker-1",
                    "BackOff",
                    "Warning",
                    "Back-off restarting failed container main",
                    5,
                ),
                event("api-7d9", "Started", "Normal", "Container started", 1),
            ],
        );
        self.list(
            Kind::Pod,
            vec![running("api-7d9"), running("web-0"), crashing("worker-1")],
        );
        self.metrics(&[
            ("api-7d9", 120, 210 << 20),
            ("web-0", 4, 9 << 20),
            ("worker-1", 80, 511 << 20),
        ]);
        self.effects.clear();
    }

    pub(super) fn send(&mut self, msg: Msg) -> &mut Self {
        if let Msg::Resize { columns, rows } = msg {
            self.terminal.backend_mut().resize(columns, rows);
        }
        let effects = update(&mut self.model, msg);
        self.effects.extend(effects);
        // The files are empty, unless the test answers for them.
        let is_read = |effect: &Effect| matches!(effect, Effect::ReadLogs(_));
        if self.answers_reads
            && let Some(index) = self.effects.iter().rposition(is_read)
            && let Effect::ReadLogs(read) = self.effects.remove(index)
        {
            let page = Box::default();
            return self.send(Msg::LogPage { id: read.id, page });
        }
        self
    }

    pub(super) fn keys(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys) {
            self.send(Msg::Key(key));
        }
        self
    }

    pub(super) fn list(&mut self, kind: Kind, objects: Vec<Object>) {
        let generation = self.model.collections.get(kind).unwrap().generation;
        let news = listed(objects);
        self.send(Msg::Watch {
            kind,
            generation,
            news,
        });
    }

    pub(super) fn metrics(&mut self, pods: &[(&str, u64, u64)]) {
        let reading = |&(name, millicores, memory_bytes): &(&str, u64, u64)| PodMetrics {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            at: self.model.now,
            containers: vec![ContainerMetrics {
                name: "main".to_owned(),
                cpu_nanocores: millicores * 1_000_000,
                memory_bytes,
            }],
            processes: Some(3),
            network: Some(NetworkBytes {
                received: 1000,
                sent: 100,
            }),
        };
        let readings = pods.iter().map(reading).collect();
        self.send(Msg::Metrics(Ok(readings)));
    }

    /// Lines of one container of the selected pod, one per second before now.
    pub(super) fn log(&mut self, source: usize, lines: &[&str]) {
        let count = i64::try_from(lines.len()).unwrap();
        let entry = |(index, line): (usize, &&str)| LogEntry {
            at: Some(
                now() + jiff::SignedDuration::from_secs(i64::try_from(index).unwrap() - count),
            ),
            source,
            origin: Origin::Output,
            line: output_line(line.as_bytes()),
        };
        let lines = lines.iter().enumerate().map(entry).collect();
        let generation = self.model.inspector.logs.generation;
        self.send(Msg::Logs {
            generation,
            source,
            news: LogNews::Lines(lines),
        });
    }

    pub(super) fn tick(&mut self, seconds: i64) -> bool {
        self.model.pending.is_dirty = false;
        let now = self.model.now + jiff::SignedDuration::from_secs(seconds);
        self.send(Msg::Tick(now));
        self.model.pending.is_dirty
    }

    pub(super) fn buffer(&mut self) -> ratatui::buffer::Buffer {
        let model = &self.model;
        let frame = self.terminal.draw(|frame| view(model, frame)).unwrap();
        frame.buffer.clone()
    }

    /// The screen as text.
    pub(super) fn text(&mut self) -> String {
        super::screenshot::text(&self.buffer())
    }
}
