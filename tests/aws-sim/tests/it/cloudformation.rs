//! Change sets, limits, and the way of our own template from nothing to a release.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::template::{STACK, TEMPLATE, create, events, prepare, status, update, with_image};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cloudformation").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The exports that our template imports.
fn exports() -> Value {
    let names = [
        "NameSpace",
        "PreservSecurityGroup",
        "UnifiedSecurityGroup",
        "PublicSubnet0",
        "PublicSubnet1",
        "PrivateSubnet0",
        "PrivateSubnet1",
    ];
    names
        .iter()
        .map(|name| (format!("{name}-staging"), Value::from(format!("id-of-{name}"))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn our_template_is_created_from_nothing_and_one_image_is_updated() {
    let scenario = json!({"exports": exports(), "buckets": [{"name": "templates"}]});
    let client = Client::start(&scenario.to_string());
    let digest = format!("sha256:{}", "a".repeat(64));
    let body = file("cfn-preserv-master.yml").replace(":unreleased", &format!("@{digest}"));
    assert_eq!(client.s3("PUT", "/templates/staging/one.yml", &[], &body).status, 200);
    let given: Vec<Value> = serde_json::from_str(&file("staging.json")).unwrap();
    let mut parameters: Vec<(String, String)> = vec![
        ("TemplateURL".to_owned(), "https://templates.s3.us-east-1.amazonaws.com/staging/one.yml".to_owned()),
        ("StackName".to_owned(), STACK.to_owned()),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM".to_owned()),
        ("Parameters.member.99.ParameterKey".to_owned(), "SearchDomainDigest".to_owned()),
        ("Parameters.member.99.ParameterValue".to_owned(), digest.clone()),
    ];
    for (index, parameter) in given.iter().enumerate() {
        for field in ["ParameterKey", "ParameterValue"] {
            let value = parameter[field].as_str().unwrap().to_owned();
            parameters.push((format!("Parameters.member.{}.{field}", index + 1), value));
        }
    }
    let borrowed: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let create = [borrowed.as_slice(), &[("ChangeSetName", "c1"), ("ChangeSetType", "CREATE")]].concat();
    client.ok("CreateChangeSet", &create);
    client.settle();
    let set = [("StackName", STACK), ("ChangeSetName", "c1")];
    let first = client.ok("DescribeChangeSet", &set);
    assert_eq!((first.text("Status").as_str(), first.texts("Action").len()), ("CREATE_COMPLETE", 100));
    let token = first.text("NextToken");
    let second = client.ok("DescribeChangeSet", &[&set[..], &[("NextToken", &token)]].concat());
    assert_eq!(second.texts("Action").len(), 142 - 100);
    client.ok("ExecuteChangeSet", &set);
    client.settle();
    assert_eq!(status(&client), "CREATE_COMPLETE");

    let changed = body.replace(&format!("apt_delete@{digest}"), &format!("apt_delete@sha256:{}", "b".repeat(64)));
    client.s3("PUT", "/templates/staging/two.yml", &[], &changed);
    let url = "https://s3.us-east-1.amazonaws.com/templates/staging/two.yml";
    let mut keep: Vec<(String, String)> = (1..=given.len())
        .flat_map(|index| {
            let key = given[index - 1]["ParameterKey"].as_str().unwrap().to_owned();
            [
                (format!("Parameters.member.{index}.ParameterKey"), key),
                (format!("Parameters.member.{index}.UsePreviousValue"), "true".to_owned()),
            ]
        })
        .collect();
    keep.push(("Parameters.member.99.ParameterKey".to_owned(), "SearchDomainDigest".to_owned()));
    keep.push(("Parameters.member.99.UsePreviousValue".to_owned(), "true".to_owned()));
    let mut update: Vec<(&str, &str)> = keep.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    update.extend([
        ("StackName", STACK),
        ("ChangeSetName", "c2"),
        ("TemplateURL", url),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ]);
    client.ok("CreateChangeSet", &update);
    client.settle();
    let set = client
        .ok("DescribeChangeSet", &[("StackName", STACK), ("ChangeSetName", "c2"), ("IncludePropertyValues", "true")]);
    assert_eq!(set.texts("LogicalResourceId"), ["AptdeleteService", "AptdeleteTaskDefinition"]);
    assert_eq!(set.texts("Replacement"), ["False", "True"]);
    client.ok("ExecuteChangeSet", &[("StackName", STACK), ("ChangeSetName", "c2")]);
    client.settle();
    assert_eq!(status(&client), "UPDATE_COMPLETE");
    let service =
        client.ecs("DescribeServices", &json!({"cluster": "ecs-preserv-staging", "services": ["ecs-delete"]}));
    assert_eq!(service["services"][0]["deployments"][0]["rolloutState"], "COMPLETED");
    let definition = service["services"][0]["taskDefinition"].as_str().unwrap();
    assert!(definition.ends_with("task-definition/delete-s:2"), "{definition}");
    let tasks = client.ecs("ListTasks", &json!({"cluster": "ecs-preserv-staging", "serviceName": "ecs-delete"}));
    let tasks = client.ecs("DescribeTasks", &json!({"cluster": "ecs-preserv-staging", "tasks": tasks["taskArns"]}));
    let containers = tasks["tasks"][0]["containers"].as_array().unwrap();
    let digests: Vec<&str> = containers.iter().map(|container| container["imageDigest"].as_str().unwrap()).collect();
    assert_eq!(digests, [digest, format!("sha256:{}", "b".repeat(64))]);
}

#[test]
fn a_body_goes_inline_up_to_51200_bytes() {
    let client = Client::start(r#"{"buckets": [{"name": "b"}]}"#);
    let pad = |size: usize| format!("{TEMPLATE}#{}", "x".repeat(size - TEMPLATE.len() - 1));
    client.ok("GetTemplateSummary", &[("TemplateBody", &pad(51_200))]);
    let (code, message) = client.refused("GetTemplateSummary", &[("TemplateBody", &pad(51_201))]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("less than or equal to 51200"), "{message}");
    client.s3("PUT", "/b/large", &[], &pad(1_048_576));
    client.s3("PUT", "/b/larger", &[], &pad(1_048_577));
    let url = |key: &str| format!("https://b.s3.amazonaws.com/{key}");
    let summary = client.ok("GetTemplateSummary", &[("TemplateURL", &url("large"))]);
    assert_eq!(summary.texts("ParameterKey"), ["Days", "Image"]);
    assert_eq!(summary.texts("Capabilities"), ["<member>CAPABILITY_IAM</member>"]);
    assert!(client.refused("GetTemplateSummary", &[("TemplateURL", &url("larger"))]).1.contains("may not exceed"));
    assert!(client.refused("GetTemplateSummary", &[("TemplateURL", &url("none"))]).1.contains("S3 error"));
}

#[test]
fn what_cannot_be_prepared_is_refused_in_cloudformations_words() {
    let client = Client::start("{}");
    let base = [("StackName", STACK), ("TemplateBody", TEMPLATE), ("ChangeSetName", "n")];
    let (code, message) = client.refused("CreateChangeSet", &base);
    assert_eq!((code.as_str(), message.as_str()), ("ValidationError", "Stack [stack] does not exist"));
    assert_eq!(client.refused("DescribeStacks", &[("StackName", "x")]).1, "Stack with id x does not exist");
    let create = [&base[..], &[("ChangeSetType", "CREATE")]].concat();
    assert_eq!(client.refused("CreateChangeSet", &create).0, "InsufficientCapabilitiesException");
    let named =
        [("StackName", STACK), ("TemplateBody", TEMPLATE), ("ChangeSetName", "a_b"), ("ChangeSetType", "CREATE")];
    assert!(client.refused("CreateChangeSet", &named).1.contains("[a-zA-Z][-a-zA-Z0-9]*"));
    // Nothing was left behind.
    assert!(client.ok("DescribeStacks", &[]).texts("StackName").is_empty());
    create_stack_again_is_refused(&client);
}

fn create_stack_again_is_refused(client: &Client) {
    assert_eq!(create(client), "CREATE_COMPLETE");
    let again = [
        ("StackName", STACK),
        ("TemplateBody", TEMPLATE),
        ("ChangeSetName", "n"),
        ("ChangeSetType", "CREATE"),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    assert!(client.refused("CreateChangeSet", &again).1.contains("already exists and cannot be created again"));
}

#[test]
fn a_missing_export_fails_the_change_set() {
    let client = Client::start("{}");
    let body = "Resources: {A: {Type: 'AWS::SNS::Topic', Properties: {TopicName: !ImportValue net}}}";
    client.ok(
        "CreateChangeSet",
        &[("StackName", STACK), ("ChangeSetName", "c"), ("ChangeSetType", "CREATE"), ("TemplateBody", body)],
    );
    client.settle();
    let set = client.ok("DescribeChangeSet", &[("StackName", STACK), ("ChangeSetName", "c")]);
    assert_eq!(
        (set.text("Status"), set.text("StatusReason")),
        ("FAILED".to_owned(), "No export named net found.".to_owned())
    );
}

#[test]
fn both_wordings_of_no_changes_and_any_other_reason_can_be_chosen() {
    for (settings, expected) in [
        (
            json!({}),
            "The submitted information didn't contain changes. Submit different information to create a change set.",
        ),
        (json!({"no_changes_wording": "no_updates"}), "No updates are to be performed."),
        (json!({"fail": "Something else"}), "Something else"),
    ] {
        let client = Client::start("{}");
        create(&client);
        client.control("POST", "scenario", &json!({"change_set": settings}));
        let id = prepare(&client, "same", TEMPLATE);
        let set = client.ok("DescribeChangeSet", &[("ChangeSetName", &id)]);
        assert_eq!((set.text("Status").as_str(), set.text("ExecutionStatus").as_str()), ("FAILED", "UNAVAILABLE"));
        assert_eq!(set.text("StatusReason"), expected);
        assert_eq!(client.refused("ExecuteChangeSet", &[("ChangeSetName", &id)]).0, "InvalidChangeSetStatus");
        client.ok("DeleteChangeSet", &[("ChangeSetName", &id)]);
        assert_eq!(client.refused("DescribeChangeSet", &[("ChangeSetName", &id)]).0, "ChangeSetNotFound");
        client.ok("DeleteChangeSet", &[("ChangeSetName", &id)]);
    }
}

#[test]
fn a_change_set_may_be_hidden_at_first_and_tease_with_a_token() {
    let client =
        Client::start(r#"{"change_set": {"not_found_calls": 2, "token_while_creating": true, "seconds": 10}}"#);
    let parameters = [
        ("StackName", STACK),
        ("ChangeSetName", "c"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
        ("ClientToken", "t"),
    ];
    let id = client.ok("CreateChangeSet", &parameters).text("Id");
    // The same token is the same request.
    assert_eq!(client.ok("CreateChangeSet", &parameters).text("Id"), id);
    let describe = || client.query("DescribeChangeSet", &[("ChangeSetName", &id)]);
    assert_eq!([describe().code(), describe().code()], ["ChangeSetNotFound", "ChangeSetNotFound"]);
    assert_eq!(describe().text("Status"), "CREATE_PENDING");
    client.simulator.advance(Duration::from_secs(6));
    let creating = describe();
    assert_eq!(creating.text("Status"), "CREATE_IN_PROGRESS");
    assert!(!creating.text("NextToken").is_empty() && creating.texts("Action").is_empty());
    client.simulator.advance(Duration::from_secs(6));
    assert_eq!(describe().text("Status"), "CREATE_COMPLETE");
}

#[test]
fn a_stack_under_review_is_none_yet_and_can_be_deleted() {
    let client = Client::start("{}");
    let parameters = [
        ("StackName", STACK),
        ("ChangeSetName", "c"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    let id = client.ok("CreateChangeSet", &parameters).text("StackId");
    client.settle();
    assert_eq!(status(&client), "REVIEW_IN_PROGRESS");
    let update = [
        ("StackName", STACK),
        ("ChangeSetName", "u"),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
    ];
    assert!(client.refused("CreateChangeSet", &update).1.contains("does not exist"));
    assert_eq!(client.ok("ListChangeSets", &[("StackName", STACK)]).texts("ChangeSetName"), ["c"]);
    client.ok("DeleteStack", &[("StackName", STACK)]);
    client.settle();
    assert_eq!(client.refused("DescribeStacks", &[("StackName", STACK)]).0, "ValidationError");
    assert_eq!(client.ok("DescribeStacks", &[("StackName", &id)]).text("StackStatus"), "DELETE_COMPLETE");
}

#[test]
fn an_execution_is_repeated_by_its_token_only_and_ends_other_change_sets() {
    let client = Client::start("{}");
    create(&client);
    let other = prepare(&client, "other", &with_image("sha256:3"));
    let id = prepare(&client, "one", &with_image("sha256:2"));
    let execute =
        |token: &str| client.query("ExecuteChangeSet", &[("ChangeSetName", &id), ("ClientRequestToken", token)]);
    assert_eq!(execute("token-1").status, 200);
    assert_eq!(execute("token-1").status, 200);
    assert_eq!(execute("token-2").code(), "InvalidChangeSetStatus");
    assert_eq!(client.refused("ExecuteChangeSet", &[("ChangeSetName", &other)]).0, "ChangeSetNotFound");
    client.settle();
    assert_eq!(events(&client).iter().filter(|event| event.0 == STACK && event.1 == "UPDATE_IN_PROGRESS").count(), 1);
}

#[test]
fn somebody_elses_update_makes_a_change_set_obsolete() {
    let client = Client::start("{}");
    create(&client);
    client.control("POST", "scenario", &json!({"faults": {"second_deployer": {"after_seconds": 30}}}));
    let id = prepare(&client, "one", &with_image("sha256:2"));
    client.simulator.advance(Duration::from_secs(31));
    assert_eq!(status(&client), "UPDATE_IN_PROGRESS");
    assert_eq!(client.ok("DescribeChangeSet", &[("ChangeSetName", &id)]).text("ExecutionStatus"), "OBSOLETE");
    let (code, message) = client.refused("ExecuteChangeSet", &[("ChangeSetName", &id)]);
    assert_eq!(code, "InvalidChangeSetStatus");
    assert!(message.contains("[OBSOLETE]"), "{message}");
    client.settle();
    assert_eq!(status(&client), "UPDATE_COMPLETE");
}

#[test]
fn early_validation_is_told_by_describe_events_only() {
    let client = Client::start("{}");
    create(&client);
    let finding = json!({"logical_id": "AService", "resource_type": "AWS::ECS::Service", "name": "PROPERTY_VALIDATION",
        "reason": "#: extraneous key [Foo] is not permitted", "path": "/Resources/AService/Properties/Foo"});
    client.control("POST", "scenario", &json!({"change_set": {"early_validation": [finding]}}));
    let id = prepare(&client, "bad", &with_image("sha256:2"));
    let set = client.ok("DescribeChangeSet", &[("ChangeSetName", &id)]);
    assert_eq!(set.text("Status"), "FAILED");
    assert!(set.text("StatusReason").contains("DescribeEvents"), "{}", set.body);
    let found = client.ok("DescribeEvents", &[("ChangeSetName", &id), ("Filters.FailedEvents", "true")]);
    assert_eq!(found.texts("EventType"), ["VALIDATION_ERROR"]);
    assert_eq!(found.text("ValidationPath"), "/Resources/AService/Properties/Foo");
    assert!(events(&client).iter().all(|event| !event.1.contains("FAILED")));
}

#[test]
fn reads_of_a_stack_agree_with_each_other() {
    let client = Client::start(r#"{"limits": {"resource_page": 4, "change_set_page": 3, "event_page": 7}}"#);
    create(&client);
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let mut parameters = vec![("StackName", STACK)];
        if !token.is_empty() {
            parameters.push(("NextToken", &token));
        }
        let page = client.ok("ListStackResources", &parameters);
        listed.extend(page.texts("LogicalResourceId"));
        token = page.text("NextToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed.len(), 10, "{listed:?}");
    assert_eq!(client.ok("DescribeStackResources", &[("StackName", STACK)]).texts("LogicalResourceId"), listed);
    let created = events(&client).iter().filter(|event| event.1 == "CREATE_COMPLETE").count();
    assert_eq!(created, 11);
    let exports = client.ok("ListExports", &[]);
    assert_eq!((exports.text("Name").as_str(), exports.text("Value").as_str()), ("cluster-name", "cluster"));
    assert_eq!(client.ok("GetTemplate", &[("StackName", STACK)]).text("TemplateBody"), TEMPLATE);
    assert_eq!(client.ok("GetTemplateSummary", &[("StackName", STACK)]).texts("ParameterKey"), ["Days", "Image"]);
}

#[test]
fn describe_stacks_may_lag_behind() {
    let client = Client::start("{}");
    create(&client);
    client.simulator.advance(Duration::from_secs(1000));
    client.control("POST", "scenario", &json!({"faults": {"describe_stacks_lag_seconds": 1000}}));
    assert_eq!(update(&client, &with_image("sha256:2")), "CREATE_COMPLETE");
    client.simulator.advance(Duration::from_secs(1000));
    assert_eq!(status(&client), "UPDATE_COMPLETE");
}
