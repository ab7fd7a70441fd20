//! Whatever containers and objects say, only text and our own sequences reach the terminal of the user.
//!
//! The whole app runs with a fake engine behind it and the real backend in front of it. Recorded and made-up
//! attacks are mutated and come in as log lines, as fields of pods and events, and as output of a shell with its
//! titles and notifications; keys wander over the screen meanwhile. Every byte that the backend writes goes
//! through the parser of the `vte` crate, which knows nothing of how the frame was made.
//!
//! A run is short unless it is asked for: `PODTUI_FUZZ_SECONDS=600 cargo nextest run hostile` tries as many
//! cases as fit, from `PODTUI_FUZZ_SEED` on. A failure names its seed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alacritty_terminal::vte::{Params, Parser, Perform};
use bytes::Bytes;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::layout::Size;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::app::{FakeEngine, host};
use crate::base::{Clock, SessionOutput};
use crate::client::{Client, WatchEvent};
use crate::model::{Kind, Object};
use crate::tui::app::{App, initial_model};
use crate::tui::msg::Msg;
use crate::tui::terminal::FrameBackend;
use crate::tui::testing::{event, now, parse_keys, pod_json, running, settings};

const SIZE: Size = Size {
    width: 100,
    height: 32,
};
/// Cases of one app; then a new one starts with the next seed.
const CASES: usize = 60;
const APPS: u64 = 4;

/// What reaches the terminal of the user.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Remembers the first thing that is neither text nor ours.
#[derive(Default)]
struct Judge {
    foreign: Option<String>,
    frames: usize,
}

impl Judge {
    fn object(&mut self, what: impl FnOnce() -> String) {
        self.foreign.get_or_insert_with(what);
    }
}

impl Perform for Judge {
    fn print(&mut self, character: char) {
        let is_unsafe = character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if is_unsafe {
            self.object(|| format!("the character {}", character.escape_unicode()));
        }
    }

    /// A frame places its cells by coordinates and needs no control character at all.
    fn execute(&mut self, byte: u8) {
        self.object(|| format!("the control {byte:#04x}"));
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, action: char) {
        self.object(|| format!("a device control string {action:?}"));
    }

    fn osc_dispatch(&mut self, parameters: &[&[u8]], _: bool) {
        let first = parameters
            .first()
            .map(|text| text.escape_ascii().to_string());
        self.object(|| format!("an operating system command {first:?}"));
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        self.object(|| format!("the escape {intermediates:?} {byte:#04x}"));
    }

    fn csi_dispatch(
        &mut self,
        parameters: &Params,
        intermediates: &[u8],
        ignore: bool,
        action: char,
    ) {
        let numbers: Vec<&[u16]> = parameters.iter().collect();
        let is_ours = !ignore
            && match (intermediates, action) {
                // The cursor, and styles.
                ([], 'H' | 'm') => true,
                // A frame that draws everything anew.
                ([], 'J') => numbers == [[2]],
                (b"?", 'h' | 'l') => numbers == [[2026]] || numbers == [[25]],
                _ => false,
            };
        self.frames += usize::from(is_ours && action == 'l' && numbers == [[2026]]);
        if !is_ours {
            self.object(|| format!("the sequence CSI {intermediates:?} {numbers:?} {action:?}"));
        }
    }
}

/// The first thing in these bytes that is not ours, or the number of frames.
fn judge(bytes: &[u8]) -> Result<usize, String> {
    let mut judge = Judge::default();
    let mut parser: Parser = Parser::new();
    parser.advance(&mut judge, bytes);
    // What is left unfinished would swallow what comes next.
    parser.advance(&mut judge, b"~\x1b[?25l");
    std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    judge.foreign.map_or(Ok(judge.frames), Err)
}

#[test]
fn the_judge_knows_what_is_foreign() {
    for ours in [
        "",
        "text \u{4e16}",
        "\x1b[?2026h\x1b[3;4H\x1b[38;5;1mx\x1b[2J\x1b[?25l\x1b[?2026l",
    ] {
        assert!(judge(ours.as_bytes()).is_ok(), "{ours:?}");
    }
    for foreign in [
        "\n",
        "\r",
        "\t",
        "\x07",
        "\x7f",
        "\u{9b}31m",
        "\u{202e}",
        "\u{2028}",
        "\x1bc",
        "\x1b(0",
        "\x1b]0;t\x07",
        "\x1b]52;c;aGk=\x1b\\",
        "\x1bP1$r0m\x1b\\",
        "\x1b[6n",
        "\x1b[?1049h",
        "\x1b[2004h",
        "\x1b[5i",
        "\x1b[3J",
        "\x1b[",
        "\x1b]0;open",
    ] {
        assert!(judge(foreign.as_bytes()).is_err(), "{foreign:?}");
    }
    assert!(judge(b"\xff").is_err() && judge(b"\x9b31m").is_err());
}

/// xorshift64, so that a failure is found again.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Zero stays zero, and neighbours must not begin alike.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.below(2);
        random
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(64)).min(length)
    }
}

/// Beginnings, ends and contents of sequences that mean something to some terminal.
const WORDS: &[&[u8]] = &[
    b"\x1b",
    b"\x1b[",
    b"\x1b]",
    b"\x1bP",
    b"\x1b_",
    b"\x1b^",
    b"\x1bX",
    b"\x1bk",
    b"\x1b\\",
    b"\x07",
    b"\x18",
    b"\x1a",
    b"\x9b",
    b"\x9d",
    b"\x90",
    b"\xc2\x9b",
    b"\xc2\x9d",
    b"\xc2\x85",
    b"\xc2",
    b"\xe4\xb8",
    b"\xf0\x9f",
    b"\x1b]52;c;aGk=\x07",
    b"\x1b]0;title\x07",
    b"\x1b]2;",
    b"\x1b]8;;https://a.example/\x07",
    b"\x1b]9;note\x07",
    b"\x1b]777;notify;a;b\x07",
    b"\x1b]1337;File=:aGk=\x07",
    b"\x1b]11;?\x07",
    b"\x1b[6n",
    b"\x1b[c",
    b"\x1b[5i",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?2026h",
    b"\x1b[?2026l",
    b"\x1b[?25l",
    b"\x1b[?1000h",
    b"\x1b[?7l",
    b"\x1b[31m",
    b"\x1b[38;2;1;2;3m",
    b"\x1b[58;5;1m",
    b"\x1b[8m",
    b"\x1b[2J",
    b"\x1b[99;99H",
    b"\x1b[5;10r",
    b"\x1b[65535b",
    b"\x1b[65535L",
    b"\x1b[4h",
    b"\x1b[20h",
    b"\x1b(0",
    b"\x1b)B",
    b"\x0e",
    b"\x0f",
    b"\x1bc",
    b"\x1b7",
    b"\x1b8",
    b"\x1bM",
    b"\x1b#8",
    b"\r",
    b"\n",
    b"\r\n",
    b"\t",
    b"\x08",
    b"\x00",
    b"\x7f",
    b"; ",
    b"1;2",
    "\u{4e16}\u{754c}".as_bytes(),
    "\u{1f469}\u{200d}\u{1f469}".as_bytes(),
    "\u{2764}\u{fe0f}".as_bytes(),
    "e\u{301}\u{301}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{2066}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{e0001}".as_bytes(),
    "\u{ad}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{85}".as_bytes(),
];

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for directory in ["hostile", "grid"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/terminal/");
        let mut files: Vec<_> = std::fs::read_dir(format!("{path}{directory}"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // The order decides what a seed means.
        files.sort();
        corpus.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    }
    assert!(corpus.len() >= 40, "{} files", corpus.len());
    corpus
}

fn attack(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let piece = |random: &mut Random| {
        let whole: &Vec<u8> = random.pick(corpus);
        let start = random.below(whole.len());
        whole[start..whole.len().min(start + 600)].to_vec()
    };
    let mut bytes = match random.below(4) {
        0 => Vec::new(),
        _ => piece(random),
    };
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            1 => drop(bytes.drain(random.range(bytes.len()))),
            2 => {
                let copy = bytes[random.range(bytes.len())].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            3 => drop(bytes.splice(at..at, piece(random))),
            4 => {
                let noise: Vec<u8> = (0..random.below(9))
                    .map(|_| u8::try_from(random.below(256)).unwrap())
                    .collect();
                drop(bytes.splice(at..at, noise));
            }
            _ => drop(bytes.splice(at..at, random.pick(WORDS).iter().copied())),
        }
    }
    bytes
}

const KEYS: &[&str] = &[
    "j",
    "k",
    "g",
    "G",
    "1",
    "2",
    "3",
    "4",
    "5",
    "<tab>",
    "<shift-tab>",
    "z",
    "w",
    "d",
    "y",
    "m",
    "?",
    "<esc>",
    "<esc>",
    "/",
    "a",
    "x",
    "<enter>",
    "[",
    "]",
    "f",
    "t",
    "p",
    "<pgup>",
    "<pgdn>",
    "<home>",
    "<end>",
    "<down>",
    "<up>",
    ":messages<enter>",
    ":events<enter>",
    ":pods<enter>",
    "<ctrl-]><tab>",
    "<ctrl-]>[",
    "<ctrl-]>z",
    "<space>",
    "!",
];

struct Rig {
    app: App<FrameBackend<Captured>>,
    engine: Arc<FakeEngine>,
    messages: mpsc::Sender<Msg>,
    captured: Captured,
}

impl Rig {
    fn new() -> Self {
        let captured = Captured::default();
        let backend = FrameBackend::of_size(captured.clone(), || Ok(SIZE));
        let model = initial_model(&settings(), now(), TimeZone::UTC);
        let terminal = Terminal::new(backend).unwrap();
        let app = App::new(model, terminal, Clock::tokio_from(now()), host());
        let engine = FakeEngine::default();
        engine
            .pods
            .lock()
            .unwrap()
            .extend([running("api"), running("web")]);
        Self {
            messages: app.messages(),
            engine: Arc::new(engine),
            captured,
            app,
        }
    }

    async fn run_for(&mut self, milliseconds: u64) {
        let client: Arc<dyn Client> = Arc::<FakeEngine>::clone(&self.engine);
        let run = self.app.run(async move { Ok(client) });
        // Whether it ran out of time or was left is the same here.
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), run).await;
    }

    async fn press(&mut self, keys: &str) {
        for key in parse_keys(keys) {
            self.messages.send(Msg::Key(key)).await.unwrap();
        }
        self.run_for(100).await;
    }

    /// One attack on one of the ways in.
    async fn attack(&mut self, random: &mut Random, bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match random.below(6) {
            0 | 1 => {
                let line = [b"2026-01-02T02:59:01.5Z ", bytes.as_slice(), b"\n"].concat();
                let feed = self.engine.logs.lock().unwrap().clone();
                for piece in line.chunks(line.len() / 500 + 1 + random.below(100)) {
                    // No log is open where no pod is selected.
                    if let Some(feed) = &feed {
                        let _ = feed.send(Ok(Bytes::copy_from_slice(piece))).await;
                    }
                }
            }
            2 => {
                let pod = hostile_pod(random, &text);
                let feed = self.engine.watch.lock().unwrap().clone().unwrap();
                let _ = feed.send(Ok(WatchEvent::Modified(pod))).await;
            }
            3 => {
                let event = event("api", &text, "Warning", &text, 3);
                let feed = self.engine.events.lock().unwrap().clone().unwrap();
                let _ = feed.send(Ok(WatchEvent::Added(event))).await;
            }
            _ => {
                let feed = self.engine.output.lock().unwrap().clone();
                // No more pieces than have room while nobody reads.
                for piece in bytes.chunks(bytes.len() / 500 + 1 + random.below(300)) {
                    if let Some(feed) = &feed {
                        let piece = SessionOutput::Stdout(Bytes::copy_from_slice(piece));
                        let _ = feed.send(piece).await;
                    }
                }
            }
        }
        self.run_for(100).await;
    }
}

/// A pod whose every text is the attack, or only its name.
fn hostile_pod(random: &mut Random, text: &str) -> Object {
    let name = if random.below(4) == 0 { text } else { "api" };
    let waiting = json!({"waiting": {"reason": text, "message": text}});
    let state = if random.below(2) == 0 {
        waiting
    } else {
        json!({"running": {"startedAt": "2026-01-02T02:00:01Z"}})
    };
    let mut pod: Value = pod_json(
        name,
        json!({
            "phase": "Running", "podIP": text, "reason": text, "message": text,
            "containerStatuses": [{"name": text, "ready": false, "restartCount": 1, "image": text, "imageID": text,
                "state": state, "lastState": {"terminated": {"exitCode": 1, "reason": text, "message": text,
                    "startedAt": "2026-01-02T02:00:00Z", "finishedAt": "2026-01-02T02:59:00Z"}}}],
        }),
    );
    pod["metadata"]["annotations"] = json!({text: text});
    pod["metadata"]["labels"] = json!({"app": text});
    pod["spec"]["nodeName"] = json!(text);
    if random.below(2) == 0 {
        pod["spec"]["containers"][0]["name"] = json!(text);
        pod["spec"]["containers"][0]["image"] = json!(text);
        pod["spec"]["containers"][0]["command"] = json!([text]);
    }
    Object::from_value(Kind::Pod, pod).unwrap()
}

/// Says which case it was, whatever a panic says.
struct Case {
    seed: u64,
    number: usize,
    bytes: String,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self {
                seed,
                number,
                bytes,
            } = self;
            eprintln!("seed {seed}, case {number}, after {bytes}");
        }
    }
}

/// Cases of one seed: the number of frames that were judged.
async fn try_seed(seed: u64, corpus: &[Vec<u8>]) -> usize {
    let mut random = Random::new(seed);
    let mut rig = Rig::new();
    rig.run_for(500).await;
    rig.press("s").await;
    assert!(
        rig.engine.output.lock().unwrap().is_some(),
        "no shell was opened"
    );
    if seed.is_multiple_of(2) {
        // The list has the keys; the shell stays in sight.
        rig.press("<ctrl-]><tab>").await;
    }
    let mut frames = 0;
    for case in 0..CASES {
        let bytes = attack(&mut random, corpus);
        let _case = Case {
            seed,
            number: case,
            bytes: bytes.escape_ascii().to_string(),
        };
        rig.attack(&mut random, bytes).await;
        if random.below(3) == 0 {
            let keys = *random.pick(KEYS);
            rig.press(keys).await;
        }
        let written = std::mem::take(&mut *rig.captured.0.lock().unwrap());
        match judge(&written) {
            Ok(count) => frames += count,
            Err(foreign) => panic!("{foreign} reached the terminal"),
        }
    }
    frames
}

/// The other screen has no past.
#[tokio::test(start_paused = true)]
async fn a_program_may_change_screens_while_its_past_is_read() {
    let mut rig = Rig::new();
    rig.run_for(500).await;
    rig.press("s").await;
    for (text, keys) in [
        ("line\r\n".repeat(200), "<ctrl-]>[<pgup><pgup><pgup>"),
        ("\x1b[?1049hother".to_owned(), "<pgup>"),
        ("\x1b[?1049l".to_owned(), "<esc>"),
    ] {
        let feed = rig.engine.output.lock().unwrap().clone().unwrap();
        let output = SessionOutput::Stdout(Bytes::from(text));
        feed.send(output).await.unwrap();
        rig.run_for(100).await;
        rig.press(keys).await;
    }
    let written = rig.captured.0.lock().unwrap().clone();
    assert!(judge(&written).is_ok_and(|frames| frames > 3));
}

#[test]
fn nothing_but_text_and_our_own_sequences_reaches_the_terminal() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        )
    };
    let first = number("PODTUI_FUZZ_SEED").unwrap_or(1);
    let time = number("PODTUI_FUZZ_SECONDS").map(Duration::from_secs);
    let corpus = corpus();
    let begin = Instant::now();
    let (mut seed, mut frames) = (first, 0);
    loop {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        frames += runtime.block_on(try_seed(seed, &corpus));
        seed += 1;
        let is_over = match time {
            Some(time) => begin.elapsed() >= time,
            None => seed - first >= APPS,
        };
        if is_over {
            break;
        }
    }
    assert!(frames > CASES, "only {frames} frames were drawn");
    eprintln!(
        "{} cases from seed {first} on, {frames} frames",
        (seed - first) * CASES as u64
    );
}
