use std::convert::Infallible;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::report::Reporter;
use super::{program, rootfs, user};
use crate::base::quoted;
use crate::linux::cgroup::Cgroup;
use crate::linux::clone::Namespaces;
use crate::linux::mount::{self, Attributes, Context};
use crate::linux::proc::{self, CStringArray};
use crate::linux::seccomp::Program;
use crate::linux::{apparmor, ns, signal};
use crate::shim::fault::{At, error_text, refuse};
use crate::wire::{CapabilitySets, ContainerSpec, EffectiveUser, Fault, Stage};

/// Ids of a user namespace of a pod.
const ID_COUNT: u32 = 1 << 16;

/// What every process of a container starts with.
pub(in crate::shim) struct Process<'a> {
    pub(in crate::shim) arguments: &'a CStringArray,
    pub(in crate::shim) path: Option<&'a [u8]>,
    pub(in crate::shim) capabilities: CapabilitySets,
    pub(in crate::shim) no_new_privileges: bool,
    pub(in crate::shim) filter: Option<&'a Program>,
    /// AppArmor profile.
    pub(in crate::shim) apparmor: Option<&'a str>,
    pub(in crate::shim) stdin: BorrowedFd<'a>,
    pub(in crate::shim) stdout: BorrowedFd<'a>,
    pub(in crate::shim) stderr: BorrowedFd<'a>,
    /// The slave; it is all three streams then.
    pub(in crate::shim) terminal: Option<BorrowedFd<'a>>,
    /// Somebody in the container's pid namespace may look into all processes there (CAP_SYS_PTRACE) and has no user
    /// namespace: the child stays outside until it has nothing left that the container has not, neither root nor
    /// descriptors nor capabilities. The kernel gives whoever asks all that a process has (ptrace(2), `/proc/PID/root`,
    /// `/proc/PID/fd`; CVE-2016-9962).
    pub(in crate::shim) is_watched: bool,
    /// Entered last: until then the child works with the power of the machine.
    pub(in crate::shim) user_namespace: Option<BorrowedFd<'a>>,
}

/// Everything for the first process of a container.
pub(in crate::shim) struct Plan<'a> {
    pub(in crate::shim) spec: &'a ContainerSpec,
    pub(in crate::shim) process: Process<'a>,
    pub(in crate::shim) environment: Vec<CString>,
    /// Number, soft and hard limit, in the order of the spec.
    pub(in crate::shim) rlimits: Vec<(u32, u64, u64)>,
    pub(in crate::shim) cgroup: &'a Cgroup,
    pub(in crate::shim) cgroup_is_unified: bool,
    /// Whose namespaces to join, and which.
    pub(in crate::shim) pause: BorrowedFd<'a>,
    pub(in crate::shim) join: Namespaces,
    /// Detached root of the container's devpts.
    pub(in crate::shim) devpts: BorrowedFd<'a>,
    pub(in crate::shim) terminal: Option<BorrowedFd<'a>>,
    /// What becomes `/dev/shm`.
    pub(in crate::shim) shm: &'a Path,
    /// Where shared memory volumes are mounted.
    pub(in crate::shim) tmpfs_directory: &'a Path,
    /// For each mount of the spec: a copy from the machine's mount namespace, where one is needed.
    pub(in crate::shim) propagating: Vec<Option<OwnedFd>>,
    /// The id outside that is 0 in the user namespace of [`Process::user_namespace`].
    pub(in crate::shim) first_id: u32,
}

impl Plan<'_> {
    pub(super) fn shared_tmpfs(&self, key: &str) -> PathBuf {
        self.tmpfs_directory.join(key)
    }
}

/// Runs in the child; what it returns is the child's exit status.
pub(in crate::shim) fn container(plan: &Plan<'_>, mut reporter: Reporter) -> u8 {
    let Err(fault) = become_container(plan, &mut reporter);
    reporter.fault(fault);
    1
}

fn become_container(plan: &Plan<'_>, reporter: &mut Reporter) -> Result<Infallible, Fault> {
    common_start(reporter, Some(plan.spec.oom_score_adj))?;
    confine(&plan.process)?;
    join_cgroup(plan.cgroup)?;
    if !plan.spec.privileged {
        ns::unshare(Namespaces::CGROUP).at(Stage::Namespaces, "make a cgroup namespace")?;
    }
    ns::enter(plan.pause, plan.join).at(Stage::Namespaces, "join the namespaces of the sandbox")?;
    let root = rootfs::build(plan)?;
    for ((resource, soft, hard), wanted) in plan.rlimits.iter().zip(&plan.spec.rlimits) {
        if let Err(error) = proc::set_rlimit(*resource, *soft, *hard) {
            reporter.note(format!(
                "{} {soft}:{hard} refused: {}",
                wanted.name,
                error_text(&error)
            ));
        }
    }
    let (identity, home) = user::resolve(root.as_fd(), &plan.spec.user)?;
    let outside = shifted(&identity, plan.first_id)?;
    program::enter_directory(root.as_fd(), &plan.spec.cwd, Some(&outside))?;
    let mut environment = CStringArray::new(plan.environment.clone());
    if !program::has_variable(environment.strings(), "HOME") {
        environment.push(program::c_string(&format!("HOME={home}"), "HOME")?);
    }
    reporter.identity(&identity, &home);
    program::connect_streams(&plan.process, &outside)?;
    if let Some(namespace) = plan.process.user_namespace {
        enter_user(namespace)?;
        // A copy of all mounts that belongs to the pod's namespace; what came from outside is locked in it
        // (mount_namespaces(7)).
        ns::unshare(Namespaces::MOUNT).at(Stage::Namespaces, "make a mount namespace")?;
    }
    program::execute(&plan.process, &identity, &environment, reporter)
}

fn enter_user(namespace: BorrowedFd<'_>) -> Result<(), Fault> {
    ns::enter(namespace, Namespaces::USER).at(Stage::Namespaces, "join the user namespace")
}

/// Who the user is outside of the pod's user namespace, which begins with `first`.
pub(super) fn shifted(user: &EffectiveUser, first: u32) -> Result<EffectiveUser, Fault> {
    let shift = |id: u32| {
        let outside = id
            .checked_add(first)
            .filter(|_| first == 0 || id < ID_COUNT);
        outside.ok_or_else(|| {
            refuse(
                Stage::User,
                format!("id {id} is not in the pod's user namespace, which has {ID_COUNT} ids"),
            )
        })
    };
    Ok(EffectiveUser {
        uid: shift(user.uid)?,
        gid: shift(user.gid)?,
        supplementary_groups: user
            .supplementary_groups
            .iter()
            .map(|group| shift(*group))
            .collect::<Result<_, _>>()?,
    })
}

/// Signals, session, keyring, mask and the badness for the OOM killer.
fn common_start(reporter: &mut Reporter, oom_score_adj: Option<i32>) -> Result<(), Fault> {
    // The shim ignores no signal, and execve(2) resets the handlers of the few it handles.
    signal::unblock_all().at(Stage::Clone, "unblock signals")?;
    proc::new_session().at(Stage::Clone, "start a session")?;
    proc::new_session_keyring().at(Stage::Clone, "make a session keyring")?;
    proc::set_umask(0);
    if let Some(oom_score_adj) = oom_score_adj
        && let Err(error) = proc::set_oom_score_adj(oom_score_adj)
    {
        reporter.note(format!(
            "oom_score_adj {oom_score_adj} refused: {}",
            error_text(&error)
        ));
    }
    Ok(())
}

/// From execve(2) on.
fn confine(process: &Process<'_>) -> Result<(), Fault> {
    match process.apparmor {
        Some(profile) => apparmor::change_on_exec(profile).at(
            Stage::AppArmor,
            format_args!(
                "apply the AppArmor profile {profile}",
                profile = quoted(profile)
            ),
        ),
        None => Ok(()),
    }
}

/// The child was born in the cgroup2 group, if there is one; it goes to the others by itself.
fn join_cgroup(cgroup: &Cgroup) -> Result<(), Fault> {
    cgroup.join_v1().at(Stage::Cgroup, "join the cgroup")
}

/// Everything for an exec session.
pub(in crate::shim) struct Session<'a> {
    pub(in crate::shim) process: Process<'a>,
    pub(in crate::shim) environment: &'a CStringArray,
    pub(in crate::shim) user: &'a EffectiveUser,
    /// As [`Plan::first_id`].
    pub(in crate::shim) first_id: u32,
    pub(in crate::shim) cwd: &'a str,
    pub(in crate::shim) oom_score_adj: i32,
    pub(in crate::shim) cgroup: &'a Cgroup,
    /// First process of the container, and what to join besides its pid namespace, into which this child
    /// was born unless it [is watched](Process::is_watched).
    pub(in crate::shim) target: BorrowedFd<'a>,
    pub(in crate::shim) join: Namespaces,
    /// Whether the pid namespace is not the machine's.
    pub(in crate::shim) own_pids: bool,
}

/// Runs in the child; what it returns is the child's exit status.
pub(in crate::shim) fn session(plan: &Session<'_>, mut reporter: Reporter) -> u8 {
    let Err(fault) = become_session(plan, &mut reporter);
    reporter.fault(fault);
    1
}

fn become_session(plan: &Session<'_>, reporter: &mut Reporter) -> Result<Infallible, Fault> {
    common_start(reporter, Some(plan.oom_score_adj))?;
    confine(&plan.process)?;
    join_cgroup(plan.cgroup)?;
    if plan.process.is_watched {
        ns::enter(plan.target, Namespaces::PID).at(
            Stage::Namespaces,
            "enter the pid namespace of the container",
        )?;
    }
    // The root and working directory become those of the joined mount namespace (setns(2)).
    ns::enter(plan.target, plan.join)
        .at(Stage::Namespaces, "join the namespaces of the container")?;
    let root = openat(
        CWD,
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::WorkingDirectory, "open the root of the container")?;
    program::enter_directory(root.as_fd(), plan.cwd, None)?;
    reporter.identity(plan.user, "");
    program::connect_streams(&plan.process, &shifted(plan.user, plan.first_id)?)?;
    if let Some(namespace) = plan.process.user_namespace {
        enter_user(namespace)?;
    }
    program::execute(&plan.process, plan.user, plan.environment, reporter)
}

/// Everything for pause.
pub(in crate::shim) struct Pause<'a> {
    pub(in crate::shim) program: BorrowedFd<'a>,
    pub(in crate::shim) cgroup: &'a Cgroup,
    pub(in crate::shim) oom_score_adj: i32,
    /// Set when the UTS namespace is the sandbox's own.
    pub(in crate::shim) hostname: Option<&'a str>,
    /// File below `/proc/sys` and value.
    pub(in crate::shim) sysctls: Vec<(String, &'a str)>,
    /// With a user namespace of its own: a pipe that says when its ids are mapped, and the empty root, which
    /// pause cannot mount there.
    pub(in crate::shim) gate: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
}

/// Runs in the child; what it returns is the child's exit status.
pub(in crate::shim) fn pause(plan: &Pause<'_>, mut reporter: Reporter) -> u8 {
    let Err(fault) = become_pause(plan, &mut reporter);
    reporter.fault(fault);
    1
}

fn become_pause(plan: &Pause<'_>, reporter: &mut Reporter) -> Result<Infallible, Fault> {
    if plan.cgroup.unified_dir().is_none() {
        // Elsewhere pause was born where a kill finds it; a process of 12 KiB needs no accounting.
        join_cgroup(plan.cgroup)?;
    }
    if let Some((gate, _)) = plan.gate {
        rustix::io::read(gate, &mut [0u8; 1]).at(Stage::Clone, "wait for the ids of pause")?;
        proc::become_user(0, 0, &[]).at(Stage::User, "become root of the user namespace")?;
    }
    common_start(reporter, plan.gate.is_none().then_some(plan.oom_score_adj))?;
    if let Some(name) = plan.hostname {
        ns::set_hostname(name).at(
            Stage::Namespaces,
            format_args!("set host name {name}", name = quoted(name)),
        )?;
    }
    for (file, value) in &plan.sysctls {
        OpenOptions::new()
            .write(true)
            .open(Path::new("/proc/sys").join(file))
            .and_then(|mut file| file.write_all(value.as_bytes()))
            .at(
                Stage::Sysctl,
                format_args!("set sysctl {file} to {value}", value = quoted(value)),
            )?;
    }
    proc::silence().at(Stage::Clone, "leave the standard streams")?;
    // With a shared pid namespace every container could look through /proc/1/root: let it find nothing.
    let made;
    let empty = match plan.gate {
        Some((_, root)) => root,
        None => {
            made = empty_root().at(Stage::Rootfs, "make an empty root for pause")?;
            made.as_fd()
        }
    };
    mount::change_root(empty).at(Stage::Rootfs, "enter the empty root")?;
    let null_free = |text: &str| program::c_string(text, "name of pause");
    let arguments = CStringArray::new(vec![null_free("/pause")?]);
    let environment = CStringArray::new(Vec::new());
    reporter.identity(
        &EffectiveUser {
            uid: 0,
            gid: 0,
            supplementary_groups: Vec::new(),
        },
        "/",
    );
    let error = proc::execute_fd(plan.program, &arguments, &environment);
    Err(error).at(Stage::Exec, "execute pause")
}

pub(in crate::shim) fn empty_root() -> std::io::Result<OwnedFd> {
    let context = Context::open("tmpfs")?;
    context.set("size", "0")?;
    context.set("nr_inodes", "1")?;
    context.mount(
        Attributes::READ_ONLY
            .with(Attributes::NO_SUID)
            .with(Attributes::NO_DEV)
            .with(Attributes::NO_EXEC),
    )
}
