//! Compiles `pause.rs`, and `../spawner/spawner.rs`, into static programs without a standard library, which
//! `binary.rs` includes.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/linux/pause/build.rs");
    println!("cargo::rerun-if-changed=src/linux/spawner/order.rs");
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    assert!(
        matches!(architecture.as_str(), "x86_64" | "aarch64"),
        "pause is written for x86_64 and aarch64, not for {architecture}"
    );
    compile("pause", "src/linux/pause/pause.rs");
    compile("spawner", "src/linux/spawner/spawner.rs");
    // podtui starts itself anew for every shim, container and command. As a program at a fixed address it has no
    // relocations: nothing to write at its start, and no pages of its own for every process.
    if variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn compile(name: &str, source: &str) {
    println!("cargo::rerun-if-changed={source}");
    let output = PathBuf::from(variable("OUT_DIR")).join(name);
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition", "2024", "--crate-type", "bin"])
        .args(["--crate-name", name])
        .args(["--target", &variable("TARGET")])
        .args(["-Cpanic=abort", "-Copt-level=z", "-Ccodegen-units=1"])
        .args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static"])
        .args(["-Cstrip=symbols", "-Clink-arg=-nostartfiles"])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-static"])
        .arg("-Clink-arg=-Wl,--build-id=none,-z,noseparate-code,-z,norelro,--gc-sections,-n")
        .arg("-o")
        .arg(&output)
        .arg(source);
    // The linker that cargo was told to use for the target, for cross builds.
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    let status = command.status().expect("run rustc for a small program");
    assert!(
        status.success(),
        "rustc could not compile {source}: {status}"
    );
}
