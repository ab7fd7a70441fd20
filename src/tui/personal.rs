//! What a person has set for the screen: `config.toml` (its `[screen]` table), `keys.toml` and `themes/*.toml`.
//! The texts are read by `tasks::config`, at the start and after every change; here they change the model.
//! A mistake is told and leaves the rest as it is; nothing here can stop the screen.

use std::path::Path;

use super::keymap::Keymap;
use super::model::Model;
use super::tasks::read_personal;
use super::theme::Catalog;
use crate::config::Settings;

/// A file as it is now: `None` when there is none, or why it cannot be read.
pub(super) type FileText = Result<Option<String>, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PersonalFiles {
    pub(super) config: FileText,
    pub(super) keys: FileText,
    /// Name without `.toml`, and the text.
    pub(super) themes: Vec<(String, Result<String, String>)>,
}

impl Default for PersonalFiles {
    /// No file exists.
    fn default() -> Self {
        Self {
            config: Ok(None),
            keys: Ok(None),
            themes: Vec::new(),
        }
    }
}

/// Takes the files over; what did not change since `before` is left alone, so that a theme chosen on the screen
/// survives a change of the keys.
pub(super) fn apply(model: &mut Model, files: &PersonalFiles, before: &PersonalFiles) {
    if files.themes != before.themes {
        let catalog = Catalog::new(files.themes.iter().cloned());
        let problems: Vec<String> = catalog.problems().map(str::to_owned).collect();
        model.look.set_catalog(catalog);
        for problem in problems {
            model.complain(problem);
        }
    }
    if files.keys != before.keys {
        apply_keys(model, &files.keys);
    }
    if files.config != before.config {
        apply_config(model, &files.config);
    }
}

/// What is wrong with the files of a directory, as the screen would say it; of `config.toml` only what concerns
/// the screen alone.
pub(crate) fn personal_problems(directory: &Path) -> Vec<String> {
    let files = read_personal(directory);
    let catalog = Catalog::new(files.themes);
    let mut problems: Vec<String> = match files.keys {
        Ok(text) => Keymap::from_file(text.as_deref().unwrap_or_default()).1,
        Err(problem) => vec![format!("keys.toml: {problem}")],
    };
    problems.extend(catalog.problems().map(str::to_owned));
    let text = files.config.ok().flatten().unwrap_or_default();
    let screen = Settings::screen_of(Path::new("config.toml"), &text).unwrap_or_default();
    if let Some(Err(problem)) = screen.theme.map(|theme| catalog.find(&theme))
        && !catalog.problems().any(|known| known == problem)
    {
        problems.push(format!("config.toml: [screen] theme: {problem}"));
    }
    let full = |problem: String| format!("{}/{problem}", directory.display());
    problems.into_iter().map(full).collect()
}

fn apply_keys(model: &mut Model, file: &FileText) {
    let text = match file {
        Ok(text) => text.as_deref().unwrap_or_default(),
        Err(problem) => return model.complain(format!("keys.toml: {problem}")),
    };
    let (keymap, problems) = Keymap::from_file(text);
    model.keymap = keymap;
    match problems.as_slice() {
        [] => {}
        [only] => model.complain(only),
        [first, others @ ..] => {
            for problem in others {
                model.note(problem);
            }
            model.complain(format!(
                "{first} (and {} more: see :messages)",
                others.len()
            ));
        }
    }
}

fn apply_config(model: &mut Model, file: &FileText) {
    let screen = match file {
        Ok(text) => {
            let text = text.as_deref().unwrap_or_default();
            Settings::screen_of(Path::new("config.toml"), text).map_err(|error| error.to_string())
        }
        Err(problem) => Err(format!("config.toml: {problem}")),
    };
    let applied = screen.and_then(|screen| {
        model.alerts.bell = screen.bell;
        model.alerts.notify = screen.notify;
        let result = model.look.configure(screen.theme.as_deref());
        result.map_err(|problem| format!("config.toml: [screen] theme: {problem}"))
    });
    if let Err(problem) = applied {
        model.complain(problem);
    }
}
