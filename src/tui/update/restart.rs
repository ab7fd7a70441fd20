//! Restarting the containers of pods.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::delete::in_words;
use crate::model::restarts::restart_patch;
use crate::model::{Object, pod as pods};
use crate::tui::data::Row;
use crate::tui::editor;
use crate::tui::effect::Effect;
use crate::tui::model::Model;
use crate::tui::overlay::{Answer, AnswerAction, Confirm, Overlay, PickAction, PickItem, Picker};

/// What is to be restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Restart {
    /// Every container of these pods, in place.
    All(Vec<crate::model::ObjectKey>),
    /// One container of the selected pod; which is asked.
    One,
    /// The selected pod is deleted and created anew.
    Recreate,
}

fn pod_of(row: &Arc<Row>) -> Option<Arc<Pod>> {
    match row.object.to_object() {
        Object::Pod(pod) => Some(pod),
        _ => None,
    }
}

/// Containers that run or would run for ever: those a restart ends and starts again.
fn restartable(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let of_pod = spec.restart_policy.as_deref().unwrap_or("Always");
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|container| pods::is_sidecar(container));
    let app = spec
        .containers
        .iter()
        .filter(|container| container.restart_policy.as_deref().unwrap_or(of_pod) == "Always");
    sidecars
        .chain(app)
        .map(|container| container.name.clone())
        .collect()
}

/// Says what a restart will do, and asks.
pub(super) fn ask(model: &mut Model) {
    let rows = model.list.targets(&model.collections);
    let targets: Vec<Arc<Pod>> = rows.iter().filter_map(pod_of).collect();
    if targets.is_empty() || targets.len() < rows.len() {
        model.complain("restart is for pods: select one in the list");
        return;
    }
    let is_deleted = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let mut pairs = rows.iter().zip(&targets);
    if let Some((row, _)) = pairs.find(|(_, pod)| is_deleted(pod)) {
        let text = format!("{} is being deleted", row.key);
        model.complain(text);
        return;
    }
    let confirm = match (rows.as_slice(), targets.as_slice()) {
        ([row], [pod]) => ask_one(row, pod),
        _ => ask_many(&rows, &targets),
    };
    match confirm {
        Ok(confirm) => model.overlays.push(Overlay::Confirm(confirm)),
        Err(problem) => model.complain(problem),
    }
}

fn answer(key: char, text: &str, action: AnswerAction) -> Answer {
    Answer {
        key,
        text: text.to_owned(),
        action,
    }
}

fn ask_one(row: &Arc<Row>, pod: &Pod) -> Result<Confirm, String> {
    let grace = pods::grace_period_seconds(pod);
    let names = restartable(pod);
    let mut answers = vec![answer('n', "No", AnswerAction::Nothing)];
    let mut text = vec![format!("Restart {}?", in_words(&row.key))];
    if pods::is_terminal(pod) {
        text.push("It has ended, and an ended pod does not run again.".to_owned());
    } else if names.is_empty() {
        text.push("Its restart policy keeps containers that end from starting again.".to_owned());
    } else {
        text.push(format!(
            "In place: {} get their stop signal, are killed after {grace} s and start again at once. Address, volumes \
             and logs of the pod stay; what containers wrote elsewhere is gone.",
            names.join(", ")
        ));
        let all = Restart::All(vec![row.key.clone()]);
        answers.push(answer('y', "Restart", AnswerAction::Restart(all)));
        if names.len() > 1 {
            let one = AnswerAction::Restart(Restart::One);
            answers.push(answer('o', "One container", one));
        }
    }
    text.push(
        "Recreate: the pod is deleted with its files, address and logs, and created anew."
            .to_owned(),
    );
    let recreate = AnswerAction::Restart(Restart::Recreate);
    answers.push(answer('r', "Recreate", recreate));
    Ok(Confirm {
        title: "restart".to_owned(),
        text,
        answers,
        chosen: 0,
    })
}

fn ask_many(rows: &[Arc<Row>], targets: &[Arc<Pod>]) -> Result<Confirm, String> {
    let can = |pod: &Pod| !pods::is_terminal(pod) && !restartable(pod).is_empty();
    let able: Vec<_> = rows
        .iter()
        .zip(targets)
        .filter(|(_, pod)| can(pod))
        .map(|(row, _)| row.key.clone())
        .collect();
    if able.is_empty() {
        return Err(
            "none of these pods can be restarted in place; one by one they can be recreated"
                .to_owned(),
        );
    }
    let grace = targets.iter().map(|pod| pods::grace_period_seconds(pod));
    let names: Vec<&str> = able.iter().map(|key| key.name.as_str()).collect();
    let mut text = vec![
        format!("Restart all containers of {} pods?", able.len()),
        names.join(", "),
        format!(
            "They get their stop signal, are killed after {} s at most and start again at once, each in its pod.",
            grace.max().unwrap_or(0)
        ),
    ];
    let left = rows.len() - able.len();
    if left > 0 {
        text.push(format!(
            "{left} of the marked pods have ended or never restart; they stay as they are."
        ));
    }
    Ok(Confirm {
        title: "restart".to_owned(),
        text,
        answers: vec![
            answer('n', "No", AnswerAction::Nothing),
            answer('y', "Restart", AnswerAction::Restart(Restart::All(able))),
        ],
        chosen: 0,
    })
}

pub(super) fn confirmed(model: &mut Model, restart: Restart) -> Vec<Effect> {
    match restart {
        Restart::All(keys) => {
            model.list.clear_marks();
            let rows: Vec<Arc<Row>> = model
                .collections
                .rows(crate::model::Kind::Pod)
                .filter(|row| keys.contains(&row.key))
                .cloned()
                .collect();
            rows.iter()
                .filter_map(|row| restart_effect(model, row, None))
                .collect()
        }
        Restart::One => {
            pick_container(model);
            Vec::new()
        }
        Restart::Recreate => editor::recreate_selected(model),
    }
}

fn restart_effect(model: &Model, row: &Arc<Row>, container: Option<&str>) -> Option<Effect> {
    let pod = pod_of(row)?;
    Some(Effect::Restart {
        key: row.key.clone(),
        what: match container {
            Some(name) => format!("{name} of {}", row.key),
            None => row.key.to_string(),
        },
        patch: restart_patch(&pod, container, model.now),
    })
}

fn pick_container(model: &mut Model) {
    let Some(row) = model.list.selected() else {
        return;
    };
    let names = pod_of(row).map_or_else(Vec::new, |pod| restartable(&pod));
    let items = names.into_iter().enumerate().map(|(index, name)| PickItem {
        key: (index + 1).to_string(),
        text: name,
        action: PickAction::Restart(index),
    });
    let picker = Picker::new("restart which container", items.collect());
    model.overlays.push(Overlay::Picker(picker));
}

/// The container that was picked.
pub(super) fn picked(model: &mut Model, index: usize) -> Vec<Effect> {
    let Some(row) = model.list.selected().cloned() else {
        return Vec::new();
    };
    let names = pod_of(&row).map_or_else(Vec::new, |pod| restartable(&pod));
    let name = names.get(index).map(String::as_str);
    name.and_then(|name| restart_effect(model, &row, Some(name)))
        .into_iter()
        .collect()
}
