//! The machine that carries operations out: it starts jobs whose needs are met, hears how they end, and goes from stage to
//! stage. Statuses, their order and their reasons are those of the pages "Stack status codes" and "Understand stack
//! creation events"; what a rollback does is from "Stack failure options" and "Continue rolling back an update".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::catalog::{self, Recreation};
use super::compare::differences;
use super::model::{OperationRecord, Resource, Stack};
use super::operation::{Job, Operation, Stage, State, Verb, Work};
use super::provision::{self, Progress};
use crate::scenario::ResourceVerb;
use crate::template::Declared;
use crate::world::{Due, World};

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Failed(String),
}

const SECOND: Duration = Duration::from_secs(1);
/// How long CloudFormation waits for an ECS service to become stable.
const PATIENCE: Duration = Duration::from_hours(3);

/// Takes the stack out of the world for as long as it is worked on.
pub(crate) fn with_stack<T>(world: &mut World, id: &str, work: impl FnOnce(&mut World, &mut Stack) -> T) -> Option<T> {
    let mut stack = world.cfn.stacks.remove(id)?;
    let result = work(world, &mut stack);
    world.cfn.stacks.insert(id.to_owned(), stack);
    Some(result)
}

/// Begins an operation. `definition` is what the stack is to become; it stays what it is in a deletion.
pub(crate) fn begin(world: &mut World, stack: &mut Stack, mut operation: Operation, status: &str, kind: &'static str) {
    let (id, visit) = (operation.id.clone(), operation.visit);
    stack.operations.push(OperationRecord { id: id.clone(), kind, started: world.now, ended: None, failed: false });
    if operation.stage == Stage::Unwind && operation.verb == Verb::Delete {
        operation.leftovers = stack.resources.values().cloned().collect();
    }
    stack.operation = Some(operation);
    stack.set_status(world.now, world.chance.uuid(), status, Some("User Initiated"));
    let extra = world.scenario.faults.extra_events;
    if extra > 0 && !world.preloading {
        world.schedule(SECOND, Due::ExtraEvents { stack: stack.id.clone(), operation: id.clone(), left: extra });
    }
    world.schedule(SECOND, Due::Stage { stack: stack.id.clone(), operation: id, visit });
}

/// The stage of an operation begins, or has no more to do.
pub(crate) fn stage(world: &mut World, stack: &mut Stack, operation: &str, visit: u64) {
    let due = stack.operation.take_if(|current| current.id == operation && current.visit == visit);
    let Some(mut current) = due else { return };
    if current.jobs.is_empty() {
        let jobs = match current.stage {
            Stage::Apply => apply_jobs(world, stack, &current),
            Stage::Restore => Ok(restore_jobs(&current)),
            Stage::Cleanup | Stage::RestoreCleanup | Stage::Unwind => {
                Ok(Operation::removals(std::mem::take(&mut current.leftovers)))
            }
        };
        match jobs {
            Ok(jobs) => current.plan(jobs),
            Err(reason) => return abort(world, stack, current, &reason),
        }
    }
    drive(world, stack, current);
}

fn apply_jobs(world: &World, stack: &Stack, operation: &Operation) -> Result<Vec<(String, Job)>, String> {
    if operation.pretence {
        return Ok(Vec::new());
    }
    let Some(definition) = &stack.definition else { return Ok(Vec::new()) };
    let pseudo = stack.pseudo(&world.account, &world.region);
    let active = definition.active(&pseudo, &world.exports())?;
    let jobs = active.into_iter().map(|name| {
        let needs = definition.template.resource(&name).map(Declared::needs).unwrap_or_default();
        let job =
            Job { logical: name.clone(), work: Work::Apply, needs: needs.into_iter().collect(), state: State::Waiting };
        (name, job)
    });
    Ok(jobs.collect())
}

fn restore_jobs(operation: &Operation) -> Vec<(String, Job)> {
    let Some((_, resources)) = &operation.before else { return Vec::new() };
    let touched = resources.values().filter(|resource| operation.touched.contains(&resource.logical));
    touched
        .map(|resource| {
            let needs = resource.needs.iter().cloned().collect();
            let job = Job { logical: resource.logical.clone(), work: Work::Restore, needs, state: State::Waiting };
            (resource.logical.clone(), job)
        })
        .collect()
}

/// Starts what can be started, and goes on to the next stage when nothing is left.
fn drive(world: &mut World, stack: &mut Stack, mut operation: Operation) {
    while !operation.stopped {
        let mut ready = operation.ready();
        if ready.is_empty() {
            // Leftovers of two templates may need each other; one of them must be first.
            let none_begins = !operation.running() && operation.waiting();
            let first = operation.jobs.iter().find(|(_, job)| job.state == State::Waiting).map(|(key, _)| key.clone());
            match first {
                Some(first) if none_begins => ready.push(first),
                _ => break,
            }
        }
        for key in ready {
            if !operation.stopped {
                // Events take the token of the stack's operation.
                stack.operation = Some(operation);
                start(world, stack, &key);
                operation = match stack.operation.take() {
                    Some(operation) => operation,
                    None => return,
                };
            }
        }
    }
    let idle = !operation.running() && (operation.stopped || !operation.waiting());
    let (stack_id, id, visit) = (stack.id.clone(), operation.id.clone(), operation.visit);
    stack.operation = Some(operation);
    if idle {
        world.schedule(SECOND, Due::NextStage { stack: stack_id, operation: id, visit });
    }
}

/// Starts one job; `stack.operation` is there.
fn start(world: &mut World, stack: &mut Stack, key: &str) {
    let Some((work, logical)) =
        stack.operation.as_ref().and_then(|o| o.jobs.get(key)).map(|job| (job.work.clone(), job.logical.clone()))
    else {
        return;
    };
    match work {
        Work::Apply => apply(world, stack, key, &logical),
        Work::Restore => restore(world, stack, key, &logical),
        Work::Remove(resource) => remove(world, stack, key, &resource),
    }
}

fn set_state(stack: &mut Stack, key: &str, state: State) {
    if let Some(job) = stack.operation.as_mut().and_then(|operation| operation.jobs.get_mut(key)) {
        job.state = state;
    }
}

/// The job runs; its end comes after what the progress says, unless the scenario says otherwise.
fn run(world: &mut World, stack: &mut Stack, key: &str, event: &'static str, verb: ResourceVerb, progress: Progress) {
    let Some(operation) = &stack.operation else { return };
    let logical = operation.jobs.get(key).map(|job| job.logical.clone()).unwrap_or_default();
    let ticket = world.ticket();
    let (stack_id, operation) = (stack.id.clone(), operation.id.clone());
    let end_after = |world: &mut World, after: Duration, end: End| {
        let (stack, operation, key) = (stack_id.clone(), operation.clone(), key.to_owned());
        world.schedule(after, Due::Job { stack, operation, key, ticket, end });
    };
    let fault = if world.preloading { None } else { world.scenario.resource_fault(&logical, verb) };
    let mut service = None;
    if let Some(fault) = fault {
        if let Some(reason) = fault.reason {
            end_after(world, Duration::from_secs(fault.after_seconds), End::Failed(reason));
        } else if let Some(seconds) = fault.takes_seconds {
            end_after(world, Duration::from_secs(seconds), End::Ok);
        }
    } else {
        match progress {
            Progress::Takes(time) => end_after(world, time, End::Ok),
            Progress::Fails(reason) => end_after(world, 2 * SECOND, End::Failed(reason)),
            Progress::Rollout(arn) => {
                let text = "Resource handler returned message: \"Exceeded attempts to wait\" (RequestToken: {}, HandlerErrorCode: NotStabilized)";
                let reason = text.replace("{}", &world.chance.uuid());
                end_after(world, PATIENCE, End::Failed(reason));
                service = Some(arn);
            }
        }
    }
    set_state(stack, key, State::Running { ticket, event, service });
}

fn apply(world: &mut World, stack: &mut Stack, key: &str, logical: &str) {
    let evaluated = evaluate(world, stack, logical);
    let (kind, properties, needs, kept) = match evaluated {
        Ok(found) => found,
        Err(reason) => {
            let (event, status) = match stack.resources.get(logical) {
                Some(_) => ("UPDATE", "UPDATE_IN_PROGRESS"),
                None => ("CREATE", "CREATE_IN_PROGRESS"),
            };
            insert_if_new(world, stack, logical, "", &Value::Null);
            stack.set_resource(world.now, logical, status, None);
            return run(world, stack, key, event, ResourceVerb::Update, Progress::Fails(reason));
        }
    };
    // What was never made, because its creation failed at once, is made anew.
    if stack.resources.get(logical).is_some_and(|existing| existing.physical.is_empty()) {
        stack.resources.remove(logical);
    }
    let existing = stack.resources.get(logical).cloned();
    let Some(existing) = existing else {
        touch(stack, logical);
        insert_if_new(world, stack, logical, &kind, &properties);
        describe(stack, logical, needs, kept);
        stack.set_resource(world.now, logical, "CREATE_IN_PROGRESS", None);
        let progress = match provision::create(world, stack, logical, &kind, &properties) {
            Ok((physical, attributes, progress)) => {
                if let Some(resource) = stack.resources.get_mut(logical) {
                    (resource.physical, resource.attributes) = (physical, attributes);
                }
                stack.set_resource(world.now, logical, "CREATE_IN_PROGRESS", Some("Resource creation Initiated"));
                progress
            }
            Err(reason) => Progress::Fails(reason),
        };
        return run(world, stack, key, "CREATE", ResourceVerb::Create, progress);
    };
    let changed = differences(&existing.properties, &properties);
    describe(stack, logical, needs, kept);
    if existing.kind == kind
        && changed.is_empty()
        && existing.status != "UPDATE_FAILED"
        && existing.status != "CREATE_FAILED"
    {
        return set_state(stack, key, State::Done);
    }
    touch(stack, logical);
    stack.set_resource(world.now, logical, "UPDATE_IN_PROGRESS", None);
    let table = catalog::of(&kind);
    let replaced = existing.kind != kind
        || changed.iter().any(|name| {
            let value = |properties: &Value| properties.get(name).cloned().unwrap_or_default();
            table.recreation(name, &value(&existing.properties), &value(&properties)) == Recreation::Always
        });
    let progress = if !replaced {
        match provision::update(world, &existing, &properties) {
            Ok(progress) => {
                if let Some(resource) = stack.resources.get_mut(logical) {
                    resource.properties = properties;
                }
                progress
            }
            Err(reason) => Progress::Fails(reason),
        }
    } else if table.given_name(&properties).is_some_and(|name| table.given_name(&existing.properties) == Some(name)) {
        // Page: "Troubleshooting CloudFormation": a resource with a custom name cannot be replaced under the same name.
        let name = table.given_name(&properties).unwrap_or_default();
        Progress::Fails(format!(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {name} and update the stack again."
        ))
    } else {
        let reason = "Requested update requires the creation of a new physical resource; hence creating one.";
        stack.set_resource(world.now, logical, "UPDATE_IN_PROGRESS", Some(reason));
        match provision::create(world, stack, logical, &kind, &properties) {
            Ok((physical, attributes, progress)) => {
                if let Some(operation) = &mut stack.operation {
                    operation.leftovers.push(Resource { kept_on_delete: existing.kept_on_replace, ..existing });
                }
                if let Some(resource) = stack.resources.get_mut(logical) {
                    (resource.physical, resource.attributes) = (physical, attributes);
                    (resource.kind, resource.properties) = (kind, properties);
                }
                stack.set_resource(world.now, logical, "UPDATE_IN_PROGRESS", Some("Resource creation Initiated"));
                progress
            }
            Err(reason) => Progress::Fails(reason),
        }
    };
    run(world, stack, key, "UPDATE", ResourceVerb::Update, progress);
}

fn touch(stack: &mut Stack, logical: &str) {
    if let Some(operation) = &mut stack.operation {
        operation.touched.insert(logical.to_owned());
    }
}

fn insert_if_new(world: &World, stack: &mut Stack, logical: &str, kind: &str, properties: &Value) {
    let declared = stack.definition.as_ref().and_then(|d| d.template.resource(logical));
    let kind = if kind.is_empty() { declared.map_or("", |declared| declared.kind()) } else { kind }.to_owned();
    stack.resources.entry(logical.to_owned()).or_insert_with(|| Resource {
        logical: logical.to_owned(),
        kind,
        physical: String::new(),
        attributes: BTreeMap::new(),
        properties: properties.clone(),
        status: String::new(),
        reason: None,
        changed: world.now,
        needs: Vec::new(),
        kept_on_delete: false,
        kept_on_replace: false,
    });
}

fn describe(stack: &mut Stack, logical: &str, needs: Vec<String>, kept: (bool, bool)) {
    if let Some(resource) = stack.resources.get_mut(logical) {
        resource.needs = needs;
        (resource.kept_on_delete, resource.kept_on_replace) = kept;
    }
}

type Evaluated = (String, Value, Vec<String>, (bool, bool));

fn evaluate(world: &World, stack: &Stack, logical: &str) -> Result<Evaluated, String> {
    let definition = stack.definition.as_ref().ok_or("the stack has no template")?;
    let declared = definition.template.resource(logical).ok_or("the resource is not in the template")?;
    let (pseudo, exports) = (stack.pseudo(&world.account, &world.region), world.exports());
    let lookup = |name: &str, attribute: Option<&str>| stack.lookup(name, attribute);
    let scope = definition.scope(&pseudo, &exports, &lookup);
    let properties = scope.evaluate(declared.properties())?.unwrap_or_default();
    let properties = if properties.is_null() { json!({}) } else { properties };
    let kept = (declared.retains("DeletionPolicy"), declared.retains("UpdateReplacePolicy"));
    Ok((declared.kind().to_owned(), properties, declared.needs(), kept))
}

fn restore(world: &mut World, stack: &mut Stack, key: &str, logical: &str) {
    let old = stack.operation.as_ref().and_then(|o| o.before.as_ref()?.1.get(logical).cloned());
    let Some(old) = old else { return set_state(stack, key, State::Done) };
    let skipped = stack.operation.as_ref().is_some_and(|operation| operation.skip.contains(logical));
    let current = stack.resources.get(logical).cloned();
    let replaced = current.as_ref().is_some_and(|current| current.physical != old.physical);
    let same = current.as_ref().is_some_and(|current| differences(&current.properties, &old.properties).is_empty());
    if skipped {
        stack.set_resource(world.now, logical, "UPDATE_COMPLETE", Some("Resource was skipped during rollback"));
        return set_state(stack, key, State::Done);
    }
    if replaced || same {
        if let (true, Some(current), Some(operation)) = (replaced, current, &mut stack.operation) {
            operation.leftovers.push(current);
        }
        stack.resources.insert(logical.to_owned(), old);
        stack.set_resource(world.now, logical, "UPDATE_COMPLETE", None);
        return set_state(stack, key, State::Done);
    }
    stack.set_resource(world.now, logical, "UPDATE_IN_PROGRESS", None);
    let progress = match provision::update(world, &old, &old.properties) {
        Ok(progress) => progress,
        Err(reason) => Progress::Fails(reason),
    };
    run(world, stack, key, "UPDATE", ResourceVerb::Rollback, progress);
}

fn remove(world: &mut World, stack: &mut Stack, key: &str, resource: &Resource) {
    if resource.physical.is_empty() {
        removed(stack, resource);
        return set_state(stack, key, State::Done);
    }
    let current = stack.resources.get(&resource.logical).is_some_and(|current| current.physical == resource.physical);
    if resource.kept_on_delete {
        stack.event_of(world.now, resource, "DELETE_SKIPPED", None);
        removed(stack, resource);
        return set_state(stack, key, State::Done);
    }
    if current {
        stack.set_resource(world.now, &resource.logical, "DELETE_IN_PROGRESS", None);
    } else {
        stack.event_of(world.now, resource, "DELETE_IN_PROGRESS", None);
    }
    let progress = match provision::delete(world, resource) {
        Ok(progress) => progress,
        Err(reason) => Progress::Fails(reason),
    };
    run(world, stack, key, "DELETE", ResourceVerb::Delete, progress);
}

fn removed(stack: &mut Stack, resource: &Resource) {
    if stack.resources.get(&resource.logical).is_some_and(|current| current.physical == resource.physical) {
        stack.resources.remove(&resource.logical);
    }
}

/// A job has come to its end.
pub(crate) fn ended(world: &mut World, stack: &mut Stack, operation: &str, key: &str, ticket: u64, end: &End) {
    if stack.operation.as_ref().is_none_or(|current| current.id != operation) {
        return;
    }
    let Some(job) = stack.operation.as_ref().and_then(|o| o.jobs.get(key)) else { return };
    let State::Running { ticket: expected, event, .. } = job.state else { return };
    if expected != ticket {
        return;
    }
    let (logical, work) = (job.logical.clone(), job.work.clone());
    let (suffix, reason) = match end {
        End::Ok => ("COMPLETE", None),
        End::Failed(reason) => ("FAILED", Some(reason.as_str())),
    };
    let status = format!("{event}_{suffix}");
    let now = world.now;
    match &work {
        Work::Remove(resource) => {
            let current = stack.resources.get(&logical).is_some_and(|current| current.physical == resource.physical);
            if current {
                stack.set_resource(now, &logical, &status, reason);
            } else {
                stack.event_of(now, resource, &status, reason);
            }
            if *end == End::Ok {
                removed(stack, resource);
            }
        }
        Work::Restore if *end == End::Ok => {
            let old = stack.operation.as_ref().and_then(|o| o.before.as_ref()?.1.get(&logical).cloned());
            if let Some(old) = old {
                stack.resources.insert(logical.clone(), old);
            }
            stack.set_resource(now, &logical, &status, reason);
        }
        Work::Apply | Work::Restore => stack.set_resource(now, &logical, &status, reason),
    }
    set_state(stack, key, if *end == End::Ok { State::Done } else { State::Failed });
    let Some(mut current) = stack.operation.take() else { return };
    if *end != End::Ok {
        current.failed.push((logical, event));
        let fatal = matches!(current.stage, Stage::Apply | Stage::Restore);
        if fatal && !current.disable_rollback {
            current.stopped = true;
            stack.operation = Some(current);
            cancel_jobs(world, stack);
            current = match stack.operation.take() {
                Some(current) => current,
                None => return,
            };
        } else if fatal {
            // With rollback disabled, what does not depend on the failure still comes to its end.
            let dead: BTreeSet<String> = BTreeSet::from([key.to_owned()]);
            forget_dependants(&mut current, dead);
        }
    }
    drive(world, stack, current);
}

fn forget_dependants(operation: &mut Operation, mut dead: BTreeSet<String>) {
    loop {
        let more: Vec<String> = operation
            .jobs
            .iter()
            .filter(|(key, job)| job.state == State::Waiting && !dead.contains(*key) && !job.needs.is_disjoint(&dead))
            .map(|(key, _)| key.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        dead.extend(more);
    }
    operation.jobs.retain(|key, job| job.state != State::Waiting || !dead.contains(key));
}

/// What still runs is cancelled; what waits never begins.
pub(crate) fn cancel_jobs(world: &mut World, stack: &mut Stack) {
    let Some(operation) = &mut stack.operation else { return };
    operation.stopped = true;
    let mut cancelled = Vec::new();
    for job in operation.jobs.values_mut() {
        if let State::Running { event, .. } = job.state {
            job.state = State::Failed;
            cancelled.push((job.logical.clone(), event));
        }
    }
    operation.failed.extend(cancelled.iter().cloned());
    for (logical, event) in cancelled {
        let verb = if event == "CREATE" { "creation" } else { "update" };
        let reason = format!("Resource {verb} cancelled");
        stack.set_resource(world.now, &logical, &format!("{event}_FAILED"), Some(&reason));
    }
}

/// The template cannot be carried out at all.
fn abort(world: &mut World, stack: &mut Stack, mut operation: Operation, reason: &str) {
    operation.stopped = true;
    stack.reason = Some(reason.to_owned());
    let (stack_id, id, visit) = (stack.id.clone(), operation.id.clone(), operation.visit);
    operation.failed.push((reason.to_owned(), "UPDATE"));
    stack.operation = Some(operation);
    world.schedule(SECOND, Due::NextStage { stack: stack_id, operation: id, visit });
}
