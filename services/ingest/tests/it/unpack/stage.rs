//! A stage as the ones of ingest are: a tar in, digests while it passes, the files of the item many at a time, S3 out. The tests kill
//! it, and the benchmark measures it.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::Range;

use digests::{Algorithms, Lanes};
use ingest::files::{self, FileError, FileWork, Limits};
use model::{Algorithm, ChecksumSource, IngestChecksum, IngestFile, Provider, Time};
use stack::s3::S3;
use storage::{Attributes, Bucket, Budget, Config, Digest, Get, Length, Put, Scheme, Source, Storage};
use tarball::{Files, ReadError, Reader};
use worker::{Done, ItemStage, Stop, Task};
use world::Script;

pub(crate) const OBJECT: &str = "test.edu/bag";
/// Files whose records are saved together.
const BATCH: usize = 500;

#[derive(Clone)]
pub(crate) struct Unpack {
    pub(crate) receiving: Bucket,
    pub(crate) staging: Bucket,
    pub(crate) lanes: Lanes,
    pub(crate) limits: Limits,
}

/// Copies one file out of the tar, whose place in it is known.
struct Copy {
    tar: Source,
    places: HashMap<String, Range<u64>>,
    staging: Bucket,
}

impl ItemStage for Unpack {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let places = self.read(task).await?;
        let total = places.len() as u64;
        let tar = Source::new(&self.receiving, &task.item.name);
        let copy = Copy { tar, places, staging: self.staging.clone() };
        let summary = files::each(task, total, self.limits, copy).await?;
        Ok(Done { note: Some(format!("{} copied, {} there", summary.done, summary.skipped)), ..Done::default() })
    }
}

impl Unpack {
    /// Where each file is. Those that no earlier run has seen are hashed as they pass, and recorded.
    async fn read(&self, task: &Task) -> Result<HashMap<String, Range<u64>>, Stop> {
        let name = &task.item.name;
        let tar = self.receiving.get(name).await.map_err(|error| system_or_not(name, &error))?;
        let mut reader = Reader::new(Box::pin(tar.into_stream()), tarball::Limits::default());
        let (mut names, mut places, mut unsaved) = (Files::default(), HashMap::new(), Vec::new());
        let known = |error: ReadError<storage::Error>| match error {
            ReadError::Source(error) => system_or_not(name, &error),
            ReadError::Tar(error) => Stop::fatal(name, error.to_string()),
        };
        let mut seen = HashSet::new();
        let mut pages = task.store.files(task.item.id, BATCH);
        while let Some(page) = pages.next().await? {
            seen.extend(page.files.into_iter().map(|file| file.path_in_bag));
        }
        while let Some(entry) = task.until_cancelled(reader.entry()).await?.map_err(known)? {
            let admitted = names.admit(&entry).map_err(|refusal| Stop::fatal(name, refusal.to_string()))?;
            let Some(path) = admitted else { continue };
            let start = entry.offset + 512;
            places.insert(path.clone(), start..start + entry.size);
            if seen.contains(&path) {
                continue;
            }
            let mut hashing = self.lanes.start(Algorithms::ALL);
            while let Some(data) = reader.data().await.map_err(known)? {
                hashing.update(data).await;
            }
            let mut file = IngestFile::new(OBJECT, &path);
            file.size = i64::try_from(entry.size).unwrap_or(i64::MAX);
            for (algorithm, digest) in hashing.finish().await.iter() {
                let (source, algorithm) = (ChecksumSource::Ingest, Algorithm::from(algorithm.as_str()));
                file.checksums.push(IngestChecksum::new(source, algorithm, digest, Time::now()));
            }
            unsaved.push(file);
            if unsaved.len() >= BATCH {
                task.store.save_files(task.item.id, &unsaved).await?;
                unsaved.clear();
            }
        }
        task.store.save_files(task.item.id, &unsaved).await?;
        Ok(places)
    }
}

impl FileWork for Copy {
    fn wants(&self, file: &IngestFile) -> bool {
        !file.copied_to_staging_at.is_set()
    }

    async fn run(&self, file: &mut IngestFile, task: &Task) -> Result<(), FileError> {
        let Some(range) = self.places.get(&file.path_in_bag) else {
            return Err(FileError::Fatal(format!("{} is not in the tar any more", file.path_in_bag)));
        };
        let md5 = file.checksums.iter().find(|sum| sum.algorithm == Algorithm::Md5);
        let put = Put {
            attributes: Attributes::default(),
            length: Length::Known(range.end - range.start),
            digest: md5.and_then(|sum| Digest::new(&sum.algorithm, &sum.digest)),
        };
        let source = Source { get: Get { range: Some(range.clone()), etag: None }, ..self.tar.clone() };
        let key = format!("{}/{}", task.item.id, file.uuid);
        let stored = self.staging.put_from(&key, &source, &put).await;
        stored.map_err(|error| {
            let text = failing::chain(&error).to_string();
            if error.is_transient() { FileError::System(text) } else { FileError::Failed(text) }
        })?;
        file.copied_to_staging_at = Time::now();
        Ok(())
    }
}

fn system_or_not(name: &str, error: &storage::Error) -> Stop {
    let text = failing::chain(error).to_string();
    if error.is_transient() { Stop::System(text) } else { Stop::failed(name, text) }
}

/// S3, with a tar in receiving.
pub(crate) struct Place {
    pub(crate) s3: S3,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn with_tar(name: &str, files: usize, size: usize) -> Self {
        let buckets = ["receiving", "staging"].map(str::to_owned).to_vec();
        let s3 = S3::start(stack::s3::Options { buckets, ..Default::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tar");
        std::fs::write(&file, tar(files, size)).unwrap();
        s3.import("receiving", name, &file).await.unwrap();
        Self { s3, _folder: folder }
    }
}

impl Unpack {
    /// A worker of its own, with connections of its own.
    pub(crate) async fn new(place: &Place, limits: Limits) -> (Storage, Self) {
        let provider = storage::Provider {
            name: Provider::Aws,
            host: place.s3.address().to_string(),
            scheme: Scheme::Http,
            key: Some("minioadmin".to_owned()),
            secret: Some("minioadmin".to_owned()),
        };
        let config = Config { providers: vec![provider], regions: vec![], limits: storage::Limits::default() };
        let storage = Storage::new(&config, &Budget::new(64 << 20)).await.unwrap();
        let bucket = |name| storage.bucket(&Provider::Aws, name).unwrap();
        let lanes = Lanes::new(NonZeroUsize::MIN, 8 << 20).unwrap();
        let unpack = Self { receiving: bucket("receiving"), staging: bucket("staging"), lanes, limits };
        (storage, unpack)
    }

    /// The stage, counted.
    pub(crate) fn script(&self) -> Script {
        let stage = self.clone();
        Script::new(move |task| {
            let stage = stage.clone();
            async move { stage.run(&task).await }
        })
    }
}

/// A tar of so many files of so many bytes, each of its own.
pub(crate) fn tar(files: usize, size: usize) -> Vec<u8> {
    let mut writer = tarball::Writer::default();
    let mut tar = Vec::new();
    for number in 0..files {
        let contents = contents(number, size);
        let header = tarball::Header::file(&path(number), size as u64, Time::UNSET.inner()).unwrap();
        tar.extend_from_slice(&writer.entry(&header).unwrap());
        writer.data(&contents).unwrap();
        tar.extend_from_slice(&contents);
    }
    tar.extend_from_slice(&writer.finish().unwrap());
    tar
}

pub(crate) fn path(number: usize) -> String {
    format!("bag/data/{number:06}")
}

pub(crate) fn contents(number: usize, size: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(size).collect()
}
