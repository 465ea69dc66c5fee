//! A folder, bagged while it is read: every byte is read once, written once and hashed on the way, and memory does not depend on
//! how much there is. The manifests grow in files without a name and follow the payload in the tar.

use std::fs::ReadDir;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use digests::{Algorithm, Algorithms, Digests, Lanes};
use tarball::{Header, Writer};
use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};

use crate::tags::{Tags, line};

/// What a bag of a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bagged {
    pub files: u64,
    /// Of the payload.
    pub bytes: u64,
}

/// In manifests and tag manifests.
const MANIFESTS: [Algorithm; 2] = [Algorithm::Md5, Algorithm::Sha256];
/// What is read at once.
const CHUNK: usize = 1 << 20;
/// What may wait for its digest.
const IN_FLIGHT: usize = 16 << 20;

/// Bags all files below `folder` into the tar `target`, under this name. Empty folders leave no trace, as BagIt has it. What is
/// neither file nor folder, a name that is not UTF-8 and a file that changes meanwhile are errors.
pub async fn bag_folder(folder: &Path, name: &str, mut tags: Tags, target: &Path) -> Result<Bagged> {
    let writing = || format!("writing {}", target.display());
    let tar = File::create(target).await.with_context(writing)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let lanes = Lanes::new(threads, IN_FLIGHT).context("starting the threads that compute digests")?;
    let mut tar = Tar { out: BufWriter::with_capacity(CHUNK, tar), writer: Writer::default(), name, lanes };
    let mut manifests = Vec::new();
    for algorithm in MANIFESTS {
        let file = tempfile::tempfile().context("making a temporary file for a manifest")?;
        manifests.push((algorithm, BufWriter::new(File::from_std(file))));
    }
    let mut bagged = Bagged { files: 0, bytes: 0 };
    let mut walk = Walk::new(folder)?;
    while let Some((path, in_bag)) = walk.next()? {
        let mut file = File::open(&path).await.with_context(|| format!("opening {}", path.display()))?;
        let state = file.metadata().await.with_context(|| format!("reading {}", path.display()))?;
        let modified = state.modified().map_or(OffsetDateTime::UNIX_EPOCH, OffsetDateTime::from);
        let digests = tar.entry(&in_bag, state.len(), modified, &mut file).await;
        let digests = digests.with_context(|| format!("bagging {}", path.display()))?;
        for (algorithm, manifest) in &mut manifests {
            let line = line(digests.get(*algorithm).unwrap_or_default(), &in_bag);
            manifest.write_all(line.as_bytes()).await.context("writing a manifest")?;
        }
        bagged.files += 1;
        bagged.bytes += state.len();
    }
    if bagged.files == 0 {
        bail!("there is no file in {}; a bag holds at least one", folder.display());
    }
    tags.weigh(bagged.bytes, bagged.files);
    tar.close(manifests, &tags).await.with_context(writing)?;
    Ok(bagged)
}

/// The tar that is written.
struct Tar<'a, W> {
    out: W,
    writer: Writer,
    name: &'a str,
    lanes: Lanes,
}

impl<W: AsyncWrite + Unpin> Tar<'_, W> {
    /// Writes an entry, and computes its digests meanwhile.
    async fn entry(
        &mut self,
        path: &str,
        size: u64,
        modified: OffsetDateTime,
        contents: &mut (impl AsyncRead + Unpin),
    ) -> Result<Digests> {
        let header = Header::file(&format!("{}/{path}", self.name), size, modified)?;
        self.out.write_all(&self.writer.entry(&header)?).await?;
        let algorithms: Algorithms = MANIFESTS.into_iter().collect();
        let mut hashing = self.lanes.start(algorithms);
        let mut left = size;
        // One read more than the size says: a file that grows is noticed.
        loop {
            let room = usize::try_from(left).unwrap_or(CHUNK).clamp(1, CHUNK);
            let mut chunk = BytesMut::with_capacity(room);
            if contents.read_buf(&mut chunk).await? == 0 {
                break;
            }
            let chunk: Bytes = chunk.freeze();
            self.writer.data(&chunk).context("it grew while it was read")?;
            left -= chunk.len() as u64;
            self.out.write_all(&chunk).await?;
            hashing.update(chunk).await;
        }
        if left > 0 {
            bail!("it shrank by {left} bytes while it was read");
        }
        Ok(hashing.finish().await)
    }

    /// Writes what follows the payload.
    async fn close(mut self, manifests: Vec<(Algorithm, BufWriter<File>)>, tags: &Tags) -> Result<()> {
        let now = OffsetDateTime::now_utc();
        let mut listed = Vec::new();
        for (algorithm, mut manifest) in manifests {
            manifest.flush().await?;
            let mut file = manifest.into_inner();
            let size = file.stream_position().await?;
            file.rewind().await?;
            let path = format!("manifest-{algorithm}.txt");
            let digests = self.entry(&path, size, now, &mut file).await?;
            listed.push((path, digests));
        }
        for (path, text) in tags.files() {
            let digests = self.entry(&path, text.len() as u64, now, &mut text.as_bytes()).await?;
            listed.push((path, digests));
        }
        for algorithm in MANIFESTS {
            let lines = listed.iter().map(|(path, digests)| line(digests.get(algorithm).unwrap_or_default(), path));
            let text: String = lines.collect();
            self.entry(&format!("tagmanifest-{algorithm}.txt"), text.len() as u64, now, &mut text.as_bytes()).await?;
        }
        self.out.write_all(&self.writer.finish()?).await?;
        self.out.shutdown().await?;
        Ok(())
    }
}

/// All files below a folder, with their paths in the bag: one open folder for each level.
struct Walk {
    open: Vec<(PathBuf, String, ReadDir)>,
}

impl Walk {
    fn new(folder: &Path) -> Result<Self> {
        let mut walk = Self { open: Vec::new() };
        walk.enter(folder.to_owned(), "data".to_owned())?;
        Ok(walk)
    }

    fn enter(&mut self, folder: PathBuf, in_bag: String) -> Result<()> {
        let entries = folder.read_dir().with_context(|| format!("reading the folder {}", folder.display()))?;
        self.open.push((folder, in_bag, entries));
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(PathBuf, String)>> {
        while let Some((folder, in_bag, entries)) = self.open.last_mut() {
            let reading = || format!("reading the folder {}", folder.display());
            let Some(entry) = entries.next() else {
                self.open.pop();
                continue;
            };
            let entry = entry.with_context(reading)?;
            let (path, kind) = (entry.path(), entry.file_type().with_context(reading)?);
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                bail!("the name of {} is not UTF-8, which a manifest has to be; rename it", path.display());
            };
            let in_bag = format!("{in_bag}/{name}");
            if kind.is_file() {
                return Ok(Some((path, in_bag)));
            } else if kind.is_dir() {
                self.enter(path, in_bag)?;
            } else {
                bail!("{} is neither file nor folder; put what is meant in its place, or take it out", path.display());
            }
        }
        Ok(None)
    }
}
