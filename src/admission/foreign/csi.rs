use serde_json::Value;

use super::source::{Place, text};
use crate::admission::field::{Errors, by_rule, required, required_by_rule};
use crate::model::{FieldError, names};

/// Longest name of a driver, bytes.
const DRIVER_MAX: usize = 63;

/// The secrets that a persistent volume may name. `nodeStageSecretRef` is not looked at, as in the API.
const SECRETS: [&str; 4] = [
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
];

pub(super) fn csi(errors: &mut Errors, path: &str, place: Place<'_>, fields: &Value) {
    driver(errors, &format!("{path}.driver"), text(fields, "driver"));
    match place {
        Place::Pod => {
            let secret = &fields["nodePublishSecretRef"];
            if secret.is_null() {
                return;
            }
            let name = text(secret, "name");
            required(errors, format!("{path}.nodePublishSecretRef.name"), name);
            if !name.is_empty() {
                // The API reports a bad name one step too high.
                by_rule(errors, &format!("{path}.name"), name, names::dns_subdomain);
            }
        }
        Place::Persistent(_) => {
            let handle = text(fields, "volumeHandle");
            required(errors, format!("{path}.volumeHandle"), handle);
            for field in SECRETS {
                secret_reference(errors, &format!("{path}.{field}"), &fields[field]);
            }
        }
    }
}

/// The rule looks at the name in small letters; the message shows it as it was given.
fn driver(errors: &mut Errors, path: &str, name: &str) {
    required(errors, path.to_owned(), name);
    if name.len() > DRIVER_MAX {
        errors.push(FieldError::too_long(path, DRIVER_MAX));
    }
    for problem in names::dns_subdomain(&name.to_lowercase()) {
        errors.push(FieldError::invalid_string(path, name, problem));
    }
}

fn secret_reference(errors: &mut Errors, path: &str, secret: &Value) {
    if secret.is_null() {
        return;
    }
    let (name, namespace) = (text(secret, "name"), text(secret, "namespace"));
    required_by_rule(errors, &format!("{path}.name"), name, names::dns_subdomain);
    let path = format!("{path}.namespace");
    required_by_rule(errors, &path, namespace, names::dns_label);
}
