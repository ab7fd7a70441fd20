//! What an image declares as VOLUME, as containerd's CRI treats it.

use serde_json::json;

use crate::support::Podtui;
use crate::support::image::Rootfs;

fn manifest(name: &str, container: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  {spec}\n  containers:\n  - name: c\n    \
         image: localhost/declares:latest\n    imagePullPolicy: Never\n    command: [sh, -c, 'exec sleep 1000']\n    {container}\n"
    )
}

fn inside(podtui: &Podtui, pod: &str, script: &str) -> String {
    podtui.ok(&["exec", pod, "--", "sh", "-c", script])
}

#[test]
fn volumes_of_the_image() {
    require_images!();
    let podtui = Podtui::start();
    let config = json!({"Volumes": {"/data": {}, "/data/in": {}, "/new/deep": {}, "/taken": {}, "../../up": {}}});
    Rootfs::new()
        .directory("data")
        .file("data/a", b"of the image")
        .directory("data/in")
        .file("data/in/b", b"deeper")
        .directory("taken")
        .file("taken/hidden", b"x")
        .directory("etc")
        .load(&podtui, "declares", config);

    podtui.apply(&manifest(
        "p",
        "securityContext: {readOnlyRootFilesystem: true}\n    volumeMounts: [{name: v, mountPath: /taken/}]",
        "volumes: [{name: v, emptyDir: {}}]",
    ));
    podtui.wait_running("p");
    assert_eq!(
        inside(&podtui, "p", "cat /data/a /data/in/b"),
        "of the imagedeeper"
    );
    // Writable beside a root that is not, each a mount of its own, outside of the overlay.
    inside(
        &podtui,
        "p",
        "echo mine > /data/a; echo y > /new/deep/y; echo z > /up/z; ! echo no > /etc/x",
    );
    let mounts = inside(&podtui, "p", "cat /proc/self/mountinfo");
    for place in ["/data", "/data/in", "/new/deep", "/up"] {
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(4) == Some(place));
        let line = line.unwrap_or_else(|| panic!("{place} is no mount:\n{mounts}"));
        assert!(!line.contains(" - overlay "), "{line}");
    }
    // What the pod mounts there wins.
    assert_eq!(inside(&podtui, "p", "ls /taken"), "");

    // They are the container's own: another one, and the next instance, begin with the image's content.
    podtui.apply(&manifest("q", "", ""));
    podtui.wait_running("q");
    assert_eq!(inside(&podtui, "q", "cat /data/a"), "of the image");
    inside(&podtui, "q", "echo gone > /data/a");
    crate::support::kill(podtui.container_pid("q", "c"));
    podtui.wait("the next instance", || {
        let pod = podtui.pod("q");
        let status = &pod["status"]["containerStatuses"][0];
        (status["restartCount"] == 1 && status["state"]["running"].is_object()).then_some(())
    });
    assert_eq!(inside(&podtui, "q", "cat /data/a"), "of the image");

    podtui.delete_all();
    let left = std::process::Command::new("find")
        .arg(podtui.state().join("pods"))
        .args(["-name", "volumes?"])
        .output()
        .expect("find starts");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

/// With a user namespace the files belong to the ids inside.
#[test]
fn volumes_of_the_image_in_a_user_namespace() {
    require_images!();
    let podtui = Podtui::start();
    Rootfs::new().directory("data").file("data/a", b"1").load(
        &podtui,
        "declares",
        json!({"Volumes": {"/data": {}, "/new": {}}}),
    );
    podtui.apply(&manifest("p", "", "hostUsers: false"));
    podtui.wait_running("p");
    let owners = inside(
        &podtui,
        "p",
        "stat -c '%u %a' /data /data/a /new; echo x > /data/a; echo x > /new/x",
    );
    assert_eq!(owners, "0 755\n0 644\n0 755\n");
    podtui.delete_all();
}
