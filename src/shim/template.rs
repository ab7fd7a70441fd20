//! What every shim needs and does not depend on its pod. The factory makes it once; its forks inherit it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::fault::At;
use super::init;
use crate::linux::cgroup::Hierarchy;
use crate::linux::seccomp::{self, Program};
use crate::linux::{caps, pause};
use crate::wire::{
    ContainerSpec, Fault, Seccomp, SeccompAction, SeccompArgument, SeccompComparison,
    SeccompProfile, Stage,
};

#[derive(Debug)]
pub(super) struct Template {
    /// The program of pause, sealed.
    pub(super) pause: OwnedFd,
    /// `/dev/null` of the machine, for reading: the input of whoever has none. Opened before anything else can
    /// stand in the way, and once for all containers.
    pub(super) null: OwnedFd,
    pub(super) hierarchy: Hierarchy,
    /// The filter for a container with the default capabilities.
    filter: Program,
}

impl Template {
    pub(super) fn new() -> Result<Self, Fault> {
        // Read here, so that no child of a shim has to.
        caps::kernel_mask();
        let pause = pause::sealed().at(Stage::Exec, "prepare pause")?;
        let hierarchy = Hierarchy::detect(Path::new(init::CGROUP_ROOT))
            .at(Stage::Cgroup, "find the control groups")?;
        let null = File::open("/dev/null").at(Stage::State, "open /dev/null")?;
        Ok(Self {
            pause,
            null: null.into(),
            hierarchy,
            filter: seccomp::compile_default(caps::DEFAULT),
        })
    }

    /// The same with other descriptors: in a fork that keeps only these.
    pub(super) fn with(&self, pause: OwnedFd, null: OwnedFd) -> Self {
        Self {
            pause,
            null,
            hierarchy: self.hierarchy.clone(),
            filter: self.filter.clone(),
        }
    }

    /// A filter for what the container is granted; a privileged container has none, as in every runtime.
    pub(super) fn filter_for(&self, spec: &ContainerSpec) -> Option<Program> {
        match (&spec.seccomp, spec.capabilities.bounding) {
            _ if spec.privileged => None,
            (Seccomp::Unconfined, _) => None,
            (Seccomp::RuntimeDefault, caps::DEFAULT) => Some(self.filter.clone()),
            (Seccomp::RuntimeDefault, granted) => Some(seccomp::compile_default(granted)),
            (Seccomp::Profile(profile), _) => Some(seccomp::compile(&custom(profile))),
        }
    }
}

fn custom(profile: &SeccompProfile) -> seccomp::Profile {
    let rules = profile.rules.iter().map(|rule| seccomp::Rule {
        names: rule.names.clone(),
        action: action(rule.action),
        arguments: rule.arguments.iter().map(argument).collect(),
    });
    seccomp::Profile {
        default: action(profile.default),
        log: profile.log,
        rules: rules.collect(),
    }
}

fn action(action: SeccompAction) -> seccomp::Action {
    match action {
        SeccompAction::Allow => seccomp::Action::Allow,
        SeccompAction::Log => seccomp::Action::Log,
        SeccompAction::Errno(errno) => seccomp::Action::Errno(errno),
        SeccompAction::Trace(number) => seccomp::Action::Trace(number),
        SeccompAction::Trap => seccomp::Action::Trap,
        SeccompAction::KillThread => seccomp::Action::KillThread,
        SeccompAction::KillProcess => seccomp::Action::KillProcess,
    }
}

fn argument(argument: &SeccompArgument) -> seccomp::Argument {
    seccomp::Argument {
        // The specification was checked; anything larger could not be loaded.
        index: argument.index.min(5),
        comparison: match argument.comparison {
            SeccompComparison::NotEqual => seccomp::Comparison::NotEqual,
            SeccompComparison::LessThan => seccomp::Comparison::LessThan,
            SeccompComparison::LessOrEqual => seccomp::Comparison::LessOrEqual,
            SeccompComparison::Equal => seccomp::Comparison::Equal,
            SeccompComparison::GreaterOrEqual => seccomp::Comparison::GreaterOrEqual,
            SeccompComparison::GreaterThan => seccomp::Comparison::GreaterThan,
            SeccompComparison::MaskedEqual(mask) => seccomp::Comparison::MaskedEqual(mask),
        },
        value: argument.value,
    }
}
