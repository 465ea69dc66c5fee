//! What CloudFormation and Application Auto Scaling do to ECS.

use std::time::Duration;

use serde_json::Value;

use super::model::{Cluster, Deployment, Rollout, Service, TaskDefinition};
use super::rollout::{self, expect};
use super::task;
use crate::cfn::compare::{differences, same};
use crate::input::{count, field};
use crate::world::World;

use crate::cfn::Progress;

/// Properties whose change is a new deployment. Page: "UpdateService".
const DEPLOYING: [&str; 5] =
    ["TaskDefinition", "NetworkConfiguration", "PlatformVersion", "CapacityProviderStrategy", "ServiceRegistries"];

pub(crate) fn create_cluster(world: &mut World, name: &str, properties: &Value) -> String {
    let arn = format!("arn:aws:ecs:{}:{}:cluster/{name}", world.region, world.account);
    let cluster = Cluster { arn: arn.clone(), name: name.to_owned(), properties: properties.clone(), active: true };
    world.ecs.clusters.insert(name.to_owned(), cluster);
    arn
}

pub(crate) fn update_cluster(world: &mut World, name: &str, properties: &Value) {
    if let Some(cluster) = world.ecs.clusters.get_mut(name) {
        cluster.properties = properties.clone();
    }
}

/// Page: "DeleteCluster": not while it has services.
pub(crate) fn delete_cluster(world: &mut World, name: &str) -> Result<(), String> {
    let arn = world.ecs.clusters.get(name).map(|cluster| cluster.arn.clone()).unwrap_or_default();
    if world.ecs.services.values().any(|service| service.cluster == arn && service.status == "ACTIVE") {
        return Err("Resource handler returned message: \"The Cluster cannot be deleted while Services are active.\" (HandlerErrorCode: ResourceConflict)".to_owned());
    }
    if let Some(cluster) = world.ecs.clusters.get_mut(name) {
        cluster.active = false;
    }
    Ok(())
}

/// A new revision of a family.
pub(crate) fn register(world: &mut World, stack: &str, logical: &str, properties: &Value) -> String {
    let made_up = format!("{stack}-{logical}-{}", world.chance.suffix(12));
    let family = Some(field(properties, "Family")).filter(|family| !family.is_empty()).unwrap_or(&made_up).to_owned();
    let of_family = world.ecs.definitions.values().filter(|definition| definition.family == family);
    let revision = of_family.map(|definition| definition.revision).max().unwrap_or(0) + 1;
    let arn = format!("arn:aws:ecs:{}:{}:task-definition/{family}:{revision}", world.region, world.account);
    world.ecs.registered += 1;
    let definition = TaskDefinition {
        arn: arn.clone(),
        family,
        revision,
        number: world.ecs.registered,
        properties: properties.clone(),
        registered: world.now,
        deregistered: None,
    };
    world.ecs.definitions.insert(arn.clone(), definition);
    arn
}

pub(crate) fn deregister(world: &mut World, arn: &str) {
    let now = world.now;
    if let Some(definition) = world.ecs.definitions.get_mut(arn) {
        definition.deregistered = Some(now);
    }
}

pub(crate) fn create_service(world: &mut World, properties: &Value) -> Result<String, String> {
    let cluster = field(properties, "Cluster");
    let cluster_name = cluster.rsplit('/').next().unwrap_or_default().to_owned();
    let Some(found) = world.ecs.clusters.get(&cluster_name).filter(|cluster| cluster.active) else {
        return Err("Resource handler returned message: \"Cluster not found.\" (HandlerErrorCode: NotFound)".to_owned());
    };
    let cluster = found.arn.clone();
    let made_up = format!("service-{}", world.chance.suffix(12));
    let name = Some(field(properties, "ServiceName")).filter(|name| !name.is_empty()).unwrap_or(&made_up).to_owned();
    let arn = format!("arn:aws:ecs:{}:{}:service/{cluster_name}/{name}", world.region, world.account);
    let service = Service {
        arn: arn.clone(),
        name,
        cluster,
        properties: properties.clone(),
        status: "ACTIVE",
        // Page: "AWS::ECS::Service", DesiredCount: one, if it is left out when the service is created.
        desired: properties.get("DesiredCount").and_then(count).unwrap_or(1),
        created: world.now,
        deployments: Vec::new(),
        events: Vec::new(),
        last_good: None,
        steady: false,
        expected: false,
    };
    world.ecs.services.insert(arn.clone(), service);
    deploy(world, &arn, field(properties, "TaskDefinition"), false);
    Ok(arn)
}

/// A new primary deployment.
pub(super) fn deploy(world: &mut World, arn: &str, definition: &str, rolls_back: bool) {
    let id = format!("ecs-svc/{}", world.chance.next() % 10_000_000_000_000_000_000);
    let now = world.now;
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    // On the way back, tasks of the deployment before that still run are taken over rather than started anew.
    if service.deployments.first().is_some_and(|primary| primary.definition != definition) {
        let tasks = world.ecs.tasks.values_mut();
        for task in tasks.filter(|task| task.service.as_deref() == Some(arn) && task.definition == definition) {
            task.started_by.clone_from(&id);
        }
    }
    let deployment = Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id,
        definition: definition.to_owned(),
        failed: 0,
        rollout: Rollout::InProgress,
        created: now,
        updated: now,
        not_before: now,
        awaited: !rolls_back,
        rolls_back,
    };
    service.deployments.insert(0, deployment);
    service.steady = false;
    expect(world, arn, Duration::from_secs(2));
}

/// Page: "AWS::ECS::Service": what is left out keeps its value, so also the desired count.
pub(crate) fn update_service(world: &mut World, arn: &str, properties: &Value) -> Result<Progress, String> {
    let now_quick = Progress::Takes(world.scenario.takes(4));
    let Some(service) = world.ecs.services.get_mut(arn) else {
        return Err("Resource handler returned message: \"Service not found.\" (HandlerErrorCode: NotFound)".to_owned());
    };
    let changed = differences(&service.properties, properties);
    let wanted = field(properties, "TaskDefinition").to_owned();
    let primary = service.deployments.first();
    let same_definition = primary.is_some_and(|primary| primary.definition == wanted);
    let others = changed.iter().any(|name| name != "TaskDefinition" && DEPLOYING.contains(&name.as_str()));
    service.properties = properties.clone();
    let mut waits = false;
    if let Some(desired) = properties.get("DesiredCount").and_then(count)
        && service.desired != desired
    {
        service.desired = desired;
        service.steady = false;
        waits = true;
    }
    if !same_definition || others {
        deploy(world, arn, &wanted, false);
        return Ok(Progress::Rollout(arn.to_owned()));
    }
    expect(world, arn, Duration::from_secs(2));
    // ECS may be on its way back to this very task definition; then that is what is waited for.
    let Some(service) = world.ecs.services.get_mut(arn) else { return Ok(now_quick) };
    let Some(primary) = service.deployments.first_mut() else { return Ok(now_quick) };
    if primary.rollout == Rollout::InProgress || waits {
        primary.awaited = true;
        return Ok(Progress::Rollout(arn.to_owned()));
    }
    Ok(now_quick)
}

pub(crate) fn delete_service(world: &mut World, arn: &str) {
    if let Some(service) = world.ecs.services.get_mut(arn) {
        service.status = "INACTIVE";
        service.desired = 0;
        service.deployments.clear();
    }
    let tasks: Vec<String> = world.ecs.tasks_of(arn).filter(|task| task.lives()).map(|task| task.arn.clone()).collect();
    for task in tasks {
        super::task::stop(world, &task, "ServiceSchedulerInitiated", "Service was deleted");
    }
}

/// Application Auto Scaling raises a desired count that is below the minimum. Page: "RegisterScalableTarget".
pub(crate) fn keep_at_least(world: &mut World, properties: &Value) {
    let least = properties.get("MinCapacity").and_then(count).unwrap_or(0);
    let resource = field(properties, "ResourceId");
    let arn = format!("arn:aws:ecs:{}:{}:{resource}", world.region, world.account);
    if let Some(service) = world.ecs.services.get_mut(&arn)
        && service.desired < least
    {
        service.desired = least;
        service.steady = false;
        expect(world, &arn, Duration::from_secs(2));
    }
}

/// What autoscaling, or an operator, did to a service.
pub(crate) fn scale(world: &mut World, name: &str, desired: u64) -> Result<(), String> {
    let arn = world.ecs.service_named(name).map(|service| service.arn.clone());
    let arn = arn.ok_or_else(|| format!("there is no service {name}"))?;
    if let Some(service) = world.ecs.services.get_mut(&arn) {
        service.desired = desired;
        service.steady = false;
    }
    rollout::reconcile(world, &arn);
    Ok(())
}

/// The running tasks of a service have work in hand. Page: "Protecting your Amazon ECS tasks from scale-in".
pub(crate) fn protect(world: &mut World, name: &str, time: Duration) -> Result<(), String> {
    let arn = world.ecs.service_named(name).map(|service| service.arn.clone());
    let arn = arn.ok_or_else(|| format!("there is no service {name}"))?;
    let until = world.now + time;
    for task in world.ecs.tasks.values_mut().filter(|task| task.service.as_ref() == Some(&arn) && task.lives()) {
        task.protected_until = Some(until);
    }
    world.schedule(time + Duration::from_secs(1), crate::world::Due::Reconcile { service: arn });
    Ok(())
}

/// So many running tasks of a service lose their Spot capacity; the service starts others in their place.
pub(crate) fn interrupt(world: &mut World, name: &str, count: usize) -> Result<(), String> {
    let arn = world.ecs.service_named(name).map(|service| service.arn.clone());
    let arn = arn.ok_or_else(|| format!("there is no service {name}"))?;
    let running = world.ecs.tasks_of(&arn).filter(|task| task.lives() && task.status == "RUNNING");
    let victims: Vec<String> = running.take(count).map(|task| task.arn.clone()).collect();
    if victims.len() < count {
        return Err(format!("{name} runs {} tasks", victims.len()));
    }
    for victim in victims {
        task::interrupt(world, &victim);
    }
    if let Some(service) = world.ecs.services.get_mut(&arn) {
        service.steady = false;
    }
    rollout::reconcile(world, &arn);
    Ok(())
}

/// Whether running tasks are registered with this Cloud Map service.
pub(crate) fn registers_with(world: &World, registry: &str) -> bool {
    let wanted = Value::from(registry);
    world.ecs.services.values().any(|service| {
        let registries = service.properties.get("ServiceRegistries").and_then(Value::as_array);
        let uses = registries.into_iter().flatten().any(|entry| same(&entry["RegistryArn"], &wanted));
        uses && world.ecs.tasks_of(&service.arn).any(|task| task.status != "STOPPED")
    })
}
