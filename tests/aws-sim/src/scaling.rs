//! Application Auto Scaling and EventBridge Scheduler: read from the resources of the stacks, and nothing ever scales or
//! fires by itself.
//!
//! Pages: "DescribeScalableTargets", "DescribeScalingPolicies"; "GetSchedule", "ListSchedules".

use serde_json::{Map, Value, json};

use crate::cfn::model::Resource;
use crate::input::{Input, count, field, page, scalar};
use crate::wire::{Answer, Call, Fault};
use crate::world::World;

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "DescribeScalableTargets" => targets(world, &call.input),
        "DescribeScalingPolicies" => policies(world, &call.input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

pub(crate) fn schedules(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "GetSchedule" => get_schedule(world, &call.input),
        "ListSchedules" => list_schedules(world, &call.input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

/// The resources of a type in all stacks.
fn resources<'a>(world: &'a World, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
    let all = world.cfn.stacks.values().flat_map(|stack| stack.resources.values());
    all.filter(move |resource| resource.kind == kind && !resource.physical.is_empty())
}

fn paged(list: Vec<Value>, name: &str, input: &Input) -> Answer {
    let size = usize::try_from(input.number("MaxResults").unwrap_or(50).clamp(1, 50)).unwrap_or(50);
    let invalid = || Fault::new("InvalidNextTokenException", "The next token supplied was invalid");
    let (list, next) = page(list, input.text("NextToken"), size).map_err(|()| invalid())?;
    let mut answer = json!({name: list});
    if let Some(next) = next {
        answer["NextToken"] = Value::from(next);
    }
    Ok(answer)
}

fn namespace(input: &Input) -> Result<&str, Fault> {
    let missing = || {
        Fault::new(
            "ValidationException",
            "1 validation error detected: Value null at 'serviceNamespace' failed to satisfy constraint: Member must not be null",
        )
    };
    input.text("ServiceNamespace").ok_or_else(missing)
}

fn targets(world: &World, input: &Input) -> Answer {
    let namespace = namespace(input)?;
    let ids = input.texts("ResourceIds");
    let list: Vec<Value> = resources(world, "AWS::ApplicationAutoScaling::ScalableTarget")
        .filter(|resource| field(&resource.properties, "ServiceNamespace") == namespace)
        .filter(|resource| ids.is_empty() || ids.iter().any(|id| id == field(&resource.properties, "ResourceId")))
        .map(|resource| {
            let get = |name: &str| resource.properties.get(name).cloned().unwrap_or_default();
            let id = field(&resource.properties, "ResourceId");
            json!({
                "ServiceNamespace": get("ServiceNamespace"),
                "ResourceId": id,
                "ScalableDimension": get("ScalableDimension"),
                "MinCapacity": count(&get("MinCapacity")),
                "MaxCapacity": count(&get("MaxCapacity")),
                "RoleARN": format!("arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService", world.account),
                "CreationTime": resource.changed.epoch(),
                "SuspendedState": {"DynamicScalingInSuspended": false, "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": false},
                "ScalableTargetARN": format!("arn:aws:application-autoscaling:{}:{}:scalable-target/{id}", world.region, world.account),
            })
        })
        .collect();
    paged(list, "ScalableTargets", input)
}

/// Numbers that CloudFormation may hold as text, but the API does not.
fn numbers(value: &Value) -> Value {
    const NAMES: [&str; 8] = [
        "Cooldown",
        "MetricIntervalLowerBound",
        "MetricIntervalUpperBound",
        "ScaleInCooldown",
        "ScaleOutCooldown",
        "ScalingAdjustment",
        "TargetValue",
        "MinAdjustmentMagnitude",
    ];
    match value {
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(fields) => {
            let convert = |(name, value): (&String, &Value)| {
                let number = scalar(value).and_then(|text| serde_json::from_str::<serde_json::Number>(&text).ok());
                let value = match number {
                    Some(number) if NAMES.contains(&name.as_str()) => Value::Number(number),
                    _ => numbers(value),
                };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(convert).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn policies(world: &World, input: &Input) -> Answer {
    let namespace = namespace(input)?;
    let names = input.texts("PolicyNames");
    let mut list = Vec::new();
    for resource in resources(world, "AWS::ApplicationAutoScaling::ScalingPolicy") {
        let target = field(&resource.properties, "ScalingTargetId");
        let mut parts = target.split('|');
        let or_own = |part: Option<&str>, name: &str| {
            part.filter(|part| !part.is_empty()).unwrap_or_else(|| field(&resource.properties, name)).to_owned()
        };
        let id = or_own(parts.next(), "ResourceId");
        let dimension = or_own(parts.next(), "ScalableDimension");
        let service = or_own(parts.next(), "ServiceNamespace");
        let name = field(&resource.properties, "PolicyName");
        let wanted = service == namespace
            && (names.is_empty() || names.iter().any(|wanted| wanted == name))
            && input.text("ResourceId").is_none_or(|wanted| wanted == id);
        if !wanted {
            continue;
        }
        let mut value = json!({
            "PolicyARN": resource.physical, "PolicyName": name, "ServiceNamespace": service, "ResourceId": id,
            "ScalableDimension": dimension, "PolicyType": field(&resource.properties, "PolicyType"), "Alarms": [],
            "CreationTime": resource.changed.epoch(),
        });
        for settings in ["StepScalingPolicyConfiguration", "TargetTrackingScalingPolicyConfiguration"] {
            if let Some(own) = resource.properties.get(settings) {
                value[settings] = numbers(own);
            }
        }
        list.push(value);
    }
    paged(list, "ScalingPolicies", input)
}

fn get_schedule(world: &World, input: &Input) -> Answer {
    let name = input.text("Name").unwrap_or_default();
    let found = resources(world, "AWS::Scheduler::Schedule").find(|resource| resource.physical == name);
    let missing =
        || Fault::new("ResourceNotFoundException", format!("Schedule {name} does not exist.")).with_status(404);
    let resource = found.ok_or_else(missing)?;
    let mut target = resource.properties.get("Target").cloned().unwrap_or_default();
    lower_awsvpc(&mut target);
    let get = |name: &str| resource.properties.get(name).cloned().unwrap_or_default();
    let mut value = json!({
        "Arn": resource.attributes.get("Arn"),
        "CreationDate": resource.changed.epoch(),
        "LastModificationDate": resource.changed.epoch(),
        "FlexibleTimeWindow": get("FlexibleTimeWindow"),
        "GroupName": "default",
        "Name": resource.physical,
        "ScheduleExpression": get("ScheduleExpression"),
        "ScheduleExpressionTimezone": "UTC",
        "State": resource.properties.get("State").cloned().unwrap_or_else(|| Value::from("ENABLED")),
        "Target": target,
    });
    if let Some(description) = resource.properties.get("Description") {
        value["Description"] = description.clone();
    }
    Ok(value)
}

/// The API spells one name otherwise than CloudFormation.
fn lower_awsvpc(target: &mut Value) {
    if let Some(network) = target.pointer_mut("/EcsParameters/NetworkConfiguration").and_then(Value::as_object_mut)
        && let Some(vpc) = network.remove("AwsvpcConfiguration")
    {
        network.insert("awsvpcConfiguration".to_owned(), vpc);
    }
}

fn list_schedules(world: &World, input: &Input) -> Answer {
    let prefix = input.text("NamePrefix").unwrap_or_default();
    let list: Vec<Value> = resources(world, "AWS::Scheduler::Schedule")
        .filter(|resource| resource.physical.starts_with(prefix))
        .map(|resource| {
            json!({
                "Arn": resource.attributes.get("Arn"), "CreationDate": resource.changed.epoch(), "GroupName": "default",
                "LastModificationDate": resource.changed.epoch(), "Name": resource.physical,
                "State": resource.properties.get("State").cloned().unwrap_or_else(|| Value::from("ENABLED")),
                "Target": {"Arn": resource.properties.pointer("/Target/Arn")},
            })
        })
        .collect();
    paged(list, "Schedules", input)
}
