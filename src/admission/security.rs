use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, SeccompProfile, SecurityContext};

use super::apparmor;
use super::field::{Errors, descending, id, text};
use crate::model::FieldError;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const SYSCTL_FORMAT: &str = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const SYSCTL_MAX: usize = 253;

pub(super) fn container(
    errors: &mut Errors,
    path: &str,
    context: &SecurityContext,
    host_users: bool,
) {
    id(errors, format!("{path}.runAsUser"), context.run_as_user);
    id(errors, format!("{path}.runAsGroup"), context.run_as_group);
    proc_mount(errors, path, context, host_users);
    seccomp(errors, path, context.seccomp_profile.as_ref());
    if context.allow_privilege_escalation == Some(false) {
        let rendered = serde_json::to_string(context).unwrap_or_default();
        let mut invalid = |detail: &str| {
            errors.push(FieldError::invalid(path, &rendered, detail));
        };
        if context.privileged == Some(true) {
            invalid("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        let added = context
            .capabilities
            .as_ref()
            .and_then(|set| set.add.as_ref());
        // Only this spelling is looked for.
        if added
            .into_iter()
            .flatten()
            .any(|name| name == "CAP_SYS_ADMIN")
        {
            invalid(
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            );
        }
    }
    let armor = context.app_armor_profile.as_ref();
    apparmor::profile(errors, &format!("{path}.appArmorProfile"), armor);
}

fn proc_mount(errors: &mut Errors, path: &str, context: &SecurityContext, host_users: bool) {
    let path = format!("{path}.procMount");
    match text(&context.proc_mount) {
        "" | "Default" => {}
        "Unmasked" if host_users => errors.push(FieldError::invalid_string(
            path,
            "Unmasked",
            "`hostUsers` must be false to use `Unmasked`",
        )),
        "Unmasked" => {}
        other => errors.push(FieldError::not_supported(
            path,
            other,
            &["Default", "Unmasked"],
        )),
    }
}

fn seccomp(errors: &mut Errors, path: &str, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    let path = format!("{path}.seccompProfile");
    let (type_path, local_path) = (format!("{path}.type"), format!("{path}.localhostProfile"));
    let local = profile.localhost_profile.as_deref();
    let type_ = profile.type_.as_str();
    if type_.is_empty() {
        let detail = "type is required when seccompProfile is set";
        errors.push(FieldError::required(type_path, detail));
    } else if !PROFILES.contains(&type_) {
        errors.push(FieldError::not_supported(type_path, type_, &PROFILES));
    } else if type_ == "Localhost" {
        match local {
            None | Some("") => {
                let detail = "must be set when seccomp type is Localhost";
                errors.push(FieldError::required(local_path, detail));
            }
            Some(local) => descending(errors, &local_path, local),
        }
    } else if let Some(local) = local {
        let detail = "can only be set when seccomp type is Localhost";
        errors.push(FieldError::invalid_string(local_path, local, detail));
    }
}

pub(super) fn pod(errors: &mut Errors, spec: &PodSpec) {
    let Some(context) = &spec.security_context else {
        return;
    };
    let path = "spec.securityContext";
    id(errors, format!("{path}.fsGroup"), context.fs_group);
    id(errors, format!("{path}.runAsUser"), context.run_as_user);
    id(errors, format!("{path}.runAsGroup"), context.run_as_group);
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(
            errors,
            format!("{path}.supplementalGroups[{index}]"),
            Some(*group),
        );
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        // The API keeps this field with the security context.
        errors.push(FieldError::invalid(
            format!("{path}.shareProcessNamespace"),
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    sysctls(errors, path, context, spec);
    optional(
        errors,
        format!("{path}.fsGroupChangePolicy"),
        context.fs_group_change_policy.as_deref(),
        &["Always", "OnRootMismatch"],
    );
    seccomp(errors, path, context.seccomp_profile.as_ref());
    let armor = context.app_armor_profile.as_ref();
    apparmor::profile(errors, &format!("{path}.appArmorProfile"), armor);
    optional(
        errors,
        format!("{path}.supplementalGroupsPolicy"),
        context.supplemental_groups_policy.as_deref(),
        &["Merge", "Strict"],
    );
    optional(
        errors,
        format!("{path}.seLinuxChangePolicy"),
        context.se_linux_change_policy.as_deref(),
        &["MountOption", "Recursive"],
    );
}

fn optional(errors: &mut Errors, path: String, value: Option<&str>, supported: &[&str]) {
    if let Some(value) = value.filter(|value| !supported.contains(value)) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

fn sysctls(errors: &mut Errors, path: &str, context: &PodSecurityContext, spec: &PodSpec) {
    let mut seen = Vec::new();
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = format!("{path}.sysctls[{index}].name");
        let name = sysctl.name.as_str();
        let mut invalid = |detail: &str| {
            errors.push(FieldError::invalid_string(path.clone(), name, detail));
        };
        let dotted = name.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        let of_net = spec.host_network == Some(true) && dotted.starts_with("net.");
        let of_ipc =
            spec.host_ipc == Some(true) && ipc.iter().any(|prefix| dotted.starts_with(prefix));
        if name.is_empty() {
            errors.push(FieldError::required(path.clone(), ""));
        } else if !is_sysctl(name) {
            invalid(&format!(
                "must have at most {SYSCTL_MAX} characters and match regex ^{SYSCTL_FORMAT}$"
            ));
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        if of_net || of_ipc {
            let field = if of_net { "hostNetwork" } else { "hostIPC" };
            let detail = format!("may not be specified when '{field}' is true");
            errors.push(FieldError::invalid_string(path, name, detail));
        }
        seen.push(name);
    }
}

fn is_sysctl(name: &str) -> bool {
    let segment = |segment: &str| {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = segment.as_bytes();
        bytes.first().copied().is_some_and(alphanumeric)
            && bytes.last().copied().is_some_and(alphanumeric)
            && bytes
                .iter()
                .all(|&byte| alphanumeric(byte) || b"-_".contains(&byte))
    };
    name.len() <= SYSCTL_MAX && name.split(['.', '/']).all(segment)
}
