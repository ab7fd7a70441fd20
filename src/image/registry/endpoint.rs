use super::settings::RegistrySettings;
use crate::image::reference::Reference;

/// Docker Hub's registry does not answer under the name its images carry.
pub(super) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// One place that may have an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct Endpoint {
    /// `host[:port]` to connect to.
    pub(in crate::image) host: String,
    /// `host/path` by which credentials are looked up.
    pub(in crate::image) credential_name: String,
    /// Repository at that host.
    pub(super) repository: String,
    /// The registry this is a mirror of.
    pub(in crate::image) mirror_of: Option<String>,
    scheme: &'static str,
}

impl Endpoint {
    /// Where a registry says that it is one (distribution-spec, "Determining Support").
    pub(super) fn root_url(&self) -> String {
        format!("{}://{}/v2/", self.scheme, self.host)
    }

    /// `kind` is `manifests` or `blobs`.
    pub(super) fn url(&self, kind: &str, name: &str) -> String {
        let Self {
            scheme,
            host,
            repository,
            ..
        } = self;
        let url = format!("{scheme}://{host}/v2/{repository}/{kind}/{name}");
        match &self.mirror_of {
            // What mirrors of several registries tell them apart by (containerd, "registry mirror").
            Some(registry) => format!("{url}?ns={registry}"),
            None => url,
        }
    }
}

/// A registry itself, without any repository.
pub(in crate::image) fn root(settings: &RegistrySettings, registry: &str) -> Endpoint {
    let is_hub = ["docker.io", "index.docker.io"].contains(&registry);
    let host = if is_hub { DOCKER_HUB.1 } else { registry };
    let plain = settings.is_plain_http(registry);
    Endpoint {
        host: host.to_owned(),
        credential_name: registry.to_owned(),
        repository: String::new(),
        mirror_of: None,
        scheme: if plain { "http" } else { "https" },
    }
}

/// Where to ask for `reference`, in order.
pub(in crate::image) fn endpoints(
    settings: &RegistrySettings,
    reference: &Reference,
) -> Vec<Endpoint> {
    let domain = reference.domain();
    let scheme = |host: &str| {
        if settings.is_plain_http(host) {
            "http"
        } else {
            "https"
        }
    };
    let mirrors = settings.of(domain).map_or(&[][..], |host| &host.mirrors);
    let mut found: Vec<Endpoint> = mirrors
        .iter()
        .map(|mirror| {
            let (host, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
            let prefix = prefix.trim_matches('/');
            let repository = if prefix.is_empty() {
                reference.path().to_owned()
            } else {
                format!("{prefix}/{}", reference.path())
            };
            Endpoint {
                host: host.to_owned(),
                credential_name: format!("{host}/{repository}"),
                repository,
                mirror_of: Some(domain.to_owned()),
                scheme: scheme(host),
            }
        })
        .collect();
    let host = if domain == DOCKER_HUB.0 {
        DOCKER_HUB.1
    } else {
        domain
    };
    found.push(Endpoint {
        host: host.to_owned(),
        credential_name: reference.repository(),
        repository: reference.path().to_owned(),
        mirror_of: None,
        scheme: scheme(domain),
    });
    found
}

#[cfg(test)]
mod tests {
    use super::super::HostSettings;
    use super::*;

    #[test]
    fn mirrors_come_first() {
        let hub = HostSettings {
            mirrors: vec!["127.0.0.1:5000".to_owned(), "m.example/hub/".to_owned()],
            ..HostSettings::default()
        };
        let plain = HostSettings {
            plain_http: true,
            ..HostSettings::default()
        };
        let settings = RegistrySettings {
            hosts: [
                ("docker.io".to_owned(), hub),
                ("127.0.0.1:5000".to_owned(), plain),
            ]
            .into(),
        };
        let check = |name: &str, expected: &[&str]| {
            let reference = Reference::parse(name).unwrap();
            let urls: Vec<String> = endpoints(&settings, &reference)
                .iter()
                .map(|endpoint| endpoint.url("manifests", "latest"))
                .collect();
            assert_eq!(urls, expected);
        };
        check(
            "nginx",
            &[
                "http://127.0.0.1:5000/v2/library/nginx/manifests/latest?ns=docker.io",
                "https://m.example/v2/hub/library/nginx/manifests/latest?ns=docker.io",
                "https://registry-1.docker.io/v2/library/nginx/manifests/latest",
            ],
        );
        check(
            "127.0.0.1:5000/a/b",
            &["http://127.0.0.1:5000/v2/a/b/manifests/latest"],
        );
        check("quay.io/a", &["https://quay.io/v2/a/manifests/latest"]);
    }
}
