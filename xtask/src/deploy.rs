//! `deploy`, `status`, `rollback` and `logs`: handed over to the program `xtask-deploy`, which is compiled when it is first
//! needed. It takes this process's place, so that terminal, signals and exit code are its own.

use anyhow::Result;

use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::process::Process;
use crate::programs::Programs;
use crate::ui::Ui;

/// The deployer's package and program.
pub(crate) const PROGRAM: &str = "xtask-deploy";
/// What its first compilation goes through.
pub(crate) const PACKAGES: u64 = 224;
pub(crate) const NOTICE: &str =
    "Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.";

/// Ends in the other program; returns only if that could not be started.
pub(crate) fn hand_over(ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let programs = Programs { packages: &[PROGRAM], known_by: PROGRAM, expected: PACKAGES, notice: NOTICE };
    let program = programs.compile(&catalog, ui)?.join(PROGRAM);
    Err(Process::new(program).args(std::env::args_os().skip(1)).replace_this_process())
}
