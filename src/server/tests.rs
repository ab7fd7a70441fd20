use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Door, serve};
use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
use crate::client::fixture::{Fixture, config_map, pod};
use crate::client::{
    Client, DeleteOptions, ExecOptions, FieldValidation, ImageSource, ListOptions, LogOptions,
    Patch, Remote, WatchEvent, WriteOptions, channel,
};
use crate::model::{Kind, ObjectKey, Reason, Subresource};

mod clients;

struct Served {
    fixture: Fixture,
    socket: PathBuf,
    remote: Remote,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start() -> Self {
        Self::with_history(1024).await
    }

    async fn with_history(history: usize) -> Self {
        let fixture = Fixture::with_history(history);
        let socket = fixture.directory.path().join("run").join("api.sock");
        let door = Door::open(&socket).unwrap();
        let shutdown = CancellationToken::new();
        let client: Arc<dyn Client> = Arc::new(fixture.client.clone());
        let server = tokio::spawn(serve(door, client, shutdown.clone(), TaskTracker::new()));
        let remote = Remote::connect(&socket).await.unwrap();
        Self {
            fixture,
            socket,
            remote,
            shutdown,
            server,
        }
    }

    /// Sends a request as text and returns status, header and body.
    async fn http(&self, head: &str, body: &str) -> (u16, String, Value) {
        self.http_with(head, "", body).await
    }

    /// With further header lines, each with its end.
    async fn http_with(&self, head: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        // A server that refuses a body early may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        (status, header.to_owned(), body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.http(&format!("GET {path}"), "").await;
        (status, body)
    }

    async fn running_pod(&self) {
        let web = self.fixture.create(pod("web")).await;
        self.fixture.run(&web).await;
    }

    async fn exec(&self, command: &[&str]) -> SessionStream {
        let options = ExecOptions {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            stdin: true,
            stdout: true,
            stderr: true,
            size: Some(TerminalSize {
                columns: 80,
                rows: 24,
            }),
            ..ExecOptions::default()
        };
        self.remote.exec("default", "web", options).await.unwrap()
    }
}

/// Everything a session says: output, error output, end.
async fn collect(mut session: SessionStream) -> (Vec<u8>, Vec<u8>, Option<SessionEnd>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(message) = session.output.recv().await {
        match message {
            SessionOutput::Stdout(data) => out.extend_from_slice(&data),
            SessionOutput::Stderr(data) => err.extend_from_slice(&data),
            SessionOutput::End(end) => return (out, err, Some(end)),
        }
    }
    (out, err, None)
}

#[tokio::test]
async fn discovery_names_what_there_is() {
    let served = Served::start().await;
    let (status, versions) = served.get("/api").await;
    assert_eq!((status, &versions["versions"]), (200, &json!(["v1"])));
    let (_, resources) = served.get("/api/v1?timeout=32s").await;
    let names: Vec<&str> = resources["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["name"].as_str().unwrap())
        .collect();
    for name in [
        "pods",
        "pods/log",
        "pods/exec",
        "configmaps",
        "nodes",
        "namespaces/status",
    ] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let (_, groups) = served.get("/apis").await;
    for group in groups["groups"].as_array().unwrap() {
        let version = group["preferredVersion"]["groupVersion"].as_str().unwrap();
        let (status, list) = served.get(&format!("/apis/{version}")).await;
        assert_eq!((status, &list["groupVersion"]), (200, &json!(version)));
    }
    assert_eq!(served.get("/readyz").await, (200, json!("ok")));
    assert_eq!(served.get("/version").await.1["major"], "1");
}

#[tokio::test]
async fn refusals_are_statuses() {
    let served = Served::start().await;
    let post = "POST /api/v1/namespaces/default/pods";
    let json_post = format!("{post} HTTP/1.1\r\nContent-Type: application/json\r\nX-Rest:");
    let large = format!("\"{}\"", "x".repeat(4 << 20));
    let other_namespace = pod("p").to_string().replace("default", "other");
    for (head, body, code, reason) in [
        ("GET /api/v1/deployments", "", 404, "NotFound"),
        (
            "GET /api/v1/namespaces/default/pods/none",
            "",
            404,
            "NotFound",
        ),
        ("GET /api/v1/namespaces/default/nodes", "", 404, "NotFound"),
        (
            "GET /api/v1/namespaces/default/pods/a%2Fb",
            "",
            400,
            "BadRequest",
        ),
        (
            "GET /api/v1/namespaces/%2e%2e/pods/..",
            "",
            400,
            "BadRequest",
        ),
        ("POST /api/v1/pods", "{}", 405, "MethodNotAllowed"),
        (
            "PUT /api/v1/namespaces/default/pods",
            "{}",
            405,
            "MethodNotAllowed",
        ),
        (
            "POST /api/v1/namespaces/default/pods/p/status",
            "{}",
            405,
            "MethodNotAllowed",
        ),
        (post, "{", 400, "BadRequest"),
        (post, "[]", 400, "BadRequest"),
        (post, &other_namespace, 400, "BadRequest"),
        (&json_post, "{\"kind\":\"Secret\"}", 400, "BadRequest"),
        (post, &large, 413, "RequestEntityTooLarge"),
        ("GET /api/v1/pods?labelSelector=a+in", "", 400, "BadRequest"),
        (
            "DELETE /api/v1/namespaces/default/pods/p?dryRun=Some",
            "",
            400,
            "BadRequest",
        ),
        (
            "GET /api/v1/pods?watch=true&sendInitialEvents=true",
            "",
            422,
            "Invalid",
        ),
        (
            "POST /apis/images.podtui.dev/v1alpha1/images",
            "{\"spec\":{\"source\":{\"load\":{\"path\":\"a.tar\"}}}}",
            400,
            "BadRequest",
        ),
        (
            "GET /api/v1/namespaces/default/pods/p/exec?command=x",
            "",
            404,
            "NotFound",
        ),
    ] {
        let (status, _, answer) = served.http(head, body).await;
        let shown = &body[..body.len().min(40)];
        assert_eq!(status, code, "{head} {shown}: {answer}");
        assert_eq!(answer["kind"], "Status", "{head} {shown}: {answer}");
        assert_eq!(answer["reason"], reason, "{head} {shown}: {answer}");
        assert_eq!(answer["code"], code, "{head} {shown}: {answer}");
    }
}

#[tokio::test]
async fn objects_are_created_read_changed_and_deleted_over_http() {
    let served = Served::start().await;
    let (status, _, created) = served
        .http(
            "POST /api/v1/namespaces/default/configmaps",
            "{\"metadata\":{\"name\":\"c\"},\"data\":{\"k\":\"v\"},\"colour\":\"red\"}",
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(created["kind"], "ConfigMap");
    assert_eq!(created["metadata"]["namespace"], "default");
    let path = "/api/v1/namespaces/default/configmaps/c";
    assert_eq!(served.get(path).await, (200, created.clone()));

    let (_, list) = served.get("/api/v1/configmaps?limit=500").await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["items"], json!([created]));

    let head = format!(
        "PATCH {path} HTTP/1.1\r\nContent-Type: application/merge-patch+json; charset=utf-8\r\nX-Rest:"
    );
    let (status, header, patched) = served
        .http(&head, "{\"data\":{\"k\":\"w\"},\"colour\":1}")
        .await;
    assert_eq!((status, &patched["data"]["k"]), (200, &json!("w")));
    let warning = "warning: 299 - \"unknown field \\\"colour\\\"\"";
    assert!(header.contains(warning), "{header}");

    let (status, _, deleted) = served.http(&format!("DELETE {path}"), "").await;
    assert_eq!((status, &deleted["metadata"]["name"]), (200, &json!("c")));
    assert_eq!(served.get(path).await.0, 404);

    let (_, namespace) = served.get("/api/v1/namespaces/default/status").await;
    assert_eq!(namespace["status"]["phase"], "Active");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let served = Served::start().await;
    for name in ["a", "b", "c"] {
        served.fixture.create(pod(name)).await;
    }
    let (status, _, list) = served
        .http(
            "DELETE /api/v1/namespaces/default/pods?labelSelector=app+in+(a,b)",
            "",
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let (left, _) = served.fixture.store.list_objects(Kind::Pod, None);
    assert_eq!(left.len(), 1);
}

/// The same calls give the same answers on both sides of the socket.
#[tokio::test]
async fn remote_answers_like_local() {
    let served = Served::start().await;
    let (local, remote) = (&served.fixture.client, &served.remote);
    let options = WriteOptions::default;

    let written = remote.create(pod("web"), options()).await.unwrap();
    let key = written.object.key();
    assert_eq!(remote.get(&key).await, local.get(&key).await);
    assert_eq!(
        remote.list(Kind::Pod, ListOptions::default()).await,
        local.list(Kind::Pod, ListOptions::default()).await
    );
    for broken in [
        pod("web"),
        pod("Bad_Name"),
        json!({"kind": "Pod"}),
        json!([]),
    ] {
        assert_eq!(
            remote.create(broken.clone(), options()).await,
            local.create(broken, options()).await
        );
    }
    let mut unknown = config_map("c", "v");
    unknown["colour \"x\\y"] = json!(1);
    let warn = WriteOptions {
        dry_run: true,
        field_validation: FieldValidation::Warn,
        ..WriteOptions::default()
    };
    let warned = remote.create(unknown.clone(), warn.clone()).await.unwrap();
    assert_eq!(
        warned.warnings,
        local.create(unknown, warn).await.unwrap().warnings
    );
    assert_eq!(warned.warnings.len(), 1);

    let patch = || Patch::Strategic(json!({"metadata": {"labels": {"a": "b"}}}));
    let patched = remote.patch(&key, patch(), options()).await.unwrap();
    assert_eq!(
        local.patch(&key, patch(), options()).await.unwrap(),
        patched
    );
    let part = |subresource| WriteOptions {
        subresource: Some(subresource),
        ..WriteOptions::default()
    };
    let gate = json!({"type": "example.com/gate", "status": "True"});
    let gate = Patch::Strategic(
        json!({"status": {"conditions": [gate]}, "metadata": {"labels": {"a": "c"}}}),
    );
    let opened = remote.patch(&key, gate, part(Subresource::Status)).await;
    let opened = opened.unwrap().object.to_value();
    assert_eq!(
        opened["status"]["conditions"][0]["type"],
        "example.com/gate"
    );
    assert_eq!(opened["metadata"]["labels"]["a"], "b");
    assert_eq!(
        opened["metadata"]["generation"],
        patched.object.to_value()["metadata"]["generation"]
    );
    let mut shut = opened.clone();
    shut["status"]["conditions"][0]["status"] = json!("False");
    let shut = remote
        .replace(shut, part(Subresource::Status))
        .await
        .unwrap();
    assert_eq!(
        shut.object.to_value()["status"]["conditions"][0]["status"],
        "False"
    );
    let stale = remote.replace(opened, part(Subresource::Status)).await;
    assert_eq!(stale.unwrap_err().reason, Reason::Conflict);
    let helper = json!([{"name": "e", "image": "x"}]);
    let helper = Patch::Strategic(json!({"spec": {"ephemeralContainers": helper}}));
    let part = part(Subresource::EphemeralContainers);
    let patched = remote.patch(&key, helper, part).await.unwrap();
    assert_eq!(
        patched.object.to_value()["spec"]["ephemeralContainers"][0]["name"],
        "e"
    );
    let replaced = remote
        .replace(patched.object.to_value(), options())
        .await
        .unwrap();
    assert_eq!(replaced.object, patched.object);

    assert_eq!(
        remote.pod_metrics(Some("default")).await,
        local.pod_metrics(Some("default")).await
    );
    assert_eq!(
        remote.pod_metrics(None).await,
        local.pod_metrics(None).await
    );
    assert_eq!(remote.pod_metrics(None).await.unwrap().len(), 2);
    let processes = remote.pod_processes("default", "web").await;
    assert_eq!(processes, local.pod_processes("default", "web").await);
    assert_eq!(processes.unwrap().total, 2);
    let incidents = remote.pod_incidents("default", "web").await;
    assert_eq!(incidents, local.pod_incidents("default", "web").await);
    assert_eq!(incidents.unwrap().len(), 1);
    assert_eq!(
        remote.pod_processes("default", "gone").await,
        local.pod_processes("default", "gone").await
    );
    assert_eq!(remote.images().await, local.images().await);
    assert_eq!(remote.engine_info().await, local.engine_info().await);

    let gone = ObjectKey::pod("default", "gone");
    assert_eq!(remote.get(&gone).await, local.get(&gone).await);
    let deleted = remote.delete(&key, DeleteOptions::default()).await.unwrap();
    assert_eq!(deleted.uid(), written.object.uid());
    assert!(local.get(&key).await.is_err());
}

#[tokio::test]
async fn images_and_the_engine_are_managed() {
    let served = Served::start().await;
    let import = ImageSource::Import {
        path: PathBuf::from("relative.tar"),
        name: "localhost/x/y:1".to_owned(),
    };
    let names = served.remote.add_image(import).await.unwrap();
    let absolute = std::path::absolute("relative.tar").unwrap();
    let expected = format!("localhost/x/y:1 from {}", absolute.display());
    assert_eq!(names, [expected]);
    let tag = ImageSource::Tag {
        image: "nginx".to_owned(),
        name: "mine:1".to_owned(),
    };
    let names = served.remote.add_image(tag).await.unwrap();
    assert_eq!(names, ["mine:1 for nginx"]);

    let name = "docker.io/library/nginx:latest";
    let refused = served.remote.remove_image(name, false).await.unwrap_err();
    assert_eq!(refused.message, format!("{name} is in use"));
    assert_eq!(
        served.remote.remove_image(name, true).await,
        Ok(vec![name.to_owned()])
    );
    served.remote.stop_engine(true).await.unwrap();
    assert!(served.fixture.engine.stopped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_watch_streams_events_and_tells_its_expiry() {
    let served = Served::with_history(3).await;
    let from = served.fixture.store.resource_version();
    let watch = |from| {
        served
            .remote
            .watch(Kind::ConfigMap, ListOptions::default(), from)
    };
    let mut events = watch(from).await.unwrap();
    let created = served.fixture.create(config_map("c", "v")).await;
    assert_eq!(
        events.next().await,
        Some(Ok(WatchEvent::Added(created.clone())))
    );
    served
        .fixture
        .client
        .delete(&created.key(), DeleteOptions::default())
        .await
        .unwrap();
    assert!(matches!(
        events.next().await,
        Some(Ok(WatchEvent::Deleted(_)))
    ));
    for index in 0..4 {
        served
            .fixture
            .create(config_map(&format!("c{index}"), "v"))
            .await;
    }
    let expired = watch(from).await.map(|_| ()).unwrap_err();
    assert_eq!(expired.reason, Reason::Expired);
    assert_eq!(expired.reason.http_code(), 410);
}

#[tokio::test]
async fn a_watch_ends_after_its_timeout() {
    let served = Served::start().await;
    served.fixture.create(config_map("c", "v")).await;
    let path = "/api/v1/configmaps?watch=true&timeoutSeconds=1";
    let (status, _, body) = served.http(&format!("GET {path}"), "").await;
    assert_eq!(status, 200);
    let body = body.as_str().unwrap();
    assert!(body.contains("{\"type\":\"ADDED\",\"object\":{"), "{body}");
}

#[tokio::test]
async fn exec_passes_input_output_and_exit_code() {
    let served = Served::start().await;
    served.running_pod().await;

    let mut session = served.exec(&["cat"]).await;
    let stdin = session.stdin.take().unwrap();
    let block = Bytes::from(vec![b'y'; 60_000]);
    let writer = tokio::spawn(async move {
        for _ in 0..50 {
            stdin.send(block.clone()).await.unwrap();
        }
    });
    let (out, err, end) = collect(session).await;
    writer.await.unwrap();
    assert_eq!(out.len(), 3_000_000);
    assert_eq!(err, b"end of input");
    assert_eq!(end, Some(SessionEnd::Exited(0)));

    let (_, _, end) = collect(served.exec(&["exit", "3"]).await).await;
    assert_eq!(end, Some(SessionEnd::Exited(3)));
    let (out, ..) = collect(served.exec(&["size"]).await).await;
    assert_eq!(out, b"80x24");
    let (out, ..) = collect(served.exec(&["first-size"]).await).await;
    assert_eq!(out, b"80x24", "known before the process starts");
    let (out, _, end) = collect(served.exec(&["flood", "2000"]).await).await;
    assert_eq!((out.len(), end), (2_048_000, Some(SessionEnd::Exited(0))));
    let (_, _, end) = collect(served.exec(&["nonsense"]).await).await;
    let text = "exec failed: no such file or directory".to_owned();
    assert_eq!(end, Some(SessionEnd::Failed(text)));
}

#[tokio::test]
async fn attach_ends_without_a_code() {
    let served = Served::start().await;
    let mut manifest = pod("web");
    manifest["spec"]["containers"][0]["stdin"] = json!(true);
    let web = served.fixture.create(manifest).await;
    served.fixture.run(&web).await;
    let options = ExecOptions {
        stdin: true,
        stdout: true,
        ..ExecOptions::default()
    };
    let mut session = served
        .remote
        .attach("default", "web", options)
        .await
        .unwrap();
    let stdin = session.stdin.take().unwrap();
    stdin.send(Bytes::from_static(b"hello")).await.unwrap();
    drop(stdin);
    let (out, _, end) = collect(session).await;
    assert_eq!(
        (out.as_slice(), end),
        (&b"hello"[..], Some(SessionEnd::Closed))
    );
}

#[tokio::test]
async fn exec_is_refused_before_the_upgrade() {
    let served = Served::start().await;
    let exec = |options| served.remote.exec("default", "web", options);
    let options = |container: Option<&str>| ExecOptions {
        container: container.map(str::to_owned),
        command: vec!["true".to_owned()],
        stdout: true,
        ..ExecOptions::default()
    };
    let missing = exec(options(None)).await.unwrap_err();
    assert_eq!(missing.message, "pods \"web\" not found");
    served.running_pod().await;
    let unknown = exec(options(Some("x"))).await.unwrap_err();
    assert_eq!(unknown.message, "container x is not valid for pod web");
    let key = ObjectKey::pod("default", "web");
    served.fixture.set_phase(&key, "Failed").await;
    let completed = exec(options(None)).await.unwrap_err();
    assert_eq!(
        completed.message,
        "cannot exec into a container in a completed pod; current phase is Failed"
    );
}

#[tokio::test]
async fn logs_are_served_and_followed() {
    let served = Served::start().await;
    served.running_pod().await;
    let options = |follow| LogOptions {
        follow,
        ..LogOptions::default()
    };
    let logs = |options| served.remote.logs("default", "web", options);
    let waiting = logs(options(false)).await.map(|_| ()).unwrap_err();
    assert_eq!(
        waiting.message,
        "container \"main\" in pod \"web\" is waiting to start: ContainerCreating"
    );

    let key = ObjectKey::pod("default", "web");
    let web = served.fixture.store.get_object(&key).unwrap();
    let uid = web.uid();
    let write = |state: Value| {
        let status = json!({"phase": "Running", "containerStatuses": [{
            "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state,
        }]});
        let status = serde_json::from_value(status).unwrap();
        served.fixture.status.pod_status(&key, &uid, status)
    };
    write(json!({"running": {}})).await.unwrap();
    let log = served
        .fixture
        .log_file("default", "web", &web.uid(), "main");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "2026-01-02T03:04:05.000000006Z stdout F one\n").unwrap();
    let mut text = logs(options(true)).await.unwrap();
    assert_eq!(text.next().await, Some(Ok(Bytes::from_static(b"one\n"))));
    write(json!({"terminated": {"exitCode": 0}})).await.unwrap();
    assert_eq!(text.next().await, None);

    let path = "/api/v1/namespaces/default/pods/web/log?timestamps=true&tailLines=1";
    let (status, _, body) = served.http(&format!("GET {path}"), "").await;
    assert_eq!(status, 200);
    assert!(
        body.as_str()
            .unwrap()
            .contains("2026-01-02T03:04:05.000000006Z one\n"),
        "{body}"
    );
}

#[tokio::test]
async fn version_4_of_the_protocol_is_spoken_as_well() {
    let served = Served::start().await;
    served.running_pod().await;
    let uri = "ws://x/api/v1/namespaces/default/pods/web/exec?command=exit&command=7&stdout=1";
    let mut request = uri.into_client_request().unwrap();
    request.headers_mut().insert(
        "Sec-WebSocket-Protocol",
        "v1.channel.k8s.io, v4.channel.k8s.io".parse().unwrap(),
    );
    let stream = UnixStream::connect(&served.socket).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(
        response.headers()["Sec-WebSocket-Protocol"],
        "v4.channel.k8s.io"
    );
    let Some(Ok(Message::Binary(data))) = socket.next().await else {
        panic!("no status")
    };
    assert_eq!(data[0], channel::ERROR);
    let status: Value = serde_json::from_slice(&data[1..]).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "7");
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
        panic!("no close frame")
    };
    assert_eq!(frame.code, CloseCode::Normal);
    let _ = socket.send(Message::Close(None)).await;
}

/// Dropping the session of a remote user ends the one in the engine: the fake `cat` sees the end of its
/// input, and `flood` an output nobody takes.
#[tokio::test]
async fn a_dropped_session_ends_on_the_other_side() {
    let served = Served::start().await;
    served.running_pod().await;
    let session = served.exec(&["flood", "1000000"]).await;
    drop(session);
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), served.server)
        .await
        .expect("the server ends")
        .unwrap();
}

#[tokio::test]
async fn shutdown_ends_streams_and_the_server() {
    let served = Served::start().await;
    served.running_pod().await;
    let from = served.fixture.store.resource_version();
    let mut events = served
        .remote
        .watch(Kind::Pod, ListOptions::default(), from)
        .await
        .unwrap();
    let session = served.exec(&["cat"]).await;
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), served.server)
        .await
        .expect("the server ends")
        .unwrap();
    assert_eq!(events.next().await, None);
    let (_, _, end) = collect(session).await;
    assert_eq!(end, None);
    assert!(Remote::connect(&served.socket).await.is_err());
}

const AS_TABLE: &str = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\r\n";

#[tokio::test]
async fn objects_are_rows_for_those_who_ask() {
    let served = Served::start().await;
    served.fixture.create(pod("web")).await;
    let pods = "/api/v1/namespaces/default/pods";
    let (status, _, table) = served.http_with(&format!("GET {pods}"), AS_TABLE, "").await;
    assert_eq!((status, &table["kind"]), (200, &json!("Table")));
    let columns = table["columnDefinitions"].as_array().unwrap();
    let named = |priority: i64| -> Vec<&str> {
        let those = columns
            .iter()
            .filter(|column| column["priority"] == priority);
        those
            .map(|column| column["name"].as_str().unwrap())
            .collect()
    };
    assert_eq!(named(0), ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(
        named(1),
        ["IP", "Node", "Nominated Node", "Readiness Gates"]
    );
    let row = &table["rows"][0];
    assert_eq!(row["cells"][0], "web");
    assert_eq!(row["cells"].as_array().unwrap().len(), columns.len());
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row["object"]["metadata"]["namespace"], "default");
    assert!(row["object"].get("spec").is_none());
    assert!(table["metadata"]["resourceVersion"].is_string());
    let whole = format!("GET {pods}/web?includeObject=Object");
    let (_, _, one) = served.http_with(&whole, AS_TABLE, "").await;
    assert_eq!(one["rows"][0]["object"]["kind"], "Pod");
    let bare = format!("GET {pods}/web?includeObject=None");
    let (_, _, one) = served.http_with(&bare, AS_TABLE, "").await;
    assert!(one["rows"][0].get("object").is_none());
    let wrong = format!("GET {pods}?includeObject=Some");
    let (status, _, _) = served.http_with(&wrong, AS_TABLE, "").await;
    assert_eq!(status, 400);
    let head = format!("GET {pods}");
    let (status, _, refused) = served.http_with(&head, "Accept: text/html\r\n", "").await;
    assert_eq!((status, &refused["reason"]), (406, &json!("NotAcceptable")));
}

#[tokio::test]
async fn a_watch_tells_its_columns_once() {
    let served = Served::start().await;
    served.fixture.create(pod("one")).await;
    served.fixture.create(pod("two")).await;
    let head = "GET /api/v1/pods?watch=true&timeoutSeconds=1";
    let (_, _, lines) = served.http_with(head, AS_TABLE, "").await;
    let text = lines.as_str().unwrap();
    // The body is sent in chunks; their lengths stand on lines of their own.
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(Value::is_object)
        .collect();
    let columns = |event: &Value| {
        event["object"]["columnDefinitions"]
            .as_array()
            .map(Vec::len)
    };
    let rows = |event: &Value| event["object"]["rows"][0]["cells"][0].clone();
    assert_eq!(
        events.iter().map(columns).collect::<Vec<_>>(),
        [Some(9), Some(0)]
    );
    assert_eq!(events.iter().map(rows).collect::<Vec<_>>(), ["one", "two"]);
}

#[tokio::test]
async fn who_comes_without_websockets_is_told_what_is_wrong_first() {
    let served = Served::start().await;
    served.running_pod().await;
    let head = "POST /api/v1/namespaces/default/pods/web/exec?command=true&stdout=true&container=x";
    let (status, _, body) = served.http(head, "").await;
    assert_eq!(status, 400);
    assert_eq!(body["message"], "container x is not valid for pod web");
    let head = "POST /api/v1/namespaces/default/pods/web/exec?command=true&stdout=true";
    let (_, _, body) = served.http(head, "").await;
    let text = "unable to upgrade connection: container not found (\"main\")";
    assert_eq!(body["message"], text, "its status says nothing yet");
    let key = ObjectKey::pod("default", "web");
    let uid = served.fixture.store.get_object(&key).unwrap().uid();
    let status = json!({"phase": "Running", "containerStatuses": [{
        "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}},
    }]});
    let status = serde_json::from_value(status).unwrap();
    let written = served.fixture.status.pod_status(&key, &uid, status).await;
    written.unwrap();
    let (status, _, body) = served.http(head, "").await;
    let message = body["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("WebSocket"), "{body}");
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let served = Served::start().await;
    for path in ["/version/", "/api/v1/", "/api/v1/pods/?limit=1"] {
        assert_eq!(served.get(path).await.0, 200, "{path}");
    }
    assert_eq!(served.get("/").await.0, 404);
}
