//! Proxies from the environment: used for http and https, never for those of `NO_PROXY`, and what is said when
//! one does not work.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use crate::fake::Fake;
use crate::pulls::leftovers;
use crate::registry::{Door, Registry, configure, umoci_image};
use crate::support::Podtui;

/// A name that nobody but the proxy can resolve.
const NAME: &str = "registry.podtui.invalid";

/// A forward and CONNECT proxy for [`NAME`], which it finds on loopback.
struct Proxy {
    address: String,
    /// First lines of requests, and what they say to the proxy itself.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                // A client that hangs up is no failure.
                std::thread::spawn(move || drop(serve(stream, &seen)));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test panics with it").clone()
    }
}

fn serve(client: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut headers, mut authorization) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("proxy-authorization:") {
            authorization = line.trim().to_owned();
        } else if !lower.starts_with("connection:") {
            headers.push_str(&line);
        }
    }
    let told = format!("{} {authorization}", first.trim());
    seen.lock().expect("no test panics with it").push(told);
    let words: Vec<&str> = first.split_whitespace().collect();
    let [method, target, _] = words[..] else {
        return Ok(());
    };
    let mut client = client;
    if method == "CONNECT" {
        let Some(port) = target.strip_prefix(&format!("{NAME}:")) else {
            return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        };
        let server = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return relay(reader, client, server);
    }
    let rest = target.strip_prefix(&format!("http://{NAME}:"));
    let Some((port, path)) = rest.and_then(|rest| rest.split_once('/')) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    write!(
        server,
        "{method} /{path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"
    )?;
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// Bytes in both directions until one side ends.
fn relay(
    mut from_client: impl Read + Send + 'static,
    client: TcpStream,
    server: TcpStream,
) -> std::io::Result<()> {
    let mut to_server = server.try_clone()?;
    std::thread::spawn(move || {
        // The end of either side ends both.
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Both);
    });
    let (mut server, mut client) = (server, client);
    let _ = std::io::copy(&mut server, &mut client);
    client.shutdown(std::net::Shutdown::Both)
}

/// One pull by an engine with this environment and no other proxy.
fn pull(podtui: &Podtui, name: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = podtui.command(&["image", "pull", "-q", name]);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(variable);
        command.env_remove(variable.to_ascii_lowercase());
    }
    command.envs(environment.iter().copied());
    let output = command.output().expect("podtui starts");
    podtui.ok(&["engine", "stop"]);
    assert_eq!(leftovers(podtui), Vec::<String>::new());
    output
}

#[track_caller]
fn check_pulled(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[track_caller]
fn check_refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was pulled");
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[test]
fn plain_http_goes_through_the_proxy_it_is_told() {
    require_images!();
    let (fake, proxy) = (Fake::start(), Proxy::start());
    fake.image("x", "v1", &[("file", "content")]);
    let port = fake.host.rsplit(':').next().expect("a port");
    let host = format!("{NAME}:{port}");
    let name = format!("{host}/x:v1");
    let podtui = Podtui::idle();
    let table = format!("[registries.\"{host}\"]\nplain_http = true\n");
    configure(&podtui, &format!("{table}{}", fake.table()));
    let address = format!("http://{}", proxy.address);

    // Without it, and with a list of hosts that need none, nobody knows the name.
    check_refused(&pull(&podtui, &name, &[]), &[&format!("connect to {host}")]);
    for no_proxy in [NAME, ".podtui.invalid", "*"] {
        let environment = [("HTTP_PROXY", address.as_str()), ("NO_PROXY", no_proxy)];
        check_refused(&pull(&podtui, &name, &environment), &[&host]);
    }
    assert_eq!(proxy.seen(), Vec::<String>::new());
    // For https only it is not asked either.
    check_refused(
        &pull(&podtui, &name, &[("HTTPS_PROXY", &address)]),
        &[&host],
    );
    assert_eq!(proxy.seen(), Vec::<String>::new());

    let with_password = format!("http://user:s3cr3t@{}", proxy.address);
    let environment = [
        ("http_proxy", with_password.as_str()),
        ("NO_PROXY", "example.com"),
    ];
    check_pulled(&pull(&podtui, &name, &environment));
    let seen = proxy.seen();
    assert!(seen.len() >= 3, "manifest, configuration, layer: {seen:#?}");
    for line in &seen {
        assert!(line.contains(&format!("http://{host}/v2/x/")), "{line}");
        // user:s3cr3t
        assert!(line.contains("Basic dXNlcjpzM2NyM3Q="), "{line}");
    }
    assert!(!fake.requests().iter().any(|line| line.contains("Basic")));

    // This machine's own loopback is never asked for at a proxy.
    podtui.ok(&["image", "rm", &name]);
    podtui.ok(&["engine", "stop"]);
    let local = fake.image("y", "v1", &[("file", "content")]);
    check_pulled(&pull(&podtui, &local, &[("HTTP_PROXY", &address)]));
    assert_eq!(proxy.seen().len(), seen.len());

    // A proxy that does not answer.
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead = format!(
        "http://user:s3cr3t@{}",
        free.local_addr().expect("an address")
    );
    drop(free);
    check_refused(&pull(&podtui, &name, &[("HTTP_PROXY", &dead)]), &[&host]);
}

#[test]
fn tls_goes_through_a_tunnel() {
    require_registry!();
    let proxy = Proxy::start();
    let registry = Registry::start(Door {
        tls: true,
        ..Door::default()
    });
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "app:v1");
    let port = registry.host.rsplit(':').next().expect("a port");
    let host = format!("{NAME}:{port}");
    let name = format!("{host}/app:v1");
    let podtui = Podtui::idle();
    let authority = registry.path("ca.pem").display().to_string();
    configure(
        &podtui,
        &format!("[registries.\"{host}\"]\nca_file = \"{authority}\"\n"),
    );
    let address = format!("http://{}", proxy.address);
    let environment = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", NAME)];
    check_refused(&pull(&podtui, &name, &environment), &[&host]);
    assert_eq!(proxy.seen(), Vec::<String>::new());
    check_pulled(&pull(&podtui, &name, &[("HTTPS_PROXY", &address)]));
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    for line in seen {
        assert!(line.starts_with(&format!("CONNECT {host} ")), "{line}");
    }
    // The proxy refuses, and says so.
    let other = format!("other.podtui.invalid:{port}");
    let refused = pull(
        &podtui,
        &format!("{other}/app:v1"),
        &[("HTTPS_PROXY", &address)],
    );
    check_refused(&refused, &[&other]);
}
