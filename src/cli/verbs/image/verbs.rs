use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::filter::{self, Filter};
use super::list::{Columns, keep, list};
use super::load::{Loading, file_or_input};
use super::{housekeeping, pull, save};
use crate::base::Login;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::output::Format;
use crate::client::{Client, ImageSource, ImageSummary};
use crate::manifest;

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    /// List images
    #[command(visible_alias = "list")]
    Ls {
        /// Only images of this repository, or with this tag of it
        name: Option<String>,
        /// Print IDs only
        #[arg(short = 'q', long)]
        quiet: bool,
        /// Print whole IDs
        #[arg(long)]
        no_trunc: bool,
        /// Print the digests that registries know them by
        #[arg(long)]
        digests: bool,
        /// Only images that fit: reference=PATTERN (with * and ?), dangling=true|false
        #[arg(short = 'f', long = "filter", value_name = "FILTER")]
        filters: Vec<Filter>,
        /// Every image is listed, also without it
        #[arg(short = 'a', long, hide = true)]
        all: bool,
        /// yaml, json, name, jsonpath=…
        #[arg(
            short = 'o',
            long,
            value_name = "FORMAT",
            default_value = "",
            hide_default_value = true
        )]
        output: Format,
    },
    /// Read an OCI layout or archive, a docker archive, or an image of the docker daemon
    Load {
        /// The archive or layout directory, or docker-daemon:NAME; standard input when left out
        path: Option<PathBuf>,
        #[arg(short = 'i', long, conflicts_with = "path", value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// Write images to an archive that `image load`, docker, podman and containerd read
    Save {
        /// Names or IDs
        #[arg(required = true)]
        names: Vec<String>,
        /// Write to a file instead of standard output
        #[arg(short = 'o', long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Make an image of a root file system
    Import {
        /// Tar archive, possibly compressed; - for standard input
        tar: PathBuf,
        /// Name of the image
        name: String,
    },
    /// Give an image more names; another image that has one of them loses it
    Tag {
        /// Name or ID of the image
        image: String,
        /// Names to give it, as registries and manifests write them; without a tag, latest
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Take names away from an image; it stays, also without any
    Untag {
        /// Name or ID of the image; an ID takes all names
        image: String,
        /// Only these names
        names: Vec<String>,
    },
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm {
        /// Names or IDs
        #[arg(required = true)]
        names: Vec<String>,
        /// Also when a pod uses it, or an ID has several names
        #[arg(short = 'f', long)]
        force: bool,
    },
    /// Remove images that no pod uses and that have no name, and downloads that broke off
    Prune {
        /// Also images with a name
        #[arg(short = 'a', long)]
        all: bool,
    },
    /// Show how an image was made, newest layer first
    History {
        /// Name or ID
        name: String,
        /// Print commands in full
        #[arg(long)]
        no_trunc: bool,
    },
    /// Show everything about images
    Inspect {
        /// Names or IDs
        #[arg(required = true)]
        names: Vec<String>,
        /// json, yaml
        #[arg(short = 'o', long, value_name = "FORMAT", default_value = "json")]
        output: Format,
    },
    /// Get an image from a registry
    Pull {
        /// Name, with a tag or a digest; the default registry is docker.io
        name: String,
        /// Print the name only
        #[arg(short = 'q', long)]
        quiet: bool,
        /// Log in with this for the one pull; others see it in the list of processes, unlike `podtui login`
        #[arg(long, value_name = "USER:PASSWORD", value_parser = parse_login)]
        creds: Option<Login>,
    },
}

fn parse_login(text: &str) -> Result<Login, String> {
    match text.split_once(':') {
        Some((username, password)) if !username.is_empty() && !password.is_empty() => Ok(Login {
            username: username.to_owned(),
            password: password.to_owned(),
        }),
        _ => Err("write USER:PASSWORD".to_owned()),
    }
}

pub(in crate::cli) async fn image(context: &mut Context, args: ImageArgs) -> Result<(), Failure> {
    match args.verb {
        ImageVerb::Ls {
            name,
            quiet,
            no_trunc,
            digests,
            filters,
            all: _,
            output,
        } => {
            let client = context.client().await?;
            let mut images = client.images().await?;
            if let Some(name) = &name {
                images.retain_mut(|image| keep(image, name));
            }
            filter::keep(&mut images, &filters);
            let columns = Columns {
                quiet,
                no_trunc,
                digests,
            };
            list(&mut context.console, &images, columns, &output)
        }
        ImageVerb::Load { path, input } => {
            let path = path.or(input);
            let loading = Loading::prepare(&mut context.console, path.as_deref())?;
            add(context, loading.source.clone(), "Loaded image").await
        }
        ImageVerb::Save { names, output } => save::save(context, &names, output.as_deref()).await,
        ImageVerb::Import { tar, name } => {
            let (path, _copy) = file_or_input(&mut context.console, &tar)?;
            add(
                context,
                ImageSource::Import { path, name },
                "Imported image",
            )
            .await
        }
        ImageVerb::Untag { image, names } => untag(context, image, names).await,
        ImageVerb::Tag { image, names } => tag(context, image, names).await,
        ImageVerb::Rm { names, force } => remove(context, &names, force).await,
        ImageVerb::Prune { all } => housekeeping::prune(context, all).await,
        ImageVerb::History { name, no_trunc } => {
            let client = context.client().await?;
            let image = find(&*client, &name).await?;
            let image = image.ok_or_else(|| Failure::local(format!("no such image: {name}")))?;
            context
                .console
                .print(&housekeeping::history(&image, no_trunc))
        }
        ImageVerb::Inspect { names, output } => inspect(context, &names, &output).await,
        ImageVerb::Pull { name, quiet, creds } => pull::pull(context, name, creds, quiet).await,
    }
}

/// The engine works elsewhere, so it gets an absolute path; whether the file is there can be said at once.
pub(super) fn full(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::local(format!("the path \"{}\" does not exist", path.display()))
        }
        _ => Failure::local(format!("cannot read {}: {error}", path.display())),
    })
}

async fn add(context: &mut Context, source: ImageSource, done: &str) -> Result<(), Failure> {
    let client = context.client().await?;
    let names = client.add_image(source).await?;
    if names.is_empty() {
        context.console.note(&format!(
            "{done} without a name; `podtui image ls` shows its ID"
        ));
    }
    for name in names {
        context.console.print(&format!("{done}: {name}\n"))?;
    }
    Ok(())
}

async fn tag(context: &mut Context, image: String, names: Vec<String>) -> Result<(), Failure> {
    let client = context.client().await?;
    for name in names {
        let image = image.clone();
        client.add_image(ImageSource::Tag { image, name }).await?;
    }
    Ok(())
}

async fn untag(context: &mut Context, image: String, names: Vec<String>) -> Result<(), Failure> {
    let client = context.client().await?;
    let mut failures = Vec::new();
    let known = find(&*client, &image).await?;
    let known = known.ok_or_else(|| Failure::local(format!("no such image: {image}")))?;
    let words = match names.is_empty() {
        true => vec![image],
        false => names,
    };
    for word in words {
        // A name of another image is not taken away by mistake.
        let owner = find(&*client, &word).await?;
        if owner.is_none_or(|owner| owner.id != known.id) {
            let text = format!("{word}: the image has no such name");
            failures.push(Failure::local(text));
            continue;
        }
        match client.untag_image(&word).await {
            Ok(gone) => {
                for name in gone {
                    context.console.print(&format!("Untagged: {name}\n"))?;
                }
            }
            Err(error) => failures.push(error.into()),
        }
    }
    finish(&mut context.console, &failures)
}

/// `docker.io/library/nginx:1` → repository and tag; a digest counts as no tag.
pub(super) fn split_name(name: &str) -> (String, String) {
    let plain = name.split('@').next().unwrap_or(name);
    let after_slash = plain.rfind('/').map_or(0, |slash| slash + 1);
    match plain[after_slash..].rfind(':') {
        Some(colon) => {
            let (repository, tag) = plain.split_at(after_slash + colon);
            (repository.to_owned(), tag[1..].to_owned())
        }
        None => (plain.to_owned(), "<none>".to_owned()),
    }
}

pub(super) fn short(id: &str) -> String {
    id.strip_prefix("sha256:")
        .unwrap_or(id)
        .chars()
        .take(12)
        .collect()
}

pub(super) fn document(images: &[ImageSummary], output: &Format) -> Result<String, Failure> {
    let value = serde_json::to_value(images)
        .map_err(|error| Failure::local(format!("cannot write images: {error}")))?;
    match output {
        Format::Yaml => Ok(manifest::to_yaml(&value)),
        Format::JsonPath(path) => path
            .render(&json!({"items": value}))
            .map_err(|error| Failure::local(error.to_string())),
        Format::Name => Ok(images
            .iter()
            .flat_map(|image| &image.names)
            .map(|name| format!("{name}\n"))
            .collect()),
        Format::Json | Format::Table | Format::Wide | Format::CustomColumns(_) => pretty(&value),
    }
}

fn pretty(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::local(format!("cannot write JSON: {error}")))?;
    Ok(format!("{text}\n"))
}

/// An image by name (the default registry and tag may be left out), ID, or the start of an ID.
async fn find(client: &dyn Client, word: &str) -> Result<Option<ImageSummary>, Failure> {
    let images = client.images().await?;
    let tagged = |name: &str| {
        if split_name(name).1 == "<none>" {
            format!("{name}:latest")
        } else {
            name.to_owned()
        }
    };
    let wanted = tagged(word);
    let candidates = [
        wanted.clone(),
        format!("localhost/{wanted}"),
        format!("docker.io/{wanted}"),
        format!("docker.io/library/{wanted}"),
    ];
    // A digest says exactly which image is meant, whatever tag stands beside it.
    let digests = word.split_once('@').map(|(name, digest)| {
        let repository = split_name(name).0;
        let prefixes = ["", "localhost/", "docker.io/", "docker.io/library/"];
        prefixes.map(|prefix| format!("{prefix}{repository}@{digest}"))
    });
    let is_named = |image: &&ImageSummary| match &digests {
        Some(digests) => image.repo_digests.iter().any(|one| digests.contains(one)),
        None => image.names.iter().any(|name| candidates.contains(name)),
    };
    let by_name = images.iter().find(is_named);
    let digits = word.strip_prefix("sha256:").unwrap_or(word);
    let by_id = || {
        let is_id = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        images
            .iter()
            .find(|image| is_id && short_of(&image.id).starts_with(digits))
    };
    Ok(by_name.or_else(by_id).cloned())
}

fn short_of(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

async fn inspect(context: &mut Context, names: &[String], output: &Format) -> Result<(), Failure> {
    let client = context.client().await?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match find(&*client, name).await? {
            Some(image) => found.push(image),
            None => failures.push(Failure::local(format!("no such image: {name}"))),
        }
    }
    if !found.is_empty() {
        context.console.print(&document(&found, output)?)?;
    }
    finish(&mut context.console, &failures)
}

async fn remove(context: &mut Context, names: &[String], force: bool) -> Result<(), Failure> {
    let client = context.client().await?;
    let mut failures = Vec::new();
    for name in names {
        match client.remove_image(name, force).await {
            Ok(removed) => {
                for line in removed {
                    let word = if line.starts_with("sha256:") {
                        "Deleted"
                    } else {
                        "Untagged"
                    };
                    context.console.print(&format!("{word}: {line}\n"))?;
                }
            }
            Err(error) => failures.push(error.into()),
        }
    }
    finish(&mut context.console, &failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_last_colon_behind_the_last_slash() {
        let check = |name: &str, repository: &str, tag: &str| {
            assert_eq!(split_name(name), (repository.to_owned(), tag.to_owned()));
        };
        check(
            "docker.io/library/nginx:1.2",
            "docker.io/library/nginx",
            "1.2",
        );
        check("localhost:5000/x", "localhost:5000/x", "<none>");
        check("localhost/x@sha256:abc", "localhost/x", "<none>");
    }
}
