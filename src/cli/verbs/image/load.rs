use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::client::ImageSource;

const DAEMON: &str = "docker-daemon:";
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Where images are loaded from, and a copy of standard input that lasts as long as this.
pub(super) struct Loading {
    pub(super) source: ImageSource,
    _copy: Option<Copy>,
}

impl Loading {
    /// `docker-daemon:NAME`, a path, or without one (or with `-`) standard input.
    pub(super) fn prepare(console: &mut Console, path: Option<&Path>) -> Result<Self, Failure> {
        let text = path.and_then(Path::to_str);
        if let Some(name) = text.and_then(|text| text.strip_prefix(DAEMON)) {
            return Ok(Self {
                source: daemon(name, std::env::var("DOCKER_HOST").ok().as_deref())?,
                _copy: None,
            });
        }
        let path = match path {
            Some(path) if path != Path::new("-") => path,
            _ => return Self::from_input(console),
        };
        Ok(Self {
            source: ImageSource::Load {
                path: super::verbs::full(path)?,
            },
            _copy: None,
        })
    }

    fn from_input(console: &mut Console) -> Result<Self, Failure> {
        let copy = Copy::of_input(console)?;
        Ok(Self {
            source: ImageSource::Load {
                path: copy.path.clone(),
            },
            _copy: Some(copy),
        })
    }
}

/// The path of a file, in full, or of a copy of standard input (`-`) that lasts as long as what comes with it.
pub(super) fn file_or_input(
    console: &mut Console,
    path: &Path,
) -> Result<(PathBuf, Option<Copy>), Failure> {
    if path != Path::new("-") {
        return Ok((super::verbs::full(path)?, None));
    }
    let copy = Copy::of_input(console)?;
    Ok((copy.path.clone(), Some(copy)))
}

fn daemon(name: &str, docker_host: Option<&str>) -> Result<ImageSource, Failure> {
    if name.is_empty() {
        return Err(Failure::local(format!(
            "{DAEMON}NAME: the name of the image is missing"
        )));
    }
    let socket = match docker_host.filter(|host| !host.is_empty()) {
        None => DOCKER_SOCKET,
        Some(host) => host.strip_prefix("unix://").ok_or_else(|| {
            Failure::local(format!(
                "DOCKER_HOST={host}: podtui asks a docker daemon of this machine only (unix://PATH); \
                 `docker save NAME | podtui image load` works with any"
            ))
        })?,
    };
    if !Path::new(socket).exists() {
        return Err(Failure::local(format!(
            "no docker daemon listens on {socket}: start docker, or set DOCKER_HOST to its unix:// address"
        )));
    }
    Ok(ImageSource::DockerDaemon {
        socket: PathBuf::from(socket),
        name: name.to_owned(),
    })
}

/// An archive's members are read in any order, so standard input goes to a file first.
pub(super) struct Copy {
    path: PathBuf,
}

impl Copy {
    fn of_input(console: &mut Console) -> Result<Self, Failure> {
        if console.input_is_terminal {
            return Err(Failure::local(
                "name an archive, or give one on standard input",
            ));
        }
        let input = console.take_input();
        Self::of(&mut input.unwrap_or_else(|| Box::new(io::empty())))
    }

    fn of(input: &mut dyn io::Read) -> Result<Self, Failure> {
        let name = format!("podtui-load-{}.tar", std::process::id());
        let path = std::env::temp_dir().join(name);
        let cannot = |error: io::Error| {
            Failure::local(format!(
                "cannot copy standard input to {}: {error}",
                path.display()
            ))
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot)?;
        // From here on it is ours to remove.
        let copy = Self { path: path.clone() };
        io::copy(input, &mut file).map_err(cannot)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // In the directory for temporary files it does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_of_this_machine_is_asked() {
        let check = |host: Option<&str>, name: &str, text: &str| {
            let error = daemon(name, host).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        check(Some("tcp://10.0.0.1:2375"), "nginx", "unix://PATH");
        check(Some("unix:///nowhere.sock"), "nginx", "/nowhere.sock");
        check(None, "", "name of the image");
        let found = daemon("nginx", Some("unix:///dev/null")).unwrap();
        let ImageSource::DockerDaemon { socket, name } = found else {
            panic!("{found:?}");
        };
        assert_eq!(
            (socket.to_str(), name.as_str()),
            (Some("/dev/null"), "nginx")
        );
    }
}
