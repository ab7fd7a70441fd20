use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::settings::ConfigError;

/// The user's own directories, as the XDG base directory specification names them.
pub(super) struct Defaults<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) root: bool,
}

impl Defaults<'_> {
    /// An empty variable is none.
    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        // Relative paths in these variables are invalid and to be ignored, says the specification.
        let given = (self.environment)(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        given.or_else(|| {
            let home = (self.environment)("HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute());
            home.map(|home| home.join(below_home))
        })
    }

    pub(super) fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        if self.root {
            return Ok(PathBuf::from("/var/lib/podtui"));
        }
        let base = self.xdg("XDG_DATA_HOME", ".local/share");
        base.map(|base| base.join("podtui"))
            .ok_or(ConfigError::NoDefault {
                what: "state directory",
                missing: "XDG_DATA_HOME and HOME",
                mend: "--state-dir or PODTUI_STATE_DIR",
            })
    }

    pub(super) fn run_dir(&self) -> Result<PathBuf, ConfigError> {
        if self.root {
            return Ok(PathBuf::from("/run/podtui"));
        }
        let base = (self.environment)("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        base.map(|base| base.join("podtui"))
            .ok_or(ConfigError::NoDefault {
                what: "run directory",
                missing: "XDG_RUNTIME_DIR",
                mend: "--run-dir or PODTUI_RUN_DIR",
            })
    }

    pub(super) fn config_dir(&self) -> PathBuf {
        let base = self.xdg("XDG_CONFIG_HOME", ".config");
        // Without any home there is simply no configuration file.
        base.map_or_else(|| PathBuf::from("/etc/podtui"), |base| base.join("podtui"))
    }
}

/// Whether this process runs as root: the owner of `/proc/self` is its effective user (proc_pid(5)).
pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A directory that only its owner can enter, with its parents. An existing one is taken as it is when it
/// is ours, and its mode is tightened.
pub(super) fn ensure(path: &Path) -> Result<(), ConfigError> {
    let failed = |source: io::Error| ConfigError::Directory {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let me = std::fs::metadata("/proc/self").map_err(failed)?.uid();
    if metadata.uid() != me {
        return Err(ConfigError::Owner {
            path: path.to_owned(),
            owner: metadata.uid(),
            me,
        });
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}
