use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::tui::msg::Msg;

/// Keys, mouse, paste and sizes of the terminal, until it is gone.
pub(in crate::tui) async fn terminal_input(messages: mpsc::Sender<Msg>) {
    let mut events = EventStream::new();
    loop {
        let msg = match events.next().await {
            Some(Ok(event)) => match message(event) {
                Some(msg) => msg,
                None => continue,
            },
            Some(Err(_)) | None => Msg::Terminate,
        };
        let is_end = matches!(msg, Msg::Terminate);
        if messages.send(msg).await.is_err() || is_end {
            return;
        }
    }
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
        Event::Mouse(event) => Some(Msg::Mouse(event)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(columns, rows) => Some(Msg::Resize { columns, rows }),
        Event::FocusGained => Some(Msg::Focus(true)),
        Event::FocusLost => Some(Msg::Focus(false)),
        Event::Key(_) => None,
    }
}

/// SIGTERM, SIGHUP and SIGINT end the screen in order; SIGTSTP and SIGCONT give the terminal away and take
/// it again.
pub(in crate::tui) async fn watch_signals(messages: mpsc::Sender<Msg>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let mut go_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    loop {
        // Every arm is cancel safe: a signal that is not taken now is reported by the next `recv`.
        let msg = tokio::select! {
            _ = terminate.recv() => Msg::Terminate,
            _ = hang_up.recv() => Msg::Terminate,
            _ = interrupt.recv() => Msg::Terminate,
            _ = stop.recv() => Msg::Suspend,
            _ = go_on.recv() => Msg::Resumed,
        };
        if messages.send(msg).await.is_err() {
            return Ok(());
        }
    }
}
