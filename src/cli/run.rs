use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::{Arguments, Command};
use super::connect::{ConnectError, Connector, find_engine, find_or_start_engine};
use super::console::Console;
use super::context::Context;
use super::failure::Failure;
use super::verbs;
use crate::base::chain;
use crate::config::{ConfigError, Settings};

/// Runs one verb to its end. The engine of the settings is looked for, and started in the background where
/// the verb needs it; not with a `mistake` in `config.toml`, but with an engine that runs the verb does its
/// work all the same. `problems` tells what is wrong with the files of the screen in a directory.
///
/// `Serve` and the screen are not verbs of this room; `main` has taken them before.
pub(crate) fn run(
    arguments: Arguments,
    settings: &Settings,
    mistake: Option<ConfigError>,
    problems: fn(&Path) -> Vec<String>,
) -> ExitCode {
    let mut console = Console::process();
    // One thread: a command waits for one connection, and a second thread would cost more than it saves.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            console.note(&format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let Some(command) = arguments.command else {
        return ExitCode::SUCCESS;
    };
    let mistake = mistake.map(Arc::new);
    let connector = default_connector(settings, mistake.clone(), &command);
    let mut context = Context::new(
        settings.clone(),
        console,
        arguments.global.namespace,
        connector,
    );
    context.mistakes.engine = mistake.map(|mistake| chain(&*mistake));
    if matches!(command, Command::Doctor(_)) {
        context.mistakes.screen = problems(&settings.config_dir);
    }
    let result = runtime.block_on(dispatch(&mut context, command));
    // A thread that reads standard input may be blocked for good; the runtime must not wait for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&mut context.console);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn default_connector(
    settings: &Settings,
    mistake: Option<Arc<ConfigError>>,
    command: &Command,
) -> Connector {
    let settings = settings.clone();
    // Asking for the engine, or ending it, must not start one.
    let only_find = matches!(command, Command::Engine(_) | Command::Version(_));
    Connector::new(move || {
        let (settings, mistake) = (settings.clone(), mistake.clone());
        Box::pin(async move {
            let mut console = Console::process();
            if let Some(mistake) = mistake {
                let found = find_engine(&settings).await;
                let starts = !only_find && matches!(found, Err(ConnectError::NoEngine { .. }));
                if starts {
                    return Err(ConnectError::Configuration(mistake));
                }
                console.note(&format!(
                    "Warning: {}; until that is mended the engine keeps what it has read, and none can be started",
                    chain(&*mistake)
                ));
                return found;
            }
            if only_find {
                return find_engine(&settings).await;
            }
            find_or_start_engine(&settings, |line| console.note(line)).await
        })
    })
}

pub(super) async fn dispatch(context: &mut Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Tui(_) | Command::Serve(_) => Err(Failure::local(
            "this command is started by the program itself",
        )),
        Command::Apply(args) => verbs::apply(context, args).await,
        Command::Diff(args) => verbs::diff(context, args).await,
        Command::Create(args) => verbs::create(context, args).await,
        Command::Edit(args) => verbs::edit(context, args).await,
        Command::Replace(args) => verbs::replace(context, args).await,
        Command::Patch(args) => verbs::patch(context, args).await,
        Command::Delete(args) => verbs::delete(context, args).await,
        Command::Get(args) => verbs::get(context, args).await,
        Command::Describe(args) => verbs::describe(context, args).await,
        Command::Events(args) => verbs::events(context, args).await,
        Command::Logs(args) => verbs::logs(context, args).await,
        Command::Exec(args) => verbs::exec(context, args).await,
        Command::Cp(args) => verbs::cp(context, args).await,
        Command::Attach(args) => verbs::attach(context, args).await,
        Command::Debug(args) => verbs::debug(context, args).await,
        Command::Explain(args) => verbs::explain(context, &args),
        Command::Wait(args) => verbs::wait(context, args).await,
        Command::Run(args) => verbs::run(context, args).await,
        Command::Label(args) => verbs::label(context, args).await,
        Command::Annotate(args) => verbs::annotate(context, args).await,
        Command::Cordon(args) => verbs::cordon(context, args, true).await,
        Command::Uncordon(args) => verbs::cordon(context, args, false).await,
        Command::Taint(args) => verbs::taint(context, args).await,
        Command::Top(args) => verbs::top(context, args).await,
        Command::Image(args) => verbs::image(context, args).await,
        Command::Login(args) => verbs::login(context, args).await,
        Command::Logout(args) => verbs::logout(context, &args),
        Command::System(args) => verbs::system(context, args).await,
        Command::Engine(args) => verbs::engine(context, args).await,
        Command::Doctor(args) => verbs::doctor(context, &args),
        Command::Completion(args) => verbs::completion(context, &args),
        Command::Version(args) => verbs::version(context, args).await,
    }
}

/// Says why a process that is no verb (the screen, `serve`) ended, in the way verbs say it.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    Console::process().note(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
