use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, Response, Url, redirect};

use super::endpoint::DOCKER_HUB;
use super::error::RegistryError;
use super::settings::{HostSettings, RegistrySettings};
use crate::image::document::shown;

const REDIRECTS_MAX: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence of a server that is sending something.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One HTTP request after the other, with a client per host because each host may be reached differently.
#[derive(Debug)]
pub(in crate::image) struct Http {
    settings: RegistrySettings,
    clients: Mutex<HashMap<String, Client>>,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Sent to the origin of `url` only.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) form: Option<String>,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            form: None,
        }
    }
}

impl Http {
    pub(in crate::image) fn new(settings: RegistrySettings) -> Self {
        // Somebody else may have chosen one already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            settings,
            clients: Mutex::default(),
        }
    }

    pub(in crate::image) const fn settings(&self) -> &RegistrySettings {
        &self.settings
    }

    /// Parses an address and refuses what must not be used.
    pub(super) fn url(&self, text: &str) -> Result<Url, RegistryError> {
        let refused = |reason: &str| RegistryError::Refused {
            url: shown(text.split('?').next().unwrap_or_default()),
            reason: reason.to_owned(),
        };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        self.check(&url)?;
        Ok(url)
    }

    /// TLS, or a host that is configured to have none; and no address that only this machine can reach by
    /// accident of being on the link (cloud metadata), unless an image name says so itself.
    fn check(&self, url: &Url) -> Result<(), RegistryError> {
        let refused = |reason: &str| {
            Err(RegistryError::Refused {
                url: public(url),
                reason: reason.to_owned(),
            })
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("an address must not hold a password");
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.host_settings(&host(url)).plain_http => Ok(()),
            "http" => refused(
                "plain http is used only for hosts with `plain_http = true` under [registries] of config.toml",
            ),
            _ => refused("only https and http addresses are used"),
        }
    }

    fn host_settings(&self, host: &str) -> HostSettings {
        let name = if host == DOCKER_HUB.1 {
            DOCKER_HUB.0
        } else {
            host
        };
        self.settings.of(name).cloned().unwrap_or_default()
    }

    /// Sends the request and follows its redirects; the status of the answer is the caller's business.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, RegistryError> {
        let mut url = request.url.clone();
        self.check(&url)?;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send_once(request, &url).await?;
            let status = answer.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
                || request.method == Method::POST
            {
                return Ok(answer);
            }
            let Some(location) = answer
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
            else {
                return Ok(answer);
            };
            let refused = |reason: String| RegistryError::Refused {
                url: shown(location.split('?').next().unwrap_or_default()),
                reason,
            };
            let next = url
                .join(location)
                .map_err(|error| refused(format!("redirect: {error}")))?;
            self.check(&next)?;
            if next.host_str() != url.host_str() && is_link_local(&next) {
                return Err(refused(
                    "a redirect to a link-local address (cloud metadata)".to_owned(),
                ));
            }
            url = next;
        }
        Err(RegistryError::Refused {
            url: public(&request.url),
            reason: format!("more than {REDIRECTS_MAX} redirects"),
        })
    }

    async fn send_once(&self, request: &Request, url: &Url) -> Result<Response, RegistryError> {
        let client = self.client(&host(url)).await?;
        let mut builder = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(authorization) = &request.authorization
            && url.origin() == request.url.origin()
        {
            let mut value = authorization.clone();
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        if let Some(form) = &request.form {
            builder = builder
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.clone());
        }
        builder
            .send()
            .await
            .map_err(|error| connect_error(error, &host(url)))
    }

    async fn client(&self, host: &str) -> Result<Client, RegistryError> {
        let known = |clients: &HashMap<String, Client>| clients.get(host).cloned();
        if let Some(client) = known(&self.clients.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let settings = self.host_settings(host);
        let authority = match &settings.ca_file {
            Some(path) => {
                let failed = |reason: String| RegistryError::Settings {
                    host: host.to_owned(),
                    path: path.display().to_string(),
                    reason,
                };
                let pem = tokio::fs::read(path)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                let found = Certificate::from_pem_bundle(&pem)
                    .map_err(|error| failed(causes(&error.without_url())))?;
                if found.is_empty() {
                    return Err(failed("it holds no certificate".to_owned()));
                }
                found
            }
            None => Vec::new(),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("podtui/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tls_certs_merge(authority)
            // Without TLS there is nothing to verify, and no authority of the system is needed.
            .tls_danger_accept_invalid_certs(settings.insecure || settings.plain_http);
        if is_loopback(host) {
            // As Go's ProxyFromEnvironment: nobody else reaches this machine's loopback.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| RegistryError::Tls {
            host: host.to_owned(),
            reason: causes(&error.without_url()),
        })?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(host.to_owned(), client.clone());
        Ok(client)
    }
}

/// At most `max` bytes of an answer.
pub(super) async fn body(answer: Response, max: u64, what: &str) -> Result<Vec<u8>, RegistryError> {
    let too_long = || RegistryError::BadAnswer {
        what: what.to_owned(),
        reason: format!("the answer is longer than {max} bytes"),
    };
    let host = host(answer.url());
    if answer.content_length().is_some_and(|length| length > max) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| broken(error, &host, what))?;
        bytes.extend_from_slice(&piece);
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
            return Err(too_long());
        }
    }
    Ok(bytes)
}

pub(super) fn broken(error: reqwest::Error, host: &str, what: &str) -> RegistryError {
    RegistryError::Broken {
        what: what.to_owned(),
        host: host.to_owned(),
        reason: causes(&error.without_url()),
    }
}

fn connect_error(error: reqwest::Error, host: &str) -> RegistryError {
    let error = error.without_url();
    let reason = causes(&error);
    let host = host.to_owned();
    // The libraries below do not say in types that it was TLS that failed.
    let is_tls = [
        "certificate",
        "TLS",
        "handshake",
        "InvalidContentType",
        "corrupt message",
    ]
    .iter()
    .any(|word| reason.contains(word));
    if error.is_connect() && is_tls {
        RegistryError::Tls { host, reason }
    } else if error.is_connect() || error.is_timeout() {
        RegistryError::Unreachable { host, reason }
    } else {
        RegistryError::Broken {
            what: "request".to_owned(),
            host,
            reason,
        }
    }
}

/// The innermost causes; what stands above them only says that a request failed.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() {
        return error.to_string();
    }
    let skip = usize::from(texts.len() > 1 && texts[0].starts_with("client error"));
    texts[skip..].join(": ")
}

/// `host[:port]` as it stands in an image name.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// Without its query, which may hold a signature.
pub(super) fn public(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host(url), shown(url.path()))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_link_local(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    match name.trim_matches(['[', ']']).parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_link_local(),
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_unicast_link_local()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_link_local())
        }
        Err(_) => name == "metadata.google.internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_pass() {
        let plain = HostSettings {
            plain_http: true,
            ..HostSettings::default()
        };
        let http = Http::new(RegistrySettings {
            hosts: [("127.0.0.1:5000".to_owned(), plain)].into(),
        });
        for good in ["https://a.b/x", "http://127.0.0.1:5000/v2/"] {
            assert!(http.url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.b/x",
            "http://127.0.0.1:5001/",
            "http://127.0.0.1/",
            "file:///etc/passwd",
            "https://u:p@a.b/",
            "nonsense",
        ] {
            let error = http.url(bad).unwrap_err();
            assert!(
                matches!(error, RegistryError::Refused { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn addresses_that_are_near_are_known() {
        for near in ["localhost", "localhost:5000", "127.3.4.5:1", "[::1]:5000"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["localhost.example", "10.0.0.1:5000", "[fe80::1]:1"] {
            assert!(!is_loopback(far), "{far}");
        }
        let link = |text: &str| is_link_local(&Url::parse(text).unwrap());
        assert!(link("https://169.254.169.254/x"));
        assert!(link("https://[fe80::1]/"));
        assert!(link("https://[::ffff:169.254.169.254]/"));
        assert!(!link("https://8.8.8.8/"));
    }
}
