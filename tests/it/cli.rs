//! The command line itself: the first help, mistakes, and the promise of `--format json`.

use std::fs;

use serde_json::Value;

use super::release::{Ran, run};
use super::support::workspace::Workspace;
use super::support::{root, xtask};

/// Set it to rewrite the snapshots.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

#[test]
fn without_arguments_there_is_the_grouped_help() {
    let help = run(&mut xtask()).succeeds();
    let path = root().join("tests/it/snapshots/help.txt");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &help.stdout).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(help.stdout, kept, "the help has changed; {UPDATE}=1 cargo test --package tests cli  keeps it");
    assert_eq!(help.stderr, "");
    let widest = kept.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(120), "a line of the help is {widest:?} characters wide");
}

#[test]
fn help_fits_a_narrow_screen_without_broken_words() {
    for args in [&[][..], &["--help"], &["release", "--help"], &["deploy", "--help"], &["releese"]] {
        let wide = run(xtask().args(args));
        let narrow = run(xtask().args(args).env("COLUMNS", "40"));
        let words = |ran: &Ran| {
            format!("{}{}", ran.stdout, ran.stderr).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(&narrow), words(&wide), "{args:?}");
        for line in narrow.stdout.lines().chain(narrow.stderr.lines()) {
            assert!(line.chars().count() <= 40 || !line.trim().contains(' '), "{args:?}: {line}");
        }
    }
}

#[test]
fn a_checkout_that_cannot_be_written_to_gets_a_hint() {
    // Where nobody may make a folder, root neither.
    let workspace = Workspace::new();
    run(workspace.xtask(&["test-all"]).env("CARGO_TARGET_DIR", "/sys")).fails(1, "set CARGO_TARGET_DIR to a folder");
}

#[test]
fn a_mistyped_command_gets_the_nearest_one() {
    for (typed, meant) in [("relaese", "release"), ("test-al", "test-all"), ("docter", "doctor")] {
        let ran = run(xtask().arg(typed)).fails(2, &format!("'{typed}'"));
        assert!(ran.stderr.contains(&format!("'{meant}'")), "{typed}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    run(xtask().args(["release", "--dry-rum"])).fails(2, "'--dry-run'");
}

/// E.6, check 33.
#[test]
fn every_command_keeps_stdout_to_records_and_ends_with_the_result() {
    let lines: &[&[&str]] = &[
        &[],
        &["--help"],
        &["--no-such-option"],
        &["no-such-command"],
        &["release", "--dry-run", "--no-push"],
        &["release", "--registry", "nonsense"],
        &["release", "--platform", "linux/vax", "--no-push"],
        &["test-all", "--dry-run"],
        &["test-all", "--stage", "no-such-stage"],
        &["test-all", "--failed"],
        &["doctor"],
        &["completions", "bash"],
        &["completions", "tcsh"],
        &["completions"],
    ];
    let workspace = Workspace::new();
    let keeps_the_promise = |line: &[&str]| {
        let ran = run(&mut workspace.xtask(&[line, &["--format", "json"]].concat()));
        let result = last_record(&ran);
        assert_eq!(result["type"], "result", "{line:?}");
        assert_eq!(result["exit_code"].as_i64(), ran.code.map(i64::from), "{line:?}");
        for record in ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            for field in ["schema", "ts", "command", "run_id", "type"] {
                assert!(record[field].is_string(), "{line:?}: no {field} in {record}");
            }
        }
    };
    for line in lines {
        keeps_the_promise(line);
    }
    for command in commands() {
        keeps_the_promise(&[&command, "--help"]);
        keeps_the_promise(&[&command, "--no-such-option"]);
    }
}

#[test]
fn the_records_of_a_usage_error_name_the_command() {
    for args in [["release", "--no-such-option"], ["deploy", "nowhere"], ["completions", "tcsh"]] {
        assert_eq!(last_record(&run(xtask().args(args).args(["--format", "json"])))["command"], args[0]);
    }
}

#[test]
fn the_order_of_options_does_not_matter_for_records() {
    for args in [["--format", "json", "no-such-command"], ["no-such-command", "--format", "json"]] {
        assert_eq!(last_record(&run(xtask().args(args)))["exit_code"], 2);
    }
    assert_eq!(last_record(&run(xtask().args(["--format=json", "no-such-command"])))["exit_code"], 2);
}

fn last_record(ran: &Ran) -> Value {
    let records: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the record {line}")))
        .collect();
    records.last().cloned().unwrap_or_else(|| panic!("no record; stderr: {}", ran.stderr))
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = run(&mut xtask()).succeeds().stdout;
    let before_examples = help.split("\nExamples\n").next().unwrap().to_owned();
    let listed = before_examples.lines().filter_map(|line| line.strip_prefix("  "));
    listed.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// A device that is always full stands in for a full disk.
#[test]
fn an_answer_that_could_not_be_written_is_a_failure_and_a_closed_pipe_is_none() {
    let lines: [&[&str]; 7] = [
        &["completions", "bash"],
        &["--help"],
        &[],
        &["doctor"],
        &["release", "--no-push", "--dry-run"],
        &["release", "--help", "--format", "json"],
        &["no-such-command"],
    ];
    let workspace = Workspace::new();
    for line in lines {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = workspace.xtask(line).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_usage = line.contains(&"no-such-command");
        assert_eq!(output.status.code(), Some(if is_usage { 2 } else { 1 }), "{line:?}: {stderr}");
        assert!(is_usage || stderr.contains("writing to stdout: No space left"), "{line:?}: {stderr}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = workspace.xtask(line).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(if is_usage { 2 } else { 0 }), "{line:?}");
    }
}
