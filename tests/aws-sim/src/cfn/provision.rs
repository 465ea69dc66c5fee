//! What CloudFormation does to the other services: it makes, changes and deletes physical resources.
//!
//! Page: "AWS resource and property types reference", the section "Return values" of each type, for ids and attributes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::catalog;
use super::model::{Resource, Stack};
use crate::ecs;
use crate::input::{field, scalar};
use crate::world::World;

/// How long a job takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    Takes(Duration),
    Fails(String),
    /// As long as the rollout of this ECS service.
    Rollout(String),
}

type Created = (String, BTreeMap<String, String>, Progress);

pub(crate) fn create(
    world: &mut World,
    stack: &Stack,
    logical: &str,
    kind: &str,
    properties: &Value,
) -> Result<Created, String> {
    let table = catalog::of(kind);
    let takes = Progress::Takes(world.scenario.seconds_of(kind, table.seconds));
    if let Some(name) = table.given_name(properties) {
        // Names of services are unique in their cluster only.
        let name = format!("{}{name}", field(properties, "Cluster"));
        if !world.names.insert((kind.to_owned(), name)) {
            let (property, name) =
                (table.unique_name.unwrap_or_default(), table.given_name(properties).unwrap_or_default());
            return Err(format!(
                "Resource of type '{kind}' with identifier '{{\"/properties/{property}\":\"{name}\"}}' already exists."
            ));
        }
    }
    match kind {
        "AWS::ECS::Service" => {
            let arn = ecs::provision::create_service(world, properties)?;
            let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
            let attributes = [("Name", name), ("ServiceArn", arn.clone())];
            return Ok((arn.clone(), owned(attributes), Progress::Rollout(arn)));
        }
        "AWS::ECS::TaskDefinition" => {
            let arn = ecs::provision::register(world, &stack.name, logical, properties);
            return Ok((arn.clone(), owned([("TaskDefinitionArn", arn)]), takes));
        }
        "AWS::ECS::Cluster" => {
            let made_up = format!("{}-{logical}-{}", stack.name, world.chance.suffix(12));
            let name = table.given_name(properties).unwrap_or(&made_up).to_owned();
            let arn = ecs::provision::create_cluster(world, &name, properties);
            return Ok((name, owned([("Arn", arn)]), takes));
        }
        "AWS::ApplicationAutoScaling::ScalableTarget" => ecs::provision::keep_at_least(world, properties),
        _ => {}
    }
    let (physical, attributes) = identify(world, stack, logical, kind, properties);
    if kind == "AWS::Logs::LogGroup" {
        let days = properties.get("RetentionInDays").and_then(crate::input::count);
        world.logs.create(&physical, days, world.now);
    }
    Ok((physical, attributes, takes))
}

fn owned<const N: usize>(attributes: [(&str, String); N]) -> BTreeMap<String, String> {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The physical id and the attributes of a resource that no other module keeps.
fn identify(
    world: &mut World,
    stack: &Stack,
    logical: &str,
    kind: &str,
    properties: &Value,
) -> (String, BTreeMap<String, String>) {
    let suffix = world.chance.suffix(12);
    let made_up = format!("{}-{logical}-{suffix}", stack.name);
    let name = catalog::of(kind).given_name(properties).unwrap_or(&made_up).to_owned();
    let (account, region) = (&world.account, &world.region);
    let arn = |service: &str, rest: String| format!("arn:aws:{service}:{region}:{account}:{rest}");
    match kind {
        "AWS::Logs::LogGroup" => {
            let arn = arn("logs", format!("log-group:{name}:*"));
            (name, owned([("Arn", arn)]))
        }
        "AWS::IAM::Role" => {
            let arn = format!("arn:aws:iam::{account}:role/{name}");
            (name, owned([("Arn", arn), ("RoleId", format!("AROA{suffix}"))]))
        }
        "AWS::IAM::ManagedPolicy" => {
            let arn = format!("arn:aws:iam::{account}:policy/{name}");
            (arn.clone(), owned([("PolicyArn", arn), ("PolicyId", format!("ANPA{suffix}"))]))
        }
        "AWS::ServiceDiscovery::Service" => {
            let id = format!("srv-{}", suffix.to_lowercase());
            let arn = arn("servicediscovery", format!("service/{id}"));
            (id.clone(), owned([("Arn", arn), ("Id", id), ("Name", field(properties, "Name").to_owned())]))
        }
        "AWS::ApplicationAutoScaling::ScalableTarget" => {
            let part = |name: &str| field(properties, name);
            let id = format!("{}|{}|{}", part("ResourceId"), part("ScalableDimension"), part("ServiceNamespace"));
            (id.clone(), owned([("Id", id)]))
        }
        "AWS::ApplicationAutoScaling::ScalingPolicy" => {
            let target = properties.get("ScalingTargetId").and_then(scalar).unwrap_or_default();
            let resource = target.split('|').next().filter(|id| !id.is_empty());
            let resource = resource.unwrap_or_else(|| field(properties, "ResourceId")).to_owned();
            let (id, policy) = (world.chance.uuid(), field(properties, "PolicyName"));
            let arn = format!(
                "arn:aws:autoscaling:{}:{}:scalingPolicy:{id}:resource/ecs/{resource}:policyName/{policy}",
                world.region, world.account
            );
            (arn.clone(), owned([("Arn", arn)]))
        }
        "AWS::SQS::Queue" => {
            let url = format!("https://sqs.{region}.amazonaws.com/{account}/{name}");
            let arn = arn("sqs", name.clone());
            (url.clone(), owned([("Arn", arn), ("QueueName", name), ("QueueUrl", url)]))
        }
        "AWS::Events::Rule" => (name.clone(), owned([("Arn", arn("events", format!("rule/{name}")))])),
        "AWS::CloudWatch::Alarm" => (name.clone(), owned([("Arn", arn("cloudwatch", format!("alarm:{name}")))])),
        "AWS::Scheduler::Schedule" => {
            (name.clone(), owned([("Arn", arn("scheduler", format!("schedule/default/{name}")))]))
        }
        "AWS::SNS::Topic" => {
            let arn = arn("sns", name.clone());
            (arn.clone(), owned([("TopicArn", arn), ("TopicName", name)]))
        }
        "AWS::S3::Bucket" => (name.to_lowercase(), owned([("Arn", format!("arn:aws:s3:::{}", name.to_lowercase()))])),
        "AWS::EC2::SecurityGroup" => {
            let id = format!("sg-{}", world.chance.hex(17));
            (id.clone(), owned([("GroupId", id)]))
        }
        _ => (name.clone(), owned([("Arn", arn("unknown", name.clone())), ("Id", name.clone()), ("Name", name)])),
    }
}

pub(crate) fn update(world: &mut World, resource: &Resource, properties: &Value) -> Result<Progress, String> {
    let takes = Progress::Takes(world.scenario.seconds_of(&resource.kind, catalog::of(&resource.kind).seconds));
    match resource.kind.as_str() {
        "AWS::ECS::Service" => ecs::provision::update_service(world, &resource.physical, properties),
        "AWS::ECS::Cluster" => {
            ecs::provision::update_cluster(world, &resource.physical, properties);
            Ok(takes)
        }
        "AWS::Logs::LogGroup" => {
            let days = properties.get("RetentionInDays").and_then(crate::input::count);
            world.logs.retain(&resource.physical, days);
            Ok(takes)
        }
        "AWS::ApplicationAutoScaling::ScalableTarget" => {
            ecs::provision::keep_at_least(world, properties);
            Ok(takes)
        }
        _ => Ok(takes),
    }
}

pub(crate) fn delete(world: &mut World, resource: &Resource) -> Result<Progress, String> {
    let table = catalog::of(&resource.kind);
    match resource.kind.as_str() {
        "AWS::ECS::Service" => ecs::provision::delete_service(world, &resource.physical),
        "AWS::ECS::TaskDefinition" => ecs::provision::deregister(world, &resource.physical),
        "AWS::ECS::Cluster" => ecs::provision::delete_cluster(world, &resource.physical)?,
        "AWS::Logs::LogGroup" => world.logs.delete(&resource.physical),
        "AWS::ServiceDiscovery::Service" => {
            // Page: "DeleteService" of Cloud Map: a service that holds instances cannot be deleted.
            let arn = resource.attributes.get("Arn").cloned().unwrap_or_default();
            if ecs::provision::registers_with(world, &arn) {
                return Err("Resource handler returned message: \"Service contains registered instances; delete the instances before deleting the service\" (HandlerErrorCode: ResourceConflict)".to_owned());
            }
        }
        _ => {}
    }
    if let Some(name) = table.given_name(&resource.properties) {
        let name = format!("{}{name}", field(&resource.properties, "Cluster"));
        world.names.remove(&(resource.kind.clone(), name));
    }
    Ok(Progress::Takes(world.scenario.seconds_of(&resource.kind, table.seconds) / 2))
}
