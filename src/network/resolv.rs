use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

use super::NetworkError;

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

/// The DNS service of the cluster; `servers` is empty as long as there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterDns {
    pub(crate) domain: String,
    pub(crate) servers: Vec<IpAddr>,
}

/// A Warning event that the owner of the pod should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    pub(crate) text: String,
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Debug, Default)]
struct Config {
    searches: Vec<String>,
    nameservers: Vec<String>,
    /// Name and value; later ones replace earlier ones of the same name.
    options: Vec<(String, Option<String>)>,
}

/// The machine's resolver configuration as a pod can use it. A stub resolver on a loopback address (as
/// systemd-resolved writes it) answers only in the machine's own network namespace, so the list behind
/// it is taken where there is one. A machine without a configuration has an empty one.
pub(crate) fn node_resolv_conf(root: &Path) -> Result<String, NetworkError> {
    let main = read_optional(&root.join("etc/resolv.conf"))?;
    let servers = Config::parse(&main).nameservers;
    let is_loopback = |text: &String| {
        text.parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    };
    if !servers.is_empty() && servers.iter().all(is_loopback) {
        let upstream = read_optional(&root.join("run/systemd/resolve/resolv.conf"))?;
        if !upstream.is_empty() {
            return Ok(upstream);
        }
    }
    Ok(main)
}

fn read_optional(path: &Path) -> Result<String, NetworkError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(NetworkError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Text of `/etc/resolv.conf` (kubernetes-semantics §9.4). `node_file` is the machine's own file.
pub(crate) fn resolv_conf(pod: &Pod, node_file: &str, cluster: &ClusterDns) -> ResolvConf {
    let mut warnings = Vec::new();
    let mut config = base_config(pod, node_file, cluster, &mut warnings);
    if let Some(own) = pod.spec.as_ref().and_then(|spec| spec.dns_config.as_ref()) {
        config.merge(own);
    }
    config.limit(&mut warnings);
    ResolvConf {
        text: config.render(),
        warnings,
    }
}

fn base_config(
    pod: &Pod,
    node_file: &str,
    cluster: &ClusterDns,
    warnings: &mut Vec<Warning>,
) -> Config {
    let spec = pod.spec.as_ref();
    let policy = spec
        .and_then(|spec| spec.dns_policy.as_deref())
        .unwrap_or("ClusterFirst");
    let host_network = spec.and_then(|spec| spec.host_network) == Some(true);
    match policy {
        "None" => Config::default(),
        "ClusterFirst" if host_network => Config::parse(node_file),
        "ClusterFirst" | "ClusterFirstWithHostNet" if cluster.servers.is_empty() => {
            warnings.push(missing_cluster_dns(pod));
            Config::parse(node_file)
        }
        "ClusterFirst" | "ClusterFirstWithHostNet" => Config::cluster(pod, node_file, cluster),
        _ => Config::parse(node_file),
    }
}

/// The kubelet names this policy, whichever of the two the pod has.
fn missing_cluster_dns(pod: &Pod) -> Warning {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (name, namespace, uid) = (text(&meta.name), text(&meta.namespace), text(&meta.uid));
    Warning {
        reason: "MissingClusterDNS",
        message: format!(
            "pod: \"{name}_{namespace}({uid})\". kubelet does not have ClusterDNS IP configured and cannot \
             create Pod using \"ClusterFirst\" policy. Falling back to \"Default\" policy."
        ),
    }
}

impl Config {
    /// Reads resolv.conf(5). `domain` and the last `search` line win; unknown keywords are left out.
    fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            let owned = |word: &str| word.to_owned();
            match words.next() {
                Some("nameserver") => config.nameservers.extend(words.next().map(owned)),
                Some("search" | "domain") => {
                    config.searches = words
                        .map(|word| {
                            let bare = word.trim_end_matches('.');
                            if bare.is_empty() { "." } else { bare }.to_owned()
                        })
                        .collect();
                }
                Some("options") => {
                    for word in words {
                        match word.split_once(':') {
                            Some((name, value)) => config.set_option(name, Some(value.to_owned())),
                            None => config.set_option(word, None),
                        }
                    }
                }
                _ => {}
            }
        }
        config
    }

    fn cluster(pod: &Pod, node_file: &str, cluster: &ClusterDns) -> Self {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let domain = &cluster.domain;
        let mut searches = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.clone(),
        ];
        append_new(&mut searches, Self::parse(node_file).searches);
        Self {
            searches,
            nameservers: cluster.servers.iter().map(ToString::to_string).collect(),
            options: vec![("ndots".to_owned(), Some("5".to_owned()))],
        }
    }

    fn merge(&mut self, own: &PodDNSConfig) {
        append_new(
            &mut self.nameservers,
            own.nameservers.clone().unwrap_or_default(),
        );
        append_new(&mut self.searches, own.searches.clone().unwrap_or_default());
        for option in own.options.iter().flatten() {
            if let Some(name) = &option.name {
                self.set_option(name, option.value.clone());
            }
        }
    }

    fn set_option(&mut self, name: &str, value: Option<String>) {
        match self.options.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.options.push((name.to_owned(), value)),
        }
    }

    fn limit(&mut self, warnings: &mut Vec<Warning>) {
        let mut warn = |message: String| {
            warnings.push(Warning {
                reason: "DNSConfigForming",
                message,
            });
        };
        if self.nameservers.len() > MAX_NAMESERVERS {
            self.nameservers.truncate(MAX_NAMESERVERS);
            warn(format!(
                "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver \
                 line is: {}",
                self.nameservers.join(" ")
            ));
        }
        let before = self.searches.len();
        self.searches.truncate(MAX_SEARCHES);
        while self.searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
            self.searches.pop();
        }
        if self.searches.len() < before {
            warn(format!(
                "Search Line limits were exceeded, some search paths have been omitted, the applied search line \
                 is: {}",
                self.searches.join(" ")
            ));
        }
    }

    fn render(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.nameservers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            let words: Vec<String> = self
                .options
                .iter()
                .map(|(name, value)| match value {
                    Some(value) if !value.is_empty() => format!("{name}:{value}"),
                    _ => name.clone(),
                })
                .collect();
            text.push_str(&format!("options {}\n", words.join(" ")));
        }
        text
    }
}

/// Appends what is not there yet, in order.
fn append_new(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NODE: &str =
        "# c\nsearch lan. corp\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions edns0 timeout:2\n";

    fn conf(spec: Value, cluster: &[&str], node: &str) -> ResolvConf {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u1"}, "spec": spec}),
        )
        .unwrap();
        let cluster = ClusterDns {
            domain: "cluster.local".to_owned(),
            servers: cluster.iter().map(|text| text.parse().unwrap()).collect(),
        };
        resolv_conf(&pod, node, &cluster)
    }

    #[track_caller]
    fn check(spec: Value, cluster: &[&str], text: &str) {
        let found = conf(spec, cluster, NODE);
        assert_eq!((found.text.as_str(), found.warnings), (text, vec![]));
    }

    #[test]
    fn policies() {
        let dns = ["10.96.0.10"];
        let node =
            "search lan corp\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions edns0 timeout:2\n";
        let cluster = "search ns.svc.cluster.local svc.cluster.local cluster.local lan corp\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";
        check(json!({"dnsPolicy": "ClusterFirst"}), &dns, cluster);
        check(json!({"dnsPolicy": "Default"}), &dns, node);
        check(
            json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
            &dns,
            node,
        );
        check(
            json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
            &[],
            node,
        );
        check(
            json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}),
            &dns,
            cluster,
        );
        check(
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["a"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
            &dns,
            "search a\nnameserver 9.9.9.9\noptions ndots:2 edns0\n",
        );
        check(
            json!({"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["1.1.1.1", "9.9.9.9"],
                "searches": ["corp", "b"], "options": [{"name": "timeout", "value": "7"}]}}),
            &dns,
            "search lan corp b\nnameserver 1.1.1.1\nnameserver 8.8.8.8\nnameserver 9.9.9.9\noptions edns0 timeout:7\n",
        );
    }

    #[test]
    fn without_cluster_dns_the_node_answers_and_the_user_hears_of_it() {
        for policy in ["ClusterFirst", "ClusterFirstWithHostNet"] {
            let found = conf(json!({"dnsPolicy": policy}), &[], NODE);
            assert!(found.text.contains("nameserver 1.1.1.1"));
            assert_eq!(found.warnings, [missing()], "{policy}");
        }
    }

    fn missing() -> Warning {
        Warning {
                reason: "MissingClusterDNS",
                message: "pod: \"p_ns(u1)\". kubelet does not have ClusterDNS IP configured and cannot create Pod \
                          using \"ClusterFirst\" policy. Falling back to \"Default\" policy."
                    .to_owned(),
            }
    }

    #[test]
    fn a_loopback_stub_is_looked_behind() {
        let root = tempfile::tempdir().unwrap();
        let conf = || node_resolv_conf(root.path()).unwrap();
        assert_eq!(conf(), "");
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::write(
            root.path().join("etc/resolv.conf"),
            "nameserver 127.0.0.53\n",
        )
        .unwrap();
        assert_eq!(conf(), "nameserver 127.0.0.53\n");
        std::fs::create_dir_all(root.path().join("run/systemd/resolve")).unwrap();
        std::fs::write(root.path().join("run/systemd/resolve/resolv.conf"), NODE).unwrap();
        assert_eq!(conf(), NODE);
    }

    #[test]
    fn limits_cut_and_warn() {
        let spec = json!({"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["2.2.2.2", "3.3.3.3"],
            "searches": (0..40).map(|n| format!("{n}{}", "x".repeat(80))).collect::<Vec<_>>()}});
        let found = conf(spec, &[], NODE);
        assert_eq!(found.text.matches("nameserver ").count(), 3);
        let search = found.text.lines().next().unwrap();
        assert!(
            search.len() <= MAX_SEARCH_CHARACTERS + "search ".len(),
            "{}",
            search.len()
        );
        let messages: Vec<&str> = found
            .warnings
            .iter()
            .map(|warning| warning.message.as_str())
            .collect();
        assert!(
            messages[0].ends_with("line is: 1.1.1.1 8.8.8.8 2.2.2.2"),
            "{messages:?}"
        );
        assert!(messages[1].starts_with("Search Line limits were exceeded"));
    }
}
