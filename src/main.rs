//! podtui runs Kubernetes Pods on the machine in front of you and shows them in one terminal.
//!
//! Data runs one way: manifest → admission → store → engine → runtime → status → store → views. Every room
//! below documents itself in its `mod.rs`; `tests/tidy.rs` holds the table of who may import whom.
//!
//! One binary, four kinds of process. `podtui __shim` is the single-threaded parent of one pod, decided here
//! before any thread, logger or runtime exists; `podtui __tty` is decided there, too, and becomes a program in a
//! terminal pane, and so is `podtui __watch`, which gives the terminal of a killed screen back. The process that holds the lock of a state directory owns the
//! engine ([`host`]), be it the screen or `podtui serve`. Everything else is a client of its socket.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "a test may panic and says why it skips"
    )
)]

mod admission;
mod base;
mod cli;
mod client;
mod config;
mod engine;
mod host;
mod image;
mod linux;
mod logs;
mod manifest;
mod model;
mod network;
mod printer;
mod probe;
mod runtime;
mod server;
mod shim;
mod store;
mod telemetry;
mod tui;
mod volume;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Command};
use crate::config::{Loaded, Settings};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == "__shim" => return shim::run(words),
        Some(word) if word == host::TTY => return host::become_program(words),
        Some(word) if word == host::WATCH => return host::watch_terminal(),
        Some(word)
            if word == "serve" && words.next().is_some_and(|next| next == "--background") =>
        {
            // Nothing is open yet but what the first caller had open, locks and pipes among it.
            host::close_inherited();
        }
        _ => {}
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => return cli::usage(&message),
    };
    let screen = match arguments.screen() {
        Ok(screen) => screen,
        Err(message) => return cli::usage(&message),
    };
    let Loaded { settings, mistake } = match Settings::load(&arguments.global.overrides()) {
        Ok(loaded) => loaded,
        Err(error) => return cli::fail(&error.into()),
    };
    let done = |()| ExitCode::SUCCESS;
    let outcome = match &arguments.command {
        None | Some(Command::Tui(_)) if screen.replay.is_some() => {
            host::replay(&settings, &screen).map(done)
        }
        None | Some(Command::Tui(_)) => host::screen(
            &settings,
            mistake,
            arguments.global.namespace.clone(),
            &screen,
        ),
        Some(Command::Serve(serve)) => match mistake {
            Some(mistake) => Err(mistake.into()),
            None => host::serve(&settings, serve.background).map(done),
        },
        Some(_) => return cli::run(arguments, &settings, mistake, tui::personal_problems),
    };
    outcome.unwrap_or_else(|error| cli::fail(&error))
}
