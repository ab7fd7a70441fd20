//! The fields of every kind: types, values and a line about each.
//!
//! `assets/kubernetes-schema.json` is compacted from the JSON schema of `k8s-openapi` by `tests/schema`; the values
//! of enumerations, which that schema does not have, are the constants of the API types.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Kind;

const ASSET: &str = include_str!("../../assets/kubernetes-schema.json");

/// Type name → field name → what the field is.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Schema {
    types: BTreeMap<String, BTreeMap<String, Field>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "(String, bool, String)")]
pub(crate) struct Field {
    /// `string`, `integer`, `boolean`, `Quantity`, `Container`, `[]Container`, `map[string]string`.
    pub(crate) type_name: String,
    pub(crate) is_required: bool,
    /// One sentence.
    pub(crate) doc: String,
}

impl Field {
    /// The type of its values where it is a list or a map of them.
    pub(crate) fn inner_type(&self) -> &str {
        self.type_name
            .trim_start_matches("[]")
            .trim_start_matches("map[string]")
    }
}

impl From<(String, bool, String)> for Field {
    fn from((type_name, is_required, doc): (String, bool, String)) -> Self {
        Self {
            type_name,
            is_required,
            doc,
        }
    }
}

/// `Type.field` → its values.
const VALUES: &[(&str, &[&str])] = &[
    (
        "AppArmorProfile.type",
        &["RuntimeDefault", "Localhost", "Unconfined"],
    ),
    (
        "Container.imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
    ),
    ("Container.restartPolicy", &["Always", "OnFailure", "Never"]),
    (
        "Container.terminationMessagePolicy",
        &["File", "FallbackToLogsOnError"],
    ),
    ("ContainerPort.protocol", &["TCP", "UDP", "SCTP"]),
    ("ContainerResizePolicy.resourceName", &["cpu", "memory"]),
    (
        "ContainerResizePolicy.restartPolicy",
        &["NotRequired", "RestartContainer"],
    ),
    (
        "ContainerRestartRule.action",
        &["Restart", "RestartAllContainers"],
    ),
    ("ContainerRestartRuleOnExitCodes.operator", &["In", "NotIn"]),
    ("EmptyDirVolumeSource.medium", &["Memory", "HugePages"]),
    ("HTTPGetAction.scheme", &["HTTP", "HTTPS"]),
    (
        "HostPathVolumeSource.type",
        &[
            "DirectoryOrCreate",
            "Directory",
            "FileOrCreate",
            "File",
            "Socket",
            "CharDevice",
            "BlockDevice",
        ],
    ),
    (
        "LabelSelectorRequirement.operator",
        &["In", "NotIn", "Exists", "DoesNotExist"],
    ),
    (
        "NodeSelectorRequirement.operator",
        &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
    ),
    (
        "PodSecurityContext.fsGroupChangePolicy",
        &["OnRootMismatch", "Always"],
    ),
    (
        "PodSecurityContext.supplementalGroupsPolicy",
        &["Merge", "Strict"],
    ),
    ("PodOS.name", &["linux", "windows"]),
    (
        "PodSpec.dnsPolicy",
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    ),
    (
        "PodSpec.preemptionPolicy",
        &["PreemptLowerPriority", "Never"],
    ),
    (
        "PriorityClass.preemptionPolicy",
        &["PreemptLowerPriority", "Never"],
    ),
    ("PodSpec.restartPolicy", &["Always", "OnFailure", "Never"]),
    (
        "SeccompProfile.type",
        &["RuntimeDefault", "Unconfined", "Localhost"],
    ),
    (
        "Secret.type",
        &[
            "Opaque",
            "kubernetes.io/basic-auth",
            "kubernetes.io/dockerconfigjson",
            "kubernetes.io/service-account-token",
            "kubernetes.io/ssh-auth",
            "kubernetes.io/tls",
        ],
    ),
    ("SecurityContext.procMount", &["Default", "Unmasked"]),
    (
        "Toleration.effect",
        &["NoSchedule", "PreferNoSchedule", "NoExecute"],
    ),
    ("Toleration.operator", &["Exists", "Equal"]),
    (
        "TopologySpreadConstraint.whenUnsatisfiable",
        &["DoNotSchedule", "ScheduleAnyway"],
    ),
    (
        "VolumeMount.mountPropagation",
        &["None", "HostToContainer", "Bidirectional"],
    ),
    (
        "VolumeMount.recursiveReadOnly",
        &["Disabled", "IfPossible", "Enabled"],
    ),
];

impl Schema {
    pub(crate) fn built_in() -> Self {
        serde_json::from_str(ASSET).expect("a test parses the embedded schema")
    }

    /// The type of the maps at a path of field names (list positions left out), e.g. `Container` at
    /// `spec, containers`. `None` for unknown kinds and fields, and where there are no maps with fields.
    pub(crate) fn type_at(&self, kind: &str, path: &[String]) -> Option<&str> {
        let mut current = Kind::ALL
            .into_iter()
            .map(Kind::as_str)
            .find(|known| *known == kind)?;
        for name in path {
            let field = self.types.get(current)?.get(name)?;
            current = field.type_name.trim_start_matches("[]");
        }
        self.types.get(current).map(|_| current)
    }

    pub(crate) fn fields(&self, type_name: &str) -> impl Iterator<Item = (&str, &Field)> {
        let fields = self.types.get(type_name).into_iter().flatten();
        fields.map(|(name, field)| (name.as_str(), field))
    }

    pub(crate) fn field(&self, type_name: &str, name: &str) -> Option<&Field> {
        self.types.get(type_name)?.get(name)
    }

    /// The values an enumeration may have, `true` and `false` for booleans, nothing for what is free.
    pub(crate) fn values(&self, type_name: &str, name: &str) -> &'static [&'static str] {
        let wanted =
            |(field, _): &&(&str, &[&str])| field.split_once('.') == Some((type_name, name));
        if let Some((_, values)) = VALUES.iter().find(wanted) {
            return values;
        }
        match self.field(type_name, name) {
            Some(field) if field.type_name == "boolean" => &["true", "false"],
            _ => &[],
        }
    }

    /// The kinds have no description of their own in the schema.
    pub(crate) const fn about(kind: Kind) -> &'static str {
        match kind {
            Kind::Pod => {
                "Containers that run together on this machine, with shared volumes and one network"
            }
            Kind::ConfigMap => "Configuration that pods read as files or environment variables",
            Kind::Secret => {
                "Secret data that pods read as files or environment variables; on the disk it is readable by its user alone"
            }
            Kind::ServiceAccount => "The identity that the processes of a pod act as",
            Kind::PodPreset => {
                "Environment and volumes that are added to pods when they are created"
            }
            Kind::Event => "Something that happened to an object",
            Kind::Node => "This machine",
            Kind::Namespace => "A scope for names",
            Kind::PersistentVolume => {
                "Storage that was made before the pods that use it, and outlives them"
            }
            Kind::PersistentVolumeClaim => "A request for a PersistentVolume",
            Kind::PriorityClass => "How important the pods are that name it",
        }
    }

    /// The names of all types.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        let schema = Schema::built_in();
        const SCALARS: [&str; 8] = [
            "string",
            "integer",
            "boolean",
            "number",
            "object",
            "Quantity",
            "IntOrString",
            "Time",
        ];
        for (owner, fields) in &schema.types {
            for (name, field) in fields {
                let inner = field.inner_type();
                let is_known = SCALARS.contains(&inner)
                    || schema.types.contains_key(inner)
                    || ["ByteString", "FieldsV1", "MicroTime"].contains(&inner);
                assert!(is_known, "{owner}.{name}: {inner}");
                assert!(
                    field.doc.len() < 200 && !field.doc.contains('\n'),
                    "{owner}.{name}"
                );
            }
        }
    }

    #[test]
    fn every_field_with_values_exists() {
        let schema = Schema::built_in();
        for (field, values) in VALUES {
            let (owner, name) = field.split_once('.').unwrap();
            let known = schema
                .field(owner, name)
                .unwrap_or_else(|| panic!("{field}"));
            assert_eq!(known.type_name, "string", "{field}");
            assert!(!values.is_empty());
        }
    }

    #[test]
    fn types_by_path() {
        let schema = Schema::built_in();
        let check = |kind: &str, at: &str, expected: Option<&str>| {
            assert_eq!(schema.type_at(kind, &path(at)), expected, "{kind} {at}");
        };
        check("Pod", "", Some("Pod"));
        check("Pod", "spec.containers", Some("Container"));
        check(
            "Pod",
            "spec.containers.livenessProbe.httpGet",
            Some("HTTPGetAction"),
        );
        check("Pod", "metadata.labels", None);
        check("Pod", "spec.nothing", None);
        check("Secret", "metadata", Some("ObjectMeta"));
        check("Deployment", "", None);
        assert_eq!(
            schema.values("PodSpec", "restartPolicy"),
            ["Always", "OnFailure", "Never"]
        );
        assert_eq!(schema.values("PodSpec", "hostNetwork"), ["true", "false"]);
        assert!(schema.values("PodSpec", "hostname").is_empty());
        assert!(schema.field("PodSpec", "containers").unwrap().is_required);
    }
}
