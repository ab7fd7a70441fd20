use super::Kind;

/// A part of an object that is written by a path of its own, which changes nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    /// What is reported about an object, by others than the engine: conditions of readiness gates of a pod, and
    /// the extended resources of a node.
    Status,
    /// Adds ephemeral containers to a pod.
    EphemeralContainers,
    /// CPU and memory of the containers of a running pod.
    Resize,
}

impl Subresource {
    pub(crate) const ALL: [Self; 3] = [Self::EphemeralContainers, Self::Resize, Self::Status];

    /// The last segment of its path.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == text)
    }

    /// Whether objects of this kind can be written by this path.
    pub(crate) const fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Status => matches!(kind, Kind::Pod | Kind::Node),
            Self::EphemeralContainers | Self::Resize => matches!(kind, Kind::Pod),
        }
    }
}
