//! Intrinsic functions and conditions.
//!
//! Page: "Intrinsic function reference" and, for what a `Ref` of a parameter yields, "Parameters".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Template;
use super::references::{Piece, pieces};
use crate::input::scalar;

/// What `AWS::…` stands for.
#[derive(Debug, Clone)]
pub(crate) struct Pseudo {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stack_name: String,
    pub(crate) stack_id: String,
}

impl Pseudo {
    fn value(&self, name: &str) -> Option<Value> {
        Some(match name {
            "AWS::AccountId" => Value::from(self.account.as_str()),
            "AWS::Region" => Value::from(self.region.as_str()),
            "AWS::StackName" => Value::from(self.stack_name.as_str()),
            "AWS::StackId" => Value::from(self.stack_id.as_str()),
            "AWS::Partition" => Value::from("aws"),
            "AWS::URLSuffix" => Value::from("amazonaws.com"),
            "AWS::NotificationARNs" => Value::Array(Vec::new()),
            _ => return None,
        })
    }
}

/// What names stand for, where an expression is evaluated.
pub(crate) struct Scope<'a> {
    pub(crate) template: &'a Template,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) pseudo: &'a Pseudo,
    pub(crate) exports: &'a BTreeMap<String, String>,
    /// The physical id of a resource, or one of its attributes.
    pub(crate) resources: &'a dyn Fn(&str, Option<&str>) -> Option<Value>,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("parameters", self.parameters).finish_non_exhaustive()
    }
}

impl Scope<'_> {
    /// The value of an expression. `None` is `AWS::NoValue`: the property is left out.
    pub(crate) fn evaluate(&self, expression: &Value) -> Result<Option<Value>, String> {
        match expression {
            Value::Array(items) => {
                let mut values = Vec::new();
                for item in items {
                    values.extend(self.evaluate(item)?);
                }
                Ok(Some(Value::Array(values)))
            }
            Value::Object(fields) => {
                if let (1, Some((function, argument))) = (fields.len(), fields.iter().next())
                    && (function == "Ref" || function == "Condition" || function.starts_with("Fn::"))
                    // A policy statement has a `Condition` of its own, which is no function.
                    && (function != "Condition" || argument.is_string())
                {
                    return self.call(function, argument);
                }
                let mut object = Map::new();
                for (name, value) in fields {
                    if let Some(value) = self.evaluate(value)? {
                        object.insert(name.clone(), value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
            plain => Ok(Some(plain.clone())),
        }
    }

    /// As [`Self::evaluate`], where something must be there.
    pub(crate) fn value(&self, expression: &Value) -> Result<Value, String> {
        self.evaluate(expression)?.ok_or_else(|| "Template error: AWS::NoValue where a value is needed".to_owned())
    }

    fn text(&self, expression: &Value) -> Result<String, String> {
        let value = self.value(expression)?;
        scalar(&value).ok_or_else(|| format!("Template error: {value} where a string is needed"))
    }

    fn list(&self, expression: &Value) -> Result<Vec<Value>, String> {
        match self.value(expression)? {
            Value::Array(items) => Ok(items),
            other => Err(format!("Template error: {other} where a list is needed")),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>, String> {
        let parts = argument.as_array().map_or(&[] as &[Value], Vec::as_slice);
        let part = |index: usize| {
            parts.get(index).ok_or_else(|| format!("Template error: {function} needs more arguments: {argument}"))
        };
        Ok(Some(match function {
            "Ref" => return self.reference(argument.as_str().unwrap_or_default()),
            "Fn::GetAtt" => {
                let (name, attribute) = (self.text(part(0)?)?, self.text(part(1)?)?);
                (self.resources)(&name, Some(&attribute)).ok_or_else(|| {
                    format!("Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt")
                })?
            }
            "Fn::Sub" => {
                if let Value::String(text) = argument {
                    Value::from(self.substitute(text, &Map::new())?)
                } else {
                    let text = part(0)?.as_str().ok_or("Template error: Fn::Sub needs a string")?;
                    let own = part(1)?.as_object().ok_or("Template error: the second argument of Fn::Sub is a map")?;
                    Value::from(self.substitute(text, own)?)
                }
            }
            "Fn::Join" => {
                let delimiter = self.text(part(0)?)?;
                let items = self.list(part(1)?)?;
                let texts: Vec<String> = items.iter().filter_map(scalar).collect();
                Value::from(texts.join(&delimiter))
            }
            "Fn::Select" => {
                let index: usize =
                    self.text(part(0)?)?.parse().map_err(|_| "Template error: Fn::Select needs a number")?;
                let items = self.list(part(1)?)?;
                items.get(index).cloned().ok_or_else(|| {
                    format!("Template error: Fn::Select cannot select nonexistent value at index {index}")
                })?
            }
            "Fn::Split" => {
                let (delimiter, text) = (self.text(part(0)?)?, self.text(part(1)?)?);
                Value::from(text.split(&delimiter).map(Value::from).collect::<Vec<_>>())
            }
            "Fn::FindInMap" => {
                let keys = [self.text(part(0)?)?, self.text(part(1)?)?, self.text(part(2)?)?];
                let [map, first, second] = &keys;
                let found = self.template.mapping(map, first, second).cloned();
                found.ok_or_else(|| format!("Template error: Unable to get mapping for {map}::{first}::{second}"))?
            }
            "Fn::If" => {
                let name = part(0)?.as_str().ok_or("Template error: Fn::If needs the name of a condition")?;
                let branch = if self.condition(name)? { part(1)? } else { part(2)? };
                return self.evaluate(branch);
            }
            "Fn::ImportValue" => {
                let name = self.text(argument)?;
                let value = self.exports.get(&name).ok_or_else(|| format!("No export named {name} found."))?;
                Value::from(value.as_str())
            }
            "Fn::Base64" => Value::from(format!("base64({})", self.text(argument)?)),
            "Fn::GetAZs" => {
                let zones = ["a", "b", "c"].map(|letter| format!("{}{letter}", self.pseudo.region));
                Value::from(zones.to_vec())
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Contains" | "Condition" => {
                Value::from(self.truth(&Value::Object(Map::from_iter([(function.to_owned(), argument.clone())])))?)
            }
            other => return Err(format!("Template error: the function {other} is not imitated by this simulator")),
        }))
    }

    fn reference(&self, name: &str) -> Result<Option<Value>, String> {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(value) = self.pseudo.value(name) {
            return Ok(Some(value));
        }
        if let Some(value) = self.parameters.get(name) {
            let kind = self.template.section("Parameters").and_then(|all| all.get(name)?.get("Type")?.as_str());
            let list = kind.is_some_and(|kind| kind == "CommaDelimitedList" || kind.contains("List<"));
            return Ok(Some(if list {
                value.split(',').map(|item| Value::from(item.trim())).collect()
            } else {
                Value::from(value.as_str())
            }));
        }
        (self.resources)(name, None)
            .map(Some)
            .ok_or_else(|| format!("Template format error: Unresolved resource dependencies [{name}]"))
    }

    fn substitute(&self, text: &str, own: &Map<String, Value>) -> Result<String, String> {
        let mut out = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Literal(text) => {
                    out.push_str("${");
                    out.push_str(text);
                    out.push('}');
                }
                Piece::Name(name) => {
                    let value = if let Some(expression) = own.get(name) {
                        self.value(expression)?
                    } else if let Some((resource, attribute)) = name.split_once('.') {
                        (self.resources)(resource, Some(attribute)).ok_or_else(|| {
                            format!("Template error: instance of Fn::Sub references invalid resource attribute {name}")
                        })?
                    } else {
                        self.reference(name)?.unwrap_or_default()
                    };
                    out.push_str(&scalar(&value).ok_or_else(|| {
                        format!("Template error: variable {name} in Fn::Sub expression does not resolve to a string")
                    })?);
                }
            }
        }
        Ok(out)
    }

    pub(crate) fn condition(&self, name: &str) -> Result<bool, String> {
        let expression = self.template.conditions().and_then(|conditions| conditions.get(name));
        let unresolved = || format!("Template format error: Unresolved condition {name}");
        self.truth(expression.ok_or_else(unresolved)?)
    }

    pub(crate) fn truth(&self, expression: &Value) -> Result<bool, String> {
        let Some((function, argument)) = expression.as_object().and_then(|fields| fields.iter().next()) else {
            return match scalar(expression).as_deref() {
                Some("true") => Ok(true),
                Some("false") => Ok(false),
                _ => Err(format!("Template error: {expression} is no condition")),
            };
        };
        let parts = argument.as_array().map_or(&[] as &[Value], Vec::as_slice);
        match (function.as_str(), parts) {
            ("Fn::Equals", [a, b]) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                Ok(scalar(&a).map_or_else(|| a == b, |text| scalar(&b).as_deref() == Some(&text)))
            }
            ("Fn::Not", [inner]) => Ok(!self.truth(inner)?),
            ("Fn::And", all) => {
                for inner in all {
                    if !self.truth(inner)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ("Fn::Or", any) => {
                for inner in any {
                    if self.truth(inner)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            ("Fn::Contains", [list, value]) => {
                let value = self.text(value)?;
                Ok(self.list(list)?.iter().any(|item| scalar(item).as_deref() == Some(&value)))
            }
            ("Condition", _) => self.condition(argument.as_str().unwrap_or_default()),
            _ => Err(format!("Template error: every value of a condition must be a boolean function: {expression}")),
        }
    }

    /// Whether a resource or an output exists under its condition.
    pub(crate) fn holds(&self, condition: Option<&str>) -> Result<bool, String> {
        condition.map_or(Ok(true), |name| self.condition(name))
    }

    /// The assertions of the section Rules. Page: "Rules section". The wording of a violation is not documented there; it
    /// names the rule and its description.
    pub(crate) fn rules(&self) -> Result<(), String> {
        for (name, rule) in self.template.section("Rules").into_iter().flatten() {
            if let Some(condition) = rule.get("RuleCondition")
                && !self.truth(condition)?
            {
                continue;
            }
            for assertion in rule.get("Assertions").and_then(Value::as_array).into_iter().flatten() {
                if !self.truth(assertion.get("Assert").unwrap_or(&Value::Bool(true)))? {
                    let text = crate::input::field(assertion, "AssertDescription");
                    return Err(format!("Template validation error: Rule {name} failed: {text}"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEMPLATE: &str = "
Parameters:
  Env: {Type: String}
  Names: {Type: CommaDelimitedList}
Mappings:
  Sizes: {prod: {Cpu: 512}, staging: {Cpu: 256}}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  Small: !Not [!Condition IsProd]
  Any: !Or [!Condition IsProd, !And [!Condition Small, !Equals [1, '1']]]
Rules:
  NeverDemo:
    Assertions: [{Assert: !Not [!Equals [!Ref Env, demo]], AssertDescription: not demo}]
Resources:
  R: {Type: T::U::V}
";

    fn with(env: &str, expression: &Value) -> Result<Option<Value>, String> {
        let template = Template::parse(TEMPLATE).unwrap();
        let parameters = BTreeMap::from([("Env".to_owned(), env.to_owned()), ("Names".to_owned(), "a, b".to_owned())]);
        let pseudo = Pseudo {
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            stack_name: "s".to_owned(),
            stack_id: "id".to_owned(),
        };
        let exports = BTreeMap::from([("Net-prod".to_owned(), "vpc-1".to_owned())]);
        let resources = |name: &str, attribute: Option<&str>| {
            (name == "R").then(|| Value::from(attribute.map_or("r-1".to_owned(), |a| format!("r-1.{a}"))))
        };
        let scope = Scope {
            template: &template,
            parameters: &parameters,
            pseudo: &pseudo,
            exports: &exports,
            resources: &resources,
        };
        scope.rules()?;
        scope.evaluate(expression)
    }

    fn prod(expression: &Value) -> Value {
        with("prod", expression).unwrap().unwrap()
    }

    #[test]
    fn every_function_of_our_template_is_evaluated() {
        assert_eq!(prod(&json!({"Ref": "Names"})), json!(["a", "b"]));
        assert_eq!(prod(&json!({"Fn::Sub": "${AWS::Partition}-${R}-${R.Arn}-${!x}"})), "aws-r-1-r-1.Arn-${x}");
        assert_eq!(prod(&json!({"Fn::Sub": ["${A}${Env}", {"A": {"Fn::If": ["IsProd", "x", "y"]}}]})), "xprod");
        assert_eq!(prod(&json!({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "Cpu"]})), 512);
        assert_eq!(prod(&json!({"Fn::ImportValue": {"Fn::Sub": "Net-${Env}"}})), "vpc-1");
        assert_eq!(prod(&json!({"Fn::Join": ["-", [{"Fn::Select": [1, {"Fn::Split": ["/", "x/y"]}]}, 1]]})), "y-1");
        assert_eq!(prod(&json!({"a": {"Ref": "AWS::NoValue"}, "b": 1})), json!({"b": 1}));
        assert_eq!(
            prod(&json!([{"Fn::If": ["Any", "yes", "no"]}, {"Fn::If": ["Small", "yes", "no"]}])),
            json!(["yes", "no"])
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = with("staging", &json!({"Fn::ImportValue": {"Fn::Sub": "Net-${Env}"}}));
        assert_eq!(missing.unwrap_err(), "No export named Net-staging found.");
        assert!(with("x", &json!({"Fn::FindInMap": ["Sizes", "x", "Cpu"]})).unwrap_err().contains("Sizes::x::Cpu"));
        assert!(with("demo", &json!(1)).unwrap_err().contains("Rule NeverDemo failed: not demo"));
    }

    #[test]
    fn a_condition_of_a_policy_statement_is_no_function() {
        let statement = json!({"Condition": {"StringEquals": {"a": "b"}}});
        assert_eq!(prod(&statement), statement);
    }
}
