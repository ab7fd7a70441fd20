use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::client::Client;
use crate::tui::msg::Msg;

const INTERVAL: Duration = Duration::from_secs(2);
/// Pods in one message, so that a key does not have to wait for ten thousand of them.
const PART: usize = 512;

/// Reads usage until it is aborted or the screen is gone.
pub(in crate::tui) async fn poll_metrics(
    client: Arc<dyn Client>,
    namespace: Option<String>,
    messages: mpsc::Sender<Msg>,
) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let readings = client.pod_metrics(namespace.as_deref()).await;
        let last = match readings {
            Ok(readings) => {
                let mut rest = readings.into_iter();
                while rest.len() > PART {
                    let part = Msg::MetricsPart(rest.by_ref().take(PART).collect());
                    if messages.send(part).await.is_err() {
                        return;
                    }
                }
                Ok(rest.collect())
            }
            Err(error) => Err(error.to_string()),
        };
        if messages.send(Msg::Metrics(last)).await.is_err() {
            return;
        }
    }
}
