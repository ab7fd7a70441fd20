use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Kind;

/// Names one object of the store. `namespace` is `None` exactly for kinds that have none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ObjectKey {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl ObjectKey {
    /// The namespace is dropped for kinds that have none.
    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = kind.is_namespaced().then(|| namespace.to_owned());
        Self {
            kind,
            namespace,
            name: name.to_owned(),
        }
    }

    pub(crate) fn pod(namespace: &str, name: &str) -> Self {
        Self::new(Kind::Pod, namespace, name)
    }
}

/// `pod/web`, as kubectl prints it.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.qualified_singular(), self.name)
    }
}

/// Position in the history of the store; grows by one with every write, over all kinds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct ResourceVersion(pub(crate) u64);

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ResourceVersion {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
