//! What a run reports: counts, failures, skips, and the ways in which a run that tested nothing could look like a success.

use serde_json::Value;

use super::super::release::run;
use super::{PASSES, Small, last_line, notes};

const FAILS: &str = "    #[test]\n    fn passes() {}\n\n    #[test]\n    fn fails() {\n        println!(\"said <this>\");\n        \
                     panic!(\"on purpose\")\n    }\n";

#[test]
fn a_whole_run_passes_and_its_report_names_the_commit() {
    let small = Small::new(PASSES, PASSES);
    let ran = run(&mut small.test_all(&[])).succeeds();
    assert_eq!(last_line(&ran.stdout), "6 passed, 0 failed, 1 skipped", "{}", ran.stdout);
    let report = small.report();
    assert_eq!(report["schema"], "preserv-test-report/1");
    assert_eq!(report["commit"], small.workspace.git(&["rev-parse", "HEAD"]));
    assert_eq!((&report["dirty"], &report["complete"], &report["passed"]), (&false.into(), &true.into(), &true.into()));
    let names: Vec<&str> =
        report["stages"].as_array().unwrap().iter().filter_map(|stage| stage["name"].as_str()).collect();
    assert_eq!(names, ["lint", "unit", "integration", "e2e"]);
    assert_eq!(report["real"], false);
    assert!(report["versions"]["rustc"].as_str().unwrap().starts_with("rustc 1."));
    assert_eq!(report["stages"][0]["skips"][0]["test"], "template");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(!report.to_string().contains(&format!("\"{}\"", host.trim())), "the report names this machine");
}

#[test]
fn a_failed_test_is_shown_and_rerun_alone() {
    let small = Small::new(FAILS, PASSES);
    let junit = small.workspace.beside("deep/junit.xml");
    let args = ["--stage", "unit,integration", "--junit", junit.to_str().unwrap()];
    let ran = run(&mut small.test_all(&args)).fails(1, "said <this>");
    assert!(ran.stderr.contains("on purpose"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "1 passed, 1 failed, 0 skipped");
    assert!(ran.stdout.contains("not run: unit failed"), "{}", ran.stdout);
    let report = small.report();
    assert_eq!((&report["complete"], &report["passed"]), (&false.into(), &false.into()));
    assert_eq!(report["stages"][1]["failures"][0]["test"], "tests::fails");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("name=\"tests::fails\"><failure") && xml.contains("said &lt;this&gt;"), "{xml}");

    // Again, and only that test; then it is mended, and nothing is left to rerun.
    let ran = run(&mut small.test_all(&["--failed"])).fails(1, "on purpose");
    assert_eq!(last_line(&ran.stdout), "0 passed, 1 failed, 0 skipped");
    small.unit(&FAILS.replace("panic!(\"on purpose\")", "").replace("println!(\"said <this>\");", ""));
    let ran = run(&mut small.test_all(&["--failed"])).succeeds();
    assert_eq!(last_line(&ran.stdout), "1 passed, 0 failed, 0 skipped");
    assert_eq!((&small.report()["complete"], &small.report()["dirty"]), (&false.into(), &true.into()));
    let ran = run(&mut small.test_all(&["--failed"])).succeeds();
    assert_eq!(ran.stdout, "nothing failed last time\n");
}

#[test]
fn a_failed_stage_ends_the_run_unless_told_to_go_on() {
    let small = Small::new(FAILS, FAILS);
    let ran =
        run(&mut small.test_all(&["--stage", "unit,integration", "--keep-going", "--format", "json"])).fails(1, "");
    let records: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let stages: Vec<_> = of("stage").iter().map(|record| record["status"].clone()).collect();
    assert_eq!(stages, ["not_run", "failed", "failed", "not_run"]);
    assert_eq!(of("test_failure").len(), 2);
    assert!(of("test_failure")[0]["output"].as_str().unwrap().contains("said <this>"));
    assert_eq!(of("result")[0]["totals"]["failed"], 2);
    assert_eq!(of("result")[0]["exit_code"], 1);
}

#[test]
fn a_stage_that_runs_no_test_has_failed() {
    let small = Small::new(PASSES, "");
    let ran = run(&mut small.test_all(&["--stage", "unit,integration"])).fails(1, "there is no test in this stage");
    assert_eq!(last_line(&ran.stdout), "1 passed, 1 failed, 0 skipped");

    small.integration("    #[test]\n    #[ignore = \"not today\"]\n    fn later() {}\n");
    let ran = run(&mut small.test_all(&["--stage", "integration"])).fails(1, "every test of this stage was skipped");
    assert_eq!(last_line(&ran.stdout), "0 passed, 1 failed, 1 skipped");
    assert!(ran.stderr.contains("later (ignored: not today)"), "{}", ran.stderr);
}

#[test]
fn a_filter_chooses_tests_and_the_report_is_not_the_whole() {
    let small = Small::new(FAILS, PASSES);
    let ran = run(&mut small.test_all(&["--filter", "passes"])).succeeds();
    assert_eq!(last_line(&ran.stdout), "3 passed, 0 failed, 0 skipped");
    assert_eq!(small.report()["complete"], false);
    let ran = run(&mut small.test_all(&["--filter", "no_such_test"])).fails(1, "no test has a name that contains");
    assert_eq!(last_line(&ran.stdout), "0 passed, 0 failed, 0 skipped");
}

#[test]
fn tests_that_do_not_compile_have_failed() {
    let small = Small::new("    #[test]\n    fn broken() { let x: u8 = \"\"; }\n", PASSES);
    let ran = run(&mut small.test_all(&["--stage", "unit"])).fails(1, "mismatched types");
    assert_eq!(last_line(&ran.stdout), "0 passed, 1 failed, 0 skipped");
    assert!(ran.stdout.contains("the tests do not compile"), "{}", ran.stdout);
}

#[test]
fn a_crash_does_not_hide_what_ran_and_what_did_not() {
    let small = Small::new(
        PASSES,
        "    #[test]\n    fn a_first() {}\n\n    #[test]\n    fn b_aborts() {\n        std::process::abort()\n    }\n",
    );
    let ran = run(small.test_all(&["--stage", "unit,integration"]).env("RUST_TEST_THREADS", "1")).fails(1, "SIGABRT");
    assert!(ran.stderr.contains("while it ran it::b_aborts"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "2 passed, 1 failed, 0 skipped");
}

#[test]
fn what_a_test_says_it_skipped_has_not_passed() {
    let small = Small::new(
        PASSES,
        "    #[test]\n    fn runs() {}\n\n    #[test]\n    fn needs_docker() {\n        use std::io::Write;\n        let path = \
         std::env::var(\"XTASK_SKIPPED\").unwrap();\n        let mut file = std::fs::File::options().append(true)\
         .create(true).open(path).unwrap();\n        writeln!(file, \"needs_docker: no engine: start it\").unwrap();\n    }\n",
    );
    let ran = run(&mut small.test_all(&["--stage", "integration"])).succeeds();
    assert_eq!(last_line(&ran.stdout), "1 passed, 0 failed, 1 skipped");
    assert_eq!(small.report()["stages"][2]["skips"][0]["reason"], "no engine: start it");
}

#[test]
fn lint_failures_are_counted_and_shown() {
    let small = Small::new(PASSES, PASSES);
    small
        .workspace
        .write("services/calm/src/lib.rs", "//! Calm.\npub fn  f(x: &Vec<u8>) -> usize { return x.len(); }\n");
    small.fakes.add("cargo-deny", "echo 'rejected: a licence'; exit 1");
    let ran = run(&mut small.test_all(&["--stage", "lint"])).fails(1, "rejected: a licence");
    assert!(ran.stderr.contains("cargo fmt --all --check") && ran.stderr.contains("clippy"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "0 passed, 3 failed, 1 skipped");
}

#[test]
fn a_check_that_takes_too_long_takes_no_time_from_the_next() {
    let small = Small::new(PASSES, PASSES);
    small.workspace.write("cloudformation/cfn-preserv-master.yml", "Resources: {}\n");
    small.fakes.add("cargo-deny", "exec sleep 1000");
    small.fakes.add("cfn-lint", "echo fine");
    // Five seconds for each check that compiles nothing.
    let args = ["--stage", "lint", "--patience", "0.0167"];
    let ran = run(&mut small.test_all(&args)).fails(1, "the limit of this check");
    assert!(ran.stdout.contains("failed: lint: lint: dependency rules"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("failed: lint: lint: template"), "{}", ran.stdout);
    run(&mut small.test_all(&["--patience", "0"])).fails(2, "above 0");
}

#[test]
fn what_tests_start_is_compiled_before_they_run() {
    let small = Small::new(
        PASSES,
        "    #[test]\n    fn finds() {\n        let programs = std::env::var(\"XTASK_PROGRAMS\").unwrap();\n        for name in \
         [\"alpha\", \"examples/shows\"] {\n            assert!(std::path::Path::new(&programs).join(name).is_file(), \
         \"{name}\");\n        }\n    }\n",
    );
    let ran = run(&mut small.test_all(&["--stage", "integration"])).succeeds();
    assert_eq!(last_line(&ran.stdout), "1 passed, 0 failed, 0 skipped");
}

#[test]
fn a_dry_run_prints_the_plan_and_leaves_nothing() {
    let small = Small::new(PASSES, PASSES);
    let ran = run(&mut small.test_all(&["--dry-run"])).succeeds();
    for command in [
        "cargo fmt --all --check",
        "cargo test --workspace --exclude apps --no-run",
        "cargo build --workspace --bins --examples",
        "cargo test --workspace --exclude apps --lib --bins --test it",
        "cargo test --workspace --exclude apps --test repository",
        "cargo test --workspace --exclude apps --test e2e",
    ] {
        assert!(ran.stdout.contains(command), "{}", ran.stdout);
    }
    assert!(!small.workspace.root().join("target").exists());
}

#[test]
fn a_run_on_real_servers_says_so_and_wants_all_of_them() {
    let small = Small::new(PASSES, PASSES);
    small.end_to_end(
        "    #[test]\n    fn passes() {\n        assert_eq!(std::env::var(\"E2E_REAL\").as_deref(), Ok(\"1\"));\n    }\n",
    );
    small.workspace.commit("real");
    for server in ["redis-server", "weed", "nsqlookupd"] {
        small.fakes.add(server, "echo fine");
    }
    let path = small.fakes.only_with(&["cargo", "git", "rustc"]);
    let ran = run(small.test_all(&["--real"]).env("PATH", path)).fails(4, "not on PATH: nsqd");
    assert!(ran.stderr.contains("cargo xtask doctor"), "{}", ran.stderr);

    small.fakes.add("nsqd", "echo fine");
    let ran = run(&mut small.test_all(&["--real"])).succeeds();
    assert_eq!(last_line(&ran.stdout), "6 passed, 0 failed, 1 skipped", "{}", ran.stdout);
    let report = small.report();
    assert_eq!((&report["real"], &report["complete"]), (&true.into(), &true.into()));

    // One that left the end-to-end tests out was none.
    run(&mut small.test_all(&["--real", "--stage", "unit"])).succeeds();
    assert_eq!(small.report()["real"], false);
}

#[test]
fn end_to_end_tests_are_one_story_and_are_rerun_whole() {
    let small = Small::new(PASSES, PASSES);
    small.end_to_end(FAILS);
    let ran = run(&mut small.test_all(&["--stage", "e2e"])).fails(1, "on purpose");
    assert_eq!(last_line(&ran.stdout), "1 passed, 1 failed, 0 skipped");
    let ran = run(&mut small.test_all(&["--failed"])).fails(1, "on purpose");
    assert_eq!(last_line(&ran.stdout), "1 passed, 1 failed, 0 skipped");
}

#[test]
fn a_process_that_a_test_leaves_behind_is_ended() {
    let notes = notes();
    let small = Small::new(
        PASSES,
        "    #[test]\n    #[allow(clippy::zombie_processes)]\n    fn forgets() {\n        let child = std::process::Command\
         ::new(\"sleep\").arg(\"1000\").spawn().unwrap();\n        std::fs::write(std::env::var(\"NOTE\").unwrap(), \
         child.id().to_string()).unwrap();\n    }\n",
    );
    let note = notes.path().join("pid");
    let ran = run(small.test_all(&["--stage", "integration"]).env("NOTE", &note)).succeeds();
    assert!(ran.stderr.contains("left processes behind"), "{}", ran.stderr);
    assert!(!super::super::support::is_alive(&std::fs::read_to_string(note).unwrap()));
}
