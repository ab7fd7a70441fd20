use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::elf::{self, Needs};

/// Where dynamic loaders look without being told.
const DEFAULT_DIRECTORIES: &[&str] = &["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A library and where the loader of the image will find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Library {
    pub(super) source: PathBuf,
    /// Path as in the host's layout, not yet merged.
    pub(super) place: PathBuf,
}

/// Finds the libraries of programs on this machine.
#[derive(Debug)]
pub(super) struct Libraries {
    /// From `/etc/ld.so.conf`.
    configured: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Option<Needs>>,
}

impl Libraries {
    pub(super) fn new() -> Self {
        let mut configured = Vec::new();
        read_configuration(Path::new("/etc/ld.so.conf"), &mut configured, 0);
        Self {
            configured,
            known: BTreeMap::new(),
        }
    }

    /// The loader and every library this program loads at its start, or what of it is missing. `None`:
    /// the file is no ELF program.
    pub(super) fn of(&mut self, program: &Path) -> Option<Result<BTreeSet<Library>, String>> {
        let needs = self.needs(program)?;
        let mut found = BTreeSet::new();
        let home = match &needs.interpreter {
            Some(interpreter) => {
                let path = PathBuf::from(interpreter);
                if !path.exists() {
                    return Some(Err(interpreter.clone()));
                }
                found.insert(Library {
                    source: path.clone(),
                    place: path.clone(),
                });
                path
            }
            None => return Some(Ok(found)),
        };
        let mut search = Search {
            libraries: self,
            interpreter: home,
            done: BTreeSet::new(),
            found,
        };
        Some(search.add_needs(program, &needs).map(|()| search.found))
    }

    fn needs(&mut self, path: &Path) -> Option<Needs> {
        self.known
            .entry(path.to_owned())
            .or_insert_with(|| elf::read(path).ok().flatten())
            .clone()
    }
}

struct Search<'a> {
    libraries: &'a mut Libraries,
    interpreter: PathBuf,
    done: BTreeSet<String>,
    found: BTreeSet<Library>,
}

impl Search<'_> {
    fn add_needs(&mut self, object: &Path, needs: &Needs) -> Result<(), String> {
        for name in &needs.libraries {
            let is_loader = self
                .interpreter
                .file_name()
                .is_some_and(|loader| loader == name.as_str());
            if is_loader || !self.done.insert(name.clone()) {
                continue;
            }
            let library = self
                .locate(name, object, needs)
                .ok_or_else(|| name.clone())?;
            let below = self
                .libraries
                .needs(&library.source)
                .ok_or_else(|| name.clone())?;
            let source = library.source.clone();
            self.found.insert(library);
            self.add_needs(&source, &below)?;
        }
        Ok(())
    }

    /// In the order of ld.so(8), without the environment.
    fn locate(&mut self, name: &str, object: &Path, needs: &Needs) -> Option<Library> {
        let machine = needs.machine;
        let origin = object
            .canonicalize()
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned));
        for dir in &needs.search {
            let origin = origin.as_deref().and_then(Path::to_str).unwrap_or_default();
            let dir = dir.replace("${ORIGIN}", origin).replace("$ORIGIN", origin);
            if let Some(source) = self.fitting(Path::new(&dir), name, machine) {
                return Some(Library {
                    place: source.clone(),
                    source,
                });
            }
        }
        let home = self.home();
        let standard = home
            .clone()
            .into_iter()
            .chain(DEFAULT_DIRECTORIES.iter().map(PathBuf::from));
        for dir in standard.collect::<Vec<_>>() {
            if let Some(source) = self.fitting(&dir, name, machine) {
                return Some(Library {
                    place: source.clone(),
                    source,
                });
            }
        }
        // The image has no ld.so.cache, so these must stand where the loader looks anyway.
        for dir in self.libraries.configured.clone() {
            if let Some(source) = self.fitting(&dir, name, machine) {
                let place = home.unwrap_or_else(|| PathBuf::from("/usr/lib")).join(name);
                return Some(Library { source, place });
            }
        }
        None
    }

    fn fitting(&mut self, dir: &Path, name: &str, machine: (u8, u16)) -> Option<PathBuf> {
        let path = dir.join(name);
        let fits = self.libraries.needs(&path)?.machine == machine;
        fits.then_some(path)
    }

    /// The directory of the loader itself; with multiarch it is the one it searches first.
    fn home(&self) -> Option<PathBuf> {
        let real = self.interpreter.canonicalize().ok()?;
        real.parent().map(Path::to_owned)
    }
}

/// ld.so.conf: a directory per line, `include` with a pattern for the last component.
fn read_configuration(path: &Path, directories: &mut Vec<PathBuf>, depth: u32) {
    const INCLUDES_MAX: u32 = 4;
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include") {
            Some(pattern) if depth < INCLUDES_MAX => {
                for file in matching(Path::new("/etc").join(pattern.trim())) {
                    read_configuration(&file, directories, depth + 1);
                }
            }
            Some(_) => {}
            None if line.starts_with('/') => directories.push(PathBuf::from(line)),
            None => {}
        }
    }
}

/// `dir/*.conf`, sorted.
fn matching(pattern: PathBuf) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else {
        return vec![pattern];
    };
    let fits = |name: &str| {
        name.len() >= before.len() + after.len()
            && name.starts_with(before)
            && name.ends_with(after)
    };
    let list = pattern.parent().and_then(|dir| std::fs::read_dir(dir).ok());
    let mut found: Vec<PathBuf> = list
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(fits))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
