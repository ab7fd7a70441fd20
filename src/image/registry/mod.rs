//! The registry client: OCI distribution protocol (distribution-spec v1.1, pull part) with docker's token
//! authentication, over HTTP.
//!
//! * [`settings`] says how each host is reached; [`endpoint`] turns a reference into the places to ask: the
//!   mirrors in their order, then the registry itself.
//! * [`http`] sends one request: TLS unless the host is configured otherwise, redirects followed by hand.
//! * [`challenge`] reads `WWW-Authenticate`; [`session`] answers it and asks for manifests and blobs.
//!
//! Invariants: an answer is never held in memory beyond a fixed size; credentials go to the registry they
//! belong to and to the token server it names over TLS, never along a redirect to another origin
//! (CVE-2020-15157); a plain http address is used only if its host is configured for it, whoever names it;
//! nothing secret is part of an error or of `Debug`.
//!
//! Why not a ready client of the protocol: the ones for Rust read manifests and errors without a limit, send
//! passwords to whatever token server is named, plain http included, and follow redirects by themselves. What is
//! left to do here is small; HTTP, TLS and proxies are reqwest's.

mod challenge;
mod endpoint;
mod error;
mod http;
mod session;
mod settings;

pub(super) use endpoint::{Endpoint, endpoints, root};
pub(super) use error::RegistryError;
pub(super) use http::Http;
pub(super) use session::Session;
pub(crate) use settings::{HostSettings, RegistrySettings, RegistrySource};
