use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Pod};

use crate::base::{ContainerId, SessionEnd, SessionOutput, chain, quoted};
use crate::engine::machine::Machine;
use crate::engine::recorder::{KUBELET, Level};
use crate::probe::PodNet;
use crate::probe::handler::http::{HttpError, HttpRequest};
use crate::wire::ExecSpec;

/// Bytes kept of what a hook writes, of each stream.
const OUTPUT_LIMIT: usize = 10 << 10;

const USER_AGENT: &str = "kube-lifecycle/1.36";

/// A hook has no timeout of its own: the grace period or the end of the container ends it.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// One lifecycle hook of one running container.
pub(super) struct Hook {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) id: ContainerId,
    /// Where an httpGet goes; `None` when the sandbox is gone.
    pub(super) net: Option<PodNet>,
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
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        } else if let Some(get) = &self.handler.http_get {
            let path = get.path.as_deref().unwrap_or_default();
            let sent = self.http_get(get).await;
            sent.map_err(|error| self.failed(&format!("HTTP lifecycle hook ({path})"), &error))
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
            self.container.name,
            meta.name.as_deref().unwrap_or_default(),
            meta.namespace.as_deref().unwrap_or_default(),
            meta.uid.as_deref().unwrap_or_default(),
        )
    }

    /// Whatever the server answers is well; a server of HTTP alone is asked again without TLS
    /// (kubelet lifecycle/handlers.go).
    async fn http_get(&self, get: &HTTPGetAction) -> Result<(), String> {
        let request = HttpRequest::of(get, &self.container, USER_AGENT)?;
        let net = self.net.as_ref().ok_or("the pod has no sandbox")?;
        let runtime = self.machine.runtime.as_ref();
        let answer = match request.send(runtime, net, NO_TIMEOUT).await {
            Err(HttpError::PlainAnswer(_)) => {
                let answer = request.in_plain().send(runtime, net, NO_TIMEOUT).await;
                if answer.is_ok() {
                    self.tell_fallback(&request.authority(net));
                }
                answer
            }
            answer => answer,
        };
        match answer {
            // The body is nobody's business here.
            Ok(_) | Err(HttpError::Body(_)) => Ok(()),
            Err(error) => Err(error.into_text()),
        }
    }

    fn tell_fallback(&self, authority: &str) {
        self.machine.recorder.pod(
            KUBELET,
            &self.pod,
            // The kubelet tells it of the pod, not of the container.
            None,
            Level::Warning,
            "LifecycleHTTPFallback",
            format!(
                "request to HTTPS lifecycle hook {authority} got HTTP response, retry with HTTP succeeded"
            ),
        );
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
            "{}, message: {}",
            self.failed(&what, &error),
            quoted(&output)
        ))
    }
}
