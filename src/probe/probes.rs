use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Probe};

use crate::base::ContainerId;

/// The three probes of a container, in the order in which they matter to its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    pub(crate) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As events begin.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }

    /// The verdict before the first attempt.
    pub(super) const fn initial(self) -> Verdict {
        match self {
            Self::Startup => Verdict::Unknown,
            Self::Liveness => Verdict::Success,
            Self::Readiness => Verdict::Failure,
        }
    }
}

/// What a probe says of its container now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    Success,
    Failure,
}

/// The latest verdicts of one pod's probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probes {
    verdicts: BTreeMap<(ContainerId, ProbeKind), Verdict>,
    /// Failures in a row, for probes whose last attempt has failed.
    failing: BTreeMap<(ContainerId, ProbeKind), Failing>,
}

/// How far a probe is on its way to the verdict Failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// In a row; not counted on beyond the threshold.
    pub(crate) failures: u32,
    pub(crate) threshold: u32,
}

impl Probes {
    fn get(&self, id: &ContainerId, kind: ProbeKind) -> Option<Verdict> {
        self.verdicts.get(&(id.clone(), kind)).copied()
    }

    /// Returns whether this was news.
    pub(crate) fn set(&mut self, id: &ContainerId, kind: ProbeKind, verdict: Verdict) -> bool {
        self.verdicts.insert((id.clone(), kind), verdict) != Some(verdict)
    }

    /// `None`: its last attempt has succeeded. Returns whether this was news.
    pub(crate) fn set_failing(
        &mut self,
        id: &ContainerId,
        kind: ProbeKind,
        failing: Option<Failing>,
    ) -> bool {
        let key = (id.clone(), kind);
        let before = match failing {
            Some(failing) => self.failing.insert(key, failing),
            None => self.failing.remove(&key),
        };
        before != failing
    }

    /// The probes of an instance whose last attempt has failed.
    pub(crate) fn failing(&self, id: &ContainerId) -> impl Iterator<Item = (ProbeKind, Failing)> {
        ProbeKind::ALL.into_iter().filter_map(|kind| {
            let failing = self.failing.get(&(id.clone(), kind))?;
            Some((kind, *failing))
        })
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&ContainerId) -> bool) {
        self.verdicts.retain(|(id, _), _| keep(id));
        self.failing.retain(|(id, _), _| keep(id));
    }

    /// Whether the running instance `id` has started: at once, or when its startup probe has succeeded.
    pub(crate) fn is_started(&self, container: &Container, id: &ContainerId) -> bool {
        container.startup_probe.is_none()
            || self.get(id, ProbeKind::Startup) == Some(Verdict::Success)
    }

    /// Whether the running instance `id` is ready as far as probes go.
    pub(crate) fn is_ready(&self, container: &Container, id: &ContainerId) -> bool {
        self.is_started(container, id)
            && (container.readiness_probe.is_none()
                || self.get(id, ProbeKind::Readiness) == Some(Verdict::Success))
    }

    /// The probe for which the running instance `id` has to be killed.
    pub(crate) fn failed(&self, id: &ContainerId) -> Option<ProbeKind> {
        [ProbeKind::Liveness, ProbeKind::Startup]
            .into_iter()
            .find(|kind| self.get(id, *kind) == Some(Verdict::Failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of startup, liveness, readiness (`-`: no such probe; `?`, `+`, `!`) and what follows.
    #[track_caller]
    fn check(marks: &str, started: bool, ready: bool, failed: Option<ProbeKind>) {
        let id = ContainerId::new("i");
        let mut probes = Probes::default();
        let mut container = Container::default();
        for (kind, mark) in ProbeKind::ALL.into_iter().zip(marks.chars()) {
            let verdict = match mark {
                '-' => continue,
                '?' => Verdict::Unknown,
                '+' => Verdict::Success,
                _ => Verdict::Failure,
            };
            probes.set(&id, kind, verdict);
            let probe = Some(Probe::default());
            match kind {
                ProbeKind::Startup => container.startup_probe = probe,
                ProbeKind::Liveness => container.liveness_probe = probe,
                ProbeKind::Readiness => container.readiness_probe = probe,
            }
        }
        assert_eq!(
            (
                probes.is_started(&container, &id),
                probes.is_ready(&container, &id),
                probes.failed(&id)
            ),
            (started, ready, failed),
            "{marks}"
        );
    }

    #[test]
    fn what_follows_from_verdicts() {
        check("---", true, true, None);
        check("--!", true, false, None);
        check("--+", true, true, None);
        check("-+-", true, true, None);
        check("-!-", true, true, Some(ProbeKind::Liveness));
        check("-!+", true, true, Some(ProbeKind::Liveness));
        check("?--", false, false, None);
        check("+--", true, true, None);
        check("!--", false, false, Some(ProbeKind::Startup));
        check("?++", false, false, None);
        check("+++", true, true, None);
        check("+!!", true, false, Some(ProbeKind::Liveness));
        check("!!+", false, false, Some(ProbeKind::Liveness));
    }

    #[test]
    fn a_new_instance_starts_over() {
        let (old, new) = (ContainerId::new("a"), ContainerId::new("b"));
        let container = Container {
            readiness_probe: Some(Probe::default()),
            ..Container::default()
        };
        let mut probes = Probes::default();
        assert!(probes.set(&old, ProbeKind::Readiness, Verdict::Success));
        assert!(!probes.set(&old, ProbeKind::Readiness, Verdict::Success));
        assert!(probes.is_ready(&container, &old));
        assert!(!probes.is_ready(&container, &new));
        probes.retain(|id| *id == new);
        assert!(!probes.is_ready(&container, &old));
    }

    #[test]
    fn failures_are_news_until_they_repeat() {
        let id = ContainerId::new("i");
        let mut probes = Probes::default();
        let failing = |failures| {
            Some(Failing {
                failures,
                threshold: 3,
            })
        };
        assert!(!probes.set_failing(&id, ProbeKind::Liveness, None));
        assert!(probes.set_failing(&id, ProbeKind::Liveness, failing(1)));
        assert!(!probes.set_failing(&id, ProbeKind::Liveness, failing(1)));
        let told: Vec<_> = probes.failing(&id).collect();
        assert_eq!(told, [(ProbeKind::Liveness, failing(1).unwrap())]);
        assert!(probes.set_failing(&id, ProbeKind::Liveness, None));
        assert_eq!(probes.failing(&id).count(), 0);
    }
}
