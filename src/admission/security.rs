use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext,
};

use super::field::{Errors, descending, id, supported};
use super::windows;
use crate::model::FieldError;

const LOCALHOST: &str = "Localhost";
const PROFILES: [&str; 3] = [LOCALHOST, "RuntimeDefault", "Unconfined"];
/// Bytes: `PATH_MAX` and its end.
const PROFILE_NAME_MAX: usize = 4095;
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
    windows::options(errors, path, context.windows_options.as_ref());
    app_armor(errors, path, context.app_armor_profile.as_ref());
}

fn proc_mount(errors: &mut Errors, path: &str, context: &SecurityContext, host_users: bool) {
    let path = format!("{path}.procMount");
    match context.proc_mount.as_deref() {
        None | Some("Default") => {}
        Some("Unmasked") if host_users => errors.push(FieldError::invalid_string(
            path,
            "Unmasked",
            "`hostUsers` must be false to use `Unmasked`",
        )),
        Some("Unmasked") => {}
        Some(other) => supported(errors, &path, other, &["Default", "Unmasked"]),
    }
}

fn seccomp(errors: &mut Errors, path: &str, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    let path = format!("{path}.seccompProfile");
    profile_type(errors, &path, &profile.type_);
    let local_path = format!("{path}.localhostProfile");
    match &profile.localhost_profile {
        Some(local) if profile.type_ == LOCALHOST => descending(errors, &local_path, local),
        Some(_) => {
            let rendered = serde_json::to_string(profile).unwrap_or_default();
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(local_path, rendered, detail));
        }
        None if profile.type_ == LOCALHOST => {
            let detail = "must be set when seccomp type is Localhost";
            errors.push(FieldError::required(local_path, detail));
        }
        None => {}
    }
}

fn app_armor(errors: &mut Errors, path: &str, profile: Option<&AppArmorProfile>) {
    let Some(profile) = profile else { return };
    let path = format!("{path}.appArmorProfile");
    let before = errors.len();
    profile_type(errors, &path, &profile.type_);
    if errors.len() > before {
        return;
    }
    let path = format!("{path}.localhostProfile");
    let local = profile.localhost_profile.as_deref();
    if profile.type_ != LOCALHOST {
        if let Some(local) = local {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid_string(path, local, detail));
        }
        return;
    }
    let local = local.unwrap_or_default();
    if local != local.trim() {
        let detail = "must not be padded with whitespace";
        errors.push(FieldError::invalid_string(path.clone(), local, detail));
    } else if local.is_empty() {
        let detail = "must be set when AppArmor type is Localhost";
        errors.push(FieldError::required(path.clone(), detail));
    }
    if local.len() > PROFILE_NAME_MAX {
        errors.push(FieldError::too_long(path, PROFILE_NAME_MAX));
    }
}

fn profile_type(errors: &mut Errors, path: &str, type_: &str) {
    let type_path = format!("{path}.type");
    if type_.is_empty() {
        let field = path.rsplit('.').next().unwrap_or_default();
        let detail = format!("type is required when {field} is set");
        errors.push(FieldError::required(type_path, detail));
    } else {
        supported(errors, &type_path, type_, &PROFILES);
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
    windows::options(errors, path, context.windows_options.as_ref());
    app_armor(errors, path, context.app_armor_profile.as_ref());
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
