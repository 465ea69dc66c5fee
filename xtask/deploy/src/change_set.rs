//! A change set from its making to its execution or deletion.

use std::time::Instant;

use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, ExecutionStatus, OnStackFailure, Parameter,
};
use sha2::{Digest, Sha256};
use xtask::exit::Exit;

use crate::aws::{Aws, Trouble};
use crate::changes::{Change, Detail};
use crate::parameters::{Choice, Plan};
use crate::template::hexadecimal;

/// How the template gets to CloudFormation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Inline(String),
    Url(String),
}

/// What a change set is made from.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) stack: &'a str,
    pub(crate) name: String,
    /// Another run that asks for a change set of the same name asks for another one, and is told that there is one.
    pub(crate) run: &'a str,
    pub(crate) description: String,
    pub(crate) kind: Kind,
    pub(crate) body: Body,
    pub(crate) plan: &'a Plan,
    pub(crate) capabilities: &'a [String],
    pub(crate) role_arn: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Update,
}

/// A change set, with all its changes.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSet {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) stack_id: String,
    pub(crate) status: ChangeSetStatus,
    pub(crate) reason: String,
    pub(crate) execution: ExecutionStatus,
    pub(crate) created: Option<std::time::SystemTime>,
    pub(crate) parameters: std::collections::BTreeMap<String, String>,
    pub(crate) changes: Vec<Change>,
}

impl ChangeSet {
    pub(crate) fn can_execute(&self) -> bool {
        self.status == ChangeSetStatus::CreateComplete && self.execution == ExecutionStatus::Available
    }

    pub(crate) fn is_being_made(&self) -> bool {
        matches!(self.status, ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress)
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        matches!(self.status, ChangeSetStatus::DeletePending | ChangeSetStatus::DeleteInProgress)
    }

    /// CloudFormation found nothing to do, in either of its two wordings.
    pub(crate) fn is_empty(&self) -> bool {
        self.status == ChangeSetStatus::Failed && says_no_changes(&self.reason)
    }
}

pub(crate) fn says_no_changes(reason: &str) -> bool {
    ["didn't contain changes", "No updates are to be performed"].iter().any(|wording| reason.contains(wording))
}

/// A name for what this template and these parameters are: letters, digits and hyphens, at most 128. The same input gives the
/// same name, so that a prepared change set is found again.
pub(crate) fn name(purpose: &str, tag: &str, template_sha256: &str, plan: &Plan) -> String {
    let tag: String = tag.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    let input = format!("{template_sha256} {:?}", plan.choices);
    let hash = hexadecimal(&Sha256::digest(input)[..6]);
    format!("{purpose}-{tag}-{hash}")
}

/// The token of the one request that is about this: making a change set in a run, executing one by its id. A repetition of a request
/// whose answer was lost carries the same one.
pub(crate) fn token(about: &str) -> String {
    let hash = hexadecimal(&Sha256::digest(about)[..16]);
    format!("deploy-{hash}")
}

pub(crate) async fn create(aws: &Aws<'_>, order: &Order<'_>) -> Result<(), Trouble> {
    let parameters: Vec<Parameter> = order
        .plan
        .choices
        .iter()
        .map(|(name, choice)| {
            let parameter = Parameter::builder().parameter_key(name);
            match choice {
                Choice::Previous(_) => parameter.use_previous_value(true).build(),
                Choice::Default(value) | Choice::Given(value) => parameter.parameter_value(value).build(),
            }
        })
        .collect();
    let (body, url) = match &order.body {
        Body::Inline(text) => (Some(text.clone()), None),
        Body::Url(url) => (None, Some(url.clone())),
    };
    let kind = match order.kind {
        Kind::Create => ChangeSetType::Create,
        Kind::Update => ChangeSetType::Update,
    };
    let capabilities: Vec<Capability> = order.capabilities.iter().map(|name| Capability::from(name.as_str())).collect();
    aws.attempt("making the change set", async || {
        aws.cloudformation
            .create_change_set()
            .stack_name(order.stack)
            .change_set_name(&order.name)
            .client_token(token(order.run))
            .description(&order.description)
            .change_set_type(kind.clone())
            .set_template_body(body.clone())
            .set_template_url(url.clone())
            .set_parameters(Some(parameters.clone()))
            .set_capabilities((!capabilities.is_empty()).then(|| capabilities.clone()))
            .set_role_arn(order.role_arn.map(str::to_owned))
            .set_on_stack_failure((kind == ChangeSetType::Create).then_some(OnStackFailure::Rollback))
            .send()
            .await
    })
    .await?;
    Ok(())
}

/// The change set of this name or id with all its pages; none if there is none.
pub(crate) async fn describe(aws: &Aws<'_>, stack: &str, name: &str) -> Result<Option<ChangeSet>, Trouble> {
    let mut found: Option<ChangeSet> = None;
    let mut token = None;
    loop {
        let answer = aws
            .attempt("reading the change set", async || {
                aws.cloudformation
                    .describe_change_set()
                    .stack_name(stack)
                    .change_set_name(name)
                    .include_property_values(true)
                    .set_next_token(token.clone())
                    .send()
                    .await
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) if trouble.is_missing() => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        token = answer.next_token().map(str::to_owned);
        let page = answer.changes().iter().filter_map(|change| change.resource_change()).map(change);
        if let Some(known) = &mut found {
            known.changes.extend(page);
        } else {
            let changes = page.collect();
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            found = Some(ChangeSet {
                id: text(answer.change_set_id()),
                name: text(answer.change_set_name()),
                description: text(answer.description()),
                stack_id: text(answer.stack_id()),
                status: answer.status().cloned().unwrap_or(ChangeSetStatus::CreatePending),
                reason: text(answer.status_reason()),
                execution: answer.execution_status().cloned().unwrap_or(ExecutionStatus::Unavailable),
                created: answer.creation_time().and_then(|time| std::time::SystemTime::try_from(*time).ok()),
                parameters: answer
                    .parameters()
                    .iter()
                    .filter_map(|parameter| {
                        let value = parameter.resolved_value().or(parameter.parameter_value()).unwrap_or_default();
                        Some((parameter.parameter_key()?.to_owned(), value.to_owned()))
                    })
                    .collect(),
                changes,
            });
        }
        // Pages of a change set that is still being made say nothing yet.
        if token.is_none() || found.as_ref().is_some_and(ChangeSet::is_being_made) {
            return Ok(found);
        }
    }
}

/// Waits until the change set is made, or failed.
pub(crate) async fn wait(aws: &Aws<'_>, stack: &str, name: &str) -> anyhow::Result<ChangeSet> {
    let since = Instant::now();
    loop {
        // It may take a moment until CloudFormation knows of what it just made.
        let found = describe(aws, stack, name).await.map_err(Trouble::stop)?;
        match found {
            Some(set) if !set.is_being_made() => return Ok(set),
            _ if since.elapsed() > aws.timing.change_set() => {
                return Err(Exit::Failed.stop(
                    format!("CloudFormation did not finish the change set {name} in time"),
                    "try again; AWS may have a bad day (health.aws.amazon.com)",
                ));
            }
            _ => aws.between_looks().await,
        }
    }
}

/// Deletes it; that it is gone already is as good. One that is still being made cannot be deleted, and is waited for.
pub(crate) async fn delete(aws: &Aws<'_>, stack: &str, name: &str) -> Result<(), Trouble> {
    let since = Instant::now();
    loop {
        let answer = aws
            .attempt("deleting the change set", async || {
                aws.cloudformation.delete_change_set().stack_name(stack).change_set_name(name).send().await
            })
            .await;
        match answer {
            Err(trouble) if trouble.is_missing() => return Ok(()),
            Err(trouble) if trouble.is_untimely() && since.elapsed() < aws.timing.change_set() => {
                aws.between_looks().await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

/// Executes it. A request whose answer was lost is repeated with the same token; that CloudFormation then refuses a change set
/// which is being executed means that the first request arrived.
pub(crate) async fn execute(aws: &Aws<'_>, set: &ChangeSet) -> Result<(), Trouble> {
    let token = token(&set.id);
    let requests = std::cell::Cell::new(0);
    let answer = aws
        .attempt("executing the change set", async || {
            requests.set(requests.get() + 1);
            aws.cloudformation
                .execute_change_set()
                .change_set_name(&set.id)
                .stack_name(&set.stack_id)
                .client_request_token(&token)
                .send()
                .await
        })
        .await;
    match answer {
        Err(trouble) if trouble.kind == crate::aws::Kind::Refused && requests.get() > 1 => {
            let now = describe(aws, &set.stack_id, &set.id).await?;
            let begun = [ExecutionStatus::ExecuteInProgress, ExecutionStatus::ExecuteComplete];
            if now.is_some_and(|now| begun.contains(&now.execution)) { Ok(()) } else { Err(trouble) }
        }
        answer => answer.map(|_| ()),
    }
}

/// What CloudFormation found wrong with the template before it made any change, by resource and property. This is not among the
/// stack's events.
pub(crate) async fn validation_failures(aws: &Aws<'_>, stack: &str, set: &ChangeSet) -> Vec<String> {
    let answer = aws
        .attempt("asking why the change set failed", async || {
            aws.cloudformation.describe_events().stack_name(stack).change_set_name(&set.id).send().await
        })
        .await;
    // An explanation that cannot be had changes nothing: the reason of the change set is there.
    let Ok(answer) = answer else { return Vec::new() };
    let failures = answer.operation_events().iter().filter_map(|event| {
        let reason = event.validation_status_reason().or(event.resource_status_reason())?;
        let at = event.validation_path().map(|path| format!(" at {path}")).unwrap_or_default();
        Some(format!("{}{at}: {reason}", event.logical_resource_id().unwrap_or("the template")))
    });
    failures.collect()
}

fn change(change: &aws_sdk_cloudformation::types::ResourceChange) -> Change {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Change {
        logical_id: text(change.logical_resource_id()),
        kind: text(change.resource_type()),
        action: text(change.action().map(aws_sdk_cloudformation::types::ChangeAction::as_str)),
        replacement: text(change.replacement().map(aws_sdk_cloudformation::types::Replacement::as_str)),
        policy_action: text(change.policy_action().map(aws_sdk_cloudformation::types::PolicyAction::as_str)),
        details: change
            .details()
            .iter()
            .filter_map(|detail| detail.target())
            .map(|target| Detail {
                attribute: text(target.attribute().map(aws_sdk_cloudformation::types::ResourceAttribute::as_str)),
                name: text(target.name()),
                before: target.before_value().map(str::to_owned),
                after: target.after_value().map(str::to_owned),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_keep_to_the_alphabet() {
        let plan = Plan::default();
        let allowed = |text: &str| {
            text.len() <= 128
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        for tag in ["1a2b3c4-main", "1a2b3c4-feature_a.b", &"x".repeat(200)] {
            assert!(allowed(&name("deploy", tag, "ff", &plan)), "{tag}");
        }
        assert_eq!(name("deploy", "t", "ff", &plan), name("deploy", "t", "ff", &plan));
        assert_ne!(name("deploy", "t", "ff", &plan), name("deploy", "t", "00", &plan));
        assert!(allowed(&token("arn:aws:cloudformation:us-east-1:1:changeSet/x/y")));
    }

    #[test]
    fn no_changes_has_two_wordings() {
        assert!(says_no_changes("The submitted information didn't contain changes. Submit different information"));
        assert!(says_no_changes("No updates are to be performed."));
        assert!(!says_no_changes("Parameters: [X] must have values"));
    }
}
