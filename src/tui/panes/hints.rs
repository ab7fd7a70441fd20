use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::tui::actions::{changes_something, is_for};
use crate::tui::editor::Stage;
use crate::tui::inspector::Tab;
use crate::tui::keymap::{Binding, Cmd, EditorCmd, InputCmd, Place};
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

fn editor_hints(model: &Model) -> Hints {
    let Some(editor) = &model.editing.editor else {
        return Hints::new();
    };
    let in_text = |cmd| model.keymap.key_text(Place::Editor, Cmd::Editor(cmd));
    let in_review = |cmd| model.keymap.key_text(Place::Review, cmd);
    let accept = in_review(Cmd::Editor(EditorCmd::Accept));
    let back = in_review(Cmd::Back);
    let scroll = scroll_keys(model, Place::Review);
    match &editor.stage {
        Stage::Text if editor.popup.is_some() => words([
            (in_text(EditorCmd::Indent), "take it"),
            ("up down".to_owned(), "choose"),
            (in_text(EditorCmd::Leave), "close"),
        ]),
        Stage::Text => {
            let bindings = model.keymap.live(Place::Editor);
            let hint = |binding: &Binding| {
                Some((binding.keys.first()?.to_string(), binding.hint?.to_owned()))
            };
            bindings.filter_map(hint).collect()
        }
        Stage::Review(review) => {
            let what = if review.needs_recreate {
                "recreate (asks)"
            } else {
                "apply"
            };
            words([
                (accept, what),
                (back, "back to the text"),
                (scroll, "scroll"),
            ])
        }
        Stage::Sent(_) => words([("esc".to_owned(), "other things meanwhile")]),
        Stage::Outside(_) => words([(accept, "to $EDITOR"), (back, "close it")]),
    }
}

type Hints = Vec<(String, String)>;

/// `j k`: of several keys the short ones.
fn scroll_keys(model: &Model, place: Place) -> String {
    let short = |cmd| {
        let bindings = model.keymap.live(place);
        let keys = bindings
            .filter(|binding| binding.cmd == cmd)
            .flat_map(|binding| &binding.keys);
        let short = keys.map(ToString::to_string).min_by_key(String::len);
        short.unwrap_or_else(|| "?".to_owned())
    };
    format!("{} {}", short(Cmd::Down), short(Cmd::Up))
}

fn words<const COUNT: usize>(pairs: [(String, &str); COUNT]) -> Hints {
    pairs.map(|(key, text)| (key, text.to_owned())).into()
}

/// The hints that stay, and the others by importance.
fn hints(model: &Model) -> (Hints, Hints) {
    let input = |cmd| model.keymap.key_text(Place::Input, Cmd::Input(cmd));
    let (submit, next, cancel) = (
        input(InputCmd::Submit),
        input(InputCmd::Next),
        input(InputCmd::Cancel),
    );
    let list = |cmd| model.keymap.key_text(Place::List, cmd);
    let scroll = || scroll_keys(model, Place::List);
    let only = |hints: Hints| (Hints::new(), hints);
    match model.overlays.last() {
        Some(Overlay::Prompt(_)) => only(words([
            (submit, "go"),
            (next, "complete"),
            (cancel, "cancel"),
        ])),
        Some(Overlay::Picker(_)) => only(words([
            ("type".to_owned(), "to search"),
            (submit, "do it"),
            (cancel, "close"),
        ])),
        Some(Overlay::Confirm(_)) => only(words([
            (submit, "answer"),
            (next, "other answer"),
            (cancel, "cancel"),
        ])),
        Some(Overlay::Text(_)) => only(words([(scroll(), "scroll"), (cancel, "close")])),
        Some(Overlay::Attention(_)) => only(words([
            (list(Cmd::Open), "go there"),
            (list(Cmd::Show(Tab::Logs)), "its log"),
            (format!("{} {}", list(Cmd::Attention), scroll()), "choose"),
            (cancel, "close"),
        ])),
        None if model.editing.editor.is_some() && model.focus != Focus::Terminal => {
            only(editor_hints(model))
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
                _ if place == Place::Scroll && *of == place => 1,
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
