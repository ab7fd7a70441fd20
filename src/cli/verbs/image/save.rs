use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::printer::size_text;

const REDRAW: Duration = Duration::from_millis(150);

/// Writes the archive to a file, which appears (or is replaced) only when it is whole, or to standard output.
pub(super) async fn save(
    context: &mut Context,
    names: &[String],
    output: Option<&Path>,
) -> Result<(), Failure> {
    if output.is_none() && context.console.out_is_terminal {
        return Err(Failure::local(
            "refusing to write an archive to a terminal: name a file with -o, or redirect",
        ));
    }
    // A directory that is not there should be told before the work.
    let mut file = output.map(Unfinished::create).transpose()?;
    let client = context.client().await?;
    let mut archive = client.save_images(names).await?;
    let console = &mut context.console;
    let shows = console.err_is_terminal && file.is_some();
    let (mut written, mut drawn) = (0_u64, Instant::now());
    while let Some(part) = archive.next().await {
        let part = part?;
        match &mut file {
            Some(file) => file.write(&part)?,
            None => console.write(&part)?,
        }
        written += u64::try_from(part.len()).unwrap_or(u64::MAX);
        if shows && drawn.elapsed() >= REDRAW {
            drawn = Instant::now();
            console.write_err(format!("\r\x1b[K{} written", size_text(written)).as_bytes());
        }
    }
    if shows {
        console.write_err(b"\r\x1b[K");
    }
    file.map_or(Ok(()), Unfinished::finish)
}

/// A file beside its place, removed unless it is finished.
struct Unfinished {
    file: File,
    path: PathBuf,
    place: PathBuf,
    is_whole: bool,
}

impl Unfinished {
    fn create(place: &Path) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::local(format!("cannot write {}: {error}", place.display()))
        };
        if let Ok(found) = std::fs::metadata(place)
            && !found.is_file()
        {
            return Err(Failure::local(format!(
                "cannot write {}: it is not a regular file",
                place.display()
            )));
        }
        let mut name = place
            .file_name()
            .ok_or_else(|| cannot(std::io::ErrorKind::InvalidInput.into()))?
            .to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = place.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(cannot)?;
        Ok(Self {
            file,
            path,
            place: place.to_owned(),
            is_whole: false,
        })
    }

    fn cannot(&self, error: &std::io::Error) -> Failure {
        Failure::local(format!("cannot write {}: {error}", self.place.display()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.cannot(&error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let whole = self
            .file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.path, &self.place));
        whole.map_err(|error| self.cannot(&error))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_whole {
            // Nothing more can be done about a file that cannot be removed either.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
