//! The services: the files in `services/apps/src/bin`, as `cargo metadata` tells them. There is no other list.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::cargo;

/// What this checkout consists of.
#[derive(Debug)]
pub struct Catalog {
    /// The checkout.
    pub root: PathBuf,
    /// Cargo's folder for what it builds.
    pub target: PathBuf,
    /// The executables' names, which are the images' names too; sorted.
    pub services: Vec<String>,
}

/// The package whose executables are the services.
pub const APPS: &str = "apps";

impl Catalog {
    /// Asks cargo, which must be called inside the checkout.
    pub fn load() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            target_directory: PathBuf,
            workspace_root: PathBuf,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            targets: Vec<Target>,
        }
        #[derive(Deserialize)]
        struct Target {
            name: String,
            kind: Vec<String>,
        }
        let json = cargo::metadata(&["--no-deps"])?;
        let metadata: Metadata = serde_json::from_str(&json).context("reading the answer of `cargo metadata`")?;
        let Some(apps) = metadata.packages.into_iter().find(|package| package.name == APPS) else {
            bail!("{} has no package `{APPS}`: run cargo xtask inside the checkout", metadata.workspace_root.display());
        };
        let mut services: Vec<String> = apps
            .targets
            .into_iter()
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
            .map(|target| target.name)
            .collect();
        services.sort();
        ensure!(!services.is_empty(), "the package `{APPS}` has no executables");
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, services })
    }
}
