use k8s_openapi::api::core::v1::PodSpec;
use serde::Serialize;

use super::field::{Errors, containers_with_paths, required, supported};
use crate::model::FieldError;

const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";
/// Fields of the pod, in the order of the API; those of its security context come with their path.
const LINUX_OF_POD: [&str; 15] = [
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
];
const LINUX_OF_CONTAINER: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// `spec.os`, and the fields that the named system does not have.
pub(super) fn check(errors: &mut Errors, spec: &PodSpec) {
    let Some(os) = &spec.os else { return };
    let before = errors.len();
    required(errors, "spec.os.name".to_owned(), &os.name);
    if !os.name.is_empty() {
        // The API reports a wrong name at its parent.
        supported(errors, "spec.os", &os.name, &["linux", "windows"]);
    }
    if errors.len() > before {
        return;
    }
    let windows = os.name == "windows";
    let mut forbid = |path: String, detail: &str| errors.push(FieldError::forbidden(path, detail));
    if windows {
        let fields = LINUX_OF_POD.iter().filter(|field| is_set(spec, field));
        fields.for_each(|field| forbid(format!("spec.{field}"), NOT_ON_WINDOWS));
    } else if is_set(spec, "securityContext.windowsOptions") {
        let path = "spec.securityContext.windowsOptions".to_owned();
        forbid(path, NOT_ON_LINUX);
    }
    for (path, container) in containers_with_paths(spec) {
        let path = format!("{path}.securityContext");
        let Some(context) = &container.security_context else {
            continue;
        };
        if windows {
            let fields = LINUX_OF_CONTAINER
                .iter()
                .filter(|field| is_set(context, field));
            fields.for_each(|field| forbid(format!("{path}.{field}"), NOT_ON_WINDOWS));
        } else if context.windows_options.is_some() {
            forbid(format!("{path}.windowsOptions"), NOT_ON_LINUX);
        }
    }
}

/// Whether the field is there and, where it is a flag of the pod, is true.
fn is_set(object: &impl Serialize, path: &str) -> bool {
    let value = serde_json::to_value(object).unwrap_or_default();
    let found = path
        .split('.')
        .try_fold(&value, |value, name| value.get(name));
    let is_flag = matches!(path, "hostPID" | "hostIPC");
    found.is_some_and(|found| !found.is_null() && (!is_flag || found == &serde_json::json!(true)))
}
