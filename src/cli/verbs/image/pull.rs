use std::time::{Duration, Instant};

use crate::base::Login;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::client::{Client, ImagePull, ImageSource};
use crate::printer::size_text;

const REDRAW: Duration = Duration::from_millis(150);

/// Pulls, with a line on the terminal that says how far it is.
pub(super) async fn pull(
    context: &mut Context,
    name: String,
    login: Option<Login>,
    quiet: bool,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let source = ImageSource::Pull { name, login };
    let shows = context.console.err_is_terminal && !quiet;
    let mut line = Line::default();
    let names = {
        let mut work = std::pin::pin!(client.add_image(source));
        loop {
            tokio::select! {
                done = &mut work => break done,
                () = tokio::time::sleep(REDRAW), if shows => {
                    let text = line.next(&*client).await;
                    context.console.write_err(text.as_bytes());
                }
            }
        }
    };
    context.console.write_err(line.end().as_bytes());
    for name in names? {
        let text = if quiet {
            format!("{name}\n")
        } else {
            format!("Pulled image: {name}\n")
        };
        context.console.print(&text)?;
    }
    Ok(())
}

/// The line that is drawn over itself.
#[derive(Default)]
struct Line {
    before: Option<(Instant, u64)>,
    /// Bytes per second, smoothed.
    speed: u64,
    drawn: bool,
}

impl Line {
    async fn next(&mut self, client: &dyn Client) -> String {
        // A look that fails is no reason to give up the pull.
        let pulls = client.image_pulls().await.unwrap_or_default();
        let Some(pull) = pulls.first() else {
            return String::new();
        };
        self.measure(Instant::now(), fetched(pull));
        self.drawn = true;
        format!("\r\x1b[K{}", text(pull, self.speed))
    }

    fn measure(&mut self, now: Instant, bytes: u64) {
        if let Some((at, before)) = self.before {
            let passed = u64::try_from(now.duration_since(at).as_millis())
                .unwrap_or(u64::MAX)
                .max(1);
            let speed = bytes.saturating_sub(before).saturating_mul(1000) / passed;
            self.speed = (self.speed * 3 + speed) / 4;
        }
        self.before = Some((now, bytes));
    }

    fn end(&self) -> &'static str {
        if self.drawn { "\r\x1b[K" } else { "" }
    }
}

fn fetched(pull: &ImagePull) -> u64 {
    pull.layers.iter().map(|layer| layer.fetched).sum()
}

/// `Fetching [#####.....] 12.3MB/45.6MB, 2/5 layers, 3.40MB/s`
fn text(pull: &ImagePull, speed: u64) -> String {
    const WIDTH: u64 = 20;
    let size: u64 = pull.layers.iter().map(|layer| layer.size).sum();
    if size == 0 {
        return format!("{} {}", pull.phase, pull.image);
    }
    let here = fetched(pull);
    let full = here.saturating_mul(WIDTH) / size;
    let bar: String = (0..WIDTH)
        .map(|at| if at < full { '#' } else { '.' })
        .collect();
    let done = pull.layers.iter().filter(|layer| layer.done).count();
    format!(
        "{} [{bar}] {}/{}, {done}/{} layers, {}/s",
        pull.phase,
        size_text(here),
        size_text(size),
        pull.layers.len(),
        size_text(speed)
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::client::ImagePullLayer;

    #[test]
    fn the_line_tells_bytes_layers_and_speed() {
        let layer = |size, fetched| ImagePullLayer {
            digest: "d".to_owned(),
            size,
            fetched,
            done: size == fetched,
        };
        let mut pull = ImagePull {
            image: "docker.io/library/a:latest".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            phase: "Fetching".to_owned(),
            layers: vec![layer(3_000_000, 3_000_000), layer(3_000_000, 0)],
        };
        assert_eq!(
            text(&pull, 1_500),
            "Fetching [##########..........] 3.00MB/6.00MB, 1/2 layers, 1.50kB/s"
        );
        pull.layers.clear();
        pull.phase = "Resolving".to_owned();
        assert_eq!(text(&pull, 0), "Resolving docker.io/library/a:latest");
    }

    #[test]
    fn speed_is_bytes_per_second() {
        let mut line = Line::default();
        let start = Instant::now();
        for step in 0..20_u32 {
            line.measure(
                start + Duration::from_millis(100) * step,
                u64::from(step) * 100,
            );
        }
        assert!((900..=1000).contains(&line.speed), "{}", line.speed);
    }
}
