//! `deploy`, `status`, `rollback` and `logs`: handed over to the program `xtask-deploy`, which is compiled when it is first
//! needed. It takes this process's place, so that terminal, signals and exit code are its own.

use anyhow::Result;

use crate::cargo;
use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::process::{Finished, Stream};
use crate::ui::Ui;

const PACKAGE: &str = "xtask-deploy";
/// The packages that its first compilation goes through, for the progress bar.
const PACKAGES: u64 = 224;

/// Ends in the other program; returns only if that could not be started.
pub(crate) fn hand_over(ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    if catalog.target.join("debug").join(PACKAGE).exists() {
        // A compile error is told here, with our exit code and record, and not by the cargo that takes this process's place.
        built(&cargo::command().args(["build", "--quiet", "--package", PACKAGE]).run()?)?;
    } else {
        compile(&[PACKAGE], ui)?;
    }
    let args = std::env::args_os().skip(1);
    Err(cargo::command().args(["run", "--quiet", "--package", PACKAGE, "--"]).args(args).replace_this_process())
}

/// Builds the deployer, and what else is asked for, showing how far it is.
pub(crate) fn compile(packages: &[&str], ui: &Ui) -> Result<()> {
    ui.say("Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.");
    let progress = ui.progress("compiling", PACKAGES);
    let mut done = 0;
    let chosen = packages.iter().flat_map(|package| ["--package", package]);
    let finished = cargo::command().args(["build"]).args(chosen).lines(|stream, line| {
        if let Some(package) = line.trim_start().strip_prefix("Compiling ").filter(|_| stream == Stream::Err) {
            done += 1;
            progress.set(done, PACKAGES, package);
        }
    })?;
    built(&finished)
}

fn built(finished: &Finished) -> Result<()> {
    if finished.success() {
        return Ok(());
    }
    Err(Exit::Failed.stop(
        format!("the deployer does not compile: {:#}", finished.error()),
        "run cargo build --package xtask-deploy for the whole message",
    ))
}
