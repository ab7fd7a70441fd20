//! The way of an exec session from clone to exec as a list of system calls, for the spawner.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use super::main::{Session, shifted};
use super::program;
use crate::linux::caps;
use crate::linux::cgroup::Cgroup;
use crate::linux::clone::Namespaces;
use crate::linux::spawner::{Image, Order};
use crate::shim::fault::At;
use crate::wire::{EffectiveUser, Fault, Stage};

/// What [`super::session`] does, in the same order, for a session without a terminal whose two outputs are one pipe.
/// [`descriptors`] says what has to be sent with it.
///
/// `bounding` is the bounding set that children of the spawner begin with. `None`: it cannot be said in such a list,
/// or not in so few bytes.
pub(in crate::shim) fn order(plan: &Session<'_>, bounding: u64) -> Result<Option<Order>, Fault> {
    let process = &plan.process;
    let kernel = caps::kernel_mask();
    let keep = process.capabilities.bounding & kernel;
    let Ok(cwd) = CString::new(plan.cwd) else {
        return Ok(None);
    };
    if process.apparmor.is_some() || process.terminal.is_some() || keep & !bounding != 0 {
        return Ok(None);
    }
    let mut image = Image::new();
    let output = image.descriptor();
    let target = image.descriptor();
    let unified = plan.cgroup.unified_dir().map(|_| image.descriptor());
    let user_namespace = process.user_namespace.map(|_| image.descriptor());
    let groups: Vec<_> = plan
        .cgroup
        .kept_open()
        .iter()
        .map(|_| image.descriptor())
        .collect();

    if plan.own_pids {
        image.in_pid_namespace(target);
    }
    if let Some(unified) = unified {
        image.in_cgroup(unified);
    }
    image.unblock_signals();
    image.new_session();
    image.new_session_keyring();
    image.set_oom_score_adj(plan.oom_score_adj);
    for group in groups {
        image.join_group(group);
    }
    image.enter(target, plan.join);
    image.enter_directory(&cwd);
    image.write_to(output);
    if let Some(namespace) = user_namespace {
        image.enter(namespace, Namespaces::USER);
    }
    if process.no_new_privileges {
        image.set_no_new_privileges();
    } else if let Some(filter) = process.filter {
        image.install_filter(filter);
    }
    // A user namespace is entered with all capabilities in all sets (user_namespaces(7)).
    let ours = match user_namespace {
        Some(_) => kernel,
        None => {
            caps::get()
                .at(Stage::Capabilities, "read own capabilities")?
                .1
        }
    };
    let begins = if user_namespace.is_some() {
        kernel
    } else {
        bounding & kernel
    };
    image.drop_bounding(begins & !keep);
    let user = plan.user;
    image.become_user(user.uid, user.gid, &user.supplementary_groups);
    let effective = process.capabilities.effective & keep & ours;
    image.set_capabilities(if user.uid == 0 { effective } else { 0 });
    image.set_umask(0o022);
    image.close_on_exec();
    if let Some(filter) = process.filter.filter(|_| process.no_new_privileges) {
        image.install_filter(filter);
    }
    let programs = program::candidates(process);
    image.execute(&programs, process.arguments, plan.environment);
    Ok(image.finish())
}

/// What goes with an [`order`], in its order. `target` is the first process of the container.
pub(in crate::shim) fn descriptors<'a>(
    output: BorrowedFd<'a>,
    target: BorrowedFd<'a>,
    cgroup: &'a Cgroup,
    user_namespace: Option<BorrowedFd<'a>>,
) -> Vec<BorrowedFd<'a>> {
    let mut all = Vec::with_capacity(16);
    all.extend([output, target]);
    all.extend(cgroup.unified_dir());
    all.extend(user_namespace);
    all.extend(cgroup.kept_open().iter().map(AsFd::as_fd));
    all
}

/// Who the outputs have to be given to, if not to whoever made them.
pub(in crate::shim) fn owner(plan: &Session<'_>) -> Result<EffectiveUser, Fault> {
    shifted(plan.user, plan.first_id)
}
