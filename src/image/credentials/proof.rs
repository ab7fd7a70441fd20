use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::secret::Credential;

/// Tells whether somebody knows the credential that an image was pulled with, without keeping it: SHA-256
/// over a random salt and the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::image) struct Proof {
    salt: String,
    hash: String,
}

impl Proof {
    pub(in crate::image) fn of(credential: &Credential) -> Self {
        let salt: [u8; 16] = rand::random();
        let salt = hex(&salt);
        let hash = hash(&salt, credential);
        Self { salt, hash }
    }

    /// Nobody has it: who may use the image is not known any more.
    pub(in crate::image) const fn lost() -> Self {
        Self {
            salt: String::new(),
            hash: String::new(),
        }
    }

    pub(in crate::image) fn is_of(&self, credential: &Credential) -> bool {
        hash(&self.salt, credential) == self.hash
    }
}

fn hash(salt: &str, credential: &Credential) -> String {
    let mut hasher = Sha256::new_with_prefix(salt);
    let (username, secret) = match credential {
        Credential::Password { username, password } => (username.as_str(), password),
        Credential::IdentityToken(token) => ("", token),
    };
    // Names hold no NUL, so the parts cannot be shifted.
    for part in [username, secret] {
        hasher.update([0]);
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_credential_fits() {
        let of = |username: &str, password: &str| Credential::Password {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let proof = Proof::of(&of("a", "b"));
        assert!(proof.is_of(&of("a", "b")));
        assert!(!proof.is_of(&of("ab", "")));
        assert!(!proof.is_of(&Credential::IdentityToken("b".to_owned())));
        assert_ne!(proof, Proof::of(&of("a", "b")));
        assert!(!Proof::lost().is_of(&of("", "")));
    }
}
