//! From the execution to the exit code: watch, verify, record. What cannot be known is said to be unknown.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use xtask::exit::Exit;
use xtask::ui::Paint;

use crate::archive::Archive;
use crate::aws::{Kind, Trouble};
use crate::change_set;
use crate::interrupt::Interrupts;
use crate::job::{Job, Ready};
use crate::record::{Link, Record};
use crate::session::Session;
use crate::state::Phase;
use crate::template::facts::Facts;
use crate::verify::{self, Target};
use crate::watch::{End, Watch};

/// Steps 15 to 18.
pub(crate) async fn execute_and_watch(
    session: &Session<'_>,
    interrupts: &mut Interrupts,
    job: &Job<'_>,
    ready: Ready,
) -> Result<Exit> {
    let Ready { set, template, facts, digests, events, observer, changed, mut record } = ready;
    session.ui.say(&format!("{} {}", session.ui.paint(Paint::Bold, "Executing"), set.name));
    session.aws.begin_phase(session.limit);
    if let Err(trouble) = change_set::execute(&session.aws, &set).await {
        let error = not_executed(session, trouble);
        if Exit::of(&error) != Exit::TimedOut {
            // AWS refused, so nothing goes on. What is of no use is not left behind.
            let _ = change_set::delete(&session.aws, &set.stack_id, &set.id).await;
        }
        let outcome = Err(error);
        record.finish(session, &outcome)?;
        return outcome;
    }
    let mut watch = Watch::of_request(&set.stack_id, change_set::token(&set.id), events, observer, changed)
        .expecting(set.changes.len())
        .aborting_after(job.checks.abort_after);
    let origin = record.origin.clone();
    let target = Target {
        stack_id: &set.stack_id,
        facts: &facts,
        digests: &digests,
        origin: Some(&origin),
        change_set: Some(&set.id),
        template: &template,
    };
    let (outcome, chain) = match watched(session, interrupts, &mut watch, &facts).await {
        Ok(()) => verified(session, interrupts, &mut watch, &target, job.checks.bake).await,
        Err(error) => (Err(error), Vec::new()),
    };
    record.chain = chain;
    record.events = watch.events.all().to_vec();
    record.outcome.stack_status = watch.status.as_ref().map(|status| status.as_str().to_owned());
    record.outcome.cause = outcome.is_err().then(|| watch.cause());
    record.outcome.root_cause = watch.events.root_cause(&set.stack_id).cloned();
    let path = record.finish(session, &outcome)?;
    if matches!(outcome, Ok(Exit::Done)) {
        keep_in_archive(session, job, &record).await;
    }
    session.ui.say(&format!("record: {}", path.display()));
    outcome
}

/// Watches to the end; an error if that is anything but complete.
pub(crate) async fn watched(
    session: &Session<'_>,
    interrupts: &mut Interrupts,
    watch: &mut Watch,
    facts: &Facts,
) -> Result<()> {
    match watch.follow(session, interrupts).await? {
        End::Left(exit) => Err(left(session, exit)),
        End::Lost(trouble) => Err(unknown(session, &trouble)),
        End::Over(Phase::Complete | Phase::Going) => Ok(()),
        End::Over(phase) => Err(failed(session, watch, facts, phase)),
    }
}

/// Looks at what ECS runs; the links are there if it could be looked at.
pub(crate) async fn verified(
    session: &Session<'_>,
    interrupts: &mut Interrupts,
    watch: &mut Watch,
    target: &Target<'_>,
    bake: Duration,
) -> (Result<Exit>, Vec<Link>) {
    let status = watch.status_word();
    session.ui.say(&format!("{} {status}; looking at what ECS runs", session.ui.paint(Paint::Bold, "Verifying")));
    session.aws.begin_phase(session.limit.max(bake * 2));
    let verified = tokio::select! {
        verified = verify::verify(session, target, bake, &mut watch.observer) => verified,
        exit = interrupts.next() => {
            let next = format!("verify it: {}", session.attach_command());
            return (Err(exit.stop(format!("stopped while verifying; the stack is {status}"), next)), Vec::new());
        }
    };
    match verified {
        Err(trouble) => (Err(unknown(session, &trouble)), Vec::new()),
        Ok(links) => (judged(session, &status, &links), links),
    }
}

fn judged(session: &Session<'_>, status: &str, links: &[Link]) -> Result<Exit> {
    if verify::show(session, links) {
        session.ui.answer(&format!("{}: {status}, and ECS runs what was shipped", session.stack_name()));
        session.ui.result("stack_status", json!(status));
        return Ok(Exit::Done);
    }
    Err(Exit::NotRunning.stop(
        format!("CloudFormation says {status}, but ECS does not run what was shipped"),
        format!(
            "look at logs {0} and status {0}; then deploy a corrected release, or rollback {0}",
            session.environment
        ),
    ))
}

/// The error of a failed operation, after its root cause and what the failing service said were shown.
fn failed(session: &Session<'_>, watch: &Watch, facts: &Facts, phase: Phase) -> anyhow::Error {
    let status = watch.status_word();
    let cause = watch.events.root_cause(&watch.stack_id);
    let owner = cause.and_then(|event| facts.owner(&event.logical_id)).map(|workload| workload.executable.as_str());
    watch.observer.tell_all(session, owner);
    let env = session.environment;
    let exit = phase.exit().unwrap_or(Exit::Failed);
    let next = match (exit, status.as_str()) {
        (Exit::RolledBack, "ROLLBACK_COMPLETE") => {
            "the stack was never created; delete it in the console, remove or import the log group that stays behind, and create it again".to_owned()
        }
        (Exit::RolledBack, _) => "everything is as before; correct the cause and deploy again".to_owned(),
        (_, "UPDATE_ROLLBACK_FAILED") => {
            let stuck: Vec<String> = watch
                .events
                .failed_resources(&watch.stack_id)
                .iter()
                .map(|event| format!("{} ({})", event.logical_id, event.reason))
                .collect();
            format!("see to {}, then cargo xtask deploy {env} --continue-rollback", stuck.join(", "))
        }
        _ => format!("the stack is {status} and needs a person: look at it in the console, then status {env}"),
    };
    exit.stop(format!("{status}; root cause: {}", watch.cause()), next)
}

fn left(session: &Session<'_>, exit: Exit) -> anyhow::Error {
    exit.stop("stopped watching; the update goes on in AWS", format!("follow it: {}", session.attach_command()))
}

/// The outcome is not known: the operation may still be going on, and nothing is cancelled.
fn unknown(session: &Session<'_>, trouble: &Trouble) -> anyhow::Error {
    let why = match trouble.kind {
        Kind::TimedOut => "the time limit ran out".to_owned(),
        Kind::Login => format!("the credentials ended ({trouble}); log in again"),
        _ => format!("contact was lost ({trouble})"),
    };
    Exit::TimedOut.stop(
        format!("the outcome is unknown: {why}. The operation may still be going on; nothing was cancelled"),
        format!("follow it: {}", session.attach_command()),
    )
}

fn not_executed(session: &Session<'_>, trouble: Trouble) -> anyhow::Error {
    let obsolete = ["InvalidChangeSetStatus", "ChangeSetNotFound"].iter().any(|code| trouble.code.contains(code));
    match trouble.kind {
        Kind::Lost | Kind::TimedOut | Kind::Throttled => unknown(session, &trouble),
        Kind::Refused if obsolete || trouble.message.contains("IN_PROGRESS") => Exit::Busy.stop(
            format!("the change set cannot be executed any more: {}", trouble.message),
            "somebody else changed the stack meanwhile; look at status, then deploy again for a new preview",
        ),
        _ => trouble.stop(),
    }
}

/// The record beside its template, which is how rollback knows that it ran.
async fn keep_in_archive(session: &Session<'_>, job: &Job<'_>, record: &Record) {
    let bucket = job.checks.bucket.clone().or_else(|| session.facts.template_bucket.clone());
    let (Some(bucket), Some(key)) = (bucket, &record.template.key) else { return };
    let archive = Archive::new(&session.aws, bucket, &record.account, session.environment);
    let json = match serde_json::to_string_pretty(record) {
        Ok(json) => json,
        Err(error) => return session.ui.warn(&format!("the record could not be written: {error}")),
    };
    if let Err(trouble) = archive.put_record(key, &json).await {
        session
            .ui
            .warn(&format!("the record is not in the archive, so rollback will not offer this release: {trouble}"));
    }
}
