use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::write::{DryRun, WriteArgs, local_object};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::Validate;
use crate::model::{Kind, ObjectKey};

/// `--from-literal`, `--from-file`, `--from-env-file`.
#[derive(Debug, Default, Args)]
struct DataArgs {
    /// A key and its value: key=value
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file, or a directory of files: [key=]path
    #[arg(long, value_name = "[KEY=]PATH")]
    from_file: Vec<String>,
    /// A file of KEY=VALUE lines
    #[arg(long, value_name = "PATH", conflicts_with_all = ["from_literal", "from_file"])]
    from_env_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ConfigMapArgs {
    name: String,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamespaceArgs {
    name: String,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServiceAccountArgs {
    name: String,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    kind: SecretKind,
}

#[derive(Debug, Subcommand)]
enum SecretKind {
    /// Any keys and values
    Generic {
        name: String,
        #[command(flatten)]
        data: DataArgs,
        /// The type of the secret
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// A certificate and its key
    Tls {
        name: String,
        /// PEM file of the certificate
        #[arg(long)]
        cert: PathBuf,
        /// PEM file of the private key
        #[arg(long)]
        key: PathBuf,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Credentials of a registry
    DockerRegistry {
        name: String,
        #[arg(long, default_value = "https://index.docker.io/v1/")]
        docker_server: String,
        #[arg(long)]
        docker_username: String,
        #[arg(long)]
        docker_password: String,
        #[arg(long, default_value = "")]
        docker_email: String,
        #[command(flatten)]
        write: WriteArgs,
    },
}

pub(super) async fn config_map(context: &mut Context, args: ConfigMapArgs) -> Result<(), Failure> {
    let bytes = collect(&args.data, "ConfigMap", &args.name)?;
    let (mut data, mut binary) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in bytes {
        match String::from_utf8(value) {
            Ok(text) => {
                data.insert(key, text);
            }
            Err(error) => {
                binary.insert(key, STANDARD.encode(error.as_bytes()));
            }
        }
    }
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    if !data.is_empty() {
        object["data"] = json!(data);
    }
    if !binary.is_empty() {
        object["binaryData"] = json!(binary);
    }
    send(context, Kind::ConfigMap, &args.name, object, &args.write).await
}

pub(super) async fn namespace(context: &mut Context, args: NamespaceArgs) -> Result<(), Failure> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace"});
    send(context, Kind::Namespace, &args.name, object, &args.write).await
}

pub(super) async fn service_account(
    context: &mut Context,
    args: ServiceAccountArgs,
) -> Result<(), Failure> {
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount"});
    let kind = Kind::ServiceAccount;
    send(context, kind, &args.name, object, &args.write).await
}

pub(super) async fn secret(context: &mut Context, args: SecretArgs) -> Result<(), Failure> {
    let (name, kind, data, write) = match args.kind {
        SecretKind::Generic {
            name,
            data,
            kind,
            write,
        } => {
            let bytes = collect(&data, "Secret", &name)?;
            (
                name,
                kind.unwrap_or_else(|| "Opaque".to_owned()),
                bytes,
                write,
            )
        }
        SecretKind::Tls {
            name,
            cert,
            key,
            write,
        } => {
            let bytes = BTreeMap::from([
                ("tls.crt".to_owned(), read(&cert)?),
                ("tls.key".to_owned(), read(&key)?),
            ]);
            (name, "kubernetes.io/tls".to_owned(), bytes, write)
        }
        SecretKind::DockerRegistry {
            name,
            docker_server,
            docker_username,
            docker_password,
            docker_email,
            write,
        } => {
            let auth = STANDARD.encode(format!("{docker_username}:{docker_password}"));
            let mut entry = json!({"username": docker_username, "password": docker_password});
            if !docker_email.is_empty() {
                entry["email"] = Value::String(docker_email);
            }
            entry["auth"] = Value::String(auth);
            let text = json!({"auths": {docker_server: entry}}).to_string();
            let bytes = BTreeMap::from([(".dockerconfigjson".to_owned(), text.into_bytes())]);
            (
                name,
                "kubernetes.io/dockerconfigjson".to_owned(),
                bytes,
                write,
            )
        }
    };
    let encoded: BTreeMap<String, String> = data
        .into_iter()
        .map(|(key, value)| (key, STANDARD.encode(value)))
        .collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "type": kind});
    if !encoded.is_empty() {
        object["data"] = json!(encoded);
    }
    send(context, Kind::Secret, &name, object, &write).await
}

async fn send(
    context: &mut Context,
    kind: Kind,
    name: &str,
    mut object: Value,
    write: &WriteArgs,
) -> Result<(), Failure> {
    object["metadata"] = json!({"name": name});
    let key = ObjectKey::new(kind, &context.namespace(), name);
    // As kubectl prints it: the namespace of the moment is no part of what may be applied anywhere.
    let namespace = match write.dry_run {
        DryRun::Client => context.given_namespace.clone().and(key.namespace.clone()),
        DryRun::None | DryRun::Server => key.namespace.clone(),
    };
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = Value::String(namespace);
    }
    if write.dry_run == DryRun::Client {
        let object = local_object(&key, &object)?;
        return write.report(&mut context.console, &key, "created", Some(&object));
    }
    let client = context.client().await?;
    let written = client
        .create(object, write.options(Validate::Strict))
        .await
        .map_err(|mut error| {
            let (kind, message) = (kind.singular(), &error.message);
            error.message = format!("failed to create {kind} {message}");
            Failure::Api(error)
        })?;
    context.console.warnings(&written.warnings);
    write.report(&mut context.console, &key, "created", Some(&written.object))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::local(format!("error reading {}: {error}", path.display())))
}

type Bytes = BTreeMap<String, Vec<u8>>;

fn collect(args: &DataArgs, kind: &str, name: &str) -> Result<Bytes, Failure> {
    let mut data = Bytes::new();
    let mut add = |key: &str, value: Vec<u8>| {
        if !is_valid_key(key) {
            return Err(Failure::local(format!(
                "\"{key}\" is not valid key name for a {kind}: a valid config key must consist of alphanumeric characters, '-', \
                 '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            )));
        }
        if data.insert(key.to_owned(), value).is_some() {
            return Err(Failure::local(format!(
                "cannot add key \"{key}\", another key by that name already exists in Data for {kind} \"{name}\""
            )));
        }
        Ok(())
    };
    for literal in &args.from_literal {
        let (key, value) = literal
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Failure::local(format!(
                    "invalid literal source {literal}, expected key=value"
                ))
            })?;
        add(key, value.as_bytes().to_vec())?;
    }
    for source in &args.from_file {
        let (key, path) = match source.split_once('=') {
            Some((key, path)) => (Some(key), Path::new(path)),
            None => (None, Path::new(source)),
        };
        if path.is_dir() {
            if key.is_some() {
                return Err(Failure::local(
                    "cannot give a key name for a directory path",
                ));
            }
            for (name, path) in directory_files(path)? {
                add(&name, read(&path)?)?;
            }
            continue;
        }
        let base = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        add(key.unwrap_or(&base), read(path)?)?;
    }
    for path in &args.from_env_file {
        let text = String::from_utf8(read(path)?).map_err(|_| {
            Failure::local(format!(
                "env file {} contains invalid utf8 bytes",
                path.display()
            ))
        })?;
        for (key, value) in env_lines(&text) {
            add(&key, value.into_bytes())?;
        }
    }
    Ok(data)
}

fn is_valid_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 253
        && key != "."
        && key != ".."
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Regular files with a usable name; sub-directories, links and devices are skipped.
fn directory_files(directory: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::local(format!(
            "error listing files in {}: {error}",
            directory.display()
        ))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(failed)?.is_file() && is_valid_key(&name) {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// `KEY=VALUE` lines; comments and empty lines are skipped, a line without `=` takes the value from the
/// environment of this process, if it has one.
fn env_lines(text: &str) -> Vec<(String, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| match line.split_once('=') {
            Some((key, value)) => Some((key.to_owned(), value.to_owned())),
            None => std::env::var(line)
                .ok()
                .map(|value| (line.to_owned(), value)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_have_comments_and_plain_values() {
        let lines = env_lines("\u{feff}# c\n  A=1\nB=\"x\"\n\nC=a=b\nNOT_SET_ANYWHERE_X\n");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            lines,
            [pair("A", "1"), pair("B", "\"x\""), pair("C", "a=b")]
        );
    }

    #[test]
    fn keys_are_unique_and_valid() {
        let collect = |literals: &[&str]| {
            let from_literal = literals.iter().map(|&literal| literal.to_owned()).collect();
            let args = DataArgs {
                from_literal,
                ..DataArgs::default()
            };
            super::collect(&args, "ConfigMap", "c")
        };
        assert_eq!(collect(&["a=1", "b=2=3"]).unwrap()["b"], b"2=3");
        assert_eq!(
            collect(&["a=1", "a=2"]).unwrap_err().text(),
            "error: cannot add key \"a\", another key by that name already exists in Data for ConfigMap \"c\""
        );
        assert!(
            collect(&["a b=1"])
                .unwrap_err()
                .text()
                .starts_with("error: \"a b\" is not valid key name for a ConfigMap")
        );
        assert_eq!(
            collect(&["a"]).unwrap_err().text(),
            "error: invalid literal source a, expected key=value"
        );
    }
}
