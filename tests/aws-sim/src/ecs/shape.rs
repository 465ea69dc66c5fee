//! CloudFormation's property names and loose types as the ECS API writes them.
//!
//! Pages: "AWS::ECS::TaskDefinition" beside "DescribeTaskDefinition", "AWS::ECS::Service" beside "DescribeServices".

use serde_json::{Map, Value};

use crate::input::scalar;

/// Maps whose keys are data.
const KEPT: [&str; 4] = ["Options", "DockerLabels", "DriverOpts", "Labels"];

/// Numbers in the API, which CloudFormation also takes as text.
const NUMBERS: [&str; 20] = [
    "base",
    "containerPort",
    "hardLimit",
    "hostPort",
    "interval",
    "maximumPercent",
    "memoryReservation",
    "minimumHealthyPercent",
    "port",
    "retries",
    "sharedMemorySize",
    "sizeInGiB",
    "softLimit",
    "startPeriod",
    "startTimeout",
    "stopTimeout",
    "swappiness",
    "timeout",
    "weight",
    "maxSwap",
];

const FLAGS: [&str; 8] = [
    "essential",
    "readonlyRootFilesystem",
    "enable",
    "rollback",
    "privileged",
    "initProcessEnabled",
    "readOnly",
    "interactive",
];

/// `{"ContainerDefinitions": […]}` becomes `{"containerDefinitions": […]}`.
pub(super) fn camel(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(fields) => {
            let mut object = Map::new();
            for (name, value) in fields {
                let lower = lower(name);
                let value = if KEPT.contains(&name.as_str()) {
                    value.clone()
                } else if NUMBERS.contains(&lower.as_str()) {
                    scalar(value).and_then(|text| text.parse::<u64>().ok()).map_or(Value::Null, Value::from)
                } else if FLAGS.contains(&lower.as_str()) {
                    Value::Bool(scalar(value).as_deref() == Some("true"))
                } else {
                    camel(value)
                };
                object.insert(lower, value);
            }
            Value::Object(object)
        }
        other => other.clone(),
    }
}

/// As [`camel`], for a list of containers: their `Cpu` and `Memory` are numbers, those of the task are text.
pub(super) fn containers(value: &Value) -> Vec<Value> {
    let Value::Array(list) = camel(value) else { return Vec::new() };
    let number = |value: &Value| scalar(value).and_then(|text| text.parse::<u64>().ok());
    list.into_iter()
        .map(|mut container| {
            for name in ["cpu", "memory"] {
                let given = container.get(name).and_then(number);
                if name == "cpu" || given.is_some() {
                    container[name] = given.unwrap_or_default().into();
                }
            }
            for name in ["portMappings", "environment", "mountPoints", "volumesFrom"] {
                if container.get(name).is_none() {
                    container[name] = Value::Array(Vec::new());
                }
            }
            if container.get("essential").is_none() {
                container["essential"] = true.into();
            }
            container
        })
        .collect()
}

fn lower(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_types_follow_the_api() {
        let value = json!([{"Name": "a", "Cpu": "10", "Essential": "false", "StopTimeout": "120",
            "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "g"}}}]);
        let container = &containers(&value)[0];
        assert_eq!(container["cpu"], 10);
        assert_eq!(container["essential"], false);
        assert_eq!(container["stopTimeout"], 120);
        assert_eq!(container["logConfiguration"]["options"]["awslogs-group"], "g");
        assert_eq!(container["portMappings"], json!([]));
    }
}
