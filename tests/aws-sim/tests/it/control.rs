//! The control endpoint: the clock, stacks from before, what was called.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sim::{Options, Pace, PreloadedStack, Simulator};
use serde_json::json;

use super::client::Client;
use super::template::{STACK, TEMPLATE, events, prepare, status, update, with_image};

#[test]
fn the_clock_obeys() {
    let client = Client::start("{}");
    let before = client.control("GET", "clock", &json!({}));
    assert_eq!(before["pace"], "manual");
    assert_eq!(client.control("GET", "clock", &json!({}))["now"], before["now"]);
    assert_ne!(client.control("POST", "clock", &json!({"advance_seconds": 5}))["now"], before["now"]);
    assert_eq!(client.control("POST", "clock", &json!({"per_call_seconds": 2.5}))["speed"], 2.5);
    let stands = client.control("GET", "clock", &json!({}))["now"].clone();
    client.query("DescribeStacks", &[]);
    assert_ne!(client.control("GET", "clock", &json!({}))["now"], stands);
    assert_eq!(client.control("POST", "clock", &json!({"speed": 60}))["pace"], "scaled");
    let refused = client.send("POST", "/_sim/clock", &[], r#"{"fast": true}"#).unwrap();
    assert_eq!(refused.status, 400);
    assert_eq!(client.send("GET", "/_sim/nothing", &[], "").unwrap().status, 400);
}

#[test]
fn a_client_that_only_polls_sees_a_creation_end() {
    let pace = Pace::PerCall(Duration::from_secs(5));
    let simulator = Simulator::start(Options { pace, ..Options::default() }).unwrap();
    let client = Client::with(simulator);
    let parameters = [
        ("StackName", STACK),
        ("ChangeSetName", "c"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    client.ok("CreateChangeSet", &parameters);
    let set = [("StackName", STACK), ("ChangeSetName", "c")];
    while client.ok("DescribeChangeSet", &set).text("Status") != "CREATE_COMPLETE" {}
    client.ok("ExecuteChangeSet", &set);
    let polls = (0..200).take_while(|_| status(&client) != "CREATE_COMPLETE").count();
    assert!((5..200).contains(&polls), "{polls}");
}

#[test]
fn a_stack_from_before_is_as_its_last_deployment_left_it() {
    let scenario = json!({"exports": {"x": "y"}, "stacks": [{
        "name": STACK, "template": TEMPLATE, "parameters": {"Days": "7"}, "age_days": 90, "desired": {"svc-a": 3},
        "termination_protection": true, "tags": {"Environment": "test"}, "drift": {"AService": "MODIFIED"},
    }]});
    let client = Client::start(&scenario.to_string());
    assert_eq!(status(&client), "CREATE_COMPLETE");
    let services = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a", "svc-b"]}));
    assert_eq!(
        (&services["services"][0]["runningCount"], &services["services"][1]["runningCount"]),
        (&json!(3), &json!(2))
    );
    let stack = client.ok("DescribeStacks", &[("StackName", STACK)]);
    assert_eq!(
        (stack.text("EnableTerminationProtection"), stack.text("StackDriftStatus")),
        ("true".to_owned(), "DRIFTED".to_owned())
    );
    assert!(!events(&client).is_empty());
    // A parameter that nobody keeps goes back to its default.
    let id = prepare(&client, "days", TEMPLATE);
    let set = client.ok("DescribeChangeSet", &[("ChangeSetName", &id)]);
    assert_eq!((set.text("LogicalResourceId"), set.text("CausingEntity")), ("Logs".to_owned(), "Days".to_owned()));
    assert_eq!(update(&client, &with_image("sha256:2")), "UPDATE_COMPLETE");
    let services = client.ecs("DescribeServices", &json!({"cluster": "cluster", "services": ["svc-a"]}));
    // The desired count is not in the template, so autoscaling's number stays.
    assert_eq!(services["services"][0]["runningCount"], 3);
    let (code, message) = client.refused("DeleteStack", &[("StackName", STACK)]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("TerminationProtection"));
}

#[test]
fn a_stack_from_before_may_be_in_any_state() {
    let client = Client::start("{}");
    let stack = PreloadedStack {
        name: STACK.to_owned(),
        template: Some(TEMPLATE.to_owned()),
        status: Some("UPDATE_ROLLBACK_FAILED".to_owned()),
        status_reason: Some("it was late".to_owned()),
        resource_status: [("BService".to_owned(), "UPDATE_FAILED".to_owned())].into(),
        ..PreloadedStack::default()
    };
    client.simulator.preload(&stack).unwrap();
    assert_eq!(status(&client), "UPDATE_ROLLBACK_FAILED");
    assert!(client.simulator.preload(&stack).unwrap_err().contains("already"));
    let bad = PreloadedStack {
        name: "bad".to_owned(),
        template: Some("Resources: {}".to_owned()),
        ..PreloadedStack::default()
    };
    assert!(client.simulator.preload(&bad).is_err());
}

#[test]
fn calls_are_recorded_and_counted() {
    let client = Client::start("{}");
    client.query("DescribeStacks", &[("StackName", "x")]);
    client.query("GetTemplateSummary", &[("TemplateBody", TEMPLATE)]);
    let calls = client.control("GET", "calls", &json!({}));
    assert_eq!((&calls[0]["operation"], &calls[0]["outcome"]), (&json!("DescribeStacks"), &json!("ValidationError")));
    assert!(calls[1]["input"]["TemplateBody"].as_str().unwrap().ends_with("bytes)"));
    let counters = client.control("GET", "counters", &json!({}));
    assert_eq!((&counters["calls"], &counters["operations"]["cloudformation.DescribeStacks"]), (&json!(2), &json!(1)));
    client.control("DELETE", "calls", &json!({}));
    assert_eq!(client.simulator.counters()["calls"], 0);
}

#[test]
fn the_program_says_how_to_reach_it_and_ends_with_its_stdin() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_aws-sim"))
        .args(["--manual", "--until-stdin-closes", "--account", "444455556666"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&line).unwrap();
    let endpoint = environment["AWS_ENDPOINT_URL"].as_str().unwrap();
    assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("<Account>444455556666</Account>"), "{answer}");
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
}

#[test]
fn the_program_refuses_a_scenario_that_it_does_not_understand() {
    let file = std::env::temp_dir().join(format!("aws-sim-scenario-{}.json", std::process::id()));
    std::fs::write(&file, r#"{"service": {}}"#).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_aws-sim")).arg("--scenario").arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(!run.status.success());
    assert!(String::from_utf8_lossy(&run.stderr).contains("unknown field `service`"));
}
