//! `deploy`, `status`, `rollback` and `logs`: handed over to the program `xtask-deploy`, which is compiled when it is first
//! needed. It takes this process's place, so that terminal, signals and exit code are its own.

use anyhow::Result;

use crate::cargo;
use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::process::Stream;
use crate::ui::Ui;

const PACKAGE: &str = "xtask-deploy";
/// The packages that its first compilation goes through, for the progress bar.
const PACKAGES: u64 = 224;

/// Ends in the other program; returns only if that could not be started.
pub(crate) fn hand_over(ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    if !catalog.target.join("debug").join(PACKAGE).exists() {
        compile(ui)?;
    }
    let args = std::env::args_os().skip(1);
    Err(cargo::command().args(["run", "--quiet", "--package", PACKAGE, "--"]).args(args).replace_this_process())
}

fn compile(ui: &Ui) -> Result<()> {
    ui.say("Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.");
    let progress = ui.progress("compiling", PACKAGES);
    let mut done = 0;
    let finished = cargo::command().args(["build", "--package", PACKAGE]).lines(|stream, line| {
        if let Some(package) = line.trim_start().strip_prefix("Compiling ").filter(|_| stream == Stream::Err) {
            done += 1;
            progress.set(done, PACKAGES, package);
        }
    })?;
    if finished.success() {
        return Ok(());
    }
    Err(Exit::Failed.stop(
        format!("the deployer does not compile: {:#}", finished.error()),
        "run cargo build --package xtask-deploy for the whole message",
    ))
}
