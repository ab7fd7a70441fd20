use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

string_id! {
    /// `metadata.uid` of an object: unique over all time, never reused.
    Uid
}
string_id! {
    /// One pod sandbox of the runtime. A pod whose sandbox is re-created gets a new one.
    SandboxId
}
string_id! {
    /// One instance of a container. Every restart makes a new one.
    ContainerId
}

impl Uid {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A fresh random (version 4) identifier.
    pub(crate) fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl SandboxId {
    /// A fresh random identifier of 64 lower-case hexadecimal digits, the usual form of CRI runtimes.
    pub(crate) fn random() -> Self {
        Self(random_hex())
    }
}

impl ContainerId {
    /// A fresh random identifier of 64 lower-case hexadecimal digits, the usual form of CRI runtimes.
    pub(crate) fn random() -> Self {
        Self(random_hex())
    }
}

fn random_hex() -> String {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}

/// A process id as seen from podtui's own pid namespace. It names a process only as long as its parent
/// has not reaped it; keep a pidfd for anything that outlives the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pid(i32);

impl Pid {
    pub(crate) const fn new(raw: i32) -> Self {
        Self(raw)
    }

    pub(crate) const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
