//! The terminal of the user: taken over at the start, given back whatever happens.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, ThreadId};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::{EnableBracketedPaste, EnableFocusChange};
use crossterm::style::Print;
use crossterm::terminal::{
    EnterAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use crossterm::{cursor, execute};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use super::alerts::Alert;
use super::cast::Cast;
use super::host::TerminalKeeper;
use super::term::CursorShape;

/// Synchronised output (DEC private mode 2026): the terminal shows the frame as a whole. Terminals without
/// it ignore the sequence.
const BEGIN_FRAME: &[u8] = b"\x1b[?2026h";
const END_FRAME: &[u8] = b"\x1b[?2026l";

/// Buttons, drags and the wheel with SGR coordinates, but not every motion (mode 1003): that would wake the
/// screen up for nothing. Motion is on only while a program in the focused terminal wants it.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";

const MOUSE_OFF: &str = "\x1b[?1003l\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// DECSCUSR: the cursor as the user has set it.
const DEFAULT_CURSOR: &str = "\x1b[0 q";

/// Everything the screen has switched on, off again, and the screen that was there before. A program of a terminal
/// pane cannot switch on more: its sequences end in the emulator, those of the keyboard protocol of kitty too.
///
/// tmux 3.3 leaves what stands at the cursor on the normal screen when the window was resized meanwhile, so the
/// alternate one is cleared first.
pub(crate) const GIVE_BACK: &str = concat!(
    "\x1b[?2026l\x1b[?1004l\x1b[?2004l",
    // Mode 1003 last would leave 1002 on: of these modes xterm keeps only the last.
    "\x1b[?1003l\x1b[?1006l\x1b[?1002l\x1b[?1000l",
    "\x1b[0m\x1b[0 q\x1b[1;1H\x1b[J\x1b[?1049l\x1b[?25h",
);

/// What has to know when the terminal is taken and given back.
#[derive(Clone)]
pub(super) struct Hold {
    keeper: Arc<Mutex<Box<dyn TerminalKeeper>>>,
    /// To give it back twice would clear what has been written since, such as the message of a panic.
    is_taken: Arc<AtomicBool>,
}

impl Hold {
    fn tell(&self, news: impl FnOnce(&mut dyn TerminalKeeper)) {
        // Not waited for: a panic may have come while it was held.
        match self.keeper.try_lock() {
            Ok(mut keeper) => news(keeper.as_mut()),
            Err(TryLockError::Poisoned(keeper)) => news(keeper.into_inner().as_mut()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// Holds the terminal; dropping it gives the terminal back.
pub(super) struct TerminalGuard(Hold);

impl TerminalGuard {
    pub(super) fn take(keeper: Box<dyn TerminalKeeper>) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("standard output is not a terminal"));
        }
        let hold = Hold {
            keeper: Arc::new(Mutex::new(keeper)),
            is_taken: Arc::default(),
        };
        restore_on_panic(thread::current().id(), hold.clone());
        enter(&hold)?;
        Ok(Self(hold))
    }

    pub(super) fn hold(&self) -> Hold {
        self.0.clone()
    }

    /// Starts what gives the terminal back when this process is killed. Without it a killed screen leaves its terminal
    /// as it was; that is no reason to have no screen.
    pub(super) fn watch(&self) {
        self.0.tell(|keeper| {
            if let Err(error) = keeper.watch() {
                tracing::warn!(%error, "nothing gives the terminal back if podtui is killed");
            }
        });
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        leave(&self.0);
    }
}

fn enter(hold: &Hold) -> io::Result<()> {
    // A shell that has the terminal in between may set it as the screen had left it; what counts is the first state.
    if !is_raw_mode_enabled()? {
        hold.tell(|keeper| keeper.take());
    }
    hold.is_taken.store(true, Ordering::Relaxed);
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        Print(MOUSE_ON),
        EnableBracketedPaste,
        EnableFocusChange,
        cursor::Hide
    )
}

/// Errors are of no use here: the terminal may be gone.
fn leave(hold: &Hold) {
    if !hold.is_taken.swap(false, Ordering::Relaxed) {
        return;
    }
    let mut out = io::stdout();
    let _ = out.write_all(GIVE_BACK.as_bytes());
    let _ = out.flush();
    let _ = disable_raw_mode();
    hold.tell(|keeper| keeper.give());
}

/// Takes the terminal again after somebody else had it (a shell, after SIGSTOP and SIGCONT).
pub(super) fn reenter(hold: &Hold) -> io::Result<()> {
    enter(hold)
}

/// Gives the terminal back, stops this process as ctrl-z would, and takes the terminal again when it is
/// continued. Pods go on: their shims are processes of their own.
pub(super) fn suspend(hold: &Hold) -> io::Result<()> {
    leave(hold);
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
    enter(hold)
}

/// Writes a sequence of our own. Errors show when the next frame is drawn.
pub(super) fn write(bytes: &[u8]) {
    let mut out = io::stdout();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// OSC 52: the terminal puts `text` into the clipboard. Base64 holds no control characters.
pub(super) fn copy_sequence(text: &str) -> Vec<u8> {
    format!("\x1b]52;c;{}\x1b\\", STANDARD.encode(text)).into_bytes()
}

/// The mouse for podtui, or for the terminal itself.
pub(super) const fn mouse_sequence(is_on: bool) -> &'static [u8] {
    if is_on {
        MOUSE_ON.as_bytes()
    } else {
        MOUSE_OFF.as_bytes()
    }
}

/// Switching 1003 off would switch off 1002 as well: of these modes xterm keeps only the last.
pub(super) const fn motion_sequence(is_on: bool) -> &'static [u8] {
    if is_on {
        b"\x1b[?1003h"
    } else {
        b"\x1b[?1003l\x1b[?1000h\x1b[?1002h"
    }
}

/// BEL, and OSC 9: the terminal shows a notification of the desktop. The text holds no control characters.
pub(super) fn alert_sequence(alert: &Alert) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(text) = &alert.text {
        bytes.extend_from_slice(format!("\x1b]9;{text}\x1b\\").as_bytes());
    }
    if alert.bell {
        bytes.push(0x07);
    }
    bytes
}

pub(super) const fn cursor_sequence(shape: CursorShape) -> &'static [u8] {
    match shape {
        CursorShape::Default => DEFAULT_CURSOR.as_bytes(),
        CursorShape::Block => b"\x1b[2 q",
        CursorShape::Underline => b"\x1b[4 q",
        CursorShape::Bar => b"\x1b[6 q",
    }
}

/// A panic of the screen's own thread restores the terminal before the message is printed. A panic of
/// another thread must not write over the screen: it goes to the log.
fn restore_on_panic(screen: ThreadId, hold: Hold) {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == screen {
            leave(&hold);
            next(panic);
        } else {
            tracing::error!(%panic, "a task panicked");
        }
    }));
}

/// Collects what crossterm writes until the frame is complete.
#[derive(Clone, Debug, Default)]
struct FrameBytes(Arc<Mutex<Vec<u8>>>);

impl FrameBytes {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for FrameBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// The frame is written by [`FrameBackend::flush`] alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// crossterm's backend with two differences: a frame is one write inside synchronised output, and a frame
/// that changes nothing writes nothing.
pub(super) struct FrameBackend<W: Write> {
    inner: CrosstermBackend<FrameBytes>,
    bytes: FrameBytes,
    out: W,
    size: fn() -> io::Result<Size>,
    /// Gets every frame as well.
    cast: Option<Cast>,
    cursor_is_hidden: bool,
    cursor_at: Option<Position>,
}

impl FrameBackend<Stdout> {
    pub(super) fn stdout(cast: Option<Cast>) -> Self {
        Self {
            cast,
            ..Self::new(io::stdout())
        }
    }
}

impl<W: Write> FrameBackend<W> {
    pub(super) fn new(out: W) -> Self {
        Self::of_size(out, || {
            let (width, height) = crossterm::terminal::size()?;
            Ok(Size { width, height })
        })
    }

    pub(super) fn of_size(out: W, size: fn() -> io::Result<Size>) -> Self {
        let bytes = FrameBytes::default();
        Self {
            inner: CrosstermBackend::new(bytes.clone()),
            bytes,
            out,
            size,
            cast: None,
            cursor_is_hidden: true,
            cursor_at: None,
        }
    }
}

impl<W: Write> Backend for FrameBackend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.cursor_at = None;
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.cursor_is_hidden, true) {
            return Ok(());
        }
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.cursor_is_hidden, false) {
            return Ok(());
        }
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor_at.replace(position) == Some(position) {
            return Ok(());
        }
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        (self.size)()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = self.bytes.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let frame = [BEGIN_FRAME, &bytes, END_FRAME].concat();
        self.out.write_all(&frame)?;
        self.out.flush()?;
        if let Some(cast) = &self.cast {
            cast.frame(self.size()?, &frame);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::{Terminal, TerminalOptions, Viewport};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_is_one_write_and_an_equal_frame_is_none() {
        let sink = Sink::default();
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 10, 2)),
        };
        let mut terminal =
            Terminal::with_options(FrameBackend::new(sink.clone()), options).unwrap();
        for text in ["one", "one", "one", "two"] {
            terminal
                .draw(|frame| frame.render_widget(text, frame.area()))
                .unwrap();
        }
        let writes = sink.0.lock().unwrap();
        assert_eq!(writes.len(), 2);
        for write in writes.iter() {
            assert!(write.starts_with(BEGIN_FRAME) && write.ends_with(END_FRAME));
        }
    }
}
