use super::ImageError;
use super::local::{Found, find};
use super::store::Store;
use super::tag::named_by;

/// Takes a name away, and the image with it when that was its last one. Naming an image by ID takes all
/// of it, with `force` also one of several names. Returns the names and IDs that are gone.
pub(super) fn remove(
    store: &Store,
    text: &str,
    force: bool,
    users: &[String],
) -> Result<Vec<String>, ImageError> {
    let lock = store.lock()?;
    let Found::Image(record) = find(store, text)? else {
        return Err(ImageError::NotFound(text.to_owned()));
    };
    let name = named_by(text, &record.names);
    let keeps_others = name.is_some() && record.names.len() > 1;
    // A pod holds the image, not the name: taking one of several names hurts nobody.
    if !users.is_empty() && !force && !keeps_others {
        return Err(ImageError::InUse {
            name: text.to_owned(),
            users: users.join(", "),
        });
    }
    let id = record.id.clone();
    if name.is_none() && record.names.len() > 1 && !force {
        return Err(ImageError::SeveralNames {
            id: text.to_owned(),
            names: record.names.join(", "),
        });
    }
    if let (true, Some(name)) = (keeps_others, name) {
        store.change(&lock, |images| {
            for image in images.iter_mut() {
                image.names.retain(|known| *known != name);
            }
        })?;
        return Ok(vec![name]);
    }
    store.change(&lock, |images| {
        images.retain(|image| image.id.to_string() != id)
    })?;
    let mut gone = record.names;
    gone.push(id);
    Ok(gone)
}
