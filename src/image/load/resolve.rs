use super::source::Source;
use super::work::Result;
use crate::image::config::CONFIG_MAX;
use crate::image::document::{
    Descriptor, Document, MANIFEST_MAX, Manifest, NESTING_MAX, choose, parse, platforms,
};

/// The blob of a descriptor, its size and digest verified.
pub(super) fn read_blob(source: &Source, descriptor: &Descriptor, max: u64) -> Result<Vec<u8>> {
    let name = descriptor.member();
    let bytes = source.read(&name, max)?;
    descriptor.verify(&bytes, &name)?;
    Ok(bytes)
}

pub(super) fn read_config(source: &Source, descriptor: &Descriptor) -> Result<Vec<u8>> {
    read_blob(source, descriptor, CONFIG_MAX)
}

/// `index.json` of a layout.
pub(super) fn read_index(source: &Source) -> Result<Vec<Descriptor>> {
    let bytes = source.read("index.json", MANIFEST_MAX)?;
    match parse(&bytes, "", "index.json")? {
        Document::Index(list) => Ok(list),
        Document::Manifest(_) => Err("index.json is a manifest".to_owned()),
    }
}

/// What is behind a descriptor.
pub(super) enum Behind {
    Manifest(Manifest),
    /// An index without an image for this machine, and what it has instead, for a message.
    Others(String),
}

/// The manifest for this machine behind a descriptor.
pub(super) fn resolve(source: &Source, descriptor: &Descriptor) -> Result<Behind> {
    let mut current = descriptor.clone();
    for _ in 0..=NESTING_MAX {
        let name = current.member();
        let bytes = read_blob(source, &current, MANIFEST_MAX)?;
        match parse(&bytes, &current.media_type, &name)? {
            Document::Manifest(manifest) => return Ok(Behind::Manifest(manifest)),
            Document::Index(list) => match choose(&list) {
                Some(chosen) => current = chosen.clone(),
                None => return Ok(Behind::Others(platforms(&list))),
            },
        }
    }
    Err(format!(
        "an index inside an index, more than {NESTING_MAX} deep"
    ))
}
