//! Programs of this workspace that other commands start or hand over to: compiled when they are first needed. Whoever has
//! compiled all of them already says where they are, since cargo would choose other features for fewer packages and compile most
//! of it once more.

use std::path::PathBuf;

use anyhow::Result;

use crate::cargo::{self, Profile};
use crate::catalog::Catalog;
use crate::ui::Ui;

/// `test-all` sets it for everything that it runs: the folder of the programs that it has compiled.
pub(crate) const COMPILED: &str = "XTASK_PROGRAMS";

/// Programs, and what one should know of their first compilation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Programs<'a> {
    pub(crate) packages: &'a [&'a str],
    /// Where this program is, there is next to nothing to compile.
    pub(crate) known_by: &'a str,
    /// The packages that the first compilation goes through, for the progress bar.
    pub(crate) expected: u64,
    /// What is said before it.
    pub(crate) notice: &'a str,
}

impl Programs<'_> {
    /// The folder in which they are, compiled.
    pub(crate) fn compile(&self, catalog: &Catalog, ui: &Ui) -> Result<PathBuf> {
        self.compile_for(Profile::Development, catalog, ui)
    }

    /// The same, but optimised as a release is.
    pub(crate) fn compile_as_shipped(&self, catalog: &Catalog, ui: &Ui) -> Result<PathBuf> {
        self.compile_for(Profile::Shipped, catalog, ui)
    }

    fn compile_for(&self, profile: Profile, catalog: &Catalog, ui: &Ui) -> Result<PathBuf> {
        if let Some(folder) = std::env::var_os(COMPILED) {
            return Ok(folder.into());
        }
        let folder = catalog.target.join(profile.folder());
        if folder.join(self.known_by).exists() {
            cargo::build_quietly(profile, self.packages)?;
        } else {
            ui.say(self.notice);
            cargo::build_visibly(profile, self.packages, self.expected, ui)?;
        }
        Ok(folder)
    }
}

/// Where cargo puts programs for this machine.
pub(crate) fn folder(catalog: &Catalog) -> PathBuf {
    catalog.target.join(Profile::Development.folder())
}
