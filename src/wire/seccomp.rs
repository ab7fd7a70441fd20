use serde::{Deserialize, Serialize};

/// What decides over the system calls of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seccomp {
    RuntimeDefault,
    Unconfined,
    /// `seccompProfile.type: Localhost`, with what does not concern this container left out.
    Profile(SeccompProfile),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeccompProfile {
    /// For calls that no rule names or whose arguments match none of their rules.
    pub(crate) default: SeccompAction,
    /// All answers but "allow" are logged (`SECCOMP_FILTER_FLAG_LOG`, seccomp(2)).
    pub(crate) log: bool,
    pub(crate) rules: Vec<SeccompRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeccompRule {
    /// Names of system calls; those that the machine does not have mean nothing.
    pub(crate) names: Vec<String>,
    pub(crate) action: SeccompAction,
    /// All have to match; none: the rule holds whatever the arguments.
    pub(crate) arguments: Vec<SeccompArgument>,
}

/// The `SECCOMP_RET_*` values of seccomp(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SeccompAction {
    Allow,
    Log,
    /// The call fails with this errno.
    Errno(u16),
    /// A tracer decides; it is given this number.
    Trace(u16),
    Trap,
    KillThread,
    KillProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeccompArgument {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) comparison: SeccompComparison,
    pub(crate) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SeccompComparison {
    NotEqual,
    LessThan,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    GreaterThan,
    /// The argument and this mask are the value.
    MaskedEqual(u64),
}
