use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};

use super::NetworkError;
use super::range::HostNetworks;
use crate::base::Uid;
use crate::wire::{BridgePlan, NetworkPlan};

const DEFAULT_MTU: u32 = 1500;

/// Hands out one address per pod and the plan of its link.
#[derive(Debug)]
pub(crate) struct Allocator {
    /// Eight hexadecimal digits, in the names of bridge and links.
    instance: String,
    configured: Option<Ipv4Net>,
    proc_net: PathBuf,
    sys_net: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    range: Ipv4Net,
    mtu: u32,
    held: BTreeMap<Uid, Ipv4Addr>,
    used: BTreeSet<Ipv4Addr>,
    /// The last address handed out; the search goes on behind it, so that an address rests as long as
    /// possible before somebody else gets it (stale ARP entries, connections in TIME_WAIT).
    cursor: u32,
}

impl Allocator {
    /// `run_dir_hash` is any stable hash of the run directory: it separates the engines of one machine.
    /// With `configured` exactly that range is used or refused; without, a free /22 of 10.200.0.0/14.
    pub(crate) fn new(
        configured: Option<Ipv4Net>,
        run_dir_hash: u32,
    ) -> Result<Self, NetworkError> {
        Self::with_tables(
            configured,
            run_dir_hash,
            PathBuf::from("/proc/net"),
            PathBuf::from("/sys/class/net"),
        )
    }

    fn with_tables(
        configured: Option<Ipv4Net>,
        run_dir_hash: u32,
        proc_net: PathBuf,
        sys_net: PathBuf,
    ) -> Result<Self, NetworkError> {
        let instance = format!("{run_dir_hash:08x}");
        let networks = HostNetworks::read(&proc_net)?;
        let range = choose_range(&networks, configured, run_dir_hash, &bridge_name(&instance))?;
        let mtu = default_mtu(&networks, &sys_net);
        Ok(Self {
            instance,
            configured,
            proc_net,
            sys_net,
            state: Mutex::new(State {
                range,
                mtu,
                held: BTreeMap::new(),
                used: BTreeSet::new(),
                cursor: u32::from(range.network()) + 1,
            }),
        })
    }

    /// The bridge every pod of this engine hangs on.
    pub(crate) fn bridge(&self) -> String {
        bridge_name(&self.instance)
    }

    /// Name of the host end of this pod's veth pair.
    pub(crate) fn host_interface(&self, uid: &Uid) -> String {
        let hash = Sha256::digest(format!("{}/{uid}", self.instance));
        let digits: String = hash[..7].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("v{digits}")
    }

    /// An address and a plan for this pod; the same address again while the pod holds it.
    pub(crate) fn reserve(&self, uid: &Uid) -> Result<NetworkPlan, NetworkError> {
        let mut state = self.lock();
        if state.held.is_empty() {
            self.refresh(&mut state)?;
        }
        let address = match state.held.get(uid) {
            Some(address) => *address,
            None => state.next()?,
        };
        state.take(uid, address);
        let (range, mtu) = (state.range, state.mtu);
        drop(state);
        Ok(self.plan(uid, range, address, mtu))
    }

    /// A sandbox that is already up has this address. One outside the range (the range was configured
    /// anew since) is remembered all the same.
    pub(crate) fn adopt(&self, uid: &Uid, address: Ipv4Addr) {
        self.lock().take(uid, address);
    }

    /// Unknown pods are ignored.
    pub(crate) fn release(&self, uid: &Uid) {
        let mut state = self.lock();
        if let Some(address) = state.held.remove(uid) {
            state.used.remove(&address);
        }
    }

    fn plan(&self, uid: &Uid, range: Ipv4Net, address: Ipv4Addr, mtu: u32) -> NetworkPlan {
        let prefix = range.prefix_len();
        NetworkPlan {
            bridge: BridgePlan {
                name: self.bridge(),
                address: Ipv4Net::new_assert(gateway(range), prefix),
            },
            host_interface: self.host_interface(uid),
            sandbox_interface: "eth0".to_owned(),
            address: Ipv4Net::new_assert(address, prefix),
            gateway: gateway(range),
            mtu,
        }
    }

    /// With no pod there may be no bridge, and then the machine can have come to use the range for
    /// something else since it was chosen.
    fn refresh(&self, state: &mut State) -> Result<(), NetworkError> {
        let networks = HostNetworks::read(&self.proc_net)?;
        let instance =
            u32::from_str_radix(&self.instance, 16).expect("the instance was formatted from a u32");
        let range = if networks.of_interface(&self.bridge()).is_none()
            && self.configured.is_none()
            && networks.overlap(state.range).is_none()
        {
            state.range
        } else {
            choose_range(&networks, self.configured, instance, &self.bridge())?
        };
        state.mtu = default_mtu(&networks, &self.sys_net);
        if range != state.range {
            state.range = range;
            state.cursor = u32::from(range.network()) + 1;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic can leave the state half-changed, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, uid: &Uid, address: Ipv4Addr) {
        if let Some(old) = self.held.insert(uid.clone(), address) {
            self.used.remove(&old);
        }
        self.used.insert(address);
    }

    /// The next free address between gateway and broadcast.
    fn next(&mut self) -> Result<Ipv4Addr, NetworkError> {
        let first = u32::from(self.range.network()) + 2;
        let last = u32::from(self.range.broadcast()) - 1;
        let count = last - first + 1;
        let start = self.cursor.saturating_add(1);
        let start = if (first..=last).contains(&start) {
            start
        } else {
            first
        };
        let free = (0..count)
            .map(|step| Ipv4Addr::from(first + (start - first + step) % count))
            .find(|address| !self.used.contains(address))
            .ok_or(NetworkError::Exhausted {
                range: self.range,
                addresses: count,
            })?;
        self.cursor = u32::from(free);
        Ok(free)
    }
}

fn bridge_name(instance: &str) -> String {
    format!("pt{instance}")
}

fn gateway(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()) + 1)
}

/// A bridge left by an earlier engine of the same run directory still carries pods: its network stays.
fn choose_range(
    networks: &HostNetworks,
    configured: Option<Ipv4Net>,
    instance: u32,
    bridge: &str,
) -> Result<Ipv4Net, NetworkError> {
    if let Some(range) = configured.map(|range| range.trunc()) {
        if range.prefix_len() > 29 {
            return Err(NetworkError::RangeTooSmall(range));
        }
        if networks.of_interface(bridge) == Some(range) {
            return Ok(range);
        }
        return match networks.overlap(range) {
            Some(used) => Err(NetworkError::RangeInUse { range, used }),
            None => Ok(range),
        };
    }
    match networks.of_interface(bridge) {
        Some(range) if range.prefix_len() <= 29 => Ok(range),
        _ => networks.choose(instance),
    }
}

/// The MTU of the interface that leads out, so that a pod behind a tunnel does not send packets that
/// have to be cut.
fn default_mtu(networks: &HostNetworks, sys_net: &std::path::Path) -> u32 {
    networks
        .default_interface()
        .and_then(|name| std::fs::read_to_string(sys_net.join(name).join("mtu")).ok())
        .and_then(|text| text.trim().parse().ok())
        .filter(|mtu| (576..=65535).contains(mtu))
        .unwrap_or(DEFAULT_MTU)
}

#[cfg(test)]
mod tests {
    use super::super::range::tests::networks;
    use super::*;

    fn tables(route: &str, trie: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("route"), format!("Iface\n{route}")).unwrap();
        std::fs::write(dir.path().join("fib_trie"), trie).unwrap();
        dir
    }

    fn allocator(range: Option<&str>, dir: &tempfile::TempDir) -> Allocator {
        let range = range.map(|text| text.parse().unwrap());
        Allocator::with_tables(range, 3, dir.path().to_owned(), dir.path().to_owned()).unwrap()
    }

    fn uid(number: u32) -> Uid {
        Uid::new(format!("uid-{number}"))
    }

    #[test]
    fn plans_name_everything_the_shim_needs() {
        let dir = tables("", "");
        let plan = allocator(None, &dir).reserve(&uid(1)).unwrap();
        assert_eq!(plan.bridge.name, "pt00000003");
        assert_eq!(plan.bridge.address.to_string(), "10.200.12.1/22");
        assert_eq!(plan.address.to_string(), "10.200.12.2/22");
        assert_eq!(plan.gateway.to_string(), "10.200.12.1");
        assert_eq!(plan.mtu, 1500);
        assert_eq!(plan.host_interface.len(), 15);
        assert_ne!(
            plan.host_interface,
            allocator(None, &dir).host_interface(&uid(2))
        );
    }

    #[test]
    fn addresses_are_unique_rest_and_come_back() {
        let dir = tables("", "");
        let allocator = allocator(Some("10.9.0.0/29"), &dir);
        let take = |number| {
            allocator
                .reserve(&uid(number))
                .map(|plan| plan.address.addr())
        };
        let first = take(1).unwrap();
        assert_eq!(take(1).unwrap(), first, "reserve is idempotent");
        allocator.adopt(&uid(2), Ipv4Addr::new(10, 9, 0, 3));
        assert_eq!(take(3).unwrap(), Ipv4Addr::new(10, 9, 0, 4));
        allocator.release(&uid(1));
        assert_eq!(
            take(4).unwrap(),
            Ipv4Addr::new(10, 9, 0, 5),
            "a freed address rests"
        );
        assert_eq!(take(5).unwrap(), Ipv4Addr::new(10, 9, 0, 6));
        assert_eq!(take(6).unwrap(), first);
        assert!(matches!(
            take(7),
            Err(NetworkError::Exhausted { addresses: 5, .. })
        ));
        allocator.release(&uid(99));
    }

    #[test]
    fn an_own_bridge_keeps_its_network_and_others_are_refused() {
        let bridge = networks(
            &[("pt00000003", "10.77.0.0/20")],
            &["10.77.0.0/20", "10.77.0.1/32"],
        );
        let choose = |configured: Option<&str>| {
            let configured = configured.map(|text| text.parse().unwrap());
            choose_range(&bridge, configured, 3, "pt00000003").map(|range| range.to_string())
        };
        assert_eq!(choose(None).unwrap(), "10.77.0.0/20");
        assert_eq!(choose(Some("10.77.0.0/20")).unwrap(), "10.77.0.0/20");
        assert_eq!(choose(Some("10.78.0.9/20")).unwrap(), "10.78.0.0/20");
        assert!(matches!(
            choose(Some("10.77.1.0/24")),
            Err(NetworkError::RangeInUse { .. })
        ));
        assert!(matches!(
            choose(Some("10.1.0.0/30")),
            Err(NetworkError::RangeTooSmall(_))
        ));
    }

    #[test]
    fn a_range_taken_since_the_start_is_left_before_the_first_pod() {
        let dir = tables("", "");
        let allocator = allocator(None, &dir);
        let taken = "Main:\n |-- 10.200.12.0\n /24 link UNICAST\n";
        std::fs::write(dir.path().join("fib_trie"), taken).unwrap();
        let plan = allocator.reserve(&uid(1)).unwrap();
        assert_eq!(plan.address.to_string(), "10.200.16.2/22");
    }
}
