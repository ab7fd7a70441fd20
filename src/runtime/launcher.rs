//! Starting shims: through the factory when it is there, else as processes of their own.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::oneshot;

use super::RuntimeError;
use crate::wire::{
    Cleanup, FactoryAnswer, FactoryRequest, Fault, SandboxSpec, SandboxState, ShimAnswer,
};

/// What is executed to get a shim.
pub(crate) struct ShimProgram {
    path: PathBuf,
    /// Keeps the descriptor behind `path` open.
    _sealed: Option<OwnedFd>,
}

impl ShimProgram {
    /// The running binary itself.
    pub(crate) fn current() -> Self {
        Self {
            path: PathBuf::from("/proc/self/exe"),
            _sealed: None,
        }
    }

    /// A sealed copy of it (memfd_create(2)), so that no container can reach the binary on disk through
    /// `/proc/PID/exe` (CVE-2019-5736). One per engine; all its shims share the pages.
    pub(crate) fn sealed(copy: OwnedFd) -> Self {
        Self {
            path: PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd())),
            _sealed: Some(copy),
        }
    }
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Box<SandboxState>, Fault>>>>>;

struct Factory {
    stdin: ChildStdin,
    next_id: u64,
    waiting: Waiting,
    reader: tokio::task::JoinHandle<()>,
}

pub(super) struct Launcher {
    program: ShimProgram,
    /// Where shims write what they cannot tell otherwise (panics).
    log: Option<File>,
    use_factory: bool,
    factory: tokio::sync::Mutex<Option<Factory>>,
}

impl Launcher {
    pub(super) fn new(program: ShimProgram, run_dir: &Path, use_factory: bool) -> Self {
        let path = run_dir.join("shim.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "no log for shims"))
            .ok();
        Self {
            program,
            log,
            use_factory,
            factory: tokio::sync::Mutex::new(None),
        }
    }

    fn command(&self, argument: Option<&str>) -> Command {
        let mut command = Command::new(&self.program.path);
        let stderr = self
            .log
            .as_ref()
            .and_then(|log| log.try_clone().ok())
            .map_or_else(Stdio::null, Stdio::from);
        command
            .arg("__shim")
            .args(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr);
        command
    }

    /// Runs one process with a JSON document on its standard input and reads one line of answer.
    async fn ask<T: Serialize>(
        &self,
        argument: Option<&str>,
        input: &T,
    ) -> Result<ShimAnswer, RuntimeError> {
        let mut child = self
            .command(argument)
            .spawn()
            .map_err(RuntimeError::SpawnShim)?;
        let mut stdin = child.stdin.take().ok_or_else(no_pipe)?;
        let stdout = child.stdout.take().ok_or_else(no_pipe)?;
        let document = serde_json::to_vec(input).map_err(|error| invalid(&error))?;
        stdin
            .write_all(&document)
            .await
            .map_err(RuntimeError::SpawnShim)?;
        drop(stdin);
        let mut line = Vec::new();
        // The shim closes its end after the line; a shim that lives on does so as well.
        BufReader::new(stdout)
            .take(8 << 20)
            .read_until(b'\n', &mut line)
            .await
            .map_err(RuntimeError::SpawnShim)?;
        if line.is_empty() {
            let how = match child.try_wait() {
                Ok(Some(status)) => format!("the shim ended without an answer: {status}"),
                _ => "the shim closed its output without an answer".to_owned(),
            };
            return Err(RuntimeError::SpawnShim(io::Error::other(how)));
        }
        serde_json::from_slice(&line).map_err(|error| invalid(&error))
    }

    pub(super) async fn launch(&self, spec: &SandboxSpec) -> Result<SandboxState, RuntimeError> {
        if self.use_factory
            && let Some(answer) = self.ask_factory(spec).await
        {
            return answer.map(|state| *state).map_err(RuntimeError::Fault);
        }
        match self.ask(None, spec).await? {
            ShimAnswer::Ready(state) => Ok(*state),
            ShimAnswer::Fault(fault) => Err(RuntimeError::Fault(fault)),
            ShimAnswer::Done(()) => Err(RuntimeError::SpawnShim(io::ErrorKind::InvalidData.into())),
        }
    }

    pub(super) async fn clean_up(&self, what: &Cleanup) -> Result<(), RuntimeError> {
        match self.ask(Some("--cleanup"), what).await? {
            ShimAnswer::Done(()) => Ok(()),
            ShimAnswer::Fault(fault) => Err(RuntimeError::Fault(fault)),
            ShimAnswer::Ready(_) => Err(RuntimeError::SpawnShim(io::ErrorKind::InvalidData.into())),
        }
    }

    /// `None` when the factory cannot serve; the caller starts the shim itself.
    async fn ask_factory(&self, spec: &SandboxSpec) -> Option<Result<Box<SandboxState>, Fault>> {
        let answer = {
            let mut slot = self.factory.lock().await;
            if slot
                .as_ref()
                .is_none_or(|factory| factory.reader.is_finished())
            {
                *slot = self.start_factory();
            }
            let factory = slot.as_mut()?;
            let id = factory.next_id;
            factory.next_id += 1;
            let request = FactoryRequest {
                id,
                spec: Box::new(spec.clone()),
            };
            let mut line = serde_json::to_vec(&request).ok()?;
            line.push(b'\n');
            let (sender, answer) = oneshot::channel();
            lock(&factory.waiting).insert(id, sender);
            if let Err(error) = factory.stdin.write_all(&line).await {
                tracing::warn!(%error, "the shim factory is gone");
                *slot = None;
                return None;
            }
            answer
        };
        answer.await.ok()
    }

    fn start_factory(&self) -> Option<Factory> {
        let mut child = self
            .command(Some("--factory"))
            .spawn()
            .inspect_err(|error| tracing::warn!(%error, "starting the shim factory failed"))
            .ok()?;
        let stdin = child.stdin.take()?;
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let waiting = Waiting::default();
        let answers = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str::<FactoryAnswer>(&line) {
                    Ok(answer) => {
                        let result = match answer.answer {
                            ShimAnswer::Ready(state) => Ok(state),
                            ShimAnswer::Fault(fault) => Err(fault),
                            ShimAnswer::Done(()) => continue,
                        };
                        if let Some(waiting) = lock(&answers).remove(&answer.id) {
                            let _ = waiting.send(result);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the shim factory sent an unreadable line")
                    }
                }
            }
            // Those who wait fall back to a shim of their own.
            lock(&answers).clear();
        });
        Some(Factory {
            stdin,
            next_id: 1,
            waiting,
            reader,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_pipe() -> RuntimeError {
    RuntimeError::SpawnShim(io::ErrorKind::BrokenPipe.into())
}

fn invalid(error: &serde_json::Error) -> RuntimeError {
    RuntimeError::SpawnShim(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the shim's answer cannot be read: {error}"),
    ))
}
