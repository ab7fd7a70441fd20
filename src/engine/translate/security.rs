use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::container::TranslateError;
use crate::base::CAPABILITIES;
use crate::engine::apparmor::Confinement;
use crate::image::ImageConfig;
use crate::wire::{CapabilitySets, ContainerUser, Seccomp, SeccompProfile};

const ALL: u64 = (1 << CAPABILITIES.len()) - 1;
/// The 14 capabilities of Docker and containerd.
const DEFAULT: u64 = 0xa804_25fb;

const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// `procMount: Unmasked`, or privileged.
fn sees_everything(container: &Container) -> bool {
    let context = container.security_context.as_ref();
    is_privileged(container)
        || context.and_then(|context| context.proc_mount.as_deref()) == Some("Unmasked")
}

/// Paths to cover.
pub(super) fn masked_paths(container: &Container, cpus: usize) -> Vec<String> {
    if sees_everything(container) {
        return Vec::new();
    }
    let throttle =
        (0..cpus).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    MASKED
        .map(str::to_owned)
        .into_iter()
        .chain(throttle)
        .collect()
}

pub(super) fn readonly_paths(container: &Container) -> Vec<String> {
    if sees_everything(container) {
        return Vec::new();
    }
    READONLY.map(str::to_owned).to_vec()
}

pub(super) fn is_privileged(container: &Container) -> bool {
    container
        .security_context
        .as_ref()
        .and_then(|context| context.privileged)
        .unwrap_or(false)
}

fn bit(name: &str) -> Option<u64> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    CAPABILITIES
        .iter()
        .position(|known| *known == name)
        .map(|number| 1 << number)
}

/// `ALL` first, then what is added, then what is dropped.
pub(in crate::engine) fn capabilities(
    container: &Container,
) -> Result<CapabilitySets, TranslateError> {
    let both = |mask| CapabilitySets {
        bounding: mask,
        effective: mask,
    };
    if is_privileged(container) {
        return Ok(both(ALL));
    }
    let listed = container
        .security_context
        .as_ref()
        .and_then(|context| context.capabilities.clone())
        .unwrap_or_default();
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    let add = listed.add.unwrap_or_default();
    let drop = listed.drop.unwrap_or_default();
    let mut mask = DEFAULT;
    if add.iter().any(is_all) {
        mask = ALL;
    }
    if drop.iter().any(is_all) {
        mask = 0;
    }
    let known = |name: &String| {
        bit(name).ok_or_else(|| TranslateError::Create(format!("unknown capability \"{name}\"")))
    };
    for name in add.iter().filter(|name| !is_all(name)) {
        mask |= known(name)?;
    }
    for name in drop.iter().filter(|name| !is_all(name)) {
        mask &= !known(name)?;
    }
    Ok(both(mask))
}

/// `allowPrivilegeEscalation: false`; a privileged container may always escalate.
pub(super) fn no_new_privileges(container: &Container) -> bool {
    !is_privileged(container)
        && container
            .security_context
            .as_ref()
            .and_then(|context| context.allow_privilege_escalation)
            == Some(false)
}

/// A pod that says nothing gets the runtime's profile. The kubelet's own default is `Unconfined` unless it
/// runs with `--seccomp-default`; podtui behaves as if it did.
pub(super) fn seccomp(
    spec: &PodSpec,
    container: &Container,
    loaded: Option<SeccompProfile>,
) -> Result<Seccomp, TranslateError> {
    if is_privileged(container) {
        return Ok(Seccomp::Unconfined);
    }
    let profile = seccomp_field(spec, container);
    match profile.map(|profile| profile.type_.as_str()) {
        None | Some("RuntimeDefault") => Ok(Seccomp::RuntimeDefault),
        Some("Unconfined") => Ok(Seccomp::Unconfined),
        // Without its profile a container must not run at all (CVE-2023-2431).
        Some("Localhost") => loaded.map(Seccomp::Profile).ok_or_else(|| {
            TranslateError::Create("the seccomp profile has not been loaded".to_owned())
        }),
        Some(other) => Err(TranslateError::Create(format!(
            "seccomp profile type {other} is unknown"
        ))),
    }
}

/// Path of the profile of a container, below the directory of profiles; `None` when it has none of its own.
pub(in crate::engine) fn localhost_profile<'a>(
    spec: &'a PodSpec,
    container: &'a Container,
) -> Option<&'a str> {
    let profile = seccomp_field(spec, container)?;
    (profile.type_ == "Localhost" && !is_privileged(container))
        .then(|| profile.localhost_profile.as_deref().unwrap_or_default())
}

fn seccomp_field<'a>(
    spec: &'a PodSpec,
    container: &'a Container,
) -> Option<&'a k8s_openapi::api::core::v1::SeccompProfile> {
    container
        .security_context
        .as_ref()
        .and_then(|context| context.seccomp_profile.as_ref())
        .or_else(|| {
            spec.security_context
                .as_ref()
                .and_then(|context| context.seccomp_profile.as_ref())
        })
}

/// A privileged container does without the default, but not without a profile that is named for it.
pub(in crate::engine) fn confinement(spec: &PodSpec, container: &Container) -> Confinement {
    let own = container.security_context.as_ref();
    let shared = spec.security_context.as_ref();
    let profile = own
        .and_then(|context| context.app_armor_profile.as_ref())
        .or_else(|| shared.and_then(|context| context.app_armor_profile.as_ref()));
    let wanted = match profile {
        None => Confinement::IfPossible,
        Some(profile) => match (profile.type_.as_str(), &profile.localhost_profile) {
            ("Unconfined", _) => Confinement::Unconfined,
            ("Localhost", name) => Confinement::Localhost(name.clone().unwrap_or_default()),
            _ => Confinement::RuntimeDefault,
        },
    };
    match wanted {
        Confinement::IfPossible | Confinement::RuntimeDefault if is_privileged(container) => {
            Confinement::Unconfined
        }
        wanted => wanted,
    }
}

/// Identity of the container, with the checks of `runAsNonRoot`.
pub(super) fn user(
    pod: &Pod,
    spec: &PodSpec,
    container: &Container,
    image: &ImageConfig,
) -> Result<ContainerUser, TranslateError> {
    let own = container.security_context.as_ref();
    let shared = spec.security_context.as_ref();
    let run_as_user = own
        .and_then(|context| context.run_as_user)
        .or_else(|| shared.and_then(|context| context.run_as_user));
    let run_as_group = own
        .and_then(|context| context.run_as_group)
        .or_else(|| shared.and_then(|context| context.run_as_group));
    let non_root = own
        .and_then(|context| context.run_as_non_root)
        .or_else(|| shared.and_then(|context| context.run_as_non_root))
        .unwrap_or(false);
    if non_root {
        check_non_root(pod, container, image, run_as_user)?;
    }
    let id = |value: i64, field: &str| {
        u32::try_from(value)
            .map_err(|_| TranslateError::Config(format!("{field} {value} is out of range")))
    };
    let mut additional_groups = Vec::new();
    if let Some(group) = shared.and_then(|context| context.fs_group) {
        additional_groups.push(id(group, "fsGroup")?);
    }
    for group in shared
        .and_then(|context| context.supplemental_groups.as_ref())
        .into_iter()
        .flatten()
    {
        additional_groups.push(id(*group, "supplementalGroups")?);
    }
    Ok(ContainerUser {
        user: run_as_user.map_or_else(|| image.user.clone(), |uid| uid.to_string()),
        group: run_as_group
            .map(|group| id(group, "runAsGroup"))
            .transpose()?,
        additional_groups,
        merge_image_groups: shared
            .and_then(|context| context.supplemental_groups_policy.as_deref())
            != Some("Strict"),
        must_not_be_root: non_root,
    })
}

fn check_non_root(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
    run_as_user: Option<i64>,
) -> Result<(), TranslateError> {
    let meta = &pod.metadata;
    let place = format!(
        "(pod: \"{}_{}({})\", container: {})",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        container.name
    );
    let refuse = |text: String| Err(TranslateError::Config(text));
    match run_as_user {
        Some(0) => refuse(format!(
            "container's runAsUser breaks non-root policy {place}"
        )),
        Some(_) => Ok(()),
        None => {
            let user = image.user.split(':').next().unwrap_or_default();
            match user.parse::<i64>() {
                Ok(0) => refuse(format!(
                    "container has runAsNonRoot and image will run as root {place}"
                )),
                Ok(_) => Ok(()),
                Err(_) if user.is_empty() || user == "root" => refuse(format!(
                    "container has runAsNonRoot and image will run as root {place}"
                )),
                Err(_) => refuse(format!(
                    "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Capabilities, SecurityContext};

    use super::*;

    #[track_caller]
    fn check(add: &[&str], drop: &[&str], expected: u64) {
        let list = |list: &[&str]| Some(list.iter().map(|&name| name.to_owned()).collect());
        let container = Container {
            security_context: Some(SecurityContext {
                capabilities: Some(Capabilities {
                    add: list(add),
                    drop: list(drop),
                }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        };
        assert_eq!(capabilities(&container).unwrap().bounding, expected);
    }

    #[test]
    fn capability_sets() {
        check(&[], &[], DEFAULT);
        check(&[], &["ALL"], 0);
        check(&["NET_BIND_SERVICE"], &["ALL"], 1 << 10);
        check(&["CAP_SYS_ADMIN"], &[], DEFAULT | 1 << 21);
        check(
            &["net_admin"],
            &["NET_RAW"],
            (DEFAULT | 1 << 12) & !(1 << 13),
        );
        check(&["ALL"], &["SYS_MODULE"], ALL & !(1 << 16));
        check(&["all"], &["all"], 0);
        check(&["ALL", "CHOWN"], &["ALL"], 1);
        assert_eq!(DEFAULT.count_ones(), 14);
    }

    #[track_caller]
    fn check_confinement(pod: &str, container: &str, privileged: bool, expected: Confinement) {
        let context = |type_: &str| match type_ {
            "" => serde_json::json!({}),
            _ => serde_json::json!({"appArmorProfile": {"type": type_, "localhostProfile": "p"}}),
        };
        let spec = serde_json::json!({"containers": [], "securityContext": context(pod)});
        let mut own = context(container);
        own["privileged"] = privileged.into();
        let container = serde_json::json!({"name": "c", "securityContext": own});
        let found = confinement(
            &serde_json::from_value(spec).unwrap(),
            &serde_json::from_value(container).unwrap(),
        );
        assert_eq!(found, expected);
    }

    #[test]
    fn the_profile_of_the_container_before_that_of_the_pod() {
        let local = || Confinement::Localhost("p".to_owned());
        check_confinement("", "", false, Confinement::IfPossible);
        check_confinement("", "RuntimeDefault", false, Confinement::RuntimeDefault);
        check_confinement("RuntimeDefault", "", false, Confinement::RuntimeDefault);
        check_confinement("Localhost", "Unconfined", false, Confinement::Unconfined);
        check_confinement("Unconfined", "Localhost", false, local());
        check_confinement("", "", true, Confinement::Unconfined);
        check_confinement("", "RuntimeDefault", true, Confinement::Unconfined);
        check_confinement("Localhost", "", true, local());
    }

    #[track_caller]
    fn check_user(image_user: &str, run_as_user: Option<i64>, expected: Result<&str, &str>) {
        let mut pod = Pod::default();
        pod.metadata.name = Some("p".to_owned());
        pod.metadata.namespace = Some("n".to_owned());
        pod.metadata.uid = Some("u".to_owned());
        let container = Container {
            name: "c".to_owned(),
            security_context: Some(SecurityContext {
                run_as_non_root: Some(true),
                run_as_user,
                ..SecurityContext::default()
            }),
            ..Container::default()
        };
        let image = ImageConfig {
            user: image_user.to_owned(),
            ..ImageConfig::default()
        };
        let found = user(&pod, &PodSpec::default(), &container, &image);
        match (found, expected) {
            (Ok(user), Ok(expected)) => assert_eq!(user.user, expected),
            (Err(TranslateError::Config(text)), Err(expected)) => {
                assert_eq!(text, format!("{expected} (pod: \"p_n(u)\", container: c)"));
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn run_as_non_root() {
        check_user("", Some(1000), Ok("1000"));
        check_user("1000:1000", None, Ok("1000:1000"));
        check_user(
            "1000",
            Some(0),
            Err("container's runAsUser breaks non-root policy"),
        );
        for root in ["", "root", "0", "0:5", "root:wheel"] {
            check_user(
                root,
                None,
                Err("container has runAsNonRoot and image will run as root"),
            );
        }
        check_user(
            "web",
            None,
            Err(
                "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root",
            ),
        );
    }
}
