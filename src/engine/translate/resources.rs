use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::pod::{
    QosClass, all_containers, container_limit, container_request, is_limited, is_sidecar,
    pod_limits, pod_requests, qos_class,
};
use crate::model::priority::{NODE_CRITICAL, priority};
use crate::model::quantity::ParsedQuantity;
use crate::wire::ResourceLimits;

/// Microseconds; the kubelet's `--cpu-cfs-quota-period`.
const PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1_000;
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;

/// `cpu.shares` of a CPU amount in thousandths.
fn shares(milli: i64) -> u64 {
    let milli = u64::try_from(milli).unwrap_or(0);
    (milli.saturating_mul(1024) / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// `None`: no quota.
fn quota(milli: i64) -> Option<i64> {
    (milli > 0).then(|| (milli.saturating_mul(PERIOD) / 1000).max(MIN_QUOTA))
}

/// `cpu.weight` of pod and QoS groups: the kubelet's linear mapping (KEP-2254).
fn linear_weight(shares: u64) -> u64 {
    if shares >= MAX_SHARES {
        return 10_000;
    }
    1 + shares.saturating_sub(2) * 9_999 / 262_142
}

/// `cpu.weight` of containers: the mapping of OCI runtimes since runc 1.3.2, which gives 1024 shares the
/// default weight 100 (opencontainers/cgroups `ConvertCPUSharesToCgroupV2Value`).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are below 2^18 and the result is between 1 and 10000"
)]
fn quadratic_weight(shares: u64) -> u64 {
    if shares <= MIN_SHARES {
        return 1;
    }
    if shares >= MAX_SHARES {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}

/// Values of the container's own cgroup.
pub(in crate::engine) fn container_limits(spec: &PodSpec, container: &Container) -> ResourceLimits {
    // The limit of the pod is that of a container without one (kubelet `getCPULimit`).
    let cpu_limit = container_limit(container, "cpu")
        .or_else(|| pod_level_amount(spec, "cpu", |resources| resources.limits.as_ref()))
        .map(ParsedQuantity::milli_value)
        .filter(|limit| *limit > 0);
    let request = match container_request(container, "cpu").milli_value() {
        0 => cpu_limit.unwrap_or(0),
        request => request,
    };
    let shares = shares(request);
    let quota = cpu_limit.and_then(quota);
    let memory_limit = container_limit(container, "memory")
        .or_else(|| pod_level_amount(spec, "memory", |resources| resources.limits.as_ref()))
        .map(ParsedQuantity::value)
        .filter(|limit| *limit > 0);
    ResourceLimits {
        cpu_shares: Some(shares),
        cpu_weight: Some(quadratic_weight(shares)),
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD.unsigned_abs()),
        memory_limit,
        // NoSwap is the kubelet's default behaviour, whatever else is limited.
        swap_limit: Some(0),
        // v2 kills the whole container on OOM (kubelet `singleProcessOOMKill: false`).
        oom_group: true,
        pids_limit: None,
        huge_pages: BTreeMap::new(),
    }
}

/// What the container may take of the huge pages of each size that the machine has: nothing, unless it or its pod
/// says so.
pub(super) fn huge_page_limits(
    spec: &PodSpec,
    container: &Container,
    sizes: &[u64],
) -> BTreeMap<u64, u64> {
    let limits_of = |resources: &ResourceRequirements| resources.limits.clone();
    let pod = spec.resources.as_ref().and_then(limits_of);
    let own = container.resources.as_ref().and_then(limits_of);
    let all = [pod, own].into_iter().flatten().flatten();
    let all = all.map(|(name, limit)| (name, ParsedQuantity::of(&limit)));
    with_huge_pages(sizes, all)
}

/// The same for the pod: the sum of its containers.
pub(super) fn pod_huge_page_limits(spec: &PodSpec, sizes: &[u64]) -> BTreeMap<u64, u64> {
    with_huge_pages(sizes, pod_limits(spec).into_iter())
}

/// Later amounts hold; a size that nobody names is 0.
fn with_huge_pages(
    sizes: &[u64],
    amounts: impl Iterator<Item = (String, ParsedQuantity)>,
) -> BTreeMap<u64, u64> {
    let mut limits: BTreeMap<u64, u64> = sizes.iter().map(|size| (*size, 0)).collect();
    for (name, amount) in amounts {
        if let Some(page) = ParsedQuantity::huge_page(&name) {
            limits.insert(page, u64::try_from(amount.value()).unwrap_or(0));
        }
    }
    limits
}

type List = std::collections::BTreeMap<String, Quantity>;

fn pod_level_amount(
    spec: &PodSpec,
    name: &str,
    pick: fn(&ResourceRequirements) -> Option<&List>,
) -> Option<ParsedQuantity> {
    let list = spec.resources.as_ref().and_then(pick)?;
    list.get(name).map(ParsedQuantity::of)
}

/// Values of the pod's cgroup. A sum of limits bounds the pod only if every container has one.
pub(in crate::engine) fn limits_of_pod(spec: &PodSpec, best_effort: bool) -> ResourceLimits {
    if best_effort {
        return weight_only(MIN_SHARES);
    }
    let limits = pod_limits(spec);
    let limit = |name: &str| {
        limits
            .get(name)
            .filter(|limit| is_limited(spec, name) && !limit.is_zero())
    };
    let quota = limit("cpu").and_then(|limit| quota(limit.milli_value()));
    ResourceLimits {
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD.unsigned_abs()),
        memory_limit: limit("memory").map(|limit| limit.value()),
        ..weight_only(shares(cpu_request(spec)))
    }
}

/// Thousandths of a CPU.
fn cpu_request(spec: &PodSpec) -> i64 {
    pod_requests(spec)
        .get("cpu")
        .map_or(0, |request| request.milli_value())
}

fn weight_only(shares: u64) -> ResourceLimits {
    ResourceLimits {
        cpu_shares: Some(shares),
        cpu_weight: Some(linear_weight(shares)),
        ..ResourceLimits::default()
    }
}

/// CPU requests of all living pods by QoS class, in thousandths: the weights of the QoS levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct QosTotals {
    guaranteed: i64,
    burstable: i64,
}

pub(in crate::engine) fn qos_totals<'a>(pods: impl Iterator<Item = &'a PodSpec>) -> QosTotals {
    let mut totals = QosTotals::default();
    for spec in pods {
        let sum = match qos_class(spec) {
            QosClass::Guaranteed => &mut totals.guaranteed,
            QosClass::Burstable => &mut totals.burstable,
            QosClass::BestEffort => continue,
        };
        *sum = sum.saturating_add(cpu_request(spec));
    }
    totals
}

/// Values of the QoS level that holds pods of this class.
pub(in crate::engine) fn qos_limits(qos: QosClass, totals: QosTotals) -> ResourceLimits {
    match qos {
        QosClass::Guaranteed => weight_only(shares(totals.guaranteed)),
        QosClass::Burstable => weight_only(shares(totals.burstable)),
        QosClass::BestEffort => weight_only(MIN_SHARES),
    }
}

pub(super) const SANDBOX_OOM_SCORE: i32 = -998;

/// `oom_score_adj` of a container; `node_memory` is the machine's memory in bytes.
pub(super) fn oom_score(
    spec: &PodSpec,
    container: &Container,
    qos: QosClass,
    node_memory: i64,
) -> i32 {
    if priority(spec) == NODE_CRITICAL {
        return -997;
    }
    let score = match qos {
        QosClass::Guaranteed => return -997,
        QosClass::BestEffort => return 1000,
        QosClass::Burstable => burstable_score(spec, container, node_memory),
    };
    if !is_sidecar(container) {
        return score;
    }
    // A sidecar must not be killed before the application it serves.
    spec.containers
        .iter()
        .map(|app| burstable_score(spec, app, node_memory))
        .min()
        .map_or(score, |lowest| lowest.min(score))
}

fn burstable_score(spec: &PodSpec, container: &Container, node_memory: i64) -> i32 {
    let request = |container: &Container| container_request(container, "memory").value();
    let mut own = request(container);
    let pod = pod_level_amount(spec, "memory", |resources| resources.requests.as_ref());
    if let Some(pod) = pod {
        let all: i64 = all_containers(spec).map(request).sum();
        let count = i64::try_from(all_containers(spec).count()).unwrap_or(1);
        own = own.saturating_add((pod.value() - all).max(0) / count.max(1));
    }
    let score = 1000 - i128::from(own) * 1000 / i128::from(node_memory.max(1));
    i32::try_from(score.clamp(3, 999)).unwrap_or(999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cpu(milli: i64, expected: (u64, u64, u64)) {
        let shares = shares(milli);
        assert_eq!(
            (shares, linear_weight(shares), quadratic_weight(shares)),
            expected,
            "{milli}m"
        );
    }

    #[test]
    fn shares_and_both_weights() {
        check_cpu(0, (2, 1, 1));
        check_cpu(10, (10, 1, 4));
        check_cpu(50, (51, 2, 11));
        check_cpu(100, (102, 4, 17));
        check_cpu(200, (204, 8, 29));
        check_cpu(250, (256, 10, 35));
        check_cpu(500, (512, 20, 59));
        check_cpu(1000, (1024, 39, 100));
        check_cpu(1500, (1536, 59, 138));
        check_cpu(2000, (2048, 79, 174));
        check_cpu(4000, (4096, 157, 303));
        check_cpu(8000, (8192, 313, 532));
        check_cpu(16000, (16384, 625, 942));
        check_cpu(1_000_000, (262_144, 10_000, 10_000));
    }

    #[test]
    fn quotas() {
        assert_eq!(quota(0), None);
        // The kernel takes nothing below a millisecond.
        for milli in [1, 5, 9, 10] {
            assert_eq!(quota(milli), Some(1000), "{milli}m");
        }
        assert_eq!(quota(200), Some(20_000));
        assert_eq!(quota(500), Some(50_000));
        assert_eq!(quota(1000), Some(100_000));
        assert_eq!(quota(250), Some(25_000));
        assert_eq!(quota(1500), Some(150_000));
    }

    /// `requests cpu/memory; limits cpu/memory`, `-` for none.
    fn container(name: &str, text: &str) -> Container {
        let words: Vec<&str> = text.split([' ', '/']).collect();
        let list = |cpu: &str, memory: &str| {
            Some(
                [("cpu", cpu), ("memory", memory)]
                    .into_iter()
                    .filter(|(_, value)| *value != "-")
                    .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())))
                    .collect(),
            )
        };
        Container {
            name: name.to_owned(),
            resources: Some(ResourceRequirements {
                requests: list(words[0], words[1]),
                limits: list(words[2], words[3]),
                claims: None,
            }),
            ..Container::default()
        }
    }

    fn pod(containers: &[&str], init: &[&str]) -> PodSpec {
        let list = |texts: &[&str]| {
            texts
                .iter()
                .enumerate()
                .map(|(index, text)| container(&format!("c{index}"), text))
                .collect::<Vec<_>>()
        };
        PodSpec {
            containers: list(containers),
            init_containers: Some(list(init)),
            ..PodSpec::default()
        }
    }

    #[track_caller]
    fn check_pod(
        containers: &[&str],
        init: &[&str],
        (shares, quota, memory): (u64, Option<i64>, Option<i64>),
    ) {
        let limits = limits_of_pod(&pod(containers, init), false);
        assert_eq!(
            (limits.cpu_shares, limits.cpu_quota, limits.memory_limit),
            (Some(shares), quota, memory)
        );
    }

    #[test]
    fn pod_totals() {
        check_pod(&["500m/- -/-", "250m/- -/-"], &[], (768, None, None));
        // A limit holds for the pod only if every container has one.
        check_pod(&["1/- 1/-", "1/- -/-"], &[], (2048, None, None));
        check_pod(&["1/- 1/-", "1/- 1/-"], &[], (2048, Some(200_000), None));
        check_pod(
            &["-/1Mi -/1Mi", "-/1Mi -/2Mi"],
            &[],
            (2, None, Some(3 << 20)),
        );
        // The largest init container counts when it is more than the sum of the others.
        check_pod(&["1/- -/-"], &["2/- -/-"], (2048, None, None));
        check_pod(&["1/- -/-"], &["500m/- -/-"], (1024, None, None));
        check_pod(&["1/1Mi 1/1Mi"], &["-/- -/-"], (1024, None, None));
    }

    #[test]
    fn container_values() {
        let spec = pod(&["250m/64Mi 500m/128Mi"], &[]);
        assert_eq!(
            container_limits(&spec, &spec.containers[0]),
            ResourceLimits {
                cpu_shares: Some(256),
                cpu_weight: Some(35),
                cpu_quota: Some(50_000),
                cpu_period: Some(100_000),
                memory_limit: Some(128 << 20),
                swap_limit: Some(0),
                oom_group: true,
                pids_limit: None,
                huge_pages: BTreeMap::new(),
            }
        );
        // Without a request the limit gives the shares.
        let spec = pod(&["-/- 1/-"], &[]);
        assert_eq!(
            container_limits(&spec, &spec.containers[0]).cpu_shares,
            Some(1024)
        );
    }

    /// Amounts of pages of 2 MiB and 1 GiB for two containers and the pod, in MiB; 0: nothing said.
    #[track_caller]
    fn check_huge(containers: [[u64; 2]; 2], pod: [u64; 2], expected: [[u64; 2]; 3]) {
        let resources = |amounts: [u64; 2]| {
            let named = ["hugepages-2Mi", "hugepages-1Gi"].into_iter().zip(amounts);
            let limits = named.filter(|(_, amount)| *amount > 0);
            let limits =
                limits.map(|(name, amount)| (name.to_owned(), Quantity(format!("{amount}Mi"))));
            ResourceRequirements {
                limits: Some(limits.collect()),
                ..ResourceRequirements::default()
            }
        };
        let container = |amounts| Container {
            resources: Some(resources(amounts)),
            ..Container::default()
        };
        let spec = PodSpec {
            containers: containers.map(container).into(),
            resources: (pod != [0, 0]).then(|| resources(pod)),
            ..PodSpec::default()
        };
        let sizes = [2 << 20, 1 << 30];
        let [first, second] =
            [0, 1].map(|at| huge_page_limits(&spec, &spec.containers[at], &sizes));
        let found = [first, second, pod_huge_page_limits(&spec, &sizes)];
        let found = found.map(|limits| sizes.map(|size| limits[&size] >> 20));
        assert_eq!(found, expected);
    }

    #[test]
    fn huge_pages_of_containers_and_their_pod() {
        check_huge([[0, 0], [0, 0]], [0, 0], [[0, 0], [0, 0], [0, 0]]);
        check_huge([[4, 0], [2, 1024]], [0, 0], [[4, 0], [2, 1024], [6, 1024]]);
        // The pod's own amount is for whoever says nothing.
        check_huge([[4, 0], [0, 0]], [8, 0], [[4, 0], [8, 0], [8, 0]]);
    }

    #[track_caller]
    fn check_oom(text: &str, qos: QosClass, expected: i32) {
        let spec = pod(&[text], &[]);
        assert_eq!(
            oom_score(&spec, &spec.containers[0], qos, 1 << 30),
            expected
        );
    }

    #[test]
    fn oom_scores() {
        check_oom("-/- -/-", QosClass::BestEffort, 1000);
        check_oom("1/1Gi 1/1Gi", QosClass::Guaranteed, -997);
        check_oom("1/- -/-", QosClass::Burstable, 999);
        check_oom("-/512Mi -/-", QosClass::Burstable, 500);
        check_oom("-/1Gi -/-", QosClass::Burstable, 3);
        check_oom("-/4Gi -/-", QosClass::Burstable, 3);
    }
}
