//! An index that cannot be read is put aside and made anew: from its backup, else from the configurations
//! and layers that are there. Without the backup the images have lost their names, and with them who may use
//! them: whoever gives one a name again by a pull must be let in by its registry, and so must the next one
//! ([`Proof::lost`]). Loading or importing an image again frees it, as it does at the first time.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ImageError;
use super::chain::LayerId;
use super::config;
use super::credentials::Proof;
use super::digest::Digest;
use super::store::{
    INDEX_VERSION, IndexFile, Store, StoredImage, StoredLayer, WriteLock, entries, io_error,
};

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Whole,
    Absent,
    /// Of another podtui: not ours to mend.
    Foreign,
    Damaged(String),
}

fn read(path: &Path) -> Result<(Reading, Vec<u8>), ImageError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok((Reading::Absent, Vec::new()));
        }
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let version = serde_json::from_slice::<serde_json::Value>(&bytes)
        .ok()
        .and_then(|value| value.get("version")?.as_u64());
    let reading = match serde_json::from_slice::<IndexFile>(&bytes) {
        _ if version.is_some_and(|version| version != u64::from(INDEX_VERSION)) => Reading::Foreign,
        Ok(_) => Reading::Whole,
        Err(error) => Reading::Damaged(error.to_string()),
    };
    Ok((reading, bytes))
}

impl Store {
    /// Returns what was done, for the user.
    pub(super) fn repair(&self, lock: &WriteLock) -> Result<Option<String>, ImageError> {
        let path = self.index_path();
        let (reading, _) = read(&path)?;
        let damage = match reading {
            Reading::Whole | Reading::Foreign => return Ok(None),
            Reading::Absent => None,
            Reading::Damaged(why) => Some(why),
        };
        let (backup, bytes) = read(&self.backup_path())?;
        if damage.is_none() && backup != Reading::Whole {
            // A new store.
            return Ok(None);
        }
        let aside = path.with_extension("json.damaged");
        let what = match damage {
            Some(why) => {
                fs::rename(&path, &aside).map_err(io_error("rename", &path))?;
                format!(
                    "{} was damaged ({why}) and is now {}",
                    path.display(),
                    aside.display()
                )
            }
            None => format!("{} was missing", path.display()),
        };
        let told = if backup == Reading::Whole {
            self.write_atomically(lock, &path, &bytes)?;
            format!("{what}; the images were taken from its backup")
        } else {
            let images = self.found_images()?;
            let count = images.len();
            let file = IndexFile {
                version: INDEX_VERSION,
                images,
            };
            let text =
                serde_json::to_vec_pretty(&file).expect("the index holds only strings and numbers");
            self.write_atomically(lock, &path, &text)?;
            format!(
                "{what}; {count} images were found again, without their names: load or import them again to give them names"
            )
        };
        tracing::warn!(told, "the image store was mended");
        Ok(Some(told))
    }

    /// The images whose configuration is whole and whose layers are all here.
    fn found_images(&self) -> Result<Vec<StoredImage>, ImageError> {
        let mut paths = entries(&self.blobs())?;
        paths.sort();
        Ok(paths
            .iter()
            .filter_map(|path| self.found_image(path))
            .collect())
    }

    fn found_image(&self, path: &Path) -> Option<StoredImage> {
        let bytes = fs::read(path).ok()?;
        let id = Digest::of(&bytes);
        if path.file_name()?.to_str()? != id.hex() {
            return None;
        }
        let ids = LayerId::all(&config::parse(&bytes).ok()?.diff_ids);
        let layers: Option<Vec<StoredLayer>> =
            ids.into_iter().map(|id| self.found_layer(id)).collect();
        Some(StoredImage {
            id,
            names: Vec::new(),
            repo_digests: Vec::new(),
            layers: layers?,
            proofs: vec![Proof::lost()],
        })
    }

    fn found_layer(&self, id: LayerId) -> Option<StoredLayer> {
        let (own, on_others) = (self.layer_path(&id.diff_id), self.layer_path(&id.chain));
        let (directory, chain) = match own.is_dir() {
            true => (own, None),
            false => (on_others, Some(id.chain)),
        };
        directory.is_dir().then(|| StoredLayer {
            diff_id: id.diff_id,
            size: size_of(&directory),
            chain,
        })
    }
}

/// Bytes of all files below, of one with several names once; what cannot be looked at counts nothing.
fn size_of(directory: &Path) -> u64 {
    let (mut seen, mut total) = (HashSet::new(), 0);
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for path in entries(&directory).unwrap_or_default() {
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => waiting.push(path),
                Ok(found)
                    if found.is_file() && (found.nlink() == 1 || seen.insert(found.ino())) =>
                {
                    total += found.len();
                }
                _ => {}
            }
        }
    }
    total
}
