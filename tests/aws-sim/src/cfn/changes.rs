//! What a change set would change: each resource, each property, why, and whether it is replaced.
//!
//! Pages: "ResourceChange", "ResourceChangeDetail" and "ResourceTargetDefinition" of the API reference; "Example change
//! sets". A property that requires recreation and whose evaluation is static gives Replacement True, a dynamic one
//! Conditional.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::catalog::{self, Recreation};
use super::compare::{differences, same};
use super::model::{Definition, Resource};
use crate::template::evaluate::Pseudo;
use crate::template::references;

/// What stands for a value that does not exist yet, in the words of real change sets.
const LATER: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// Attributes beside the properties that a change set compares.
const ATTRIBUTES: [&str; 5] = ["CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Replacement {
    False,
    Conditional,
    True,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Add,
    Modify,
    Remove,
}

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) action: Action,
    pub(crate) logical: String,
    physical: String,
    kind: String,
    pub(crate) replacement: Replacement,
    kept: bool,
    scope: BTreeSet<&'static str>,
    details: Vec<Detail>,
    before: Option<Value>,
    after: Option<Value>,
}

#[derive(Debug, Clone)]
struct Detail {
    attribute: &'static str,
    property: Option<String>,
    recreation: Recreation,
    fixed: bool,
    source: &'static str,
    cause: Option<String>,
    /// Each leaf that differs: where, before and after.
    leaves: Vec<(String, Option<Value>, Option<Value>)>,
}

/// What is compared.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    /// None for a stack that does not exist yet.
    pub(crate) before: Option<&'a Definition>,
    pub(crate) resources: &'a BTreeMap<String, Resource>,
    pub(crate) after: &'a Definition,
    pub(crate) pseudo: &'a Pseudo,
    pub(crate) exports: &'a BTreeMap<String, String>,
}

impl Comparison<'_> {
    /// The changes, in the order of their logical ids.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, String> {
        let active = self.after.active(self.pseudo, self.exports)?;
        let mut found: BTreeMap<String, Option<Change>> = BTreeMap::new();
        for name in &active {
            self.visit(name, &active, &mut found)?;
        }
        let mut changes: Vec<Change> = found.into_values().flatten().collect();
        changes.extend(self.resources.values().filter(|resource| !active.contains(&resource.logical)).map(removal));
        changes.sort_by(|a, b| a.logical.cmp(&b.logical));
        Ok(changes)
    }

    /// Compares a resource after those that it refers to.
    fn visit(
        &self,
        name: &str,
        active: &BTreeSet<String>,
        found: &mut BTreeMap<String, Option<Change>>,
    ) -> Result<(), String> {
        if found.contains_key(name) {
            return Ok(());
        }
        found.insert(name.to_owned(), None);
        let Some(declared) = self.after.template.resource(name) else { return Ok(()) };
        for need in declared.needs() {
            if active.contains(&need) {
                self.visit(&need, active, found)?;
            }
        }
        let change = self.compare(name, found)?;
        found.insert(name.to_owned(), change);
        Ok(())
    }

    fn compare(&self, name: &str, found: &BTreeMap<String, Option<Change>>) -> Result<Option<Change>, String> {
        let Some(declared) = self.after.template.resource(name) else { return Ok(None) };
        let lookup = |name: &str, attribute: Option<&str>| {
            let change = found.get(name).and_then(Option::as_ref);
            let unknown = change.is_some_and(|c| c.action == Action::Add || c.replacement == Replacement::True);
            let resource = self.resources.get(name).filter(|_| !unknown);
            Some(match (resource, attribute) {
                (None, _) => Value::from(LATER),
                (Some(resource), None) => Value::from(resource.physical.as_str()),
                (Some(resource), Some(attribute)) => {
                    resource.attributes.get(attribute).map_or(Value::from(LATER), |value| Value::from(value.as_str()))
                }
            })
        };
        let scope = self.after.scope(self.pseudo, self.exports, &lookup);
        let properties = scope.evaluate(declared.properties())?.unwrap_or_else(|| json!({}));
        let old_declared = self.before.and_then(|before| before.template.resource(name));
        let context = |properties: &Value, declared: Option<crate::template::Declared<'_>>| {
            let mut context = Map::from_iter([("Properties".to_owned(), properties.clone())]);
            for attribute in ATTRIBUTES {
                if let Some(value) = declared.and_then(|declared| declared.attribute(attribute)) {
                    context.insert(attribute.to_owned(), value.clone());
                }
            }
            Value::Object(context)
        };
        let mut change = Change {
            action: Action::Add,
            logical: name.to_owned(),
            physical: String::new(),
            kind: declared.kind().to_owned(),
            replacement: Replacement::False,
            kept: declared.retains("UpdateReplacePolicy"),
            scope: BTreeSet::new(),
            details: Vec::new(),
            before: None,
            after: Some(context(&properties, Some(declared))),
        };
        let Some(existing) = self.resources.get(name) else { return Ok(Some(change)) };
        change.action = Action::Modify;
        change.physical.clone_from(&existing.physical);
        change.before = Some(context(&existing.properties, old_declared));
        let old_properties = old_declared.map_or(&Value::Null, |declared| declared.properties());
        self.details(&mut change, existing, &properties, declared.properties(), old_properties, found);
        for attribute in ATTRIBUTES {
            let old = old_declared.and_then(|declared| declared.attribute(attribute));
            let new = declared.attribute(attribute);
            if old != new {
                change.scope.insert(attribute);
                change.details.push(Detail {
                    attribute,
                    property: None,
                    recreation: Recreation::Never,
                    fixed: true,
                    source: "DirectModification",
                    cause: None,
                    leaves: vec![(format!("/{attribute}"), old.cloned(), new.cloned())],
                });
            }
        }
        if let Some(before) = self.before
            && before.tags != self.after.tags
        {
            change.scope.insert("Tags");
            change.details.push(Detail {
                attribute: "Tags",
                property: None,
                recreation: Recreation::Never,
                fixed: true,
                source: "DirectModification",
                cause: None,
                leaves: Vec::new(),
            });
        }
        change.replacement = change.details.iter().map(Detail::replacement).max().unwrap_or(Replacement::False);
        if existing.kind != declared.kind() {
            change.replacement = Replacement::True;
            change.scope.insert("Properties");
        }
        Ok((!change.scope.is_empty()).then_some(change))
    }

    /// Why each property changes, or may change.
    fn details(
        &self,
        change: &mut Change,
        existing: &Resource,
        properties: &Value,
        expressions: &Value,
        old_expressions: &Value,
        found: &BTreeMap<String, Option<Change>>,
    ) {
        let table = catalog::of(&existing.kind);
        let value = |from: &Value, name: &str| from.get(name).cloned();
        let differing: BTreeSet<String> = differences(&existing.properties, properties).into_iter().collect();
        let names = expressions.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let all: BTreeSet<String> = names.chain(differing.iter().cloned()).collect();
        for name in all {
            let (before, after) = (value(&existing.properties, &name), value(properties, &name));
            let recreation =
                table.recreation(&name, &before.clone().unwrap_or_default(), &after.clone().unwrap_or_default());
            let expression = value(expressions, &name).unwrap_or_default();
            let mut leaves = Vec::new();
            differing_leaves(&format!("/Properties/{name}"), before.as_ref(), after.as_ref(), &mut leaves);
            let mut push = |fixed: bool, source: &'static str, cause: Option<String>| {
                change.scope.insert("Properties");
                change.details.push(Detail {
                    attribute: "Properties",
                    property: Some(name.clone()),
                    recreation,
                    fixed,
                    source,
                    cause,
                    leaves: leaves.clone(),
                });
            };
            let mut explained = false;
            for reference in references::of(&expression) {
                let Some(Some(other)) = found.get(&reference.name) else { continue };
                match (&reference.attribute, other.action, other.replacement) {
                    (_, Action::Modify, Replacement::True) | (None, Action::Modify, Replacement::Conditional) => {
                        let fixed = other.replacement == Replacement::True;
                        let source =
                            if reference.attribute.is_none() { "ResourceReference" } else { "ResourceAttribute" };
                        push(fixed, source, Some(other.cause(&reference)));
                        explained = true;
                    }
                    // An attribute of a resource that is changed in place may or may not change.
                    (Some(_), Action::Modify, _) if other.scope.contains("Properties") => {
                        push(false, "ResourceAttribute", Some(other.cause(&reference)));
                        explained = true;
                    }
                    _ => {}
                }
            }
            if !differing.contains(&name) {
                continue;
            }
            let parameters = self.before.map(|before| &before.parameters);
            let mut causes: Vec<String> = self.parameters_in(&expression);
            causes.retain(|name| {
                parameters.is_some_and(|parameters| parameters.get(name) != self.after.parameters.get(name))
            });
            for cause in causes {
                push(true, "ParameterReference", Some(cause));
                explained = true;
            }
            let rewritten = !same(&expression, &value(old_expressions, &name).unwrap_or_default());
            if rewritten || !explained {
                // An image in a mapping changes no expression, but is the author's doing all the same.
                push(true, "DirectModification", None);
            } else {
                push(false, "DirectModification", None);
            }
        }
    }

    /// The parameters that an expression depends on, also through conditions.
    fn parameters_in(&self, expression: &Value) -> Vec<String> {
        let mut names: Vec<String> = references::of(expression).into_iter().map(|reference| reference.name).collect();
        let mut conditions = Vec::new();
        conditions_in(expression, &mut conditions);
        let mut seen = BTreeSet::new();
        while let Some(name) = conditions.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(condition) = self.after.template.conditions().and_then(|all| all.get(&name)) {
                names.extend(references::of(condition).into_iter().map(|reference| reference.name));
                conditions_in(condition, &mut conditions);
            }
        }
        names.sort();
        names.dedup();
        names.retain(|name| self.after.parameters.contains_key(name));
        names
    }
}

fn conditions_in(expression: &Value, found: &mut Vec<String>) {
    match expression {
        Value::Array(items) => items.iter().for_each(|item| conditions_in(item, found)),
        Value::Object(fields) => {
            if let Some(Value::Array(parts)) = fields.get("Fn::If") {
                found.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
            }
            if let (1, Some(Value::String(name))) = (fields.len(), fields.get("Condition")) {
                found.push(name.clone());
            }
            fields.values().for_each(|value| conditions_in(value, found));
        }
        _ => {}
    }
}

fn removal(resource: &Resource) -> Change {
    Change {
        action: Action::Remove,
        logical: resource.logical.clone(),
        physical: resource.physical.clone(),
        kind: resource.kind.clone(),
        replacement: Replacement::False,
        kept: resource.kept_on_delete,
        scope: BTreeSet::new(),
        details: Vec::new(),
        before: Some(json!({"Properties": resource.properties})),
        after: None,
    }
}

fn differing_leaves(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    leaves: &mut Vec<(String, Option<Value>, Option<Value>)>,
) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                differing_leaves(&format!("{path}/{name}"), a.get(name), b.get(name), leaves);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                differing_leaves(&format!("{path}/{index}"), a.get(index), b.get(index), leaves);
            }
        }
        (Some(a), Some(b)) if same(a, b) => {}
        (None, None) => {}
        _ => leaves.push((path.to_owned(), before.cloned(), after.cloned())),
    }
}

impl Detail {
    fn replacement(&self) -> Replacement {
        match (self.recreation, self.fixed) {
            (Recreation::Never, _) => Replacement::False,
            (Recreation::Always, true) => Replacement::True,
            (Recreation::Always, false) => Replacement::Conditional,
        }
    }

    fn value(&self, leaf: Option<&(String, Option<Value>, Option<Value>)>) -> Value {
        let text = |value: &Option<Value>| {
            value.as_ref().map(|value| crate::input::scalar(value).unwrap_or_else(|| value.to_string()))
        };
        let kind = leaf.map(|(_, before, after)| match (before, after) {
            (None, _) => "Add",
            (_, None) => "Remove",
            _ => "Modify",
        });
        json!({
            "Target": {
                "Attribute": self.attribute,
                "Name": self.property,
                "RequiresRecreation": self.recreation.word(),
                "Path": leaf.map(|leaf| &leaf.0),
                "BeforeValue": leaf.and_then(|leaf| text(&leaf.1)),
                "AfterValue": leaf.and_then(|leaf| text(&leaf.2)),
                "AttributeChangeType": kind,
            },
            "Evaluation": if self.fixed { "Static" } else { "Dynamic" },
            "ChangeSource": self.source,
            "CausingEntity": self.cause,
        })
    }
}

impl Change {
    /// The causing entity of a reference to this resource: `A` or `A.Arn`.
    fn cause(&self, reference: &references::Reference) -> String {
        match &reference.attribute {
            Some(attribute) => format!("{}.{attribute}", self.logical),
            None => self.logical.clone(),
        }
    }

    /// As `DescribeChangeSet` writes it. With `values`, each differing leaf has an entry with its path and values.
    pub(crate) fn value(&self, values: bool) -> Value {
        let (action, policy) = match (self.action, self.replacement, self.kept) {
            (Action::Add, ..) => ("Add", None),
            (Action::Remove, _, kept) => ("Remove", Some(if kept { "Retain" } else { "Delete" })),
            (Action::Modify, Replacement::False, _) => ("Modify", None),
            (Action::Modify, _, kept) => ("Modify", Some(if kept { "ReplaceAndRetain" } else { "ReplaceAndDelete" })),
        };
        let replacement = (self.action == Action::Modify).then_some(match self.replacement {
            Replacement::False => "False",
            Replacement::Conditional => "Conditional",
            Replacement::True => "True",
        });
        let mut details = Vec::new();
        for detail in &self.details {
            if values && !detail.leaves.is_empty() {
                details.extend(detail.leaves.iter().map(|leaf| detail.value(Some(leaf))));
            } else {
                details.push(detail.value(None));
            }
        }
        let context = |value: &Option<Value>| value.as_ref().filter(|_| values).map(Value::to_string);
        json!({"Type": "Resource", "ResourceChange": {
            "PolicyAction": policy,
            "Action": action,
            "LogicalResourceId": self.logical,
            "PhysicalResourceId": (!self.physical.is_empty()).then_some(&self.physical),
            "ResourceType": self.kind,
            "Replacement": replacement,
            "Scope": self.scope,
            "Details": details,
            "BeforeContext": context(&self.before),
            "AfterContext": context(&self.after),
        }})
    }
}

#[cfg(test)]
mod tests;
