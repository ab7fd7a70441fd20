//! What clients other than podtui's own ask of the API, where it reaches into pods.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::Podtui;

const SERVER: &str = "apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: c
    image: localhost/toolbox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, 'trap \"\" TERM; mkdir /www; echo from the pod > /www/index.html; busybox httpd -p 127.0.0.1:8080 -h /www; while :; do sleep 0.1; done']
    readinessProbe:
      exec: {command: [sh, -c, 'busybox wget -q -O- http://127.0.0.1:8080/']}
      periodSeconds: 1
";

fn wait_ready(podtui: &Podtui, name: &str) {
    podtui.wait("the pod to be ready", || {
        let pod = podtui.try_pod(name)?;
        let mut conditions = pod["status"]["conditions"].as_array()?.iter();
        let ready = conditions.find(|condition| condition["type"] == "Ready")?;
        (ready["status"] == "True").then_some(())
    });
}

async fn forward(podtui: &Podtui, ports: &str) -> WebSocketStream<UnixStream> {
    let stream = UnixStream::connect(podtui.run().join("api.sock"))
        .await
        .expect("the engine listens");
    let path = format!("ws://podtui/api/v1/namespaces/default/pods/web/portforward?{ports}");
    let mut request = path.into_client_request().expect("an address");
    let protocol = "v4.channel.k8s.io".parse().expect("a header value");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let socket = tokio_tungstenite::client_async(request, stream).await;
    socket.expect("the engine forwards ports").0
}

/// All that comes on a channel after the number of its port, until the other side ends.
async fn all(socket: &mut WebSocketStream<UnixStream>, channel: u8) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(data) = message
                && data[0] == channel
            {
                bytes.extend_from_slice(&data[1..]);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the connection ends with its server");
    String::from_utf8_lossy(&bytes[2..]).into_owned()
}

/// The server listens on the loopback address of its pod, where nobody from outside comes.
#[test]
fn a_port_is_that_of_the_network_of_the_pod() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(SERVER);
    wait_ready(&podtui, "web");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut socket = forward(&podtui, "ports=8080").await;
        let request = Message::Binary(b"\0GET / HTTP/1.0\r\n\r\n".to_vec().into());
        socket.send(request).await.expect("it is read");
        let answer = all(&mut socket, 0).await;
        assert!(answer.ends_with("from the pod\n"), "{answer}");

        // Nobody listens there.
        let mut socket = forward(&podtui, "ports=8081").await;
        let why = all(&mut socket, 1).await;
        assert!(why.contains("failed to connect to localhost:8081"), "{why}");
    });
}

fn post(podtui: &Podtui, path: &str, body: &str) -> Value {
    let socket = podtui.run().join("api.sock");
    let mut stream = BlockingStream::connect(socket).expect("the engine listens");
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: podtui\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream
        .write_all(request.as_bytes())
        .expect("the engine reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the engine answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn an_evicted_pod_ends_in_the_time_it_is_given() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(SERVER);
    wait_ready(&podtui, "web");
    let path = "/api/v1/namespaces/default/pods/web/eviction";
    let answer = post(&podtui, path, r#"{"metadata":{"name":"web"}}"#);
    assert_eq!(answer["status"], "Success", "{answer}");
    // It ignores the signal, so there is time to look at it.
    let going = podtui.pod("web");
    let mut conditions = going["status"]["conditions"].as_array().unwrap().iter();
    let target = conditions
        .find(|condition| condition["type"] == "DisruptionTarget")
        .expect("it tells that it was evicted");
    assert_eq!(target["reason"], "EvictionByEvictionAPI");
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 5);
    // Who evicts again has it go sooner.
    let sooner = r#"{"metadata":{"name":"web"},"deleteOptions":{"gracePeriodSeconds":1}}"#;
    let answer = post(&podtui, path, sooner);
    assert_eq!(answer["status"], "Success", "{answer}");
    podtui.wait("the pod to be gone", || {
        podtui.try_pod("web").is_none().then_some(())
    });
}
