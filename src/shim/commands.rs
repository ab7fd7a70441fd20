//! Commands that are only asked how they end, as those of probes: ordered of the spawner, and forked where that cannot
//! be or has failed.

use std::os::fd::AsFd;

use rustix::fs::{Gid, Uid, fchown};

use super::container::Container;
use super::fault::{At, refuse};
use super::init;
use super::reactor::{Interest, Key, Reactor, Token};
use super::sandbox::Sandbox;
use super::server::{Shim, Waiter};
use super::session::{Command, Kept, Session, are_watched, target};
use super::streams;
use crate::linux::clone::SingleThreaded;
use crate::linux::spawner::{Order, Progress, Spawner};
use crate::wire::{ExecSpec, Fault, Reply, RunSpec, Stage};

/// A spawner that has ended so often is not started again.
const MOST_ENDS: u32 = 3;
/// Orders that are kept: a container has three probes at most.
const MOST_KEPT: usize = 64;

/// The spawner of a pod, and what it is told again and again.
#[derive(Debug, Default)]
pub(super) struct Commands {
    spawner: Option<Spawner>,
    /// Commands that were asked for: one is not worth a spawner, which waits for the next ones.
    asked: u32,
    ended: u32,
    kept: Vec<KeptOrder>,
}

#[derive(Debug)]
struct KeptOrder {
    container: Key,
    argv: Vec<String>,
    /// `None`: it has to be forked.
    order: Option<Order>,
    /// To whom its output has to be given.
    owner: Option<(u32, u32)>,
}

/// What can be sent now.
struct Ready<'a> {
    spawner: &'a Spawner,
    order: &'a mut Order,
    /// As [`KeptOrder::owner`].
    owner: Option<(u32, u32)>,
}

/// The bounding set that containers of the pod have among them.
fn bounding(containers: &[Container]) -> u64 {
    containers
        .iter()
        .map(|container| container.state.spec.capabilities.bounding)
        .fold(0, |all, one| all | one)
}

impl Commands {
    /// Starts the spawner, if it pays.
    fn ensure(
        &mut self,
        containers: &[Container],
        sandbox: &Sandbox,
        reactor: &Reactor,
        witness: &SingleThreaded,
    ) {
        self.asked = self.asked.saturating_add(1);
        if self.spawner.is_none() && self.asked > 1 && self.ended < MOST_ENDS {
            // What it was told belongs to the bounding set that it was started with.
            self.kept.clear();
            let null = sandbox.template.null.as_fd();
            match Spawner::start(witness, bounding(containers), null) {
                Ok(spawner) => {
                    let watched = reactor.add(spawner.as_fd(), Token::Spawner, Interest::READ);
                    self.spawner = watched.is_ok().then_some(spawner);
                }
                Err(_) => self.ended += 1,
            }
        }
    }

    /// The order for this command in this container, composed when it is asked for the first time.
    fn order(
        &mut self,
        spec: &ExecSpec,
        containers: &[Container],
        container: &Container,
        sandbox: &Sandbox,
    ) -> Result<Option<Ready<'_>>, Fault> {
        let Some(spawner) = &self.spawner else {
            return Ok(None);
        };
        let known = self
            .kept
            .iter()
            .position(|kept| kept.container == container.key && kept.argv == spec.argv);
        let index = match known {
            Some(index) => index,
            None => {
                let runs = |key| {
                    let found = containers.iter().find(|found| found.key == key);
                    found.is_some_and(|found| found.running.is_some())
                };
                self.kept.retain(|kept| runs(kept.container));
                if self.kept.len() >= MOST_KEPT {
                    self.kept.clear();
                }
                let composed = compose(spec, container, sandbox, spawner.bounding())?;
                self.kept.push(composed);
                self.kept.len() - 1
            }
        };
        let kept = &mut self.kept[index];
        let owner = kept.owner;
        Ok(kept.order.as_mut().map(|order| Ready {
            spawner,
            order,
            owner,
        }))
    }
}

fn compose(
    spec: &ExecSpec,
    container: &Container,
    sandbox: &Sandbox,
    bounding: u64,
) -> Result<KeptOrder, Fault> {
    let (running, _) = target(container)?;
    running
        .cgroup
        .keep_open()
        .at(Stage::Cgroup, "open the cgroup of the container")?;
    let command = Command::new(spec, container, sandbox)?;
    // The ends are those of the plan only; each command gets its own.
    let (_, ends) = streams::make_brief(sandbox.template.null.as_fd())?;
    let plan = command.plan(&ends);
    let owner = init::owner(&plan)?;
    let ours = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let theirs = (owner.uid, owner.gid);
    Ok(KeptOrder {
        container: container.key,
        argv: spec.argv.clone(),
        order: init::order(&plan, bounding)?,
        owner: (theirs != ours).then_some(theirs),
    })
}

impl Shim {
    pub(super) fn run_command(&mut self, waiter: Waiter, spec: RunSpec) -> Result<(), Fault> {
        let kept = Kept::new(spec.output_limit);
        let spec = ExecSpec {
            container: spec.container,
            argv: spec.argv,
            env: Vec::new(),
            tty: false,
            stdin: false,
            size: None,
            kill_with_client: true,
        };
        if self.order_command(waiter, &spec, &kept)? {
            return Ok(());
        }
        self.start_session(waiter, &spec, Some(kept))
    }

    /// `false` when it has to be forked.
    fn order_command(
        &mut self,
        waiter: Waiter,
        spec: &ExecSpec,
        kept: &Kept,
    ) -> Result<bool, Fault> {
        let found = self
            .containers
            .iter()
            .find(|found| found.state.spec.id == spec.container);
        let container =
            found.ok_or_else(|| refuse(Stage::Request, "the container is not known"))?;
        let (running, _) = target(container)?;
        if are_watched(&self.containers, &self.sandbox) {
            return Ok(false);
        }
        if self.commands.spawner.is_none() {
            let witness = Self::witness()?;
            self.commands
                .ensure(&self.containers, &self.sandbox, &self.reactor, &witness);
        }
        let ordered = self
            .commands
            .order(spec, &self.containers, container, &self.sandbox)?;
        let Some(Ready {
            spawner,
            order,
            owner,
        }) = ordered
        else {
            return Ok(false);
        };
        let (streams, output) = streams::make_output()?;
        if let Some((uid, gid)) = owner {
            fchown(&output, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .at(Stage::Exec, "change the owner of a standard stream")?;
        }
        let user = self.sandbox.user.as_ref();
        let descriptors = init::descriptors(
            output.as_fd(),
            running.child.pidfd.as_fd(),
            &running.cgroup,
            user.map(|user| user.fd.as_fd()),
        );
        let Ok(started) = spawner.send(order, &descriptors) else {
            return Ok(false);
        };
        let key = self.reactor.new_key();
        let asked = (started, spec.clone());
        let session = Session::ordered(key, waiter, asked, streams, kept.clone());
        self.sessions.insert(key, session);
        Ok(true)
    }

    /// The spawner could not make a child, or has ended.
    pub(super) fn spawner_ready(&mut self) {
        let Some(spawner) = &self.commands.spawner else {
            return;
        };
        let lives = spawner.listen();
        if !lives {
            self.reactor.remove(spawner.as_fd());
            self.commands.spawner = None;
            self.commands.ended += 1;
        }
        let lost: Vec<Key> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_unborn(lives))
            .map(|(key, _)| *key)
            .collect();
        for key in lost {
            self.ask_again(key);
        }
    }

    /// A child of the spawner has ended and has not executed anything. Another try tells why, in words.
    pub(super) fn ask_again(&mut self, key: Key) {
        let Some(mut session) = self.sessions.remove(&key) else {
            return;
        };
        let was_killed = session.progress() == Some(Progress::Begins) && session.exit.is_some();
        session.streams.close(&self.reactor);
        let Some((waiter, spec, kept)) = session.into_asked() else {
            return;
        };
        let again = if was_killed {
            let text = "the process died before it was executed";
            Err(refuse(Stage::Clone, text))
        } else {
            self.start_session(waiter, &spec, Some(kept))
        };
        if let Err(fault) = again {
            self.reply(waiter, Reply::Fault(fault));
        }
    }
}
