use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::keyring::Keyring;
use super::secret::Credential;

/// `config.json` of docker, `auth.json` of podman, and the value of `.dockerconfigjson`.
#[derive(Deserialize)]
pub(super) struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    /// Helper by registry.
    #[serde(default, rename = "credHelpers")]
    pub(super) helpers: BTreeMap<String, String>,
    /// Helper for everything else.
    #[serde(default, rename = "credsStore")]
    pub(super) store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// base64 of `username:password`; wins over the two.
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

impl DockerConfig {
    /// Errors say where, never what: the text around a mistake may be a password.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| place(&error))
    }

    pub(super) fn keyring(&self) -> Result<Keyring, String> {
        keyring(&self.auths)
    }

    /// Registries with an entry, empty or not: docker leaves an empty one for what its store holds.
    pub(super) fn listed(&self) -> impl Iterator<Item = &str> {
        self.auths.keys().map(String::as_str)
    }
}

/// The old `.dockercfg`: the same entries without anything around them.
pub(super) fn parse_dockercfg(bytes: &[u8]) -> Result<Keyring, String> {
    let auths: BTreeMap<String, Auth> =
        serde_json::from_slice(bytes).map_err(|error| place(&error))?;
    keyring(&auths)
}

fn place(error: &serde_json::Error) -> String {
    format!(
        "malformed at line {}, column {}",
        error.line(),
        error.column()
    )
}

fn keyring(auths: &BTreeMap<String, Auth>) -> Result<Keyring, String> {
    let mut keyring = Keyring::default();
    for (key, auth) in auths {
        if let Some(credential) = credential(auth)
            .ok_or_else(|| format!("the entry for {key:?} is no base64 of user:password"))?
        {
            keyring.add(key, credential);
        }
    }
    Ok(keyring)
}

/// `None` for what cannot be read, `Some(None)` for an empty entry.
fn credential(auth: &Auth) -> Option<Option<Credential>> {
    if !auth.identity_token.is_empty() {
        return Some(Some(Credential::IdentityToken(auth.identity_token.clone())));
    }
    if auth.auth.is_empty() {
        return Some((!auth.username.is_empty()).then(|| Credential::Password {
            username: auth.username.clone(),
            password: auth.password.clone(),
        }));
    }
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&STANDARD, lenient)
        .decode(auth.auth.trim())
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    // Some writers of this file end the password with a NUL.
    Some(Some(Credential::Password {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_every_form() {
        let text = r#"{"auths": {
            "a.io": {"auth": "dXNlcjpwYTpzcw=="},
            "b.io": {"auth": "dXNlcjpwYTpzcw"},
            "c.io": {"username": "user", "password": "pa:ss"},
            "d.io": {"identitytoken": "t"},
            "e.io": {}
        }, "credHelpers": {"f.io": "x"}, "credsStore": "y", "HttpHeaders": {}}"#;
        let config = DockerConfig::parse(text.as_bytes()).unwrap();
        let keyring = config.keyring().unwrap();
        let expected = Credential::Password {
            username: "user".to_owned(),
            password: "pa:ss".to_owned(),
        };
        for name in ["a.io/x", "b.io/x", "c.io/x"] {
            assert_eq!(
                keyring.lookup(name),
                std::slice::from_ref(&expected),
                "{name}"
            );
        }
        assert_eq!(
            keyring.lookup("d.io/x"),
            [Credential::IdentityToken("t".to_owned())]
        );
        assert!(keyring.lookup("e.io/x").is_empty());
        assert_eq!(config.helpers["f.io"], "x");
        let old = parse_dockercfg(br#"{"a.io": {"auth": "dXNlcjpwYTpzcw==", "email": "x"}}"#);
        assert_eq!(old.unwrap().lookup("a.io/x"), [expected]);
    }

    #[test]
    fn errors_do_not_quote() {
        for text in [
            r#"{"auths": {"a.io": {"auth": "hunter2"}}}"#,
            r#"{"auths": {"a.io": {"auth": "aHVudGVyMg=="}}}"#,
            r#"{"auths": {"a.io": {"password": ["hunter2"]}}}"#,
            r#"{"auths": {"a.io": "hunter2"}}"#,
            r#"{"auths": hunter2}"#,
        ] {
            let error = DockerConfig::parse(text.as_bytes())
                .and_then(|config| config.keyring())
                .unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
