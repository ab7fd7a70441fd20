use jiff::Timestamp;

use super::verbs::{document, short, split_name};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::client::ImageSummary;
use crate::printer::{Table, human_duration, size_text};

/// What `image ls` is to show of each image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) quiet: bool,
    pub(super) no_trunc: bool,
    pub(super) digests: bool,
}

pub(super) fn list(
    console: &mut Console,
    images: &[ImageSummary],
    columns: Columns,
    output: &Format,
) -> Result<(), Failure> {
    if !output.is_table() {
        return console.print(&document(images, output)?);
    }
    let id = |image: &ImageSummary| match columns.no_trunc {
        true => image.id.clone(),
        false => short(&image.id),
    };
    if columns.quiet {
        let ids: String = images
            .iter()
            .map(|image| format!("{}\n", id(image)))
            .collect();
        return console.print(&ids);
    }
    let now = Timestamp::now();
    let mut head = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
    if columns.digests {
        head.insert(2, "DIGEST");
    }
    let mut table = Table::new(head);
    for image in images {
        let created = image.created.map_or_else(
            || "<unknown>".to_owned(),
            |at| format!("{} ago", human_duration(now.duration_since(at))),
        );
        for (repository, tag, digest) in rows(image) {
            let size = size_text(image.size);
            let mut row = vec![repository, tag, id(image), created.clone(), size];
            if columns.digests {
                row.insert(2, digest);
            }
            table.push(row);
        }
    }
    console.print(&table.render(true))
}

/// Repository, tag and digest of every line of an image. One that was pulled by digest alone has no tag.
fn rows(image: &ImageSummary) -> Vec<(String, String, String)> {
    let none = || "<none>".to_owned();
    let digests = || {
        let digests = image.repo_digests.iter();
        digests.filter_map(|known| known.split_once('@'))
    };
    let named: Vec<_> = image
        .names
        .iter()
        .map(|name| {
            let (repository, tag) = split_name(name);
            let digest = digests().find(|(known, _)| *known == repository);
            let digest = digest.map_or_else(none, |(_, digest)| digest.to_owned());
            (repository, tag, digest)
        })
        .collect();
    if !named.is_empty() {
        return named;
    }
    let unnamed: Vec<_> = digests()
        .map(|(repository, digest)| (repository.to_owned(), none(), digest.to_owned()))
        .collect();
    match unnamed.is_empty() {
        true => vec![(none(), none(), none())],
        false => unnamed,
    }
}

/// Whether an image is of a repository, or has that tag of it; its other names go.
pub(super) fn keep(image: &mut ImageSummary, wanted: &str) -> bool {
    let fits = |name: &str| {
        let shorter = ["docker.io/library/", "docker.io/", "localhost/"];
        let shorter = shorter
            .iter()
            .filter_map(|prefix| name.strip_prefix(prefix));
        std::iter::once(name)
            .chain(shorter)
            .any(|name| name == wanted || split_name(name).0 == wanted)
    };
    image.names.retain(|name| fits(name));
    !image.names.is_empty() || image.repo_digests.iter().any(|name| fits(name))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_per_name_and_none_is_left_out() {
        let image = |names: &[&str], digests: &[&str]| ImageSummary {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            id: "sha256:00".to_owned(),
            created: None,
            size: 0,
            layers: Vec::new(),
            used_by: Vec::new(),
            config: Value::Null,
            repo_digests: digests.iter().map(|name| (*name).to_owned()).collect(),
            layer_sizes: Vec::new(),
            history: Value::Null,
        };
        let check = |names: &[&str], digests: &[&str], lines: &[&str]| {
            let found = rows(&image(names, digests));
            let found = found.iter().map(|(a, b, c)| format!("{a} {b} {c}"));
            assert_eq!(found.collect::<Vec<_>>(), lines);
        };
        let two = ["docker.io/library/x:1", "localhost/y:2"];
        let digest = ["docker.io/library/x@sha256:aa"];
        let lines = ["docker.io/library/x 1 sha256:aa", "localhost/y 2 <none>"];
        check(&two, &digest, &lines);
        check(&[], &digest, &["docker.io/library/x <none> sha256:aa"]);
        check(&[], &[], &["<none> <none> <none>"]);
        for (wanted, kept) in [
            ("x", 1),
            ("x:1", 1),
            ("y", 1),
            ("library/x", 1),
            ("docker.io/library/x", 1),
            ("x:2", 0),
            ("z", 0),
        ] {
            let mut found = image(&two, &[]);
            assert_eq!(keep(&mut found, wanted), kept == 1, "{wanted}");
            assert_eq!(found.names.len(), kept, "{wanted}");
        }
        assert!(keep(&mut image(&[], &digest), "x"));
    }
}
