//! The values of secrets: hidden until somebody asks for those of the selected one, then decoded.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use crate::model::{Kind, Object};
use crate::tui::inspector::Tab;
use crate::tui::keymap::{Cmd, Place};
use crate::tui::model::Model;

/// Shows the values of the selected secret, or hides them. Another selection hides them as well.
pub(super) fn toggle(model: &mut Model) {
    let Some(row) = model.list.selected() else {
        return;
    };
    if row.key.kind != Kind::Secret {
        model.say("only secrets have hidden values");
        return;
    }
    let this = (row.key.clone(), row.object.uid());
    let is_shown = model.inspector.revealed.as_ref() == Some(&this);
    model.inspector.revealed = (!is_shown).then_some(this);
    model.pending.is_describe_stale = true;
    if !matches!(model.tab(), Tab::Spec | Tab::Describe) {
        super::commands::show(model, Tab::Spec);
    }
}

/// `; x shows it`, behind the remark that a value is hidden.
pub(super) fn hint(model: &Model) -> String {
    let key = model.keymap.key_of(Place::Anywhere, Cmd::Reveal);
    key.map_or_else(String::new, |key| format!("; {key} shows it"))
}

/// Puts a remark in the place of each value.
pub(super) fn hide(value: &mut Value, object: &Object, hint: &str) {
    let Object::Secret(secret) = object else {
        return;
    };
    for (key, bytes) in secret.data.iter().flatten() {
        value["data"][key] = format!("<{} bytes, hidden{hint}>", bytes.0.len()).into();
    }
}

/// Puts the decoded value in the place of each, where it is text.
pub(super) fn decode(value: &mut Value, object: &Object) {
    let Object::Secret(secret) = object else {
        return;
    };
    for (key, bytes) in secret.data.iter().flatten() {
        if let Some(text) = text_of(&bytes.0) {
            value["data"][key] = text.into();
        }
    }
}

/// Below the description: the values, decoded, or how to see them.
pub(super) fn lines(model: &Model, secret: &Secret, is_shown: bool) -> Vec<String> {
    if !is_shown {
        let key = model.keymap.key_of(Place::Anywhere, Cmd::Reveal);
        let hint = key.map(|key| format!("{key} shows the values"));
        return std::iter::once(String::new()).chain(hint).collect();
    }
    let mut lines = vec![String::new(), "Values, decoded:".to_owned()];
    for (key, bytes) in secret.data.iter().flatten() {
        lines.push(format!("{key}:"));
        match text_of(&bytes.0) {
            Some(text) => lines.extend(text.lines().map(|line| format!("  {line}"))),
            None => lines.push(format!("  <{} bytes that are no text>", bytes.0.len())),
        }
    }
    lines
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    let is_plain =
        |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(is_plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::{Kind, Object};
    use crate::tui::testing::Screen;

    fn screen() -> Screen {
        let mut screen = Screen::populated(80, 30);
        screen.keys(":secrets<enter>");
        let secret = |name: &str| {
            Object::from_value(
                Kind::Secret,
                json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                    "metadata": {"name": name, "namespace": "default", "uid": name},
                    "data": {"password": "aHVudGVyMg==", "blob": "/wD/"}}),
            )
            .unwrap()
        };
        screen.list(Kind::Secret, vec![secret("a"), secret("b")]);
        screen
    }

    #[test]
    fn values_are_hidden_until_asked_for_and_hide_again() {
        for tab in ["y", "d"] {
            let mut screen = screen();
            screen.keys(tab);
            assert!(!screen.text().contains("hunter2"));
            assert!(!screen.text().contains("aHVudGVyMg=="));
            screen.keys("x");
            let text = screen.text();
            assert!(text.contains("hunter2"), "{text}");
            screen.keys("j");
            assert!(!screen.text().contains("hunter2"));
            screen.keys("k");
            assert!(!screen.text().contains("hunter2"), "shown again unasked");
            screen.keys("xx");
            assert!(!screen.text().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_text_stays_encoded() {
        let mut screen = screen();
        screen.keys("yx");
        assert!(screen.text().contains("/wD/"));
        screen.keys("d");
        let text = screen.text();
        assert!(text.contains("<3 bytes that are no text>"), "{text}");
    }

    #[test]
    fn a_copy_holds_only_what_is_shown() {
        use crate::tui::effect::Effect;
        let copied = |keys: &str| {
            let mut screen = screen();
            screen.keys(keys);
            screen.effects.iter().find_map(|effect| match effect {
                Effect::Copy(text) => Some(text.clone()),
                _ => None,
            })
        };
        let hidden = copied("cyaml<enter>").unwrap();
        assert!(hidden.contains("<7 bytes, hidden>"), "{hidden}");
        let shown = copied("yxcyaml<enter>").unwrap();
        assert!(shown.contains("aHVudGVyMg=="), "{shown}");
    }
}
