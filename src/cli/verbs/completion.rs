use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::arguments::Arguments;
use crate::cli::context::Context;
use crate::cli::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn completion(context: &mut Context, args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "podtui", &mut script);
    context.console.write(&script)
}
