//! Options of Windows containers. None runs here, yet a manifest is right or wrong all the same.

use k8s_openapi::api::core::v1::{PodSpec, WindowsSecurityContextOptions};

use super::field::{Errors, by_rule, containers_with_paths};
use crate::model::{FieldError, names};

/// Bytes.
const CREDENTIAL_SPEC_MAX: usize = 64 * 1024;
const DOMAIN_MAX: usize = 256;
const USER_MAX: usize = 104;
const NETBIOS_MAX: usize = 15;

pub(super) fn options(
    errors: &mut Errors,
    path: &str,
    options: Option<&WindowsSecurityContextOptions>,
) {
    let Some(options) = options else { return };
    let path = format!("{path}.windowsOptions");
    if let Some(name) = &options.gmsa_credential_spec_name {
        let path = format!("{path}.gmsaCredentialSpecName");
        by_rule(errors, &path, name, names::dns_subdomain);
    }
    if let Some(spec) = &options.gmsa_credential_spec {
        let path = format!("{path}.gmsaCredentialSpec");
        let mut invalid =
            |detail: &str| errors.push(FieldError::invalid_string(&path, spec, detail));
        if spec.is_empty() {
            invalid("gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > CREDENTIAL_SPEC_MAX {
            invalid("gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(name) = &options.run_as_user_name {
        by_rule(errors, &format!("{path}.runAsUserName"), name, user_name);
    }
}

/// `DOMAIN\user` or `user`.
fn user_name(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('\\').collect();
    let whole = if name.is_empty() {
        "runAsUserName cannot be an empty string"
    } else if name.bytes().any(|byte| byte.is_ascii_control()) {
        "runAsUserName cannot contain control characters"
    } else if parts.len() > 2 {
        "runAsUserName cannot contain more than one backslash"
    } else {
        return match parts.as_slice() {
            [domain, user] => [domain_of_user(domain), user_itself(user)].concat(),
            _ => user_itself(name),
        };
    };
    vec![whole.to_owned()]
}

fn domain_of_user(domain: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if domain.len() >= DOMAIN_MAX {
        problems.push(format!(
            "runAsUserName's Domain length must be under {DOMAIN_MAX} characters"
        ));
    }
    if !is_netbios(domain) && !is_dns(domain) {
        problems
            .push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
    }
    problems
}

fn is_netbios(domain: &str) -> bool {
    (1..=NETBIOS_MAX).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|letter: char| "\\/:*?\"<>|".contains(letter))
}

fn is_dns(domain: &str) -> bool {
    let label = |label: &str| {
        label.len() <= names::LABEL_MAX
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(label)
}

fn user_itself(user: &str) -> Vec<String> {
    const FORBIDDEN: &str = "\"/\\:;|=,+*?<>@[]";
    let mut problems = Vec::new();
    if user.is_empty() {
        problems.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_MAX {
        problems.push(format!(
            "runAsUserName's User length must not be longer than {USER_MAX} characters"
        ));
    }
    if !user.is_empty() && user.chars().all(|letter| ". ".contains(letter)) {
        problems.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(|letter: char| FORBIDDEN.contains(letter)) {
        problems.push(
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
                .to_owned(),
        );
    }
    problems
}

/// Containers that are processes of the host: all of a pod or none, and with the host's network.
pub(super) fn host_process(errors: &mut Errors, spec: &PodSpec) {
    let of = |options: Option<&WindowsSecurityContextOptions>| options?.host_process;
    let context = spec.security_context.as_ref();
    let of_pod = of(context.and_then(|context| context.windows_options.as_ref()));
    let (mut total, mut on_host) = (0, 0);
    for (path, container) in containers_with_paths(spec) {
        total += 1;
        let context = container.security_context.as_ref();
        let own = of(context.and_then(|context| context.windows_options.as_ref()));
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let path = format!("{path}.securityContext.windowsOptions.hostProcess");
            let detail =
                format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(FieldError::invalid(path, own, detail));
        }
        if own.or(of_pod) == Some(true) {
            on_host += 1;
        }
    }
    if on_host == 0 {
        return;
    }
    if on_host != total {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid_string("spec", "", detail));
    }
    if spec.host_network != Some(true) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid("spec.hostNetwork", false, detail));
    }
}
