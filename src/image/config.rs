use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::ImageConfig;
use super::digest::Digest;
use super::document;
use super::import::architecture;
use crate::base::escaped;

/// Largest image configuration that is read, bytes.
pub(super) const CONFIG_MAX: u64 = 8 << 20;
const LAYERS_MAX: usize = 500;

/// What podtui takes from an OCI image configuration (image-spec `config.md`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParsedConfig {
    pub(super) config: ImageConfig,
    pub(super) raw: Value,
    pub(super) history: Value,
    pub(super) created: Option<Timestamp>,
    /// Lowest first.
    pub(super) diff_ids: Vec<Digest>,
    /// GOARCH; empty where the image does not say.
    pub(super) architecture: String,
}

impl ParsedConfig {
    /// Whether it comes in: an image without an index says only here what it is made for, and containerd refuses
    /// it as well. One that is here already stays usable.
    pub(super) fn check_machine(&self) -> Result<(), String> {
        let made_for = &self.architecture;
        if made_for.is_empty() || runs_here(made_for) {
            return Ok(());
        }
        let this = document::this_machine();
        Err(format!(
            "the image is made for linux/{}, this machine is {this}",
            document::shown(made_for)
        ))
    }
}

/// Programs of the smaller brother run as well.
fn runs_here(made_for: &str) -> bool {
    match architecture() {
        this if this == made_for => true,
        "amd64" => made_for == "386",
        "arm64" => made_for == "arm",
        _ => false,
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    history: Value,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    r#type: String,
    diff_ids: Vec<Digest>,
}

/// Fields may be missing or null; docker writes both.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Properties {
    entrypoint: Option<OneOrMany>,
    cmd: Option<OneOrMany>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    /// The keys count.
    volumes: Option<BTreeMap<String, Value>>,
}

/// Old images hold a plain string where newer ones hold a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(value: Option<Self>) -> Vec<String> {
        match value {
            None => Vec::new(),
            Some(Self::One(text)) => vec![text],
            Some(Self::Many(list)) => list,
        }
    }
}

/// The error says what is wrong with the document; the caller knows which one it is.
pub(super) fn parse(bytes: &[u8]) -> Result<ParsedConfig, String> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| format!("image configuration: {error}"))?;
    if !document.rootfs.r#type.is_empty() && document.rootfs.r#type != "layers" {
        return Err("image configuration: rootfs is not made of layers".to_owned());
    }
    if !document.os.is_empty() && document.os != "linux" {
        let os = escaped(&document.os.chars().take(40).collect::<String>());
        return Err(format!("the image is made for {os}, not for linux"));
    }
    if document.rootfs.diff_ids.len() > LAYERS_MAX {
        return Err(format!(
            "image configuration: more than {LAYERS_MAX} layers"
        ));
    }
    let raw = document.config.unwrap_or(Value::Null);
    let properties = match &raw {
        Value::Null => Properties::default(),
        other => Properties::deserialize(other)
            .map_err(|error| format!("image configuration: {error}"))?,
    };
    Ok(ParsedConfig {
        config: image_config(properties),
        raw,
        history: document.history,
        created: document.created.and_then(|text| text.parse().ok()),
        diff_ids: document.rootfs.diff_ids,
        architecture: document.architecture,
    })
}

fn image_config(properties: Properties) -> ImageConfig {
    // An entry without `=`, or with a NUL, is no variable. Completing it from somewhere would leak the
    // environment of the engine into the container (CVE-2026-57231).
    let well_formed = |entry: &String| {
        entry
            .split_once('=')
            .is_some_and(|(name, _)| !name.is_empty())
            && !entry.contains('\0')
    };
    ImageConfig {
        entrypoint: OneOrMany::list(properties.entrypoint),
        cmd: OneOrMany::list(properties.cmd),
        env: properties
            .env
            .unwrap_or_default()
            .into_iter()
            .filter(well_formed)
            .collect(),
        working_dir: properties.working_dir.unwrap_or_default(),
        user: properties.user.unwrap_or_default(),
        stop_signal: properties.stop_signal.filter(|signal| !signal.is_empty()),
        volumes: volumes(&properties.volumes.unwrap_or_default()),
    }
}

/// From the root, and no way leads above it (CVE-2022-23648); the root itself is no volume.
fn volumes(table: &BTreeMap<String, Value>) -> Vec<String> {
    let clean = |path: &String| {
        let mut steps: Vec<&str> = Vec::new();
        for step in path.split('/') {
            match step {
                "" | "." => {}
                ".." => drop(steps.pop()),
                name => steps.push(name),
            }
        }
        let usable = !steps.is_empty() && !path.contains('\0');
        usable.then(|| format!("/{}", steps.join("/")))
    };
    let paths: BTreeSet<String> = table.keys().filter_map(clean).collect();
    paths.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(config: Value) -> Result<ParsedConfig, String> {
        let diff_id = format!("sha256:{}", "1".repeat(64));
        let document = json!({"os": "linux", "created": "2024-01-02T03:04:05Z", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
        parse(document.to_string().as_bytes())
    }

    #[test]
    fn known_fields_are_honoured_and_bad_variables_dropped() {
        let found = parsed(json!({"Entrypoint": ["/e"], "Cmd": "c", "WorkingDir": "/w", "User": "7:8",
            "StopSignal": "SIGQUIT", "Env": ["A=b", "HOME", "*", "=x", "N=\0", "E="], "Labels": {"x": "y"},
            "Volumes": {"/data/": {}, "b/../c": null, "../../etc/x": {}, "/": {}, "/c": {}}}))
        .unwrap();
        assert_eq!(
            found.config,
            ImageConfig {
                entrypoint: vec!["/e".to_owned()],
                cmd: vec!["c".to_owned()],
                env: vec!["A=b".to_owned(), "E=".to_owned()],
                working_dir: "/w".to_owned(),
                user: "7:8".to_owned(),
                stop_signal: Some("SIGQUIT".to_owned()),
                volumes: ["/c", "/data", "/etc/x"].map(str::to_owned).to_vec(),
            }
        );
        assert_eq!(found.raw["Labels"]["x"], "y");
        assert!(found.created.is_some());
        let bare = parsed(json!({"Cmd": null, "Entrypoint": null})).unwrap();
        assert_eq!(bare.config, ImageConfig::default());
        assert_eq!(parsed(Value::Null).unwrap().config, ImageConfig::default());
    }

    #[test]
    fn other_documents_are_refused() {
        let check = |text: &str| assert!(parse(text.as_bytes()).is_err(), "{text}");
        check("{}");
        check("[]");
        check(r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#);
        check(r#"{"os":"windows","rootfs":{"diff_ids":[]}}"#);
        check(&format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)));
    }
}
