//! Persistent volumes and claims, as they are bound, mounted, kept and given back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use crate::support::Podtui;

fn volume(name: &str, source: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: {{storage: 1Gi}}\n  accessModes: [ReadWriteOnce]\n  \
         {source}\n  {more}\n"
    )
}

fn claim(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n  accessModes: [ReadWriteOnce]\n  \
         resources: {{requests: {{storage: 100Mi}}}}\n  {more}\n"
    )
}

fn pod(name: &str, source: &str, mount: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    image: localhost/toolbox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'exec sleep 1000']\n    volumeMounts: [{{name: d, mountPath: /d{mount}}}]\n  \
         volumes: [{{name: d, {source}}}]\n  {spec}\n"
    )
}

fn get(podtui: &Podtui, kind: &str, name: &str) -> Value {
    serde_json::from_str(&podtui.ok(&["get", kind, name, "-o", "json"])).unwrap()
}

#[track_caller]
fn wait_phase(podtui: &Podtui, kind: &str, name: &str, phase: &str) -> Value {
    podtui.wait(&format!("{kind} {name} to be {phase}"), || {
        let found = get(podtui, kind, name);
        (found["status"]["phase"] == phase).then_some(found)
    })
}

fn is_gone(podtui: &Podtui, kind: &str, name: &str) -> bool {
    !podtui.output(&["get", kind, name]).status.success()
}

#[track_caller]
fn inside(podtui: &Podtui, pod: &str, command: &str) -> String {
    podtui.ok(&["exec", pod, "--", "sh", "-c", command])
}

const MINE: &str = "persistentVolumeClaim: {claimName: mine}";

#[test]
fn a_pod_waits_for_its_claim_and_keeps_it() {
    require_root!();
    let podtui = Podtui::start();
    let data = podtui.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "from the host").unwrap();
    podtui.apply(&pod("p", MINE, "", ""));
    let said = |text: &str| podtui.ok(&["events"]).contains(text).then_some(());
    podtui.wait("the missing claim", || {
        said("0/1 nodes are available: persistentvolumeclaim \"mine\" not found. not found")
    });
    podtui.apply(&claim("mine", ""));
    podtui.wait("the unbound claim", || {
        said("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")
    });
    podtui.wait("the claim to be told", || {
        said("no persistent volumes available for this claim and no storage class is set")
    });
    assert_eq!(podtui.pod("p")["status"]["phase"], "Pending");
    let source = format!("hostPath: {{path: {}}}", data.display());
    podtui.apply(&volume("v", &source, ""));
    podtui.wait_running("p");
    assert_eq!(
        inside(&podtui, "p", "cat /d/file; echo out > /d/new"),
        "from the host"
    );
    assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "out\n");
    let bound = wait_phase(&podtui, "pvc", "mine", "Bound");
    assert_eq!(bound["status"]["capacity"]["storage"], "1Gi");
    let rows = podtui.ok(&["get", "pv"]);
    let row: Vec<&str> = rows.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[..6],
        ["v", "1Gi", "RWO", "Retain", "Bound", "default/mine"]
    );
    // Used, so neither goes before the pod does.
    podtui.ok(&["delete", "pvc", "mine", "--wait=false"]);
    podtui.ok(&["delete", "pv", "v", "--wait=false"]);
    assert!(podtui.ok(&["get", "pvc", "mine"]).contains("Terminating"));
    assert!(
        podtui
            .ok(&["describe", "pvc", "mine"])
            .contains("Used By:       p\n")
    );
    podtui.ok(&["delete", "pod", "p"]);
    podtui.wait("claim and volume to go", || {
        (is_gone(&podtui, "pvc", "mine") && is_gone(&podtui, "pv", "v")).then_some(())
    });
    assert_eq!(
        fs::read_to_string(data.join("file")).unwrap(),
        "from the host"
    );
    podtui.delete_all();
}

#[test]
fn what_is_released_stays_with_who_had_it() {
    require_root!();
    let podtui = Podtui::start();
    let source = format!(
        "hostPath: {{path: {}}}",
        podtui.path().join("data").display()
    );
    podtui.apply(&volume("v", &source, ""));
    podtui.apply(&claim("mine", ""));
    wait_phase(&podtui, "pvc", "mine", "Bound");
    let refused = podtui.apply_output(&claim("mine", "").replace("100Mi", "2Gi"));
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.contains("only dynamically provisioned pvc can be resized"),
        "{refused}"
    );
    podtui.ok(&["delete", "pvc", "mine"]);
    wait_phase(&podtui, "pv", "v", "Released");
    podtui.apply(&claim("mine", ""));
    podtui.wait("the new claim to be told", || {
        podtui
            .ok(&["events"])
            .contains("no persistent volumes available")
            .then_some(())
    });
    // The administrator gives it free; that survives an engine that is killed meanwhile.
    podtui.kill_engine();
    podtui.serve();
    podtui.ok(&[
        "patch",
        "pv",
        "v",
        "--type=json",
        "-p",
        r#"[{"op": "remove", "path": "/spec/claimRef"}]"#,
    ]);
    wait_phase(&podtui, "pvc", "mine", "Bound");
    podtui.delete_all();
}

/// `fsGroup` reaches a local volume, with the policy; a volume of another node is not reached at all.
#[test]
fn local_volumes() {
    require_root!();
    let podtui = Podtui::start();
    let data = podtui.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "x").unwrap();
    let nodes: Value = serde_json::from_str(&podtui.ok(&["get", "nodes", "-o", "json"])).unwrap();
    let node = nodes["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let on = |node: &str| {
        format!(
            "nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}]}}}}"
        )
    };
    let source = format!("local: {{path: {}}}", data.display());
    podtui.apply(&volume("v", &source, &on(&node)));
    podtui.apply(&claim("mine", "volumeName: v"));
    let grouped = "securityContext: {fsGroup: 4321, fsGroupChangePolicy: OnRootMismatch}";
    podtui.apply(&pod("p", MINE, "", grouped));
    podtui.wait_running("p");
    let owned = |name: &str| {
        let found = data.join(name).metadata().unwrap();
        (found.gid(), found.mode() & 0o7777)
    };
    assert_eq!((owned("file"), owned("").0), ((4321, 0o664), 4321));
    assert_eq!(owned("").1 & 0o2770, 0o2770);
    podtui.ok(&["delete", "pod", "p"]);
    // The root is right already: what came later is left as it is.
    fs::write(data.join("late"), "x").unwrap();
    std::os::unix::fs::chown(data.join("late"), None, Some(7)).unwrap();
    podtui.apply(&pod("p", MINE, "", grouped));
    podtui.wait_running("p");
    assert_eq!(owned("late").0, 7);
    podtui.ok(&["delete", "pod", "p"]);
    podtui.apply(&pod("p", MINE, "", "securityContext: {fsGroup: 4321}"));
    podtui.wait_running("p");
    assert_eq!(owned("late").0, 4321);
    podtui.apply(&volume("w", &source, &on("elsewhere")));
    podtui.apply(&claim("far", "volumeName: w"));
    podtui.apply(&pod("q", "persistentVolumeClaim: {claimName: far}", "", ""));
    podtui.wait("the far volume to be told", || {
        podtui
            .ok(&["events"])
            .contains("1 node(s) didn't match PersistentVolume's node affinity. no new claims to deallocate")
            .then_some(())
    });
    podtui.delete_all();
}

/// `readOnly` of the claim holds for every mount, and a sub-path does not lead out.
#[test]
fn read_only_and_parts_of_a_claim() {
    require_root!();
    let podtui = Podtui::start();
    let data = podtui.path().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(data.join("sub/file"), "part").unwrap();
    std::os::unix::fs::symlink("/etc", data.join("out")).unwrap();
    podtui.apply(&volume(
        "v",
        &format!("hostPath: {{path: {}}}", data.display()),
        "",
    ));
    podtui.apply(&claim("mine", ""));
    let read_only = "persistentVolumeClaim: {claimName: mine, readOnly: true}";
    podtui.apply(&pod("r", read_only, ", subPath: sub", ""));
    podtui.wait_running("r");
    assert_eq!(
        inside(
            &podtui,
            "r",
            "cat /d/file; touch /d/x 2>/dev/null || echo ' no'"
        ),
        "part no\n"
    );
    podtui.apply(&pod("s", MINE, ", subPath: out", ""));
    podtui.wait("the way out to be refused", || {
        podtui
            .ok(&["events"])
            .contains("leads out of its volume through a symlink")
            .then_some(())
    });
    podtui.delete_all();
}

#[test]
fn a_claim_for_one_pod_only() {
    require_root!();
    let podtui = Podtui::start();
    let one = |manifest: String| manifest.replace("ReadWriteOnce]", "ReadWriteOncePod]");
    let source = format!(
        "hostPath: {{path: {}}}",
        podtui.path().join("data").display()
    );
    podtui.apply(&one(volume("v", &source, "")));
    podtui.apply(&one(claim("mine", "")));
    podtui.apply(&pod("a", MINE, "", ""));
    podtui.wait_running("a");
    podtui.apply(&pod("b", MINE, "", ""));
    podtui.wait("the second pod to be told", || {
        podtui
            .ok(&["events"])
            .contains("1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.")
            .then_some(())
    });
    podtui.ok(&["delete", "pod", "a"]);
    podtui.wait_running("b");
    podtui.delete_all();
}

/// A claim of a pod's own comes and goes with the pod; one that was there before is not taken.
#[test]
fn ephemeral_volumes() {
    require_root!();
    let podtui = Podtui::start();
    let data = podtui.path().join("data");
    podtui.apply(&volume(
        "v",
        &format!("hostPath: {{path: {}}}", data.display()),
        "",
    ));
    let template = "ephemeral: {volumeClaimTemplate: {metadata: {labels: {of: p}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}}";
    podtui.apply(&pod("p", template, "", ""));
    let running = podtui.wait_running("p");
    inside(&podtui, "p", "echo x > /d/file");
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "x\n");
    let made = get(&podtui, "pvc", "p-d");
    assert_eq!(
        made["metadata"]["ownerReferences"][0]["uid"],
        running["metadata"]["uid"]
    );
    assert_eq!(made["metadata"]["labels"]["of"], "p");
    podtui.ok(&["delete", "pod", "p"]);
    podtui.wait("the claim to go with its pod", || {
        is_gone(&podtui, "pvc", "p-d").then_some(())
    });
    wait_phase(&podtui, "pv", "v", "Released");
    podtui.apply(&claim("q-d", ""));
    podtui.apply(&pod("q", template, "", ""));
    podtui.wait("the foreign claim to be told", || {
        podtui
            .ok(&["events"])
            .contains("PVC default/q-d was not created for pod default/q (pod is not owner)")
            .then_some(())
    });
    podtui.delete_all();
}

/// Only what is below `/tmp` is deleted with its claim, and no link leads the way.
#[test]
fn temporary_data_goes_with_its_claim() {
    require_root!();
    let podtui = Podtui::start();
    let base = tempfile::tempdir_in("/tmp").unwrap();
    let (data, victim) = (base.path().join("data"), base.path().join("victim"));
    for directory in [&data, &victim] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("file"), "x").unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let policy = "persistentVolumeReclaimPolicy: Delete";
    podtui.apply(&volume(
        "v",
        &format!("hostPath: {{path: {}}}", data.display()),
        policy,
    ));
    podtui.apply(&claim("mine", ""));
    wait_phase(&podtui, "pvc", "mine", "Bound");
    podtui.ok(&["delete", "pvc", "mine"]);
    podtui.wait("the volume to go", || {
        is_gone(&podtui, "pv", "v").then_some(())
    });
    assert!(!data.exists());
    std::os::unix::fs::symlink(base.path(), base.path().join("link")).unwrap();
    let through = base.path().join("link/victim");
    podtui.apply(&volume(
        "w",
        &format!("hostPath: {{path: {}}}", through.display()),
        policy,
    ));
    podtui.apply(&claim("mine", ""));
    wait_phase(&podtui, "pvc", "mine", "Bound");
    podtui.ok(&["delete", "pvc", "mine"]);
    wait_phase(&podtui, "pv", "w", "Failed");
    assert!(victim.join("file").exists());
    podtui.apply(&volume("x", "hostPath: {path: /srv/data}", policy));
    podtui.apply(&claim("other", "volumeName: x"));
    wait_phase(&podtui, "pvc", "other", "Bound");
    podtui.ok(&["delete", "pvc", "other"]);
    let failed = wait_phase(&podtui, "pv", "x", "Failed");
    assert_eq!(
        failed["status"]["message"],
        "host_path deleter only supports /tmp/.+ but received provided /srv/data"
    );
    podtui.delete_all();
}

/// A mount below a volume, undone with the test.
struct SubMount(std::path::PathBuf);

impl SubMount {
    fn tmpfs(path: std::path::PathBuf) -> Self {
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&path)
            .status();
        assert!(done.unwrap().success());
        Self(path)
    }
}

impl Drop for SubMount {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "umount {:?}",
            self.0
        );
    }
}

/// `readOnly` alone leaves what is mounted below writable; `recursiveReadOnly` does not, and the status says it.
#[test]
fn read_only_with_all_that_is_mounted_below() {
    require_root!();
    let podtui = Podtui::start();
    let data = podtui.path().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    let below = SubMount::tmpfs(data.join("sub"));
    let mounts = [
        ("plain", ""),
        ("disabled", ", recursiveReadOnly: Disabled"),
        ("possible", ", recursiveReadOnly: IfPossible"),
        ("enabled", ", recursiveReadOnly: Enabled"),
    ];
    let list: Vec<String> = mounts
        .iter()
        .map(|(name, more)| format!("{{name: d, mountPath: /{name}, readOnly: true{more}}}"))
        .collect();
    let manifest = pod(
        "p",
        &format!("hostPath: {{path: {}}}", data.display()),
        "",
        "",
    );
    podtui.apply(&manifest.replace("{name: d, mountPath: /d}", &list.join(", ")));
    let running = podtui.wait_running("p");
    let written = inside(
        &podtui,
        "p",
        "for d in plain disabled possible enabled; do touch /$d/sub/$d 2>/dev/null && echo $d; touch /$d/x 2>/dev/null && echo top; done; true",
    );
    assert_eq!(written, "plain\ndisabled\n");
    let shown = crate::support::status(&running, "c")["volumeMounts"]
        .as_array()
        .unwrap();
    let shown: Vec<String> = shown
        .iter()
        .filter(|mount| mount["name"] == "d")
        .map(|mount| {
            let text = |field: &str| mount[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {}",
                text("mountPath"),
                mount["readOnly"],
                text("recursiveReadOnly")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "/plain true Disabled",
            "/disabled true Disabled",
            "/possible true Enabled",
            "/enabled true Enabled"
        ]
    );
    podtui.ok(&["delete", "pod", "p"]);
    drop(below);
    podtui.delete_all();
}

/// The pool of the machine is the node's capacity; a pod that wants more than is left of it waits, and a volume of
/// huge pages is one whether or not there are any.
#[test]
fn huge_pages() {
    require_root!();
    let Ok(pool) = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    else {
        println!("skipped: the kernel has no huge pages of 2 MiB");
        return;
    };
    let pages: u64 = pool.trim().parse().unwrap();
    let podtui = Podtui::start();
    let node = podtui.ok(&["describe", "nodes"]);
    let line = node
        .lines()
        .find(|line| line.trim_start().starts_with("hugepages-2Mi:"));
    let amount = line.unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(amount == "0", pages == 0, "{amount}");
    let wanted = (pages + 1) * 2;
    let asks =
        format!("resources: {{limits: {{memory: 64Mi, cpu: 100m, hugepages-2Mi: {wanted}Mi}}}}");
    let medium = "emptyDir: {medium: HugePages}";
    let manifest = |name: &str| pod(name, medium, "", "");
    podtui.apply(&manifest("much").replace(
        "    imagePullPolicy",
        &format!("    {asks}\n    imagePullPolicy"),
    ));
    podtui.wait("the missing pages to be told", || {
        podtui
            .ok(&["events"])
            .contains("1 Insufficient hugepages-2Mi.")
            .then_some(())
    });
    podtui.apply(&pod("v", "emptyDir: {medium: HugePages-2Mi}", "", ""));
    podtui.wait_running("v");
    let mounted = inside(&podtui, "v", "grep ' /d ' /proc/mounts");
    assert!(
        mounted.contains(" hugetlbfs ") && mounted.contains("pagesize=2M"),
        "{mounted}"
    );
    podtui.apply(&manifest("which"));
    podtui.wait("the missing size to be told", || {
        podtui
            .ok(&["events"])
            .contains("the containers of the pod request no huge pages")
            .then_some(())
    });
    podtui.delete_all();
}

/// A file of the test behind a loop device, which goes with it.
struct Loop(String);

impl Loop {
    fn of(file: &std::path::Path) -> Self {
        let done = std::process::Command::new("losetup")
            .args(["--find", "--show"])
            .arg(file)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        Self(String::from_utf8(done.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let done = std::process::Command::new("losetup")
            .args(["--detach", &self.0])
            .status();
        assert!(done.is_ok_and(|status| status.success()), "{}", self.0);
    }
}

fn device_pod(name: &str, source: &str, device: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    image: localhost/toolbox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'exec sleep 1000']\n    volumeDevices: [{{name: d, devicePath: {device}}}]\n  \
         volumes: [{{name: d, {source}}}]\n  {spec}\n"
    )
}

/// A volume of mode Block is a device in the container: read and written there, only read where the pod says so,
/// and nobody else's.
#[test]
fn volumes_that_are_devices() {
    require_root!();
    if !std::path::Path::new("/dev/loop-control").exists() {
        println!("skipped: the machine has no loop devices");
        return;
    }
    let podtui = Podtui::start();
    let file = podtui.path().join("disk");
    fs::write(&file, vec![b'a'; 1 << 20]).unwrap();
    let disk = Loop::of(&file);
    let source = format!("hostPath: {{path: {}}}", disk.0);
    podtui.apply(&volume("v", &source, "volumeMode: Block"));
    // A claim for a file system waits for another volume.
    podtui.apply(&claim("other", ""));
    podtui.apply(&claim("mine", "volumeMode: Block"));
    wait_phase(&podtui, "pvc", "mine", "Bound");
    assert_eq!(get(&podtui, "pvc", "other")["status"]["phase"], "Pending");
    podtui.apply(&device_pod("p", MINE, "/dev/xvda", ""));
    podtui.wait_running("p");
    assert_eq!(
        inside(&podtui, "p", "dd if=/dev/xvda bs=4 count=1 2>/dev/null"),
        "aaaa"
    );
    // A node in a volume would stay on the machine.
    let shared = podtui.path().join("shared");
    fs::create_dir(&shared).unwrap();
    let manifest = device_pod("stays", MINE, "/shared/dev/x", "");
    let manifest = manifest
        .replace(
            "volumeDevices:",
            "volumeMounts: [{name: s, mountPath: /shared}]\n    volumeDevices:",
        )
        .replace(
            "  volumes: [",
            &format!(
                "  volumes: [{{name: s, hostPath: {{path: {}}}}}, ",
                shared.display()
            ),
        );
    podtui.apply(&manifest);
    podtui.wait("the refusal", || {
        let pod = podtui.pod("stays");
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        let text = waiting["message"].as_str().unwrap_or_default();
        text.contains("choose a devicePath outside of volumeMounts")
            .then_some(())
    });
    assert!(!shared.join("dev/x").exists());
    podtui.ok(&["delete", "pod", "stays"]);
    let kind = inside(&podtui, "p", "stat -c '%F %a' /dev/xvda");
    let on_host = fs::metadata(&disk.0).unwrap().mode() & 0o777;
    assert_eq!(kind, format!("block special file {on_host:o}\n"));
    inside(
        &podtui,
        "p",
        "printf hello | dd of=/dev/xvda conv=notrunc,fsync 2>/dev/null",
    );
    podtui.wait("what was written", || {
        fs::read(&file)
            .unwrap()
            .starts_with(b"helloaaa")
            .then_some(())
    });
    let shown = podtui.ok(&["describe", "pod", "p"]);
    assert!(shown.contains("/dev/xvda from d"), "{shown}");
    // Only this device: the node of its neighbour can be made, not opened.
    let other = inside(
        &podtui,
        "p",
        "mknod /tmp/zero-disk b 7 255; dd if=/tmp/zero-disk bs=1 count=1 2>&1 || true",
    );
    assert!(other.contains("Operation not permitted"), "{other}");
    podtui.ok(&["delete", "pod", "p"]);
    // Anywhere in the container, and only to be read.
    let readonly = "persistentVolumeClaim: {claimName: mine, readOnly: true}";
    podtui.apply(&device_pod("q", readonly, "/disks/first", ""));
    podtui.wait_running("q");
    assert_eq!(
        inside(&podtui, "q", "dd if=/disks/first bs=5 count=1 2>/dev/null"),
        "hello"
    );
    let refused = inside(
        &podtui,
        "q",
        "printf x | dd of=/disks/first conv=notrunc 2>&1 || true",
    );
    assert!(refused.contains("Operation not permitted"), "{refused}");
    podtui.ok(&["delete", "pod", "q"]);
    // Neither is taken for the other.
    podtui.apply(&pod("r", MINE, "", ""));
    podtui.wait("the wrong use to be told", || {
        podtui
            .ok(&["events"])
            .contains("volume d has volumeMode Block, but is specified in volumeMounts")
            .then_some(())
    });
    podtui.delete_all();
}

/// Extended resources are counted: a pod waits until the node advertises what it asks for, and the advertisement
/// outlives the engine.
#[test]
fn extended_resources_are_advertised() {
    require_root!();
    let podtui = Podtui::start();
    let wanting = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  \
             - name: c\n    image: localhost/toolbox\n    command: [sleep, '1000']\n    resources: {{limits: {{example.com/foo: 1}}}}\n"
        )
    };
    let is_pending = |name: &str| {
        podtui.wait("the scheduler's answer", || {
            let pod = podtui.try_pod(name)?;
            let conditions = pod["status"]["conditions"].as_array()?;
            let told = conditions.iter().any(|condition| {
                let message = condition["message"].as_str().unwrap_or_default();
                condition["reason"] == "Unschedulable"
                    && message.contains("1 Insufficient example.com/foo.")
            });
            told.then_some(())
        });
    };
    podtui.apply(&wanting("one"));
    is_pending("one");
    let node = podtui.ok(&["get", "node", "-o", "name"]);
    let advertise = |change: &str| {
        podtui.ok(&[
            "patch",
            node.trim(),
            "--subresource=status",
            "--type=merge",
            "-p",
            change,
        ])
    };
    advertise(r#"{"status": {"capacity": {"example.com/foo": "1"}}}"#);
    podtui.wait_running("one");
    podtui.serve_again();
    podtui.apply(&wanting("two"));
    is_pending("two");
    podtui.ok(&["delete", "pod", "one", "--now"]);
    podtui.wait_running("two");
    podtui.delete_all();
}
