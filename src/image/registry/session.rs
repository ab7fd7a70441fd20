use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{Challenge, challenge};
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::http::{Http, Request, body, broken, host};
use crate::image::credentials::Credential;
use crate::image::digest::Digest;
use crate::image::document::{MANIFEST_MAX, shown};

const ERROR_MAX: u64 = 64 << 10;
const TOKEN_MAX: u64 = 1 << 20;
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index as served.
#[derive(Debug)]
pub(in crate::image) struct Served {
    pub(in crate::image) bytes: Vec<u8>,
    pub(in crate::image) media_type: String,
}

/// The content of a blob from some byte on.
pub(in crate::image) struct Blob {
    pub(in crate::image) start: u64,
    /// Length of the whole blob, where the server says it.
    pub(in crate::image) total: Option<u64>,
    pub(in crate::image) content: BoxStream<'static, Result<Bytes, RegistryError>>,
}

/// One repository at one place, seen with one credential. Logs in when it is asked to, and again when its
/// token has run out.
pub(in crate::image) struct Session {
    http: Arc<Http>,
    endpoint: Endpoint,
    credential: Option<Credential>,
    authorization: tokio::sync::Mutex<Option<HeaderValue>>,
}

impl Session {
    pub(in crate::image) fn new(
        http: Arc<Http>,
        endpoint: Endpoint,
        credential: Option<Credential>,
    ) -> Self {
        Self {
            http,
            endpoint,
            credential,
            authorization: tokio::sync::Mutex::default(),
        }
    }

    pub(in crate::image) fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// Digest behind a tag, if the registry tells it without sending the manifest.
    pub(in crate::image) async fn digest(
        &self,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let what = self.what(tag);
        let answer = self
            .request(Method::HEAD, "manifests", tag, MANIFEST_TYPES, None, &what)
            .await?;
        let header = answer.headers().get("docker-content-digest");
        Ok(header
            .and_then(|value| value.to_str().ok())
            .and_then(Digest::parse))
    }

    pub(in crate::image) async fn manifest(&self, name: &str) -> Result<Served, RegistryError> {
        let what = self.what(name);
        let answer = self
            .request(Method::GET, "manifests", name, MANIFEST_TYPES, None, &what)
            .await?;
        let media_type = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.split(';').next().unwrap_or_default().trim().to_owned())
            .unwrap_or_default();
        let bytes = body(answer, MANIFEST_MAX, &what).await?;
        Ok(Served { bytes, media_type })
    }

    /// The blob from `offset` on, or from its start if the server knows no ranges.
    pub(in crate::image) async fn blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Blob, RegistryError> {
        let name = digest.to_string();
        let what = self.what(&name);
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let answer = self
            .request(Method::GET, "blobs", &name, "*/*", range.as_deref(), &what)
            .await?;
        let length = answer.content_length();
        let (start, total) = match answer.status() {
            StatusCode::PARTIAL_CONTENT => content_range(&answer)
                .filter(|(start, _)| *start == offset)
                .ok_or_else(|| RegistryError::BadAnswer {
                    what: what.clone(),
                    reason: "the server sent another part than it was asked for".to_owned(),
                })?,
            _ => (0, length),
        };
        let from = host(answer.url());
        let content = answer
            .bytes_stream()
            .map(move |piece| piece.map_err(|error| broken(error, &from, &what)))
            .boxed();
        Ok(Blob {
            start,
            total,
            content,
        })
    }

    /// Whether the registry takes the credential.
    pub(in crate::image) async fn check(&self) -> Result<(), RegistryError> {
        let url = self.http.url(&self.endpoint.root_url())?;
        let what = format!("log in to {}", self.endpoint.host);
        self.send(Request::new(Method::GET, url), &what).await?;
        Ok(())
    }

    async fn request(
        &self,
        method: Method,
        kind: &str,
        name: &str,
        accept: &'static str,
        range: Option<&str>,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let mut request = Request::new(method, self.http.url(&self.endpoint.url(kind, name))?);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(range).ok()) {
            request.headers.insert(RANGE, range);
        }
        self.send(request, what).await
    }

    /// Sends with what is known of authorization; a challenge is answered once.
    async fn send(&self, mut request: Request, what: &str) -> Result<Response, RegistryError> {
        let used = self.authorization.lock().await.clone();
        request.authorization.clone_from(&used);
        let answer = self.http.send(&request).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.accepted(answer, what).await;
        }
        let Some(challenge) = challenge(answer.headers()) else {
            return self.accepted(answer, what).await;
        };
        let mut known = self.authorization.lock().await;
        // Layers are fetched side by side; the first to be refused logs in for all.
        if *known == used {
            *known = match self.answer(&challenge, what).await? {
                Some(authorization) => Some(authorization),
                None => return self.accepted(answer, what).await,
            };
        }
        request.authorization.clone_from(&known);
        drop(known);
        let answer = self.http.send(&request).await?;
        self.accepted(answer, what).await
    }

    async fn accepted(&self, answer: Response, what: &str) -> Result<Response, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let host = host(answer.url());
        let said = self.redacted(said(answer).await);
        let what = what.to_owned();
        Err(match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { what },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
                what,
                host,
                status,
                said,
                hint: self.hint(),
            },
            _ => RegistryError::Status {
                what,
                host,
                status,
                said,
            },
        })
    }

    /// A server may repeat what it was shown.
    fn redacted(&self, text: String) -> String {
        let secret = match &self.credential {
            Some(Credential::Password { password, .. }) => password,
            Some(Credential::IdentityToken(token)) => token,
            None => return text,
        };
        if secret.is_empty() {
            text
        } else {
            text.replace(&shown(secret), "…")
        }
    }

    fn hint(&self) -> &'static str {
        match self.credential {
            Some(_) => "the credentials found for it are wrong or do not suffice",
            None => {
                "no credentials were found for it; give the pod an imagePullSecret, or log in with docker or podman"
            }
        }
    }

    fn what(&self, name: &str) -> String {
        let Endpoint {
            host, repository, ..
        } = &self.endpoint;
        let separator = if name.contains(':') { '@' } else { ':' };
        format!("{host}/{repository}{separator}{name}")
    }

    /// `None`: there is nothing to answer with.
    async fn answer(
        &self,
        challenge: &Challenge,
        what: &str,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        match challenge {
            Challenge::Basic => Ok(match &self.credential {
                Some(Credential::Password { username, password }) => {
                    Some(basic(username, password))
                }
                Some(Credential::IdentityToken(_)) | None => None,
            }),
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let repository = &self.endpoint.repository;
                let default =
                    (!repository.is_empty()).then(|| format!("repository:{repository}:pull"));
                let scope = scope.as_deref().or(default.as_deref());
                let url = self.http.url(realm)?;
                let token = self.token(url, service.as_deref(), scope, what).await?;
                bearer(&token, what).map(Some)
            }
        }
    }

    async fn token(
        &self,
        realm: Url,
        service: Option<&str>,
        scope: Option<&str>,
        what: &str,
    ) -> Result<String, RegistryError> {
        let mut fields: Vec<(&str, &str)> =
            scope.map(|scope| ("scope", scope)).into_iter().collect();
        fields.extend(service.map(|service| ("service", service)));
        let server = host(&realm);
        let request = match &self.credential {
            // docker's "token/oauth" flow.
            Some(Credential::IdentityToken(token)) => {
                fields.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "podtui"),
                    ("refresh_token", token),
                ]);
                let mut form =
                    Url::parse("https://form/").expect("a constant address is well-formed");
                form.query_pairs_mut().extend_pairs(fields);
                let mut request = Request::new(Method::POST, realm);
                request.form = Some(form.query().unwrap_or_default().to_owned());
                request
            }
            other => {
                let mut url = realm;
                url.query_pairs_mut().extend_pairs(fields);
                let mut request = Request::new(Method::GET, url);
                if let Some(Credential::Password { username, password }) = other {
                    request.authorization = Some(basic(username, password));
                }
                request
            }
        };
        let answer = self.http.send(&request).await?;
        let status = answer.status();
        if !status.is_success() {
            let said = self.redacted(said(answer).await);
            let (what, host) = (what.to_owned(), server);
            let hint = self.hint();
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                    RegistryError::Denied {
                        what,
                        host,
                        status,
                        said,
                        hint,
                    }
                }
                _ => RegistryError::Status {
                    what,
                    host,
                    status,
                    said,
                },
            });
        }
        let bytes = body(answer, TOKEN_MAX, what).await?;
        let bad = |reason: &str| RegistryError::BadAnswer {
            what: what.to_owned(),
            reason: format!("the token server {server} {reason}"),
        };
        // The cause could quote the token.
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| bad("did not answer with a token"))?;
        answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| bad("sent no token"))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

#[derive(Default, Deserialize)]
struct ErrorAnswer {
    #[serde(default)]
    errors: Vec<ErrorItem>,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The words of the server, if they are in the form of the protocol: other text is not repeated.
async fn said(answer: Response) -> String {
    let bytes = body(answer, ERROR_MAX, "error").await.unwrap_or_default();
    let answer: ErrorAnswer = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut texts: Vec<String> = answer
        .errors
        .iter()
        .take(3)
        .map(|item| match (item.message.as_str(), item.code.as_str()) {
            ("", code) => code.to_ascii_lowercase(),
            (message, _) => message.to_owned(),
        })
        .collect();
    texts.push(answer.details);
    texts.retain(|text| !text.is_empty());
    if texts.is_empty() {
        return String::new();
    }
    format!(", saying \"{}\"", shown(&texts.join("; ")))
}

fn basic(username: &str, password: &str) -> HeaderValue {
    let text = STANDARD.encode(format!("{username}:{password}"));
    let mut value =
        HeaderValue::from_str(&format!("Basic {text}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

fn bearer(token: &str, what: &str) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        RegistryError::BadAnswer {
            what: what.to_owned(),
            reason: "the token server sent a token that no header can hold".to_owned(),
        }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// First byte and whole length of `bytes 10-99/100` (RFC 9110, 14.4).
fn content_range(answer: &Response) -> Option<(u64, Option<u64>)> {
    let text = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
