use serde_json::Value;

pub(super) fn read(text: &str) -> Result<Vec<Value>, String> {
    let values: Vec<Value> = serde_yaml::from_multiple(text).map_err(|error| error.to_string())?;
    Ok(values
        .into_iter()
        .filter(|value| !value.is_null())
        .collect())
}

/// A value as YAML in the form kubectl prints: keys sorted, two blanks of indentation.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    let options = serde_yaml::ser_options! { prefer_block_scalars: false };
    serde_yaml::to_string_with_options(&value, options).unwrap_or_default()
}
