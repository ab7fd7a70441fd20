use std::path::PathBuf;

const MAX_FOUND: usize = 200;

/// `~` and `~/…` of the user; everything else as it is.
pub(in crate::tui) fn expand_home(path: &str) -> PathBuf {
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match path.strip_prefix('~') {
        Some("") => home().unwrap_or_else(|| PathBuf::from(path)),
        Some(rest) if rest.starts_with('/') => {
            home().map_or_else(|| PathBuf::from(path), |home| home.join(&rest[1..]))
        }
        _ => PathBuf::from(path),
    }
}

/// Directories and manifests whose path starts with what was typed. What cannot be read completes nothing.
pub(in crate::tui) fn list_paths(typed: &str) -> Vec<String> {
    let (directory, beginning) = match typed.rfind('/') {
        Some(slash) => typed.split_at(slash + 1),
        None => ("", typed),
    };
    let place = if directory.is_empty() {
        PathBuf::from(".")
    } else {
        expand_home(directory)
    };
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let found = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_hidden = name.starts_with('.') && !beginning.starts_with('.');
        if is_hidden || !name.starts_with(beginning) || name.contains(char::is_control) {
            return None;
        }
        let is_directory = entry.path().is_dir();
        let is_manifest = [".yaml", ".yml", ".json"]
            .iter()
            .any(|end| name.ends_with(end));
        let slash = if is_directory { "/" } else { "" };
        (is_directory || is_manifest).then(|| format!("{directory}{name}{slash}"))
    });
    let mut found: Vec<String> = found.take(MAX_FOUND).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_and_directories_complete() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["web.yaml", "web.txt", "worker.json", ".hidden.yaml"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::create_dir(directory.path().join("watch")).unwrap();
        let base = format!("{}/", directory.path().display());
        let found = |beginning: &str| -> Vec<String> {
            let paths = list_paths(&format!("{base}{beginning}"));
            paths
                .into_iter()
                .map(|path| path[base.len()..].to_owned())
                .collect()
        };
        assert_eq!(found("w"), ["watch/", "web.yaml", "worker.json"]);
        assert_eq!(found("we"), ["web.yaml"]);
        assert_eq!(found("."), [".hidden.yaml"]);
        assert!(list_paths("/nowhere/at/all/x").is_empty());
    }
}
