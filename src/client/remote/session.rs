use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Method, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::connection::{Connector, broken, request};
use super::url::Url;
use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize, chain};
use crate::client::{ExecOptions, SessionVerb, channel};
use crate::model::{ApiError, ObjectKey};

/// Messages between the connection and its user.
const QUEUE: usize = 16;
const CLOSE_WAIT: Duration = Duration::from_secs(2);

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(super) async fn open(
    connector: &Connector,
    verb: SessionVerb,
    namespace: &str,
    pod: &str,
    options: ExecOptions,
) -> Result<SessionStream, ApiError> {
    let socket = upgrade(
        connector,
        url(verb, namespace, pod, &options),
        channel::PROTOCOL_V5,
    )
    .await?;
    let (output_tx, output) = mpsc::channel(QUEUE);
    let (stdin_tx, stdin) = mpsc::channel(QUEUE);
    let (resize, sizes) = mpsc::channel(QUEUE);
    if let Some(size) = options.size {
        resize
            .try_send(size)
            .expect("a new queue has room for one message");
    }
    let success = match verb {
        SessionVerb::Exec => SessionEnd::Exited(0),
        SessionVerb::Attach => SessionEnd::Closed,
    };
    tokio::spawn(run(socket, stdin, sizes, output_tx, success));
    Ok(SessionStream {
        stdin: options.stdin.then_some(stdin_tx),
        output,
        resize,
    })
}

fn url(verb: SessionVerb, namespace: &str, pod: &str, options: &ExecOptions) -> Url {
    let mut url = Url::object(&ObjectKey::pod(namespace, pod));
    url = match verb {
        SessionVerb::Exec => url.segment("exec"),
        SessionVerb::Attach => url.segment("attach"),
    };
    if let Some(container) = &options.container {
        url = url.query("container", container);
    }
    for word in &options.command {
        url = url.query("command", word);
    }
    if let Some(size) = options.size {
        url = url
            .query(channel::COLUMNS, &size.columns.to_string())
            .query(channel::ROWS, &size.rows.to_string());
    }
    url.query_flag("stdin", options.stdin)
        .query_flag("stdout", options.stdout)
        .query_flag("stderr", options.stderr)
        .query_flag("tty", options.tty)
}

/// The handshake of RFC 6455 §4.1, made with the HTTP client so that a refusal arrives as a whole `Status`.
pub(super) async fn upgrade(
    connector: &Connector,
    url: Url,
    protocol: &'static str,
) -> Result<Socket, ApiError> {
    let mut request = request(Method::GET, url, "", Bytes::new());
    let key = generate_key();
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(protocol),
    );
    let value = key.parse().expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_KEY, value);

    let response = connector.send(request).await?;
    let field = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if field(header::SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str())
        || field(header::SEC_WEBSOCKET_PROTOCOL) != Some(protocol)
    {
        return Err(broken("it did not accept the WebSocket"));
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| broken(&chain(&error)))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0);
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

async fn run(
    socket: Socket,
    stdin: mpsc::Receiver<Bytes>,
    sizes: mpsc::Receiver<TerminalSize>,
    output: mpsc::Sender<SessionOutput>,
    success: SessionEnd,
) {
    let (mut sink, mut stream) = socket.split();
    let user_gone = output.clone();
    tokio::select! {
        // Dropping the others half-way is fine: each arm is an end of the session.
        () = read_output(&mut stream, &output, success) => {}
        () = write_input(&mut sink, stdin, sizes) => {}
        () = user_gone.closed() => {}
    }
    // Lets the user see the end of the output without waiting for the farewell.
    drop((output, user_gone));
    let farewell = async {
        let _ = sink.send(Message::Close(None)).await;
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, farewell).await;
}

/// Returns after the status, or when the connection or the user is gone.
async fn read_output(
    stream: &mut SplitStream<Socket>,
    output: &mpsc::Sender<SessionOutput>,
    success: SessionEnd,
) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(mut data) = message else {
            continue;
        };
        if data.is_empty() {
            continue;
        }
        let payload = data.split_off(1);
        let (message, last) = match data[0] {
            channel::STDOUT => (SessionOutput::Stdout(payload), false),
            channel::STDERR => (SessionOutput::Stderr(payload), false),
            channel::ERROR => {
                let end = channel::end_from_status(&payload, success.clone());
                (SessionOutput::End(end), true)
            }
            _ => continue,
        };
        if output.send(message).await.is_err() || last {
            return;
        }
    }
}

/// Never returns while the connection lives: the end of the input is not the end of the session.
async fn write_input(
    sink: &mut SplitSink<Socket, Message>,
    mut stdin: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<TerminalSize>,
) {
    let mut stdin_open = true;
    let mut sizes_open = true;
    loop {
        let frame = tokio::select! {
            // Both are cancel-safe: a message is taken only when its arm wins. Sizes go first, so that the
            // program sees the right one before it reads.
            biased;
            size = sizes.recv(), if sizes_open => match size {
                Some(size) => channel::resize_frame(size),
                None => {
                    sizes_open = false;
                    continue;
                }
            },
            data = stdin.recv(), if stdin_open => match data {
                Some(data) => channel::frame(channel::STDIN, &data),
                None => {
                    stdin_open = false;
                    channel::frame(channel::CLOSE, &[channel::STDIN])
                }
            },
            () = std::future::pending(), if !stdin_open && !sizes_open => return,
        };
        if sink.send(Message::Binary(frame)).await.is_err() {
            // The reader sees the end of the connection, after what was sent before it.
            return std::future::pending().await;
        }
    }
}
