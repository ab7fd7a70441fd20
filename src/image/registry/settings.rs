use std::collections::BTreeMap;
use std::path::PathBuf;

/// How registries are reached; keys are hosts as they stand in an image name, with their port if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegistrySettings {
    pub(crate) hosts: BTreeMap<String, HostSettings>,
}

/// Tells other settings when there are any since it was asked last. Asked before every pull, so it is to be quick.
pub(crate) type RegistrySource = Box<dyn Fn() -> Option<RegistrySettings> + Send + Sync>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostSettings {
    /// `host[:port][/path]` of places asked before the registry itself, in this order.
    pub(crate) mirrors: Vec<String>,
    /// No TLS at all.
    pub(crate) plain_http: bool,
    /// TLS with any certificate.
    pub(crate) insecure: bool,
    /// PEM file of authorities trusted beside those of the system.
    pub(crate) ca_file: Option<PathBuf>,
}

impl RegistrySettings {
    pub(super) fn of(&self, host: &str) -> Option<&HostSettings> {
        self.hosts.get(host)
    }

    pub(super) fn is_plain_http(&self, host: &str) -> bool {
        self.of(host).is_some_and(|host| host.plain_http)
    }
}
