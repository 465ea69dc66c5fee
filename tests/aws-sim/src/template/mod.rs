//! CloudFormation templates: read, taken apart, and the mistakes found that CloudFormation finds before it does anything.
//!
//! Pages: "Template anatomy", "Template format", "Intrinsic function reference".

pub(crate) mod evaluate;
pub(crate) mod parameters;
pub(crate) mod references;
pub(crate) mod summary;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use crate::input::field;

/// A template in its long form: `!Sub x` became `{"Fn::Sub": "x"}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Value);

/// A resource as its template declares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared<'a>(&'a Value);

impl<'a> Declared<'a> {
    pub(crate) fn kind(self) -> &'a str {
        field(self.0, "Type")
    }

    pub(crate) fn properties(self) -> &'a Value {
        self.0.get("Properties").unwrap_or(&Value::Null)
    }

    pub(crate) fn condition(self) -> Option<&'a str> {
        self.0.get("Condition")?.as_str()
    }

    /// An attribute beside the properties, such as `DeletionPolicy`.
    pub(crate) fn attribute(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    pub(crate) fn retains(self, policy: &str) -> bool {
        matches!(field(self.0, policy), "Retain" | "RetainExceptOnCreate")
    }

    pub(crate) fn depends_on(self) -> Vec<&'a str> {
        match self.0.get("DependsOn") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Everything the resource depends on: by `DependsOn` and by references in its properties.
    pub(crate) fn needs(self) -> Vec<String> {
        let mut needs: Vec<String> = self.depends_on().into_iter().map(str::to_owned).collect();
        needs.extend(references::of(self.properties()).into_iter().map(|reference| reference.name));
        needs.sort();
        needs.dedup();
        needs
    }
}

impl Template {
    pub(crate) fn parse(body: &str) -> Result<Self, String> {
        let value = if body.trim_start().starts_with('{') {
            serde_json::from_str(body)
                .map_err(|error| format!("Template format error: JSON not well-formed. ({error})"))?
        } else {
            let yaml: Yaml = serde_yaml::from_str(body)
                .map_err(|error| format!("Template format error: YAML not well-formed. ({error})"))?;
            long(yaml)?
        };
        let template = Self(value);
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), String> {
        const SECTIONS: [&str; 10] = [
            "AWSTemplateFormatVersion",
            "Description",
            "Metadata",
            "Parameters",
            "Rules",
            "Mappings",
            "Conditions",
            "Transform",
            "Resources",
            "Outputs",
        ];
        let Some(sections) = self.0.as_object() else {
            return Err("Template format error: unsupported structure.".to_owned());
        };
        let unknown: Vec<&str> = sections.keys().map(String::as_str).filter(|name| !SECTIONS.contains(name)).collect();
        if !unknown.is_empty() {
            return Err(format!("Invalid template property or properties [{}]", unknown.join(", ")));
        }
        if self.section("Resources").is_none_or(Map::is_empty) {
            return Err("Template format error: At least one Resources member must be defined.".to_owned());
        }
        let mut unresolved = Vec::new();
        for (name, resource) in self.resources() {
            if resource.kind().is_empty() {
                return Err(format!(
                    "Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
                ));
            }
            for need in resource.needs() {
                if !self.knows(&need) {
                    unresolved.push(need);
                }
            }
            if let Some(condition) = resource.condition()
                && self.conditions().is_none_or(|conditions| !conditions.contains_key(condition))
            {
                return Err(format!(
                    "Template format error: Unresolved condition dependency {condition} in the Resources block of the template"
                ));
            }
        }
        unresolved.sort();
        unresolved.dedup();
        if unresolved.is_empty() {
            return Ok(());
        }
        let names = unresolved.join(", ");
        Err(format!(
            "Template format error: Unresolved resource dependencies [{names}] in the Resources block of the template"
        ))
    }

    fn knows(&self, name: &str) -> bool {
        name.starts_with("AWS::")
            || self.resource(name).is_some()
            || self.section("Parameters").is_some_and(|parameters| parameters.contains_key(name))
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        field(&self.0, name)
    }

    pub(crate) fn metadata(&self) -> Option<&Value> {
        self.0.get("Metadata")
    }

    pub(crate) fn mapping(&self, map: &str, first: &str, second: &str) -> Option<&Value> {
        self.0.get("Mappings")?.get(map)?.get(first)?.get(second)
    }

    pub(crate) fn conditions(&self) -> Option<&Map<String, Value>> {
        self.section("Conditions")
    }

    pub(crate) fn resources(&self) -> BTreeMap<&str, Declared<'_>> {
        let resources = self.section("Resources").into_iter().flatten();
        resources.map(|(name, resource)| (name.as_str(), Declared(resource))).collect()
    }

    pub(crate) fn resource(&self, name: &str) -> Option<Declared<'_>> {
        self.section("Resources")?.get(name).map(Declared)
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.section("Outputs").into_iter().flatten()
    }
}

/// YAML's tags as the functions that they abbreviate.
fn long(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => serde_json::to_value(number).map_err(|error| error.to_string())?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(long).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                let key = match key {
                    Yaml::String(text) => text,
                    Yaml::Number(number) => number.to_string(),
                    Yaml::Bool(flag) => flag.to_string(),
                    other => return Err(format!("Template format error: a key is not text: {other:?}")),
                };
                object.insert(key, long(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let argument = long(tagged.value)?;
            let (function, argument) = match name {
                "Ref" | "Condition" => (name.to_owned(), argument),
                "GetAtt" => ("Fn::GetAtt".to_owned(), split_attribute(argument)),
                _ => (format!("Fn::{name}"), argument),
            };
            Value::Object(Map::from_iter([(function, argument)]))
        }
    })
}

/// `!GetAtt A.B.C` names the attribute `B.C` of `A`.
fn split_attribute(argument: Value) -> Value {
    match argument.as_str().and_then(|text| text.split_once('.')) {
        Some((resource, attribute)) => Value::from(vec![resource, attribute]),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_become_functions() {
        let body = "Resources:\n  A:\n    Type: T::U::V\n    Properties:\n      X: !GetAtt B.C.D\n      Y: !Sub ['${P}', {P: !Ref AWS::Region}]\n  B: {Type: T::U::V}\n";
        let template = Template::parse(body).unwrap();
        let a = template.resource("A").unwrap();
        assert_eq!(a.properties()["X"], json!({"Fn::GetAtt": ["B", "C.D"]}));
        assert_eq!(a.properties()["Y"], json!({"Fn::Sub": ["${P}", {"P": {"Ref": "AWS::Region"}}]}));
        assert_eq!(a.needs(), ["AWS::Region", "B"]);
    }

    #[test]
    fn mistakes_are_named_as_cloudformation_names_them() {
        let error = |body: &str| Template::parse(body).unwrap_err();
        assert!(error("Resources: {}").contains("At least one Resources member"));
        assert!(error("Resources: {A: {Type: T}}\nFoo: 1").contains("[Foo]"));
        let unresolved = error("Resources: {A: {Type: T, Properties: {X: !Ref Nobody}}}");
        assert!(unresolved.contains("Unresolved resource dependencies [Nobody]"), "{unresolved}");
        assert!(error("Resources: [").contains("YAML not well-formed"));
    }
}
