//! Amounts and claims: Kubernetes' own tables of resource requirements, of pod-level resources and of
//! `TestValidateDynamicResourceAllocation`, derived from the rules.

use super::*;

/// A pod with two claims of its own and one container that uses what is given.
fn uses(claims: Value) -> Value {
    pod(json!({
        "resourceClaims": [{"name": "a", "resourceClaimName": "x"}, {"name": "b", "resourceClaimTemplateName": "y"}],
        "containers": [{"name": "web", "image": "nginx", "resources": {"claims": claims}}],
    }))
}

#[test]
fn claims_of_containers() {
    let known = "must be one of the names in pod.spec.resourceClaims";
    check_rows(
        uses,
        "spec.containers[0].resources.claims",
        &[
            ("[{name: a}, {name: b}]", &[]),
            (
                "[{name: a, request: r}, {name: a, request: s}, {name: b}]",
                &[],
            ),
            (
                "[{name: c}]",
                &[&format!("[0]: Not found: \"c\": {known}: a, b")],
            ),
            ("[{name: ''}]", &["[0]: Required value"]),
            ("[{name: a}, {name: a}]", &["[1]: Duplicate value: \"a\""]),
            (
                "[{name: a}, {name: a, request: r}]",
                &["[1]: Duplicate value: \"a\""],
            ),
            (
                "[{name: a, request: r}, {name: a}]",
                &["[1]: Duplicate value: \"a\""],
            ),
            (
                "[{name: a, request: r}, {name: a, request: s}, {name: a}]",
                &["[2]: Duplicate value: \"a\"", "[2]: Duplicate value: \"a\""],
            ),
            (
                "[{name: a, request: r}, {name: a, request: r}]",
                &["[1]: Duplicate value: \"a/r\""],
            ),
            (
                "[{name: a, request: A}]",
                &[&format!("[0].request: Invalid value: \"A\": {LABEL}")],
            ),
        ],
    );
    check(
        container(fields("{resources: {claims: [{name: a}]}}")),
        &[&format!(
            "spec.containers[0].resources.claims[0]: Not found: \"a\": {known} which is empty"
        )],
    );
}

fn claims(claims: Value) -> Value {
    pod(json!({ "resourceClaims": claims }))
}

#[test]
fn claims_of_pods() {
    check_rows(
        claims,
        "spec.resourceClaims",
        &[
            (
                "[{name: a, resourceClaimName: x}, {name: b, resourceClaimTemplateName: x}]",
                &[],
            ),
            (
                "[{name: '', resourceClaimName: x}]",
                &["[0].name: Required value"],
            ),
            (
                "[{name: A, resourceClaimName: x}]",
                &[&format!("[0].name: Invalid value: \"A\": {LABEL}")],
            ),
            (
                "[{name: a, resourceClaimName: x}, {name: a, resourceClaimName: x}]",
                &["[1].name: Duplicate value: \"a\""],
            ),
            (
                "[{name: a}]",
                &[
                    "[0]: Invalid value: {\"name\":\"a\"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
                ],
            ),
            (
                "[{name: a, resourceClaimName: x, resourceClaimTemplateName: tpl}]",
                &[
                    "[0]: Invalid value: {\"name\":\"a\",\"resourceClaimName\":\"x\",\"resourceClaimTemplateName\":\"tpl\"}: at most one of \
                     `resourceClaimName` or `resourceClaimTemplateName` may be specified",
                ],
            ),
        ],
    );
    let errors = create(claims(fields("[{name: a, resourceClaimName: .x_y}]"))).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .starts_with("spec.resourceClaims[0].resourceClaimName: Invalid value: \".x_y\": a lowercase RFC 1123 subdomain")
    );
    let mut mirror = claims(fields("[{name: a, resourceClaimName: x}]"));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    mirror["spec"]["nodeName"] = json!("here");
    check(
        mirror,
        &[": Forbidden: static pods do not support resource claims"],
    );
}

fn of_container(resources: Value) -> Value {
    container(json!({ "resources": resources }))
}

#[test]
fn amounts() {
    check_rows(
        of_container,
        "spec.containers[0].resources",
        &[
            ("{limits: {cpu: 10, memory: 10G, my.org/resource: 10}}", &[]),
            (
                "{requests: {cpu: 9.5, memory: 10G}, limits: {cpu: 10, my.org/resource: 10}}",
                &[],
            ),
            ("{requests: {cpu: 8}, limits: {cpu: 10}}", &[]),
            (
                "{limits: {disk: 10G}, requests: {disk: 10G}}",
                &[
                    ".limits[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                    ".limits[disk]: Invalid value: \"disk\": must be a standard resource for containers",
                    ".requests[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                    ".requests[disk]: Invalid value: \"disk\": must be a standard resource for containers",
                ],
            ),
            (
                "{requests: {'my disk': 1}}",
                &[
                    &format!(".requests[my disk]: Invalid value: \"my disk\": {NAME_PART}"),
                    ".requests[my disk]: Invalid value: \"my disk\": must be a standard resource for containers",
                ],
            ),
            (
                "{requests: {memory: -10}}",
                &[".requests[memory]: Invalid value: \"-10\": must be greater than or equal to 0"],
            ),
            (
                "{requests: {cpu: 6, memory: 4}, limits: {cpu: 5, memory: 3}}",
                &[
                    ".requests: Invalid value: \"6\": must be less than or equal to cpu limit of 5",
                    ".requests: Invalid value: \"4\": must be less than or equal to memory limit of 3",
                ],
            ),
            (
                "{requests: {example.com/a: 500m}}",
                &[
                    ".requests[example.com/a]: Invalid value: \"500m\": must be an integer",
                    ".limits: Required value: Limit must be set for non overcommitable resources",
                ],
            ),
            (
                "{requests: {example.com/a: 2}, limits: {example.com/a: 1}}",
                &[".requests: Invalid value: \"2\": must be equal to example.com/a limit of 1"],
            ),
            (
                "{limits: {cpu: 1, hugepages-2Mi: 3Mi}}",
                &[
                    ".limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
                    ".requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
                ],
            ),
            (
                "{limits: {example.com/requests.a/b: 1}, requests: {example.com/requests.a/b: 1}}",
                &[
                    ".limits[example.com/requests.a/b]: Invalid value: \"example.com/requests.a/b\": a qualified name must consist of alphanumeric \
                     characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                     '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and \
                     '/' (e.g. 'example.com/MyName')",
                    ".limits[example.com/requests.a/b]: Invalid value: \"example.com/requests.a/b\": doesn't follow extended resource name standard",
                    ".requests[example.com/requests.a/b]: Invalid value: \"example.com/requests.a/b\": a qualified name must consist of \
                     alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or \
                     'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS \
                     subdomain prefix and '/' (e.g. 'example.com/MyName')",
                    ".requests[example.com/requests.a/b]: Invalid value: \"example.com/requests.a/b\": doesn't follow extended resource name \
                     standard",
                ],
            ),
        ],
    );
}

/// A pod with resources of its own; its container asks for one cpu and 4Mi of huge pages.
fn of_pod(resources: Value) -> Value {
    pod(json!({
        "resources": resources,
        "containers": [{"name": "web", "image": "nginx", "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}}}],
    }))
}

#[test]
fn amounts_of_pods() {
    check_rows(
        of_pod,
        "spec.resources",
        &[
            (
                "{limits: {cpu: 2, hugepages-2Mi: 4Mi}, requests: {cpu: 1}}",
                &[],
            ),
            (
                "{requests: {cpu: 500m}}",
                &[
                    ".requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 1",
                ],
            ),
            (
                "{limits: {cpu: 500m}, requests: {cpu: 500m}}",
                &[
                    ".requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 1",
                    ".containers[0][cpu].limits: Invalid value: \"1\": must be less than or equal to pod limits of 500m",
                ],
            ),
            (
                "{limits: {cpu: 2, hugepages-2Mi: 2Mi}, requests: {cpu: 2}}",
                &[
                    ".requests[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate container requests of 4Mi",
                    ".limits[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate container limits of 4Mi",
                    ".containers[0][hugepages-2Mi].limits: Invalid value: \"4Mi\": must be less than or equal to pod limits of 2Mi",
                ],
            ),
            (
                "{requests: {cpu: 1, ephemeral-storage: 1Gi, example.com/a: 1}, limits: {example.com/a: 1}}",
                &[
                    ".limits[example.com/a]: Unsupported value: \"example.com/a\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
                    ".requests[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
                    ".requests[example.com/a]: Unsupported value: \"example.com/a\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
                ],
            ),
            (
                "{requests: {disk: 1}}",
                &[
                    ".requests[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                ],
            ),
        ],
    );
    // On another system nothing more is said of them.
    let mut windows = of_pod(fields("{limits: {cpu: 500m}}"));
    windows["spec"]["os"] = json!({"name": "windows"});
    check(
        windows,
        &["spec.resources: Forbidden: may not be set for a windows pod"],
    );
}

#[test]
fn resource_errors() {
    let resources = |resources: Value| container(json!({ "resources": resources }));
    check(
        resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ],
    );
    check(
        resources(
            json!({"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}, "requests": {"hugepages-2Mi": "2Mi"}}),
        ),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2Mi\": must be equal to hugepages-2Mi limit of 4Mi",
        ],
    );
    check(
        resources(json!({"requests": {"example.com/foo": "1"}})),
        &[
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ],
    );
    check(
        resources(json!({"limits": {"hugepages-2Mi": "4Mi"}})),
        &["spec.containers[0].resources: Forbidden: HugePages require cpu or memory"],
    );
    check(
        resources(json!({"requests": {"cpu": "-1", "storage": "1", "gpu": "1"}})),
        &[
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[storage]: Invalid value: \"storage\": must be a standard resource for containers",
        ],
    );
    check(
        pod(
            json!({"resources": {"requests": {"cpu": "500m"}}, "containers": [
            {"name": "web", "image": "x", "resources": {"requests": {"cpu": "1"}}}]}),
        ),
        &[
            "spec.resources.requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 1",
        ],
    );
}
