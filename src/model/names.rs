//! Rules for names and keys, with the exact texts of the Kubernetes API.
//!
//! Every function returns all problems of one text; none means it is good.

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SEARCH_DOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
const SEARCH_DOMAIN_FORMAT: &str =
    "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const QUALIFIED_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const LABEL_VALUE_FORMAT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY_TEXT: &str =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
const CONFIG_KEY_FORMAT: &str = "[-._a-zA-Z0-9]+";
const ENV_NAME_TEXT: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";

pub(crate) const LABEL_MAX: usize = 63;
pub(crate) const SUBDOMAIN_MAX: usize = 253;

/// `text (e.g. 'a',  or 'b', regex used for validation is '…')`; the double blank before `or` is the API's own.
fn regex_error(text: &str, format: &str, examples: &[&str]) -> String {
    let mut message = format!("{text} (e.g. ");
    for (index, example) in examples.iter().enumerate() {
        if index > 0 {
            message.push_str(" or ");
        }
        message.push_str(&format!("'{example}', "));
    }
    message.push_str(&format!("regex used for validation is '{format}')"));
    message
}

pub(crate) fn max_length(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => {
            alphanumeric(first)
                && alphanumeric(last)
                && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        }
        _ => false,
    }
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        }
        _ => false,
    }
}

/// Containers, volumes, namespaces, hostnames.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > LABEL_MAX {
        problems.push(max_length(LABEL_MAX));
    }
    if !is_label(text) {
        // A good subdomain that is no label has dots.
        problems.push(if text.split('.').all(is_label) {
            "must not contain dots".to_owned()
        } else {
            regex_error(LABEL_TEXT, LABEL_FORMAT, &["my-name", "123-abc"])
        });
    }
    problems
}

/// Pods, config maps, secrets, prefixes of label keys.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        problems.push(max_length(SUBDOMAIN_MAX));
    }
    if !text.split('.').all(is_label) {
        problems.push(regex_error(
            SUBDOMAIN_TEXT,
            SUBDOMAIN_FORMAT,
            &["example.com"],
        ));
    }
    problems
}

/// Domains of a resolver, without the dot at their end: as [`dns_subdomain`], and with underscores inside of labels
/// and one before each.
pub(crate) fn search_domain(text: &str) -> Vec<String> {
    let label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        is_label(&label.replace('_', "-"))
    };
    let mut problems = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        problems.push(max_length(SUBDOMAIN_MAX));
    }
    if !text.split('.').all(label) {
        problems.push(regex_error(
            SEARCH_DOMAIN_TEXT,
            SEARCH_DOMAIN_FORMAT,
            &["example.com"],
        ));
    }
    problems
}

/// Whether a resource is known to Kubernetes itself.
pub(crate) fn is_native_resource(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a resource is one that somebody advertises on the node and that is only counted: `<domain>/<name>`.
pub(crate) fn is_extended_resource(name: &str) -> bool {
    !is_native_resource(name)
        && !name.starts_with("requests.")
        && qualified_name(&format!("requests.{name}")).is_empty()
}

/// Keys of labels and annotations, finalizers, extended resources: `[prefix/]name`.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (*name).to_owned(),
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                let found = dns_subdomain(prefix);
                problems.extend(found.iter().map(|text| format!("prefix part {text}")));
            }
            (*name).to_owned()
        }
        _ => {
            let text = regex_error(
                QUALIFIED_TEXT,
                QUALIFIED_FORMAT,
                &["MyName", "my.name", "123-abc"],
            );
            problems.push(format!(
                "a qualified name {text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return problems;
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        problems.push(format!("name part {}", max_length(LABEL_MAX)));
    }
    if !is_qualified(&name) {
        let text = regex_error(
            QUALIFIED_TEXT,
            QUALIFIED_FORMAT,
            &["MyName", "my.name", "123-abc"],
        );
        problems.push(format!("name part {text}"));
    }
    problems
}

pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > LABEL_MAX {
        problems.push(max_length(LABEL_MAX));
    }
    if !text.is_empty() && !is_qualified(text) {
        problems.push(regex_error(
            LABEL_VALUE_TEXT,
            LABEL_VALUE_FORMAT,
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// Keys of `data` in config maps and secrets; they become file names.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        problems.push(max_length(SUBDOMAIN_MAX));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        problems.push(regex_error(
            CONFIG_KEY_TEXT,
            CONFIG_KEY_FORMAT,
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match text {
        "." => problems.push("must not be '.'".to_owned()),
        ".." => problems.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}

pub(crate) fn env_name(text: &str) -> Vec<String> {
    let good = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'=';
    if !text.is_empty() && text.bytes().all(good) {
        Vec::new()
    } else {
        vec![ENV_NAME_TEXT.to_owned()]
    }
}

/// IANA service names, as container ports use them.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |bad: bool, message: &str| {
        if bad {
            problems.push(message.to_owned());
        }
    };
    let charset = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    check(text.len() > 15, "must be no more than 15 bytes");
    check(
        text.is_empty() || !text.bytes().all(charset),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    check(
        !text.bytes().any(|byte| byte.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    check(text.contains("--"), "must not contain consecutive hyphens");
    check(
        text.starts_with('-') || text.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    problems
}

pub(crate) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

pub(crate) fn ip_address(text: &str) -> Vec<String> {
    // The standard library refuses leading zeros in IPv4 as well.
    if text.parse::<std::net::IpAddr>().is_ok() {
        Vec::new()
    } else {
        vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problems: &[String], expected: &[&str]) {
        assert_eq!(problems, expected);
    }

    #[test]
    fn texts() {
        check(&dns_label("web-1"), &[]);
        check(
            &dns_label("Web"),
            &[
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        );
        check(
            &dns_subdomain("a..b"),
            &[
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        );
        check(
            &qualified_name("bad key"),
            &[
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ],
        );
        check(&qualified_name("example.com/role"), &[]);
        check(&label_value(""), &[]);
        check(
            &label_value("a b"),
            &[
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        );
        check(
            &config_key("a/b"),
            &[
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ],
        );
        check(&config_key("..a"), &["must not start with '..'"]);
        check(&env_name("A B.c"), &[]);
        check(
            &env_name("a=b"),
            &[
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            ],
        );
        check(&port_name("http"), &[]);
        check(
            &port_name("-1234567890--123456"),
            &[
                "must be no more than 15 bytes",
                "must contain at least one letter (a-z)",
                "must not contain consecutive hyphens",
                "must not begin or end with a hyphen",
            ],
        );
        check(
            &ip_address("10.0.0.01"),
            &["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"],
        );
        check(
            &dns_label(&"a".repeat(64)),
            &["must be no more than 63 bytes"],
        );
    }
}
