//! Ways back: attach, cancel, continue a rollback, roll back to an earlier release.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stand::{Stand, scenario, template, with_stack};

fn stand(more: Value) -> Stand {
    Stand::new(&scenario("staging", more))
}

/// A deployment whose watcher left it.
fn left_alone(more: Value) -> Stand {
    let stand = stand(more);
    let running = stand.start(&["deploy", "staging", "--yes"]);
    stand.wait_until("it is watched", |stand| {
        stand.calls("cloudformation.ExecuteChangeSet") == 1 && stand.calls("cloudformation.DescribeStackEvents") > 3
    });
    running.signal("INT");
    running.end().ends(130);
    stand
}

#[test]
fn attach_follows_what_was_left_to_its_verdict() {
    let stand = left_alone(json!({ "resources": { "BetaService": [{ "on": "update", "takes_seconds": 600 }] } }));
    let ran = stand.run(&["deploy", "staging", "--attach", "--bake", "0s"]).ends(0);
    ran.says("User Initiated").says("ECS runs what was shipped");
}

#[test]
fn attach_tells_the_verdict_of_what_is_over_already() {
    let stand = stand(json!({ "resources": { "AlphaTarget": [{ "on": "update", "reason": "Limit exceeded" }] } }));
    stand.deploy(&["staging", "--set", "MaxContainers=5"]).ends(5);
    stand.run(&["deploy", "staging", "--attach"]).ends(5).says("Limit exceeded");
}

#[test]
fn cancel_rolls_an_update_back_and_nothing_else() {
    let stand = left_alone(json!({ "resources": { "BetaService": [{ "on": "update", "takes_seconds": 100_000 }] } }));
    stand.run(&["deploy", "staging", "--cancel"]).ends(3).says("--yes");
    stand.run(&["deploy", "staging", "--cancel", "--yes"]).ends(5).says("UPDATE_ROLLBACK_COMPLETE");
    stand.run(&["deploy", "staging", "--cancel", "--yes"]).ends(3).says("only an update in progress");
}

#[test]
fn a_failed_rollback_is_continued_and_may_give_a_resource_up() {
    let failed = with_stack(
        "staging",
        &template('1'),
        json!({
            "status": "UPDATE_ROLLBACK_FAILED", "resource_status": { "AlphaService": "UPDATE_FAILED" }, "status_reason": "no capacity",
        }),
    );
    let stand = Stand::new(&failed);
    let args = ["deploy", "staging", "--continue-rollback"];
    stand.run(&args).ends(3).says("--yes");
    stand.run(&[&args[..], &["--skip", "BetaService", "--yes"]].concat()).ends(3).says("BetaService did not fail");
    stand
        .run(&[&args[..], &["--skip", "AlphaService", "--yes"]].concat())
        .ends(3)
        .says("--confirm preserv-services-staging");
    let skip = ["--skip", "AlphaService", "--confirm", "preserv-services-staging"];
    stand.run(&[&args[..], &skip].concat()).ends(5).says("state and template then differ");
    stand.run(&[&args[..], &["--yes"]].concat()).ends(3).says("only UPDATE_ROLLBACK_FAILED");
}

#[test]
fn rollback_goes_to_the_release_before_with_the_evidence_of_then() {
    let stand = stand(json!({}));
    stand.run(&["rollback", "staging", "--yes"]).ends(3).says("nothing else in the archive");
    stand.deploy(&["staging"]).ends(0);
    stand.write_release('3', &crate::stand::EXECUTABLES);
    stand.pin(&template('3'));
    stand.deploy(&["staging"]).ends(0);
    let list = stand.run(&["rollback", "staging", "--list"]).ends(0);
    list.says("2222222-main").says("3333333-main").says("runs now");
    // Neither the tests nor the manifests of then are on this machine.
    std::fs::remove_dir_all(stand.root().join("target/xtask/release")).unwrap();
    std::fs::remove_dir_all(stand.root().join("target/xtask/test-all")).unwrap();
    let ran = stand.run(&["rollback", "staging", "--yes", "--bake", "0s"]).ends(0);
    ran.says("going back to 2222222-main").says("ECS runs what was shipped");
    stand.run(&["rollback", "staging", "--to", "3333333-main", "--yes", "--bake", "0s"]).ends(0);
    stand.run(&["rollback", "staging", "--to", "9999999-main", "--yes"]).ends(3).says("--list");
}

#[test]
fn wait_waits_for_what_is_going_on() {
    let endless = json!({ "BetaService": [{ "on": "update", "takes_seconds": 1_000_000, "times": 1 }] });
    let stand = left_alone(json!({ "resources": endless }));
    stand.deploy(&["staging"]).ends(8);
    let looks = stand.calls("cloudformation.DescribeStacks");
    let waits = stand.start(&["deploy", "staging", "--wait", "--yes", "--bake", "0s"]);
    stand.wait_until("it waits", |stand| stand.calls("cloudformation.DescribeStacks") > looks + 3);
    stand.aws.advance(Duration::from_secs(1_000_000));
    waits.end().ends(0).says("waiting").says("no changes");
}
