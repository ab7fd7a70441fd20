//! AppArmor profiles of the machine: whether there is AppArmor, which profiles are loaded, and the one of podtui.
//!
//! The default profile ([`DEFAULT_PROFILE`]) is compiled and given to the kernel by `apparmor_parser`, as other
//! runtimes do it, when the first container wants it and once per engine, so that a newer podtui brings its text along.
//! Without that program containers that say nothing run without a profile (`doctor` says so), and one that asks for
//! `RuntimeDefault` is not created.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What containers are confined with that ask for nothing else.
pub(super) const DEFAULT_PROFILE: &str = "podtui-default";
const DEFAULT_TEXT: &str = include_str!("../../assets/apparmor.profile");

const SECURITY_FS: &str = "/sys/kernel/security/apparmor";
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
/// The paths of administrators, which users may not have.
const PROGRAM_PATHS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
const PARSER: &str = "apparmor_parser";
/// Compiling takes well below a second.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Why a container cannot have its profile.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppArmorError {
    #[error("apparmor profile not found {0}")]
    NotLoaded(String),
    #[error("cannot read the loaded profiles")]
    List(#[source] io::Error),
    #[error("cannot load profile {DEFAULT_PROFILE}: {PARSER} is not installed (package apparmor)")]
    NoParser,
    #[error("cannot run {}", .0.display())]
    Run(PathBuf, #[source] io::Error),
    #[error("{PARSER} refused profile {DEFAULT_PROFILE}: {0}")]
    Refused(String),
}

/// What a container is to be confined with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Confinement {
    /// The manifest says nothing: the default, if it can be had.
    IfPossible,
    RuntimeDefault,
    Unconfined,
    /// A profile that somebody else has loaded.
    Localhost(String),
}

/// The AppArmor of this machine.
#[derive(Debug, Default)]
pub(super) struct AppArmor {
    /// Whether this engine has loaded the default profile.
    loaded: Mutex<bool>,
}

impl AppArmor {
    /// Whether the kernel enforces it and its interface is mounted (as runc's `apparmor.IsEnabled`).
    pub(super) fn is_enabled() -> bool {
        Path::new(SECURITY_FS).exists()
            && std::fs::read_to_string(ENABLED).is_ok_and(|text| text.starts_with('Y'))
    }

    /// The name of the profile for the kernel; `None`: no profile. Blocks while the default is loaded.
    pub(super) fn resolve(&self, wanted: Confinement) -> Result<Option<String>, AppArmorError> {
        if !Self::is_enabled() {
            // Who asked for a profile has been refused by admission.
            return Ok(None);
        }
        match wanted {
            Confinement::Unconfined => Ok(None),
            Confinement::IfPossible if find_parser().is_none() => Ok(None),
            Confinement::IfPossible | Confinement::RuntimeDefault => {
                self.ensure_default()?;
                Ok(Some(DEFAULT_PROFILE.to_owned()))
            }
            Confinement::Localhost(name) => {
                let list = std::fs::read_to_string(Path::new(SECURITY_FS).join("profiles"))
                    .map_err(AppArmorError::List)?;
                if is_loaded(&list, &name) {
                    Ok(Some(name))
                } else {
                    Err(AppArmorError::NotLoaded(name))
                }
            }
        }
    }

    fn ensure_default(&self) -> Result<(), AppArmorError> {
        // Others wait for the one who loads it.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !*loaded {
            let parser = find_parser().ok_or(AppArmorError::NoParser)?;
            load(&parser)?;
            *loaded = true;
        }
        Ok(())
    }
}

/// Lines of the list: `name (mode)`; a name may contain blanks and parentheses.
fn is_loaded(list: &str, name: &str) -> bool {
    list.lines()
        .filter_map(|line| line.rsplit_once(" ("))
        .any(|(known, _)| known == name)
}

fn find_parser() -> Option<PathBuf> {
    let mut places = PROGRAM_PATHS
        .iter()
        .map(|path| Path::new(path).join(PARSER));
    places.find(|path| path.is_file())
}

/// Loads the default profile, or replaces the one that is loaded; containers that run change with it.
fn load(parser: &Path) -> Result<(), AppArmorError> {
    let run = |error| AppArmorError::Run(parser.to_owned(), error);
    // Not from a cache, which may be of a profile of this name with another text.
    let mut child = Command::new(parser)
        .args(["--replace", "--skip-cache", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env_clear()
        .spawn()
        .map_err(run)?;
    let ended = feed(&mut child).and_then(|()| wait(&mut child));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    if ended.map_err(run)? {
        tracing::info!(profile = DEFAULT_PROFILE, "AppArmor profile loaded");
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    Err(AppArmorError::Refused(said.trim().replace('\n', "; ")))
}

/// The text is shorter than a pipe holds, so this does not wait for the reader.
fn feed(child: &mut std::process::Child) -> io::Result<()> {
    match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(DEFAULT_TEXT.as_bytes()),
        None => Ok(()),
    }
}

/// Whether it succeeded.
fn wait(child: &mut std::process::Child) -> io::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: bool) {
        let list = "podtui-default (enforce)\n/usr/bin/man (complain)\n:ns://lxc (unconfined)\nodd (name) (kill)\n";
        assert_eq!(is_loaded(list, name), expected);
    }

    #[test]
    fn loaded_profiles() {
        check("podtui-default", true);
        check("/usr/bin/man", true);
        check("odd (name)", true);
        check(":ns://lxc", true);
        check("podtui", false);
        check("odd", false);
        check("", false);
    }

    #[test]
    fn the_text_is_of_the_profile() {
        assert!(DEFAULT_TEXT.contains(&format!("profile {DEFAULT_PROFILE} flags=")));
        assert!(DEFAULT_TEXT.len() < 4096);
    }
}
