//! PodPreset of `settings.k8s.io/v1alpha1`. The API left Kubernetes in 1.20, so no crate of API types has it.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};

use super::Kind;

/// What pods of its namespace are given when they are created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodPreset {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spec: Option<PodPresetSpec>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodPresetSpec {
    /// Which pods; an absent or empty one is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<Vec<EnvVar>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env_from: Option<Vec<EnvFromSource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volumes: Option<Vec<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume_mounts: Option<Vec<VolumeMount>>,
}

impl Default for PodPreset {
    fn default() -> Self {
        Self {
            api_version: Kind::PodPreset.api_version().to_owned(),
            kind: Kind::PodPreset.as_str().to_owned(),
            metadata: ObjectMeta::default(),
            spec: None,
        }
    }
}
