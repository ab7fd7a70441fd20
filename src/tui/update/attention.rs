//! The queue of pods in trouble, and the log of what ended.

use crate::model::{Kind, ObjectKey};
use crate::tui::attention::{next, queue};
use crate::tui::effect::Effect;
use crate::tui::logs::Target;
use crate::tui::model::Model;
use crate::tui::overlay::{Attention, Focus, Overlay};

/// The queue of pods in trouble, at the newest.
pub(super) fn open(model: &mut Model) {
    if queue(&model.collections).is_empty() {
        model.say("nothing is in trouble");
        return;
    }
    model
        .overlays
        .push(Overlay::Attention(Attention::default()));
    step(model, true);
}

/// Goes on in the queue; the list below goes along where it shows the pod.
pub(super) fn step(model: &mut Model, forward: bool) {
    let queue = queue(&model.collections);
    if let Some(Overlay::Attention(attention)) = model.overlays.last_mut() {
        attention.selected = next(&queue, attention.selected.as_ref(), forward);
        if let Some(key) = attention.selected.clone() {
            model.list.select_key(&key);
        }
    }
}

/// Selects a pod of the queue in the list. What hides it there goes away.
pub(super) fn attend(model: &mut Model, key: &ObjectKey) {
    model.list.show_kind(Kind::Pod);
    model.focus = Focus::List;
    if !model.list.select_key(key) {
        model.list.filter.clear();
        model.list.faults_only = false;
    }
    model.list.wish(key);
    model.pending.is_list_stale = true;
}

/// The end of the log of the container that ended last.
pub(super) fn excerpt(model: &mut Model) -> Vec<Effect> {
    let Some((row, facts)) = model
        .list
        .selected()
        .and_then(|row| Some((row, row.pod.as_ref()?)))
    else {
        return Vec::new();
    };
    let ended = facts.containers.iter().filter(|one| one.ended.is_some());
    let Some(last) = ended.max_by_key(|one| one.ended.as_ref().map(|end| end.at)) else {
        model.say("no container of this pod has ended");
        return Vec::new();
    };
    vec![Effect::ReadExcerpt {
        target: Target {
            key: row.key.clone(),
            uid: row.object.uid(),
        },
        container: last.name.clone(),
        previous: last.is_running,
    }]
}
