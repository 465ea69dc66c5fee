//! Commands that are programs of their own, compiled when they are first needed: `deploy`, `status`, `rollback` and `logs`
//! in `xtask-deploy`, `identify` and `signatures` in `xtask-identify`. The program takes this process's place, so that
//! terminal, signals and exit code are its own.

use anyhow::Result;

use crate::cargo;
use crate::catalog::Catalog;
use crate::exit::Exit;
use crate::ui::Ui;

/// A program beside this one.
#[derive(Debug)]
pub(crate) struct Program {
    package: &'static str,
    /// The packages that its first compilation goes through, for the progress bar.
    packages: u64,
    /// What to say before it.
    notice: &'static str,
}

pub(crate) const DEPLOYER: Program = Program {
    package: "xtask-deploy",
    packages: 224,
    notice: "Compiling the deployer with the AWS SDK. Once; it takes about five minutes on two cores, less on more.",
};

pub(crate) const IDENTIFIER: Program = Program {
    package: "xtask-identify",
    packages: 70,
    notice: "Compiling the format identifier. Once; it takes about half a minute.",
};

impl Program {
    /// Ends in the other program; returns only if that could not be started.
    pub(crate) fn hand_over(&self, ui: &Ui) -> Result<Exit> {
        let catalog = Catalog::load()?;
        if catalog.target.join("debug").join(self.package).exists() {
            // A compile error is told here, with our exit code and record, and not by the cargo that takes this process's place.
            cargo::build_quietly(&[self.package])?;
        } else {
            self.compile(&[], ui)?;
        }
        let args = std::env::args_os().skip(1);
        Err(cargo::command()
            .args(["run", "--quiet", "--package", self.package, "--"])
            .args(args)
            .replace_this_process())
    }

    /// Builds it, and what else is asked for, showing how far it is.
    pub(crate) fn compile(&self, more: &[&str], ui: &Ui) -> Result<()> {
        ui.say(self.notice);
        let packages: Vec<&str> = std::iter::once(self.package).chain(more.iter().copied()).collect();
        cargo::build_visibly(&packages, self.packages, ui)
    }
}
