use std::fmt;

use serde::{Deserialize, Serialize};

/// All files of one volume that lives in the memory of the sandbox, as they should be from now on.
///
/// The place is the tmpfs `key` of the sandbox ([`super::MountSource::SharedTmpfs`]). A shim never writes
/// any of it to disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeContent {
    pub(crate) key: String,
    /// Equal versions of one key are equal contents: the second one is not written.
    pub(crate) version: String,
    /// Owns everything in the volume; files can be read and directories entered by it.
    pub(crate) fs_group: Option<u32>,
    pub(crate) files: Vec<VolumeFile>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeFile {
    /// Relative, without `.` and `..`; the first component does not begin with `..`.
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// `None`: root.
    pub(crate) owner: Option<u32>,
    #[serde(with = "base64_bytes")]
    pub(crate) data: Vec<u8>,
}

/// Contents may be secret: a log shows how long they are.
impl fmt::Debug for VolumeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeFile")
            .field("path", &self.path)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("owner", &self.owner)
            .field("length", &self.data.len())
            .finish()
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(data: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_and_are_not_shown() {
        let file = VolumeFile {
            path: "key".to_owned(),
            mode: 0o400,
            owner: None,
            data: vec![0, 255, b'p', b'w'],
        };
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<VolumeFile>(&text).unwrap(), file);
        assert_eq!(
            format!("{file:?}"),
            "VolumeFile { path: \"key\", mode: 400, owner: None, length: 4 }"
        );
    }
}
