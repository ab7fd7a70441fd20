//! The part of `config.toml` that concerns images: `[images]` and `[registries."HOST"]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::mistake::At;
use super::settings::ConfigError;

/// How images are pulled and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Images {
    /// Pulls beside each other; 1 serialises them, as the kubelet does by default.
    pub(crate) pulls_at_once: usize,
    /// Pulls that pods may begin per second, 0 = without limit, and at once after a rest.
    pub(crate) pull_qps: u32,
    pub(crate) pull_burst: u32,
    /// Percent of the disk at which unused images go, and down to which.
    pub(crate) gc_high: u8,
    pub(crate) gc_low: u8,
    /// Seconds an image stays at least; seconds unused after which it goes, `None` = never.
    pub(crate) gc_minimum_age: u64,
    pub(crate) gc_maximum_age: Option<u64>,
}

/// How one registry is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) mirrors: Vec<String>,
    pub(crate) plain_http: bool,
    pub(crate) insecure: bool,
    pub(crate) ca_file: Option<PathBuf>,
}

/// `[images]` as written.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ImagesTable {
    parallel_pulls: Option<usize>,
    registry_pull_qps: Option<u32>,
    registry_burst: Option<u32>,
    gc_high_threshold: Option<u8>,
    gc_low_threshold: Option<u8>,
    gc_minimum_age_seconds: Option<u64>,
    gc_maximum_age_seconds: Option<u64>,
}

/// `[registries."HOST"]` as written.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RegistryTable {
    mirrors: Vec<String>,
    plain_http: bool,
    insecure: bool,
    ca_file: Option<PathBuf>,
}

const PULLS_MAX: usize = 32;

pub(super) fn images(path: &Path, table: ImagesTable) -> Result<Images, ConfigError> {
    let refuse = |key: &str, value: String, problem| {
        Err(ConfigError::Value {
            path: path.to_owned(),
            at: At::default(),
            key: format!("images.{key}"),
            value,
            problem,
        })
    };
    let images = Images {
        pulls_at_once: table.parallel_pulls.unwrap_or(1),
        pull_qps: table.registry_pull_qps.unwrap_or(5),
        pull_burst: table.registry_burst.unwrap_or(10),
        gc_high: table.gc_high_threshold.unwrap_or(85),
        gc_low: table.gc_low_threshold.unwrap_or(80),
        gc_minimum_age: table.gc_minimum_age_seconds.unwrap_or(120),
        gc_maximum_age: table.gc_maximum_age_seconds.filter(|age| *age > 0),
    };
    if !(1..=PULLS_MAX).contains(&images.pulls_at_once) {
        let value = images.pulls_at_once.to_string();
        return refuse("parallel_pulls", value, "it must be between 1 and 32");
    }
    if images.pull_qps > 0 && images.pull_burst == 0 {
        let problem = "it must be at least 1, or nothing is ever pulled (registry_pull_qps = 0 lifts the limit)";
        return refuse("registry_burst", "0".to_owned(), problem);
    }
    if images.gc_high > 100 {
        let value = images.gc_high.to_string();
        return refuse(
            "gc_high_threshold",
            value,
            "it must be at most 100 (percent)",
        );
    }
    if images.gc_low >= images.gc_high {
        let value = images.gc_low.to_string();
        return refuse(
            "gc_low_threshold",
            value,
            "it must be below gc_high_threshold",
        );
    }
    Ok(images)
}

/// A relative `ca_file` starts in the directory of the configuration.
pub(super) fn registries(
    path: &Path,
    tables: BTreeMap<String, RegistryTable>,
) -> Result<BTreeMap<String, Registry>, ConfigError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut found = BTreeMap::new();
    for (host, table) in tables {
        let refuse = |key: &str, value: &str, problem| {
            Err(ConfigError::Value {
                path: path.to_owned(),
                at: At::default(),
                key: format!("registries.{host:?}{key}"),
                value: format!("{value:?}"),
                problem,
            })
        };
        if !is_host(&host) {
            return refuse("", &host, "it must be HOST or HOST:PORT, as in image names");
        }
        for mirror in &table.mirrors {
            let mirror_host = mirror.split('/').next().unwrap_or_default();
            if !is_host(mirror_host) {
                let problem = "it must be HOST[:PORT][/PATH], without http:// (plain_http belongs to the table of that host)";
                return refuse(".mirrors", mirror, problem);
            }
        }
        if table.plain_http && (table.insecure || table.ca_file.is_some()) {
            let problem = "without TLS (plain_http) there is no certificate to accept";
            return refuse("", "plain_http", problem);
        }
        let registry = Registry {
            mirrors: table.mirrors,
            plain_http: table.plain_http,
            insecure: table.insecure,
            ca_file: table.ca_file.map(|file| directory.join(file)),
        };
        // Images never carry the hub's other names, so nothing would ever come of such a table.
        let host = match host.as_str() {
            "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
            _ => host,
        };
        if found.insert(host.clone(), registry).is_some() {
            return Err(ConfigError::Value {
                path: path.to_owned(),
                at: At::default(),
                key: format!("registries.{host:?}"),
                value: format!("{host:?}"),
                problem: "it is there twice, under two of its names",
            });
        }
    }
    Ok(found)
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && !text.contains("://")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        && !text.ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Registry>, ConfigError> {
        let path = Path::new("/c/config.toml");
        registries(path, file::parse(path, text)?.registries)
    }

    #[test]
    fn registries_have_their_own_tables() {
        let found = read(
            "[registries.\"docker.io\"]\nmirrors = [\"127.0.0.1:5000/hub\"]\n[registries.\"127.0.0.1:5000\"]\nplain_http = true\n\
             [registries.\"r.example\"]\nca_file = \"ca.pem\"\ninsecure = true\n",
        )
        .unwrap();
        assert_eq!(found["docker.io"].mirrors, ["127.0.0.1:5000/hub"]);
        assert!(found["127.0.0.1:5000"].plain_http);
        assert_eq!(
            found["r.example"].ca_file.as_deref(),
            Some(Path::new("/c/ca.pem"))
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_hub_has_one_name() {
        let found = read("[registries.\"registry-1.docker.io\"]\nmirrors = [\"m:1\"]\n").unwrap();
        assert_eq!(found["docker.io"].mirrors, ["m:1"]);
        check_refused(
            "[registries.\"docker.io\"]\n[registries.\"index.docker.io\"]\n",
            "twice",
        );
    }

    #[test]
    fn mistakes_are_named() {
        check_refused("[registries.\"http://a\"]\n", "HOST or HOST:PORT");
        check_refused(
            "[registries.a]\nmirrors = [\"https://b\"]\n",
            "without http://",
        );
        check_refused(
            "[registries.a]\nplain_http = true\ninsecure = true\n",
            "without TLS",
        );
        check_refused("[registries.a]\nplain-http = true\n", "2:1");
    }
}
