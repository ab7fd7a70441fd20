use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::file::Size;

/// Least that must be free of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threshold {
    /// Bytes, or a number of inodes.
    Amount(u64),
    /// Of all there is; 0 = never.
    Percent(u8),
}

/// Hard eviction thresholds, as kubelet's `evictionHard`, and soft ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) memory_available: Threshold,
    pub(crate) nodefs_available: Threshold,
    pub(crate) nodefs_inodes_free: Threshold,
    pub(crate) soft: SoftEviction,
    /// Most that a pod has to end for a soft threshold, as kubelet's `evictionMaxPodGracePeriod`.
    pub(crate) max_pod_grace_seconds: u64,
}

/// `[eviction.soft]`, as kubelet's `evictionSoft` and `evictionSoftGracePeriod`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SoftEviction {
    pub(crate) memory_available: Option<SoftThreshold>,
    pub(crate) nodefs_available: Option<SoftThreshold>,
    pub(crate) nodefs_inodes_free: Option<SoftThreshold>,
}

/// Both are to be given: the kubelet refuses one without the other too.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(
    deny_unknown_fields,
    expecting = "a threshold and its grace, as { below = \"1Gi\", grace_seconds = 90 }"
)]
pub(crate) struct SoftThreshold {
    pub(crate) below: Threshold,
    /// How long it must have been met.
    pub(crate) grace_seconds: u64,
}

/// `[eviction]` as written.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EvictionTable {
    memory_available: Option<Threshold>,
    nodefs_available: Option<Threshold>,
    nodefs_inodes_free: Option<Threshold>,
    soft: SoftEviction,
    max_pod_grace_seconds: u64,
}

impl Eviction {
    pub(super) fn of(table: &EvictionTable) -> Self {
        Self {
            memory_available: table
                .memory_available
                .unwrap_or(Threshold::Amount(100 << 20)),
            nodefs_available: table.nodefs_available.unwrap_or(Threshold::Percent(10)),
            nodefs_inodes_free: table.nodefs_inodes_free.unwrap_or(Threshold::Percent(5)),
            soft: table.soft,
            max_pod_grace_seconds: table.max_pod_grace_seconds,
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOf;

        impl Visitor<'_> for OneOf {
            type Value = Threshold;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an amount such as \"100Mi\" or a part such as \"10%\"")
            }

            fn visit_i64<E: Error>(self, amount: i64) -> Result<Threshold, E> {
                u64::try_from(amount)
                    .map(Threshold::Amount)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(amount), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Threshold, E> {
                let wrong = || E::invalid_value(Unexpected::Str(text), &self);
                match text.strip_suffix('%') {
                    Some(part) => {
                        let part = part.parse().ok().filter(|part| *part < 100);
                        part.map(Threshold::Percent).ok_or_else(wrong)
                    }
                    None => Size::parse(text)
                        .map(|size| Threshold::Amount(size.0))
                        .ok_or_else(wrong),
                }
            }
        }

        deserializer.deserialize_any(OneOf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Threshold>) {
        let table: Result<EvictionTable, _> = toml::from_str(&format!("memory_available = {text}"));
        let found = table.ok().and_then(|table| table.memory_available);
        assert_eq!(found, expected);
    }

    #[test]
    fn amounts_and_parts() {
        check("\"1Gi\"", Some(Threshold::Amount(1 << 30)));
        check("4096", Some(Threshold::Amount(4096)));
        check("\"0%\"", Some(Threshold::Percent(0)));
        check("\"15%\"", Some(Threshold::Percent(15)));
        for wrong in ["\"100%\"", "\"-1%\"", "\"much\"", "-1", "true"] {
            check(wrong, None);
        }
    }

    #[track_caller]
    fn check_soft(text: &str, expected: Result<(Threshold, u64), &str>) {
        let text = format!("[soft]\nmemory_available = {text}");
        let table: Result<EvictionTable, _> = toml::from_str(&text);
        match (table, expected) {
            (Ok(table), Ok(expected)) => {
                let found = table.soft.memory_available.unwrap();
                assert_eq!((found.below, found.grace_seconds), expected);
            }
            (Err(error), Err(expected)) => {
                assert!(error.message().contains(expected), "{error}");
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn soft_thresholds_have_a_grace() {
        let good = "{below = \"1Gi\", grace_seconds = 90}";
        check_soft(good, Ok((Threshold::Amount(1 << 30), 90)));
        check_soft(
            "{below = \"5%\", grace_seconds = 0}",
            Ok((Threshold::Percent(5), 0)),
        );
        check_soft("{below = \"1Gi\"}", Err("missing field `grace_seconds`"));
        check_soft("{grace_seconds = 9}", Err("missing field `below`"));
        check_soft(
            "{below = \"1Gi\", grace_seconds = -1}",
            Err("invalid value"),
        );
    }
}
