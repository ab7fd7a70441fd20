//! A registry that does what a test tells it, over plain http.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const TOKEN: &str = "t0ken-of-the-test";

/// How the content of blobs is sent.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// The connection ends after this many bytes of a blob.
    pub break_after: Option<usize>,
    pub no_ranges: bool,
    /// A pause after every 32 KiB.
    pub pause: Duration,
}

#[derive(Default)]
struct State {
    /// By `repository:tag` and `repository@digest`.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Path → where to go instead.
    redirects: BTreeMap<String, String>,
    /// Path → a `WWW-Authenticate` that comes with a 401.
    challenges: BTreeMap<String, String>,
    token_for: Option<(String, String)>,
    manner: Manner,
    requests: Vec<String>,
}

pub struct Fake {
    pub host: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = listener.local_addr().expect("an address").to_string();
        let state = Arc::<Mutex<State>>::default();
        let (shared, name) = (Arc::clone(&state), host.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, name) = (Arc::clone(&shared), name.clone());
                std::thread::spawn(move || {
                    // A client that hangs up is part of many tests.
                    let _ = answer(stream, &shared, &name);
                });
            }
        });
        Self { host, state }
    }

    pub fn table(&self) -> String {
        format!("[registries.\"{}\"]\nplain_http = true\n", self.host)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    pub fn manner(&self, manner: Manner) {
        self.state().manner = manner;
    }

    pub fn require_token(&self, user: &str, password: &str) {
        self.state().token_for = Some((user.to_owned(), password.to_owned()));
    }

    pub fn redirect(&self, path: &str, location: &str) {
        let mut state = self.state();
        state.redirects.insert(path.to_owned(), location.to_owned());
    }

    pub fn challenge(&self, path: &str, header: &str) {
        let mut state = self.state();
        state.challenges.insert(path.to_owned(), header.to_owned());
    }

    /// `METHOD PATH [Range] [Authorization]`, oldest first.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.state().requests.clear();
    }

    /// Descriptor of a blob that is there.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.state().blobs.insert(digest.clone(), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    pub fn bytes(&self, digest: &str) -> Vec<u8> {
        self.state().blobs[digest].clone()
    }

    /// Other bytes under the digest of a blob.
    pub fn replace_blob(&self, digest: &str, bytes: &[u8]) {
        let mut state = self.state();
        state.blobs.insert(digest.to_owned(), bytes.to_vec());
    }

    /// Puts a manifest under a tag and under its digest; returns its descriptor.
    pub fn manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let entry = (media_type.to_owned(), bytes.to_vec());
        let mut state = self.state();
        for name in [
            format!("{repository}:{tag}"),
            format!("{repository}@{digest}"),
        ] {
            state.manifests.insert(name, entry.clone());
        }
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// A manifest under a digest that is not its own.
    pub fn lie(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let entry = (MANIFEST.to_owned(), bytes.to_vec());
        let mut state = self.state();
        state
            .manifests
            .insert(format!("{repository}@{digest}"), entry);
    }

    /// An image of one layer; returns its name.
    pub fn image(&self, repository: &str, tag: &str, files: &[(&str, &str)]) -> String {
        let mut layer = Layer::new();
        for (path, content) in files {
            layer = layer.file(path, content.as_bytes());
        }
        self.image_of(repository, tag, &[layer.bytes()])
    }

    /// An image of these tar archives; returns its name.
    pub fn image_of(&self, repository: &str, tag: &str, layers: &[Vec<u8>]) -> String {
        let manifest = self.image_manifest(layers);
        self.manifest(repository, tag, MANIFEST, manifest.to_string().as_bytes());
        format!("{}/{repository}:{tag}", self.host)
    }

    /// The blobs of an image, and its manifest.
    pub fn image_manifest(&self, layers: &[Vec<u8>]) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|layer| self.blob(LAYER, &gzip(layer)))
            .collect();
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config(&diff_ids),
            "layers": descriptors,
        })
    }

    pub fn config(&self, diff_ids: &[String]) -> Value {
        let config = json!({
            "os": "linux",
            "architecture": architecture(),
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        self.blob(CONFIG, config.to_string().as_bytes())
    }
}

pub fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// A tar archive that may be as wrong as a test wants.
pub struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.raw(path.as_bytes(), EntryType::Regular, b"", content)
    }

    pub fn directory(self, path: &str) -> Self {
        self.owned(
            path.as_bytes(),
            EntryType::Directory,
            b"",
            b"",
            (0o755, 0, 0),
        )
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.raw(path.as_bytes(), EntryType::Symlink, target.as_bytes(), b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(path.as_bytes(), EntryType::Link, target.as_bytes(), b"")
    }

    /// The name goes into the header as it is.
    pub fn raw(self, path: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Self {
        self.owned(path, kind, link, content, (0o644, 0, 0))
    }

    /// As [`Self::raw`], with mode, user and group.
    pub fn owned(
        mut self,
        path: &[u8],
        kind: EntryType,
        link: &[u8],
        content: &[u8],
        (mode, uid, gid): (u32, u64, u64),
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        for set in [Header::set_device_major, Header::set_device_minor] {
            set(&mut header, 0).expect("a ustar header");
        }
        let bytes = header.as_mut_bytes();
        bytes[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
        bytes[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
        header.set_cksum();
        self.0.append(&header, content).expect("writing to memory");
        self
    }

    /// Records that precede the next entry.
    pub fn pax(self, records: &[u8]) -> Self {
        self.raw(b"pax", EntryType::XHeader, b"", records)
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("writing to memory")
    }
}

struct Asked {
    method: String,
    path: String,
    query: String,
    range: Option<usize>,
    authorization: String,
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        range: None,
        authorization: String::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value
                    .trim_start_matches("bytes=")
                    .split('-')
                    .next()
                    .unwrap_or_default();
                asked.range = start.parse().ok();
            }
            "authorization" => asked.authorization = value.to_owned(),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(asked)
}

fn answer(mut stream: TcpStream, shared: &Mutex<State>, host: &str) -> std::io::Result<()> {
    let asked = read(&stream)?;
    let reply = {
        let mut state = shared.lock().expect("no test panics with the lock");
        let range = asked
            .range
            .map(|from| format!(" from {from}"))
            .unwrap_or_default();
        let query = if asked.query.is_empty() {
            String::new()
        } else {
            format!("?{}", asked.query)
        };
        state.requests.push(format!(
            "{} {}{query}{range} {}",
            asked.method, asked.path, asked.authorization
        ));
        decide(&state, &asked, host)
    };
    let body = if asked.method == "HEAD" {
        &[][..]
    } else {
        &reply.body
    };
    let mut head = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = reply
        .manner
        .break_after
        .map_or(body.len(), |most| most.min(body.len()));
    for piece in body[..end].chunks(32 << 10) {
        stream.write_all(piece)?;
        std::thread::sleep(reply.manner.pause);
    }
    Ok(())
}

#[derive(Default)]
struct Reply {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    manner: Manner,
}

impl Reply {
    fn of(status: &'static str) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

fn decide(state: &State, asked: &Asked, host: &str) -> Reply {
    if let Some(location) = state.redirects.get(&asked.path) {
        return Reply::of("307 Temporary Redirect").with("Location", location);
    }
    if let Some(challenge) = state.challenges.get(&asked.path) {
        return Reply::of("401 Unauthorized").with("WWW-Authenticate", challenge);
    }
    if let Some((user, password)) = &state.token_for {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        if asked.path == "/token" {
            if asked.authorization != format!("Basic {basic}") {
                return Reply::of("401 Unauthorized");
            }
            let mut reply = Reply::of("200 OK");
            reply.body = json!({"token": TOKEN}).to_string().into_bytes();
            return reply;
        }
        if asked.authorization != format!("Bearer {TOKEN}") {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
            return Reply::of("401 Unauthorized").with("WWW-Authenticate", challenge);
        }
    }
    let rest = asked.path.strip_prefix("/v2/").unwrap_or_default();
    if let Some((repository, name)) = rest.split_once("/manifests/") {
        let separator = if name.contains(':') { '@' } else { ':' };
        let key = format!("{repository}{separator}{name}");
        return match state.manifests.get(&key) {
            None => Reply::of("404 Not Found"),
            Some((media_type, bytes)) => {
                let mut reply = Reply::of("200 OK")
                    .with("Content-Type", media_type)
                    .with("Docker-Content-Digest", digest(bytes));
                reply.body.clone_from(bytes);
                reply
            }
        };
    }
    let name = rest.split_once("/blobs/").map_or("", |(_, name)| name);
    let Some(bytes) = state.blobs.get(name) else {
        return Reply::of("404 Not Found");
    };
    let from = asked.range.filter(|_| !state.manner.no_ranges);
    let mut reply = match from {
        Some(from) => {
            let total = bytes.len();
            let mut reply = Reply::of("206 Partial Content").with(
                "Content-Range",
                format!("bytes {from}-{}/{total}", total - 1),
            );
            reply.body = bytes[from.min(total)..].to_vec();
            reply
        }
        None => {
            let mut reply = Reply::of("200 OK");
            reply.body.clone_from(bytes);
            reply
        }
    };
    reply.manner = state.manner.clone();
    reply
}
