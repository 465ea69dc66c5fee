//! The test gate: a report of `test-all` for the commit that is to be deployed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xtask::cli::deploy::Environment;

const SCHEMA: &str = "preserv-test-report/1";

/// What of a report counts here.
#[derive(Debug, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the report says so")]
struct Report {
    schema: String,
    commit: Option<String>,
    dirty: bool,
    complete: bool,
    passed: bool,
    /// It includes the tests against real servers (`--real`).
    #[serde(default)]
    real: bool,
    totals: Totals,
    stages: Vec<Stage>,
}

#[derive(Debug, Default, Deserialize)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
}

#[derive(Debug, Deserialize)]
struct Stage {
    name: String,
    status: String,
}

/// What is known about the tests of what is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tests {
    /// They passed; with the numbers.
    Passed(String),
    /// Deployed without; with the reason that was given.
    Skipped(String),
}

impl Tests {
    pub(crate) fn text(&self) -> String {
        match self {
            Tests::Passed(what) => what.clone(),
            Tests::Skipped(reason) => format!("not asked for: {reason}"),
        }
    }
}

/// Reads the reports and judges them: one of them must pass. The reason of the last is told.
pub(crate) fn check(paths: &[PathBuf], commit: &str, environment: Environment) -> Result<String, String> {
    let mut last = "no test report is named".to_owned();
    for path in paths {
        match read(path).and_then(|report| judge(&report, commit, environment)) {
            Ok(found) => return Ok(found),
            Err(why) => last = why,
        }
    }
    Err(last)
}

fn read(path: &Path) -> Result<Report, String> {
    let text = std::fs::read(path).map_err(|_| format!("there is no test report at {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{} is no test report: {error}", path.display()))
}

fn judge(report: &Report, commit: &str, environment: Environment) -> Result<String, String> {
    if report.schema != SCHEMA {
        return Err(format!("the test report's schema is {}, and this program reads {SCHEMA}", report.schema));
    }
    let tested = report.commit.as_deref().unwrap_or("no commit");
    // The registry's tags tell only the first digits.
    if commit.len() < 7 || !tested.starts_with(commit) {
        return Err(format!("the test report is of {}, and the release of {}", brief(tested), brief(commit)));
    }
    if report.dirty {
        return Err("the test report is of a tree that was not the commit".to_owned());
    }
    let words = |status: &str| -> Vec<&str> {
        report.stages.iter().filter(|stage| stage.status == status).map(|stage| stage.name.as_str()).collect()
    };
    if !report.passed || report.totals.failed > 0 {
        return Err(format!("the test report says that {} failed", words("failed").join(", ")));
    }
    if !report.complete {
        return Err(format!("the test report is not of the whole: {} did not run", words("not_run").join(", ")));
    }
    if environment != Environment::Staging && !report.real {
        return Err(format!("{environment} asks for tests against real servers: test-all --real"));
    }
    let Totals { passed, skipped, .. } = report.totals;
    Ok(format!("{passed} passed, {skipped} skipped"))
}

fn brief(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_clean_passing_report_of_the_commit_opens_the_gate() {
        let commit = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
        let good = || Report {
            schema: SCHEMA.to_owned(),
            commit: Some(commit.to_owned()),
            complete: true,
            passed: true,
            totals: Totals { passed: 7, failed: 0, skipped: 1 },
            ..Report::default()
        };
        let with = |change: fn(&mut Report)| {
            let mut report = good();
            change(&mut report);
            report
        };
        let staging = Environment::Staging;
        assert_eq!(judge(&good(), commit, staging), Ok("7 passed, 1 skipped".to_owned()));
        assert!(judge(&good(), "1a2b3c4", staging).is_ok());
        for environment in [Environment::Demo, Environment::Prod] {
            assert!(judge(&with(|report| report.real = true), commit, environment).is_ok());
        }
        let table = [
            (with(|report| report.commit = Some("2".repeat(40))), commit, staging, "is of 2222222222"),
            (with(|report| report.commit = None), commit, staging, "no commit"),
            (with(|report| report.dirty = true), commit, staging, "not the commit"),
            (with(|report| report.passed = false), commit, staging, "failed"),
            (with(|report| report.complete = false), commit, staging, "not of the whole"),
            (with(|report| report.schema = "x".to_owned()), commit, staging, "schema"),
            (good(), "", staging, "and the release of"),
            (good(), commit, Environment::Demo, "--real"),
        ];
        for (report, commit, environment, why) in table {
            let error = judge(&report, commit, environment).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(check(&["/nowhere".into()], commit, staging).unwrap_err().contains("no test report"));
    }
}
