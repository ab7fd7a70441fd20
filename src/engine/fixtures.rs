//! Small builders for the tables of `plan` and `status`.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::observe::{Instance, Instances, Phase, PodObservation, SandboxView};
use super::translate::container_hash;
use crate::base::{ContainerId, SandboxId};
use crate::wire::{ExitRecord, MemoryRecord};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some("localhost/toolbox:latest".to_owned()),
        ..Container::default()
    }
}

pub(super) fn sidecar(name: &str) -> Container {
    Container {
        restart_policy: Some("Always".to_owned()),
        ..container(name)
    }
}

pub(super) fn pod(policy: &str, init: Vec<Container>, app: &[&str]) -> Pod {
    let mut pod = Pod {
        spec: Some(PodSpec {
            restart_policy: Some(policy.to_owned()),
            init_containers: (!init.is_empty()).then_some(init),
            containers: app.iter().map(|name| container(name)).collect(),
            ..PodSpec::default()
        }),
        ..Pod::default()
    };
    pod.metadata.name = Some("p".to_owned());
    pod.metadata.namespace = Some("n".to_owned());
    pod.metadata.uid = Some("u".to_owned());
    pod
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Was {
    Created,
    /// Runs, its postStart hook has not come back.
    Starting,
    Running,
    /// Exit code and second.
    Exited(i32, i64),
    /// Ran in an earlier sandbox; exit code and second.
    Earlier(i32, i64),
    /// Second at which its disappearance was noticed.
    Lost(i64),
    /// Could not be started.
    Failed(i64),
    OutOfMemory(i32, i64),
    /// Removed for a restart of all containers: exit code and second.
    Removed(i32, i64),
}

pub(super) fn instance(name: &str, attempt: u32, was: Was) -> Instance {
    let exit = |code, second, start_error: Option<&str>, oom_killed| {
        Phase::Exited(ExitRecord {
            code,
            signal: None,
            started_at: start_error.is_none().then(|| at(second - 1)),
            finished_at: at(second),
            oom_killed,
            start_error: start_error.map(str::to_owned),
        })
    };
    Instance {
        id: ContainerId::new(format!("{name}-{attempt}")),
        attempt,
        current: !matches!(was, Was::Earlier(..) | Was::Lost(_) | Was::Removed(..)),
        image: "localhost/toolbox:latest".to_owned(),
        image_id: "sha256:1".to_owned(),
        hash: container_hash(&container(name)),
        phase: match was {
            Was::Created => Phase::Created,
            Was::Running | Was::Starting => Phase::Running { started_at: at(1) },
            Was::Exited(code, second) | Was::Earlier(code, second) | Was::Removed(code, second) => {
                exit(code, second, None, false)
            }
            Was::Lost(second) => Phase::Lost {
                started_at: Some(at(1)),
                noticed_at: at(second),
            },
            Was::Failed(second) => exit(128, second, Some("exec failed"), false),
            Was::OutOfMemory(code, second) => exit(code, second, None, true),
        },
        limits: None,
        user: None,
        message: None,
        starting: matches!(was, Was::Starting),
        removed: matches!(was, Was::Removed(..)),
        memory: MemoryRecord::default(),
        memory_limit: None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Box {
    None,
    Ready,
    NotReady,
}

/// Instances of one container are given newest first; the last one is attempt 0.
pub(super) fn observation(sandbox: Box, containers: &[(&str, &[Was])]) -> PodObservation {
    let mut instances = Instances::default();
    for (name, list) in containers {
        for (attempt, was) in list.iter().rev().enumerate() {
            let attempt = u32::try_from(attempt).unwrap();
            instances.put((*name).to_owned(), instance(name, attempt, *was));
        }
    }
    PodObservation {
        sandbox: (sandbox != Box::None).then(|| SandboxView {
            id: SandboxId::new("s"),
            attempt: 3,
            ready: sandbox == Box::Ready,
            host_network: false,
            address: Some(Ipv4Addr::new(10, 88, 0, 2)),
            limits: None,
        }),
        instances,
    }
}
