//! Programs of this workspace that other commands start or hand over to: compiled when they are first needed. Whoever has
//! compiled all of them already says where they are, since cargo would choose other features for fewer packages and compile most
//! of it once more.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cargo;
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
        if let Some(folder) = std::env::var_os(COMPILED) {
            return Ok(folder.into());
        }
        if folder(catalog).join(self.known_by).exists() {
            return cargo::build_quietly(self.packages);
        }
        ui.say(self.notice);
        cargo::build_visibly(self.packages, self.expected, ui)
    }
}

/// Where cargo puts programs for this machine: beside this one, which also tells the target that the user's configuration names.
pub(crate) fn folder(catalog: &Catalog) -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    own.filter(|own| own.starts_with(&catalog.target)).unwrap_or_else(|| catalog.target.join("debug"))
}
