//! What a running executable can say about itself. The commit and the time of the build are not in it: an image is a
//! function of its executable, and the release manifest maps the one to the other.

use std::fs::File;
use std::io::{self, Read as _};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Name, version and content of the running executable.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: &'static str,
    pub version: &'static str,
    /// 64 lower-case hexadecimal digits; the release manifest lists the same.
    pub sha256: String,
}

impl Identity {
    /// Reads the executable's own file.
    pub(crate) fn of(name: &'static str) -> Result<Self> {
        let path = std::env::current_exe().context("finding this executable's own file")?;
        let sha256 = sha256(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { name, version: VERSION, sha256 })
    }
}

/// The workspace's version, which all its packages share.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn sha256(path: &std::path::Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
    }
    Ok(hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
