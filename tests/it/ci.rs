//! The workflows that users of the repository switch on: what they call is there. What the services of others make of the files is
//! checked with actionlint, by hand.

use serde_yaml::Value;

use super::release::run;
use super::support::{root, xtask};

const FILES: [&str; 2] = [".github/workflows/preserv.yml", ".gitlab-ci.yml"];

/// As shells name them. `printf` is the shell's own: what it is given is in no process's command line.
const SECRETS: [&str; 3] = ["$CI_JOB_TOKEN", "$CONFIG\"", "$DOCKER_PWD"];

/// Every text of a document.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Sequence(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Mapping(map) => map.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[test]
fn workflows_call_commands_and_options_that_there_are() {
    for file in FILES {
        let document: Value = serde_yaml::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap();
        let mut found = Vec::new();
        texts(&document, &mut found);
        let joined = found.iter().map(|text| text.replace("\\\n", " "));
        let lines: Vec<String> = joined.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        for line in lines.iter().filter(|line| SECRETS.iter().any(|secret| line.contains(secret))) {
            assert!(line.trim().starts_with("printf "), "{file}: a secret in a command line, where all see it: {line}");
        }
        let mut called = Vec::new();
        for line in lines.iter().filter_map(|line| line.trim().strip_prefix("cargo xtask ")) {
            let mut words = line.split_whitespace();
            let command = words.next().unwrap();
            let long = if command == "deploy" { "--help-all" } else { "--help" };
            let help = run(xtask().args([command, long])).succeeds().stdout;
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(help.contains(&format!("{option} ")), "{file}: {command} has no {option}");
            }
            called.push(command.to_owned());
        }
        assert_eq!(called, ["test-all", "release", "deploy"], "{file}");
    }
}
