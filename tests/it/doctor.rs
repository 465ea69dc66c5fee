//! `cargo xtask doctor` on machines that lack things: folders of fake programs stand in for them.

use std::process::Command;

use serde_json::Value;

use super::release::run;
use super::support::workspace::Fakes;
use super::support::{Scratch, xtask};

/// A machine with these programs, each of which answers its name and version.
fn machine(scratch: &Scratch, programs: &[&str]) -> Fakes {
    let fakes = Fakes::new(scratch.path().join("bin"));
    for name in programs {
        fakes.add(name, &format!("echo {name} 1.2.3"));
    }
    fakes
}

/// `doctor` there, with a home folder of its own.
fn doctor(scratch: &Scratch, fakes: &Fakes) -> Command {
    let mut command = xtask();
    let aws = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_"));
    for (name, _) in aws {
        command.env_remove(name);
    }
    // `sh` runs the fakes, by its path; nothing else of this machine is to be found.
    command.arg("doctor").env("PATH", fakes.only_with(&[])).env("HOME", scratch.path());
    command
}

fn check(stdout: &str, name: &str) -> Value {
    let mut records = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.find(|record| record["type"] == "check" && record["name"] == name).unwrap()
}

#[test]
fn a_missing_git_is_fatal_and_the_command_that_gets_it_is_named() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["cargo", "rustc", "cc"]);
    let ran = run(&mut doctor(&scratch, &fakes)).fails(4, "git");
    assert!(ran.stdout.contains("apt-get install git"), "{}", ran.stdout);
    let ran = run(doctor(&scratch, &fakes).args(["--format", "json"])).fails(4, "git");
    let git = check(&ran.stdout, "git");
    assert_eq!((git["status"].as_str(), git["required"].as_bool()), (Some("missing"), Some(true)));
    assert_eq!(git["fix"], "apt-get install git");
    assert_eq!(check(&ran.stdout, "cc")["found"], "cc 1.2.3");
}

#[test]
fn what_is_optional_is_listed_and_not_fatal() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["git", "cargo", "rustc", "cc"]);
    let ran = run(doctor(&scratch, &fakes).args(["--format", "json"])).succeeds();
    let skopeo = check(&ran.stdout, "skopeo");
    assert_eq!((skopeo["status"].as_str(), skopeo["required"].as_bool()), (Some("missing"), Some(false)));
    assert_eq!(
        check(&ran.stdout, "target x86_64-unknown-linux-gnu")["fix"],
        "rustup target add x86_64-unknown-linux-gnu"
    );
    assert!(check(&ran.stdout, "disk")["found"].as_str().unwrap().contains("MB free"));
}

#[test]
fn a_docker_whose_engine_does_not_answer_is_a_problem_with_a_way_out() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["git", "cargo", "rustc", "cc"]);
    fakes.add("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let ran = run(doctor(&scratch, &fakes).args(["--format", "json"])).succeeds();
    let docker = check(&ran.stdout, "docker");
    assert_eq!(docker["status"], "problem");
    assert!(docker["found"].as_str().unwrap().contains("Cannot connect"), "{docker}");
    assert!(docker["fix"].as_str().unwrap().contains("systemctl start docker"), "{docker}");

    fakes.add("docker", "echo 19.03.1 19.03.1");
    let ran = run(doctor(&scratch, &fakes).args(["--format", "json"])).succeeds();
    assert!(check(&ran.stdout, "docker")["found"].as_str().unwrap().contains("20.10 is the oldest"));
}

#[test]
fn a_program_that_hangs_is_cut_off() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["git", "cargo", "rustc", "cc"]);
    // It does not end by itself, and its shell and it are one process: nothing may be left of it.
    fakes.add("skopeo", &format!("echo $$ > {}; exec sleep 1000", scratch.path().join("pid").display()));
    fakes.only_with(&["sleep"]);
    let ran = run(doctor(&scratch, &fakes).args(["--format", "json"])).succeeds();
    let skopeo = check(&ran.stdout, "skopeo");
    assert_eq!(skopeo["status"], "problem");
    assert!(skopeo["found"].as_str().unwrap().contains("does not answer"), "{skopeo}");
    let pid = std::fs::read_to_string(scratch.path().join("pid")).unwrap();
    assert!(!super::support::is_alive(pid.trim()));
}

#[test]
fn credentials_are_found_and_never_shown() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["git", "cargo", "rustc", "cc"]);
    let record = |command: &mut Command| {
        let ran = run(command.args(["--format", "json"])).succeeds();
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"));
        check(&ran.stdout, "AWS credentials")
    };
    assert_eq!(record(&mut doctor(&scratch, &fakes))["status"], "missing");
    let found = record(
        doctor(&scratch, &fakes).env("AWS_ACCESS_KEY_ID", "hunter2-key").env("AWS_SECRET_ACCESS_KEY", "hunter2"),
    );
    assert_eq!(found["found"], "AWS_ACCESS_KEY_ID is set");
    std::fs::create_dir(scratch.path().join(".aws")).unwrap();
    std::fs::write(scratch.path().join(".aws/credentials"), "aws_secret_access_key = hunter2").unwrap();
    assert_eq!(record(&mut doctor(&scratch, &fakes))["status"], "ok");
}

#[test]
fn what_was_found_is_shown_whole_in_a_pipe_and_breaks_at_words_on_a_narrow_screen() {
    let scratch = Scratch::new("doctor");
    let fakes = machine(&scratch, &["git", "cargo", "rustc", "cc"]);
    let version = format!("skopeo version 1.2.3 {}", "with a long story of how it was made ".repeat(3));
    let version = version.trim();
    fakes.add("skopeo", &format!("echo '{version}'"));
    let ran = run(&mut doctor(&scratch, &fakes)).succeeds();
    assert!(ran.stdout.contains(version), "{}", ran.stdout);
    let ran = run(doctor(&scratch, &fakes).env("COLUMNS", "40")).succeeds();
    let unbroken = |line: &str| line.trim().contains(' ');
    let wide: Vec<&str> = ran.stdout.lines().filter(|line| line.chars().count() > 40 && unbroken(line)).collect();
    assert_eq!(wide, Vec::<&str>::new(), "{}", ran.stdout);
    assert!(ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(version), "{}", ran.stdout);
}
