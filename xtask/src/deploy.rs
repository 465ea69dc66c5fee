//! `deploy`, `status`, `rollback` and `logs`: handed over to the program `xtask-deploy`, which is compiled when it is first
//! needed. It takes this process's place, so that terminal, signals and exit code are its own.

use anyhow::Result;

use crate::cargo;
use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::ui::Ui;

const PACKAGE: &str = "xtask-deploy";
/// The packages that its first compilation goes through, for the progress bar.
const PACKAGES: u64 = 224;

/// Ends in the other program; returns only if that could not be started.
pub(crate) fn hand_over(ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    if catalog.target.join("debug").join(PACKAGE).exists() {
        // A compile error is told here, with our exit code and record, and not by the cargo that takes this process's place.
        cargo::build_quietly(&[PACKAGE])?;
    } else {
        compile(&[PACKAGE], ui)?;
    }
    let args = std::env::args_os().skip(1);
    Err(cargo::command().args(["run", "--quiet", "--package", PACKAGE, "--"]).args(args).replace_this_process())
}

/// Builds the deployer, and what else is asked for, showing how far it is.
pub(crate) fn compile(packages: &[&str], ui: &Ui) -> Result<()> {
    ui.say("Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.");
    cargo::build_visibly(packages, PACKAGES, ui)
}
