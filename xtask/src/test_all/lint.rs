//! The lint stage: what needs no test to run. Each check counts as one test.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::patience::{Patience, ended};
use super::report::{Case, Verdict};
use crate::cargo;
use crate::process::{Process, last_lines};
use crate::ui::Ui;

/// For a check that reads files and compiles nothing.
const LIMIT: Duration = Duration::from_mins(5);
/// Clippy checks every crate from scratch on a new machine; several times what two cores need for that.
const CLIPPY_LIMIT: Duration = Duration::from_mins(20);
/// What is shown of a check that failed.
const SHOWN_LINES: usize = 200;
const TEMPLATE: &str = "cloudformation/cfn-preserv-master.yml";

/// One check: its command, or why it cannot run here.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Its own: what one check takes is not taken from another.
    pub(crate) limit: Duration,
    pub(crate) command: Result<Process, String>,
}

pub(crate) fn checks(root: &Path) -> Vec<Check> {
    // Quiet: what is shown of a failure is what is wrong, not what was compiled before.
    let cargo = |args: &[&str]| {
        let command = cargo::command().args(args).dir(root);
        let plain = [("CARGO_TERM_COLOR", "never"), ("CARGO_TERM_QUIET", "true"), ("TERM", "dumb")];
        plain.into_iter().fold(command, |command, (name, value)| command.env(name, value))
    };
    let dependencies = if which::which("cargo-deny").is_ok() {
        Ok(cargo(&["deny", "--color", "never", "check", "licenses", "bans", "sources"]))
    } else {
        Err("cargo-deny is not on PATH: cargo install --locked --debug cargo-deny".to_owned())
    };
    let template = if !root.join(TEMPLATE).is_file() {
        Err(format!("there is no {TEMPLATE}"))
    } else if which::which("cfn-lint").is_err() {
        Err("cfn-lint is not on PATH: pip install cfn-lint".to_owned())
    } else {
        Ok(Process::new("cfn-lint").args([TEMPLATE]).dir(root))
    };
    vec![
        Check { name: "formatting", limit: LIMIT, command: Ok(cargo(&["fmt", "--all", "--check"])) },
        Check {
            name: "clippy",
            limit: CLIPPY_LIMIT,
            command: Ok(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        },
        Check { name: "dependency rules", limit: LIMIT, command: dependencies },
        Check { name: "template", limit: LIMIT, command: template },
    ]
}

/// Runs every check, whatever the others found.
pub(crate) fn run(root: &Path, patience: Patience, ui: &Ui) -> Result<Vec<Case>> {
    let checks = checks(root);
    let total = checks.len() as u64;
    let progress = ui.progress("checking", total);
    let mut cases = Vec::new();
    for Check { name, limit, command } in checks {
        progress.set(cases.len() as u64, total, name);
        let verdict = match command {
            Err(reason) => Verdict::Skipped(reason),
            Ok(command) => verdict(command.merge_outputs().end_leftovers(), patience.with(limit), ui)?,
        };
        progress.step(&match &verdict {
            Verdict::Passed => name.to_owned(),
            Verdict::Skipped(_) => format!("{name}: skipped"),
            Verdict::Failed(_) | Verdict::Broken(_) => format!("{name}: FAILED"),
        });
        cases.push(Case { suite: "lint".to_owned(), name: name.to_owned(), verdict });
    }
    Ok(cases)
}

fn verdict(command: Process, limit: Duration, ui: &Ui) -> Result<Verdict> {
    let shown = command.shown();
    let finished = command.limit(limit).lines(|_, line| ui.detail(line))?;
    if finished.success() {
        return Ok(Verdict::Passed);
    }
    let over =
        if finished.over_limit { format!("\n{}", ended(limit, "the limit of this check")) } else { String::new() };
    Ok(Verdict::Broken(format!("{}{over}\nto see it again: {shown}", last_lines(&finished.stdout, SHOWN_LINES))))
}
