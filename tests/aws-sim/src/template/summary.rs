//! What `GetTemplateSummary` says of a template, and the capabilities that it needs.
//!
//! Pages: "GetTemplateSummary", and "Acknowledging IAM resources in CloudFormation templates".

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Template;
use crate::input::scalar;

/// Types whose creation must be acknowledged, and the property that gives one a name of its own.
const IAM: [(&str, &str); 7] = [
    ("AWS::IAM::AccessKey", ""),
    ("AWS::IAM::Group", "GroupName"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::Policy", ""),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::IAM::User", "UserName"),
];

/// The capability needed, and the types that need it.
pub(crate) fn capability(template: &Template) -> Option<(&'static str, Vec<String>)> {
    let mut named = false;
    let mut types = BTreeSet::new();
    for resource in template.resources().into_values() {
        if let Some((kind, name)) = IAM.iter().find(|(kind, _)| *kind == resource.kind()) {
            types.insert((*kind).to_owned());
            named |= !name.is_empty() && resource.properties().get(*name).is_some();
        }
    }
    if types.is_empty() {
        return None;
    }
    Some((if named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }, types.into_iter().collect()))
}

pub(crate) fn of(template: &Template) -> Value {
    let parameters: Vec<Value> = template
        .section("Parameters")
        .into_iter()
        .flatten()
        .map(|(name, declaration)| {
            let allowed = declaration.get("AllowedValues").and_then(Value::as_array);
            let allowed: Option<Vec<String>> = allowed.map(|items| items.iter().filter_map(scalar).collect());
            json!({
                "ParameterKey": name,
                "DefaultValue": declaration.get("Default").and_then(scalar),
                "ParameterType": declaration.get("Type"),
                "NoEcho": declaration.get("NoEcho").and_then(scalar).is_some_and(|flag| flag == "true"),
                "Description": declaration.get("Description"),
                "ParameterConstraints": {"AllowedValues": allowed},
            })
        })
        .collect();
    let types: BTreeSet<&str> = template.resources().into_values().map(super::Declared::kind).collect();
    let (capabilities, reason) = match capability(template) {
        Some((name, types)) => {
            let reason = format!("The following resource(s) require capabilities: [{}]", types.join(", "));
            (vec![name], Value::from(reason))
        }
        None => (Vec::new(), Value::Null),
    };
    let version = template.text("AWSTemplateFormatVersion");
    json!({
        "Parameters": parameters,
        "Description": template.text("Description"),
        "Capabilities": capabilities,
        "CapabilitiesReason": reason,
        "ResourceTypes": types,
        "Version": (!version.is_empty()).then_some(version),
        "Metadata": template.metadata().map(ToString::to_string),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_with_names_need_the_larger_capability() {
        let parse = |properties: &str| {
            let body = format!("Resources: {{A: {{Type: 'AWS::IAM::Role', Properties: {properties}}}}}");
            capability(&Template::parse(&body).unwrap()).map(|(name, _)| name)
        };
        assert_eq!(parse("{Path: /}"), Some("CAPABILITY_IAM"));
        assert_eq!(parse("{RoleName: x}"), Some("CAPABILITY_NAMED_IAM"));
    }
}
