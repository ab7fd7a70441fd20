//! The run directory is taken away under an engine and its pods.

use std::fs;

use crate::support::{Podtui, is_alive};

const SECRETIVE: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sleep, '1000000']\n    volumeMounts: [{name: m, mountPath: /m}]\n  volumes: [{name: m, emptyDir: {medium: Memory}}]\n";

/// The engine that runs goes on with its pods, old and new, and can take them away.
#[test]
fn an_engine_goes_on_without_its_run_directory() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(SECRETIVE);
    podtui.wait_running("x");
    let shim = podtui.shim_pid("x");
    fs::rename(podtui.run(), podtui.path().join("run.gone")).unwrap();
    podtui.wait("the socket to stand again", || {
        podtui.run().join("api.sock").exists().then_some(())
    });
    podtui.apply(&SECRETIVE.replace("name: x", "name: z"));
    podtui.wait_running("z");
    assert!(is_alive(shim));
    podtui.delete_all();
    podtui.wait("the first shim to end", || (!is_alive(shim)).then_some(()));
}

/// Shims that no engine can find any more end, and what they hold in memory with them.
#[test]
fn shims_without_a_directory_end() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(SECRETIVE);
    podtui.wait_running("x");
    let shim = podtui.shim_pid("x");
    fs::rename(podtui.run(), podtui.path().join("run.gone")).unwrap();
    podtui.kill_engine();
    podtui.serve();
    podtui.wait("the old shim to end", || (!is_alive(shim)).then_some(()));
    podtui.wait_running("x");
    podtui.delete_all();
}
