use super::words::words;

/// One flag of the line, by its long name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: String,
    /// `None` for a switch.
    pub(super) value: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunLine {
    pub(super) flags: Vec<Flag>,
    pub(super) image: String,
    pub(super) arguments: Vec<String>,
}

/// Flags without a value, of docker and podman.
const SWITCHES: &[&str] = &[
    "detach",
    "disable-content-trust",
    "env-host",
    "help",
    "http-proxy",
    "init",
    "interactive",
    "no-healthcheck",
    "no-hosts",
    "oom-kill-disable",
    "passwd",
    "privileged",
    "publish-all",
    "quiet",
    "read-only",
    "replace",
    "rm",
    "rmi",
    "rootfs",
    "sig-proxy",
    "tls-verify",
    "tty",
    "use-api-socket",
];

/// Flags with a value, of docker and podman.
const VALUED: &[&str] = &[
    "add-host",
    "annotation",
    "arch",
    "attach",
    "authfile",
    "blkio-weight",
    "blkio-weight-device",
    "cap-add",
    "cap-drop",
    "cgroup-conf",
    "cgroup-parent",
    "cgroupns",
    "cgroups",
    "chrootdirs",
    "cidfile",
    "conmon-pidfile",
    "cpu-count",
    "cpu-percent",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "detach-keys",
    "device",
    "device-cgroup-rule",
    "device-read-bps",
    "device-read-iops",
    "device-write-bps",
    "device-write-iops",
    "dns",
    "dns-option",
    "dns-search",
    "domainname",
    "entrypoint",
    "env",
    "env-file",
    "env-merge",
    "expose",
    "gidmap",
    "gpus",
    "group-add",
    "group-entry",
    "health-cmd",
    "health-interval",
    "health-on-failure",
    "health-retries",
    "health-start-interval",
    "health-start-period",
    "health-startup-cmd",
    "health-timeout",
    "hostname",
    "hostuser",
    "init-path",
    "io-maxbandwidth",
    "io-maxiops",
    "ip",
    "ip6",
    "ipc",
    "isolation",
    "label",
    "label-file",
    "link",
    "link-local-ip",
    "log-driver",
    "log-opt",
    "mac-address",
    "memory",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "mount",
    "name",
    "network",
    "network-alias",
    "oom-score-adj",
    "os",
    "passwd-entry",
    "personality",
    "pid",
    "pids-limit",
    "pidfile",
    "platform",
    "pod",
    "pod-id-file",
    "preserve-fds",
    "publish",
    "pull",
    "rdt-class",
    "requires",
    "restart",
    "retry",
    "retry-delay",
    "runtime",
    "sdnotify",
    "seccomp-policy",
    "secret",
    "security-opt",
    "shm-size",
    "shm-size-systemd",
    "stop-signal",
    "stop-timeout",
    "storage-opt",
    "subgidname",
    "subuidname",
    "sysctl",
    "systemd",
    "timeout",
    "tmpfs",
    "tz",
    "uidmap",
    "ulimit",
    "umask",
    "unsetenv",
    "user",
    "userns",
    "uts",
    "variant",
    "volume",
    "volume-driver",
    "volumes-from",
    "workdir",
];

const SHORT: &[(char, &str)] = &[
    ('a', "attach"),
    ('c', "cpu-shares"),
    ('d', "detach"),
    ('e', "env"),
    ('h', "hostname"),
    ('i', "interactive"),
    ('l', "label"),
    ('m', "memory"),
    ('P', "publish-all"),
    ('p', "publish"),
    ('q', "quiet"),
    ('t', "tty"),
    ('u', "user"),
    ('v', "volume"),
    ('w', "workdir"),
];

const PROGRAMS: [&str; 3] = ["docker", "podman", "nerdctl"];

pub(super) fn parse(line: &str) -> Result<RunLine, String> {
    let words = words(line)?;
    let mut rest = command(&words)?;
    let mut flags = Vec::new();
    while let Some((word, after)) = rest.split_first() {
        if word == "--" {
            rest = after;
            break;
        }
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else {
            break;
        };
        rest = match body.strip_prefix('-') {
            Some(long) => read_long(long, after, &mut flags)?,
            None => read_short(body, after, &mut flags)?,
        };
    }
    let Some((image, arguments)) = rest.split_first() else {
        return Err("the line names no image".to_owned());
    };
    Ok(RunLine {
        flags,
        image: image.clone(),
        arguments: arguments.to_vec(),
    })
}

/// What stands behind `docker run`.
fn command(words: &[String]) -> Result<&[String], String> {
    let usage = || "this is no docker run or podman run line".to_owned();
    let is_prompt = |word: &&String| matches!(word.as_str(), "$" | "#" | "sudo");
    let skipped = words.iter().take_while(is_prompt).count();
    let (program, rest) = words[skipped..].split_first().ok_or_else(usage)?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if !PROGRAMS.contains(&name) {
        return Err(usage());
    }
    let rest = match rest.split_first() {
        Some((word, rest)) if word == "container" => rest,
        _ => rest,
    };
    match rest.split_first() {
        Some((word, rest)) if word == "run" || word == "create" => Ok(rest),
        Some((word, _)) if word.starts_with('-') => Err(format!(
            "{word} stands before run: take the options of {name} itself out"
        )),
        _ => Err(usage()),
    }
}

fn canonical(name: &str) -> &str {
    match name {
        "net" => "network",
        "net-alias" => "network-alias",
        "dns-opt" => "dns-option",
        other => other,
    }
}

fn read_long<'w>(
    long: &str,
    after: &'w [String],
    flags: &mut Vec<Flag>,
) -> Result<&'w [String], String> {
    let (name, given) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let name = canonical(name).to_owned();
    let needs_value = VALUED.contains(&name.as_str()) && given.is_none();
    if !needs_value {
        flags.push(Flag { name, value: given });
        return Ok(after);
    }
    let Some((value, after)) = after.split_first() else {
        return Err(format!("--{name} needs a value"));
    };
    flags.push(Flag {
        name,
        value: Some(value.clone()),
    });
    Ok(after)
}

/// `-dit`, `-p 80:80`, `-p80:80`, `-p=80:80`.
fn read_short<'w>(
    body: &str,
    after: &'w [String],
    flags: &mut Vec<Flag>,
) -> Result<&'w [String], String> {
    for (at, letter) in body.char_indices() {
        let known = SHORT.iter().find(|(short, _)| *short == letter);
        let Some((_, name)) = known else {
            return Err(format!(
                "-{letter} (in -{body}) is no flag of docker run or podman run"
            ));
        };
        let name = (*name).to_owned();
        if SWITCHES.contains(&name.as_str()) {
            flags.push(Flag { name, value: None });
            continue;
        }
        let attached = &body[at + letter.len_utf8()..];
        let attached = attached.strip_prefix('=').unwrap_or(attached);
        let (value, after) = match (attached.is_empty(), after.split_first()) {
            (false, _) => (attached.to_owned(), after),
            (true, Some((value, after))) => (value.clone(), after),
            (true, None) => return Err(format!("-{letter} needs a value")),
        };
        flags.push(Flag {
            name,
            value: Some(value),
        });
        return Ok(after);
    }
    Ok(after)
}

/// docker or podman have it.
pub(super) fn is_known(name: &str) -> bool {
    SWITCHES.contains(&name) || VALUED.contains(&name)
}

impl Flag {
    /// Also `--tty=false`.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.value.as_deref(), Some("false" | "0"))
    }

    pub(super) fn text(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}
