use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::connect::ConnectError;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::manifest;

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Only the version of this program
    #[arg(long)]
    client: bool,
    /// Format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    output: Option<VersionFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionFormat {
    Json,
    Yaml,
}

/// An engine is asked, never started: without one the client's version is all there is to say.
pub(crate) async fn version(context: &mut Context, args: VersionArgs) -> Result<(), Failure> {
    let client = env!("CARGO_PKG_VERSION");
    let engine = if args.client {
        None
    } else {
        engine_version(context).await?
    };
    let text = match args.output {
        None => {
            let engine_line = match (&engine, args.client) {
                (Some(engine), _) => format!("Engine Version: v{engine}\n"),
                (None, false) => "Engine Version: no engine is running\n".to_owned(),
                (None, true) => String::new(),
            };
            format!("Client Version: v{client}\n{engine_line}")
        }
        Some(VersionFormat::Json) => format!("{:#}\n", document(client, engine.as_deref())),
        Some(VersionFormat::Yaml) => manifest::to_yaml(&document(client, engine.as_deref())),
    };
    context.console.print(&text)
}

async fn engine_version(context: &mut Context) -> Result<Option<String>, Failure> {
    match context.client().await {
        Ok(engine) => Ok(Some(engine.engine_info().await?.version)),
        Err(Failure::Connect(ConnectError::NoEngine { .. })) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// In the words of `kubectl version`, which scripts read.
fn document(client: &str, engine: Option<&str>) -> Value {
    let version = |version: &str| json!({"gitVersion": format!("v{version}")});
    let mut document = json!({"clientVersion": version(client)});
    if let Some(engine) = engine {
        document["serverVersion"] = version(engine);
    }
    document
}
