//! `cp`: files from and to containers.

use std::fs;

use crate::support::Podtui;

#[test]
fn files_are_copied_both_ways() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    \
         image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'exec sleep 1000']\n",
    );
    podtui.wait_running("p");
    let here = podtui.path().join("here");
    fs::create_dir_all(here.join("deep")).unwrap();
    fs::write(here.join("a"), "first").unwrap();
    // More than one piece of the stream, and no text.
    let large: Vec<u8> = (0..1_000_000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    fs::write(here.join("deep/large"), &large).unwrap();
    std::os::unix::fs::symlink("a", here.join("link")).unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    podtui.ok(&["cp", &text(&here), "p:/tmp"]);
    let inside = |script: &str| podtui.ok(&["exec", "p", "--", "sh", "-c", script]);
    assert_eq!(
        inside("cat /tmp/here/link; stat -c %s /tmp/here/deep/large"),
        "first1000000\n"
    );
    podtui.ok(&[
        "cp",
        &text(&here.join("a")),
        "default/p:/tmp/renamed",
        "-c",
        "c",
    ]);
    assert_eq!(inside("cat /tmp/renamed"), "first");

    let there = podtui.path().join("there");
    let output = podtui.output(&["cp", "p:/tmp/here", &text(&there)]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(there.join("deep/large")).unwrap(), large);
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        warned.contains("skipping link: \"tmp/here/link\" -> \"a\""),
        "{warned}"
    );
    assert!(!there.join("link").exists());
    // Into a directory that is there.
    podtui.ok(&["cp", "p:tmp/renamed", &text(&there)]);
    assert_eq!(fs::read_to_string(there.join("renamed")).unwrap(), "first");

    assert!(
        podtui
            .refused(&["cp", "p:/no/such", &text(&there)])
            .contains("No such file")
    );
    assert!(
        podtui
            .refused(&["cp", "/no/such", "p:/tmp"])
            .contains("doesn't exist in local filesystem")
    );
    assert!(
        podtui
            .refused(&["cp", "a", "b"])
            .contains("one of src or dest must be a remote file")
    );
    assert!(
        podtui
            .refused(&["cp", "nobody:/a", "b"])
            .contains("pods \"nobody\" not found")
    );
    podtui.delete_all();
}
