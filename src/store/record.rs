//! One line of the journal: `{"v":3,"sum":"<crc32>","rec":<record>}`.
//!
//! The sum covers the version and the exact text of the record, so a line that was cut, mixed up or
//! overwritten is told from a whole one. Every record holds all of its object; records can be applied twice
//! or with gaps and still give objects that existed.
//!
//! A new kind of object or record needs a new version. An older podtui refuses data of a newer one and
//! leaves it as it is; a newer one reads all older versions.

use flate2::Crc;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Change;
use crate::model::{Kind, Object, ObjectKey, ResourceVersion};

/// 2: PodPresets. 3: PersistentVolumes and PersistentVolumeClaims.
pub(super) const VERSION: u64 = 3;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Record {
    /// The version of the store when a snapshot was taken.
    Mark { version: ResourceVersion },
    Put {
        version: ResourceVersion,
        kind: Kind,
        object: Value,
    },
    Delete {
        version: ResourceVersion,
        key: ObjectKey,
    },
}

/// Why a line is not a record of this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadLine {
    Damaged,
    Newer(u64),
}

impl Record {
    pub(super) fn of(change: &Change) -> Self {
        if change.deleted {
            return Self::Delete {
                version: change.version,
                key: change.object.key(),
            };
        }
        Self::put(&change.object)
    }

    pub(super) fn put(object: &Object) -> Self {
        Self::Put {
            version: object.resource_version(),
            kind: object.kind(),
            object: object.to_value(),
        }
    }

    pub(super) fn version(&self) -> ResourceVersion {
        match self {
            Self::Mark { version } | Self::Put { version, .. } | Self::Delete { version, .. } => {
                *version
            }
        }
    }

    /// The line with its end.
    pub(super) fn to_line(&self) -> String {
        let record =
            serde_json::to_string(self).expect("records have string keys and no failing types");
        let sum = checksum(VERSION, &record);
        format!("{{\"v\":{VERSION},\"sum\":\"{sum:08x}\",\"rec\":{record}}}\n")
    }

    /// `line` comes without its end.
    pub(super) fn from_line(line: &[u8]) -> Result<Self, BadLine> {
        let (version, record) = open_envelope(line).ok_or(BadLine::Damaged)?;
        if version > VERSION {
            return Err(BadLine::Newer(version));
        }
        serde_json::from_str(record).map_err(|_| BadLine::Damaged)
    }
}

/// Version and record text of a line whose sum is right. The envelope is read as text because the sum is
/// over the text.
fn open_envelope(line: &[u8]) -> Option<(u64, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.strip_prefix("{\"v\":")?.split_once(",\"sum\":\"")?;
    let (sum, rest) = rest.split_once("\",\"rec\":")?;
    let record = rest.strip_suffix('}')?;
    let version = version.parse().ok()?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (checksum(version, record) == sum).then_some((version, record))
}

fn checksum(version: u64, record: &str) -> u32 {
    let mut crc = Crc::new();
    crc.update(version.to_string().as_bytes());
    crc.update(record.as_bytes());
    crc.sum()
}
