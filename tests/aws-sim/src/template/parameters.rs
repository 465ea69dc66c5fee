//! The parameters of an operation: given, kept from before, or the template's defaults; and their constraints.
//!
//! Pages: "Parameters section" and, for `UsePreviousValue`, the API reference of "Parameter" and "CreateChangeSet".

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;

use super::Template;
use crate::input::{field, scalar};
use crate::wire::Fault;

/// A parameter as a caller gives it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) use_previous: bool,
}

impl Given {
    /// Reads `[{ParameterKey, ParameterValue, UsePreviousValue}]`.
    pub(crate) fn read(list: &[Value]) -> Vec<Self> {
        let read = |item: &Value| {
            let use_previous = item.get("UsePreviousValue").and_then(scalar).as_deref() == Some("true");
            let value = item.get("ParameterValue").and_then(scalar);
            Self { key: field(item, "ParameterKey").to_owned(), value, use_previous }
        };
        list.iter().map(read).collect()
    }
}

/// The value of every parameter of the template. A parameter that is not given takes the default, even if the stack has
/// another value: only `UsePreviousValue` keeps it.
pub(crate) fn resolve(
    template: &Template,
    given: &[Given],
    previous: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, Fault> {
    let declared = template.section("Parameters");
    let declared = |name: &str| declared.and_then(|all| all.get(name));
    let mut values = BTreeMap::new();
    for parameter in given {
        let key = &parameter.key;
        if parameter.use_previous {
            if parameter.value.is_some() {
                let text = format!(
                    "Invalid input for parameter key {key}. Either UsePreviousValue must be false or ParameterValue must not be specified."
                );
                return Err(Fault::validation(text));
            }
            let kept = previous.and_then(|previous| previous.get(key)).ok_or_else(|| {
                Fault::validation(format!("Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"))
            })?;
            values.insert(key.clone(), kept.clone());
        } else if let Some(value) = &parameter.value {
            values.insert(key.clone(), value.clone());
        }
    }
    let unknown: Vec<&str> = values.keys().map(String::as_str).filter(|name| declared(name).is_none()).collect();
    if !unknown.is_empty() {
        return Err(Fault::validation(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut missing = Vec::new();
    for (name, declaration) in template.section("Parameters").into_iter().flatten() {
        if !values.contains_key(name) {
            match declaration.get("Default").and_then(scalar) {
                Some(default) => {
                    values.insert(name.clone(), default);
                }
                None => missing.push(name.as_str()),
            }
        }
        if let Some(value) = values.get(name) {
            satisfies(name, declaration, value)?;
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    Err(Fault::validation(format!("Parameters: [{}] must have values", missing.join(", "))))
}

fn satisfies(name: &str, declaration: &Value, value: &str) -> Result<(), Fault> {
    let description = field(declaration, "ConstraintDescription");
    let fails = |constraint: String| {
        let text = if description.is_empty() {
            constraint
        } else {
            format!("Parameter {name} failed to satisfy constraint: {description}")
        };
        Err(Fault::validation(text))
    };
    if let Some(allowed) = declaration.get("AllowedValues").and_then(Value::as_array)
        && !allowed.iter().any(|item| scalar(item).as_deref() == Some(value))
    {
        return fails(format!("Parameter '{name}' must be one of AllowedValues"));
    }
    if let Some(pattern) = declaration.get("AllowedPattern").and_then(Value::as_str) {
        let whole = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| Fault::validation(format!("Template error: AllowedPattern of {name}: {error}")))?;
        if !whole.is_match(value) {
            return fails(format!("Parameter '{name}' must match pattern {pattern}"));
        }
    }
    if field(declaration, "Type") == "Number" {
        let number: f64 = match value.parse() {
            Ok(number) => number,
            Err(_) => return fails(format!("Parameter '{name}' must be a number")),
        };
        let bound = |key: &str| declaration.get(key).and_then(scalar)?.parse::<f64>().ok();
        if bound("MinValue").is_some_and(|least| number < least) {
            return fails(format!("Parameter '{name}' must be a number not less than MinValue"));
        }
        if bound("MaxValue").is_some_and(|most| number > most) {
            return fails(format!("Parameter '{name}' must be a number not greater than MaxValue"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let body = "
Parameters:
  Env: {Type: String, AllowedValues: [staging, prod], Default: staging}
  Digest: {Type: String, AllowedPattern: 'sha256:[0-9a-f]{4}', ConstraintDescription: must be a digest}
  Count: {Type: Number, Default: 3, MaxValue: 5}
Resources: {R: {Type: T}}";
        Template::parse(body).unwrap()
    }

    fn given(key: &str, value: &str) -> Given {
        Given { key: key.to_owned(), value: Some(value.to_owned()), use_previous: false }
    }

    fn keep(key: &str) -> Given {
        Given { key: key.to_owned(), value: None, use_previous: true }
    }

    #[test]
    fn a_default_wins_over_the_previous_value_that_nobody_asked_to_keep() {
        let before = BTreeMap::from([("Env".to_owned(), "prod".to_owned()), ("Count".to_owned(), "5".to_owned())]);
        let values = resolve(&template(), &[given("Digest", "sha256:0a1b"), keep("Env")], Some(&before)).unwrap();
        assert_eq!(values["Env"], "prod");
        assert_eq!(values["Count"], "3");
    }

    #[test]
    fn constraints_and_unknown_names_are_refused() {
        let message = |given: &[Given]| resolve(&template(), given, Some(&BTreeMap::new())).unwrap_err().message;
        assert_eq!(message(&[]), "Parameters: [Digest] must have values");
        assert_eq!(message(&[given("Digest", "x")]), "Parameter Digest failed to satisfy constraint: must be a digest");
        assert_eq!(message(&[given("Nope", "x")]), "Parameters: [Nope] do not exist in the template");
        assert_eq!(
            message(&[given("Digest", "sha256:0000"), given("Env", "demo")]),
            "Parameter 'Env' must be one of AllowedValues"
        );
        assert!(message(&[given("Digest", "sha256:0000"), given("Count", "6")]).contains("MaxValue"));
        assert!(message(&[keep("Env")]).contains("Cannot specify usePreviousValue"));
    }
}
