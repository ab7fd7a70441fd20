use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;
use rustix::fs::{Access, access};

use super::checks::{all, clock, configuration, run_directory, state_directory};
use super::finding::{Finding, Level};
use super::machine::Machine;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::printer::Table;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Only what is limited or missing
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Ends with an error when something essential is missing.
pub(crate) fn doctor(context: &mut Context, args: &DoctorArgs) -> Result<(), Failure> {
    let machine = Machine::at("/");
    let mut findings = configuration(&context.mistakes);
    findings.extend(all(&machine));
    findings.push(run_directory(&machine, &context.settings.run_dir));
    let state_dir = &context.settings.state_dir;
    findings.push(state_directory(
        free_space(state_dir),
        refusal(state_dir).as_deref(),
        state_dir,
    ));
    let installed = std::env::current_exe()
        .and_then(std::fs::metadata)
        .map(|metadata| metadata.mtime());
    findings.push(clock(
        context.console.moment().now.as_second(),
        installed.ok(),
    ));
    let worst = findings
        .iter()
        .map(|finding| finding.level)
        .max()
        .unwrap_or(Level::Ok);
    let text = report(&findings, args.quiet);
    context.console.print(&text)?;
    match worst {
        Level::Missing if context.mistakes.engine.is_some() => Err(Failure::local(
            "no engine can be started yet; see the lines that say missing",
        )),
        Level::Missing => Err(Failure::local(
            "this machine cannot run pods yet; see the lines that say missing",
        )),
        Level::Ok | Level::Limited => Ok(()),
    }
}

fn report(findings: &[Finding], quiet: bool) -> String {
    let mut table = Table::new(["CHECK", "RESULT", "FOUND", "MEND"]);
    for finding in findings
        .iter()
        .filter(|finding| !quiet || finding.level != Level::Ok)
    {
        table.push(vec![
            finding.subject.to_owned(),
            finding.level.word().to_owned(),
            finding.found.clone(),
            finding.mend.clone(),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    // Where there is nothing to mend the last column is empty and leaves blanks behind.
    let text = table.render(true);
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// Why nothing can be made in the directory, or in its nearest existing parent; `None` when it can.
fn refusal(directory: &Path) -> Option<String> {
    let existing = directory.ancestors().find(|path| path.exists())?;
    if !existing.is_dir() {
        return Some(format!("{} is no directory", existing.display()));
    }
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    let refused = access(existing, wanted).err()?;
    Some(std::io::Error::from(refused).to_string())
}

/// Bytes that a file of ours could still take, at the directory or its nearest existing parent.
fn free_space(directory: &Path) -> Option<u64> {
    let existing = directory.ancestors().find(|path| path.exists())?;
    // No file below /proc tells this; statvfs(3) only reads.
    let statistics = rustix::fs::statvfs(existing).ok()?;
    statistics.f_bavail.checked_mul(statistics.f_frsize)
}
