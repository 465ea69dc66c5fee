//! From one stage of an operation to the next, and to its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::engine;
use super::model::{Definition, Resource, Stack};
use super::operation::{Operation, Stage, State, Verb};
use crate::world::{Due, World};

/// A stage has no more to do: what follows depends on how it went.
pub(crate) fn next(world: &mut World, stack: &mut Stack, operation: &str, visit: u64) {
    let due = stack.operation.as_ref().filter(|current| current.id == operation && current.visit == visit);
    let Some(current) = due else { return };
    if current.running() || (!current.stopped && current.waiting()) {
        return;
    }
    let failed = !current.failed.is_empty();
    match (current.stage, current.verb, failed || current.stopped) {
        (Stage::Apply, Verb::Create, false) => applied(world, stack, "CREATE_COMPLETE"),
        (Stage::Apply, _, false) => applied(world, stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        (Stage::Apply, _, true) => apply_failed(world, stack),
        (Stage::Cleanup, ..) => finish(world, stack, "UPDATE_COMPLETE", None),
        (Stage::Restore, _, false) => {
            let created = created_by_update(stack);
            if let Some(operation) = &mut stack.operation {
                operation.leftovers.extend(created);
            }
            set_status(world, stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None);
            enter(world, stack, Stage::RestoreCleanup);
        }
        (Stage::Restore, _, true) => {
            let reason = failures(stack);
            suspend(world, stack, "UPDATE_ROLLBACK_FAILED", &reason);
        }
        (Stage::RestoreCleanup, ..) => finish(world, stack, "UPDATE_ROLLBACK_COMPLETE", None),
        (Stage::Unwind, Verb::Delete, false) => deleted(world, stack),
        (Stage::Unwind, Verb::Delete, true) => {
            let reason = failures(stack);
            suspend(world, stack, "DELETE_FAILED", &reason);
        }
        (Stage::Unwind, _, false) => {
            let gone = stack.operation.as_ref().is_some_and(|operation| operation.delete_on_failure);
            if gone { deleted(world, stack) } else { finish(world, stack, "ROLLBACK_COMPLETE", None) }
        }
        (Stage::Unwind, _, true) => {
            let reason = failures(stack);
            suspend(world, stack, "ROLLBACK_FAILED", &reason);
        }
    }
}

fn set_status(world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>) {
    let id = world.chance.uuid();
    stack.set_status(world.now, id, status, reason);
}

/// Goes to a stage; its jobs are made when it begins.
pub(crate) fn enter(world: &mut World, stack: &mut Stack, stage: Stage) {
    let Some(operation) = &mut stack.operation else { return };
    operation.stage = stage;
    operation.visit += 1;
    operation.jobs.clear();
    operation.failed.clear();
    operation.stopped = false;
    let (stack, visit, operation) = (stack.id.clone(), operation.visit, operation.id.clone());
    world.schedule(std::time::Duration::from_secs(2), Due::Stage { stack, operation, visit });
}

/// Every resource is what the template says.
fn applied(world: &mut World, stack: &mut Stack, status: &str) {
    outputs(world, stack);
    if status == "CREATE_COMPLETE" {
        return finish(world, stack, status, None);
    }
    let gone = no_longer_declared(world, stack);
    if let Some(operation) = &mut stack.operation {
        operation.leftovers.extend(gone);
    }
    set_status(world, stack, status, None);
    enter(world, stack, Stage::Cleanup);
}

fn no_longer_declared(world: &World, stack: &Stack) -> Vec<Resource> {
    let pseudo = stack.pseudo(&world.account, &world.region);
    let active = stack.definition.as_ref().and_then(|definition| definition.active(&pseudo, &world.exports()).ok());
    match active {
        Some(active) => {
            stack.resources.values().filter(|resource| !active.contains(&resource.logical)).cloned().collect()
        }
        None => Vec::new(),
    }
}

fn created_by_update(stack: &Stack) -> Vec<Resource> {
    let Some((_, before)) = stack.operation.as_ref().and_then(|operation| operation.before.as_ref()) else {
        return Vec::new();
    };
    stack.resources.values().filter(|resource| !before.contains_key(&resource.logical)).cloned().collect()
}

/// `The following resource(s) failed to update: [A, B].`
fn failures(stack: &Stack) -> String {
    let Some(operation) = &stack.operation else { return String::new() };
    let mut text = String::new();
    for (event, verb) in [("CREATE", "create"), ("UPDATE", "update"), ("DELETE", "delete")] {
        let names: Vec<&str> =
            operation.failed.iter().filter(|(_, failed)| *failed == event).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            // Writing to a String cannot fail.
            let _ = write!(text, "The following resource(s) failed to {verb}: [{names}]. ");
        }
    }
    text
}

fn apply_failed(world: &mut World, stack: &mut Stack) {
    let reason = failures(stack);
    let Some(operation) = &stack.operation else { return };
    match (operation.verb, operation.disable_rollback) {
        (Verb::Create, true) => suspend(world, stack, "CREATE_FAILED", &reason),
        (_, true) => suspend(world, stack, "UPDATE_FAILED", &reason),
        (_, false) => roll_back(world, stack, &reason),
    }
}

/// Begins the way back.
pub(crate) fn roll_back(world: &mut World, stack: &mut Stack, reason: &str) {
    let Some(operation) = &mut stack.operation else { return };
    operation.disable_rollback = false;
    if operation.verb == Verb::Create {
        operation.leftovers = stack.resources.values().cloned().collect();
        let status = if operation.delete_on_failure { "DELETE_IN_PROGRESS" } else { "ROLLBACK_IN_PROGRESS" };
        set_status(world, stack, status, Some(&format!("{reason}Rollback requested by user.")));
        return enter(world, stack, Stage::Unwind);
    }
    let definition = operation.before.as_ref().map(|(definition, _)| definition.clone());
    // What was replaced comes back instead of being cleaned up.
    operation.leftovers.clear();
    if let Some(definition) = definition {
        stack.definition = Some(definition);
    }
    set_status(world, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some(reason).filter(|reason| !reason.is_empty()));
    enter(world, stack, Stage::Restore);
}

/// The operation has failed, and may be continued.
fn suspend(world: &mut World, stack: &mut Stack, status: &str, reason: &str) {
    set_status(world, stack, status, Some(reason));
    close(world, stack, true);
    stack.suspended = stack.operation.take();
}

fn finish(world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>) {
    set_status(world, stack, status, reason);
    if status == "ROLLBACK_COMPLETE" {
        stack.outputs.clear();
        stack.exports.clear();
    }
    close(world, stack, status.contains("ROLLBACK"));
    stack.operation = None;
    stack.suspended = None;
}

fn deleted(world: &mut World, stack: &mut Stack) {
    set_status(world, stack, "DELETE_COMPLETE", None);
    stack.deleted = Some(world.now);
    stack.exports.clear();
    close(world, stack, false);
    stack.operation = None;
}

fn close(world: &World, stack: &mut Stack, failed: bool) {
    if let Some(record) = stack.operations.last_mut() {
        record.ended = Some(world.now);
        record.failed = failed;
    }
}

/// A stack that failed goes on rolling back. Page: "ContinueUpdateRollback"; "RollbackStack".
pub(crate) fn resume(
    world: &mut World,
    stack: &mut Stack,
    mut operation: Operation,
    skip: Vec<String>,
    kind: &'static str,
) {
    operation.id = world.chance.uuid();
    operation.skip.extend(skip);
    let (verb, id) = (operation.verb, operation.id.clone());
    let record = super::model::OperationRecord { id, kind, started: world.now, ended: None, failed: false };
    stack.operations.push(record);
    let stage = operation.stage;
    stack.operation = Some(operation);
    if stage == Stage::Restore {
        // What was restored already is left alone.
        if let Some(operation) = &mut stack.operation {
            let done: Vec<String> =
                operation.jobs.values().filter(|job| job.state == State::Done).map(|job| job.logical.clone()).collect();
            operation.touched.retain(|logical| !done.contains(logical));
        }
        set_status(world, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated"));
        return enter(world, stack, Stage::Restore);
    }
    engine::cancel_jobs(world, stack);
    if verb == Verb::Create {
        return roll_back(world, stack, "");
    }
    roll_back(world, stack, "User Initiated");
}

/// The section Outputs. Page: "Outputs section".
fn outputs(world: &World, stack: &mut Stack) {
    let Some(definition) = &stack.definition else { return };
    let (list, exports) = evaluate_outputs(world, stack, definition);
    stack.outputs = list;
    stack.exports = exports;
}

fn evaluate_outputs(world: &World, stack: &Stack, definition: &Definition) -> (Vec<Value>, BTreeMap<String, String>) {
    let (pseudo, exports) = (stack.pseudo(&world.account, &world.region), world.exports());
    let lookup = |name: &str, attribute: Option<&str>| stack.lookup(name, attribute);
    let scope = definition.scope(&pseudo, &exports, &lookup);
    let mut list = Vec::new();
    let mut exported = BTreeMap::new();
    for (name, output) in definition.template.outputs() {
        if !scope.holds(output.get("Condition").and_then(Value::as_str)).unwrap_or(false) {
            continue;
        }
        let text = |expression: Option<&Value>| {
            expression
                .and_then(|expression| scope.evaluate(expression).ok().flatten())
                .and_then(|v| crate::input::scalar(&v))
        };
        let value = text(output.get("Value")).unwrap_or_default();
        let export = text(output.get("Export").and_then(|export| export.get("Name")));
        if let Some(export) = &export {
            exported.insert(export.clone(), value.clone());
        }
        list.push(json!({
            "OutputKey": name, "OutputValue": value, "Description": output.get("Description"), "ExportName": export,
        }));
    }
    (list, exported)
}
