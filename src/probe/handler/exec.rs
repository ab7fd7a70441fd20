use std::time::Duration;

use super::{Attempt, Outcome};
use crate::base::{ContainerId, chain};
use crate::runtime::ContainerRuntime;

/// Success is exit code 0. What the command wrote is what the event shows.
pub(super) async fn attempt(
    runtime: &dyn ContainerRuntime,
    container: &ContainerId,
    command: &[String],
    timeout: Duration,
) -> Attempt {
    let result = runtime
        .exec_sync(container, command.to_vec(), Some(timeout))
        .await
        .map_err(|error| chain(&error))?;
    Ok(match result.exit_code {
        Some(0) => Outcome::Success,
        Some(_) => Outcome::Failure(String::from_utf8_lossy(&result.output).into_owned()),
        None => Outcome::Failure(timed_out(command, timeout)),
    })
}

/// The text of a command that was killed at the end of its time.
pub(crate) fn timed_out(command: &[String], timeout: Duration) -> String {
    format!(
        "command timed out: {:?} timed out after {}s",
        command.join(" "),
        timeout.as_secs()
    )
}
