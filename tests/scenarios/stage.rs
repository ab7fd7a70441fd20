//! One engine whose docker.io is the registry of the images made here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;

use crate::registry::{Registry, configure};
use crate::support::Podtui;

pub struct Stage {
    // Ends before the registry does.
    podtui: Podtui,
    _registry: Registry,
}

impl Deref for Stage {
    type Target = Podtui;

    fn deref(&self) -> &Podtui {
        &self.podtui
    }
}

impl Stage {
    pub fn start() -> Self {
        let data = crate::debian::images().expect("asked by require_debian!()");
        let registry = Registry::start_on(&data);
        let podtui = Podtui::idle();
        configure(
            &podtui,
            &format!(
                "{}[registries.\"docker.io\"]\nmirrors = [\"{}\"]\n",
                registry.table(),
                registry.host
            ),
        );
        podtui.serve();
        Self {
            podtui,
            _registry: registry,
        }
    }

    /// `apply -f` of the file, untouched; returns what it prints.
    #[track_caller]
    pub fn apply_file(&self, name: &str) -> String {
        self.ok(&["apply", "-f", &path(name)])
    }

    #[track_caller]
    pub fn inside(&self, pod: &str, container: &str, command: &str) -> String {
        self.ok(&["exec", pod, "-c", container, "--", "sh", "-c", command])
    }

    #[track_caller]
    pub fn wait_log(&self, pod: &str, container: &str, text: &str) -> String {
        self.wait(&format!("{text:?} in the log"), || {
            let log = self.output(&["logs", pod, "-c", container]).stdout;
            let log = String::from_utf8_lossy(&log).into_owned();
            log.contains(text).then_some(log)
        })
    }

    /// `REASON message` of all events of a pod.
    pub fn events_of(&self, pod: &str, namespace: &str) -> Vec<String> {
        let text = self.ok(&["get", "events", "-n", namespace, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let events = list["items"].as_array().into_iter().flatten();
        events
            .filter(|event| event["involvedObject"]["name"] == pod)
            .map(|event| {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                format!("{} {}", text("reason"), text("message"))
            })
            .collect()
    }

    /// The line of a pod in `get pods`.
    #[track_caller]
    pub fn row(&self, pod: &str) -> Vec<String> {
        let table = self.ok(&["get", "pods"]);
        let row = table.lines().find(|line| line.starts_with(pod));
        let row = row.unwrap_or_else(|| panic!("{pod} is not in\n{table}"));
        row.split_whitespace().map(str::to_owned).collect()
    }
}

pub fn path(name: &str) -> String {
    format!(
        "{}/tests/fixtures/manifests/scenarios/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// The body of `http://ADDRESS/PATH`, when something answers there.
pub fn http(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}
