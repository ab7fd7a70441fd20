use reqwest::StatusCode;

/// Why a registry did not give what was asked for. No text of it holds anything secret: addresses are
/// without their query, answers of the server are cut and escaped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("connect to {host}: {reason}")]
    Unreachable { host: String, reason: String },
    #[error(
        "connect to {host} over TLS: {reason}; if it speaks plain http, say so in config.toml: [registries.\"{host}\"] plain_http = true; for an authority of your own: ca_file = \"/path/of/ca.pem\""
    )]
    Tls { host: String, reason: String },
    #[error("{what}: not found")]
    NotFound { what: String },
    /// 401 or 403 after everything was tried.
    #[error("{what}: access denied by {host} ({status}){said}: {hint}")]
    Denied {
        what: String,
        host: String,
        status: StatusCode,
        said: String,
        hint: &'static str,
    },
    #[error("{what}: {host} answered {status}{said}")]
    Status {
        what: String,
        host: String,
        status: StatusCode,
        said: String,
    },
    #[error("{what}: {reason}")]
    BadAnswer { what: String, reason: String },
    #[error("{what}: the connection to {host} broke: {reason}")]
    Broken {
        what: String,
        host: String,
        reason: String,
    },
    #[error("read {path} for {host}: {reason}")]
    Settings {
        host: String,
        path: String,
        reason: String,
    },
    #[error("refusing {url}: {reason}")]
    Refused { url: String, reason: String },
}

impl RegistryError {
    /// Whether the same request may well succeed in a moment.
    pub(in crate::image) fn is_passing(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::BadAnswer { .. }
            | Self::Settings { .. }
            | Self::Refused { .. } => false,
        }
    }

    pub(in crate::image) const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}
