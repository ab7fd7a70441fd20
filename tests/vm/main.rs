//! The same binary on a machine that has nothing but cgroup v2, as most have today and the one this runs on
//! may not: a virtual one, emulated, with Debian's kernel (`run-v2`), in which `v2.sh` looks
//! at pods and `apparmor.sh` at profiles, which that kernel enforces.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program speaks to its reader"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `run-v2` ends with when this machine cannot build the virtual one.
const CANNOT: i32 = 125;

#[test]
fn pods_under_pure_cgroup_v2() {
    run("v2.sh", include_str!("v2.sh"), &[]);
}

#[test]
fn profiles_of_apparmor() {
    let parser = [("VM_PACKAGES", "apparmor")];
    run("apparmor.sh", include_str!("apparmor.sh"), &parser);
}

fn run(name: &str, script: &'static str, environment: &[(&str, &str)]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm");
    let output = Command::new(here.join("run-v2"))
        .arg(env!("CARGO_BIN_EXE_podtui"))
        .arg(here.join(name))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("run-v2 is a bash script");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(CANNOT) {
        println!("skipped: {}", complaint.trim());
        return;
    }
    print!("{said}");
    eprint!("{complaint}");

    let verdicts = verdicts(&said);
    let wanted = checks(script);
    // The script is read the way it is written: should that change, this must not pass with nothing seen.
    assert!(wanted.len() > 20, "checks of the script: {wanted:?}");
    let failed: Vec<&&str> = wanted
        .iter()
        .filter(|what| verdicts.get(**what) != Some(&"ok"))
        .collect();
    assert!(failed.is_empty(), "failed or never reached: {failed:#?}");
    assert!(said.contains("\n0 checks failed\n"));
    assert!(output.status.success(), "{}", output.status);
}

/// What the script checks, in its words.
fn checks(script: &'static str) -> Vec<&'static str> {
    script
        .lines()
        .filter_map(|line| line.strip_prefix("check \"")?.split('"').next())
        .collect()
}

/// What it found: `ok` or `FAILED`, by check.
fn verdicts(said: &str) -> BTreeMap<&str, &str> {
    said.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(verdict, what)| (what.trim_start(), verdict))
        .collect()
}
