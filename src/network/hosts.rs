use std::net::IpAddr;

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::NetworkError;

/// Longest kernel host name a pod gets without asking for one (Linux allows 64, sethostname(2)).
const SHORT_MAX: usize = 63;
const FQDN_MAX: usize = 64;

const HEADER: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost \
ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
const HOST_NETWORK_HEADER: &str = "# Kubernetes-managed hosts file (host network).\n";
const ALIASES_HEADER: &str = "\n# Entries added by HostAliases.\n";

/// The names of a pod (kubernetes-semantics §9.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hostname {
    /// Goes to sethostname(2), `/etc/hostname` and the variable `HOSTNAME`.
    pub(crate) kernel: String,
    /// First label of [`Self::fqdn`].
    short: String,
    /// Only with a `subdomain`.
    pub(crate) fqdn: Option<String>,
}

impl Hostname {
    /// `node` is the host name of the machine, `domain` the cluster domain (`cluster.local`).
    pub(crate) fn of(pod: &Pod, node: &str, domain: &str) -> Result<Self, NetworkError> {
        let spec = pod.spec.as_ref();
        if spec.and_then(|spec| spec.host_network) == Some(true) {
            return Ok(Self::plain(node.to_owned()));
        }
        let text = |field: Option<&String>| field.filter(|text| !text.is_empty()).cloned();
        if let Some(name) = text(spec.and_then(|spec| spec.hostname_override.as_ref())) {
            return Ok(Self::plain(name.chars().take(SHORT_MAX).collect()));
        }
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let short =
            text(spec.and_then(|spec| spec.hostname.as_ref())).unwrap_or_else(|| truncated(name));
        let Some(subdomain) = text(spec.and_then(|spec| spec.subdomain.as_ref())) else {
            return Ok(Self::plain(short));
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let fqdn = format!("{short}.{subdomain}.{namespace}.svc.{domain}");
        let as_fqdn = spec.and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
        if as_fqdn && fqdn.len() > FQDN_MAX {
            let length = fqdn.len();
            return Err(NetworkError::FqdnTooLong { fqdn, length });
        }
        Ok(Self {
            kernel: if as_fqdn { fqdn.clone() } else { short.clone() },
            short,
            fqdn: Some(fqdn),
        })
    }

    fn plain(name: String) -> Self {
        Self {
            kernel: name.clone(),
            short: name,
            fqdn: None,
        }
    }
}

/// The pod's name as its host name: at most 63 characters, not ending with `-` or `.`.
fn truncated(name: &str) -> String {
    let cut: String = name.chars().take(SHORT_MAX).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// Text of `/etc/hosts`. `node_file` is the machine's own file, used only with `hostNetwork`.
pub(crate) fn hosts_file(
    pod: &Pod,
    hostname: &Hostname,
    addresses: &[IpAddr],
    node_file: &str,
) -> String {
    let spec = pod.spec.as_ref();
    let aliases = spec
        .and_then(|spec| spec.host_aliases.as_deref())
        .unwrap_or_default();
    let mut text = if spec.and_then(|spec| spec.host_network) == Some(true) {
        let mut text = format!("{HOST_NETWORK_HEADER}{node_file}");
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    } else {
        own_entries(hostname, addresses)
    };
    push_aliases(&mut text, aliases);
    text
}

fn own_entries(hostname: &Hostname, addresses: &[IpAddr]) -> String {
    let mut text = HEADER.to_owned();
    for address in addresses {
        let names = match &hostname.fqdn {
            Some(fqdn) => format!("{fqdn}\t{}", hostname.short),
            None => hostname.kernel.clone(),
        };
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text
}

fn push_aliases(text: &mut String, aliases: &[HostAlias]) {
    if aliases.is_empty() {
        return;
    }
    text.push_str(ALIASES_HEADER);
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).unwrap()
    }

    #[track_caller]
    fn check_name(spec: serde_json::Value, name: &str, kernel: &str, fqdn: Option<&str>) {
        let pod =
            pod(serde_json::json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}));
        let found = Hostname::of(&pod, "node1", "cluster.local").unwrap();
        assert_eq!(
            (found.kernel.as_str(), found.fqdn.as_deref()),
            (kernel, fqdn)
        );
    }

    #[test]
    fn host_names() {
        use serde_json::json;
        let containers = json!([]);
        check_name(json!({"containers": containers}), "web", "web", None);
        let long = format!("{}-.x", "a".repeat(62));
        check_name(json!({"containers": []}), &long, &"a".repeat(62), None);
        check_name(json!({"containers": [], "hostname": "h"}), "web", "h", None);
        check_name(
            json!({"containers": [], "hostname": "h", "subdomain": "s"}),
            "web",
            "h",
            Some("h.s.ns.svc.cluster.local"),
        );
        check_name(
            json!({"containers": [], "subdomain": "s", "setHostnameAsFQDN": true}),
            "web",
            "web.s.ns.svc.cluster.local",
            Some("web.s.ns.svc.cluster.local"),
        );
        check_name(
            json!({"containers": [], "hostNetwork": true}),
            "web",
            "node1",
            None,
        );
        check_name(
            json!({"containers": [], "hostnameOverride": "x.y", "subdomain": "s"}),
            "web",
            "x.y",
            None,
        );
    }

    #[test]
    fn a_long_fqdn_is_refused_in_kubernetes_words() {
        let pod = pod(
            serde_json::json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
            "containers": [], "hostname": "h", "subdomain": "s".repeat(60), "setHostnameAsFQDN": true}}),
        );
        let error = Hostname::of(&pod, "n", "cluster.local")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!(
                "failed to construct FQDN from pod hostname and cluster domain, FQDN \
                 h.{}.ns.svc.cluster.local is too long (64 characters is the max, 83 characters requested)",
                "s".repeat(60)
            )
        );
    }

    #[test]
    fn hosts_texts() {
        let plain = pod(
            serde_json::json!({"metadata": {"name": "mypod", "namespace": "ns"},
            "spec": {"containers": [], "hostAliases": [
                {"ip": "127.0.0.1", "hostnames": ["foo.local", "bar.local"]}]}}),
        );
        let name = Hostname::of(&plain, "n", "cluster.local").unwrap();
        let address: IpAddr = "10.244.0.5".parse().unwrap();
        assert_eq!(
            hosts_file(&plain, &name, &[address], "ignored"),
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n\
             fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n10.244.0.5\tmypod\n\n\
             # Entries added by HostAliases.\n127.0.0.1\tfoo.local\tbar.local\n"
        );
        let sub = pod(
            serde_json::json!({"metadata": {"name": "p", "namespace": "ns"},
            "spec": {"containers": [], "hostname": "host", "subdomain": "sub"}}),
        );
        let name = Hostname::of(&sub, "n", "cluster.local").unwrap();
        assert!(
            hosts_file(&sub, &name, &[address], "")
                .ends_with("10.244.0.5\thost.sub.ns.svc.cluster.local\thost\n")
        );
        let host = pod(serde_json::json!({"metadata": {"name": "p"},
            "spec": {"containers": [], "hostNetwork": true}}));
        let name = Hostname::of(&host, "n", "d").unwrap();
        assert_eq!(
            hosts_file(&host, &name, &[address], "1.2.3.4 x"),
            "# Kubernetes-managed hosts file (host network).\n1.2.3.4 x\n"
        );
    }
}
