use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::command::expand;
use crate::image::ImageConfig;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables that `env` of the container defines; `$(VAR)` in a value sees the ones before it.
/// A variable with `valueFrom` is not implemented yet: it is absent, and the pod gets a Warning event.
pub(super) fn declared(container: &Container) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        if variable.value_from.is_some() {
            continue;
        }
        let value = expand(variable.value.as_deref().unwrap_or_default(), &variables);
        variables.insert(variable.name.clone(), value);
    }
    variables
}

/// The whole environment in the order of a CRI runtime: PATH, TERM, HOSTNAME, the image's, the container's;
/// a later definition replaces an earlier one in place.
pub(super) fn environment(
    container: &Container,
    image: &ImageConfig,
    hostname: &str,
    declared: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut list: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match list.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => list.push((name.to_owned(), value.to_owned())),
    };
    set("PATH", DEFAULT_PATH);
    if container.tty == Some(true) {
        set("TERM", "xterm");
    }
    set("HOSTNAME", hostname);
    for (name, value) in image.env.iter().filter_map(|entry| entry.split_once('=')) {
        set(name, value);
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = declared.get(&variable.name) {
            set(&variable.name, value);
        }
    }
    list.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::EnvVar;

    use super::*;

    #[track_caller]
    fn check(env: &[(&str, &str)], image: &[&str], tty: bool, expected: &[&str]) {
        let container = Container {
            tty: Some(tty),
            env: Some(
                env.iter()
                    .map(|&(name, value)| EnvVar {
                        name: name.to_owned(),
                        value: Some(value.to_owned()),
                        value_from: None,
                    })
                    .collect(),
            ),
            ..Container::default()
        };
        let image = ImageConfig {
            env: image.iter().map(|&entry| entry.to_owned()).collect(),
            ..ImageConfig::default()
        };
        let declared = declared(&container);
        let mut expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
        if !expected.iter().any(|entry| entry.starts_with("PATH=")) {
            expected.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        assert_eq!(environment(&container, &image, "h", &declared), expected);
    }

    #[test]
    fn order_and_overrides() {
        check(&[], &[], false, &["HOSTNAME=h"]);
        check(&[], &[], true, &["TERM=xterm", "HOSTNAME=h"]);
        check(
            &[],
            &["PATH=/bin", "A=1"],
            false,
            &["PATH=/bin", "HOSTNAME=h", "A=1"],
        );
        check(
            &[
                ("A", "2"),
                ("B", "x$(A)"),
                ("A", "3"),
                ("C", "$(LATER)"),
                ("LATER", "l"),
            ],
            &["A=1"],
            false,
            &["HOSTNAME=h", "A=3", "B=x2", "C=$(LATER)", "LATER=l"],
        );
    }
}
