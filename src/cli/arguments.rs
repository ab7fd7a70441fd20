use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::verbs;
use crate::config::{OnExit, Overrides};

/// Options of every verb stand behind the verb's own in its help.
const GLOBAL: &str = "Global options";

/// Runs Kubernetes Pods on this machine and shows them in one terminal.
///
/// Without a command the screen opens.
#[derive(Debug, Parser)]
#[command(name = "podtui", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(flatten)]
    pub(crate) screen: TuiArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GlobalArguments {
    /// Namespace of the request
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE", help_heading = GLOBAL)]
    pub(crate) namespace: Option<String>,
    /// Objects, images and logs [env: PODTUI_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true, help_heading = GLOBAL)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Sockets and running pods [env: PODTUI_RUN_DIR]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true, help_heading = GLOBAL)]
    pub(crate) run_dir: Option<PathBuf>,
    /// config.toml, keys.toml and themes [env: PODTUI_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true, help_heading = GLOBAL)]
    pub(crate) config_dir: Option<PathBuf>,
    /// What podtui writes into its own log: error, warn, info, debug, or per room [env: PODTUI_LOG]
    #[arg(long, global = true, value_name = "LEVEL", hide_short_help = true, help_heading = GLOBAL)]
    pub(crate) log_level: Option<String>,
    /// What leaving the screen does with running pods
    #[arg(long, global = true, value_enum, hide_short_help = true, help_heading = GLOBAL)]
    pub(crate) on_exit: Option<OnExitArgument>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExitArgument {
    Ask,
    Keep,
    Stop,
}

impl GlobalArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            state_dir: self.state_dir.clone(),
            run_dir: self.run_dir.clone(),
            config_dir: self.config_dir.clone(),
            log_level: self.log_level.clone(),
            on_exit: self.on_exit.map(|choice| match choice {
                OnExitArgument::Ask => OnExit::Ask,
                OnExitArgument::Keep => OnExit::Keep,
                OnExitArgument::Stop => OnExit::Stop,
            }),
        }
    }
}

impl Arguments {
    /// The options of the screen; `Err` where they stand beside a verb that has no screen, or contradict others.
    pub(crate) fn screen(&self) -> Result<TuiArgs, clap::Error> {
        let refuse =
            |text: &str| Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, text));
        let below = match &self.command {
            Some(Command::Tui(screen)) => screen.clone(),
            None => TuiArgs::default(),
            Some(_) if self.screen.readonly => {
                return refuse("--readonly is an option of the screen; it does nothing to a verb");
            }
            Some(_) if self.screen.record.is_some() => {
                return refuse("--record is an option of the screen; it does nothing to a verb");
            }
            Some(_) if self.screen.replay.is_some() => {
                return refuse("--replay is an option of the screen; it does nothing to a verb");
            }
            Some(_) => return Ok(TuiArgs::default()),
        };
        let readonly = self.screen.readonly || below.readonly;
        if readonly && self.global.on_exit == Some(OnExitArgument::Stop) {
            return refuse(
                "--readonly changes nothing, so it cannot stop the pods: leave out --on-exit stop",
            );
        }
        let record = below.record.or_else(|| self.screen.record.clone());
        let replay = below.replay.or_else(|| self.screen.replay.clone());
        if replay.is_some() && (record.is_some() || readonly) {
            return refuse(
                "--replay shows a recording and nothing else: leave out --record and --readonly",
            );
        }
        Ok(TuiArgs {
            readonly,
            record,
            replay,
        })
    }
}

/// The verbs. [`Command::Serve`] and the screen (no command, or [`Command::Tui`]) are run by `main`, all
/// others by [`super::run`].
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open the screen (the same as no command)
    Tui(TuiArgs),
    /// Create or change objects so that they are as the manifests say
    Apply(verbs::ApplyArgs),
    /// Show what apply would change
    Diff(verbs::DiffArgs),
    /// Create objects from manifests, or a namespace, config map, secret or service account from arguments
    Create(verbs::CreateArgs),
    /// Change objects in your editor
    Edit(verbs::EditArgs),
    /// Replace objects by the manifests
    Replace(verbs::ReplaceArgs),
    /// Change single fields of objects
    Patch(verbs::PatchArgs),
    /// Delete objects by name, selector or manifest
    Delete(verbs::DeleteArgs),
    /// Show objects in a table or another format
    Get(verbs::GetArgs),
    /// Show objects in detail, with their events
    Describe(verbs::DescribeArgs),
    /// List events
    Events(verbs::EventsArgs),
    /// Print the logs of containers
    Logs(verbs::LogsArgs),
    /// Run a command in a container
    Exec(verbs::ExecArgs),
    /// Copy files from and to containers
    Cp(verbs::CpArgs),
    /// Connect to the main process of a container
    Attach(verbs::AttachArgs),
    /// Look into a running pod with a container of your own
    Debug(verbs::DebugArgs),
    /// Say which fields a kind has
    Explain(verbs::ExplainArgs),
    /// Wait until objects meet a condition
    Wait(verbs::WaitArgs),
    /// Run one image as a pod
    Run(verbs::RunArgs),
    /// Change labels
    Label(verbs::LabelArgs),
    /// Change annotations
    Annotate(verbs::AnnotateArgs),
    /// Keep new pods off a node
    Cordon(verbs::CordonArgs),
    /// Let pods come to a node again
    Uncordon(verbs::CordonArgs),
    /// Change the taints of nodes
    Taint(verbs::TaintArgs),
    /// Show CPU and memory use
    Top(verbs::TopArgs),
    /// Images of the local store
    Image(verbs::ImageArgs),
    /// Log in to a registry, for all pulls from now on
    Login(verbs::LoginArgs),
    /// Log out of a registry
    Logout(verbs::LogoutArgs),
    /// What podtui keeps on the disk
    System(verbs::SystemArgs),
    /// Run the engine without a screen
    Serve(ServeArgs),
    /// The engine in the background
    Engine(verbs::EngineArgs),
    /// Say what this machine can and cannot do, and how to mend it
    Doctor(verbs::DoctorArgs),
    /// Write a completion script for a shell
    Completion(verbs::CompletionArgs),
    /// Print the versions of this program and of the engine
    Version(verbs::VersionArgs),
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TuiArgs {
    /// The screen only shows: no change, no shell, no attach, no $EDITOR
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Record everything the screen shows to a new file, as asciicast v2
    #[arg(long, value_name = "FILE.cast")]
    pub(crate) record: Option<PathBuf>,
    /// Play a recording of the screen, without an engine: space stops, arrows skip, q leaves
    #[arg(long, value_name = "FILE.cast")]
    pub(crate) replay: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Leave the terminal, and end after 30 s without pods and clients
    #[arg(long)]
    pub(crate) background: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_readonly(line: &[&str], expected: Option<bool>) {
        let arguments = Arguments::try_parse_from(line).unwrap();
        let readonly = arguments.screen().ok().map(|screen| screen.readonly);
        assert_eq!(readonly, expected, "{line:?}");
    }

    #[test]
    fn readonly_belongs_to_the_screen() {
        check_readonly(&["podtui"], Some(false));
        check_readonly(&["podtui", "--readonly"], Some(true));
        check_readonly(&["podtui", "tui", "--readonly"], Some(true));
        check_readonly(&["podtui", "--readonly", "tui"], Some(true));
        check_readonly(&["podtui", "--readonly", "get", "pods"], None);
        check_readonly(&["podtui", "--readonly", "--on-exit", "stop"], None);
        check_readonly(&["podtui", "get", "pods"], Some(false));
    }

    #[track_caller]
    fn check_record(line: &[&str], expected: Result<Option<&str>, ()>) {
        let arguments = Arguments::try_parse_from(line).unwrap();
        let record = arguments.screen().map(|screen| screen.record);
        let expected = expected.map(|path| path.map(PathBuf::from));
        assert_eq!(record.map_err(|_| ()), expected, "{line:?}");
    }

    #[test]
    fn only_the_screen_is_recorded() {
        check_record(&["podtui"], Ok(None));
        check_record(&["podtui", "--record", "a"], Ok(Some("a")));
        check_record(&["podtui", "tui", "--record", "a"], Ok(Some("a")));
        check_record(&["podtui", "--record", "a", "tui"], Ok(Some("a")));
        check_record(&["podtui", "get", "pods"], Ok(None));
        check_record(&["podtui", "--record", "a", "get", "pods"], Err(()));
    }

    #[test]
    fn a_replay_is_nothing_but_that() {
        let replay = |line: &[&str]| {
            let screen = Arguments::try_parse_from(line).unwrap().screen();
            screen.map(|screen| screen.replay).map_err(|_| ())
        };
        assert_eq!(replay(&["podtui", "--replay", "a"]), Ok(Some("a".into())));
        assert_eq!(
            replay(&["podtui", "tui", "--replay", "a"]),
            Ok(Some("a".into()))
        );
        assert_eq!(replay(&["podtui", "--replay", "a", "get", "pods"]), Err(()));
        assert_eq!(
            replay(&["podtui", "--replay", "a", "--record", "b"]),
            Err(())
        );
        assert_eq!(replay(&["podtui", "--replay", "a", "--readonly"]), Err(()));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_flags_may_follow_the_verb() {
        let arguments =
            Arguments::try_parse_from(["podtui", "get", "po", "-n", "x", "--state-dir", "/s"])
                .unwrap();
        assert_eq!(arguments.global.namespace.as_deref(), Some("x"));
        assert_eq!(arguments.global.overrides().state_dir, Some("/s".into()));
    }
}
