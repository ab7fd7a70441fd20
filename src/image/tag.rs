use super::ImageError;
use super::local::{Found, find};
use super::reference::Reference;
use super::store::{Store, StoredImage};
use super::toolbox;

/// Gives an image one more name; an image that had it loses it. Returns the name in full.
pub(super) fn tag(store: &Store, text: &str, name: &str) -> Result<Vec<String>, ImageError> {
    let reference = Reference::parse(name)?;
    let tagged = reference.tagged().filter(|_| reference.digest().is_none());
    let Some(tagged) = tagged else {
        return Err(ImageError::InvalidName {
            reference: name.to_owned(),
            reason: "an image is named by a tag, a digest cannot be chosen".to_owned(),
        });
    };
    let lock = store.lock()?;
    let missing = || ImageError::NotFound(text.to_owned());
    let Found::Image(record) = find(store, text)? else {
        return Err(missing());
    };
    toolbox::keep(store, std::slice::from_ref(&tagged), &record.id)?;
    let stored = store.stored(&record.id)?.ok_or_else(missing)?;
    // Whoever had to show credentials for the image has to for the new name as well: they stay with it.
    let image = StoredImage {
        names: vec![tagged.clone()],
        ..stored
    };
    store.enter(&lock, image)?;
    Ok(vec![tagged])
}

/// Takes one name away, or all of an image that is given by its ID. Returns the names that are gone.
pub(super) fn untag(store: &Store, text: &str) -> Result<Vec<String>, ImageError> {
    let lock = store.lock()?;
    let Found::Image(record) = find(store, text)? else {
        return Err(ImageError::NotFound(text.to_owned()));
    };
    let named = named_by(text, &record.names);
    let gone = named.map_or_else(|| record.names.clone(), |name| vec![name]);
    store.change(&lock, |images| {
        let image = images
            .iter_mut()
            .find(|image| image.id.to_string() == record.id);
        if let Some(image) = image {
            image.names.retain(|name| !gone.contains(name));
        }
    })?;
    Ok(gone)
}

/// The one of `names` that `text` is; `None` where it is an ID or a digest.
pub(super) fn named_by(text: &str, names: &[String]) -> Option<String> {
    let reference = Reference::parse(text).ok()?;
    reference.tagged().filter(|name| names.contains(name))
}
