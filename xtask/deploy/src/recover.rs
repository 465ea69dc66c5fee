//! Ways to an operation that is going on or went wrong: follow it, cancel it, continue its rollback.

use std::time::Duration;

use anyhow::Result;
use xtask::cli::deploy::Checks;
use xtask::exit::Exit;

use crate::aws::Trouble;
use crate::confirm;
use crate::events::Events;
use crate::finish::{verified, watched};
use crate::images;
use crate::interrupt::Interrupts;
use crate::observe::Observer;
use crate::session::{Caller, Session};
use crate::stack::{self, Stack};
use crate::state::{self, Before};
use crate::template::Template;
use crate::template::evaluate::Scope;
use crate::template::facts::Facts;
use crate::verify::Target;
use crate::watch::{self, Watch};

/// `--attach`: follows the current or last operation to its verdict.
pub(crate) async fn attach(session: &Session<'_>, interrupts: &mut Interrupts, bake: Duration) -> Result<Exit> {
    let (caller, stack) = interrupts.guard(there(session)).await?;
    session.ui.say(&format!("{} is {}", stack.name, stack.status.as_str()));
    follow(session, interrupts, &caller, &stack, bake, Following::Current).await
}

/// `--cancel`: asks for the cancellation and follows the rollback.
pub(crate) async fn cancel(session: &Session<'_>, interrupts: &mut Interrupts, bake: Duration) -> Result<Exit> {
    let (caller, stack) = interrupts.guard(there(session)).await?;
    if !state::can_cancel(&stack.status) {
        return Err(Exit::Refused.stop(
            format!("{} is {}; only an update in progress can be cancelled", stack.name, stack.status.as_str()),
            "look at status; a rollback cannot be cancelled",
        ));
    }
    ask(session, Consent::Plain, "Cancel the update and roll back?").await?;
    watch::cancel(session, &stack.id).await.map_err(Trouble::stop)?;
    session.ui.say("cancellation requested; CloudFormation rolls back");
    follow(session, interrupts, &caller, &stack, bake, Following::Current).await
}

/// `--continue-rollback`: takes a failed rollback up again.
pub(crate) async fn continue_rollback(
    session: &Session<'_>,
    interrupts: &mut Interrupts,
    skip: &[String],
    checks: &Checks,
) -> Result<Exit> {
    let (caller, stack) = interrupts.guard(there(session)).await?;
    if stack.status.as_str() != "UPDATE_ROLLBACK_FAILED" {
        return Err(Exit::Refused.stop(
            format!("{} is {}; only UPDATE_ROLLBACK_FAILED can be continued", stack.name, stack.status.as_str()),
            "look at status",
        ));
    }
    let mut events = Events::default();
    let opens = |event: &crate::events::Event| event.opens_operation(&stack.id);
    stack::read_events(&session.aws, &stack.id, &mut events, Some(&opens)).await.map_err(Trouble::stop)?;
    let failed = events.failed_resources(&stack.id);
    for event in &failed {
        session.ui.say(&format!("  {} {}: {}", event.logical_id, event.status, event.reason));
    }
    let strange: Vec<&str> =
        skip.iter().map(String::as_str).filter(|id| !failed.iter().any(|event| event.logical_id == *id)).collect();
    if !strange.is_empty() {
        return Err(Exit::Refused.stop(
            format!("{} did not fail in the rollback, so it cannot be skipped", strange.join(", ")),
            "name resources of the list above",
        ));
    }
    if !skip.is_empty() {
        session
            .ui
            .warn(&format!("what is skipped ({}) stays as it is: state and template then differ", skip.join(", ")));
    }
    // Giving a resource up is confirmed by the stack's name; going on without is a plain question.
    let consent = if skip.is_empty() { Consent::Plain } else { Consent::ByName(checks.confirm.as_deref()) };
    ask(session, consent, "Continue the rollback?").await?;
    let baseline = stack::baseline(&session.aws, &stack.id).await.map_err(Trouble::stop)?;
    session
        .aws
        .call("continuing the rollback", async || {
            session
                .aws
                .cloudformation
                .continue_update_rollback()
                .stack_name(&stack.id)
                .set_resources_to_skip((!skip.is_empty()).then(|| skip.to_vec()))
                .send()
                .await
        })
        .await?;
    follow(session, interrupts, &caller, &stack, checks.bake, Following::After(baseline)).await
}

/// Which events belong to what is followed.
enum Following {
    Current,
    After(Events),
}

async fn follow(
    session: &Session<'_>,
    interrupts: &mut Interrupts,
    caller: &Caller,
    stack: &Stack,
    bake: Duration,
    following: Following,
) -> Result<Exit> {
    let (_, facts) = interrupts.guard(known(session, stack, caller)).await?;
    let observer = Observer::new(&facts);
    let mut watch = match following {
        Following::Current => Watch::attached(&stack.id, observer),
        Following::After(events) => {
            Watch::of_request(&stack.id, String::new(), events, observer, stack.changed.clone())
        }
    };
    watched(session, interrupts, &mut watch, &facts).await?;
    // Again, because it may be another template and other parameters now.
    let (caller, stack) = interrupts.guard(there(session)).await?;
    let (template, facts) = interrupts.guard(known(session, &stack, &caller)).await?;
    let digests = match images::look_up(&session.aws, &facts.workloads).await {
        Ok(found) => found.digests,
        Err(error) => {
            session.ui.warn(&format!("the registry cannot be asked what the digests stand for: {error}"));
            std::collections::BTreeMap::new()
        }
    };
    let target = Target {
        stack_id: &stack.id,
        facts: &facts,
        digests: &digests,
        origin: None,
        change_set: None,
        template: &template,
    };
    verified(session, interrupts, &mut watch, &target, bake).await.0
}

async fn there(session: &Session<'_>) -> Result<(Caller, Stack)> {
    let caller = session.identify().await?;
    let name = session.stack_name();
    let found = stack::describe(&session.aws, &name).await.map_err(Trouble::stop)?;
    match (state::before(found.as_ref().map(|stack| &stack.status)), found) {
        (Before::Absent | Before::InReview, _) | (_, None) => Err(Exit::Refused
            .stop(format!("there is no stack {name}"), "correct account and region in the configuration file")),
        (_, Some(stack)) => Ok((caller, stack)),
    }
}

/// The stack's template and what it says.
pub(crate) async fn known(session: &Session<'_>, stack: &Stack, caller: &Caller) -> Result<(Template, Facts)> {
    let template = stack::template(&session.aws, &stack.id).await?;
    let scope = Scope {
        template: &template,
        parameters: &stack.parameters,
        account: &caller.account,
        region: &session.aws.region,
    };
    let facts = Facts::of(&scope, &session.catalog.services);
    Ok((template.clone(), facts))
}

/// How somebody agrees.
#[derive(Clone, Copy)]
enum Consent<'a> {
    /// y/N, or `--yes`.
    Plain,
    /// The stack's full name, or what `--confirm` gave.
    ByName(Option<&'a str>),
}

async fn ask(session: &Session<'_>, consent: Consent<'_>, question: &str) -> Result<()> {
    let stack = session.stack_name();
    let agreed = match consent {
        Consent::ByName(Some(given)) => given == stack,
        Consent::Plain if session.access.yes => true,
        _ if session.access.no_input || !confirm::can_ask() => {
            let how = match consent {
                Consent::ByName(_) => format!("--confirm {stack}"),
                Consent::Plain => "--yes".to_owned(),
            };
            return Err(Exit::Refused.stop(
                "this needs a confirmation, and nobody can be asked",
                format!("run it on a terminal, or with {how}"),
            ));
        }
        Consent::ByName(None) => confirm::ask(&format!("Type {stack} to go on:"), session.ui).await == stack,
        Consent::Plain => confirm::agrees(question, session.ui).await,
    };
    if agreed { Ok(()) } else { Err(Exit::Refused.stop("not confirmed", "nothing was changed")) }
}
