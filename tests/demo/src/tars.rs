//! Tars compared: what came back with what was deposited, file by file and byte by byte. Both are read as streams; what is kept is
//! where each deposited file stands.

use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result, bail};
use bagit::{Severity, Verdict};
use bytes::{Bytes, BytesMut};
use digests::{Algorithms, Lanes};
use futures_util::{Stream, stream};
use model::Manifest;
use storage::Download;
use tarball::{Entry, Files, Reader};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// What is read at a time, and what may wait for its digest.
const CHUNK: usize = 256 << 10;
const IN_FLIGHT: usize = 16 << 20;
/// Of a file of tags, which is compared line by line.
const MOST_TAGS: usize = 1 << 20;
/// Findings that are told.
const TOLD: usize = 5;

/// What restorations write anew: it says when the bag was restored.
const REWRITTEN: &str = "bag-info.txt";
const DECLARATION: &str = "bagit.txt";

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The files of a bag as its depositor sent them, the newest version of each.
#[derive(Debug, Default)]
pub(crate) struct Deposited(BTreeMap<String, Place>);

/// The tar in which a file stands, and where.
#[derive(Debug)]
struct Place {
    tar: PathBuf,
    offset: u64,
}

/// What the comparison of a bag showed.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Files that are the same, and their bytes.
    pub(crate) same: u64,
    pub(crate) bytes: u64,
    /// Files that were written anew and say what the old ones said.
    pub(crate) rewritten: Vec<String>,
    pub(crate) wrong: Vec<String>,
}

impl Deposited {
    /// Adds a version of the bag: its files take the place of older ones.
    pub(crate) async fn add(&mut self, tar: &Path) -> Result<()> {
        let reading = || format!("reading {} again", tar.display());
        let mut reader = open(tar, 0).await.with_context(reading)?;
        let mut files = Files::default();
        while let Some(entry) = reader.entry().await.with_context(reading)? {
            let Some(path) = admit(&mut files, &entry).with_context(reading)? else { continue };
            if !is_made_anew(&path) {
                self.0.insert(path, Place { tar: tar.to_owned(), offset: entry.offset });
            }
        }
        Ok(())
    }

    /// Whether a restored file holds what was deposited; if not, what is wrong.
    pub(crate) async fn compare_file(&self, path: &str, mut restored: Download) -> Result<Result<u64, String>> {
        let Some(place) = self.0.get(path) else { return Ok(Err(format!("{path} was never deposited"))) };
        let mut comparing = Comparing::with(place).await?;
        while let Some(chunk) = restored.chunk().await? {
            comparing.add(chunk).await?;
        }
        comparing.end(path).await
    }

    /// Compares a restored bag with what was deposited, and has it validated.
    pub(crate) async fn compare_bag(&self, restored: Download) -> Result<Compared> {
        let chunks = stream::try_unfold(restored, |mut restored| async move {
            let chunk = restored.chunk().await.map_err(io::Error::other)?;
            io::Result::Ok(chunk.map(|chunk| (chunk, restored)))
        });
        let mut reader = Reader::new(Box::pin(chunks), tarball::Limits::default());
        let lanes = Lanes::new(available_parallelism().unwrap_or(NonZeroUsize::MIN), IN_FLIGHT)
            .context("starting the threads that compute digests")?;
        let mut bag = bagit::Bag::new(bagit::Options::default(), bagit::Profile::default());
        let (mut compared, mut files) = (Compared::default(), Files::default());
        let mut left: BTreeMap<&str, &Place> = self.0.iter().map(|(path, place)| (path.as_str(), place)).collect();
        while let Some(entry) = reader.entry().await? {
            let Some(path) = admit(&mut files, &entry)? else { continue };
            bag.file(&path, entry.size);
            let mut comparing = match left.remove(path.as_str()) {
                Some(place) if path == REWRITTEN => Comparison::Tags(place, Vec::new()),
                Some(place) => Comparison::Bytes(Comparing::with(place).await?.into()),
                None if is_made_anew(&path) => Comparison::None,
                None => {
                    compared.wrong.push(format!("{path} is in the restored bag and was never deposited"));
                    Comparison::None
                }
            };
            let (wants_content, mut hashing) = (bag.wants_content(&path), lanes.start(Algorithms::ALL));
            while let Some(chunk) = reader.data().await? {
                if wants_content {
                    bag.content(&chunk);
                }
                hashing.update(chunk.clone()).await;
                comparing.add(chunk).await?;
            }
            for (algorithm, digest) in hashing.finish().await.iter() {
                bag.digest(algorithm.as_str(), &hex::decode(digest).context("reading a digest of ours")?);
            }
            comparing.end(path, &mut compared).await?;
        }
        compared.wrong.extend(left.keys().take(TOLD).map(|path| format!("{path} is not in the restored bag")));
        let (verdict, findings) = bag.findings();
        if verdict != Verdict::Valid {
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
            compared
                .wrong
                .extend(errors.take(TOLD).map(|finding| format!("the restored bag is not valid: {finding:#}")));
        }
        Ok(compared)
    }
}

/// What a restored file is compared with.
enum Comparison<'d> {
    None,
    Bytes(Box<Comparing>),
    Tags(&'d Place, Vec<u8>),
}

impl Comparison<'_> {
    async fn add(&mut self, chunk: Bytes) -> Result<()> {
        match self {
            Self::None => {}
            Self::Bytes(comparing) => comparing.add(chunk).await?,
            Self::Tags(_, text) if text.len() + chunk.len() > MOST_TAGS => {
                bail!("{REWRITTEN} is too long to be compared")
            }
            Self::Tags(_, text) => text.extend_from_slice(&chunk),
        }
        Ok(())
    }

    async fn end(self, path: String, compared: &mut Compared) -> Result<()> {
        match self {
            Self::None => {}
            Self::Bytes(comparing) => match comparing.end(&path).await? {
                Ok(bytes) => {
                    compared.same += 1;
                    compared.bytes += bytes;
                }
                Err(wrong) => compared.wrong.push(wrong),
            },
            Self::Tags(place, restored) => match lost_line(&contents(place).await?, &restored) {
                None => compared.rewritten.push(path),
                Some(line) => compared.wrong.push(format!("{path} has lost the line {line:?}")),
            },
        }
        Ok(())
    }
}

/// A deposited file, while it is compared with bytes that come.
struct Comparing {
    deposited: Reader<Chunks>,
    /// Read, and not yet compared.
    ahead: Bytes,
    bytes: u64,
    is_same: bool,
}

impl Comparing {
    async fn with(place: &Place) -> Result<Self> {
        let mut deposited = open(&place.tar, place.offset).await?;
        if deposited.entry().await?.is_none() {
            bail!("{} has changed meanwhile", place.tar.display());
        }
        Ok(Self { deposited, ahead: Bytes::new(), bytes: 0, is_same: true })
    }

    async fn add(&mut self, mut restored: Bytes) -> Result<()> {
        while self.is_same && !restored.is_empty() {
            if self.ahead.is_empty() {
                match self.deposited.data().await? {
                    Some(chunk) => self.ahead = chunk,
                    None => self.is_same = false,
                }
                continue;
            }
            let length = self.ahead.len().min(restored.len());
            self.is_same = self.ahead.split_to(length) == restored.split_to(length);
            self.bytes += length as u64;
        }
        Ok(())
    }

    /// How many bytes were the same, if all of them were.
    async fn end(mut self, path: &str) -> Result<Result<u64, String>> {
        let is_whole = self.ahead.is_empty() && self.deposited.data().await?.is_none();
        let wrong = || format!("{path} came back with other bytes, from the {}th on", self.bytes);
        Ok(if self.is_same && is_whole { Ok(self.bytes) } else { Err(wrong()) })
    }
}

/// Reads a tar from a place in it.
async fn open(tar: &Path, offset: u64) -> Result<Reader<Chunks>> {
    let opening = || format!("opening {}", tar.display());
    let mut file = File::open(tar).await.with_context(opening)?;
    file.seek(SeekFrom::Start(offset)).await.with_context(opening)?;
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), file)))
    });
    Ok(Reader::new(Box::pin(chunks), tarball::Limits::default()))
}

async fn contents(place: &Place) -> Result<Vec<u8>> {
    let (mut reader, mut bytes) = (open(&place.tar, place.offset).await?, Vec::new());
    reader.entry().await?;
    while let Some(chunk) = reader.data().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The path in the bag, of a file.
fn admit(files: &mut Files, entry: &Entry) -> Result<Option<String>> {
    files.admit(entry).map_err(|refusal| anyhow::anyhow!("{refusal}"))
}

/// What each bag has of its own: a declaration, and manifests.
fn is_made_anew(path: &str) -> bool {
    path == DECLARATION || Manifest::named(path).is_some()
}

/// The first line of the old text that the new one has neither as it was nor as an original.
fn lost_line(old: &[u8], new: &[u8]) -> Option<String> {
    let lines = |text: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(text).lines().map(str::trim_end).map(str::to_owned).collect()
    };
    let new = lines(new);
    lines(old).into_iter().find(|line| !new.contains(line) && !new.contains(&format!("Original-{line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    use bags::Bag;

    async fn compared(name: &str, restored: Bytes) -> Result<u64, String> {
        let folder = tempfile::tempdir().unwrap();
        let versions =
            [Bag::aptrust("b").file("a", "one").file("b", vec![7; 600_000]), Bag::aptrust("b").file("a", "two")];
        let mut deposited = Deposited::default();
        for (number, bag) in versions.into_iter().enumerate() {
            let tar = folder.path().join(format!("{number}.tar"));
            std::fs::write(&tar, bag.tar()).unwrap();
            deposited.add(&tar).await.unwrap();
        }
        let mut comparing = Comparing::with(&deposited.0[name]).await.unwrap();
        for chunk in restored.chunks(1000) {
            comparing.add(restored.slice_ref(chunk)).await.unwrap();
        }
        comparing.end(name).await.unwrap()
    }

    #[tokio::test]
    async fn the_newest_version_of_each_file_is_what_must_come_back() {
        assert_eq!(compared("data/a", "two".into()).await, Ok(3));
        assert_eq!(compared("data/b", vec![7; 600_000].into()).await, Ok(600_000));
        for other in ["one", "tw", "two ", ""] {
            let wrong = compared("data/a", other.into()).await.unwrap_err();
            assert!(wrong.contains("data/a came back with other bytes"), "{wrong}");
        }
    }

    #[test]
    fn a_rewritten_file_keeps_its_lines_or_says_what_they_were() {
        assert_eq!(lost_line(b"A: 1\r\nB: 2\n", b"A: 9\nB: 2\nOriginal-A: 1"), None);
        assert_eq!(lost_line(b"A: 1\nB: 2\n", b"A: 9\nB: 2\n"), Some("A: 1".to_owned()));
    }
}
