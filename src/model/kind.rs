use serde::{Deserialize, Serialize};

/// The stored kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    Pod,
    ConfigMap,
    Secret,
    ServiceAccount,
    PodPreset,
    Event,
    Node,
    Namespace,
    PersistentVolume,
    PersistentVolumeClaim,
    PriorityClass,
}

struct Names {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Pod,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::PodPreset,
        Self::Event,
        Self::Node,
        Self::Namespace,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::PriorityClass,
    ];

    const fn names(self) -> Names {
        match self {
            Self::Pod => Names {
                kind: "Pod",
                plural: "pods",
                singular: "pod",
                short: &["po"],
                namespaced: true,
            },
            Self::ConfigMap => Names {
                kind: "ConfigMap",
                plural: "configmaps",
                singular: "configmap",
                short: &["cm"],
                namespaced: true,
            },
            Self::Secret => Names {
                kind: "Secret",
                plural: "secrets",
                singular: "secret",
                short: &[],
                namespaced: true,
            },
            Self::ServiceAccount => Names {
                kind: "ServiceAccount",
                plural: "serviceaccounts",
                singular: "serviceaccount",
                short: &["sa"],
                namespaced: true,
            },
            Self::PodPreset => Names {
                kind: "PodPreset",
                plural: "podpresets",
                singular: "podpreset",
                short: &[],
                namespaced: true,
            },
            Self::Event => Names {
                kind: "Event",
                plural: "events",
                singular: "event",
                short: &["ev"],
                namespaced: true,
            },
            Self::Node => Names {
                kind: "Node",
                plural: "nodes",
                singular: "node",
                short: &["no"],
                namespaced: false,
            },
            Self::Namespace => Names {
                kind: "Namespace",
                plural: "namespaces",
                singular: "namespace",
                short: &["ns"],
                namespaced: false,
            },
            Self::PersistentVolume => Names {
                kind: "PersistentVolume",
                plural: "persistentvolumes",
                singular: "persistentvolume",
                short: &["pv"],
                namespaced: false,
            },
            Self::PersistentVolumeClaim => Names {
                kind: "PersistentVolumeClaim",
                plural: "persistentvolumeclaims",
                singular: "persistentvolumeclaim",
                short: &["pvc"],
                namespaced: true,
            },
            Self::PriorityClass => Names {
                kind: "PriorityClass",
                plural: "priorityclasses",
                singular: "priorityclass",
                short: &["pc"],
                namespaced: false,
            },
        }
    }

    /// `kind` in a manifest.
    pub(crate) const fn as_str(self) -> &'static str {
        self.names().kind
    }

    /// The resource name in URLs and error messages.
    pub(crate) const fn plural(self) -> &'static str {
        self.names().plural
    }

    pub(crate) const fn singular(self) -> &'static str {
        self.names().singular
    }

    pub(crate) const fn short_names(self) -> &'static [&'static str] {
        self.names().short
    }

    pub(crate) const fn is_namespaced(self) -> bool {
        self.names().namespaced
    }

    /// API group and version as written in `apiVersion`.
    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::Pod
            | Self::ConfigMap
            | Self::Secret
            | Self::ServiceAccount
            | Self::Event
            | Self::Node
            | Self::Namespace
            | Self::PersistentVolume
            | Self::PersistentVolumeClaim => "v1",
            Self::PodPreset => "settings.k8s.io/v1alpha1",
            Self::PriorityClass => "scheduling.k8s.io/v1",
        }
    }

    /// The API group; empty for the core group.
    pub(crate) fn group(self) -> &'static str {
        self.api_version()
            .split_once('/')
            .map_or("", |(group, _)| group)
    }

    /// The version within the group.
    pub(crate) fn version(self) -> &'static str {
        let api_version = self.api_version();
        api_version
            .split_once('/')
            .map_or(api_version, |(_, version)| version)
    }

    /// The resource name in messages of the API: `pods`, `podpresets.settings.k8s.io`.
    pub(crate) fn qualified_plural(self) -> String {
        self.with_group(self.plural())
    }

    /// The resource name in the output of commands: `pod`, `podpreset.settings.k8s.io`.
    pub(crate) fn qualified_singular(self) -> String {
        self.with_group(self.singular())
    }

    fn with_group(self, name: &str) -> String {
        match self.group() {
            "" => name.to_owned(),
            group => format!("{name}.{group}"),
        }
    }

    pub(crate) fn from_manifest(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.api_version() == api_version && known.as_str() == kind)
    }

    /// Resolves what a user types after `get`: plural, singular, short name, any case; plural and singular
    /// also with the group behind a dot.
    pub(crate) fn from_user(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| {
            let names = kind.names();
            names.plural == word
                || names.singular == word
                || names.short.contains(&word.as_str())
                || kind.qualified_plural() == word
                || kind.qualified_singular() == word
        })
    }

    /// The kind behind a plural of a URL below this group and version (`v1` for the core group).
    pub(crate) fn from_plural(api_version: &str, plural: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.plural() == plural && kind.api_version() == api_version)
    }
}
