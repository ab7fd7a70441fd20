//! `image ls --filter`: what docker and podman understand of it that makes sense here.

use crate::base::quoted;
use crate::client::ImageSummary;

/// One `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// A name, of which `*` and `?` stand for anything but a slash.
    Reference(String),
    /// Without a name, or with one.
    Dangling(bool),
}

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("reference", pattern)) if !pattern.is_empty() => {
                Ok(Self::Reference(pattern.to_owned()))
            }
            Some(("dangling", "true" | "1")) => Ok(Self::Dangling(true)),
            Some(("dangling", "false" | "0")) => Ok(Self::Dangling(false)),
            _ => Err(format!(
                "{} is no filter: write reference=PATTERN or dangling=true|false",
                quoted(text)
            )),
        }
    }
}

/// Takes away what does not fit: of an image that is found by name the other names, else the image.
pub(super) fn keep(images: &mut Vec<ImageSummary>, filters: &[Filter]) {
    let patterns: Vec<&str> = filters
        .iter()
        .filter_map(|filter| match filter {
            Filter::Reference(pattern) => Some(pattern.as_str()),
            Filter::Dangling(_) => None,
        })
        .collect();
    images.retain_mut(|image| {
        let dangling = filters.iter().all(|filter| match filter {
            Filter::Dangling(wanted) => image.names.is_empty() == *wanted,
            Filter::Reference(_) => true,
        });
        if !patterns.is_empty() {
            // Several patterns widen the selection, as in docker.
            image
                .names
                .retain(|name| patterns.iter().any(|pattern| fits(pattern, name)));
        }
        dangling && (patterns.is_empty() || !image.names.is_empty())
    });
}

/// Against the name in full and without its default beginnings, with its tag and without.
fn fits(pattern: &str, name: &str) -> bool {
    let shorter = ["docker.io/library/", "docker.io/", "localhost/"];
    let shorter = shorter.iter().filter_map(|start| name.strip_prefix(start));
    std::iter::once(name).chain(shorter).any(|name| {
        let (repository, _) = super::verbs::split_name(name);
        is_match(pattern.as_bytes(), name.as_bytes())
            || is_match(pattern.as_bytes(), repository.as_bytes())
    })
}

fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len())
            .take_while(|end| !text[..*end].contains(&b'/'))
            .any(|end| is_match(rest, &text[end..])),
        Some((b'?', rest)) => {
            text.first().is_some_and(|byte| *byte != b'/') && is_match(rest, &text[1..])
        }
        Some((byte, rest)) => text.first() == Some(byte) && is_match(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn image(names: &[&str]) -> ImageSummary {
        ImageSummary {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            id: "sha256:00".to_owned(),
            created: None,
            size: 0,
            layers: Vec::new(),
            used_by: Vec::new(),
            config: Value::Null,
            repo_digests: Vec::new(),
            layer_sizes: Vec::new(),
            history: Value::Null,
        }
    }

    #[track_caller]
    fn check(filters: &[&str], expected: &[&[&str]]) {
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        let mut images = vec![
            image(&["docker.io/library/nginx:1.2", "localhost/web:1"]),
            image(&["quay.io/team/app:v1"]),
            image(&[]),
        ];
        keep(&mut images, &filters);
        let found: Vec<Vec<String>> = images.into_iter().map(|image| image.names).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn filters_of_docker_and_podman() {
        check(&["reference=nginx"], &[&["docker.io/library/nginx:1.2"]]);
        check(&["reference=ngi*:1.?"], &[&["docker.io/library/nginx:1.2"]]);
        check(
            &["reference=*"],
            &[&["docker.io/library/nginx:1.2", "localhost/web:1"]],
        );
        check(&["reference=quay.io/*/app"], &[&["quay.io/team/app:v1"]]);
        check(
            &["reference=web", "reference=*/*/app:v1"],
            &[&["localhost/web:1"], &["quay.io/team/app:v1"]],
        );
        check(&["dangling=true"], &[&[]]);
        check(
            &["dangling=false", "reference=web"],
            &[&["localhost/web:1"]],
        );
        for bad in ["dangling=maybe", "since=x", "nginx", "reference="] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
