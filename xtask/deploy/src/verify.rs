//! After CloudFormation: does each service and each cron job run what was shipped?

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, LaunchType, NetworkConfiguration, TaskOverride,
};
use serde_json::json;
use xtask::ui::{Paint, table};

use crate::aws::{Aws, Trouble};
use crate::live;
use crate::observe::Observer;
use crate::record::Link;
use crate::release::Origin;
use crate::session::Session;
use crate::stack::{self, Physical};
use crate::template::Template;
use crate::template::facts::{Facts, Pin, Runner, Workload};
use crate::verdict::{SeenTask, Shipped, Verdict, judge, revision};

/// What a stack should run, and where.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) stack_id: &'a str,
    pub(crate) facts: &'a Facts,
    /// For each executable the digests that count as its image's.
    pub(crate) digests: &'a BTreeMap<String, BTreeSet<String>>,
    /// For the chain: who says so.
    pub(crate) origin: Option<&'a Origin>,
    pub(crate) change_set: Option<&'a str>,
    pub(crate) template: &'a Template,
}

/// The finding for one executable.
type Finding = (Vec<SeenTask>, Verdict);

/// Looks until everything is settled and `bake` is over; the link of each executable's chain.
pub(crate) async fn verify(
    session: &Session<'_>,
    target: &Target<'_>,
    bake: Duration,
    observer: &mut Observer,
) -> Result<Vec<Link>, Trouble> {
    let resources = stack::resources(&session.aws, target.stack_id).await?;
    let cluster = target.facts.cluster.clone().unwrap_or_default();
    let mut findings: BTreeMap<&str, Finding> = BTreeMap::new();
    for workload in &target.facts.workloads {
        if let Runner::Schedule { id } = &workload.runner {
            session.ui.say(&format!("  {}: one run with --check-settings", workload.executable));
            let shipped = shipped(target, &resources, workload);
            let finding = cron_job(&session.aws, &cluster, resources.get(id), workload, &shipped).await?;
            findings.insert(&workload.executable, finding);
        }
    }
    let since = Instant::now();
    let failures = |observer: &Observer, name: &str| observer.failures(name);
    let before: BTreeMap<&str, u32> = target
        .facts
        .workloads
        .iter()
        .map(|workload| (workload.executable.as_str(), failures(observer, &workload.executable)))
        .collect();
    loop {
        services(session, target, &cluster, &resources, &mut findings).await?;
        observer.look(session).await;
        let settling =
            findings.values().any(|(_, verdict)| matches!(verdict, Verdict::Settling(_) | Verdict::Unseen(_)));
        let patience = bake.max(session.aws.timing.poll * 8);
        if since.elapsed() >= if settling { patience } else { bake } {
            break;
        }
        session.aws.between_looks().await;
    }
    for (name, (_, verdict)) in &mut findings {
        let failed = failures(observer, name) - before.get(name).copied().unwrap_or(0);
        match verdict {
            Verdict::Settling(reason) => *verdict = Verdict::Wrong(std::mem::take(reason)),
            // 07 I.60: without a running task it is not verified, and that is no failure of the release.
            Verdict::Unseen(reason) => *verdict = Verdict::NotVerified(std::mem::take(reason)),
            _ => {}
        }
        if failed > 0 && matches!(verdict, Verdict::Verified(_)) {
            *verdict = Verdict::Wrong(format!("{failed} tasks failed while it was observed"));
        }
    }
    let links = target.facts.workloads.iter().filter_map(|workload| {
        let (tasks, verdict) = findings.remove(workload.executable.as_str())?;
        Some(Link {
            executable: workload.executable.clone(),
            commit: target.origin.and_then(|origin| Some(origin.release(&workload.executable)?.commit.clone())),
            image: workload.image.reference.clone(),
            template_line: target.template.line_of(&line_text(workload)),
            change_set: target.change_set.map(str::to_owned),
            task_definition: shipped(target, &resources, workload).task_definition,
            tasks,
            verdict,
        })
    });
    Ok(links.collect())
}

/// Shows the findings; true if ECS runs what was shipped. A service without a task is shown as not verified, and is no failure.
pub(crate) fn show(session: &Session<'_>, links: &[Link]) -> bool {
    let ui = session.ui;
    let mut rows = Vec::new();
    for link in links {
        let (paint, word, reason) = match &link.verdict {
            Verdict::Verified(note) => (Paint::Green, "verified", note.clone().unwrap_or_default()),
            Verdict::NotVerified(reason) | Verdict::Unseen(reason) => (Paint::Yellow, "not verified", reason.clone()),
            Verdict::Settling(reason) | Verdict::Wrong(reason) => (Paint::Red, "wrong", reason.clone()),
        };
        let tasks = match link.tasks.len() {
            1 => "1 task".to_owned(),
            count => format!("{count} tasks"),
        };
        let revision = revision(&link.task_definition).to_owned();
        rows.push(vec![format!("  {}", link.executable), revision, tasks, ui.paint(paint, word), reason]);
    }
    ui.answer(&table(&rows));
    for link in links {
        ui.record("verified", &serde_json::to_value(link).unwrap_or(json!({})));
    }
    !links.iter().any(|link| matches!(link.verdict, Verdict::Wrong(_) | Verdict::Settling(_)))
}

/// What of the image stands on one line of the template: the digest or the tag.
fn line_text(workload: &Workload) -> String {
    match &workload.image.pin {
        Pin::Digest(pin) => format!("{}@{pin}", workload.executable),
        Pin::Tag(pin) => format!("{}:{pin}", workload.executable),
        Pin::Nothing => workload.executable.clone(),
    }
}

fn shipped(target: &Target<'_>, resources: &BTreeMap<String, Physical>, workload: &Workload) -> Shipped {
    let mut digests = target.digests.get(&workload.executable).cloned().unwrap_or_default();
    if let Pin::Digest(digest) = &workload.image.pin {
        digests.insert(digest.clone());
    }
    Shipped {
        task_definition: resources
            .get(&workload.task_definition)
            .map(|physical| physical.id.clone())
            .unwrap_or_default(),
        digests,
    }
}

async fn services<'a>(
    session: &Session<'_>,
    target: &'a Target<'_>,
    cluster: &str,
    resources: &BTreeMap<String, Physical>,
    findings: &mut BTreeMap<&'a str, Finding>,
) -> Result<(), Trouble> {
    let ours: Vec<(&Workload, String)> = target
        .facts
        .workloads
        .iter()
        .filter_map(|workload| {
            let Runner::Service { id, name } = &workload.runner else { return None };
            let physical = resources.get(id).map(|physical| live::short(&physical.id).to_owned());
            Some((workload, physical.or_else(|| name.clone())?))
        })
        .collect();
    let names: Vec<String> = ours.iter().map(|(_, name)| name.clone()).collect();
    let found = live::services(&session.aws, cluster, &names).await?;
    for (workload, name) in ours {
        let finding = match found.get(&name) {
            None => (Vec::new(), Verdict::Wrong(format!("ECS has no service {name}"))),
            Some(service) => {
                let mut seen = service.seen.clone();
                seen.tasks = live::running(&session.aws, cluster, &name, &workload.container).await?;
                match (
                    judge(&seen, &shipped(target, resources, workload)),
                    findings.remove(workload.executable.as_str()),
                ) {
                    // What ran a moment ago was right, and nothing was rolled out since.
                    (Verdict::Unseen(now), Some((tasks, Verdict::Verified(_)))) => {
                        (tasks, Verdict::Verified(Some(now)))
                    }
                    (verdict, _) => (seen.tasks, verdict),
                }
            }
        };
        findings.insert(&workload.executable, finding);
    }
    for workload in target.facts.workloads.iter().filter(|workload| workload.runner == Runner::Nothing) {
        findings.insert(&workload.executable, (Vec::new(), Verdict::NotVerified("nothing runs it".to_owned())));
    }
    Ok(())
}

/// The schedule must point at our task definition, and one run of it with `--check-settings` must end with 0 from our image.
async fn cron_job(
    aws: &Aws<'_>,
    cluster: &str,
    schedule: Option<&Physical>,
    workload: &Workload,
    shipped: &Shipped,
) -> Result<Finding, Trouble> {
    let wrong = |reason: String| (Vec::new(), Verdict::Wrong(reason));
    let Some(schedule) = schedule else { return Ok(wrong("the stack has no schedule for it".to_owned())) };
    let name = live::short(&schedule.id).to_owned();
    let answer =
        aws.attempt("reading a schedule", async || aws.scheduler.get_schedule().name(&name).send().await).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(trouble) if trouble.is_missing() => return Ok(wrong(format!("there is no schedule {name}"))),
        Err(trouble) => return Err(trouble),
    };
    let Some(parameters) = answer.target().and_then(|target| target.ecs_parameters()) else {
        return Ok(wrong(format!("schedule {name} runs no ECS task")));
    };
    if parameters.task_definition_arn() != shipped.task_definition {
        return Ok(wrong(format!(
            "its schedule runs {}, and {} was shipped",
            revision(parameters.task_definition_arn()),
            revision(&shipped.task_definition)
        )));
    }
    let network = parameters.network_configuration().and_then(|network| network.awsvpc_configuration()).map(|vpc| {
        let public = vpc.assign_public_ip().map_or("DISABLED", |public| public.as_str());
        AwsVpcConfiguration::builder()
            .set_subnets(Some(vpc.subnets().to_vec()))
            .set_security_groups(Some(vpc.security_groups().to_vec()))
            .assign_public_ip(AssignPublicIp::from(public))
            .build()
    });
    let network = match network.transpose() {
        Ok(vpc) => vpc.map(|vpc| NetworkConfiguration::builder().awsvpc_configuration(vpc).build()),
        Err(error) => return Ok(wrong(format!("its schedule names no network: {error}"))),
    };
    let overrides = TaskOverride::builder()
        .container_overrides(
            ContainerOverride::builder()
                .name(&workload.container)
                .command("--run-once")
                .command("--check-settings")
                .build(),
        )
        .build();
    let run = aws
        .attempt("running a cron job with --check-settings", async || {
            aws.ecs
                .run_task()
                .cluster(cluster)
                .task_definition(&shipped.task_definition)
                .launch_type(LaunchType::Fargate)
                .set_network_configuration(network.clone())
                .overrides(overrides.clone())
                .started_by("xtask-deploy")
                .count(1)
                .send()
                .await
        })
        .await;
    let run = match run {
        Ok(run) => run,
        Err(trouble) if matches!(trouble.kind, crate::aws::Kind::Denied | crate::aws::Kind::Refused) => {
            return Ok(wrong(format!("it could not be run: {trouble}")));
        }
        Err(trouble) => return Err(trouble),
    };
    let Some(arn) = run.tasks().first().and_then(|task| task.task_arn()).map(str::to_owned) else {
        let reason = run.failures().first().and_then(|failure| failure.reason()).unwrap_or("no reason is given");
        return Ok(wrong(format!("it could not be run: {reason}")));
    };
    wait_for(aws, cluster, &arn, workload, shipped).await
}

async fn wait_for(
    aws: &Aws<'_>,
    cluster: &str,
    arn: &str,
    workload: &Workload,
    shipped: &Shipped,
) -> Result<Finding, Trouble> {
    let since = Instant::now();
    loop {
        let task = live::task(aws, cluster, arn).await?;
        let Some(task) = task.filter(|task| task.last_status() == Some("STOPPED")) else {
            if since.elapsed() > aws.timing.change_set() {
                return Ok((
                    Vec::new(),
                    Verdict::Wrong(format!("its run with --check-settings did not end (task {})", live::short(arn))),
                ));
            }
            aws.between_looks().await;
            continue;
        };
        let seen = live::seen(&task, &workload.container);
        let ours = task.containers().iter().find(|container| container.name() == Some(&workload.container));
        let verdict = match (ours.and_then(aws_sdk_ecs::types::Container::exit_code), &seen.digest) {
            (Some(0), Some(digest)) if shipped.digests.contains(digest) => Verdict::Verified(None),
            (Some(0), Some(digest)) if shipped.digests.is_empty() => {
                Verdict::NotVerified(format!("{digest} runs, and the template pins no digest"))
            }
            (Some(0), Some(digest)) => Verdict::Wrong(format!("it runs {digest}, which was not shipped")),
            (Some(0), None) => Verdict::NotVerified("ECS does not say which image it ran".to_owned()),
            _ => {
                let stopped = live::stopped_task(&task);
                let lines = live::last_lines(aws, &stopped, &workload.container, 20).await;
                let lines = if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) };
                Verdict::Wrong(format!("its run with --check-settings failed: {}{lines}", stopped.reason))
            }
        };
        return Ok((vec![seen], verdict));
    }
}
