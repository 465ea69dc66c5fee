//! Cancelling, continuing, rolling back and deleting; and what scenarios do to a stack.

use std::time::Duration;

use serde_json::json;

use super::change_sets::check_token;
use super::engine::{self, cancel_jobs, with_stack};
use super::model::{OperationRecord, Stack};
use super::operation::{Operation, Stage, Verb};
use super::{no_such_stack, stages};
use crate::input::Input;
use crate::wire::{Answer, Fault};
use crate::world::{Due, World};

fn find(world: &World, input: &Input) -> Result<String, Fault> {
    let name = input.required("StackName")?;
    check_token(input.text("ClientRequestToken"))?;
    world.cfn.find(name).ok_or_else(|| no_such_stack(name))
}

/// Page: "CancelUpdateStack": only a stack in the state `UPDATE_IN_PROGRESS`.
pub(super) fn cancel(world: &mut World, input: &Input) -> Answer {
    let id = find(world, input)?;
    let token = input.text("ClientRequestToken").map(str::to_owned);
    with_stack(world, &id, |world, stack| {
        if stack.status != "UPDATE_IN_PROGRESS" {
            return Err(Fault::validation("CancelUpdateStack cannot be called from current stack status"));
        }
        cancel_jobs(world, stack);
        if let Some(operation) = &mut stack.operation {
            if token.is_some() {
                operation.token = token;
            }
            stages::roll_back(world, stack, "User Initiated");
        } else {
            force(world, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated"));
            pretend(world, stack, Stage::RestoreCleanup, "UPDATE_STACK");
        }
        Ok(json!({}))
    })
    .unwrap_or_else(|| Err(no_such_stack(&id)))
}

/// Page: "ContinueUpdateRollback": `ResourcesToSkip` may name only resources that failed in the rollback.
pub(super) fn continue_rollback(world: &mut World, input: &Input) -> Answer {
    let id = find(world, input)?;
    let skip = input.texts("ResourcesToSkip");
    let token = input.text("ClientRequestToken").map(str::to_owned);
    with_stack(world, &id, |world, stack| {
        if stack.status != "UPDATE_ROLLBACK_FAILED" {
            let text = format!("Stack:{} is in {} state and can not be rolled back.", stack.id, stack.status);
            return Err(Fault::validation(text));
        }
        for name in &skip {
            let failed = stack.resources.get(name).is_some_and(|resource| resource.status == "UPDATE_FAILED");
            if !failed {
                let text = format!("Resource [{name}] cannot be skipped: it is not in the state UPDATE_FAILED");
                return Err(Fault::validation(text));
            }
        }
        if let Some(mut operation) = stack.suspended.take() {
            operation.token = token;
            stages::resume(world, stack, operation, skip, "CONTINUE_ROLLBACK");
        } else {
            for name in &skip {
                stack.set_resource(world.now, name, "UPDATE_COMPLETE", Some("Resource was skipped during rollback"));
            }
            force(world, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated"));
            pretend(world, stack, Stage::RestoreCleanup, "CONTINUE_ROLLBACK");
        }
        Ok(json!({}))
    })
    .unwrap_or_else(|| Err(no_such_stack(&id)))
}

/// Page: "RollbackStack": for stacks in `CREATE_FAILED` or `UPDATE_FAILED`.
pub(super) fn roll_back(world: &mut World, input: &Input) -> Answer {
    let id = find(world, input)?;
    let token = input.text("ClientRequestToken").map(str::to_owned);
    with_stack(world, &id, |world, stack| {
        if stack.status != "CREATE_FAILED" && stack.status != "UPDATE_FAILED" {
            let text = format!("Stack:{} is in {} state and can not be rolled back.", stack.id, stack.status);
            return Err(Fault::validation(text));
        }
        if let Some(mut operation) = stack.suspended.take() {
            operation.token = token;
            stages::resume(world, stack, operation, Vec::new(), "ROLLBACK");
        } else if stack.status == "CREATE_FAILED" {
            force(world, stack, "ROLLBACK_IN_PROGRESS", Some("User Initiated"));
            pretend(world, stack, Stage::Unwind, "ROLLBACK");
        } else {
            force(world, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated"));
            pretend(world, stack, Stage::RestoreCleanup, "ROLLBACK");
        }
        let operation = stack.operations.last().map(|record| record.id.clone());
        Ok(json!({"StackId": stack.id, "OperationId": operation}))
    })
    .unwrap_or_else(|| Err(no_such_stack(&id)))
}

/// Page: "DeleteStack": succeeds for a stack that is not there; refused with termination protection.
pub(super) fn delete(world: &mut World, input: &Input) -> Answer {
    let name = input.required("StackName")?;
    check_token(input.text("ClientRequestToken"))?;
    let Some(id) = world.cfn.find(name) else { return Ok(json!({})) };
    let token = input.text("ClientRequestToken").map(str::to_owned);
    with_stack(world, &id, |world, stack| {
        if stack.protected {
            let text = format!("Stack [{}] cannot be deleted while TerminationProtection is enabled", stack.name);
            return Err(Fault::validation(text));
        }
        if stack.deleted.is_some() || stack.status == "DELETE_IN_PROGRESS" {
            return Ok(json!({}));
        }
        if stack.busy() {
            let text = format!("Stack [{}] cannot be deleted while in status {}", stack.id, stack.status);
            return Err(Fault::validation(text));
        }
        stack.suspended = None;
        stack.change_sets.clear();
        let operation = Operation::new(world.chance.uuid(), Verb::Delete, token);
        engine::begin(world, stack, operation, "DELETE_IN_PROGRESS", "DELETE_STACK");
        Ok(json!({}))
    })
    .unwrap_or_else(|| Err(no_such_stack(&id)))
}

/// Puts a stack into a status, with no more than the event.
pub(crate) fn force(world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>) {
    let id = world.chance.uuid();
    stack.set_status(world.now, id, status, reason);
}

/// An operation that does nothing with resources and comes to the end of its stage.
fn pretend(world: &mut World, stack: &mut Stack, stage: Stage, kind: &'static str) {
    let verb = if stage == Stage::Unwind { Verb::Create } else { Verb::Update };
    let mut operation = Operation::new(world.chance.uuid(), verb, None);
    (operation.stage, operation.pretence) = (stage, true);
    let id = operation.id.clone();
    stack.operations.push(OperationRecord { id: id.clone(), kind, started: world.now, ended: None, failed: false });
    stack.operation = Some(operation);
    world.schedule(Duration::from_secs(20), Due::Stage { stack: stack.id.clone(), operation: id, visit: 0 });
}

/// Somebody else updates the stack. Page: "ChangeSet execution status": what was prepared before is obsolete then.
pub(crate) fn interfere(world: &mut World, id: &str) {
    with_stack(world, id, |world, stack| {
        if stack.busy() {
            return;
        }
        for set in &mut stack.change_sets {
            if set.execution == "AVAILABLE" {
                "OBSOLETE".clone_into(&mut set.execution);
            }
        }
        stack.updated = Some(world.now);
        let mut operation = Operation::new(world.chance.uuid(), Verb::Update, Some("another-deployer".to_owned()));
        operation.pretence = true;
        engine::begin(world, stack, operation, "UPDATE_IN_PROGRESS", "UPDATE_STACK");
    });
}

/// The scenario's extra events: CloudFormation's own kind of event that changes nothing. They come in bursts, so that a
/// client sees many pages while the operation runs.
pub(super) fn extra_events(world: &mut World, id: &str, operation: &str, left: u32) {
    const BURST: u32 = 500;
    let more = with_stack(world, id, |world, stack| {
        if stack.operation.as_ref().is_none_or(|current| current.id != operation) {
            return false;
        }
        let names: Vec<String> = stack.resources.keys().cloned().collect();
        for index in 0..left.min(BURST) {
            let position = usize::try_from(left - index).unwrap_or_default();
            if let Some(resource) = names.get(position % names.len().max(1)).and_then(|name| stack.resources.get(name))
            {
                let resource = resource.clone();
                stack.event_of(
                    world.now,
                    &resource,
                    "UPDATE_IN_PROGRESS",
                    Some("Eventual consistency check initiated"),
                );
            }
        }
        left > BURST
    });
    if more == Some(true) {
        let (stack, operation) = (id.to_owned(), operation.to_owned());
        world.schedule(Duration::from_secs(1), Due::ExtraEvents { stack, operation, left: left - BURST });
    }
}
