//! TLS by an authority of our own, passwords, tokens — and where a password must never be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use serde_json::json;

use crate::fake::Fake;
use crate::registry::{
    Door, PASSWORD, Registry, USER, configure, events, pod, umoci_image, waiting,
};
use crate::support::Podtui;

const SECURE: Door = Door {
    tls: true,
    basic_auth: true,
};
const SECRET: &str = "  imagePullSecrets: [{name: pull}]\n";

fn auth(password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"))
}

fn docker_config(key: &str, password: &str) -> String {
    json!({"auths": {key: {"auth": auth(password)}}}).to_string()
}

fn secret(name: &str, kind: &str, key: &str, value: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(value);
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/{kind}\ndata: {{{key}: {data}}}\n"
    )
}

/// Files below `directory` that hold `needle`, except those named.
fn holding(directory: &Path, needle: &str, except: &[&str]) -> Vec<String> {
    walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| {
            let path = entry.path().display().to_string();
            !except.iter().any(|part| path.contains(part))
        })
        .filter(|entry| {
            fs::read(entry.path()).is_ok_and(|bytes| {
                bytes
                    .windows(needle.len())
                    .any(|part| part == needle.as_bytes())
            })
        })
        .map(|entry| entry.path().display().to_string())
        .collect()
}

#[test]
fn a_private_image_opens_to_its_secret_only() {
    require_registry!();
    let registry = Registry::start(SECURE);
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "team/app:v1");
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    podtui.serve();
    let name = registry.name("team/app:v1");

    // No secret, an absent secret, a wrong password.
    podtui.apply(&pod("anonymous", &name, "", ""));
    podtui.apply(&pod("without", &name, "", SECRET));
    let wrong = docker_config(&registry.host, "wr0ng-word");
    podtui.apply(&secret(
        "wrong",
        "dockerconfigjson",
        ".dockerconfigjson",
        &wrong,
    ));
    podtui.apply(&pod(
        "mistaken",
        &name,
        "",
        "  imagePullSecrets: [{name: wrong}]\n",
    ));
    for (pod, hint) in [
        ("anonymous", "no credentials were found for it"),
        ("without", "no credentials were found for it"),
        ("mistaken", "the credentials found for it are wrong"),
    ] {
        let (_, message) = podtui.wait("ErrImagePull", || {
            waiting(&podtui, pod).filter(|(reason, _)| reason == "ErrImagePull")
        });
        assert!(message.contains("access denied"), "{message}");
        assert!(message.contains("401 Unauthorized"), "{message}");
        assert!(message.contains(hint), "{pod}: {message}");
    }
    let told = events(&podtui, "without");
    let missing = "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (pull); attempting to pull the image may not succeed.";
    assert!(told.iter().any(|line| line == missing), "{told:#?}");

    // The right one, in both forms, by host and by path.
    let config = docker_config(&format!("https://{}/v2/", registry.host), PASSWORD);
    podtui.apply(&secret(
        "pull",
        "dockerconfigjson",
        ".dockerconfigjson",
        &config,
    ));
    podtui.apply(&pod("right", &name, "", SECRET));
    podtui.wait_running("right");
    let old = json!({registry.name("team"): {"username": USER, "password": PASSWORD}}).to_string();
    podtui.apply(&secret("old", "dockercfg", ".dockercfg", &old));
    podtui.apply(&pod(
        "older",
        &name,
        "Always",
        "  imagePullSecrets: [{name: old}]\n",
    ));
    podtui.wait_running("older");

    // What is here opens only to those who may pull it.
    podtui.apply(&pod("thief", &name, "Never", ""));
    podtui.wait("ErrImageNeverPull", || {
        waiting(&podtui, "thief").filter(|(reason, _)| reason == "ErrImageNeverPull")
    });
    podtui.apply(&pod("friend", &name, "Never", SECRET));
    podtui.wait_running("friend");

    // Nowhere but in the Secret objects themselves.
    for word in [PASSWORD, "wr0ng-word", &auth(PASSWORD), &auth("wr0ng-word")] {
        assert_eq!(
            holding(&podtui.state(), word, &["/objects/"]),
            Vec::<String>::new()
        );
        assert_eq!(holding(&podtui.run(), word, &[]), Vec::<String>::new());
        for arguments in [
            &["get", "events", "-o", "yaml"][..],
            &["get", "pods", "-o", "yaml"],
            &["describe", "pods"],
            &["image", "inspect", &name],
        ] {
            let text = podtui.ok(arguments);
            assert!(!text.contains(word), "{arguments:?}: {text}");
        }
        let engine = format!("/proc/{}", podtui.engine_pid());
        for file in ["cmdline", "environ"] {
            let text = fs::read(Path::new(&engine).join(file)).expect("our own process");
            assert!(!String::from_utf8_lossy(&text).contains(word), "{file}");
        }
    }
    podtui.delete_all();
}

#[test]
fn logins_of_docker_podman_and_their_helpers_count() {
    require_registry!();
    let registry = Registry::start(SECURE);
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "app:v1");
    let name = registry.name("app:v1");
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name);
    for directory in ["docker", "run/containers", "bin"] {
        fs::create_dir_all(path(directory)).expect("a directory");
    }
    fs::write(
        path("bin/docker-credential-test"),
        format!(
            "#!/bin/sh\nread -r host\n[ \"$host\" = {} ] || {{ echo credentials not found in native keychain; exit 1; }}\n\
             echo '{{\"ServerURL\":\"x\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n",
            registry.host
        ),
    )
    .expect("a file");
    fs::set_permissions(
        path("bin/docker-credential-test"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("executable");
    let pull = |what: &str, file: &str, text: &str| {
        let podtui = Podtui::idle();
        configure(&podtui, &registry.table());
        fs::write(path(file), text).expect("a file");
        let output = podtui
            .command(&["image", "pull", "-q", &name])
            .env("DOCKER_CONFIG", path("docker"))
            .env("XDG_RUNTIME_DIR", path("run"))
            .env("HOME", path("none"))
            .env("PATH", format!("{}:/usr/bin:/bin", path("bin").display()))
            .output()
            .expect("podtui starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        podtui.ok(&["engine", "stop"]);
        assert!(!error.contains(PASSWORD), "{what}: {error}");
        fs::remove_file(path(file)).expect("a file");
        (output.status.success(), error)
    };
    let config = docker_config(&registry.host, PASSWORD);
    let helpers = |helper: &str| json!({"credHelpers": {&registry.host: helper}}).to_string();
    for (what, file, text) in [
        ("docker", "docker/config.json", config.clone()),
        ("podman", "run/containers/auth.json", config),
        ("helper", "docker/config.json", helpers("test")),
        (
            "store",
            "docker/config.json",
            json!({"credsStore": "test"}).to_string(),
        ),
    ] {
        let (succeeded, error) = pull(what, file, &text);
        assert!(succeeded, "{what}: {error}");
    }
    for (what, text) in [
        ("absent helper", helpers("absent")),
        ("not JSON", format!("{{\"auths\": {PASSWORD}}}")),
    ] {
        let (succeeded, error) = pull(what, "docker/config.json", &text);
        assert!(!succeeded, "{what}");
        assert!(
            error.contains("no credentials were found"),
            "{what}: {error}"
        );
    }
}

#[test]
fn an_unknown_authority_is_refused() {
    require_registry!();
    let registry = Registry::start(Door {
        tls: true,
        basic_auth: false,
    });
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "app:v1");
    let name = registry.name("app:v1");
    let podtui = Podtui::start();
    let error = podtui.refused(&["image", "pull", &name]);
    assert!(error.contains("over TLS"), "{error}");
    assert!(error.contains("certificate"), "{error}");
    assert!(error.contains("ca_file"), "{error}");
    configure(
        &podtui,
        &format!("[registries.\"{}\"]\ninsecure = true\n", registry.host),
    );
    podtui.serve_again();
    podtui.ok(&["image", "pull", &name]);
}

#[test]
fn tokens_are_fetched_for_the_repository() {
    require_images!();
    let fake = Fake::start();
    let name = fake.image("team/app", "v1", &[("file", "content")]);
    fake.require_token(USER, PASSWORD);
    let podtui = Podtui::idle();
    configure(&podtui, &fake.table());
    podtui.serve();
    let error = podtui.refused(&["image", "pull", &name]);
    assert!(error.contains("access denied"), "{error}");
    podtui.apply(&secret(
        "pull",
        "dockerconfigjson",
        ".dockerconfigjson",
        &docker_config(&fake.host, PASSWORD),
    ));
    podtui.apply(&pod("token", &name, "", SECRET));
    podtui.wait("Pulled", || {
        events(&podtui, "token")
            .into_iter()
            .find(|line| line.starts_with("Pulled: Successfully"))
    });
    let asked = fake.requests();
    assert!(
        asked
            .iter()
            .any(|line| line.contains("scope=repository%3Ateam%2Fapp%3Apull")),
        "{asked:#?}"
    );
    // Only the token server has seen the password, only the registry the token.
    for line in &asked {
        assert_eq!(
            line.contains("Basic"),
            line.contains("/token?") && line.contains("Basic"),
            "{line}"
        );
    }
    podtui.delete_all();
}

/// An index made anew has forgotten who pulled what with which secret: nobody gets in by that.
#[test]
fn a_rebuilt_index_opens_nothing() {
    require_registry!();
    let registry = Registry::start(SECURE);
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "team/app:v1");
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    podtui.serve();
    let name = registry.name("team/app:v1");
    let right = docker_config(&registry.host, PASSWORD);
    let kind = "dockerconfigjson";
    podtui.apply(&secret("pull", kind, ".dockerconfigjson", &right));
    podtui.apply(&pod("before", &name, "IfNotPresent", SECRET));
    podtui.wait_running("before");
    podtui.delete_all();
    podtui.ok(&["engine", "stop"]);
    for index in ["index.json", "index.backup.json"] {
        fs::write(podtui.state().join("images").join(index), "?").expect("a file");
    }
    podtui.serve();
    // The one with the secret gives the image its name again; that opens it to nobody else.
    podtui.apply(&pod("after", &name, "IfNotPresent", SECRET));
    podtui.wait_running("after");
    podtui.apply(&pod("stranger", &name, "IfNotPresent", ""));
    let (reason, message) = podtui.wait("the refusal", || {
        waiting(&podtui, "stranger").filter(|(reason, _)| reason == "ErrImagePull")
    });
    assert!(message.contains("access denied"), "{reason}: {message}");
    podtui.apply(&pod("never", &name, "Never", ""));
    podtui.wait("the refusal", || {
        waiting(&podtui, "never").filter(|(reason, _)| reason == "ErrImageNeverPull")
    });
    podtui.delete_all();
}

/// `login` asks the registry before it writes; `--creds` is for one pull and binds nobody.
#[test]
fn users_log_in() {
    use std::io::Write as _;
    use std::process::Stdio;

    require_registry!();
    let registry = Registry::start(SECURE);
    let image = umoci_image(registry.directory.path(), |_| ());
    registry.push(&image, "team/app:v1");
    let podtui = Podtui::idle();
    configure(&podtui, &registry.table());
    let docker = podtui.path().join("docker");
    let run = |arguments: &[&str], input: &str| {
        let mut child = podtui
            .command(arguments)
            .env("DOCKER_CONFIG", &docker)
            .env_remove("REGISTRY_AUTH_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("podtui starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that refuses at once does not read.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("podtui ends");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.success(), text)
    };
    let name = registry.name("team/app:v1");
    let host = registry.host.as_str();
    let login = ["login", host, "-u", USER, "--password-stdin"];
    let (done, text) = run(&login, "wr0ng-word");
    assert!(
        !done && text.contains("401") && !text.contains("wr0ng-word"),
        "{text}"
    );
    assert!(!docker.exists());
    let (done, text) = run(&["image", "pull", &name], "");
    assert!(
        !done && text.contains("no credentials were found"),
        "{text}"
    );

    let creds = format!("{USER}:{PASSWORD}");
    let (done, text) = run(&["image", "pull", "--creds", &creds, &name], "");
    assert!(done, "{text}");
    // What a user has pulled is there for all, as on a node of a cluster.
    podtui.apply(&pod("open", &name, "IfNotPresent", ""));
    podtui.wait_running("open");
    podtui.delete_all();
    podtui.ok(&["image", "rm", &name]);

    let (done, text) = run(&login, &format!("{PASSWORD}\n"));
    assert!(done && text.contains("Login Succeeded"), "{text}");
    let file = docker.join("config.json");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (done, text) = run(&["image", "pull", &name], "");
    assert!(done, "{text}");
    podtui.ok(&["image", "rm", &name]);
    let (done, text) = run(&["logout", host], "");
    assert!(done, "{text}");
    let (done, _) = run(&["image", "pull", &name], "");
    assert!(!done);
    let below = podtui.path().to_owned();
    assert_eq!(holding(&below, PASSWORD, &[]), Vec::<String>::new());
    podtui.ok(&["engine", "stop"]);
}
