use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::client::{Client, ImageSource};
use crate::printer::size_text;
use crate::tui::effect::ImageWork;
use crate::tui::images::Images;
use crate::tui::msg::{Msg, Reply};
use crate::tui::sanitize::plain;

/// Fast enough for the bar of a pull.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads images and pulls until it is aborted or the screen is gone. What did not change is not told.
pub(in crate::tui) async fn poll_images(client: Arc<dyn Client>, messages: mpsc::Sender<Msg>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        ticks.tick().await;
        let found = match client.images().await {
            Ok(all) => client.image_pulls().await.map(|pulls| (all, pulls)),
            Err(error) => Err(error),
        };
        if known.as_ref() == Some(&found) {
            continue;
        }
        let images = match found.clone() {
            Ok((all, pulls)) => Images {
                all,
                pulls,
                problem: None,
                is_known: true,
            },
            Err(error) => Images {
                problem: Some(plain(&error.to_string())),
                ..Images::default()
            },
        };
        known = Some(found);
        if messages.send(Msg::Images(Box::new(images))).await.is_err() {
            return;
        }
    }
}

/// Done at once, but for a pull, which takes as long as it takes; its progress is told by [`poll_images`].
pub(in crate::tui) async fn work_on_images(client: Arc<dyn Client>, work: ImageWork) -> Reply {
    let (what, done) = match work {
        ImageWork::Pull(name) => {
            let source = ImageSource::Pull {
                name: name.clone(),
                login: None,
            };
            let done = client.add_image(source).await.map(|names| names.join(", "));
            (
                format!("pulling {name}"),
                done.map(|names| format!("pulled {names}")),
            )
        }
        ImageWork::Remove(name) => {
            let done = client.remove_image(&name, false).await;
            (
                format!("removing {name}"),
                done.map(|_| format!("removed {name}")),
            )
        }
        ImageWork::Prune { all } => {
            let done = client.prune_images(all).await.map(|report| {
                let (count, freed) = (report.images.len(), size_text(report.freed));
                format!("removed {count} images, {freed} freed")
            });
            ("removing images".to_owned(), done)
        }
    };
    Reply::Images(done.map_err(|error| format!("{what}: {error}")))
}
