//! Who a container is and what it may do: Kubernetes' own tables of security contexts, profiles, host processes and
//! of user namespaces, derived from the rules.

use super::*;

fn in_pod(context: Value) -> Value {
    pod(json!({ "securityContext": context }))
}

fn in_container(context: Value) -> Value {
    container(json!({ "securityContext": context }))
}

#[test]
fn profiles() {
    let types = "supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"";
    let long = format!(
        "{{appArmorProfile: {{type: Localhost, localhostProfile: {}}}}}",
        "a".repeat(4096)
    );
    let rows: &[Row<'_>] = &[
        ("{seccompProfile: {type: RuntimeDefault}}", &[]),
        ("{seccompProfile: {type: Unconfined}}", &[]),
        (
            "{seccompProfile: {type: Localhost, localhostProfile: a/b.json}}",
            &[],
        ),
        (
            "{seccompProfile: {type: Localhost, localhostProfile: ''}}",
            &[],
        ),
        (
            "{seccompProfile: {type: Localhost}}",
            &[
                "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            "{seccompProfile: {type: Localhost, localhostProfile: /a}}",
            &["seccompProfile.localhostProfile: Invalid value: \"/a\": must be a relative path"],
        ),
        (
            "{seccompProfile: {type: Localhost, localhostProfile: ../a}}",
            &["seccompProfile.localhostProfile: Invalid value: \"../a\": must not contain '..'"],
        ),
        (
            "{seccompProfile: {type: Unconfined, localhostProfile: a}}",
            &[
                "seccompProfile.localhostProfile: Invalid value: {\"localhostProfile\":\"a\",\"type\":\"Unconfined\"}: can only be set when \
                 seccomp type is Localhost",
            ],
        ),
        (
            "{seccompProfile: {type: ''}}",
            &["seccompProfile.type: Required value: type is required when seccompProfile is set"],
        ),
        (
            "{seccompProfile: {type: x, localhostProfile: a}}",
            &[
                &format!("seccompProfile.type: Unsupported value: \"x\": {types}"),
                "seccompProfile.localhostProfile: Invalid value: {\"localhostProfile\":\"a\",\"type\":\"x\"}: can only be set when seccomp type \
                 is Localhost",
            ],
        ),
        ("{appArmorProfile: {type: RuntimeDefault}}", &[]),
        ("{appArmorProfile: {type: Unconfined}}", &[]),
        (
            "{appArmorProfile: {type: Localhost, localhostProfile: example-org/application-foo}}",
            &[],
        ),
        (
            "{appArmorProfile: {type: Localhost, localhostProfile: /usr/bin/a}}",
            &[],
        ),
        (
            "{appArmorProfile: {type: x, localhostProfile: a}}",
            &[&format!(
                "appArmorProfile.type: Unsupported value: \"x\": {types}"
            )],
        ),
        (
            "{appArmorProfile: {type: ''}}",
            &["appArmorProfile.type: Required value: type is required when appArmorProfile is set"],
        ),
        (
            "{appArmorProfile: {type: Localhost}}",
            &[
                "appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost",
            ],
        ),
        (
            "{appArmorProfile: {type: Localhost, localhostProfile: ''}}",
            &[
                "appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost",
            ],
        ),
        (
            "{appArmorProfile: {type: RuntimeDefault, localhostProfile: a}}",
            &[
                "appArmorProfile.localhostProfile: Invalid value: \"a\": can only be set when AppArmor type is Localhost",
            ],
        ),
        (
            "{appArmorProfile: {type: Localhost, localhostProfile: 'a '}}",
            &[
                "appArmorProfile.localhostProfile: Invalid value: \"a \": must not be padded with whitespace",
            ],
        ),
        (
            &long,
            &["appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes"],
        ),
    ];
    check_rows(in_pod, "spec.securityContext.", rows);
    check_rows(in_container, "spec.containers[0].securityContext.", rows);
}

#[test]
fn windows_options() {
    let user = |problem: &str, name: &str| {
        format!("windowsOptions.runAsUserName: Invalid value: {name}: {problem}")
    };
    let chars = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
    let domain = "runAsUserName's Domain doesn't match the NetBios nor the DNS format";
    let long_user = "a".repeat(105);
    let long_domain = "a".repeat(256);
    let many_users = format!("{{windowsOptions: {{runAsUserName: {long_user}}}}}");
    let many_domains = format!("{{windowsOptions: {{runAsUserName: '{long_domain}\\a'}}}}");
    let rows: &[Row<'_>] = &[
        (
            "{windowsOptions: {gmsaCredentialSpecName: my.spec, gmsaCredentialSpec: x, runAsUserName: dummy}}",
            &[],
        ),
        (
            "{windowsOptions: {runAsUserName: 'test-domain.com\\a.user'}}",
            &[],
        ),
        ("{windowsOptions: {runAsUserName: 'NETBIOS\\a b'}}", &[]),
        (
            "{windowsOptions: {gmsaCredentialSpec: ''}}",
            &[
                "windowsOptions.gmsaCredentialSpec: Invalid value: \"\": gmsaCredentialSpec cannot be an empty string",
            ],
        ),
        (
            "{windowsOptions: {runAsUserName: ''}}",
            &[&user("runAsUserName cannot be an empty string", "\"\"")],
        ),
        (
            "{windowsOptions: {runAsUserName: \"a\\tb\"}}",
            &[&user(
                "runAsUserName cannot contain control characters",
                "\"a\\tb\"",
            )],
        ),
        (
            "{windowsOptions: {runAsUserName: 'a\\b\\c'}}",
            &[&user(
                "runAsUserName cannot contain more than one backslash",
                "\"a\\\\b\\\\c\"",
            )],
        ),
        (
            "{windowsOptions: {runAsUserName: 'a\\'}}",
            &[&user("runAsUserName's User cannot be empty", "\"a\\\\\"")],
        ),
        (
            "{windowsOptions: {runAsUserName: '\\a'}}",
            &[&user(domain, "\"\\\\a\"")],
        ),
        (
            "{windowsOptions: {runAsUserName: '.a\\b'}}",
            &[&user(domain, "\".a\\\\b\"")],
        ),
        (
            "{windowsOptions: {runAsUserName: '. .'}}",
            &[&user(
                "runAsUserName's User cannot contain only periods or spaces",
                "\". .\"",
            )],
        ),
        (
            "{windowsOptions: {runAsUserName: 'a@b'}}",
            &[&user(chars, "\"a@b\"")],
        ),
        (
            &many_users,
            &[&user(
                "runAsUserName's User length must not be longer than 104 characters",
                &format!("\"{long_user}\""),
            )],
        ),
        (
            &many_domains,
            &[
                &user(
                    "runAsUserName's Domain length must be under 256 characters",
                    &format!("\"{long_domain}\\\\a\""),
                ),
                &user(domain, &format!("\"{long_domain}\\\\a\"")),
            ],
        ),
    ];
    check_rows(in_pod, "spec.securityContext.", rows);
    check_rows(in_container, "spec.containers[0].securityContext.", rows);
    let large = in_pod(json!({"windowsOptions": {"gmsaCredentialSpec": "x".repeat(65_537)}}));
    let errors = create(large).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .ends_with(": gmsaCredentialSpec size must be under 64 KiB")
    );
}

/// Two containers; the first has what is given.
fn two(spec: Value) -> Value {
    let mut spec = spec;
    let first = spec["first"].take();
    let second = spec["second"].take();
    spec.as_object_mut()
        .unwrap()
        .retain(|key, _| key != "first" && key != "second");
    let one = |name: &str, flag: &Value| {
        let mut one = json!({"name": name, "image": "x"});
        if !flag.is_null() {
            one["securityContext"] = json!({"windowsOptions": {"hostProcess": flag}});
        }
        one
    };
    spec["initContainers"] = json!([one("i", &first)]);
    spec["containers"] = json!([one("c", &second)]);
    pod(spec)
}

#[test]
fn processes_of_the_host() {
    let mixed = ": Invalid value: \"\": If pod contains any hostProcess containers then all containers must be HostProcess containers";
    let network = ".hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers";
    let differs = |list: &str, was: bool, pod: bool| {
        format!(
            ".{list}[0].securityContext.windowsOptions.hostProcess: Invalid value: {was}: pod hostProcess value must be identical if both are \
             specified, was {pod}"
        )
    };
    check_rows(
        two,
        "spec",
        &[
            ("{hostNetwork: true, first: true, second: true}", &[]),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}}",
                &[],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}, second: true}",
                &[],
            ),
            ("{first: false}", &[]),
            ("{first: true, second: true}", &[network]),
            (
                "{securityContext: {windowsOptions: {hostProcess: true}}}",
                &[network],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}, first: true, second: true}",
                &[],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}, first: false, second: true}",
                &[&differs("initContainers", false, true), mixed],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}, first: false, second: false}",
                &[
                    &differs("initContainers", false, true),
                    &differs("containers", false, true),
                ],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: false}}, second: true}",
                &[&differs("containers", true, false), mixed],
            ),
            ("{hostNetwork: true, first: true}", &[mixed]),
            ("{hostNetwork: true, second: true, first: false}", &[mixed]),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: true}}, second: false}",
                &[&differs("containers", false, true), mixed],
            ),
            (
                "{hostNetwork: true, securityContext: {windowsOptions: {hostProcess: false}}, first: true, second: true}",
                &[
                    &differs("initContainers", true, false),
                    &differs("containers", true, false),
                ],
            ),
        ],
    );
}

#[test]
fn users_of_their_own() {
    check_rows(
        pod,
        "spec.",
        &[
            ("{hostUsers: false}", &[]),
            (
                "{hostUsers: true, hostNetwork: true, hostPID: true, hostIPC: true}",
                &[],
            ),
            (
                "{hostUsers: false, hostNetwork: true, hostPID: true, hostIPC: true}",
                &[
                    "hostNetwork: Forbidden: when `hostUsers` is false",
                    "HostPID: Forbidden: when `hostUsers` is false",
                    "HostIPC: Forbidden: when `hostUsers` is false",
                ],
            ),
            (
                "{hostUsers: false, volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], containers: [{name: c, image: x, \
                  volumeDevices: [{name: v, devicePath: /dev/v}]}]}",
                &["containers[0].volumeDevices: Forbidden: when `hostUsers` is false"],
            ),
            (
                "{hostUsers: false, containers: [{name: c, image: x, securityContext: {procMount: Unmasked}}]}",
                &[],
            ),
            (
                "{containers: [{name: c, image: x, securityContext: {procMount: ''}}]}",
                &[
                    "containers[0].securityContext.procMount: Unsupported value: \"\": supported values: \"Default\", \"Unmasked\"",
                ],
            ),
            (
                "{securityContext: {fsGroupChangePolicy: '', supplementalGroupsPolicy: ''}}",
                &[
                    "securityContext.fsGroupChangePolicy: Unsupported value: \"\": supported values: \"Always\", \"OnRootMismatch\"",
                    "securityContext.supplementalGroupsPolicy: Unsupported value: \"\": supported values: \"Merge\", \"Strict\"",
                ],
            ),
            (
                "{securityContext: {supplementalGroups: [2147483648, -1], fsGroup: 2147483648, runAsUser: -1, runAsGroup: -1}}",
                &[
                    "securityContext.fsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
                    "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                    "securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                    "securityContext.supplementalGroups[0]: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
                    "securityContext.supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                ],
            ),
            (
                "{containers: [{name: c, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {add: [CAP_SYS_ADMIN]}}}]}",
                &[
                    "containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"capabilities\":{\"add\":[\"CAP_SYS_ADMIN\"]}}: \
                     cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
                ],
            ),
            (
                "{containers: [{name: c, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {add: [SYS_ADMIN]}}}]}",
                &[],
            ),
        ],
    );
}

#[test]
fn files_that_variables_are_read_from() {
    let from = "valueFrom: {fileKeyRef: {volumeName: v, path: a, key: K}}";
    let with = |volumes: &str| {
        format!(
            "{{volumes: {volumes}, containers: [{{name: c, image: x, env: [{{name: A, {from}}}]}}]}}"
        )
    };
    let at = "containers[0].env[0].valueFrom.fileKeyRef.volumeName";
    check_rows(
        pod,
        "spec.",
        &[
            (&with("[{name: v, emptyDir: {}}]"), &[]),
            (&with("[]"), &[&format!("{at}: Not found: \"v\"")]),
            (
                &with("[{name: v, configMap: {name: m}}]"),
                &[&format!(
                    "{at}: Invalid value: \"v\": referenced volume must be of type emptyDir"
                )],
            ),
        ],
    );
}

#[test]
fn security_errors() {
    check(
        container(
            json!({"securityContext": {"runAsUser": -1, "privileged": true, "allowPrivilegeEscalation": false}}),
        ),
        &[
            "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true,\"runAsUser\":-1}: cannot set \
             `allowPrivilegeEscalation` to false and `privileged` to true",
        ],
    );
    check(
        container(
            json!({"securityContext": {"procMount": "Unmasked", "seccompProfile": {"type": "Localhost"}}}),
        ),
        &[
            "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ],
    );
    check(
        pod(json!({"hostNetwork": true, "securityContext": {"sysctls": [
            {"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "Bad", "value": "1"}, {"name": "kernel.sem", "value": "1"}, {"name": "kernel.sem", "value": "1"}]}})),
        &[
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.tcp_syncookies\": may not be specified when 'hostNetwork' is true",
            "spec.securityContext.sysctls[1].name: Invalid value: \"Bad\": must have at most 253 characters and match regex \
             ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.sysctls[3].name: Duplicate value: \"kernel.sem\"",
        ],
    );
}
