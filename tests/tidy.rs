//! Checks on the repository itself: who imports whom, where unsafe code stands, what every room documents.
//!
//! The rules are the table of the house; a new arrow between rooms is a change of this table and wants a
//! discussion first.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Room → rooms it may import, `base` being open to all. `room::part` allows only that part.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("model", &[]),
    ("wire", &[]),
    ("linux", &[]),
    ("logs", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("manifest", &["model"]),
    ("printer", &["model"]),
    ("admission", &["model"]),
    ("store", &["model", "admission"]),
    ("runtime", &["wire"]),
    ("shim", &["wire", "linux", "logs::format"]),
    ("image", &["wire", "linux::path", "linux::writeback"]),
    ("volume", &["model", "wire", "linux::path"]),
    ("network", &["model", "wire", "linux::path"]),
    ("probe", &["model", "runtime"]),
    (
        "engine",
        &[
            "model", "store", "runtime", "wire", "probe", "image", "volume", "network",
        ],
    ),
    ("client", &["model", "admission", "store", "engine", "logs"]),
    ("server", &["model", "client", "manifest", "printer"]),
    ("cli", &["model", "manifest", "printer", "client", "config"]),
    (
        "tui",
        &[
            "model",
            "manifest",
            "admission",
            "printer",
            "client",
            "config",
        ],
    ),
];

/// Crate → the only places that may name it, and why it is fenced in.
const FENCED: &[(&str, &[&str], &str)] = &[
    (
        "serde_yaml",
        &["src/manifest/yaml.rs"],
        "YAML has one reader and one writer",
    ),
    (
        "nix",
        &["src/linux/", "src/shim/"],
        "system calls live below the process border",
    ),
    (
        "libc",
        &["src/linux/", "src/shim/"],
        "system calls live below the process border",
    ),
    (
        "k8s_openapi",
        &[
            "src/model/",
            "src/manifest/",
            "src/admission/",
            "src/store/",
            "src/engine/",
            "src/client/",
            "src/server/",
            "src/printer/",
            "src/cli/",
            "src/tui/",
            "src/volume/",
            "src/network/",
            "src/probe/",
        ],
        "nothing below the engine knows a Kubernetes type",
    ),
];

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "themes",
    "assets",
    "tests",
    "README.md",
    "LICENSE",
    ".gitignore",
    ".ci",
];

struct Source {
    /// Relative to the repository, with forward slashes.
    path: String,
    room: String,
    /// Code only: comments, strings and test modules are blanked out, line numbers kept.
    code: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> = WalkDir::new(root().join("src"))
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("src is readable"))
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "rs")
        })
        .map(|entry| {
            let path = entry
                .path()
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let room = path
                .strip_prefix("src/")
                .unwrap()
                .split('/')
                .next()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(entry.path()).expect("source files are UTF-8");
            let code = without_tests(&blank_comments_and_strings(&text));
            Source {
                path,
                room,
                code,
                text,
            }
        })
        .collect();
    sources.retain(|source| !is_test_file(&source.path));
    sources
}

/// A whole file that is a test module (`mod tests;`) is checked by the compiler only.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("_tests.rs")
}

/// Replaces comments and the insides of string and character literals by blanks.
fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        for byte in &mut out[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            let end = at
                + rest
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .unwrap_or(rest.len());
            blank(&mut out, at, end);
            at = end;
        } else if rest.starts_with(b"/*") {
            let end = at
                + rest
                    .windows(2)
                    .position(|pair| pair == b"*/")
                    .map_or(rest.len(), |found| found + 2);
            blank(&mut out, at, end);
            at = end;
        } else if let Some(hashes) = raw_string_hashes(bytes, at) {
            let open = at + 1 + hashes + 1;
            let mut close = vec![b'"'];
            close.extend(std::iter::repeat_n(b'#', hashes));
            let body = &bytes[open..];
            let end = open
                + body
                    .windows(close.len())
                    .position(|window| window == close)
                    .unwrap_or(body.len());
            blank(&mut out, open, end);
            at = (end + close.len()).min(bytes.len());
        } else if bytes[at] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            blank(&mut out, at + 1, end.min(bytes.len()));
            at = end + 1;
        } else if bytes[at] == b'\'' && (rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\''))
        {
            let from = if rest.get(1) == Some(&b'\\') {
                at + 3
            } else {
                at + 2
            };
            let end = bytes[from..]
                .iter()
                .position(|&byte| byte == b'\'')
                .map_or(bytes.len(), |found| from + found);
            blank(&mut out, at + 1, end);
            at = end + 1;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn raw_string_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|index| bytes[index]);
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && before != Some(b'b');
    if bytes[at] != b'r' || in_word {
        return None;
    }
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// Cuts the file at its in-line test module, which stands last by convention.
fn without_tests(code: &str) -> String {
    let cut = code.match_indices("#[cfg(test)]").find_map(|(at, _)| {
        let after = code[at..]
            .lines()
            .skip(1)
            .find(|line| !line.trim().is_empty() && !line.trim().starts_with("#["))?;
        (after.trim_start().starts_with("mod ") && after.trim_end().ends_with('{')).then_some(at)
    });
    code[..cut.unwrap_or(code.len())].to_owned()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Every `crate::room::part` in the code, with its line; nested `use crate::{a, b::c}` included.
fn crate_paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if at > 0
            && (code.as_bytes()[at - 1].is_ascii_alphanumeric() || code.as_bytes()[at - 1] == b'_')
        {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let line = line_of(code, at);
        if let Some(group) = rest.strip_prefix('{') {
            let end = matching_brace(group);
            for item in split_top_level(&group[..end]) {
                found.push((line, segments(item.trim())));
            }
        } else {
            found.push((line, segments(rest)));
        }
    }
    found
}

fn matching_brace(text: &str) -> usize {
    let mut depth = 1usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn split_top_level(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .map(|segment| {
            segment
                .chars()
                .take_while(|&c| c.is_alphanumeric() || c == '_')
                .collect::<String>()
        })
        .take_while(|segment| !segment.is_empty())
        .take(2)
        .collect()
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.room != "main" && source.room != "host")
    {
        let Some(allowed) = table.get(source.room.as_str()) else {
            wrong.push(format!(
                "{}: room `{}` is not in the table",
                source.path, source.room
            ));
            continue;
        };
        for (line, path) in crate_paths(&source.code) {
            let Some(room) = path.first() else { continue };
            if room == &source.room || room == "base" || allowed.contains(&room.as_str()) {
                continue;
            }
            let part = path.join("::");
            if !allowed.iter().any(|entry| *entry == part) {
                wrong.push(format!(
                    "{}:{line}: `{}` imports `{part}`; its row is | {} | {} |",
                    source.path,
                    source.room,
                    source.room,
                    allowed.join(", ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden imports:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_only_in_linux() {
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| source.room != "linux")
        .flat_map(|source| {
            words(&source.code, "unsafe")
                .into_iter()
                .map(|line| format!("{}:{line}", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "unsafe outside src/linux:\n{}",
        wrong.join("\n")
    );
}

fn words(code: &str, word: &str) -> Vec<usize> {
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word)
        .filter(|(at, _)| {
            let before = at
                .checked_sub(1)
                .and_then(|index| code.as_bytes().get(index));
            !is_word(before) && !is_word(code.as_bytes().get(at + word.len()))
        })
        .map(|(at, _)| line_of(code, at))
        .collect()
}

#[test]
fn fenced_crates_stay_behind_their_fence() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places, reason) in FENCED {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            let needle = format!("{name}::");
            for (at, _) in source.code.match_indices(&needle) {
                let before = at.checked_sub(1).map(|index| source.code.as_bytes()[index]);
                if before.is_none_or(|byte| {
                    !byte.is_ascii_alphanumeric() && byte != b'_' && byte != b':'
                }) {
                    wrong.push(format!(
                        "{}:{}: names {name}: {reason}",
                        source.path,
                        line_of(&source.code, at)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_documented_and_its_mod_file_holds_no_logic() {
    let mut wrong = Vec::new();
    for (room, _) in MAY_IMPORT {
        let path = root().join("src").join(room).join("mod.rs");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let documented = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        if documented < 3 {
            wrong.push(format!(
                "src/{room}/mod.rs: its //! says too little ({documented} lines)"
            ));
        }
    }
    for source in sources()
        .iter()
        .filter(|source| source.path.ends_with("/mod.rs"))
    {
        for (number, line) in source.code.lines().enumerate() {
            let line = line.trim_start();
            let word = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            let line = line
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ");
            if matches!(
                word,
                "fn" | "impl" | "struct" | "enum" | "trait" | "macro_rules"
            ) || ["fn ", "struct ", "enum ", "trait ", "async fn "]
                .iter()
                .any(|start| line.starts_with(start))
            {
                wrong.push(format!("{}:{}: logic in a mod.rs", source.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_grows_past_what_a_reader_holds_in_mind() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = without_tests(&source.text).lines().count();
        if lines > 400 {
            println!("{lines:5} {}", source.path);
        }
        if lines > 800 && !source.text.contains("Why this file is long:") {
            wrong.push(format!(
                "{}: {lines} lines without a `Why this file is long:`",
                source.path
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn themes_and_assets_parse() {
    let themes: Vec<PathBuf> = files("themes");
    assert!(!themes.is_empty(), "there is no theme");
    for path in themes {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(error) = text.parse::<toml::Table>() {
            panic!("{}: {error}", path.display());
        }
    }
    let manifests: Vec<PathBuf> = files("assets")
        .into_iter()
        .filter(|path| has_extension(path, "yaml"))
        .collect();
    assert!(!manifests.is_empty(), "there is no manifest in assets");
    for path in manifests {
        let text = fs::read_to_string(&path).unwrap();
        let documents: Vec<serde_json::Value> = serde_yaml::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for document in documents {
            assert!(
                document.get("kind").is_some(),
                "{}: a document without kind",
                path.display()
            );
        }
    }
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == wanted)
}

fn files(directory: &str) -> Vec<PathBuf> {
    WalkDir::new(root().join(directory))
        .into_iter()
        .map(|entry| entry.unwrap_or_else(|error| panic!("{directory}: {error}")))
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[test]
fn the_top_level_holds_only_what_the_house_allows() {
    let output = std::process::Command::new("git")
        .arg("ls-files")
        .current_dir(root())
        .output();
    let listing = match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => {
            println!("skipped: not a git checkout, nothing says which files belong to the project");
            return;
        }
    };
    let present: BTreeSet<&str> = listing
        .lines()
        .filter_map(|path| path.split('/').next())
        .collect();
    let wrong: Vec<&&str> = present
        .iter()
        .filter(|name| !TOP_LEVEL.contains(name))
        .collect();
    assert!(wrong.is_empty(), "not allowed at the top level: {wrong:?}");
}
