//! What needs no registry: which release is taken, what is written, and what is said.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::{Value, json};

use super::{PATH, TEMPLATE, digest, manifest, text, update, with_pins, workspace};
use crate::release::run;
use crate::support::{self, Scratch};

#[test]
fn e6_9_only_images_change_and_every_other_multi_stays() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let ran = update(&workspace, &["--offline"]).succeeds();
    assert_eq!(text(&workspace), with_pins(|service| format!("@{}", digest(service))));
    assert!(ran.stderr.contains("the registry was not asked (--offline)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("line 1: `aptrust/alpha:multi` is commented out; left alone"), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], format!("beta:multi   ->  beta@{}", digest("beta")), "in the order of the file");
    assert_eq!(lines.len(), 3);
    let changed = workspace.git(&["diff", "--unified=0"]);
    assert_eq!(changed.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).count(), 3);
}

#[test]
fn e6_13_a_commit_of_the_pinned_template_changes_nothing() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    update(&workspace, &["--offline", "--check"]).fails(3, "3 of its 3 images are not those of");
    assert_eq!(text(&workspace), TEMPLATE, "--check writes nothing");
    update(&workspace, &["--offline"]).succeeds();
    workspace.commit("pin the template");
    let before = fs::metadata(workspace.root().join(PATH)).unwrap();
    let ran = update(&workspace, &["--offline"]).succeeds();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let after = fs::metadata(workspace.root().join(PATH)).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()), "it was not rewritten");
    assert_eq!(workspace.git(&["status", "--porcelain"]), "");
    update(&workspace, &["--offline", "--check"]).succeeds();
}

#[test]
fn e6_11_a_hand_edit_elsewhere_survives_and_is_in_the_diff() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    workspace.write(PATH, &TEMPLATE.replace("Family: multi", "Family: halved"));
    update(&workspace, &["--offline"]).succeeds();
    let expected = with_pins(|service| format!("@{}", digest(service)));
    assert_eq!(text(&workspace), expected.replace("Family: multi", "Family: halved"));
    assert!(workspace.git(&["diff"]).contains("+      Family: halved"));
}

#[test]
fn one_service_is_pinned_and_the_others_stay() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    update(&workspace, &["--offline", "--only", "beta", "delta"]).fails(3, "has no image of delta");
    let ran = update(&workspace, &["--offline", "--only", "beta"]).succeeds();
    assert_eq!(ran.stdout, format!("beta:multi  ->  beta@{}\n", digest("beta")));
    let pin = |service: &str| if service == "beta" { format!("@{}", digest("beta")) } else { ":multi".to_owned() };
    assert_eq!(text(&workspace), with_pins(pin));
    update(&workspace, &["--offline", "--check", "--only", "beta"]).succeeds();
    update(&workspace, &["--offline", "--check"]).fails(3, "2 of its 3 images are not those of");
}

#[test]
fn the_newest_release_that_no_image_has_left_behind_is_taken() {
    let workspace = workspace(TEMPLATE);
    let first = workspace.tag();
    manifest(&workspace, |_| {});
    workspace.write("cloudformation/README.md", "");
    workspace.write("docs/page.md", "");
    workspace.write("README.md", "");
    workspace.commit("no image depends on these");
    let ran = update(&workspace, &["--offline", "--dry-run", "--pin", "tag"]).succeeds();
    assert!(ran.stdout.contains(&first), "{}", ran.stdout);

    workspace.write("services/apps/README.md", "compiled in, for all one knows");
    workspace.commit("beside code");
    update(&workspace, &["--offline"]).fails(3, "services/apps/README.md changed since its commit");
    manifest(&workspace, |_| {});
    let ran = update(&workspace, &["--offline", "--dry-run", "--pin", "tag"]).succeeds();
    assert!(ran.stdout.contains(&workspace.tag()), "{}", ran.stdout);

    // An older checkout knows nothing of the later release, and another branch of neither.
    workspace.git(&["checkout", "--quiet", "-b", "older", "HEAD~1"]);
    let ran = update(&workspace, &["--offline", "--dry-run", "--pin", "tag"]).succeeds();
    assert!(ran.stdout.contains(&first), "{}", ran.stdout);
    workspace.git(&["checkout", "--quiet", "--orphan", "other"]);
    workspace.commit("a root");
    update(&workspace, &["--offline"]).fails(3, "HEAD does not descend from its commit");
    assert_eq!(text(&workspace), TEMPLATE);
}

#[test]
fn releases_that_must_not_reach_demo_and_prod_are_taken_only_when_asked_for() {
    let workspace = workspace(TEMPLATE);
    for mark in ["dirty", "unfinished"] {
        let path = manifest(&workspace, |manifest| {
            manifest["tag"] = json!(format!("1a2b3c4-main-{mark}"));
            manifest[mark] = json!(true);
        });
        let path = path.to_str().unwrap();
        let allow = format!("--allow-{mark}");
        update(&workspace, &["--offline"]).fails(3, &format!("release-1a2b3c4-main-{mark}.json: the release"));
        update(&workspace, &["--offline", "--from", path]).fails(3, &allow);
        update(&workspace, &["--offline", "--pin", "tag", "--tag", &format!("x-{mark}")]).fails(3, &allow);
        update(&workspace, &["--offline", "--dry-run", &allow]).succeeds();
        update(&workspace, &["--offline", "--dry-run", &allow, "--from", path]).succeeds();
        fs::remove_dir_all(workspace.release_folder()).unwrap();
    }
    update(&workspace, &["--offline", "--pin", "tag", "--tag", "x-dirty-unfinished", "--allow-unfinished"])
        .fails(3, "--allow-dirty");
}

/// What a test does to a manifest.
type Change = fn(&mut Value);

#[test]
fn manifests_that_are_none_or_not_whole_are_refused() {
    let workspace = workspace(TEMPLATE);
    let changes: [(&str, Change); 6] = [
        ("was not published", |manifest| manifest["published"] = json!(false)),
        ("has no digest of beta", |manifest| manifest["images"][1]["digest"] = Value::Null),
        ("has no digest of gamma", |manifest| drop(manifest["images"].as_array_mut().unwrap().pop())),
        ("has no digest of alpha", |manifest| manifest["images"][0]["digest"] = json!("sha256:12")),
        ("its schema is `preserv-release/2`", |manifest| manifest["schema"] = json!("preserv-release/2")),
        ("missing field `commit`", |manifest| drop(manifest.as_object_mut().unwrap().remove("commit"))),
    ];
    for (why, change) in changes {
        let path = manifest(&workspace, change);
        update(&workspace, &["--offline", "--from", path.to_str().unwrap()]).fails(3, why);
        update(&workspace, &["--offline"]).fails(3, why);
    }
    fs::write(workspace.beside("x.json"), "{").unwrap();
    update(&workspace, &["--offline", "--from", workspace.beside("x.json").to_str().unwrap()])
        .fails(3, "is no release manifest");
    update(&workspace, &["--offline", "--from", "absent.json"]).fails(1, "absent.json");
    manifest(&workspace, |manifest| manifest["registry"] = json!("localhost:5000/try"));
    update(&workspace, &["--offline"]).fails(3, "was published to localhost:5000/try");
    update(&workspace, &["--offline", "--registry", "localhost:5000/try", "--dry-run"]).succeeds();
    fs::remove_dir_all(workspace.release_folder()).unwrap();
    update(&workspace, &["--offline"]).fails(3, "cargo xtask release");
    assert_eq!(text(&workspace), TEMPLATE);
}

#[test]
fn a_tag_offline_needs_no_manifest_and_no_docker() {
    let workspace = workspace(TEMPLATE);
    let path = support::workspace::Fakes::new(workspace.beside("bin")).only_with(&["cargo", "rustc", "git", "sh"]);
    let mut command = workspace.xtask(&["update-template", "--offline", "--pin", "tag", "--tag", "1a2b3c4-main"]);
    run(command.env("PATH", &path)).succeeds();
    assert_eq!(text(&workspace), with_pins(|_| ":1a2b3c4-main".to_owned()));
    let mut command = workspace.xtask(&["update-template", "--tag", "1a2b3c4-main"]);
    run(command.env("PATH", path)).fails(4, "docker is not on PATH").fails(4, "--offline");
}

#[test]
fn the_command_line_is_checked() {
    let workspace = workspace(TEMPLATE);
    update(&workspace, &["--offline", "--tag", "x"]).fails(2, "only the registry knows the digests of a tag");
    update(&workspace, &["--tag", "a b"]).fails(2, "`a b` is no image tag");
    update(&workspace, &["--tag", "x", "--from", "y"]).fails(2, "cannot be used with");
    update(&workspace, &["--tag", "x", "--registry", "nowhere"]).fails(2, "`nowhere` is no registry");
    update(&workspace, &["--pin", "name"]).fails(2, "digest, tag");
    assert_eq!(text(&workspace), TEMPLATE);
}

#[test]
fn records_say_what_the_text_says() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let ran = update(&workspace, &["--offline", "--check", "--format", "json"]);
    let records: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let image = records.iter().find(|record| record["service"] == "alpha").unwrap();
    assert_eq!((&image["type"], &image["line"], &image["changed"]), (&json!("image"), &json!(14), &json!(true)));
    assert_eq!((&image["old"], &image["new"]), (&json!("alpha:multi"), &json!(format!("alpha@{}", digest("alpha")))));
    let result = records.last().unwrap();
    assert_eq!((&result["type"], &result["exit_code"]), (&json!("result"), &json!(3)));
    assert_eq!((&result["images"], &result["changed"], &result["verified"]), (&json!(3), &json!(3), &json!(false)));
    assert_eq!(result["tag"], workspace.tag());
    assert!(records.iter().any(|record| record["type"] == "mention"));
}

#[test]
fn dry_run_and_check_leave_nothing_behind_and_the_mode_is_kept() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let path = workspace.root().join(PATH);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = update(&workspace, &["--offline", "--dry-run"]).succeeds();
    assert!(ran.stderr.contains("would pin 3 of 3"), "{}", ran.stderr);
    update(&workspace, &["--offline", "--check"]).fails(3, "is stale");
    assert_eq!(text(&workspace), TEMPLATE);
    assert!(!workspace.root().join("target/xtask/update-template").exists());
    update(&workspace, &["--offline"]).succeeds();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The template of this repository, in a copy.
#[test]
fn the_real_template_has_all_services() {
    let scratch = Scratch::new("real-template");
    let path = scratch.path().join("template.yml");
    let before = fs::read_to_string(support::root().join(PATH)).unwrap();
    fs::write(&path, &before).unwrap();
    let args = ["update-template", "--offline", "--pin", "tag", "--tag", "1a2b3c4-main", "--format", "json"];
    let ran = run(support::xtask().args(args).arg("--template").arg(&path)).succeeds();
    let records: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = records.last().unwrap();
    assert_eq!((&result["images"], &result["missing"]), (&json!(17), &json!([])), "{result:#}");
    let after = fs::read_to_string(&path).unwrap();
    let differing: Vec<(&str, &str)> = before.lines().zip(after.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!((before.lines().count(), differing.len()), (after.lines().count(), 17));
    for (old, new) in differing {
        let (name, image) = new.trim().split_once(": ").unwrap();
        let service = image.strip_suffix(":1a2b3c4-main").unwrap();
        assert_eq!(name.to_lowercase(), service.replace('_', ""));
        assert!(old.trim().starts_with(&format!("{name}: {service}")), "{old}");
    }
}

/// As in the template in use today (04 C): 4,000 lines, literal images behind a pull-through cache, one service less.
#[test]
fn a_template_of_4000_lines_with_literal_images_behind_a_cache() {
    let workspace = workspace(TEMPLATE);
    let names: Vec<String> = (0..16).map(|number| format!("worker_{number}")).collect();
    let mut before = String::from("AWSTemplateFormatVersion: '2010-09-09'\r\nResources:\r\n");
    for name in &names {
        workspace.write_service(name, "");
        let _ = write!(
            before,
            "  {0}:\r\n    Type: AWS::ECS::TaskDefinition\r\n    Properties:\r\n      ContainerDefinitions:\r\n        - Name: {name}\r\n          Image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/docker-hub/aptrust/{name}:multi\r\n          Secrets:\r\n",
            name.replace('_', "")
        );
        for number in 0..250 {
            let _ = write!(before, "            - Name: SETTING_{number} # multi ä\r\n");
        }
    }
    assert!(before.lines().count() > 4000);
    workspace.write(PATH, &before);
    let ran = update(&workspace, &["--offline", "--pin", "tag", "--tag", "a23ba20-master"]).succeeds();
    assert!(ran.stderr.contains("the template does not run alpha, beta, gamma"), "{}", ran.stderr);
    assert!(ran.stderr.contains("pinned 16 of 16 images"), "{}", ran.stderr);
    let mut expected = before;
    for name in &names {
        expected =
            expected.replace(&format!("aptrust/{name}:multi\r\n"), &format!("aptrust/{name}:a23ba20-master\r\n"));
    }
    assert_eq!(text(&workspace), expected);
}
