use std::fmt;

/// What a registry or its token server is shown.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::image) enum Credential {
    Password {
        username: String,
        password: String,
    },
    /// An OAuth2 refresh token (docker's `identitytoken`).
    IdentityToken(String),
}

/// Says that there is one, nothing more.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
        })
    }
}
