//! The events of pods, row by row as kubernetes-semantics §13.2 lists them: reason, type, component, container and
//! text, each told by the engine itself and compared letter by letter with what Kubernetes v1.36 writes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use k8s_openapi::api::core::v1::{Node, Taint};

/// One event as it must be told. `UID` stands for the uid of the pod; a text that ends with `…` goes on with what
/// differs from machine to machine.
struct Row {
    kind: &'static str,
    reason: &'static str,
    from: &'static str,
    path: &'static str,
    text: &'static str,
    /// Where Kubernetes v1.36 writes it.
    source: &'static str,
}

const NORMAL: &str = "Normal";
const WARNING: &str = "Warning";
/// The container of most scenarios.
const C: &str = "spec.containers{c}";

/// Of the pod as a whole.
const fn pod(
    kind: &'static str,
    reason: &'static str,
    text: &'static str,
    source: &'static str,
) -> Row {
    of("", kind, reason, text, source)
}

const fn of(
    path: &'static str,
    kind: &'static str,
    reason: &'static str,
    text: &'static str,
    source: &'static str,
) -> Row {
    Row {
        kind,
        reason,
        from: "kubelet",
        path,
        text,
        source,
    }
}

const fn scheduler(kind: &'static str, reason: &'static str, text: &'static str) -> Row {
    Row {
        kind,
        reason,
        from: "default-scheduler",
        path: "",
        text,
        source: "pkg/scheduler/schedule_one.go",
    }
}

const IMAGES: &str = "pkg/kubelet/images/image_manager.go";
const CONTAINERS: &str = "pkg/kubelet/kuberuntime/kuberuntime_container.go";
const MANAGER: &str = "pkg/kubelet/kuberuntime/kuberuntime_manager.go";
const PROBER: &str = "pkg/kubelet/prober/prober.go";
const PREDICATE: &str = "pkg/kubelet/lifecycle/predicate.go";
const RESIZE: &str = "pkg/kubelet/status/status_manager.go";
const VOLUMES: &str = "pkg/volume/util/operationexecutor/operation_generator.go";

#[rustfmt::skip]
const LIFE: &[Row] = &[
    scheduler(NORMAL, "Scheduled", "Successfully assigned default/p to node"),
    of(C, NORMAL, "Pulled", "Container image \"localhost/toolbox\" already present on machine and can be accessed by the pod", IMAGES),
    of(C, NORMAL, "Created", "Container created", CONTAINERS),
    of(C, NORMAL, "Started", "Container started", CONTAINERS),
    of(C, WARNING, "Unhealthy", "Liveness probe failed: broken\n", PROBER),
    of(C, NORMAL, "Killing", "Container c failed liveness probe, will be restarted", MANAGER),
    of(C, NORMAL, "Killing", "Stopping container c", CONTAINERS),
];

#[rustfmt::skip]
const FAILURES: &[Row] = &[
    of(C, WARNING, "BackOff", "Back-off restarting failed container c in pod p_default(UID)", MANAGER),
    of("spec.containers{d}", WARNING, "ErrImageNeverPull", "Container image \"absent\" is not present with pull policy of Never", IMAGES),
    of("spec.containers{d}", WARNING, "Failed", "Error: ErrImageNeverPull", MANAGER),
    of("spec.containers{e}", NORMAL, "Pulling", "Pulling image \"absent\"", IMAGES),
    of("spec.containers{e}", WARNING, "Failed", "Failed to pull image \"absent\": …", IMAGES),
    of("spec.containers{e}", WARNING, "Failed", "Error: ErrImagePull", MANAGER),
    of("spec.containers{e}", NORMAL, "BackOff", "Back-off pulling image \"absent\"", IMAGES),
    of("spec.containers{e}", WARNING, "Failed", "Error: ImagePullBackOff", MANAGER),
    of("spec.containers{f}", WARNING, "Unhealthy", "Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"web\": invalid syntax", PROBER),
    of("spec.containers{g}", NORMAL, "Pulled", "Successfully pulled image \"remote\" in 1.2s (1.5s including waiting). Image size: 1 bytes.", IMAGES),
    pod(WARNING, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (gone); attempting to pull the image may not succeed.", "pkg/kubelet/kubelet_pods.go"),
];

#[rustfmt::skip]
const REFUSED_STARTS: &[Row] = &[
    of("spec.containers{h}", WARNING, "InspectFailed", "Failed to apply default image tag \"UPPER\": couldn't parse image name \"UPPER\": invalid reference format: repository name must be lowercase", IMAGES),
    of("spec.containers{h}", WARNING, "Failed", "Error: InvalidImageName", MANAGER),
    of("spec.containers{i}", WARNING, "Failed", "Error: configmap \"gone\" not found", CONTAINERS),
    of("spec.containers{j}", WARNING, "Failed", "Error: container's runAsUser breaks non-root policy (pod: \"p_default(UID)\", container: j)", "pkg/kubelet/kuberuntime/security_context_others.go"),
    of("spec.containers{k}", WARNING, "Failed", "Error: mounting /nope failed", CONTAINERS),
    of("spec.containers{l}", WARNING, "Failed", "Error: exec: \"nope\": not found", CONTAINERS),
];

#[rustfmt::skip]
const SIDECARS: &[Row] = &[
    of("spec.initContainers{s}", NORMAL, "Created", "Container created", CONTAINERS),
    of("spec.initContainers{s}", WARNING, "Unhealthy", "Liveness probe failed: broken\n", PROBER),
    of("spec.initContainers{s}", NORMAL, "Killing", "Init container s failed liveness probe", MANAGER),
    of("spec.ephemeralContainers{e}", NORMAL, "Started", "Container started", CONTAINERS),
];

#[rustfmt::skip]
const STARTUP: &[Row] = &[
    of(C, WARNING, "Unhealthy", "Startup probe failed: broken\n", PROBER),
    of(C, WARNING, "Unhealthy", "Startup probe failed: command timed out: \"slow\" timed out after 1s", PROBER),
    of(C, NORMAL, "Killing", "Container c failed startup probe", MANAGER),
];

#[rustfmt::skip]
const HOOKS: &[Row] = &[
    of(C, WARNING, "FailedPostStartHook", "PostStartHook failed", CONTAINERS),
    of(C, NORMAL, "Killing", "FailedPostStartHook", CONTAINERS),
    of(C, WARNING, "FailedPreStopHook", "PreStopHook failed", CONTAINERS),
];

#[rustfmt::skip]
const SERVERS: &[Row] = &[
    pod(WARNING, "LifecycleHTTPFallback", "request to HTTPS lifecycle hook 127.0.0.1:PORT got HTTP response, retry with HTTP succeeded", "pkg/kubelet/lifecycle/handlers.go"),
    of(C, WARNING, "ProbeWarning", "Readiness probe warning: Probe terminated redirects, Response body: go away", PROBER),
];

#[rustfmt::skip]
const SANDBOXES: &[Row] = &[
    pod(WARNING, "FailedCreatePodContainer", "unable to ensure pod container exists: make the pod's cgroup: cannot allocate memory", "pkg/kubelet/kubelet.go"),
    pod(WARNING, "FailedCreatePodSandBox", "Failed to create pod sandbox: creating the bridge failed", MANAGER),
    pod(WARNING, "FailedPodSandBoxStatus", "Unable to get pod sandbox status: the shim is busy", MANAGER),
    pod(NORMAL, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", MANAGER),
    pod(WARNING, "FailedKillPod", "error killing pod: the shim is busy", "pkg/kubelet/kubelet.go"),
];

#[rustfmt::skip]
const DIRECTORIES: &[Row] = &[
    pod(WARNING, "Failed", "error making pod data directories: …", "pkg/kubelet/kubelet.go"),
];

#[rustfmt::skip]
const MOUNTS: &[Row] = &[
    pod(WARNING, "FailedMount", "MountVolume.SetUp failed for volume \"v\" : configmap \"gone\" not found", VOLUMES),
    pod(WARNING, "FailedMount", "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process volumes=[]: context deadline exceeded", "pkg/kubelet/volumemanager/volume_manager.go"),
];

#[rustfmt::skip]
const DEVICES: &[Row] = &[
    pod(WARNING, "FailedMapVolume", "MapVolume.SetUpDevice failed for volume \"disk\" : path \"/\" is not a block device", VOLUMES),
];

#[rustfmt::skip]
const NAMES: &[Row] = &[
    pod(WARNING, "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 192.0.2.1 192.0.2.2 192.0.2.3", "pkg/kubelet/network/dns/dns.go"),
];

#[rustfmt::skip]
const DEADLINE: &[Row] = &[
    pod(NORMAL, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline", "pkg/kubelet/active_deadline.go"),
];

#[rustfmt::skip]
const EVICTION: &[Row] = &[
    pod(WARNING, "Evicted", "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ", "pkg/kubelet/eviction/eviction_manager.go"),
    pod(WARNING, "ExceededGracePeriod", "Container runtime did not kill the pod within specified grace period.", "pkg/kubelet/pod_workers.go"),
];

#[rustfmt::skip]
const UNFIT: &[Row] = &[
    scheduler(WARNING, "FailedScheduling", "0/1 nodes are available: 1 Insufficient example.com/foo. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
];

#[rustfmt::skip]
const REJECTIONS: &[Row] = &[
    pod(WARNING, "OutOfcpu", "Node didn't have enough resource: cpu, requested: 100000000, used: 0, capacity: …", PREDICATE),
    pod(WARNING, "OutOfexample.com/foo", "Node didn't have enough resource: example.com/foo, requested: 2, used: 0, capacity: 0", PREDICATE),
    pod(WARNING, "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector", PREDICATE),
    pod(WARNING, "TaintToleration", "Predicate TaintToleration failed: node(s) had untolerated taint(s)", PREDICATE),
    pod(WARNING, "SysctlForbidden", "forbidden sysctl: \"kernel.msgmax\" not allowlisted", "pkg/kubelet/sysctl/allowlist.go"),
    pod(WARNING, "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports", PREDICATE),
    pod(WARNING, "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS", PREDICATE),
];

#[rustfmt::skip]
const RESIZES: &[Row] = &[
    pod(NORMAL, "ResizeStarted", "Pod resize started: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"20m\",\"memory\":\"64Mi\"}}}],\"generation\":2}", RESIZE),
    pod(NORMAL, "ResizeCompleted", "Pod resize completed: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"20m\",\"memory\":\"64Mi\"}}}],\"generation\":2}", RESIZE),
    pod(WARNING, "ResizeInfeasible", "Pod resize Infeasible: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"100k\",\"memory\":\"64Mi\"}}}],\"generation\":3,\"error\":\"Node didn't have enough capacity: cpu, requested: 100000000, capacity: …", RESIZE),
    pod(WARNING, "ResizeDeferred", "Pod resize Deferred: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"600m\",\"memory\":\"64Mi\"}}}],\"generation\":4,\"error\":\"Node didn't have enough resource: cpu, requested: 600, used: …", RESIZE),
    pod(WARNING, "ResizeError", "Pod resize error: {\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"512Ki\"},\"requests\":{\"cpu\":\"20m\",\"memory\":\"64Ki\"}}}],\"generation\":5,\"error\":\"attempting to set container \\\"c\\\" memory limit (524288) below current usage (1048576)\"}", RESIZE),
];

#[rustfmt::skip]
const PREEMPTION: &[Row] = &[
    scheduler(WARNING, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu."),
    Row { source: "pkg/scheduler/framework/preemption/executor.go", ..scheduler(NORMAL, "Preempted", "Preempted by pod UID on node node") },
    scheduler(NORMAL, "Scheduled", "Successfully assigned default/p to node"),
];

#[rustfmt::skip]
const CRITICAL: &[Row] = &[
    pod(WARNING, "Preempting", "Preempted in order to admit critical pod", "pkg/kubelet/preemption/preemption.go"),
];

const TABLES: &[&[Row]] = &[
    PREEMPTION,
    CRITICAL,
    LIFE,
    FAILURES,
    REFUSED_STARTS,
    SIDECARS,
    STARTUP,
    HOOKS,
    SERVERS,
    SANDBOXES,
    DIRECTORIES,
    MOUNTS,
    DEVICES,
    NAMES,
    DEADLINE,
    EVICTION,
    UNFIT,
    REJECTIONS,
    RESIZES,
];

/// Every reason of the table, in its order.
const LAW: &str = "Scheduled FailedScheduling Preempted Pulling Pulled Failed BackOff ErrImageNeverPull InspectFailed \
    Created Started Killing Unhealthy ProbeWarning FailedPostStartHook FailedPreStopHook LifecycleHTTPFallback \
    SandboxChanged FailedCreatePodSandBox FailedPodSandBoxStatus FailedCreatePodContainer FailedMount \
    FailedAttachVolume FailedMapVolume VolumePermissionChangeInProgress AlreadyMountedVolume NetworkNotReady \
    DNSConfigForming MissingClusterDNS FailedSync FailedKillPod ExceededGracePeriod DeadlineExceeded Evicted \
    Preempting OutOfcpu NodePorts NodeAffinity SysctlForbidden AppArmor ResizeStarted ResizeCompleted \
    ResizeDeferred ResizeInfeasible ResizeError FailedToRetrieveImagePullSecret FailedValidation \
    TaintManagerEviction";

/// What cannot be told in these scenarios, and why.
const ABSENT: &[(&str, &str)] = &[
    (
        "FailedAttachVolume",
        "there is no volume that has to be attached to the node",
    ),
    (
        "AlreadyMountedVolume",
        "volumes of the cluster's storage are not mounted here",
    ),
    (
        "VolumePermissionChangeInProgress",
        "told by the kubelet after thirty seconds of changing owners",
    ),
    (
        "NetworkNotReady",
        "the network of a pod is made with its sandbox, and fails with it",
    ),
    (
        "MissingClusterDNS",
        "told of those that ask for the cluster's DNS (ClusterFirstWithHostNet): see network::resolv",
    ),
    (
        "FailedSync",
        "the state of a sandbox is read where it is told: FailedPodSandBoxStatus",
    ),
    (
        "AppArmor",
        "depends on the machine: the table of worker::admit",
    ),
    ("FailedValidation", "there are no static pods"),
    (
        "TaintManagerEviction",
        "a taint that is added later evicts nobody",
    ),
];

#[test]
fn every_reason_of_the_law_is_told_or_explained() {
    let told = |reason: &str| {
        let mut rows = TABLES.iter().flat_map(|table| table.iter());
        rows.any(|row| row.reason == reason)
    };
    for reason in LAW.split_whitespace() {
        let absent = ABSENT
            .iter()
            .any(|(known, why)| *known == reason && !why.is_empty());
        assert!(
            told(reason) != absent,
            "{reason} is told or explained, not both"
        );
    }
    let rows = TABLES.iter().map(|table| table.len()).sum::<usize>();
    assert!(rows >= 50, "{rows} rows");
}

/// `type reason component path text` of every event of the pod.
async fn told(world: &World) -> Vec<[String; 5]> {
    // The recorder writes behind the worker's back.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (events, _) = world.store.list::<Event>(None);
    let one = |event: &Arc<Event>| {
        let component = event.reporting_component.clone()?;
        // The scheduler's events are of the newer kind and have no source.
        let source = event.source.clone()?.component;
        let is_new = component == "default-scheduler";
        assert_eq!(source, (!is_new).then(|| component.clone()));
        let object = &event.involved_object;
        (object.kind.as_deref() == Some("Pod")).then(|| {
            [
                event.type_.clone().unwrap(),
                event.reason.clone().unwrap(),
                component,
                object.field_path.clone().unwrap_or_default(),
                event.message.clone().unwrap(),
            ]
        })
    };
    events.iter().filter_map(one).collect()
}

#[track_caller]
fn check(rows: &[Row], uid: &str, port: u16, told: &[[String; 5]]) {
    for row in rows {
        let text = row
            .text
            .replace("UID", uid)
            .replace("PORT", &port.to_string());
        let head = [row.kind, row.reason, row.from, row.path];
        let same_text = |found: &str| match text.strip_suffix('…') {
            Some(start) => found.starts_with(start) && found.len() > start.len(),
            None => found == text,
        };
        let found = told
            .iter()
            .any(|event| event[..4] == head && same_text(&event[4]));
        assert!(
            found,
            "{head:?} {text:?} ({}) is not among {told:#?}",
            row.source
        );
    }
}

async fn expect(world: &World, rows: &[Row], uid: &str) {
    check(rows, uid, 0, &told(world).await);
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap()
}

fn one(fields: Value) -> Value {
    let mut container = containers(&["c"]).remove(0);
    json_patch::merge(&mut container, &fields);
    json!({ "containers": [container], "terminationGracePeriodSeconds": 5 })
}

fn exec(command: &str) -> Value {
    json!({"exec": {"command": [command]}, "periodSeconds": 1, "failureThreshold": 2})
}

#[tokio::test(start_paused = true)]
async fn of_a_life() {
    let world = World::new().await;
    world.fake.answer("check", "broken\n", 3, Duration::ZERO);
    let pod = world
        .apply(one(json!({"livenessProbe": exec("check")})))
        .await;
    world
        .until("restarted", |pod| status(pod, "c").restart_count == 1)
        .await;
    world.fake.answer("check", "", 0, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.delete(30).await;
    world.until_gone().await;
    expect(&world, LIFE, &uid(&pod)).await;
}

fn image(name: &str, image: &str, policy: &str) -> Value {
    json!({"name": name, "image": image, "imagePullPolicy": policy})
}

#[tokio::test(start_paused = true)]
async fn of_failures() {
    let world = World::new().await;
    let exits = Behaviour::Exits {
        after: Duration::from_secs(1),
        code: 1,
    };
    world.fake.script("c", &[exits]);
    let mut list = containers(&["c"]);
    list.push(image("d", "absent", "Never"));
    list.push(image("e", "absent", "IfNotPresent"));
    let mut asked = image("f", "here", "IfNotPresent");
    asked["readinessProbe"] = json!({"httpGet": {"port": "web"}, "periodSeconds": 600});
    list.push(asked);
    list.push(image("g", "remote", "IfNotPresent"));
    let spec = json!({"containers": list, "imagePullSecrets": [{"name": "gone"}]});
    let pod = world.apply(spec).await;
    world
        .until("in back-off", |pod| {
            waits(pod, "c").as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    expect(&world, FAILURES, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_starts_that_are_refused() {
    let world = World::new().await;
    world.fake.script("k", &[Behaviour::FailsToCreate]);
    world.fake.script("l", &[Behaviour::FailsToStart]);
    let mut list = containers(&["i", "j", "k", "l"]);
    let missing = json!({"configMapKeyRef": {"name": "gone", "key": "a"}});
    list[0]["env"] = json!([{"name": "A", "valueFrom": missing}]);
    list[1]["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 0});
    list.push(image("h", "UPPER", "IfNotPresent"));
    let pod = world.apply(json!({ "containers": list })).await;
    world
        .until("tried", |pod| {
            waits(pod, "h").as_deref() == Some("InvalidImageName")
        })
        .await;
    expect(&world, REFUSED_STARTS, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_init_and_ephemeral_containers() {
    let world = World::new().await;
    world.fake.answer("check", "broken\n", 3, Duration::ZERO);
    let mut spec = one(json!({}));
    let mut side = containers(&["s"]).remove(0);
    side["restartPolicy"] = json!("Always");
    side["livenessProbe"] = exec("check");
    spec["initContainers"] = json!([side]);
    spec["ephemeralContainers"] = json!(containers(&["e"]));
    let pod = world.apply(spec).await;
    world
        .until("restarted", |pod| status(pod, "s").restart_count == 1)
        .await;
    expect(&world, SIDECARS, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_start_that_never_ends() {
    let world = World::new().await;
    world.fake.answer("slow", "broken\n", 3, Duration::ZERO);
    let mut spec = one(json!({"startupProbe": exec("slow")}));
    spec["restartPolicy"] = json!("Never");
    let pod = world.apply(spec).await;
    world.until("runs", |pod| runs(pod, "c")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let late = Duration::from_secs(60);
    world.fake.answer("slow", "", 0, late);
    world.until("killed", |pod| phase(pod) == "Failed").await;
    expect(&world, STARTUP, &uid(&pod)).await;
}

#[tokio::test(start_paused = true)]
async fn of_hooks_that_fail() {
    let world = World::new().await;
    // No command can be run here.
    let hook = json!({"exec": {"command": ["hook"]}});
    let pod = world
        .apply(one(
            json!({"lifecycle": {"postStart": hook, "preStop": hook}}),
        ))
        .await;
    world
        .until("failed", |pod| {
            waits(pod, "c").as_deref() == Some("PostStartHookError")
        })
        .await;
    expect(&world, HOOKS, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

/// A server that speaks no TLS, and sends whoever asks for `/away` to another host.
async fn server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let answer = if request.starts_with("GET /away") {
                "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 7\r\n\r\ngo away"
            } else if request.starts_with("GET ") {
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            } else {
                "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

/// On the real clock: the server is a real one.
#[tokio::test]
async fn of_hooks_and_probes_over_http() {
    let port = server().await;
    let world = World::new().await;
    let at = |path: &str, scheme: &str| json!({"host": "127.0.0.1", "port": port, "path": path, "scheme": scheme});
    let pod = world
        .apply(one(json!({
            "lifecycle": {"postStart": {"httpGet": at("/", "HTTPS")}},
            "readinessProbe": {"httpGet": at("/away", "HTTP"), "periodSeconds": 1},
        })))
        .await;
    world.until("ready", ready).await;
    check(SERVERS, &uid(&pod), port, &told(&world).await);
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_sandboxes() {
    let world = World::new().await;
    world.fake.refuse_cgroup();
    let pod = world.apply(one(json!({}))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.fake.refuse_sandboxes(1);
    world.until("runs", |pod| runs(pod, "c")).await;
    world.fake.fail("look", 1);
    world.fake.kill_pause();
    world
        .until("runs anew", |pod| {
            runs(pod, "c") && status(pod, "c").restart_count == 1
        })
        .await;
    world.fake.fail("stop", 1);
    world.delete(1).await;
    world.until_gone().await;
    expect(&world, SANDBOXES, &uid(&pod)).await;
}

#[tokio::test(start_paused = true)]
async fn of_directories_that_cannot_be_made() {
    let world = World::new().await;
    let pods = world.directory.path().join("state/pods");
    if pods.exists() {
        std::fs::remove_dir(&pods).unwrap();
    }
    std::fs::write(&pods, "in the way").unwrap();
    let pod = world.apply(one(json!({}))).await;
    world
        .until("begun", |pod| {
            pod.status
                .as_ref()
                .is_some_and(|status| status.start_time.is_some())
        })
        .await;
    expect(&world, DIRECTORIES, &uid(&pod)).await;
    std::fs::remove_file(&pods).unwrap();
    world.until("runs", |pod| runs(pod, "c")).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_mounts() {
    let world = World::new().await;
    let mut spec = one(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "gone"}}]);
    let pod = world.apply(spec).await;
    tokio::time::sleep(Duration::from_secs(400)).await;
    expect(&world, MOUNTS, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_devices() {
    let world = World::new().await;
    let mode = json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"});
    let mut disk = json!({"metadata": {"name": "disk"}, "spec": mode});
    disk["spec"]["capacity"] = json!({"storage": "1Gi"});
    disk["spec"]["local"] = json!({"path": "/"});
    let mut claim = json!({"metadata": {"name": "c", "namespace": "default"}, "spec": mode});
    claim["spec"]["resources"] = json!({"requests": {"storage": "1Gi"}});
    for (kind, value) in [
        (Kind::PersistentVolume, disk),
        (Kind::PersistentVolumeClaim, claim),
    ] {
        let object = Object::from_value(kind, value).unwrap();
        world.spec.create(Admitted::for_test(object)).await.unwrap();
    }
    let mut spec = one(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]}));
    spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
    let pod = world.apply(spec).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    expect(&world, DEVICES, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_names() {
    let world = World::new().await;
    let mut spec = one(json!({}));
    spec["dnsPolicy"] = json!("None");
    spec["dnsConfig"] =
        json!({"nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]});
    let pod = world.apply(spec).await;
    world.until("runs", |pod| runs(pod, "c")).await;
    expect(&world, NAMES, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_the_deadline() {
    let world = World::new().await;
    let mut spec = one(json!({}));
    spec["activeDeadlineSeconds"] = json!(30);
    let pod = world.apply(spec).await;
    world.until("failed", |pod| phase(pod) == "Failed").await;
    expect(&world, DEADLINE, &uid(&pod)).await;
}

#[tokio::test(start_paused = true)]
async fn of_an_eviction_that_takes_its_time() {
    let world = World::new().await;
    world
        .fake
        .script("c", &[Behaviour::Lingers(Duration::from_secs(25))]);
    let mut spec = one(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    spec["volumes"] = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]);
    let pod = world.apply(spec).await;
    world.until("runs", |pod| runs(pod, "c")).await;
    let volume = format!("state/pods/{}/volumes/kubernetes.io~empty-dir/v", uid(&pod));
    let file = world.directory.path().join(volume).join("big");
    std::fs::write(file, vec![1; 2 << 20]).unwrap();
    let pod = world.until("failed", |pod| phase(pod) == "Failed").await;
    expect(&world, EVICTION, &uid(&pod)).await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
    assert_eq!(status.message.as_deref(), Some(EVICTION[0].text));
}

#[tokio::test(start_paused = true)]
async fn of_a_pod_that_finds_no_place() {
    let world = World::new().await;
    let resources =
        json!({"requests": {"example.com/foo": "2"}, "limits": {"example.com/foo": "2"}});
    let pod = world.apply(one(json!({ "resources": resources }))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    expect(&world, UNFIT, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

/// A pod that names the node and is turned away there, with exactly this row.
async fn check_rejected(mut spec: Value, row: &Row, taint: bool) {
    let world = World::new().await;
    let (nodes, _) = world.store.list::<Node>(None);
    if taint {
        let mut node = Node::clone(&nodes[0]);
        let taints = &mut node.spec.get_or_insert_default().taints;
        taints.get_or_insert_default().push(Taint {
            key: "k".to_owned(),
            effect: "NoExecute".to_owned(),
            ..Taint::default()
        });
        let node = Object::Node(Arc::new(node));
        world.spec.update(Admitted::for_test(node)).await.unwrap();
    }
    spec["nodeName"] = json!(nodes[0].metadata.name);
    if row.reason == "NodePorts" {
        let mut first = spec.clone();
        first["terminationGracePeriodSeconds"] = json!(1);
        world.apply_named("first", first).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let pod = world.apply(spec).await;
    let failed = world.until("failed", |pod| phase(pod) == "Failed").await;
    expect(&world, std::slice::from_ref(row), &uid(&pod)).await;
    let status = failed.status.as_ref().unwrap();
    assert_eq!(status.reason.as_deref(), Some(row.reason));
    let message = status.message.clone().unwrap();
    let start = format!("Pod was rejected: {}", row.text.trim_end_matches('…'));
    assert!(message.starts_with(&start), "{message}");
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn of_pods_that_are_turned_away() {
    let foo = json!({"requests": {"example.com/foo": "2"}, "limits": {"example.com/foo": "2"}});
    let mut selected = one(json!({}));
    selected["nodeSelector"] = json!({"disk": "ssd"});
    let mut sysctl = one(json!({}));
    sysctl["securityContext"] = json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]});
    let mut windows = one(json!({}));
    windows["os"] = json!({"name": "windows"});
    let specs = [
        one(json!({"resources": {"requests": {"cpu": "100k"}}})),
        one(json!({ "resources": foo })),
        selected,
        one(json!({})),
        sysctl,
        one(json!({"ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]})),
        windows,
    ];
    assert_eq!(specs.len(), REJECTIONS.len());
    for (spec, row) in specs.into_iter().zip(REJECTIONS) {
        check_rejected(spec, row, row.reason == "TaintToleration").await;
    }
}

fn asking(cpu: &str, memory: &str, limit: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}})
}

async fn resize(world: &World, resources: Value) {
    let mut pod = Pod::clone(&world.pod().unwrap());
    let container = &mut pod.spec.as_mut().unwrap().containers[0];
    container.resources = serde_json::from_value(resources).unwrap();
    let generation = pod.metadata.generation.unwrap_or(1);
    pod.metadata.generation = Some(generation + 1);
    let object = Object::Pod(Arc::new(pod));
    world.spec.update(Admitted::for_test(object)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
}

#[tokio::test(start_paused = true)]
async fn of_resizes() {
    let world = World::new().await;
    let pod = world
        .apply(one(json!({"resources": asking("10m", "64Mi", "128Mi")})))
        .await;
    world.until("runs", |pod| runs(pod, "c")).await;
    resize(&world, asking("20m", "64Mi", "128Mi")).await;
    resize(&world, asking("100k", "64Mi", "128Mi")).await;
    let (nodes, _) = world.store.list::<Node>(None);
    let allocatable = nodes[0]
        .status
        .as_ref()
        .unwrap()
        .allocatable
        .clone()
        .unwrap();
    let cores: i64 = allocatable["cpu"].0.parse().unwrap();
    let rest = format!("{}m", cores * 1000 - 500);
    let other = one(json!({"resources": {"requests": {"cpu": rest}}}));
    world.apply_named("other", other).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    resize(&world, asking("600m", "64Mi", "128Mi")).await;
    // What runs has a mebibyte in use.
    resize(&world, asking("20m", "64Ki", "512Ki")).await;
    expect(&world, RESIZES, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

/// All CPUs of the node but a few thousandths.
fn nearly_all(world: &World) -> Value {
    let node = world.store.get::<Node>("", "node").unwrap();
    let cpus = node.status.as_ref().unwrap().allocatable.as_ref().unwrap()["cpu"]
        .0
        .clone();
    let milli = cpus.parse::<u32>().unwrap() * 1000 - 10;
    json!({"resources": {"requests": {"cpu": format!("{milli}m")}}})
}

async fn until_runs(world: &World, name: &str) -> Arc<Pod> {
    for _ in 0..1000 {
        if let Some(pod) = world.store.get::<Pod>("default", name)
            && phase(&pod) == "Running"
        {
            return pod;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} never runs");
}

fn disruption(pod: &Pod) -> (String, String) {
    let conditions = pod.status.as_ref().unwrap().conditions.iter().flatten();
    let mut found = conditions.filter(|condition| condition.type_ == "DisruptionTarget");
    let found = found.next().expect("the condition is told");
    assert_eq!(found.status, "True");
    (
        found.reason.clone().unwrap(),
        found.message.clone().unwrap(),
    )
}

/// A more important pod sends a less important one away, gracefully, and waits until it is gone.
#[tokio::test(start_paused = true)]
async fn of_preemption() {
    let world = World::new().await;
    world.fake.script("c", &[Behaviour::Ignores]);
    let mut low = one(nearly_all(&world));
    low["terminationGracePeriodSeconds"] = json!(20);
    world.apply_named("low", low.clone()).await;
    until_runs(&world, "low").await;
    // One that may not preempt only waits.
    let mut meek = one(nearly_all(&world));
    meek["priority"] = json!(7);
    meek["preemptionPolicy"] = json!("Never");
    world.apply_named("meek", meek).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut high = one(nearly_all(&world));
    high["priority"] = json!(5);
    high["schedulerName"] = json!("default-scheduler");
    let pod = world.apply(high).await;
    let waiting = world
        .until("is nominated", |pod| {
            let status = pod.status.as_ref();
            status.and_then(|status| status.nominated_node_name.as_deref()) == Some("node")
        })
        .await;
    assert_eq!(phase(&waiting), "Pending");
    let going = world.store.get::<Pod>("default", "low").unwrap();
    assert!(going.metadata.deletion_timestamp.is_some());
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(20));
    let scheduler = "default-scheduler: preempting to accommodate a higher priority pod";
    let expected = ("PreemptionByScheduler".to_owned(), scheduler.to_owned());
    assert_eq!(disruption(&going), expected);
    let before = world.now();
    // The other one is more important, and has the room that it did not ask for.
    let meek = until_runs(&world, "meek").await;
    assert!((15..25).contains(&(world.now() - before)));
    assert_eq!(meek.status.as_ref().unwrap().nominated_node_name, None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let events = world.events().await;
    let last = events
        .iter()
        .rfind(|event| event.0 == "FailedScheduling")
        .unwrap();
    assert!(
        last.1
            .ends_with("1 No preemption victims found for incoming pod."),
        "{last:?}"
    );
    let waiting = world.pod().unwrap();
    assert_eq!(waiting.status.as_ref().unwrap().nominated_node_name, None);
    let meek = Pod::clone(&world.store.get::<Pod>("default", "meek").unwrap());
    let meek = Object::Pod(Arc::new(deleted(meek, world.clock.now())));
    world.spec.update(Admitted::for_test(meek)).await.unwrap();
    until_runs(&world, "p").await;
    expect(&world, PREEMPTION, &uid(&pod)).await;
    world.engine.shut_down(true).await;
}

fn deleted(mut pod: Pod, now: Timestamp) -> Pod {
    pod.metadata.deletion_timestamp = Some(super::super::status::time(now));
    pod.metadata.deletion_grace_period_seconds = Some(1);
    pod
}

/// A critical pod that names the node is let in, and others fail for it.
#[tokio::test(start_paused = true)]
async fn of_critical_pods() {
    let world = World::new().await;
    world.apply_named("low", one(nearly_all(&world))).await;
    until_runs(&world, "low").await;
    let mut critical = one(nearly_all(&world));
    critical["nodeName"] = json!("node");
    let refused = world.apply_named("refused", critical.clone()).await;
    critical["priority"] = json!(2_000_000_000);
    world.apply(critical.clone()).await;
    let pod = until_runs(&world, "p").await;
    let low = world.store.get::<Pod>("default", "low").unwrap();
    let status = low.status.as_ref().unwrap();
    assert_eq!(phase(&low), "Failed");
    assert_eq!(status.reason.as_deref(), Some("Preempting"));
    let text = "Preempted in order to admit critical pod";
    assert_eq!(status.message.as_deref(), Some(text));
    let why = "Pod was preempted by Kubelet to accommodate a critical pod.";
    let expected = ("TerminationByKubelet".to_owned(), why.to_owned());
    assert_eq!(disruption(&low), expected);
    expect(&world, CRITICAL, &uid(&pod)).await;
    // The others are as they would be without it.
    let refused = world
        .store
        .get::<Pod>("default", refused.metadata.name.as_ref().unwrap())
        .unwrap();
    let reason = refused.status.as_ref().unwrap().reason.as_deref();
    assert_eq!(reason, Some("OutOfcpu"));
    // No room is to be had of its like.
    let second = world.apply_named("second", critical).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = world
        .store
        .get::<Pod>("default", second.metadata.name.as_ref().unwrap())
        .unwrap();
    let status = second.status.as_ref().unwrap();
    assert_eq!(status.reason.as_deref(), Some("UnexpectedAdmissionError"));
    let text = "Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: error finding a set of \
                pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: ";
    let message = status.message.as_deref().unwrap();
    assert!(message.starts_with(text), "{message}");
    world.engine.shut_down(true).await;
}
