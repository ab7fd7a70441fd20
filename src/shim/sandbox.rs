//! The sandbox: cgroups, pause, network, shared memory. Built step by step; what was built is undone when
//! a later step fails.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::pipe::{PipeFlags, pipe_with};

use super::fault::{At, error_text, refuse};
use super::init;
use super::server::Shim;
use super::state_dir::StateDir;
use super::template::Template;
use super::volume;
use crate::linux::cgroup::{Cgroup, CgroupError, Hierarchy, Level, Limits, Version};
use crate::linux::clone::{self, Child, Namespaces, SingleThreaded};
use crate::linux::mount::{self, Attributes, Context};
use crate::linux::netlink::{Netlink, Peer};
use crate::linux::ns::{self, OwnNetwork, OwnPid};
use crate::linux::path;
use crate::linux::pidfd;
use crate::linux::proc;
use crate::linux::signal::{ChildSignals, Signal};
use crate::linux::userns;
use crate::wire::{
    CgroupLevel, ContainerSpec, Fault, IdRange, MountSource, Namespace, NetworkPlan, PidNamespace,
    ResourceLimits, SandboxPhase, SandboxSpec, SandboxState, Stage, VolumeContent,
};

/// Name of pause's own leaf beside those of the containers.
const PAUSE_LEAF: &str = "pause";

#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) spec: SandboxSpec,
    pub(super) phase: SandboxPhase,
    pub(super) created_at: Timestamp,
    pub(super) notes: Vec<String>,
    pub(super) template: Template,
    pub(super) pause: Option<Child>,
    /// How children get into other pid namespaces and back.
    pub(super) own_pid: OwnPid,
    /// The way back from the network namespace of the sandbox.
    own_network: OwnNetwork,
    /// The machine's mount namespace and the shim's, for mounts that propagate back.
    pub(super) mounts: [OwnedFd; 2],
    pub(super) directory: StateDir,
    /// The pod's own user namespace, and the id outside that is 0 inside.
    pub(super) user: Option<UserNamespace>,
    /// Version of the content of each volume that was written.
    written: BTreeMap<String, String>,
    cgroup: Option<Cgroup>,
    veth: bool,
}

/// What a memory volume is like.
#[derive(Debug, Default)]
struct Memory {
    size: Option<u64>,
    mode: u32,
    group: Option<u32>,
    huge_page: Option<u64>,
}

#[derive(Debug)]
pub(super) struct UserNamespace {
    pub(super) fd: OwnedFd,
    pub(super) start: u32,
}

pub(super) fn limits_of(limits: &ResourceLimits) -> Limits {
    Limits {
        cpu_shares: limits.cpu_shares,
        cpu_weight: limits.cpu_weight,
        cpu_quota: limits.cpu_quota,
        cpu_period: limits.cpu_period,
        memory_limit: limits.memory_limit,
        swap_limit: limits.swap_limit,
        oom_group: limits.oom_group,
        pids_limit: limits.pids_limit,
        huge_pages: limits.huge_pages.clone(),
    }
}

impl Sandbox {
    /// Builds everything; `mounts` as in the field. The process is a shim already (its own mount
    /// namespace, subreaper).
    pub(super) fn build(
        spec: SandboxSpec,
        template: Template,
        mounts: [OwnedFd; 2],
        notes: Vec<String>,
        witness: &SingleThreaded,
    ) -> Result<Self, Fault> {
        check(&spec)?;
        let directory = StateDir::open(&spec.directory).at(
            Stage::State,
            format_args!("open {}", spec.directory.display()),
        )?;
        directory.claim().at(
            Stage::State,
            format_args!("lock {}", spec.directory.display()),
        )?;
        let mut sandbox = Self {
            spec,
            phase: SandboxPhase::Ready,
            created_at: Timestamp::now(),
            notes,
            template,
            pause: None,
            own_pid: OwnPid::open().at(Stage::Namespaces, "open the pid namespace")?,
            own_network: OwnNetwork::open().at(Stage::Namespaces, "open the network namespace")?,
            mounts,
            directory,
            user: None,
            written: BTreeMap::new(),
            cgroup: None,
            veth: false,
        };
        match sandbox.build_parts(witness) {
            Ok(()) => Ok(sandbox),
            Err(fault) => {
                sandbox.undo();
                Err(fault)
            }
        }
    }

    fn build_parts(&mut self, witness: &SingleThreaded) -> Result<(), Fault> {
        self.make_cgroups()?;
        let mut reports = self.spawn_pause(witness)?;
        // Pause gets ready on another processor while the shim makes the network.
        let network = self.make_network();
        let shm = self.make_shared_memory();
        reports.receive_all().at(Stage::Clone, "hear from pause")?;
        let told = reports.told();
        self.notes.extend(told.notes);
        if let Some(fault) = told.fault {
            return Err(fault);
        }
        if told.identity.is_none() {
            return Err(refuse(Stage::Clone, "pause died before it was executed"));
        }
        network?;
        shm
    }

    pub(super) fn levels(&self) -> Vec<&str> {
        self.spec
            .cgroup
            .iter()
            .map(|level| level.name.as_str())
            .collect()
    }

    pub(super) fn is_unified(&self) -> bool {
        self.template.hierarchy.version() == Version::V2
    }

    /// Writes the limits of the levels, which are those of the beginning.
    pub(super) fn update_cgroups(&mut self, cgroup: Vec<CgroupLevel>) -> Result<(), Fault> {
        let names = |levels: &[CgroupLevel]| -> Vec<String> {
            levels.iter().map(|level| level.name.clone()).collect()
        };
        if names(&cgroup) != names(&self.spec.cgroup) {
            return Err(refuse(Stage::Cgroup, "the cgroup path cannot be changed"));
        }
        let notes = self
            .write_levels(&cgroup)
            .at(Stage::Cgroup, "change the limits of the pod")?;
        self.spec.cgroup = cgroup;
        let fresh = notes.into_iter().filter(|note| !self.notes.contains(note));
        let fresh: Vec<String> = fresh.collect();
        self.notes.extend(fresh);
        Ok(())
    }

    fn write_levels(&self, cgroup: &[CgroupLevel]) -> Result<Vec<String>, CgroupError> {
        let limits: Vec<Option<Limits>> = cgroup
            .iter()
            .map(|level| level.limits.as_ref().map(limits_of))
            .collect();
        let levels: Vec<Level<'_>> = cgroup
            .iter()
            .zip(&limits)
            .map(|(level, limits)| Level {
                name: &level.name,
                limits: limits.as_ref(),
            })
            .collect();
        self.template.hierarchy.ensure(&levels)
    }

    fn make_cgroups(&mut self) -> Result<(), Fault> {
        let notes = self
            .write_levels(&self.spec.cgroup)
            .at(Stage::Cgroup, "make the pod's cgroup")?;
        // A process of 12 KiB needs no accounting, only a place where a kill finds it.
        let cgroup = self
            .template
            .hierarchy
            .create_bare_leaf(&self.levels(), PAUSE_LEAF)
            .at(Stage::Cgroup, "make the cgroup of pause")?;
        self.cgroup = Some(cgroup);
        self.notes.extend(notes);
        Ok(())
    }

    fn spawn_pause(&mut self, witness: &SingleThreaded) -> Result<init::Reports, Fault> {
        let cgroup = self
            .cgroup
            .as_ref()
            .ok_or_else(|| refuse(Stage::Cgroup, "the cgroup of pause is not there"))?;
        let wanted = self.spec.namespaces;
        let own = |namespace| namespace == Namespace::Sandbox;
        let namespaces = Namespaces::NONE
            .with_if(own(wanted.network), Namespaces::NETWORK)
            .with_if(own(wanted.ipc), Namespaces::IPC)
            .with_if(own(wanted.uts), Namespaces::UTS)
            .with_if(wanted.pid == PidNamespace::Sandbox, Namespaces::PID)
            .with_if(self.spec.user.is_some(), Namespaces::USER);
        // In its own user namespace pause may neither mount anything nor be anybody before its ids are mapped.
        let gate = match self.spec.user {
            Some(range) => Some(Gate::new(range)?),
            None => None,
        };
        let plan = init::Pause {
            program: self.template.pause.as_fd(),
            cgroup,
            oom_score_adj: self.spec.oom_score_adj,
            hostname: own(wanted.uts).then_some(self.spec.hostname.as_str()),
            sysctls: self
                .spec
                .sysctls
                .iter()
                .map(|(name, value)| (name.replace('.', "/"), value.as_str()))
                .collect(),
            gate: gate
                .as_ref()
                .map(|gate| (gate.read.as_fd(), gate.root.as_fd())),
        };
        let (reports, reporter) = init::channel().at(Stage::Clone, "make a pipe")?;
        let mut reporter = Some(reporter);
        let child = clone::spawn(witness, namespaces, cgroup.unified_dir(), || {
            reporter
                .take()
                .map_or(1, |reporter| init::pause(&plan, reporter))
        })
        .at(Stage::Clone, "make pause in its namespaces")?;
        let child = self.pause.insert(child);
        if let Some(gate) = gate {
            self.user = Some(gate.open(child, self.spec.oom_score_adj, &mut self.notes)?);
        }
        Ok(reports)
    }

    fn make_network(&mut self) -> Result<(), Fault> {
        let Some(child) = self
            .pause
            .as_ref()
            .filter(|_| self.spec.namespaces.network == Namespace::Sandbox)
        else {
            return Ok(());
        };
        if let Some(plan) = &self.spec.network {
            let namespace = ns::network_of(child.pid)
                .at(Stage::Network, "open the network namespace of the sandbox")?;
            connect(plan, &namespace)?;
            self.veth = true;
        }
        let inside = self
            .own_network
            .visit(child.pidfd.as_fd(), Netlink::open)
            .at(Stage::Network, "enter the network namespace of the sandbox")?;
        let mut inside = inside.at(Stage::Network, "open a netlink socket")?;
        inside.set_loopback_up().at(Stage::Network, "take lo up")?;
        if let Some(plan) = &self.spec.network {
            configure(&mut inside, plan)?;
        }
        Ok(())
    }

    /// TCP sockets of the sandbox's network, for the engine to connect: they belong to the namespace that they
    /// are made in (network_namespaces(7)), wherever their descriptors go.
    pub(super) fn sockets(&self, ipv6: bool, count: usize) -> Result<Vec<OwnedFd>, Fault> {
        let family = if ipv6 {
            AddressFamily::INET6
        } else {
            AddressFamily::INET
        };
        let make = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let one = |_| socket_with(family, SocketType::STREAM, flags, None);
            (0..count).map(one).collect::<Result<_, _>>()
        };
        let Some(pause) = &self.pause else {
            return Err(refuse(Stage::Request, "the sandbox is not ready"));
        };
        let made = if self.spec.namespaces.network == Namespace::Sandbox {
            self.own_network.visit(pause.pidfd.as_fd(), make).at(
                Stage::Namespaces,
                "enter the network namespace of the sandbox",
            )?
        } else {
            make()
        };
        made.at(Stage::Network, "make sockets")
    }

    /// The pod's `/dev/shm`, in the shim's mount namespace: it lives as long as that.
    fn make_shared_memory(&mut self) -> Result<(), Fault> {
        if self.spec.namespaces.ipc == Namespace::Host {
            return Ok(());
        }
        let options = [
            ("mode", "1777".to_owned()),
            ("size", self.spec.shm_size.to_string()),
        ];
        let attributes = Attributes::NO_SUID
            .with(Attributes::NO_DEV)
            .with(Attributes::NO_EXEC);
        mount_tmpfs(&self.directory.shm(), &options, attributes, Swap::Allowed)
            .at(Stage::Mount, "mount the pod's /dev/shm")
    }

    /// Makes the memory volumes of a container, and what its mounts name in them.
    pub(super) fn make_volumes(&self, spec: &ContainerSpec) -> Result<(), Fault> {
        for wanted in &spec.mounts {
            if let MountSource::Image { layers, sub_path } = &wanted.source
                && !sub_path.is_empty()
            {
                // As containerd does it, the container is not made when it is not there.
                init::image(layers, sub_path).at(
                    Stage::Mount,
                    format_args!("ImageVolumeMountFailed: subPath \"{sub_path}\" of the image"),
                )?;
            }
            let MountSource::SharedTmpfs {
                key,
                size,
                mode,
                group,
                huge_page,
                sub_path,
            } = &wanted.source
            else {
                continue;
            };
            let wanted = Memory {
                size: *size,
                mode: *mode,
                group: *group,
                huge_page: *huge_page,
            };
            let path = self.ensure_tmpfs(key, &wanted)?;
            if !sub_path.is_empty() {
                let root = open_root(&path, key)?;
                path::ensure_beneath(root.as_fd(), Path::new(sub_path))
                    .map_err(|error| sub_path_fault(key, &spec.cgroup_leaf, sub_path, error))?;
            }
        }
        Ok(())
    }

    /// Makes the memory volume `key` unless it is there.
    fn ensure_tmpfs(&self, key: &str, wanted: &Memory) -> Result<PathBuf, Fault> {
        if !is_name(key) {
            return Err(refuse(
                Stage::Mount,
                format!("memory volume {key:?}: not a file name"),
            ));
        }
        let path = self.directory.tmpfs().join(key);
        if path.exists() {
            return Ok(path);
        }
        std::fs::create_dir_all(self.directory.tmpfs())
            .at(Stage::Mount, "make the directory of memory volumes")?;
        let mut options = vec![("mode", format!("{:o}", wanted.mode))];
        options.extend(wanted.size.map(|size| ("size", size.to_string())));
        options.extend(wanted.group.map(|group| ("gid", group.to_string())));
        let attributes = Attributes::NO_SUID.with(Attributes::NO_DEV);
        let mounted = match wanted.huge_page {
            // Huge pages are never swapped.
            Some(page) => {
                options.push(("pagesize", page.to_string()));
                mount_memory("hugetlbfs", &path, &options, attributes, Swap::Allowed)
            }
            None => mount_tmpfs(&path, &options, attributes, Swap::Never),
        };
        mounted.at(Stage::Mount, format_args!("mount memory volume {key}"))?;
        Ok(path)
    }

    /// Makes these the files of a volume, unless they are already.
    pub(super) fn write_volume(&mut self, content: &VolumeContent) -> Result<(), Fault> {
        let key = &content.key;
        if self.written.get(key) == Some(&content.version) {
            return Ok(());
        }
        let wanted = Memory {
            mode: 0o1777,
            ..Memory::default()
        };
        let path = self.ensure_tmpfs(key, &wanted)?;
        let root = open_root(&path, key)?;
        volume::write(root.as_fd(), content)
            .at(Stage::Mount, format_args!("write volume {key}"))?;
        self.written.insert(key.clone(), content.version.clone());
        Ok(())
    }

    pub(super) fn state(&self) -> SandboxState {
        SandboxState {
            phase: self.phase,
            created_at: self.created_at,
            shim_pid: crate::linux::proc::own_pid(),
            pause_pid: self.pause.as_ref().map(|child| child.pid),
            address: self.spec.network.as_ref().map(|plan| plan.address.addr()),
            containers: Vec::new(),
            notes: self.notes.clone(),
            spec: self.spec.clone(),
        }
    }

    pub(super) fn kill_pause(&self) {
        if let Some(child) = &self.pause {
            // Our own child that is not reaped yet can always be signalled.
            let _ = pidfd::send(child.pidfd.as_fd(), Signal::KILL);
        }
    }

    /// Removes cgroups and, when told, the bridge. Processes are gone or are killed now.
    pub(super) fn remove(&self, bridge: Option<&str>) -> Result<(), Fault> {
        remove_cgroups(&self.template.hierarchy, &self.levels())?;
        let interface = self
            .spec
            .network
            .as_ref()
            .map(|plan| plan.host_interface.as_str());
        remove_links(interface, bridge)
    }

    /// Opens the socket, writes the state, and is ready.
    pub(super) fn serve(mut self, child_signals: ChildSignals) -> Result<Shim, Fault> {
        let listener = match self.directory.listen() {
            Ok(listener) => listener,
            Err(error) => {
                self.undo();
                return Err(error).at(Stage::State, "open the socket");
            }
        };
        let mut shim =
            Shim::new(self, listener, child_signals).at(Stage::State, "wait for descriptors")?;
        shim.save();
        Ok(shim)
    }

    fn undo(&mut self) {
        self.kill_pause();
        if let Some(child) = self.pause.take() {
            let _ = pidfd::reap_blocking(child.pidfd.as_fd());
        }
        // The fault that led here is what the user hears; the next attempt and the clean-up of the
        // engine meet whatever could not be removed.
        let _ = remove_cgroups(&self.template.hierarchy, &self.levels());
        if self.veth
            && let Some(plan) = &self.spec.network
            && let Ok(mut netlink) = Netlink::open()
        {
            let _ = netlink.delete_link(&plan.host_interface);
        }
        let _ = self.directory.remove();
    }
}

/// What holds pause up until its user namespace is ready.
struct Gate {
    range: IdRange,
    read: OwnedFd,
    write: OwnedFd,
    /// The empty root of pause, made here because pause cannot.
    root: OwnedFd,
}

impl Gate {
    fn new(range: IdRange) -> Result<Self, Fault> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).at(Stage::Clone, "make a pipe")?;
        let root = init::empty_root().at(Stage::Rootfs, "make an empty root for pause")?;
        Ok(Self {
            range,
            read,
            write,
            root,
        })
    }

    fn open(
        self,
        child: &Child,
        oom_score_adj: i32,
        notes: &mut Vec<String>,
    ) -> Result<UserNamespace, Fault> {
        let IdRange { start, length } = self.range;
        userns::write_maps(child.pid, start, length).at(
            Stage::Namespaces,
            format_args!("map {length} ids from {start} on"),
        )?;
        let fd = userns::of(child.pid).at(Stage::Namespaces, "open the user namespace")?;
        // Only somebody outside may make it less likely to be killed.
        if let Err(error) = proc::set_oom_score_adj_of(child.pid, oom_score_adj) {
            notes.push(format!(
                "oom_score_adj {oom_score_adj} refused: {}",
                error_text(&error)
            ));
        }
        rustix::io::write(&self.write, b"x").at(Stage::Clone, "let pause go on")?;
        Ok(UserNamespace { fd, start })
    }
}

fn check(spec: &SandboxSpec) -> Result<(), Fault> {
    if spec.cgroup.is_empty() {
        return Err(refuse(Stage::Request, "the sandbox has no cgroup"));
    }
    if spec.namespaces.network == Namespace::Host && spec.network.is_some() {
        return Err(refuse(
            Stage::Request,
            "a network plan makes no sense in the machine's network namespace",
        ));
    }
    spec.sysctls
        .iter()
        .try_for_each(|(name, value)| check_sysctl(spec, name, value))
}

/// Only sysctls that belong to a namespace of the sandbox's own; anything else would be set for the whole
/// machine (CVE-2022-0811 smuggled `kernel.core_pattern` in).
fn check_sysctl(spec: &SandboxSpec, name: &str, value: &str) -> Result<(), Fault> {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let dots_are_fine = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == "kernel.sem";
    let owner = if ipc {
        Some(spec.namespaces.ipc)
    } else if name.starts_with("net.") {
        Some(spec.namespaces.network)
    } else {
        None
    };
    let line = value
        .bytes()
        .all(|byte| (b' '..0x7f).contains(&byte) || byte == b'\t');
    match owner {
        Some(Namespace::Sandbox) if is_word && dots_are_fine && line => Ok(()),
        Some(Namespace::Host) => Err(refuse(
            Stage::Sysctl,
            format!("sysctl {name:?} would change the machine: its namespace is the host's"),
        )),
        _ => Err(refuse(
            Stage::Sysctl,
            format!("sysctl {name:?} = {value:?} is not allowed in a sandbox"),
        )),
    }
}

fn connect(plan: &NetworkPlan, namespace: &OwnedFd) -> Result<(), Fault> {
    let mut netlink = Netlink::open().at(Stage::Network, "open a netlink socket")?;
    let bridge = netlink
        .ensure_bridge(&plan.bridge.name, plan.bridge.address, plan.mtu)
        .at(Stage::Network, "make the bridge")?;
    let peer = Peer {
        name: &plan.sandbox_interface,
        namespace: namespace.as_fd(),
        mac: None,
    };
    match netlink.create_veth(&plan.host_interface, bridge, peer, plan.mtu) {
        // The other end of an earlier sandbox of this pod has not quite gone with its namespace yet.
        Err(error) if error.errno() == rustix::io::Errno::EXIST.raw_os_error() => {
            netlink
                .delete_link(&plan.host_interface)
                .at(Stage::Network, "remove a stale interface")?;
            netlink
                .create_veth(&plan.host_interface, bridge, peer, plan.mtu)
                .at(Stage::Network, "connect the sandbox")
        }
        made => made.at(Stage::Network, "connect the sandbox"),
    }
}

fn configure(inside: &mut Netlink, plan: &NetworkPlan) -> Result<(), Fault> {
    let name = &plan.sandbox_interface;
    let index = inside
        .link_index(name)
        .at(Stage::Network, format_args!("find {name}"))?
        .ok_or_else(|| refuse(Stage::Network, format!("{name} is not in the sandbox")))?;
    inside
        .add_address(index, plan.address)
        .at(Stage::Network, format_args!("set the address of {name}"))?;
    inside
        .set_up(index)
        .at(Stage::Network, format_args!("take {name} up"))?;
    inside
        .add_default_route(index, plan.gateway)
        .at(Stage::Network, "set the default route")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Swap {
    Allowed,
    /// Secrets must not get to a disk.
    Never,
}

fn mount_tmpfs(
    path: &Path,
    options: &[(&str, String)],
    attributes: Attributes,
    swap: Swap,
) -> io::Result<()> {
    mount_memory("tmpfs", path, options, attributes, swap)
}

fn mount_memory(
    kind: &str,
    path: &Path,
    options: &[(&str, String)],
    attributes: Attributes,
    swap: Swap,
) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let context = Context::open(kind)?;
    for (key, value) in options {
        context.set(key, value.as_str())?;
    }
    if swap == Swap::Never {
        // Not in kernels before 6.3; there the pages may be swapped like any others.
        let _ = context.flag("noswap");
    }
    let mounted = context.mount(attributes)?;
    let place = init::open_host(path, crate::linux::path::Links::InRoot)?;
    mount::attach(mounted.as_fd(), place.as_fd())
}

fn open_root(path: &Path, key: &str) -> Result<OwnedFd, Fault> {
    init::open_host(path, path::Links::Refuse)
        .and_then(|root| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(openat(&root, ".", flags, Mode::empty())?)
        })
        .at(Stage::Mount, format_args!("open memory volume {key}"))
}

/// `container` is the name of its cgroup, which is the container's own.
fn sub_path_fault(key: &str, container: &str, sub_path: &str, error: Errno) -> Fault {
    let why = match error {
        Errno::XDEV => "leads out of its volume through a symlink".to_owned(),
        other => format!("cannot be opened: {other}"),
    };
    Fault {
        stage: Stage::SubPath,
        errno: error.raw_os_error(),
        message: format!(
            "failed to prepare subPath for volumeMount \"{key}\" of container \"{container}\": subPath \
             \"{sub_path}\" {why}"
        ),
    }
}

/// One component of a path.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.bytes().any(|b| matches!(b, b'/' | 0))
}

/// Kills what is left in the pod's cgroup, removes it and the levels above that are empty.
pub(super) fn remove_cgroups(hierarchy: &Hierarchy, levels: &[&str]) -> Result<(), Fault> {
    if levels.is_empty() {
        return Ok(());
    }
    hierarchy
        .kill_tree(levels)
        .at(Stage::Cgroup, "kill the pod's cgroup")?;
    hierarchy
        .remove(levels)
        .at(Stage::Cgroup, "remove the pod's cgroup")
}

/// Removes the bridge when nothing but this sandbox's interface is connected to it. The interface itself
/// is normally left to the kernel, which deletes it with its namespace and does not let us wait for it.
pub(super) fn remove_links(interface: Option<&str>, bridge: Option<&str>) -> Result<(), Fault> {
    let Some(bridge) = bridge else {
        return Ok(());
    };
    let mut netlink = Netlink::open().at(Stage::Network, "open a netlink socket")?;
    if let Some(interface) = interface {
        netlink
            .delete_link(interface)
            .at(Stage::Network, "remove the interface")?;
    }
    let exists = netlink
        .link_index(bridge)
        .at(Stage::Network, "find the bridge")?
        .is_some();
    if !exists {
        return Ok(());
    }
    let ports = netlink
        .bridge_ports(bridge)
        .at(Stage::Network, "count the ports of the bridge")?;
    if ports > 0 {
        return Ok(());
    }
    netlink
        .delete_link(bridge)
        .at(Stage::Network, "remove the bridge")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SandboxId;
    use crate::wire::SandboxNamespaces;

    #[track_caller]
    fn check_one(ipc: Namespace, name: &str, value: &str, allowed: bool) {
        let spec = SandboxSpec {
            id: SandboxId::random(),
            labels: Default::default(),
            directory: "/".into(),
            hostname: String::new(),
            namespaces: SandboxNamespaces {
                network: Namespace::Sandbox,
                ipc,
                uts: Namespace::Sandbox,
                pid: PidNamespace::Container,
            },
            network: None,
            cgroup: Vec::new(),
            sysctls: Vec::new(),
            shm_size: 0,
            oom_score_adj: 0,
            user: None,
        };
        assert_eq!(
            check_sysctl(&spec, name, value).is_ok(),
            allowed,
            "{name}={value}"
        );
    }

    #[test]
    fn only_sysctls_of_the_sandbox_are_allowed() {
        let own = Namespace::Sandbox;
        check_one(own, "net.ipv4.ip_unprivileged_port_start", "0", true);
        check_one(own, "kernel.shm_rmid_forced", "1", true);
        check_one(own, "kernel.sem", "250\t32000 32 128", true);
        check_one(Namespace::Host, "kernel.sem", "1", false);
        check_one(own, "kernel.core_pattern", "|/bin/sh", false);
        check_one(
            own,
            "kernel.shm_rmid_forced",
            "1\nkernel.core_pattern=|x",
            false,
        );
        check_one(own, "kernel.shm+kernel.core_pattern", "1", false);
        check_one(own, "net.../../kernel.core_pattern", "1", false);
        check_one(own, "net/../kernel/core_pattern", "1", false);
        check_one(own, "vm.swappiness", "1", false);
    }
}
