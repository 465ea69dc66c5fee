//! Images that are not those of one release: one service moved, a template of another family, and the way back to what ran before.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::stand::{EXECUTABLES, Stand, digest, scenario, template, with_stack};

const CONFIRM: [&str; 2] = ["--confirm", "preserv-services-staging"];

/// A template of images that this repository never released, without `gamma`, which nobody runs there.
fn foreign() -> String {
    let text = EXECUTABLES.iter().fold(template('1'), |text, name| {
        text.replace(&format!("{name}@{}", digest('1', name)), &format!("{name}:abcdef0-master"))
    });
    let text = text.replace("      Gamma: gamma:abcdef0-master\n", "");
    text[..text.find("  GammaTaskDefinition:").unwrap()].to_owned()
}

fn removals(stand: &Stand) -> PathBuf {
    stand.root().join("target/xtask/deploy/removals-preserv-services-staging.txt")
}

#[test]
fn what_ran_before_the_first_deployment_can_be_gone_back_to() {
    let stand = Stand::new(&with_stack("staging", &foreign(), json!({})));
    stand.deploy(&["staging"]).ends(0).says("what runs now is archived as abcdef0-master");
    stand.run(&["rollback", "staging", "--list"]).ends(0).says("abcdef0-master").says("2222222-main");
    let back = ["rollback", "staging", "--yes", "--bake", "0s"];
    let ran = stand.run(&back).ends(3).says("GammaSchedule (AWS::Scheduler::Schedule) is removed");
    ran.says("--approve-removals").does_not_say("does not have gamma");
    let list = removals(&stand);
    let approved = [&back[..], &["--approve-removals", list.to_str().unwrap()]].concat();
    let ran = stand.run(&approved).ends(0).says("going back to abcdef0-master, which ran at");
    ran.says("no known release (alpha abcdef0-master, beta abcdef0-master)").says("ECS runs what was shipped");
    // And forward again, with nothing archived twice.
    stand.deploy(&["staging"]).ends(0).does_not_say("is archived as");
    assert_eq!(stand.aws.counters()["violations"], json!([]));
}

#[test]
fn without_a_bucket_the_missing_way_back_is_told() {
    let stand = Stand::new(&scenario("staging", json!({})));
    let config = fs::read_to_string(stand.config()).unwrap();
    fs::write(stand.config(), config.replace("template_bucket", "# template_bucket")).unwrap();
    stand.deploy(&["staging"]).ends(0).says("rollback will not know the way back");
}

#[test]
fn a_template_of_another_family_is_deployed_when_that_is_asked_for() {
    let stand = Stand::new(&scenario("staging", json!({})));
    let kept = stand.beside("kept.yml", &foreign());
    let args = ["staging", "--template", kept.to_str().unwrap()];
    let ran = stand.deploy(&[&args[..], &["--preview"]].concat()).ends(3);
    ran.says("no known release (alpha abcdef0-master, beta abcdef0-master)").says("the template does not have gamma");
    let list = removals(&stand);
    let args = [&args[..], &["--approve-removals", list.to_str().unwrap()]].concat();
    stand.deploy(&args).ends(3).says("--other-images <reason>");
    let args = [&args[..], &["--other-images", "the new ones lose mail"]].concat();
    // `--yes` is not enough for that.
    stand.deploy(&args).ends(3).says("--confirm preserv-services-staging");
    assert_eq!(stand.calls("cloudformation.ExecuteChangeSet"), 0);
    let ran = stand.deploy(&[&args[..], &CONFIRM].concat()).ends(0);
    ran.says("these images are not those of one complete release").says("ECS runs what was shipped");
    let record = stand.record();
    assert_eq!(record["other_images"], "the new ones lose mail");
    assert_eq!(record["origin"]["others"], json!({ "alpha": "abcdef0-master", "beta": "abcdef0-master" }));
    stand.run(&["status", "staging"]).ends(0).does_not_say("release").says("abcdef0-master");
}

#[test]
fn images_of_other_names_are_looked_at_as_well() {
    let renamed = EXECUTABLES.iter().fold(foreign(), |text, name| {
        text.replace(&format!("{name}:abcdef0-master"), &format!("old-{name}:abcdef0-master"))
    });
    let stand = Stand::new(&with_stack("staging", &renamed, json!({})));
    stand.run(&["status", "staging"]).ends(0).says("old-alpha").says("1/1").does_not_say("release");
    stand.deploy(&["staging"]).ends(0).says("what runs now is archived as abcdef0-master");
}

#[test]
fn one_service_moves_and_every_command_says_what_is_of_which_release() {
    let stand = Stand::new(&scenario("staging", json!({})));
    let older = stand.root().join("target/xtask/release/1111111-main/release-1111111-main.json");
    let manifest = fs::read_to_string(&older).unwrap();
    fs::write(&older, manifest.replace(&stand.commit(), &"1".repeat(40))).unwrap();
    stand.pin(&template('1').replace(&digest('1', "alpha"), &digest('2', "alpha")));
    let both = "1111111-main (beta, gamma), 2222222-main (alpha)";
    stand.deploy(&["staging"]).ends(3).says(both).says("--other-images <reason>");
    // The report is of the release that `alpha` moves to. What stays was tested when it came.
    let args = ["staging", "--other-images", "one at a time", CONFIRM[0], CONFIRM[1]];
    let ran = stand.deploy(&args).ends(0).says(both).says("7 passed").says("mixed-");
    ran.says("ECS runs what was shipped");
    let record = stand.record();
    assert_eq!(record["chain"][0]["commit"], stand.commit());
    assert_eq!(record["chain"][1]["commit"], "1".repeat(40));
    let status = stand.run(&["status", "staging"]).ends(0).says(&format!("mixed: {both}"));
    assert!(status.stdout.lines().any(|line| line.starts_with("alpha") && line.contains("2222222-main")));
    assert!(status.stdout.lines().any(|line| line.starts_with("beta") && line.contains("1111111-main")));
    // Forward as a whole, and back to the mixture.
    stand.pin(&template('2'));
    stand.deploy(&["staging"]).ends(0);
    let ran = stand.run(&["rollback", "staging", "--yes", "--bake", "0s"]).ends(0);
    ran.says(&format!(": {both}")).says("going back to mixed-");
    // What moves must be tested: this report is of neither.
    stand.write_report(&json!({ "commit": "3".repeat(40) }));
    stand.pin(&template('2').replace(&digest('2', "gamma"), &digest('1', "gamma")));
    stand.deploy(&args).ends(3).says("the test report is of 3333333333");
}

#[test]
fn removals_are_approved_as_the_list_that_was_read() {
    let stand = Stand::new(&scenario("staging", json!({})));
    let whole = template('2');
    let (start, end) = (whole.find("  AlphaTarget:").unwrap(), whole.find("  BetaTaskDefinition:").unwrap());
    let mut less = whole.clone();
    less.replace_range(start..end, "");
    let less = less.replace("  LogGroup:\n", "  Kept:\n").replace("!Ref LogGroup", "!Ref Kept");
    let less = less.replace("/ecs/${DNS}/preserv", "/ecs/${DNS}/kept");
    stand.pin(&less);
    stand.deploy(&["staging", "--preview"]).ends(3);
    let list = removals(&stand);
    let text = fs::read_to_string(&list).unwrap();
    assert!(text.contains("\nAlphaTarget AWS::ApplicationAutoScaling::ScalableTarget\n"), "{text}");
    let args = ["staging", "--approve-removals", list.to_str().unwrap()];
    // A line that was taken out is not approved.
    fs::write(&list, text.replace("LogGroup AWS::Logs::LogGroup\n", "")).unwrap();
    let ran = stand.deploy(&args).ends(3).says("LogGroup (AWS::Logs::LogGroup) is removed");
    ran.does_not_say("--allow-removal AlphaTarget");
    // The list is of one template.
    fs::write(&list, &text).unwrap();
    stand.pin(&format!("{less}# another\n"));
    stand.deploy(&args).ends(3).says("is of another stack or template");
    stand.pin(&less);
    stand.deploy(&args).ends(0).says("ECS runs what was shipped");
}

#[test]
fn a_preview_names_the_settings_that_go() {
    let stand = Stand::new(&scenario("staging", json!({})));
    let beta = template('2');
    let line = beta.lines().find(|line| line.contains("Name: REDIS_URL")).unwrap();
    stand.pin(&beta.replace(&format!("{line}\n"), ""));
    stand
        .deploy(&["staging", "--preview"])
        .ends(0)
        .says("Settings that a service gets no longer (1)")
        .says("REDIS_URL  beta");
}
