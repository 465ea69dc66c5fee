//! The single steps of a deployment's preparation, each of which `deploy` names in its order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::{ExecutionStatus, TemplateStage};
use serde::Deserialize;
use xtask::cli::deploy::{Checks, Environment};
use xtask::environments::Confirm;
use xtask::exit::Exit;

use crate::archive::Archive;
use crate::aws::Trouble;
use crate::change_set::{self, Body, ChangeSet, Kind, Order};
use crate::changes::Side;
use crate::checks::{self, Creation, Standing};
use crate::confirm;
use crate::gate::Tests;
use crate::job::Mode;
use crate::leftovers::Leftovers;
use crate::observe::Observer;
use crate::parameters::{Choice, Plan};
use crate::preview::Preview;
use crate::record::{Record, SCHEMA, TemplateRecord, now};
use crate::release::Origin;
use crate::session::{Caller, Session};
use crate::stack::{self, Stack};
use crate::state::{self, Before};
use crate::template::facts::Facts;
use crate::template::{INLINE_BYTES, Template};

/// How old a prepared change set may be.
const OLDEST: Duration = Duration::from_hours(24);

/// The file of `--parameters`, as the AWS command line takes it.
pub(crate) fn parameter_file(path: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        parameter_key: String,
        parameter_value: String,
    }
    let read = || -> Result<Vec<Entry>> {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    };
    let entries = read().map_err(|error| {
        Exit::Refused.stop(
            format!("{error:#}"),
            "give a list of ParameterKey and ParameterValue, as in cloudformation/staging.json",
        )
    })?;
    Ok(entries.into_iter().map(|entry| (entry.parameter_key, entry.parameter_value)).collect())
}

/// What a change set's name begins with, so that a preview never takes away what a colleague prepared.
pub(crate) fn purpose(mode: &Mode) -> &'static str {
    if *mode == Mode::Preview { "preview" } else { "deploy" }
}

/// What stands in the change set for whoever finds it.
pub(crate) fn description(origin: &Origin, note: Option<&str>, caller: &Caller) -> String {
    let what = match origin.whole() {
        Some(release) => format!("release {}, commit {}", release.tag, release.commit),
        None => origin.text(),
    };
    let note = note.map(|note| format!("; {note}")).unwrap_or_default();
    let text = format!("{what}, prepared by {}{note}", caller.arn);
    text.chars().take(1024).collect()
}

/// The change set that a colleague prepared.
pub(crate) async fn prepared_set(session: &Session<'_>, name: &str) -> Result<ChangeSet> {
    let found = change_set::describe(&session.aws, &session.stack_name(), name).await.map_err(Trouble::stop)?;
    let Some(set) = found else {
        return Err(Exit::Refused.stop(
            format!("there is no change set {name} for {}", session.stack_name()),
            "prepare one with --prepare",
        ));
    };
    if !set.can_execute() {
        return Err(Exit::Refused.stop(
            format!(
                "change set {name} cannot be executed: {} {} {}",
                set.status.as_str(),
                set.execution.as_str(),
                set.reason
            ),
            "the stack changed since, or it was executed already; prepare a new one with --prepare",
        ));
    }
    if let Some(hours) = set.created.and_then(|created| hours_beyond(created, SystemTime::now())) {
        return Err(Exit::Refused.stop(
            format!("change set {name} is {hours} hours old; what was reviewed may not be what is true today"),
            "prepare a new one with --prepare",
        ));
    }
    session.ui.say(&format!("  change set {name}: {}", set.description));
    Ok(set)
}

/// How many hours old something is, if that is too old.
fn hours_beyond(created: SystemTime, now: SystemTime) -> Option<u64> {
    let age = now.duration_since(created).unwrap_or_default();
    (age > OLDEST).then_some(age.as_secs() / 3600)
}

/// For a prepared change set: one that creates the stack is in review as it should be.
pub(crate) async fn execution_standing(session: &Session<'_>, waits: bool) -> Result<Standing> {
    let found = stack::describe(&session.aws, &session.stack_name()).await.map_err(Trouble::stop)?;
    match state::before(found.as_ref().map(|stack| &stack.status)) {
        Before::InReview => Ok(Standing::New { in_review: true }),
        _ => checks::standing(session, Creation::NotWanted, waits).await,
    }
}

/// The template of a change set, as CloudFormation has it.
pub(crate) async fn set_template(session: &Session<'_>, set: &ChangeSet) -> Result<Template> {
    let answer = session
        .aws
        .call("reading the change set's template", async || {
            session
                .aws
                .cloudformation
                .get_template()
                .stack_name(&set.stack_id)
                .change_set_name(&set.id)
                .template_stage(TemplateStage::Original)
                .send()
                .await
        })
        .await?;
    Template::parse(answer.template_body.unwrap_or_default(), "the change set's template")
}

/// The parameters of a change set, as they are.
pub(crate) fn set_plan(set: &ChangeSet) -> Plan {
    let choices = set.parameters.iter().map(|(name, value)| (name.clone(), Choice::Given(value.clone())));
    Plan { choices: choices.collect(), ..Plan::default() }
}

/// What runs before anything is done, and what the update would do to it.
pub(crate) async fn live_state(session: &Session<'_>, facts: &Facts, observer: &mut Observer) {
    let ui = session.ui;
    let live = match observer.baseline(session).await {
        Ok(live) => live,
        Err(trouble) => {
            ui.warn(&format!("what runs now is not known: {trouble}"));
            return;
        }
    };
    let (running, desired) = live
        .values()
        .fold((0, 0), |(running, desired), service| (running + service.seen.running, desired + service.seen.desired));
    ui.say(&format!("  {} services run {running} of {desired} tasks", live.len()));
    for service in live.values() {
        if service.seen.deployments.len() > 1 {
            ui.warn(&format!("{} has a deployment that is not finished", service.name));
        }
        let most = facts.workloads.iter().find_map(|workload| match &workload.runner {
            crate::template::facts::Runner::Service { name: Some(name), .. } if *name == service.name => {
                Some(workload.capacity.as_ref()?.most)
            }
            _ => None,
        });
        if let Some(most) = most.filter(|most| i64::from(service.seen.desired) > i64::from(*most)) {
            ui.warn(&format!(
                "{} wants {} tasks now, and the template allows {most}",
                service.name, service.seen.desired
            ));
        }
    }
}

/// The bucket, where one is named.
pub(crate) fn archive<'a>(session: &'a Session<'_>, checks: &Checks, caller: &'a Caller) -> Option<Archive<'a>> {
    let bucket = checks.bucket.clone().or_else(|| session.facts.template_bucket.clone())?;
    Some(Archive::new(&session.aws, bucket, &caller.account, session.environment))
}

/// What ran before anything was deployed from here goes into the archive, so that `rollback` knows the way back to it.
pub(crate) async fn keep_what_runs(
    session: &Session<'_>,
    archive: Option<&Archive<'_>>,
    caller: &Caller,
    stack: &Stack,
    side: &Side<'_>,
) -> Result<()> {
    let Some(archive) = archive else {
        session.ui.warn("no bucket is named, so rollback will not know the way back (template_bucket, or --bucket)");
        return Ok(());
    };
    if !archive.entries().await?.is_empty() {
        return Ok(());
    }
    let template = side.scope.template;
    let origin = checks::origin(session, &side.facts.workloads, &[]).await?;
    let name = origin.name(&template.sha256);
    let key = archive.key(&name, &template.sha256);
    let previous = stack.parameters.iter().map(|(name, value)| (name.clone(), Choice::Previous(value.clone())));
    let record = Record {
        schema: SCHEMA,
        command: "deploy",
        environment: session.environment.to_string(),
        run_id: session.ui.run_id().to_owned(),
        started: now(),
        finished: now(),
        caller: caller.arn.clone(),
        account: caller.account.clone(),
        region: session.aws.region.clone(),
        stack: stack.id.clone(),
        note: Some("what ran before the first deployment from here".to_owned()),
        origin,
        tests: Some(Tests::Skipped("it ran before the first deployment from here".to_owned())),
        template: TemplateRecord {
            sha256: template.sha256.clone(),
            bytes: template.text.len(),
            source: "the stack".to_owned(),
            key: Some(key.clone()),
            previous_sha256: None,
        },
        parameters: previous.collect(),
        ..Record::default()
    };
    archive.put_template(&key, &template.text).await?;
    archive.put_record(&key, &serde_json::to_string_pretty(&record)?).await.map_err(Trouble::stop)?;
    session.ui.say(&format!("  what runs now is archived as {name}: rollback {} --to {name}", session.environment));
    Ok(())
}

/// The template on its way: in the request if it is small enough, else through the bucket. Into the archive goes either.
pub(crate) async fn body(template: &Template, archive: Option<&Archive<'_>>, key: Option<&str>) -> Result<Body> {
    let (Some(archive), Some(key)) = (archive, key) else {
        if template.text.len() > INLINE_BYTES {
            return Err(Exit::Refused.stop(
                format!(
                    "the template has {} bytes; above {INLINE_BYTES} it must go through a bucket, and none is named",
                    template.text.len()
                ),
                "name template_bucket in the configuration file, or --bucket",
            ));
        }
        return Ok(Body::Inline(template.text.clone()));
    };
    archive.put_template(key, &template.text).await?;
    if template.text.len() > INLINE_BYTES {
        Ok(Body::Url(archive.url(key)))
    } else {
        Ok(Body::Inline(template.text.clone()))
    }
}

/// CloudFormation's own reading of the very bytes that are sent must be ours: the checks were made on ours.
pub(crate) async fn confirm_parse(
    session: &Session<'_>,
    template: &Template,
    body: &Body,
    capabilities: &[String],
) -> Result<()> {
    let (text, url) = match body {
        Body::Inline(text) => (Some(text.clone()), None),
        Body::Url(url) => (None, Some(url.clone())),
    };
    let answer = session
        .aws
        .call("asking CloudFormation to read the template", async || {
            session
                .aws
                .cloudformation
                .get_template_summary()
                .set_template_body(text.clone())
                .set_template_url(url.clone())
                .send()
                .await
        })
        .await?;
    let mut theirs: Vec<&str> = answer.parameters().iter().filter_map(|parameter| parameter.parameter_key()).collect();
    theirs.sort_unstable();
    let ours = template.parameters();
    let ours: Vec<&str> = ours.keys().map(String::as_str).collect();
    if ours != theirs {
        return Err(Exit::Refused.stop(
            format!(
                "CloudFormation reads other parameters in the template ({}) than this program ({})",
                theirs.join(", "),
                ours.join(", ")
            ),
            "the template says something that the two understand differently; simplify it",
        ));
    }
    let unexpected: Vec<&str> = answer
        .capabilities()
        .iter()
        .map(aws_sdk_cloudformation::types::Capability::as_str)
        .filter(|name| !capabilities.iter().any(|known| known == name))
        .collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    let reason = answer.capabilities_reason().unwrap_or_default();
    Err(Exit::Refused.stop(
        format!("CloudFormation asks for {}, which the checks did not expect: {reason}", unexpected.join(", ")),
        "look at the resources that it names",
    ))
}

/// Makes the change set, or takes the same one that is there. One that is there and useless is replaced.
pub(crate) async fn make(
    session: &Session<'_>,
    order: &Order<'_>,
    standing: &Standing,
    leftovers: &Leftovers,
) -> Result<ChangeSet> {
    if let Some(found) = standing_set(session, order).await? {
        return Ok(found);
    }
    leftovers.note_change_set(order.stack, &order.name);
    if let (Kind::Create, Standing::New { in_review: false }) = (order.kind, standing) {
        leftovers.note_stack(order.stack);
    }
    session.ui.say(&format!("  making change set {}", order.name));
    let refused = |trouble: Trouble| {
        let next = "correct what CloudFormation names; nothing was changed";
        Exit::Failed.stop(trouble.to_string(), next)
    };
    match change_set::create(&session.aws, order).await {
        Ok(()) => change_set::wait(&session.aws, order.stack, &order.name).await,
        Err(trouble) if trouble.is_taken() => {
            // Another run was faster: what it made is not for this one to take away.
            leftovers.keep();
            standing_set(session, order).await?.ok_or_else(|| refused(trouble))
        }
        Err(trouble) if trouble.kind == crate::aws::Kind::Refused => Err(refused(trouble)),
        Err(trouble) => Err(trouble.stop()),
    }
}

/// The change set of this name, if there is one that can be executed. What is under way with it, by another run or on another machine,
/// is waited for; what is of no use is deleted.
async fn standing_set(session: &Session<'_>, order: &Order<'_>) -> Result<Option<ChangeSet>> {
    let aws = &session.aws;
    let (since, mut waits_for) = (Instant::now(), "");
    loop {
        let found = change_set::describe(aws, order.stack, &order.name).await.map_err(Trouble::stop)?;
        let now = match found {
            None => return Ok(None),
            Some(found) if found.can_execute() => {
                session.ui.say(&format!("  change set {} is there already", found.name));
                return Ok(Some(found));
            }
            Some(found) if found.is_being_made() => "made",
            Some(found) if found.is_being_deleted() => "deleted",
            Some(_) => {
                change_set::delete(aws, order.stack, &order.name).await.map_err(Trouble::stop)?;
                continue;
            }
        };
        if since.elapsed() > aws.timing.change_set() {
            return Err(Exit::Busy.stop(
                format!("the change set {} is still being {now}, by another run or on another machine", order.name),
                "wait for that run to end, or delete the change set, and run it again",
            ));
        }
        if now != waits_for {
            waits_for = now;
            session.ui.say(&format!("  change set {} is being {now}: waiting", order.name));
        }
        aws.between_looks().await;
    }
}

/// Why a change set is of no use, with what early validation found.
pub(crate) async fn unusable(session: &Session<'_>, set: &ChangeSet) -> anyhow::Error {
    if set.execution == ExecutionStatus::Obsolete {
        return Exit::Busy.stop(
            format!("change set {} is obsolete: somebody else changed the stack meanwhile", set.name),
            "look at status, then run deploy again for a new preview",
        );
    }
    let found = change_set::validation_failures(&session.aws, &set.stack_id, set).await;
    let list: Vec<String> = found.iter().map(|failure| format!("\n  - {failure}")).collect();
    Exit::Failed.stop(
        format!("CloudFormation cannot make this change: {} {}{}", set.status.as_str(), set.reason, list.concat()),
        "correct the template or the parameters; nothing was changed",
    )
}

/// Asks for the confirmation that the environment wants.
pub(crate) async fn confirm_run(
    session: &Session<'_>,
    checks: &Checks,
    caller: &Caller,
    origin: &Origin,
    tests: Option<&Tests>,
    preview: &Preview,
) -> Result<()> {
    let stack = session.stack_name();
    let ui = session.ui;
    ui.say(&format!(
        "{stack} in account {}, {}: release {}; {}; tests: {}",
        caller.account,
        session.aws.region,
        origin.text(),
        preview.counts(),
        tests.map(Tests::text).unwrap_or_default()
    ));
    if let Some(given) = &checks.confirm {
        if *given == stack {
            return Ok(());
        }
        return Err(Exit::Refused
            .stop(format!("--confirm names {given}, and this is {stack}"), "give the full name of the stack"));
    }
    let by_name = session.environment == Environment::Prod
        || session.facts.confirm == Confirm::StackName
        || checks.other_images.is_some();
    if session.access.yes && !by_name {
        return Ok(());
    }
    if session.access.no_input || !confirm::can_ask() {
        let how = if by_name { format!("--confirm {stack} (--yes is not enough here)") } else { "--yes".to_owned() };
        return Err(Exit::Refused.stop(
            "this needs a confirmation, and nobody can be asked",
            format!("run it on a terminal, or with {how}"),
        ));
    }
    let agreed = if by_name {
        confirm::ask(&format!("Type {stack} to deploy:"), ui).await == stack
    } else {
        confirm::agrees("Deploy?", ui).await
    };
    if agreed { Ok(()) } else { Err(Exit::Refused.stop("not confirmed", "nothing was changed")) }
}

/// Between the preview and now nobody else touched the stack.
pub(crate) async fn still_as_it_was(session: &Session<'_>, set: &ChangeSet, stack: Option<&Stack>) -> Result<()> {
    let Some(before) = stack else { return Ok(()) };
    let now = stack::describe(&session.aws, &set.stack_id).await.map_err(Trouble::stop)?;
    let same = now.as_ref().is_some_and(|now| now.status == before.status && now.changed == before.changed);
    if same {
        return Ok(());
    }
    let status = now.map_or_else(|| "gone".to_owned(), |now| now.status.as_str().to_owned());
    Err(Exit::Busy.stop(
        format!("{} changed since the preview (now {status})", before.name),
        "somebody else works on it; look at status, then run deploy again for a new preview",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_change_set_lasts_a_day() {
        let now = SystemTime::now();
        assert_eq!(hours_beyond(now - Duration::from_hours(23), now), None);
        assert_eq!(hours_beyond(now - Duration::from_hours(30), now), Some(30));
        // The clocks may differ a little.
        assert_eq!(hours_beyond(now + Duration::from_mins(1), now), None);
    }
}
