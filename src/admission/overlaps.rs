//! Files of one volume that lie at the same place, or one below the other.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use crate::base::quoted;

/// A path in the volume, and what brings it where several do.
struct File {
    path: String,
    source: Option<String>,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match &self.source {
            Some(source) => write!(f, "{path} ({source})", path = quoted(path)),
            None => write!(f, "{path}", path = quoted(path)),
        }
    }
}

/// Warns of every such pair; the one that was named later comes first.
pub(super) fn of(volume: &Volume, warnings: &mut Vec<String>) {
    let name = &volume.name;
    let plain = |paths: Vec<String>| files(paths, None);
    if let Some(source) = &volume.config_map {
        let what = format!("ConfigMap {:?}", source.name);
        compare(name, &what, plain(items(source.items.as_ref())), warnings);
    }
    if let Some(source) = &volume.secret {
        let secret = source.secret_name.as_deref().unwrap_or_default();
        let what = format!("Secret {secret}", secret = quoted(secret));
        compare(name, &what, plain(items(source.items.as_ref())), warnings);
    }
    if let Some(source) = &volume.downward_api {
        let paths = downward(source.items.as_ref());
        compare(name, "DownwardAPI", plain(paths), warnings);
    }
    if let Some(source) = &volume.projected {
        let sources = source.sources.iter().flatten();
        let all = sources.flat_map(of_projection).collect();
        compare(name, "Projected", all, warnings);
    }
}

fn items(items: Option<&Vec<KeyToPath>>) -> Vec<String> {
    let items = items.into_iter().flatten();
    items.map(|item| item.path.clone()).collect()
}

fn downward(items: Option<&Vec<DownwardAPIVolumeFile>>) -> Vec<String> {
    let items = items.into_iter().flatten();
    items.map(|item| item.path.clone()).collect()
}

fn files(paths: Vec<String>, source: Option<&str>) -> Vec<File> {
    let file = |path: String| File {
        path: path.trim_end_matches('/').to_owned(),
        source: source.map(str::to_owned),
    };
    paths.into_iter().map(file).collect()
}

fn of_projection(source: &VolumeProjection) -> Vec<File> {
    if let Some(config) = &source.config_map {
        let what = format!("ConfigMap {:?}", config.name);
        return files(items(config.items.as_ref()), Some(&what));
    }
    if let Some(secret) = &source.secret {
        let what = format!("Secret {:?}", secret.name);
        return files(items(secret.items.as_ref()), Some(&what));
    }
    if let Some(api) = &source.downward_api {
        return files(downward(api.items.as_ref()), Some("DownwardAPI"));
    }
    if let Some(token) = &source.service_account_token {
        return files(vec![token.path.clone()], Some("ServiceAccountToken"));
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        let name = bundle.name.as_ref().or(bundle.signer_name.as_ref());
        let what = format!("ClusterTrustBundle {:?}", name.map_or("", String::as_str));
        return files(vec![bundle.path.clone()], Some(&what));
    }
    Vec::new()
}

fn compare(volume: &str, what: &str, files: Vec<File>, warnings: &mut Vec<String>) {
    let below = |one: &str, other: &str| format!("{one}/").starts_with(&format!("{other}/"));
    for (index, file) in files.iter().enumerate() {
        let earlier = files[..index].iter();
        let earlier = earlier.filter(|other| !file.path.is_empty() && !other.path.is_empty());
        for other in earlier {
            if below(&file.path, &other.path) || below(&other.path, &file.path) {
                warnings.push(format!(
                    "volume {volume} ({what}): overlapping paths: {file} with {other}",
                    volume = quoted(volume)
                ));
            }
        }
    }
}
