use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;

use super::connection::broken;
use crate::client::{ContainerMetrics, NetworkBytes, NodeMetrics, PodMetrics};
use crate::model::ApiError;
use crate::model::quantity::ParsedQuantity;

/// `PodMetrics` of `metrics.k8s.io/v1beta1`, as far as it is shown. Read every two seconds for every pod, so there is no tree of
/// values in between.
#[derive(Deserialize)]
struct RawMetrics<'a> {
    metadata: RawMeta,
    timestamp: Timestamp,
    #[serde(borrow, default)]
    containers: Option<Vec<RawContainer<'a>>>,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(default)]
    namespace: String,
    name: String,
    annotations: Option<RawAnnotations>,
}

/// Numbers that the group has no place for; other servers do not tell them.
#[derive(Default, Deserialize)]
struct RawAnnotations {
    #[serde(rename = "podtui.dev/processes")]
    processes: Option<String>,
    #[serde(rename = "podtui.dev/network-received-bytes")]
    received: Option<String>,
    #[serde(rename = "podtui.dev/network-sent-bytes")]
    sent: Option<String>,
}

#[derive(Deserialize)]
struct RawContainer<'a> {
    name: String,
    #[serde(borrow, default)]
    usage: RawUsage<'a>,
}

#[derive(Default, Deserialize)]
struct RawUsage<'a> {
    #[serde(borrow, default)]
    cpu: Cow<'a, str>,
    #[serde(borrow, default)]
    memory: Cow<'a, str>,
}

pub(super) fn pod_metrics(text: &[u8]) -> Result<PodMetrics, ApiError> {
    let raw: RawMetrics<'_> =
        serde_json::from_slice(text).map_err(|error| broken(&format!("metrics: {error}")))?;
    let containers = raw.containers.unwrap_or_default().into_iter();
    let containers = containers.map(|container| ContainerMetrics {
        name: container.name,
        cpu_nanocores: nanocores(&container.usage.cpu),
        memory_bytes: memory_bytes(&container.usage.memory),
    });
    let number = |text: Option<String>| text?.parse::<u64>().ok();
    let annotations = raw.metadata.annotations.unwrap_or_default();
    let (received, sent) = (number(annotations.received), number(annotations.sent));
    Ok(PodMetrics {
        namespace: raw.metadata.namespace,
        name: raw.metadata.name,
        at: raw.timestamp,
        containers: containers.collect(),
        processes: number(annotations.processes),
        network: received
            .zip(sent)
            .map(|(received, sent)| NetworkBytes { received, sent }),
    })
}

/// Of the first node; there are no more here.
pub(super) fn node_metrics(text: &str) -> Result<NodeMetrics, ApiError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        metadata: RawMeta,
        timestamp: Timestamp,
        #[serde(borrow, default)]
        usage: RawUsage<'a>,
    }
    let raw: Raw<'_> =
        serde_json::from_str(text).map_err(|error| broken(&format!("metrics: {error}")))?;
    Ok(NodeMetrics {
        name: raw.metadata.name,
        at: raw.timestamp,
        cpu_nanocores: nanocores(&raw.usage.cpu),
        memory_bytes: memory_bytes(&raw.usage.memory),
    })
}

/// A plain number, as the engine writes it, needs no more.
fn memory_bytes(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        u64::try_from(ParsedQuantity::of(&Quantity(text.to_owned())).value()).unwrap_or(0)
    })
}

/// Finer than the quantities of objects, which end at thousandths.
fn nanocores(text: &str) -> u64 {
    if let Some(nano) = text.strip_suffix('n') {
        return nano.parse().unwrap_or(0);
    }
    let milli = ParsedQuantity::of(&Quantity(text.to_owned())).milli_value();
    u64::try_from(milli).unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{PROCESSES_ANNOTATION, RECEIVED_ANNOTATION, SENT_ANNOTATION};

    #[test]
    fn a_reading_is_read_as_any_server_writes_it() {
        let own = format!(
            r#"{{"metadata":{{"name":"p","namespace":"n","annotations":{{"{PROCESSES_ANNOTATION}":"3",
                "{RECEIVED_ANNOTATION}":"5","{SENT_ANNOTATION}":"7"}}}},"timestamp":"2026-01-02T03:04:05.5Z","window":"1s",
                "containers":[{{"name":"a","usage":{{"cpu":"1500n","memory":"4096"}}}}]}}"#
        );
        let reading = pod_metrics(own.as_bytes()).unwrap();
        assert_eq!((&*reading.namespace, &*reading.name), ("n", "p"));
        assert_eq!(reading.at, "2026-01-02T03:04:05.5Z".parse().unwrap());
        assert_eq!(reading.processes, Some(3));
        let (received, sent) = (5, 7);
        assert_eq!(reading.network, Some(NetworkBytes { received, sent }));
        let [container] = &reading.containers[..] else {
            panic!("one container");
        };
        assert_eq!(
            (container.cpu_nanocores, container.memory_bytes),
            (1500, 4096)
        );

        let other = br#"{"metadata":{"name":"p"},"timestamp":"2026-01-02T03:04:05Z",
            "containers":[{"name":"a","usage":{"cpu":"2m","memory":"4Ki"}}]}"#;
        let reading = pod_metrics(other).unwrap();
        assert_eq!((reading.processes, reading.network), (None, None));
        assert_eq!(reading.containers[0].cpu_nanocores, 2_000_000);
        assert_eq!(reading.containers[0].memory_bytes, 4096);

        for broken in ["{}", r#"{"metadata":{"name":"p"}}"#] {
            assert!(pod_metrics(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
