use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::Deserialize;

use super::directories::{Defaults, ensure, is_root};
use super::eviction::Eviction;
use super::file::{self, Screen};
use super::images::{self, Images, Registry};
use super::mistake::{self, At};

/// The kubelet's `clusterDomain` when nothing is said.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// What leaving the screen does with running pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnExit {
    #[default]
    Ask,
    /// The engine moves to the background.
    Keep,
    Stop,
}

/// Limits of container log files, as kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRotation {
    /// Bytes of one file.
    pub(crate) max_size: u64,
    pub(crate) max_files: u32,
}

/// Values from the command line; they win over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) config_dir: Option<PathBuf>,
    pub(crate) log_level: Option<String>,
    pub(crate) on_exit: Option<OnExit>,
}

/// Everything that can be configured, complete and absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Objects, images, logs.
    pub(crate) state_dir: PathBuf,
    /// Sockets, shims, locks; best on a tmpfs.
    pub(crate) run_dir: PathBuf,
    /// `config.toml`, `keys.toml`, `themes/`.
    pub(crate) config_dir: PathBuf,
    /// A directive of tracing's `EnvFilter`, e.g. `info` or `podtui::engine=debug`.
    pub(crate) log_level: String,
    /// Where pods get their addresses from; `None` lets the network room choose a free range.
    pub(crate) pod_range: Option<Ipv4Net>,
    /// Name servers of pods whose `dnsPolicy` is ClusterFirst; none: those of the machine.
    pub(crate) cluster_dns: Vec<IpAddr>,
    /// The domain below which pods and services have their names.
    pub(crate) cluster_domain: String,
    /// `metadata.name` of the one Node; `None` = the host name.
    pub(crate) node_name: Option<String>,
    pub(crate) on_exit: OnExit,
    pub(crate) container_logs: LogRotation,
    /// Control groups, outermost first, beneath which all groups are made in every hierarchy, as kubelet's
    /// `cgroupRoot`; none = directly below the mount points.
    pub(crate) cgroup_root: Vec<String>,
    /// Pods that are placed at the same time, as kubelet's `maxPods`.
    pub(crate) max_pods: u32,
    /// Processes and threads of one pod, as kubelet's `podPidsLimit`; `None` = no limit.
    pub(crate) pod_pids_limit: Option<i64>,
    /// Sysctls that pods may set beside the safe ones, as kubelet's `allowedUnsafeSysctls`.
    pub(crate) allowed_unsafe_sysctls: Vec<String>,
    /// When pods have to go because the machine runs short, as kubelet's `evictionHard`.
    pub(crate) eviction: Eviction,
    pub(crate) images: Images,
    /// By host, as it stands in image names.
    pub(crate) registries: BTreeMap<String, Registry>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    Parse {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("{path}{at}: {key} is {value}: {problem}", path = path.display())]
    Value {
        path: PathBuf,
        at: At,
        key: String,
        value: String,
        problem: &'static str,
    },
    #[error("there is no default {what}: {missing} not set; give {mend}")]
    NoDefault {
        what: &'static str,
        missing: &'static str,
        mend: &'static str,
    },
    #[error("the working directory is unknown, so the relative path {path} means nothing", path = path.display())]
    WorkingDirectory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot create directory {path}", path = path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("directory {path} belongs to user {owner}, not to you ({me}); choose another one", path = path.display())]
    Owner { path: PathBuf, owner: u32, me: u32 },
}

/// Settings, and what keeps an engine from being started with them.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Where the file is wrong: the directories it names, and defaults.
    pub(crate) settings: Settings,
    pub(crate) mistake: Option<ConfigError>,
}

impl ConfigError {
    /// With the place of the value in the text.
    fn in_text(mut self, text: &str) -> Self {
        if let Self::Value { at, key, .. } = &mut self {
            *at = mistake::place(text, key);
        }
        self
    }
}

impl Settings {
    /// From flags, the environment of this process, the configuration file and defaults.
    ///
    /// # Errors
    /// Not even the directories are known. A mistake in the file is no error here: what needs nothing of it
    /// goes on.
    pub(crate) fn load(overrides: &Overrides) -> Result<Loaded, ConfigError> {
        Self::load_with(overrides, &|name| std::env::var_os(name), is_root())
    }

    /// What is wrong with the `config.toml` of a directory.
    pub(crate) fn mistake_in(config_dir: &Path) -> Option<ConfigError> {
        let overrides = Overrides {
            config_dir: Some(config_dir.to_owned()),
            ..Overrides::default()
        };
        match Self::load(&overrides) {
            Ok(loaded) => loaded.mistake,
            Err(error) => Some(error),
        }
    }

    fn load_with(
        overrides: &Overrides,
        environment: &dyn Fn(&str) -> Option<OsString>,
        root: bool,
    ) -> Result<Loaded, ConfigError> {
        let defaults = Defaults { environment, root };
        let config_dir = overrides
            .config_dir
            .clone()
            .or_else(|| defaults.variable("PODTUI_CONFIG_DIR").map(PathBuf::from))
            .unwrap_or_else(|| defaults.config_dir());
        let path = absolute(config_dir)?.join("config.toml");
        let text = file::read(&path);
        let strict = text.as_ref().ok().map(|text| {
            let file = file::parse(&path, text)?;
            Self::complete(&path, file, overrides, &defaults).map_err(|error| error.in_text(text))
        });
        let (rest, mistake) = match (text, strict) {
            (_, Some(Ok(settings))) => {
                let mistake = None;
                return Ok(Loaded { settings, mistake });
            }
            (Ok(text), Some(Err(mistake))) => (mistake::salvage(&text), Some(mistake)),
            (text, _) => (file::File::default(), text.err()),
        };
        let settings = Self::complete(&path, rest, overrides, &defaults)?;
        Ok(Loaded { settings, mistake })
    }

    /// What the file at `path` says, and what stands above it and below it.
    fn complete(
        path: &Path,
        file: file::File,
        overrides: &Overrides,
        defaults: &Defaults<'_>,
    ) -> Result<Self, ConfigError> {
        check(path, &file)?;
        let variable = |name: &str| defaults.variable(name);
        let directory = |name: &str| variable(name).map(PathBuf::from);
        let state_dir = overrides
            .state_dir
            .clone()
            .or_else(|| directory("PODTUI_STATE_DIR"))
            .or(file.state_dir)
            .map_or_else(|| defaults.state_dir(), Ok)?;
        let run_dir = overrides
            .run_dir
            .clone()
            .or_else(|| directory("PODTUI_RUN_DIR"))
            .or(file.run_dir)
            .map_or_else(|| defaults.run_dir(), Ok)?;
        let log_level = overrides
            .log_level
            .clone()
            .or_else(|| variable("PODTUI_LOG").and_then(|value| value.into_string().ok()))
            .or(file.log_level)
            .unwrap_or_else(|| "info".to_owned());
        Ok(Self {
            images: images::images(path, file.images)?,
            registries: images::registries(path, file.registries)?,
            state_dir: absolute(state_dir)?,
            run_dir: absolute(run_dir)?,
            config_dir: path.parent().unwrap_or(Path::new("/")).to_owned(),
            log_level,
            pod_range: file.network.pod_range,
            cluster_dns: file.network.cluster_dns,
            cluster_domain: file
                .network
                .cluster_domain
                .unwrap_or_else(|| CLUSTER_DOMAIN.to_owned()),
            node_name: file.node.name,
            max_pods: file.node.max_pods.map_or(110, std::num::NonZeroU32::get),
            on_exit: overrides.on_exit.or(file.on_exit).unwrap_or_default(),
            container_logs: LogRotation {
                max_size: file.container_logs.max_size.map_or(10 << 20, |size| size.0),
                max_files: file.container_logs.max_files.unwrap_or(5),
            },
            cgroup_root: file
                .cgroup
                .root
                .iter()
                .flat_map(|root| root.split('/'))
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            pod_pids_limit: file.pods.pids_limit.filter(|limit| *limit > 0),
            allowed_unsafe_sysctls: file.pods.allowed_unsafe_sysctls,
            eviction: Eviction::of(&file.eviction),
        })
    }

    /// The `[screen]` table of a `config.toml` with this text.
    ///
    /// # Errors
    /// The text is wrong, there or anywhere else.
    pub(crate) fn screen_of(path: &Path, text: &str) -> Result<Screen, ConfigError> {
        parts_of(path, text).map(|(screen, _)| screen)
    }

    /// The `[registries]` of the `config.toml` in a directory, as it is now.
    ///
    /// # Errors
    /// The file is wrong, there or anywhere else.
    pub(crate) fn registries_in(
        config_dir: &Path,
    ) -> Result<BTreeMap<String, Registry>, ConfigError> {
        let path = config_dir.join("config.toml");
        let text = file::read(&path)?;
        parts_of(&path, &text).map(|(_, registries)| registries)
    }

    /// The API socket of the engine that owns these directories.
    pub(crate) fn socket(&self) -> PathBuf {
        self.run_dir.join("api.sock")
    }

    /// Directory of podtui's own log.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.state_dir.join("log")
    }

    /// Creates state, run and log directory, mode 0700, with their parents.
    pub(crate) fn ensure_directories(&self) -> Result<(), ConfigError> {
        ensure(&self.state_dir)?;
        ensure(&self.run_dir)?;
        ensure(&self.log_dir())
    }
}

/// What is taken over while the engine or the screen runs.
fn parts_of(path: &Path, text: &str) -> Result<(Screen, BTreeMap<String, Registry>), ConfigError> {
    let file = file::parse(path, text)?;
    let parts = || {
        check(path, &file)?;
        images::images(path, file.images)?;
        let registries = images::registries(path, file.registries)?;
        Ok((file.screen, registries))
    };
    parts().map_err(|error: ConfigError| error.in_text(text))
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|source| ConfigError::WorkingDirectory { path, source })
}

/// Values that parse but cannot work.
fn is_subdomain(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(is_inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn check(path: &Path, file: &file::File) -> Result<(), ConfigError> {
    let refuse = |key, value: String, problem| {
        Err(ConfigError::Value {
            path: path.to_owned(),
            at: At::default(),
            key: str::to_owned(key),
            value,
            problem,
        })
    };
    if let Some(range) = file.network.pod_range
        && range.prefix_len() > 28
    {
        return refuse(
            "network.pod_range",
            range.to_string(),
            "it must hold at least 16 addresses (/28)",
        );
    }
    if let Some(domain) = &file.network.cluster_domain
        && !is_subdomain(domain)
    {
        return refuse(
            "network.cluster_domain",
            format!("{domain:?}"),
            "it must be a lower-case RFC 1123 subdomain",
        );
    }
    if let Some(files) = file.container_logs.max_files
        && files < 2
    {
        return refuse(
            "container_logs.max_files",
            files.to_string(),
            "it must be at least 2",
        );
    }
    if let Some(size) = file.container_logs.max_size
        && size.0 < 4096
    {
        return refuse(
            "container_logs.max_size",
            size.0.to_string(),
            "it must be at least 4096 bytes",
        );
    }
    if let Some(root) = &file.cgroup.root
        && let Some(problem) = cgroup_problem(root)
    {
        return refuse("cgroup.root", format!("{root:?}"), problem);
    }
    if let Some(limit) = file.pods.pids_limit
        && (limit < -1 || limit == 0)
    {
        return refuse(
            "pods.pids_limit",
            limit.to_string(),
            "it must be at least 1, or -1 for no limit",
        );
    }
    if let Some(pattern) = file.pods.allowed_unsafe_sysctls.iter().find(|pattern| {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        name.is_empty() || name.contains('*')
    }) {
        return refuse(
            "pods.allowed_unsafe_sysctls",
            format!("{pattern:?}"),
            "each is a name such as \"kernel.msgmax\", or a beginning such as \"net.*\"",
        );
    }
    if let Some(name) = &file.node.name
        && !is_subdomain(name)
    {
        return refuse(
            "node.name",
            format!("{name:?}"),
            "it must be a lower-case RFC 1123 subdomain",
        );
    }
    Ok(())
}

/// What keeps this from being the name of a control group below the mount points.
fn cgroup_problem(root: &str) -> Option<&'static str> {
    if root.starts_with("/sys/fs/cgroup") {
        return Some("it is the name of a group below the mount points, such as \"/podtui\"");
    }
    let bad = |name: &str| {
        name.len() > 255
            || name.starts_with('.')
            || name.starts_with("cgroup.")
            || name.contains(['\0', '\n'])
    };
    root.split('/')
        .any(bad)
        .then_some("no part of it may begin with a dot or \"cgroup.\", or be longer than 255 bytes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn load(
        overrides: &Overrides,
        environment: &[(&str, &str)],
        root: bool,
    ) -> Result<Settings, ConfigError> {
        let find = |name: &str| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        let loaded = Settings::load_with(overrides, &find, root)?;
        loaded.mistake.map_or(Ok(loaded.settings), Err)
    }

    fn with_file(text: &str) -> Result<Settings, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.toml"), text).unwrap();
        let config_dir = directory.path().to_str().unwrap();
        load(
            &Overrides::default(),
            &[("PODTUI_CONFIG_DIR", config_dir)],
            true,
        )
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = with_file(text).unwrap_err().to_string();
        let (_, tail) = error.split_once("config.toml").unwrap();
        assert_eq!(tail, expected);
    }

    #[test]
    fn defaults_differ_for_root_and_others() {
        let environment = [
            ("HOME", "/home/me"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
            ("XDG_CONFIG_HOME", "relative"),
        ];
        let root = load(&Overrides::default(), &environment, true).unwrap();
        assert_eq!(root.state_dir, Path::new("/var/lib/podtui"));
        assert_eq!(root.socket(), Path::new("/run/podtui/api.sock"));
        let user = load(&Overrides::default(), &environment, false).unwrap();
        assert_eq!(user.state_dir, Path::new("/home/me/.local/share/podtui"));
        assert_eq!(user.run_dir, Path::new("/run/user/7/podtui"));
        assert_eq!(user.config_dir, Path::new("/home/me/.config/podtui"));
        assert_eq!(
            (user.on_exit, user.log_level.as_str()),
            (OnExit::Ask, "info")
        );
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let directory = tempfile::tempdir().unwrap();
        let text = "state_dir = \"/f/state\"\nrun_dir = \"/f/run\"\nlog_level = \"warn\"\non_exit = \"keep\"\n";
        std::fs::write(directory.path().join("config.toml"), text).unwrap();
        let overrides = Overrides {
            state_dir: Some("/flag/state".into()),
            ..Overrides::default()
        };
        let environment = [
            ("PODTUI_CONFIG_DIR", directory.path().to_str().unwrap()),
            ("PODTUI_STATE_DIR", "/env/state"),
            ("PODTUI_RUN_DIR", "/env/run"),
        ];
        let settings = load(&overrides, &environment, true).unwrap();
        assert_eq!(settings.state_dir, Path::new("/flag/state"));
        assert_eq!(settings.run_dir, Path::new("/env/run"));
        assert_eq!(
            (settings.log_level.as_str(), settings.on_exit),
            ("warn", OnExit::Keep)
        );
    }

    #[test]
    fn the_file_sets_everything() {
        let text = "[node]\nname = \"box\"\nmax_pods = 250\n[network]\npod_range = \"10.9.0.0/16\"\ncluster_dns = [\"10.96.0.10\", \"fd00::a\"]\ncluster_domain = \"corp.example\"\n[container_logs]\nmax_size = \"1Mi\"\nmax_files = 3\n\
                    [cgroup]\nroot = \"/cg/pods\"\n[pods]\npids_limit = 300\n";
        let settings = with_file(text).unwrap();
        assert_eq!(settings.node_name.as_deref(), Some("box"));
        assert_eq!(settings.max_pods, 250);
        assert_eq!(settings.pod_range, Some("10.9.0.0/16".parse().unwrap()));
        let servers: Vec<IpAddr> = ["10.96.0.10", "fd00::a"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(settings.cluster_dns, servers);
        assert_eq!(settings.cluster_domain, "corp.example");
        assert_eq!(
            settings.container_logs,
            LogRotation {
                max_size: 1 << 20,
                max_files: 3
            }
        );
        assert_eq!(settings.cgroup_root, ["cg", "pods"]);
        assert_eq!(settings.pod_pids_limit, Some(300));
        let settings = with_file("[pods]\npids_limit = -1\n").unwrap();
        assert_eq!(settings.max_pods, 110);
        assert_eq!(settings.cluster_dns, Vec::<IpAddr>::new());
        assert_eq!(settings.cluster_domain, "cluster.local");
        assert_eq!(
            (settings.pod_pids_limit, settings.cgroup_root),
            (None, vec![])
        );
    }

    #[test]
    fn mistakes_have_a_place() {
        check_error(
            "log_level = \"info\"\nstate = 1\n",
            ":2:1: unknown field `state`, expected one of `state_dir`, `run_dir`, `log_level`, `on_exit`, `node`, `network`, \
             `container_logs`, `cgroup`, `pods`, `eviction`, `screen`, `images`, `registries`",
        );
        check_error(
            "on_exit = \"never\"\n",
            ":1:11: unknown variant `never`, expected one of `ask`, `keep`, `stop`",
        );
        check_error(
            "[network]\npod_range = \"10.0.0.0/30\"\n",
            ":2:1: network.pod_range is 10.0.0.0/30: it must hold at least 16 addresses (/28)",
        );
        check_error(
            "[network]\ncluster_domain = \"Corp.\"\n",
            ":2:1: network.cluster_domain is \"Corp.\": it must be a lower-case RFC 1123 subdomain",
        );
        check_error(
            "[network]\ncluster_dns = [\"dns.example\"]\n",
            ":2:16: invalid IP address syntax",
        );
        check_error(
            "[node]\nname = \"Box!\"\n",
            ":2:1: node.name is \"Box!\": it must be a lower-case RFC 1123 subdomain",
        );
        check_error(
            "[cgroup]\nroot = \"/sys/fs/cgroup/x\"\n",
            ":2:1: cgroup.root is \"/sys/fs/cgroup/x\": it is the name of a group below the mount points, such as \"/podtui\"",
        );
        check_error(
            "[cgroup]\nroot = \"/a/../b\"\n",
            ":2:1: cgroup.root is \"/a/../b\": no part of it may begin with a dot or \"cgroup.\", or be longer than 255 bytes",
        );
        check_error(
            "[pods]\npids_limit = 0\n",
            ":2:1: pods.pids_limit is 0: it must be at least 1, or -1 for no limit",
        );
    }

    #[test]
    fn a_mistake_leaves_the_directories() {
        let directory = tempfile::tempdir().unwrap();
        let config_dir = directory.path().to_str().unwrap();
        let text =
            "state_dir = \"/f/state\"\nrun_dir = \"/f/run\"\n[images]\ngc_low_threshold = 99\n";
        std::fs::write(directory.path().join("config.toml"), text).unwrap();
        let overrides = Overrides {
            run_dir: Some("/flag/run".into()),
            config_dir: Some(config_dir.into()),
            ..Overrides::default()
        };
        let loaded = Settings::load_with(&overrides, &|_| None, true).unwrap();
        let mistake = loaded.mistake.unwrap().to_string();
        assert!(
            mistake.ends_with(
                "/config.toml:4:1: images.gc_low_threshold is 99: it must be below gc_high_threshold"
            ),
            "{mistake}"
        );
        assert_eq!(loaded.settings.state_dir, Path::new("/f/state"));
        assert_eq!(loaded.settings.run_dir, Path::new("/flag/run"));

        let path = directory.path().join("config.toml");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let loaded = Settings::load_with(&overrides, &|_| None, true).unwrap();
        let mistake = loaded.mistake.unwrap().to_string();
        assert!(mistake.starts_with("cannot read "), "{mistake}");
    }

    #[test]
    fn a_user_without_run_directory_is_told_what_to_do() {
        let error = load(&Overrides::default(), &[("HOME", "/home/me")], false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no default run directory: XDG_RUNTIME_DIR not set; give --run-dir or PODTUI_RUN_DIR"
        );
    }

    #[test]
    fn directories_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(directory.path().join(name));
        let overrides = Overrides {
            state_dir: at("a/state"),
            run_dir: at("run"),
            config_dir: at("config"),
            ..Overrides::default()
        };
        let settings = load(&overrides, &[], true).unwrap();
        std::fs::create_dir(&settings.run_dir).unwrap();
        settings.ensure_directories().unwrap();
        for path in [
            settings.state_dir.clone(),
            settings.run_dir.clone(),
            settings.log_dir(),
        ] {
            assert_eq!(
                std::fs::metadata(&path).unwrap().mode() & 0o7777,
                0o700,
                "{}",
                path.display()
            );
        }
        assert!(!settings.config_dir.exists());
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        std::fs::write(&path, "").unwrap();
        let error = ensure(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot create directory {}", path.display())
        );
    }
}
