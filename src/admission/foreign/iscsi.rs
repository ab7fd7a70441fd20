use serde_json::Value;

use super::source::{Place, in_byte, text};
use crate::admission::field::{Errors, required};
use crate::model::FieldError;

const KINDS: [&str; 3] = ["iqn", "eui", "naa"];
const FORMAT: &str = "must be valid format";
const KIND: &str = "must be valid format starting with iqn, eui, or naa";

/// Longest `<volume>:<portal>` of a volume with an initiator of its own, bytes.
const INTERFACE_MAX: usize = 64;

pub(super) fn iscsi(errors: &mut Errors, path: &str, place: Place<'_>, fields: &Value) {
    let portal = text(fields, "targetPortal");
    required(errors, format!("{path}.targetPortal"), portal);
    let initiator = fields["initiatorName"].as_str();
    if let (Place::Persistent(volume), Some(_)) = (place, initiator)
        && format!("{volume}:{portal}").len() > INTERFACE_MAX
    {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                      iscsi.initiatorName is specified.";
        let path = format!("{path}.targetportal");
        errors.push(FieldError::invalid_string(path, portal, detail));
    }
    let name = text(fields, "iqn");
    required(errors, format!("{path}.iqn"), name);
    if !name.is_empty() {
        qualified(errors, &format!("{path}.iqn"), place, name);
    }
    in_byte(errors, path, "lun", fields);
    let secret = &fields["secretRef"];
    let asks = ["chapAuthDiscovery", "chapAuthSession"]
        .iter()
        .any(|field| fields[*field] == Value::Bool(true));
    if asks && secret.is_null() {
        errors.push(FieldError::required(format!("{path}.secretRef"), ""));
    }
    if let (Place::Persistent(_), false) = (place, secret.is_null()) {
        let path = format!("{path}.secretRef.name");
        required(errors, path, text(secret, "name"));
    }
    if let Some(initiator) = initiator {
        qualified(errors, &format!("{path}.initiatorname"), place, initiator);
    }
}

/// Pods are told of the three kinds, persistent volumes are not.
fn qualified(errors: &mut Errors, path: &str, place: Place<'_>, name: &str) {
    let detail = if !KINDS.iter().any(|kind| name.starts_with(kind)) {
        match place {
            Place::Pod => KIND,
            Place::Persistent(_) => FORMAT,
        }
    } else if is_qualified(name) {
        return;
    } else {
        FORMAT
    };
    errors.push(FieldError::invalid_string(path, name, detail));
}

/// `iqn.2001-04.com.example:disk`, or `eui.` with 16 and `naa.` with 32 letters and digits.
fn is_qualified(name: &str) -> bool {
    let letters = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    // Any character may stand where the others have their point, as in the API.
    let after = |kind: &str| {
        let mut rest = name.strip_prefix(kind)?.chars();
        rest.next()?;
        Some(rest.as_str())
    };
    match &name[..3.min(name.len())] {
        "eui" => after("eui").is_some_and(|rest| letters(rest, 16)),
        "naa" => after("naa").is_some_and(|rest| letters(rest, 32)),
        _ => name.strip_prefix("iqn.").is_some_and(is_dated),
    }
}

/// `2001-04.com.example:disk`
fn is_dated(text: &str) -> bool {
    let Some((authority, unique)) = text.split_once(':') else {
        return false;
    };
    let date = authority.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        date.get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let host = date.get(8..).unwrap_or_default();
    digits(0..4)
        && date.get(4) == Some(&b'-')
        && digits(5..7)
        && date.get(7) == Some(&b'.')
        && !host.is_empty()
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
        && !unique.is_empty()
        && !unique
            .chars()
            .any(|one| ",;*&$|".contains(one) || one.is_ascii_whitespace())
}
