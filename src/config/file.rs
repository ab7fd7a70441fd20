use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::Deserialize;

use super::eviction::EvictionTable;
use super::images::{ImagesTable, RegistryTable};
use super::mistake::line_and_column;
use super::settings::{ConfigError, OnExit};

/// `config.toml` as written.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) run_dir: Option<PathBuf>,
    pub(super) log_level: Option<String>,
    pub(super) on_exit: Option<OnExit>,
    pub(super) node: Node,
    pub(super) network: Network,
    pub(super) container_logs: ContainerLogs,
    pub(super) cgroup: Cgroup,
    pub(super) pods: Pods,
    pub(super) eviction: EvictionTable,
    pub(super) screen: Screen,
    pub(super) images: ImagesTable,
    /// By host.
    pub(super) registries: BTreeMap<String, RegistryTable>,
}

/// What the screen is told; it takes changes over while it runs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Screen {
    /// A theme of the binary, or the name of a file in `themes/` without `.toml`.
    pub(crate) theme: Option<String>,
    /// Ring the bell of the terminal when a pod gets into trouble.
    pub(crate) bell: bool,
    /// Show a notification of the desktop then (OSC 9), where the terminal can.
    pub(crate) notify: bool,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) max_pods: Option<std::num::NonZeroU32>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Network {
    pub(super) pod_range: Option<Ipv4Net>,
    pub(super) cluster_dns: Vec<IpAddr>,
    pub(super) cluster_domain: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ContainerLogs {
    /// Bytes, or a quantity such as `10Mi`.
    pub(super) max_size: Option<Size>,
    pub(super) max_files: Option<u32>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cgroup {
    /// A group below the mount points, e.g. `/podtui`.
    pub(super) root: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pods {
    /// -1: no limit.
    pub(super) pids_limit: Option<i64>,
    /// Names, or beginnings of names that end with `*`.
    pub(super) allowed_unsafe_sysctls: Vec<String>,
}

/// A number of bytes, written as a number or with one of the suffixes Ki, Mi, Gi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Size {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, shift) = [("Ki", 10), ("Mi", 20), ("Gi", 30)]
            .into_iter()
            .find_map(|(suffix, shift)| text.strip_suffix(suffix).map(|digits| (digits, shift)))
            .unwrap_or((text, 0));
        let number: u64 = digits.parse().ok()?;
        number.checked_mul(1 << shift).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of bytes such as 10485760 or \"10Mi\"")
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// The text of the file; a missing one is empty.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ConfigError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let (line, column) = line_and_column(text, offset);
        ConfigError::Parse {
            path: path.to_owned(),
            line,
            column,
            message: error.message().to_owned(),
        }
    })
}
