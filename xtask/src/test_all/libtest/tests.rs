//! What `cargo test` really printed (1.95, shortened), and what it may print on a bad day.

use super::*;

fn parse(text: &str) -> Vec<Suite> {
    let mut parser = Parser::new();
    for line in text.lines() {
        parser.line(line);
    }
    parser.finish()
}

fn names(suite: &Suite, outcome: &Outcome) -> Vec<String> {
    suite.tests.iter().filter(|test| test.outcome == *outcome).map(|test| test.name.clone()).collect()
}

const MIXED: &str = r"   Compiling demo v0.1.0 (/tmp/demo)
    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.38s
     Running unittests src/lib.rs (/tmp/target/debug/deps/demo-8348ca7a80742723)

running 6 tests
test tests::good ... ok
test tests::ign ... ignored
test tests::ign2 ... ignored, needs, a thing
test tests::bad ... FAILED
test tests::sp - should panic ... ok
test tests::sp2 - should panic ... FAILED

failures:

---- tests::bad stdout ----
hello
---- other stdout ----
test inner ... FAILED
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.07s

---- tests::sp2 stdout ----
note: test did not panic as expected at src/lib.rs:20:30

failures:
    tests::bad
    tests::sp2

test result: FAILED. 2 passed; 2 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.07s

error: test failed, to rerun pass `--lib`
     Running tests/zzz.rs (/tmp/target/debug/deps/zzz-a06d764ac2075e66)

running 1 test
test last ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: 1 target failed:
    `--lib`
";

#[test]
fn suites_tests_and_outputs_are_told_apart() {
    let suites = parse(MIXED);
    let shown: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(shown, ["demo (src/lib.rs)", "zzz (tests/zzz.rs)"]);
    assert!(suites.iter().all(|suite| suite.broken.is_none()), "{suites:#?}");
    assert_eq!(names(&suites[0], &Outcome::Passed), ["tests::good", "tests::sp"]);
    assert_eq!(names(&suites[0], &Outcome::Failed), ["tests::bad", "tests::sp2"]);
    assert_eq!(names(&suites[0], &Outcome::Ignored(Some("needs, a thing".to_owned()))), ["tests::ign2"]);
}

#[test]
fn a_failed_test_may_print_another_runs_output() {
    let suites = parse(MIXED);
    let output = |name: &str| suites[0].tests.iter().find(|test| test.name == name).unwrap().output.clone();
    assert!(output("tests::bad").starts_with("hello\n---- other stdout ----\ntest inner ... FAILED\ntest result:"));
    assert_eq!(output("tests::sp2"), "note: test did not panic as expected at src/lib.rs:20:30");
}

#[test]
fn events_come_while_the_tests_run() {
    let mut parser = Parser::new();
    let events: Vec<Event> = MIXED.lines().filter_map(|line| parser.line(line)).collect();
    assert_eq!(events[0], Event::Suite("demo (src/lib.rs)".to_owned()));
    assert_eq!(events[1], Event::Announced(6));
    assert_eq!(events[2], Event::Ended("tests::good".to_owned(), Outcome::Passed));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Ended(..))).count(), 7);
}

#[test]
fn a_harness_that_aborts_is_broken_and_the_next_suite_still_counts() {
    let suites = parse(
        "     Running tests/abort.rs (target/debug/deps/abort-36bb1a7e7d5913d9)\n\
         \nrunning 3 tests\n\
         test first ... ok\n\
         thread 'deep' has overflowed its stack\n\
         error: test failed, to rerun pass `--test abort`\n\
         \nCaused by:\n\
         \x20 process didn't exit successfully: `/t/abort-36bb1a7e7d5913d9` (signal: 6, SIGABRT: process abort signal)\n\
         \x20    Running tests/zzz.rs (target/debug/deps/zzz-a06d764ac2075e66)\n\
         \nrunning 1 test\n\
         test last ... ok\n\
         \ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    let broken = suites[0].broken.as_deref().unwrap();
    assert_eq!(
        broken,
        "signal: 6, SIGABRT: process abort signal; 2 of 3 tests did not report\nthread 'deep' has overflowed its stack"
    );
    assert_eq!(names(&suites[1], &Outcome::Passed), ["last"]);
    assert_eq!(suites[1].broken, None);
}

#[test]
fn a_harness_that_dies_before_its_first_word_is_broken() {
    let suites = parse(
        "     Running tests/a.rs (target/debug/deps/a-36bb1a7e7d5913d9)\n\
         \x20    Running tests/b.rs (target/debug/deps/b-36bb1a7e7d5913d9)\n\
         running 0 tests\n\
         test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert!(suites[0].broken.is_some());
    assert_eq!((suites[1].broken.as_deref(), suites[1].tests.len()), (None, 0));
}

#[test]
fn with_one_thread_the_outcome_may_stand_on_a_later_line() {
    let suites = parse(
        "     Running it/main.rs (target/debug/deps/it-36bb1a7e7d5913d9)\n\
         running 3 tests\n\
         test a ... ok\n\
         test b ... warning: from a program that the test ran\n\
         more of it\n\
         ok\n\
         test c ... noiseFAILED\n\
         \nfailures:\n\
         \ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!(names(&suites[0], &Outcome::Passed), ["a", "b"]);
    // The name of the third is lost; that it failed is not.
    assert_eq!(names(&suites[0], &Outcome::Failed), ["(a test whose line was lost in other output)"]);
    assert_eq!(suites[0].broken, None);
}

#[test]
fn one_thread_and_a_crash_name_the_test() {
    let suites = parse(
        "     Running it/main.rs (target/debug/deps/it-36bb1a7e7d5913d9)\n\
         running 2 tests\n\
         test a ... error: test failed, to rerun pass `--test it`\n\
         Caused by:\n\
         \x20 process didn't exit successfully: `/t/it-36bb1a7e7d5913d9` (exit status: 3)\n",
    );
    assert_eq!(suites[0].broken.as_deref(), Some("exit status: 3, while it ran a; 2 of 2 tests did not report"));
}

#[test]
fn output_cut_at_any_line_is_never_a_success() {
    let whole = "     Running it/main.rs (target/debug/deps/it-36bb1a7e7d5913d9)\n\
         running 2 tests\n\
         test a ... ok\n\
         test a_long_one has been running for over 60 seconds\n\
         test a_long_one ... ok\n\
         test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 61.00s\n";
    let lines: Vec<&str> = whole.lines().collect();
    for count in 1..lines.len() {
        let suites = parse(&lines[..count].join("\n"));
        assert!(suites[0].broken.is_some(), "{count} lines");
    }
    assert!(
        parse(&lines[..4].join("\n"))[0]
            .broken
            .as_deref()
            .unwrap()
            .contains("still running after a minute: a_long_one")
    );
    assert_eq!(parse(whole)[0].broken, None);
}

#[test]
fn a_result_that_names_fewer_tests_than_ran_is_not_believed() {
    let suites = parse(
        "     Running it/main.rs (target/debug/deps/it-36bb1a7e7d5913d9)\n\
         running 1 test\n\
         test a ... FAILED\n\
         test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert!(suites[0].broken.as_deref().unwrap().contains("fewer tests"));
}

#[test]
fn a_harness_that_imitates_libtest_is_read_too() {
    let suites = parse(
        "     Running tests/e2e/main.rs (target/debug/deps/e2e-8348ca7a80742723)\n\nrunning 2 tests\ntest ingest::good     ... ok\n\
         test ingest::bad_one  ... \nthread 'main' panicked at bag.rs:1:1:\nlost\nFAILED\n\nfailures:\n\n---- ingest::bad_one ----\n\
         test panicked: lost\n\n\nfailures:\n    ingest::bad_one\n\n\
         test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.07s\n",
    );
    assert_eq!(names(&suites[0], &Outcome::Passed), ["ingest::good"]);
    assert_eq!(names(&suites[0], &Outcome::Failed), ["ingest::bad_one"]);
    assert_eq!(suites[0].tests[1].output, "test panicked: lost");
    assert_eq!(suites[0].broken, None);
}
