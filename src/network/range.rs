use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::Ipv4Net;

use super::NetworkError;

/// Where default ranges are taken from. It avoids what is common on developer machines: docker
/// (172.16/12), podman (10.88/16), Kubernetes services (10.96/12), flannel and kind (10.244/16).
pub(super) const POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 200, 0, 0), 14);
/// 1022 addresses for each engine, 256 engines.
const SHARE: u8 = 22;

/// The IPv4 networks and addresses the kernel knows, with the interface where the table tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostNetworks {
    /// From `/proc/net/route`: interface and destination.
    pub(super) routes: Vec<(String, Ipv4Net)>,
    /// From `/proc/net/fib_trie`: every destination of every table, own addresses as /32.
    pub(super) prefixes: Vec<Ipv4Net>,
}

impl HostNetworks {
    pub(super) fn read(proc_net: &Path) -> Result<Self, NetworkError> {
        let read = |name: &str| {
            let path = proc_net.join(name);
            std::fs::read_to_string(&path).map_err(|source| NetworkError::Read { path, source })
        };
        // A kernel without CONFIG_IP_FIB_TRIE_STATS still has fib_trie; only `route` may be missing.
        Ok(Self {
            routes: parse_routes(&read("route")?),
            prefixes: parse_fib_trie(&read("fib_trie")?),
        })
    }

    /// The network routed to this interface.
    pub(super) fn of_interface(&self, interface: &str) -> Option<Ipv4Net> {
        self.routes
            .iter()
            .find(|(name, network)| name == interface && network.prefix_len() < 31)
            .map(|(_, network)| *network)
    }

    /// Interface of the default route.
    pub(super) fn default_interface(&self) -> Option<&str> {
        self.routes
            .iter()
            .find(|(_, network)| network.prefix_len() == 0)
            .map(|(name, _)| name.as_str())
    }

    /// A known network that shares addresses with `range`. Default routes do not count.
    pub(super) fn overlap(&self, range: Ipv4Net) -> Option<Ipv4Net> {
        self.routes
            .iter()
            .map(|(_, network)| network)
            .chain(&self.prefixes)
            .copied()
            .filter(|network| network.prefix_len() > 0)
            .find(|network| network.contains(&range) || range.contains(network))
    }

    /// The share of the pool where `instance` (hash of the run directory) starts to look, or the next
    /// one after it that is free.
    pub(super) fn choose(&self, instance: u32) -> Result<Ipv4Net, NetworkError> {
        let pool = Ipv4Net::new_assert(POOL.0, POOL.1);
        let shares = 1u32 << (SHARE - POOL.1);
        let size = 1u32 << (32 - SHARE);
        (0..shares)
            .map(|step| {
                let index = instance.wrapping_add(step) % shares;
                let base = u32::from(pool.network()) + index * size;
                Ipv4Net::new_assert(Ipv4Addr::from(base), SHARE)
            })
            .find(|range| self.overlap(*range).is_none())
            .ok_or(NetworkError::NoFreeRange(pool))
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, numbers as hexadecimal in the byte order
/// of the machine (proc_net(5)).
fn parse_routes(text: &str) -> Vec<(String, Ipv4Net)> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let address = |field: usize| {
                let raw = u32::from_str_radix(fields.get(field)?, 16).ok()?;
                Some(Ipv4Addr::from(raw.to_ne_bytes()))
            };
            let network = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
            Some(((*fields.first()?).to_owned(), network.trunc()))
        })
        .collect()
}

/// Leaves are `|-- ADDRESS` followed by one line `/LEN scope TYPE` for each prefix.
fn parse_fib_trie(text: &str) -> Vec<Ipv4Net> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if let (Some(address), Some(rest)) = (leaf, line.strip_prefix('/')) {
            let length = rest.split(' ').next().and_then(|text| text.parse().ok());
            if let Some(network) = length.and_then(|length| Ipv4Net::new(address, length).ok()) {
                found.push(network);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
         +-- 10.200.4.0/22 2 0 2\n           |-- 10.200.4.0\n              /22 link UNICAST\n           \
         |-- 10.200.4.1\n              /32 host LOCAL\n";

    pub(in crate::network) fn networks(routes: &[(&str, &str)], prefixes: &[&str]) -> HostNetworks {
        HostNetworks {
            routes: routes
                .iter()
                .map(|(name, network)| ((*name).to_owned(), net(network)))
                .collect(),
            prefixes: prefixes.iter().map(|text| net(text)).collect(),
        }
    }

    #[test]
    fn reads_the_kernel_tables() {
        let little_endian = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            br0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            rubbish\n";
        if cfg!(target_endian = "little") {
            assert_eq!(
                parse_routes(little_endian),
                [
                    ("eth0".to_owned(), net("0.0.0.0/0")),
                    ("br0".to_owned(), net("192.0.2.0/24")),
                ]
            );
        }
        assert_eq!(
            parse_fib_trie(TRIE),
            [net("0.0.0.0/0"), net("10.200.4.0/22"), net("10.200.4.1/32")]
        );
        let here = HostNetworks::read(Path::new("/proc/net")).unwrap();
        assert!(here.overlap(net("127.0.0.0/8")).is_some());
    }

    #[test]
    fn a_used_share_is_passed_over() {
        assert_eq!(networks(&[], &[]).choose(1).unwrap(), net("10.200.4.0/22"));
        let used = networks(&[("br0", "0.0.0.0/0")], &["10.200.5.7/32", "10.200.8.0/23"]);
        assert_eq!(used.choose(1).unwrap(), net("10.200.12.0/22"));
        assert_eq!(used.choose(255).unwrap(), net("10.203.252.0/22"));
        assert!(matches!(
            networks(&[("vpn", "10.0.0.0/8")], &[]).choose(9),
            Err(NetworkError::NoFreeRange(_))
        ));
    }
}
