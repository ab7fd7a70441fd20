//! The one node: facts of the machine, read once at start, and the Node object made of them.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::eviction::Pressures;
use super::status::time;
use crate::model::downward::Allocatable;
use crate::model::names::is_extended_resource;
use crate::model::quantity::ParsedQuantity;

/// `memory.available` of the kubelet's default hard eviction threshold.
const EVICTION_MEMORY: i64 = 100 << 20;

#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    pub(super) name: String,
    /// The address by which the machine reaches others, first; loopback when there is none.
    pub(super) addresses: Vec<String>,
    pub(super) cpus: usize,
    /// Bytes.
    pub(super) memory: i64,
    /// Size of the file system of the state directory, bytes.
    pub(super) storage: i64,
    /// Huge pages of the machine: page size and how many, bytes.
    pub(super) huge_pages: BTreeMap<u64, u64>,
    /// As uname(2) tells it, e.g. `6.12.3`.
    pub(super) kernel: String,
    /// `v2`, `v1` or `hybrid`.
    pub(super) cgroup: String,
    /// Why this engine cannot run pods, when it lacks the rights, and what helps.
    pub(super) powerless: Option<String>,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The source address of a packet to the outside. Connecting a datagram socket sends nothing (udp(7)).
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then(|| address.to_string())
}

fn memory(meminfo: &str) -> i64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<i64>().ok())
        .map_or(0, |kib| kib.saturating_mul(1024))
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages";

/// Bytes of the pool of every page size (hugetlbpage.rst).
fn huge_pages(directory: &Path) -> BTreeMap<u64, u64> {
    let pools = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let pool = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let page = kib.parse::<u64>().ok()?.checked_mul(1024)?;
        let count = std::fs::read_to_string(entry.path().join("nr_hugepages")).ok()?;
        Some((page, page.saturating_mul(count.trim().parse().ok()?)))
    };
    pools.filter_map(pool).collect()
}

fn storage(state_dir: &Path) -> i64 {
    rustix::fs::statvfs(state_dir).map_or(0, |found| {
        i64::try_from(found.f_blocks.saturating_mul(found.f_frsize)).unwrap_or(i64::MAX)
    })
}

/// From `/proc/self/mountinfo`-like lines of `/proc/self/mounts`: which cgroup file systems are there.
fn cgroup_mode(mounts: &str) -> &'static str {
    let types = |wanted: &str| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some(wanted))
    };
    match (types("cgroup2"), types("cgroup")) {
        (true, true) => "hybrid",
        (false, true) => "v1",
        (_, false) => "v2",
    }
}

/// From `/proc/self/status`: pods need CAP_SYS_ADMIN, bit 21 of the effective set (capabilities(7)).
fn powerless(status: &str) -> Option<String> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim())
    };
    let set = u64::from_str_radix(field("CapEff:")?, 16).ok()?;
    let user = field("Uid:")?.split_whitespace().nth(1)?;
    (set & (1 << 21) == 0).then(|| {
        format!(
            "this engine runs as user {user} without CAP_SYS_ADMIN and cannot run pods; run it as root \
             (sudo podtui), `podtui doctor` shows what else is missing"
        )
    })
}

impl NodeFacts {
    pub(super) fn read(name: String, state_dir: &Path) -> Self {
        Self {
            name,
            addresses: vec![own_address().unwrap_or_else(|| "127.0.0.1".to_owned())],
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory(&read("/proc/meminfo")),
            storage: storage(state_dir),
            huge_pages: huge_pages(Path::new(HUGE_PAGES)),
            kernel: read("/proc/sys/kernel/osrelease"),
            cgroup: cgroup_mode(&read("/proc/self/mounts")).to_owned(),
            powerless: powerless(&read("/proc/self/status")),
        }
    }
}

impl NodeFacts {
    /// Sizes of the huge pages that pods are limited in. Beside v1 trees a controller would be switched on for it in
    /// the whole cgroup2 tree: not for a pool that is empty.
    pub(super) fn limited_huge_pages(&self) -> Vec<u64> {
        let pools = self.huge_pages.iter();
        let limited = pools.filter(|(_, bytes)| self.cgroup == "v2" || **bytes > 0);
        limited.map(|(page, _)| *page).collect()
    }

    /// Bytes that are set aside for huge pages; nothing else can have them.
    fn huge_memory(&self) -> i64 {
        let bytes = self
            .huge_pages
            .values()
            .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// What pods may use: the machine less what the kubelet's default eviction thresholds keep free
    /// (`memory.available` 100Mi, `nodefs.available` 10%).
    pub(super) fn allocatable(&self) -> Allocatable {
        Allocatable {
            cpu_milli: i64::try_from(self.cpus)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000),
            memory: (self.memory - EVICTION_MEMORY - self.huge_memory()).max(0),
            ephemeral_storage: self.storage - self.storage / 10,
        }
    }
}

pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn os_image() -> String {
    read("/etc/os-release")
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|value| value.trim_matches('"').to_owned())
        .unwrap_or_default()
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> NodeCondition {
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(time(now)),
        last_transition_time: Some(time(now)),
    }
}

pub(super) fn node_object(facts: &NodeFacts, max_pods: u32, now: Timestamp) -> Node {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let kib = |bytes: i64| Quantity(format!("{}Ki", bytes / 1024));
    let allocatable = facts.allocatable();
    let amounts = |memory: i64, storage: Quantity| -> BTreeMap<String, Quantity> {
        let mut amounts: BTreeMap<String, Quantity> = [
            ("cpu".to_owned(), Quantity(facts.cpus.to_string())),
            ("memory".to_owned(), kib(memory)),
            ("ephemeral-storage".to_owned(), storage),
            ("pods".to_owned(), Quantity(max_pods.to_string())),
        ]
        .into();
        for (page, bytes) in &facts.huge_pages {
            let text = |bytes: u64| ParsedQuantity::of_bytes(bytes).to_string();
            amounts.insert(format!("hugepages-{}", text(*page)), Quantity(text(*bytes)));
        }
        amounts
    };
    let mut addresses: Vec<NodeAddress> = facts
        .addresses
        .iter()
        .map(|address| NodeAddress {
            type_: "InternalIP".to_owned(),
            address: address.clone(),
        })
        .collect();
    addresses.push(NodeAddress {
        type_: "Hostname".to_owned(),
        address: facts.name.clone(),
    });
    let version = format!("podtui://{}", env!("CARGO_PKG_VERSION"));
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            labels: Some(
                [
                    label("kubernetes.io/hostname", &facts.name),
                    label("kubernetes.io/os", "linux"),
                    label("kubernetes.io/arch", architecture()),
                    label("node-role.kubernetes.io/control-plane", ""),
                ]
                .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec::default()),
        status: Some(NodeStatus {
            addresses: Some(addresses),
            capacity: Some(amounts(facts.memory, kib(facts.storage))),
            allocatable: Some(amounts(
                allocatable.memory,
                Quantity(allocatable.ephemeral_storage.to_string()),
            )),
            conditions: Some(vec![
                MEMORY_FINE.condition(now),
                DISK_FINE.condition(now),
                condition(
                    "PIDPressure",
                    "False",
                    "KubeletHasSufficientPID",
                    "kubelet has sufficient PID available",
                    now,
                ),
                condition(
                    "Ready",
                    "True",
                    "KubeletReady",
                    "kubelet is posting ready status",
                    now,
                ),
            ]),
            node_info: Some(NodeSystemInfo {
                architecture: architecture().to_owned(),
                boot_id: read(BOOT_ID),
                container_runtime_version: version.clone(),
                kernel_version: facts.kernel.clone(),
                kubelet_version: format!("v1.36.2-podtui-{}", env!("CARGO_PKG_VERSION")),
                kube_proxy_version: String::new(),
                machine_id: machine_id(),
                operating_system: "linux".to_owned(),
                os_image: os_image(),
                system_uuid: String::new(),
                ..NodeSystemInfo::default()
            }),
            ..NodeStatus::default()
        }),
    }
}

/// The node with the conditions of these pressures, and the reasons of those that changed.
pub(super) fn pressure_conditions(
    node: &Node,
    pressures: Pressures,
    now: Timestamp,
) -> (Node, Vec<&'static str>) {
    let wanted = [
        if pressures.memory() {
            MEMORY_SHORT
        } else {
            MEMORY_FINE
        },
        if pressures.disk() {
            DISK_SHORT
        } else {
            DISK_FINE
        },
    ];
    let mut node = node.clone();
    let mut changes = Vec::new();
    let list = node
        .status
        .iter_mut()
        .flat_map(|status| &mut status.conditions);
    for known in list.flatten() {
        let found = wanted.iter().find(|wanted| wanted.kind == known.type_);
        let Some(wanted) = found.filter(|wanted| wanted.status != known.status) else {
            continue;
        };
        *known = wanted.condition(now);
        changes.push(wanted.event);
    }
    (node, changes)
}

/// One state of a condition of the node, in the kubelet's words.
struct State {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: &'static str,
    /// Reason of the event that tells of the change.
    event: &'static str,
}

impl State {
    fn condition(&self, now: Timestamp) -> NodeCondition {
        condition(self.kind, self.status, self.reason, self.message, now)
    }
}

const MEMORY_FINE: State = State {
    kind: "MemoryPressure",
    status: "False",
    reason: "KubeletHasSufficientMemory",
    message: "kubelet has sufficient memory available",
    event: "NodeHasSufficientMemory",
};
const MEMORY_SHORT: State = State {
    status: "True",
    reason: "KubeletHasInsufficientMemory",
    message: "kubelet has insufficient memory available",
    event: "NodeHasInsufficientMemory",
    ..MEMORY_FINE
};
const DISK_FINE: State = State {
    kind: "DiskPressure",
    status: "False",
    reason: "KubeletHasNoDiskPressure",
    message: "kubelet has no disk pressure",
    event: "NodeHasNoDiskPressure",
};
const DISK_SHORT: State = State {
    status: "True",
    reason: "KubeletHasDiskPressure",
    message: "kubelet has disk pressure",
    event: "NodeHasDiskPressure",
    ..DISK_FINE
};

/// Reasons and texts of the events of a starting kubelet. That the conditions are fine is told when the node is new;
/// later only changes are.
pub(super) fn beginnings(name: &str, is_new: bool) -> Vec<(&'static str, String)> {
    let mut told = vec![("Starting", "Starting kubelet.".to_owned())];
    if is_new {
        let conditions = [
            MEMORY_FINE.event,
            DISK_FINE.event,
            "NodeHasSufficientPID",
            "NodeReady",
        ];
        told.extend(conditions.map(|reason| (reason, now_is(name, reason))));
    }
    told
}

/// The kubelet's words for a change of a condition.
pub(super) fn now_is(name: &str, reason: &str) -> String {
    format!("Node {name} status is now: {reason}")
}

/// The boot that the machine is in now, if the node was last seen in another.
pub(super) fn rebooted(known: &Node) -> Option<String> {
    let info = known.status.as_ref()?.node_info.as_ref()?;
    let now = read(BOOT_ID);
    (!now.is_empty() && !info.boot_id.is_empty() && info.boot_id != now).then_some(now)
}

/// The node of this engine after that of the one before: what users gave it (labels, annotations, taints,
/// whether pods may be placed, extended resources) stays.
pub(super) fn successor(mut node: Node, known: Option<&Node>) -> Node {
    let Some(known) = known else { return node };
    let own = node.metadata.labels.take().unwrap_or_default();
    let mut labels = known.metadata.labels.clone().unwrap_or_default();
    labels.extend(own);
    node.metadata.labels = Some(labels);
    node.metadata
        .annotations
        .clone_from(&known.metadata.annotations);
    node.spec.clone_from(&known.spec);
    let known = known
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref());
    let advertised = known.into_iter().flatten();
    let advertised = advertised.filter(|(name, _)| is_extended_resource(name));
    for (name, amount) in advertised {
        let status = node.status.get_or_insert_default();
        for amounts in [&mut status.capacity, &mut status.allocatable] {
            let amounts = amounts.get_or_insert_default();
            amounts.insert(name.clone(), amount.clone());
        }
    }
    node
}

fn machine_id() -> String {
    let path = "/etc/machine-id";
    if Path::new(path).exists() {
        read(path)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_rights_says_so() {
        let status =
            |uid: u32, set: &str| format!("Name:\tx\nUid:\t0\t{uid}\t0\t0\nCapEff:\t{set}\n");
        assert_eq!(powerless(&status(0, "000001ffffffffff")), None);
        let told = powerless(&status(1000, "0000000000000000")).unwrap();
        assert!(
            told.contains("user 1000") && told.contains("sudo podtui"),
            "{told}"
        );
        assert!(powerless(&status(0, "000001ffffdfffff")).is_some());
    }

    #[test]
    fn a_new_node_tells_its_conditions() {
        let reasons = |is_new| -> Vec<&str> {
            let told = beginnings("n", is_new);
            told.into_iter().map(|(reason, _)| reason).collect()
        };
        assert_eq!(reasons(false), ["Starting"]);
        assert_eq!(
            reasons(true),
            [
                "Starting",
                "NodeHasSufficientMemory",
                "NodeHasNoDiskPressure",
                "NodeHasSufficientPID",
                "NodeReady"
            ]
        );
        assert_eq!(
            beginnings("n", true).pop().unwrap().1,
            "Node n status is now: NodeReady"
        );
    }

    #[test]
    fn pressures_change_the_conditions_they_concern() {
        let facts = NodeFacts {
            name: "n".to_owned(),
            addresses: Vec::new(),
            cpus: 1,
            memory: 0,
            storage: 0,
            huge_pages: [(2 << 20, 4 << 20)].into(),
            kernel: "6.1".to_owned(),
            cgroup: "v2".to_owned(),
            powerless: None,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let node = node_object(&facts, 110, at(0));
        let capacity = node.status.clone().unwrap().capacity.unwrap();
        assert_eq!(capacity["hugepages-2Mi"].0, "4Mi");
        let told = |node: &Node| -> String {
            let status = node.status.clone().unwrap();
            let list = status.conditions.into_iter().flatten();
            let texts = list.map(|one| format!("{}={}", one.type_, one.status));
            texts.collect::<Vec<_>>().join(" ")
        };
        let (short, changes) = pressure_conditions(&node, Pressures::fixed(false, true), at(1));
        assert_eq!(changes, ["NodeHasDiskPressure"]);
        assert_eq!(
            told(&short),
            "MemoryPressure=False DiskPressure=True PIDPressure=False Ready=True"
        );
        let (fine, changes) = pressure_conditions(&short, Pressures::default(), at(2));
        assert_eq!(changes, ["NodeHasNoDiskPressure"]);
        assert_eq!(told(&fine), told(&node));
    }

    #[test]
    fn a_reboot_shows_in_the_boot_id() {
        let node = |boot: &str| -> Node {
            serde_json::from_value(serde_json::json!({"status": {"nodeInfo": {
                "bootID": boot, "architecture": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": ""}}}))
            .unwrap()
        };
        let now = read(BOOT_ID);
        assert_eq!(rebooted(&node(&now)), None);
        assert_eq!(rebooted(&node("another")), Some(now));
        assert_eq!(rebooted(&node("")), None);
        assert_eq!(rebooted(&Node::default()), None);
    }

    #[test]
    fn what_users_gave_the_node_outlives_the_engine() {
        let node = |value| serde_json::from_value::<Node>(value).unwrap();
        let fresh = node(serde_json::json!({"metadata": {"labels": {"os": "new"}}, "spec": {}}));
        let known = node(serde_json::json!({
            "metadata": {"labels": {"os": "old", "disk": "ssd"}, "annotations": {"a": "b"}},
            "spec": {"unschedulable": true},
            "status": {"capacity": {"cpu": "9", "example.com/dongle": "2"}, "allocatable": {"cpu": "9"}},
        }));
        assert_eq!(successor(fresh.clone(), None), fresh);
        let next = successor(fresh, Some(&known));
        let status = next.status.clone().unwrap();
        let advertised = [("example.com/dongle".to_owned(), Quantity("2".to_owned()))];
        assert_eq!(status.capacity, Some(advertised.clone().into()));
        assert_eq!(status.allocatable, Some(advertised.into()));
        let labels = next.metadata.labels.unwrap();
        assert_eq!(
            (labels["os"].as_str(), labels["disk"].as_str()),
            ("new", "ssd")
        );
        assert_eq!(next.metadata.annotations, known.metadata.annotations);
        assert_eq!(next.spec, known.spec);
    }

    #[track_caller]
    fn check_cgroup(mounts: &str, expected: &str) {
        assert_eq!(cgroup_mode(mounts), expected);
    }

    #[test]
    fn cgroup_modes() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0";
        let v1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0";
        check_cgroup(v2, "v2");
        check_cgroup(v1, "v1");
        check_cgroup(&format!("{v1}\n{v2}"), "hybrid");
    }

    #[test]
    fn memory_in_bytes() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(memory(""), 0);
    }
}
