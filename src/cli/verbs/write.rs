use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::files::Validate;
use crate::cli::output::{Format, render};
use crate::client::WriteOptions;
use crate::model::{Object, ObjectKey};

/// `--dry-run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum DryRun {
    #[default]
    None,
    /// Print what would be sent
    Client,
    /// Let the server check everything and change nothing
    Server,
}

/// Flags of every verb that writes objects.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WriteArgs {
    /// Change nothing: check here (client), or let the server check everything (server)
    #[arg(long, value_enum, default_value = "none", num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    pub(super) dry_run: DryRun,
    /// Print the written objects: yaml, json, name, jsonpath=…, …
    #[arg(short = 'o', long, value_name = "FORMAT")]
    pub(super) output: Option<Format>,
}

impl WriteArgs {
    pub(super) fn options(&self, validate: Validate) -> WriteOptions {
        WriteOptions {
            dry_run: self.dry_run == DryRun::Server,
            field_validation: validate.on_server(),
            ..WriteOptions::default()
        }
    }

    /// `pod/web created (server dry run)`, or the object in the chosen format.
    pub(super) fn report(
        &self,
        console: &mut Console,
        key: &ObjectKey,
        done: &str,
        object: Option<&Object>,
    ) -> Result<(), Failure> {
        match (&self.output, object) {
            (Some(format), Some(object)) if !format.is_table() => {
                console.print(&render(format, std::slice::from_ref(object), true)?)
            }
            _ => {
                let suffix = match self.dry_run {
                    DryRun::None => "",
                    DryRun::Client => " (dry run)",
                    DryRun::Server => " (server dry run)",
                };
                console.print(&format!("{key} {done}{suffix}\n"))
            }
        }
    }
}

/// The object that a client-side dry run shows: the manifest as it is, decoded.
pub(super) fn local_object(key: &ObjectKey, value: &Value) -> Result<Object, Failure> {
    Object::from_value(key.kind, value.clone()).map_err(|error| Failure::local(error.to_string()))
}
