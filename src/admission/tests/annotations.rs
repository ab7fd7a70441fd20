//! Annotations of pods that the API reads, derived from the rules behind `TestValidatePod` and
//! `TestValidateSeccompAnnotationAndField`.

use super::*;

const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const OF_WEB: &str = "container.seccomp.security.alpha.kubernetes.io/web";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io";

/// Annotations, and below `spec` what else the pod has.
fn annotated(fields: Value) -> Value {
    let mut fields = fields;
    let spec = fields.as_object_mut().unwrap().remove("spec");
    let mut value = pod(spec.unwrap_or_else(|| json!({})));
    value["metadata"]["annotations"] = fields;
    value
}

#[test]
fn profiles_by_annotation() {
    let at = |text: &str| format!("annotations.{SECCOMP}: Invalid value: {text}");
    let row = |value: &str| format!("{{{SECCOMP}: '{value}'}}");
    let missing =
        format!("annotations[{APP_ARMOR}/gone]: Invalid value: \"gone\": container not found");
    let format = |name: &str| {
        format!(
            "annotations[{APP_ARMOR}/web]: Invalid value: \"{name}\": invalid AppArmor profile name: \"{name}\""
        )
    };
    check_rows(
        annotated,
        "metadata.",
        &[
            (&row("runtime/default"), &[]),
            (&row("docker/default"), &[]),
            (&row("unconfined"), &[]),
            (&row("localhost/foo"), &[]),
            (
                &row("foo"),
                &[&at("\"foo\": must be a valid seccomp profile")],
            ),
            (
                &row("localhost//foo"),
                &[&at("\"/foo\": must be a relative path")],
            ),
            (
                &row("localhost/../foo"),
                &[&at("\"../foo\": must not contain '..'")],
            ),
            (&format!("{{{OF_WEB}: localhost/foo}}"), &[]),
            (
                &format!("{{{OF_WEB}: ''}}"),
                &[&format!(
                    "annotations.{OF_WEB}: Invalid value: \"\": must be a valid seccomp profile"
                )],
            ),
            (&format!("{{{APP_ARMOR}/web: runtime/default}}"), &[]),
            (&format!("{{{APP_ARMOR}/web: localhost/foo}}"), &[]),
            (&format!("{{{APP_ARMOR}/web: localhost/}}"), &[]),
            (&format!("{{{APP_ARMOR}/web: ''}}"), &[]),
            (
                &format!("{{{APP_ARMOR}/gone: runtime/default}}"),
                &[&missing],
            ),
            (
                &format!("{{{APP_ARMOR}/web: bad-name}}"),
                &[&format("bad-name")],
            ),
            (
                &format!("{{{APP_ARMOR}/web: runtime/foo}}"),
                &[&format("runtime/foo")],
            ),
        ],
    );
}

#[test]
fn annotations_and_fields_agree() {
    let of_pod = |value: &str, profile: &str| {
        format!("{{{SECCOMP}: {value}, spec: {{securityContext: {{seccompProfile: {profile}}}}}}}")
    };
    let of_web = |key: &str, value: &str, field: &str, profile: &str| {
        format!(
            "{{{key}: {value}, spec: {{containers: [{{name: web, image: x, securityContext: {{{field}: {profile}}}}}]}}}}"
        )
    };
    let armed = |value: &str, profile: &str| {
        of_web(
            &format!("{APP_ARMOR}/web"),
            value,
            "appArmorProfile",
            profile,
        )
    };
    let type_ = "securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match";
    let name = "securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match";
    let web = "containers[0].securityContext.";
    let local = "{type: Localhost, localhostProfile: foo}";
    check_rows(
        annotated,
        "spec.",
        &[
            (&of_pod("unconfined", "{type: Unconfined}"), &[]),
            (&of_pod("docker/default", "{type: RuntimeDefault}"), &[]),
            (&of_pod("localhost/foo", local), &[]),
            (&of_pod("unconfined", "{type: RuntimeDefault}"), &[type_]),
            (&of_pod("runtime/default", "{type: Unconfined}"), &[type_]),
            (&of_pod("unconfined", local), &[type_]),
            (&of_pod("localhost/bar", local), &[name]),
            (
                &of_web(
                    OF_WEB,
                    "unconfined",
                    "seccompProfile",
                    "{type: RuntimeDefault}",
                ),
                &[&format!("containers[0].{type_}")],
            ),
            (
                &of_web(OF_WEB, "localhost/bar", "seccompProfile", local),
                &[&format!("containers[0].{name}")],
            ),
            (&armed("localhost/foo", local), &[]),
            (
                &armed("runtime/default", "{type: Unconfined}"),
                &[&format!(
                    "{web}appArmorProfile.type: Forbidden: apparmor type in annotation and field must match"
                )],
            ),
            (
                &armed("localhost/bar", local),
                &[&format!(
                    "{web}appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation and field must match"
                )],
            ),
        ],
    );
}

#[test]
fn an_annotation_becomes_the_field() {
    let value =
        |profile: &str| annotated(json!({(format!("{APP_ARMOR}/web")): profile, "spec": {}}));
    let told = format!(
        "metadata.annotations[{APP_ARMOR}/web]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
    );
    for (profile, field) in [
        ("runtime/default", json!({"type": "RuntimeDefault"})),
        ("unconfined", json!({"type": "Unconfined"})),
        (
            "localhost/foo",
            json!({"type": "Localhost", "localhostProfile": "foo"}),
        ),
        ("", Value::Null),
    ] {
        let (admitted, warnings) = create(value(profile)).unwrap();
        let context = &admitted.get().to_value()["spec"]["containers"][0]["securityContext"];
        assert_eq!(context["appArmorProfile"], field, "{profile}");
        assert_eq!(warnings, [told.as_str()], "{profile}");
    }
    // What the pod says for all is not said again.
    let mut same = value("unconfined");
    same["spec"]["securityContext"] = json!({"appArmorProfile": {"type": "Unconfined"}});
    let (admitted, warnings) = create(same).unwrap();
    let container = &admitted.get().to_value()["spec"]["containers"][0];
    assert_eq!(container.get("securityContext"), None);
    assert_eq!(warnings, [""; 0]);
}
