//! The CloudFormation template against the rest of the repository: the services that there are, the settings that they
//! read, the names that it refers to, and what must hold of every block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::workspace::real_program;
use crate::support::{Scratch, program, root, skip};

const CRON_JOBS: [&str; 2] = ["apt_queue", "apt_queue_fixity"];

/// The template with its short tags written out, as CloudFormation reads it.
fn template() -> Value {
    let text = fs::read_to_string(root().join("cloudformation/cfn-preserv-master.yml")).unwrap();
    written_out(serde_yaml::from_str(&text).unwrap())
}

fn written_out(value: serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let inner = written_out(tagged.value);
            match (tag.as_str(), &inner) {
                ("!Ref" | "!Condition", _) => json!({ tag[1..].to_owned(): inner }),
                ("!GetAtt", Value::String(path)) => {
                    json!({ "Fn::GetAtt": path.splitn(2, '.').collect::<Vec<_>>() })
                }
                _ => json!({ format!("Fn::{}", &tag[1..]): inner }),
            }
        }
        Yaml::Mapping(entries) => entries
            .into_iter()
            .map(|(key, value)| (key.as_str().expect("keys are text").to_owned(), written_out(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Yaml::Sequence(items) => items.into_iter().map(written_out).collect::<Vec<_>>().into(),
        plain => serde_json::to_value(plain).unwrap(),
    }
}

/// Calls `see` with every object and text of the tree.
fn walk(value: &Value, see: &mut impl FnMut(&Value)) {
    see(value);
    match value {
        Value::Object(entries) => entries.values().for_each(|value| walk(value, see)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
        _ => {}
    }
}

fn services() -> Vec<String> {
    let files = fs::read_dir(root().join("services/apps/src/bin")).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn camel_case(name: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    name.split('_').map(capital).collect()
}

fn of_type<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let resources = template["Resources"].as_object().unwrap();
    resources.iter().filter(|(_, it)| it["Type"] == kind).map(|(id, it)| (id.as_str(), &it["Properties"])).collect()
}

/// The task definition and the service's container by executable, as their image names it.
fn task_definitions(template: &Value) -> BTreeMap<String, (String, Value)> {
    let by_key: BTreeMap<String, String> = services().into_iter().map(|name| (camel_case(&name), name)).collect();
    let mut found = BTreeMap::new();
    for (id, definition) in of_type(template, "AWS::ECS::TaskDefinition") {
        let container = definition["ContainerDefinitions"].as_array().unwrap().last().unwrap();
        let key = container["Image"]["Fn::Sub"][1]["Reference"]["Fn::FindInMap"][2].as_str().unwrap();
        let twice = found.insert(by_key[key].clone(), (id.to_owned(), container.clone()));
        assert!(twice.is_none(), "two task definitions for {key}");
    }
    found
}

#[test]
fn it_runs_exactly_the_services_that_there_are() {
    let template = template();
    let images = template["Mappings"]["Images"]["Release"].as_object().unwrap();
    let keys: BTreeSet<String> = images.keys().cloned().collect();
    assert_eq!(keys, services().iter().map(|name| camel_case(name)).collect());
    for name in services() {
        let image = images[&camel_case(&name)].as_str().unwrap();
        assert!(image.starts_with(&format!("{name}:")) || image.starts_with(&format!("{name}@sha256:")), "{image}");
    }
    assert_eq!(task_definitions(&template).into_keys().collect::<Vec<_>>(), services());
}

#[test]
fn fifteen_scale_by_themselves_and_two_are_scheduled() {
    let template = template();
    let definitions = task_definitions(&template);
    let running: BTreeSet<&str> = of_type(&template, "AWS::ECS::Service")
        .into_values()
        .map(|service| {
            assert_eq!(
                service["DeploymentConfiguration"]["DeploymentCircuitBreaker"],
                json!({ "Enable": true, "Rollback": true })
            );
            assert!(service["DesiredCount"].is_null(), "an update must not undo the scaling");
            service["TaskDefinition"]["Ref"].as_str().unwrap()
        })
        .collect();
    let scheduled: BTreeSet<&str> = of_type(&template, "AWS::Scheduler::Schedule")
        .into_values()
        .map(|schedule| {
            assert!(schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"].as_u64().unwrap() <= 3);
            schedule["Target"]["EcsParameters"]["TaskDefinitionArn"]["Ref"].as_str().unwrap()
        })
        .collect();
    let expected = |cron: bool| -> BTreeSet<&str> {
        let chosen = definitions.iter().filter(|(name, _)| CRON_JOBS.contains(&name.as_str()) == cron);
        chosen.map(|(_, (id, _))| id.as_str()).collect()
    };
    assert_eq!(running, expected(false));
    assert_eq!(scheduled, expected(true));
    let targets = of_type(&template, "AWS::ApplicationAutoScaling::ScalableTarget");
    let policies = of_type(&template, "AWS::ApplicationAutoScaling::ScalingPolicy");
    assert_eq!((running.len(), targets.len()), (15, 15));
    for target in targets.keys() {
        let of_target = |policy: &&&Value| policy["ScalingTargetId"]["Ref"] == **target;
        let own: Vec<_> = policies.values().filter(of_target).collect();
        assert!(!own.is_empty(), "{target} has no policy");
        assert!(own.iter().all(|policy| policy["PolicyType"] == "TargetTrackingScaling"), "{target}");
    }
}

#[test]
fn every_container_is_confined_and_checked() {
    for (name, (id, container)) in task_definitions(&template()) {
        assert_eq!(container["User"], "65532:65532", "{id}");
        assert_eq!(container["ReadonlyRootFilesystem"], true, "{id}");
        assert_eq!(container["StopTimeout"], 120, "{id}");
        assert_eq!(container["MountPoints"][0]["ContainerPath"], "/tmp", "{id}");
        if CRON_JOBS.contains(&name.as_str()) {
            assert_eq!(container["Command"], json!(["--run-once"]), "{id}");
        } else {
            assert_eq!(container["HealthCheck"]["Command"], json!(["CMD", format!("/{name}"), "--health"]), "{id}");
            assert!(container["Command"].is_null(), "{id}");
        }
    }
}

#[test]
fn no_container_waits_for_its_log() {
    let template = template();
    let mut seen = 0;
    for (id, definition) in of_type(&template, "AWS::ECS::TaskDefinition") {
        for container in definition["ContainerDefinitions"].as_array().unwrap() {
            let log = &container["LogConfiguration"];
            assert_eq!(log["LogDriver"], "awslogs", "{id}");
            assert_eq!(log["Options"]["mode"], "non-blocking", "{id}");
            assert_eq!(log["Options"]["max-buffer-size"], "25m", "{id}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * services().len());
}

/// Each service with the settings that its task definition gives it reads nothing else and lacks nothing.
#[test]
fn every_setting_is_one_that_the_executable_reads_and_none_is_missing() {
    for (name, (id, container)) in task_definitions(&template()) {
        let list = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let given: BTreeMap<String, String> = list("Environment")
            .iter()
            .chain(&list("Secrets"))
            .map(|entry| {
                let name = entry["Name"].as_str().unwrap().to_owned();
                let value = entry["Value"].as_str().map_or_else(|| example(&name), str::to_owned);
                (name, value)
            })
            .collect();
        let scratch = Scratch::new("template");
        let run = |settings: &BTreeMap<String, String>| {
            let mut command = Command::new(program(&name));
            command.env_clear().envs(settings).current_dir(scratch.path());
            if CRON_JOBS.contains(&name.as_str()) {
                command.arg("--run-once");
            }
            command.arg("--check-settings").output().unwrap()
        };
        let output = run(&given);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{id} lacks a setting or has a wrong one:\n{said}");
        let table = String::from_utf8(output.stdout).unwrap();
        let read: BTreeSet<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        let is_unread = |setting: &&String| !read.contains(setting.as_str()) && !table.contains(setting.as_str());
        let unread: Vec<&String> = given.keys().filter(is_unread).collect();
        assert!(unread.is_empty(), "{id} gives {name} settings that it does not read: {unread:?}");
    }
}

/// A value of the right kind for a setting that comes from SSM or a parameter.
fn example(setting: &str) -> String {
    let value = match setting {
        "NSQ_URL" | "PRESERV_REGISTRY_URL" => "http://localhost:1",
        "NSQ_LOOKUPD" | "REDIS_URL" => "localhost:1",
        "STAGING_BUCKET" => "some.staging",
        "LOG_LEVEL" => "INFO",
        name if name.ends_with("_INTERVAL") => "5m",
        name if name.ends_with("_SIZE") || name.ends_with("_WORKERS") || name.starts_with("MAX_") => "4",
        _ => "localhost",
    };
    value.to_owned()
}

#[test]
fn every_name_that_it_refers_to_exists() {
    let template = template();
    let declared = |section: &str| template[section].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (resources, parameters, conditions) = (declared("Resources"), declared("Parameters"), declared("Conditions"));
    let known = |name: &str| resources.contains(name) || parameters.contains(name) || name.starts_with("AWS::");
    let mut used = BTreeSet::new();
    let mut missing = BTreeSet::new();
    walk(&template, &mut |value| {
        let mut refer = |name: &str| {
            used.insert(name.to_owned());
            if !known(name) {
                missing.insert(name.to_owned());
            }
        };
        if let Some(name) = value["Ref"].as_str() {
            refer(name);
        }
        if let Some(name) = value["Fn::GetAtt"][0].as_str() {
            refer(name);
        }
        let (text, own) = match &value["Fn::Sub"] {
            Value::Array(parts) => (parts[0].as_str(), parts[1].as_object()),
            plain => (plain.as_str(), None),
        };
        for name in text.unwrap_or_default().split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
            if !own.is_some_and(|own| own.contains_key(name)) {
                refer(name.split('.').next().unwrap());
            }
        }
        // A container's dependency on another one has a field of that name too.
        let condition = value["Condition"].as_str().filter(|_| value["ContainerName"].is_null());
        let condition = condition.or(value["Fn::If"][0].as_str());
        if let Some(name) = condition.filter(|name| !conditions.contains(*name)) {
            missing.insert(name.to_owned());
        }
        if let Some(path) = value["Fn::FindInMap"].as_array()
            && let (Some(map), Value::String(top), Value::String(key)) = (path[0].as_str(), &path[1], &path[2])
            && template["Mappings"][map][top][key].is_null()
        {
            missing.insert(format!("{map}/{top}/{key}"));
        }
    });
    assert!(missing.is_empty(), "these are referred to but not declared: {missing:?}");
    let idle: Vec<&String> = parameters.iter().filter(|name| !used.contains(*name)).collect();
    assert!(idle.is_empty(), "these parameters change nothing: {idle:?}");
}

#[test]
fn the_operators_page_lists_every_parameter_export_and_ssm_name() {
    let template = template();
    let page = fs::read_to_string(root().join("cloudformation/README.md")).unwrap();
    let mut names: BTreeSet<String> = template["Parameters"].as_object().unwrap().keys().cloned().collect();
    let mut numbers = BTreeSet::new();
    walk(&template, &mut |value| {
        if let Some(import) = value["Fn::ImportValue"]["Fn::Sub"].as_str() {
            names.insert(import.trim_end_matches("-${DNS}").to_owned());
        }
        if let Some(name) = value["ValueFrom"]["Fn::Sub"].as_str().and_then(|path| path.split("/PRESERV/").nth(1)) {
            names.insert(name.to_owned());
        }
        if let Some(text) = value.as_str() {
            numbers.extend(text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() == 12).map(str::to_owned));
        }
    });
    assert!(numbers.is_empty(), "an account id in the template: {numbers:?}");
    let listed = |name: &&String| page.contains(name.as_str()) || in_braces(&page, name);
    let missing: Vec<&String> = names.iter().filter(|name| !listed(name)).collect();
    assert!(missing.is_empty(), "cloudformation/README.md does not have: {missing:?}");
}

/// The page writes families of names as `BUCKET_STANDARD_{VA,OR}` or `<WORKER>_WORKERS`.
fn in_braces(page: &str, name: &str) -> bool {
    let families = page.split('`').filter(|code| code.contains('{') && code.ends_with('}'));
    let member = |family: &str| {
        let (stem, ends) = family.trim_end_matches('}').split_once('{').unwrap_or_default();
        ends.split(',').any(|end| format!("{stem}{end}") == name)
    };
    let suffixes = ["_BUFFER_SIZE", "_WORKERS"];
    families.into_iter().any(member)
        || suffixes.iter().any(|suffix| name.ends_with(suffix) && page.contains(&format!("<WORKER>{suffix}")))
}

#[test]
fn the_parameter_files_agree_with_the_template() {
    let template = template();
    for (environment, letter) in [("staging", "s"), ("demo", "d"), ("prod", "p")] {
        let text = fs::read_to_string(root().join(format!("cloudformation/{environment}.json"))).unwrap();
        let entries: Vec<BTreeMap<String, String>> = serde_json::from_str(&text).unwrap();
        let values: BTreeMap<&str, &str> =
            entries.iter().map(|entry| (entry["ParameterKey"].as_str(), entry["ParameterValue"].as_str())).collect();
        assert_eq!(
            (values["DNS"], values["FamTag"], values["Envn"]),
            (environment, letter, &*environment.to_uppercase())
        );
        for (name, parameter) in template["Parameters"].as_object().unwrap() {
            assert!(values.contains_key(name.as_str()) || parameter["Default"].is_null(), "{environment} lacks {name}");
        }
        assert!(values.keys().all(|name| template["Parameters"].get(name).is_some()), "{environment} has a stray name");
    }
}

/// What moto's CloudFormation knows loads there; the kinds that it lacks are taken out.
#[test]
fn moto_loads_what_it_knows_of_it() {
    let test = "moto_loads_what_it_knows_of_it";
    let Some(python) = real_program("python3") else { return skip(test, "python3 is not on PATH") };
    let has_moto = Command::new(&python).args(["-c", "import moto, boto3"]).output().unwrap().status.success();
    if !has_moto {
        return skip(test, "python3 has no moto (pip install 'moto[cloudformation,ecs]')");
    }
    let mut template = template();
    let resources = template["Resources"].as_object_mut().unwrap();
    let total = resources.len();
    resources.retain(|_, resource| resource["Type"] != "AWS::ServiceDiscovery::Service");
    for resource in resources.values_mut() {
        resource["Properties"].as_object_mut().unwrap().remove("ServiceRegistries");
    }
    let kept = resources.len();
    template.as_object_mut().unwrap().remove("Rules");
    let scratch = Scratch::new("moto");
    let path = scratch.path().join("template.json");
    fs::write(&path, template.to_string()).unwrap();
    let script = root().join("tests/it/moto/create_stack.py");
    let output =
        Command::new(python).arg(script).arg(&path).arg(root().join("cloudformation/staging.json")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(seen["status"], "CREATE_COMPLETE");
    assert_eq!((&seen["services"], &seen["task_definitions"]), (&15.into(), &17.into()));
    assert_eq!(total - kept, 16, "the discovery entries are all that was taken out");
}
