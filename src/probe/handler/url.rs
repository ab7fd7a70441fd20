//! The few things that a probe needs to know of URLs (RFC 3986), with Go's spelling.

use std::fmt;

/// An http or https URL without user, and without the fragment, which is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) https: bool,
    /// A name or an address; IPv6 addresses without brackets.
    pub(super) host: String,
    /// `None`: the usual one of the scheme, which is then not written either.
    pub(super) port: Option<u16>,
    /// Path and query, beginning with `/`.
    pub(super) path: String,
}

impl Url {
    /// `path` as it stands in the probe. Kubelet `formatURL`: it may carry a query, and a whole URL in its
    /// place loses scheme and host.
    pub(super) fn of_probe(https: bool, host: &str, port: u16, path: &str) -> Self {
        let path = match path.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                rest.find('/').map_or("", |slash| &rest[slash..])
            }
            _ => path,
        };
        Self {
            https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: Some(port),
            path: normal_path(path),
        }
    }

    pub(super) fn port_number(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// What `Host` says.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// Where a `Location` leads from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = location.split_once(':')
            && is_scheme(scheme)
        {
            let https = match scheme.to_ascii_lowercase().as_str() {
                "http" => false,
                "https" => true,
                other => return Err(format!("unsupported protocol scheme {other:?}")),
            };
            let rest = rest
                .strip_prefix("//")
                .ok_or("http: no Host in request URL")?;
            return Self::of_authority(https, rest);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::of_authority(self.https, rest);
        }
        let own = self.path.split('?').next().unwrap_or("/");
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') || location.is_empty() {
            format!("{own}{location}")
        } else {
            let folder = own.rfind('/').map_or("/", |slash| &own[..=slash]);
            format!("{folder}{location}")
        };
        Ok(Self {
            path: normal_path(&without_dots(&path)),
            ..self.clone()
        })
    }

    fn of_authority(https: bool, rest: &str) -> Result<Self, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A user name is of no use here.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, ""),
        };
        let port = match port {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| format!("invalid port {:?} after host", format!(":{text}")))?,
            ),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("http: no Host in request URL".to_owned());
        }
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            path: normal_path(&without_dots(path)),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || matches!(one, '+' | '-' | '.'))
}

/// With a leading slash, and with everything escaped that may not stand in a request line.
fn normal_path(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut escaped = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        escaped.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
        {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Resolves `.` and `..` in the path, not in the query (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => {
                kept.push(part);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_path(path: &str, expected: &str) {
        let url = Url::of_probe(false, "10.0.0.1", 80, path);
        assert_eq!(url.to_string(), format!("http://10.0.0.1:80{expected}"));
    }

    #[test]
    fn paths_of_probes() {
        check_path("/", "/");
        check_path("", "/");
        check_path("healthz", "/healthz");
        check_path("/healthz?a=b&c=%20", "/healthz?a=b&c=%20");
        check_path("/a b\"c", "/a%20b%22c");
        check_path("/grüße", "/gr%C3%BC%C3%9Fe");
        check_path("/a#b", "/a");
        check_path("http://evil.example:1/x?y", "/x?y");
        check_path("http://evil.example", "/");
        check_path("/go?to=http://x/", "/go?to=http://x/");
    }

    #[test]
    fn ipv6_wears_brackets() {
        let url = Url::of_probe(true, "::1", 443, "/x");
        assert_eq!(url.to_string(), "https://[::1]:443/x");
        let url = Url::of_probe(true, "[::1]", 443, "/x");
        assert_eq!(url.host, "::1");
    }

    #[track_caller]
    fn check_join(location: &str, expected: &str) {
        let url = Url::of_probe(false, "h", 8080, "/a/b?c");
        let joined = url.join(location);
        let joined = joined.map_or_else(|error| error, |url| url.to_string());
        assert_eq!(joined, expected, "{location}");
    }

    #[test]
    fn locations() {
        check_join("/x", "http://h:8080/x");
        check_join("x?y", "http://h:8080/a/x?y");
        check_join("?y", "http://h:8080/a/b?y");
        check_join("", "http://h:8080/a/b");
        check_join("../x/./y/..", "http://h:8080/x/");
        check_join("../../../x", "http://h:8080/x");
        check_join("http://h/x", "http://h/x");
        check_join("https://h:1/x#f", "https://h:1/x");
        check_join("//other", "http://other/");
        check_join("http://u:p@other:9?q", "http://other:9/?q");
        check_join("http://[::1]:9/", "http://[::1]:9/");
        check_join("http://[::1]/", "http://[::1]/");
        check_join("ftp://h/x", "unsupported protocol scheme \"ftp\"");
        check_join("mailto:x", "unsupported protocol scheme \"mailto\"");
        check_join("http:x", "http: no Host in request URL");
        check_join("http:///x", "http: no Host in request URL");
        check_join("http://h:99999/", "invalid port \":99999\" after host");
    }
}
