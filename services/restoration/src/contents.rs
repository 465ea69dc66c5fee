//! The contents of a preserved file: read from the best of its copies, gone on with from the next where one fails, and compared with
//! the Registry's digests before the end is called one (03 §2.5, D15, D18).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use digests::{Algorithm, Algorithms, Digests, Hashing, Lanes};
use failing::chain;
use model::bucket::PreservationBuckets;
use model::{Checksum, GenericFile};
use storage::{Bucket, Download, Get, Kind};
use worker::Stop;

use crate::ground::{Ground, failed};

/// Why contents did not come to a good end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Bytes that are not those which are registered. The reading began with the copy in this bucket.
    Wrong { file: i64, bucket: String, text: String },
    /// The stage ends.
    Stop(Stop),
    /// Nobody takes more of them.
    Unwanted,
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The copies of one file that are still to be tried, best first, and what was wrong with the others.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    pub(crate) file: Arc<GenericFile>,
    left: VecDeque<Bucket>,
    troubles: Vec<Trouble>,
    notices: Notices,
}

/// What was wrong with a copy, and what may help.
#[derive(Debug, Clone)]
struct Trouble {
    text: String,
    remedy: Remedy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Remedy {
    Nothing,
    AnotherAttempt,
    Time,
}

/// What a depositor is told beside the address: that copies were not as they should be. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(Arc<Mutex<(u64, String)>>);

/// A file being read.
pub(crate) struct Contents {
    copies: Copies,
    /// The bucket that the reading began with.
    first: String,
    /// With the name of its bucket.
    download: Option<(String, Download)>,
    size: u64,
    at: u64,
    hashing: Option<Hashing>,
    digests: Digests,
}

impl Copies {
    /// All copies in buckets that this installation has (03 §1.8).
    pub(crate) fn of(ground: &Ground, file: GenericFile, notices: &Notices) -> Result<Self, Stop> {
        let hosts = |bucket: &model::bucket::PreservationBucket| {
            file.storage_records.iter().any(|record| bucket.key_of(&record.url).is_some())
        };
        let mut hosting: Vec<_> = ground.buckets.iter().filter(|bucket| hosts(bucket)).collect();
        hosting.sort_by_key(|bucket| bucket.row().restore_priority);
        if hosting.is_empty() {
            return Err(Stop::fatal(&file.identifier, no_source(&ground.buckets, &file)));
        }
        let buckets =
            hosting.into_iter().map(|bucket| ground.storage.bucket(&bucket.row().site.provider, bucket.name()));
        let left = buckets.collect::<Result<_, _>>().map_err(|error| failed(&file.identifier, &error))?;
        Ok(Self { file: Arc::new(file), left, troubles: Vec::new(), notices: notices.clone() })
    }

    pub(crate) fn size(&self) -> Result<u64, Stop> {
        let GenericFile { size, identifier, .. } = &*self.file;
        let negative = || Stop::fatal(identifier, format!("Tar header size cannot be negative for {identifier}."));
        u64::try_from(*size).map_err(|_| negative())
    }

    /// Without the copy in this bucket, which holds something else.
    pub(crate) fn without(&mut self, bucket: &str, text: String) {
        self.left.retain(|copy| copy.name() != bucket);
        self.trouble(bucket, text, Remedy::Nothing);
    }

    fn next(&mut self) -> Result<Bucket, Stop> {
        if let Some(bucket) = self.left.pop_front() {
            return Ok(bucket);
        }
        let texts: Vec<&str> = self.troubles.iter().map(|trouble| trouble.text.as_str()).collect();
        let (identifier, text) = (&self.file.identifier, texts.join(" | "));
        Err(match self.troubles.iter().map(|trouble| trouble.remedy).max() {
            Some(Remedy::Time) => Stop::System(text),
            Some(Remedy::AnotherAttempt) => Stop::failed(identifier, text),
            Some(Remedy::Nothing) | None => Stop::fatal(identifier, text),
        })
    }

    fn trouble(&mut self, bucket: &str, text: String, remedy: Remedy) {
        tracing::warn!(bucket, "the copy of {} in {bucket} is of no use: {text}", self.file.identifier);
        if !self.left.is_empty() {
            self.notices.add(&self.file.identifier, bucket);
        }
        self.troubles.push(Trouble { text, remedy });
    }

    fn failed(&mut self, bucket: &str, error: &storage::Error) {
        let remedy = match error.kind() {
            _ if error.is_transient() => Remedy::Time,
            Kind::NotFound | Kind::Changed => Remedy::Nothing,
            _ => Remedy::AnotherAttempt,
        };
        self.trouble(bucket, chain(error).to_string(), remedy);
    }
}

impl Notices {
    fn add(&self, file: &str, bucket: &str) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.0 += 1;
        if notices.1.is_empty() {
            notices.1 = format!("{file} in {bucket}");
        }
    }

    /// Stands before the note's own text, of which the Registry reads the end.
    pub(crate) fn before(&self, note: &str) -> String {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*notices {
            (0, _) => note.to_owned(),
            (1, first) => format!("One copy could not be used and another one was: {first}. {note}"),
            (count, first) => {
                format!("{count} copies could not be used and others were, such as of {first}. {note}")
            }
        }
    }
}

impl Contents {
    /// Nothing is asked of S3 yet. Besides `wanted`, whatever is needed to compare with the Registry is computed.
    pub(crate) fn new(lanes: &Lanes, copies: Copies, wanted: Algorithms) -> Result<Self, Stop> {
        let size = copies.size()?;
        let registered = registered(&copies.file);
        if registered.iter().next().is_none() {
            let identifier = &copies.file.identifier;
            let text = format!("Registry has no checksum of {identifier} that it could be compared with");
            return Err(Stop::fatal(identifier, text));
        }
        let comparable = wanted.iter().any(|algorithm| registered.contains(algorithm));
        let algorithms = if comparable { wanted } else { wanted.iter().chain(registered.iter()).collect() };
        let hashing = Some(lanes.start(algorithms));
        let (first, download, digests) = (String::new(), None, Digests::default());
        Ok(Self { copies, first, download, size, at: 0, hashing, digests })
    }

    /// The next bytes. `None` once all have come and are those that are registered.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some((bucket, download)) = &mut self.download else {
                if self.at > 0 && self.at == self.size {
                    return self.verify().await.map(|()| None);
                }
                self.open().await?;
                continue;
            };
            match download.chunk().await {
                Ok(Some(bytes)) => {
                    self.at += bytes.len() as u64;
                    if let Some(hashing) = &mut self.hashing {
                        hashing.update(bytes.clone()).await;
                    }
                    return Ok(Some(bytes));
                }
                Ok(None) => return self.verify().await.map(|()| None),
                Err(error) => {
                    let bucket = std::mem::take(bucket);
                    self.download = None;
                    self.copies.failed(&bucket, &error);
                }
            }
        }
    }

    /// All of them, of a file that is small enough. Another copy takes the place of one that holds something else.
    pub(crate) async fn whole(
        lanes: &Lanes,
        mut copies: Copies,
        wanted: Algorithms,
    ) -> Result<(Bytes, Digests), Failure> {
        loop {
            let mut contents = Self::new(lanes, copies.clone(), wanted)?;
            let mut bytes = BytesMut::with_capacity(usize::try_from(contents.size).unwrap_or_default());
            let wrong = loop {
                match contents.chunk().await {
                    Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                    Ok(None) => return Ok((bytes.freeze(), contents.digests)),
                    Err(Failure::Wrong { bucket, text, .. }) => break (bucket, text),
                    Err(failure) => return Err(failure),
                }
            };
            copies.without(&wrong.0, wrong.1);
        }
    }

    /// Of what came, once its end has.
    pub(crate) fn digests(&self) -> &Digests {
        &self.digests
    }

    async fn open(&mut self) -> Result<(), Stop> {
        loop {
            let bucket = self.copies.next()?;
            let range = (self.at > 0).then_some(self.at..self.size);
            match bucket.get_with(&self.copies.file.uuid, Get { range, etag: None }).await {
                Ok(download) if download.stat.size != self.size => {
                    let (found, size, identifier) = (download.stat.size, self.size, &self.copies.file.identifier);
                    let text = format!("Registry says that {identifier} has {size} bytes, S3 file has {found}");
                    self.copies.trouble(bucket.name(), text, Remedy::Nothing);
                }
                Ok(download) => {
                    if self.at == 0 {
                        bucket.name().clone_into(&mut self.first);
                    }
                    self.download = Some((bucket.name().to_owned(), download));
                    return Ok(());
                }
                Err(error) => self.copies.failed(bucket.name(), &error),
            }
        }
    }

    /// At least one real comparison (D18).
    async fn verify(&mut self) -> Result<(), Failure> {
        let Some(hashing) = self.hashing.take() else { return Ok(()) };
        self.digests = hashing.finish().await;
        let file = &self.copies.file;
        for (algorithm, actual) in self.digests.iter() {
            let Some(expected) = checksum(file, algorithm) else { continue };
            if !expected.digest.eq_ignore_ascii_case(actual) {
                let text = format!(
                    "{algorithm} digest mismatch for {}. Registry says {}, S3 file has {actual}",
                    file.identifier, expected.digest
                );
                if !self.copies.left.is_empty() {
                    return Err(Failure::Wrong { file: file.id, bucket: self.first.clone(), text });
                }
                self.copies.troubles.push(Trouble { text, remedy: Remedy::Nothing });
                return self.copies.next().map(drop).map_err(Failure::from);
            }
        }
        Ok(())
    }
}

/// None of a file's copies is in a bucket that this installation has.
pub(crate) fn no_source(buckets: &PreservationBuckets, file: &GenericFile) -> String {
    format!(
        "Could not find any suitable restoration source for {}. ({} preservation URLS, {} PreservationBuckets)",
        file.identifier,
        file.storage_records.len(),
        buckets.iter().count()
    )
}

fn checksum(file: &GenericFile, algorithm: Algorithm) -> Option<&Checksum> {
    file.latest_checksum(&algorithm.as_str().into()).filter(|checksum| !checksum.digest.is_empty())
}

/// The algorithms of which the Registry has a digest.
pub(crate) fn registered(file: &GenericFile) -> Algorithms {
    Algorithm::ALL.into_iter().filter(|algorithm| checksum(file, *algorithm).is_some()).collect()
}
