//! Stacks, their resources, events and change sets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::operation::Operation;
use crate::clock::Time;
use crate::template::Template;
use crate::template::evaluate::{Pseudo, Scope};

/// A resource of a stack, as it was last applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) logical: String,
    pub(crate) kind: String,
    pub(crate) physical: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Evaluated.
    pub(crate) properties: Value,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) changed: Time,
    /// The resources that it depends on; they are deleted after it.
    pub(crate) needs: Vec<String>,
    /// `DeletionPolicy: Retain`.
    pub(crate) kept_on_delete: bool,
    /// `UpdateReplacePolicy: Retain`.
    pub(crate) kept_on_replace: bool,
}

/// An event of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) time: Time,
    pub(crate) logical: String,
    pub(crate) physical: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) properties: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) operation: String,
}

/// What a template makes of a stack: kept together, because a rollback brings all of it back.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    /// As it was sent.
    pub(crate) body: String,
    pub(crate) template: Template,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) tags: Vec<Value>,
    pub(crate) capabilities: Vec<String>,
}

/// An operation as `DescribeStacks` and `DescribeEvents` know it.
#[derive(Debug, Clone)]
pub(crate) struct OperationRecord {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) started: Time,
    pub(crate) ended: Option<Time>,
    pub(crate) failed: bool,
}

#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    /// Every status since creation, so that a read may lag behind.
    pub(crate) history: Vec<(Time, String, Option<String>)>,
    pub(crate) created: Time,
    pub(crate) updated: Option<Time>,
    pub(crate) deleted: Option<Time>,
    /// None while there is only a change set that nobody has executed.
    pub(crate) definition: Option<Definition>,
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(crate) outputs: Vec<Value>,
    pub(crate) exports: BTreeMap<String, String>,
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    pub(crate) change_sets: Vec<ChangeSet>,
    pub(crate) executed: Option<String>,
    pub(crate) role_arn: Option<String>,
    pub(crate) notification_arns: Vec<String>,
    pub(crate) protected: bool,
    pub(crate) disable_rollback: bool,
    pub(crate) operation: Option<Operation>,
    /// An operation that failed and may be continued.
    pub(crate) suspended: Option<Operation>,
    /// Newest last.
    pub(crate) operations: Vec<OperationRecord>,
    pub(crate) drift: BTreeMap<String, String>,
}

impl Stack {
    pub(crate) fn new(id: String, name: String, now: Time) -> Self {
        Self {
            id,
            name,
            status: String::new(),
            reason: None,
            history: Vec::new(),
            created: now,
            updated: None,
            deleted: None,
            definition: None,
            resources: BTreeMap::new(),
            outputs: Vec::new(),
            exports: BTreeMap::new(),
            events: Vec::new(),
            change_sets: Vec::new(),
            executed: None,
            role_arn: None,
            notification_arns: Vec::new(),
            protected: false,
            disable_rollback: false,
            operation: None,
            suspended: None,
            operations: Vec::new(),
            drift: BTreeMap::new(),
        }
    }

    pub(crate) fn busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    pub(crate) fn pseudo(&self, account: &str, region: &str) -> Pseudo {
        Pseudo {
            account: account.to_owned(),
            region: region.to_owned(),
            stack_name: self.name.clone(),
            stack_id: self.id.clone(),
        }
    }

    /// A status of the stack itself, with its event.
    pub(crate) fn set_status(&mut self, now: Time, id: String, status: &str, reason: Option<&str>) {
        status.clone_into(&mut self.status);
        self.reason = reason.map(str::to_owned);
        let (physical, name) = (self.id.clone(), self.name.clone());
        self.event(now, &name, &physical, "AWS::CloudFormation::Stack", status, reason, None);
        // Events of resources are named after them; those of the stack have an id that is nothing but unique.
        if let Some(event) = self.events.last_mut() {
            event.id = id;
        }
        self.history.push((now, status.to_owned(), reason.map(str::to_owned)));
    }

    /// A status of a resource that the stack has, with its event.
    pub(crate) fn set_resource(&mut self, now: Time, logical: &str, status: &str, reason: Option<&str>) {
        let Some(resource) = self.resources.get_mut(logical) else { return };
        status.clone_into(&mut resource.status);
        resource.reason = reason.map(str::to_owned);
        resource.changed = now;
        let resource = resource.clone();
        self.event_of(now, &resource, status, reason);
    }

    pub(crate) fn event_of(&mut self, now: Time, resource: &Resource, status: &str, reason: Option<&str>) {
        let properties = Some(&resource.properties);
        self.event(now, &resource.logical, &resource.physical, &resource.kind, status, reason, properties);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of an event, each used once")]
    fn event(
        &mut self,
        now: Time,
        logical: &str,
        physical: &str,
        kind: &str,
        status: &str,
        reason: Option<&str>,
        properties: Option<&Value>,
    ) {
        // No two events of a stack have one time, so that their order is also that of their times.
        let time = self.events.last().map_or(now, |last| now.max(Time(last.time.0 + 1)));
        self.events.push(Event {
            id: format!("{logical}-{status}-{time}"),
            time,
            logical: logical.to_owned(),
            physical: physical.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            properties: properties.filter(|value| !value.is_null()).map(ToString::to_string),
            token: self.operation.as_ref().and_then(|operation| operation.token.clone()),
            operation: self.operations.last().map(|operation| operation.id.clone()).unwrap_or_default(),
        });
    }

    /// The reason of the first event that says `FAILED`, for errors of a scenario.
    pub(crate) fn first_failure(&self) -> String {
        let failed = self.events.iter().find(|event| event.status.ends_with("_FAILED"));
        failed.map_or_else(
            || self.reason.clone().unwrap_or_default(),
            |event| format!("{}: {}", event.logical, event.reason.as_deref().unwrap_or_default()),
        )
    }

    /// The `Ref` or an attribute of one of the stack's resources.
    pub(crate) fn lookup(&self, name: &str, attribute: Option<&str>) -> Option<Value> {
        let resource = self.resources.get(name)?;
        match attribute {
            None => Some(Value::from(resource.physical.as_str())),
            Some(attribute) => resource.attributes.get(attribute).map(|value| Value::from(value.as_str())),
        }
    }
}

impl Definition {
    /// The resources that exist under the conditions.
    pub(crate) fn active(
        &self,
        pseudo: &Pseudo,
        exports: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, String> {
        let scope = self.scope(pseudo, exports, &|_, _| None);
        let mut active = BTreeSet::new();
        for (name, resource) in self.template.resources() {
            if scope.holds(resource.condition())? {
                active.insert(name.to_owned());
            }
        }
        Ok(active)
    }

    pub(crate) fn scope<'a>(
        &'a self,
        pseudo: &'a Pseudo,
        exports: &'a BTreeMap<String, String>,
        resources: &'a dyn Fn(&str, Option<&str>) -> Option<Value>,
    ) -> Scope<'a> {
        Scope { template: &self.template, parameters: &self.parameters, pseudo, exports, resources }
    }

    /// Whether the template imports that export.
    pub(crate) fn imports(&self, pseudo: &Pseudo, export: &str) -> bool {
        fn arguments<'a>(expression: &'a Value, found: &mut Vec<&'a Value>) {
            match expression {
                Value::Array(items) => items.iter().for_each(|item| arguments(item, found)),
                Value::Object(fields) => {
                    found.extend(fields.get("Fn::ImportValue"));
                    fields.values().for_each(|value| arguments(value, found));
                }
                _ => {}
            }
        }
        let nothing = BTreeMap::new();
        let scope = self.scope(pseudo, &nothing, &|_, _| None);
        let mut found = Vec::new();
        for resource in self.template.resources().into_values() {
            arguments(resource.properties(), &mut found);
        }
        found.into_iter().any(|argument| scope.value(argument).is_ok_and(|name| name == export))
    }

    pub(crate) fn parameter_list(&self) -> Vec<Value> {
        self.parameters.iter().map(|(key, value)| json!({"ParameterKey": key, "ParameterValue": value})).collect()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ChangeSet {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Time,
    pub(crate) creates_stack: bool,
    pub(crate) definition: Definition,
    pub(crate) role_arn: Option<String>,
    pub(crate) notification_arns: Vec<String>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) execution: String,
    pub(crate) changes: Vec<super::changes::Change>,
    pub(crate) on_failure: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) executed_with: Option<String>,
    /// The id of the operation CREATE_CHANGESET, and what early validation found.
    pub(crate) operation: String,
    pub(crate) validation: Vec<crate::scenario::EarlyValidation>,
    /// How often it will still be reported as not found.
    pub(crate) hidden: u32,
}
