//! The release manifest: which images, of which executables, of which commit, made with what. Written by `release`; pinning
//! and deploying start from it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// Raised when a field changes its meaning or goes.
pub(crate) const SCHEMA: &str = "preserv-release/1";

/// The content of `release-<tag>.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    pub(crate) schema: String,
    pub(crate) tag: String,
    /// The full commit id.
    pub(crate) commit: String,
    pub(crate) branch: Option<String>,
    pub(crate) dirty: bool,
    pub(crate) unfinished: bool,
    /// `HOST/PREFIX`.
    pub(crate) registry: String,
    /// The images stand in the registry under the tag. Without it the digests are those of the OCI layouts.
    pub(crate) published: bool,
    pub(crate) builds: Vec<Build>,
    pub(crate) images: Vec<ManifestImage>,
}

impl Manifest {
    /// Reads one that `release` wrote. A file of another schema is refused, since its fields may mean something else.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Schema {
            schema: String,
        }
        let refuse = |why: String| {
            let next = "give a release-<tag>.json as `cargo xtask release` writes it";
            Exit::Refused.stop(format!("{} is no release manifest: {why}", path.display()), next)
        };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let Schema { schema } = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        if schema != SCHEMA {
            return Err(refuse(format!("its schema is `{schema}`, and this program reads `{SCHEMA}`")));
        }
        serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
    }
}

/// The manifests that `release` left below the target folder.
pub(crate) fn all(target: &Path) -> Result<Vec<PathBuf>> {
    let home = target.join("xtask/release");
    let folders = match fs::read_dir(&home) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", home.display())),
    };
    let manifest = |folder: fs::DirEntry| {
        let tag = folder.file_name();
        let path = folder.path().join(format!("release-{}.json", tag.to_str()?));
        path.is_file().then_some(path)
    };
    let mut found: Vec<PathBuf> = folders.flatten().filter_map(manifest).collect();
    found.sort();
    Ok(found)
}

/// How the executables of one platform were made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Build {
    pub(crate) platform: String,
    pub(crate) target: String,
    pub(crate) rustc: String,
    pub(crate) linker: String,
    pub(crate) libc: String,
}

/// One service's image.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ManifestImage {
    pub(crate) service: String,
    /// `HOST/PREFIX/<service>:<tag>`.
    pub(crate) reference: String,
    /// The digest that the registry gives to the tag (of the list, for several platforms); none if it was not pushed.
    pub(crate) digest: Option<String>,
    pub(crate) platforms: Vec<ManifestPlatform>,
}

/// One service's image for one platform.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ManifestPlatform {
    pub(crate) platform: String,
    /// Equal for equal executables, whatever the machine and the engine.
    pub(crate) config_digest: String,
    pub(crate) content_tag: String,
    /// The registry's digest of this platform's manifest; none if it was not pushed.
    pub(crate) manifest_digest: Option<String>,
    /// Of the file in the image, in hexadecimal; the executable says the same with `--version`.
    pub(crate) executable_sha256: String,
    pub(crate) executable_bytes: u64,
    pub(crate) compressed_bytes: u64,
    pub(crate) unfinished: bool,
    /// The executable was run to see that it says its own digest: natively, by an emulator, or not at all.
    pub(crate) run_by: String,
}
