//! What an engine in the background keeps of the environment of the command that happened to start it: it lives
//! longer than the shell, and whatever secrets the shell had are none of its business.

use std::ffi::OsStr;

/// Names, without regard to case: some programs write the proxies small, others large.
const KEPT: [&str; 27] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TERM",
    "COLORTERM",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // Authorities to trust (openssl's names, which rustls follows).
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // Where credentials of registries are kept, and where their helpers look; none holds a secret itself.
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "DBUS_SESSION_BUS_ADDRESS",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "RUST_BACKTRACE",
];

const KEPT_BEGINNINGS: [&str; 3] = ["PODTUI_", "XDG_", "LC_"];

pub(super) fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str().map(str::to_ascii_uppercase) else {
        return false;
    };
    KEPT.contains(&name.as_str()) || KEPT_BEGINNINGS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_shell_stay_with_it() {
        let check = |name: &str, kept: bool| assert_eq!(is_kept(OsStr::new(name)), kept, "{name}");
        check("PATH", true);
        check("https_proxy", true);
        check("NO_PROXY", true);
        check("PODTUI_LOG", true);
        check("XDG_RUNTIME_DIR", true);
        check("LC_ALL", true);
        check("DOCKER_CONFIG", true);
        check("AWS_SECRET_ACCESS_KEY", false);
        check("GITHUB_TOKEN", false);
        check("LD_PRELOAD", false);
        check("PATHOLOGICAL", false);
    }
}
