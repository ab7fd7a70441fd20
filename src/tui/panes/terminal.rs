use ratatui::layout::Position;
use ratatui::style::{Color, Style};
use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::tui::keymap::{Cmd, Place, TermCmd};
use crate::tui::model::Model;
use crate::tui::overlay::Focus;
use crate::tui::term::{Purpose, Session, State};

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let Some(session) = model.terms.active().filter(|_| canvas.height() > 0) else {
        return;
    };
    draw_title(model, session, canvas);
    let no_color = model.look.no_color;
    let width = canvas.width();
    session.cells(&mut |column, row, symbol, style| {
        let column = usize::from(column);
        // Half a glyph at the edge of a region that has just shrunk is left out.
        if column + symbol.width() <= width {
            let style = if no_color { colorless(style) } else { style };
            canvas.put(column, usize::from(row) + 1, symbol, style);
        }
    });
}

fn colorless(style: Style) -> Style {
    Style {
        fg: Some(Color::Reset),
        bg: Some(Color::Reset),
        underline_color: None,
        ..style
    }
}

/// Where the cursor of the program is on the screen, when it has the keys.
pub(super) fn cursor(model: &Model) -> Option<(u16, u16)> {
    let has_keys = model.focus == Focus::Terminal && model.overlays.is_empty();
    let area = model.areas().terminal;
    let cursor = model.terms.cursor().filter(|_| has_keys)?;
    let at = Position::new(area.x + cursor.column, area.y + 1 + cursor.row);
    area.contains(at).then_some((at.x, at.y))
}

fn draw_title(model: &Model, session: &Session, canvas: &mut Canvas<'_>) {
    let glyphs = model.look.glyphs;
    let styles = &model.look.theme.styles;
    let (rule, style) = if model.focus == Focus::Terminal {
        (glyphs.rule_focused, styles.title_focused)
    } else {
        (glyphs.rule, styles.title)
    };
    canvas.rule(0, rule, style);
    let width = canvas.width();
    let name = format!(" {} ", name(model, session));
    // The name keeps a third of the row.
    let room = width.saturating_sub(name.width().min(width / 3) + 4);
    let keys = keys(model, session)
        .into_iter()
        .map(|parts| format!(" {} ", parts.join("  ")))
        .find(|text| text.width() <= room)
        .unwrap_or_default();
    let end = width.saturating_sub(keys.width() + 2);
    canvas.put_cut(2, 0, end, &name, style, glyphs.ellipsis);
    canvas.put_right(width.saturating_sub(1), 0, &keys, style);
}

/// `2/3 TERM worker-1/main bash: title`.
fn name(model: &Model, session: &Session) -> String {
    let mut words = Vec::new();
    let (index, count) = model.terms.count();
    if count > 1 {
        words.push(format!("{index}/{count}"));
    }
    let (back, all) = session.scrolled();
    words.push(match model.place() {
        Place::Scroll => format!("SCROLL {back}/{all}"),
        Place::Terminal | Place::Chord => "TERM".to_owned(),
        _ if session.is_alive() => "open".to_owned(),
        _ => "ended".to_owned(),
    });
    words.push(format!("{}/{}", session.target.key.name, session.container));
    let program = match (&session.state, session.purpose) {
        (State::Opening, _) => Some("...".to_owned()),
        (State::Running(_), Purpose::Attach { stdin: false, .. }) => Some("output only".to_owned()),
        (State::Running(program), Purpose::Shell | Purpose::Editor) => Some(program.clone()),
        (State::Running(_), Purpose::Attach { .. }) => Some("attached".to_owned()),
        (State::Ended(_), _) => session.end_text(),
    };
    words.extend(program);
    if !session.title().is_empty() && session.is_alive() {
        words.push(format!("- {}", session.title()));
    }
    words.join(" ")
}

/// What keys do here: the same in fewer and fewer words, of which the first that has room is shown.
fn keys(model: &Model, session: &Session) -> Vec<Vec<String>> {
    let bound = |place| model.keymap.hints_of(place);
    if !session.is_alive() {
        let all = bound(Place::Ended);
        return vec![all.clone(), all.into_iter().take(2).collect()];
    }
    let chord = model
        .keymap
        .key_of(Place::Terminal, Cmd::Terminal(TermCmd::Chord))
        .map_or_else(|| "?".to_owned(), |key| key.to_string());
    if let Some(count) = session.waiting_clipboard() {
        return vec![
            vec![format!(
                "wants to copy {count} characters: {chord} y allows it, {chord} N never"
            )],
            vec![format!("copy? {chord} y / N")],
        ];
    }
    let ctrl_c = where_ctrl_c_goes(session, model.focus == Focus::Terminal);
    let behind = bound(Place::Chord);
    let first = |count| {
        let keys: Vec<String> = behind.iter().take(count).cloned().collect();
        format!("{chord} {}", keys.join(" "))
    };
    let letters: Vec<&str> = behind
        .iter()
        .take(4)
        .filter_map(|hint| hint.split(' ').next())
        .collect();
    vec![
        vec![ctrl_c.clone(), first(usize::MAX)],
        vec![ctrl_c.clone(), first(4)],
        vec![ctrl_c.clone(), first(2)],
        vec![ctrl_c.clone(), format!("{chord} {}", letters.join(" "))],
        vec![format!("{chord} d")],
    ]
}

fn where_ctrl_c_goes(session: &Session, has_focus: bool) -> String {
    match (&session.state, session.purpose) {
        _ if !has_focus => "ctrl-c: podtui".to_owned(),
        (_, Purpose::Attach { stdin: false, .. }) => "ctrl-c: nowhere".to_owned(),
        (_, Purpose::Attach { tty: false, .. }) => "ctrl-c: nowhere (no tty)".to_owned(),
        (State::Running(program), Purpose::Shell | Purpose::Editor) => {
            format!("ctrl-c: {program}")
        }
        _ => format!("ctrl-c: {}", session.container),
    }
}
