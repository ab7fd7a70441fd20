//! What there is: versions, groups and resources, as clients look it up before their first request.

use axum::Json;
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use super::actions::{EVICTION, TOKEN};
use super::own::{ENGINE_GROUP, IMAGE_GROUP, METRICS_GROUP, OWN_VERSION};
use super::reviews::{ACCESS, AUTHENTICATION_GROUP, AUTHORIZATION_GROUP, RULES, SUBJECT};
use super::router::Shared;
use crate::model::{Kind, Subresource};

const PRESET_GROUP: &str = "settings.k8s.io";
const SCHEDULING_GROUP: &str = "scheduling.k8s.io";
/// Groups beside the core group, each with its only version.
const GROUPS: [(&str, &str); 7] = [
    (AUTHENTICATION_GROUP, "v1"),
    (AUTHORIZATION_GROUP, "v1"),
    (SCHEDULING_GROUP, "v1"),
    (PRESET_GROUP, "v1alpha1"),
    (METRICS_GROUP, "v1beta1"),
    (IMAGE_GROUP, OWN_VERSION),
    (ENGINE_GROUP, OWN_VERSION),
];

pub(super) fn routes() -> Router<Shared> {
    let mut router = Router::new()
        .route("/version", get(async || Json(version())))
        .route("/api", get(async || Json(api_versions())))
        .route("/api/v1", get(async || Json(core_resources())))
        .route("/apis", get(async || Json(groups())));
    for path in ["/healthz", "/livez", "/readyz"] {
        router = router.route(path, get(async || "ok"));
    }
    for (group, version) in GROUPS {
        router = router
            .route(
                &format!("/apis/{group}"),
                get(async move || Json(api_group(group, version))),
            )
            .route(
                &format!("/apis/{group}/{version}"),
                get(async move || Json(group_resources(group, version))),
            );
    }
    router
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": concat!("v1.36.0+podtui-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", std::env::consts::ARCH),
    })
}

fn api_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn groups() -> Value {
    let groups: Vec<Value> = GROUPS
        .iter()
        .map(|(group, version)| {
            let mut value = api_group(group, version);
            // Members of a list have no type of their own.
            if let Some(fields) = value.as_object_mut() {
                fields.shift_remove("kind");
                fields.shift_remove("apiVersion");
            }
            value
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn api_group(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": group,
        "versions": [version],
        "preferredVersion": version,
    })
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

fn core_resources() -> Value {
    let mut resources = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.group().is_empty()) {
        resources.push(kind_resource(kind));
        if matches!(
            kind,
            Kind::Namespace | Kind::PersistentVolume | Kind::PersistentVolumeClaim
        ) {
            resources.push(subresource(kind, "status", kind.as_str(), &["get"]));
        }
        for part in Subresource::ALL.into_iter().filter(|part| part.is_of(kind)) {
            let verbs = ["get", "patch", "update"];
            resources.push(subresource(kind, part.as_str(), kind.as_str(), &verbs));
        }
    }
    for (kind, name, (group_version, content)) in [
        (Kind::Pod, "eviction", EVICTION),
        (Kind::ServiceAccount, "token", TOKEN),
    ] {
        // The content is of another group than the path.
        let (group, version) = group_version.split_once('/').unwrap_or_default();
        let mut resource = subresource(kind, name, content, &["create"]);
        resource["group"] = json!(group);
        resource["version"] = json!(version);
        resources.push(resource);
    }
    resources.push(subresource(Kind::Pod, "log", "Pod", &["get"]));
    for (name, kind) in [
        ("exec", "PodExecOptions"),
        ("attach", "PodAttachOptions"),
        ("portforward", "PodPortForwardOptions"),
    ] {
        resources.push(subresource(Kind::Pod, name, kind, &["create", "get"]));
    }
    resource_list("v1", &resources)
}

fn kind_resource(kind: Kind) -> Value {
    let verbs: Vec<&str> = READ.into_iter().chain(WRITE).collect();
    json!({
        "name": kind.plural(),
        "singularName": kind.singular(),
        "namespaced": kind.is_namespaced(),
        "kind": kind.as_str(),
        "verbs": verbs,
        "shortNames": kind.short_names(),
        // What `get all` shows.
        "categories": if kind == Kind::Pod { &["all"][..] } else { &[] },
    })
}

fn subresource(kind: Kind, name: &str, content: &str, verbs: &[&str]) -> Value {
    json!({
        "name": format!("{}/{name}", kind.plural()),
        "singularName": "",
        "namespaced": kind.is_namespaced(),
        "kind": content,
        "verbs": verbs,
    })
}

fn group_resources(group: &str, version: &str) -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool, verbs: &[&str]| {
        json!({
            "name": name,
            "singularName": "",
            "namespaced": namespaced,
            "kind": kind,
            "verbs": verbs,
        })
    };
    let resources = match group {
        PRESET_GROUP => vec![kind_resource(Kind::PodPreset)],
        SCHEDULING_GROUP => vec![kind_resource(Kind::PriorityClass)],
        AUTHENTICATION_GROUP => vec![resource(SUBJECT.0, SUBJECT.1, false, &["create"])],
        AUTHORIZATION_GROUP => vec![
            resource(ACCESS.0, ACCESS.1, false, &["create"]),
            resource(RULES.0, RULES.1, false, &["create"]),
        ],
        METRICS_GROUP => vec![
            resource("nodes", "NodeMetrics", false, &["get", "list"]),
            resource("pods", "PodMetrics", true, &["get", "list"]),
        ],
        IMAGE_GROUP => vec![resource(
            "images",
            "Image",
            false,
            &["create", "delete", "list"],
        )],
        _ => vec![
            resource("status", "EngineStatus", false, &["get"]),
            resource("stop", "EngineStop", false, &["create"]),
            resource("pods/processes", "PodProcesses", true, &["get"]),
            resource("pods/incidents", "PodIncidents", true, &["get"]),
        ],
    };
    resource_list(&format!("{group}/{version}"), &resources)
}

fn resource_list(group_version: &str, resources: &[Value]) -> Value {
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    })
}
