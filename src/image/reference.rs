use std::fmt;

use super::ImageError;
use super::digest::Digest;
use crate::base::escaped;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Domain and path together.
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// The normalised name of an image, in the grammar of the distribution project: domain, path, and a tag
/// or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reference {
    domain: String,
    path: String,
    /// `None` only when there is a digest.
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `nginx` means `docker.io/library/nginx:latest`, as docker and kubelet read it.
    pub(super) fn parse(text: &str) -> Result<Self, ImageError> {
        parse(text).map_err(|reason| ImageError::InvalidName {
            reference: shortened(text),
            reason,
        })
    }

    /// Without tag and digest: `docker.io/library/nginx`.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// Repository within its registry: `library/nginx`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(super) const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tagged name, as far as there is a tag.
    pub(super) fn tagged(&self) -> Option<String> {
        let tag = self.tag.as_ref()?;
        Some(format!("{}:{tag}", self.repository()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A reference as it may stand in a message: without control characters, of bounded length.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 300;
    let mut shown = escaped(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits are an image ID, not a name".to_owned());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest = Digest::parse(digest).ok_or("the digest after \"@\" is malformed")?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    // A colon behind the last slash starts a tag; one before it belongs to a port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (domain, path) = split_domain(name);
    check_domain(&domain)?;
    check_path(&path)?;
    if domain.len() + 1 + path.len() > NAME_MAX {
        return Err(format!(
            "repository name must not be more than {NAME_MAX} characters"
        ));
    }
    let tag = match (&tag, &digest) {
        (None, None) => Some(DEFAULT_TAG.to_owned()),
        _ => tag.map(str::to_owned),
    };
    Ok(Reference {
        domain,
        path,
        tag,
        digest,
    })
}

/// The part before the first slash is a domain when it cannot be a path component.
fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, path))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            let domain = if first == LEGACY_DOMAIN {
                DEFAULT_DOMAIN
            } else {
                first
            };
            (domain, path)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    (domain.to_owned(), path)
}

fn check_tag(tag: &str) -> Result<(), String> {
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = !tag.is_empty()
        && tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(first)
        && tag
            .bytes()
            .all(|byte| first(byte) || matches!(byte, b'.' | b'-'));
    if good {
        return Ok(());
    }
    Err("the tag must be 1 to 128 of letters, digits, \"_\", \".\" and \"-\", not starting with \".\" or \"-\"".to_owned())
}

fn check_domain(domain: &str) -> Result<(), String> {
    let (host, port) = match domain
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, rest)) => {
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| "the registry's IPv6 address is malformed")?;
            (
                None,
                rest.strip_prefix(':').or((!rest.is_empty()).then_some("")),
            )
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let good_port = |port: &str| {
        !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    if host.is_some_and(|host| !host.split('.').all(label))
        || port.is_some_and(|port| !good_port(port))
    {
        return Err("the registry before the first \"/\" is malformed".to_owned());
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("repository name ({path}) must be lowercase"));
    }
    if path.split('/').all(is_component) {
        return Ok(());
    }
    Err("each part of the name must be lowercase letters and digits, separated by \".\", \"_\", \"__\" or \"-\"".to_owned())
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(word) || !text.ends_with(word) {
        return false;
    }
    text.split(word).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = Reference::parse(text).map(|reference| reference.to_string());
        assert_eq!(found.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn names_are_normalised_as_docker_does() {
        let hex = "a".repeat(64);
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.2", "docker.io/library/nginx:1.2");
        check("user/app", "docker.io/user/app:latest");
        check("index.docker.io/nginx", "docker.io/library/nginx:latest");
        check("docker.io/a/b/c:x", "docker.io/a/b/c:x");
        check("localhost/toolbox", "localhost/toolbox:latest");
        check("localhost:5000/x:t", "localhost:5000/x:t");
        check("Registry/x", "Registry/x:latest");
        check("[::1]:5000/x", "[::1]:5000/x:latest");
        check(
            "quay.io/a__b/c-.d",
            "couldn't parse image name \"quay.io/a__b/c-.d\": invalid reference format: \
            each part of the name must be lowercase letters and digits, separated by \".\", \"_\", \"__\" or \"-\"",
        );
        check("quay.io/a__b/c---d", "quay.io/a__b/c---d:latest");
        check(
            &format!("x@sha256:{hex}"),
            &format!("docker.io/library/x@sha256:{hex}"),
        );
        check(
            &format!("x:1@sha256:{hex}"),
            &format!("docker.io/library/x:1@sha256:{hex}"),
        );
        check("127.0.0.1:80/x", "127.0.0.1:80/x:latest");
    }

    #[test]
    fn malformed_names_are_refused_with_a_reason() {
        check(
            "NGINX",
            "couldn't parse image name \"NGINX\": invalid reference format: repository name (library/NGINX) must be \
             lowercase",
        );
        for bad in [
            "",
            "../../etc/passwd",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:-x",
            "a: x",
            "a b",
            "a\0b",
            "ä",
            "a@sha256:00",
            "a@sha512:../x",
            "x.y:/b",
            "-a.b/c",
            "a.b:99999999/c",
            "https://a/b",
            "a:b:c",
            "[::1/x",
            "a\nb",
            "a@",
            "__a",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
        let id = "0".repeat(64);
        assert!(Reference::parse(&id).is_err());
        let long = Reference::parse(&"x".repeat(10_000))
            .unwrap_err()
            .to_string();
        assert!(long.len() < 600, "{}", long.len());
        let hidden = Reference::parse("a\u{1b}]0;x").unwrap_err().to_string();
        assert!(!hidden.contains('\u{1b}'));
    }
}
