//! Everything that is checked before a change set is made: the checkout, the release and its tests, the stack, and what the
//! template needs of the account. Only calls that read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_ssm::types::ParameterStringFilter;
use xtask::cli::deploy::{Checks, Environment};
use xtask::exit::Exit;
use xtask::git::Checkout;

use crate::gate::{self, Tests};
use crate::images;
use crate::parameters::Plan;
use crate::release::{self, Origin, Release};
use crate::session::{self, Session};
use crate::stack::{self, Stack};
use crate::state::{self, Before};
use crate::template::Template;
use crate::template::evaluate::Scope;
use crate::template::facts::{Facts, Pin, Runner, Workload};

/// What stands against a deployment although a preview of it is possible.
#[derive(Debug, Default)]
pub(crate) struct Objections(pub(crate) Vec<String>);

impl Objections {
    /// Ends the command with all of them.
    pub(crate) fn refuse(&self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = self.0.iter().map(|objection| format!("\n  - {objection}")).collect();
        Err(Exit::Refused
            .stop(format!("refused:{}", list.concat()), "nothing was changed; see to these, and run it again"))
    }
}

/// The tree is the commit, so that what is deployed can be found again.
pub(crate) fn tree(session: &Session<'_>, objections: &mut Objections) -> Result<()> {
    let checkout = Checkout::read(&session.catalog.root)?;
    if let Some((first, rest)) = checkout.differences.split_first() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        objections.0.push(format!("the tree is not the commit: {first}{more}; commit first"));
    }
    Ok(())
}

/// Every executable is in the template, pinned and run. Where other images are asked for, what the template lacks is only told.
pub(crate) fn pins(session: &Session<'_>, checks: &Checks, facts: &Facts, objections: &mut Objections) {
    let there: BTreeSet<&str> = facts.workloads.iter().map(|workload| workload.executable.as_str()).collect();
    let missing: Vec<&str> =
        session.catalog.services.iter().map(String::as_str).filter(|name| !there.contains(name)).collect();
    let of = |wanted: fn(&Workload) -> bool| -> Vec<&str> {
        let found = facts.workloads.iter().filter(|workload| wanted(workload));
        found.map(|workload| workload.executable.as_str()).collect()
    };
    let (open, idle) =
        (of(|workload| workload.image.pin == Pin::Nothing), of(|workload| workload.runner == Runner::Nothing));
    let lacks = [(missing, "the template does not have"), (idle, "no service and no schedule of the template runs")];
    for (names, what) in lacks.iter().filter(|(names, _)| !names.is_empty()) {
        let text = format!("{what} {}", names.join(", "));
        if checks.other_images.is_some() {
            session.ui.warn(&text);
        } else {
            objections.0.push(text);
        }
    }
    if !open.is_empty() {
        objections.0.push(format!("not pinned: {}; cargo xtask update-template does that", open.join(", ")));
    }
}

/// Where the images of these workloads come from: by the manifests, else by the tags that they have in ECR.
pub(crate) async fn origin(session: &Session<'_>, workloads: &[Workload], from: &[PathBuf]) -> Result<Origin> {
    let mut known = release::known(from, &session.catalog.target.join("xtask/release"))?;
    let origin = Origin::of(workloads, &known);
    if !from.is_empty() || origin.others.is_empty() {
        return Ok(origin);
    }
    let open = workloads.iter().filter(|workload| origin.others.contains_key(&workload.executable));
    match images::tags(&session.aws, open).await {
        Ok(tags) => known.extend(release::tagged(workloads, &tags)),
        Err(trouble) => session.ui.warn(&format!("the registry's tags are not known: {trouble}")),
    }
    Ok(Origin::of(workloads, &known))
}

/// All images are of one complete release that may come here, or somebody asks for others with a reason.
pub(crate) fn release(session: &Session<'_>, checks: &Checks, origin: &Origin, objections: &mut Objections) {
    match (origin.whole(), &checks.other_images) {
        (Some(_), None) => {}
        (Some(release), Some(_)) => {
            session.ui.warn(&format!("--other-images is not needed: all images are of {}", release.tag));
        }
        (None, Some(reason)) => session
            .ui
            .warn(&format!("these images are not those of one complete release: {} ({reason})", origin.text())),
        (None, None) => objections.0.push(format!(
            "the template's images are not those of one complete release: {}; run update-template, name the manifests with \
             --from, or deploy them as they are with --other-images <reason>",
            origin.text()
        )),
    }
    for release in origin.releases.iter().filter(|_| session.environment != Environment::Staging) {
        for (mark, word) in
            [(release.dirty, "a tree that was not clean"), (release.unfinished, "unfinished executables")]
        {
            if mark {
                objections.0.push(format!("release {} is of {word}; that is for staging only", release.tag));
            }
        }
    }
}

/// The tests of each release that something moves to; of one that runs already they were asked for when it came.
pub(crate) fn tests(
    session: &Session<'_>,
    checks: &Checks,
    origin: &Origin,
    moved: &BTreeSet<&str>,
    objections: &mut Objections,
) -> Option<Tests> {
    let comes = |release: &&Release| {
        origin.whole().is_some() || release.executables.iter().any(|executable| moved.contains(executable.as_str()))
    };
    let coming: Vec<&Release> = origin.releases.iter().filter(comes).collect();
    // What is of no release has no tests here: the reason stands for them.
    if let (true, Some(reason)) = (coming.is_empty(), &checks.other_images) {
        return Some(Tests::Skipped(reason.clone()));
    }
    let usual = [session.catalog.target.join("xtask/test-all/test-report.json")];
    let reports = if checks.report.is_empty() { &usual[..] } else { &checks.report };
    let outcome: Result<Vec<String>, String> = coming
        .iter()
        .map(|release| {
            let found = gate::check(reports, &release.commit, session.environment)?;
            Ok(if coming.len() == 1 { found } else { format!("{}: {found}", release.tag) })
        })
        .collect();
    match (outcome, &checks.skip_test_gate) {
        (Ok(found), _) if !found.is_empty() => Some(Tests::Passed(found.join("; "))),
        (Ok(_), None) => None,
        (Ok(_), Some(reason)) => Some(Tests::Skipped(reason.clone())),
        (Err(why), Some(reason)) => {
            if session.environment == Environment::Prod && checks.confirm.is_none() {
                objections.0.push("--skip-test-gate needs --confirm for prod".to_owned());
            }
            session.ui.warn(&format!("the test gate is skipped ({reason}): {why}"));
            Some(Tests::Skipped(reason.clone()))
        }
        (Err(why), None) => {
            objections.0.push(format!(
                "{why}; run cargo xtask test-all, give CI's with --report, or --skip-test-gate <reason>"
            ));
            None
        }
    }
}

/// What may be done with the stack as it stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Update it.
    There(Stack),
    /// Create it; a stack in review is there already.
    New { in_review: bool },
}

/// Reads the stack's state and ends the command where the state says so. With `--wait` it waits for what is going on.
pub(crate) async fn standing(session: &Session<'_>, create: Creation, waits: bool) -> Result<Standing> {
    let name = session.stack_name();
    loop {
        let found = stack::describe(&session.aws, &name).await.map_err(crate::aws::Trouble::stop)?;
        let before = state::before(found.as_ref().map(|stack| &stack.status));
        match (before, found, create) {
            (Before::Proceed | Before::ProceedAfterFailure, Some(_), Creation::Wanted) => {
                return Err(Exit::Refused.stop(format!("the stack {name} is there already"), "leave --create out"));
            }
            (Before::Proceed, Some(stack), _) => return Ok(Standing::There(stack)),
            (Before::ProceedAfterFailure, Some(stack), _) => {
                explain_failure(session, &stack).await?;
                return Ok(Standing::There(stack));
            }
            (Before::Absent, _, Creation::Wanted) => return Ok(Standing::New { in_review: false }),
            (Before::InReview, _, Creation::Wanted) => return Ok(Standing::New { in_review: true }),
            (Before::InReview, Some(stack), _) => return Err(in_review(session, &stack).await),
            (Before::Busy, Some(stack), _) if waits => {
                session.ui.say(&format!("  waiting: {} is {}", stack.name, stack.status.as_str()));
                while stack::describe(&session.aws, &stack.id)
                    .await
                    .map_err(crate::aws::Trouble::stop)?
                    .is_some_and(|stack| state::before(Some(&stack.status)) == Before::Busy)
                {
                    session.aws.between_looks().await;
                }
            }
            (Before::Busy, Some(stack), _) => {
                let since = stack.changed.map(|time| format!(" since {time}")).unwrap_or_default();
                return Err(Exit::Busy.stop(
                    format!("another operation is going on: {name} is {}{since}", stack.status.as_str()),
                    format!("follow it with {}; --wait waits for its end", session.attach_command()),
                ));
            }
            (Before::Needs(advice), Some(stack), _) => {
                let failed = explain_failure(session, &stack).await?;
                let list = if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) };
                return Err(Exit::Stuck.stop(format!("{name} is {}{list}", stack.status.as_str()), advice));
            }
            _ => {
                return Err(Exit::Refused.stop(
                    format!("there is no stack {name}"),
                    "create it with --create --parameters <file>, or correct account and region in the configuration file",
                ));
            }
        }
    }
}

/// A creation was asked for, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Wanted,
    NotWanted,
}

async fn in_review(session: &Session<'_>, stack: &Stack) -> anyhow::Error {
    let answer = session
        .aws
        .call("listing change sets", async || {
            session.aws.cloudformation.list_change_sets().stack_name(&stack.id).send().await
        })
        .await;
    let names: Vec<String> = match answer {
        Ok(answer) => answer.summaries().iter().filter_map(|set| set.change_set_name().map(str::to_owned)).collect(),
        Err(error) => return error,
    };
    Exit::Refused.stop(
        format!("{} was never created: there are only change sets for it ({})", stack.name, names.join(", ")),
        "execute one with --execute <name>, or go on with --create --parameters <file>",
    )
}

/// Shows the root cause of the last operation; returns the resources that failed in it.
async fn explain_failure(session: &Session<'_>, stack: &Stack) -> Result<Vec<String>> {
    let mut events = crate::events::Events::default();
    let opens = |event: &crate::events::Event| event.opens_operation(&stack.id);
    stack::read_events(&session.aws, &stack.id, &mut events, Some(&opens)).await.map_err(crate::aws::Trouble::stop)?;
    let status = stack.status.as_str();
    match events.root_cause(&stack.id) {
        Some(cause) => session.ui.warn(&format!(
            "the last operation ended in {status}, because {} was {}: {}",
            cause.logical_id, cause.status, cause.reason
        )),
        None => session.ui.warn(&format!(
            "the last operation ended in {status}{}",
            stack.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
        )),
    }
    Ok(events
        .failed_resources(&stack.id)
        .iter()
        .map(|event| format!("{} ({})", event.logical_id, event.reason))
        .collect())
}

/// Capabilities that the template needs by our own parse.
pub(crate) fn needed_capabilities(template: &Template) -> BTreeSet<String> {
    const NAMES: [&str; 6] =
        ["RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName", "PolicyName"];
    let mut needed = BTreeSet::new();
    for resource in template.resources().filter(|resource| resource.kind.starts_with("AWS::IAM::")) {
        // The name of an AWS::IAM::Policy is one within its role.
        let named =
            resource.kind != "AWS::IAM::Policy" && NAMES.iter().any(|name| !resource.properties[*name].is_null());
        needed.insert(if named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }.to_owned());
    }
    if !template.section("Transform").is_null() {
        needed.insert("CAPABILITY_AUTO_EXPAND".to_owned());
    }
    // The one includes the other.
    if needed.contains("CAPABILITY_NAMED_IAM") {
        needed.remove("CAPABILITY_IAM");
    }
    needed
}

/// The capabilities to send: exactly the needed ones, each of them approved before or now.
pub(crate) fn capabilities(
    session: &Session<'_>,
    checks: &Checks,
    template: &Template,
    stack: Option<&Stack>,
    problems: &mut Vec<String>,
) -> Vec<String> {
    let needed = needed_capabilities(template);
    let recorded = stack.map(|stack| stack.capabilities.clone()).unwrap_or_default();
    let approved = |name: &String| {
        session.facts.capabilities.contains(name) || checks.capability.contains(name) || recorded.contains(name)
    };
    for name in needed.iter().filter(|name| !approved(name)) {
        let kinds = template.resources().filter(|resource| resource.kind.starts_with("AWS::IAM::")).count();
        problems.push(format!(
            "the template needs {name} ({kinds} IAM resources), which nobody approved yet: --capability {name}"
        ));
    }
    needed.into_iter().collect()
}

/// Exports, SSM parameters and images that the template needs; what is missing is added to the problems.
pub(crate) async fn dependencies(
    session: &Session<'_>,
    facts: &Facts,
    problems: &mut Vec<String>,
) -> Result<images::Found> {
    let exports = exports(session).await?;
    let missing: Vec<&str> = facts.imports.iter().map(String::as_str).filter(|name| !exports.contains(*name)).collect();
    if !missing.is_empty() {
        problems.push(format!("no stack exports {}", missing.join(", ")));
    }
    let missing = missing_settings(session, &facts.settings).await?;
    if !missing.is_empty() {
        problems.push(format!("SSM does not have {}", missing.join(", ")));
    }
    let found = images::look_up(&session.aws, &facts.workloads).await?;
    if !found.missing.is_empty() {
        problems.push(format!("the registry does not have\n      {}", found.missing.join("\n      ")));
    }
    if !found.uncached.is_empty() {
        session.ui.say(&format!(
            "  {} images are not in the pull-through cache yet; the first task fetches each",
            found.uncached.len()
        ));
    }
    if !found.elsewhere.is_empty() {
        session
            .ui
            .warn(&format!("{} images are not in ECR, so nobody looked whether they are there", found.elsewhere.len()));
    }
    Ok(found)
}

async fn exports(session: &Session<'_>) -> Result<BTreeSet<String>> {
    let aws = &session.aws;
    let mut names = BTreeSet::new();
    let mut token = None;
    loop {
        let answer = aws
            .call("listing the exports of other stacks", async || {
                aws.cloudformation.list_exports().set_next_token(token.clone()).send().await
            })
            .await?;
        names.extend(answer.exports().iter().filter_map(|export| export.name().map(str::to_owned)));
        token = answer.next_token;
        if token.is_none() {
            return Ok(names);
        }
    }
}

/// Names only: the values are none of this program's business, and it has no right to read them.
async fn missing_settings(session: &Session<'_>, wanted: &BTreeSet<String>) -> Result<Vec<String>> {
    let aws = &session.aws;
    let all: Vec<&String> = wanted.iter().collect();
    let mut there = BTreeSet::new();
    for ten in all.chunks(10) {
        let mut filter = ParameterStringFilter::builder().key("Name").option("Equals");
        for name in ten {
            filter = filter.values(name.as_str());
        }
        let filter = filter.build()?;
        let mut token = None;
        loop {
            let answer = aws
                .call("looking for the SSM parameters", async || {
                    aws.ssm
                        .describe_parameters()
                        .parameter_filters(filter.clone())
                        .max_results(50)
                        .set_next_token(token.clone())
                        .send()
                        .await
                })
                .await?;
            there.extend(answer.parameters().iter().filter_map(|parameter| parameter.name().map(str::to_owned)));
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(wanted.difference(&there).cloned().collect())
}

/// Region literals that are not this region.
pub(crate) fn foreign_regions(session: &Session<'_>, template: &Template, problems: &mut Vec<String>) {
    let strange: Vec<String> =
        template.region_literals().into_iter().filter(|region| *region != session.aws.region).collect();
    if !strange.is_empty() {
        problems.push(format!("the template names {}, and the stack is in {}", strange.join(", "), session.aws.region));
    }
}

/// Does this release run in demo? Asked for prod.
pub(crate) async fn promotion(
    session: &Session<'_>,
    checks: &Checks,
    facts: &Facts,
    account: &str,
    objections: &mut Objections,
) {
    if session.environment != Environment::Prod {
        return;
    }
    let answer = runs_in_demo(session, facts, account).await;
    let line = match &answer {
        Ok(()) => "  these images run in demo".to_owned(),
        Err(why) => format!("  not in demo: {why}"),
    };
    session.ui.say(&line);
    match (&answer, &checks.not_in_demo) {
        (Err(why), None) => objections.0.push(format!("{why}; deploy demo first, or --not-in-demo <reason>")),
        (Err(_), Some(reason)) => session.ui.warn(&format!("deployed to prod before demo: {reason}")),
        (Ok(()), _) => {}
    }
}

async fn runs_in_demo(session: &Session<'_>, facts: &Facts, account: &str) -> Result<(), String> {
    let name = session::stack_name(Environment::Demo);
    let brief = |error: anyhow::Error| format!("demo could not be looked at ({error})");
    let demo = stack::describe(&session.aws, &name).await.map_err(|trouble| brief(trouble.stop()))?;
    let Some(demo) = demo else { return Err(format!("there is no stack {name} in this account")) };
    let complete = [StackStatus::CreateComplete, StackStatus::UpdateComplete].contains(&demo.status);
    if !complete {
        return Err(format!("{name} is {}", demo.status.as_str()));
    }
    let template = stack::template(&session.aws, &demo.id).await.map_err(brief)?;
    let scope = Scope { template: &template, parameters: &demo.parameters, account, region: &session.aws.region };
    let there = Facts::of(&scope, &session.catalog.services);
    let differ = facts.workloads.iter().filter(|workload| {
        there.workload(&workload.executable).is_none_or(|other| other.image.pin != workload.image.pin)
    });
    match differ.count() {
        0 => Ok(()),
        count => Err(format!("{count} of these images are not what demo runs")),
    }
}

/// A parameter plan that may not go on.
pub(crate) fn parameter_problems(environment: Environment, plan: &Plan) -> Vec<String> {
    let mut problems = plan.problems.clone();
    problems.extend(crate::parameters::foreign(environment, &plan.values()));
    problems
}
