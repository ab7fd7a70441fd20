use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;

use crate::model::pod::{container_limit, pod_limits};
use crate::model::quantity::ParsedQuantity;
use crate::volume::Usage;

pub(super) const RESOURCE: &str = "ephemeral-storage";

/// What one pod takes of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LocalUsage {
    /// `emptyDir` volumes on disk.
    pub(super) volumes: BTreeMap<String, Usage>,
    /// Writable layers and logs.
    pub(super) containers: BTreeMap<String, Usage>,
}

impl LocalUsage {
    pub(super) fn total(&self) -> Usage {
        let all = self.volumes.values().chain(self.containers.values());
        all.fold(Usage::default(), |sum, one| sum.and(*one))
    }
}

/// Whether anything of this pod is to be measured at all.
pub(super) fn has_limits(spec: &PodSpec) -> bool {
    limited_volumes(spec).next().is_some() || pod_limits(spec).contains_key(RESOURCE)
}

fn limited_volumes(spec: &PodSpec) -> impl Iterator<Item = (&str, ParsedQuantity)> {
    spec.volumes.iter().flatten().filter_map(|volume| {
        let limit = volume.empty_dir.as_ref()?.size_limit.as_ref()?;
        let limit = ParsedQuantity::of(limit);
        // Zero is no limit.
        (!limit.is_zero()).then_some((volume.name.as_str(), limit))
    })
}

fn exceeds(used: u64, limit: ParsedQuantity) -> bool {
    u64::try_from(limit.value()).is_ok_and(|limit| used > limit)
}

/// What the pod is evicted for, in the kubelet's words: volumes first, then the pod, then its containers.
pub(super) fn violation(spec: &PodSpec, used: &LocalUsage) -> Option<String> {
    for (volume, limit) in limited_volumes(spec) {
        let bytes = used.volumes.get(volume).map_or(0, |usage| usage.bytes);
        if exceeds(bytes, limit) {
            return Some(format!(
                "Usage of EmptyDir volume \"{volume}\" exceeds the limit \"{limit}\". "
            ));
        }
    }
    if let Some(limit) = pod_limits(spec).get(RESOURCE)
        && exceeds(used.total().bytes, *limit)
    {
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "
        ));
    }
    spec.containers.iter().find_map(|container| {
        let name = &container.name;
        let limit = container_limit(container, RESOURCE)?;
        let bytes = used.containers.get(name).map_or(0, |usage| usage.bytes);
        exceeds(bytes, limit).then(|| {
            format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". ")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn usage(list: &[(&str, u64)]) -> BTreeMap<String, Usage> {
        let of = |bytes| Usage { bytes, inodes: 1 };
        list.iter()
            .map(|(name, bytes)| ((*name).to_owned(), of(*bytes)))
            .collect()
    }

    #[track_caller]
    fn check(volumes: &[(&str, u64)], containers: &[(&str, u64)], expected: &str) {
        let limit = |amount: &str| json!({"limits": {"ephemeral-storage": amount}});
        let spec = spec(json!({
            "containers": [{"name": "a", "resources": limit("1Mi")}, {"name": "b", "resources": limit("2Mi")}],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Ki"}}, {"name": "w", "emptyDir": {"sizeLimit": 0}}],
        }));
        assert!(has_limits(&spec));
        let used = LocalUsage {
            volumes: usage(volumes),
            containers: usage(containers),
        };
        assert_eq!(violation(&spec, &used).unwrap_or_default(), expected);
    }

    #[test]
    fn texts_of_the_kubelet_in_its_order() {
        const MIB: u64 = 1 << 20;
        check(&[("v", MIB)], &[("a", MIB), ("b", MIB)], "");
        check(
            &[("v", MIB + 1)],
            &[("a", 9 * MIB)],
            "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ",
        );
        check(
            &[("w", 3 * MIB)],
            &[("b", 1)],
            "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ",
        );
        check(
            &[],
            &[("a", MIB + 1), ("b", 1)],
            "Container a exceeded its local ephemeral storage limit \"1Mi\". ",
        );
    }

    #[test]
    fn pods_without_limits_are_not_measured() {
        let free = spec(
            json!({"containers": [{"name": "a"}], "volumes": [{"name": "v", "emptyDir": {}}]}),
        );
        assert!(!has_limits(&free));
    }
}
