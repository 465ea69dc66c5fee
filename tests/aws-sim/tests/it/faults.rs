//! What may befall any call: throttling, expired credentials, a network that is gone, clocks that disagree.

use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::template::{create, events, prepare, start_update, status, with_image};

#[test]
fn each_protocol_has_its_own_words_for_throttling_and_expiry() {
    for (fault, words) in [
        (
            json!({"throttle": {"percent": 100}}),
            ["Throttling", "ThrottlingException", "ThrottlingException", "SlowDown"],
        ),
        (
            json!({"expire_credentials": {}}),
            ["ExpiredToken", "ExpiredTokenException", "ExpiredTokenException", "ExpiredToken"],
        ),
        (
            json!({"clock_skew_seconds": 900}),
            ["SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSignatureException", "RequestTimeTooSkewed"],
        ),
        (
            json!({"access_denied": ["cloudformation", "ecs.ListServices", "scheduler", "s3"]}),
            ["AccessDenied", "AccessDeniedException", "AccessDeniedException", "AccessDenied"],
        ),
    ] {
        let client = Client::start(&json!({"faults": fault}).to_string());
        let found = [
            client.query("DescribeStacks", &[]).code(),
            client.json("ecs", "ListServices", &json!({})).code(),
            client.scheduler("/schedules").code(),
            client.s3("GET", "/b/k", &[], "").code(),
        ];
        assert_eq!(found, words, "{fault}");
    }
}

#[test]
fn throttling_plays_the_same_twice_and_only_where_it_should() {
    let play = || {
        let client = Client::start(
            r#"{"seed": 5, "faults": {"throttle": {"percent": 30, "only": ["cloudformation.DescribeStacks"]}}}"#,
        );
        let codes: Vec<u16> = (0..60).map(|_| client.query("DescribeStacks", &[]).status).collect();
        assert_eq!(client.query("ListExports", &[]).status, 200);
        codes
    };
    let first = play();
    assert_eq!(first, play());
    let throttled = first.iter().filter(|status| **status == 400).count();
    assert!((8..30).contains(&throttled), "{throttled}");
}

#[test]
fn credentials_expire_after_so_many_calls_or_in_the_middle_of_an_operation() {
    let client = Client::start(r#"{"faults": {"expire_credentials": {"after_calls": 3}}}"#);
    let codes: Vec<String> = (0..5).map(|_| client.query("DescribeStacks", &[]).code()).collect();
    assert_eq!(codes, ["", "", "", "ExpiredToken", "ExpiredToken"]);

    let client = Client::start("{}");
    create(&client);
    client.control(
        "POST",
        "scenario",
        &json!({"faults": {"expire_credentials": {"after_execute": true, "after_seconds": 30}}}),
    );
    start_update(&client, &with_image("sha256:2"));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    client.simulator.advance(Duration::from_secs(31));
    assert_eq!(client.query("DescribeStacks", &[]).code(), "ExpiredToken");
}

#[test]
fn a_network_that_is_gone_comes_back() {
    let client = Client::start(r#"{"faults": {"drop_connections": {"after_calls": 1, "for_calls": 2}}}"#);
    let ask = || {
        client.send("POST", "/", &[("x-amz-target", "AmazonSSM.DescribeParameters")], "{}").map(|answer| answer.status)
    };
    assert_eq!([ask(), ask(), ask(), ask()], [Some(200), None, None, Some(200)]);

    let client = Client::start(r#"{"faults": {"drop_connections": {"after_seconds": 10, "for_seconds": 120}}}"#);
    let ask = || client.send("POST", "/", &[("x-amz-target", "AmazonSSM.DescribeParameters")], "{}").is_some();
    assert!(ask());
    client.simulator.advance(Duration::from_secs(11));
    assert!(!ask());
    client.simulator.advance(Duration::from_mins(2));
    assert!(ask());
}

#[test]
fn ten_thousand_events_come_once_each_and_in_order() {
    let client = Client::start("{}");
    create(&client);
    let before = events(&client).len();
    let faults = json!({"faults": {"extra_events": 10_000, "throttle": {"percent": 30, "only": ["cloudformation.DescribeStackEvents"]},
        "events_overlap": 3}});
    let id = prepare(&client, "update", &with_image("sha256:2"));
    client.control("POST", "scenario", &faults);
    client.ok("ExecuteChangeSet", &[("ChangeSetName", &id)]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_COMPLETE");
    let all = events(&client);
    let extra = all[before..].iter().filter(|event| event.2 == "Eventual consistency check initiated").count();
    assert_eq!(extra, 10_000);
    assert_eq!(all.last().unwrap().1, "UPDATE_COMPLETE");
    let counters = client.simulator.counters();
    let throttled = counters["operations"]["cloudformation.DescribeStackEvents Throttling"].as_u64().unwrap();
    assert!(throttled > 10, "{counters}");
}
