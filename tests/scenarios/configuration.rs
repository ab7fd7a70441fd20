//! 06, 07, 11, 12 and 19: ConfigMaps, Secrets and labels as files. What follows from changes is tried in
//! `tests/kernel/volumes.rs`; here the files run as they are, on the images they name.

use crate::stage::Stage;

#[test]
fn scenario_06_two_secrets_in_one_volume() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("06-projected-secrets.yaml");
    let name = "test-projected-volume";
    stage.wait_running(name);
    let look = |command: &str| stage.inside(name, "test-secret-volume", command);
    assert_eq!(look("ls /projected-volume"), "pass\nuser\n");
    assert_eq!(
        look("cat /projected-volume/user /projected-volume/pass"),
        "admin1f2d1e2e67df"
    );
    stage.delete_all();
}

#[test]
fn scenario_07_labels_as_a_file() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("07-downward-api.yaml");
    let name = "test-downwardapi-volume";
    stage.wait_running(name);
    let labels = "\n\ncluster=\"test-cluster1\"\nrack=\"rack-22\"\nzone=\"us-est-coast\"";
    stage.wait_log(name, "client-container", labels);
    stage.ok(&["label", "pod", name, "--overwrite", "rack=rack-23"]);
    stage.wait_log(name, "client-container", "rack=\"rack-23\"");
    stage.delete_all();
}

#[test]
fn scenario_11_a_config_map_four_ways() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("11-configmap-four-ways.yaml");
    let name = "configmap-demo-pod";
    stage.wait_running(name);
    let look = |command: &str| stage.inside(name, "demo", command);
    assert_eq!(
        look(
            "echo $PLAYER_INITIAL_LIVES $UI_PROPERTIES_FILE_NAME; ls /config; cat /config/game.properties"
        ),
        "3 user-interface.properties\ngame.properties\nuser-interface.properties\n\
         enemy.types=aliens,monsters\nplayer.maximum-lives=5\n"
    );
    stage.delete_all();
}

#[test]
fn scenario_12_modes_of_secrets() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("12-secret-modes.yaml");
    stage.wait_running("mypod");
    stage.wait_log("mypod", "mypod", "Ready to accept connections");
    let look = |command: &str| stage.inside("mypod", "mypod", command);
    assert_eq!(
        look("cd /etc/foo; stat -L -c '%a %n' my-group/my-username password .secret-file"),
        "777 my-group/my-username\n400 password\n400 .secret-file\n"
    );
    assert_eq!(look("cat /etc/foo/.secret-file"), "value-2\r\n\r\n");
    assert_eq!(look("echo $SECRET_USERNAME"), "admin\n");
    assert!(look("grep ' /etc/foo ' /proc/mounts").contains(" tmpfs "));
    stage.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: mysecret}, stringData: {username: root, password: new, .secret-file: x}}",
    );
    stage.wait("the new password", || {
        (look("cat /etc/foo/password") == "new").then_some(())
    });
    stage.delete_all();
}

#[test]
fn scenario_19_one_file_two_clients_two_secrets() {
    require_debian!();
    let stage = Stage::start();
    assert_eq!(
        stage.apply_file("19-list-two-clients.yaml"),
        "pod/prod-db-client-pod created\npod/test-db-client-pod created\n"
    );
    for kind in ["prod", "test"] {
        let pod = format!("{kind}-db-client-pod");
        let missing = format!(
            "FailedMount MountVolume.SetUp failed for volume \"secret-volume\" : secret \"{kind}-db-secret\" not found"
        );
        stage.wait(&missing, || {
            stage
                .events_of(&pod, "default")
                .contains(&missing)
                .then_some(())
        });
        assert_eq!(stage.row(&pod)[1..3], ["0/1", "ContainerCreating"]);
        stage.ok(&[
            "create",
            "secret",
            "generic",
            &format!("{kind}-db-secret"),
            &format!("--from-literal=username={kind}"),
        ]);
        stage.wait_running(&pod);
        assert_eq!(
            stage.inside(
                &pod,
                "db-client-container",
                "cat /etc/secret-volume/username"
            ),
            kind
        );
    }
    let selected = stage.ok(&["get", "pods", "-l", "name=test-db-client", "-o", "name"]);
    assert_eq!(selected, "pod/test-db-client-pod\n");
    stage.delete_all();
}
