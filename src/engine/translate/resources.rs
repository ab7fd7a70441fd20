use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::super::restart::{Role, containers};
use crate::model::ParsedQuantity;
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

#[derive(Clone, Copy)]
enum Unit {
    Milli,
    Whole,
}

fn amount(list: Option<&BTreeMap<String, Quantity>>, name: &str, unit: Unit) -> Option<i64> {
    let quantity = ParsedQuantity::of(list?.get(name)?);
    Some(match unit {
        Unit::Milli => quantity.milli_value(),
        Unit::Whole => quantity.value(),
    })
}

/// Requests and limits of one container or pod: CPU in thousandths, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    cpu_request: Option<i64>,
    cpu_limit: Option<i64>,
    memory_request: Option<i64>,
    memory_limit: Option<i64>,
}

fn of_resources(resources: Option<&k8s_openapi::api::core::v1::ResourceRequirements>) -> Amounts {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    Amounts {
        cpu_request: amount(requests, "cpu", Unit::Milli),
        cpu_limit: amount(limits, "cpu", Unit::Milli),
        memory_request: amount(requests, "memory", Unit::Whole),
        memory_limit: amount(limits, "memory", Unit::Whole),
    }
}

/// `max(sum of what runs together, largest init step)`, or `None` when a container says nothing and
/// `needs_all` is set: a limit holds for the pod only if every container has one.
fn total(spec: &PodSpec, pick: fn(&Amounts) -> Option<i64>, needs_all: bool) -> Option<i64> {
    let (mut app, mut sidecars, mut init_peak) = (0i64, 0i64, 0i64);
    let mut any = false;
    for (container, role) in containers(spec) {
        let amount = pick(&of_resources(container.resources.as_ref()));
        match amount.filter(|amount| *amount > 0) {
            None if needs_all => return None,
            None => {}
            Some(_) => any = true,
        }
        let amount = amount.unwrap_or(0);
        match role {
            Role::App => app = app.saturating_add(amount),
            Role::Sidecar => {
                sidecars = sidecars.saturating_add(amount);
                init_peak = init_peak.max(sidecars);
            }
            Role::Init => init_peak = init_peak.max(sidecars.saturating_add(amount)),
        }
    }
    any.then(|| app.saturating_add(sidecars).max(init_peak))
}

fn of_pod(spec: &PodSpec) -> Amounts {
    let own = of_resources(spec.resources.as_ref());
    let overhead = |name, unit| amount(spec.overhead.as_ref(), name, unit).unwrap_or(0);
    let request = |own: Option<i64>, pick, name, unit| {
        own.or_else(|| total(spec, pick, false))
            .unwrap_or(0)
            .saturating_add(overhead(name, unit))
    };
    let limit = |own: Option<i64>, pick, name, unit| {
        own.or_else(|| total(spec, pick, true))
            .filter(|amount| *amount > 0)
            .map(|amount| amount.saturating_add(overhead(name, unit)))
    };
    Amounts {
        cpu_request: Some(request(
            own.cpu_request,
            |amounts| amounts.cpu_request,
            "cpu",
            Unit::Milli,
        )),
        cpu_limit: limit(
            own.cpu_limit,
            |amounts| amounts.cpu_limit,
            "cpu",
            Unit::Milli,
        ),
        memory_request: Some(request(
            own.memory_request,
            |amounts| amounts.memory_request,
            "memory",
            Unit::Whole,
        )),
        memory_limit: limit(
            own.memory_limit,
            |amounts| amounts.memory_limit,
            "memory",
            Unit::Whole,
        ),
    }
}

/// Values of the container's own cgroup.
pub(super) fn container_limits(spec: &PodSpec, container: &Container) -> ResourceLimits {
    let own = of_resources(container.resources.as_ref());
    let pod = of_resources(spec.resources.as_ref());
    let request = match own.cpu_request {
        None | Some(0) => own.cpu_limit.unwrap_or(0),
        Some(request) => request,
    };
    let shares = shares(request);
    let quota = own.cpu_limit.and_then(quota);
    ResourceLimits {
        cpu_shares: Some(shares),
        cpu_weight: Some(quadratic_weight(shares)),
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD.unsigned_abs()),
        memory_limit: own
            .memory_limit
            .or(pod.memory_limit)
            .filter(|limit| *limit > 0),
        // NoSwap is the kubelet's default behaviour; it only means something beside a limit.
        swap_limit: own
            .memory_limit
            .or(pod.memory_limit)
            .filter(|limit| *limit > 0)
            .map(|_| 0),
        // v2 kills the whole container on OOM (kubelet `singleProcessOOMKill: false`).
        oom_group: true,
        pids_limit: None,
    }
}

/// Values of the pod's cgroup.
pub(super) fn pod_limits(spec: &PodSpec, best_effort: bool) -> ResourceLimits {
    if best_effort {
        return weight_only(MIN_SHARES);
    }
    let total = of_pod(spec);
    let quota = total.cpu_limit.and_then(quota);
    ResourceLimits {
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD.unsigned_abs()),
        memory_limit: total.memory_limit,
        ..weight_only(shares(total.cpu_request.unwrap_or(0)))
    }
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

pub(in crate::engine) fn qos_totals<'a>(
    pods: impl Iterator<Item = (&'a Pod, &'a str)>,
) -> QosTotals {
    let mut totals = QosTotals::default();
    for (pod, qos) in pods {
        let request = pod
            .spec
            .as_ref()
            .and_then(|spec| of_pod(spec).cpu_request)
            .unwrap_or(0);
        match qos {
            "Guaranteed" => totals.guaranteed = totals.guaranteed.saturating_add(request),
            "Burstable" => totals.burstable = totals.burstable.saturating_add(request),
            _ => {}
        }
    }
    totals
}

/// Values of the QoS level that holds pods of this class.
pub(super) fn qos_limits(qos: &str, totals: QosTotals) -> ResourceLimits {
    match qos {
        "Guaranteed" => weight_only(shares(totals.guaranteed)),
        "Burstable" => weight_only(shares(totals.burstable)),
        _ => weight_only(MIN_SHARES),
    }
}

pub(super) const SANDBOX_OOM_SCORE: i32 = -998;
const CRITICAL_PRIORITY: i32 = 2_000_001_000;

/// `oom_score_adj` of a container; `node_memory` is the machine's memory in bytes.
pub(super) fn oom_score(spec: &PodSpec, container: &Container, qos: &str, node_memory: i64) -> i32 {
    if spec
        .priority
        .is_some_and(|value| value == CRITICAL_PRIORITY)
    {
        return -997;
    }
    let score = match qos {
        "Guaranteed" => return -997,
        "BestEffort" => return 1000,
        _ => burstable_score(spec, container, node_memory),
    };
    let is_sidecar =
        containers(spec).any(|(other, role)| role == Role::Sidecar && other.name == container.name);
    if !is_sidecar {
        return score;
    }
    spec.containers
        .iter()
        .map(|app| burstable_score(spec, app, node_memory))
        .min()
        .map_or(score, |lowest| lowest.min(score))
}

fn burstable_score(spec: &PodSpec, container: &Container, node_memory: i64) -> i32 {
    let request = |container: &Container| {
        of_resources(container.resources.as_ref())
            .memory_request
            .unwrap_or(0)
    };
    let mut own = request(container);
    if let Some(pod) = of_resources(spec.resources.as_ref()).memory_request {
        let all: i64 = containers(spec)
            .map(|(container, _)| request(container))
            .sum();
        let count = i64::try_from(containers(spec).count()).unwrap_or(1).max(1);
        own = own.saturating_add((pod - all).max(0) / count);
    }
    let score = 1000 - i128::from(own) * 1000 / i128::from(node_memory.max(1));
    i32::try_from(score.clamp(3, 999)).unwrap_or(999)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ResourceRequirements;

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
        assert_eq!(quota(5), Some(1000));
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
        let limits = pod_limits(&pod(containers, init), false);
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
            }
        );
        // Without a request the limit gives the shares.
        let spec = pod(&["-/- 1/-"], &[]);
        assert_eq!(
            container_limits(&spec, &spec.containers[0]).cpu_shares,
            Some(1024)
        );
    }

    #[track_caller]
    fn check_oom(text: &str, qos: &str, expected: i32) {
        let spec = pod(&[text], &[]);
        assert_eq!(
            oom_score(&spec, &spec.containers[0], qos, 1 << 30),
            expected
        );
    }

    #[test]
    fn oom_scores() {
        check_oom("-/- -/-", "BestEffort", 1000);
        check_oom("1/1Gi 1/1Gi", "Guaranteed", -997);
        check_oom("1/- -/-", "Burstable", 999);
        check_oom("-/512Mi -/-", "Burstable", 500);
        check_oom("-/1Gi -/-", "Burstable", 3);
        check_oom("-/4Gi -/-", "Burstable", 3);
    }
}
