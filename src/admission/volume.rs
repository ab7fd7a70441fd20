use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PodSpec,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::env::{VOLUME_FIELDS, field_ref, resource_ref};
use super::field::{
    Errors, descending, mode, no_backsteps, required, required_by_rule, text, volume_file,
};
use super::foreign::{self, FOREIGN};
use super::storage;
use crate::model::quantity::ParsedQuantity;
use crate::model::{FieldError, names};

const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// The good volumes of a pod by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

/// Checks all volumes and returns the good ones; a mount of any other is "not found".
/// `pod` is the name of the pod, where it has one.
pub(super) fn volumes<'a>(errors: &mut Errors, spec: &'a PodSpec, pod: &str) -> Volumes<'a> {
    let mut good = Volumes::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = format!("spec.volumes[{index}]");
        let before = errors.len();
        source(errors, &path, volume);
        if volume.ephemeral.is_some() {
            storage::ephemeral_name(errors, &path, pod, &volume.name);
        }
        let name_path = format!("{path}.name");
        required_by_rule(errors, &name_path, &volume.name, names::dns_label);
        if good.contains_key(volume.name.as_str()) {
            errors.push(FieldError::duplicate(name_path, &volume.name));
        }
        if errors.len() == before {
            good.insert(volume.name.as_str(), volume);
        }
    }
    good
}

/// Set sources in the order of the API.
fn source_names(volume: &Volume) -> Vec<&'static str> {
    let sources = [
        (volume.empty_dir.is_some(), "emptyDir"),
        (volume.host_path.is_some(), "hostPath"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (
            volume.aws_elastic_block_store.is_some(),
            "awsElasticBlockStore",
        ),
        (volume.secret.is_some(), "secret"),
        (volume.nfs.is_some(), "nfs"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.flocker.is_some(), "flocker"),
        (
            volume.persistent_volume_claim.is_some(),
            "persistentVolumeClaim",
        ),
        (volume.rbd.is_some(), "rbd"),
        (volume.cinder.is_some(), "cinder"),
        (volume.cephfs.is_some(), "cephFS"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.downward_api.is_some(), "downwardAPI"),
        (volume.fc.is_some(), "fc"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.config_map.is_some(), "configMap"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
        (
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
        ),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.storageos.is_some(), "storageos"),
        (volume.projected.is_some(), "projected"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.csi.is_some(), "csi"),
        (volume.ephemeral.is_some(), "ephemeral"),
        (volume.image.is_some(), "image"),
    ];
    let set = sources.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}

fn source(errors: &mut Errors, path: &str, volume: &Volume) {
    let sources = source_names(volume);
    match sources.first() {
        Some(first) => {
            // Only where there is one too many, the API writes this one otherwise.
            let field = if *first == "cephFS" { "cephfs" } else { first };
            contents(errors, &format!("{path}.{field}"), first, volume);
        }
        None => errors.push(FieldError::required(path, "must specify a volume type")),
    }
    for other in sources.iter().skip(1) {
        let detail = "may not specify more than 1 volume type";
        // The API's own spelling.
        let other = if *other == "downwardAPI" {
            "downwarAPI"
        } else {
            other
        };
        errors.push(FieldError::forbidden(format!("{path}.{other}"), detail));
    }
}

fn contents(errors: &mut Errors, path: &str, name: &str, volume: &Volume) {
    if let ("emptyDir", Some(dir)) = (name, &volume.empty_dir) {
        let limit = dir.size_limit.as_ref().map(ParsedQuantity::of);
        if limit.is_some_and(ParsedQuantity::is_negative) {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(FieldError::forbidden(format!("{path}.sizeLimit"), detail));
        }
    }
    if let ("hostPath", Some(source)) = (name, &volume.host_path) {
        host_path(errors, path, source);
    }
    if let ("secret", Some(source)) = (name, &volume.secret) {
        required(
            errors,
            format!("{path}.secretName"),
            text(&source.secret_name),
        );
        mode(errors, format!("{path}.defaultMode"), source.default_mode);
        items(errors, path, source.items.as_ref());
    }
    if let ("configMap", Some(source)) = (name, &volume.config_map) {
        required(errors, format!("{path}.name"), &source.name);
        mode(errors, format!("{path}.defaultMode"), source.default_mode);
        items(errors, path, source.items.as_ref());
    }
    if let ("downwardAPI", Some(source)) = (name, &volume.downward_api) {
        mode(errors, format!("{path}.defaultMode"), source.default_mode);
        downward_items(errors, path, source.items.as_ref());
    }
    if let ("projected", Some(source)) = (name, &volume.projected) {
        projected(errors, path, source);
    }
    if let ("ephemeral", Some(source)) = (name, &volume.ephemeral) {
        storage::ephemeral(errors, path, source);
    }
    if FOREIGN.contains(&name) {
        let fields = serde_json::to_value(volume).unwrap_or_default();
        let field = if name == "cephFS" { "cephfs" } else { name };
        foreign::source(errors, path, foreign::Place::Pod, field, &fields[field]);
    }
    if let ("gitRepo", Some(source)) = (name, &volume.git_repo) {
        required(errors, format!("{path}.repository"), &source.repository);
        let directory = text(&source.directory);
        descending(errors, &format!("{path}.directory"), directory);
    }
    if let ("persistentVolumeClaim", Some(source)) = (name, &volume.persistent_volume_claim) {
        required(errors, format!("{path}.claimName"), &source.claim_name);
    }
    if let ("image", Some(source)) = (name, &volume.image) {
        required(errors, format!("{path}.reference"), text(&source.reference));
        let policy = text(&source.pull_policy);
        super::container::pull_policy(errors, &format!("{path}.pullPolicy"), policy);
    }
}

pub(super) fn host_path(errors: &mut Errors, path: &str, source: &HostPathVolumeSource) {
    let path_path = format!("{path}.path");
    if source.path.is_empty() {
        errors.push(FieldError::required(path_path, ""));
        return;
    }
    no_backsteps(errors, &path_path, &source.path);
    let type_ = text(&source.type_);
    if !HOST_PATH_TYPES.contains(&type_) {
        errors.push(FieldError::not_supported(
            format!("{path}.type"),
            type_,
            &HOST_PATH_TYPES,
        ));
    }
}

fn items(errors: &mut Errors, path: &str, items: Option<&Vec<KeyToPath>>) {
    for (index, item) in items.into_iter().flatten().enumerate() {
        item_of(errors, &format!("{path}.items[{index}]"), item);
    }
}

fn item_of(errors: &mut Errors, path: &str, item: &KeyToPath) {
    required(errors, format!("{path}.key"), &item.key);
    volume_file(errors, &format!("{path}.path"), &item.path);
    mode(errors, format!("{path}.mode"), item.mode);
}

/// The API reports these at the source, without `items` and the index.
fn downward_items(errors: &mut Errors, path: &str, items: Option<&Vec<DownwardAPIVolumeFile>>) {
    for item in items.into_iter().flatten() {
        volume_file(errors, &format!("{path}.path"), &item.path);
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), resource) => {
                field_ref(errors, &format!("{path}.fieldRef"), field, &VOLUME_FIELDS);
                if resource.is_some() {
                    errors.push(FieldError::invalid_string(
                        path,
                        "resource",
                        "fieldRef and resourceFieldRef can not be specified simultaneously",
                    ));
                }
            }
            (None, Some(resource)) => {
                resource_ref(errors, &format!("{path}.resourceFieldRef"), resource, true);
            }
            (None, None) => errors.push(FieldError::required(
                path,
                "one of fieldRef and resourceFieldRef is required",
            )),
        }
        mode(errors, format!("{path}.mode"), item.mode);
    }
}

fn projected(errors: &mut Errors, path: &str, source: &ProjectedVolumeSource) {
    mode(errors, format!("{path}.defaultMode"), source.default_mode);
    let mut taken = BTreeSet::new();
    for (index, source) in source.sources.iter().flatten().enumerate() {
        projection(errors, path, index, source, &mut taken);
    }
}

/// One source. Files that two of them name are reported at the volume, with the name of the second object.
fn projection<'a>(
    errors: &mut Errors,
    volume: &str,
    index: usize,
    source: &'a VolumeProjection,
    taken: &mut BTreeSet<&'a str>,
) {
    let path = format!("{volume}.sources[{index}]");
    let mut once = |errors: &mut Errors, file: &'a str, told: &str| {
        if !file.is_empty() && !taken.insert(file) {
            let detail = "conflicting duplicate paths";
            errors.push(FieldError::invalid_string(volume, told, detail));
        }
    };
    if let Some(secret) = &source.secret {
        required(errors, format!("{path}.secret.name"), &secret.name);
        for (index, item) in secret.items.iter().flatten().enumerate() {
            item_of(errors, &format!("{path}.secret.items[{index}]"), item);
            once(errors, &item.path, &secret.name);
        }
    }
    if let Some(config) = &source.config_map {
        required(errors, format!("{path}.configMap.name"), &config.name);
        for (index, item) in config.items.iter().flatten().enumerate() {
            item_of(errors, &format!("{path}.configMap.items[{index}]"), item);
            once(errors, &item.path, &config.name);
        }
    }
    if let Some(downward) = &source.downward_api {
        let path = format!("{path}.downwardAPI");
        downward_items(errors, &path, downward.items.as_ref());
        for item in downward.items.iter().flatten() {
            once(errors, &item.path, &item.path);
        }
    }
    if let Some(token) = &source.service_account_token {
        service_account_token(
            errors,
            volume,
            &format!("{path}.serviceAccountToken"),
            token,
        );
    }
    let given = [
        source.secret.is_some(),
        source.config_map.is_some(),
        source.downward_api.is_some(),
        source.service_account_token.is_some(),
        source.cluster_trust_bundle.is_some(),
        source.pod_certificate.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        let detail = "may not specify more than 1 volume type per source";
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// The path of the token is reported at the volume.
fn service_account_token(
    errors: &mut Errors,
    volume: &str,
    path: &str,
    token: &ServiceAccountTokenProjection,
) {
    let seconds = token.expiration_seconds.unwrap_or(3600);
    let detail = if seconds < 600 {
        Some("may not specify a duration less than 10 minutes")
    } else if seconds > 1 << 32 {
        Some("may not specify a duration larger than 2^32 seconds")
    } else {
        None
    };
    if let Some(detail) = detail {
        let path = format!("{path}.expirationSeconds");
        errors.push(FieldError::invalid(path, seconds, detail));
    }
    volume_file(errors, &format!("{volume}.path"), &token.path);
}

fn invalid_if(errors: &mut Errors, is_bad: bool, path: &str, value: &str, detail: &str) {
    if is_bad {
        errors.push(FieldError::invalid_string(path, value, detail));
    }
}

/// Name and path of every device of a container, and what must not be both device and directory.
pub(super) fn devices(
    errors: &mut Errors,
    path: &str,
    container: &Container,
    volumes: &Volumes<'_>,
) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let (mut seen_names, mut seen_paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        let (name, place) = (device.name.as_str(), device.device_path.as_str());
        let name_path = format!("{path}[{index}].name");
        let place_path = format!("{path}[{index}].devicePath");
        required(errors, name_path.clone(), name);
        let unique = "must be unique";
        invalid_if(errors, seen_names.contains(name), &name_path, name, unique);
        let of_claim = volumes
            .get(name)
            .map(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some());
        let detail =
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
        invalid_if(errors, of_claim == Some(false), &name_path, name, detail);
        if of_claim.is_none() {
            errors.push(FieldError::not_found(name_path.clone(), name));
        }
        required(errors, place_path.clone(), place);
        invalid_if(
            errors,
            seen_paths.contains(place),
            &place_path,
            place,
            unique,
        );
        let steps_back = place.split('/').any(|part| part == "..");
        let detail = "can not contain backsteps ('..')";
        invalid_if(errors, steps_back, &place_path, place, detail);
        if !steps_back {
            seen_paths.insert(place);
        }
        let mounted = mounts.iter().any(|mount| mount.name == name);
        let detail = "must not already exist in volumeMounts";
        invalid_if(errors, mounted, &name_path, name, detail);
        let mounted = mounts.iter().any(|mount| mount.mount_path == place);
        let detail = "must not already exist as a path in volumeMounts";
        invalid_if(errors, mounted, &place_path, place, detail);
        if !name.is_empty() {
            seen_names.insert(name);
        }
    }
}

pub(super) fn mounts(
    errors: &mut Errors,
    path: &str,
    container: &Container,
    volumes: &Volumes<'_>,
) {
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mut points = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let entry = format!("{path}[{index}]");
        required(errors, format!("{entry}.name"), &mount.name);
        if !volumes.contains_key(mount.name.as_str()) {
            errors.push(FieldError::not_found(format!("{entry}.name"), &mount.name));
        }
        let point = mount.mount_path.as_str();
        required(errors, format!("{entry}.mountPath"), point);
        if !points.insert(point) {
            let path = format!("{entry}.mountPath");
            errors.push(FieldError::invalid_string(path, point, "must be unique"));
        }
        if devices.iter().any(|device| device.name == mount.name) {
            let path = format!("{entry}.name");
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid_string(path, &mount.name, detail));
        }
        if devices.iter().any(|device| device.device_path == point) {
            let path = format!("{entry}.mountPath");
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid_string(path, point, detail));
        }
        // The API reports the rest at the list, without the index.
        sub_path(errors, path, &entry, mount);
        propagation(errors, path, mount, container);
        recursive_read_only(errors, path, mount);
    }
}

fn sub_path(errors: &mut Errors, list: &str, entry: &str, mount: &VolumeMount) {
    let (plain, expression) = (text(&mount.sub_path), text(&mount.sub_path_expr));
    if !plain.is_empty() {
        descending(errors, &format!("{list}.subPath"), plain);
    }
    if expression.is_empty() {
        return;
    }
    if !plain.is_empty() {
        errors.push(FieldError::invalid_string(
            format!("{entry}.subPathExpr"),
            expression,
            "subPathExpr and subPath are mutually exclusive",
        ));
    }
    descending(errors, &format!("{list}.subPathExpr"), expression);
}

fn propagation(errors: &mut Errors, list: &str, mount: &VolumeMount, container: &Container) {
    let Some(propagation) = mount.mount_propagation.as_deref() else {
        return;
    };
    let path = format!("{list}.mountPropagation");
    let supported = ["Bidirectional", "HostToContainer", "None"];
    if !supported.contains(&propagation) {
        errors.push(FieldError::not_supported(
            path.clone(),
            propagation,
            &supported,
        ));
    }
    let context = container.security_context.as_ref();
    let privileged = context.is_some_and(|context| context.privileged == Some(true));
    if propagation == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn recursive_read_only(errors: &mut Errors, list: &str, mount: &VolumeMount) {
    let path = format!("{list}.recursiveReadOnly");
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("IfPossible" | "Enabled") => {
            if mount.read_only != Some(true) {
                let detail = "may only be specified when readOnly is true";
                errors.push(FieldError::forbidden(path.clone(), detail));
            }
            if !matches!(mount.mount_propagation.as_deref(), None | Some("None")) {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
        Some(other) => {
            let supported = ["Disabled", "Enabled", "IfPossible"];
            errors.push(FieldError::not_supported(path, other, &supported));
        }
    }
}
