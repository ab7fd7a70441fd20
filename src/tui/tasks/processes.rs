use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::client::Client;
use crate::tui::logs::Target;
use crate::tui::msg::Msg;

const INTERVAL: Duration = Duration::from_secs(2);

/// Reads the processes of one pod until it is aborted or the screen is gone.
pub(in crate::tui) async fn poll_processes(
    client: Arc<dyn Client>,
    target: Target,
    messages: mpsc::Sender<Msg>,
) {
    let namespace = target.key.namespace.clone().unwrap_or_default();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = client.pod_processes(&namespace, &target.key.name).await;
        let reading = reading.map_err(|error| error.to_string());
        let msg = Msg::Processes(target.clone(), reading);
        if messages.send(msg).await.is_err() {
            return;
        }
    }
}
