//! Deployments that go well, and previews.

use std::fs;

use serde_json::{Value, json};

use crate::moving::{EXPORTS, exports, shipped};
use crate::stand::{BUCKET, Stand, digest, empty, scenario, template, with_stack};

/// Everything but the images, which the digests name.
const PROPERTIES: &str = "DeploymentCircuitBreaker: {Enable: true, Rollback: true}";

fn stand(more: Value) -> Stand {
    Stand::new(&scenario("staging", more))
}

#[test]
fn a_deployment_goes_from_the_template_to_verified_tasks() {
    let stand = stand(json!({}));
    let ran = stand.deploy(&["staging"]).ends(0);
    let ran = ran.says("Only their image changes").says("UPDATE_COMPLETE").says("ECS runs what was shipped");
    ran.says("gamma: one run with --check-settings");
    let record = stand.record();
    assert_eq!(record["schema"], "preserv-deployment/2");
    assert_eq!(record["outcome"]["exit_code"], 0);
    assert_eq!(record["origin"]["releases"][0]["tag"], "2222222-main");
    let chain = record["chain"].as_array().unwrap();
    assert_eq!(chain.len(), 3);
    let alpha = &chain[0];
    assert_eq!(alpha["commit"], stand.commit());
    assert!(alpha["image"].as_str().unwrap().ends_with(&digest('2', "alpha")));
    assert!(alpha["template_line"].is_u64());
    assert!(alpha["change_set"].as_str().unwrap().contains("changeSet/deploy-2222222-main-"));
    assert!(alpha["task_definition"].as_str().unwrap().contains("task-definition/alpha-s:"));
    assert_eq!(alpha["tasks"][0]["digest"], digest('2', "alpha"));
    assert_eq!(alpha["verdict"], "verified");
    assert_eq!(stand.aws.counters()["violations"], json!([]));
    // Again: nothing to do.
    stand.deploy(&["staging"]).ends(0).says("no changes");
}

#[test]
fn parameters_keep_their_values() {
    let stand = stand(json!({}));
    stand.deploy(&["staging", "--set", "MaxContainers=5"]).ends(0).says("MaxContainers: 3 → 5 (as given)");
    let call = &stand.recorded("CreateChangeSet")[0];
    let parameters = call["input"]["Parameters"].as_array().unwrap();
    let kept = parameters
        .iter()
        .filter(|parameter| parameter["UsePreviousValue"] == "true" || parameter["UsePreviousValue"] == true);
    assert_eq!(kept.count(), 4, "{parameters:?}");
    assert!(parameters.iter().any(|parameter| parameter["ParameterValue"] == "5"));
}

#[test]
fn a_preview_leaves_nothing_behind() {
    let stand = stand(json!({}));
    stand.deploy(&["staging", "--preview"]).ends(0).says("Only their image changes");
    assert_eq!(stand.calls("cloudformation.DeleteChangeSet"), 1);
    assert_eq!(stand.calls("cloudformation.ExecuteChangeSet"), 0);
}

#[test]
fn a_preview_shows_what_else_would_stop_a_deployment() {
    let stand = stand(json!({}));
    stand.write_report(&json!({ "passed": false }));
    let ran = stand.deploy(&["staging", "--preview"]).ends(3);
    ran.says("Only their image changes").says("the test report says");
    assert_eq!(stand.calls("cloudformation.DeleteChangeSet"), 1);
}

#[test]
fn the_record_for_machines_keeps_to_its_schema() {
    let stand = stand(json!({}));
    let ran = stand.deploy(&["staging", "--preview", "--format", "json"]).ends(0);
    let records = ran.records();
    let preview = records.iter().find(|record| record["type"] == "preview").expect("a preview");
    let schema: Value = serde_json::from_str(include_str!("../../schema/preview.schema.json")).unwrap();
    let problems = check(preview, &schema, "preview");
    assert!(problems.is_empty(), "{problems:#?}\n{preview:#}");
}

/// As much of JSON Schema as the schema uses.
fn check(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        other => panic!("the schema uses {other}"),
    };
    match &schema["type"] {
        Value::String(kind) if !is(kind) => problems.push(format!("{at} is no {kind}")),
        Value::Array(kinds) if !kinds.iter().any(|kind| is(kind.as_str().unwrap())) => {
            problems.push(format!("{at} is none of {kinds:?}"));
        }
        _ => {}
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        problems.push(format!("{at} is not {}", schema["const"]));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        problems.push(format!("{at} is none of {allowed:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            problems.push(format!("{at} lacks {name}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(expected) => problems.extend(check(inner, expected, &format!("{at}.{name}"))),
            None if schema["additionalProperties"] == false => problems.push(format!("{at} has {name}")),
            None => {}
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            problems.extend(check(inner, &schema["items"], &format!("{at}[{index}]")));
        }
    }
    problems
}

#[test]
fn small_templates_go_inline_and_large_ones_through_the_bucket() {
    // 19
    let stand = stand(json!({}));
    let padded = |bytes: usize| {
        let text = template('2');
        format!("{text}#{}\n", "x".repeat(bytes - text.len() - 2))
    };
    stand.pin(&padded(40 * 1024));
    stand.deploy(&["staging", "--preview"]).ends(0);
    stand.pin(&padded(215 * 1024));
    stand.deploy(&["staging"]).ends(0);
    let calls = stand.recorded("CreateChangeSet");
    assert!(
        calls[0]["input"]["TemplateBody"].is_string() && calls[0]["input"]["TemplateURL"].is_null(),
        "{}",
        calls[0]
    );
    let url = calls[1]["input"]["TemplateURL"].as_str().unwrap();
    assert!(calls[1]["input"]["TemplateBody"].is_null(), "{}", calls[1]);
    assert!(url.starts_with(&format!("https://{BUCKET}.s3.us-east-1.amazonaws.com/staging/2222222-main/")), "{url}");
}

#[test]
fn a_large_template_without_a_bucket_is_refused() {
    let stand = stand(json!({}));
    let config = fs::read_to_string(stand.config()).unwrap();
    fs::write(stand.config(), config.replace("template_bucket", "# template_bucket")).unwrap();
    stand.pin(&format!("{}# {}\n", template('2'), "x".repeat(60_000)));
    stand.deploy(&["staging"]).ends(3).says("--bucket");
    stand.deploy(&["staging", "--bucket", "not-ours"]).ends(3).says("not-ours");
}

#[test]
fn no_changes_is_success_in_both_wordings_and_other_failures_are_not() {
    // 15
    for wording in ["did_not_contain", "no_updates"] {
        let scenario = scenario("staging", json!({ "change_set": { "no_changes_wording": wording } }));
        let stand = Stand::with_template(&scenario, &template('1'), &crate::stand::EXECUTABLES);
        stand.deploy(&["staging"]).ends(0).says("no changes");
        assert_eq!(stand.calls("cloudformation.DeleteChangeSet"), 1);
    }
    let stand = stand(json!({ "change_set": { "fail": "Parameters: [X] must have values" } }));
    stand.deploy(&["staging"]).ends(1).says("[X] must have values");
    assert_eq!(stand.calls("cloudformation.DeleteChangeSet"), 1);
}

#[test]
fn what_early_validation_finds_is_named_by_resource_and_property() {
    let finding = json!({
        "logical_id": "AlphaService", "name": "PROPERTY_VALIDATION", "reason": "DesiredCount must be a number",
        "path": "/Resources/AlphaService/Properties/DesiredCount",
    });
    let stand = stand(json!({ "change_set": { "early_validation": [finding] } }));
    let ran = stand.deploy(&["staging"]).ends(1);
    ran.says("AlphaService at /Resources/AlphaService/Properties/DesiredCount: DesiredCount must be a number");
}

#[test]
fn replacements_and_removals_are_approved_one_by_one() {
    // 18
    let stand = stand(json!({}));
    stand.pin(&template('2').replace("ServiceName: ecs-beta", "ServiceName: ecs-beta-two"));
    stand.deploy(&["staging"]).ends(3).says("BetaService").says("--allow-replacement BetaService");
    stand.deploy(&["staging", "--allow-replacement", "AlphaService"]).ends(3);
    stand.deploy(&["staging", "--allow-replacement", "*"]).ends(2);
    let start = template('2').find("  AlphaTarget:").unwrap();
    let end = template('2').find("  BetaTaskDefinition:").unwrap();
    stand.pin(&format!("{}{}", &template('2')[..start], &template('2')[end..]));
    stand.deploy(&["staging"]).ends(3).says("AlphaTarget").says("is removed").says("--allow-removal AlphaTarget");
    assert_eq!(stand.calls("cloudformation.ExecuteChangeSet"), 0);
    assert_eq!(stand.calls("cloudformation.CreateChangeSet"), stand.calls("cloudformation.DeleteChangeSet"));
    stand.deploy(&["staging", "--allow-removal", "AlphaTarget"]).ends(0);
}

#[test]
fn other_changes_are_shown_with_what_they_change() {
    let stand = stand(json!({}));
    let wider =
        template('2').replace("Memory: '512'", "Memory: '1024'").replace("RetentionInDays: 30", "RetentionInDays: 7");
    stand.pin(&wider.replace(PROPERTIES, "DeploymentCircuitBreaker: {Enable: true, Rollback: false}"));
    let ran = stand.deploy(&["staging", "--preview"]).ends(0);
    ran.says("memory 512 → 1024").says("LogGroup (RetentionInDays)");
}

#[test]
fn one_prepares_and_another_executes() {
    let stand = stand(json!({}));
    let ran = stand.deploy(&["staging", "--prepare", "--note", "for Ann"]).ends(0);
    let name = ran.all().split("--execute ").nth(1).unwrap().trim().to_owned();
    assert_eq!(stand.calls("cloudformation.DeleteChangeSet"), 0);
    // A preview in between takes nothing away.
    stand.deploy(&["staging", "--preview"]).ends(0);
    let ran = stand.deploy(&["staging", "--execute", &name]).ends(0);
    ran.says("prepared by").says("for Ann").says("ECS runs what was shipped");
    assert!(stand.record()["change_set"]["description"].as_str().unwrap().contains("prepared by arn:"));
    stand.deploy(&["staging", "--execute", &name]).ends(3).says(&name);
}

#[test]
fn a_change_set_made_obsolete_by_somebody_else_is_busy() {
    let stand = stand(json!({ "faults": { "second_deployer": { "after_seconds": 1 } } }));
    stand.deploy(&["staging"]).ends(8).says("somebody else");
}

#[test]
fn a_stack_is_created_from_nothing() {
    let stand = Stand::new(&empty("staging", json!({})));
    let file = stand.beside("parameters.json", r#"[{"ParameterKey": "DNS", "ParameterValue": "staging"}]"#);
    let create = ["staging", "--create", "--parameters", file.to_str().unwrap()];
    stand.deploy(&create).ends(0).says("CREATE_COMPLETE");
    stand.deploy(&create).ends(3).says("is there already");
}

#[test]
fn a_creation_that_is_not_confirmed_leaves_no_stack() {
    let stand = Stand::new(&empty("staging", json!({})));
    let file = stand.beside("parameters.json", r#"[{"ParameterKey": "DNS", "ParameterValue": "staging"}]"#);
    stand.run(&["deploy", "staging", "--create", "--parameters", file.to_str().unwrap()]).ends(3);
    assert_eq!(stand.calls("cloudformation.DeleteStack"), 1);
    stand.run(&["status", "staging"]).ends(3);
}

#[test]
fn the_template_that_we_ship_deploys_with_all_17() {
    let (names, old) = shipped('1');
    let (_, new) = shipped('2');
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scenario = with_stack("staging", &old, json!({}));
    let mut parameters = crate::stand::parameters("staging");
    parameters["SearchDomainDigest"] = json!(format!("sha256:{}", "5".repeat(64)));
    scenario["stacks"][0]["parameters"] = parameters;
    scenario["exports"] = exports(&EXPORTS);
    let stand = Stand::with_template(&scenario, &new, &names);
    stand
        .deploy(&["staging"])
        .ends(0)
        .says("17 images, 7 exports and 55 SSM parameters")
        .says("ECS runs what was shipped");
    assert_eq!(stand.record()["chain"].as_array().unwrap().len(), 17);
}
