//! The whole editor driven by keys against the real rules of the API, without an engine.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::state::{
    ApplyRequest, Effect as EditorEffect, OutsideEdit, OutsideEnd, Reply as EditorReply, Stage,
    Subject,
};
use super::{diagnose, on_reply};
use crate::admission::{Context, admit_create, admit_update};
use crate::model::applied::{applied_text, apply_patch, with_applied};
use crate::model::patch::apply_strategic;
use crate::model::{ApiError, FieldError, Kind, Object, decode};
use crate::tui::effect::Effect;
use crate::tui::msg::{Msg, Reply, TtyChunk, TtyNews};
use crate::tui::overlay::{Focus, Overlay};
use crate::tui::testing::{Screen, now};

const TEXT: &str = "# the one that serves\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels:\n    app: web  # used by nothing\nspec:\n  \
    containers:\n  - name: main\n    image: nginx:1.26\n    command: [run]\n  - name: side\n    image: busybox\n";

/// A screen with one applied pod, and the server that keeps it.
struct Desk {
    screen: Screen,
    live: Option<Object>,
    kept: Vec<Option<String>>,
}

fn applied(text: &str) -> Object {
    let mut value = crate::manifest::load(text, "").documents[0].value.clone();
    value["metadata"]["namespace"] = json!("default");
    let object = decode::decode(with_applied(&value, Some(text)))
        .unwrap()
        .object;
    let admitted = admit_create(object, &Context { now: now() }).unwrap().0;
    let mut object = admitted.into_inner();
    object.meta_mut().uid = Some("uid-web".to_owned());
    object
}

impl Desk {
    fn new(columns: u16, rows: u16) -> Self {
        let mut screen = Screen::populated(columns, rows);
        let live = applied(TEXT);
        screen.list(Kind::Pod, vec![live.clone()]);
        let mut desk = Self {
            screen,
            live: Some(live),
            kept: Vec::new(),
        };
        desk.settle();
        desk
    }

    fn keys(&mut self, keys: &str) -> &mut Self {
        self.screen.keys(keys);
        self.settle();
        self
    }

    /// Runs the effects that need no world, until there are none.
    fn settle(&mut self) {
        loop {
            let effects = std::mem::take(&mut self.screen.effects);
            let mut replies = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Editor(EditorEffect::Check {
                        generation,
                        text,
                        around,
                    }) => {
                        let report = diagnose(&text, &around);
                        replies.push(EditorReply::Checked { generation, report });
                    }
                    Effect::Editor(EditorEffect::Keep(draft)) => {
                        self.kept.push(draft.map(|draft| draft.text))
                    }
                    other => self.screen.effects.push(other),
                }
            }
            let rest = std::mem::take(&mut self.screen.effects);
            let is_done = replies.is_empty();
            for reply in replies {
                self.screen.send(Msg::Reply(Reply::Editor(reply)));
            }
            self.screen.effects.splice(0..0, rest);
            if is_done {
                return;
            }
        }
    }

    fn request(&mut self) -> ApplyRequest {
        let at = self
            .screen
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Editor(EditorEffect::Apply(_))));
        match self
            .screen
            .effects
            .remove(at.expect("something is to be applied"))
        {
            Effect::Editor(EditorEffect::Apply(request)) => *request,
            other => panic!("{other:?}"),
        }
    }

    /// Does what the server would, and shows it.
    fn serve(&mut self) -> &mut Self {
        let request = self.request();
        let (key, manifest, document) = request.objects[0].clone();
        let is_new = request.recreate || request.subject == Subject::New;
        let result = match &self.live {
            Some(live) if !is_new => {
                let patch = apply_patch(&request.base, live, &manifest, document.text());
                let merged = apply_strategic(Kind::Pod, &live.to_value(), &patch).unwrap();
                let merged = decode::decode(merged).unwrap().object;
                admit_update(live, merged, &Context { now: now() })
            }
            _ => {
                let annotated = with_applied(&manifest, document.text());
                let object = Object::from_value(Kind::Pod, annotated).unwrap();
                admit_create(object, &Context { now: now() })
            }
        };
        let refused = match result {
            Ok((admitted, _)) => {
                let object = admitted.into_inner();
                self.live = Some(object.clone());
                self.screen.list(Kind::Pod, vec![object]);
                None
            }
            Err(errors) => Some((
                ApiError::invalid(Kind::Pod, &key.name, &errors),
                Some(Box::new(document)),
            )),
        };
        let written = if refused.is_none() {
            vec![format!("{key} configured")]
        } else {
            Vec::new()
        };
        self.answer(EditorReply::Applied {
            written,
            objects: Vec::new(),
            warnings: Vec::new(),
            refused,
        })
    }

    fn answer(&mut self, reply: EditorReply) -> &mut Self {
        self.screen.send(Msg::Reply(Reply::Editor(reply)));
        self.settle();
        self
    }

    fn image(&self) -> String {
        let value = self.live.as_ref().unwrap().to_value();
        value["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn text(&self) -> String {
        self.screen
            .model
            .editing
            .editor
            .as_ref()
            .expect("the editor is open")
            .buffer
            .text()
    }

    fn is_open(&self) -> bool {
        self.screen.model.editing.editor.is_some()
    }

    fn draw(&mut self) -> String {
        self.screen.text()
    }

    fn stage(&self) -> &Stage {
        &self
            .screen
            .model
            .editing
            .editor
            .as_ref()
            .expect("the editor is open")
            .stage
    }
}

/// From the top to the image of `main`, at its end.
const TO_IMAGE: &str = "<down><down><down><down><down><down><down><down><down><down><end>";

#[test]
fn edit_error_fix_review_apply_undo() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    assert_eq!(desk.text(), TEXT);
    assert_snapshot!("the_text_80x24", desk.draw());
    // An error on its line: the field is misspelt.
    desk.keys(TO_IMAGE)
        .keys("7<home><right><right><right><right>x");
    assert_snapshot!("an_error_at_its_line", desk.draw());
    desk.keys("<ctrl-s>");
    assert!(matches!(desk.stage(), Stage::Text));
    assert!(
        desk.draw().contains("2 errors; the first is at line 10"),
        "{}",
        desk.draw()
    );
    desk.keys("<down><home><right><right><right><right><del><ctrl-s>");
    assert_snapshot!("the_review_80x24", desk.draw());
    desk.keys("<esc>");
    assert!(desk.text().contains("nginx:1.267"));
    desk.keys("<ctrl-s><enter>").serve();
    assert!(!desk.is_open());
    assert_eq!(desk.image(), "nginx:1.267");
    // The comments are in the text that is kept.
    let kept = applied_text(desk.live.as_ref().unwrap()).unwrap();
    assert_eq!(kept, TEXT.replace("1.26", "1.267"));
    desk.keys("u");
    assert_snapshot!("undo_80x24", desk.draw());
    desk.keys("<enter>").serve();
    assert_eq!(desk.image(), "nginx:1.26");
    assert_eq!(applied_text(desk.live.as_ref().unwrap()), Some(TEXT));
    desk.keys("u");
    assert!(desk.draw().contains("nothing was applied"));
}

#[test]
fn the_editor_at_200x50() {
    let mut desk = Desk::new(200, 50);
    desk.keys("e").keys(TO_IMAGE).keys("<enter>imageP");
    assert_snapshot!(desk.draw());
}

#[test]
fn completion_writes_fields_and_values() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e")
        .keys(TO_IMAGE)
        .keys("<enter>imageP<tab>n<tab>");
    assert!(
        desk.text()
            .contains("    image: nginx:1.26\n    imagePullPolicy: Never\n"),
        "{}",
        desk.text()
    );
    desk.keys("<enter>livenessP<tab>exe<tab>comm<tab>ls");
    assert!(
        desk.text()
            .contains("    livenessProbe:\n      exec:\n        command:\n        - ls\n"),
        "{}",
        desk.text()
    );
    desk.keys("<up>");
    assert!(desk.draw().contains("[]string"), "{}", desk.draw());
}

#[test]
fn an_immutable_change_offers_to_recreate() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e")
        .keys(TO_IMAGE)
        .keys("<down><end><left>, fast<ctrl-s>");
    assert_snapshot!("immutable_review", desk.draw());
    desk.keys("<enter>");
    assert_snapshot!("immutable_question", desk.draw());
    desk.keys("n");
    assert!(matches!(desk.stage(), Stage::Review(_)));
    desk.keys("<enter>y");
    let request = desk.request();
    assert!(request.recreate);
}

#[test]
fn a_refusal_comes_back_at_its_line_and_nothing_is_lost() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e").keys(TO_IMAGE).keys("7<ctrl-s><enter>");
    assert!(matches!(desk.stage(), Stage::Sent(_)));
    let (key, _, document) = desk.request().objects.remove(0);
    let error = FieldError::invalid_string(
        "spec.containers[0].image",
        "nginx:1.267",
        "not in this registry",
    );
    desk.answer(EditorReply::Applied {
        written: Vec::new(),
        objects: Vec::new(),
        warnings: Vec::new(),
        refused: Some((
            ApiError::invalid(Kind::Pod, &key.name, &[error]),
            Some(Box::new(document)),
        )),
    });
    assert_snapshot!(desk.draw());
    assert_eq!(desk.text(), TEXT.replace("1.26", "1.267"));
    // The next change of the text makes the refusal history.
    desk.keys("8");
    assert!(!desk.draw().contains("not in this registry"));
}

#[test]
fn lost_engine_conflicts_and_sizes_keep_the_text() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e").keys(TO_IMAGE).keys("7");
    let text = desk.text();
    for error in [
        ApiError::conflict(Kind::Pod, "web"),
        ApiError::internal("the socket is gone"),
    ] {
        desk.keys("<ctrl-s><enter>");
        desk.request();
        desk.answer(EditorReply::Applied {
            written: Vec::new(),
            objects: Vec::new(),
            warnings: Vec::new(),
            refused: Some((error, None)),
        });
        assert!(matches!(desk.stage(), Stage::Text));
        assert_eq!(desk.text(), text);
    }
    for (columns, rows) in [(1, 1), (3, 2), (20, 5), (79, 7), (300, 100), (80, 24)] {
        desk.screen.send(Msg::Resize { columns, rows });
        desk.settle();
        desk.draw();
    }
    assert_eq!(desk.text(), text);
    assert_eq!(desk.kept.last(), Some(&Some(text)));
}

#[test]
fn leaving_asks_when_something_would_be_lost() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e<esc>");
    assert!(!desk.is_open());
    desk.keys("ex<esc>");
    assert!(matches!(
        desk.screen.model.overlays.last(),
        Some(Overlay::Confirm(_))
    ));
    desk.keys("<enter>");
    assert!(desk.is_open() && desk.text().starts_with('x'));
    desk.keys("<ctrl-c>d");
    assert!(!desk.is_open());
    assert_eq!(desk.kept.last(), Some(&None));
}

#[test]
fn an_object_that_goes_can_be_made_again_from_its_text() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    desk.live = None;
    desk.screen.list(Kind::Pod, Vec::new());
    desk.settle();
    assert!(desk.draw().contains("deleted meanwhile"));
    desk.keys("<ctrl-s>");
    assert!(desk.draw().contains("creates pod/web"), "{}", desk.draw());
    desk.keys("<enter>").serve();
    assert_eq!(desk.image(), "nginx:1.26");
}

#[test]
fn new_from_a_template_and_from_a_run_line() {
    let mut desk = Desk::new(80, 24);
    desk.keys("n<enter>");
    assert!(desk.text().contains("name: my-pod"));
    desk.keys("<esc>nrun<enter>");
    desk.screen.send(Msg::Paste(
        "docker run -d \\\n --name db --gpus all postgres:17".to_owned(),
    ));
    desk.keys("<enter>");
    assert_snapshot!(desk.draw());
    desk.keys("<ctrl-s><enter>").serve();
    assert_eq!(desk.image(), "postgres:17");
    desk.keys("u");
    assert!(
        desk.draw().contains("Undo means to delete it"),
        "{}",
        desk.draw()
    );
}

#[test]
fn a_wrong_run_line_stays_to_be_mended() {
    let mut desk = Desk::new(100, 24);
    desk.keys("nrun<enter>docker run -d<enter>");
    assert!(desk.draw().contains("names no image"), "{}", desk.draw());
    desk.keys(" img<enter>");
    assert!(desk.text().contains("image: img"));
}

#[test]
fn an_outside_editor_goes_the_same_way() {
    let mut desk = Desk::new(80, 24);
    desk.keys("E");
    let edit = outside(&mut desk);
    assert!(
        edit.text.starts_with("# Please edit") && edit.text.ends_with(TEXT),
        "{}",
        edit.text
    );
    assert_eq!(edit.file_name, "web.yaml");
    // A mistake goes back there, with what is wrong above the text.
    leave(
        &mut desk,
        &edit,
        &edit.text.replace("image: nginx", "imgae: nginx"),
    );
    let edit = outside(&mut desk);
    assert!(
        edit.text.contains("# * line 11: unknown field"),
        "{}",
        edit.text
    );
    leave(
        &mut desk,
        &edit,
        &edit.text.replace("imgae: nginx:1.26", "image: nginx:1.27"),
    );
    assert!(matches!(desk.stage(), Stage::Review(_)), "{}", desk.draw());
    assert_eq!(desk.screen.model.focus, Focus::Inspector);
    desk.keys("<enter>").serve();
    assert_eq!(desk.image(), "nginx:1.27");
    assert_eq!(
        applied_text(desk.live.as_ref().unwrap()),
        Some(TEXT.replace("1.26", "1.27").as_str())
    );
    // The same text again with the same mistake stays here.
    desk.keys("E");
    let edit = outside(&mut desk);
    leave(
        &mut desk,
        &edit,
        &edit.text.replace("image: nginx", "imgae: nginx"),
    );
    let again = outside(&mut desk);
    leave(&mut desk, &again, &again.text);
    assert!(desk.draw().contains("2 errors"), "{}", desk.draw());
    desk.keys("<esc>d").keys("E");
    let same = outside(&mut desk);
    leave(&mut desk, &same, &same.text);
    assert!(!desk.is_open() && desk.draw().contains("no changes made"));
}

fn outside(desk: &mut Desk) -> OutsideEdit {
    let effects = std::mem::take(&mut desk.screen.effects);
    let edit = effects.into_iter().find_map(|effect| match effect {
        Effect::Editor(EditorEffect::External(edit)) => Some(*edit),
        _ => None,
    });
    edit.expect("the outside editor is asked for")
}

fn leave(desk: &mut Desk, edit: &OutsideEdit, text: &str) {
    desk.answer(EditorReply::External(
        edit.id,
        OutsideEnd::Left(text.to_owned()),
    ));
}

fn tty(desk: &mut Desk, edit: &OutsideEdit, news: TtyNews) {
    desk.screen.send(Msg::Tty { id: edit.id, news });
}

#[test]
fn an_outside_editor_is_a_terminal_beside_the_list() {
    for (columns, rows, expected) in [(80, 24, (80, 17)), (200, 50, (200, 43)), (20, 5, (20, 2))] {
        let mut desk = Desk::new(columns, rows);
        desk.keys("e<ctrl-o>");
        let edit = outside(&mut desk);
        assert_eq!((edit.size.columns, edit.size.rows), expected);
        // It starts with the right size.
        let is_resize = |effect: &Effect| matches!(effect, Effect::ResizeTty { .. });
        assert!(!desk.screen.effects.iter().any(is_resize));
        tty(&mut desk, &edit, TtyNews::Started("vim".to_owned()));
        let bytes = bytes::Bytes::from_static(b"~ in vim");
        tty(
            &mut desk,
            &edit,
            TtyNews::Output(TtyChunk::new(bytes, None)),
        );
        let text = desk.draw();
        assert!(text.contains("~ in vim"), "{text}");
        if columns >= 80 {
            assert!(text.contains("TERM web/$EDITOR vim"), "{text}");
            assert!(text.contains("ctrl-c: vim"), "{text}");
            assert!(text.lines().nth(2).unwrap().contains("web"), "{text}");
        }
        // Every key is the editor's, those of a detach from a container too.
        desk.screen.effects.clear();
        desk.keys("q<ctrl-p><ctrl-q><ctrl-s><esc>");
        let effects = std::mem::take(&mut desk.screen.effects);
        let keys = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::SendTty { .. }));
        assert_eq!(keys.count(), 5);
    }
}

#[test]
fn the_text_waits_while_it_is_outside() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    desk.keys("# mine<enter><ctrl-o>");
    let edit = outside(&mut desk);
    let typed = desk.text();
    // Detached: nothing can be typed into the text that is away, and Enter goes back.
    desk.keys("<ctrl-]>d");
    assert!(
        desk.draw().contains("the text is in $EDITOR"),
        "{}",
        desk.draw()
    );
    desk.keys("x<ctrl-x>");
    desk.screen.send(Msg::Paste("lost?".to_owned()));
    assert_eq!(desk.text(), typed);
    desk.keys("<enter>");
    assert_eq!(desk.screen.model.focus, Focus::Terminal);
    // Neither does a change of the object take it away.
    let live = desk.live.clone().unwrap();
    desk.screen.list(Kind::Pod, Vec::new());
    desk.screen.list(Kind::Pod, vec![live]);
    assert!(matches!(desk.stage(), Stage::Outside(_)));
    // Closing asks; what was saved comes back.
    desk.keys("<ctrl-]>ck");
    assert!(matches!(desk.stage(), Stage::Outside(_)));
    desk.keys("<ctrl-]>cc");
    let is_closed = |effect: &Effect| matches!(effect, Effect::CloseTerminal(id) if *id == edit.id);
    assert!(desk.screen.effects.iter().any(is_closed));
    desk.answer(EditorReply::External(
        edit.id,
        OutsideEnd::HungUp {
            text: format!("{}# saved\n", edit.text),
            strays: Some("/edits/1-2-1.kept".to_owned()),
        },
    ));
    assert_eq!(desk.text(), format!("{typed}# saved\n"));
    assert_eq!(*desk.stage(), Stage::Text);
    assert!(desk.draw().contains("/edits/1-2-1.kept"), "{}", desk.draw());
    // A failure leaves the text as it was.
    desk.keys("<ctrl-o>");
    let edit = outside(&mut desk);
    let problem = OutsideEnd::Failed("vi: it exited with 1".to_owned());
    desk.answer(EditorReply::External(edit.id, problem));
    assert_eq!(desk.text(), format!("{typed}# saved\n"));
    assert!(desk.draw().contains("exited with 1") && !desk.screen.model.terms.is_shown());
}

#[test]
fn a_paste_is_typed() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    desk.screen.send(Msg::Paste("# one\n# two\n".to_owned()));
    assert!(desk.text().starts_with("# one\n# two\n"), "{}", desk.text());
    // Below a terminal that has the keys it is not the editor's.
    desk.keys("<ctrl-z>").settle();
    assert_eq!(desk.text(), TEXT);
}

#[test]
fn an_unfinished_edit_is_offered() {
    let mut desk = Desk::new(80, 24);
    let draft: super::Draft = serde_json::from_value(json!({
        "version": 1, "kind": "Pod", "name": "web", "namespace": "default",
        "text": TEXT.replace("1.26", "1.99"), "savedAt": "2026-01-02T02:59:00Z",
    }))
    .unwrap();
    let recovered = super::draft::Recovered {
        path: "/nowhere/1-1.json".into(),
        draft,
        has_strays: false,
    };
    desk.answer(EditorReply::Recovered(vec![recovered]));
    assert_snapshot!(desk.draw());
    desk.keys("o");
    assert!(desk.text().contains("1.99") && desk.is_open());
    let dropped = desk
        .screen
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Editor(EditorEffect::DropRecovered { .. })));
    assert!(dropped);
}

#[test]
fn references_are_checked_against_what_is_there() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    desk.screen.list(Kind::Secret, Vec::new());
    desk.keys(TO_IMAGE)
        .keys("<enter>envFrom:<enter>- secretRef:<enter>name: gone");
    assert!(
        desk.draw().contains("secret \"gone\" does not exist"),
        "{}",
        desk.draw()
    );
}

#[test]
fn spec_tab_with_colours_and_hidden_secrets() {
    let mut desk = Desk::new(80, 24);
    desk.keys("y<tab>z");
    assert_snapshot!("spec_tab_zoomed", desk.draw());
    let secret: Value = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "login", "namespace": "default"}, "data": {"password": "aHVudGVyMg=="}});
    desk.keys("<esc><esc>:secrets<enter>");
    desk.screen.list(
        Kind::Secret,
        vec![Object::from_value(Kind::Secret, secret).unwrap()],
    );
    let screen = desk.draw();
    assert!(
        screen.contains("<7 bytes, hidden; x shows it>") && !screen.contains("aHVu"),
        "{screen}"
    );
}

#[test]
fn an_answer_without_an_editor_is_only_told() {
    let mut desk = Desk::new(80, 24);
    let reply = EditorReply::Applied {
        written: Vec::new(),
        objects: Vec::new(),
        warnings: Vec::new(),
        refused: Some((ApiError::conflict(Kind::Pod, "web"), None)),
    };
    assert_eq!(on_reply(&mut desk.screen.model, reply), []);
    assert!(desk.draw().contains("refused"));
}

#[test]
fn what_was_applied_is_edited_again_before_the_watch_tells_of_it() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e").keys(TO_IMAGE).keys("7<ctrl-s><enter>");
    desk.request();
    let mut value = desk.live.as_ref().unwrap().to_value();
    value["metadata"]["resourceVersion"] = "1000".into();
    value["spec"]["containers"][0]["image"] = "nginx:1.267".into();
    value["metadata"]["annotations"] = serde_json::json!({});
    desk.answer(EditorReply::Applied {
        written: vec!["pod/web configured".to_owned()],
        objects: vec![Object::from_value(Kind::Pod, value).unwrap()],
        warnings: Vec::new(),
        refused: None,
    });
    desk.keys("e");
    assert!(desk.text().contains("nginx:1.267"), "{}", desk.text());
}

#[test]
fn what_takes_long_is_put_aside_and_comes_back_when_refused() {
    let sent = |desk: &mut Desk| {
        desk.keys("e").keys(TO_IMAGE).keys("7<ctrl-s><enter>");
        desk.request();
        desk.keys("<esc>");
        assert!(desk.screen.model.editing.editor.is_none());
    };
    let answer = |desk: &mut Desk, refused| {
        desk.answer(EditorReply::Applied {
            written: vec!["pod/web configured".to_owned()],
            objects: Vec::new(),
            warnings: Vec::new(),
            refused,
        });
    };
    let conflict = || Some((ApiError::conflict(Kind::Pod, "web"), None));
    // Accepted while one does something else.
    let mut desk = Desk::new(80, 24);
    sent(&mut desk);
    desk.keys("n").keys("<esc>");
    answer(&mut desk, None);
    assert!(desk.draw().contains("pod/web configured"));
    assert!(desk.screen.model.editing.editor.is_none());
    assert_eq!(desk.screen.model.editing.history.len(), 1);
    // Refused: the text is there again. Until then nobody leaves, and a screen that is killed keeps the text.
    let mut desk = Desk::new(80, 24);
    sent(&mut desk);
    desk.keys("e").keys("<esc>");
    let kept = desk.kept.last().cloned().flatten();
    assert!(
        kept.expect("the draft of what was sent")
            .contains("nginx:1.267")
    );
    desk.keys("q");
    assert!(desk.draw().contains("leave when that is told to be done"));
    assert!(
        !desk
            .screen
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Exit(_)))
    );
    answer(&mut desk, conflict());
    assert!(desk.text().contains("nginx:1.267"), "{}", desk.text());
    // Refused while another text is open, which goes first.
    let mut desk = Desk::new(80, 24);
    sent(&mut desk);
    desk.keys("e");
    answer(&mut desk, conflict());
    assert!(!desk.text().contains("nginx:1.267"));
    desk.keys("<esc>");
    assert!(desk.text().contains("nginx:1.267"), "{}", desk.text());
}

#[test]
fn a_wider_screen_shows_lines_from_their_beginning_again() {
    let mut desk = Desk::new(80, 24);
    desk.keys("e");
    desk.screen
        .model
        .editing
        .editor
        .as_mut()
        .unwrap()
        .buffer
        .go_to(7, 30);
    for (columns, is_scrolled) in [(12, true), (80, false)] {
        desk.screen.send(Msg::Resize { columns, rows: 24 });
        let left = desk.screen.model.editing.editor.as_ref().unwrap().left;
        assert_eq!(left > 0, is_scrolled, "{columns} columns, left {left}");
    }
}
