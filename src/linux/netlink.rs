//! Links, addresses and routes of the network namespace in which the socket was opened (rtnetlink(7)).
//!
//! Synchronous: a request, then its answer, waited for at most [`ANSWER_WAIT`]. To work in another
//! namespace, enter it, [`Netlink::open`], and go back: a socket stays in the namespace it was made in.
//!
//! Deliberately absent: allocation of addresses, names and ranges; firewall rules.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use nix::sys::socket::{
    AddressFamily as SocketFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// The kernel answers a request before sendto(2) returns, so this is reached only when something is
/// badly wrong.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Longest interface name, without its terminating NUL (IFNAMSIZ is 16).
const MAX_NAME: usize = 15;

#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
    #[error("open a netlink socket")]
    Open(#[source] io::Error),
    #[error("{0:?} cannot be the name of a network interface (1 to 15 bytes, no '/' and no space)")]
    Name(String),
    #[error("{operation}: send the request")]
    Send {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("{operation}: receive the answer")]
    Receive {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("{operation}: the kernel's answer cannot be read")]
    Decode {
        operation: String,
        #[source]
        source: netlink_packet_core::DecodeError,
    },
    #[error("{operation}: no answer within {} s", ANSWER_WAIT.as_secs())]
    Silent { operation: String },
    #[error("{operation}")]
    Refused {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("write {path}")]
    Sysctl {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("no network interface {0}")]
    NoLink(String),
}

impl NetlinkError {
    /// The errno(3) at the bottom, 0 when no system call failed.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::Open(source)
            | Self::Send { source, .. }
            | Self::Receive { source, .. }
            | Self::Sysctl { source, .. }
            | Self::Refused { source, .. } => source.raw_os_error().unwrap_or(0),
            Self::NoLink(_) => libc::ENODEV,
            Self::Silent { .. } => libc::ETIMEDOUT,
            Self::Name(_) | Self::Decode { .. } => libc::EINVAL,
        }
    }
}

/// One end of a veth pair inside another network namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: BorrowedFd<'a>,
    /// A hardware address of the kernel's choice when `None`.
    pub(crate) mac: Option<[u8; 6]>,
}

#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// A socket of the network namespace that the calling thread is in now.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let open = || -> nix::Result<OwnedFd> {
            let socket = socket(
                SocketFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkRoute,
            )?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            let wait = TimeVal::milliseconds(1000);
            setsockopt(&socket, sockopt::ReceiveTimeout, &wait)?;
            setsockopt(&socket, sockopt::SendTimeout, &wait)?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(|errno| NetlinkError::Open(errno.into()))?,
            sequence: 0,
        })
    }

    /// Makes a bridge, sets its address and takes it up. Where any of that is already so, perhaps
    /// through another process at this moment, it stays so. Returns the index of the bridge.
    pub(crate) fn ensure_bridge(
        &mut self,
        name: &str,
        address: Ipv4Net,
        mtu: u32,
    ) -> Result<u32, NetlinkError> {
        check_name(name)?;
        let index = match self.link_index(name)? {
            Some(index) => index,
            None => {
                self.create_bridge(name, mtu)?;
                refuse_router_advertisements(name)?;
                self.link_index(name)?
                    .ok_or_else(|| NetlinkError::NoLink(name.to_owned()))?
            }
        };
        self.add_address(index, address)?;
        self.set_up(index)?;
        Ok(index)
    }

    fn create_bridge(&mut self, name: &str, mtu: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ];
        let made = self.request(
            format!("create bridge {name}"),
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        ignore(made, libc::EEXIST)
    }

    /// Makes a veth pair in one message: the host end enslaved to the bridge and up, the other end in
    /// the peer's namespace and still down. Answers EEXIST when either name is taken.
    pub(crate) fn create_veth(
        &mut self,
        host_name: &str,
        bridge_index: u32,
        peer: Peer<'_>,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        check_name(host_name)?;
        check_name(peer.name)?;
        // The peer must not carry IFF_UP here: it is registered before the host end exists, and opening
        // a veth without its other end is ENOTCONN.
        let mut other = LinkMessage::default();
        other.attributes = vec![
            LinkAttribute::IfName(peer.name.to_owned()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::NetNsFd(peer.namespace.as_raw_fd()),
        ];
        if let Some(mac) = peer.mac {
            other.attributes.push(LinkAttribute::Address(mac.to_vec()));
        }
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes = vec![
            LinkAttribute::IfName(host_name.to_owned()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::Controller(bridge_index),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
            ]),
        ];
        self.request(
            format!("create veth pair {host_name} and {}", peer.name),
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    /// Takes an interface up.
    pub(crate) fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(
            format!("take interface {index} up"),
            RouteNetlinkMessage::SetLink(message),
            0,
        )
    }

    /// Takes the loopback interface of the namespace up; its addresses come by themselves.
    pub(crate) fn set_loopback_up(&mut self) -> Result<(), NetlinkError> {
        // The loopback device is the first of every namespace (net/core/net_namespace.c relies on it).
        self.set_up(1)
    }

    /// Adds an address with its broadcast address; one that is already there is fine.
    pub(crate) fn add_address(&mut self, index: u32, address: Ipv4Net) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = address.prefix_len();
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        let own = IpAddr::V4(address.addr());
        message.attributes = vec![AddressAttribute::Local(own), AddressAttribute::Address(own)];
        if address.prefix_len() < 31 {
            let broadcast = address.broadcast();
            message
                .attributes
                .push(AddressAttribute::Broadcast(broadcast));
        }
        let added = self.request(
            format!("add address {address} to interface {index}"),
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        ignore(added, libc::EEXIST)
    }

    /// Sets the IPv4 default route.
    pub(crate) fn add_default_route(
        &mut self,
        index: u32,
        gateway: Ipv4Addr,
    ) -> Result<(), NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)),
            RouteAttribute::Oif(index),
        ];
        self.request(
            format!("set the default route through {gateway}"),
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    }

    /// The index of an interface by its name; `None` when there is no such interface.
    pub(crate) fn link_index(&mut self, name: &str) -> Result<Option<u32>, NetlinkError> {
        check_name(name)?;
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let operation = format!("look up interface {name}");
        let asked = self.exchange(
            operation,
            RouteNetlinkMessage::GetLink(message),
            NLM_F_REQUEST,
        );
        match asked {
            Ok(answers) => Ok(answers.first().map(|link| link.header.index)),
            Err(error) if error.errno() == libc::ENODEV => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many interfaces are enslaved to the bridge.
    pub(crate) fn bridge_ports(&mut self, name: &str) -> Result<usize, NetlinkError> {
        let index = self
            .link_index(name)?
            .ok_or_else(|| NetlinkError::NoLink(name.to_owned()))?;
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::Controller(index)];
        let links = self.exchange(
            format!("list the ports of bridge {name}"),
            RouteNetlinkMessage::GetLink(message),
            NLM_F_REQUEST | NLM_F_DUMP,
        )?;
        // A kernel before 4.4 ignores the filter in the request, so the answers are filtered again.
        let own = LinkAttribute::Controller(index);
        Ok(links
            .iter()
            .filter(|link| link.attributes.contains(&own))
            .count())
    }

    /// Deletes an interface; one that is not there is fine. The kernel waits for a grace period of RCU
    /// here, 10 to 30 ms: a veth is better left to die with its namespace.
    pub(crate) fn delete_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        check_name(name)?;
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let deleted = self.request(
            format!("delete interface {name}"),
            RouteNetlinkMessage::DelLink(message),
            0,
        );
        ignore(deleted, libc::ENODEV)
    }

    fn request(
        &mut self,
        operation: String,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.exchange(operation, message, flags | NLM_F_REQUEST | NLM_F_ACK)
            .map(|_| ())
    }

    /// Sends one message and collects the links of the answer until its end.
    fn exchange(
        &mut self,
        operation: String,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<LinkMessage>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut buffer = vec![0; packet.buffer_len()];
        packet.serialize(&mut buffer);
        let kernel = NetlinkAddr::new(0, 0);
        let sent = sendto(self.socket.as_raw_fd(), &buffer, &kernel, MsgFlags::empty());
        if let Err(errno) = sent {
            return Err(NetlinkError::Send {
                operation,
                source: errno.into(),
            });
        }
        self.collect(operation, flags)
    }

    fn collect(&self, operation: String, flags: u16) -> Result<Vec<LinkMessage>, NetlinkError> {
        let deadline = Instant::now() + ANSWER_WAIT;
        let mut links = Vec::new();
        // Large enough for any link message; a dump is split by the kernel to fit.
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {
                    if Instant::now() >= deadline {
                        return Err(NetlinkError::Silent { operation });
                    }
                    continue;
                }
                Err(errno) => {
                    return Err(NetlinkError::Receive {
                        operation,
                        source: errno.into(),
                    });
                }
            };
            let datagram = &buffer[..length];
            if self.read_datagram(datagram, &operation, flags, &mut links)? {
                return Ok(links);
            }
        }
    }

    /// Returns true when the answer is complete.
    fn read_datagram(
        &self,
        mut rest: &[u8],
        operation: &str,
        flags: u16,
        links: &mut Vec<LinkMessage>,
    ) -> Result<bool, NetlinkError> {
        while !rest.is_empty() {
            let message =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(|source| {
                    NetlinkError::Decode {
                        operation: operation.to_owned(),
                        source,
                    }
                })?;
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            // A late answer to a request that was given up.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::Error(error) => {
                    let Some(code) = error.code else {
                        return Ok(true);
                    };
                    return Err(NetlinkError::Refused {
                        operation: operation.to_owned(),
                        source: io::Error::from_raw_os_error(-code.get()),
                    });
                }
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    links.push(link);
                    // A request without ACK and DUMP is answered by one message.
                    if flags & (NLM_F_ACK | NLM_F_DUMP) == 0 {
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// Makes an interface deaf to IPv6 router advertisements, with which any pod on the bridge could give
/// itself the traffic of the others and of the host (CVE-2020-10749). `interface` is a name, or `default`
/// for all that will appear in the calling thread's network namespace. Without IPv6 there is nothing to do.
pub(crate) fn refuse_router_advertisements(interface: &str) -> Result<(), NetlinkError> {
    check_name(interface)?;
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/accept_ra");
    match std::fs::write(&path, "0") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NetlinkError::Sysctl {
            path,
            source: error,
        }),
        _ => Ok(()),
    }
}

fn ignore(result: Result<(), NetlinkError>, errno: i32) -> Result<(), NetlinkError> {
    match result {
        Err(error) if error.errno() == errno => Ok(()),
        other => other,
    }
}

fn check_name(name: &str) -> Result<(), NetlinkError> {
    let bad = name.is_empty()
        || name.len() > MAX_NAME
        || name == "."
        || name == ".."
        || name
            .chars()
            .any(|c| c == '/' || c == ':' || c == '\0' || c.is_whitespace());
    if bad {
        return Err(NetlinkError::Name(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::fd::AsFd;

    use nix::sched::{CloneFlags, setns, unshare};

    use super::super::fork_test;
    use super::*;

    #[track_caller]
    fn check_name_is(name: &str, good: bool) {
        assert_eq!(check_name(name).is_ok(), good, "{name:?}");
    }

    #[test]
    fn interface_names() {
        check_name_is("eth0", true);
        check_name_is("pt01234567", true);
        check_name_is("fifteen-bytes-x", true);
        check_name_is("sixteen-bytes-xx", false);
        check_name_is("", false);
        check_name_is("a/b", false);
        check_name_is("..", false);
        check_name_is("a b", false);
        check_name_is("a\0", false);
    }

    fn current() -> File {
        File::open("/proc/thread-self/ns/net").unwrap()
    }

    fn accepts_ra(interface: &str) -> Option<String> {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/accept_ra");
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    }

    /// Two namespaces of our own: the "host" and the "pod".
    fn namespaces() -> Option<(File, File)> {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            let _ = writeln!(
                io::stderr(),
                "skipped: no permission for network namespaces"
            );
            return None;
        }
        let host = current();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let pod = current();
        setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
        Some((host, pod))
    }

    #[test]
    fn a_pod_gets_its_interface_and_the_bridge_its_port() {
        fork_test::run(|| {
            let Some((host, pod)) = namespaces() else {
                return;
            };
            let mut netlink = Netlink::open().unwrap();
            let address: Ipv4Net = "10.77.0.1/24".parse().unwrap();
            let bridge = netlink.ensure_bridge("ptbridge", address, 1400).unwrap();
            assert_eq!(
                netlink.ensure_bridge("ptbridge", address, 1400).unwrap(),
                bridge
            );
            assert_eq!(netlink.bridge_ports("ptbridge").unwrap(), 0);
            assert_ne!(accepts_ra("ptbridge").as_deref(), Some("1"));

            let peer = Peer {
                name: "eth0",
                namespace: pod.as_fd(),
                mac: Some([2, 0, 0, 0, 0, 9]),
            };
            netlink.create_veth("vpod", bridge, peer, 1400).unwrap();
            let again = netlink.create_veth("vpod", bridge, peer, 1400).unwrap_err();
            assert_eq!(again.errno(), libc::EEXIST);
            assert_eq!(netlink.bridge_ports("ptbridge").unwrap(), 1);
            assert_eq!(netlink.link_index("eth0").unwrap(), None);

            setns(&pod, CloneFlags::CLONE_NEWNET).unwrap();
            assert_eq!(accepts_ra("eth0"), accepts_ra("default"));
            refuse_router_advertisements("eth0").unwrap();
            assert_ne!(accepts_ra("eth0").as_deref(), Some("1"));
            let mut inside = Netlink::open().unwrap();
            inside.set_loopback_up().unwrap();
            let eth0 = inside.link_index("eth0").unwrap().unwrap();
            inside.set_up(eth0).unwrap();
            let own: Ipv4Net = "10.77.0.5/24".parse().unwrap();
            inside.add_address(eth0, own).unwrap();
            inside.add_address(eth0, own).unwrap();
            let gateway = "10.77.0.1".parse().unwrap();
            inside.add_default_route(eth0, gateway).unwrap();
            inside.add_default_route(eth0, gateway).unwrap();
            let routes = fs::read_to_string("/proc/thread-self/net/route").unwrap();
            assert!(
                routes.contains("eth0\t00000000\t01004D0A\t0003"),
                "{routes}"
            );
            std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            std::net::TcpListener::bind("10.77.0.5:0").unwrap();

            // A connection from the pod to the host's end of the bridge.
            setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = std::net::TcpListener::bind("10.77.0.1:0").unwrap();
            setns(&pod, CloneFlags::CLONE_NEWNET).unwrap();
            let wait = Duration::from_secs(5);
            std::net::TcpStream::connect_timeout(&listener.local_addr().unwrap(), wait).unwrap();

            netlink.delete_link("vpod").unwrap();
            netlink.delete_link("vpod").unwrap();
            assert_eq!(inside.link_index("eth0").unwrap(), None);
            assert_eq!(netlink.bridge_ports("ptbridge").unwrap(), 0);
            netlink.delete_link("ptbridge").unwrap();
            let gone = netlink.bridge_ports("ptbridge").unwrap_err();
            assert!(matches!(gone, NetlinkError::NoLink(_)));
        });
    }

    #[test]
    fn a_dump_of_many_ports_is_counted_whole() {
        fork_test::run(|| {
            let Some((_host, pod)) = namespaces() else {
                return;
            };
            let mut netlink = Netlink::open().unwrap();
            let address: Ipv4Net = "10.77.0.1/16".parse().unwrap();
            let bridge = netlink.ensure_bridge("ptbridge", address, 1500).unwrap();
            for number in 0..120 {
                let name = format!("e{number}");
                let peer = Peer {
                    name: &name,
                    namespace: pod.as_fd(),
                    mac: None,
                };
                netlink
                    .create_veth(&format!("v{number}"), bridge, peer, 1500)
                    .unwrap();
            }
            assert_eq!(netlink.bridge_ports("ptbridge").unwrap(), 120);
        });
    }

    #[test]
    fn errors_name_the_operation_and_the_cause() {
        fork_test::run(|| {
            let Some(_namespaces) = namespaces() else {
                return;
            };
            let mut netlink = Netlink::open().unwrap();
            let error = netlink.set_up(4711).unwrap_err();
            assert_eq!(error.errno(), libc::ENODEV);
            assert!(crate::base::chain(&error).contains("interface 4711"));
        });
    }
}
