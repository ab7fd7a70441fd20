//! Deleting: asked for, confirmed, and carried out when it was not taken back in time.

use crate::model::{Kind, Object, ObjectKey, pod as pods};
use crate::tui::data::Row;
use crate::tui::deletions::Deletions;
use crate::tui::effect::Effect;
use crate::tui::model::Model;
use crate::tui::overlay::{Answer, AnswerAction, Confirm, Overlay};

pub(super) fn ask(model: &mut Model) {
    let rows = model.list.targets(&model.collections);
    let Some(first) = rows.first() else {
        model.complain("nothing is selected");
        return;
    };
    if first.key.kind == Kind::Node {
        model.complain("the node is this machine; it cannot be deleted");
        return;
    }
    let keys: Vec<ObjectKey> = rows.iter().map(|row| row.key.clone()).collect();
    let answer = |letter, text: &str, action| Answer {
        key: letter,
        text: text.to_owned(),
        action,
    };
    if rows.iter().all(|row| is_terminating(row)) {
        return ask_kill(model, keys);
    }
    let mut answers = vec![
        answer('n', "No", AnswerAction::Nothing),
        answer('y', "Delete", AnswerAction::Delete(keys.clone(), None)),
    ];
    let mut text = match rows.as_slice() {
        [row] => vec![format!("Delete {}?", in_words(&row.key))],
        many => {
            let plural = first.key.kind.plural();
            let mut text = vec![format!("Delete these {} {plural}?", many.len())];
            let names: Vec<&str> = many.iter().map(|row| row.key.name.as_str()).collect();
            text.push(names.join(", "));
            text
        }
    };
    let graces = rows.iter().filter_map(|row| match row.object.to_object() {
        Object::Pod(pod) => Some(pods::grace_period_seconds(&pod)),
        _ => None,
    });
    if let Some(grace) = graces.max() {
        text.push(format!(
            "Containers are asked to stop and killed after {grace} s; their files and logs go with the pod."
        ));
        answers.push(answer('k', "Kill now", AnswerAction::Delete(keys, Some(0))));
    }
    text.push("It can be taken back for 5 s.".to_owned());
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "delete".to_owned(),
        text,
        answers,
        chosen: 0,
    }));
}

/// A pod whose deletion the engine has begun.
fn is_terminating(row: &Row) -> bool {
    row.pod.as_ref().is_some_and(|facts| facts.is_deleting)
}

/// There is nothing left to take back: what terminates can only be hurried.
fn ask_kill(model: &mut Model, keys: Vec<ObjectKey>) {
    let what = match keys.as_slice() {
        [key] => format!("{} terminates already.", in_words(key)),
        many => format!("These {} pods terminate already.", many.len()),
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "kill".to_owned(),
        text: vec![
            what,
            "Kill: what still runs in the containers is killed at once, without the rest of the time to stop."
                .to_owned(),
        ],
        answers: vec![
            Answer {
                key: 'n',
                text: "No".to_owned(),
                action: AnswerAction::Nothing,
            },
            Answer {
                key: 'k',
                text: "Kill".to_owned(),
                action: AnswerAction::Delete(keys, Some(0)),
            },
        ],
        chosen: 0,
    }));
}

/// `pod worker-1 in namespace default`.
pub(super) fn in_words(key: &ObjectKey) -> String {
    let place = match &key.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => String::new(),
    };
    format!("{} {}{place}", key.kind.singular(), key.name)
}

/// From now on it can be taken back for a few seconds. What terminates already is killed now, if that was decided.
pub(super) fn confirmed(
    model: &mut Model,
    keys: Vec<ObjectKey>,
    grace: Option<i64>,
) -> Vec<Effect> {
    let were_marked = model.list.clear_marks();
    let mut waiting = Vec::new();
    let mut at_once = Vec::new();
    for key in keys {
        let mut rows = model.collections.rows(key.kind);
        let row = rows.find(|row| row.key == key);
        let uid = row.map(|row| row.object.uid());
        let uid = uid.filter(|uid| !uid.as_str().is_empty());
        if grace == Some(0) && row.is_some_and(|row| is_terminating(row)) {
            at_once.push((key, uid));
        } else {
            waiting.push((key, uid));
        }
    }
    model.notices.hush();
    if !waiting.is_empty() {
        model.deletions.add(waiting, grace, were_marked, model.now);
    }
    Deletions::at_once(at_once, model.now)
}

/// True when there was a deletion to take back.
pub(super) fn take_back(model: &mut Model) -> bool {
    let taken = model.deletions.take_back();
    let Some(taken) = taken else { return false };
    model.list.mark_again(taken.marks);
    model.say(format!("{}: not deleted", taken.words));
    true
}

/// Leaving would decide about what still waits: asks; false when nothing waits.
pub(super) fn ask_before_leaving(model: &mut Model) -> bool {
    let names = model.deletions.names();
    if names.is_empty() {
        return false;
    }
    let answer = |key, text: &str, action| Answer {
        key,
        text: text.to_owned(),
        action,
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "leave podtui".to_owned(),
        text: vec![
            format!("Not yet deleted: {}.", names.join(", ")),
            "Leaving ends the time in which that can be taken back.".to_owned(),
        ],
        answers: vec![
            answer('c', "Cancel", AnswerAction::Nothing),
            answer('d', "Delete, leave", AnswerAction::Leave { deletes: true }),
            answer(
                't',
                "Take back, leave",
                AnswerAction::Leave { deletes: false },
            ),
        ],
        chosen: 0,
    }));
    true
}

pub(super) fn leave(model: &mut Model, deletes: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if deletes {
        effects = model.deletions.all_now();
    } else {
        model.deletions.take_all_back();
    }
    effects.extend(super::commands::leave(model));
    effects
}
