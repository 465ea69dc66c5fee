//! What clients ask of ECS.
//!
//! Pages: the operations' own in the ECS API reference.

use serde_json::{Map, Value, json};

use super::model::{Service, Task, TaskDefinition};
use super::{shape, task};
use crate::input::{Input, field, page};
use crate::wire::{Answer, Call, Fault};
use crate::world::World;

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    let input = &call.input;
    match call.operation.as_str() {
        "DescribeServices" => services(world, input),
        "ListServices" => list_services(world, input),
        "DescribeTasks" => tasks(world, input),
        "ListTasks" => list_tasks(world, input),
        "DescribeTaskDefinition" => task_definition(world, input),
        "ListTaskDefinitions" => list_task_definitions(world, input),
        "DescribeClusters" => Ok(clusters(world, input)),
        "ListClusters" => Ok(
            json!({"clusterArns": world.ecs.clusters.values().filter(|c| c.active).map(|c| &c.arn).collect::<Vec<_>>()}),
        ),
        "GetTaskProtection" => protection(world, input),
        "RunTask" => run_task(world, input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

/// The ARN of the cluster that a request names; without a name, `default`.
fn cluster_arn(world: &World, input: &Input) -> Result<String, Fault> {
    let name = input.text("cluster").unwrap_or("default");
    let name = name.rsplit('/').next().unwrap_or(name);
    match world.ecs.clusters.get(name).filter(|cluster| cluster.active) {
        Some(cluster) => Ok(cluster.arn.clone()),
        None => Err(Fault::new("ClusterNotFoundException", "Cluster not found.")),
    }
}

fn services(world: &World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let names = input.texts("services");
    if names.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if names.len() > 10 {
        return Err(invalid("Services may not contain more than 10 entries."));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let short = name.rsplit('/').next().unwrap_or(&name);
        let found_one = world.ecs.services.values().find(|service| service.name == short && service.cluster == cluster);
        if let Some(service) = found_one {
            found.push(service_value(world, service, input));
        } else {
            let arn = format!("{}/{short}", cluster.replace(":cluster/", ":service/"));
            failures.push(json!({"arn": arn, "reason": "MISSING"}));
        }
    }
    Ok(json!({"services": found, "failures": failures}))
}

fn includes_tags(input: &Input) -> bool {
    input.texts("include").iter().any(|include| include == "TAGS")
}

/// Without its nulls: the SDKs take an absent field for null, and moto leaves such fields out too.
fn dense(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn service_value(world: &World, service: &Service, input: &Input) -> Value {
    let properties = shape::camel(&service.properties);
    let get = |name: &str| properties.get(name).cloned().unwrap_or(Value::Null);
    let count = |tasks: &[&Task], state: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| state(task)).count();
    let running = |task: &Task| task.status == "RUNNING";
    let pending = |task: &Task| task.lives() && task.status != "RUNNING";
    let all: Vec<&Task> = world.ecs.tasks_of(&service.arn).collect();
    let deployments: Vec<Value> = service
        .deployments
        .iter()
        .enumerate()
        .map(|(index, deployment)| {
            let own: Vec<&Task> = all.iter().copied().filter(|task| task.started_by == deployment.id).collect();
            let live = count(&own, &|task| task.lives());
            let desired = if index == 0 && deployment.rollout != super::model::Rollout::Failed {
                Value::from(service.desired)
            } else {
                Value::from(live)
            };
            dense(json!({
                "id": deployment.id,
                "status": if index == 0 { "PRIMARY" } else { "ACTIVE" },
                "taskDefinition": deployment.definition,
                "desiredCount": desired,
                "pendingCount": count(&own, &pending),
                "runningCount": count(&own, &running),
                "failedTasks": deployment.failed,
                "createdAt": deployment.created.epoch(),
                "updatedAt": deployment.updated.epoch(),
                "launchType": get("launchType"),
                "capacityProviderStrategy": get("capacityProviderStrategy"),
                "platformVersion": get("platformVersion"),
                "platformFamily": "Linux",
                "networkConfiguration": get("networkConfiguration"),
                "rolloutState": deployment.rollout.word(),
                "rolloutStateReason": deployment.reason,
            }))
        })
        .collect();
    let events: Vec<Value> = service
        .events
        .iter()
        .map(|(id, time, message)| json!({"id": id, "createdAt": time.epoch(), "message": message}))
        .collect();
    dense(json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster,
        "loadBalancers": [],
        "serviceRegistries": get("serviceRegistries"),
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": count(&all, &running),
        "pendingCount": count(&all, &pending),
        "launchType": get("launchType"),
        "capacityProviderStrategy": get("capacityProviderStrategy"),
        "platformVersion": get("platformVersion"),
        "platformFamily": "Linux",
        "taskDefinition": service.deployments.first().map(|primary| &primary.definition),
        "deploymentConfiguration": get("deploymentConfiguration"),
        "deployments": deployments,
        "roleArn": format!("arn:aws:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS", world.account),
        "events": events,
        "createdAt": service.created.epoch(),
        "placementConstraints": [],
        "placementStrategy": [],
        "networkConfiguration": get("networkConfiguration"),
        "schedulingStrategy": "REPLICA",
        "deploymentController": get("deploymentController"),
        "tags": if includes_tags(input) { get("tags") } else { Value::Null },
        "enableECSManagedTags": false,
        "propagateTags": get("propagateTags"),
        "enableExecuteCommand": crate::input::scalar(&get("enableExecuteCommand")).as_deref() == Some("true"),
    }))
}

/// Page: "ListServices": ten a page, unless asked for up to a hundred.
fn list_services(world: &World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let active = world.ecs.services.values().filter(|s| s.cluster == cluster && s.status == "ACTIVE");
    let arns: Vec<String> = active.map(|service| service.arn.clone()).collect();
    listed(arns, "serviceArns", input, 10)
}

fn listed(arns: Vec<String>, name: &str, input: &Input, usual: u64) -> Answer {
    let size = usize::try_from(input.number("maxResults").unwrap_or(usual).clamp(1, 100)).unwrap_or(1);
    let (arns, next) = page(arns, input.text("nextToken"), size).map_err(|()| invalid("Invalid token."))?;
    Ok(dense(json!({name: arns, "nextToken": next})))
}

/// Page: "ListTasks": those that are to run, unless stopped ones are asked for.
fn list_tasks(world: &World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let wanted = match input.text("desiredStatus") {
        Some("STOPPED") => "STOPPED",
        // The page says of PENDING that it lists nothing.
        Some("PENDING") => "PENDING",
        _ => "RUNNING",
    };
    if let Some(name) = input.text("serviceName") {
        let short = name.rsplit('/').next().unwrap_or(name);
        if !world.ecs.services.values().any(|service| service.name == short && service.cluster == cluster) {
            return Err(Fault::new("ServiceNotFoundException", "Service not found."));
        }
    }
    let service = input.text("serviceName").map(|name| format!("service:{}", name.rsplit('/').next().unwrap_or(name)));
    let family = input.text("family").map(|family| format!("task-definition/{family}:"));
    let matches = |task: &&Task| {
        task.cluster == cluster
            && task.wanted == wanted
            && service.as_ref().is_none_or(|group| task.group == *group)
            && family.as_ref().is_none_or(|family| task.definition.contains(family.as_str()))
            && input.text("startedBy").is_none_or(|by| task.started_by == by)
    };
    let mut found: Vec<&Task> = world.ecs.tasks.values().filter(matches).collect();
    found.sort_by_key(|task| task.created);
    listed(found.into_iter().map(|task| task.arn.clone()).collect(), "taskArns", input, 100)
}

fn tasks(world: &World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let wanted = input.texts("tasks");
    if wanted.is_empty() || wanted.len() > 100 {
        return Err(invalid("Tasks must have between 1 and 100 entries."));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        match find_task(world, &cluster, &name) {
            Some(task) => found.push(task_value(world, task)),
            None => failures.push(json!({"arn": name, "reason": "MISSING"})),
        }
    }
    Ok(json!({"tasks": found, "failures": failures}))
}

fn find_task<'a>(world: &'a World, cluster: &str, name: &str) -> Option<&'a Task> {
    let id = name.rsplit('/').next().unwrap_or(name);
    world.ecs.tasks.values().find(|task| task.cluster == cluster && task.id() == id)
}

fn task_value(world: &World, task: &Task) -> Value {
    let definition = world.ecs.definitions.get(&task.definition);
    let size = |name: &str| definition.and_then(|found| found.properties.get(name)).and_then(crate::input::scalar);
    let health = if task.health == "NONE" { "UNKNOWN" } else { task.health };
    let containers: Vec<Value> = task
        .containers
        .iter()
        .map(|container| {
            let pulled = task.started.is_some() && container.reason.as_deref().is_none_or(|r| !r.contains("Pull"));
            dense(json!({
                "containerArn": format!("{}/{}", task.arn.replace(":task/", ":container/"), container.runtime_id),
                "taskArn": task.arn,
                "name": container.name,
                "image": container.image,
                "imageDigest": container.digest.as_ref().filter(|_| pulled),
                "runtimeId": pulled.then_some(&container.runtime_id),
                "lastStatus": container.status,
                "exitCode": container.exit_code,
                "reason": container.reason,
                "networkBindings": [],
                "networkInterfaces": [],
                "healthStatus": if container.checked { health } else { "UNKNOWN" },
                "cpu": "0",
            }))
        })
        .collect();
    let time = |time: Option<crate::clock::Time>| time.map(crate::clock::Time::epoch);
    dense(json!({
        "attachments": [],
        "availabilityZone": format!("{}a", world.region),
        "capacityProviderName": task.capacity_provider,
        "clusterArn": task.cluster,
        "connectivity": "CONNECTED",
        "containers": containers,
        "cpu": size("Cpu"),
        "memory": size("Memory"),
        "createdAt": task.created.epoch(),
        "desiredStatus": task.wanted,
        "enableExecuteCommand": false,
        "group": task.group,
        "healthStatus": health,
        "lastStatus": task.status,
        "launchType": task.launch_type.as_deref().unwrap_or("FARGATE"),
        "overrides": if task.overrides.is_null() { json!({"containerOverrides": []}) } else { task.overrides.clone() },
        "platformVersion": task.platform_version,
        "platformFamily": "Linux",
        "startedAt": time(task.started),
        "startedBy": (!task.started_by.is_empty()).then_some(&task.started_by),
        "stopCode": task.stop_code,
        "stoppingAt": time(task.stopping),
        "stoppedAt": time(task.stopped),
        "stoppedReason": task.stop_reason,
        "tags": [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.definition,
        "version": 1,
    }))
}

/// A family means its newest active revision. Page: "DescribeTaskDefinition".
fn find_definition<'a>(world: &'a World, name: &str) -> Option<&'a TaskDefinition> {
    let short = name.rsplit('/').next().unwrap_or(name);
    if short.contains(':') {
        return world.ecs.definitions.values().find(|found| found.arn.ends_with(&format!("/{short}")));
    }
    let active = world.ecs.definitions.values().filter(|found| found.family == short && found.deregistered.is_none());
    active.max_by_key(|found| found.revision)
}

fn task_definition(world: &World, input: &Input) -> Answer {
    let name = input.text("taskDefinition").ok_or_else(|| invalid("taskDefinition must not be blank."))?;
    let found = find_definition(world, name)
        .ok_or_else(|| Fault::new("ClientException", "Unable to describe task definition."))?;
    let properties = shape::camel(&found.properties);
    let get = |name: &str| properties.get(name).cloned().unwrap_or(Value::Null);
    let containers = found.properties.get("ContainerDefinitions").map(shape::containers).unwrap_or_default();
    let text = |name: &str| crate::input::scalar(&get(name));
    let definition = dense(json!({
        "taskDefinitionArn": found.arn,
        "containerDefinitions": containers,
        "family": found.family,
        "taskRoleArn": get("taskRoleArn"),
        "executionRoleArn": get("executionRoleArn"),
        "networkMode": get("networkMode"),
        "revision": found.revision,
        "volumes": properties.get("volumes").cloned().unwrap_or_else(|| json!([])),
        "status": if found.deregistered.is_none() { "ACTIVE" } else { "INACTIVE" },
        "requiresAttributes": [],
        "placementConstraints": [],
        "compatibilities": ["EC2", "FARGATE"],
        "runtimePlatform": get("runtimePlatform"),
        "requiresCompatibilities": get("requiresCompatibilities"),
        "cpu": text("cpu"),
        "memory": text("memory"),
        "registeredAt": found.registered.epoch(),
        "deregisteredAt": found.deregistered.map(crate::clock::Time::epoch),
    }));
    let tags =
        if includes_tags(input) { properties.get("tags").cloned().unwrap_or_else(|| json!([])) } else { json!([]) };
    Ok(json!({"taskDefinition": definition, "tags": tags}))
}

fn list_task_definitions(world: &World, input: &Input) -> Answer {
    let active = input.text("status") != Some("INACTIVE");
    let family = input.text("familyPrefix");
    let mut found: Vec<&TaskDefinition> = world
        .ecs
        .definitions
        .values()
        .filter(|found| found.deregistered.is_none() == active && family.is_none_or(|family| family == found.family))
        .collect();
    found.sort_by(|a, b| (&a.family, a.revision).cmp(&(&b.family, b.revision)));
    if input.text("sort") == Some("DESC") {
        found.reverse();
    }
    listed(found.into_iter().map(|found| found.arn.clone()).collect(), "taskDefinitionArns", input, 100)
}

fn clusters(world: &World, input: &Input) -> Value {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    let names = input.texts("clusters");
    for name in if names.is_empty() { vec!["default".to_owned()] } else { names } {
        let short = name.rsplit('/').next().unwrap_or(&name);
        let Some(cluster) = world.ecs.clusters.get(short) else {
            failures.push(json!({"arn": name, "reason": "MISSING"}));
            continue;
        };
        let properties = shape::camel(&cluster.properties);
        let get = |name: &str| properties.get(name).cloned().unwrap_or(Value::Null);
        let tasks = |status: &dyn Fn(&Task) -> bool| {
            world.ecs.tasks.values().filter(|task| task.cluster == cluster.arn && status(task)).count()
        };
        found.push(dense(json!({
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": tasks(&|task| task.status == "RUNNING"),
            "pendingTasksCount": tasks(&|task| task.lives() && task.status != "RUNNING"),
            "activeServicesCount": world.ecs.services.values().filter(|s| s.cluster == cluster.arn && s.status == "ACTIVE").count(),
            "statistics": [],
            "tags": get("tags"),
            "settings": get("clusterSettings"),
            "configuration": get("configuration"),
            "capacityProviders": get("capacityProviders"),
            "defaultCapacityProviderStrategy": get("defaultCapacityProviderStrategy"),
        })));
    }
    json!({"clusters": found, "failures": failures})
}

fn protection(world: &World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let wanted = input.texts("tasks");
    let all: Vec<String> = world.ecs.tasks.values().filter(|task| task.lives()).map(|task| task.arn.clone()).collect();
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for name in if wanted.is_empty() { all } else { wanted } {
        match find_task(world, &cluster, &name) {
            Some(task) => {
                let until = task.protected_until.filter(|until| *until > world.now && task.lives());
                protected.push(dense(json!({
                    "taskArn": task.arn,
                    "protectionEnabled": until.is_some(),
                    "expirationDate": until.map(crate::clock::Time::epoch),
                })));
            }
            None => failures.push(json!({"arn": name, "reason": "TASK_NOT_VALID"})),
        }
    }
    Ok(json!({"protectedTasks": protected, "failures": failures}))
}

fn run_task(world: &mut World, input: &Input) -> Answer {
    let cluster = cluster_arn(world, input)?;
    let name = input.text("taskDefinition").ok_or_else(|| invalid("TaskDefinition cannot be empty."))?;
    let found =
        find_definition(world, name).ok_or_else(|| Fault::new("ClientException", "TaskDefinition not found."))?;
    if found.deregistered.is_some() {
        return Err(Fault::new("ClientException", "TaskDefinition is inactive"));
    }
    if field(&found.properties, "NetworkMode") == "awsvpc" && !input.has("networkConfiguration") {
        let text = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
        return Err(invalid(text));
    }
    let names: Vec<&str> = found
        .properties
        .get("ContainerDefinitions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|container| field(container, "Name"))
        .collect();
    let overrides = input.0.get("overrides").and_then(|o| o.get("containerOverrides")).and_then(Value::as_array);
    for container in overrides.into_iter().flatten() {
        let name = field(container, "name");
        if !names.contains(&name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    let definition = found.arn.clone();
    let count = input.number("count").unwrap_or(1).clamp(1, 10);
    let arns: Vec<String> = (0..count).map(|_| task::run(world, &cluster, &definition, input)).collect();
    let started = arns.iter().filter_map(|arn| world.ecs.tasks.get(arn));
    let values: Vec<Value> = started.map(|task| task_value(world, task)).collect();
    Ok(json!({"tasks": values, "failures": []}))
}
