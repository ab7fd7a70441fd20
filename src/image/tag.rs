use super::ImageError;
use super::local::{Found, find};
use super::reference::Reference;
use super::store::{Store, StoredImage};

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
    let stored = store.stored(&record.id)?.ok_or_else(missing)?;
    // Whoever had to show credentials for the image has to for the new name as well: they stay with it.
    let image = StoredImage {
        names: vec![tagged.clone()],
        ..stored
    };
    store.enter(&lock, image)?;
    Ok(vec![tagged])
}
