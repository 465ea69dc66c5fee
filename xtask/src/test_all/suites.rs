//! The stages that run tests: build them, run them with `cargo test`, and account for every one.
//!
//! Cargo chooses the features of a dependency for the packages that it is asked to build, so each other choice of packages compiles
//! the SDK of AWS and most of the rest once more. Therefore there is one choice for everything: the stages differ in which test
//! targets run, and the programs that tests start are compiled beforehand, with the same features, and found by [`COMPILED`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::libtest::{Event, Outcome, Parser, Suite};
use super::patience::{Patience, ended};
use super::report::{Case, Verdict};
use crate::cargo;
use crate::catalog::{APPS, Catalog};
use crate::cli::Stage;
use crate::process::{Finished, Process};
use crate::programs::{self, COMPILED};
use crate::ui::{Paint, Ui};

/// A cold build of everything on two cores takes a quarter of this.
pub(crate) const BUILD_LIMIT: Duration = Duration::from_mins(40);
/// Tests of single packages. Most take no time; those that wait for time-outs and for killed workers add up to minutes.
const UNIT_LIMIT: Duration = Duration::from_mins(25);
/// The release tests build and emulate for two platforms, and push to a registry, on two cores.
const INTEGRATION_LIMIT: Duration = Duration::from_mins(45);
/// All bags through all services, and the faults. The long form of those, by hand, may take most of it.
const E2E_LIMIT: Duration = Duration::from_mins(40);
/// Set for end-to-end tests on real servers.
const REAL: &str = "E2E_REAL";
/// Where `tests/it/support` writes which tests it skipped, and why.
const SKIPPED: &str = "XTASK_SKIPPED";
/// What is shown of a build that failed.
const SHOWN_LINES: usize = 200;

/// Which of a stage's tests run.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    All,
    /// Those whose name contains this.
    Containing(String),
    /// Those of these names.
    Named(Vec<String>),
}

/// What end-to-end tests run the services on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    Embedded,
    Real,
}

/// All packages that have tests. `apps` has none: cargo would link an empty harness for each executable. It asks for no features of
/// its own either, so that leaving it out changes nothing (`tests/it/rules.rs` sees to that).
const PACKAGES: [&str; 3] = ["--workspace", "--exclude", APPS];

/// What compiles everything that a stage runs: the tests, and then what they start beyond the programs of their own package.
pub(crate) fn builds(root: &Path) -> [Process; 2] {
    let programs = ["build", "--workspace", "--bins", "--examples"];
    [
        plain(cargo::command().args(["test"]).args(PACKAGES).args(["--no-run"]), root),
        plain(cargo::command().args(programs), root),
    ]
}

/// One stage: the test targets that it runs, and the limit for running them.
#[derive(Debug)]
pub(crate) struct Tests {
    targets: &'static [&'static str],
    pub(crate) limit: Duration,
}

impl Tests {
    /// The integration tests of a package are its target `it`, those of the whole repository are `repository`, those of the whole
    /// system `e2e`; a rule keeps it so.
    pub(crate) fn of(stage: Stage) -> Option<Self> {
        match stage {
            Stage::Lint => None,
            Stage::Unit => Some(Self { targets: &["--lib", "--bins", "--test", "it"], limit: UNIT_LIMIT }),
            Stage::Integration => Some(Self { targets: &["--test", "repository"], limit: INTEGRATION_LIMIT }),
            Stage::E2e => Some(Self { targets: &["--test", "e2e"], limit: E2E_LIMIT }),
        }
    }

    pub(crate) fn command(&self, root: &Path, which: &Which) -> Process {
        let command = cargo::command().args(["test"]).args(PACKAGES).args(self.targets).args(["--no-fail-fast"]);
        let command = plain(command, root);
        match which {
            Which::All => command,
            Which::Containing(text) => command.args(["--", text]),
            Which::Named(names) => command.args(["--", "--exact"]).args(names),
        }
    }

    /// Builds and runs; `skips` is the file for what the tests skip. Every case that is not a success says so.
    pub(crate) fn run(
        &self,
        catalog: &Catalog,
        which: &Which,
        servers: Servers,
        patience: Patience,
        skips: &Path,
        ui: &Ui,
    ) -> Result<Vec<Case>> {
        let limit = patience.with(BUILD_LIMIT);
        for command in builds(&catalog.root) {
            ui.detail(&format!("$ {}", command.shown()));
            let built = build(command.limit(limit), ui)?;
            if !built.success() {
                return Ok(vec![broken("build", "the tests do not compile", errors(&built, limit))]);
            }
        }
        let command = self.command(&catalog.root, which).env(SKIPPED, skips).env(COMPILED, programs::folder(catalog));
        let command = if servers == Servers::Real { command.env(REAL, "1") } else { command };
        ui.detail(&format!("$ {}", command.shown()));
        let limit = patience.with(self.limit);
        let (suites, finished) = watch(command.limit(limit), ui)?;
        let mut cases: Vec<Case> = suites.into_iter().flat_map(cases).collect();
        apply_skips(&mut cases, &fs::read_to_string(skips).unwrap_or_default());
        account(&mut cases, &finished, which, limit);
        if finished.leftovers {
            ui.warn("a test left processes behind; they were ended");
        }
        Ok(cases)
    }
}

/// Adds what the tests themselves do not tell.
fn account(cases: &mut Vec<Case>, finished: &Finished, which: &Which, limit: Duration) {
    if finished.over_limit {
        let text = ended(limit, "the limit of this stage");
        cases.push(broken("cargo test", "the time limit", text));
    }
    let failed = |case: &Case| matches!(case.verdict, Verdict::Failed(_) | Verdict::Broken(_));
    if !finished.success() && !cases.iter().any(failed) {
        cases.push(broken("cargo test", "it failed, and no test did", format!("{:#}", finished.error())));
    }
    let ran = cases.iter().any(|case| !matches!(case.verdict, Verdict::Skipped(_)));
    if !ran && !matches!(which, Which::Containing(_)) {
        let text = match which {
            Which::Named(names) => format!("these are not there any more: {}", names.join(", ")),
            _ if cases.is_empty() => "there is no test in this stage".to_owned(),
            _ => "every test of this stage was skipped".to_owned(),
        };
        cases.push(broken("cargo test", "no test ran", text));
    }
}

/// One stream of plain lines, whatever the user's settings say about colours and about what tests print.
fn plain(command: Process, root: &Path) -> Process {
    let command = command.dir(root).merge_outputs().end_leftovers();
    let settings = [
        ("CARGO_TERM_COLOR", "never"),
        ("CARGO_TERM_PROGRESS_WHEN", "never"),
        ("CARGO_TERM_QUIET", "false"),
        ("CARGO_TERM_VERBOSE", "false"),
        ("RUST_TEST_NOCAPTURE", "0"),
    ];
    settings.into_iter().fold(command, |command, (name, value)| command.env(name, value))
}

fn build(command: Process, ui: &Ui) -> Result<Finished> {
    let progress = ui.progress("building", 0);
    let mut crates = 0;
    command.lines(|_, line| {
        ui.detail(line);
        if line.trim_start().starts_with("Blocking ") {
            ui.say(&format!("  another cargo is building here: {}", line.trim()));
        }
        if let Some(name) = line.trim_start().strip_prefix("Compiling ") {
            crates += 1;
            progress.set(crates, crates, name.split(' ').next().unwrap_or_default());
        }
    })
}

/// What the compiler said from its first error on.
fn errors(built: &Finished, limit: Duration) -> String {
    let progress = |line: &&str| line.trim_start().starts_with("Compiling ");
    let said: Vec<&str> = built.stdout.lines().filter(|line| !progress(line)).collect();
    let first = said.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let mut text = said[first..].iter().take(SHOWN_LINES).copied().collect::<Vec<_>>().join("\n");
    if built.over_limit {
        let _ = write!(text, "\n{}", ended(limit, "the limit for building"));
    }
    text
}

fn watch(command: Process, ui: &Ui) -> Result<(Vec<Suite>, Finished)> {
    let progress = ui.progress("testing", 0);
    let (mut done, mut announced) = (0, 0);
    let mut parser = Parser::new();
    let finished = command.lines(|_, line| {
        ui.detail(line);
        match parser.line(line) {
            None => {}
            Some(Event::Suite(name)) => ui.say(&format!("  {name}")),
            Some(Event::Announced(count)) => announced += count as u64,
            Some(Event::Ended(name, outcome)) => {
                done += 1;
                progress.set(done, announced.max(done), &name);
                if outcome == Outcome::Failed {
                    ui.say(&format!("  {} {name}", ui.paint(Paint::Red, "FAILED")));
                }
            }
        }
    })?;
    Ok((parser.finish(), finished))
}

fn cases(suite: Suite) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for test in suite.tests {
        let verdict = match test.outcome {
            Outcome::Passed => Verdict::Passed,
            Outcome::Failed => Verdict::Failed(test.output),
            Outcome::Ignored(reason) => {
                Verdict::Skipped(format!("ignored{}", reason.map(|why| format!(": {why}")).unwrap_or_default()))
            }
        };
        cases.push(Case { suite: suite.name.clone(), name: test.name, verdict });
    }
    cases.extend(suite.broken.map(|how| broken(&suite.name, "the whole suite", how)));
    cases
}

fn broken(suite: &str, name: &str, text: String) -> Case {
    Case { suite: suite.to_owned(), name: name.to_owned(), verdict: Verdict::Broken(text) }
}

/// A test that skipped itself has passed for libtest. The lines are `name: reason`, where the name is the test's, with or
/// without its modules; a line that names no test is a part of one that was skipped, and counts on its own.
fn apply_skips(cases: &mut Vec<Case>, lines: &str) {
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
        let named = |case: &&mut Case| {
            case.verdict == Verdict::Passed
                && case.name.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
        };
        match cases.iter_mut().find(named) {
            Some(case) => case.verdict = Verdict::Skipped(reason.to_owned()),
            None => cases.push(Case {
                suite: "a part of a test".to_owned(),
                name: name.to_owned(),
                verdict: Verdict::Skipped(reason.to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, verdict: Verdict) -> Case {
        Case { suite: "s".to_owned(), name: name.to_owned(), verdict }
    }

    #[test]
    fn a_test_that_skipped_itself_has_not_passed() {
        let mut cases = vec![
            case("release::pushes", Verdict::Passed),
            case("push", Verdict::Passed),
            case("fails", Verdict::Failed(String::new())),
        ];
        apply_skips(&mut cases, "pushes: no docker: install it\nfails: too late\nlogin\n\n");
        let shown: Vec<(&str, &Verdict)> = cases.iter().map(|case| (case.name.as_str(), &case.verdict)).collect();
        let skipped = |reason: &str| Verdict::Skipped(reason.to_owned());
        assert_eq!(
            shown,
            [
                ("release::pushes", &skipped("no docker: install it")),
                ("push", &Verdict::Passed),
                ("fails", &Verdict::Failed(String::new())),
                ("fails", &skipped("too late")),
                ("login", &skipped("no reason given")),
            ]
        );
    }
}
