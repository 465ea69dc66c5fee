//! `deploy`, `status`, `rollback` and `logs`: handed over to the program `xtask-deploy`, which is compiled when it is first
//! needed. It takes this process's place, so that terminal, signals and exit code are its own.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::catalog::Catalog;
use crate::cli::Command;
use crate::environments;
use crate::exit::Exit;
use crate::git::Checkout;
use crate::process::Process;
use crate::programs::Programs;
use crate::release;
use crate::ui::Ui;

/// The deployer's package and program.
pub(crate) const PROGRAM: &str = "xtask-deploy";
/// What its first compilation goes through.
pub(crate) const PACKAGES: u64 = 224;
pub(crate) const NOTICE: &str =
    "Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.";

/// Ends in the other program; returns only if that could not be started, or if it would only refuse.
pub(crate) fn hand_over(command: &Command, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    look_first(command, &catalog)?;
    let programs = Programs { packages: &[PROGRAM], known_by: PROGRAM, expected: PACKAGES, notice: NOTICE };
    let program = programs.compile(&catalog, ui)?.join(PROGRAM);
    Err(Process::new(program).args(std::env::args_os().skip(1)).replace_this_process())
}

/// What can be known without AWS is known in milliseconds: nobody waits for the compiler to hear it. The deployer looks closer.
fn look_first(command: &Command, catalog: &Catalog) -> Result<()> {
    let (environment, access) = match command {
        Command::Deploy(args) => (args.environment, &args.access),
        Command::Rollback(args) => (args.environment, &args.access),
        Command::Status(args) => (args.environment, &args.access),
        Command::Logs(args) => (args.environment, &args.access),
        _ => return Ok(()),
    };
    let mut problems = Vec::new();
    release::note(environments::read(access.config.as_deref(), environment), &mut problems);
    if let Command::Deploy(args) = command
        && !(args.execute.is_some() || args.attach || args.cancel || args.continue_rollback)
    {
        release::note(template(&args.template), &mut problems);
        release::note(tree(&catalog.root), &mut problems);
        if args.checks.skip_test_gate.is_none() && args.checks.other_images.is_none() {
            let usual = catalog.target.join("xtask/test-all/test-report.json");
            let reports = if args.checks.report.is_empty() { &[usual][..] } else { &args.checks.report };
            for path in reports {
                release::note(report(path), &mut problems);
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(release::together(problems)) }
}

fn template(path: &Path) -> Result<()> {
    let refuse = |why: String| Exit::Refused.stop(why, "name the template with --template");
    let text = fs::read_to_string(path).map_err(|error| refuse(format!("reading {}: {error}", path.display())))?;
    serde_yaml::from_str::<serde_yaml::Value>(text.trim_start_matches('\u{feff}'))
        .map_err(|error| refuse(format!("{} is not YAML: {error}", path.display())))?;
    Ok(())
}

fn tree(root: &Path) -> Result<()> {
    let differences = Checkout::read(root)?.differences;
    let Some((first, rest)) = differences.split_first() else { return Ok(()) };
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Err(Exit::Refused.stop(format!("the tree is not the commit: {first}{more}"), "commit first"))
}

fn report(path: &Path) -> Result<()> {
    let read = fs::read(path).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    read.map(|_| ()).ok_or_else(|| {
        let next = "run cargo xtask test-all, give CI's with --report, or --skip-test-gate <reason>";
        Exit::Refused.stop(format!("there is no test report at {}", path.display()), next)
    })
}
