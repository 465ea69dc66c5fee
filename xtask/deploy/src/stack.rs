//! The stack as CloudFormation describes it: calls that read, and their answers in plain types.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{StackStatus, TemplateStage};
use serde::Serialize;

use crate::aws::{Aws, Trouble};
use crate::events::{Event, Events, Reading};
use crate::template::Template;

/// A stack, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: StackStatus,
    pub(crate) reason: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) is_protected: bool,
    /// RFC 3339, of the last update or of the creation.
    pub(crate) changed: Option<String>,
}

/// What became of one resource of the template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Physical {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

/// RFC 3339 with milliseconds, always, so that texts sort as times do.
pub(crate) fn time(time: Option<&aws_smithy_types::DateTime>) -> Option<String> {
    let time = std::time::SystemTime::try_from(*time?).ok()?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

/// The stack of this name or id; none if there is none.
pub(crate) async fn describe(aws: &Aws<'_>, name: &str) -> Result<Option<Stack>, Trouble> {
    let answer = aws
        .attempt("describing the stack", async || aws.cloudformation.describe_stacks().stack_name(name).send().await)
        .await;
    let stack = match answer {
        Ok(answer) => answer.stacks.unwrap_or_default().into_iter().next(),
        // There is no better way to ask whether a stack exists.
        Err(trouble) if trouble.is_missing() => None,
        Err(trouble) => return Err(trouble),
    };
    Ok(stack.map(|stack| Stack {
        id: stack.stack_id().unwrap_or(name).to_owned(),
        name: stack.stack_name().unwrap_or(name).to_owned(),
        status: stack.stack_status().cloned().unwrap_or_else(|| StackStatus::from("UNKNOWN")),
        reason: stack.stack_status_reason().map(str::to_owned),
        parameters: stack
            .parameters()
            .iter()
            .filter_map(|parameter| {
                Some((
                    parameter.parameter_key()?.to_owned(),
                    parameter.parameter_value().unwrap_or_default().to_owned(),
                ))
            })
            .collect(),
        capabilities: stack.capabilities().iter().map(|capability| capability.as_str().to_owned()).collect(),
        is_protected: stack.enable_termination_protection().unwrap_or(false),
        changed: time(stack.last_updated_time().or(stack.creation_time())),
    }))
}

/// The template that the stack was made from; none if CloudFormation has none that can be read.
pub(crate) async fn template(aws: &Aws<'_>, stack: &str) -> anyhow::Result<Template> {
    let answer = aws
        .call("reading the stack's template", async || {
            aws.cloudformation.get_template().stack_name(stack).template_stage(TemplateStage::Original).send().await
        })
        .await?;
    Template::parse(answer.template_body.unwrap_or_default(), "the stack's template")
}

/// Every resource of the stack.
pub(crate) async fn resources(aws: &Aws<'_>, stack: &str) -> Result<BTreeMap<String, Physical>, Trouble> {
    let mut found = BTreeMap::new();
    let mut token = None;
    loop {
        let answer = aws
            .attempt("listing the stack's resources", async || {
                aws.cloudformation.list_stack_resources().stack_name(stack).set_next_token(token.clone()).send().await
            })
            .await?;
        for resource in answer.stack_resource_summaries() {
            let physical = Physical {
                id: resource.physical_resource_id().unwrap_or_default().to_owned(),
                status: resource.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                reason: resource.resource_status_reason().map(str::to_owned),
            };
            found.insert(resource.logical_resource_id().unwrap_or_default().to_owned(), physical);
        }
        token = answer.next_token;
        if token.is_none() {
            return Ok(found);
        }
    }
}

/// Reads what happened since the last reading, page by page, and closes the reading. With `opening`, the pages end where the
/// operation begins.
pub(crate) async fn read_events(
    aws: &Aws<'_>,
    stack: &str,
    events: &mut Events,
    opening: Option<&dyn Fn(&Event) -> bool>,
) -> Result<Vec<Event>, Trouble> {
    let mut reading = Reading::default();
    let mut token = None;
    loop {
        let answer = aws
            .attempt("reading the stack's events", async || {
                aws.cloudformation.describe_stack_events().stack_name(stack).set_next_token(token.clone()).send().await
            })
            .await?;
        let page = answer.stack_events().iter().map(event).collect();
        token.clone_from(&answer.next_token);
        if !events.take(&mut reading, page, opening) || token.is_none() {
            return Ok(events.close(reading).to_vec());
        }
    }
}

/// Takes everything that happened so far as known.
pub(crate) async fn baseline(aws: &Aws<'_>, stack: &str) -> Result<Events, Trouble> {
    let answer = aws
        .attempt("reading the stack's events", async || {
            aws.cloudformation.describe_stack_events().stack_name(stack).send().await
        })
        .await?;
    let mut events = Events::default();
    // One page is enough: readings end at the first of these that they come to.
    events.forget_before(answer.stack_events().iter().filter_map(|event| event.event_id().map(str::to_owned)));
    Ok(events)
}

fn event(event: &aws_sdk_cloudformation::types::StackEvent) -> Event {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Event {
        id: text(event.event_id()),
        time: time(event.timestamp()).unwrap_or_default(),
        logical_id: text(event.logical_resource_id()),
        physical_id: text(event.physical_resource_id()),
        kind: text(event.resource_type()),
        status: event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: text(event.resource_status_reason()),
        token: event.client_request_token().map(str::to_owned),
    }
}
