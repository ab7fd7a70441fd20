//! `login` and `logout`: credentials of registries in the file that docker uses, too.

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::base::Login;
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// What docker calls its hub in the file.
const HUB: &str = "https://index.docker.io/v1/";
const PASSWORD_MAX: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// HOST or HOST:PORT, as in image names
    #[arg(default_value = "docker.io")]
    registry: String,
    #[arg(short = 'u', long)]
    username: Option<String>,
    /// Others see it in the list of processes
    #[arg(short = 'p', long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Take the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// HOST or HOST:PORT, as in image names
    #[arg(default_value = "docker.io", conflicts_with = "all")]
    registry: String,
    /// Out of every registry
    #[arg(short = 'a', long)]
    all: bool,
}

/// The registry is asked before anything is written.
pub(crate) async fn login(context: &mut Context, args: LoginArgs) -> Result<(), Failure> {
    check_registry(&args.registry)?;
    let username = args
        .username
        .clone()
        .filter(|name| !name.is_empty() && !name.contains(':'))
        .ok_or_else(|| Failure::local("give the name of the user with --username"))?;
    let password = password(context, &args)?;
    let login = Login { username, password };
    let file = File::of_user()?;
    // A file that cannot be read is no reason to ask the registry for nothing.
    let mut document = file.read()?;
    let client = context.client().await?;
    client.check_login(&args.registry, &login).await?;
    let auth = STANDARD.encode(format!("{}:{}", login.username, login.password));
    let auths = auths(&mut document, &file)?;
    auths.insert(key(&args.registry), json!({"auth": auth}));
    file.write(&document)?;
    let path = file.path.display();
    context.console.note(&format!(
        "The password stands in {path}, readable for you alone."
    ));
    context.console.print("Login Succeeded\n")
}

pub(crate) fn logout(context: &mut Context, args: &LogoutArgs) -> Result<(), Failure> {
    let file = File::of_user()?;
    let mut document = file.read()?;
    let known = auths(&mut document, &file)?;
    let gone: Vec<String> = match args.all {
        true => known.keys().cloned().collect(),
        false => {
            let names = [key(&args.registry), args.registry.clone()];
            known
                .keys()
                .filter(|name| names.contains(name))
                .cloned()
                .collect()
        }
    };
    if gone.is_empty() {
        let what = if args.all {
            "any registry"
        } else {
            &args.registry
        };
        return Err(Failure::local(format!(
            "not logged in to {what} ({} has no such entry)",
            file.path.display()
        )));
    }
    known.retain(|name, _| !gone.contains(name));
    file.write(&document)?;
    for name in gone {
        context
            .console
            .print(&format!("Removed login credentials for {name}\n"))?;
    }
    Ok(())
}

fn password(context: &mut Context, args: &LoginArgs) -> Result<String, Failure> {
    if let Some(password) = &args.password {
        return Ok(password.clone());
    }
    if !args.password_stdin || context.console.input_is_terminal {
        return Err(Failure::local(
            "give the password on standard input with --password-stdin, e.g. from a file: podtui login -u NAME --password-stdin < FILE",
        ));
    }
    let mut text = String::new();
    if let Some(input) = context.console.take_input() {
        input
            .take(PASSWORD_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::local(format!("cannot read the password: {error}")))?;
    }
    // As docker: line ends are of the file, not of the password.
    let password = text.trim_end_matches(['\n', '\r']).to_owned();
    if password.is_empty() {
        return Err(Failure::local("standard input holds no password"));
    }
    Ok(password)
}

fn check_registry(registry: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !registry.is_empty() && registry.bytes().all(allowed) {
        return Ok(());
    }
    Err(Failure::local(format!(
        "\"{registry}\" is no registry: write HOST or HOST:PORT, as in image names"
    )))
}

fn key(registry: &str) -> String {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        other => other.to_owned(),
    }
}

fn auths<'a>(document: &'a mut Value, file: &File) -> Result<&'a mut Map<String, Value>, Failure> {
    let bad = || {
        let path = file.path.display();
        Failure::local(format!(
            "{path}: it is not what docker and podman write: mend or remove it"
        ))
    };
    let root = document.as_object_mut().ok_or_else(bad)?;
    let auths = root.entry("auths").or_insert_with(|| json!({}));
    auths.as_object_mut().ok_or_else(bad)
}

/// The file with the credentials: `REGISTRY_AUTH_FILE`, else docker's (`DOCKER_CONFIG`, `~/.docker`). Engines read
/// both before every pull.
struct File {
    path: PathBuf,
}

impl File {
    fn of_user() -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let docker = || {
            let own = variable("DOCKER_CONFIG").map(PathBuf::from);
            own.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")))
        };
        let path = variable("REGISTRY_AUTH_FILE")
            .map(PathBuf::from)
            .or_else(|| docker().map(|directory| directory.join("config.json")));
        let path = path.ok_or_else(|| {
            Failure::local("there is no place for credentials: set HOME or REGISTRY_AUTH_FILE")
        })?;
        // A link stays one: what it leads to is replaced.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        Ok(Self { path })
    }

    fn read(&self) -> Result<Value, Failure> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::local(format!("cannot read {}: {error}", self.path.display()))
        };
        match std::fs::read(&self.path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(json!({})),
            // Only the place: the text around a mistake may be a password.
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let place = format!("no JSON at {}:{}", error.line(), error.column());
                cannot(&place)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
            Err(error) => Err(cannot(&error)),
        }
    }

    /// Whole or not at all, mode 0600.
    fn write(&self, document: &Value) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            let directory = self.path.parent().unwrap_or(Path::new("/"));
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            let name = format!(".podtui-login-{}", std::process::id());
            let temporary = directory.join(name);
            let mut text = serde_json::to_string_pretty(document)?;
            text.push('\n');
            let made = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)
                .and_then(|mut file| {
                    file.write_all(text.as_bytes())?;
                    file.sync_all()
                })
                .and_then(|()| std::fs::rename(&temporary, &self.path));
            if made.is_err() {
                let _ = std::fs::remove_file(&temporary);
            }
            made
        };
        write().map_err(|error| {
            Failure::local(format!("cannot write {}: {error}", self.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_file_keeps_what_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let file = File {
            path: directory.path().join("a/config.json"),
        };
        let mut document = file.read().unwrap();
        auths(&mut document, &file)
            .unwrap()
            .insert(key("docker.io"), json!({"auth": "eA=="}));
        file.write(&document).unwrap();
        assert_eq!(file.path.metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::write(&file.path, r#"{"credsStore": "x", "auths": {"b": {}}}"#).unwrap();
        let mut document = file.read().unwrap();
        auths(&mut document, &file).unwrap().remove("b");
        file.write(&document).unwrap();
        assert_eq!(
            file.read().unwrap(),
            json!({"credsStore": "x", "auths": {}})
        );
        assert_eq!(
            std::fs::read_dir(directory.path().join("a"))
                .unwrap()
                .count(),
            1
        );
        std::fs::write(&file.path, "{\"auths\": \"s3cret").unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(
            error.contains("no JSON at 1:") && !error.contains("s3cret"),
            "{error}"
        );
        let mut list = json!([]);
        assert!(auths(&mut list, &file).is_err());
    }

    #[test]
    fn registries_are_hosts() {
        for good in ["docker.io", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(check_registry(good).is_ok(), "{good}");
        }
        for bad in ["", "http://a", "a/b", "a b"] {
            assert!(check_registry(bad).is_err(), "{bad}");
        }
        assert_eq!(key("index.docker.io"), HUB);
    }
}
