//! A stand-in for an engine with ten thousand pods: it listens on the socket of a run directory, holds the lock
//! of the state directory, and answers what the screen asks with lists and watches of made-up pods. No
//! container runs, so what is measured is the screen alone: decoding, deriving, filtering, sorting, drawing.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub struct Cluster {
    shared: Arc<Shared>,
    _lock: File,
}

struct Shared {
    pods: usize,
    /// Changes of pods per second that watches tell.
    changes: AtomicU64,
}

impl Cluster {
    pub fn open(state: &Path, run: &Path, pods: usize) -> Self {
        for directory in [state, run] {
            fs::create_dir_all(directory).expect("a directory");
        }
        let lock = File::create(state.join("lock")).expect("the lock file");
        lock.lock().expect("the lock");
        let listener = UnixListener::bind(run.join("api.sock")).expect("the socket");
        let shared = Arc::new(Shared {
            pods,
            changes: AtomicU64::new(0),
        });
        let server = Arc::clone(&shared);
        // It ends with the process; a connection of a screen that is gone ends by itself.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&server);
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Self {
            shared,
            _lock: lock,
        }
    }

    pub fn change(&self, per_second: u64) {
        self.shared.changes.store(per_second, Ordering::Relaxed);
    }
}

/// The other side hangs up when it has had enough; that is not an error.
fn serve(shared: &Shared, stream: UnixStream) {
    let _ = answer_all(shared, stream);
}

fn answer_all(shared: &Shared, stream: UnixStream) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut first = String::new();
        let mut line = String::new();
        while requests.read_line(&mut line)? > 0 && line != "\r\n" {
            if first.is_empty() {
                first.clone_from(&line);
            }
            line.clear();
        }
        let Some(path) = first.split(' ').nth(1) else {
            return Ok(());
        };
        if path.contains("watch=true") {
            return watch(shared, path, &mut out);
        }
        let body = body(shared, path);
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        out.write_all(body.as_bytes())?;
    }
}

fn body(shared: &Shared, path: &str) -> String {
    let list = |kind: &str, version: &str, items: String| {
        format!(
            r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{"resourceVersion":"1"}},"items":[{items}]}}"#
        )
    };
    let all = |item: fn(usize) -> String| {
        let items: Vec<String> = (0..shared.pods).map(item).collect();
        items.join(",")
    };
    if path.starts_with("/apis/engine.podtui.dev") {
        let status = r#"{"version":"bench","pid":1,"startedAt":"2026-01-01T00:00:00Z","stateDir":"/","runDir":"/","cgroup":"v2","pods":0,"notes":[]}"#;
        return format!(r#"{{"status":{status}}}"#);
    }
    if path.starts_with("/apis/metrics.k8s.io") {
        return list("PodMetricsList", "metrics.k8s.io/v1beta1", all(metrics));
    }
    if path.contains("/log?") {
        return String::new();
    }
    if path
        .split('?')
        .next()
        .is_some_and(|path| path.ends_with("/pods"))
    {
        return list("PodList", "v1", all(|index| pod(index, 0)));
    }
    list("List", "v1", String::new())
}

/// Pods change one after the other, in pieces of ten milliseconds.
fn watch(shared: &Shared, path: &str, out: &mut UnixStream) -> io::Result<()> {
    out.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let has_pods = path.contains("/pods?");
    let (mut next, mut owed, mut last) = (0, 0.0, Instant::now());
    let mut told = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(10));
        let rate = shared.changes.load(Ordering::Relaxed) as f64;
        owed += rate * last.elapsed().as_secs_f64();
        last = Instant::now();
        let mut events = String::new();
        while has_pods && shared.pods > 0 && owed >= 1.0 {
            owed -= 1.0;
            next += 1;
            let pod = pod(next % shared.pods, next);
            writeln!(events, r#"{{"type":"MODIFIED","object":{pod}}}"#).expect("a string");
        }
        if !has_pods {
            owed = 0.0;
        }
        // Also how a screen that is gone is noticed.
        if events.is_empty() && told.elapsed() > Duration::from_secs(5) {
            events =
                "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}\n"
                    .to_owned();
        }
        if !events.is_empty() {
            told = Instant::now();
            write!(out, "{:x}\r\n{events}\r\n", events.len())?;
        }
    }
}

/// Letters in another order than numbers, so that sorting has something to do.
fn name(index: usize) -> String {
    let mixed = index.wrapping_mul(2_654_435_761) % 1_000_003;
    format!("service-{:02}-{mixed:06}", index % 40)
}

fn metrics(index: usize) -> String {
    let name = name(index);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let at = format!(
        "2026-01-02T{:02}:{:02}:{:02}Z",
        now / 3600 % 24,
        now / 60 % 60,
        now % 60
    );
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","creationTimestamp":"{at}"}},"timestamp":"{at}","window":"1s","containers":[{{"name":"main","usage":{{"cpu":"{}n","memory":"{}"}}}}]}}"#,
        index % 1000 * 100_000 + usize::try_from(now % 7).unwrap_or(0) * 1_000_000,
        (index % 500 + 1) << 20,
    )
}

/// About what `kubectl get pod -o json` shows of a small pod of a Deployment, without managedFields.
fn pod(index: usize, version: usize) -> String {
    let name = name(index);
    let condition = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-02T02:00:01Z"}}"#
        )
    };
    let conditions = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    .map(condition)
    .join(",");
    let (state, ready, restarts) = match index % 50 {
        0 => (
            r#"{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 5m0s restarting failed container=main"}}"#,
            false,
            7 + version,
        ),
        _ => (
            r#"{"running":{"startedAt":"2026-01-02T02:00:01Z"}}"#,
            true,
            version,
        ),
    };
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","generateName":"service-","namespace":"default","uid":"00000000-0000-4000-8000-{index:012}","resourceVersion":"{}","creationTimestamp":"2026-01-02T0{}:00:00Z","labels":{{"app":"service-{}","pod-template-hash":"7d9f8c6b5","tier":"backend"}},"annotations":{{"example.com/checksum":"4f1a2b3c4d5e6f708192a3b4c5d6e7f8"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"service-7d9f8c6b5","uid":"11111111-0000-4000-8000-000000000000","controller":true,"blockOwnerDeletion":true}}]}},"spec":{{"volumes":[{{"name":"token","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}}],"defaultMode":420}}}}],"containers":[{{"name":"main","image":"registry.example/service:1.2.3","ports":[{{"containerPort":8080,"protocol":"TCP"}}],"env":[{{"name":"MODE","value":"production"}}],"resources":{{"limits":{{"cpu":"200m","memory":"512Mi"}},"requests":{{"cpu":"100m","memory":"256Mi"}}}},"volumeMounts":[{{"name":"token","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","nodeName":"node-{}","securityContext":{{}},"schedulerName":"default-scheduler","enableServiceLinks":true}},"status":{{"phase":"Running","conditions":[{conditions}],"hostIP":"10.0.0.1","podIP":"10.88.{}.{}","podIPs":[{{"ip":"10.88.{}.{}"}}],"startTime":"2026-01-02T02:00:00Z","containerStatuses":[{{"name":"main","state":{state},"lastState":{{}},"ready":{ready},"restartCount":{restarts},"image":"registry.example/service:1.2.3","imageID":"sha256:0123456789abcdef","containerID":"podtui://{index:064x}","started":true}}],"qosClass":"Burstable"}}}}"#,
        version + 2,
        index % 8,
        index % 40,
        index % 100,
        index / 256 % 256,
        index % 256,
        index / 256 % 256,
        index % 256,
    )
}
