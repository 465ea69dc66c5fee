//! `deploy <env>` and the deploying part of `rollback`: from a template to verified running tasks. [`run`] and [`deploy`] read
//! as the list of steps.

use anyhow::{Context, Result};
use serde_json::json;
use xtask::cli::deploy::{Deploy, Environment};
use xtask::exit::{Exit, Stop};
use xtask::ui::Paint;

use crate::aws::Trouble;
use crate::change_set::{self, Kind, Order};
use crate::changes::Side;
use crate::checks::{self, Creation, Objections, Standing};
use crate::finish;
use crate::interrupt::Interrupts;
use crate::job::{Job, Mode, Ready};
use crate::leftovers::Leftovers;
use crate::observe::Observer;
use crate::parameters;
use crate::preview::Preview;
use crate::record::{ChangeSetRecord, Record, SCHEMA, TemplateRecord, now};
use crate::recover;
use crate::release::{self, Origin};
use crate::removals;
use crate::session::Session;
use crate::stack;
use crate::steps::{
    archive, body, confirm_parse, confirm_run, description, execution_standing, keep_what_runs, live_state, make,
    parameter_file, prepared_set, purpose, set_plan, set_template, still_as_it_was, unusable,
};
use crate::template::Template;
use crate::template::evaluate::Scope;
use crate::template::facts::Facts;

/// The command `deploy`.
pub(crate) async fn run(args: &Deploy, session: &Session<'_>, interrupts: &mut Interrupts) -> Result<Exit> {
    if args.attach {
        return recover::attach(session, interrupts, args.checks.bake).await;
    }
    let _lock = if session.dry_run { None } else { Some(session.lock()?) };
    if args.cancel {
        return recover::cancel(session, interrupts, args.checks.bake).await;
    }
    if args.continue_rollback {
        return recover::continue_rollback(session, interrupts, &args.skip, &args.checks).await;
    }
    let mode = match (&args.execute, args.preview, args.prepare) {
        (Some(name), ..) => Mode::Execute(name.clone()),
        (None, true, _) => Mode::Preview,
        (None, _, true) => Mode::Prepare,
        _ => Mode::Whole,
    };
    let template = if let Mode::Execute(_) = mode {
        None
    } else {
        let read = || format!("reading the template {}", args.template.display());
        let text = std::fs::read_to_string(&args.template).with_context(read);
        let text = text.map_err(|error| Exit::Refused.stop(format!("{error:#}"), "name it with --template"))?;
        Some((text, args.template.display().to_string()))
    };
    let job = Job {
        command: "deploy",
        mode,
        checks: &args.checks,
        note: args.note.as_deref(),
        template,
        from: &args.from,
        evidence: None,
        creation: args.parameters.as_deref().map(parameter_file).transpose()?,
    };
    Box::pin(deploy(session, interrupts, &job)).await
}

/// All steps, for a job. What was begun here and not executed is taken away again.
pub(crate) async fn deploy(session: &Session<'_>, interrupts: &mut Interrupts, job: &Job<'_>) -> Result<Exit> {
    let leftovers = Leftovers::default();
    let prepared = Box::pin(interrupts.guard(prepare(session, job, &leftovers))).await;
    let ready = match prepared {
        Ok(Prepared::Ready(ready)) => ready,
        Ok(Prepared::Done(exit)) => {
            interrupts.guard(leftovers.remove(session)).await?;
            return Ok(exit);
        }
        Err(error) => {
            // The reason to stop is the one to report, whatever becomes of the tidying. Ctrl-C once more ends that too.
            if let Err(tidying) = interrupts.guard(leftovers.remove(session)).await {
                let next = Stop::next(&tidying).map(|next| format!("; {next}")).unwrap_or_default();
                session.ui.warn(&format!("{tidying:#}{next}"));
            }
            return Err(error);
        }
    };
    finish::execute_and_watch(session, interrupts, job, *ready).await
}

/// Where the preparation ends.
enum Prepared {
    Done(Exit),
    Ready(Box<Ready>),
}

/// Steps 1 to 14: up to the confirmation.
async fn prepare(session: &Session<'_>, job: &Job<'_>, leftovers: &Leftovers) -> Result<Prepared> {
    let ui = session.ui;
    let checks = job.checks;
    let mut objections = Objections::default();

    ui.say(&format!("{} {}", ui.paint(Paint::Bold, "Checking"), session.stack_name()));
    if job.evidence.is_none() && !matches!(job.mode, Mode::Execute(_)) {
        checks::tree(session, &mut objections)?;
    }
    let parsed = job.template.as_ref().map(|(text, source)| Template::parse(text.clone(), source)).transpose()?;
    let caller = session.identify().await?;
    ui.say(&format!("  account {}, region {}, as {}", caller.account, session.aws.region, caller.arn));
    let creation = if job.creation.is_some() { Creation::Wanted } else { Creation::NotWanted };
    let (standing, given) = match &job.mode {
        Mode::Execute(name) => {
            let set = prepared_set(session, name).await?;
            (execution_standing(session, checks.wait).await?, Some(set))
        }
        _ => (checks::standing(session, creation, checks.wait).await?, None),
    };
    let stack = match &standing {
        Standing::There(stack) => Some(stack),
        Standing::New { .. } => None,
    };
    if let Some(stack) = stack.filter(|stack| session.environment == Environment::Prod && !stack.is_protected) {
        ui.warn(&format!("{} has no termination protection", stack.name));
    }

    let (template, source) = match (&given, parsed, &job.template) {
        (Some(set), ..) => (set_template(session, set).await?, format!("change set {}", set.name)),
        (None, Some(template), Some((_, source))) => (template, source.clone()),
        _ => return Err(Exit::Failed.stop("there is neither a template nor a change set", "this is a defect")),
    };
    let plan = if let Some(set) = &given {
        set_plan(set)
    } else {
        let current = stack.map(|stack| stack.parameters.clone()).unwrap_or_default();
        let mut given = job.creation.clone().unwrap_or_default();
        given.extend(checks.set.iter().cloned());
        parameters::plan(&template.parameters(), &current, &given)
    };
    let values = plan.values();
    let scope =
        Scope { template: &template, parameters: &values, account: &caller.account, region: &session.aws.region };
    let facts = Facts::of(&scope, &session.catalog.services);
    let mut problems = checks::parameter_problems(session.environment, &plan);
    // Before anything else is looked at in what may be another environment's stack.
    Objections(std::mem::take(&mut problems)).refuse()?;
    for note in &plan.notes {
        ui.say(&format!("  parameter {note}"));
    }

    let old = match stack {
        Some(stack) => Some((stack::template(&session.aws, &stack.id).await?, stack)),
        None => None,
    };
    let old_facts = old.as_ref().map(|(template, stack)| {
        let scope =
            Scope { template, parameters: &stack.parameters, account: &caller.account, region: &session.aws.region };
        (scope, Facts::of(&scope, &session.catalog.services))
    });
    let old_side = old_facts.as_ref().map(|(scope, facts)| Side { scope: *scope, facts });

    let (origin, tests) = if let Some((origin, tests)) = &job.evidence {
        (origin.clone(), Some(tests.clone()))
    } else {
        checks::pins(session, checks, &facts, &mut objections);
        let origin = checks::origin(session, &facts.workloads, job.from).await?;
        checks::release(session, checks, &origin, &mut objections);
        let moved = facts.moved(old_side.as_ref().map(|side| side.facts));
        let tests = checks::tests(session, checks, &origin, &moved, &mut objections);
        (origin, tests)
    };
    if let Some(tests) = &tests {
        let known_from = origin.whole().map(|release| format!(" ({})", release.known_from)).unwrap_or_default();
        ui.say(&format!("  release {}{known_from}; tests: {}", origin.name(&template.sha256), tests.text()));
    }
    let stack_name = session.stack_name();
    let listed = checks.approve_removals.as_deref().map(|path| removals::read(path, &stack_name, &template.sha256));
    let listed = listed.transpose()?.unwrap_or_default();
    problems.extend(parameters::limits(&facts));
    let capabilities = checks::capabilities(session, checks, &template, stack, &mut problems);
    checks::foreign_regions(session, &template, &mut problems);
    let found = checks::dependencies(session, &facts, &mut problems).await?;
    checks::promotion(session, checks, &facts, &caller.account, &mut objections).await;
    if !problems.is_empty() {
        problems.append(&mut objections.0);
    }
    Objections(problems).refuse()?;
    if !matches!(job.mode, Mode::Preview) {
        objections.refuse()?;
    }
    ui.say(&format!(
        "  {} images, {} exports and {} SSM parameters are there",
        found.digests.len(),
        facts.imports.len(),
        facts.settings.len()
    ));

    let mut observer = Observer::new(&facts);
    if stack.is_some() {
        live_state(session, &facts, &mut observer).await;
    }
    if session.dry_run {
        ui.say("  --dry-run: no change set is made, so what would change is not known here (--preview makes one and deletes it)");
        return Ok(Prepared::Done(Exit::Done));
    }

    let archive = archive(session, checks, &caller);
    let tag = origin.name(&template.sha256);
    let key = archive.as_ref().map(|archive| archive.key(&tag, &template.sha256));
    let set = if let Some(set) = given {
        set
    } else {
        let body = body(&template, archive.as_ref(), key.as_deref()).await?;
        confirm_parse(session, &template, &body, &capabilities).await?;
        let order = Order {
            stack: &stack_name,
            name: change_set::name(purpose(&job.mode), &tag, &template.sha256, &plan),
            run: ui.run_id(),
            description: description(&origin, job.note, &caller),
            kind: if stack.is_some() { Kind::Update } else { Kind::Create },
            body,
            plan: &plan,
            capabilities: &capabilities,
            role_arn: checks.role_arn.as_deref().or(session.facts.role_arn.as_deref()),
        };
        make(session, &order, &standing, leftovers).await?
    };
    if set.is_empty() {
        // It holds nothing that anybody could want.
        leftovers.note_change_set(&set.stack_id, &set.id);
        ui.answer("no changes: the stack is what the template says");
        ui.result("outcome", json!("no_changes"));
        return Ok(Prepared::Done(Exit::Done));
    }
    if !set.can_execute() {
        return Err(unusable(session, &set).await);
    }

    let preview = Preview::of(&set, old_side.as_ref(), &Side { scope, facts: &facts });
    preview.show(session);
    if let Some(old) = &old_side {
        let known = release::known(&[], &session.catalog.target.join("xtask/release"))?;
        preview.show_commits(session, &Origin::of(&old.facts.workloads, &known), &origin);
    }
    preview.record(session, &set);
    ui.result("change_set", json!({ "name": set.name, "id": set.id }));

    let unapproved = preview.unapproved(checks, &listed);
    if !unapproved.is_empty() && preview.removed().next().is_some() {
        let folder = session.catalog.target.join("xtask/deploy");
        let path = removals::write(&folder, &stack_name, &template.sha256, preview.removed())?;
        ui.say(&format!("all that is removed is listed in {0}: read it, then --approve-removals {0}", path.display()));
    }
    if job.mode == Mode::Preview {
        objections.0.extend(unapproved);
        objections.refuse()?;
        return Ok(Prepared::Done(Exit::Done));
    }
    Objections(unapproved).refuse()?;
    if job.mode == Mode::Prepare {
        leftovers.keep();
        ui.answer(&format!("prepared: cargo xtask deploy {} --execute {}", session.environment, set.name));
        return Ok(Prepared::Done(Exit::Done));
    }
    confirm_run(session, checks, &caller, &origin, tests.as_ref(), &preview).await?;
    session.aws.begin_phase(session.limit);
    still_as_it_was(session, &set, stack).await?;
    if let (Some(side), Some(stack)) = (&old_side, stack) {
        keep_what_runs(session, archive.as_ref(), &caller, stack, side).await?;
    }
    let events = stack::baseline(&session.aws, &set.stack_id).await.map_err(Trouble::stop)?;
    leftovers.keep();

    let mut digests = found.digests;
    for (executable, more) in origin.releases.iter().flat_map(|release| &release.images) {
        digests.entry(executable.clone()).or_default().extend(more.iter().cloned());
    }
    let record = Record {
        schema: SCHEMA,
        command: job.command,
        environment: session.environment.to_string(),
        run_id: ui.run_id().to_owned(),
        started: now(),
        caller: caller.arn.clone(),
        account: caller.account.clone(),
        region: session.aws.region.clone(),
        stack: set.stack_id.clone(),
        note: job.note.map(str::to_owned),
        origin,
        other_images: checks.other_images.clone(),
        tests,
        not_in_demo: checks.not_in_demo.clone(),
        template: TemplateRecord {
            sha256: template.sha256.clone(),
            bytes: template.text.len(),
            source,
            key,
            previous_sha256: old.as_ref().map(|(template, _)| template.sha256.clone()),
        },
        parameters: plan.choices.clone(),
        change_set: Some(ChangeSetRecord {
            id: set.id.clone(),
            name: set.name.clone(),
            description: set.description.clone(),
            executed_by: Some(caller.arn.clone()),
        }),
        rolls: preview.rolls,
        changes: set.changes.clone(),
        ..Record::default()
    };
    Ok(Prepared::Ready(Box::new(Ready {
        changed: stack.and_then(|stack| stack.changed.clone()),
        set,
        template: template.clone(),
        facts: facts.clone(),
        digests,
        events,
        observer,
        record,
    })))
}
