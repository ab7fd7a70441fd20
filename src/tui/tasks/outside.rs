//! `$EDITOR` on a file with the text, in a terminal pane.
//!
//! Each edit has a directory of its own, so that whatever an editor leaves beside the file (swap files, backups)
//! belongs to it. The directory goes when the text has come back; until then it is the only place where unsaved
//! work may be, so after a failure or a hang-up it is kept under another name, and after the death of podtui the
//! next screen offers it (`editor::draft`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::terminal::{TtyInput, pump_input, pump_output};
use crate::base::{SessionEnd, SessionStream};
use crate::tui::HostPrograms;
use crate::tui::editor::{Drafts, EditorReply, OutsideEdit, OutsideEnd};
use crate::tui::msg::{Msg, Reply, TtyNews};

/// `$KUBE_EDITOR`, `$EDITOR` or `vi`, as kubectl has it.
pub(in crate::tui) fn editor_command(variable: impl Fn(&str) -> Option<String>) -> String {
    let set = |name| variable(name).filter(|value| !value.trim().is_empty());
    set("KUBE_EDITOR")
        .or_else(|| set("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned())
}

/// Runs this command on the text, until it ends or `input` is closed, which hangs it up. The answer is what the file
/// holds then.
pub(in crate::tui) async fn edit_outside(
    programs: Arc<dyn HostPrograms>,
    command: String,
    edit: OutsideEdit,
    drafts: Drafts,
    input: mpsc::Receiver<TtyInput>,
    messages: mpsc::Sender<Msg>,
) {
    let id = edit.id;
    let end = match prepare(&drafts, &edit) {
        Ok(place) => match start(&*programs, &command, &edit, &place) {
            Ok(stream) => {
                let word = command.split_whitespace().next().unwrap_or_default();
                let program = word.rsplit('/').next().unwrap_or_default();
                let news = TtyNews::Started(program.to_owned());
                // The screen may be gone; what the editor saves is kept all the same.
                let _ = messages.send(Msg::Tty { id, news }).await;
                let (end, is_hung_up) = run(&edit, stream, input, &messages).await;
                settle(&command, &edit, &place, &end, is_hung_up)
            }
            Err(problem) => {
                let _ = fs::remove_dir_all(&place.directory);
                OutsideEnd::Failed(format!("{command}: {problem}"))
            }
        },
        Err(problem) => OutsideEnd::Failed(problem),
    };
    let reply = Reply::Editor(EditorReply::External(id, end));
    let _ = messages.send(Msg::Reply(reply)).await;
}

struct Place {
    directory: PathBuf,
    file: PathBuf,
}

fn prepare(drafts: &Drafts, edit: &OutsideEdit) -> Result<Place, String> {
    let directory = drafts
        .make_outside(&edit.draft)
        .map_err(|error| format!("no place for the file to edit: {error}"))?;
    let file = directory.join(&edit.file_name);
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&file)?.write_all(edit.text.as_bytes())
    };
    write().map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Place { directory, file })
}

fn start(
    programs: &dyn HostPrograms,
    command: &str,
    edit: &OutsideEdit,
    place: &Place,
) -> Result<SessionStream, std::io::Error> {
    // Through a shell: the variable may hold arguments. The terminal sends ctrl-c to the shell, too, which would end
    // with it once the editor has ended; a trap, other than ignoring it, leaves the editor what it is used to.
    let script = format!("trap : INT; {command} \"$1\"");
    let mut argv = ["/bin/sh", "-c", &script, "sh"].map(Into::into).to_vec();
    argv.push(place.file.clone().into_os_string());
    programs.start(&argv, edit.size)
}

/// How it ended, and whether that was asked for by closing its terminal.
async fn run(
    edit: &OutsideEdit,
    stream: SessionStream,
    input: mpsc::Receiver<TtyInput>,
    messages: &mpsc::Sender<Msg>,
) -> (SessionEnd, bool) {
    let SessionStream {
        stdin,
        output,
        resize,
    } = stream;
    let output = pump_output(edit.id, output, messages);
    tokio::pin!(output);
    tokio::select! {
        end = &mut output => return (end, false),
        () = pump_input(input, stdin, resize, None) => {}
    }
    (output.await, true)
}

fn settle(
    command: &str,
    edit: &OutsideEdit,
    place: &Place,
    end: &SessionEnd,
    is_hung_up: bool,
) -> OutsideEnd {
    let left = fs::read(&place.file);
    let is_changed = left.as_ref().is_ok_and(|left| left != edit.text.as_bytes());
    let text = left
        .map_err(|error| error.to_string())
        .and_then(|left| String::from_utf8(left).map_err(|_| "it is not UTF-8".to_owned()));
    let problem = match (end, text) {
        (SessionEnd::Exited(0), Ok(text)) if !is_hung_up => {
            let _ = fs::remove_dir_all(&place.directory);
            return OutsideEnd::Left(text);
        }
        (_, Ok(text)) if is_hung_up => {
            let strays = strays(place).then(|| keep(place));
            if strays.is_none() {
                let _ = fs::remove_dir_all(&place.directory);
            }
            let strays = strays.map(|place| place.display().to_string());
            return OutsideEnd::HungUp { text, strays };
        }
        (SessionEnd::Exited(code), Ok(_)) => format!("it exited with {code}"),
        (SessionEnd::Closed, Ok(_)) => "it was killed".to_owned(),
        (SessionEnd::Failed(problem), Ok(_)) => problem.clone(),
        (_, Err(problem)) => format!("{}: {problem}", edit.file_name),
    };
    if !is_changed && !strays(place) {
        let _ = fs::remove_dir_all(&place.directory);
        return OutsideEnd::Failed(format!("{command}: {problem}"));
    }
    let kept = keep(place);
    OutsideEnd::Failed(format!(
        "{command}: {problem}; what was typed is in {}",
        kept.display()
    ))
}

/// The editor has left something beside the file, for instance what was not saved when it was hung up.
fn strays(place: &Place) -> bool {
    Drafts::has_strays(&place.directory)
}

/// From here on it is the user's: no later screen offers it or removes it.
fn keep(place: &Place) -> PathBuf {
    let kept = place.directory.with_extension("kept");
    match fs::rename(&place.directory, &kept) {
        Ok(()) => kept,
        Err(_) => place.directory.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::process::Command;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::base::{SessionOutput, TerminalSize};
    use crate::tui::testing::{Screen, parse_keys};

    /// Runs the command without a terminal; it is over before its first output, unless it is to be hung up.
    struct Direct;

    impl HostPrograms for Direct {
        fn start(&self, argv: &[OsString], _: TerminalSize) -> std::io::Result<SessionStream> {
            let code = Command::new(&argv[0]).args(&argv[1..]).status()?.code();
            let (stdin, mut stdin_rx) = mpsc::channel::<Bytes>(1);
            let (output_tx, output) = mpsc::channel(1);
            let (resize, _) = mpsc::channel(1);
            tokio::spawn(async move {
                // This code stands for an editor that waits.
                if code == Some(42) {
                    while stdin_rx.recv().await.is_some() {}
                }
                let end = SessionEnd::Exited(code.unwrap_or(137));
                let _ = output_tx.send(SessionOutput::End(end)).await;
            });
            Ok(SessionStream {
                stdin: Some(stdin),
                output,
                resize,
            })
        }
    }

    fn edit() -> OutsideEdit {
        let mut screen = Screen::populated(80, 24);
        for key in parse_keys("E") {
            screen.send(Msg::Key(key));
        }
        let found = screen.effects.into_iter().find_map(|effect| match effect {
            crate::tui::effect::Effect::Editor(crate::tui::editor::EditorEffect::External(
                edit,
            )) => Some(*edit),
            _ => None,
        });
        OutsideEdit {
            text: "a: 1\n".to_owned(),
            ..found.expect("E runs $EDITOR")
        }
    }

    async fn end_of(command: &str, directory: &std::path::Path, is_hung_up: bool) -> OutsideEnd {
        let (input, input_rx) = mpsc::channel(1);
        let (messages, mut received) = mpsc::channel(16);
        let drafts = Drafts::in_directory(directory.to_owned());
        let programs: Arc<dyn HostPrograms> = Arc::new(Direct);
        let task = edit_outside(
            programs,
            command.to_owned(),
            edit(),
            drafts,
            input_rx,
            messages,
        );
        let task = tokio::spawn(task);
        let held = (!is_hung_up).then_some(input);
        let answer = async {
            while let Some(message) = received.recv().await {
                if let Msg::Reply(Reply::Editor(EditorReply::External(_, end))) = message {
                    return end;
                }
            }
            panic!("no answer");
        };
        let end = tokio::time::timeout(Duration::from_secs(20), answer).await;
        drop(held);
        task.await.unwrap();
        end.expect("an answer in time")
    }

    #[track_caller]
    fn place(problem: &str) -> PathBuf {
        let (_, place) = problem
            .split_once("what was typed is in ")
            .unwrap_or_else(|| panic!("{problem}"));
        PathBuf::from(place)
    }

    fn count(directory: &std::path::Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[tokio::test]
    async fn what_was_typed_outlives_a_failing_editor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let fine = end_of("f() { echo 'b: 2' >> \"$1\"; }; f", path, false).await;
        assert_eq!(fine, OutsideEnd::Left("a: 1\nb: 2\n".to_owned()));
        assert_eq!(count(path), 0);
        let types = "f() { echo 'b: 2' >> \"$1\"; return 3; }; f";
        let mut kept = Vec::new();
        for _ in 0..2 {
            let OutsideEnd::Failed(problem) = end_of(types, path, false).await else {
                panic!("it fails");
            };
            assert!(problem.contains("it exited with 3"), "{problem}");
            kept.push(place(&problem));
        }
        // An editor that changed nothing leaves nothing, and nothing writes over what another has left.
        let nothing = end_of("false", path, false).await;
        assert!(
            matches!(nothing, OutsideEnd::Failed(problem) if problem.contains("exited with 1"))
        );
        // What is no text is not thrown away either.
        let bytes = end_of("f() { printf '\\377' > \"$1\"; }; f", path, false).await;
        let OutsideEnd::Failed(problem) = bytes else {
            panic!("it is no text");
        };
        let name = edit().file_name;
        assert_eq!(fs::read(place(&problem).join(&name)).unwrap(), [0xff]);
        for kept in &kept {
            assert_eq!(
                fs::read_to_string(kept.join(&name)).unwrap(),
                "a: 1\nb: 2\n"
            );
        }
        assert_eq!(count(path), 3);
        // No screen offers them once more.
        assert_eq!(Drafts::in_directory(path.to_owned()).recovered(), []);
    }

    #[tokio::test]
    async fn a_closed_terminal_brings_back_what_was_saved() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let saves = "f() { echo 'b: 2' >> \"$1\"; exit 42; }; f";
        let text = "a: 1\nb: 2\n".to_owned();
        let end = end_of(saves, path, true).await;
        assert_eq!(end, OutsideEnd::HungUp { text, strays: None });
        assert_eq!(count(path), 0);
        let swaps = "f() { echo typed > \"${1%/*}/.swp\"; exit 42; }; f";
        let OutsideEnd::HungUp { text, strays } = end_of(swaps, path, true).await else {
            panic!("it was hung up");
        };
        assert_eq!(text, "a: 1\n");
        let swap = PathBuf::from(strays.expect("a place")).join(".swp");
        assert_eq!(fs::read_to_string(swap).unwrap(), "typed\n");
    }

    #[test]
    fn the_editor_is_the_one_of_kubectl() {
        let of = |kube: Option<&'static str>, editor: Option<&'static str>| {
            editor_command(|name| {
                let value = if name == "EDITOR" { editor } else { kube };
                value.map(str::to_owned)
            })
        };
        assert_eq!(of(Some("nano"), Some("vim")), "nano");
        assert_eq!(of(Some(" "), Some("vim -u NONE")), "vim -u NONE");
        assert_eq!(of(None, None), "vi");
    }
}
