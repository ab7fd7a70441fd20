//! Commands of probes, which a small process beside the shim makes from the second one on: they are what the first one
//! is, made by the shim, and they go on when that process is gone.

use crate::support::{Podtui, is_alive, kill, processes, status};

/// Writes down what it finds itself to be, in files numbered from 0.
const LOOK: &str = r#"n=$(ls /out | wc -l); { pwd; id; umask; env | sort; ulimit -a; ls /proc/self/fd;
    grep -E "^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap|Sig[BIC]|Speculation|Cpus_allowed|Mems_allowed)" /proc/self/status;
    cat /proc/self/cgroup /proc/self/oom_score_adj; for one in /proc/self/ns/*; do readlink $one; done;
    grep -v " /out" /proc/self/mountinfo; read -r stat < /proc/self/stat; set -- $stat; test $6 = $1 && echo own session;
    readlink /proc/$1/exe /proc/$1/root /proc/$1/fd/0; } > /out/.new 2>&1; mv /out/.new /out/$n"#;

fn pod(name: &str, of_pod: &str, of_container: &str) -> String {
    let look = LOOK.replace('\n', " ");
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n{of_pod}  \
         volumes: [{{name: out, emptyDir: {{}}}}]\n  containers:\n  - name: c\n    image: localhost/toolbox\n    \
         command: [sh, -c, 'while :; do sleep 1; done']\n    volumeMounts: [{{name: out, mountPath: /out}}]\n{of_container}    \
         env: [{{name: A, value: b}}]\n    readinessProbe: {{exec: {{command: [sh, -c, '{look}']}}, periodSeconds: 1}}\n"
    )
}

/// The processes of the shim of this pod that make its commands.
fn spawners(podtui: &Podtui, pod: &str) -> Vec<u32> {
    let shim = podtui.shim_pid(pod).to_string();
    processes()
        .into_iter()
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1));
            stat.contains("(podtui-spawner)") && parent == Some(&shim)
        })
        .collect()
}

#[test]
fn every_command_of_a_probe_is_what_the_first_one_is() {
    require_root!();
    let podtui = Podtui::start();
    let unprivileged = "    workingDir: /out/.\n    securityContext: {runAsUser: 1000, runAsGroup: 1001, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n";
    let pods = [
        ("plain", "", ""),
        (
            "user",
            "  securityContext: {supplementalGroups: [5, 6], fsGroup: 7}\n",
            unprivileged,
        ),
        (
            "granted",
            "",
            "    securityContext: {capabilities: {add: [SYS_TIME], drop: [KILL]}}\n",
        ),
        (
            "unconfined",
            "  securityContext: {seccompProfile: {type: Unconfined}}\n",
            "",
        ),
        (
            "tracing",
            "",
            "    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n",
        ),
        ("powerful", "", "    securityContext: {privileged: true}\n"),
        ("inside", "  hostUsers: false\n", ""),
        ("outside", "  hostPID: true\n  hostNetwork: true\n", ""),
        ("shared", "  shareProcessNamespace: true\n", ""),
    ];
    for (name, of_pod, of_container) in pods {
        podtui.apply(&pod(name, of_pod, of_container));
    }
    for (name, _, _) in pods {
        podtui.wait_running(name);
        let read = |file: &str| podtui.output(&["exec", name, "--", "cat", file]);
        podtui.wait("the third command", || {
            read("/out/2").status.success().then_some(())
        });
        // Where somebody may look into others, all commands are forked with more care.
        let is_watched = ["tracing", "powerful"].contains(&name);
        let expected = usize::from(!is_watched);
        assert_eq!(spawners(&podtui, name).len(), expected, "{name}");
        let [first, third] = ["/out/0", "/out/2"].map(|file| read(file).stdout);
        let [first, third] = [first, third].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(
            first.contains("own session") != is_watched && first.contains("NoNewPrivs"),
            "{first}"
        );
        assert_eq!(first, third, "{name}");
    }
}

#[test]
fn commands_go_on_without_the_process_that_made_them() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod("p", "", ""));
    podtui.wait_running("p");
    let spawner = || spawners(&podtui, "p").first().copied();
    let first = podtui.wait("the process", spawner);
    kill(first);
    let second = podtui.wait("the next process", || spawner().filter(|pid| *pid != first));
    let ready = status(&podtui.pod("p"), "c")["ready"] == true;
    assert!(ready, "{}", podtui.ok(&["describe", "pod", "p"]));
    assert!(!podtui.ok(&["describe", "pod", "p"]).contains("Unhealthy"));
    podtui.delete_all();
    podtui.wait("its end with the pod", || (!is_alive(second)).then_some(()));
}
