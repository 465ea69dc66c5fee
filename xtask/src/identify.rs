//! `identify` and `signatures`: handed over to the program `xtask-identify`, which is compiled when it is first needed. It takes
//! this process's place, so that terminal, signals and exit code are its own.

use anyhow::Result;

use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::process::Process;
use crate::programs::Programs;
use crate::ui::Ui;

const PROGRAM: &str = "xtask-identify";
/// What its first compilation goes through.
const PACKAGES: u64 = 70;
const NOTICE: &str = "Compiling the format identifier. Once; it takes about half a minute.";

/// Ends in the other program; returns only if that could not be started.
pub(crate) fn hand_over(ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let programs = Programs { packages: &[PROGRAM], known_by: PROGRAM, expected: PACKAGES, notice: NOTICE };
    let program = programs.compile(&catalog, ui)?.join(PROGRAM);
    Err(Process::new(program).args(std::env::args_os().skip(1)).replace_this_process())
}
