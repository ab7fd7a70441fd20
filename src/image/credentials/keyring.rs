use super::secret::Credential;

/// Entries of docker's configuration for its own hub.
const DOCKER_HUB_KEY: &str = "index.docker.io";
const DOCKER_HUB: &str = "docker.io/";

/// Entries of one source: what they are for, and what to show.
#[derive(Clone, Debug, Default)]
pub(in crate::image) struct Keyring {
    /// `host[:port][/path]`, without scheme; the host may hold globs.
    entries: Vec<(String, Credential)>,
}

impl Keyring {
    pub(super) fn add(&mut self, key: &str, credential: Credential) {
        self.entries.push((normal(key), credential));
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// What concerns `name` (`host[:port]/path`), most specific first: the order is that of the keys
    /// backwards, as the kubelet has it (`credentialprovider/keyring.go`, `Lookup`).
    pub(in crate::image) fn lookup(&self, name: &str) -> Vec<Credential> {
        let mut found: Vec<&(String, Credential)> = self
            .entries
            .iter()
            .filter(|(key, _)| covers(key, name))
            .collect();
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        if found.is_empty() && name.starts_with(DOCKER_HUB) {
            found = self
                .entries
                .iter()
                .filter(|(key, _)| key == DOCKER_HUB_KEY)
                .collect();
        }
        found
            .into_iter()
            .map(|(_, credential)| credential.clone())
            .collect()
    }
}

/// Without scheme, and without the `/v1/` or `/v2/` that stands for the whole host.
pub(super) fn normal(key: &str) -> String {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = match path.split_once('/') {
        Some(("v1" | "v2", rest)) => rest,
        None if matches!(path, "v1" | "v2") => "",
        _ => path,
    };
    if path.is_empty() {
        host.to_owned()
    } else {
        format!("{host}/{path}")
    }
}

/// Label by label for the host, the same port, and a prefix of the path.
fn covers(key: &str, name: &str) -> bool {
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let (key_host, key_port) = split_port(key_host);
    let (host, port) = split_port(host);
    if key_port != port || !path.starts_with(key_path) {
        return false;
    }
    let (key_labels, labels): (Vec<&str>, Vec<&str>) =
        (key_host.split('.').collect(), host.split('.').collect());
    key_labels.len() == labels.len()
        && key_labels
            .iter()
            .zip(labels)
            .all(|(glob, label)| *glob == label || glob_covers(glob.as_bytes(), label.as_bytes()))
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// `*`, `?` and `[…]` as in Go's `filepath.Match`, of which host names need no more.
fn glob_covers(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob_covers(rest, &text[at..])),
        Some((b'?', rest)) => !text.is_empty() && glob_covers(rest, &text[1..]),
        Some((b'[', rest)) => match (rest.iter().position(|byte| *byte == b']'), text.first()) {
            (Some(end), Some(byte)) => {
                in_class(&rest[..end], *byte) && glob_covers(&rest[end + 1..], &text[1..])
            }
            _ => false,
        },
        Some((byte, rest)) => text.first() == Some(byte) && glob_covers(rest, &text[1..]),
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let (negated, mut class) = match class.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, class),
    };
    let mut found = false;
    while let Some((&low, rest)) = class.split_first() {
        match rest {
            [b'-', high, rest @ ..] => {
                found |= (low..=*high).contains(&byte);
                class = rest;
            }
            _ => {
                found |= low == byte;
                class = rest;
            }
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str) -> Credential {
        Credential::Password {
            username: name.to_owned(),
            password: "hidden".to_owned(),
        }
    }

    #[track_caller]
    fn check(keys: &[&str], name: &str, expected: &[&str]) {
        let mut keyring = Keyring::default();
        for key in keys {
            keyring.add(key, credential(key));
        }
        let found = keyring.lookup(name);
        let expected: Vec<Credential> = expected.iter().map(|key| credential(key)).collect();
        assert_eq!(found, expected, "{keys:?} for {name}");
    }

    #[test]
    fn entries_are_found_by_host_port_and_path() {
        check(&["a.io"], "a.io/x", &["a.io"]);
        check(&["https://a.io/v2/"], "a.io/x", &["https://a.io/v2/"]);
        check(&["http://a.io/v1/"], "a.io/x/y", &["http://a.io/v1/"]);
        check(&["a.io:5000"], "a.io/x", &[]);
        check(&["a.io"], "a.io:5000/x", &[]);
        check(&["a.io:5000"], "a.io:5000/x", &["a.io:5000"]);
        check(&["b.io", "a.io/y"], "a.io/x", &[]);
        check(
            &["a.io", "a.io/team/app", "a.io/team"],
            "a.io/team/app",
            &["a.io/team/app", "a.io/team", "a.io"],
        );
        check(&["*.example.com"], "r.example.com/x", &["*.example.com"]);
        check(&["*.example.com"], "a.r.example.com/x", &[]);
        check(
            &["*.*.example.com"],
            "a.r.example.com/x",
            &["*.*.example.com"],
        );
        check(&["r[0-3]?.io"], "r2x.io/x", &["r[0-3]?.io"]);
        check(&["r[^0-3].io"], "r2.io/x", &[]);
        check(&["[::1]:5000"], "[::1]:5000/x", &["[::1]:5000"]);
        check(&["*"], "a.io/x", &[]);
    }

    #[test]
    fn the_hub_goes_by_its_old_name() {
        let hub = "https://index.docker.io/v1/";
        check(&[hub], "docker.io/library/nginx", &[hub]);
        check(&[hub, "docker.io"], "docker.io/a/b", &["docker.io"]);
        check(&[hub], "quay.io/a/b", &[]);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let mut keyring = Keyring::default();
        keyring.add("a.io", credential("user"));
        assert!(!format!("{keyring:?}").contains("hidden"));
    }
}
