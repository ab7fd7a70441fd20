//! A `Local` over a real store and an engine that only plays its part in sessions.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{Client, Local, WriteOptions};
use crate::base::{
    Clock, Incident, IncidentKind, Login, Pid, ProcessInfo, SessionEnd, SessionOutput,
    SessionStream, TerminalSize, Uid, Victim,
};
use crate::engine::{
    AttachRequest, ContainerUsage, DiskUsage, EngineApi, EngineError, EngineStatus, ExecRequest,
    ImageView, IssuedToken, NodeUsage, PodProcessView, PodProcessesView, PodUsage, Pruned,
    PullLayerView, PullView, TokenOrder,
};
use crate::model::{Object, ObjectKey};
use crate::store::{Opened, Settings, StatusWriter, Store, open_with};

pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) client: Local,
    pub(crate) store: Store,
    pub(crate) status: StatusWriter,
    pub(crate) engine: Arc<FakeEngine>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_history(1024)
    }

    pub(crate) fn with_history(history: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            history,
            ..Settings::default()
        };
        let Opened {
            store,
            spec,
            status,
            ..
        } = open_with(&directory.path().join("objects"), settings).unwrap();
        let engine = Arc::new(FakeEngine {
            logs: directory.path().join("logs"),
            stopped: AtomicBool::new(false),
            evicted: Mutex::default(),
        });
        let fake: Arc<dyn EngineApi> = Arc::clone(&engine) as _;
        let client = Local::new(store.clone(), spec, fake, Clock::system());
        Self {
            directory,
            client,
            store,
            status,
            engine,
        }
    }

    pub(crate) async fn create(&self, manifest: Value) -> Object {
        let written = self.client.create(manifest, WriteOptions::default());
        written.await.unwrap().object
    }

    /// What scheduler and engine do to a pod that starts.
    pub(crate) async fn run(&self, pod: &Object) {
        let key = pod.key();
        self.status.bind(&key, &pod.uid(), "here").await.unwrap();
        self.set_phase(&key, "Running").await;
    }

    pub(crate) fn log_file(&self, namespace: &str, pod: &str, uid: &Uid, name: &str) -> PathBuf {
        let directory = self.engine.log_directory(namespace, pod, uid, name);
        directory.join("0.log")
    }

    pub(crate) async fn set_phase(&self, key: &ObjectKey, phase: &str) {
        let pod = self.store.get_object(key).unwrap();
        let status = PodStatus {
            phase: Some(phase.to_owned()),
            ..PodStatus::default()
        };
        self.status
            .pod_status(key, &pod.uid(), status)
            .await
            .unwrap();
    }
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "localhost/toolbox:latest"}]},
    })
}

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"key": value},
    })
}

pub(crate) struct FakeEngine {
    logs: PathBuf,
    pub(crate) stopped: AtomicBool,
    /// Names and grace periods.
    pub(crate) evicted: Mutex<Vec<(String, Option<i64>)>>,
}

#[async_trait]
impl EngineApi for FakeEngine {
    /// `cat` copies input to output, `exit N` ends with that code, `size` tells the first terminal size,
    /// `first-size` the one it was started with, `flood N` writes N KiB.
    async fn exec(
        &self,
        _pod: &Uid,
        container: &str,
        request: ExecRequest,
    ) -> Result<SessionStream, EngineError> {
        if container == "stopped" {
            let text = "container not found (\"stopped\")".to_owned();
            return Err(EngineError::NotRunning(text));
        }
        let (stdin_tx, stdin) = mpsc::channel(4);
        let (output, output_rx) = mpsc::channel(4);
        let (resize, sizes) = mpsc::channel(4);
        let mut argv = request.argv;
        if argv == ["first-size"] {
            argv.extend(
                request
                    .size
                    .map(|size| format!("{}x{}", size.columns, size.rows)),
            );
        }
        tokio::spawn(play(argv, stdin, sizes, output));
        Ok(SessionStream {
            stdin: request.stdin.then_some(stdin_tx),
            output: output_rx,
            resize,
        })
    }

    async fn attach(
        &self,
        pod: &Uid,
        container: &str,
        request: AttachRequest,
    ) -> Result<SessionStream, EngineError> {
        let request = ExecRequest {
            argv: vec!["cat".to_owned()],
            tty: false,
            stdin: request.stdin,
            size: request.size,
        };
        self.exec(pod, container, request).await
    }

    async fn usage(&self) -> Vec<PodUsage> {
        let container = ContainerUsage {
            name: "main".to_owned(),
            cpu_nanocores: 1_234_567,
            memory_bytes: 5 << 20,
            processes: 3,
        };
        ["default", "other"]
            .into_iter()
            .map(|namespace| PodUsage {
                pod: Uid::new("u"),
                namespace: namespace.to_owned(),
                name: "web".to_owned(),
                at: Timestamp::from_second(1_700_000_000).unwrap(),
                containers: vec![container.clone()],
                // The second one is in the network of the machine.
                network: (namespace == "default").then_some((1000, 200)),
            })
            .collect()
    }

    async fn processes(&self, _pod: &Uid) -> Result<PodProcessesView, EngineError> {
        let process = ProcessInfo {
            pid: Pid::new(4711),
            parent: Pid::new(1),
            inner_pid: Pid::new(1),
            started_ticks: 5,
            user: 0,
            name: "s\u{1b}h".to_owned(),
            command: "sh -c true".to_owned(),
            state: 'S',
            threads: 1,
            cpu_nanoseconds: 10,
            memory_bytes: 4096,
            descriptors: None,
        };
        Ok(PodProcessesView {
            at: Timestamp::from_second(1_700_000_000).unwrap(),
            total: 2,
            processes: vec![PodProcessView {
                container: Some("main".to_owned()),
                process,
            }],
        })
    }

    async fn node_usage(&self) -> Result<NodeUsage, EngineError> {
        Ok(NodeUsage {
            name: "here".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            cpu_nanocores: 1_500_000_000,
            memory_bytes: 1 << 30,
        })
    }

    /// A port of this machine.
    async fn dial(&self, _pod: &Uid, port: u16) -> Result<TcpStream, EngineError> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        stream.map_err(|error| EngineError::NotRunning(error.to_string()))
    }

    async fn evict(
        &self,
        key: &ObjectKey,
        _uid: &Uid,
        grace_seconds: Option<i64>,
    ) -> Result<(), EngineError> {
        self.evicted
            .lock()
            .unwrap()
            .push((key.name.clone(), grace_seconds));
        Ok(())
    }

    fn issue_token(&self, order: TokenOrder) -> Result<IssuedToken, EngineError> {
        let bound = order.binding.map_or_else(String::new, |bound| bound.kind);
        Ok(IssuedToken {
            token: format!("{}/{}/{bound}", order.namespace, order.account),
            audiences: order.audiences,
            at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_second(order.seconds).unwrap(),
        })
    }

    fn incidents(&self, _pod: &Uid) -> Vec<Incident> {
        vec![Incident {
            container: "main".to_owned(),
            kind: IncidentKind::Ended,
            at: Timestamp::from_second(1_700_000_000).unwrap(),
            attempt: 2,
            started_at: None,
            exit_code: Some(137),
            signal: Some(9),
            reason: "OOMKilled".to_owned(),
            cause: None,
            message: None,
            memory_peak: 64 << 20,
            memory_limit: Some(64 << 20),
            oom_kills: 1,
            victim: Some(Victim {
                pid: Pid::new(9),
                name: "sh".to_owned(),
                is_main: true,
            }),
        }]
    }

    fn log_directory(&self, namespace: &str, pod: &str, uid: &Uid, container: &str) -> PathBuf {
        self.logs
            .join(format!("{namespace}_{pod}_{uid}"))
            .join(container)
    }

    async fn images(&self) -> Result<Vec<ImageView>, EngineError> {
        Ok(vec![ImageView {
            names: vec!["localhost/toolbox:latest".to_owned()],
            id: "sha256:00".to_owned(),
            created: None,
            size: 42,
            layers: Vec::new(),
            used_by: Vec::new(),
            config: json!({"Cmd": ["sh"]}),
            repo_digests: Vec::new(),
            layer_sizes: Vec::new(),
            history: Value::Null,
        }])
    }

    async fn import_image(&self, tar: &Path, name: &str) -> Result<Vec<String>, EngineError> {
        Ok(vec![format!("{name} from {}", tar.display())])
    }

    async fn tag_image(&self, image: &str, name: &str) -> Result<Vec<String>, EngineError> {
        Ok(vec![format!("{name} for {image}")])
    }

    async fn load_from_daemon(
        &self,
        socket: &Path,
        name: &str,
    ) -> Result<Vec<String>, EngineError> {
        Ok(vec![format!("{name} from {}", socket.display())])
    }

    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let text = names.join(",");
        Ok(futures_util::stream::iter([Ok(Bytes::from(text))]).boxed())
    }

    async fn load_images(&self, path: &Path) -> Result<Vec<String>, EngineError> {
        Ok(vec![path.display().to_string()])
    }

    async fn pull_image(
        &self,
        name: &str,
        login: Option<&Login>,
    ) -> Result<Vec<String>, EngineError> {
        if let Some(login) = login {
            return Ok(vec![format!("{}@{name}", login.username)]);
        }
        Ok(vec![format!("docker.io/library/{name}")])
    }

    fn pulls(&self) -> Vec<PullView> {
        vec![PullView {
            image: "docker.io/library/a:latest".to_owned(),
            started_at: Timestamp::from_second(1_700_000_000).unwrap(),
            phase: "Fetching",
            layers: vec![PullLayerView {
                digest: "sha256:00".to_owned(),
                size: 10,
                fetched: 5,
                done: false,
            }],
        }]
    }

    async fn prune_images(&self, all: bool) -> Result<Pruned, EngineError> {
        Ok(Pruned {
            images: vec![format!("all={all}")],
            freed: 1_500,
        })
    }

    async fn disk_usage(&self) -> Result<Vec<DiskUsage>, EngineError> {
        Ok(vec![DiskUsage {
            kind: "Images",
            total: 2,
            active: 1,
            size: 3_000,
            reclaimable: 1_000,
        }])
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, EngineError> {
        if force {
            return Ok(vec![name.to_owned()]);
        }
        Err(EngineError::BadRequest(format!("{name} is in use")))
    }

    async fn untag_image(&self, name: &str) -> Result<Vec<String>, EngineError> {
        Ok(vec![name.to_owned()])
    }

    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), EngineError> {
        if login.password == "right" {
            return Ok(());
        }
        Err(EngineError::BadRequest(format!(
            "{registry}: access denied"
        )))
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            started_at: Timestamp::from_second(1_700_000_000).unwrap(),
            state_dir: PathBuf::from("/state"),
            run_dir: PathBuf::from("/run"),
            cgroup: "v2".to_owned(),
            notes: Vec::new(),
            pod_pids_limit: Some(4096),
        }
    }

    async fn shut_down(&self, stop_pods: bool) {
        self.stopped.store(stop_pods, Ordering::SeqCst);
    }
}

async fn play(
    argv: Vec<String>,
    mut stdin: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<TerminalSize>,
    output: mpsc::Sender<SessionOutput>,
) {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let number = |index: usize| argv.get(index).and_then(|text| text.parse().ok());
    let end = match argv.first().copied() {
        Some("cat") => {
            while let Some(data) = stdin.recv().await {
                let _ = output.send(SessionOutput::Stdout(data)).await;
            }
            let text = Bytes::from_static(b"end of input");
            let _ = output.send(SessionOutput::Stderr(text)).await;
            SessionEnd::Exited(0)
        }
        Some("size") => {
            let size = sizes.recv().await;
            let text = size.map_or_else(String::new, |size| {
                format!("{}x{}", size.columns, size.rows)
            });
            let _ = output.send(SessionOutput::Stdout(text.into())).await;
            SessionEnd::Exited(0)
        }
        Some("first-size") => {
            let text = argv.get(1).copied().unwrap_or("none").to_owned();
            let _ = output.send(SessionOutput::Stdout(text.into())).await;
            SessionEnd::Exited(0)
        }
        Some("flood") => {
            let block = Bytes::from(vec![b'x'; 1024]);
            for _ in 0..number(1).unwrap_or(0) {
                if output
                    .send(SessionOutput::Stdout(block.clone()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            SessionEnd::Exited(0)
        }
        Some("exit") => SessionEnd::Exited(number(1).unwrap_or(0)),
        _ => SessionEnd::Failed("exec failed: no such file or directory".to_owned()),
    };
    let _ = output.send(SessionOutput::End(end)).await;
}
