//! `status <env>`: the stack, and one row for each executable.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_applicationautoscaling::types::ServiceNamespace;
use serde_json::json;
use xtask::cli::deploy::Status;
use xtask::exit::Exit;
use xtask::page::{Page, Service, State};
use xtask::ui::{Paint, table};

use crate::aws::Trouble;
use crate::checks;
use crate::interrupt::Interrupts;
use crate::live;
use crate::record::now;
use crate::recover::known;
use crate::release::Origin;
use crate::session::{Caller, Session};
use crate::stack::{self, Physical};
use crate::state::{self, Before};
use crate::template::Template;
use crate::template::evaluate::Scope;
use crate::template::facts::{Facts, Pin, Runner, Workload, short_digest};
use crate::verdict::revision;

pub(crate) async fn run(args: &Status, session: &Session<'_>, interrupts: &mut Interrupts) -> Result<Exit> {
    let caller = interrupts.guard(session.identify()).await?;
    loop {
        session.aws.begin_phase(session.limit);
        let page = interrupts.guard(show(session, &caller)).await?;
        if let Some(path) = &args.html {
            page.write(path)?;
            session.ui.say(&format!("page: {}", path.display()));
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = session.aws.pause(session.aws.timing.ecs()) => {}
            exit = interrupts.next() => return Ok(exit),
        }
    }
}

/// What one row shows.
#[derive(Debug, Default)]
struct Row {
    tasks: String,
    image: String,
    state: String,
    deployed: String,
    limits: String,
}

/// Shows how things stand, and returns the same as a page.
async fn show(session: &Session<'_>, caller: &Caller) -> Result<Page> {
    let ui = session.ui;
    let name = session.stack_name();
    let found = stack::describe(&session.aws, &name).await.map_err(Trouble::stop)?;
    let Some(stack) = found else {
        return Err(Exit::Refused
            .stop(format!("there is no stack {name}"), "correct account and region in the configuration file"));
    };
    if state::before(Some(&stack.status)) == Before::InReview {
        ui.answer(&format!(
            "{name} {}: it was never created, there are only change sets for it",
            stack.status.as_str()
        ));
        return Ok(Page { title: format!("{name}: never created"), ..Page::default() });
    }
    let (_, facts) = known(session, &stack, caller).await?;
    let resources = stack::resources(&session.aws, &stack.id).await.map_err(Trouble::stop)?;
    let limits = limits(session, &facts).await?;
    let local = local_facts(session, &stack.parameters, caller);
    let origin = checks::origin(session, &facts.workloads, &[]).await?;
    let tag = match origin.whole() {
        Some(release) => format!(", release {}", release.tag),
        None if origin.releases.is_empty() => String::new(),
        None => format!(", mixed: {}", origin.text()),
    };
    let changed = stack.changed.as_ref().map(|time| format!(", changed {time}")).unwrap_or_default();
    ui.answer(&format!("{} {}{changed}{tag}", ui.paint(Paint::Bold, &name), stack.status.as_str()));
    if let Some(reason) = &stack.reason {
        ui.answer(&format!("  {reason}"));
    }
    let mut rows =
        vec![["SERVICE", "TASKS", "RELEASE", "IMAGE", "TEMPLATE", "DEPLOYED", "SCALES"].map(str::to_owned).to_vec()];
    let mut services = Vec::new();
    let cluster = facts.cluster.clone().unwrap_or_default();
    for workload in &facts.workloads {
        let mut row = match &workload.runner {
            Runner::Service { id, name } => {
                let physical = resources.get(id).map(|physical| live::short(&physical.id).to_owned());
                let service = physical.filter(|id| !id.is_empty()).or_else(|| name.clone()).unwrap_or_default();
                service_row(session, &cluster, &service, workload, &resources).await?
            }
            Runner::Schedule { id } => schedule_row(session, resources.get(id), workload, &resources).await?,
            Runner::Nothing => Row { state: "nothing runs it".to_owned(), ..Row::default() },
        };
        services.push(on_page(&row, workload, &origin, &cluster));
        if row.image.is_empty() {
            row.image = workload.image.short();
        }
        if let Some(local) = local.as_ref().and_then(|local| local.workload(&workload.executable))
            && local.image.pin != workload.image.pin
        {
            row.state = format!("{}; the checkout has {}", row.state, local.image.short());
        }
        if let Some((least, most)) = limits.get(&workload.executable) {
            row.limits = format!("{least}–{most}");
        }
        let release = match (origin.release(&workload.executable), &workload.image.pin) {
            (Some(release), _) => release.tag.clone(),
            (None, Pin::Tag(tag)) => tag.clone(),
            (None, _) => "unknown".to_owned(),
        };
        ui.record(
            "service",
            &json!({
                "service": workload.executable, "tasks": row.tasks, "release": release, "image": row.image, "template": row.state,
                "deployed": row.deployed, "scales": row.limits,
            }),
        );
        rows.push(vec![
            workload.executable.clone(),
            row.tasks,
            release,
            row.image,
            row.state,
            row.deployed,
            row.limits,
        ]);
    }
    ui.answer(&table(&rows));
    ui.result("stack_status", json!(stack.status.as_str()));
    let mut known = vec![
        ("Stack", format!("{name} in account {}, {}", caller.account, session.aws.region)),
        ("State", stack.status.as_str().to_owned()),
        ("Images", origin.text()),
    ];
    known.extend(stack.changed.clone().map(|time| ("Changed", time)));
    known.push(("Seen", now()));
    Ok(Page {
        title: format!("{} preservation services", session.environment),
        facts: known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        services,
    })
}

fn on_page(row: &Row, workload: &Workload, origin: &Origin, cluster: &str) -> Service {
    let release = origin.release(&workload.executable);
    let (digest, tag) = match &workload.image.pin {
        Pin::Digest(digest) => (digest.clone(), String::new()),
        Pin::Tag(tag) => (String::new(), tag.clone()),
        Pin::Nothing => (String::new(), String::new()),
    };
    let runs = match (&workload.runner, row.tasks.as_str()) {
        (_, "") => row.state.clone(),
        (Runner::Schedule { .. }, enabled) => format!("{} ({enabled}) in {cluster}: {}", row.limits, row.state),
        (_, tasks) => format!("{tasks} tasks in {cluster}: {}", row.state),
    };
    Service {
        name: workload.executable.clone(),
        tag: release.map_or(tag, |release| release.tag.clone()),
        digest,
        bytes: release.and_then(|release| release.bytes.get(&workload.executable).copied()).filter(|bytes| *bytes > 0),
        commit: release.map(|release| release.commit.clone()).unwrap_or_default(),
        runs,
        state: if row.state == "as shipped" { State::Good } else { State::Odd },
        since: row.deployed.clone(),
    }
}

async fn service_row(
    session: &Session<'_>,
    cluster: &str,
    service: &str,
    workload: &Workload,
    resources: &BTreeMap<String, Physical>,
) -> Result<Row> {
    let names = [service.to_owned()];
    let found = live::services(&session.aws, cluster, &names).await.map_err(Trouble::stop)?;
    let Some(live) = found.into_values().next() else {
        return Ok(Row { state: "not there".to_owned(), ..Row::default() });
    };
    let tasks = live::running(&session.aws, cluster, service, &workload.container).await.map_err(Trouble::stop)?;
    let mut digests: Vec<String> = tasks.iter().filter_map(|task| task.digest.as_deref()).map(short_digest).collect();
    digests.sort_unstable();
    digests.dedup();
    let primary = live.seen.deployments.first();
    let shipped = resources.get(&workload.task_definition).map(|physical| physical.id.as_str()).unwrap_or_default();
    let state = match primary {
        Some(primary) if primary.task_definition != shipped => {
            format!("behind: {} instead of {}", revision(&primary.task_definition), revision(shipped))
        }
        Some(_) if live.seen.deployments.len() > 1 => "rolling".to_owned(),
        Some(primary) if primary.rollout == "FAILED" => "rollout failed".to_owned(),
        Some(_) => "as shipped".to_owned(),
        None => "no deployment".to_owned(),
    };
    Ok(Row {
        tasks: format!("{}/{}", live.seen.running, live.seen.desired),
        image: digests.join(", "),
        state,
        deployed: live.deployed.unwrap_or_default(),
        limits: String::new(),
    })
}

async fn schedule_row(
    session: &Session<'_>,
    schedule: Option<&Physical>,
    workload: &Workload,
    resources: &BTreeMap<String, Physical>,
) -> Result<Row> {
    let Some(schedule) = schedule else { return Ok(Row { state: "not there".to_owned(), ..Row::default() }) };
    let name = live::short(&schedule.id).to_owned();
    let answer = session
        .aws
        .call("reading a schedule", async || session.aws.scheduler.get_schedule().name(&name).send().await)
        .await?;
    let shipped = resources.get(&workload.task_definition).map(|physical| physical.id.as_str()).unwrap_or_default();
    let runs = answer
        .target()
        .and_then(|target| target.ecs_parameters())
        .map(aws_sdk_scheduler::types::EcsParameters::task_definition_arn);
    let state = match runs {
        Some(runs) if runs == shipped => "as shipped".to_owned(),
        Some(runs) => format!("behind: {} instead of {}", revision(runs), revision(shipped)),
        None => "runs no task".to_owned(),
    };
    let enabled = answer.state().map(|state| state.as_str().to_lowercase()).unwrap_or_default();
    Ok(Row {
        tasks: enabled,
        state,
        deployed: stack::time(answer.last_modification_date()).unwrap_or_default(),
        limits: answer.schedule_expression().unwrap_or_default().to_owned(),
        image: String::new(),
    })
}

/// Least and most tasks of each executable that scales, as Application Auto Scaling has them.
async fn limits(session: &Session<'_>, facts: &Facts) -> Result<BTreeMap<String, (i32, i32)>> {
    let cluster = facts.cluster.clone().unwrap_or_default();
    let by_id: BTreeMap<String, &str> = facts
        .workloads
        .iter()
        .filter_map(|workload| {
            let Runner::Service { name: Some(name), .. } = &workload.runner else { return None };
            Some((format!("service/{cluster}/{name}"), workload.executable.as_str()))
        })
        .collect();
    let ids: Vec<String> = by_id.keys().cloned().collect();
    let mut found = BTreeMap::new();
    let mut token = None;
    loop {
        let answer = session
            .aws
            .call("reading the scaling limits", async || {
                session
                    .aws
                    .scaling
                    .describe_scalable_targets()
                    .service_namespace(ServiceNamespace::Ecs)
                    .set_resource_ids(Some(ids.clone()))
                    .set_next_token(token.clone())
                    .send()
                    .await
            })
            .await?;
        for target in answer.scalable_targets() {
            if let Some(executable) = by_id.get(target.resource_id()) {
                found.insert((*executable).to_owned(), (target.min_capacity(), target.max_capacity()));
            }
        }
        token = answer.next_token;
        if token.is_none() {
            return Ok(found);
        }
    }
}

/// What the template of the checkout would run, if it can be read.
fn local_facts(session: &Session<'_>, parameters: &BTreeMap<String, String>, caller: &Caller) -> Option<Facts> {
    let path = session.catalog.root.join("cloudformation/cfn-preserv-master.yml");
    let text = std::fs::read_to_string(&path).context("no template").ok()?;
    let template = Template::parse(text, "the checkout's template").ok()?;
    let scope = Scope { template: &template, parameters, account: &caller.account, region: &session.aws.region };
    Some(Facts::of(&scope, &session.catalog.services))
}
