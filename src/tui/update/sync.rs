//! After every message: what should be watched, streamed and polled follows from the state of the model;
//! the difference to what is running becomes effects.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{images, secrets, terminal, views};
use crate::manifest::to_yaml;
use crate::model::applied::{APPLIED_TEXT, LAST_APPLIED};
use crate::model::storage::uses_claim;
use crate::model::{Kind, Object};
use crate::printer::{Moment, Related, describe, human_duration};
use crate::tui::attention::{queue, since};
use crate::tui::data::Row;
use crate::tui::effect::{Effect, MetricsScope};
use crate::tui::inspector::Tab;
use crate::tui::logs::{Target, wrapped};
use crate::tui::model::Model;
use crate::tui::overlay::{Focus, Overlay};
use crate::tui::panes::{clock_text, hash_visible};
use crate::tui::sanitize::lines;

pub(super) fn settle(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    sync_watches(model, &mut effects);
    sync_list(model);
    let rows = model.areas().list.height.saturating_sub(1);
    model.list.scroll_into_view(rows.into());
    sync_selection(model);
    sync_logs(model, &mut effects);
    sync_metrics(model, &mut effects);
    sync_processes(model, &mut effects);
    sync_story(model, &mut effects);
    sync_attention(model);
    sync_terminals(model, &mut effects);
    crate::tui::editor::settle(model, &mut effects);
    views::settle(model, &mut effects);
    images::settle(model, &mut effects);
    let place = Some((model.mode(), model.place(), model.overlays.len()));
    let is_elsewhere = std::mem::replace(&mut model.pending.noticed_at, place) != place;
    model.notices.turn(is_elsewhere);
    effects
}

fn sync_list(model: &mut Model) {
    let (collections, metrics) = (&model.collections, &model.metrics);
    let changes = std::mem::take(&mut model.pending.list_changes);
    let is_stale = std::mem::take(&mut model.pending.is_list_stale);
    if !is_stale && changes.is_empty() {
        return;
    }
    if is_stale || !model.list.follow_changes(&changes, collections, metrics) {
        model.list.refresh(collections, metrics);
    }
    model.pending.is_describe_stale = true;
}

fn sync_watches(model: &mut Model, effects: &mut Vec<Effect>) {
    let namespace = &model.list.namespace;
    let mut wanted: BTreeMap<Kind, Option<String>> = BTreeMap::new();
    let mut kinds = vec![Kind::Pod, Kind::Event, Kind::Namespace, model.list.kind];
    if model.editing.editor.is_some() {
        // What an edited pod may refer to.
        kinds.extend([Kind::ConfigMap, Kind::Secret]);
    }
    for kind in kinds {
        let namespace = namespace.clone().filter(|_| kind.is_namespaced());
        wanted.insert(kind, namespace);
    }
    for kind in model.collections.kinds() {
        if !wanted.contains_key(&kind) {
            model.collections.close(kind);
            effects.push(Effect::Unwatch(kind));
        }
    }
    for (kind, namespace) in wanted {
        let current = model
            .collections
            .get(kind)
            .map(|collection| &collection.namespace);
        if current != Some(&namespace) {
            let generation = model.collections.open(kind, namespace.clone());
            model.pending.is_list_stale = true;
            effects.push(Effect::Watch {
                kind,
                generation,
                namespace,
            });
        }
    }
}

/// Another object in the inspector starts at its top.
fn sync_selection(model: &mut Model) {
    let selected = model
        .list
        .selected()
        .map(|row| (row.key.clone(), row.object.uid()));
    if selected != model.pending.inspected {
        model.pending.inspected = selected;
        model.inspector.revealed = None;
        model.inspector.events_top = 0;
        model.inspector.describe_top = 0;
        model.inspector.search.forget_place();
        model.inspector.spec_top = 0;
        model.inspector.procs_top = 0;
        model.pending.is_describe_stale = true;
    }
    let shown = Some((model.tab(), model.inspector_content().width));
    if model.pending.shown_tab != shown {
        model.pending.is_describe_stale = true;
        model.inspector.search.forget_place();
    }
    model.pending.shown_tab = shown;
    match model.tab() {
        Tab::Describe if std::mem::take(&mut model.pending.is_describe_stale) => {
            model.inspector.describe = describe_selected(model);
        }
        Tab::Spec if std::mem::take(&mut model.pending.is_describe_stale) => {
            model.inspector.spec = spec_of_selected(model);
        }
        Tab::Logs | Tab::Events | Tab::Spec | Tab::Procs | Tab::Metrics | Tab::Describe => {}
    }
}

/// The object as YAML. The values of secrets stay hidden until they are asked for.
fn spec_of_selected(model: &Model) -> Vec<String> {
    let Some(row) = model.list.selected() else {
        return Vec::new();
    };
    let object = row.object.to_object();
    let mut value = object.to_value();
    if let Some(metadata) = value
        .get_mut("metadata")
        .and_then(serde_json::Value::as_object_mut)
    {
        metadata.shift_remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(serde_json::Value::as_object_mut)
        {
            // Manifests inside the manifest; the editor shows them as what they are.
            annotations.shift_remove(LAST_APPLIED);
            annotations.shift_remove(APPLIED_TEXT);
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    if model.is_revealed(row) {
        secrets::decode(&mut value, &object);
    } else {
        secrets::hide(&mut value, &object, &secrets::hint(model));
    }
    lines(&to_yaml(&value))
}

fn describe_selected(model: &Model) -> Vec<String> {
    let Some(row) = model.list.selected() else {
        return Vec::new();
    };
    let event = |row: &&Arc<Row>| match row.object.to_object() {
        Object::Event(event) => Some(event),
        _ => None,
    };
    let pod = |row: &Arc<Row>| match row.object.to_object() {
        Object::Pod(pod) => Some(pod),
        _ => None,
    };
    let object = row.object.to_object();
    let related = Related {
        events: model
            .collections
            .events_about(row)
            .iter()
            .filter_map(event)
            .collect(),
        without_events: false,
        pods: match row.key.kind {
            Kind::Node => model.collections.rows(Kind::Pod).filter_map(pod).collect(),
            Kind::PersistentVolumeClaim => {
                let pods = model.collections.rows(Kind::Pod).filter_map(pod);
                pods.filter(|pod| is_user(pod, &object)).collect()
            }
            _ => Vec::new(),
        },
    };
    let moment = Moment::new(model.now, model.session.zone.clone());
    let mut text = lines(&describe(&object, &related, &moment));
    if let Object::Secret(secret) = &object {
        let values = secrets::lines(model, secret, model.is_revealed(row));
        text.extend(values.iter().flat_map(|line| lines(line)));
    }
    let width = usize::from(model.inspector_content().width).saturating_sub(1);
    text.iter().flat_map(|line| folded(line, width)).collect()
}

/// A line in as many rows as it needs; those that follow are set in a little further.
fn folded(line: &str, width: usize) -> Vec<String> {
    const FURTHER: usize = 4;
    let own = line.len() - line.trim_start().len();
    let indent = (own + FURTHER).min(width / 2);
    let mut rows = wrapped(line, width);
    let first = rows.remove(0).to_owned();
    let rest = &line[first.len()..];
    if rows.is_empty() {
        return vec![first];
    }
    let rest = wrapped(rest.trim_start(), width.saturating_sub(indent));
    let set_in = rest.iter().map(|row| format!("{:indent$}{row}", ""));
    std::iter::once(first).chain(set_in).collect()
}

/// The pod uses the claim of the row.
fn is_user(pod: &Pod, claim: &Object) -> bool {
    match claim {
        Object::PersistentVolumeClaim(claim) => uses_claim(pod, claim),
        _ => false,
    }
}

fn sync_logs(model: &mut Model, effects: &mut Vec<Effect>) {
    let selected = model
        .list
        .selected()
        .filter(|row| row.pod.is_some())
        .cloned();
    let wanted = selected.as_ref().map(|row| Target {
        key: row.key.clone(),
        uid: row.object.uid(),
    });
    let is_shown = model.tab() == Tab::Logs && model.areas().inspector.height > 0;
    let area = model.log_lines();
    let logs = &mut model.inspector.logs;
    // Streams of the same pod go on behind another tab, so that nothing is missing when one comes back.
    let wanted = wanted.filter(|wanted| is_shown || logs.target.as_ref() == Some(wanted));
    let facts = selected.as_ref().and_then(|row| row.pod.as_ref());
    if logs.target != wanted {
        logs.retarget(wanted.clone(), facts, model.now);
    }
    if let Some(row) = selected
        .as_ref()
        .filter(|_| wanted.is_some() && !logs.events_are_known)
    {
        let events = model.collections.events_about(row);
        logs.observe_events(events.iter().filter_map(|event| spec_change(event)));
        if let Some(target) = &wanted {
            logs.observe_incidents(model.inspector.story.incidents_of(target));
        }
    }
    let mut openings = Vec::new();
    let mut read = None;
    if let Some(facts) = facts.filter(|_| wanted.is_some()) {
        openings = logs.observe(facts, model.now);
        read = logs.plan_read(area.width.into(), area.height.into());
        openings.extend(logs.observe(facts, model.now));
    }
    if logs.take_stale() {
        effects.push(Effect::CloseLogs);
    }
    effects.extend(read.map(|read| Effect::ReadLogs(Box::new(read))));
    let Some(target) = wanted else {
        return;
    };
    for opening in openings {
        effects.push(Effect::OpenLogs {
            generation: logs.generation,
            target: target.clone(),
            opening,
        });
    }
}

/// A change of the spec that an event tells of: the kubelet kills a container whose definition has changed, or gives
/// it other limits in place.
fn spec_change(row: &Arc<Row>) -> Option<(Timestamp, &str)> {
    let event = row.event()?;
    let message = event.message.as_deref()?;
    let tells = match event.reason.as_deref()? {
        "Killing" => message.contains("definition changed"),
        // In place: the container goes on with other limits, or may not.
        "ResizeCompleted" | "ResizeDeferred" | "ResizeInfeasible" | "ResizeError" => true,
        _ => false,
    };
    let at = event.last_timestamp.as_ref().filter(|_| tells)?;
    Some((at.0, message))
}

fn sync_terminals(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.focus == Focus::Terminal && !model.terms.is_shown() {
        terminal::leave(model);
    }
    let size = terminal::size_of(terminal::content(model.areas().terminal));
    let has_focus =
        model.focus == Focus::Terminal && model.overlays.is_empty() && !model.pending.is_unfocused;
    let settled = model.terms.settle(size, has_focus).into_iter();
    let is_mouse_off = model.pending.is_mouse_off;
    effects.extend(settled.filter(|one| !is_mouse_off || !matches!(one, Effect::MouseMotion(_))));
}

fn sync_metrics(model: &mut Model, effects: &mut Vec<Effect>) {
    let is_wanted =
        model.list.kind == Kind::Pod && model.collections.rows(Kind::Pod).next().is_some();
    let wanted = is_wanted.then(|| MetricsScope(model.list.namespace.clone()));
    if model.pending.metrics != wanted {
        model.pending.metrics.clone_from(&wanted);
        model.metrics.narrow(model.list.namespace.as_deref());
        effects.push(Effect::PollMetrics(wanted));
    }
}

fn selected_pod(model: &Model) -> Option<Target> {
    let row = model.list.selected().filter(|row| row.pod.is_some())?;
    Some(Target {
        key: row.key.clone(),
        uid: row.object.uid(),
    })
}

/// Processes are read only while they are on the screen.
fn sync_processes(model: &mut Model, effects: &mut Vec<Effect>) {
    let is_shown = model.tab() == Tab::Procs
        && model.editing.editor.is_none()
        && model.areas().inspector.height > 1;
    let wanted = selected_pod(model).filter(|_| is_shown);
    if model.pending.processes != wanted {
        model.inspector.processes.retarget(wanted.as_ref());
        model.pending.processes.clone_from(&wanted);
        effects.push(Effect::PollProcesses(wanted));
    }
    let height = usize::from(model.inspector_content().height).saturating_sub(1);
    let inspector = &mut model.inspector;
    let last_top = inspector.processes.rows.len().saturating_sub(height);
    inspector.procs_top = inspector.procs_top.min(last_top);
}

/// The story is read when its tab is opened, and again when something happened to a container since.
fn sync_story(model: &mut Model, effects: &mut Vec<Effect>) {
    let is_wanted = match model.tab() {
        Tab::Events => true,
        // The log marks kills with what the story knows of them.
        Tab::Logs => selected_ran_out_of_memory(model),
        Tab::Spec | Tab::Procs | Tab::Metrics | Tab::Describe => false,
    };
    let is_shown = is_wanted && model.areas().inspector.height > 1;
    let Some(target) = selected_pod(model).filter(|_| is_shown) else {
        return;
    };
    let mut hasher = DefaultHasher::new();
    if let Some(row) = model.list.selected() {
        for container in row.pod.iter().flat_map(|facts| &facts.containers) {
            let end = container.ended.as_ref().map(|end| (end.at, end.exit_code));
            (&container.name, container.restarts, end).hash(&mut hasher);
        }
        // A kill that a container survives shows only as an event.
        for event in model.collections.events_about(row) {
            if let Some(event) = event.event()
                && event.reason.as_deref() == Some("OOMKilling")
            {
                (&event.metadata.name, event.count).hash(&mut hasher);
            }
        }
    }
    let wanted = Some((target.clone(), hasher.finish()));
    if model.pending.story != wanted {
        model.pending.story = wanted;
        model.inspector.story.retarget(Some(&target));
        effects.push(Effect::ReadStory(target));
    }
}

fn selected_ran_out_of_memory(model: &Model) -> bool {
    let Some(row) = model.list.selected() else {
        return false;
    };
    let mut ends = row.pod.iter().flat_map(|facts| &facts.containers);
    let mut ends = ends
        .by_ref()
        .filter_map(|container| container.ended.as_ref());
    ends.any(|end| end.reason == "OOMKilled")
        || model.collections.events_about(row).iter().any(|event| {
            let reason = event.event().and_then(|event| event.reason.as_deref());
            reason == Some("OOMKilling")
        })
}

/// The queue stands on a pod that is in it.
fn sync_attention(model: &mut Model) {
    let Some(Overlay::Attention(attention)) = model.overlays.last_mut() else {
        return;
    };
    let queue = queue(&model.collections);
    let selected = attention.selected.as_ref();
    if !queue.iter().any(|row| Some(&row.key) == selected) {
        attention.selected = queue.first().map(|row| row.key.clone());
    }
}

/// A pod got into trouble: it is noted, and called out if that is wanted.
pub(super) fn trouble(model: &mut Model, row: &Row) -> Option<Effect> {
    let facts = row.pod.as_ref()?;
    let why = match &facts.why {
        Some(why) => why.words(model.now),
        None => facts.summary.status.clone(),
    };
    model.note(&format!("{}: {why}", row.key.name));
    let alert = model.alerts.trouble(model.now, &row.key, &why);
    alert.map(Effect::Alert)
}

/// Time went on by a second. The frame is drawn only if a text that depends on time is another now.
pub(super) fn tick(model: &mut Model, now: Timestamp) {
    model.now = now;
    let mut is_changed = model.inspector.logs.tick();
    is_changed |= model.terms.tick(now);
    if model.tab() == Tab::Describe {
        let text = describe_selected(model);
        is_changed |= text != model.inspector.describe;
        model.inspector.describe = text;
    }
    let texts = time_texts(model);
    is_changed |= texts != model.pending.time_texts;
    model.pending.time_texts = texts;
    model.pending.is_dirty |= is_changed;
}

/// A fingerprint of every visible text that changes by itself.
fn time_texts(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    clock_text(model).hash(&mut hasher);
    model.notices.current(model.now).is_some().hash(&mut hasher);
    model.deletions.words(model.now).hash(&mut hasher);
    hash_visible(model, &mut hasher);
    if let Some(row) = model.list.selected() {
        let why = row.pod.as_ref().and_then(|facts| facts.why.as_ref());
        why.map(|why| why.words(model.now)).hash(&mut hasher);
        if model.tab() == Tab::Events {
            for event in model.collections.events_about(row) {
                crate::printer::cells(&event.object.to_object(), true, model.now).hash(&mut hasher);
            }
        }
    }
    if let Some(Overlay::Attention(_)) = model.overlays.last() {
        for row in queue(&model.collections) {
            let since = since(&row).map(|at| human_duration(model.now.duration_since(at)));
            let why = row.pod.as_ref().and_then(|facts| facts.why.as_ref());
            (since, why.map(|why| why.words(model.now))).hash(&mut hasher);
        }
    }
    hasher.finish()
}
