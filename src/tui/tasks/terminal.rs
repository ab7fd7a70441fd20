use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
use crate::client::{Client, ExecOptions};
use crate::model::{ApiError, Reason};
use crate::tui::effect::OpenTerminal;
use crate::tui::msg::{Msg, TtyChunk, TtyNews};
use crate::tui::term::{Purpose, SessionId};

/// Largest piece of output that is one message: no message may take longer to parse than a frame lasts.
const CHUNK: usize = 16 << 10;
/// Messages of one session on their way. Beyond them the program waits.
const IN_FLIGHT: usize = 4;
/// A synchronised update may hold the output back so long, as in other terminals.
const HOLD: Duration = Duration::from_millis(150);

/// Tried in this order.
const SHELLS: [&str; 2] = ["bash", "sh"];
/// The engine sets `TERM=xterm`, which every image has. More colours are offered where the image knows them.
const SHELL_SCRIPT: &str = "\
for d in /usr/share/terminfo /lib/terminfo /etc/terminfo; do \
[ -e $d/x/xterm-256color ] && TERM=xterm-256color; done; \
COLORTERM=truecolor; export TERM COLORTERM; exec ";

#[derive(Clone, Debug)]
pub(in crate::tui) enum TtyInput {
    Bytes(Bytes),
    Size(TerminalSize),
}

/// Runs one terminal until its program ends or the task is aborted, which hangs it up.
pub(in crate::tui) async fn run_terminal(
    client: Arc<dyn Client>,
    request: OpenTerminal,
    input: mpsc::Receiver<TtyInput>,
    messages: mpsc::Sender<Msg>,
) {
    let id = request.id;
    let news = |news| Msg::Tty { id, news };
    let opened = match request.purpose {
        Purpose::Shell => open_shell(&*client, &request).await,
        Purpose::Attach { tty, stdin } => attach(&*client, &request, tty, stdin).await,
        Purpose::Editor => Err("an editor runs on this machine, not in a container".to_owned()),
    };
    let (program, stream) = match opened {
        Ok(opened) => opened,
        Err(problem) => {
            let _ = messages
                .send(news(TtyNews::Ended(SessionEnd::Failed(problem))))
                .await;
            return;
        }
    };
    if messages
        .send(news(TtyNews::Started(program)))
        .await
        .is_err()
    {
        return;
    }
    let SessionStream {
        stdin,
        output,
        resize,
    } = stream;
    let wakes_up =
        matches!(request.purpose, Purpose::Attach { tty: true, .. }).then_some(request.size);
    let end = tokio::select! {
        // Whoever is cut off half-way has nothing left to do: the other is the end of the session.
        end = pump_output(id, output, &messages) => end,
        () = pump_input(input, stdin, resize, wakes_up) => SessionEnd::Closed,
    };
    let _ = messages.send(news(TtyNews::Ended(end))).await;
}

fn options(request: &OpenTerminal) -> ExecOptions {
    ExecOptions {
        container: Some(request.container.clone()),
        stdout: true,
        size: Some(request.size),
        ..ExecOptions::default()
    }
}

/// The first shell that starts.
async fn open_shell(
    client: &dyn Client,
    request: &OpenTerminal,
) -> Result<(String, SessionStream), String> {
    let key = &request.target.key;
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let mut problem = String::new();
    for shell in SHELLS {
        let options = ExecOptions {
            command: [shell, "-c", &format!("{SHELL_SCRIPT}{shell}")]
                .map(str::to_owned)
                .to_vec(),
            stdin: true,
            tty: true,
            ..options(request)
        };
        match client.exec(namespace, &key.name, options).await {
            Ok(stream) => return Ok((shell.to_owned(), stream)),
            Err(error) if is_final(&error) => return Err(error.to_string()),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(format!(
        "no shell: neither {} could be started ({problem})",
        SHELLS.join(" nor ")
    ))
}

/// Another shell would not fare better.
fn is_final(error: &ApiError) -> bool {
    !matches!(error.reason, Reason::InternalError)
}

async fn attach(
    client: &dyn Client,
    request: &OpenTerminal,
    tty: bool,
    stdin: bool,
) -> Result<(String, SessionStream), String> {
    let key = &request.target.key;
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let options = ExecOptions {
        stdin,
        // A terminal has one output.
        stderr: !tty,
        tty,
        ..options(request)
    };
    let stream = client
        .attach(namespace, &key.name, options)
        .await
        .map_err(|error| error.to_string())?;
    Ok((request.container.clone(), stream))
}

pub(super) async fn pump_output(
    id: SessionId,
    mut output: mpsc::Receiver<SessionOutput>,
    messages: &mpsc::Sender<Msg>,
) -> SessionEnd {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(message) = output.recv().await {
        let mut bytes = match message {
            SessionOutput::Stdout(bytes) | SessionOutput::Stderr(bytes) => bytes,
            SessionOutput::End(end) => return end,
        };
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(CHUNK));
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return SessionEnd::Closed;
            };
            let news = TtyNews::Output(TtyChunk::new(piece, Some(permit)));
            if messages.send(Msg::Tty { id, news }).await.is_err() {
                return SessionEnd::Closed;
            }
        }
    }
    SessionEnd::Failed("the connection to the container was lost".to_owned())
}

/// Never returns while the terminal is open. `wakes_up` is the size of an attached terminal: a change of it
/// makes a full-screen program draw itself, which it would not do for a new viewer.
pub(super) async fn pump_input(
    mut input: mpsc::Receiver<TtyInput>,
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
    wakes_up: Option<TerminalSize>,
) {
    if let Some(size) = wakes_up {
        let other = TerminalSize {
            rows: size.rows + 1,
            ..size
        };
        for size in [other, size] {
            let _ = resize.send(size).await;
        }
    }
    while let Some(next) = input.recv().await {
        match next {
            TtyInput::Size(size) => {
                let _ = resize.send(size).await;
            }
            // A program that has closed its input goes on.
            TtyInput::Bytes(bytes) => {
                if let Some(stdin) = &stdin {
                    let _ = stdin.send(bytes).await;
                }
            }
        }
    }
}

/// Ends a synchronised update that its program forgot to end.
pub(in crate::tui) async fn release_later(id: SessionId, hold: u64, messages: mpsc::Sender<Msg>) {
    tokio::time::sleep(HOLD).await;
    let news = TtyNews::Release(hold);
    let _ = messages.send(Msg::Tty { id, news }).await;
}
