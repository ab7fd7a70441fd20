//! The files that hold the objects: `snapshot-N.jsonl` (all objects at the moment when journal N began) and
//! `journal-N.jsonl` (every write since). The state is the newest snapshot and all journals from its number
//! on, in order.
//!
//! When a journal has grown large, writes go on in journal N+1 while snapshot N+1 is written beside it; only
//! when that is on the disk for good are the older files removed. So there is a whole history on disk at
//! every instant.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::record::{BadLine, Record, VERSION};
use super::{Change, StoreError};
use crate::model::{Object, ObjectKey, ResourceVersion};

/// What the files say.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) objects: BTreeMap<ObjectKey, Object>,
    pub(super) version: ResourceVersion,
    /// What could not be read and was left out, for the user.
    pub(super) damage: Vec<String>,
}

impl Replayed {
    fn apply(&mut self, record: Record) -> Result<(), serde_json::Error> {
        self.version = self.version.max(record.version());
        match record {
            Record::Mark { .. } => {}
            Record::Put { kind, object, .. } => {
                let object = Object::from_value(kind, object)?;
                self.objects.insert(object.key(), object);
            }
            Record::Delete { key, .. } => {
                self.objects.remove(&key);
            }
        }
        Ok(())
    }
}

/// The open end of the history.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    number: u64,
    file: Arc<File>,
    /// Bytes of whole records in `file`.
    length: u64,
    /// Bytes of the journals before it that no snapshot has replaced.
    older: u64,
    /// A failed write may have left half a record behind `length`.
    torn: bool,
    /// Something was appended that no sync has been asked for yet.
    dirty: bool,
    /// Journals before this one that are not known to be on the disk.
    earlier: Vec<(PathBuf, Arc<File>)>,
    new_name: bool,
}

/// Everything that must reach the disk before the writes so far may be acknowledged.
#[derive(Debug)]
pub(super) struct SyncJob {
    files: Vec<(PathBuf, Arc<File>)>,
    directory: Option<PathBuf>,
}

/// A snapshot that is still to be written, and the files it makes superfluous.
#[derive(Debug)]
pub(super) struct SnapshotJob {
    directory: PathBuf,
    number: u64,
    version: ResourceVersion,
    objects: Vec<Object>,
}

impl Journal {
    /// Reads what is there and opens the newest journal for appending. A half-written record at its end is
    /// cut off and mentioned in the log: nobody was told that it had been written.
    pub(super) fn open(directory: &Path) -> Result<(Self, Replayed), StoreError> {
        make_directory(directory)?;
        let files = Files::list(directory)?;
        let mut replayed = Replayed::default();
        let start = files.snapshots.last().copied().unwrap_or(0);
        if start > 0 {
            read_file(&snapshot_path(directory, start), &mut replayed)?;
        }
        let mut number = start;
        let (mut length, mut older) = (0, 0);
        for &journal in files.journals.iter().filter(|&&journal| journal >= start) {
            number = journal;
            older += length;
            length = read_file(&journal_path(directory, journal), &mut replayed)?;
        }
        files.remove_before(directory, start);
        // A snapshot that was never finished.
        let _ = fs::remove_file(snapshot_path(directory, number).with_extension("tmp"));

        let path = journal_path(directory, number);
        let file = open_append(&path).map_err(|source| append_error(&path, source))?;
        cut_tail(&path, &file, length)?;
        let journal = Self {
            directory: directory.to_owned(),
            number,
            file: Arc::new(file),
            length,
            older,
            torn: false,
            dirty: true,
            earlier: Vec::new(),
            new_name: true,
        };
        Ok((journal, replayed))
    }

    /// Bytes of all journals that the next snapshot would replace.
    pub(super) fn len(&self) -> u64 {
        self.older.saturating_add(self.length)
    }

    /// The snapshot of the last [`Self::rotate`] is on the disk.
    pub(super) fn rotated(&mut self) {
        self.older = 0;
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Hands one record to the kernel: it survives podtui from here on. On an error the file is as before.
    pub(super) fn append(&mut self, change: &Change) -> Result<(), StoreError> {
        let line = Record::of(change).to_line();
        self.append_line(line.as_bytes())
            .map_err(|source| append_error(&self.path(), source))
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        if let Err(error) = (&*self.file).write_all(line) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.dirty = true;
        Ok(())
    }

    /// What [`SyncJob::run`] has to do for all writes so far.
    pub(super) fn start_sync(&mut self) -> SyncJob {
        self.dirty = false;
        let mut files = std::mem::take(&mut self.earlier);
        files.push((self.path(), Arc::clone(&self.file)));
        let directory = std::mem::take(&mut self.new_name).then(|| self.directory.clone());
        SyncJob { files, directory }
    }

    /// Goes on in an empty journal. The snapshot to be written replaces everything before it.
    pub(super) fn rotate(
        &mut self,
        version: ResourceVersion,
        objects: Vec<Object>,
    ) -> Result<SnapshotJob, StoreError> {
        // Where a snapshot failed and nothing was written since, its journal serves the next one as well.
        if self.length > 0 || self.torn {
            self.next_file()?;
        }
        Ok(SnapshotJob {
            directory: self.directory.clone(),
            number: self.number,
            version,
            objects,
        })
    }

    fn next_file(&mut self) -> Result<(), StoreError> {
        let number = self.number + 1;
        let path = journal_path(&self.directory, number);
        let file = open_append(&path).map_err(|source| append_error(&path, source))?;
        let earlier = std::mem::replace(&mut self.file, Arc::new(file));
        if self.torn {
            // Where that fails the next start cuts the half record off.
            let _ = earlier.set_len(self.length);
        }
        self.earlier
            .push((journal_path(&self.directory, self.number), earlier));
        self.number = number;
        self.older = self.older.saturating_add(self.length);
        self.length = 0;
        self.torn = false;
        self.dirty = true;
        self.new_name = true;
        Ok(())
    }

    pub(super) fn path(&self) -> PathBuf {
        journal_path(&self.directory, self.number)
    }
}

impl SyncJob {
    /// Blocks until the disk has everything.
    pub(super) fn run(&self) -> Result<(), StoreError> {
        for (path, file) in &self.files {
            file.sync_data()
                .map_err(|source| sync_error(path, source))?;
        }
        if let Some(directory) = &self.directory {
            sync_directory(directory).map_err(|source| sync_error(directory, source))?;
        }
        Ok(())
    }
}

impl SnapshotJob {
    /// Blocks. On an error the older files are still there and the half-made snapshot is not.
    pub(super) fn run(&self) -> Result<u64, StoreError> {
        let path = snapshot_path(&self.directory, self.number);
        let temporary = path.with_extension("tmp");
        let written = self
            .write(&temporary)
            .and_then(|size| fs::rename(&temporary, &path).map(|()| size))
            .and_then(|size| sync_directory(&self.directory).map(|()| size));
        match written {
            Ok(size) => {
                Files::list(&self.directory)?.remove_before(&self.directory, self.number);
                Ok(size)
            }
            Err(source) => {
                // It may not exist; the next start removes it, too.
                let _ = fs::remove_file(&temporary);
                Err(append_error(&temporary, source))
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let mut writer = BufWriter::new(file);
        let mark = Record::Mark {
            version: self.version,
        };
        writer.write_all(mark.to_line().as_bytes())?;
        for object in &self.objects {
            writer.write_all(Record::put(object).to_line().as_bytes())?;
        }
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

/// Numbers of the files in the directory, ascending.
struct Files {
    snapshots: Vec<u64>,
    journals: Vec<u64>,
}

impl Files {
    fn list(directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Read {
            path: directory.to_owned(),
            source,
        };
        let mut files = Self {
            snapshots: Vec::new(),
            journals: Vec::new(),
        };
        for entry in fs::read_dir(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(number) = number_of(name, "snapshot-") {
                files.snapshots.push(number);
            } else if let Some(number) = number_of(name, "journal-") {
                files.journals.push(number);
            }
        }
        files.snapshots.sort_unstable();
        files.journals.sort_unstable();
        Ok(files)
    }

    /// Files that stay in spite of an error cost space only.
    fn remove_before(&self, directory: &Path, number: u64) {
        let snapshots = self.snapshots.iter().filter(|&&found| found < number);
        let journals = self.journals.iter().filter(|&&found| found < number);
        let paths = snapshots
            .map(|&found| snapshot_path(directory, found))
            .chain(journals.map(|&found| journal_path(directory, found)));
        for path in paths {
            if let Err(error) = fs::remove_file(&path) {
                warn!(path = %path.display(), %error, "cannot remove an outdated store file");
            }
        }
    }
}

fn number_of(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?
        .strip_suffix(".jsonl")?
        .parse()
        .ok()
}

fn snapshot_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("snapshot-{number}.jsonl"))
}

fn journal_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("journal-{number}.jsonl"))
}

/// Secrets are in these files in clear, as in the etcd of a control plane; the directory is for its owner only.
fn make_directory(directory: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .map_err(|source| StoreError::Directory {
            path: directory.to_owned(),
            source,
        })
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Applies the records of one file and returns the length up to the end of the last good one. Bad lines
/// between good ones are damage of the disk: they are reported and skipped, the file is kept aside.
fn read_file(path: &Path, replayed: &mut Replayed) -> Result<u64, StoreError> {
    let failed = |source| StoreError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::read(path).map_err(failed)?;
    let mut good_end = 0;
    let mut position = 0;
    let mut pending_damage = 0;
    let mut damaged = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        position += line.len();
        let record = match line.strip_suffix(b"\n").map(Record::from_line) {
            Some(Ok(record)) => Some(record),
            Some(Err(BadLine::Newer(version))) => {
                return Err(StoreError::NewerFormat {
                    path: path.to_owned(),
                    version,
                    supported: VERSION,
                });
            }
            Some(Err(BadLine::Damaged)) | None => None,
        };
        match record.map(|record| replayed.apply(record)) {
            Some(Ok(())) => {
                good_end = position;
                damaged += std::mem::take(&mut pending_damage);
            }
            Some(Err(_)) | None => pending_damage += 1,
        }
    }
    // A crash leaves half a line. Whole lines that cannot be read were written, and maybe acknowledged.
    if bytes[good_end..].contains(&b'\n') {
        damaged += pending_damage;
    } else if pending_damage > 0 {
        warn!(path = %path.display(), bytes = bytes.len() - good_end,
            "the store file ends with an unfinished record; ignored");
    }
    if damaged > 0 {
        let aside = path.with_extension("damaged");
        let copied = fs::copy(path, &aside).is_ok();
        warn!(path = %path.display(), lines = damaged, copied, aside = %aside.display(),
            "skipped damaged records of the store");
        replayed.damage.push(format!(
            "{} had {damaged} damaged lines; the objects in them are as they were before or gone. The file as it was is {}",
            path.display(),
            aside.display()
        ));
    }
    Ok(u64::try_from(good_end).unwrap_or(u64::MAX))
}

fn cut_tail(path: &Path, file: &File, length: u64) -> Result<(), StoreError> {
    let failed = |source| StoreError::Read {
        path: path.to_owned(),
        source,
    };
    let found = file.metadata().map_err(failed)?.len();
    if found > length {
        file.set_len(length).map_err(failed)?;
    }
    Ok(())
}

fn append_error(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::NoSpace { path, source },
        _ => StoreError::Append { path, source },
    }
}

fn sync_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Sync {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn change(name: &str, version: u64, deleted: bool) -> Change {
        Change {
            version: ResourceVersion(version),
            previous: None,
            object: Object::ConfigMap(Arc::new(ConfigMap {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    namespace: Some("default".to_owned()),
                    resource_version: Some(version.to_string()),
                    ..ObjectMeta::default()
                },
                ..ConfigMap::default()
            })),
            deleted,
        }
    }

    fn names(replayed: &Replayed) -> Vec<String> {
        replayed
            .objects
            .keys()
            .map(|key| key.name.clone())
            .collect()
    }

    /// The journal of four writes, and after each its length and the names that exist.
    fn sample(directory: &Path) -> (Vec<u8>, Vec<(u64, Vec<String>)>) {
        let (mut journal, _) = Journal::open(directory).unwrap();
        let mut steps = vec![(0, Vec::new())];
        let writes = [("a", false), ("b", false), ("a", true), ("c", false)];
        let mut names = Vec::new();
        for (version, (name, deleted)) in (1u64..).zip(writes) {
            journal.append(&change(name, version, deleted)).unwrap();
            if deleted {
                names.retain(|known| known != name);
            } else {
                names.push(name.to_owned());
            }
            steps.push((journal.len(), names.clone()));
        }
        (fs::read(journal.path()).unwrap(), steps)
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_the_last_whole_write() {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, steps) = sample(directory.path());
        let path = journal_path(directory.path(), 0);
        for cut in 0..=bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, replayed) = Journal::open(directory.path()).unwrap();
            let cut = u64::try_from(cut).unwrap();
            let (whole, (length, expected)) = steps
                .iter()
                .enumerate()
                .rfind(|(_, (length, _))| *length <= cut)
                .unwrap();
            assert_eq!(names(&replayed), *expected, "cut at {cut}");
            assert_eq!(replayed.version.0, u64::try_from(whole).unwrap());
            assert_eq!(fs::metadata(&path).unwrap().len(), *length);

            journal.append(&change("z", 9, false)).unwrap();
            let (_, replayed) = Journal::open(directory.path()).unwrap();
            assert_eq!(replayed.objects.len(), expected.len() + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_byte_loses_its_record_only() {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, steps) = sample(directory.path());
        let path = journal_path(directory.path(), 0);
        let first = usize::try_from(steps[1].0).unwrap();
        for position in 0..first {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x01;
            fs::write(&path, &damaged).unwrap();
            let (_, replayed) = Journal::open(directory.path()).unwrap();
            let names = names(&replayed);
            assert!(names.ends_with(&["c".to_owned()]), "{position}: {names:?}");
        }
        assert!(path.with_extension("damaged").exists());
    }

    #[test]
    fn data_of_a_newer_podtui_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = journal_path(directory.path(), 0);
        let record = r#"{"surprise":{"version":1}}"#;
        let mut crc = flate2::Crc::new();
        let newer = VERSION + 1;
        crc.update(format!("{newer}{record}").as_bytes());
        let line = format!(
            "{{\"v\":{newer},\"sum\":\"{:08x}\",\"rec\":{record}}}\n",
            crc.sum()
        );
        fs::write(&path, &line).unwrap();
        let refused = Journal::open(directory.path());
        assert!(matches!(
            refused,
            Err(StoreError::NewerFormat { version, .. }) if version == newer
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), line);
    }

    #[test]
    fn a_snapshot_replaces_what_was_before_and_a_failed_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        sample(directory.path());
        let (mut journal, replayed) = Journal::open(directory.path()).unwrap();
        let objects: Vec<Object> = replayed.objects.values().cloned().collect();
        let job = journal.rotate(replayed.version, objects).unwrap();
        journal.append(&change("d", 5, false)).unwrap();

        // Crash before the snapshot: both journals are read.
        let (_, replayed) = Journal::open(directory.path()).unwrap();
        assert_eq!(names(&replayed), ["b", "c", "d"]);

        job.run().unwrap();
        assert!(!journal_path(directory.path(), 0).exists());
        let (_, replayed) = Journal::open(directory.path()).unwrap();
        assert_eq!(names(&replayed), ["b", "c", "d"]);
        assert_eq!(replayed.version, ResourceVersion(5));
    }

    #[test]
    fn files_are_for_their_owner_only() {
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("objects");
        let (mut journal, _) = Journal::open(&directory).unwrap();
        let job = journal.rotate(ResourceVersion(1), Vec::new()).unwrap();
        job.run().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for entry in fs::read_dir(&directory).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }
}
