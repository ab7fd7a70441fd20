use std::collections::BTreeMap;

use serde::Deserialize;

use super::source::Source;
use super::work::{Candidate, CandidateLayer, Result, fallback_name};
use crate::image::config::CONFIG_MAX;
use crate::image::digest::Digest;
use crate::image::document::shown;
use crate::image::reference::Reference;

const MANIFEST_MAX: u64 = 4 << 20;

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The images of a docker archive (`docker save`).
pub(super) fn candidates(source: &Source, stem: &str) -> Result<Vec<Candidate>> {
    let items = read(source)?;
    if items.is_empty() {
        return Err("manifest.json lists no image".to_owned());
    }
    items
        .into_iter()
        .map(|item| candidate(source, stem, item))
        .collect()
}

/// Names by the digest of the configuration, for archives that have both forms. An archive without
/// `manifest.json`, or with one that cannot be read, gives none.
pub(super) fn names_by_config(source: &Source) -> BTreeMap<Digest, Vec<String>> {
    let items = read(source).unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| {
            let config = source.read(&item.config, CONFIG_MAX).ok()?;
            Some((Digest::of(&config), names(&item)))
        })
        .collect()
}

fn read(source: &Source) -> Result<Vec<Item>> {
    let bytes = source.read("manifest.json", MANIFEST_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| format!("manifest.json: {error}"))
}

fn candidate(source: &Source, stem: &str, item: Item) -> Result<Candidate> {
    let config = source.read(&item.config, CONFIG_MAX)?;
    if let Some(promised) = promised(&item.config) {
        let found = Digest::of(&config);
        if promised != found {
            return Err(format!("{} has the digest {found}", shown(&item.config)));
        }
    }
    let mut names = names(&item);
    if names.is_empty() {
        names.push(fallback_name(stem, None));
    }
    let layers = item
        .layers
        .into_iter()
        .map(|member| {
            let blob = promised_blob(source, &member)?;
            Ok(CandidateLayer { member, blob })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Candidate {
        names,
        repo_digests: Vec::new(),
        config,
        layers,
    })
}

fn names(item: &Item) -> Vec<String> {
    let tags = item.repo_tags.as_deref().unwrap_or_default();
    tags.iter()
        .filter_map(|tag| Reference::parse(tag).ok())
        .filter_map(|reference| reference.tagged())
        .collect()
}

/// A file named after its digest must have it: `<hex>.json` and `blobs/sha256/<hex>`.
fn promised(member: &str) -> Option<Digest> {
    let name = member.strip_prefix("blobs/sha256/").unwrap_or(member);
    let hex = name.strip_suffix(".json").unwrap_or(name);
    Digest::parse(&format!("sha256:{hex}"))
}

fn promised_blob(source: &Source, member: &str) -> Result<Option<(Digest, u64)>> {
    match member.strip_prefix("blobs/").and_then(|_| promised(member)) {
        Some(digest) => Ok(Some((digest, source.member(member)?.size()))),
        None => Ok(None),
    }
}
