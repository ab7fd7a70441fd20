//! `[registries]` of `config.toml`, read anew by whoever pulls after the file has changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::base::chain;
use crate::config::{Registry, Settings};
use crate::image::{HostSettings, RegistrySettings, RegistrySource};

/// What is another after every change of a file: which one it is, how long, and when it was changed.
type Stamp = Option<(u64, u64, i64, i64)>;

pub(super) fn settings(registries: &BTreeMap<String, Registry>) -> RegistrySettings {
    let hosts = registries.iter().map(|(host, registry)| {
        let registry = registry.clone();
        let registry = HostSettings {
            mirrors: registry.mirrors,
            plain_http: registry.plain_http,
            insecure: registry.insecure,
            ca_file: registry.ca_file,
        };
        (host.clone(), registry)
    });
    RegistrySettings {
        hosts: hosts.collect(),
    }
}

/// A look at the file before every pull costs one stat(2), and nothing while nobody pulls. While there is a mistake
/// in the file, what was read before holds.
pub(super) fn source(config_dir: PathBuf) -> RegistrySource {
    let path = config_dir.join("config.toml");
    let stamp = move || -> Stamp {
        let found = std::fs::metadata(&path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    let seen: Mutex<Option<Stamp>> = Mutex::new(None);
    Box::new(move || {
        let now = stamp();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The first one reads in any case: the file may have changed since the engine read it.
        if seen.as_ref() == Some(&now) {
            return None;
        }
        *seen = Some(now);
        drop(seen);
        match Settings::registries_in(&config_dir) {
            Ok(registries) => Some(settings(&registries)),
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the settings of registries stay as they were"
                );
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let source = source(directory.path().to_owned());
        let write = |text: &str| {
            std::fs::write(directory.path().join("config.toml"), text).unwrap();
        };
        let plain = |found: Option<RegistrySettings>| {
            let hosts = found.map(|found| found.hosts.into_keys().collect::<Vec<_>>());
            hosts.map(|hosts| hosts.join(" "))
        };
        assert_eq!(plain(source()).as_deref(), Some(""));
        assert_eq!(plain(source()), None);
        write("[registries.\"a:1\"]\nplain_http = true\n");
        assert_eq!(plain(source()).as_deref(), Some("a:1"));
        assert_eq!(plain(source()), None);
        // A mistake changes nothing, and what mends it counts.
        write("[registries.\"a:1\"]\nplain_http = 7\n");
        assert_eq!(plain(source()), None);
        write("[registries.\"b:22\"]\nplain_http = true\n");
        assert_eq!(plain(source()).as_deref(), Some("b:22"));
    }
}
