//! The manifests of a restored bag while it is written: their lines wait on disk, since their number is that of the files, and the
//! length of a file stands before it in a tar.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use digests::{Algorithm, Digests};
use model::Manifest;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use worker::Stop;

/// A folder of the item's own, which goes away with this.
pub(super) struct Manifests {
    folder: PathBuf,
    lines: Vec<Lines>,
}

struct Lines {
    name: String,
    algorithm: Algorithm,
    /// Of payload, or of tag files.
    is_payload: bool,
    file: BufWriter<File>,
}

/// A manifest that is read back.
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    /// Bytes.
    pub(super) size: u64,
}

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

impl Manifests {
    /// What an earlier run left is removed.
    pub(super) async fn create(folder: PathBuf, algorithms: &[Algorithm]) -> Result<Self, Stop> {
        let at = |error| unusable(&folder, &error);
        match fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
            _ => fs::create_dir_all(&folder).await.map_err(at)?,
        }
        let mut manifests = Self { folder, lines: Vec::new() };
        for algorithm in algorithms {
            let word = || algorithm.as_str().into();
            for (manifest, is_payload) in [(Manifest::Payload(word()), true), (Manifest::Tag(word()), false)] {
                let name = manifest.to_string();
                let path = manifests.folder.join(&name);
                let file = File::create(&path).await.map_err(|error| unusable(&path, &error))?;
                let file = BufWriter::with_capacity(CHUNK, file);
                manifests.lines.push(Lines { name, algorithm: *algorithm, is_payload, file });
            }
        }
        Ok(manifests)
    }

    /// Lists a file of the bag where it belongs: what is in the folder `data`, and nothing else, is payload (D13).
    pub(super) async fn add(&mut self, path: &str, digests: &Digests) -> Result<(), Stop> {
        let is_payload = path.starts_with("data/");
        for lines in self.lines.iter_mut().filter(|lines| lines.is_payload == is_payload) {
            let Some(digest) = digests.get(lines.algorithm) else { continue };
            let written = lines.file.write_all(format!("{digest}  {path}\n").as_bytes()).await;
            written.map_err(|error| unusable(&self.folder.join(&lines.name), &error))?;
        }
        Ok(())
    }

    /// Nothing is added to it any more.
    pub(super) async fn read(&mut self, name: &str) -> Result<Spool, Stop> {
        let path = self.folder.join(name);
        let at = |error| unusable(&path, &error);
        for lines in self.lines.iter_mut().filter(|lines| lines.name == name) {
            lines.file.flush().await.map_err(at)?;
        }
        let file = File::open(&path).await.map_err(at)?;
        let size = file.metadata().await.map_err(at)?.len();
        Ok(Spool { path, file, size })
    }
}

impl Drop for Manifests {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "the manifests in {} stay", self.folder.display());
        }
    }
}

impl Spool {
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Stop> {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        let read = self.file.read_buf(&mut bytes).await.map_err(|error| unusable(&self.path, &error))?;
        Ok((read > 0).then(|| bytes.freeze()))
    }
}

/// A full disk is the system's failure, not the item's.
fn unusable(path: &Path, error: &io::Error) -> Stop {
    Stop::System(format!("RESTORE_DIR cannot be used, free or mend it: {}: {error}", path.display()))
}
