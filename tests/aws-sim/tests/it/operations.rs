//! Operations that fail, are cancelled, rolled back or stuck: statuses, and the order of events.

use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::template::{
    STACK, TEMPLATE, create, create_with, events, position, prepare, start_update, status, update, with_image,
};

/// The stack exists, and from now on this befalls its resources.
fn with_resource_faults(faults: &serde_json::Value) -> Client {
    let client = Client::start("{}");
    assert_eq!(create(&client), "CREATE_COMPLETE");
    client.control("POST", "scenario", &json!({"resources": faults}));
    client
}

#[test]
fn an_update_passes_through_its_cleanup() {
    let client = Client::start("{}");
    create(&client);
    start_update(&client, &with_image("sha256:2"));
    let mut seen = vec![status(&client)];
    while seen.last().is_some_and(|last| last != "UPDATE_COMPLETE") {
        client.simulator.advance(Duration::from_secs(1));
        let now = status(&client);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]);
    let events = events(&client);
    let cleanup = position(&events, STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
    assert!(position(&events, "AService", "UPDATE_COMPLETE") < cleanup);
    assert!(cleanup < position(&events, "ADefinition", "DELETE_IN_PROGRESS"));
    assert!(position(&events, "ADefinition", "DELETE_COMPLETE") < position(&events, STACK, "UPDATE_COMPLETE"));
    // What did not change is not mentioned.
    assert!(!events.iter().any(|event| event.0 == "Cluster" && event.1.starts_with("UPDATE")));
}

#[test]
fn a_failure_cancels_its_siblings_and_everything_goes_back() {
    let client =
        with_resource_faults(&json!({"AService": [{"on": "update", "reason": "No such luck", "after_seconds": 10}]}));
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_ROLLBACK_COMPLETE");
    let events = events(&client);
    let failed: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| event.1.ends_with("_FAILED"))
        .map(|event| (event.0.as_str(), event.2.as_str()))
        .collect();
    assert_eq!(failed, [("AService", "No such luck"), ("BService", "Resource update cancelled")]);
    let back = position(&events, STACK, "UPDATE_ROLLBACK_IN_PROGRESS");
    assert_eq!(events[back].2, "The following resource(s) failed to update: [AService, BService]. ");
    let cleanup = position(&events, STACK, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS");
    let last: Vec<&str> = events[cleanup..].iter().map(|event| event.1.as_str()).collect();
    assert_eq!(last.iter().filter(|status| **status == "DELETE_COMPLETE").count(), 2, "{last:?}");
    assert_eq!(client.ok("GetTemplate", &[("StackName", STACK)]).text("TemplateBody"), TEMPLATE);
    let service = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
    assert!(service["services"][0]["taskDefinition"].as_str().unwrap().ends_with("/a:1"));
    // And it can be updated again.
    client.control("POST", "scenario", &json!({}));
    assert_eq!(update(&client, &with_image("sha256:3")), "UPDATE_COMPLETE");
}

#[test]
fn a_custom_named_resource_cannot_be_replaced() {
    let client = with_resource_faults(&json!({}));
    let moved = TEMPLATE.replace("ServiceName: svc-b,", "ServiceName: svc-b, LaunchType: FARGATE,");
    assert_eq!(update(&client, &moved), "UPDATE_ROLLBACK_COMPLETE");
    let events = events(&client);
    let failed = &events[position(&events, "BService", "UPDATE_FAILED")];
    assert!(failed.2.contains("cannot update a stack when a custom-named resource requires replacing"), "{}", failed.2);
}

#[test]
fn a_rollback_that_fails_is_continued_and_may_skip() {
    let client = with_resource_faults(&json!({
        "BService": [{"on": "update", "reason": "first", "after_seconds": 120}],
        "AService": [{"on": "rollback", "reason": "second"}],
    }));
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_ROLLBACK_FAILED");
    let events_before = events(&client);
    let reason = &events_before[position(&events_before, STACK, "UPDATE_ROLLBACK_FAILED")].2;
    assert!(reason.starts_with("The following resource(s) failed to update: [AService"), "{reason}");
    let wrong = [("StackName", STACK), ("ResourcesToSkip.member.1", "Cluster")];
    assert_eq!(client.refused("ContinueUpdateRollback", &wrong).0, "ValidationError");
    // Without skipping it fails once more.
    client.ok("ContinueUpdateRollback", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_FAILED");
    client.ok("ContinueUpdateRollback", &[("StackName", STACK), ("ResourcesToSkip.member.1", "AService")]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
}

#[test]
fn only_an_update_in_progress_can_be_cancelled() {
    let client = Client::start("{}");
    create(&client);
    assert_eq!(client.refused("CancelUpdateStack", &[("StackName", STACK)]).0, "ValidationError");
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_secs(20));
    client.ok("CancelUpdateStack", &[("StackName", STACK)]);
    assert_eq!(status(&client), "UPDATE_ROLLBACK_IN_PROGRESS");
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
    let events = events(&client);
    assert_eq!(events[position(&events, STACK, "UPDATE_ROLLBACK_IN_PROGRESS")].2, "User Initiated");
    assert_eq!(events[position(&events, "AService", "UPDATE_FAILED")].2, "Resource update cancelled");
}

#[test]
fn a_cancellation_works_at_any_second_of_an_update() {
    for second in 0..70 {
        let client = Client::start("{}");
        create(&client);
        start_update(&client, &with_image("sha256:2"));
        client.simulator.advance(Duration::from_secs(second));
        if status(&client) != "UPDATE_IN_PROGRESS" {
            assert!(second > 50, "the update was over after {second} s");
            break;
        }
        client.ok("CancelUpdateStack", &[("StackName", STACK)]);
        client.settle();
        assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE", "after {second} s");
        let found = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a", "svc-b"]}));
        for service in found["services"].as_array().unwrap() {
            assert!(service["taskDefinition"].as_str().unwrap().ends_with(":1"), "after {second} s: {service}");
        }
    }
}

#[test]
fn a_failed_creation_is_undone_but_for_what_is_retained() {
    let fault = r#"{"resources": {"AService": [{"on": "create", "reason": "no"}]}}"#;
    let client = Client::start(fault);
    assert_eq!(create(&client), "ROLLBACK_COMPLETE");
    let events = events(&client);
    position(&events, "Logs", "DELETE_SKIPPED");
    let order = |logical| position(&events, logical, "DELETE_COMPLETE");
    assert!(order("AService") < order("Cluster") && order("ADefinition") < order("Role"));
    let update = [
        ("StackName", STACK),
        ("ChangeSetName", "u"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    assert!(
        client.refused("CreateChangeSet", &update).1.contains("is in ROLLBACK_COMPLETE state and can not be updated")
    );
    // Deleted and created again, it stumbles over the log group that was kept.
    client.control("POST", "scenario", &json!({}));
    client.ok("DeleteStack", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(create(&client), "ROLLBACK_COMPLETE");
    let events = super::template::events(&client);
    assert!(events[position(&events, "Logs", "CREATE_FAILED")].2.contains("already exists"));
}

#[test]
fn a_failed_creation_may_be_kept_or_deleted() {
    let fault = r#"{"resources": {"AService": [{"on": "create", "reason": "no", "times": 1}]}}"#;
    let client = Client::start(fault);
    assert_eq!(create_with(&client, &[("OnStackFailure", "DO_NOTHING")]), "CREATE_FAILED");
    client.ok("RollbackStack", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(status(&client), "ROLLBACK_COMPLETE");

    let client = Client::start(fault);
    let parameters = [
        ("StackName", STACK),
        ("ChangeSetName", "create"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
        ("OnStackFailure", "DELETE"),
    ];
    let id = client.ok("CreateChangeSet", &parameters).text("StackId");
    client.settle();
    client.ok("ExecuteChangeSet", &[("StackName", STACK), ("ChangeSetName", "create")]);
    client.settle();
    assert_eq!(client.ok("DescribeStacks", &[("StackName", &id)]).text("StackStatus"), "DELETE_COMPLETE");
}

#[test]
fn with_rollback_disabled_an_update_stops_where_it_failed() {
    let client = with_resource_faults(&json!({"AService": [{"on": "update", "reason": "no", "times": 1}]}));
    let id = prepare(&client, "update", &with_image("sha256:2"));
    client.ok("ExecuteChangeSet", &[("ChangeSetName", &id), ("DisableRollback", "true")]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_FAILED");
    // Its sibling came to its end.
    position(&events(&client), "BService", "UPDATE_COMPLETE");
    client.ok("RollbackStack", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
}

#[test]
fn a_resource_may_hang_and_a_cleanup_may_fail() {
    let client = with_resource_faults(&json!({
        "ADefinition": [{"on": "delete", "reason": "still in use"}],
        "AService": [{"on": "update", "takes_seconds": 100_000}],
    }));
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_hours(20));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    client.simulator.advance(Duration::from_hours(20));
    assert_eq!(status(&client), "UPDATE_COMPLETE");
    let events = events(&client);
    assert!(position(&events, "ADefinition", "DELETE_FAILED") < position(&events, STACK, "UPDATE_COMPLETE"));

    let client = with_resource_faults(&json!({"AService": [{"on": "update"}]}));
    start_update(&client, &with_image("sha256:2"));
    client.simulator.advance(Duration::from_hours(100));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
}

#[test]
fn every_status_can_be_set_and_decides_what_is_accepted() {
    let client = Client::start("{}");
    create(&client);
    let updatable = |status: &str| {
        matches!(
            status,
            "CREATE_COMPLETE"
                | "UPDATE_COMPLETE"
                | "UPDATE_ROLLBACK_COMPLETE"
                | "IMPORT_COMPLETE"
                | "IMPORT_ROLLBACK_COMPLETE"
                | "CREATE_FAILED"
                | "UPDATE_FAILED"
        )
    };
    let all = [
        "CREATE_IN_PROGRESS",
        "CREATE_FAILED",
        "CREATE_COMPLETE",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_FAILED",
        "ROLLBACK_COMPLETE",
        "DELETE_IN_PROGRESS",
        "DELETE_FAILED",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_COMPLETE",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "REVIEW_IN_PROGRESS",
        "IMPORT_IN_PROGRESS",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_IN_PROGRESS",
        "IMPORT_ROLLBACK_FAILED",
        "IMPORT_ROLLBACK_COMPLETE",
    ];
    for (index, wanted) in all.iter().enumerate() {
        client.control("POST", "stacks/stack/status", &json!({"status": wanted, "reason": "as the test wants"}));
        let stack = client.ok("DescribeStacks", &[("StackName", STACK)]);
        assert_eq!(
            (stack.text("StackStatus").as_str(), stack.text("StackStatusReason").as_str()),
            (*wanted, "as the test wants")
        );
        let (name, body) = (format!("n{index}"), with_image("sha256:2"));
        let parameters = [
            ("StackName", STACK),
            ("ChangeSetName", &name),
            ("TemplateBody", &body),
            ("Capabilities.member.1", "CAPABILITY_IAM"),
        ];
        let accepted = client.query("CreateChangeSet", &parameters).status == 200;
        assert_eq!(accepted, updatable(wanted), "{wanted}");
        client.settle();
    }
    client.simulator.set_status(STACK, "DELETE_COMPLETE", None).unwrap();
    assert!(client.query("DescribeStacks", &[("StackName", STACK)]).body.contains("does not exist"));
}

#[test]
fn a_status_that_was_set_can_be_recovered_from() {
    let client = Client::start("{}");
    create(&client);
    let failed = json!({"status": "UPDATE_ROLLBACK_FAILED", "resources": {"AService": "UPDATE_FAILED"}});
    client.control("POST", "stacks/stack/status", &failed);
    client.ok("ContinueUpdateRollback", &[("StackName", STACK), ("ResourcesToSkip.member.1", "AService")]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
    client.simulator.set_status(STACK, "UPDATE_FAILED", None).unwrap();
    client.ok("RollbackStack", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_COMPLETE");
}
