//! The loop with a fake engine, on tokio's paused clock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::base::{Clock, Incident, Login, SessionOutput, SessionStream, TerminalSize};
use crate::client::{
    Client, DeleteOptions, EngineInfo, ExecOptions, ImageSource, ImageSummary, IssuedToken,
    ListOptions, LogOptions, NodeMetrics, ObjectList, Patch, PodMetrics, PodProcesses, PortStream,
    TokenWanted, WatchEvent, WriteOptions, Written,
};
use crate::model::{ApiError, Kind, Object, ObjectKey, ResourceVersion};
use crate::tui::HostPrograms;
use crate::tui::app::{App, Host, initial_model};
use crate::tui::effect::ExitChoice;
use crate::tui::msg::Msg;
use crate::tui::testing::{engine_info, now, parse_keys, running, settings};

type Feed<T> = mpsc::Sender<Result<T, ApiError>>;

/// Lines at seconds, by container and whether it is the previous instance.
type LogFiles = BTreeMap<(String, bool), Vec<(i64, String)>>;

/// An engine with pods only. Its watches and logs are fed by the test.
#[derive(Default)]
pub(super) struct FakeEngine {
    /// What is in the log files.
    pub(super) files: Mutex<LogFiles>,
    pub(super) pods: Mutex<Vec<Object>>,
    lists: AtomicUsize,
    pub(super) watch: Mutex<Option<Feed<WatchEvent>>>,
    pub(super) events: Mutex<Option<Feed<WatchEvent>>>,
    pub(super) logs: Mutex<Option<Feed<Bytes>>>,
    /// Of the newest shell.
    pub(super) output: Mutex<Option<mpsc::Sender<SessionOutput>>>,
    deleted: Mutex<Vec<ObjectKey>>,
    created: Mutex<Vec<Value>>,
    asked: AtomicBool,
    process_reads: AtomicUsize,
}

fn unused<T>() -> Result<T, ApiError> {
    Err(ApiError::bad_request("not part of this test"))
}

impl FakeEngine {
    fn read_files(
        &self,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let key = (
            options.container.clone().unwrap_or_default(),
            options.previous,
        );
        let files = self.files.lock().unwrap();
        let Some(lines) = files.get(&key) else {
            return if options.previous {
                unused()
            } else {
                Ok(stream::empty().boxed())
            };
        };
        let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
        let is_inside = |second: i64| {
            options.since.is_none_or(|since| at(second) >= since)
                && options.until.is_none_or(|until| at(second) <= until)
        };
        let mut inside: Vec<_> = lines
            .iter()
            .filter(|(second, _)| is_inside(*second))
            .collect();
        if let Some(tail) = options.tail_lines {
            let most = usize::try_from(tail).unwrap();
            inside.drain(..inside.len().saturating_sub(most));
        }
        let text: String = inside
            .iter()
            .map(|(second, text)| format!("{} {text}\n", at(*second)))
            .collect();
        // In pieces that end anywhere.
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(1000)
            .map(Bytes::copy_from_slice)
            .map(Ok)
            .collect();
        Ok(stream::iter(pieces).boxed())
    }
}

#[async_trait]
impl Client for FakeEngine {
    async fn create(&self, manifest: Value, _: WriteOptions) -> Result<Written, ApiError> {
        self.created.lock().unwrap().push(manifest.clone());
        let object = Object::from_value(Kind::Pod, manifest).unwrap();
        Ok(Written {
            object,
            warnings: Vec::new(),
            is_new: true,
        })
    }
    async fn replace(&self, _: Value, _: WriteOptions) -> Result<Written, ApiError> {
        unused()
    }
    async fn patch(&self, _: &ObjectKey, _: Patch, _: WriteOptions) -> Result<Written, ApiError> {
        unused()
    }
    async fn delete(&self, key: &ObjectKey, _: DeleteOptions) -> Result<Object, ApiError> {
        self.deleted.lock().unwrap().push(key.clone());
        Ok(running(&key.name))
    }
    async fn get(&self, _: &ObjectKey) -> Result<Object, ApiError> {
        unused()
    }
    async fn evict(&self, _: &ObjectKey, _: DeleteOptions) -> Result<(), ApiError> {
        unused()
    }
    async fn create_token(
        &self,
        _: &str,
        _: &str,
        _: TokenWanted,
    ) -> Result<IssuedToken, ApiError> {
        unused()
    }
    async fn port_forward(
        &self,
        _: &str,
        _: &str,
        _: u16,
    ) -> Result<Box<dyn PortStream>, ApiError> {
        unused()
    }
    async fn node_metrics(&self) -> Result<NodeMetrics, ApiError> {
        unused()
    }
    async fn list(&self, kind: Kind, _: ListOptions) -> Result<ObjectList, ApiError> {
        self.asked.store(true, Ordering::SeqCst);
        let items = match kind {
            Kind::Pod => {
                self.lists.fetch_add(1, Ordering::SeqCst);
                self.pods.lock().unwrap().clone()
            }
            _ => Vec::new(),
        };
        Ok(ObjectList {
            items,
            resource_version: ResourceVersion(1),
        })
    }
    async fn watch(
        &self,
        kind: Kind,
        _: ListOptions,
        _: ResourceVersion,
    ) -> Result<BoxStream<'static, Result<WatchEvent, ApiError>>, ApiError> {
        let slot = match kind {
            Kind::Pod => &self.watch,
            Kind::Event => &self.events,
            _ => return Ok(stream::pending().boxed()),
        };
        let (feed, events) = mpsc::channel(16);
        *slot.lock().unwrap() = Some(feed);
        Ok(ReceiverStream::new(events).boxed())
    }
    async fn logs(
        &self,
        _: &str,
        _: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        if !options.follow {
            return self.read_files(&options);
        }
        let (feed, chunks) = mpsc::channel(1024);
        *self.logs.lock().unwrap() = Some(feed);
        Ok(ReceiverStream::new(chunks).boxed())
    }
    async fn exec(&self, _: &str, _: &str, _: ExecOptions) -> Result<SessionStream, ApiError> {
        let (feed, output) = mpsc::channel(1024);
        *self.output.lock().unwrap() = Some(feed);
        // What is typed goes nowhere.
        Ok(SessionStream {
            stdin: Some(mpsc::channel(1).0),
            output,
            resize: mpsc::channel(1).0,
        })
    }
    async fn attach(&self, _: &str, _: &str, _: ExecOptions) -> Result<SessionStream, ApiError> {
        unused()
    }
    async fn pod_metrics(&self, _: Option<&str>) -> Result<Vec<PodMetrics>, ApiError> {
        Ok(Vec::new())
    }
    async fn pod_processes(&self, _: &str, _: &str) -> Result<PodProcesses, ApiError> {
        self.process_reads.fetch_add(1, Ordering::SeqCst);
        unused()
    }
    async fn pod_incidents(&self, _: &str, _: &str) -> Result<Vec<Incident>, ApiError> {
        Ok(Vec::new())
    }
    async fn images(&self) -> Result<Vec<ImageSummary>, ApiError> {
        unused()
    }
    async fn add_image(&self, _: ImageSource) -> Result<Vec<String>, ApiError> {
        unused()
    }
    async fn prune_images(&self, _: bool) -> Result<crate::client::PruneReport, ApiError> {
        Ok(crate::client::PruneReport::default())
    }

    async fn disk_usage(&self) -> Result<Vec<crate::client::DiskUsageRow>, ApiError> {
        Ok(Vec::new())
    }

    async fn save_images(
        &self,
        _names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        Err(ApiError::internal("no images here"))
    }
    async fn image_pulls(&self) -> Result<Vec<crate::client::ImagePull>, ApiError> {
        Ok(Vec::new())
    }

    async fn remove_image(&self, _: &str, _: bool) -> Result<Vec<String>, ApiError> {
        unused()
    }
    async fn untag_image(&self, _: &str) -> Result<Vec<String>, ApiError> {
        unused()
    }
    async fn check_login(&self, _: &str, _: &Login) -> Result<(), ApiError> {
        unused()
    }
    async fn engine_info(&self) -> Result<EngineInfo, ApiError> {
        Ok(engine_info())
    }
    async fn stop_engine(&self, _: bool) -> Result<(), ApiError> {
        unused()
    }
}

struct NoPrograms;

impl HostPrograms for NoPrograms {
    fn start(&self, _: &[OsString], _: TerminalSize) -> io::Result<SessionStream> {
        Err(io::Error::other("no terminal is left"))
    }
}

/// A terminal with which nothing can be done.
pub(super) fn host() -> Host {
    Host {
        suspend: Box::new(|| Ok(())),
        reenter: Box::new(|| Ok(())),
        write: |_| {},
        programs: Arc::new(NoPrograms),
        editor: "vi".to_owned(),
    }
}

struct Rig {
    app: App<TestBackend>,
    engine: Arc<FakeEngine>,
    messages: mpsc::Sender<Msg>,
}

impl Rig {
    fn new() -> Self {
        let model = initial_model(&settings(), now(), TimeZone::UTC);
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let host = host();
        let app = App::new(model, terminal, Clock::tokio_from(now()), host);
        let engine = FakeEngine::default();
        engine
            .pods
            .lock()
            .unwrap()
            .extend([running("api"), running("web")]);
        Self {
            messages: app.messages(),
            engine: Arc::new(engine),
            app,
        }
    }

    /// Lets the app run for this long.
    async fn run_for(&mut self, time: Duration) -> Option<ExitChoice> {
        let client: Arc<dyn Client> = Arc::<FakeEngine>::clone(&self.engine);
        let run = self.app.run(async move { Ok(client) });
        tokio::time::timeout(time, run)
            .await
            .ok()
            .map(Result::unwrap)
    }

    async fn keys(&self, keys: &str) {
        for key in parse_keys(keys) {
            self.messages.send(Msg::Key(key)).await.unwrap();
        }
    }

    fn text(&self) -> String {
        crate::tui::screenshot::text(self.app.backend().buffer())
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_does_not_wait_for_the_engine() {
    let mut rig = Rig::new();
    rig.app.draw().unwrap();
    assert!(rig.text().contains("starting the engine"));
    assert!(!rig.engine.asked.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn pods_appear_and_an_idle_screen_is_not_drawn() {
    let mut rig = Rig::new();
    rig.run_for(Duration::from_secs(3)).await;
    let text = rig.text();
    assert!(
        text.contains("pods 2") && text.contains("api") && text.contains("web"),
        "{text}"
    );
    let frames = rig.app.frames;
    rig.run_for(Duration::from_secs(30)).await;
    // A message per two seconds of usage polling may ask for a frame; time alone asks for none.
    assert!(
        rig.app.frames - frames <= 20,
        "{} frames",
        rig.app.frames - frames
    );
}

#[tokio::test(start_paused = true)]
async fn changes_arrive_and_an_expired_watch_lists_again() {
    let mut rig = Rig::new();
    rig.run_for(Duration::from_secs(1)).await;
    let feed = rig.engine.watch.lock().unwrap().clone().unwrap();
    feed.send(Ok(WatchEvent::Added(running("new-one"))))
        .await
        .unwrap();
    rig.run_for(Duration::from_secs(1)).await;
    assert!(rig.text().contains("new-one"));
    let lists = rig.engine.lists.load(Ordering::SeqCst);
    *rig.engine.pods.lock().unwrap() = vec![running("survivor")];
    feed.send(Err(ApiError::expired("too old resource version")))
        .await
        .unwrap();
    rig.run_for(Duration::from_secs(2)).await;
    let text = rig.text();
    assert_eq!(rig.engine.lists.load(Ordering::SeqCst), lists + 1);
    assert!(
        text.contains("survivor") && !text.contains("new-one"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn log_lines_arrive_whole_however_they_are_cut() {
    let mut rig = Rig::new();
    rig.run_for(Duration::from_secs(1)).await;
    let feed = rig.engine.logs.lock().unwrap().clone().unwrap();
    for chunk in [
        "2026-01-02T02:59:01.5Z fir",
        "st line\n2026-01-02T02:59:02Z sec",
        "ond\x1b[2J line\nno stamp\n",
    ] {
        feed.send(Ok(Bytes::from(chunk))).await.unwrap();
    }
    rig.run_for(Duration::from_secs(1)).await;
    let text = rig.text();
    assert!(text.contains("02:59:01 first line"), "{text}");
    assert!(text.contains("02:59:02 second line"), "{text}");
    assert!(text.contains("no stamp"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_lines_is_counted_and_keys_get_through() {
    let mut rig = Rig::new();
    rig.run_for(Duration::from_secs(1)).await;
    let feed = rig.engine.logs.lock().unwrap().clone().unwrap();
    let line = "2026-01-02T02:59:01Z 64 bytes of text are the usual length of a line\n";
    for _ in 0..100 {
        feed.send(Ok(Bytes::from(line.repeat(2000)))).await.unwrap();
    }
    rig.keys("j").await;
    rig.keys("k").await;
    rig.run_for(Duration::from_secs(5)).await;
    let text = rig.text();
    assert!(
        text.contains("older lines dropped") || text.contains("web"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_delete_and_leave() {
    let mut rig = Rig::new();
    rig.run_for(Duration::from_secs(1)).await;
    rig.keys("jDy").await;
    rig.run_for(Duration::from_secs(7)).await;
    assert_eq!(
        *rig.engine.deleted.lock().unwrap(),
        [ObjectKey::pod("default", "web")]
    );
    assert!(rig.text().contains("pod/web deleted"), "{}", rig.text());
    rig.keys("qs").await;
    assert_eq!(
        rig.run_for(Duration::from_secs(1)).await,
        Some(ExitChoice::Stop)
    );
}

#[tokio::test]
async fn files_are_created_or_refused_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write(
        "good.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: c\n    image: i\n",
    );
    let bad = write(
        "bad.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: c\n    imag: i\n",
    );
    let engine = Arc::new(FakeEngine::default());
    let create = |path: &str| {
        let client: Arc<dyn Client> = Arc::<FakeEngine>::clone(&engine);
        crate::tui::tasks::create(client, path.to_owned(), "team".to_owned())
    };
    let crate::tui::msg::Reply::Created {
        created, problems, ..
    } = create(&good).await
    else {
        unreachable!()
    };
    let created: Vec<String> = created.iter().map(|one| one.key().to_string()).collect();
    assert_eq!((created, problems), (vec!["pod/a".to_owned()], Vec::new()));
    assert_eq!(
        engine.created.lock().unwrap()[0]["metadata"]["namespace"],
        "team"
    );
    let crate::tui::msg::Reply::Created {
        created, problems, ..
    } = create(&bad).await
    else {
        unreachable!()
    };
    assert!(created.is_empty());
    assert!(
        problems[0].contains("bad.yaml") && problems[0].contains("imag"),
        "{problems:?}"
    );
    let crate::tui::msg::Reply::Created { problems, .. } = create("/nowhere.yaml").await else {
        unreachable!()
    };
    assert!(
        problems[0].contains("/nowhere.yaml: No such file"),
        "{problems:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_first_list_comes_in_parts_and_whole() {
    let mut rig = Rig::new();
    let pods = (0..2000).map(|index| running(&format!("pod-{index:04}")));
    *rig.engine.pods.lock().unwrap() = pods.collect();
    rig.run_for(Duration::from_secs(1)).await;
    assert!(rig.text().contains("pods 2000 ok 2000"), "{}", rig.text());
    rig.keys("G").await;
    rig.run_for(Duration::from_secs(1)).await;
    assert!(rig.text().contains("pod-1999"), "{}", rig.text());
    // What takes its place comes whole: nothing of before is left.
    *rig.engine.pods.lock().unwrap() = vec![running("survivor")];
    let feed = rig.engine.watch.lock().unwrap().clone().unwrap();
    let expired = ApiError::expired("too old resource version");
    feed.send(Err(expired)).await.unwrap();
    rig.run_for(Duration::from_secs(2)).await;
    assert!(rig.text().contains("pods 1 ok 1"), "{}", rig.text());
}
