//! Addresses of sandboxes, the plain link plan a shim applies, and the three files every pod gets:
//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.
//!
//! * [`Allocator`] owns the engine's address range: it picks one that collides with nothing the machine
//!   already routes, and hands out one address per pod together with the names of bridge and veth.
//!   Addresses live only in memory; after a restart the engine gives back those of the sandboxes it
//!   adopted.
//! * [`Hostname`], [`hosts_file`], [`resolv_conf`] are pure texts after kubernetes-semantics §9.2–9.4.
//! * [`ensure_etc_files`] writes them below the pod's directory and says how to mount them.
//!
//! Invariants: two pods never hold one address; an address is not reused while others are free; a name
//! never exceeds `IFNAMSIZ` - 1 = 15 bytes; a file is replaced as a whole or not at all.
//!
//! Deliberately absent: netlink (the shim builds links from the plan), NAT, host ports, Services, DNS.

mod allocator;
mod error;
mod etc;
mod hosts;
mod range;
mod resolv;

pub(crate) use allocator::Allocator;
pub(crate) use error::NetworkError;
pub(crate) use etc::{EtcFiles, ensure_etc_files};
pub(crate) use hosts::{Hostname, hosts_file};
pub(crate) use resolv::{ClusterDns, node_resolv_conf, resolv_conf};
