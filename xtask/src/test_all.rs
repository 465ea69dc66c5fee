//! `test-all`: every test of the repository, in stages, and a report bound to the commit.
//!
//! A stage that is not there, did not run, or ran no test is never a success. Children have process groups of their own
//! and are ended by them: nothing is killed by its name or by its port. The stages themselves are in the modules below.

mod junit;
mod libtest;
mod lint;
mod patience;
mod report;
mod suites;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::{self, Stage};
use crate::doctor;
use crate::exit::Exit;
use crate::files::{Lock, write_atomic};
use crate::git::Checkout;
use crate::process;
use crate::ui::{Paint, Ui, table};

use patience::Patience;
use report::{Counts, Failed, Host, Report, StageReport, Status};
use suites::{Servers, Tests, Which};

/// The stages in their order. A report is complete when all of them ran.
const STAGES: [Stage; 4] = [Stage::Lint, Stage::Unit, Stage::Integration, Stage::E2e];

/// What `--real` runs the services on.
const SERVERS: [&str; 4] = ["redis-server", "weed", "nsqd", "nsqlookupd"];

pub(crate) fn run(args: &cli::TestAll, dry_run: bool, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let home = catalog.target.join("xtask/test-all");
    let path = home.join("test-report.json");
    let patience = Patience(args.patience);
    let wanted = if args.failed {
        match report::failed_last(&path)? {
            Failed::Nothing => {
                ui.answer("nothing failed last time");
                return Ok(Exit::Done);
            }
            Failed::Stages(stages) => failed_only(args, &stages),
        }
    } else {
        wanted(args)
    };
    if args.real {
        find_servers()?;
    }
    if dry_run {
        return Ok(plan(&wanted, patience, &catalog, ui));
    }
    let folder = ui.keep_below(&catalog.target)?;
    let _lock = Lock::take(&home.join("lock"), "test-all")?;

    let started = SystemTime::now();
    let before = checkout(&catalog.root, ui);
    let stages = stages(&wanted, args, &catalog, &folder, ui)?;
    let report = Report {
        schema: report::SCHEMA.to_owned(),
        dirty: is_dirty(before.as_ref(), Checkout::read(&catalog.root).ok().as_ref()),
        commit: before.map(|checkout| checkout.commit),
        complete: wanted.iter().all(|(_, wanted)| matches!(wanted, Wanted::Run(Which::All)))
            && stages.iter().all(|stage| stage.status != Status::NotRun),
        passed: stages.iter().all(|stage| stage.status != Status::Failed)
            && stages.iter().any(|stage| stage.status == Status::Passed),
        real: args.real
            && stages.iter().any(|stage| stage.name == report::name(Stage::E2e) && stage.status != Status::NotRun),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        seconds: rounded(ui.elapsed().as_secs_f64()),
        totals: stages.iter().fold(Counts::default(), |sum, stage| Counts {
            passed: sum.passed + stage.counts.passed,
            failed: sum.failed + stage.counts.failed,
            skipped: sum.skipped + stage.counts.skipped,
        }),
        stages,
        versions: doctor::versions()?,
        host: Host { os: std::env::consts::OS.to_owned(), arch: std::env::consts::ARCH.to_owned() },
    };
    let json = serde_json::to_vec_pretty(&report)?;
    write_atomic(&folder.join("test-report.json"), &json)?;
    write_atomic(&path, &json)?;
    if let Some(file) = &args.junit {
        if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).with_context(|| format!("making the folder {}", parent.display()))?;
        }
        write_atomic(file, junit::document(&report).as_bytes())?;
    }
    Ok(show(&report, &path, args, ui))
}

/// A run on real servers without one of them is none.
fn find_servers() -> Result<()> {
    let missing: Vec<&str> = SERVERS.into_iter().filter(|server| which::which(server).is_err()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("--real needs servers that are not on PATH: {}", missing.join(", "));
    Err(Exit::Unavailable.stop(text, "cargo xtask doctor says how to get them"))
}

/// What is to be done with a stage.
#[derive(Debug)]
enum Wanted {
    Run(Which),
    /// Not, for this reason.
    Not(&'static str),
}

fn wanted(args: &cli::TestAll) -> Vec<(Stage, Wanted)> {
    let of = |stage: Stage| match (&args.filter, args.stage.contains(&stage)) {
        (_, false) if !args.stage.is_empty() => Wanted::Not("not asked for"),
        (Some(_), false) if stage == Stage::Lint => Wanted::Not("--filter chooses tests"),
        (Some(text), _) => Wanted::Run(Which::Containing(text.clone())),
        (None, _) => Wanted::Run(Which::All),
    };
    STAGES.into_iter().map(|stage| (stage, of(stage))).collect()
}

/// The stages that failed last, with the tests that did.
fn failed_only(args: &cli::TestAll, failed: &[(String, Option<Vec<String>>)]) -> Vec<(Stage, Wanted)> {
    let of = |stage: Stage| match failed.iter().find(|(name, _)| name == report::name(stage)) {
        _ if !args.stage.is_empty() && !args.stage.contains(&stage) => Wanted::Not("not asked for"),
        None => Wanted::Not("did not fail last time"),
        Some((_, None)) => Wanted::Run(Which::All),
        // Its tests are one story: each looks at what those before it did.
        Some(_) if stage == Stage::E2e => Wanted::Run(Which::All),
        Some((_, Some(names))) => Wanted::Run(Which::Named(names.clone())),
    };
    STAGES.into_iter().map(|stage| (stage, of(stage))).collect()
}

fn plan(wanted: &[(Stage, Wanted)], patience: Patience, catalog: &Catalog, ui: &Ui) -> Exit {
    let mut rows = vec![["STAGE", "LIMIT", "COMMAND"].map(str::to_owned).to_vec()];
    let mut plan = Vec::new();
    for (stage, wanted) in wanted {
        let shown = |limit: Duration| humantime::format_duration(patience.with(limit)).to_string();
        let mut add = |limit: String, command: String| {
            plan.push(json!({ "stage": report::name(*stage), "limit": limit, "command": command }));
            rows.push(vec![report::name(*stage).to_owned(), limit, command]);
        };
        match (wanted, Tests::of(*stage)) {
            (Wanted::Not(reason), _) => add("-".to_owned(), format!("not run: {reason}")),
            (Wanted::Run(which), Some(tests)) => {
                for command in suites::builds(&catalog.root) {
                    add(shown(suites::BUILD_LIMIT), command.shown());
                }
                add(shown(tests.limit), tests.command(&catalog.root, which).shown());
            }
            (Wanted::Run(_), None) => {
                for check in lint::checks(&catalog.root) {
                    let command = check.command.map_or_else(|why| format!("skipped: {why}"), |command| command.shown());
                    add(shown(check.limit), command);
                }
            }
        }
    }
    ui.answer(&table(&rows));
    ui.result("plan", Value::from(plan));
    Exit::Done
}

fn stages(
    wanted: &[(Stage, Wanted)],
    args: &cli::TestAll,
    catalog: &Catalog,
    folder: &Path,
    ui: &Ui,
) -> Result<Vec<StageReport>> {
    let patience = Patience(args.patience);
    let servers = if args.real { Servers::Real } else { Servers::Embedded };
    let mut stages: Vec<StageReport> = Vec::new();
    for (stage, wanted) in wanted {
        let failed = stages.iter().find(|earlier| earlier.status == Status::Failed).map(|earlier| earlier.name.clone());
        let report = match (wanted, failed) {
            (Wanted::Not(reason), _) => StageReport::not_run(*stage, (*reason).to_owned()),
            (Wanted::Run(_), Some(failed)) if !args.keep_going => {
                StageReport::not_run(*stage, format!("{failed} failed; --keep-going goes on"))
            }
            (Wanted::Run(which), _) => {
                process::check_interrupt()?;
                ui.say(&ui.paint(Paint::Bold, report::name(*stage)));
                let started = Instant::now();
                let cases = match Tests::of(*stage) {
                    None => lint::run(&catalog.root, patience, ui)?,
                    Some(tests) => {
                        let skips = folder.join(format!("skipped-{}.txt", report::name(*stage)));
                        tests.run(catalog, which, servers, patience, &skips, ui)?
                    }
                };
                let report = StageReport::new(*stage, cases, rounded(started.elapsed().as_secs_f64()));
                show_failures(&report, ui);
                report
            }
        };
        ui.record("stage", &serde_json::to_value(&report)?);
        stages.push(report);
    }
    Ok(stages)
}

fn show_failures(stage: &StageReport, ui: &Ui) {
    for failure in &stage.failures {
        let title = format!("---- {}: {} ----", failure.suite, failure.test);
        let text = format!("\n{}\n{}\n", ui.paint(Paint::Red, &title), failure.output);
        if ui.is_quiet() {
            ui.answer(&text);
        } else {
            ui.say(&text);
        }
        ui.record(
            "test_failure",
            &json!({ "stage": stage.name, "suite": failure.suite, "test": failure.test, "output": failure.output }),
        );
    }
}

/// The commit; a run outside a git checkout has none, and its report says so.
fn checkout(root: &Path, ui: &Ui) -> Option<Checkout> {
    Checkout::read(root).map_err(|error| ui.warn(&format!("the report will name no commit: {error:#}"))).ok()
}

/// What was tested is not what the commit holds, or changed while it was tested.
fn is_dirty(before: Option<&Checkout>, after: Option<&Checkout>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => {
            before.commit != after.commit || !before.differences.is_empty() || !after.differences.is_empty()
        }
        _ => true,
    }
}

/// Milliseconds: more is noise in a report.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn show(report: &Report, path: &Path, args: &cli::TestAll, ui: &Ui) -> Exit {
    let nothing = report.totals == Counts::default();
    for stage in &report.stages {
        for skip in &stage.skips {
            ui.say(&format!("{} {} ({})", ui.paint(Paint::Yellow, "skipped:"), skip.test, skip.reason));
        }
    }
    if let (true, Some(text)) = (nothing, &args.filter) {
        ui.warn(&format!("no test has a name that contains `{text}`"));
    }
    ui.say(&format!("report: {}", path.display()));
    let mut rows = vec![["STAGE", "RESULT", "PASSED", "FAILED", "SKIPPED", "TIME"].map(str::to_owned).to_vec()];
    for stage in &report.stages {
        let Counts { passed, failed, skipped } = stage.counts;
        rows.push(if let Some(reason) = &stage.reason {
            vec![stage.name.clone(), format!("not run: {reason}")]
        } else {
            let mut row = vec![stage.name.clone(), stage.status.word().to_owned()];
            row.extend([passed, failed, skipped].map(|count| format!("{count:>6}")));
            row.push(format!("{:.1} s", stage.seconds));
            row
        });
    }
    ui.answer(&summary(&rows));
    for stage in &report.stages {
        for failure in &stage.failures {
            ui.answer(&format!("failed: {}: {}: {}", stage.name, failure.suite, failure.test));
        }
    }
    ui.result("report", Value::from(path.display().to_string()));
    ui.result("complete", Value::from(report.complete));
    ui.result("totals", json!(report.totals));
    let Counts { passed, failed, skipped } = report.totals;
    let counts = format!("{passed} passed, {failed} failed, {skipped} skipped");
    // Whoever reads this from CI takes the last line, so nothing comes after it: not even an error's text.
    ui.answer(&counts);
    if report.passed && !nothing {
        return Exit::Done;
    }
    ui.result("reason", Value::from(if nothing { "no test ran".to_owned() } else { counts }));
    Exit::Failed
}

/// The table, in which a stage that was not run takes a line as long as it needs.
fn summary(rows: &[Vec<String>]) -> String {
    let full: Vec<Vec<String>> = rows.iter().filter(|row| row.len() > 2).cloned().collect();
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    let padded = |row: &[String]| [&[format!("{:<width$}", row[0])], &row[1..]].concat();
    let aligned = table(&full.iter().map(|row| padded(row)).collect::<Vec<_>>());
    let mut lines = aligned.lines();
    let of = |row: &Vec<String>| match row.len() {
        2 => format!("{:<width$}  {}", row[0], row[1]),
        _ => lines.next().unwrap_or_default().to_owned(),
    };
    rows.iter().map(of).collect::<Vec<_>>().join("\n")
}
