use std::path::PathBuf;

use super::digest::Digest;

/// A layer of an image: what it is, and what it is together with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayerId {
    pub(super) diff_id: Digest,
    /// OCI image-spec `config.md`, "Layer ChainID".
    pub(super) chain: Digest,
}

impl LayerId {
    /// Those of an image, lowest first.
    pub(super) fn all<'a>(diff_ids: impl IntoIterator<Item = &'a Digest>) -> Vec<Self> {
        let mut below: Option<Digest> = None;
        let ids = diff_ids.into_iter().map(|diff_id| {
            let chain = match &below {
                Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
                None => diff_id.clone(),
            };
            below = Some(chain.clone());
            Self {
                diff_id: diff_id.clone(),
                chain,
            }
        });
        ids.collect()
    }
}

/// What is known of the layers below one that is being unpacked.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Lowest,
    /// Some of them are still on their way.
    Floating,
    On {
        /// Their directories, topmost first.
        below: Vec<PathBuf>,
        /// Of the layer itself.
        chain: Digest,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_everything_below() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let ids = LayerId::all([&a, &b, &a]);
        assert_eq!(ids[0].chain, a);
        let second = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(ids[1].chain, second);
        assert_eq!(
            ids[2],
            LayerId {
                chain: Digest::of(format!("{second} {a}").as_bytes()),
                diff_id: a,
            }
        );
    }
}
