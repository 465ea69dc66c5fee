//! ECS when all is well: services, tasks, task definitions, scaling, protection, tasks that are run on their own.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::template::{create, start_update, status, with_image};

fn service(client: &Client, name: &str) -> Value {
    let found = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": [name]}));
    found["services"][0].clone()
}

fn tasks(client: &Client, name: &str, desired: &str) -> Vec<Value> {
    let asked = json!({"cluster": "cluster", "serviceName": name, "desiredStatus": desired});
    let arns = client.ecs("ListTasks", &asked)["taskArns"].clone();
    if arns.as_array().is_none_or(Vec::is_empty) {
        return Vec::new();
    }
    let found = client.ecs("DescribeTasks", &json!({"cluster": "cluster", "tasks": arns}));
    found["tasks"].as_array().unwrap().clone()
}

#[test]
fn a_service_runs_what_its_task_definition_says() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.advance(Duration::from_mins(5));
    let a = service(&client, "svc-a");
    assert_eq!((&a["desiredCount"], &a["runningCount"], &a["pendingCount"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(a["deployments"].as_array().unwrap().len(), 1);
    // The scalable target raised the other to its minimum.
    assert_eq!(service(&client, "svc-b")["runningCount"], 2);
    let task = &tasks(&client, "svc-a", "RUNNING")[0];
    assert_eq!(task["taskDefinitionArn"], a["taskDefinition"]);
    assert_eq!((&task["containers"][0]["imageDigest"], &task["healthStatus"]), (&json!("sha256:1"), &json!("HEALTHY")));
    let definition = client.ecs("DescribeTaskDefinition", &json!({"taskDefinition": "a"}));
    let container = &definition["taskDefinition"]["containerDefinitions"][0];
    assert_eq!((&definition["taskDefinition"]["cpu"], &container["image"]), (&json!("256"), &json!("a/b@sha256:1")));
    assert_eq!(container["secrets"][0]["valueFrom"], "arn:aws:ssm:us-east-1:111122223333:parameter/TEST/URL");
    let cluster = client.ecs("DescribeClusters", &json!({"clusters": ["cluster", "none"]}));
    assert_eq!(
        (&cluster["clusters"][0]["activeServicesCount"], &cluster["failures"][0]["reason"]),
        (&json!(2), &json!("MISSING"))
    );
}

#[test]
fn the_limits_of_reads_are_those_of_ecs() {
    let client = Client::start("{}");
    create(&client);
    let names: Vec<String> = (0..11).map(|index| format!("svc-{index}")).collect();
    let refused = client.json("ecs", "DescribeServices", &json!({"cluster": "cluster", "services": names}));
    assert_eq!(refused.code(), "InvalidParameterException");
    let none = client.json("ecs", "DescribeServices", &json!({"cluster": "none", "services": ["x"]}));
    assert_eq!(none.code(), "ClusterNotFoundException");
    let missing = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["x"]}));
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
    let first = client.ecs("ListServices", &json!({"cluster": "cluster", "maxResults": 1}));
    let token = first["nextToken"].as_str().unwrap();
    let second = client.ecs("ListServices", &json!({"cluster": "cluster", "maxResults": 1, "nextToken": token}));
    assert_ne!(first["serviceArns"], second["serviceArns"]);
    assert!(second["nextToken"].is_null());
    assert_eq!(
        client.json("ecs", "ListTasks", &json!({"cluster": "cluster", "serviceName": "x"})).code(),
        "ServiceNotFoundException"
    );
}

#[test]
fn a_rollout_starts_new_tasks_before_it_stops_old_ones() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.scale("svc-a", 3).unwrap();
    client.simulator.advance(Duration::from_mins(5));
    start_update(&client, &with_image("sha256:2"));
    let mut fewest = u64::MAX;
    let mut most = 0;
    while status(&client) == "UPDATE_IN_PROGRESS" {
        client.simulator.advance(Duration::from_secs(2));
        let alive = tasks(&client, "svc-a", "RUNNING");
        let ready = alive.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        fewest = fewest.min(u64::try_from(ready).unwrap());
        most = most.max(alive.len());
    }
    assert_eq!((fewest, most), (3, 6));
    client.settle();
    let old = tasks(&client, "svc-a", "STOPPED");
    assert_eq!(old.len(), 3);
    assert!(
        old[0]["stoppedReason"].as_str().unwrap().starts_with("Scaling activity initiated by (deployment ecs-svc/")
    );
    let messages: Vec<String> = service(&client, "svc-a")["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(messages[0], "(service svc-a) has reached a steady state.");
    assert!(messages[1].ends_with("deployment completed."), "{messages:?}");
    let inactive = client.ecs("DescribeTaskDefinition", &json!({"taskDefinition": "a:1"}));
    assert_eq!(inactive["taskDefinition"]["status"], "INACTIVE");
}

#[test]
fn a_rollout_waits_for_protected_tasks() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.protect("svc-a", Duration::from_hours(2)).unwrap();
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_hours(1));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    let deployments = service(&client, "svc-a")["deployments"].clone();
    assert_eq!(deployments.as_array().unwrap().len(), 2);
    assert_eq!((&deployments[0]["rolloutState"], &deployments[1]["status"]), (&json!("IN_PROGRESS"), &json!("ACTIVE")));
    let all: Vec<String> =
        tasks(&client, "svc-a", "RUNNING").iter().map(|task| task["taskArn"].as_str().unwrap().to_owned()).collect();
    let protection = client.ecs("GetTaskProtection", &json!({"cluster": "cluster", "tasks": all}));
    let protected = protection["protectedTasks"].as_array().unwrap();
    assert_eq!(protected.iter().filter(|task| task["protectionEnabled"] == true).count(), 1);
    client.simulator.advance(Duration::from_hours(2));
    assert_eq!(status(&client), "UPDATE_COMPLETE");
}

#[test]
fn a_task_can_be_run_on_its_own() {
    let client = Client::start("{}");
    create(&client);
    let asked = json!({"cluster": "cluster", "taskDefinition": "a", "launchType": "FARGATE", "startedBy": "deploy",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}},
        "overrides": {"containerOverrides": [{"name": "a", "command": ["--check-settings"]}]}});
    let run = || client.ecs("RunTask", &asked)["tasks"][0]["taskArn"].clone();
    let end = |arn: &Value| {
        client.simulator.advance(Duration::from_mins(2));
        let found = client.ecs("DescribeTasks", &json!({"cluster": "cluster", "tasks": [arn]}));
        found["tasks"][0].clone()
    };
    let good = end(&run());
    assert_eq!((&good["lastStatus"], &good["stopCode"]), (&json!("STOPPED"), &json!("EssentialContainerExited")));
    assert_eq!(
        (&good["containers"][0]["exitCode"], &good["containers"][0]["imageDigest"]),
        (&json!(0), &json!("sha256:1"))
    );
    assert_eq!((&good["group"], &good["startedBy"]), (&json!("family:a"), &json!("deploy")));
    client.control(
        "POST",
        "scenario",
        &json!({"run_task": {"a": {"fails": "crash", "exit_code": 64, "log": ["NSQ_URL is missing"]}}}),
    );
    assert_eq!(end(&run())["containers"][0]["exitCode"], 64);
    let lines =
        client.json("logs", "FilterLogEvents", &json!({"logGroupName": "/ecs/test", "filterPattern": "NSQ_URL"}));
    assert_eq!(lines.json()["events"][0]["message"], "NSQ_URL is missing");
    let mut wrong = asked.clone();
    wrong["overrides"]["containerOverrides"][0]["name"] = "b".into();
    assert_eq!(client.json("ecs", "RunTask", &wrong).code(), "InvalidParameterException");
    wrong.as_object_mut().unwrap().remove("networkConfiguration");
    assert_eq!(client.json("ecs", "RunTask", &wrong).code(), "InvalidParameterException");
}

#[test]
fn a_scale_in_waits_for_protected_tasks() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.scale("svc-a", 3).unwrap();
    client.simulator.advance(Duration::from_mins(5));
    client.simulator.protect("svc-a", Duration::from_mins(10)).unwrap();
    client.simulator.scale("svc-a", 1).unwrap();
    client.simulator.advance(Duration::from_mins(5));
    let a = service(&client, "svc-a");
    assert_eq!((&a["desiredCount"], &a["runningCount"]), (&json!(1), &json!(3)));
    assert_eq!(a["deployments"][0]["rolloutState"], "COMPLETED");
    client.simulator.advance(Duration::from_mins(6));
    assert_eq!(service(&client, "svc-a")["runningCount"], 1);
}

#[test]
fn an_interrupted_spot_task_is_replaced_and_no_failure() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.advance(Duration::from_mins(5));
    // Protection is no help against it.
    client.simulator.protect("svc-a", Duration::from_hours(1)).unwrap();
    client.simulator.interrupt("svc-a", 1).unwrap();
    assert!(client.simulator.interrupt("svc-a", 2).is_err(), "there is none left");
    let a = service(&client, "svc-a");
    assert_eq!(
        (&a["desiredCount"], &a["runningCount"], &a["deployments"][0]["failedTasks"]),
        (&json!(1), &json!(0), &json!(0))
    );
    client.simulator.advance(Duration::from_mins(3));
    assert_eq!(service(&client, "svc-a")["runningCount"], 1);
    let stopped = tasks(&client, "svc-a", "STOPPED");
    assert_eq!((&stopped[0]["stopCode"], stopped.len()), (&json!("SpotInterruption"), 1));
}
