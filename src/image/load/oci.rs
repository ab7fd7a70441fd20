use std::collections::BTreeMap;

use super::docker;
use super::resolve::{self, Behind};
use super::source::Source;
use super::work::{Candidate, CandidateLayer, Result, fallback_name};
use crate::image::digest::Digest;
use crate::image::document::{self, Descriptor};
use crate::image::reference::Reference;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The images of an OCI layout for this machine.
pub(super) fn candidates(source: &Source, stem: &str) -> Result<Vec<Candidate>> {
    let index = resolve::read_index(source)?;
    // Docker writes both forms; its older one has the full names.
    let docker_names = docker::names_by_config(source);
    let mut groups: BTreeMap<Vec<String>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in &index {
        groups
            .entry(names_of(descriptor, stem))
            .or_default()
            .push(descriptor.clone());
    }
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for (names, descriptors) in groups {
        let Some(descriptor) = document::choose(&descriptors) else {
            continue;
        };
        let manifest = match resolve::resolve(source, descriptor)? {
            Behind::Manifest(manifest) => manifest,
            Behind::Others(platforms) => {
                others.push(platforms);
                continue;
            }
        };
        let config = resolve::read_config(source, &manifest.config)?;
        let names = match docker_names.get(&Digest::of(&config)) {
            Some(better) if names.is_empty() && !better.is_empty() => better.clone(),
            _ if names.is_empty() => vec![fallback_name(stem, None)],
            _ => names,
        };
        found.push(Candidate {
            repo_digests: repo_digests(&names, &descriptor.digest),
            names,
            config,
            layers: manifest.layers.iter().map(layer).collect(),
        });
    }
    if found.is_empty() {
        if others.is_empty() {
            others.push(document::platforms(&index));
        }
        return Err(format!(
            "it has no image for {}; it has {}",
            document::this_machine(),
            others.join(", ")
        ));
    }
    Ok(found)
}

fn layer(descriptor: &Descriptor) -> CandidateLayer {
    CandidateLayer {
        member: descriptor.member(),
        blob: Some((descriptor.digest.clone(), descriptor.size)),
    }
}

/// A full name, or a bare tag to which the archive's own name is put. Anything else is no name.
fn names_of(descriptor: &Descriptor, stem: &str) -> Vec<String> {
    let full = |text: &str| {
        Reference::parse(text)
            .ok()
            .and_then(|reference| reference.tagged())
    };
    if let Some(name) = descriptor.annotation(CONTAINERD_NAME).and_then(full) {
        return vec![name];
    }
    let Some(text) = descriptor.annotation(REF_NAME) else {
        return Vec::new();
    };
    if text.contains(['/', ':']) {
        return full(text).into_iter().collect();
    }
    full(&fallback_name(stem, Some(text))).into_iter().collect()
}

fn repo_digests(names: &[String], digest: &Digest) -> Vec<String> {
    let mut found: Vec<String> = names
        .iter()
        .filter_map(|name| Reference::parse(name).ok())
        .map(|reference| format!("{}@{digest}", reference.repository()))
        .collect();
    found.dedup();
    found
}
