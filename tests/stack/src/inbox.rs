//! The drop folder: a tar file that is put into `drop/<institution>` goes to that institution's receiving bucket, as if a
//! depositor had sent it, and its local copy to `sent`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::s3::S3;
use crate::settings::receiving_bucket;

/// Watches the folders.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    sent: PathBuf,
    institutions: &'static [&'static str],
    /// One that still grows is not sent.
    seen: HashMap<PathBuf, Looks>,
    /// One that could not be sent waits for a change.
    refused: HashMap<PathBuf, Looks>,
}

/// What a file looks like: its size and the time of its last change.
type Looks = (u64, SystemTime);

impl Inbox {
    /// Makes a folder for each institution.
    pub fn new(folder: &Path, institutions: &'static [&'static str]) -> Result<Self> {
        let (inbox, sent) = (folder.join("drop"), folder.join("sent"));
        let folders = institutions.iter().map(|name| inbox.join(name)).chain([sent.clone()]);
        for path in folders {
            fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
        }
        Ok(Self { folder: inbox, sent, institutions, seen: HashMap::new(), refused: HashMap::new() })
    }

    /// The folder to drop bags in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends what has not changed since the last look, and says what was sent, and once what could not be. It may be dropped at
    /// any time: a file that was on its way is not sent.
    pub async fn look(&mut self, s3: &S3) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let mut seen = HashMap::new();
        for institution in self.institutions {
            let folder = self.folder.join(institution);
            let entries = fs::read_dir(&folder).with_context(|| format!("reading the folder {}", folder.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("reading the folder {}", folder.display()))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
                // It may be gone again.
                let Ok(state) = fs::metadata(&path) else { continue };
                if !state.is_file() || path.extension().is_none_or(|extension| extension != "tar") {
                    continue;
                }
                let looks = (state.len(), state.modified().unwrap_or(SystemTime::UNIX_EPOCH));
                if self.refused.get(&path) == Some(&looks) {
                    continue;
                }
                if self.seen.get(&path) != Some(&looks) {
                    seen.insert(path, looks);
                    continue;
                }
                match self.send(s3, institution, &path, &name).await {
                    Ok(()) => told.push(format!("{name} is in the receiving bucket of {institution}")),
                    Err(error) => {
                        told.push(format!("{error:#}; it is tried again when it changes"));
                        self.refused.insert(path, looks);
                    }
                }
            }
        }
        self.refused.retain(|path, _| path.exists());
        self.seen = seen;
        Ok(told)
    }

    async fn send(&self, s3: &S3, institution: &str, path: &Path, name: &str) -> Result<()> {
        let bucket = receiving_bucket(institution);
        s3.import(&bucket, name, path).await.with_context(|| format!("sending {} to {bucket}", path.display()))?;
        let kept = self.sent.join(name);
        fs::rename(path, &kept).with_context(|| format!("moving {} to {}", path.display(), kept.display()))
    }
}
