//! What ECS does by itself while the services are observed: the verdict is about the release, and counts are a note.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stand::{Ran, Stand, template, with_stack};

/// Deploys, does something to `ecs-alpha` in the middle of the observation, and returns what came of it.
fn shaken(desired: u64, shake: impl Fn(&Stand)) -> (Ran, Value) {
    let stand = Stand::new(&with_stack("staging", &template('1'), json!({ "desired": { "ecs-alpha": desired } })));
    let running = stand.start(&["deploy", "staging", "--yes", "--bake", "2s"]);
    // The cron job's run is the first step of the verification, and looks at the services follow.
    stand.wait_until("it verifies", |stand| stand.calls("ecs.RunTask") == 1);
    let looks = stand.calls("ecs.DescribeServices");
    stand.wait_until("it looks at the services", |stand| stand.calls("ecs.DescribeServices") > looks + 4);
    shake(&stand);
    let ran = running.end();
    (ran, stand.record()["chain"][0].clone())
}

#[test]
fn a_scale_in_that_waits_for_protected_tasks_is_a_note() {
    let (ran, alpha) = shaken(3, |stand| {
        stand.aws.protect("ecs-alpha", Duration::from_hours(2)).unwrap();
        stand.aws.scale("ecs-alpha", 1).unwrap();
    });
    ran.ends(0).says("3 of 1 tasks run").says("ECS runs what was shipped");
    assert_eq!((&alpha["verdict"], alpha["tasks"].as_array().map(Vec::len)), (&json!("verified"), Some(3)));
}

#[test]
fn a_scale_out_at_the_end_is_a_note() {
    let (ran, alpha) = shaken(1, |stand| {
        no_more_capacity(stand);
        stand.aws.scale("ecs-alpha", 2).unwrap();
    });
    ran.ends(0).says("1 of 2 tasks run").says("ECS runs what was shipped");
    assert_eq!(alpha["verdict"], "verified");
}

#[test]
fn a_spot_task_that_is_lost_and_not_yet_replaced_is_a_note() {
    for desired in [1, 2] {
        let (ran, alpha) = shaken(desired, |stand| {
            no_more_capacity(stand);
            stand.aws.interrupt("ecs-alpha", 1).unwrap();
        });
        let ran = ran.ends(0).says(&format!("{} of {desired} tasks run", desired - 1));
        ran.says("ECS runs what was shipped").does_not_say("tasks failed");
        assert_eq!(alpha["verdict"], "verified", "{alpha}");
    }
}

#[test]
fn a_spot_task_that_is_replaced_in_time_is_nothing() {
    let (ran, alpha) = shaken(1, |stand| stand.aws.interrupt("ecs-alpha", 1).unwrap());
    ran.ends(0).does_not_say("tasks run").says("ECS runs what was shipped");
    assert_eq!(alpha["verdict"], "verified", "{alpha}");
}

/// Tasks that are started from now on wait for capacity.
fn no_more_capacity(stand: &Stand) {
    let waits = json!({ "services": { "ecs-alpha": { "fails": "never_starts", "revisions": "all" } } });
    stand.aws.load(aws_sim::Scenario::parse(&waits.to_string()).unwrap()).unwrap();
}
