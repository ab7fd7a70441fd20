use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::tui::actions::{changes_something, is_for};
use crate::tui::editor::Stage;
use crate::tui::keymap::{Binding, Cmd, Place};
use crate::tui::model::Model;
use crate::tui::notices::Level;
use crate::tui::overlay::{Focus, Overlay};

/// The bottom row: mode, then a prompt, a message or the keys that work here.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let styles = &model.look.theme.styles;
    let word = format!(" {} ", model.mode().word());
    let mut column = canvas.put(0, 0, &word, styles.mode) + 1;
    let (mut fixed, mut hints) = hints(model);
    let width_of = |hint: &(String, String)| hint.0.width() + 1 + hint.1.width() + 2;
    if let Some((text, style)) = message(model) {
        let ellipsis = model.look.glyphs.ellipsis;
        // A message takes the place of the hints; how to get help stays beside it where both fit.
        let kept: usize = fixed.iter().map(width_of).sum();
        let end = canvas.width();
        if column + text.width() + 2 + kept > end + 2 {
            canvas.put_cut(column, 0, end, &text, style, ellipsis);
            return;
        }
        canvas.put(column, 0, &text, style);
        column = end + 2 - kept;
        hints.clear();
    }
    // How to get help and how to get out stay in sight; on a very narrow screen help alone.
    let mut end = canvas.width();
    while column + fixed.iter().map(width_of).sum::<usize>() > end + 2 && !fixed.is_empty() {
        fixed.pop();
    }
    end = (end + 2).saturating_sub(fixed.iter().map(width_of).sum());
    hints.retain(|hint| {
        let fits = column + width_of(hint) <= end;
        if fits {
            let at = canvas.put(column, 0, &hint.0, styles.key);
            column = canvas.put(at + 1, 0, &hint.1, styles.dim) + 2;
        } else {
            // Whatever is less important must not slip into the gap.
            end = 0;
        }
        fits
    });
    for (key, text) in fixed {
        let at = canvas.put(column, 0, &key, styles.key);
        column = canvas.put(at + 1, 0, &text, styles.dim) + 2;
    }
}

/// What stands in the place of the hints: an error, a deletion that can be taken back, another message.
fn message(model: &Model) -> Option<(String, Style)> {
    let styles = &model.look.theme.styles;
    let notice = model.notices.current(model.now);
    if let Some(error) = notice.filter(|notice| notice.level == Level::Error) {
        return Some((error.text.clone(), styles.bad));
    }
    if let Some(line) = cut_line(model) {
        return Some((line, styles.text));
    }
    if let Some(words) = model.deletions.words(model.now) {
        let key = model.keymap.key_of(model.place(), Cmd::Undo);
        let undo = key
            .filter(|_| model.overlays.is_empty() && model.editing.editor.is_none())
            .map_or_else(String::new, |key| format!("  {key} takes it back"));
        return Some((format!("{words}{undo}"), styles.wait));
    }
    notice.map(|notice| (notice.text.clone(), styles.text))
}

/// The command line of the chosen action, where the menu has no room for it.
fn cut_line(model: &Model) -> Option<String> {
    let Overlay::Picker(picker) = model.overlays.last()? else {
        return None;
    };
    let item = *picker.matching().get(picker.selected)?;
    let line = &item.text[item.text.find("podtui ")?..];
    let is_cut = item.text.width() + 15 > usize::from(model.screen.width);
    is_cut.then(|| line.to_owned())
}

fn editor_hints(model: &Model) -> Vec<(&'static str, &'static str)> {
    let Some(editor) = &model.editing.editor else {
        return Vec::new();
    };
    match &editor.stage {
        Stage::Text if editor.popup.is_some() => {
            vec![("tab", "take it"), ("up down", "choose"), ("esc", "close")]
        }
        Stage::Text => vec![
            ("ctrl-s", "review and apply"),
            ("esc", "leave"),
            ("f1", "help"),
            ("ctrl-space", "complete"),
            ("ctrl-n", "next problem"),
            ("ctrl-o", "$EDITOR"),
            ("ctrl-z", "undo"),
        ],
        Stage::Review(review) if review.needs_recreate => {
            vec![
                ("enter", "recreate (asks)"),
                ("esc", "back to the text"),
                ("j k", "scroll"),
            ]
        }
        Stage::Review(_) => vec![
            ("enter", "apply"),
            ("esc", "back to the text"),
            ("j k", "scroll"),
        ],
        Stage::Sent(_) => vec![("esc", "other things meanwhile")],
        Stage::Outside(_) => vec![("enter", "to $EDITOR"), ("esc", "close it")],
    }
}

type Hints = Vec<(String, String)>;

/// The hints that stay, and the others by importance.
fn hints(model: &Model) -> (Hints, Hints) {
    let words = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        (Hints::new(), pairs.collect())
    };
    match model.overlays.last() {
        Some(Overlay::Prompt(_)) => {
            words(&[("enter", "go"), ("tab", "complete"), ("esc", "cancel")])
        }
        Some(Overlay::Picker(_)) => {
            words(&[("type", "to search"), ("enter", "do it"), ("esc", "close")])
        }
        Some(Overlay::Confirm(_)) => words(&[
            ("enter", "answer"),
            ("tab", "other answer"),
            ("esc", "cancel"),
        ]),
        Some(Overlay::Text(_)) => words(&[("j k", "scroll"), ("esc", "close")]),
        Some(Overlay::Attention(_)) => words(&[
            ("enter", "go there"),
            ("l", "its log"),
            ("! j k", "choose"),
            ("esc", "close"),
        ]),
        None if model.editing.editor.is_some() && model.focus != Focus::Terminal => {
            words(&editor_hints(model))
        }
        None => {
            let hint = |binding: &Binding| {
                let is_refused = model.session.is_readonly && changes_something(binding.cmd);
                let is_shown =
                    binding.cmd == Cmd::Show(model.tab()) && model.focus == Focus::Inspector;
                if is_refused || is_shown || !is_for(binding.cmd, model.list.kind) {
                    return None;
                }
                let key = binding.keys.first()?.to_string();
                Some((binding.place, binding.cmd, (key, binding.hint?.to_owned())))
            };
            // What works behind the chord is told beside it.
            let place = model.place();
            let behind = (place == Place::Terminal).then_some(Place::Chord);
            let live = [Some(place), behind]
                .into_iter()
                .flatten()
                .flat_map(|place| model.keymap.live(place))
                .filter_map(hint);
            let (mut fixed, mut others): (Vec<_>, Vec<_>) =
                live.partition(|(_, cmd, _)| matches!(cmd, Cmd::Help | Cmd::Quit));
            // What is special to a tab comes before what works everywhere, and pods in trouble before both.
            let [_, _, _, bad] = model.pod_counts();
            others.sort_by_key(|(of, cmd, _)| match cmd {
                Cmd::Attention if bad > 0 => 0,
                _ if model.focus == Focus::Inspector && *of == place => 1,
                _ => 2,
            });
            // Deeper than the root both keys lead back, and back is what one looks for there.
            let is_deeper = model.focus != Focus::List || model.is_zoomed;
            if let Some(key) = model.keymap.key_of(place, Cmd::Back).filter(|_| is_deeper) {
                for (_, _, text) in fixed.iter_mut().filter(|(_, cmd, _)| *cmd == Cmd::Quit) {
                    *text = (key.to_string(), "back".to_owned());
                }
            }
            let texts = |hints: Vec<(Place, Cmd, (String, String))>| {
                hints.into_iter().map(|(_, _, text)| text).collect()
            };
            (texts(fixed), texts(others))
        }
    }
}
