//! What is refused before anything is changed, each with its exit code and a next step.

use std::fs;

use serde_json::{Value, json};
use xtask::exit::Exit;

use crate::stand::{BUCKET, EXECUTABLES, Stand, digest, empty, scenario, template, with_stack};

fn stand(more: Value) -> Stand {
    Stand::new(&scenario("staging", more))
}

/// Nothing was sent that changes anything.
#[track_caller]
fn nothing_changed(stand: &Stand) {
    assert_eq!(stand.writes(), Vec::<String>::new());
}

#[test]
fn the_test_gate_wants_a_whole_passing_report_of_the_commit() {
    // 32
    let table = [
        (json!({ "passed": false }), "failed"),
        (json!({ "commit": "f".repeat(40) }), "the test report is of ffffffffff"),
        (json!({ "dirty": true }), "a tree that was not the commit"),
        (json!({ "complete": false }), "not of the whole"),
    ];
    let stand = stand(json!({}));
    for (report, text) in table {
        stand.write_report(&report);
        stand.deploy(&["staging"]).ends(3).says(text).says("--skip-test-gate");
    }
    fs::remove_file(stand.root().join("target/xtask/test-all/test-report.json")).unwrap();
    stand.deploy(&["staging"]).ends(3).says("there is no test report");
    nothing_changed(&stand);
    let elsewhere = stand.beside("ci-report.json", "{}");
    stand
        .deploy(&["staging", "--report", elsewhere.to_str().unwrap()])
        .ends(3)
        .says("ci-report.json is no test report");
    stand.deploy(&["staging", "--skip-test-gate", "the tests are down"]).ends(0);
    assert_eq!(stand.record()["tests"]["skipped"], "the tests are down");
}

#[test]
fn demo_and_prod_want_tests_against_real_servers() {
    let stand = Stand::new(&scenario("demo", json!({})));
    stand.write_report(&json!({ "real": false }));
    stand.deploy(&["demo"]).ends(3).says("test-all --real");
    nothing_changed(&stand);
}

#[test]
fn the_checkout_must_be_the_commit() {
    let stand = stand(json!({}));
    stand.write("notes.txt", "new");
    stand.deploy(&["staging"]).ends(3).says("notes.txt (untracked)");
    nothing_changed(&stand);
}

#[test]
fn the_images_must_be_those_of_one_release() {
    let stand = stand(json!({ "images": [] }));
    // A digest edited by hand.
    stand.pin(&template('2').replace(&digest('2', "beta"), &digest('1', "beta")));
    stand.deploy(&["staging"]).ends(3).says("not those of one complete release");
    // Never pinned.
    stand.pin(&template('2').replace(&format!("beta@{}", digest('2', "beta")), "beta:unreleased"));
    stand.deploy(&["staging"]).ends(3).says("not pinned: beta");
    // An executable that the template does not have.
    stand.pin(&template('2').replace("gamma@", "delta@"));
    stand.deploy(&["staging"]).ends(3).says("the template does not have gamma");
    nothing_changed(&stand);
}

#[test]
fn without_a_manifest_the_registrys_tags_tell_the_release() {
    let image = |name: &str| json!({ "repository": format!("docker-hub/aptrust/{name}"), "digest": digest('2', name), "tags": ["2222222-main", "latest"] });
    let images: Vec<Value> = EXECUTABLES.iter().map(|name| image(name)).collect();
    let stand = stand(json!({ "images": images }));
    fs::remove_dir_all(stand.root().join("target/xtask/release")).unwrap();
    stand.write_report(&json!({ "commit": "2222222000000000000000000000000000000000" }));
    stand.deploy(&["staging", "--preview"]).ends(0).says("release 2222222-main (the registry's tags)");
}

#[test]
fn a_wrong_account_or_region_is_noticed_before_anything_else() {
    let stand = stand(json!({}));
    let config = fs::read_to_string(stand.config()).unwrap();
    let other = stand.beside("other.toml", &config.replace("123456789012", "210987654321"));
    let other = other.to_str().unwrap();
    stand.deploy(&["staging", "--config", other]).ends(3).says("these credentials are of account 123456789012");
    stand.deploy(&["staging", "--region", "eu-west-1"]).ends(3).says("is in us-east-1");
    stand.pin(&template('2').replace(
        "awslogs-region: !Ref AWS::Region, awslogs-stream-prefix: beta",
        "awslogs-region: eu-west-1, awslogs-stream-prefix: beta",
    ));
    stand.deploy(&["staging"]).ends(3).says("the template names eu-west-1");
    nothing_changed(&stand);
}

#[test]
fn without_a_configuration_file_nothing_is_guessed() {
    let stand = stand(json!({}));
    let mut command = stand.command(&["status", "staging"]);
    let output = command.env_remove("XTASK_CONFIG").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("config.example.toml"));
}

#[test]
fn the_stack_of_another_environment_is_refused_before_any_write() {
    // 17
    let mut scenario = with_stack("prod", &template('1'), json!({}));
    scenario["stacks"][0]["parameters"] = crate::stand::parameters("demo");
    scenario["exports"] = json!({ "PrivateSubnet0-demo": "subnet-1" });
    let stand = Stand::new(&scenario);
    let ran = stand.run(&["deploy", "prod", "--confirm", "preserv-services-prod"]);
    ran.ends(3).says("DNS is demo, and prod has prod");
    nothing_changed(&stand);
}

#[test]
fn parameters_that_are_missing_unknown_or_not_allowed_are_named() {
    // 16
    let stand = stand(json!({}));
    let new = template('2').replacen("Parameters:\n", "Parameters:\n  Novelty: {Type: String}\n", 1);
    stand.pin(&new);
    stand.deploy(&["staging"]).ends(3).says("Novelty is new and has no default: --set Novelty=");
    stand.deploy(&["staging", "--set", "Novelty=x", "--preview"]).ends(0).says("Novelty is new: x (as given)");
    stand.pin(&template('2'));
    let before = stand.writes();
    stand.deploy(&["staging", "--set", "Unknown=1"]).ends(3).says("the template has no parameter Unknown");
    stand.deploy(&["staging", "--set", "MaxContainers=0"]).ends(3).says("never runs fewer than 1 tasks");
    assert_eq!(stand.writes(), before);
}

#[test]
fn missing_exports_parameters_and_images_are_named() {
    // 26
    let stand = stand(json!({ "parameters": ["/STAGING/PRESERV/NSQ_URL"], "images": [] }));
    stand.pin(&template('2').replace("PrivateSubnet0-", "PrivateSubnet9-"));
    let ran = stand.deploy(&["staging"]).ends(3);
    let ran = ran.says("no stack exports PrivateSubnet9-staging").says("SSM does not have /STAGING/PRESERV/REDIS_URL");
    ran.says(&digest('2', "alpha")).does_not_say("NSQ_URL");
    nothing_changed(&stand);
    // No value is read, here or anywhere.
    assert_eq!(stand.aws.counters()["violations"], json!([]));
}

#[test]
fn capabilities_are_approved_by_name() {
    let stand = Stand::new(&empty("staging", json!({})));
    let config = fs::read_to_string(stand.config()).unwrap();
    fs::write(stand.config(), config.replace("capabilities", "# capabilities")).unwrap();
    let file = stand.beside("parameters.json", r#"[{"ParameterKey": "DNS", "ParameterValue": "staging"}]"#);
    let create = ["staging", "--create", "--parameters", file.to_str().unwrap(), "--preview"];
    stand.deploy(&create).ends(3).says("--capability CAPABILITY_IAM");
    nothing_changed(&stand);
    stand.deploy(&[&create[..], &["--capability", "CAPABILITY_IAM"]].concat()).ends(0);
}

#[test]
fn a_template_above_the_limit_or_no_template_is_refused() {
    let stand = stand(json!({}));
    stand.pin(&format!("{}\n# {}\n", template('2'), "x".repeat(1_048_576)));
    stand.deploy(&["staging"]).ends(3).says("takes 1048576 at most");
    stand.pin("Resources: [");
    stand.deploy(&["staging"]).ends(3).says("is no YAML");
    stand.deploy(&["staging", "--template", "nowhere.yml"]).ends(3).says("nowhere.yml");
    nothing_changed(&stand);
}

#[test]
fn prod_is_not_confirmed_by_yes() {
    // 25
    let stand = Stand::new(&scenario("prod", json!({})));
    let args = ["deploy", "prod", "--not-in-demo", "the test has no demo"];
    stand.run(&[&args[..], &["--yes"]].concat()).ends(3).says("--confirm preserv-services-prod");
    stand
        .run(&[&args[..], &["--confirm", "preserv-services-demo"]].concat())
        .ends(3)
        .says("--confirm names preserv-services-demo");
    assert_eq!(stand.calls("cloudformation.ExecuteChangeSet"), 0);
    // What was made for the preview is gone again.
    assert_eq!(stand.calls("cloudformation.CreateChangeSet"), stand.calls("cloudformation.DeleteChangeSet"));
}

#[test]
fn prod_wants_what_runs_in_demo() {
    let stand = Stand::new(&scenario("prod", json!({})));
    let ran = stand.run(&["deploy", "prod", "--confirm", "preserv-services-prod"]);
    ran.ends(3).says("there is no stack preserv-services-demo").says("--not-in-demo");
}

#[test]
fn a_second_deploy_at_once_is_busy() {
    let stand = stand(json!({}));
    let lock = stand.root().join("target/xtask/deploy/lock-staging");
    let _held = xtask::files::Lock::take(&lock, "deploy staging").unwrap();
    stand.deploy(&["staging"]).ends(8).says("is running");
    nothing_changed(&stand);
    assert_eq!(Exit::Busy as i32, 8);
}

#[test]
fn no_access_is_told_from_failure() {
    let expired = stand(json!({ "faults": { "expire_credentials": {} } }));
    expired.deploy(&["staging"]).ends(4).says("log in");
    let denied = stand(json!({ "faults": { "access_denied": ["cloudformation.ListExports"] } }));
    denied.deploy(&["staging"]).ends(4).says("ask for this permission");
    let skewed = stand(json!({ "faults": { "clock_skew_seconds": 900 } }));
    skewed.deploy(&["staging"]).ends(4).says("clock");
    let none = stand(json!({}));
    let mut command = none.command(&["status", "staging"]);
    let output = command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn endless_throttling_and_a_lost_network_end_at_the_time_limit() {
    let throttled = stand(json!({ "faults": { "throttle": { "percent": 100 } } }));
    throttled.deploy(&["staging", "--timeout", "2s"]).ends(7).says("AWS asks for fewer calls");
    let gone = stand(json!({ "faults": { "drop_connections": {} } }));
    gone.deploy(&["staging", "--timeout", "2s"]).ends(7).says("no contact with AWS");
}

#[test]
fn a_dry_run_only_reads() {
    let stand = stand(json!({}));
    stand.deploy(&["staging", "--dry-run"]).ends(0).says("--dry-run");
    stand.write("notes.txt", "new");
    stand.deploy(&["staging", "--dry-run"]).ends(3);
    nothing_changed(&stand);
}

#[test]
fn a_bucket_that_is_public_forgetful_or_elsewhere_is_refused() {
    for (field, value, words) in [
        ("public_access_blocked", json!(false), "does not block all public access"),
        ("versioning", json!(false), "does not keep versions"),
        ("region", json!("eu-west-1"), "is in another region"),
    ] {
        let stand = stand(json!({ "buckets": [{ "name": BUCKET, field: value }] }));
        stand.pin(&format!("{}# {}\n", template('2'), "x".repeat(60_000)));
        stand.deploy(&["staging"]).ends(3).says(words);
        nothing_changed(&stand);
    }
    // Whoever may not look is told so, and goes on.
    let denied = json!(["s3.GetPublicAccessBlock", "s3.GetBucketVersioning", "s3.GetBucketLocation"]);
    let stand = stand(json!({ "faults": { "access_denied": denied } }));
    stand.pin(&format!("{}# {}\n", template('2'), "x".repeat(60_000)));
    stand.deploy(&["staging"]).ends(0).says("is not known");
}
