//! What a test run found: the report for machines, and what the next run needs of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cli::Stage;
use crate::exit::Exit;

/// Raised when a field changes its meaning or goes.
pub(crate) const SCHEMA: &str = "preserv-test-report/1";

/// `target/xtask/test-all/test-report.json`. It holds no name of a machine, of a user or of their folders.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the published report")]
pub(crate) struct Report {
    pub(crate) schema: String,
    /// 40 hexadecimal digits; none outside a git checkout.
    pub(crate) commit: Option<String>,
    /// The tree was not the commit, at the beginning or at the end.
    pub(crate) dirty: bool,
    /// Every stage that exists ran, with all its tests.
    pub(crate) complete: bool,
    /// No stage that ran failed.
    pub(crate) passed: bool,
    /// The end-to-end tests ran on real servers.
    #[serde(default)]
    pub(crate) real: bool,
    /// RFC 3339, UTC.
    pub(crate) started: String,
    pub(crate) seconds: f64,
    pub(crate) totals: Counts,
    pub(crate) stages: Vec<StageReport>,
    /// First lines of what rustc, cargo and the like say of themselves.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) host: Host,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Host {
    pub(crate) os: String,
    pub(crate) arch: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Passed,
    Failed,
    NotRun,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::NotRun => "not run",
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StageReport {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// Why the stage was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) seconds: f64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) skips: Vec<Skip>,
    /// Everything that ran, for the JUnit report.
    #[serde(skip)]
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Failure {
    pub(crate) suite: String,
    pub(crate) test: String,
    /// What it printed, or what is wrong with the whole suite or stage.
    pub(crate) output: String,
    /// The name is a test's, so that it can be run again alone.
    pub(crate) rerun: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// One test, or one check of the lint stage.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) suite: String,
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// A test failed: its output.
    Failed(String),
    /// Something that is not a test and cannot be run again alone: a build, a crash, a limit.
    Broken(String),
    /// The reason.
    Skipped(String),
}

impl StageReport {
    pub(crate) fn new(stage: Stage, cases: Vec<Case>, seconds: f64) -> Self {
        let mut report = Self::not_run(stage, String::new());
        for case in &cases {
            match &case.verdict {
                Verdict::Passed => report.counts.passed += 1,
                Verdict::Skipped(reason) => {
                    report.counts.skipped += 1;
                    report.skips.push(Skip { test: case.name.clone(), reason: reason.clone() });
                }
                Verdict::Failed(output) | Verdict::Broken(output) => {
                    report.counts.failed += 1;
                    report.failures.push(Failure {
                        suite: case.suite.clone(),
                        test: case.name.clone(),
                        output: output.clone(),
                        rerun: matches!(case.verdict, Verdict::Failed(_)),
                    });
                }
            }
        }
        report.status = if report.counts.failed == 0 { Status::Passed } else { Status::Failed };
        report.reason = None;
        report.cases = cases;
        report.seconds = seconds;
        report
    }

    pub(crate) fn not_run(stage: Stage, reason: String) -> Self {
        Self {
            name: name(stage).to_owned(),
            status: Status::NotRun,
            reason: Some(reason),
            counts: Counts::default(),
            seconds: 0.0,
            failures: Vec::new(),
            skips: Vec::new(),
            cases: Vec::new(),
        }
    }
}

/// The word for a stage on the command line and in reports.
pub(crate) fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Lint => "lint",
        Stage::Unit => "unit",
        Stage::Integration => "integration",
        Stage::E2e => "e2e",
    }
}

/// What failed in the last run.
#[derive(Debug)]
pub(crate) enum Failed {
    Nothing,
    /// The stage again, with these tests only; all of it where something else than a test failed.
    Stages(Vec<(String, Option<Vec<String>>)>),
}

/// Reads the last report.
pub(crate) fn failed_last(path: &Path) -> Result<Failed> {
    if !path.exists() {
        return Err(Exit::Refused.stop(
            format!("there is no report of an earlier run at {}", path.display()),
            "run cargo xtask test-all first",
        ));
    }
    let read = || format!("reading the report of the last run, {}", path.display());
    let report: Report = serde_json::from_slice(&fs::read(path).with_context(read)?).with_context(read)?;
    ensure!(report.schema == SCHEMA, "the report {} has the schema {}, not {SCHEMA}", path.display(), report.schema);
    let failed = report.stages.into_iter().filter(|stage| stage.status == Status::Failed);
    let stages: Vec<_> = failed
        .map(|stage| {
            let whole = stage.failures.iter().any(|failure| !failure.rerun);
            let tests = stage.failures.into_iter().map(|failure| failure.test).collect();
            (stage.name, (!whole).then_some(tests))
        })
        .collect();
    Ok(if stages.is_empty() { Failed::Nothing } else { Failed::Stages(stages) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, verdict: Verdict) -> Case {
        Case { suite: "s".to_owned(), name: name.to_owned(), verdict }
    }

    #[test]
    fn a_stage_counts_its_cases() {
        let cases = vec![
            case("a", Verdict::Passed),
            case("b", Verdict::Failed("out".to_owned())),
            case("c", Verdict::Skipped("no docker".to_owned())),
            case("d", Verdict::Broken("crashed".to_owned())),
        ];
        let report = StageReport::new(Stage::Unit, cases, 1.0);
        assert_eq!(report.counts, Counts { passed: 1, failed: 2, skipped: 1 });
        assert_eq!(report.status, Status::Failed);
        assert_eq!(report.skips[0].reason, "no docker");
        assert_eq!(report.failures.iter().map(|failure| failure.rerun).collect::<Vec<_>>(), [true, false]);
    }
}
