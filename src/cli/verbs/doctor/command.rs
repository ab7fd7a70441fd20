use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;

use super::checks::{all, clock, run_directory, space};
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
    let mut findings = all(&machine);
    findings.push(run_directory(&machine, &context.settings.run_dir));
    findings.push(space(
        free_space(&context.settings.state_dir),
        &context.settings.state_dir,
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

/// Bytes that a file of ours could still take, at the directory or its nearest existing parent.
fn free_space(directory: &Path) -> Option<u64> {
    let existing = directory.ancestors().find(|path| path.exists())?;
    // No file below /proc tells this; statvfs(3) only reads.
    let statistics = rustix::fs::statvfs(existing).ok()?;
    statistics.f_bavail.checked_mul(statistics.f_frsize)
}
