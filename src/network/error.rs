use std::path::PathBuf;

use ipnet::Ipv4Net;

#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The range the user configured is already routed elsewhere.
    #[error(
        "pod address range {range} overlaps {used}, which this machine already uses: configure another range"
    )]
    RangeInUse { range: Ipv4Net, used: Ipv4Net },
    #[error(
        "pod address range {0} has no room for a gateway and a pod: use a prefix of /29 or shorter"
    )]
    RangeTooSmall(Ipv4Net),
    /// Every default range overlaps something.
    #[error("every range in {0} overlaps a network of this machine: configure a pod address range")]
    NoFreeRange(Ipv4Net),
    #[error("all {addresses} addresses of {range} are in use")]
    Exhausted { range: Ipv4Net, addresses: u32 },
    /// Kubernetes' words (`setHostnameAsFQDN`).
    #[error(
        "failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long (64 characters is the max, {length} characters requested)"
    )]
    FqdnTooLong { fqdn: String, length: usize },
}
