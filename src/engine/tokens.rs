//! Service account tokens for pods: signed, bound to the pod, renewed before they end
//! (kubernetes-semantics §8.5).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::authority::Authority;
use crate::base::Uid;
use crate::model::Resource;

/// Issuer, and the audience of a token that names none: the API server of the cluster.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// A token asked for with this lifetime lives a year, so that clients that never read it again go on; they
/// are warned after the time they asked for (`--service-account-extend-token-expiration`).
const EXTENDED: i64 = 3607;
const YEAR: i64 = 365 * 24 * 3600;
/// However long it lives, a token is renewed after this time (kubelet `maxTTL`).
const OLDEST: i64 = 24 * 3600;

/// Who a token speaks for.
pub(super) struct Bearer<'a> {
    pub(super) pod: &'a Pod,
    pub(super) account: &'a str,
    pub(super) account_uid: &'a Uid,
    pub(super) node: &'a str,
    pub(super) node_uid: &'a Uid,
}

/// A token that somebody asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenOrder {
    pub(crate) namespace: String,
    pub(crate) account: String,
    pub(crate) account_uid: Uid,
    /// None of them means the API server.
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: i64,
    pub(crate) binding: Option<TokenBinding>,
}

/// The object that a token is worth nothing without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenBinding {
    /// `Pod` or `Secret`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: Uid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    pod: Uid,
    account: Uid,
    audience: String,
    seconds: i64,
}

struct Issued {
    token: String,
    renew_at: Timestamp,
}

pub(super) struct Tokens {
    authority: Authority,
    /// What pods have now; equal answers until it is time for the next token.
    issued: Mutex<HashMap<Wanted, Issued>>,
}

impl Tokens {
    pub(super) fn new(authority: Authority) -> Self {
        Self {
            authority,
            issued: Mutex::default(),
        }
    }

    /// PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.authority.certificate
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wanted, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token for this bearer; the one it has while that is fresh.
    pub(super) fn token(
        &self,
        bearer: &Bearer<'_>,
        audience: &str,
        seconds: i64,
        now: Timestamp,
    ) -> Result<String, String> {
        let wanted = Wanted {
            pod: bearer.pod.uid(),
            account: bearer.account_uid.clone(),
            audience: audience.to_owned(),
            seconds,
        };
        let mut issued = self.lock();
        if let Some(known) = issued.get(&wanted)
            && now < known.renew_at
        {
            return Ok(known.token.clone());
        }
        let claims = claims(bearer, audience, seconds, now, &Uid::random());
        let token = self
            .authority
            .sign(&claims)
            .ok_or("failed to sign the token")?;
        let made = Issued {
            token: token.clone(),
            renew_at: renew_at(seconds, now),
        };
        issued.insert(wanted, made);
        Ok(token)
    }

    /// A token that is handed out and not renewed.
    pub(super) fn issue(
        &self,
        order: TokenOrder,
        now: Timestamp,
    ) -> Result<IssuedToken, &'static str> {
        let mut audiences = order.audiences.clone();
        if audiences.is_empty() {
            audiences.push(ISSUER.to_owned());
        }
        let claims = ordered_claims(&order, &audiences, now, &Uid::random());
        let token = self.authority.sign(&claims);
        let lifetime = Duration::from_secs(u64::try_from(order.seconds).unwrap_or(0));
        Ok(IssuedToken {
            token: token.ok_or("failed to sign the token")?,
            audiences,
            at: now,
            expires_at: now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
        })
    }

    /// When the first token of this pod has to be renewed.
    pub(super) fn next_renewal(&self, pod: &Uid) -> Option<Timestamp> {
        let issued = self.lock();
        let own = issued.iter().filter(|(wanted, _)| wanted.pod == *pod);
        own.map(|(_, issued)| issued.renew_at).min()
    }

    pub(super) fn forget(&self, pod: &Uid) {
        self.lock().retain(|wanted, _| wanted.pod != *pod);
    }
}

/// At four fifths of its life, and after a day at the latest.
fn renew_at(seconds: i64, now: Timestamp) -> Timestamp {
    let after = (seconds / 5 * 4).min(OLDEST);
    let after = Duration::from_secs(u64::try_from(after).unwrap_or(0));
    now.checked_add(after).unwrap_or(now)
}

fn claims(bearer: &Bearer<'_>, audience: &str, seconds: i64, now: Timestamp, id: &Uid) -> Value {
    let meta = &bearer.pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let audience = if audience.is_empty() {
        ISSUER
    } else {
        audience
    };
    let issued_at = now.as_second();
    let is_extended = seconds == EXTENDED;
    let mut kubernetes = json!({
        "namespace": namespace,
        "node": {"name": bearer.node, "uid": bearer.node_uid.as_str()},
        "pod": {"name": meta.name, "uid": meta.uid},
        "serviceaccount": {"name": bearer.account, "uid": bearer.account_uid.as_str()},
    });
    if is_extended {
        kubernetes["warnafter"] = json!(issued_at.saturating_add(seconds));
    }
    let lifetime = if is_extended { YEAR } else { seconds };
    json!({
        "aud": [audience],
        "exp": issued_at.saturating_add(lifetime),
        "iat": issued_at,
        "iss": ISSUER,
        "jti": id.as_str(),
        "kubernetes.io": kubernetes,
        "nbf": issued_at,
        "sub": format!("system:serviceaccount:{namespace}:{}", bearer.account),
    })
}

fn ordered_claims(order: &TokenOrder, audiences: &[String], now: Timestamp, id: &Uid) -> Value {
    let (namespace, account) = (&order.namespace, &order.account);
    let issued_at = now.as_second();
    let mut kubernetes = json!({
        "namespace": namespace,
        "serviceaccount": {"name": account, "uid": order.account_uid.as_str()},
    });
    if let Some(bound) = &order.binding {
        kubernetes[bound.kind.to_lowercase()] =
            json!({"name": bound.name, "uid": bound.uid.as_str()});
    }
    json!({
        "aud": audiences,
        "exp": issued_at.saturating_add(order.seconds),
        "iat": issued_at,
        "iss": ISSUER,
        "jti": id.as_str(),
        "kubernetes.io": kubernetes,
        "nbf": issued_at,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod() -> Pod {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "pu"}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn claims_bind_the_pod() {
        let (pod, account_uid, node_uid) = (pod(), Uid::new("au"), Uid::new("nu"));
        let bearer = Bearer {
            pod: &pod,
            account: "robot",
            account_uid: &account_uid,
            node: "n",
            node_uid: &node_uid,
        };
        let plain = claims(&bearer, "vault", 600, at(1000), &Uid::new("j"));
        assert_eq!(
            plain,
            json!({
                "aud": ["vault"], "exp": 1600, "iat": 1000, "iss": ISSUER, "jti": "j", "nbf": 1000,
                "sub": "system:serviceaccount:ns:robot",
                "kubernetes.io": {"namespace": "ns", "node": {"name": "n", "uid": "nu"},
                    "pod": {"name": "p", "uid": "pu"}, "serviceaccount": {"name": "robot", "uid": "au"}},
            })
        );
        let extended = claims(&bearer, "", 3607, at(1000), &Uid::new("j"));
        assert_eq!(extended["exp"], 1000 + YEAR);
        assert_eq!(extended["kubernetes.io"]["warnafter"], 4607);
        assert_eq!(extended["aud"], json!([ISSUER]));
    }

    #[test]
    fn ordered_tokens_are_bound_to_what_was_named() {
        let mut order = TokenOrder {
            namespace: "ns".to_owned(),
            account: "robot".to_owned(),
            account_uid: Uid::new("au"),
            audiences: Vec::new(),
            seconds: 600,
            binding: None,
        };
        let claims = |order: &TokenOrder| {
            ordered_claims(order, &[ISSUER.to_owned()], at(1000), &Uid::new("j"))
        };
        let free = claims(&order);
        assert_eq!(
            free,
            json!({
                "aud": [ISSUER], "exp": 1600, "iat": 1000, "iss": ISSUER, "jti": "j", "nbf": 1000,
                "sub": "system:serviceaccount:ns:robot",
                "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "au"}},
            })
        );
        order.binding = Some(TokenBinding {
            kind: "Secret".to_owned(),
            name: "s".to_owned(),
            uid: Uid::new("su"),
        });
        let bound = claims(&order);
        assert_eq!(
            bound["kubernetes.io"]["secret"],
            json!({"name": "s", "uid": "su"})
        );
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(Authority::open(dir.path()).unwrap());
        let issued = tokens.issue(order, at(1000)).unwrap();
        assert_eq!(issued.expires_at, at(1600));
        assert_eq!(issued.audiences, [ISSUER]);
        assert_eq!(issued.token.split('.').count(), 3);
    }

    #[test]
    fn tokens_are_renewed_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(Authority::open(dir.path()).unwrap());
        let (pod, uid) = (pod(), Uid::new("x"));
        let bearer = Bearer {
            pod: &pod,
            account: "a",
            account_uid: &uid,
            node: "n",
            node_uid: &uid,
        };
        let token = |second| tokens.token(&bearer, "", 1000, at(second)).unwrap();
        let first = token(0);
        assert_eq!(token(799), first);
        assert_eq!(tokens.next_renewal(&pod.uid()), Some(at(800)));
        assert_ne!(token(800), first);
        assert_eq!(tokens.next_renewal(&pod.uid()), Some(at(1600)));
        tokens.forget(&pod.uid());
        assert_eq!(tokens.next_renewal(&pod.uid()), None);
        assert_eq!(renew_at(1 << 32, at(0)), at(OLDEST));
    }
}
