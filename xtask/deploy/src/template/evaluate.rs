//! CloudFormation's functions, as far as a value can be known without asking AWS: what depends on a resource is unknown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Template;

/// Where and with what a template is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) template: &'a Template,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

impl Scope<'_> {
    /// The value as text; none if it depends on a resource or on another stack.
    pub(crate) fn text(&self, value: &Value) -> Option<String> {
        match self.value(value)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The value with its functions evaluated; none if they depend on a resource or on another stack. `AWS::NoValue` is null.
    pub(crate) fn value(&self, value: &Value) -> Option<Value> {
        let Some((function, argument)) = call(value) else {
            return Some(match value {
                Value::Array(items) => items.iter().map(|item| self.value(item)).collect::<Option<Vec<_>>>()?.into(),
                Value::Object(map) => {
                    let entries = map.iter().map(|(key, item)| Some((key.clone(), self.value(item)?)));
                    Value::Object(entries.collect::<Option<_>>()?)
                }
                other => other.clone(),
            });
        };
        match function {
            "Ref" => self.reference(argument.as_str()?),
            "Fn::Sub" => self.substitute(argument).map(Value::String),
            "Fn::If" => {
                let [condition, yes, no] = argument.as_array()?.as_slice() else { return None };
                self.value(if self.condition(condition.as_str()?)? { yes } else { no })
            }
            "Fn::FindInMap" => {
                let [map, first, second] = argument.as_array()?.as_slice() else { return None };
                let (map, first, second) = (self.text(map)?, self.text(first)?, self.text(second)?);
                self.template.section("Mappings").get(map)?.get(first)?.get(second).cloned()
            }
            "Fn::Join" => {
                let [separator, items] = argument.as_array()?.as_slice() else { return None };
                let items = self.value(items)?;
                let items = items.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
                Some(Value::String(items.collect::<Option<Vec<_>>>()?.join(separator.as_str()?)))
            }
            "Fn::Select" => {
                let [index, items] = argument.as_array()?.as_slice() else { return None };
                self.value(items)?.get(self.text(index)?.parse::<usize>().ok()?).cloned()
            }
            "Fn::Split" => {
                let [separator, text] = argument.as_array()?.as_slice() else { return None };
                let text = self.text(text)?;
                Some(text.split(separator.as_str()?).map(str::to_owned).collect::<Vec<_>>().into())
            }
            _ => None,
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        let text = match name {
            "AWS::AccountId" => self.account.to_owned(),
            "AWS::Region" => self.region.to_owned(),
            "AWS::Partition" => partition(self.region).to_owned(),
            "AWS::URLSuffix" => url_suffix(self.region).to_owned(),
            "AWS::NoValue" => return Some(Value::Null),
            name => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => self.template.parameters().remove(name)?.default?,
            },
        };
        Some(Value::String(text))
    }

    /// `Fn::Sub` as text or as text with a map; `${!x}` is literal.
    fn substitute(&self, argument: &Value) -> Option<String> {
        let (text, variables) = match argument {
            Value::Array(parts) => (parts.first()?.as_str()?, parts.get(1)),
            other => (other.as_str()?, None),
        };
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            result.push_str(before);
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
            } else if let Some(value) = variables.and_then(|variables| variables.get(name)) {
                result.push_str(&self.text(value)?);
            } else {
                result.push_str(self.reference(name)?.as_str()?);
            }
            rest = after;
        }
        result.push_str(rest);
        Some(result)
    }

    /// A condition of the template by its name.
    pub(crate) fn condition(&self, name: &str) -> Option<bool> {
        self.holds(self.template.section("Conditions").get(name)?)
    }

    fn holds(&self, value: &Value) -> Option<bool> {
        let (function, argument) = call(value)?;
        let all = || argument.as_array()?.iter().map(|item| self.holds(item)).collect::<Option<Vec<_>>>();
        match function {
            "Condition" => self.condition(argument.as_str()?),
            "Fn::Equals" => {
                let [one, other] = argument.as_array()?.as_slice() else { return None };
                Some(self.text(one)? == self.text(other)?)
            }
            "Fn::Not" => Some(!all()?.first().copied()?),
            "Fn::And" => Some(all()?.into_iter().all(|holds| holds)),
            "Fn::Or" => Some(all()?.into_iter().any(|holds| holds)),
            _ => None,
        }
    }
}

/// The function that a value is, if it is one.
pub(super) fn call(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (name, argument) = map.iter().next()?;
    (name == "Ref" || name == "Condition" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn url_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_are_evaluated_and_resources_are_unknown() {
        let text = "
Parameters: {Env: {Type: String, Default: demo}, Prefix: {Type: String, Default: ''}}
Mappings: {Images: {Release: {A: a@sha256:1}}}
Conditions: {Own: !Equals [!Ref Prefix, ''], Prod: !Equals [!Ref Env, prod], Both: !And [!Condition Own, !Not [!Condition Prod]]}
Resources: {R: {Type: T}}";
        let template = Template::parse(text.to_owned(), "it").unwrap();
        let parameters = BTreeMap::from([("Env".to_owned(), "staging".to_owned())]);
        let scope = Scope { template: &template, parameters: &parameters, account: "1", region: "us-east-1" };
        let table = [
            (json!({"Ref": "Env"}), Some("staging")),
            (json!({"Ref": "Prefix"}), Some("")),
            (json!({"Fn::Sub": "${Env}-${AWS::Region}-${!x}"}), Some("staging-us-east-1-${x}")),
            (
                json!({"Fn::Sub": ["${P}/${I}", {"P": {"Fn::If": ["Own", {"Fn::Sub": "${AWS::AccountId}.dkr"}, "no"]}, "I": {"Fn::FindInMap": ["Images", "Release", "A"]}}]}),
                Some("1.dkr/a@sha256:1"),
            ),
            (json!({"Fn::If": ["Both", "yes", "no"]}), Some("yes")),
            (json!({"Fn::Join": ["-", ["a", {"Ref": "Env"}]]}), Some("a-staging")),
            (json!({"Fn::Select": [1, {"Fn::Split": ["/", "a/b"]}]}), Some("b")),
            (json!({"Fn::GetAtt": ["R", "Arn"]}), None),
            (json!({"Ref": "R"}), None),
            (json!({"Fn::ImportValue": "x"}), None),
        ];
        for (value, expected) in table {
            assert_eq!(scope.text(&value).as_deref(), expected, "{value}");
        }
    }
}
