/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// Pods run, but something will be missing or slower.
    Limited,
    /// No pod can run.
    Missing,
}

impl Level {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) subject: &'static str,
    /// What was found.
    pub(super) found: String,
    /// What to do about it; empty when nothing has to be done.
    pub(super) mend: String,
}

impl Finding {
    pub(super) fn ok(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject,
            found: found.into(),
            mend: String::new(),
        }
    }

    pub(super) fn limited(
        subject: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Limited,
            subject,
            found: found.into(),
            mend: mend.into(),
        }
    }

    pub(super) fn missing(
        subject: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Missing,
            subject,
            found: found.into(),
            mend: mend.into(),
        }
    }
}
