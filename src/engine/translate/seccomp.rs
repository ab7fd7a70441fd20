//! Seccomp profiles from files: the JSON of OCI runtimes and of Docker becomes plain rules.

use std::path::Path;

use serde::Deserialize;

use crate::base::CAPABILITIES;
use crate::wire::{SeccompAction, SeccompArgument, SeccompComparison, SeccompProfile, SeccompRule};

/// `EPERM`: what `SCMP_ACT_ERRNO` means without `errnoRet`.
const EPERM: u16 = 1;
const MAX_ERRNO: u32 = 4095;

/// What a rule may depend on.
pub(in crate::engine) struct ProfileContext<'a> {
    /// Bounding set of the container.
    pub(in crate::engine) capabilities: u64,
    /// As in `/proc/sys/kernel/osrelease`.
    pub(in crate::engine) kernel: &'a str,
    /// `amd64` or `arm64`.
    pub(in crate::engine) architecture: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// As Docker wrote it long ago.
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile. `Err`: what is wrong with it, in words for whoever wrote it.
pub(in crate::engine) fn parse_profile(
    text: &[u8],
    context: &ProfileContext<'_>,
) -> Result<SeccompProfile, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut rules = Vec::new();
    for (index, entry) in document.syscalls.into_iter().flatten().enumerate() {
        let at = |problem: String| format!("syscalls[{index}]: {problem}");
        let applies = entry.includes.is_none_or(|wanted| wanted.all(context))
            && !entry.excludes.is_some_and(|unwanted| unwanted.any(context));
        let action = action(&entry.action, entry.errno_ret).map_err(at)?;
        let arguments = entry.args.into_iter().flatten().map(argument);
        let arguments = arguments.collect::<Result<Vec<_>, _>>().map_err(at)?;
        if applies {
            let names = entry.names.into_iter().flatten().chain(entry.name);
            rules.push(SeccompRule {
                names: names.collect(),
                action,
                arguments,
            });
        }
    }
    let mut log = false;
    for flag in document.flags.into_iter().flatten() {
        match flag.as_str() {
            "SECCOMP_FILTER_FLAG_LOG" => log = true,
            // There is one thread, and mitigations are the kernel's to choose.
            "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => {}
            other => return Err(format!("flags: {other} is not supported")),
        }
    }
    Ok(SeccompProfile {
        default: action(&document.default_action, document.default_errno_ret)
            .map_err(|problem| format!("defaultAction: {problem}"))?,
        log,
        rules,
    })
}

fn action(name: &str, number: Option<u32>) -> Result<SeccompAction, String> {
    let number = || match number {
        None => Ok(EPERM),
        Some(number) if number <= MAX_ERRNO => Ok(u16::try_from(number).unwrap_or(EPERM)),
        Some(number) => Err(format!("errnoRet {number} is larger than {MAX_ERRNO}")),
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => SeccompAction::Allow,
        "SCMP_ACT_LOG" => SeccompAction::Log,
        "SCMP_ACT_ERRNO" => SeccompAction::Errno(number()?),
        "SCMP_ACT_TRACE" => SeccompAction::Trace(number()?),
        "SCMP_ACT_TRAP" => SeccompAction::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SeccompAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction::KillProcess,
        other => return Err(format!("action {other:?} is not supported")),
    })
}

fn argument(arg: Arg) -> Result<SeccompArgument, String> {
    if arg.index > 5 {
        return Err(format!("there is no argument {}", arg.index));
    }
    let (comparison, value) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (SeccompComparison::NotEqual, arg.value),
        "SCMP_CMP_LT" => (SeccompComparison::LessThan, arg.value),
        "SCMP_CMP_LE" => (SeccompComparison::LessOrEqual, arg.value),
        "SCMP_CMP_EQ" => (SeccompComparison::Equal, arg.value),
        "SCMP_CMP_GE" => (SeccompComparison::GreaterOrEqual, arg.value),
        "SCMP_CMP_GT" => (SeccompComparison::GreaterThan, arg.value),
        // Here `value` is the mask.
        "SCMP_CMP_MASKED_EQ" => (SeccompComparison::MaskedEqual(arg.value), arg.value_two),
        other => return Err(format!("comparison {other:?} is not supported")),
    };
    Ok(SeccompArgument {
        index: arg.index,
        comparison,
        value,
    })
}

impl Condition {
    fn all(&self, context: &ProfileContext<'_>) -> bool {
        let architectures = self.arches.as_deref().unwrap_or_default();
        self.caps.iter().flatten().all(|name| has(context, name))
            && (architectures.is_empty()
                || architectures
                    .iter()
                    .any(|name| name == context.architecture))
            && self
                .min_kernel
                .as_deref()
                .is_none_or(|least| version(context.kernel) >= version(least))
    }

    fn any(&self, context: &ProfileContext<'_>) -> bool {
        let is_here = |name: &String| name == context.architecture;
        self.caps.iter().flatten().any(|name| has(context, name))
            || self.arches.iter().flatten().any(is_here)
            || self
                .min_kernel
                .as_deref()
                .is_some_and(|least| version(context.kernel) >= version(least))
    }
}

fn has(context: &ProfileContext<'_>, name: &str) -> bool {
    let name = name.strip_prefix("CAP_").unwrap_or(name);
    CAPABILITIES
        .iter()
        .position(|known| *known == name)
        .is_some_and(|number| context.capabilities & (1 << number) != 0)
}

/// Major and minor number.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|character: char| !character.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// In containerd's words.
pub(in crate::engine) fn load_error(path: &Path, reason: &str) -> String {
    format!(
        "cannot load seccomp profile \"{}\": {reason}",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(profile: &Value, capabilities: u64) -> Result<SeccompProfile, String> {
        let context = ProfileContext {
            capabilities,
            kernel: "6.18.4-x",
            architecture: "amd64",
        };
        parse_profile(profile.to_string().as_bytes(), &context)
    }

    #[test]
    fn rules_of_docker_depend_on_the_container() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
                {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
                 "args": [{"index": 0, "value": 2_114_060_288u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["old"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "7.0"}},
                {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
            ],
        });
        let names = |profile: &SeccompProfile| -> Vec<String> {
            profile
                .rules
                .iter()
                .flat_map(|rule| rule.names.clone())
                .collect()
        };
        let plain = parsed(&profile, 0).unwrap();
        assert_eq!(plain.default, SeccompAction::Errno(38));
        assert!(plain.log);
        assert_eq!(names(&plain), ["read", "write", "clone", "ptrace"]);
        assert_eq!(
            plain.rules[1].arguments,
            [SeccompArgument {
                index: 0,
                comparison: SeccompComparison::MaskedEqual(2_114_060_288),
                value: 0,
            }]
        );
        let admin = parsed(&profile, 1 << 21).unwrap();
        assert_eq!(names(&admin), ["read", "write", "mount", "ptrace"]);
    }

    #[track_caller]
    fn refused(profile: &Value, expected: &str) {
        assert_eq!(parsed(profile, 0).unwrap_err(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let call = |entry: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]});
        refused(
            &json!({"defaultAction": "ALLOW"}),
            "defaultAction: action \"ALLOW\" is not supported",
        );
        refused(
            &call(json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"})),
            "syscalls[0]: action \"SCMP_ACT_NOTIFY\" is not supported",
        );
        refused(
            &call(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000})),
            "syscalls[0]: errnoRet 5000 is larger than 4095",
        );
        let with = |argument: Value| {
            call(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [argument]}))
        };
        refused(
            &with(json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"})),
            "syscalls[0]: there is no argument 6",
        );
        refused(
            &with(json!({"index": 0, "value": 0, "op": "=="})),
            "syscalls[0]: comparison \"==\" is not supported",
        );
        assert!(parsed(&json!({}), 0).unwrap_err().contains("defaultAction"));
        assert!(parsed(&json!([]), 0).is_err());
    }
}
