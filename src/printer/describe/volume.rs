use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, ProjectedVolumeSource, Volume};

use super::text::{Text, clean};

pub(super) fn volumes(text: &mut Text, volumes: &[Volume]) {
    if volumes.is_empty() {
        text.pair("Volumes", "<none>");
        return;
    }
    text.line(0, format_args!("Volumes:"));
    for volume in volumes {
        text.line(1, format_args!("{}:", volume.name));
        source(text, volume);
    }
}

fn source(text: &mut Text, volume: &Volume) {
    let optional = |optional: Option<bool>| optional.unwrap_or(false).to_string();
    let mut fields = |kind: &str, fields: &[(&str, String)]| {
        text.line(2, format_args!("Type:\t{kind}"));
        for (name, value) in fields {
            text.line(2, format_args!("{name}:\t{}", clean(value)));
        }
    };
    if let Some(host) = &volume.host_path {
        let kind = host.type_.clone().unwrap_or_else(|| "<none>".to_owned());
        fields(
            "HostPath (bare host directory volume)",
            &[("Path", host.path.clone()), ("HostPathType", kind)],
        );
    } else if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().map(|limit| limit.0.clone());
        let limit = limit
            .filter(|limit| limit != "0")
            .unwrap_or_else(|| "<unset>".to_owned());
        fields(
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
            &[
                ("Medium", empty.medium.clone().unwrap_or_default()),
                ("SizeLimit", limit),
            ],
        );
    } else if let Some(secret) = &volume.secret {
        fields(
            "Secret (a volume populated by a Secret)",
            &[
                ("SecretName", secret.secret_name.clone().unwrap_or_default()),
                ("Optional", optional(secret.optional)),
            ],
        );
    } else if let Some(map) = &volume.config_map {
        fields(
            "ConfigMap (a volume populated by a ConfigMap)",
            &[
                ("Name", map.name.clone()),
                ("Optional", optional(map.optional)),
            ],
        );
    } else if let Some(claim) = &volume.persistent_volume_claim {
        fields(
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            &[
                ("ClaimName", claim.claim_name.clone()),
                ("ReadOnly", optional(claim.read_only)),
            ],
        );
    } else if let Some(ephemeral) = &volume.ephemeral {
        let kind = "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)";
        match &ephemeral.volume_claim_template {
            Some(template) => fields(kind, &template_fields(&template.spec)),
            None => fields(kind, &[]),
        }
    } else if let Some(image) = &volume.image {
        fields(
            "Image (a container image or OCI artifact)",
            &[
                ("Reference", image.reference.clone().unwrap_or_default()),
                ("PullPolicy", image.pull_policy.clone().unwrap_or_default()),
            ],
        );
    } else if let Some(downward) = &volume.downward_api {
        fields(
            "DownwardAPI (a volume populated by information about the pod)",
            &[],
        );
        text.line(2, format_args!("Items:"));
        for item in downward.items.iter().flatten() {
            let field = item
                .field_ref
                .as_ref()
                .map(|field| field.field_path.clone());
            let resource = item
                .resource_field_ref
                .as_ref()
                .map(|resource| resource.resource.clone());
            let from = field.or(resource).unwrap_or_default();
            text.line(3, format_args!("{from} -> {}", clean(&item.path)));
        }
    } else if let Some(projected) = &volume.projected {
        fields(
            "Projected (a volume that contains injected data from multiple sources)",
            &[],
        );
        projections(text, projected);
    } else {
        text.line(2, format_args!("<unknown>"));
    }
}

/// What kubectl shows of a claim that is not made yet.
fn template_fields(spec: &PersistentVolumeClaimSpec) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        (
            "StorageClass",
            spec.storage_class_name.clone().unwrap_or_default(),
        ),
        ("Volume", spec.volume_name.clone().unwrap_or_default()),
        ("Capacity", String::new()),
        ("Access Modes", String::new()),
    ];
    if let Some(mode) = &spec.volume_mode {
        fields.push(("VolumeMode", mode.clone()));
    }
    fields
}

fn projections(text: &mut Text, projected: &ProjectedVolumeSource) {
    for source in projected.sources.iter().flatten() {
        if let Some(secret) = &source.secret {
            text.line(2, format_args!("SecretName:\t{}", secret.name));
            text.line(
                2,
                format_args!("Optional:\t{}", secret.optional.unwrap_or(false)),
            );
        } else if source.downward_api.is_some() {
            text.line(2, format_args!("DownwardAPI:\ttrue"));
        } else if let Some(map) = &source.config_map {
            text.line(2, format_args!("ConfigMapName:\t{}", map.name));
            text.line(
                2,
                format_args!("Optional:\t{}", map.optional.unwrap_or(false)),
            );
        } else if let Some(token) = &source.service_account_token {
            let seconds = token.expiration_seconds.unwrap_or(3600);
            text.line(2, format_args!("TokenExpirationSeconds:\t{seconds}"));
        }
    }
}
