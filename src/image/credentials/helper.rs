use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::secret::Credential;

/// A helper may ask a person; nobody waits for one in front of a pull that long.
const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_MAX: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME get` (docker-credential-helpers, "Credential helper protocol"). `None`: it
/// knows nothing of this registry. What it says otherwise is not repeated, it may be secret.
pub(super) async fn ask(name: &str, registry: &str) -> Result<Option<Credential>, String> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return Err(format!("{name:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{name}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let answer = tokio::time::timeout(PATIENCE, talk(&mut child, registry)).await;
    let (succeeded, output) = answer
        .map_err(|_| format!("{program} did not answer within {PATIENCE:?}"))?
        .map_err(|error| format!("{program}: {error}"))?;
    if !succeeded {
        let text = String::from_utf8_lossy(&output);
        return if text.contains("credentials not found") {
            Ok(None)
        } else {
            Err(format!("{program} failed"))
        };
    }
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| format!("{program} did not answer with a credential"))?;
    Ok(Some(if answer.username == "<token>" {
        Credential::IdentityToken(answer.secret)
    } else {
        Credential::Password {
            username: answer.username,
            password: answer.secret,
        }
    }))
}

async fn talk(child: &mut Child, registry: &str) -> std::io::Result<(bool, Vec<u8>)> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not read may have its answer ready nevertheless.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_MAX).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}
