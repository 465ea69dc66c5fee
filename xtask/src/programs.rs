//! Programs of this workspace that other commands start or hand over to: compiled when they are first needed. Whoever has
//! compiled all of them already says where they are, since cargo would choose other features for fewer packages and compile most
//! of it once more.

use std::path::{Path, PathBuf};

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
        if folder_of(profile, catalog).join(self.known_by).exists() {
            return cargo::build_quietly(profile, self.packages);
        }
        ui.say(self.notice);
        cargo::build_visibly(profile, self.packages, self.expected, ui)
    }
}

/// Where cargo puts programs for this machine, as they are developed.
pub(crate) fn folder(catalog: &Catalog) -> PathBuf {
    folder_of(Profile::Development, catalog)
}

/// Next to the folder of this program, which also tells the target that the user's configuration names.
fn folder_of(profile: Profile, catalog: &Catalog) -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let own = own.filter(|own| own.starts_with(&catalog.target) && *own != catalog.target);
    own.map_or_else(|| catalog.target.join(profile.folder()), |own| own.with_file_name(profile.folder()))
}
