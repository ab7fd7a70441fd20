//! `cp`: files and directories from and to containers, by a tar on the other side, as kubectl copies them.
//!
//! What a container sends is hostile: only directories and plain files are made, none of them outside of the
//! target, and never through a link that came along (CVE-2019-1002101 and its sisters).

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use super::containers::{choose, get_pod};
use crate::base::{SessionEnd, SessionOutput, SessionStream, escaped};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::client::ExecOptions;

/// Pieces of an archive on their way.
const QUEUE: usize = 8;
const PIECE: usize = 64 << 10;

#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// PATH here, or [NAMESPACE/]POD:PATH
    source: String,
    /// PATH here, or [NAMESPACE/]POD:PATH
    target: String,
    /// Container; the first one when left out
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// Owner and mode in the container are its own choice
    #[arg(long)]
    no_preserve: bool,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Here(PathBuf),
    There {
        namespace: Option<String>,
        pod: String,
        path: String,
    },
}

impl Side {
    fn parse(text: &str) -> Result<Self, Failure> {
        let Some((pod, path)) = text.split_once(':') else {
            return Ok(Self::Here(text.into()));
        };
        // A path of this machine may hold a colon behind its first slash or dot.
        if text.starts_with(['/', '.']) {
            return Ok(Self::Here(text.into()));
        }
        if path.is_empty() {
            return Err(Failure::local("filepath can not be empty"));
        }
        let parts: Vec<&str> = pod.split('/').collect();
        match parts.as_slice() {
            [pod] if !pod.is_empty() => Ok(Self::There {
                namespace: None,
                pod: (*pod).to_owned(),
                path: path.to_owned(),
            }),
            [namespace, pod] if !namespace.is_empty() && !pod.is_empty() => Ok(Self::There {
                namespace: Some((*namespace).to_owned()),
                pod: (*pod).to_owned(),
                path: path.to_owned(),
            }),
            _ => Err(Failure::local(format!(
                "\"{text}\": write [NAMESPACE/]POD:PATH for a container, or a path of this machine"
            ))),
        }
    }
}

pub(crate) async fn cp(context: &mut Context, args: CpArgs) -> Result<(), Failure> {
    match (Side::parse(&args.source)?, Side::parse(&args.target)?) {
        (
            Side::Here(from),
            Side::There {
                namespace,
                pod,
                path,
            },
        ) => {
            if std::fs::symlink_metadata(&from).is_err() {
                let text = format!("{} doesn't exist in local filesystem", from.display());
                return Err(Failure::local(text));
            }
            let there = There::find(context, &args, namespace, pod).await?;
            upload(context, &there, &from, &path, args.no_preserve).await
        }
        (
            Side::There {
                namespace,
                pod,
                path,
            },
            Side::Here(to),
        ) => {
            let there = There::find(context, &args, namespace, pod).await?;
            download(context, &there, &path, &to).await
        }
        (Side::Here(_), Side::Here(_)) => Err(Failure::local(
            "one of src or dest must be a remote file specification",
        )),
        (Side::There { .. }, Side::There { .. }) => Err(Failure::local(
            "one of src or dest must be a local file specification",
        )),
    }
}

/// The container.
struct There {
    namespace: String,
    pod: String,
    container: String,
}

impl There {
    async fn find(
        context: &mut Context,
        args: &CpArgs,
        namespace: Option<String>,
        pod: String,
    ) -> Result<Self, Failure> {
        let namespace = namespace.unwrap_or_else(|| context.namespace());
        let client = context.client().await?;
        let found = get_pod(&*client, &namespace, &pod).await?;
        let given = args.container.as_deref();
        let container = choose(&mut context.console, &found, given)?;
        Ok(Self {
            namespace,
            pod,
            container,
        })
    }

    async fn run(
        &self,
        context: &mut Context,
        command: &[&str],
        stdin: bool,
    ) -> Result<SessionStream, Failure> {
        let options = ExecOptions {
            container: Some(self.container.clone()),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            stdin,
            stdout: true,
            stderr: true,
            tty: false,
            size: None,
        };
        let client = context.client().await?;
        Ok(client.exec(&self.namespace, &self.pod, options).await?)
    }
}

/// Passes standard output to `out` and returns how the command ended, and what it said.
async fn follow(
    mut stream: mpsc::Receiver<SessionOutput>,
    out: Option<mpsc::Sender<Bytes>>,
) -> (SessionEnd, String) {
    let mut said = Vec::new();
    while let Some(output) = stream.recv().await {
        match output {
            SessionOutput::Stdout(bytes) => {
                if let Some(out) = &out
                    && out.send(bytes).await.is_err()
                {
                    // Whoever took it has had enough, and says why.
                    return (SessionEnd::Closed, String::new());
                }
            }
            SessionOutput::Stderr(bytes) => {
                let room = PIECE.saturating_sub(said.len()).min(bytes.len());
                said.extend_from_slice(&bytes[..room]);
            }
            SessionOutput::End(end) => return (end, text(&said)),
        }
    }
    (SessionEnd::Closed, text(&said))
}

fn text(said: &[u8]) -> String {
    String::from_utf8_lossy(said).trim_end().to_owned()
}

fn ended(end: SessionEnd, said: &str) -> Result<(), Failure> {
    match end {
        SessionEnd::Exited(0) | SessionEnd::Closed => Ok(()),
        SessionEnd::Exited(code) => {
            let said = if said.is_empty() {
                String::new()
            } else {
                format!("{said}\n")
            };
            Err(Failure::Text(format!(
                "{said}command terminated with exit code {code}"
            )))
        }
        SessionEnd::Failed(message) => Err(Failure::local(format!(
            "{message}; cp needs a tar in the container"
        ))),
    }
}

async fn download(
    context: &mut Context,
    there: &There,
    path: &str,
    to: &Path,
) -> Result<(), Failure> {
    let stream = there
        .run(context, &["tar", "cf", "-", "--", path], false)
        .await?;
    let prefix = stripped(path);
    let base = Path::new(&prefix).file_name().map(PathBuf::from);
    let to = match to.is_dir() {
        // `.` and `/` have no name of their own: what is in them is copied.
        true => base.map_or_else(|| to.to_owned(), |base| to.join(base)),
        false => to.to_owned(),
    };
    let (sender, pieces) = mpsc::channel(QUEUE);
    let work = {
        let (prefix, to) = (prefix.clone(), to.clone());
        tokio::task::spawn_blocking(move || extract(Pieces::new(pieces), &prefix, &to))
    };
    let (end, said) = follow(stream.output, Some(sender)).await;
    let extracted = work
        .await
        .map_err(|error| Failure::local(format!("cannot extract: {error}")))?;
    // tar tells what is missing; that nothing came out of it then is no news.
    ended(end, &escaped_lines(&said))?;
    if !said.is_empty() {
        context.console.note(&escaped_lines(&said));
    }
    let extracted = extracted
        .map_err(|error| Failure::local(format!("cannot copy to {}: {error}", to.display())))?;
    for skipped in extracted.skipped {
        context.console.note(&format!("warning: {skipped}"));
    }
    match extracted.made {
        0 => Err(Failure::local(format!(
            "{path}: there is nothing that can be copied"
        ))),
        _ => Ok(()),
    }
}

/// The text of a container, which must not act on a terminal.
fn escaped_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escaped).collect();
    lines.join("\n")
}

/// As tar stores it: without a leading slash, `.` and `..` taken away.
fn stripped(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            name => steps.push(name),
        }
    }
    steps.join("/")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Extracted {
    made: usize,
    skipped: Vec<String>,
}

fn extract(input: impl Read, prefix: &str, to: &Path) -> io::Result<Extracted> {
    let mut done = Extracted::default();
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown = escaped(&name);
        let relative = stripped(&name);
        let below = match relative.strip_prefix(prefix) {
            Some("") => Some(""),
            Some(rest) if prefix.is_empty() => Some(rest),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        let is_up = Path::new(&name)
            .components()
            .any(|step| step == Component::ParentDir);
        let Some(below) = below.filter(|_| !is_up || prefix.is_empty()) else {
            let text = format!("file \"{shown}\" is outside target destination, skipping");
            done.skipped.push(text);
            continue;
        };
        let path = if below.is_empty() {
            to.to_owned()
        } else {
            to.join(below)
        };
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                std::fs::create_dir_all(&path)?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                if let Some(parent) = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty())
                {
                    std::fs::create_dir_all(parent)?;
                }
                let mut file = std::fs::File::create(&path)?;
                io::copy(&mut entry, &mut file)?;
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = escaped(&String::from_utf8_lossy(&target));
                let text = format!("skipping link: \"{shown}\" -> \"{target}\"");
                done.skipped.push(text);
                continue;
            }
            _ => {
                let text = format!("skipping \"{shown}\": it is neither a file nor a directory");
                done.skipped.push(text);
                continue;
            }
        }
        done.made += 1;
    }
    Ok(done)
}

async fn upload(
    context: &mut Context,
    there: &There,
    from: &Path,
    path: &str,
    no_preserve: bool,
) -> Result<(), Failure> {
    let name = std::fs::canonicalize(from).ok();
    let name = name.as_deref().and_then(Path::file_name).map(PathBuf::from);
    let probe = there.run(context, &["test", "-d", path], false).await?;
    let is_directory = matches!(follow(probe.output, None).await.0, SessionEnd::Exited(0));
    let target = match (is_directory, from.file_name().map(PathBuf::from).or(name)) {
        (true, Some(name)) => Path::new(path).join(name),
        _ => PathBuf::from(path.trim_end_matches('/')),
    };
    let Some(base) = target.file_name().map(PathBuf::from) else {
        return Err(Failure::local(format!("{path}: name the file to write")));
    };
    let parent = target
        .parent()
        .map(Path::to_string_lossy)
        .unwrap_or_default();
    let mut command = vec!["tar"];
    if no_preserve {
        command.extend(["--no-same-permissions", "--no-same-owner"]);
    }
    command.extend(["-xmf", "-"]);
    if !parent.is_empty() {
        command.extend(["-C", &parent]);
    }
    let mut stream = there.run(context, &command, true).await?;
    let stdin = stream.stdin.take();
    let from = from.to_owned();
    let shown = from.display().to_string();
    let work = tokio::task::spawn_blocking(move || match stdin {
        Some(stdin) => pack(Sender(stdin), &from, &base),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    });
    let (end, said) = follow(stream.output, None).await;
    let packed = work
        .await
        .map_err(|error| Failure::local(format!("cannot read {shown}: {error}")))?;
    ended(end, &escaped_lines(&said))?;
    packed.map_err(|error| Failure::local(format!("cannot copy {shown}: {error}")))
}

/// Links stay links; they mean what they mean in the container.
fn pack(to: impl io::Write, from: &Path, name: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(PIECE, to));
    archive.follow_symlinks(false);
    match from.metadata()?.is_dir() {
        true => archive.append_dir_all(name, from)?,
        // A link that is named is meant as what it leads to.
        false => archive.append_file(name, &mut std::fs::File::open(from)?)?,
    }
    archive.into_inner()?.into_inner()?;
    Ok(())
}

/// Reads what another task receives.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Pieces {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        let rest = Bytes::new();
        Self { pieces, rest }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

/// Writes to the standard input of a session.
struct Sender(mpsc::Sender<Bytes>);

impl io::Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Bytes::copy_from_slice(bytes))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides() {
        let there = |namespace: Option<&str>, pod: &str, path: &str| Side::There {
            namespace: namespace.map(str::to_owned),
            pod: pod.to_owned(),
            path: path.to_owned(),
        };
        let check = |text: &str, expected: Side| assert_eq!(Side::parse(text).unwrap(), expected);
        check("a", Side::Here("a".into()));
        check("./a:b", Side::Here("./a:b".into()));
        check("/a:b", Side::Here("/a:b".into()));
        check("p:/x", there(None, "p", "/x"));
        check("n/p:x", there(Some("n"), "p", "x"));
        for bad in [":x", "p:", "a/b/c:x"] {
            assert!(Side::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_leaves_the_target() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("to");
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: tar::EntryType, link: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            let data: &[u8] = if kind == tar::EntryType::Regular {
                b"data"
            } else {
                b""
            };
            header.set_size(data.len() as u64);
            // Past the builder, which would refuse such names.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_cksum();
            archive.append(&header, data).unwrap();
        };
        add("d", tar::EntryType::Directory, "");
        add("d/a", tar::EntryType::Regular, "");
        add("d/deep/b", tar::EntryType::Regular, "");
        add("d/out", tar::EntryType::Symlink, "/etc");
        add("d/out/x", tar::EntryType::Regular, "");
        add("d/../../evil", tar::EntryType::Regular, "");
        add("/d/../evil", tar::EntryType::Regular, "");
        add("dd/evil", tar::EntryType::Regular, "");
        add("d/pipe", tar::EntryType::Fifo, "");
        let bytes = archive.into_inner().unwrap();
        let done = extract(&bytes[..], "d", &to).unwrap();
        assert_eq!(done.made, 4);
        assert_eq!(
            done.skipped,
            [
                "skipping link: \"d/out\" -> \"/etc\"",
                "file \"d/../../evil\" is outside target destination, skipping",
                "file \"/d/../evil\" is outside target destination, skipping",
                "file \"dd/evil\" is outside target destination, skipping",
                "skipping \"d/pipe\": it is neither a file nor a directory",
            ]
        );
        assert_eq!(std::fs::read(to.join("deep/b")).unwrap(), b"data");
        // The link was not made, so this is a plain directory.
        assert!(to.join("out").symlink_metadata().unwrap().is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
