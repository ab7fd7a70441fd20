//! The list of images, kept up to date while it is open, and the layers of one.

use crate::tui::columns::bytes;
use crate::tui::effect::Effect;
use crate::tui::images::{Images, name_of, step_items, steps};
use crate::tui::model::Model;
use crate::tui::overlay::{Feed, Overlay, Picker, TextBox};

pub(super) fn open(model: &mut Model) {
    model.images = Images::default();
    let mut picker = Picker::new(model.images.title(), Vec::new());
    picker.feed = Feed::Images;
    model.overlays.push(Overlay::Picker(picker));
}

/// News of the engine; the chosen image stays chosen.
pub(super) fn on_news(model: &mut Model, images: Images) {
    model.images = images;
    let (title, items) = (model.images.title(), model.images.items());
    for overlay in &mut model.overlays {
        let Overlay::Picker(picker) = overlay else {
            continue;
        };
        if picker.feed != Feed::Images {
            continue;
        }
        let chosen = picker
            .matching()
            .get(picker.selected)
            .map(|item| item.key.clone());
        picker.items.clone_from(&items);
        picker.title.clone_from(&title);
        let matching = picker.matching();
        let place = matching
            .iter()
            .position(|item| Some(&item.key) == chosen.as_ref());
        let last = matching.len().saturating_sub(1);
        picker.selected = place.unwrap_or(picker.selected).min(last);
    }
}

/// Asked of the engine only while somebody looks.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let is_open = model
        .overlays
        .iter()
        .any(|overlay| matches!(overlay, Overlay::Picker(picker) if picker.feed == Feed::Images));
    if model.pending.is_images_polled != is_open {
        model.pending.is_images_polled = is_open;
        effects.push(Effect::PollImages(is_open));
    }
}

pub(super) fn open_layers(model: &mut Model, index: usize) {
    let Some(image) = model.images.all.get(index) else {
        return;
    };
    let steps = steps(image);
    let title = format!(
        "layers of {}, the first at the bottom of the file system",
        name_of(image)
    );
    let mut picker = Picker::new(title, step_items(&steps));
    picker.feed = Feed::Layers(image.id.clone());
    model.overlays.push(Overlay::Picker(picker));
}

/// One step in full.
pub(super) fn show_layer(model: &mut Model, index: usize) {
    let Some(Overlay::Picker(picker)) = model.overlays.last() else {
        return;
    };
    let Feed::Layers(id) = &picker.feed else {
        return;
    };
    let Some(image) = model.images.all.iter().find(|image| image.id == *id) else {
        model.complain("the image is gone");
        return;
    };
    let Some(step) = steps(image).into_iter().nth(index) else {
        return;
    };
    let mut lines = vec![step.created_by];
    if let Some(digest) = step.digest {
        let size = step.size.map_or_else(|| "unknown".to_owned(), bytes);
        lines.extend([
            String::new(),
            format!("size    {size}"),
            format!("digest  {digest}"),
        ]);
    }
    model.overlays.push(Overlay::Text(TextBox {
        title: "layer".to_owned(),
        lines,
        top: 0,
    }));
}
