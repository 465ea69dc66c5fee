//! From the stack of today, as the console left it (16 services, three of them scaling), to the template that we ship.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::stand::{Stand, digest, parameters, with_stack};

/// What the operator approves by name: `cloudformation/MIGRATION.md` lists the same 13.
const REMOVED: [&str; 13] = [
    "AptqueuefixityService",
    "ScaleUpPrefetchPolicy",
    "ScaleDownPrefetchPolicy",
    "ScaleUpFormatIdPolicy",
    "ScaleDownFormatIdPolicy",
    "ScaleUpCPUFormatIdPolicy",
    "ScaleDownCPUFormatIdPolicy",
    "ScaleUpFixityPolicy",
    "ScaleDownFixityPolicy",
    "AlarmHighCPUPrefetch",
    "AlarmHighMemoryFormatId",
    "AlarmHighCPUFormatId",
    "AlarmHighCPUFixity",
];

/// The names of the executables, and the template that we ship with each pinned to a release.
pub(crate) fn shipped(release: char) -> (Vec<String>, String) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let text = std::fs::read_to_string(format!("{root}cloudformation/cfn-preserv-master.yml")).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(format!("{root}services/apps/src/bin"))
        .unwrap()
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    let pinned = names.iter().fold(text, |text, name| {
        let line = |line: &str| match line.split_once(&format!(": {name}")) {
            Some((key, rest)) if rest.starts_with([':', '@']) => format!("{key}: {name}@{}", digest(release, name)),
            _ => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    });
    (names, pinned)
}

/// What the stack and the template that we ship import.
pub(crate) fn exports(names: &[&str]) -> Value {
    names.iter().map(|name| (format!("{name}-staging"), json!(format!("value-of-{name}")))).collect()
}

pub(crate) const EXPORTS: [&str; 7] = [
    "NameSpace",
    "PreservSecurityGroup",
    "UnifiedSecurityGroup",
    "PublicSubnet0",
    "PublicSubnet1",
    "PrivateSubnet0",
    "PrivateSubnet1",
];

/// The blocks of the resources, by logical id.
fn blocks(template: &str) -> BTreeMap<String, String> {
    let resources = template.split("\nResources:\n").nth(1).unwrap().split("\nOutputs:\n").next().unwrap();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for line in resources.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let id = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')).and_then(|rest| rest.strip_suffix(':'));
        match id {
            Some(id) => id.clone_into(&mut current),
            None => found.entry(current.clone()).or_default().extend([line, "\n"]),
        }
    }
    found
}

/// Today's template: made from ours, with everything that the move changes put back.
fn today(ours: &str) -> String {
    let blocks = blocks(ours);
    let mut resources: BTreeMap<String, String> = BTreeMap::new();
    for (id, block) in &blocks {
        if id == "Cluster" || id == "LogGroup" || id.ends_with("ServiceDiscoveryEntry") {
            resources.insert(id.clone(), block.replace("    UpdateReplacePolicy: Retain\n", ""));
        } else if id.ends_with("TaskDefinition") && id != "AptqueueTaskDefinition" {
            let own_role = |line: &&str| line.contains("ExecutionRoleArn: ") || line.contains("TaskRoleArn: ");
            let lines = block.lines().filter(|line| !own_role(line));
            let old = lines
                .collect::<Vec<_>>()
                .join("\n")
                .replace("ReadonlyRootFilesystem: true", "ReadonlyRootFilesystem: false");
            resources.insert(id.clone(), format!("{old}\n"));
        } else if id.ends_with("Service") {
            let old = block
                .replace("        DeploymentCircuitBreaker: {Enable: true, Rollback: true}\n", "")
                .replace("EnableExecuteCommand: false", "EnableExecuteCommand: true\n      DesiredCount: 1");
            resources.insert(id.clone(), old);
        }
    }
    let fixity =
        resources["AptfixityService"].replace("Aptfixity", "Aptqueuefixity").replace("ecs-fixity", "ecs-queuefixity");
    resources.insert("AptqueuefixityService".to_owned(), fixity);
    for id in ["AutoScalingPrefetchTarget", "AutoScalingFormatIdTarget", "AutoScalingFixityTarget"] {
        resources.insert(
            id.to_owned(),
            format!("{}      RoleARN: !ImportValue {{'Fn::Sub': 'AutoScalingRole-${{DNS}}'}}\n", blocks[id]),
        );
    }
    for id in REMOVED.iter().filter(|id| id.starts_with("Scale")) {
        let target = ["Prefetch", "FormatId", "Fixity"].into_iter().find(|name| id.contains(name)).unwrap();
        let properties =
            format!("PolicyName: {id}, PolicyType: StepScaling, ScalingTargetId: !Ref AutoScaling{target}Target");
        resources.insert(
            (*id).to_owned(),
            format!("    Type: AWS::ApplicationAutoScaling::ScalingPolicy\n    Properties: {{{properties}}}\n"),
        );
    }
    for id in REMOVED.iter().filter(|id| id.starts_with("Alarm")) {
        resources.insert(
            (*id).to_owned(),
            "    Type: AWS::CloudWatch::Alarm\n    Properties: {Threshold: 70, MetricName: CpuUtilized}\n".to_owned(),
        );
    }
    assert_eq!(resources.len(), 65, "{:?}", resources.keys());
    let head = ours.split("\nResources:\n").next().unwrap();
    let resources: Vec<String> = resources.iter().map(|(id, block)| format!("  {id}:\n{block}")).collect();
    format!("{head}\nResources:\n{}", resources.concat())
}

#[test]
fn the_move_replaces_and_removes_nothing_that_holds_data_or_logs() {
    let (names, old) = shipped('1');
    let (_, new) = shipped('2');
    let mut scenario = with_stack("staging", &today(&old), json!({}));
    let mut values = parameters("staging");
    values["SearchDomainDigest"] = json!(format!("sha256:{}", "5".repeat(64)));
    scenario["stacks"][0]["parameters"] = values;
    let mut all = EXPORTS.to_vec();
    all.push("AutoScalingRole");
    scenario["exports"] = exports(&all);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stand = Stand::with_template(&scenario, &new, &names);

    // Removals are refused until each is approved.
    let ran = stand.deploy(&["staging", "--preview", "--format", "json"]).ends(3);
    let records = ran.records();
    let preview = records.iter().find(|record| record["type"] == "preview").expect("a preview");
    let changes = preview["changes"].as_array().unwrap();
    let dangerous: Vec<&Value> = changes.iter().filter(|change| change["class"]["dangerous"].is_string()).collect();
    let removed: BTreeSet<&str> = dangerous
        .iter()
        .filter(|change| change["class"]["dangerous"] == "removed")
        .filter_map(|change| change["logical_id"].as_str())
        .collect();
    assert_eq!(removed, REMOVED.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(dangerous.len(), REMOVED.len(), "{dangerous:#?}");
    let touched: BTreeSet<&str> = changes.iter().filter_map(|change| change["logical_id"].as_str()).collect();
    for kept in ["Cluster", "AptfixityServiceDiscoveryEntry"] {
        assert!(!touched.contains(kept), "{kept} is touched");
    }
    for change in changes.iter().filter(|change| change["logical_id"] == "LogGroup") {
        // It gains UpdateReplacePolicy, which protects it and changes nothing about it.
        assert_eq!(change["details"][0]["attribute"], "UpdateReplacePolicy", "{change:#}");
        assert_eq!(change["details"].as_array().map(Vec::len), Some(1), "{change:#}");
    }
    let replaced: BTreeSet<&str> = changes
        .iter()
        .filter(|change| change["replacement"] == "True")
        .filter_map(|change| change["kind"].as_str())
        .collect();
    assert_eq!(replaced, ["AWS::ECS::TaskDefinition"].into());

    let mut args = vec!["staging"];
    args.extend(REMOVED.iter().flat_map(|id| ["--allow-removal", id]));
    stand.deploy(&[&args[..], &["--preview"]].concat()).ends(0).says("service → schedule").says("apt_queue ");
    stand.deploy(&args).ends(0).says("ECS runs what was shipped");
}
