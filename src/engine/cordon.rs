//! Tells of cordons: an event of the node whenever it takes no more pods, or takes them again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;

use super::machine::Machine;
use super::node::now_is;
use super::recorder::Level;
use crate::model::Kind;

/// After changes were missed.
const AGAIN: Duration = Duration::from_millis(100);

/// Lives as long as the engine. How the node is when it begins is no news.
pub(super) async fn tell_cordons(machine: Arc<Machine>) {
    let mut known = None;
    loop {
        let from = machine.store.resource_version();
        if let Ok(mut nodes) = machine.store.watch(Kind::Node, from) {
            loop {
                let name = &machine.node.name;
                let node = machine.store.get::<Node>("", name);
                if let Some(reason) = node.and_then(|node| news(&mut known, &node)) {
                    let text = now_is(name, reason);
                    machine.recorder.node(name, Level::Normal, reason, text);
                }
                if nodes.next().await.is_err() {
                    break;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The reason of the event when the cordon is not as it was known.
fn news(known: &mut Option<bool>, node: &Node) -> Option<&'static str> {
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|spec| spec.unschedulable) == Some(true);
    let before = known.replace(cordoned)?;
    (before != cordoned).then_some(if cordoned {
        "NodeNotSchedulable"
    } else {
        "NodeSchedulable"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cordon_is_told_once_and_so_is_its_end() {
        let node = |spec: serde_json::Value| -> Node {
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": spec})).unwrap()
        };
        let open = node(serde_json::json!({}));
        let cordoned = node(serde_json::json!({"unschedulable": true}));
        let mut known = None;
        let mut told = Vec::new();
        for node in [&open, &open, &cordoned, &cordoned, &open] {
            told.extend(news(&mut known, node));
        }
        assert_eq!(told, ["NodeNotSchedulable", "NodeSchedulable"]);
        // An engine that starts on a cordoned node.
        assert_eq!(news(&mut None, &cordoned), None);
    }
}
