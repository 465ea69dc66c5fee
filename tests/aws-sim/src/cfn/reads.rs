//! What CloudFormation answers to reads.
//!
//! Pages: the operations' own in the API reference; page sizes are those seen in practice, and a scenario may shorten them.

use serde_json::{Value, json};

use super::model::{Event, OperationRecord, Resource, Stack};
use super::{no_such_stack, template_of};
use crate::clock::Time;
use crate::input::{Input, page};
use crate::template::summary;
use crate::wire::{Answer, Fault};
use crate::world::World;

fn stack<'a>(world: &'a World, input: &Input) -> Result<&'a Stack, Fault> {
    let name = input.required("StackName")?;
    world.cfn.find(name).and_then(|id| world.cfn.stacks.get(&id)).ok_or_else(|| no_such_stack(name))
}

fn paged(items: Vec<Value>, field: &str, input: &Input, size: usize) -> Answer {
    let (items, next) =
        page(items, input.text("NextToken"), size).map_err(|()| Fault::validation("NextToken is not valid"))?;
    Ok(json!({field: items, "NextToken": next}))
}

/// With a lag, what is told is how things were.
pub(super) fn stacks(world: &World, input: &Input) -> Answer {
    let lag = std::time::Duration::from_secs(world.scenario.faults.describe_stacks_lag_seconds);
    let seen_at = world.now - lag;
    if input.has("StackName") {
        let stack = stack(world, input)?;
        let value = describe(stack, seen_at).ok_or_else(|| no_such_stack(&stack.name))?;
        return Ok(json!({"Stacks": [value]}));
    }
    let all = world.cfn.stacks.values().filter(|stack| stack.deleted.is_none());
    paged(all.filter_map(|stack| describe(stack, seen_at)).collect(), "Stacks", input, 100)
}

fn describe(stack: &Stack, seen_at: Time) -> Option<Value> {
    let (_, status, reason) = stack.history.iter().rfind(|(time, ..)| *time <= seen_at)?;
    let definition = stack.definition.as_ref();
    let operations: Vec<Value> = stack
        .operations
        .iter()
        .rev()
        .take(2)
        .map(|operation| json!({"OperationType": operation.kind, "OperationId": operation.id}))
        .collect();
    Some(json!({
        "StackId": stack.id,
        "StackName": stack.name,
        "ChangeSetId": stack.executed,
        "Description": definition.map(|d| d.template.text("Description")).filter(|text| !text.is_empty()),
        "Parameters": definition.map(super::model::Definition::parameter_list).unwrap_or_default(),
        "CreationTime": stack.created.to_string(),
        "DeletionTime": stack.deleted.map(|time| time.to_string()),
        "LastUpdatedTime": stack.updated.map(|time| time.to_string()),
        "RollbackConfiguration": {},
        "StackStatus": status,
        "StackStatusReason": reason,
        "DisableRollback": stack.disable_rollback,
        "NotificationARNs": stack.notification_arns,
        "Capabilities": definition.map(|d| d.capabilities.clone()).unwrap_or_default(),
        "Outputs": stack.outputs,
        "RoleARN": stack.role_arn,
        "Tags": definition.map(|d| d.tags.clone()).unwrap_or_default(),
        "EnableTerminationProtection": stack.protected,
        "DriftInformation": {"StackDriftStatus": if stack.drift.is_empty() { "NOT_CHECKED" } else { "DRIFTED" }},
        "LastOperations": operations,
    }))
}

pub(super) fn summaries(world: &World, input: &Input) -> Answer {
    let wanted = input.texts("StackStatusFilter");
    let all = world.cfn.stacks.values().filter(|stack| wanted.is_empty() || wanted.contains(&stack.status));
    let items = all.map(|stack| {
        json!({
            "StackId": stack.id, "StackName": stack.name, "StackStatus": stack.status,
            "CreationTime": stack.created.to_string(), "DeletionTime": stack.deleted.map(|time| time.to_string()),
            "LastUpdatedTime": stack.updated.map(|time| time.to_string()),
        })
    });
    paged(items.collect(), "StackSummaries", input, 100)
}

/// Newest first. A token names the event that its page begins with, so that events which come in between shift nothing.
pub(super) fn events(world: &World, input: &Input) -> Answer {
    let stack = stack(world, input)?;
    let start = match input.text("NextToken") {
        None => stack.events.len(),
        Some(token) => {
            let index = token.strip_prefix("events-").and_then(|index| index.parse::<usize>().ok());
            index
                .filter(|index| *index <= stack.events.len())
                .ok_or_else(|| Fault::validation("NextToken is not valid"))?
        }
    };
    // Pages that overlap are no documented behaviour, but a client must not count on their absence.
    let start = (start + world.scenario.faults.events_overlap).min(stack.events.len());
    let size = world.scenario.limits.event_page.max(world.scenario.faults.events_overlap + 1);
    let end = start.saturating_sub(size);
    let list: Vec<Value> = stack.events[end..start].iter().rev().map(|event| event_value(stack, event)).collect();
    Ok(json!({"StackEvents": list, "NextToken": (end > 0).then(|| format!("events-{end}"))}))
}

fn event_value(stack: &Stack, event: &Event) -> Value {
    json!({
        "StackId": stack.id,
        "EventId": event.id,
        "StackName": stack.name,
        "OperationId": (!event.operation.is_empty()).then_some(&event.operation),
        "LogicalResourceId": event.logical,
        "PhysicalResourceId": event.physical,
        "ResourceType": event.kind,
        "Timestamp": event.time.to_string(),
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason,
        "ResourceProperties": event.properties,
        "ClientRequestToken": event.token,
    })
}

/// Page: "DescribeEvents": the events of operations, with what early validation found, which the stack's events lack.
pub(super) fn operation_events(world: &World, input: &Input) -> Answer {
    let only_failed = input.0.get("Filters").is_some_and(|filters| Input(filters.clone()).is_true("FailedEvents"));
    let operation = input.text("OperationId");
    let (stack, change_set) = match input.text("ChangeSetName") {
        Some(name) => {
            let found = world.cfn.find_change_set(name, input.text("StackName"));
            let (id, index) = found.ok_or_else(|| {
                Fault::new("ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")).with_status(404)
            })?;
            let stack = world.cfn.stacks.get(&id).ok_or_else(|| no_such_stack(&id))?;
            (stack, Some(stack.change_sets[index].operation.clone()))
        }
        None if operation.is_some() && !input.has("StackName") => {
            let id = operation.unwrap_or_default();
            let owner = world.cfn.stacks.values().find(|stack| stack.operations.iter().any(|o| o.id == id));
            (owner.ok_or_else(|| Fault::validation(format!("Operation [{id}] does not exist")))?, None)
        }
        None => (stack(world, input)?, None),
    };
    let wanted = change_set.as_deref().or(operation);
    let mut list = Vec::new();
    for record in stack.operations.iter().filter(|record| wanted.is_none_or(|wanted| wanted == record.id)) {
        list.extend(operation_event(stack, record, only_failed));
    }
    list.sort_by(|a, b| crate::input::field(b, "Timestamp").cmp(crate::input::field(a, "Timestamp")));
    paged(list, "OperationEvents", input, world.scenario.limits.event_page)
}

fn operation_event(stack: &Stack, record: &OperationRecord, only_failed: bool) -> Vec<Value> {
    let mut list = Vec::new();
    let base = |kind: &str, time: Time, id: &str| {
        json!({
            "EventId": id, "StackId": stack.id, "OperationId": record.id, "OperationType": record.kind,
            "EventType": kind, "Timestamp": time.to_string(),
        })
    };
    let with = |mut value: Value, fields: Value| {
        if let (Some(object), Value::Object(fields)) = (value.as_object_mut(), fields) {
            object.extend(fields);
        }
        value
    };
    if !only_failed {
        let status = match (record.ended, record.failed) {
            (None, _) => "IN_PROGRESS",
            (Some(_), true) => "FAILED",
            (Some(_), false) => "SUCCEEDED",
        };
        let fields = json!({
            "OperationStatus": status, "StartTime": record.started.to_string(), "EndTime": record.ended.map(|t| t.to_string()),
        });
        list.push(with(base("STACK_EVENT", record.ended.unwrap_or(record.started), &record.id), fields));
    }
    for event in stack.events.iter().filter(|event| event.operation == record.id) {
        let failed = event.status.ends_with("_FAILED");
        if failed || !only_failed {
            let fields = json!({
                "LogicalResourceId": event.logical, "PhysicalResourceId": event.physical, "ResourceType": event.kind,
                "ResourceStatus": event.status, "ResourceStatusReason": event.reason, "ClientRequestToken": event.token,
            });
            let kind = if failed { "PROVISIONING_ERROR" } else { "PROGRESS_EVENT" };
            list.push(with(base(kind, event.time, &event.id), fields));
        }
    }
    let sets = stack.change_sets.iter().filter(|set| set.operation == record.id);
    for (index, finding) in sets.flat_map(|set| set.validation.iter()).enumerate() {
        let fields = json!({
            "LogicalResourceId": finding.logical_id, "ResourceType": finding.resource_type,
            "ValidationFailureMode": finding.mode, "ValidationName": finding.name, "ValidationStatus": "FAILED",
            "ValidationStatusReason": finding.reason, "ValidationPath": finding.path,
        });
        let time = record.ended.unwrap_or(record.started);
        list.push(with(base("VALIDATION_ERROR", time, &format!("{}-{index}", record.id)), fields));
    }
    list
}

fn resource_value(stack: &Stack, resource: &Resource) -> Value {
    json!({
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": resource.logical,
        "PhysicalResourceId": (!resource.physical.is_empty()).then_some(&resource.physical),
        "ResourceType": resource.kind,
        "Timestamp": resource.changed.to_string(),
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason,
        "DriftInformation": {"StackResourceDriftStatus": stack.drift.get(&resource.logical).map_or("NOT_CHECKED", String::as_str)},
    })
}

/// Page: "DescribeStackResources": at most 100, without a next page.
pub(super) fn resources(world: &World, input: &Input) -> Answer {
    let stack = stack(world, input)?;
    let wanted = input.text("LogicalResourceId");
    let all = stack.resources.values().filter(|resource| wanted.is_none_or(|wanted| wanted == resource.logical));
    let list: Vec<Value> = all.take(100).map(|resource| resource_value(stack, resource)).collect();
    Ok(json!({"StackResources": list}))
}

pub(super) fn resource(world: &World, input: &Input) -> Answer {
    let stack = stack(world, input)?;
    let logical = input.required("LogicalResourceId")?;
    let resource = stack
        .resources
        .get(logical)
        .ok_or_else(|| Fault::validation(format!("Resource {logical} does not exist for stack {}", stack.name)))?;
    let mut value = resource_value(stack, resource);
    value["LastUpdatedTimestamp"] = value["Timestamp"].take();
    Ok(json!({"StackResourceDetail": value}))
}

pub(super) fn resource_summaries(world: &World, input: &Input) -> Answer {
    let stack = stack(world, input)?;
    let value = |resource: &Resource| {
        let mut value = resource_value(stack, resource);
        value["LastUpdatedTimestamp"] = value["Timestamp"].take();
        value["StackName"].take();
        value["StackId"].take();
        value
    };
    let items = stack.resources.values().map(value).collect();
    paged(items, "StackResourceSummaries", input, world.scenario.limits.resource_page)
}

pub(super) fn template(world: &World, input: &Input) -> Answer {
    let body = match input.text("ChangeSetName") {
        Some(name) => {
            let found = world.cfn.find_change_set(name, input.text("StackName"));
            let set = found.and_then(|(id, index)| world.cfn.stacks.get(&id)?.change_sets.get(index));
            let set = set.ok_or_else(|| {
                Fault::new("ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")).with_status(404)
            })?;
            set.definition.body.clone()
        }
        None => stack(world, input)?.definition.as_ref().map(|definition| definition.body.clone()).unwrap_or_default(),
    };
    Ok(json!({"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}))
}

pub(super) fn template_summary(world: &World, input: &Input) -> Answer {
    let template = if let Some((_, template)) = template_of(world, input)? {
        template
    } else {
        let stack = stack(world, input)?;
        let definition = stack.definition.as_ref().ok_or_else(|| no_such_stack(&stack.name))?;
        definition.template.clone()
    };
    Ok(summary::of(&template))
}

/// No stack here has a policy. Page: "GetStackPolicy".
pub(super) fn policy(world: &World, input: &Input) -> Answer {
    stack(world, input).map(|_| json!({}))
}

pub(super) fn exports(world: &World, input: &Input) -> Answer {
    let list = world.exports().into_iter().map(|(name, value)| {
        let owner = world.cfn.stacks.values().find(|stack| stack.exports.contains_key(&name));
        let owner = owner.map_or_else(|| world.foreign_stack_id(), |stack| stack.id.clone());
        json!({"ExportingStackId": owner, "Name": name, "Value": value})
    });
    paged(list.collect(), "Exports", input, world.scenario.limits.export_page)
}

pub(super) fn imports(world: &World, input: &Input) -> Answer {
    let name = input.required("ExportName")?;
    let uses = |stack: &&Stack| {
        let pseudo = stack.pseudo(&world.account, &world.region);
        stack.deleted.is_none() && stack.definition.as_ref().is_some_and(|definition| definition.imports(&pseudo, name))
    };
    let names: Vec<Value> =
        world.cfn.stacks.values().filter(uses).map(|stack| Value::from(stack.name.as_str())).collect();
    if names.is_empty() {
        return Err(Fault::validation(format!("Export '{name}' is not imported by any stack.")));
    }
    paged(names, "Imports", input, 100)
}
