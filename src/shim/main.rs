use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use super::fault::{At, error_text, refuse};
use super::sandbox::Sandbox;
use super::server::Shim;
use super::template::Template;
use super::{cleanup, factory};
use crate::linux::clone::{Namespaces, SingleThreaded};
use crate::linux::signal::{self, ChildSignals};
use crate::linux::{mount, ns, proc};
use crate::wire::{Fault, SandboxSpec, ShimAnswer, Stage};

/// More than any specification needs.
const MAX_INPUT: u64 = 16 << 20;

/// The shim's `main`. `args` are those after `__shim`.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let mode = match args.as_slice() {
        [] => serve_one,
        [mode] if mode == "--cleanup" => clean_up,
        [mode] if mode == "--factory" => factory::run,
        _ => {
            let fault = refuse(Stage::Request, "unknown arguments of __shim");
            return answer_last(&ShimAnswer::Fault(fault));
        }
    };
    // Whatever an ancestor forgot to close is not ours. Nothing has been opened yet.
    match proc::close_from(3).at(Stage::State, "close inherited descriptors") {
        Ok(()) => mode(),
        Err(fault) => answer_last(&ShimAnswer::Fault(fault)),
    }
}

fn serve_one() -> ExitCode {
    let shim = read_input::<SandboxSpec>()
        .and_then(|spec| Template::new().and_then(|template| build(spec, template)));
    match shim {
        Ok(shim) => serve(shim, &mut io::stdout()),
        Err(fault) => answer_last(&ShimAnswer::Fault(fault)),
    }
}

fn clean_up() -> ExitCode {
    match read_input().and_then(|what| cleanup::run(&what)) {
        Ok(()) => answer_last(&ShimAnswer::Done(())),
        Err(fault) => answer_last(&ShimAnswer::Fault(fault)),
    }
}

fn read_input<T: serde::de::DeserializeOwned>() -> Result<T, Fault> {
    let mut text = Vec::new();
    io::stdin()
        .take(MAX_INPUT)
        .read_to_end(&mut text)
        .at(Stage::Request, "read standard input")?;
    serde_json::from_slice(&text)
        .map_err(|error| refuse(Stage::Request, format!("read the specification: {error}")))
}

/// Writes one line. The reader may have gone, which changes nothing here.
pub(super) fn answer(to: &mut dyn Write, answer: &ShimAnswer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = to.write_all(&line).and_then(|()| to.flush());
    }
}

fn answer_last(last: &ShimAnswer) -> ExitCode {
    answer(&mut io::stdout(), last);
    match last {
        ShimAnswer::Fault(_) => ExitCode::FAILURE,
        ShimAnswer::Ready(_) | ShimAnswer::Done(()) => ExitCode::SUCCESS,
    }
}

/// Makes this process a shim and builds its sandbox.
pub(super) fn build(spec: SandboxSpec, template: Template) -> Result<Shim, Fault> {
    let witness = SingleThreaded::check().at(Stage::Clone, "look for threads")?;
    let (mounts, notes) = become_shim()?;
    let child_signals = ChildSignals::new().at(Stage::State, "listen for signals")?;
    let sandbox = Sandbox::build(spec, template, mounts, notes, &witness)?;
    sandbox.serve(child_signals)
}

/// Cuts the ties to whoever started this process.
fn become_shim() -> Result<([OwnedFd; 2], Vec<String>), Fault> {
    let mut notes = Vec::new();
    signal::reset_for_exec().at(Stage::State, "reset signals")?;
    signal::block_all().at(Stage::State, "block signals")?;
    proc::new_session().at(Stage::State, "start a session")?;
    proc::become_subreaper().at(Stage::State, "become subreaper")?;
    proc::make_undumpable().at(Stage::State, "become undumpable")?;
    proc::set_umask(0o077);
    std::env::set_current_dir("/").at(Stage::State, "go to /")?;
    // Only what `ps` shows.
    let _ = proc::set_name(c"podtui-shim");
    if let Err(error) = proc::set_oom_score_adj(-999) {
        notes.push(format!(
            "oom_score_adj -999 of the shim refused: {}",
            error_text(&error)
        ));
    }
    let namespace = || File::open("/proc/self/ns/mnt").map(OwnedFd::from);
    let machine = namespace().at(Stage::Namespaces, "open the mount namespace")?;
    ns::unshare(Namespaces::MOUNT).at(Stage::Namespaces, "make a mount namespace")?;
    mount::make_all_slaves().at(Stage::Namespaces, "detach from the machine's mounts")?;
    let own = namespace().at(Stage::Namespaces, "open the mount namespace")?;
    Ok(([machine, own], notes))
}

/// Tells that the sandbox is ready and serves it to its end.
pub(super) fn serve(mut shim: Shim, to: &mut dyn Write) -> ExitCode {
    answer(to, &ShimAnswer::Ready(Box::new(shim.state())));
    // Without /dev/null the old streams stay, which harms nobody.
    let _ = proc::silence();
    match shim.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
