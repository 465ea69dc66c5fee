//! Where a stack keeps everything: in a folder that stays, or below one that is swept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A folder for a stack. A temporary one goes away with the value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// This one, which stays.
    pub fn kept(path: &Path) -> Result<Self> {
        Ok(Self { path: made(path)?, is_temporary: false })
    }

    /// A temporary one below this one. What processes that were killed left there is removed.
    pub fn below(path: &Path) -> Result<Self> {
        let below = made(path)?;
        for entry in fs::read_dir(&below).into_iter().flatten().flatten() {
            let owner = entry.file_name().to_str().and_then(|name| name.strip_prefix("stack-")?.parse::<u32>().ok());
            if owner.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Self { path: made(&below.join(format!("stack-{}", std::process::id())))?, is_temporary: true })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn made(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).with_context(|| format!("making the folder {}", path.display()))?;
    path.canonicalize().with_context(|| format!("finding the folder {}", path.display()))
}
