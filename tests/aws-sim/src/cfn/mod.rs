//! CloudFormation: stacks, change sets, events.
//!
//! `catalog` knows the resource types, `changes` makes change sets, `engine` and `stages` carry operations out,
//! `provision` is what they do to other services; `actions`, `change_sets` and `reads` are the API.

mod actions;
pub(crate) mod catalog;
mod change_sets;
pub(crate) mod changes;
pub(crate) mod compare;
pub(crate) mod engine;
pub(crate) mod model;
pub(crate) mod operation;
pub(crate) mod preload;
mod provision;
pub(crate) use provision::Progress;
mod reads;
pub(crate) mod stages;

use std::collections::BTreeMap;

use model::Stack;

use crate::template::Template;
use crate::wire::{Answer, Call, Fault};
use crate::world::{Due, World};

/// `TemplateBody`. Page: "CloudFormation quotas", "Template body size in a request".
const INLINE_LIMIT: usize = 51_200;
/// `TemplateURL`. Page: "CloudFormation quotas", "Template body size in an Amazon S3 object".
const S3_LIMIT: usize = 1_048_576;

/// All stacks, by id: a name may be used again once its stack is deleted.
#[derive(Debug, Default)]
pub(crate) struct CloudFormation {
    pub(crate) stacks: BTreeMap<String, Stack>,
}

impl CloudFormation {
    /// The id of the stack of that name, or with that id. A deleted stack is found by its id only.
    pub(crate) fn find(&self, name_or_id: &str) -> Option<String> {
        if name_or_id.starts_with("arn:") {
            return self.stacks.contains_key(name_or_id).then(|| name_or_id.to_owned());
        }
        let named = self.stacks.values().find(|stack| stack.name == name_or_id && stack.deleted.is_none());
        named.map(|stack| stack.id.clone())
    }

    /// The change set of that ARN, or of that name in that stack.
    fn find_change_set(&self, name_or_arn: &str, stack: Option<&str>) -> Option<(String, usize)> {
        let matches = |stack: &Stack| {
            // The newest of a name, since an executed one stays to be described.
            let index = stack.change_sets.iter().rposition(|set| set.arn == name_or_arn || set.name == name_or_arn);
            index.map(|index| (stack.id.clone(), index))
        };
        if name_or_arn.starts_with("arn:") {
            return self.stacks.values().find_map(matches);
        }
        matches(self.stacks.get(&self.find(stack?)?)?)
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    let input = &call.input;
    match call.operation.as_str() {
        "CreateChangeSet" => change_sets::create(world, input),
        "DescribeChangeSet" => change_sets::describe(world, input),
        "ListChangeSets" => change_sets::list(world, input),
        "DeleteChangeSet" => change_sets::delete(world, input),
        "ExecuteChangeSet" => change_sets::execute(world, input),
        "DescribeStacks" => reads::stacks(world, input),
        "DescribeStackEvents" => reads::events(world, input),
        "DescribeEvents" => reads::operation_events(world, input),
        "DescribeStackResources" => reads::resources(world, input),
        "DescribeStackResource" => reads::resource(world, input),
        "ListStackResources" => reads::resource_summaries(world, input),
        "ListStacks" => reads::summaries(world, input),
        "GetTemplate" => reads::template(world, input),
        "GetTemplateSummary" => reads::template_summary(world, input),
        "GetStackPolicy" => reads::policy(world, input),
        "ListExports" => reads::exports(world, input),
        "ListImports" => reads::imports(world, input),
        "CancelUpdateStack" => actions::cancel(world, input),
        "ContinueUpdateRollback" => actions::continue_rollback(world, input),
        "RollbackStack" => actions::roll_back(world, input),
        "DeleteStack" => actions::delete(world, input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

/// Something that was to happen to a stack later is due.
pub(crate) fn due(world: &mut World, due: Due) {
    match due {
        Due::Stage { stack, operation, visit } => {
            engine::with_stack(world, &stack, |world, stack| engine::stage(world, stack, &operation, visit));
        }
        Due::NextStage { stack, operation, visit } => {
            engine::with_stack(world, &stack, |world, stack| stages::next(world, stack, &operation, visit));
        }
        Due::Job { stack, operation, key, ticket, end } => {
            engine::with_stack(world, &stack, |world, stack| {
                engine::ended(world, stack, &operation, &key, ticket, &end);
            });
        }
        Due::ChangeSet { stack, arn } => change_sets::computed(world, &stack, &arn),
        Due::ChangeSetGone { stack, arn } => change_sets::gone(world, &stack, &arn),
        Due::ExtraEvents { stack, operation, left } => actions::extra_events(world, &stack, &operation, left),
        Due::Interference { stack } => actions::interfere(world, &stack),
        Due::Task { .. } | Due::Reconcile { .. } => {}
    }
}

/// The rollout of an ECS service is over: the job that waits for it ends.
pub(crate) fn rollout_ended(world: &mut World, service: &str, end: &engine::End) {
    use operation::State;
    let waiting = world.cfn.stacks.values().find_map(|stack| {
        let operation = stack.operation.as_ref()?;
        let (key, ticket) = operation.jobs.iter().find_map(|(key, job)| match &job.state {
            State::Running { ticket, service: Some(arn), .. } if arn == service => Some((key.clone(), *ticket)),
            _ => None,
        })?;
        Some((stack.id.clone(), operation.id.clone(), key, ticket))
    });
    if let Some((stack, operation, key, ticket)) = waiting {
        engine::with_stack(world, &stack, |world, stack| engine::ended(world, stack, &operation, &key, ticket, end));
    }
}

/// The template that a request names: its text and what it says.
fn template_of(world: &World, input: &crate::input::Input) -> Result<Option<(String, Template)>, Fault> {
    let body = match (input.text("TemplateBody"), input.text("TemplateURL")) {
        (Some(_), Some(_)) => {
            return Err(Fault::validation("Only one of TemplateBody or TemplateURL may be specified."));
        }
        (Some(body), None) => {
            if body.len() > INLINE_LIMIT {
                return Err(Fault::validation(format!(
                    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to {INLINE_LIMIT}"
                )));
            }
            body.to_owned()
        }
        (None, Some(url)) => {
            let body = world.s3.by_url(url)?;
            if body.len() > S3_LIMIT {
                return Err(Fault::validation("Template may not exceed 1000000 bytes in size."));
            }
            body
        }
        (None, None) => return Ok(None),
    };
    let template = Template::parse(&body).map_err(Fault::validation)?;
    Ok(Some((body, template)))
}

/// `Stack with id x does not exist`: the text that clients look for. Page: "DescribeStacks".
fn no_such_stack(name: &str) -> Fault {
    Fault::validation(format!("Stack with id {name} does not exist"))
}
