//! The keys of this engine: a certificate authority, and the key that signs service account tokens. Made once
//! and kept in the state directory, readable by nobody else.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What comes before the 65 bytes of a P-256 point in a SubjectPublicKeyInfo (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error("{operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("making the certificate authority")]
    Certificate(#[source] rcgen::Error),
    #[error("{0} holds no usable key; remove it and a new one is made")]
    Key(PathBuf),
}

pub(super) struct Authority {
    /// The certificate of the authority, PEM.
    pub(super) certificate: String,
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl Authority {
    /// Reads `directory` or makes what is missing in it.
    pub(super) fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let fail = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::File {
                operation,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(fail("making", directory))?;
        let (ca_key, ca) = (directory.join("ca.key"), directory.join("ca.crt"));
        let certificate = match read(&ca).map_err(fail("reading", &ca))? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => {
                let (certificate, key) = make_authority().map_err(AuthorityError::Certificate)?;
                // The key first: a certificate without its key would be of no use for ever.
                write(&ca_key, key.as_bytes()).map_err(fail("writing", &ca_key))?;
                write(&ca, certificate.as_bytes()).map_err(fail("writing", &ca))?;
                certificate
            }
        };
        let random = SystemRandom::new();
        let path = directory.join("sa.key");
        let bytes = match read(&path).map_err(fail("reading", &path))? {
            Some(bytes) => bytes,
            None => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let made = made.map_err(|_| AuthorityError::Key(path.clone()))?;
                write(&path, made.as_ref()).map_err(fail("writing", &path))?;
                made.as_ref().to_vec()
            }
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random)
            .map_err(|_| AuthorityError::Key(path))?;
        let info = [&P256_INFO, key.public_key().as_ref()].concat();
        Ok(Self {
            certificate,
            key_id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&info)),
            key,
            random,
        })
    }

    /// A JSON Web Token (RFC 7519), signed with ES256 (RFC 7518). `None`: the machine has no random numbers.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref());
        Some(format!("{signed}.{signature}"))
    }
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// All of it or nothing: a temporary file is renamed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn make_authority() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut wanted = CertificateParams::new(Vec::new())?;
    wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wanted
        .distinguished_name
        .push(DnType::CommonName, "kubernetes");
    wanted.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    wanted.not_before = rcgen::date_time_ymd(2024, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(2124, 1, 1);
    let certificate = wanted.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn keys_are_kept_and_private_and_sign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pki");
        let first = Authority::open(&path).unwrap();
        let second = Authority::open(&path).unwrap();
        assert_eq!(first.certificate, second.certificate);
        assert!(
            first
                .certificate
                .starts_with("-----BEGIN CERTIFICATE-----\n")
        );
        assert_eq!(first.key_id, second.key_id);
        for entry in std::fs::read_dir(&path).unwrap().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
        }
        let token = first.sign(&json!({"sub": "x"})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, second.key.public_key());
        public.verify(signed.as_bytes(), &signature).unwrap();
        public.verify(b"something else", &signature).unwrap_err();
    }

    #[test]
    fn a_broken_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("sa.key"), "x").unwrap();
        let Err(error) = Authority::open(dir.path()) else {
            panic!("it was accepted");
        };
        assert!(error.to_string().contains("sa.key"), "{error}");
    }
}
