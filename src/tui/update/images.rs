//! The list of images, kept up to date while it is open, the layers of one, and what is done to them.

use crate::client::ImageSummary;
use crate::printer::size_text;
use crate::tui::effect::{Effect, ImageWork};
use crate::tui::images::{HEADING, Images, name_of, step_items, steps, users};
use crate::tui::line_edit::LineEdit;
use crate::tui::model::Model;
use crate::tui::overlay::{
    Answer, AnswerAction, Confirm, Feed, ImageChoice, Overlay, PickAction, PickItem, Picker,
    Prompt, PromptKind, TextBox,
};
use crate::tui::sanitize::plain;

pub(super) fn open(model: &mut Model) {
    model.images = Images::default();
    let mut picker = Picker::new(model.images.title(), Vec::new());
    picker.feed = Feed::Images;
    picker.heading = Some(HEADING);
    model.overlays.push(Overlay::Picker(picker));
}

/// News of the engine; the chosen image stays chosen.
pub(super) fn on_news(model: &mut Model, images: Images) {
    model.images = images;
    let items = model.images.items(model.session.is_readonly);
    let title = model.images.title();
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

/// What can be done with it.
pub(super) fn open_one(model: &mut Model, index: usize) {
    let Some(image) = model.images.all.get(index) else {
        return;
    };
    let item = |key: &str, text: String, choice| PickItem {
        key: key.to_owned(),
        text,
        action: PickAction::Images(choice),
    };
    let layers = match image.layers.len() {
        1 => "what its one layer holds".to_owned(),
        many => format!("what each of its {many} layers added"),
    };
    let mut items = vec![item("layers", layers, ImageChoice::Layers)];
    if !model.session.is_readonly {
        if !image.names.is_empty() {
            let text = "look for a newer one of this name in its registry".to_owned();
            items.push(item("pull", text, ImageChoice::PullAgain));
        }
        let text = match image.used_by.as_slice() {
            [] => "remove it (asks); no pod uses it".to_owned(),
            _ => format!("remove it (asks); used by: {}", users(image)),
        };
        items.push(item("remove", text, ImageChoice::Remove));
    }
    let mut picker = Picker::new(name_of(image), items);
    picker.feed = Feed::Image(image.id.clone());
    model.overlays.push(Overlay::Picker(picker));
}

/// The image that the picker on top is about.
fn chosen(model: &mut Model) -> Option<ImageSummary> {
    let Some(Overlay::Picker(picker)) = model.overlays.last() else {
        return None;
    };
    let Feed::Image(id) = &picker.feed else {
        return None;
    };
    let found = model.images.all.iter().find(|image| image.id == *id);
    let found = found.cloned();
    if found.is_none() {
        model.complain("the image is gone");
    }
    found
}

pub(super) fn choose(model: &mut Model, choice: ImageChoice) -> Vec<Effect> {
    match choice {
        ImageChoice::PullNew => {
            // What was typed to find this line would hide the image that is pulled.
            if let Some(Overlay::Picker(picker)) = model.overlays.last_mut() {
                picker.line = LineEdit::default();
                picker.selected = 0;
            }
            let prompt = Prompt::new(PromptKind::PullImage, "");
            model.overlays.push(Overlay::Prompt(prompt));
        }
        ImageChoice::Prune => ask_prune(model),
        ImageChoice::Layers => {
            if let Some(image) = chosen(model) {
                open_layers(model, &image);
            }
        }
        ImageChoice::PullAgain => {
            if let Some(name) = chosen(model).and_then(|image| image.names.first().cloned()) {
                model.overlays.pop();
                return pull(model, name);
            }
        }
        ImageChoice::Remove => {
            if let Some(image) = chosen(model) {
                model.overlays.pop();
                ask_remove(model, &image);
            }
        }
    }
    Vec::new()
}

/// Its progress is in the list.
pub(super) fn pull(model: &mut Model, name: String) -> Vec<Effect> {
    let work = ImageWork::Pull(name);
    said(model, &work);
    vec![Effect::Image(work)]
}

/// Says what begins now.
pub(super) fn said(model: &mut Model, work: &ImageWork) {
    match work {
        ImageWork::Pull(name) => model.say(format!("pulling {name}; :images shows how far it is")),
        ImageWork::Remove(name) => model.say(format!("removing {name}")),
        ImageWork::Prune { .. } => model.say("removing images that no pod uses"),
    }
}

fn answer(key: char, text: &str, action: AnswerAction) -> Answer {
    Answer {
        key,
        text: text.to_owned(),
        action,
    }
}

fn ask_remove(model: &mut Model, image: &ImageSummary) {
    let mut text = vec![format!(
        "Remove {} ({})?",
        name_of(image),
        size_text(image.size)
    )];
    match image.used_by.as_slice() {
        [] => text.push("No pod uses it; a pod that does later pulls it again.".to_owned()),
        _ => text.push(format!(
            "It is used by {}: the engine will refuse until these are gone.",
            users(image)
        )),
    }
    let name = image.names.first().unwrap_or(&image.id).clone();
    if image.names.len() > 1 {
        text.push(format!(
            "It has {} names: only {} goes.",
            image.names.len(),
            plain(&name)
        ));
    }
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "remove an image".to_owned(),
        text,
        answers: vec![
            answer('n', "No", AnswerAction::Nothing),
            answer('y', "Remove", AnswerAction::Image(ImageWork::Remove(name))),
        ],
        chosen: 0,
    }));
}

fn ask_prune(model: &mut Model) {
    let unused = model
        .images
        .all
        .iter()
        .filter(|image| image.used_by.is_empty());
    let (unnamed, named): (Vec<_>, Vec<_>) = unused.partition(|image| image.names.is_empty());
    let size = |images: &[&ImageSummary]| size_text(images.iter().map(|image| image.size).sum());
    let text = vec![
        format!(
            "{} images without a name, {}.",
            unnamed.len(),
            size(&unnamed)
        ),
        format!(
            "{} with a name that no pod uses, {}.",
            named.len(),
            size(&named)
        ),
        "Layers that another image has stay; downloads that broke off go as well.".to_owned(),
    ];
    let prune = |all| AnswerAction::Image(ImageWork::Prune { all });
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "remove images".to_owned(),
        text,
        answers: vec![
            answer('n', "No", AnswerAction::Nothing),
            answer('u', "Unnamed", prune(false)),
            answer('a', "All unused", prune(true)),
        ],
        chosen: 0,
    }));
}

fn open_layers(model: &mut Model, image: &ImageSummary) {
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
        let size = step.size.map_or_else(|| "unknown".to_owned(), size_text);
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
