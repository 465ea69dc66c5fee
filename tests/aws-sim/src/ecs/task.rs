//! The life of a task, from PROVISIONING to STOPPED, and the ways in which it fails.
//!
//! Pages: "Amazon ECS task lifecycle", "Resolve Amazon ECS stopped task errors", "Stopped tasks error codes", "Determine
//! Amazon ECS task health using container health checks".

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::model::{Container, Fate, Task};
use super::rollout;
use crate::input::{count, field};
use crate::scenario::{Failure, Revisions, TaskFault};
use crate::world::{Due, World};

/// What happens to a task next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Pending,
    /// The containers run, or could not be started.
    Started,
    Healthy,
    /// What its fate had in store for it.
    Ends,
    Stopped,
    /// ECS has forgotten it. Page: "DescribeTasks": stopped tasks are shown for at least an hour.
    Forgotten,
}

/// A task that a service starts. Returns its id.
pub(super) fn launch(world: &mut World, service: &str, deployment: &str, definition: &str) -> String {
    let Some(found) = world.ecs.services.get(service) else { return String::new() };
    let (cluster, name) = (found.cluster.clone(), found.name.clone());
    let version = field(&found.properties, "PlatformVersion").to_owned();
    let launch_type = found.properties.get("LaunchType").and_then(Value::as_str).map(str::to_owned);
    let fate = fate_in_service(world, &name, definition);
    let provider = if launch_type.is_none() { capacity_provider(world, &cluster) } else { None };
    let arn = new_arn(world, &cluster);
    let containers = containers(world, definition, &arn);
    let task = Task {
        arn: arn.clone(),
        cluster,
        definition: definition.to_owned(),
        service: Some(service.to_owned()),
        started_by: deployment.to_owned(),
        group: format!("service:{name}"),
        overrides: Value::Null,
        launch_type,
        capacity_provider: provider,
        platform_version: if version.is_empty() { "1.4.0".to_owned() } else { version },
        fate,
        ..blank(world, containers)
    };
    begin(world, task)
}

/// A task of its own, as `RunTask` starts one.
pub(super) fn run(world: &mut World, cluster: &str, definition: &str, asked: &crate::input::Input) -> String {
    let family = definition.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or_default().to_owned();
    let fate = match natural_fate(world, definition) {
        Fate::Runs => match take(&mut world.scenario.run_task, &family) {
            Some(fault) => fate_of(world, fault, definition, Fate::Exits),
            None => Fate::Exits(TaskFault::exit(0)),
        },
        other => other,
    };
    let arn = new_arn(world, cluster);
    let containers = containers(world, definition, &arn);
    let task = Task {
        arn: arn.clone(),
        cluster: cluster.to_owned(),
        definition: definition.to_owned(),
        started_by: asked.text("startedBy").unwrap_or_default().to_owned(),
        group: asked.text("group").map_or_else(|| format!("family:{family}"), str::to_owned),
        overrides: asked.0.get("overrides").cloned().unwrap_or(Value::Null),
        launch_type: Some(asked.text("launchType").unwrap_or("FARGATE").to_owned()),
        platform_version: asked.text("platformVersion").unwrap_or("1.4.0").to_owned(),
        fate,
        ..blank(world, containers)
    };
    begin(world, task);
    arn
}

fn blank(world: &World, containers: Vec<Container>) -> Task {
    Task {
        arn: String::new(),
        cluster: String::new(),
        definition: String::new(),
        service: None,
        started_by: String::new(),
        group: String::new(),
        overrides: Value::Null,
        launch_type: None,
        capacity_provider: None,
        platform_version: String::new(),
        status: "PROVISIONING",
        wanted: "RUNNING",
        health: "UNKNOWN",
        created: world.now,
        started: None,
        stopping: None,
        stopped: None,
        stop_code: None,
        stop_reason: None,
        containers,
        protected_until: None,
        fate: Fate::Runs,
    }
}

fn begin(world: &mut World, task: Task) -> String {
    let (arn, id) = (task.arn.clone(), task.id().to_owned());
    world.ecs.tasks.insert(arn.clone(), task);
    world.schedule(world.scenario.takes(6), Due::Task { arn, step: Step::Pending });
    id
}

fn new_arn(world: &mut World, cluster: &str) -> String {
    let name = cluster.rsplit('/').next().unwrap_or_default();
    format!("arn:aws:ecs:{}:{}:task/{name}/{}", world.region, world.account, world.chance.hex(32))
}

fn capacity_provider(world: &World, cluster: &str) -> Option<String> {
    let cluster = world.ecs.clusters.values().find(|found| found.arn == cluster)?;
    let strategy = cluster.properties.get("DefaultCapacityProviderStrategy")?.as_array()?;
    Some(field(strategy.first()?, "CapacityProvider").to_owned())
}

fn containers(world: &mut World, definition: &str, task: &str) -> Vec<Container> {
    let properties = world.ecs.definitions.get(definition).map(|found| found.properties.clone()).unwrap_or_default();
    let id = task.rsplit('/').next().unwrap_or_default();
    let list = properties.get("ContainerDefinitions").and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter()
        .map(|container| {
            let (name, image) = (field(container, "Name").to_owned(), field(container, "Image").to_owned());
            let options = container.get("LogConfiguration").and_then(|log| log.get("Options"));
            let option =
                |key: &str| options.map(|options| field(options, key).to_owned()).filter(|text| !text.is_empty());
            let log = option("awslogs-group")
                .map(|group| (group, format!("{}/{name}/{id}", option("awslogs-stream-prefix").unwrap_or_default())));
            Container {
                digest: world.ecr.running_digest(&image),
                essential: container.get("Essential").and_then(crate::input::scalar).as_deref() != Some("false"),
                checked: container.get("HealthCheck").is_some(),
                status: "PENDING",
                exit_code: None,
                reason: None,
                runtime_id: format!("{id}-{}", world.chance.next() % 10_000_000_000),
                log,
                name,
                image,
            }
        })
        .collect()
}

/// What is wrong with the task definition itself: an image or a parameter that is not there.
fn natural_fate(world: &World, definition: &str) -> Fate {
    if world.preloading {
        return Fate::Runs;
    }
    let Some(found) = world.ecs.definitions.get(definition) else { return Fate::Runs };
    let containers = found.properties.get("ContainerDefinitions").and_then(Value::as_array);
    let mut missing = Vec::new();
    for container in containers.into_iter().flatten() {
        let secrets = container.get("Secrets").and_then(Value::as_array);
        for secret in secrets.into_iter().flatten() {
            let name = field(secret, "ValueFrom");
            let name = name.split(":parameter").nth(1).unwrap_or(name);
            if !world.ssm.exists(name) {
                missing.push(name.to_owned());
            }
        }
    }
    if !missing.is_empty() {
        missing.sort();
        missing.dedup();
        return Fate::MissingParameters(missing);
    }
    let mut images = containers.into_iter().flatten().map(|container| field(container, "Image"));
    images.find(|image| !world.ecr.pullable(image)).map_or(Fate::Runs, |image| Fate::CannotPull(image.to_owned()))
}

fn fate_in_service(world: &mut World, service: &str, definition: &str) -> Fate {
    let natural = natural_fate(world, definition);
    if !matches!(natural, Fate::Runs) || world.preloading {
        return natural;
    }
    let new = world.ecs.definitions.get(definition).is_some_and(|found| found.number > world.ecs.marked);
    let concerned = world.scenario.services.get(service).is_some_and(|fault| fault.revisions == Revisions::All || new);
    let fault = if concerned { take(&mut world.scenario.services, service) } else { None };
    match fault {
        Some(fault) if fault.fails == Failure::Nothing => Fate::Runs,
        Some(fault) => fate_of(world, fault, definition, Fate::Fails),
        None => Fate::Runs,
    }
}

/// The fault of that name, used up by one.
fn take(faults: &mut BTreeMap<String, TaskFault>, name: &str) -> Option<TaskFault> {
    let fault = faults.get_mut(name).filter(|fault| fault.times != Some(0))?;
    if let Some(times) = &mut fault.times {
        *times -= 1;
    }
    Some(fault.clone())
}

fn fate_of(world: &World, fault: TaskFault, definition: &str, otherwise: fn(TaskFault) -> Fate) -> Fate {
    match fault.fails {
        Failure::MissingParameter => Fate::MissingParameters(fault.parameter.into_iter().collect()),
        Failure::CannotPull => {
            let found = world.ecs.definitions.get(definition);
            let containers = found.and_then(|found| found.properties.get("ContainerDefinitions")?.as_array());
            let image = containers.and_then(|list| list.last()).map(|container| field(container, "Image").to_owned());
            Fate::CannotPull(image.unwrap_or_default())
        }
        _ => otherwise(fault),
    }
}

/// A step of a task is due.
pub(crate) fn step(world: &mut World, arn: &str, step: Step) {
    let Some(task) = world.ecs.tasks.get_mut(arn) else { return };
    if task.wanted == "STOPPED" && !matches!(step, Step::Stopped | Step::Forgotten) {
        return;
    }
    match step {
        Step::Pending => {
            task.status = "PENDING";
            let fate = task.fate.clone();
            let never = matches!(&fate, Fate::Fails(fault) | Fate::Exits(fault) if fault.fails == Failure::NeverStarts);
            if !never {
                world.schedule(world.scenario.takes(14), Due::Task { arn: arn.to_owned(), step: Step::Started });
            }
        }
        Step::Started => started(world, arn),
        Step::Healthy => {
            let checked = task.containers.iter().any(|container| container.essential && container.checked);
            task.health = if checked { "HEALTHY" } else { "NONE" };
            notice(world, arn);
        }
        Step::Ends => ends(world, arn),
        Step::Stopped => {
            task.status = "STOPPED";
            task.stopped = Some(world.now);
            for container in &mut task.containers {
                container.status = "STOPPED";
            }
            world.schedule(Duration::from_hours(1), Due::Task { arn: arn.to_owned(), step: Step::Forgotten });
            notice(world, arn);
        }
        Step::Forgotten => {
            world.ecs.tasks.remove(arn);
        }
    }
}

/// The service of a task looks at it.
fn notice(world: &mut World, arn: &str) {
    if let Some(service) = world.ecs.tasks.get(arn).and_then(|task| task.service.clone()) {
        rollout::reconcile(world, &service);
    }
}

fn started(world: &mut World, arn: &str) {
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(arn) else { return };
    let fate = task.fate.clone();
    match &fate {
        Fate::CannotPull(image) => {
            // Page: "CannotPullContainer task errors".
            let reason = format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: {image}: not found"
            );
            for container in task.containers.iter_mut().filter(|container| container.image == *image) {
                container.reason = Some(reason.clone());
            }
            return fail(world, arn, "TaskFailedToStart", &reason);
        }
        Fate::MissingParameters(names) => {
            // Page: "ResourceInitializationError".
            let names = names.join(", ");
            let reason = format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: {names}"
            );
            return fail(world, arn, "TaskFailedToStart", &reason);
        }
        Fate::Runs | Fate::Fails(_) | Fate::Exits(_) => {}
    }
    task.status = "RUNNING";
    task.started = Some(now);
    let checked = task.containers.iter().any(|container| container.essential && container.checked);
    for container in &mut task.containers {
        container.status = "RUNNING";
        if !container.essential {
            // A container that others wait for has done its work by now.
            (container.status, container.exit_code) = ("STOPPED", Some(0));
        }
    }
    log(world, arn, &["starting".to_owned()]);
    // Without a health check, a task counts as ready once it has run for a little.
    let ready_after = world.scenario.takes(if checked { 30 } else { 10 });
    let mut ends_after = None;
    if let Fate::Fails(fault) | Fate::Exits(fault) = fate {
        let after = match fault.fails {
            Failure::Unhealthy => unhealthy_after(world, arn),
            _ => Duration::from_secs(fault.after_seconds),
        };
        world.schedule(after, Due::Task { arn: arn.to_owned(), step: Step::Ends });
        ends_after = Some(if fault.fails == Failure::Unhealthy { Duration::ZERO } else { after });
    }
    if ends_after.is_none_or(|after| after > ready_after) {
        world.schedule(ready_after, Due::Task { arn: arn.to_owned(), step: Step::Healthy });
    }
    notice(world, arn);
}

/// The start period and then so many intervals as may fail.
fn unhealthy_after(world: &World, arn: &str) -> Duration {
    let definition = world.ecs.tasks.get(arn).and_then(|task| world.ecs.definitions.get(&task.definition));
    let containers = definition.and_then(|found| found.properties.get("ContainerDefinitions")?.as_array());
    let check = containers.into_iter().flatten().find_map(|container| container.get("HealthCheck"));
    let value = |name: &str, usual: u64| check.and_then(|check| check.get(name)).and_then(count).unwrap_or(usual);
    world.scenario.takes(value("StartPeriod", 0) + value("Retries", 3) * value("Interval", 30))
}

/// A task comes to the end that its fate has set.
fn ends(world: &mut World, arn: &str) {
    let Some(task) = world.ecs.tasks.get_mut(arn) else { return };
    let (fault, alone) = match task.fate.clone() {
        Fate::Fails(fault) => (fault, false),
        Fate::Exits(fault) => (fault, true),
        _ => return,
    };
    let mut lines = fault.log.clone();
    if lines.is_empty() {
        lines.push(if fault.fails == Failure::Nothing { "done".to_owned() } else { "cannot go on".to_owned() });
    }
    let (code, reason): (Option<i64>, Option<&str>) = match fault.fails {
        // Page: "OutOfMemoryError container killed due to memory usage".
        Failure::OutOfMemory => (Some(137), Some("OutOfMemoryError: Container killed due to memory usage")),
        Failure::Unhealthy => (Some(143), None),
        Failure::Nothing => (Some(fault.exit_code.unwrap_or(0)), None),
        _ => (Some(fault.exit_code.unwrap_or(1)), None),
    };
    for container in task.containers.iter_mut().filter(|container| container.essential) {
        container.exit_code = code;
        container.reason = reason.map(str::to_owned);
    }
    if fault.fails == Failure::Unhealthy {
        task.health = "UNHEALTHY";
    }
    log(world, arn, &lines);
    let (stop_code, stop_reason) = match fault.fails {
        Failure::Unhealthy => ("ServiceSchedulerInitiated", "Task failed container health checks"),
        Failure::OutOfMemory => ("EssentialContainerExited", "OutOfMemoryError: Container killed due to memory usage"),
        _ => ("EssentialContainerExited", "Essential container in task exited"),
    };
    if alone {
        stop(world, arn, stop_code, stop_reason);
    } else {
        fail(world, arn, stop_code, stop_reason);
    }
}

fn fail(world: &mut World, arn: &str, code: &'static str, reason: &str) {
    stop(world, arn, code, reason);
    let task = world.ecs.tasks.get(arn);
    let owner = task.and_then(|task| Some((task.service.clone()?, task.started_by.clone())));
    if let Some((service, deployment)) = owner {
        rollout::task_failed(world, &service, &deployment);
        rollout::reconcile(world, &service);
    }
}

/// A task is told to stop.
pub(super) fn stop(world: &mut World, arn: &str, code: &'static str, reason: &str) {
    stop_within(world, arn, code, reason, 8);
}

/// AWS takes the capacity of a task away, whether it is protected or not. Page: "Amazon ECS clusters for Fargate", Fargate Spot:
/// two minutes of warning, which begin with a SIGTERM.
pub(super) fn interrupt(world: &mut World, arn: &str) {
    stop_within(world, arn, "SpotInterruption", "Your Spot Task was interrupted.", 120);
}

fn stop_within(world: &mut World, arn: &str, code: &'static str, reason: &str, seconds: u64) {
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(arn) else { return };
    task.wanted = "STOPPED";
    task.stopping = Some(now);
    task.stop_code = Some(code);
    task.stop_reason = Some(reason.to_owned());
    let ran = task.status == "RUNNING";
    task.status = if ran { "DEACTIVATING" } else { "STOPPING" };
    if ran && matches!(code, "ServiceSchedulerInitiated" | "SpotInterruption") {
        for container in task.containers.iter_mut().filter(|container| container.essential) {
            container.exit_code.get_or_insert(0);
        }
    }
    world.schedule(world.scenario.takes(seconds), Due::Task { arn: arn.to_owned(), step: Step::Stopped });
}

/// The essential containers log these lines.
fn log(world: &mut World, arn: &str, lines: &[String]) {
    if world.preloading {
        return;
    }
    let now = world.now;
    let Some(task) = world.ecs.tasks.get(arn) else { return };
    for container in task.containers.iter().filter(|container| container.essential) {
        if let Some((group, stream)) = &container.log {
            for line in lines {
                world.logs.write(group, stream, now, line);
            }
        }
    }
}
