//! Tasks that fail, each in ECS's words, and what becomes of the rollout and of the stack.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::template::{create, events, position, start_update, status, update, with_image};

/// The stack exists, and from now on this scenario applies.
fn with(scenario: &Value) -> Client {
    let client = Client::start("{}");
    assert_eq!(create(&client), "CREATE_COMPLETE");
    client.control("POST", "scenario", scenario);
    client
}

fn stopped(client: &Client, service: &str) -> Vec<Value> {
    let asked = json!({"cluster": "cluster", "serviceName": service, "desiredStatus": "STOPPED"});
    let arns = client.ecs("ListTasks", &asked)["taskArns"].clone();
    let found = client.ecs("DescribeTasks", &json!({"cluster": "cluster", "tasks": arns}));
    let mut tasks = found["tasks"].as_array().unwrap().clone();
    tasks.retain(|task| task["stopCode"] != "ServiceSchedulerInitiated" || task["healthStatus"] == "UNHEALTHY");
    tasks
}

#[test]
fn each_way_to_fail_has_its_reason_and_rolls_back() {
    let ways = [
        (json!({"fails": "cannot_pull"}), "TaskFailedToStart", "CannotPullContainerError", Value::Null),
        (
            json!({"fails": "missing_parameter", "parameter": "/TEST/URL"}),
            "TaskFailedToStart",
            "invalid parameters: /TEST/URL",
            Value::Null,
        ),
        (
            json!({"fails": "crash", "exit_code": 64}),
            "EssentialContainerExited",
            "Essential container in task exited",
            json!(64),
        ),
        (json!({"fails": "out_of_memory"}), "EssentialContainerExited", "OutOfMemoryError", json!(137)),
        (json!({"fails": "unhealthy"}), "ServiceSchedulerInitiated", "Task failed container health checks", json!(143)),
    ];
    for (fault, code, reason, exit) in ways {
        let client = with(&json!({"services": {"svc-a": fault}}));
        assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_ROLLBACK_COMPLETE", "{fault}");
        let events = events(&client);
        let failed = &events[position(&events, "AService", "UPDATE_FAILED")];
        assert!(failed.2.contains("ECS Deployment Circuit Breaker was triggered"), "{}", failed.2);
        let stopped = stopped(&client, "svc-a");
        // Three of them: the threshold for one desired task.
        assert_eq!(stopped.len(), 3, "{fault}");
        assert_eq!(stopped[0]["stopCode"], code);
        assert!(stopped[0]["stoppedReason"].as_str().unwrap().contains(reason), "{}", stopped[0]);
        assert_eq!(stopped[0]["containers"][0]["exitCode"], exit);
        let service = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
        let service = &service["services"][0];
        assert!(service["taskDefinition"].as_str().unwrap().ends_with("/a:1"));
        assert_eq!(service["runningCount"], 1);
        assert!(service["events"].to_string().contains("deployment failed: tasks failed to start."));
    }
}

#[test]
fn failures_are_seen_while_they_happen() {
    let client = with(&json!({"services": {"svc-a": {"fails": "crash", "log": ["cannot reach redis"]}}}));
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_mins(1));
    let service = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
    let primary = &service["services"][0]["deployments"][0];
    assert_eq!((&primary["rolloutState"], &primary["failedTasks"]), (&json!("IN_PROGRESS"), &json!(1)));
    let lines = client.json(
        "logs",
        "FilterLogEvents",
        &json!({"logGroupName": "/ecs/test", "filterPattern": "\"reach redis\""}),
    );
    let stream = lines.json()["events"][0]["logStreamName"].as_str().unwrap().to_owned();
    let id = stopped(&client, "svc-a")[0]["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(stream, format!("a/a/{id}"));
}

#[test]
fn what_is_not_there_fails_by_itself() {
    let client = with(&json!({
        "parameters": ["/TEST/OTHER"], "images": [{"repository": "a/b", "digest": "sha256:1"}],
    }));
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_ROLLBACK_COMPLETE");
    assert!(stopped(&client, "svc-a")[0]["stoppedReason"].as_str().unwrap().contains("invalid parameters: /TEST/URL"));
    // The other service needs no parameter, but has no breaker either: it tries for ever and is cancelled.
    assert!(stopped(&client, "svc-b")[0]["stoppedReason"].as_str().unwrap().contains("CannotPullContainerError"));
}

#[test]
fn without_a_breaker_cloudformation_gives_up_after_three_hours() {
    let client = with(&json!({"services": {"svc-b": {"fails": "crash"}}}));
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_mins(170));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
    let events = events(&client);
    assert!(events[position(&events, "BService", "UPDATE_FAILED")].2.contains("NotStabilized"));
}

#[test]
fn a_rollback_may_be_silent() {
    let scenario = json!({"services": {"svc-a": {"fails": "crash"}}, "faults": {"silent_rollback": true}});
    let client = with(&scenario);
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_COMPLETE");
    let service = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
    let service = &service["services"][0];
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("/a:1"), "{service}");
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn a_fault_may_befall_the_first_tasks_only() {
    let client = with(&json!({"services": {"svc-a": {"fails": "crash", "times": 2}}}));
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_COMPLETE");
    let service = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
    assert_eq!(service["services"][0]["deployments"][0]["failedTasks"], 0);
    assert_eq!(stopped(&client, "svc-a").len(), 2);
}

#[test]
fn a_task_that_never_starts_keeps_the_stack_waiting() {
    let client = with(&json!({"services": {"svc-a": {"fails": "never_starts"}}}));
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_hours(2));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
}

#[test]
fn a_first_deployment_has_nothing_to_go_back_to() {
    let client = Client::start(r#"{"services": {"svc-a": {"fails": "cannot_pull"}}}"#);
    assert_eq!(create(&client), "ROLLBACK_COMPLETE");
    let events = events(&client);
    assert!(events[position(&events, "AService", "CREATE_FAILED")].2.contains("Circuit Breaker"));
}
