//! Commands that only look, and the records of all of them.

use serde_json::json;

use crate::stand::{Stand, digest, empty, scenario};

fn stand() -> Stand {
    Stand::new(&scenario("staging", json!({})))
}

#[test]
fn status_shows_a_row_for_each_executable() {
    let stand = stand();
    let ran = stand.run(&["status", "staging"]).ends(0);
    let ran = ran.says("preserv-services-staging CREATE_COMPLETE").says("release 1111111-main");
    ran.says("the checkout has 222222222222").says("1/1").says("1–3").says("rate(5 minutes)");
    stand.deploy(&["staging"]).ends(0);
    stand.run(&["status", "staging"]).ends(0).says("as shipped").does_not_say("the checkout has");
    assert_eq!(stand.aws.counters()["violations"], json!([]));
}

#[test]
fn status_writes_a_page_that_stands_by_itself() {
    let stand = stand();
    stand.deploy(&["staging"]).ends(0);
    let path = stand.beside("page.html", "");
    stand.run(&["status", "staging", "--html", path.to_str().unwrap()]).ends(0).says("page: ");
    let html = std::fs::read_to_string(&path).unwrap();
    for text in [
        "alpha",
        "2222222-main",
        &digest('2', "alpha"),
        &stand.commit(),
        "1/1 tasks in ecs-preserv-staging: as shipped",
    ] {
        assert!(html.contains(text), "{text} is not in {html}");
    }
    stand.run(&["status", "staging", "--html", "/nowhere/page.html"]).ends(1).says("/nowhere/page.html");
}

#[test]
fn logs_are_interleaved_and_chosen_by_executable() {
    let stand = stand();
    stand.deploy(&["staging"]).ends(0);
    let all = stand.run(&["logs", "staging", "--since", "24h"]).ends(0);
    let all = all.says("alpha").says("beta");
    assert!(all.stdout.lines().map(|line| &line[..24]).is_sorted(), "{}", all.stdout);
    stand.run(&["logs", "staging", "beta", "--since", "24h"]).ends(0).says("beta").does_not_say("alpha");
    stand.run(&["logs", "staging", "delta"]).ends(3).says("it runs alpha, beta, gamma");
    let running = stand.start(&["logs", "staging", "--follow"]);
    stand.wait_until("it follows", |stand| stand.calls("logs.FilterLogEvents") > 5);
    running.signal("INT");
    running.end().ends(130);
}

#[test]
fn every_command_writes_records_that_end_with_its_exit_code() {
    // 33
    let stand = stand();
    let nothing = Stand::new(&empty("staging", json!({})));
    for args in [
        &["status", "staging"][..],
        &["logs", "staging"],
        &["rollback", "staging", "--list"],
        &["rollback", "staging"],
        &["deploy", "staging", "--dry-run"],
        &["deploy", "staging", "--preview"],
        &["deploy", "staging"],
        &["deploy", "staging", "--yes", "--bake", "0s"],
        &["deploy", "nowhere"],
    ] {
        for stand in [&stand, &nothing] {
            let ran = stand.run(&[args, &["--format", "json"]].concat());
            ran.records();
        }
    }
}

#[test]
fn usage_errors_are_told_apart() {
    let stand = stand();
    for args in [
        &["deploy"][..],
        &["deploy", "nowhere"],
        &["deploy", "staging", "--preview", "--prepare"],
        &["deploy", "staging", "--create"],
        &["deploy", "staging", "--skip", "A"],
        &["deploy", "staging", "--set", "A"],
        &["release"],
    ] {
        stand.run(args).ends(2);
    }
    let short = stand.run(&["deploy", "--help"]).ends(0).says("--help-all").does_not_say("--role-arn");
    assert!(short.stdout.lines().count() <= 45, "no screenful:\n{}", short.stdout);
    stand.run(&["deploy", "--help-all"]).ends(0).says("Exit codes").says("--role-arn");
}
