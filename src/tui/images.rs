//! The images of the machine as the screen lists them, the pulls under way, and what the layers of one hold.

use serde_json::Value;

use super::overlay::{ImageChoice, PickAction, PickItem};
use super::sanitize::plain;
use crate::client::{ImagePull, ImageSummary};
use crate::printer::size_text;

const BAR: usize = 20;
/// Pods that are named before the rest is counted.
const NAMED_PODS: usize = 2;

/// As last told by the engine, while somebody looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    pub(super) all: Vec<ImageSummary>,
    pub(super) pulls: Vec<ImagePull>,
    /// Why they are not known.
    pub(super) problem: Option<String>,
    /// The engine has answered.
    pub(super) is_known: bool,
}

/// What one layer added, or what a step did that added none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// `None` for steps without a layer.
    pub(super) size: Option<u64>,
    pub(super) digest: Option<String>,
    pub(super) created_by: String,
}

/// Above names, and above size, layers and users.
pub(super) const HEADING: (&str, &str) = ("IMAGE", "  SIZE  LAYERS  USED BY");

impl Images {
    /// Pulls first, then images by name, then what can be done beside.
    pub(super) fn items(&self, is_readonly: bool) -> Vec<PickItem> {
        let pulls = self.pulls.iter().map(|pull| PickItem {
            key: short_name(&plain(&pull.image)),
            text: progress(pull),
            action: PickAction::Pull,
        });
        let mut images: Vec<PickItem> = self
            .all
            .iter()
            .enumerate()
            .map(|(index, image)| PickItem {
                key: name_of(image),
                text: format!(
                    "{:>6}  {:>6}  {}",
                    size_text(image.size),
                    image.layers.len(),
                    users(image)
                ),
                action: PickAction::Image(index),
            })
            .collect();
        images.sort_by(|left, right| left.key.cmp(&right.key));
        let mut items: Vec<PickItem> = pulls.chain(images).collect();
        if self.is_known && !is_readonly {
            let more = |key: &str, text: &str, choice| PickItem {
                key: key.to_owned(),
                text: text.to_owned(),
                action: PickAction::Images(choice),
            };
            items.push(more(
                "+ pull",
                "an image from a registry",
                ImageChoice::PullNew,
            ));
            items.push(more(
                "- prune",
                "what no pod uses (asks)",
                ImageChoice::Prune,
            ));
        }
        items
    }

    pub(super) fn title(&self) -> String {
        match (&self.problem, self.is_known) {
            (Some(problem), _) => format!("images cannot be read: {problem}"),
            (None, false) => "images: reading ...".to_owned(),
            (None, true) => {
                let size = self.all.iter().map(|image| image.size).sum();
                let pulls = match self.pulls.len() {
                    0 => String::new(),
                    count => format!(", {count} pulled now"),
                };
                format!(
                    "images: {}, {} unpacked{pulls}",
                    self.all.len(),
                    size_text(size)
                )
            }
        }
    }
}

/// `nginx:1.27 (+1)`, or the beginning of the ID for an image without a name.
pub(super) fn name_of(image: &ImageSummary) -> String {
    match image.names.as_slice() {
        [] => {
            let id = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
            format!("<none> {}", id.get(..12).unwrap_or(id))
        }
        [name] => short_name(&plain(name)),
        [name, more @ ..] => format!("{} (+{})", short_name(&plain(name)), more.len()),
    }
}

/// As one writes it: without what is added to every name of Docker Hub.
fn short_name(name: &str) -> String {
    let rest = name.strip_prefix("docker.io/").unwrap_or(name);
    rest.strip_prefix("library/").unwrap_or(rest).to_owned()
}

pub(super) fn users(image: &ImageSummary) -> String {
    let named: Vec<String> = image
        .used_by
        .iter()
        .take(NAMED_PODS)
        .map(|pod| plain(pod))
        .collect();
    match (named.as_slice(), image.used_by.len()) {
        ([], _) => "unused".to_owned(),
        (named, count) if count > named.len() => {
            format!("{} +{}", named.join(" "), count - named.len())
        }
        (named, _) => named.join(" "),
    }
}

/// `Fetching [####----]  12M of 50M  3 of 7 layers`.
fn progress(pull: &ImagePull) -> String {
    let all: u64 = pull.layers.iter().map(|layer| layer.size).sum();
    let here: u64 = pull
        .layers
        .iter()
        .map(|layer| layer.fetched.min(layer.size))
        .sum();
    let phase = plain(&pull.phase);
    if all == 0 {
        return phase;
    }
    let done = pull.layers.iter().filter(|layer| layer.done).count();
    let filled = here.saturating_mul(BAR as u64) / all;
    let filled = usize::try_from(filled).unwrap_or(BAR).min(BAR);
    format!(
        "{phase} [{}{}] {} of {}, {done} of {} layers unpacked",
        "#".repeat(filled),
        "-".repeat(BAR - filled),
        size_text(here),
        size_text(all),
        pull.layers.len()
    )
}

/// The history of the image, its newest step last, each beside the layer it made. Without a history that fits the
/// layers, the layers alone.
pub(super) fn steps(image: &ImageSummary) -> Vec<Step> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries: &[Value] = image.history.as_array().map_or(&[], Vec::as_slice);
    let is_empty = |entry: &Value| entry["empty_layer"].as_bool().unwrap_or(false);
    let made = entries.iter().filter(|entry| !is_empty(entry)).count();
    let mut layers = image.layers.iter().enumerate().map(|(index, digest)| Step {
        size: image.layer_sizes.get(index).copied(),
        digest: Some(digest.clone()),
        created_by: String::new(),
    });
    if made != image.layers.len() {
        return layers.collect();
    }
    let step = |entry: &Value| {
        let mut by = text(entry, "created_by");
        let comment = text(entry, "comment");
        if by.is_empty() {
            by = comment;
        }
        let created_by = plain(by.strip_prefix("/bin/sh -c #(nop) ").unwrap_or(&by).trim());
        let layer = if is_empty(entry) { None } else { layers.next() };
        Step {
            created_by,
            ..layer.unwrap_or(Step {
                size: None,
                digest: None,
                created_by: String::new(),
            })
        }
    };
    entries.iter().map(step).collect()
}

pub(super) fn step_items(steps: &[Step]) -> Vec<PickItem> {
    let item = |(index, step): (usize, &Step)| PickItem {
        key: step.size.map_or_else(|| "-".to_owned(), size_text),
        text: match (step.created_by.as_str(), &step.digest) {
            ("", Some(digest)) => digest.clone(),
            (by, _) => by.to_owned(),
        },
        action: PickAction::Layer(index),
    };
    steps.iter().enumerate().map(item).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::ImagePullLayer;

    fn image(names: &[&str], history: Value) -> ImageSummary {
        ImageSummary {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            id: "sha256:0123456789abcdef".to_owned(),
            created: None,
            size: 3 << 20,
            layers: vec!["sha256:a".to_owned(), "sha256:b".to_owned()],
            used_by: Vec::new(),
            config: Value::Null,
            repo_digests: Vec::new(),
            layer_sizes: vec![2 << 20, 1 << 20],
            history,
        }
    }

    #[track_caller]
    fn check_name(names: &[&str], expected: &str) {
        assert_eq!(name_of(&image(names, Value::Null)), expected);
    }

    #[test]
    fn names_as_one_writes_them() {
        check_name(&["docker.io/library/nginx:1"], "nginx:1");
        check_name(&["docker.io/a/b:1", "r.example/x:2"], "a/b:1 (+1)");
        check_name(&["localhost/toolbox:latest"], "localhost/toolbox:latest");
        check_name(&[], "<none> 0123456789ab");
        check_name(&["r.example/\u{1b}[2Jx"], "r.example/x");
    }

    #[track_caller]
    fn check_steps(history: Value, expected: &[(&str, &str)]) {
        let items = step_items(&steps(&image(&["x"], history)));
        let found: Vec<(&str, &str)> = items
            .iter()
            .map(|item| (item.key.as_str(), item.text.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_each_layer_added() {
        let history = json!([
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by": "ENV A=1", "empty_layer": true},
            {"created_by": "RUN make"},
        ]);
        check_steps(
            history,
            &[
                ("2.10MB", "ADD file:1 in /"),
                ("-", "ENV A=1"),
                ("1.05MB", "RUN make"),
            ],
        );
        check_steps(
            Value::Null,
            &[("2.10MB", "sha256:a"), ("1.05MB", "sha256:b")],
        );
        check_steps(
            json!([{"comment": "one of two"}]),
            &[("2.10MB", "sha256:a"), ("1.05MB", "sha256:b")],
        );
    }

    #[test]
    fn progress_of_a_pull() {
        let layer = |size, fetched, done| ImagePullLayer {
            digest: String::new(),
            size,
            fetched,
            done,
        };
        let mut pull = ImagePull {
            image: "docker.io/library/nginx:1".to_owned(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            phase: "Resolving".to_owned(),
            layers: Vec::new(),
        };
        assert_eq!(progress(&pull), "Resolving");
        pull.phase = "Fetching".to_owned();
        pull.layers = vec![
            layer(2 << 20, 2 << 20, true),
            layer(2 << 20, 1 << 20, false),
        ];
        assert_eq!(
            progress(&pull),
            "Fetching [###############-----] 3.15MB of 4.19MB, 1 of 2 layers unpacked"
        );
    }

    #[test]
    fn pulls_come_first_and_pods_are_named() {
        let mut first = image(&["b:1"], Value::Null);
        first.used_by = ["n/a", "n/b", "n/c"].map(str::to_owned).to_vec();
        let images = Images {
            all: vec![first, image(&["a:1"], Value::Null)],
            ..Images::default()
        };
        let lines: Vec<String> = images
            .items(false)
            .iter()
            .map(|item| format!("{} {}", item.key, item.text.trim()))
            .collect();
        assert_eq!(
            lines,
            [
                "a:1 3.15MB       2  unused",
                "b:1 3.15MB       2  n/a n/b +1"
            ]
        );
    }
}
