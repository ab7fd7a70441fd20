//! What clients other than podtui's own ask for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;

use super::*;

const JSON_HEADER: &str = "Content-Type: application/json\r\n";
const YAML_HEADER: &str = "Content-Type: application/yaml\r\n";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// With a body that is no text.
async fn post_bytes(served: &Served, path: &str, content_type: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = UnixStream::connect(&served.socket).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (header, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn bodies_may_be_protobuf_or_yaml() {
    let served = Served::start().await;
    // `kubectl create configmap cm1 --from-literal=a=b --from-file=bin.dat`.
    let body = STANDARD
        .decode("azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiwKEwoDY20xEgAaACIAKgAyADgAQgASBgoBYRIBYhoNCgdiaW4uZGF0EgIA/xoAIgA=")
        .unwrap();
    let protobuf = "application/vnd.kubernetes.protobuf";
    let (status, made) = post_bytes(&served, CONFIG_MAPS, protobuf, &body).await;
    assert_eq!((status, &made["data"]), (201, &json!({"a": "b"})), "{made}");
    assert_eq!(made["binaryData"], json!({"bin.dat": "AP8="}));
    let (status, refused) = post_bytes(&served, CONFIG_MAPS, protobuf, &body[..40]).await;
    assert_eq!(
        (status, refused["reason"].as_str()),
        (400, Some("BadRequest"))
    );

    let post = format!("POST {CONFIG_MAPS}");
    let text = "metadata:\n  name: cm2\ndata: {mode: \"0644\"}\n";
    let (status, _, made) = served.http_with(&post, YAML_HEADER, text).await;
    assert_eq!((status, &made["data"]["mode"]), (201, &json!("0644")));
    for (text, message) in [
        ("a: b\n---\nc: d\n", "there is more than one object"),
        ("a: [\n", "body:"),
        ("", "there is no object"),
    ] {
        let (status, _, refused) = served.http_with(&post, YAML_HEADER, text).await;
        let said = refused["message"].as_str().unwrap();
        assert!(status == 400 && said.contains(message), "{said}");
    }
    let other = "Content-Type: application/cbor\r\n";
    let (status, _, refused) = served.http_with(&post, other, "x").await;
    assert_eq!(status, 415);
    let said = refused["message"].as_str().unwrap();
    assert!(said.contains(protobuf), "{said}");
}

#[tokio::test]
async fn a_list_comes_in_parts_of_one_moment() {
    let served = Served::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        served.fixture.create(config_map(name, "1")).await;
    }
    let mut names: Vec<String> = Vec::new();
    let mut versions = Vec::new();
    let mut remaining = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let (status, list) = served.get(&format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!(status, 200, "{list}");
        let items = list["items"].as_array().unwrap();
        names.extend(
            items
                .iter()
                .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        let meta = &list["metadata"];
        versions.push(meta["resourceVersion"].clone());
        remaining.push(meta["remainingItemCount"].clone());
        let Some(next) = meta["continue"].as_str() else {
            break;
        };
        query = format!("limit=2&continue={next}");
        // What changes in between is not seen.
        let key = ObjectKey::new(Kind::ConfigMap, "default", "e");
        let _ = served
            .fixture
            .client
            .delete(&key, DeleteOptions::default())
            .await;
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(remaining, [json!(3), json!(1), Value::Null]);
    versions.dedup();
    assert_eq!(versions.len(), 1);

    for (query, code) in [
        ("limit=2&continue=nonsense", 400),
        ("limit=-1", 422),
        ("resourceVersion=1&resourceVersionMatch=Exact", 410),
        ("resourceVersionMatch=Sometimes", 422),
    ] {
        let (status, answer) = served.get(&format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!(status, code, "{query}: {answer}");
    }
    // Another list than the token is of.
    let (_, list) = served.get(&format!("{CONFIG_MAPS}?limit=1")).await;
    let next = list["metadata"]["continue"].as_str().unwrap();
    let (status, _) = served
        .get(&format!("/api/v1/configmaps?limit=1&continue={next}"))
        .await;
    assert_eq!(status, 400);
    // Rows come in parts as well.
    let table = "Accept: application/json;as=Table;g=meta.k8s.io;v=v1\r\n";
    let get = format!("GET {CONFIG_MAPS}?limit=1");
    let (_, _, rows) = served.http_with(&get, table, "").await;
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1);
    assert!(rows["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn only_metadata_for_those_who_ask() {
    let served = Served::start().await;
    served.fixture.create(config_map("a", "1")).await;
    let accept = "Accept: application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
                  application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json\r\n";
    let get = format!("GET {CONFIG_MAPS}");
    let (status, _, list) = served.http_with(&get, accept, "").await;
    assert_eq!(
        (status, &list["kind"]),
        (200, &json!("PartialObjectMetadataList"))
    );
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0].get("data").is_none());
    let (_, _, one) = served.http_with(&format!("{get}/a"), accept, "").await;
    assert_eq!(one["kind"], "PartialObjectMetadata");
    let watch = format!("{get}?watch=true&resourceVersion=0&timeoutSeconds=1");
    let (_, _, event) = served.http_with(&watch, accept, "").await;
    // The answer is chunked text with one event in it.
    let text = event.as_str().unwrap_or_default();
    assert!(
        text.contains("\"PartialObjectMetadata\"") && !text.contains("\"data\""),
        "{event}"
    );
}

#[tokio::test]
async fn a_watch_may_begin_with_what_is_there() {
    let served = Served::start().await;
    served.fixture.create(config_map("a", "1")).await;
    let path = format!(
        "GET {CONFIG_MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &allowWatchBookmarks=true&timeoutSeconds=1"
    );
    let (status, _, text) = served.http(&path, "").await;
    let text = text.as_str().unwrap();
    assert_eq!(status, 200);
    let added = text.find("\"ADDED\"").unwrap();
    let bookmark = text.find("\"k8s.io/initial-events-end\":\"true\"").unwrap();
    assert!(added < bookmark, "{text}");
    let (status, refused) = served
        .get(&format!("{CONFIG_MAPS}?watch=true&sendInitialEvents=true"))
        .await;
    assert_eq!(status, 422, "{refused}");
}

#[tokio::test]
async fn whoever_asks_may_do_everything() {
    let served = Served::start().await;
    let group = "/apis/authorization.k8s.io/v1";
    let review = format!("POST {group}/selfsubjectaccessreviews");
    let ask = r#"{"spec":{"resourceAttributes":{"verb":"create","resource":"pods"}}}"#;
    let (status, _, answer) = served.http_with(&review, JSON_HEADER, ask).await;
    assert_eq!((status, &answer["status"]["allowed"]), (201, &json!(true)));
    assert_eq!(answer["kind"], "SelfSubjectAccessReview");
    let nothing = r#"{"spec":{}}"#;
    let (status, _, _) = served.http_with(&review, JSON_HEADER, nothing).await;
    assert_eq!(status, 422);
    let wrong = r#"{"kind":"Pod"}"#;
    let (status, _, _) = served.http_with(&review, JSON_HEADER, wrong).await;
    assert_eq!(status, 400);
    let rules = format!("POST {group}/selfsubjectrulesreviews");
    let (_, _, answer) = served.http_with(&rules, JSON_HEADER, "{}").await;
    assert_eq!(answer["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    let subject = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (_, _, answer) = served.http_with(subject, JSON_HEADER, "{}").await;
    assert_eq!(answer["status"]["userInfo"]["username"], "system:admin");
}

#[tokio::test]
async fn pods_are_evicted_and_tokens_made() {
    let served = Served::start().await;
    served.running_pod().await;
    let path = "POST /api/v1/namespaces/default/pods/web/eviction";
    let mismatch = r#"{"metadata":{"name":"other"}}"#;
    let (status, _, answer) = served.http_with(path, JSON_HEADER, mismatch).await;
    assert_eq!(status, 400, "{answer}");
    let body = r#"{"kind":"Eviction","apiVersion":"policy/v1","metadata":{"name":"web"},"deleteOptions":{"gracePeriodSeconds":3}}"#;
    let (status, _, answer) = served.http_with(path, JSON_HEADER, body).await;
    assert_eq!((status, &answer["status"]), (201, &json!("Success")));
    let evicted = served.fixture.engine.evicted.lock().unwrap().clone();
    assert_eq!(evicted, [("web".to_owned(), Some(3))]);
    let none = "POST /api/v1/namespaces/default/pods/none/eviction";
    assert_eq!(served.http_with(none, JSON_HEADER, "{}").await.0, 404);

    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}});
    served.fixture.create(account).await;
    let path = "POST /api/v1/namespaces/default/serviceaccounts/robot/token";
    let bound = r#"{"spec":{"audiences":["v"],"expirationSeconds":700,"boundObjectRef":{"kind":"Pod","name":"web"}}}"#;
    let (status, _, answer) = served.http_with(path, JSON_HEADER, bound).await;
    // The pod is another account's.
    assert_eq!(status, 400, "{answer}");
    let free = r#"{"spec":{"audiences":["v"],"expirationSeconds":700}}"#;
    let (status, _, answer) = served.http_with(path, JSON_HEADER, free).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["status"]["token"], "default/robot/");
    assert_eq!(
        answer["status"]["expirationTimestamp"],
        "1970-01-01T00:11:40Z"
    );
    let short = r#"{"spec":{"expirationSeconds":5}}"#;
    assert_eq!(served.http_with(path, JSON_HEADER, short).await.0, 422);
    let none = "POST /api/v1/namespaces/default/serviceaccounts/none/token";
    assert_eq!(served.http_with(none, JSON_HEADER, free).await.0, 404);
}

#[tokio::test]
async fn the_node_has_metrics() {
    let served = Served::start().await;
    let path = "/apis/metrics.k8s.io/v1beta1/nodes";
    let (_, list) = served.get(path).await;
    let usage = json!({"cpu": "1500000000n", "memory": "1073741824"});
    assert_eq!(list["items"][0]["usage"], usage);
    assert_eq!(served.get(&format!("{path}/here")).await.1["usage"], usage);
    assert_eq!(served.get(&format!("{path}/elsewhere")).await.0, 404);
    let metrics = served.remote.node_metrics().await.unwrap();
    assert_eq!(
        (
            metrics.name.as_str(),
            metrics.cpu_nanocores,
            metrics.memory_bytes
        ),
        ("here", 1_500_000_000, 1 << 30)
    );
}

/// Answers every line it reads with the same in capitals, and ends with the first empty one.
async fn shouting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if buffer[0] == b'\n' {
                        return;
                    }
                    let shouted = buffer[..count].to_ascii_uppercase();
                    stream.write_all(&shouted).await.unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn ports_are_forwarded() {
    let served = Served::start().await;
    served.running_pod().await;
    let port = shouting().await;
    let forwarded = served.remote.port_forward("default", "web", port).await;
    let mut stream = forwarded.map_err(|error| error.message).unwrap();
    for word in ["one", "two"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, word.to_ascii_uppercase().as_bytes());
    }
    stream.write_all(b"\n").await.unwrap();
    // The pod closes the connection, which ends this one.
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);

    let waiting = served.fixture.create(pod("waiting")).await;
    let refused = served
        .remote
        .port_forward("default", waiting.name(), port)
        .await;
    let refused = refused.map(|_| ()).unwrap_err();
    assert_eq!(
        refused.message,
        "unable to forward port because pod is not running. Current status=Pending"
    );
}

/// A WebSocket of a foreign client.
async fn socket(
    served: &Served,
    path: &str,
    protocol: Option<&str>,
) -> tokio_tungstenite::WebSocketStream<UnixStream> {
    let stream = UnixStream::connect(&served.socket).await.unwrap();
    let mut request = format!("ws://x{path}").into_client_request().unwrap();
    if let Some(protocol) = protocol {
        let value = protocol.parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    let (socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    socket
}

#[tokio::test]
async fn several_ports_have_channels_of_their_own() {
    let served = Served::start().await;
    served.running_pod().await;
    let port = shouting().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = dead.local_addr().unwrap().port();
    drop(dead);
    let path =
        format!("/api/v1/namespaces/default/pods/web/portforward?ports={port}&ports={closed}");
    let mut socket = socket(&served, &path, Some("v4.channel.k8s.io")).await;
    let mut channels: [Vec<u8>; 4] = Default::default();
    socket
        .send(Message::Binary(Bytes::from_static(b"\0hi")))
        .await
        .unwrap();
    while channels[0].len() < 4 || channels[3].len() <= 2 {
        if let Message::Binary(data) = socket.next().await.unwrap().unwrap() {
            channels[usize::from(data[0])].extend_from_slice(&data[1..]);
        }
    }
    assert_eq!(channels[0], [&port.to_le_bytes()[..], b"HI"].concat());
    assert_eq!(channels[1], port.to_le_bytes());
    assert_eq!(channels[2], closed.to_le_bytes());
    let why = String::from_utf8(channels[3].split_off(2)).unwrap();
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn watches_and_logs_go_over_a_websocket_as_well() {
    let served = Served::start().await;
    let web = served.fixture.create(pod("web")).await;
    let mut watch = socket(
        &served,
        "/api/v1/namespaces/default/pods?watch=true&resourceVersion=0",
        None,
    )
    .await;
    let Message::Text(text) = watch.next().await.unwrap().unwrap() else {
        panic!("text");
    };
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("web"))
    );

    served.fixture.run(&web).await;
    served
        .fixture
        .status
        .pod_status(
            &web.key(),
            &web.uid(),
            serde_json::from_value(json!({"phase": "Running", "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0}},
            }]}))
            .unwrap(),
        )
        .await
        .unwrap();
    let file = served
        .fixture
        .log_file("default", "web", &web.uid(), "main");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "2026-01-02T03:04:05Z stdout F hello\n").unwrap();
    let path = "/api/v1/namespaces/default/pods/web/log";
    let mut plain = socket(&served, path, Some("binary.k8s.io")).await;
    let said = plain.next().await.unwrap().unwrap();
    assert_eq!(said, Message::Binary(Bytes::from_static(b"hello\n")));
    let mut coded = socket(&served, path, Some("base64.binary.k8s.io")).await;
    let said = coded.next().await.unwrap().unwrap();
    assert_eq!(said, Message::Text(STANDARD.encode("hello\n").into()));
}

#[tokio::test]
async fn fields_are_applied_by_the_server() {
    let served = Served::start().await;
    let apply_header = "Content-Type: application/apply-patch+yaml\r\nUser-Agent: tool/1.2\r\n";
    let path = format!("PATCH {CONFIG_MAPS}/a");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"1\", y: \"2\"}\n";
    let (status, _, answer) = served.http_with(&path, apply_header, text).await;
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!((status, &answer["message"]), (422, &json!(message)));

    let by = |manager: &str| format!("{path}?fieldManager={manager}&fieldValidation=Strict");
    let (status, _, made) = served.http_with(&by("one"), apply_header, text).await;
    assert_eq!(status, 201, "{made}");
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["operation"]),
        (&json!("one"), &json!("Apply"))
    );
    let (status, _, same) = served.http_with(&by("one"), apply_header, text).await;
    assert_eq!(status, 200);
    assert_eq!(
        same["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );

    let other = "data: {x: \"9\"}\n";
    let (status, _, conflict) = served.http_with(&by("two"), apply_header, other).await;
    assert_eq!(status, 409, "{conflict}");
    assert_eq!(
        conflict["message"],
        "Apply failed with 1 conflict: conflict with \"one\": .data.x"
    );
    assert_eq!(conflict["details"]["causes"][0]["field"], ".data.x");
    let forced = format!("{}&force=true", by("two"));
    let (status, _, taken) = served.http_with(&forced, apply_header, other).await;
    assert_eq!((status, &taken["data"]["x"]), (200, &json!("9")));

    // Who patches is known by his name as well.
    let merge_header = "Content-Type: application/merge-patch+json\r\nUser-Agent: tool/1.2\r\n";
    let change = "{\"data\":{\"y\":\"7\"}}";
    let (_, _, changed) = served.http_with(&path, merge_header, change).await;
    let managers: Vec<&str> = changed["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert!(managers.contains(&"tool"), "{managers:?}");
    let force = format!("{path}?force=true");
    let (status, _, _) = served.http_with(&force, merge_header, change).await;
    assert_eq!(status, 422);

    // `y` is the tool's now, so it stays; `x` went to the other.
    let less = "data: {z: \"3\"}\n";
    let (status, _, left) = served.http_with(&by("one"), apply_header, less).await;
    assert_eq!(
        (status, &left["data"]),
        (200, &json!({"x": "9", "y": "7", "z": "3"}))
    );
    let unknown = "colour: red\n";
    let (status, _, refused) = served.http_with(&by("one"), apply_header, unknown).await;
    assert_eq!(status, 400, "{refused}");
    let preset =
        "PATCH /apis/settings.k8s.io/v1alpha1/namespaces/default/podpresets/p?fieldManager=x";
    let (status, _, refused) = served.http_with(preset, apply_header, "spec: {}\n").await;
    assert_eq!(status, 415, "{refused}");
}
