use std::sync::Arc;

use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::base::{ContainerId, SessionEnd, SessionOutput, chain};
use crate::engine::machine::Machine;
use crate::wire::ExecSpec;

/// Bytes kept of what a hook writes, of each stream.
const OUTPUT_LIMIT: usize = 10 << 10;

/// One lifecycle hook of one running container.
pub(super) struct Hook {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: String,
    pub(super) id: ContainerId,
    pub(super) handler: LifecycleHandler,
}

impl Hook {
    /// Only a command lives on when nobody waits for it any more; it ends with its container.
    pub(super) fn outlives_its_timer(&self) -> bool {
        self.handler.exec.is_some()
    }

    /// Runs to the end, however long that takes. `Err` is the text of the kubelet.
    pub(super) async fn run(self) -> Result<(), String> {
        if let Some(exec) = &self.handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            self.exec(command).await
        } else if let Some(sleep) = &self.handler.sleep {
            let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
            tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
            Ok(())
        } else if self.handler.http_get.is_some() {
            // Not carried out yet: `model::unsupported` says so to the user.
            Ok(())
        } else {
            // The schema takes tcpSocket, but no kubelet has ever carried it out.
            Err("Cannot run handler: invalid handler: tcpSocket is not supported for lifecycle hooks"
                .to_owned())
        }
    }

    /// ` for Container "c" in Pod "p_n(uid)" failed - error: …`
    fn failed(&self, what: &str, error: &str) -> String {
        let meta = &self.pod.metadata;
        format!(
            "{what} for Container {:?} in Pod \"{}_{}({})\" failed - error: {error}",
            self.container,
            meta.name.as_deref().unwrap_or_default(),
            meta.namespace.as_deref().unwrap_or_default(),
            meta.uid.as_deref().unwrap_or_default(),
        )
    }

    async fn exec(self, command: Vec<String>) -> Result<(), String> {
        let shown = command.join(" ");
        let what = format!("Exec lifecycle hook ([{shown}])");
        let spec = ExecSpec {
            container: self.id.clone(),
            argv: command,
            env: Vec::new(),
            tty: false,
            stdin: false,
            size: None,
            // A hook that is given up runs on.
            kill_with_client: false,
        };
        let mut session = match self.machine.runtime.exec(spec).await {
            Ok(session) => session,
            Err(error) => {
                let text = self.failed(&what, &chain(&error));
                return Err(format!("{text}, message: \"\""));
            }
        };
        let mut stdout = Vec::new();
        let mut stderr = Vec::new();
        let error = loop {
            let (kept, bytes) = match session.output.recv().await {
                Some(SessionOutput::Stdout(bytes)) => (&mut stdout, bytes),
                Some(SessionOutput::Stderr(bytes)) => (&mut stderr, bytes),
                Some(SessionOutput::End(SessionEnd::Exited(0))) => return Ok(()),
                Some(SessionOutput::End(SessionEnd::Exited(code))) => {
                    let told = String::from_utf8_lossy(&stderr);
                    break format!("command '{shown}' exited with {code}: {told}");
                }
                Some(SessionOutput::End(SessionEnd::Failed(text))) => break text,
                Some(SessionOutput::End(SessionEnd::Closed)) | None => {
                    break "the command was cut off".to_owned();
                }
            };
            let room = OUTPUT_LIMIT.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        };
        stdout.extend_from_slice(&stderr);
        let output = String::from_utf8_lossy(&stdout);
        Err(format!(
            "{}, message: {output:?}",
            self.failed(&what, &error)
        ))
    }
}
