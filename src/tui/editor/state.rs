use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::buffer::Buffer;
use super::complete::{Candidate, place};
use super::diagnose::{Names, Problem, Report, Surroundings};
use super::diff::{DiffLine, Sign, diff};
use super::draft::{Draft, Recovered};
use super::outcome::{Change, Outcome, summary};
use crate::base::{TerminalSize, Uid};
use crate::manifest::{Document, Schema, Severity, load};
use crate::model::{ApiError, Kind, Object, ObjectKey};
use crate::tui::data::Liveness;
use crate::tui::model::Model;
use crate::tui::overlay::Focus;
use crate::tui::term::SessionId;

/// Equal lines shown around a difference.
const CONTEXT: usize = 2;
const POPUP_ROWS: usize = 8;

/// The part of the model that belongs to editing.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Editing {
    pub(in crate::tui) editor: Option<Box<Editor>>,
    /// What was sent and need not be looked at until the answer comes: a pod may take its grace period to end.
    pub(super) sent: Option<Box<Editor>>,
    /// Refused while another editor was open; shown when that is closed.
    pub(super) refused: Vec<Editor>,
    /// Applied changes, the last one at the end: what `u` takes back.
    pub(in crate::tui) history: Vec<Applied>,
    /// Texts that an earlier screen left behind.
    pub(in crate::tui) recovered: Vec<Recovered>,
    /// The editor was closed: its draft file has to go.
    pub(super) is_draft_stale: bool,
}

impl Editing {
    /// What is being done of something that was sent and put aside.
    pub(in crate::tui) fn in_the_air(&self) -> Option<&str> {
        match &self.sent.as_ref()?.stage {
            Stage::Sent(words) => Some(words),
            Stage::Text | Stage::Review(_) | Stage::Outside(_) => None,
        }
    }

    /// The newest change of this object is taken back; objects may have been created since.
    pub(super) fn forget_last(&mut self, key: &ObjectKey) {
        let last = self.history.iter().rposition(|applied| applied.key == *key);
        if let Some(at) = last {
            self.history.remove(at);
        }
    }
}

/// One applied change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Applied {
    pub(in crate::tui) key: ObjectKey,
    /// The text before; `None` when the object was created.
    pub(in crate::tui) before: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Subject {
    Existing {
        key: ObjectKey,
        uid: Uid,
    },
    /// One or more new objects.
    New,
}

impl Subject {
    pub(in crate::tui) fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Existing { key, .. } => Some(key),
            Self::New => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(in crate::tui) struct Editor {
    pub(in crate::tui) subject: Subject,
    pub(in crate::tui) namespace: String,
    pub(in crate::tui) buffer: Buffer,
    /// The text the edit began with, also as data.
    pub(in crate::tui) base: String,
    pub(super) base_value: Value,
    /// The object as the watch tells it; `None` when it is new or gone.
    pub(in crate::tui) live: Option<Object>,
    pub(in crate::tui) stage: Stage,
    pub(in crate::tui) findings: Findings,
    pub(in crate::tui) popup: Option<Popup>,
    /// First line and column in view.
    pub(in crate::tui) top: usize,
    pub(in crate::tui) left: usize,
    /// This edit takes back the last applied change.
    pub(in crate::tui) is_undo: bool,
    /// The text is edited in `$EDITOR`; problems go back there.
    pub(in crate::tui) is_external: bool,
    /// Focus and zoom that were there before.
    pub(super) before: (Focus, bool),
    schema: Arc<Schema>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Stage {
    Text,
    Review(Review),
    /// Sent; the answer is awaited. The words say what for.
    Sent(String),
    /// `$EDITOR` has the text, in this terminal. Nothing may be typed here meanwhile.
    Outside(SessionId),
}

/// What is known about the text.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Findings {
    pub(in crate::tui) report: Report,
    /// The server's refusal of the text that was sent.
    pub(in crate::tui) refusal: Vec<Problem>,
    /// Tells the answer to the last check from older ones.
    pub(in crate::tui) generation: u64,
    /// The text, or what it is judged against, is another since the last check.
    pub(in crate::tui) is_stale: bool,
    is_text_changed: bool,
    seen: Option<Surroundings>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Popup {
    pub(in crate::tui) candidates: Vec<Candidate>,
    pub(in crate::tui) chosen: Option<usize>,
    pub(in crate::tui) typed: usize,
}

impl Popup {
    pub(in crate::tui) fn rows(&self) -> usize {
        self.candidates.len().min(POPUP_ROWS)
    }

    pub(in crate::tui) fn step(&mut self, forward: bool) {
        let count = self.candidates.len();
        self.chosen = Some(match (self.chosen, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        });
    }
}

/// A line of the review: the difference, and what the change on it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Item {
    pub(in crate::tui) sign: Sign,
    pub(in crate::tui) text: String,
    pub(in crate::tui) effect: String,
    pub(in crate::tui) is_refused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Review {
    pub(in crate::tui) summary: String,
    pub(in crate::tui) items: Vec<Item>,
    pub(in crate::tui) needs_recreate: bool,
    pub(in crate::tui) top: usize,
}

/// What is asked of the world.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Effect {
    /// Diagnose after a pause in typing; takes the place of an earlier one.
    Check {
        generation: u64,
        text: String,
        around: Box<Surroundings>,
    },
    Apply(Box<ApplyRequest>),
    /// Put the text into the draft file after a pause, or remove the file.
    Keep(Option<Draft>),
    /// Remove what earlier screens left behind.
    DropRecovered {
        recovered: Vec<Recovered>,
        /// The user does not want it; otherwise it is in an editor now.
        is_discarded: bool,
    },
    /// Run `$EDITOR` on this text.
    External(Box<OutsideEdit>),
    /// Read a manifest into a new editor.
    ReadFile(String),
}

/// A text for `$EDITOR`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct OutsideEdit {
    /// The terminal it runs in.
    pub(in crate::tui) id: SessionId,
    pub(in crate::tui) size: TerminalSize,
    /// Editors show it, and choose colours by it.
    pub(in crate::tui) file_name: String,
    /// With the head that explains.
    pub(in crate::tui) text: String,
    pub(in crate::tui) draft: Draft,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum OutsideEnd {
    /// The text it left.
    Left(String),
    /// Its terminal was closed; what it had saved until then, and where the rest may be.
    HungUp {
        text: String,
        strays: Option<String>,
    },
    /// It could not be run or says that it failed; the text says where the work is, if there is any.
    Failed(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct ApplyRequest {
    pub(in crate::tui) subject: Subject,
    /// What the edit began with, as data: fields that are gone from it are removed.
    pub(in crate::tui) base: Value,
    pub(in crate::tui) objects: Vec<(ObjectKey, Value, Document)>,
    pub(in crate::tui) recreate: bool,
}

#[derive(Clone, Debug)]
pub(in crate::tui) enum Reply {
    Checked {
        generation: u64,
        report: Report,
    },
    /// What was written, and the refusal that ended it.
    Applied {
        written: Vec<String>,
        objects: Vec<Object>,
        warnings: Vec<String>,
        refused: Option<(ApiError, Option<Box<Document>>)>,
    },
    External(SessionId, OutsideEnd),
    Recovered(Vec<Recovered>),
    FileRead(String, Result<String, String>),
}

/// Answers of questions about the editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Answer {
    Discard,
    Review,
    Recreate,
    OpenRecovered,
    DropRecovered,
    /// Hang `$EDITOR` up.
    CloseOutside,
}

impl Editor {
    pub(in crate::tui) fn new(
        subject: Subject,
        namespace: String,
        text: String,
        live: Option<Object>,
    ) -> Self {
        let base_value = match subject {
            Subject::Existing { .. } => first_value(&text),
            Subject::New => Value::Null,
        };
        let buffer = Buffer::new(&text);
        Self {
            subject,
            namespace,
            base: buffer.text(),
            base_value,
            buffer,
            live,
            stage: Stage::Text,
            findings: Findings {
                is_stale: true,
                ..Findings::default()
            },
            popup: None,
            top: 0,
            left: 0,
            is_undo: false,
            is_external: false,
            before: (Focus::List, false),
            schema: Arc::new(Schema::built_in()),
        }
    }

    /// Columns of the line numbers, with a mark and a blank.
    pub(in crate::tui) fn gutter(&self) -> u16 {
        let digits = self.buffer.lines().len().max(10).ilog10() + 1;
        u16::try_from(digits + 2).unwrap_or(u16::MAX)
    }

    pub(in crate::tui) fn is_modified(&self) -> bool {
        self.buffer.text() != self.base
    }

    /// Problems of the text and the server's, by line.
    pub(in crate::tui) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.findings
            .refusal
            .iter()
            .chain(&self.findings.report.problems)
    }

    pub(in crate::tui) fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    pub(in crate::tui) fn count(&self, severity: Severity) -> usize {
        self.problems()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// The worst problem of a line (from 1).
    pub(in crate::tui) fn problem_at(&self, line: usize) -> Option<&Problem> {
        let at_line = |problem: &&Problem| problem.line.max(1) == line;
        let found = || self.problems().filter(at_line);
        found()
            .find(|problem| problem.severity == Severity::Error)
            .or_else(|| found().next())
    }

    /// The field at the cursor: its name, and what it is.
    pub(in crate::tui) fn help(&self) -> Option<String> {
        let row = self.buffer.cursor().0;
        let line = self.buffer.lines().get(row)?;
        let content = super::buffer::content_column(line);
        let end = content + super::highlight::key_end(&line[content..])?;
        let place = place(self.buffer.lines(), row, &line[..end])?;
        let (name, field) = place.field(&self.schema)?;
        Some(format!("{name}: {}", super::complete::note(field)))
    }

    /// Whatever stage it is in, the text is what one sees next.
    pub(super) fn back_to_text(&mut self) {
        self.stage = Stage::Text;
        self.popup = None;
        self.findings.is_stale = true;
    }

    pub(super) fn text_changed(&mut self) {
        self.findings.is_stale = true;
        self.findings.is_text_changed = true;
        self.findings.refusal.clear();
    }

    /// Completes at the cursor; `asked` also when nothing is typed yet.
    pub(super) fn refresh_popup(&mut self, around: &Surroundings, asked: bool) {
        self.popup = None;
        let (before, after) = self.buffer.around();
        // In the middle of a word there is nothing to complete.
        if after.starts_with(|next: char| next.is_ascii_alphanumeric()) {
            return;
        }
        let row = self.buffer.cursor().0;
        let Some(place) = place(self.buffer.lines(), row, before) else {
            return;
        };
        if !asked && place.typed().is_empty() {
            return;
        }
        let candidates = place.candidates(&self.schema, around);
        if !candidates.is_empty() {
            self.popup = Some(Popup {
                typed: place.typed().chars().count(),
                candidates,
                chosen: None,
            });
        }
    }

    pub(super) fn go_to_problem(&mut self, forward: bool) -> bool {
        let row = self.buffer.cursor().0 + 1;
        let mut places: Vec<(usize, usize)> = self
            .problems()
            .map(|problem| (problem.line.max(1), problem.column.max(1)))
            .collect();
        places.sort_unstable();
        places.dedup();
        let found = if forward {
            places
                .iter()
                .find(|place| place.0 > row)
                .or_else(|| places.first())
        } else {
            places
                .iter()
                .rev()
                .find(|place| place.0 < row)
                .or_else(|| places.last())
        };
        let Some(&(line, column)) = found else {
            return false;
        };
        self.buffer.go_to(line, column);
        true
    }

    pub(super) fn go_to_first_error(&mut self) {
        let errors = self
            .problems()
            .filter(|problem| problem.severity == Severity::Error);
        let first = errors
            .map(|problem| (problem.line.max(1), problem.column.max(1)))
            .min();
        if let Some((line, column)) = first {
            self.buffer.go_to(line, column);
        }
    }

    pub(in crate::tui) fn review(&self) -> Review {
        let accepted = &self.findings.report.accepted;
        let changes: Vec<&Change> = accepted.iter().flat_map(|one| &one.changes).collect();
        let needs_recreate = changes
            .iter()
            .any(|change| matches!(change.outcome, Outcome::Refused(_)));
        let old = match self.subject {
            Subject::Existing { .. } => self.base.as_str(),
            Subject::New => "",
        };
        let mut items: Vec<Item> = Vec::new();
        let mut lines: Vec<DiffLine> = diff(old, &self.buffer.text(), CONTEXT);
        let base = load(&self.base, "").documents.into_iter().next();
        let mut rest: Vec<(usize, &Change)> = Vec::new();
        let mut effects: Vec<Vec<&Change>> = vec![Vec::new(); lines.len()];
        for (index, one) in accepted.iter().enumerate() {
            for change in &one.changes {
                let at = |document: &Document, sign: Sign| {
                    let line = document.position(&change.path.within(&document.value))?.0;
                    lines
                        .iter()
                        .position(|shown| shown.sign == sign && shown.line == line)
                };
                let removed = || at(base.as_ref()?, Sign::Removed);
                let found = if change.new.is_null() {
                    removed()
                } else {
                    at(&one.document, Sign::Added).or_else(removed)
                };
                match found {
                    Some(line) => effects[line].push(change),
                    None => rest.push((index, change)),
                }
            }
        }
        for (line, changes) in lines.drain(..).zip(effects) {
            items.push(Item {
                sign: line.sign,
                text: line.text,
                effect: words(&changes),
                is_refused: changes
                    .iter()
                    .any(|change| matches!(change.outcome, Outcome::Refused(_))),
            });
        }
        for (index, change) in rest {
            items.push(Item {
                sign: Sign::Same,
                text: format!(
                    "(also) {}",
                    change.path.within(&accepted[index].document.value)
                ),
                effect: words(&[change]),
                is_refused: matches!(change.outcome, Outcome::Refused(_)),
            });
        }
        let owned: Vec<Change> = changes.into_iter().cloned().collect();
        Review {
            summary: match self.subject {
                Subject::New => created(accepted.iter().map(|one| &one.key)),
                Subject::Existing { .. } => summary(&owned, needs_recreate),
            },
            items,
            needs_recreate,
            top: 0,
        }
    }

    /// The text and the place of the cursor stay in view.
    fn scroll_into_view(&mut self, width: usize, height: usize) {
        let (row, _) = self.buffer.cursor();
        let height = height.max(1);
        self.top = self.top.clamp((row + 1).saturating_sub(height), row);
        let column = self.buffer.around().0.width();
        let width = width.max(1);
        // Where everything fits nothing is scrolled away, whatever a narrower screen made necessary.
        let shown = self.buffer.lines().iter().skip(self.top).take(height);
        let longest = shown.map(|line| line.width()).max().unwrap_or(0);
        self.left = self.left.min((longest + 1).saturating_sub(width));
        self.left = self.left.clamp((column + 1).saturating_sub(width), column);
    }
}

fn first_value(text: &str) -> Value {
    let document = load(text, "").documents.into_iter().next();
    document.map_or(Value::Null, |document| document.value)
}

fn created<'a>(keys: impl Iterator<Item = &'a ObjectKey>) -> String {
    let names: Vec<String> = keys.map(ToString::to_string).collect();
    format!("creates {}", names.join(", "))
}

/// The effects of one line, each once.
fn words(changes: &[&Change]) -> String {
    let mut seen = BTreeSet::new();
    let words = changes.iter().map(|change| change.outcome.words());
    let once: Vec<String> = words.filter(|words| seen.insert(words.clone())).collect();
    once.join(", ")
}

/// What the text of the open editor is judged against.
pub(super) fn surroundings(model: &Model) -> Option<Surroundings> {
    let editor = model.editing.editor.as_ref()?;
    let names = |kind: Kind| -> Option<Names> {
        let collection = model.collections.get(kind)?;
        let scope = collection.namespace.as_ref();
        let covers = scope.is_none_or(|namespace| *namespace == editor.namespace);
        if collection.liveness == Liveness::Loading || !covers {
            return None;
        }
        let rows = collection
            .rows()
            .filter(|row| row.namespace() == editor.namespace);
        Some(Names(
            rows.map(|row| (row.key.name.clone(), keys_of(&row.object.to_object())))
                .collect(),
        ))
    };
    Some(Surroundings {
        subject: editor.subject.key().cloned(),
        live: editor.live.clone(),
        base: editor.base_value.clone(),
        namespace: editor.namespace.clone(),
        config_maps: names(Kind::ConfigMap),
        secrets: names(Kind::Secret),
        now: model.now,
    })
}

fn keys_of(object: &Object) -> BTreeSet<String> {
    match object {
        Object::ConfigMap(map) => {
            let text = map.data.iter().flatten().map(|(key, _)| key.clone());
            text.chain(map.binary_data.iter().flatten().map(|(key, _)| key.clone()))
                .collect()
        }
        Object::Secret(secret) => secret
            .data
            .iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect(),
        _ => BTreeSet::new(),
    }
}

/// After every message: the object as it is now, the place of the cursor, and what has to be checked again.
pub(in crate::tui) fn settle(model: &mut Model, effects: &mut Vec<crate::tui::effect::Effect>) {
    if std::mem::take(&mut model.editing.is_draft_stale) {
        // What was put aside is not done yet: a screen that dies now leaves its text behind.
        let sent = model.editing.sent.as_deref();
        let draft = sent.map(|editor| Draft::of(editor, &editor.buffer.text(), model.now));
        effects.push(crate::tui::effect::Effect::Editor(Effect::Keep(draft)));
    }
    follow_object(model);
    let area = model.editor_text();
    let Some(around) = surroundings(model) else {
        return;
    };
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    editor.scroll_into_view(area.width.into(), area.height.into());
    let findings = &mut editor.findings;
    // The time alone is no reason to look again.
    let known = findings.seen.as_ref().map(|seen| Surroundings {
        now: around.now,
        ..seen.clone()
    });
    if !std::mem::take(&mut findings.is_stale) && known.as_ref() == Some(&around) {
        return;
    }
    findings.seen = Some(around.clone());
    findings.generation += 1;
    let generation = findings.generation;
    let text = editor.buffer.text();
    if std::mem::take(&mut editor.findings.is_text_changed) {
        let draft = Draft::of(editor, &text, model.now);
        effects.push(crate::tui::effect::Effect::Editor(Effect::Keep(Some(
            draft,
        ))));
    }
    effects.push(crate::tui::effect::Effect::Editor(Effect::Check {
        generation,
        text,
        around: Box::new(around),
    }));
}

/// Takes over what the watch says about the edited object.
fn follow_object(model: &mut Model) {
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    let Subject::Existing { key, uid } = &mut editor.subject else {
        return;
    };
    let Some(collection) = model.collections.get(key.kind) else {
        return;
    };
    let covers = collection.namespace.is_none() || collection.namespace == key.namespace;
    // While a pod is recreated it is gone for a moment; while another program has the text, it is looked at later.
    let is_away = matches!(editor.stage, Stage::Sent(_) | Stage::Outside(_));
    if collection.liveness != Liveness::Live || !covers || is_away {
        return;
    }
    let key = key.clone();
    let Some(row) = collection.rows().find(|row| row.key == key) else {
        editor.live = None;
        editor.subject = Subject::New;
        editor.is_undo = false;
        editor.back_to_text();
        model.complain(format!(
            "{key} was deleted meanwhile; applying creates it anew"
        ));
        return;
    };
    let is_other = row.object.uid() != *uid;
    *uid = row.object.uid();
    editor.live = Some(row.object.to_object());
    if is_other {
        editor.back_to_text();
        model.complain(format!(
            "{key} was replaced by another object of this name meanwhile"
        ));
    }
}
