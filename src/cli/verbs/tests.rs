//! Whole command lines against the real store and admission, with an engine that only plays sessions.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use serde_json::json;

use crate::cli::arguments::Arguments;
use crate::cli::connect::Connector;
use crate::cli::console::Console;
use crate::cli::context::Context;
use crate::cli::run::dispatch;
use crate::client::Client;
use crate::client::fixture::{Fixture, config_map, pod};
use crate::config::{Overrides, Settings};
use crate::model::{Kind, ObjectKey};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Debug, PartialEq)]
struct Ran {
    out: String,
    err: String,
    code: u8,
}

struct Shell {
    fixture: Fixture,
}

impl Shell {
    fn new() -> Self {
        Self {
            fixture: Fixture::new(),
        }
    }

    async fn run(&self, words: &[&str]) -> Ran {
        self.run_with_input(words, "").await
    }

    async fn run_with_input(&self, words: &[&str], input: &str) -> Ran {
        let arguments = Arguments::try_parse_from(std::iter::once(&"podtui").chain(words)).unwrap();
        let directory = self.fixture.directory.path();
        let overrides = Overrides {
            state_dir: Some(directory.join("state")),
            run_dir: Some(directory.join("run")),
            config_dir: Some(directory.join("config")),
            ..Overrides::default()
        };
        let settings = Settings::load(&overrides).unwrap().settings;
        let (out, err) = (Buffer::default(), Buffer::default());
        let input = Box::new(io::Cursor::new(input.as_bytes().to_vec()));
        let console = Console::for_test(input, Box::new(out.clone()), Box::new(err.clone()));
        let client: Arc<dyn Client> = Arc::new(self.fixture.client.clone());
        let connector = Connector::new(move || {
            let client = client.clone();
            Box::pin(async move { Ok(client) })
        });
        let mut context = Context::new(settings, console, arguments.global.namespace, connector);
        let result = dispatch(&mut context, arguments.command.unwrap()).await;
        let code = match result {
            Ok(()) => 0,
            Err(failure) => {
                failure.report(&mut context.console);
                failure.exit_code()
            }
        };
        Ran {
            out: out.text(),
            err: err.text(),
            code,
        }
    }

    /// Writes a manifest and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.fixture.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[track_caller]
fn check(ran: &Ran, code: u8, out: &str, err: &str) {
    let expected = Ran {
        out: out.to_owned(),
        err: err.to_owned(),
        code,
    };
    assert_eq!(
        *ran, expected,
        "\n--- out\n{}\n--- err\n{}",
        ran.out, ran.err
    );
}

const WEB: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: main
    image: localhost/toolbox:latest
";

#[tokio::test]
async fn version_tells_of_both_sides() {
    let shell = Shell::new();
    let own = env!("CARGO_PKG_VERSION");
    let ran = shell.run(&["version", "--client"]).await;
    check(&ran, 0, &format!("Client Version: v{own}\n"), "");
    let ran = shell.run(&["version"]).await;
    assert!(ran.out.contains("\nEngine Version: v"), "{}", ran.out);
    let ran = shell.run(&["version", "-o", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["clientVersion"]["gitVersion"], format!("v{own}"));
    assert!(json["serverVersion"]["gitVersion"].is_string());
    let ran = shell.run(&["version", "--client", "-o", "yaml"]).await;
    check(
        &ran,
        0,
        &format!("clientVersion:\n  gitVersion: v{own}\n"),
        "",
    );
}

#[tokio::test]
async fn apply_creates_configures_and_leaves_alone() {
    let shell = Shell::new();
    let file = shell.file("web.yaml", WEB);
    check(
        &shell.run(&["apply", "-f", &file]).await,
        0,
        "pod/web created\n",
        "",
    );
    check(
        &shell.run(&["apply", "-f", &file]).await,
        0,
        "pod/web unchanged\n",
        "",
    );
    shell.file(
        "web.yaml",
        &WEB.replace("  name: web\n", "  name: web\n  labels: {a: b}\n"),
    );
    check(
        &shell.run(&["apply", "-f", &file, "--dry-run=server"]).await,
        0,
        "pod/web configured (server dry run)\n",
        "",
    );
    check(
        &shell.run(&["apply", "-f", &file]).await,
        0,
        "pod/web configured\n",
        "",
    );
    check(
        &shell
            .run(&["get", "pod", "web", "-o", "jsonpath={.metadata.labels}"])
            .await,
        0,
        "{\"a\":\"b\"}",
        "",
    );
    // What the manifest had and has no more is taken away.
    shell.file("web.yaml", WEB);
    check(
        &shell.run(&["apply", "-f", &file]).await,
        0,
        "pod/web configured\n",
        "",
    );
    check(
        &shell
            .run(&["get", "pod", "web", "-o", "jsonpath={.metadata.labels}"])
            .await,
        0,
        "",
        "",
    );
}

#[tokio::test]
async fn apply_takes_up_objects_that_create_made() {
    let shell = Shell::new();
    let ran = shell.run_with_input(&["create", "-f", "-"], WEB).await;
    check(&ran, 0, "pod/web created\n", "");
    let ran = shell.run_with_input(&["apply", "-f", "-"], WEB).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "pod/web configured\n"));
    assert!(
        ran.err.starts_with(
            "Warning: resource pods/web is missing the kubectl.kubernetes.io/last-applied"
        ),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn every_mistake_has_a_place_and_nothing_is_created() {
    let shell = Shell::new();
    let good = shell.file("a.yaml", &WEB.replace("web", "good"));
    let unknown = shell.file(
        "b.yaml",
        &WEB.replace("    image:", "    imgae: x\n    image:"),
    );
    let ran = shell.run(&["apply", "-f", &good, "-f", &unknown]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err
            .contains("strict decoding error: unknown field \"spec.containers[0].imgae\""),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(&format!("{unknown}:8:5: unknown field")),
        "{}",
        ran.err
    );
    check(
        &shell.run(&["get", "pods"]).await,
        0,
        "",
        "No resources found in default namespace.\n",
    );

    let invalid = shell.file(
        "c.yaml",
        &format!("{WEB}  - name: main\n    image: x\n  - name: other\n"),
    );
    let ran = shell.run(&["create", "-f", &invalid]).await;
    let expected = format!(
        "The Pod \"web\" is invalid: \n\
         * spec.containers[1].name: Duplicate value: \"main\"\n\
         * spec.containers[2].image: Required value\n\
         {invalid}:9:5: spec.containers[1].name: Duplicate value: \"main\"\n\
         {invalid}:11:5: spec.containers[2].image: Required value\n"
    );
    check(&ran, 1, "", &expected);
    let several = shell.file(
        "d.yaml",
        &WEB.replace(
            "    image:",
            "    command: 5\n    tty: 3\n    imgae: x\n    image:",
        ),
    );
    let ran = shell.run(&["apply", "-f", &several]).await;
    let places: Vec<&str> = ran.err.lines().skip(1).collect();
    assert_eq!(places.len(), 3, "{}", ran.err);
    let begins = |line: usize, text: &str| {
        let expected = format!("{several}:{text}");
        assert!(
            places[line].starts_with(&expected),
            "{expected} in {}",
            ran.err
        );
    };
    begins(
        0,
        "8:5: spec.containers[0].command: json: cannot unmarshal number",
    );
    begins(
        1,
        "9:5: spec.containers[0].tty: json: cannot unmarshal number",
    );
    begins(2, "10:5: unknown field \"spec.containers[0].imgae\"");
    // A wrong element is told once, and what comes after it as well.
    let elements = shell.file(
        "e.yaml",
        &WEB.replace("    image:", "    args: [1, x, 2]\n    tty: 3\n    image:"),
    );
    let ran = shell.run(&["apply", "-f", &elements]).await;
    let places: Vec<&str> = ran.err.lines().skip(1).collect();
    assert_eq!(places.len(), 3, "{}", ran.err);
    for (place, text) in places.iter().zip(["args[0]: ", "args[2]: ", "tty: "]) {
        assert!(
            place.contains(text) && place.contains("number"),
            "{}",
            ran.err
        );
    }
    check(
        &shell.run(&["apply", "-f", "/nowhere.yaml"]).await,
        1,
        "",
        "error: the path \"/nowhere.yaml\" does not exist\n",
    );
}

#[tokio::test]
async fn a_mistake_is_said_once_and_where_it_is() {
    let shell = Shell::new();
    let quantity = shell.file(
        "a.yaml",
        &format!("{WEB}    resources: {{limits: {{memory: 1Q}}}}\n"),
    );
    let ran = shell.run(&["apply", "-f", &quantity]).await;
    let lines: Vec<&str> = ran.err.lines().collect();
    let place = format!("{quantity}:9:26: spec.containers[0].resources.limits.memory: quantities");
    assert_eq!(lines.len(), 2, "{}", ran.err);
    assert!(lines[1].starts_with(&place), "{}", ran.err);
    assert_eq!(
        ran.err.matches("regular expression").count(),
        2,
        "{}",
        ran.err
    );

    let web = shell.file("b.yaml", &format!("{WEB}    command: [a]\n"));
    shell.run(&["apply", "-f", &web]).await;
    let web = shell.file("b.yaml", &format!("{WEB}    command: [b]\n"));
    let ran = shell.run(&["apply", "-f", &web]).await;
    let last = format!(
        "{web}:9:15: spec.containers[0].command[0]: cannot be changed while the object exists; `podtui replace --force -f \
         {web}` deletes and recreates it"
    );
    assert_eq!(ran.err.lines().last(), Some(last.as_str()), "{}", ran.err);
    assert_eq!(ran.err.matches("Forbidden").count(), 1, "{}", ran.err);
}

#[tokio::test]
async fn get_prints_tables_and_formats() {
    let shell = Shell::new();
    for name in ["one", "two"] {
        shell.fixture.create(pod(name)).await;
    }
    shell.fixture.create(config_map("settings", "v")).await;
    let ran = shell
        .run(&[
            "get",
            "po",
            "--no-headers",
            "-o",
            "custom-columns=N:.metadata.name,P:.status.phase",
        ])
        .await;
    check(&ran, 0, "one   Pending\ntwo   Pending\n", "");
    let ran = shell.run(&["get", "pods,cm", "-o", "name"]).await;
    check(&ran, 0, "pod/one\npod/two\nconfigmap/settings\n", "");
    let ran = shell.run(&["get", "pods,cm"]).await;
    assert!(
        ran.out.starts_with(
            "NAME      READY   STATUS    RESTARTS   AGE\npod/one   0/1     Pending   0          "
        ),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("\n\nNAME                 DATA   AGE\nconfigmap/settings   1      "),
        "{}",
        ran.out
    );
    let ran = shell
        .run(&["get", "pod", "one", "missing", "-o", "name"])
        .await;
    check(
        &ran,
        1,
        "pod/one\n",
        "Error from server (NotFound): pods \"missing\" not found\n",
    );
    let ran = shell
        .run(&["get", "pod", "missing", "--ignore-not-found"])
        .await;
    check(&ran, 0, "", "");
    let ran = shell
        .run(&[
            "get",
            "pods",
            "-l",
            "app=two",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ])
        .await;
    check(&ran, 0, "two", "");
    let ran = shell
        .run(&[
            "get",
            "pods",
            "--sort-by",
            ".metadata.name",
            "--show-labels",
            "-A",
        ])
        .await;
    assert!(
        ran.out
            .starts_with("NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("   app=one\n"), "{}", ran.out);
    let ran = shell.run(&["get", "widgets"]).await;
    check(
        &ran,
        1,
        "",
        "error: the server doesn't have a resource type \"widgets\"\n",
    );
    let ran = shell.run(&["get", "cm", "settings", "-o", "json"]).await;
    assert!(
        ran.out.starts_with("{\n    \"apiVersion\": \"v1\",\n"),
        "{}",
        ran.out
    );
    let ran = shell.run(&["get", "pods", "-n", "other"]).await;
    check(&ran, 0, "", "No resources found in other namespace.\n");
}

#[tokio::test]
async fn describe_finds_prefixes_and_shows_events() {
    let shell = Shell::new();
    let web = shell.fixture.create(pod("web-1")).await;
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web-1.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "web-1", "namespace": "default", "uid": web.uid().as_str()},
        "type": "Normal", "reason": "Started", "message": "Container started", "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1});
    shell.fixture.create(event).await;
    // Events are those of one object that was asked for by its name, unless the flag says otherwise.
    let ran = shell.run(&["describe", "pod", "web"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out
            .starts_with("Name:             web-1\nNamespace:        default\n"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("Events:"), "{}", ran.out);
    let told = "Events:\n  Type    Reason   Age";
    let alone = ["describe", "pod", "web-1"];
    for words in [
        &alone[..],
        &["describe", "pods"],
        &["describe", "pod", "web", "--show-events"],
    ] {
        let ran = shell.run(words).await;
        assert!(ran.out.contains(told), "{words:?}: {}", ran.out);
    }
    let ran = shell
        .run(&[&alone[..], &["--show-events=false"]].concat())
        .await;
    assert!(!ran.out.contains("Events:"), "{}", ran.out);
    shell.fixture.create(pod("web-2")).await;
    let ran = shell.run(&["describe", "pod", "web-1", "web-2"]).await;
    assert!(!ran.out.contains("Events:"), "{}", ran.out);
    let ran = shell.run(&["describe", "pod", "nothing"]).await;
    check(
        &ran,
        1,
        "",
        "Error from server (NotFound): pods \"nothing\" not found\n",
    );
    let ran = shell
        .run(&["events", "--for", "pod/web-1", "--no-headers"])
        .await;
    assert!(
        ran.out
            .ends_with("Normal   Started   Pod/web-1   Container started\n"),
        "{}",
        ran.out
    );
    let ran = shell.run(&["events", "--types", "Warning"]).await;
    check(&ran, 0, "", "No events found in default namespace.\n");
}

#[tokio::test]
async fn delete_says_what_it_deleted() {
    let shell = Shell::new();
    for name in ["a", "b", "c"] {
        shell.fixture.create(pod(name)).await;
    }
    let ran = shell.run(&["delete", "pod", "a", "nobody"]).await;
    check(
        &ran,
        1,
        "pod \"a\" deleted from default namespace\n",
        "Error from server (NotFound): pods \"nobody\" not found\n",
    );
    let ran = shell.run(&["delete", "pod/b", "--force"]).await;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "pod \"b\" force deleted from default namespace\n")
    );
    assert!(
        ran.err
            .starts_with("Warning: Immediate deletion does not wait for confirmation"),
        "{}",
        ran.err
    );
    let ran = shell.run(&["delete", "pods", "--all", "-o", "name"]).await;
    check(&ran, 0, "pod/c\n", "");
    let ran = shell
        .run(&["delete", "pod", "x", "--ignore-not-found"])
        .await;
    check(&ran, 0, "", "");
    let ran = shell
        .run(&["delete", "pod", "x", "--force", "--grace-period=5"])
        .await;
    check(
        &ran,
        1,
        "",
        "error: --force and --grace-period greater than 0 cannot be specified together\n",
    );
    let ran = shell.run(&["delete", "pod", "x", "--force", "--now"]).await;
    check(
        &ran,
        1,
        "",
        "error: --force and --grace-period greater than 0 cannot be specified together\n",
    );
    let ran = shell.run(&["delete", "pods"]).await;
    check(
        &ran,
        1,
        "",
        "error: resource(s) were provided, but no name was specified\n",
    );
}

#[tokio::test]
async fn delete_of_a_running_pod_waits_until_it_is_gone_or_the_time_is_up() {
    let shell = Shell::new();
    let web = shell.fixture.create(pod("web")).await;
    shell.fixture.run(&web).await;
    let ran = shell.run(&["delete", "pod", "web", "--timeout=20ms"]).await;
    check(
        &ran,
        1,
        "pod \"web\" deleted from default namespace\n",
        "error: timed out waiting for the condition on pods/web\n",
    );
}

#[tokio::test]
async fn exec_passes_streams_and_exit_codes_through() {
    let shell = Shell::new();
    let web = shell.fixture.create(pod("web")).await;
    shell.fixture.run(&web).await;
    let ran = shell
        .run_with_input(&["exec", "-i", "web", "--", "cat"], "some\ninput")
        .await;
    check(&ran, 0, "some\ninput", "end of input");
    let ran = shell.run(&["exec", "web", "--", "exit", "3"]).await;
    check(&ran, 3, "", "command terminated with exit code 3\n");
    let ran = shell.run(&["exec", "web"]).await;
    check(
        &ran,
        1,
        "",
        "error: you must specify at least one command for the container\n",
    );
    let ran = shell
        .run(&["exec", "pod/web", "-c", "nope", "--", "true"])
        .await;
    check(&ran, 1, "", "error: container nope not found in pod web\n");
    let ran = shell.run(&["exec", "web", "--", "flood", "300"]).await;
    assert_eq!((ran.code, ran.out.len()), (0, 300 * 1024));
    let ran = shell.run(&["exec", "-it", "web", "--", "exit", "0"]).await;
    check(
        &ran,
        0,
        "",
        "Unable to use a TTY - input is not a terminal or the right kind of file\n",
    );
    shell
        .fixture
        .set_phase(&ObjectKey::pod("default", "web"), "Succeeded")
        .await;
    let ran = shell.run(&["exec", "web", "--", "true"]).await;
    check(
        &ran,
        1,
        "",
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n",
    );
}

#[tokio::test]
async fn wait_sees_conditions_paths_and_deletion() {
    let shell = Shell::new();
    let web = shell.fixture.create(pod("web")).await;
    let ran = shell
        .run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=20ms"])
        .await;
    check(
        &ran,
        1,
        "",
        "error: timed out waiting for the condition on pods/web\n",
    );
    let waiting = shell.run(&["wait", "pod/web", "--for=jsonpath={.status.phase}=Running"]);
    let (ran, ()) = tokio::join!(waiting, shell.fixture.run(&web));
    check(&ran, 0, "pod/web condition met\n", "");
    let ran = shell.run(&["wait", "pod/gone", "--for=delete"]).await;
    check(&ran, 0, "", "");
    let ran = shell
        .run(&["wait", "pod/gone", "--for=condition=Ready"])
        .await;
    check(
        &ran,
        1,
        "",
        "Error from server (NotFound): pods \"gone\" not found\n",
    );
    let ran = shell.run(&["wait", "pod/web", "--for=nonsense"]).await;
    check(&ran, 1, "", "error: unrecognized condition: \"nonsense\"\n");
}

#[tokio::test]
async fn run_makes_a_pod_of_its_flags() {
    let shell = Shell::new();
    let words = [
        "run",
        "p",
        "--image=i",
        "--env=K=V",
        "--port=80",
        "--restart=Never",
        "--dry-run=client",
        "-o",
        "jsonpath={.metadata.labels} {.spec}",
        "--",
        "sh",
        "-c",
        "x",
    ];
    let expected = concat!(
        r#"{"run":"p"} {"containers":[{"args":["sh","-c","x"],"env":[{"name":"K","value":"V"}],"image":"i","name":"p","#,
        r#""ports":[{"containerPort":80}],"resources":{}}],"dnsPolicy":"ClusterFirst","restartPolicy":"Never"}"#
    );
    check(&shell.run(&words).await, 0, expected, "");
    check(
        &shell.run(&["run", "p", "--image=Bad Image"]).await,
        1,
        "",
        "error: Invalid image name \"Bad Image\": invalid reference format\n",
    );
    check(
        &shell.run(&["run", "p", "--image=i"]).await,
        0,
        "pod/p created\n",
        "",
    );
    let ran = shell.run(&["run", "p", "--image=i"]).await;
    check(
        &ran,
        1,
        "",
        "Error from server (AlreadyExists): pods \"p\" already exists\n",
    );
    let ran = shell.run(&["run", "q", "--image=i", "--rm"]).await;
    check(
        &ran,
        1,
        "",
        "error: --rm should only be used for attached containers\n",
    );
}

#[tokio::test]
async fn create_makes_config_maps_and_secrets() {
    let shell = Shell::new();
    let file = shell.file("f.txt", "text");
    let ran = shell
        .run(&[
            "create",
            "configmap",
            "c",
            "--from-literal=a=1",
            &format!("--from-file={file}"),
        ])
        .await;
    check(&ran, 0, "configmap/c created\n", "");
    check(
        &shell
            .run(&["get", "cm", "c", "-o", "jsonpath={.data}"])
            .await,
        0,
        "{\"a\":\"1\",\"f.txt\":\"text\"}",
        "",
    );
    let ran = shell
        .run(&["create", "secret", "generic", "s", "--from-literal=k=v"])
        .await;
    check(&ran, 0, "secret/s created\n", "");
    check(
        &shell
            .run(&["get", "secret", "s", "-o", "jsonpath={.type} {.data.k}"])
            .await,
        0,
        "Opaque dg==",
        "",
    );
    check(
        &shell.run(&["create", "ns", "extra"]).await,
        0,
        "namespace/extra created\n",
        "",
    );
}

#[tokio::test]
async fn labels_and_annotations_change() {
    let shell = Shell::new();
    shell.fixture.create(pod("web")).await;
    check(
        &shell.run(&["label", "pod", "web", "tier=front"]).await,
        0,
        "pod/web labeled\n",
        "",
    );
    let ran = shell.run(&["label", "pod", "web", "tier=back"]).await;
    check(
        &ran,
        1,
        "",
        "error: 'tier' already has a value (front), and --overwrite is false\n",
    );
    check(
        &shell.run(&["label", "pod/web", "tier-"]).await,
        0,
        "pod/web unlabeled\n",
        "",
    );
    check(
        &shell.run(&["label", "pod/web", "tier-"]).await,
        0,
        "pod/web not labeled\n",
        "label \"tier\" not found.\n",
    );
    check(
        &shell.run(&["annotate", "pod/web", "note=x"]).await,
        0,
        "pod/web annotated\n",
        "",
    );
    let key = ObjectKey::new(Kind::Pod, "default", "web");
    let object = shell.fixture.client.get(&key).await.unwrap();
    assert!(!object.meta().labels.as_ref().unwrap().contains_key("tier"));
    assert_eq!(object.meta().annotations.as_ref().unwrap()["note"], "x");
}

#[tokio::test]
async fn top_images_and_engine() {
    let shell = Shell::new();
    let ran = shell.run(&["top", "pod"]).await;
    check(
        &ran,
        0,
        "NAME   CPU(cores)   MEMORY(bytes)\nweb    2m           5Mi\n",
        "",
    );
    let ran = shell.run(&["top", "pod", "nope"]).await;
    check(
        &ran,
        1,
        "",
        "Error from server (NotFound): pods \"nope\" not found\n",
    );
    let ran = shell.run(&["image", "ls"]).await;
    check(
        &ran,
        0,
        "REPOSITORY          TAG      IMAGE ID   CREATED     SIZE\nlocalhost/toolbox   latest   00         <unknown>   42B\n",
        "",
    );
    let ran = shell.run(&["image", "pull", "nginx"]).await;
    check(&ran, 0, "Pulled image: docker.io/library/nginx\n", "");
    let ran = shell.run(&["image", "pull", "-q", "nginx"]).await;
    check(&ran, 0, "docker.io/library/nginx\n", "");
    let ran = shell.run(&["image", "prune", "--all"]).await;
    let pruned = "Untagged: all=true\nTotal reclaimed space: 1.50kB\n";
    check(&ran, 0, pruned, "");
    let ran = shell.run(&["system", "df"]).await;
    let table = "TYPE     TOTAL   ACTIVE   SIZE     RECLAIMABLE\nImages   2       1        3.00kB   1.00kB\n";
    check(&ran, 0, table, "");
    let ran = shell
        .run(&[
            "image",
            "inspect",
            "toolbox",
            "-o",
            "jsonpath={.items[0].id}",
        ])
        .await;
    check(&ran, 0, "sha256:00", "");
    let ran = shell.run(&["completion", "bash"]).await;
    assert!(ran.out.contains("_podtui"), "{}", ran.out);
}

/// Texts of kubectl v1.36.4 for the same files.
#[tokio::test]
async fn unusable_manifests_are_told_as_by_kubectl() {
    #[track_caller]
    fn headline(ran: &Ran, expected: &str) {
        assert_eq!(ran.code, 1);
        let found = ran.err.lines().find(|line| !line.starts_with("Warning:"));
        assert_eq!(found, Some(expected), "{}", ran.err);
    }
    let shell = Shell::new();
    let file = shell.file("a.yaml", "---\n# nothing\n---\n");
    for verb in ["apply", "create", "replace"] {
        let ran = shell.run(&[verb, "-f", &file]).await;
        headline(&ran, &format!("error: no objects passed to {verb}"));
    }
    let refused = async |text: &str, expected: &str| {
        let file = shell.file("a.yaml", text);
        let ran = shell.run(&["apply", "-f", &file]).await;
        headline(&ran, &expected.replace("FILE", &file));
    };
    let off = "if you choose to ignore these errors, turn validation off with --validate=false";
    refused(
        "kind: Pod\n",
        &format!(
            "error: error validating \"FILE\": error validating data: apiVersion not set; {off}"
        ),
    )
    .await;
    let handled = "Error from server (BadRequest): error when creating \"FILE\": Pod in version \"v1\" cannot be handled as a Pod: ";
    // Fields are sent in the order of their names, and the first mistake is told alone.
    refused(
        &format!("{WEB}    tty: 3\n    command: 5\n    imgae: x\n"),
        &format!(
            "{handled}json: cannot unmarshal number into Go struct field Container.spec.containers.command of type []string"
        ),
    )
    .await;
    refused(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: 1}}\nspec: 5\n",
        "error: unable to decode \"FILE\": json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    )
    .await;
    refused(
        "apiVersion: v1\nkind: Pod\nmetadata: [a]\n",
        "error: unable to decode \"FILE\": json: cannot unmarshal array into Go struct field metadataOnlyObject.metadata of type \
         v1.ObjectMeta",
    )
    .await;
    refused(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [null]}\n",
        "The Pod \"a\" is invalid: ",
    )
    .await;
}

#[tokio::test]
async fn a_name_that_cannot_be_asked_for_is_told_with_the_request() {
    let shell = Shell::new();
    for (kind, name, problem) in [
        ("v1/Pod", "", "resource name may not be empty"),
        (
            "v1/Pod",
            "a/b%c",
            "invalid resource name \"a/b%c\": [may not contain '/' may not contain '%']",
        ),
        (
            "v1/Namespace",
            "..",
            "invalid resource name \"..\": [may not be '..']",
        ),
    ] {
        let (version, kind) = kind.split_once('/').unwrap();
        let file = shell.file(
            "a.yaml",
            &format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name:?}}}\n"),
        );
        let (resource, namespace) = match kind {
            "Pod" => ("pods", "default"),
            _ => ("namespaces", ""),
        };
        let expected = format!(
            "error: error when retrieving current configuration of:\n\
             Resource: \"/v1, Resource={resource}\", GroupVersionKind: \"/v1, Kind={kind}\"\n\
             Name: {name:?}, Namespace: {namespace:?}\n\
             from server for: {file:?}: {problem}\n"
        );
        check(&shell.run(&["apply", "-f", &file]).await, 1, "", &expected);
    }
}

#[tokio::test]
async fn several_refusals_are_told_one_by_one() {
    let shell = Shell::new();
    let bad = WEB.replace("    image: localhost/toolbox:latest\n", "");
    let file = shell.file(
        "a.yaml",
        &format!("{bad}---\n{}", bad.replace("web", "two")),
    );
    for verb in ["apply", "create"] {
        let ran = shell.run(&[verb, "-f", &file]).await;
        let headlines: Vec<&str> = ran
            .err
            .lines()
            .filter(|line| !line.starts_with(&file))
            .collect();
        let expected = |name: &str| {
            format!(
                "Error from server (Invalid): error when creating \"{file}\": Pod \"{name}\" is invalid: \
                 spec.containers[0].image: Required value"
            )
        };
        assert_eq!(headlines, [expected("web"), expected("two")]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    }
}

/// `get -o yaml`, delete, apply: the version in the export is not in the way, as with kubectl.
#[tokio::test]
async fn an_export_can_be_created_again() {
    let shell = Shell::new();
    let file = shell.file("a.yaml", WEB);
    for again in [
        &["apply", "-f"][..],
        &["create", "-f"],
        &["replace", "--force", "-f"],
    ] {
        shell.run(&["create", "-f", &file]).await;
        let export = shell.run(&["get", "pod", "web", "-o", "yaml"]).await.out;
        assert!(export.contains("resourceVersion:"), "{export}");
        let export = shell.file("b.yaml", &export);
        shell
            .run(&["delete", "pod", "web", "--force", "--grace-period=0"])
            .await;
        let ran = shell.run(&[again, &[export.as_str()]].concat()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{again:?}");
        shell
            .run(&["delete", "pod", "web", "--force", "--grace-period=0"])
            .await;
    }
}
