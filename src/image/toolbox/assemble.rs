use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::plan::{Node, Plan};
use crate::image::chain::Place;
use crate::image::digest::Algorithm;
use crate::image::import::add_single_layer;
use crate::image::store::{Store, WriteLock, io_error};
use crate::image::{ImageError, ImageRecord};

pub(in crate::image) const NAME: &str = "localhost/toolbox:latest";

/// Refuses names that would make another image (`id`) pass for the toolbox.
pub(in crate::image) fn keep(store: &Store, names: &[String], id: &str) -> Result<(), ImageError> {
    let is_own = |name: &String| name == NAME;
    if !names.iter().any(is_own) {
        return Ok(());
    }
    match store.find(|record| record.names.iter().any(is_own))? {
        Some(own) if own.id == id => Ok(()),
        _ => Err(ImageError::Toolbox),
    }
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts the toolbox together, unless somebody else has done so in the meantime.
pub(in crate::image) fn assemble(store: &Store) -> Result<ImageRecord, ImageError> {
    let lock = store.lock()?;
    if let Some(record) = store.find(|record| record.names.iter().any(|name| name == NAME))? {
        return Ok(record);
    }
    let plan = Plan::of_this_host();
    if !plan.has_shell() {
        return Err(ImageError::BadArchive {
            archive: NAME.to_owned(),
            reason: "no shell was found on this machine: install one (or busybox), or load another image".to_owned(),
        });
    }
    let archive = write_archive(store, &lock, &plan)?;
    let layer = store.add_layer(
        &lock,
        NAME,
        Algorithm::Sha256,
        archive,
        &Place::Lowest,
        |_| Ok(()),
    )?;
    let config = json!({"Env": [PATH], "Cmd": ["/bin/sh"], "WorkingDir": "/"});
    add_single_layer(store, &lock, layer, NAME.to_owned(), &config, None)
}

/// The plan as a tar stream in an unnamed file.
fn write_archive(store: &Store, lock: &WriteLock, plan: &Plan) -> Result<File, ImageError> {
    let temporary = store.temporary(lock);
    let path = temporary.path();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("create", path))?;
    let mut builder = Builder::new(BufWriter::with_capacity(1 << 20, file));
    // Links stand behind what they lead to, whatever their names are.
    let is_link = |node: &Node| matches!(node, Node::HardLink(_));
    let first = plan.nodes.iter().filter(|(_, node)| !is_link(node));
    let links = plan.nodes.iter().filter(|(_, node)| is_link(node));
    for (place, node) in first.chain(links) {
        append(&mut builder, place, node).map_err(io_error("add to the toolbox", place))?;
    }
    let rewind = |builder: Builder<BufWriter<File>>| {
        let mut file = builder
            .into_inner()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    };
    rewind(builder).map_err(io_error("write", path))
}

fn append(builder: &mut Builder<impl Write>, place: &Path, node: &Node) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match node {
        Node::Directory { mode } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            builder.append_data(&mut header, place, io::empty())
        }
        Node::Text(text) => {
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, place, text.as_bytes())
        }
        Node::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            builder.append_link(&mut header, place, target)
        }
        Node::HardLink(target) => {
            header.set_entry_type(EntryType::Link);
            header.set_mode(0o755);
            builder.append_link(&mut header, place, target)
        }
        Node::File { source, mode } => {
            let file = File::open(source)?;
            let found = file.metadata()?;
            header.set_mode(*mode);
            header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
            header.set_size(found.len());
            // A package manager may be at work: the announced length must hold.
            let content = Exactly {
                file: file.take(found.len()),
            };
            builder.append_data(&mut header, place, content)
        }
    }
}

/// A file that must not end before its announced length.
struct Exactly {
    file: io::Take<File>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        if length == 0 && self.file.limit() > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(length)
    }
}
