//! podtui runs Kubernetes Pods on the machine in front of you and shows them in one terminal.
//!
//!
//! Data runs one way: manifest → admission → store → engine → runtime → status → store → views.

mod admission;
mod base;
mod cli;
mod client;
mod config;
mod engine;
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

fn main() {}
