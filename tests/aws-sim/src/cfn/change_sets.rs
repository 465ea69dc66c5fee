//! The API of change sets.
//!
//! Pages: "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet" of the API reference.

use std::time::Duration;

use serde_json::{Value, json};

use super::changes::Comparison;
use super::engine;
use super::model::{ChangeSet, Definition, OperationRecord, Stack};
use super::operation::{Operation, Verb};
use super::{no_such_stack, template_of};
use crate::input::{Input, page};
use crate::template::parameters::{Given, resolve};
use crate::template::summary;
use crate::wire::{Answer, Fault};
use crate::world::{Due, World};

/// Page: "CreateChangeSet": starts with a letter, then letters, digits and hyphens, at most 128.
fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn check_name(field: &str, name: &str) -> Result<(), Fault> {
    if name.starts_with("arn:") || is_name(name) {
        return Ok(());
    }
    Err(Fault::validation(format!(
        "1 validation error detected: Value '{name}' at '{field}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

/// Page: "ExecuteChangeSet": a token has the same alphabet and length.
pub(super) fn check_token(token: Option<&str>) -> Result<(), Fault> {
    match token {
        Some(token)
            if token.len() > 128
                || !token.starts_with(|c: char| c.is_ascii_alphanumeric())
                || !token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') =>
        {
            Err(Fault::validation(format!(
                "1 validation error detected: Value '{token}' at 'clientRequestToken' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][-a-zA-Z0-9]*"
            )))
        }
        _ => Ok(()),
    }
}

pub(super) fn create(world: &mut World, input: &Input) -> Answer {
    let stack_name = input.required("StackName")?.to_owned();
    let name = input.required("ChangeSetName")?.to_owned();
    check_name("changeSetName", &name)?;
    check_name("stackName", &stack_name)?;
    let creates_stack = match input.text("ChangeSetType").unwrap_or("UPDATE") {
        "CREATE" => true,
        "UPDATE" => false,
        other => return Err(Fault::validation(format!("ChangeSetType {other} is not imitated by this simulator"))),
    };
    let existing = world.cfn.find(&stack_name);
    if let Some(again) = same_request(world, existing.as_deref(), &name, input)? {
        return Ok(again);
    }
    let stack = existing.as_ref().and_then(|id| world.cfn.stacks.get(id));
    match (creates_stack, stack) {
        (true, Some(stack)) if stack.status != "REVIEW_IN_PROGRESS" => {
            return Err(Fault::validation(format!(
                "Stack [{stack_name}] already exists and cannot be created again with the changeSet [{name}]."
            )));
        }
        (false, None) => return Err(Fault::validation(format!("Stack [{stack_name}] does not exist"))),
        // Page: "CreateChangeSet": a stack that is only being reviewed does not exist for an update.
        (false, Some(stack)) if stack.status == "REVIEW_IN_PROGRESS" => {
            return Err(Fault::validation(format!("Stack [{stack_name}] does not exist")));
        }
        (false, Some(stack)) if !updatable(&stack.status) => {
            return Err(Fault::validation(format!(
                "Stack:{} is in {} state and can not be updated.",
                stack.id, stack.status
            )));
        }
        _ => {}
    }
    let old = stack.and_then(|stack| stack.definition.clone());
    let definition = definition(world, input, old.as_ref())?;
    let id = if let Some(id) = existing { id } else { review(world, &stack_name) };
    let arn =
        format!("arn:aws:cloudformation:{}:{}:changeSet/{name}/{}", world.region, world.account, world.chance.uuid());
    let operation = world.chance.uuid();
    let change_set = ChangeSet {
        arn: arn.clone(),
        name,
        description: input.text("Description").map(str::to_owned),
        created: world.now,
        creates_stack,
        definition,
        role_arn: input.text("RoleARN").map(str::to_owned),
        notification_arns: input.texts("NotificationARNs"),
        status: "CREATE_PENDING".to_owned(),
        reason: None,
        execution: "UNAVAILABLE".to_owned(),
        changes: Vec::new(),
        on_failure: input.text("OnStackFailure").map(str::to_owned),
        token: input.text("ClientToken").map(str::to_owned),
        executed_with: None,
        operation: operation.clone(),
        validation: Vec::new(),
        hidden: world.scenario.change_set.not_found_calls,
    };
    let started = world.now;
    if let Some(stack) = world.cfn.stacks.get_mut(&id) {
        stack.change_sets.push(change_set);
        let record = OperationRecord { id: operation, kind: "CREATE_CHANGESET", started, ended: None, failed: false };
        // Behind the operation of the stack itself, whose events are still to come.
        stack.operations.insert(0, record);
    }
    let seconds = Duration::from_secs(world.scenario.change_set.seconds);
    world.schedule(seconds, Due::ChangeSet { stack: id.clone(), arn: arn.clone() });
    Ok(json!({"Id": arn, "StackId": id}))
}

/// Page: "CreateChangeSet", ClientToken: a second request with the same token is the same request.
fn same_request(world: &World, stack: Option<&str>, name: &str, input: &Input) -> Result<Option<Value>, Fault> {
    let sets = stack.and_then(|id| world.cfn.stacks.get(id)).map(|stack| (&stack.id, &stack.change_sets));
    let Some((id, sets)) = sets else { return Ok(None) };
    let Some(set) = sets.iter().find(|set| set.name == name && set.execution != "EXECUTE_COMPLETE") else {
        return Ok(None);
    };
    if set.status != "DELETE_PENDING" && set.token.is_some() && set.token.as_deref() == input.text("ClientToken") {
        return Ok(Some(json!({"Id": set.arn, "StackId": id})));
    }
    Err(Fault::new(
        "AlreadyExistsException",
        format!("ChangeSet {name} cannot be created due to a mismatch with existing attributes [Name]"),
    ))
}

/// Page: "Stack status codes": what may be updated.
fn updatable(status: &str) -> bool {
    matches!(
        status,
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE"
            // With rollback disabled, the operator may update again or roll back. Page: "Stack failure options".
            | "CREATE_FAILED" | "UPDATE_FAILED"
    )
}

/// A stack that is nothing but a change set to be reviewed.
fn review(world: &mut World, name: &str) -> String {
    let id = world.stack_id(name);
    let mut stack = Stack::new(id.clone(), name.to_owned(), world.now);
    stack.set_status(world.now, world.chance.uuid(), "REVIEW_IN_PROGRESS", Some("User Initiated"));
    world.cfn.stacks.insert(id.clone(), stack);
    id
}

fn definition(world: &World, input: &Input, old: Option<&Definition>) -> Result<Definition, Fault> {
    let given = template_of(world, input)?;
    let (body, template) = match (given, input.is_true("UsePreviousTemplate"), old) {
        (Some(given), false, _) => given,
        (None, true, Some(old)) => (old.body.clone(), old.template.clone()),
        _ => {
            return Err(Fault::validation("Either Template URL or Template Body must be specified."));
        }
    };
    let capabilities = input.texts("Capabilities");
    if let Some((needed, _)) = summary::capability(&template)
        && !capabilities.iter().any(|given| given == needed || given == "CAPABILITY_NAMED_IAM")
    {
        return Err(Fault::new("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")));
    }
    let parameters =
        resolve(&template, &Given::read(input.list("Parameters")), old.map(|definition| &definition.parameters))?;
    // Page: "CreateChangeSet", Tags: without any, the stack keeps its own.
    let tags =
        if input.has("Tags") { input.list("Tags").to_vec() } else { old.map(|d| d.tags.clone()).unwrap_or_default() };
    let definition = Definition { body, template, parameters, tags, capabilities };
    let pseudo = crate::template::evaluate::Pseudo {
        account: world.account.clone(),
        region: world.region.clone(),
        stack_name: String::new(),
        stack_id: String::new(),
    };
    definition.scope(&pseudo, &world.exports(), &|_, _| None).rules().map_err(Fault::validation)?;
    Ok(definition)
}

/// The change set is worked out.
pub(super) fn computed(world: &mut World, stack: &str, arn: &str) {
    let settings = world.scenario.change_set.clone();
    let (pseudo_account, region, exports) = (world.account.clone(), world.region.clone(), world.exports());
    let Some(stack) = world.cfn.stacks.get_mut(stack) else { return };
    let pseudo = stack.pseudo(&pseudo_account, &region);
    let Some(index) = stack.change_sets.iter().position(|set| set.arn == arn) else { return };
    let set = &stack.change_sets[index];
    let before = stack.definition.as_ref();
    let comparison =
        Comparison { before, resources: &stack.resources, after: &set.definition, pseudo: &pseudo, exports: &exports };
    let result = comparison.changes();
    let unchanged_outputs = before.is_some_and(|before| {
        before.template.section("Outputs") == set.definition.template.section("Outputs")
            && before.parameters == set.definition.parameters
    });
    let set = &mut stack.change_sets[index];
    let mut failure = match &result {
        Err(reason) => Some(reason.clone()),
        Ok(changes) if changes.is_empty() && (unchanged_outputs || before.is_none()) => {
            Some(settings.no_changes_wording.text().to_owned())
        }
        Ok(_) => None,
    };
    if !settings.early_validation.is_empty() {
        set.validation = settings.early_validation;
        if set.validation.iter().any(|finding| finding.mode == "FAIL") {
            let kinds: std::collections::BTreeSet<&str> =
                set.validation.iter().map(|finding| finding.name.as_str()).collect();
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
            failure = Some(format!(
                "The following hook(s)/validation failed: [AWS::EarlyValidation::{kinds}]. To troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
            ));
        }
    }
    if let Some(reason) = settings.fail {
        failure = Some(reason);
    }
    set.changes = result.unwrap_or_default();
    let failed = failure.is_some();
    if let Some(reason) = failure {
        (set.status, set.reason) = ("FAILED".to_owned(), Some(reason));
        set.changes.clear();
    } else {
        "CREATE_COMPLETE".clone_into(&mut set.status);
        "AVAILABLE".clone_into(&mut set.execution);
    }
    let (operation, stack_id) = (set.operation.clone(), stack.id.clone());
    if let Some(record) = stack.operations.iter_mut().find(|record| record.id == operation) {
        (record.ended, record.failed) = (Some(world.now), failed);
    }
    if let Some(second) = &mut world.scenario.faults.second_deployer
        && !failed
        && second.times > 0
    {
        second.times -= 1;
        let after = Duration::from_secs(second.after_seconds);
        world.schedule(after, Due::Interference { stack: stack_id });
    }
}

fn not_found(name: &str) -> Fault {
    Fault::new("ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")).with_status(404)
}

fn find(world: &World, input: &Input) -> Result<(String, usize), Fault> {
    let name = input.required("ChangeSetName")?;
    let stack = input.text("StackName");
    if !name.starts_with("arn:") {
        let Some(stack) = stack else {
            return Err(Fault::validation("StackName must be specified if ChangeSetName is not specified as an ARN."));
        };
        if world.cfn.find(stack).is_none() {
            return Err(Fault::validation(format!("Stack [{stack}] does not exist")));
        }
    }
    world.cfn.find_change_set(name, stack).ok_or_else(|| not_found(name))
}

pub(super) fn describe(world: &mut World, input: &Input) -> Answer {
    let (id, index) = find(world, input)?;
    let size = world.scenario.limits.change_set_page;
    let tease = world.scenario.change_set.token_while_creating;
    let half = Duration::from_secs(world.scenario.change_set.seconds) / 2;
    let now = world.now;
    let Some(stack) = world.cfn.stacks.get_mut(&id) else { return Err(not_found("")) };
    let (stack_name, stack_id) = (stack.name.clone(), stack.id.clone());
    let set = &mut stack.change_sets[index];
    if set.hidden > 0 {
        set.hidden -= 1;
        return Err(not_found(&set.name));
    }
    if set.status == "CREATE_PENDING" && now.since(set.created) >= half {
        "CREATE_IN_PROGRESS".clone_into(&mut set.status);
    }
    let values = input.is_true("IncludePropertyValues");
    let creating = set.status == "CREATE_PENDING" || set.status == "CREATE_IN_PROGRESS";
    let token = input.text("NextToken");
    let invalid = || Fault::validation("NextToken is not valid");
    let (changes, next) = if creating {
        (Vec::new(), tease.then(|| "page-0".to_owned()))
    } else {
        page(set.changes.iter().collect(), token, size).map_err(|()| invalid())?
    };
    let changes: Vec<Value> = changes.into_iter().map(|change| change.value(values)).collect();
    Ok(json!({
        "ChangeSetName": set.name,
        "ChangeSetId": set.arn,
        "StackId": stack_id,
        "StackName": stack_name,
        "Description": set.description,
        "Parameters": set.definition.parameter_list(),
        "CreationTime": set.created.to_string(),
        "ExecutionStatus": set.execution,
        "Status": set.status,
        "StatusReason": set.reason,
        "NotificationARNs": set.notification_arns,
        "RollbackConfiguration": {},
        "Capabilities": set.definition.capabilities,
        "Tags": set.definition.tags,
        "Changes": changes,
        "NextToken": next,
        "IncludeNestedStacks": false,
        "OnStackFailure": set.on_failure,
    }))
}

pub(super) fn list(world: &World, input: &Input) -> Answer {
    let name = input.required("StackName")?;
    let stack = world.cfn.find(name).and_then(|id| world.cfn.stacks.get(&id));
    let stack = stack.ok_or_else(|| Fault::validation(format!("Stack [{name}] does not exist")))?;
    let active = stack.change_sets.iter().filter(|set| set.execution != "EXECUTE_COMPLETE");
    let summaries: Vec<Value> = active
        .map(|set| {
            json!({
                "StackId": stack.id, "StackName": stack.name, "ChangeSetId": set.arn, "ChangeSetName": set.name,
                "ExecutionStatus": set.execution, "Status": set.status, "StatusReason": set.reason,
                "CreationTime": set.created.to_string(), "Description": set.description,
            })
        })
        .collect();
    let (summaries, next) = page(summaries, input.text("NextToken"), world.scenario.limits.change_set_page)
        .map_err(|()| Fault::validation("NextToken is not valid"))?;
    Ok(json!({"Summaries": summaries, "NextToken": next}))
}

/// Page: "DeleteChangeSet": it succeeds, whether the change set is there or not.
pub(super) fn delete(world: &mut World, input: &Input) -> Answer {
    let (id, index) = match find(world, input) {
        Ok(found) => found,
        Err(fault) if fault.code == "ChangeSetNotFound" => return Ok(json!({})),
        Err(fault) => return Err(fault),
    };
    let seconds = world.scenario.change_set.deletion_seconds;
    if let Some(stack) = world.cfn.stacks.get_mut(&id) {
        let set = &mut stack.change_sets[index];
        if ["CREATE_PENDING", "CREATE_IN_PROGRESS", "DELETE_PENDING"].contains(&set.status.as_str())
            || set.execution == "EXECUTE_IN_PROGRESS"
        {
            let text = format!("ChangeSet [{}] cannot be deleted in its current status of [{}]", set.arn, set.status);
            return Err(Fault::new("InvalidChangeSetStatus", text));
        }
        if seconds == 0 {
            stack.change_sets.remove(index);
        } else {
            "DELETE_PENDING".clone_into(&mut set.status);
            "UNAVAILABLE".clone_into(&mut set.execution);
            let arn = set.arn.clone();
            world.schedule(Duration::from_secs(seconds), Due::ChangeSetGone { stack: id, arn });
        }
    }
    Ok(json!({}))
}

/// Its deletion ends.
pub(super) fn gone(world: &mut World, stack: &str, arn: &str) {
    if let Some(stack) = world.cfn.stacks.get_mut(stack) {
        stack.change_sets.retain(|set| set.arn != arn);
    }
}

pub(super) fn execute(world: &mut World, input: &Input) -> Answer {
    check_token(input.text("ClientRequestToken"))?;
    let (id, index) = find(world, input)?;
    let token = input.text("ClientRequestToken").map(str::to_owned);
    let disable_rollback = input.is_true("DisableRollback");
    world.executed();
    engine::with_stack(world, &id, |world, stack| start(world, stack, index, token, disable_rollback))
        .unwrap_or_else(|| Err(no_such_stack(&id)))
}

fn start(world: &mut World, stack: &mut Stack, index: usize, token: Option<String>, disable_rollback: bool) -> Answer {
    let set = &stack.change_sets[index];
    if set.execution != "AVAILABLE" {
        // Page: "ExecuteChangeSet", ClientRequestToken: a retry of an accepted request succeeds.
        if token.is_some() && set.executed_with == token {
            return Ok(json!({}));
        }
        let text = format!(
            "ChangeSet [{}] cannot be executed in its current execution status of [{}]",
            set.arn, set.execution
        );
        return Err(Fault::new("InvalidChangeSetStatus", text));
    }
    if stack.busy() || !(updatable(&stack.status) || set.creates_stack) {
        return Err(Fault::validation(format!(
            "Stack:{} is in {} state and can not be updated.",
            stack.id, stack.status
        )));
    }
    // Page: "ExecuteChangeSet": the other change sets of the stack are deleted.
    let mut set = stack.change_sets.remove(index);
    stack.change_sets.retain(|other| other.execution == "EXECUTE_COMPLETE");
    "EXECUTE_COMPLETE".clone_into(&mut set.execution);
    set.executed_with.clone_from(&token);
    let verb = if set.creates_stack { Verb::Create } else { Verb::Update };
    let mut operation = Operation::new(world.chance.uuid(), verb, token);
    operation.disable_rollback = disable_rollback || set.on_failure.as_deref() == Some("DO_NOTHING");
    operation.delete_on_failure = set.on_failure.as_deref() == Some("DELETE");
    stack.disable_rollback = operation.disable_rollback;
    stack.suspended = None;
    let old = stack.definition.replace(set.definition.clone());
    if let (Verb::Update, Some(old)) = (verb, old) {
        operation.before = Some((old, stack.resources.clone()));
        stack.updated = Some(world.now);
    }
    stack.executed = Some(set.arn.clone());
    if set.role_arn.is_some() {
        stack.role_arn.clone_from(&set.role_arn);
    }
    stack.change_sets.push(set);
    match verb {
        Verb::Create => engine::begin(world, stack, operation, "CREATE_IN_PROGRESS", "CREATE_STACK"),
        _ => engine::begin(world, stack, operation, "UPDATE_IN_PROGRESS", "UPDATE_STACK"),
    }
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_documented_pattern() {
        assert!(is_name("r-abc1234-main-0f"));
        for bad in ["1abc", "a_b", "a.b", "", &"a".repeat(129)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(check_token(Some("1-a")).is_ok());
        assert!(check_token(Some("a_b")).is_err());
    }
}
