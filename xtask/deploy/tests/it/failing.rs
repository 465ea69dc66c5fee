//! Deployments that fail, get lost or are interrupted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stand::{Stand, scenario};

fn stand(more: Value) -> Stand {
    Stand::new(&scenario("staging", more))
}

#[test]
fn a_failure_that_was_rolled_back_names_its_root_cause() {
    // 21
    let stand = stand(json!({ "resources": { "AlphaTarget": [{ "on": "update", "reason": "Limit exceeded" }] } }));
    let ran = stand.deploy(&["staging", "--set", "MaxContainers=5"]).ends(5);
    ran.says("UPDATE_ROLLBACK_COMPLETE; root cause: AlphaTarget UPDATE_FAILED: Limit exceeded")
        .says("everything is as before");
    assert_eq!(stand.record()["outcome"]["root_cause"]["logical_id"], "AlphaTarget");
}

#[test]
fn a_crash_loop_is_shown_with_its_log_and_aborted() {
    let fault = json!({ "fails": "crash", "exit_code": 64, "log": ["REDIS_URL is not a URL"] });
    let stand = stand(json!({ "services": { "ecs-beta": fault } }));
    let ran = stand.deploy(&["staging"]).ends(5);
    let ran = ran.says("beta failed to run").says("exit code 64").says("| REDIS_URL is not a URL");
    let ran = ran.says("--abort-after 2").says("last log lines");
    ran.says(
        "root cause: 2 tasks of beta failed, the last one: Essential container in task exited; beta: exit code 64",
    );
    assert_eq!(stand.calls("cloudformation.CancelUpdateStack"), 1);
}

#[test]
fn an_image_or_a_setting_that_cannot_be_had_is_named_while_it_is_watched() {
    let pull = stand(json!({ "services": { "ecs-alpha": { "fails": "cannot_pull" } } }));
    pull.deploy(&["staging"]).ends(5).says("CannotPullContainer");
    let setting = json!({ "fails": "missing_parameter", "parameter": "/STAGING/PRESERV/NSQ_URL" });
    let missing = stand(json!({ "services": { "ecs-alpha": setting } }));
    missing.deploy(&["staging"]).ends(5).says("/STAGING/PRESERV/NSQ_URL");
}

#[test]
fn without_abort_the_circuit_breaker_ends_it() {
    let stand = stand(json!({ "services": { "ecs-beta": { "fails": "crash", "exit_code": 1 } } }));
    stand.deploy(&["staging", "--abort-after", "0"]).ends(5).says("BetaService");
    assert_eq!(stand.calls("cloudformation.CancelUpdateStack"), 0);
}

#[test]
fn a_silent_rollback_has_an_exit_code_of_its_own() {
    let stand = stand(json!({
        "services": { "ecs-beta": { "fails": "crash", "exit_code": 1 } }, "faults": { "silent_rollback": true },
    }));
    let ran = stand.deploy(&["staging", "--abort-after", "0"]).ends(9);
    ran.says("ECS went back by itself").says("ECS does not run what was shipped");
    assert_eq!(stand.record()["outcome"]["exit_code"], 9);
}

#[test]
fn a_cron_job_that_refuses_its_settings_is_not_running() {
    let fault = json!({ "fails": "crash", "exit_code": 64, "log": ["APT_QUEUE_URL is missing"] });
    let stand = stand(json!({ "run_task": { "gamma-s": fault } }));
    stand.deploy(&["staging"]).ends(9).says("--check-settings failed").says("APT_QUEUE_URL is missing");
}

#[test]
fn a_rollback_that_fails_needs_a_person() {
    // 22
    let stand = stand(json!({ "resources": {
        "AlphaTarget": [{ "on": "update", "reason": "Limit exceeded" }, { "on": "rollback", "reason": "Still exceeded" }],
    } }));
    let ran = stand.deploy(&["staging", "--set", "MaxContainers=5"]).ends(6);
    ran.says("UPDATE_ROLLBACK_FAILED").says("Limit exceeded").says("--continue-rollback");
}

#[test]
fn ten_thousand_events_under_throttling_come_once_and_in_order() {
    // 20
    let stand = stand(json!({ "faults": {
        "extra_events": 10_000, "events_overlap": 7, "throttle": { "percent": 30, "when": { "after_execute": true } },
    } }));
    let ran = stand.deploy(&["staging", "--format", "json"]).ends(0);
    let events: Vec<Value> = ran.records().into_iter().filter(|record| record["type"] == "event").collect();
    assert!(events.len() > 10_000, "{} events", events.len());
    let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "an event came twice");
    let times: Vec<&str> = events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    let swapped = times.windows(2).position(|pair| pair[0] > pair[1]);
    assert_eq!(swapped, None, "{:#?}", swapped.map(|at| &events[at.saturating_sub(2)..at + 4]));
}

#[test]
fn events_of_earlier_operations_are_not_shown() {
    let stand = stand(
        json!({ "limits": { "change_set_page": 1, "event_page": 4, "resource_page": 2, "export_page": 1, "log_page": 1, "parameter_page": 1 } }),
    );
    let ran = stand.deploy(&["staging", "--format", "json"]).ends(0);
    let events: Vec<Value> = ran.records().into_iter().filter(|record| record["type"] == "event").collect();
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event["is_ours"] == true), "{events:#?}");
}

#[test]
fn throttling_and_lagging_answers_do_not_change_the_verdict() {
    let stand = stand(json!({ "faults": {
        "describe_stacks_lag_seconds": 20, "throttle": { "percent": 60, "when": { "after_execute": true } },
    } }));
    stand.deploy(&["staging"]).ends(0).says("AWS asks for fewer calls").says("ECS runs what was shipped");
}

#[test]
fn a_network_that_is_gone_for_a_while_is_waited_for() {
    let stand = stand(
        json!({ "faults": { "drop_connections": { "after_execute": true, "after_calls": 3, "for_seconds": 120 } } }),
    );
    stand.deploy(&["staging"]).ends(0).says("no contact with AWS").says("contact with AWS is back");
}

#[test]
fn a_network_that_stays_away_leaves_the_outcome_unknown() {
    let stand = stand(json!({ "faults": { "drop_connections": { "after_execute": true, "after_calls": 3 } } }));
    stand.deploy(&["staging"]).ends(7).says("the outcome is unknown").says("cargo xtask deploy staging --attach");
}

#[test]
fn credentials_that_end_while_watching_leave_the_outcome_unknown() {
    // 24
    let stand = stand(json!({ "faults": { "expire_credentials": { "after_execute": true, "after_calls": 3 } } }));
    let ran =
        stand.deploy(&["staging"]).ends(7).says("the credentials ended").says("cargo xtask deploy staging --attach");
    ran.says("nothing was cancelled");
    assert_eq!(stand.calls("cloudformation.CancelUpdateStack"), 0);
}

#[test]
fn the_time_limit_leaves_the_outcome_unknown() {
    let stand = stand(json!({ "resources": { "BetaService": [{ "on": "update" }] } }));
    let ran = stand.deploy(&["staging", "--timeout", "3s"]).ends(7);
    ran.says("the time limit ran out").says("--attach");
    assert_eq!(stand.calls("cloudformation.CancelUpdateStack"), 0);
}

#[test]
fn ctrl_c_before_the_execution_takes_the_change_set_away() {
    // 23
    let stand = stand(json!({ "change_set": { "seconds": 100_000 } }));
    let running = stand.start(&["deploy", "staging", "--yes"]);
    stand.wait_until("the change set is made", |stand| stand.calls("cloudformation.CreateChangeSet") == 1);
    running.signal("INT");
    running.end().ends(130).says("stopped on request").says("aws cloudformation delete-change-set");
    assert_eq!(stand.calls("cloudformation.ExecuteChangeSet"), 0);

    // CloudFormation deletes none that it is still making.
    let stand = self::stand(json!({ "change_set": { "seconds": 60, "deletion_seconds": 10 } }));
    let running = stand.start(&["deploy", "staging", "--yes"]);
    stand.wait_until("the change set is made", |stand| stand.calls("cloudformation.CreateChangeSet") == 1);
    running.signal("INT");
    let ended = running.end().ends(130);
    assert!(!ended.all().contains("delete-change-set"), "{}", ended.all());
    assert!(stand.calls("cloudformation.DeleteChangeSet") > 1);
    stand.deploy(&["staging"]).ends(0);
}

#[test]
fn a_change_set_that_goes_is_waited_for() {
    let stand = stand(json!({ "change_set": { "deletion_seconds": 1_000_000 } }));
    stand.deploy(&["staging", "--preview"]).ends(0);
    let ran = stand.deploy(&["staging", "--preview"]).ends(8);
    ran.says("is being deleted: waiting").says("is still being deleted, by another run");
}

#[test]
fn ctrl_c_after_the_execution_lets_the_update_go_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 143)] {
        let stand = stand(json!({ "resources": { "BetaService": [{ "on": "update", "takes_seconds": 3600 }] } }));
        let running = stand.start(&["deploy", "staging", "--yes"]);
        stand.wait_until("it is watched", |stand| {
            stand.calls("cloudformation.ExecuteChangeSet") == 1 && stand.calls("cloudformation.DescribeStackEvents") > 3
        });
        running.signal(signal);
        running.end().ends(code).says("The update goes on in AWS").says("cargo xtask deploy staging --attach");
        assert_eq!(stand.calls("cloudformation.CancelUpdateStack"), 0);
    }
}
