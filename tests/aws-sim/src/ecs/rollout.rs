//! The service scheduler: it keeps a service at its desired count, rolls new deployments out, and trips the circuit breaker.
//!
//! Pages: "Deploy Amazon ECS services by replacing tasks" (minimum healthy and maximum percent), "How the Amazon ECS
//! deployment circuit breaker detects failures", "Viewing Amazon ECS service event messages".

use std::time::Duration;

use serde_json::Value;

use super::model::{Rollout, Service};
use super::{provision, task};
use crate::cfn::engine::End;
use crate::input::{count, scalar};
use crate::world::{Due, World};

/// Page: "Circuit breaker: failure threshold": half of the desired count, at least 3 and at most 200.
fn threshold(desired: u64) -> u64 {
    desired.div_ceil(2).clamp(3, 200)
}

/// Puts a look at the service on the agenda, if none is there.
pub(crate) fn expect(world: &mut World, arn: &str, after: Duration) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    if !service.expected {
        service.expected = true;
        world.schedule(after, Due::Reconcile { service: arn.to_owned() });
    }
}

fn say(world: &mut World, arn: &str, message: &str) {
    let id = world.chance.uuid();
    let now = world.now;
    if let Some(service) = world.ecs.services.get_mut(arn) {
        let text = format!("(service {}) {message}", service.name);
        service.events.insert(0, (id, now, text));
        // Page: "DescribeServices": the latest 100.
        service.events.truncate(100);
    }
}

struct Breaker {
    enabled: bool,
    rolls_back: bool,
}

fn setting<'a>(service: &'a Service, name: &str) -> Option<&'a Value> {
    service.properties.get("DeploymentConfiguration")?.get(name)
}

fn breaker(service: &Service) -> Breaker {
    let settings = setting(service, "DeploymentCircuitBreaker");
    let flag = |name: &str| settings.and_then(|s| s.get(name)).and_then(scalar).as_deref() == Some("true");
    Breaker { enabled: flag("Enable"), rolls_back: flag("Rollback") }
}

/// The tasks of a deployment and of all others, as one look sees them.
#[derive(Debug, Default)]
struct Census {
    new: Vec<String>,
    /// New tasks that a scale-in may stop: protected ones finish their work first.
    new_free: Vec<String>,
    new_ready: u64,
    old: Vec<String>,
    /// Old tasks that may be stopped: those that are ready, and those that are not.
    old_free: Vec<String>,
    old_idle: Vec<String>,
    old_ready: u64,
    /// Old tasks that are not gone yet.
    old_remaining: u64,
}

fn census(world: &World, arn: &str, deployment: &str) -> Census {
    let mut census = Census::default();
    for task in world.ecs.tasks_of(arn) {
        let new = task.started_by == deployment;
        if !new && task.status != "STOPPED" {
            census.old_remaining += 1;
        }
        if !task.lives() {
            continue;
        }
        let is_free = task.protected_until.is_none_or(|until| until <= world.now);
        if new {
            census.new.push(task.arn.clone());
            census.new_ready += u64::from(task.ready());
            if is_free {
                census.new_free.push(task.arn.clone());
            }
        } else {
            census.old.push(task.arn.clone());
            census.old_ready += u64::from(task.ready());
            if is_free {
                if task.ready() { &mut census.old_free } else { &mut census.old_idle }.push(task.arn.clone());
            }
        }
    }
    census
}

/// Looks at a service and does what is to be done now.
pub(crate) fn reconcile(world: &mut World, arn: &str) {
    if let Some(service) = world.ecs.services.get_mut(arn) {
        service.expected = false;
    }
    let Some(service) = world.ecs.services.get(arn).filter(|service| service.status == "ACTIVE") else { return };
    let Some(primary) = service.deployments.first() else { return };
    let (id, definition, not_before) = (primary.id.clone(), primary.definition.clone(), primary.not_before);
    let stopped = primary.rollout == Rollout::Failed;
    let desired = service.desired;
    let most = desired * setting(service, "MaximumPercent").and_then(count).unwrap_or(200) / 100;
    let least = (desired * setting(service, "MinimumHealthyPercent").and_then(count).unwrap_or(100)).div_ceil(100);
    let census = census(world, arn, &id);
    let (running, alive) = (size(&census.new), size(&census.new) + size(&census.old));
    if !stopped && running < desired {
        let room = most.max(desired).saturating_sub(alive);
        let wanted = (desired - running).min(room);
        if wanted > 0 && world.now >= not_before {
            let ids: Vec<String> = (0..wanted).map(|_| task::launch(world, arn, &id, &definition)).collect();
            let list: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
            say(world, arn, &format!("has started {wanted} tasks: {}.", list.join(" ")));
        } else if wanted > 0 {
            let wait = not_before.since(world.now);
            expect(world, arn, wait);
        }
    }
    // Old tasks go as new ones are ready, never below the minimum that is healthy.
    let surplus = (census.new_ready + census.old_ready).saturating_sub(least);
    let over = running.saturating_sub(desired);
    let ready = census.old_free.iter().take(usize::try_from(surplus).unwrap_or(usize::MAX));
    // Old tasks that are not ready protect nothing.
    let old: Vec<String> = census.old_idle.iter().chain(ready).cloned().collect();
    let surplus_new = census.new_free.iter().rev().take(usize::try_from(over).unwrap_or(usize::MAX)).cloned();
    let reason = format!("Scaling activity initiated by (deployment {id})");
    let victims: Vec<String> = old.into_iter().chain(surplus_new).collect();
    if !victims.is_empty() {
        let list: Vec<String> =
            victims.iter().map(|arn| format!("(task {})", arn.rsplit('/').next().unwrap_or_default())).collect();
        say(world, arn, &format!("has stopped {} running tasks: {}.", victims.len(), list.join(" ")));
    }
    for victim in victims {
        task::stop(world, &victim, "ServiceSchedulerInitiated", &reason);
    }
    let done = running == desired && census.new_ready == desired && census.old_remaining == 0;
    if done {
        complete(world, arn);
    }
}

fn size(list: &[String]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

/// All tasks are those of the primary deployment.
fn complete(world: &mut World, arn: &str) {
    let now = world.now;
    let silent = world.scenario.faults.silent_rollback;
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let steady = std::mem::replace(&mut service.steady, true);
    let Some(primary) = service.deployments.first_mut() else { return };
    let finished = primary.rollout == Rollout::InProgress;
    primary.failed = 0;
    let (awaited, id) = (std::mem::take(&mut primary.awaited), primary.id.clone());
    let silently = primary.rolls_back && silent && finished;
    if finished {
        primary.rollout = Rollout::Completed;
        primary.reason = format!("ECS deployment {id} completed.");
        primary.updated = now;
        service.last_good = Some(primary.definition.clone());
        service.deployments.truncate(1);
        say(world, arn, &format!("(deployment {id}) deployment completed."));
    }
    if !steady {
        say(world, arn, "has reached a steady state.");
    }
    if awaited || silently {
        world.ecs.end_rollout(arn, End::Ok);
    }
}

/// A task of a deployment has failed.
pub(super) fn task_failed(world: &mut World, arn: &str, deployment: &str) {
    let (now, wait) = (world.now, world.scenario.takes(10));
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let (desired, breaker) = (service.desired, breaker(service));
    service.steady = false;
    // Tasks of a deployment that another has taken the place of count no longer.
    let Some(current) = service.deployments.first_mut().filter(|primary| primary.id == deployment) else { return };
    current.not_before = now + wait;
    if current.rollout != Rollout::InProgress {
        return;
    }
    current.failed += 1;
    current.updated = now;
    let (failed, rolls_back) = (current.failed, current.rolls_back);
    if breaker.enabled && failed >= threshold(desired) {
        current.rollout = Rollout::Failed;
        "ECS deployment circuit breaker: tasks failed to start.".clone_into(&mut current.reason);
        let awaited = std::mem::take(&mut current.awaited);
        say(world, arn, &format!("(deployment {deployment}) deployment failed: tasks failed to start."));
        trip(world, arn, awaited, breaker.rolls_back && !rolls_back);
    } else if failed == threshold(desired) {
        say(
            world,
            arn,
            "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
        );
    }
}

/// The circuit breaker has tripped: CloudFormation hears of it, and ECS goes back to the last deployment that was completed.
fn trip(world: &mut World, arn: &str, awaited: bool, rolls_back: bool) {
    let good = world.ecs.services.get(arn).and_then(|service| service.last_good.clone());
    let good = good.filter(|_| rolls_back);
    if let Some(definition) = &good {
        provision::deploy(world, arn, definition, true);
        let id = world.ecs.services.get(arn).and_then(|service| service.deployments.first()).map(|d| d.id.clone());
        let id = id.unwrap_or_default();
        if let Some(primary) = world.ecs.services.get_mut(arn).and_then(|service| service.deployments.first_mut()) {
            primary.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.");
        }
        say(world, arn, &format!("rolling back to deployment {id}."));
    } else {
        // Nothing to go back to: the tasks are stopped, and no more are started.
        let tasks: Vec<String> = world.ecs.tasks_of(arn).filter(|task| task.lives()).map(|t| t.arn.clone()).collect();
        for task in tasks {
            task::stop(world, &task, "ServiceSchedulerInitiated", "Deployment circuit breaker was triggered");
        }
    }
    if awaited && !(world.scenario.faults.silent_rollback && good.is_some()) {
        let token = world.chance.uuid();
        world.ecs.end_rollout(arn, End::Failed(format!(
            "Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'.\" (RequestToken: {token}, HandlerErrorCode: GeneralServiceException)"
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_trips_at_half_of_the_desired_count_within_limits() {
        assert_eq!([1, 2, 6, 7, 20, 1000].map(threshold), [3, 3, 3, 4, 10, 200]);
    }
}
