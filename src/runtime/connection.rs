//! One control connection to one shim: requests with their replies, and the shim's events.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::{RuntimeError, RuntimeEvent};
use crate::base::SandboxId;
use crate::wire::frame::{self, Kind};
use crate::wire::{
    Fault, Hello, OLDEST_PROTOCOL, PROTOCOL, Reply, Request, RunSpec, Stage, ToEngine, ToShim,
};

pub(super) const SOCKET: &str = "shim.sock";
/// `sun_path` with its final NUL (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// Frames off a stream.
pub(super) struct FrameReader<R = OwnedReadHalf> {
    stream: R,
    buffer: BytesMut,
    /// What the shim speaks; known once it has said `Hello`.
    protocol: u32,
}

impl FrameReader {
    /// The whole stream again, with what was read of it and not taken.
    pub(super) fn into_stream(self, write: OwnedWriteHalf) -> io::Result<(UnixStream, BytesMut)> {
        let stream = self.stream.reunite(write).map_err(io::Error::other)?;
        Ok((stream, self.buffer))
    }
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    fn new(stream: R, capacity: usize) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(capacity),
            protocol: OLDEST_PROTOCOL,
        }
    }

    /// `None` at the end of the stream. Cancel-safe: what was read stays in the buffer.
    pub(super) async fn next(&mut self) -> io::Result<Option<(Kind, bytes::Bytes)>> {
        loop {
            if let Some(found) = frame::take(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(Some(found));
            }
            // A buffer that was filled grows by a few bytes only.
            if self.buffer.capacity() == self.buffer.len() {
                self.buffer.reserve(16 << 10);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Connects and exchanges `Hello`.
pub(super) async fn connect(
    sandbox: &SandboxId,
    directory: &Path,
) -> Result<(FrameReader, OwnedWriteHalf), RuntimeError> {
    let unreachable = |source| RuntimeError::Unreachable {
        sandbox: sandbox.clone(),
        source,
    };
    let (read, mut write) = open_socket(directory)
        .await
        .map_err(unreachable)?
        .into_split();
    let mut reader = FrameReader::new(read, 16 << 10);
    send(&mut write, &Hello { protocol: PROTOCOL })
        .await
        .map_err(unreachable)?;
    greeted(sandbox, &mut reader).await?;
    Ok((reader, write))
}

/// Connects and asks at once: a shim handles the frames of a connection in order, and this one is known to speak
/// a protocol of ours. What it says is to be read behind its `Hello`.
pub(super) async fn connect_asking(
    sandbox: &SandboxId,
    directory: &Path,
    request: Request,
) -> Result<FrameReader<UnixStream>, RuntimeError> {
    let ask = async {
        let mut stream = open_socket(directory).await?;
        let mut bytes = Vec::with_capacity(512);
        let hello = Hello { protocol: PROTOCOL };
        frame::put_json(&mut bytes, Kind::Control, &hello).map_err(io::Error::other)?;
        let request = ToShim { id: 1, request };
        frame::put_json(&mut bytes, Kind::Control, &request).map_err(io::Error::other)?;
        stream.write_all(&bytes).await?;
        Ok(FrameReader::new(stream, 1 << 10))
    };
    let mut reader = ask.await.map_err(|source| RuntimeError::Unreachable {
        sandbox: sandbox.clone(),
        source,
    })?;
    greeted(sandbox, &mut reader).await?;
    Ok(reader)
}

/// Takes the shim's `Hello`.
async fn greeted<R: AsyncRead + Unpin>(
    sandbox: &SandboxId,
    reader: &mut FrameReader<R>,
) -> Result<(), RuntimeError> {
    let unreachable = |source| RuntimeError::Unreachable {
        sandbox: sandbox.clone(),
        source,
    };
    let hello: Hello = match reader.next().await.map_err(unreachable)? {
        Some((Kind::Control, payload)) => {
            serde_json::from_slice(&payload).map_err(|error| unreachable(error.into()))?
        }
        Some(_) => return Err(unreachable(io::ErrorKind::InvalidData.into())),
        None => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
    };
    if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&hello.protocol) {
        return Err(RuntimeError::Protocol {
            sandbox: sandbox.clone(),
            theirs: hello.protocol,
            ours: PROTOCOL,
        });
    }
    reader.protocol = hello.protocol;
    Ok(())
}

async fn open_socket(directory: &Path) -> io::Result<UnixStream> {
    let path = directory.join(SOCKET);
    if path.as_os_str().len() <= LONGEST_SOCKET_PATH {
        return UnixStream::connect(path).await;
    }
    // A longer path does not fit a socket address; the directory's descriptor makes it short.
    let directory = std::fs::File::open(directory)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())).await
}

pub(super) async fn send<T: serde::Serialize>(
    write: &mut OwnedWriteHalf,
    message: &T,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4096);
    frame::put_json(&mut bytes, Kind::Control, message).map_err(io::Error::other)?;
    write.write_all(&bytes).await
}

/// Who waits for which reply; `None` once the stream has ended, so that nobody can begin to wait then.
type Pending = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>>;

/// Requests that wait to be written.
const QUEUE: usize = 64;

/// The clonable front of a connection whose reader task runs until the stream ends.
///
/// Writing has a task of its own: a request whose future is dropped is then either not sent or sent whole,
/// never cut in the middle of a frame.
pub(super) struct Connection {
    sandbox: SandboxId,
    protocol: u32,
    requests: mpsc::Sender<Vec<u8>>,
    next_id: AtomicU64,
    pending: Pending,
    reader: tokio::task::AbortHandle,
}

/// What a shim of protocol 1 does not know: it would break the connection off, or leave out what is asked for.
fn too_new(request: &Request) -> Option<&'static str> {
    if let Request::Create(spec) = request {
        let joins = spec.pid_of.is_some();
        return joins.then_some(
            "the shim of an earlier podtui cannot start a container among the processes of another one",
        );
    }
    let changes = matches!(request, Request::UpdateCgroups(_));
    changes.then_some("the shim of an earlier podtui cannot change the limits of a running pod")
}

impl Connection {
    /// `on_event` is called, and awaited, for every event of the shim and once for the end of the stream.
    pub(super) async fn open<F, Fut>(
        sandbox: SandboxId,
        directory: &Path,
        on_event: F,
    ) -> Result<Arc<Self>, RuntimeError>
    where
        F: Fn(RuntimeEvent) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (reader, mut stream) = connect(&sandbox, directory).await?;
        let protocol = reader.protocol;
        let pending: Pending = Arc::new(Mutex::new(Some(HashMap::new())));
        let task = tokio::spawn(read(
            sandbox.clone(),
            reader,
            Arc::clone(&pending),
            on_event,
        ));
        let (requests, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE);
        tokio::spawn(async move {
            while let Some(bytes) = queue.recv().await {
                // The reader sees the broken stream as well and answers those who wait.
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        Ok(Arc::new(Self {
            sandbox,
            protocol,
            requests,
            next_id: AtomicU64::new(1),
            pending,
            reader: task.abort_handle(),
        }))
    }

    /// What the shim speaks, between [`OLDEST_PROTOCOL`] and [`PROTOCOL`].
    pub(super) const fn protocol(&self) -> u32 {
        self.protocol
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.pending).is_none()
    }

    /// Runs a command, which is killed when the future is dropped before its end. For shims of protocol 3.
    pub(super) async fn run(&self, spec: RunSpec) -> Result<Reply, RuntimeError> {
        let id = self.next_id();
        let mut running = Running {
            connection: self,
            id: Some(id),
        };
        let reply = self.request_as(id, Request::Run(spec)).await;
        running.id = None;
        reply
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a command up. Nobody waits for the answer, nor for room in the queue.
    fn give_up(&self, run: u64) {
        lock(&self.pending)
            .as_mut()
            .and_then(|waiting| waiting.remove(&run));
        let message = ToShim {
            id: self.next_id(),
            request: Request::GiveUp { run },
        };
        let mut bytes = Vec::with_capacity(64);
        if frame::put_json(&mut bytes, Kind::Control, &message).is_err() {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(bytes)) = self.requests.try_send(bytes)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let requests = self.requests.clone();
            runtime.spawn(async move { requests.send(bytes).await });
        }
    }

    /// Sends one request and waits for its reply; a fault is an error.
    pub(super) async fn request(&self, request: Request) -> Result<Reply, RuntimeError> {
        self.request_as(self.next_id(), request).await
    }

    async fn request_as(&self, id: u64, request: Request) -> Result<Reply, RuntimeError> {
        let unreachable = |kind: io::ErrorKind| RuntimeError::Unreachable {
            sandbox: self.sandbox.clone(),
            source: kind.into(),
        };
        if let Some(message) = too_new(&request).filter(|_| self.protocol < 2) {
            return Err(RuntimeError::Fault(Fault {
                stage: Stage::Request,
                errno: 0,
                message: message.to_owned(),
            }));
        }
        let mut bytes = Vec::with_capacity(512);
        frame::put_json(&mut bytes, Kind::Control, &ToShim { id, request }).map_err(|error| {
            RuntimeError::Unreachable {
                sandbox: self.sandbox.clone(),
                source: io::Error::other(error),
            }
        })?;
        let (sender, answer) = oneshot::channel();
        match lock(&self.pending).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(unreachable(io::ErrorKind::NotConnected)),
        };
        // When the writer is gone the stream is broken; the reader ends as well and drops the sender.
        let _ = self.requests.send(bytes).await;
        match answer.await {
            Ok(Reply::Fault(fault)) => Err(RuntimeError::Fault(fault)),
            Ok(reply) => Ok(reply),
            Err(_) => Err(unreachable(io::ErrorKind::ConnectionReset)),
        }
    }
}

/// A command that somebody waits for.
struct Running<'a> {
    connection: &'a Connection,
    /// `None` once it has been answered.
    id: Option<u64>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.connection.give_up(id);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(
    pending: &Pending,
) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Reply>>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read<F, Fut>(sandbox: SandboxId, mut reader: FrameReader, pending: Pending, on_event: F)
where
    F: Fn(RuntimeEvent) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        let payload = match reader.next().await {
            Ok(Some((Kind::Control, payload))) => payload,
            Ok(Some((kind, _))) => {
                tracing::warn!(%sandbox, ?kind, "shim sent a session frame on a control connection");
                continue;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%sandbox, %error, "reading from the shim failed");
                break;
            }
        };
        match serde_json::from_slice(&payload) {
            Ok(ToEngine::Reply { id, reply }) => {
                let waiting = lock(&pending)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&id));
                // Nobody waits any more when the request's future was dropped.
                if let Some(waiting) = waiting {
                    let _ = waiting.send(reply);
                }
            }
            Ok(ToEngine::Event(event)) => {
                on_event(RuntimeEvent::Sandbox {
                    sandbox: sandbox.clone(),
                    event,
                })
                .await;
            }
            Err(error) => {
                tracing::warn!(%sandbox, %error, "shim sent a message that cannot be read")
            }
        }
    }
    lock(&pending).take();
    on_event(RuntimeEvent::ShimLost { sandbox }).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn create(pid_of: Option<&str>) -> Request {
        let spec = json!({
            "id": "c", "labels": {}, "cgroup_leaf": "c", "limits": {"oom_group": false}, "oom_score_adj": 0,
            "pid_of": pid_of, "argv": ["a"], "env": [], "cwd": "/",
            "user": {"user": "", "additional_groups": [], "merge_image_groups": true, "must_not_be_root": false},
            "rootfs": {"layers": ["/l"], "scratch": "/s", "readonly": false}, "mounts": [], "masked_paths": [],
            "readonly_paths": [], "privileged": false, "capabilities": {"bounding": 0, "effective": 0},
            "no_new_privileges": true, "seccomp": "RuntimeDefault", "rlimits": [], "tty": false, "stdin": false,
            "stdin_once": false, "log_path": "/log", "log_max_size": 1, "log_max_files": 1, "stop_signal": "SIGTERM",
        });
        Request::Create(Box::new(serde_json::from_value(spec).unwrap()))
    }

    #[test]
    fn what_an_older_shim_would_leave_out_is_not_asked_of_it() {
        assert_eq!(too_new(&Request::State), None);
        assert_eq!(too_new(&create(None)), None);
        assert!(too_new(&create(Some("other"))).is_some());
        assert!(too_new(&Request::UpdateCgroups(Vec::new())).is_some());
    }
}
