//! `ingest_format_identifier`: names the format of each file by its signature (02 §8), where pre-fetch, which had
//! them pass, could not. It reads what files begin and end with, and of containers the parts that decide; what the bytes mean, `pronom`
//! knows.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use buckets::Staging;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use model::{FormatSource, IngestFile, Provider};
use pronom::{Engine, HEAD, Identification, Outcome, Seen, TAIL};
use storage::{Bucket, Budget, ETag, Get};
use worker::{Done, ItemStage, Stop, Task};

use crate::files::{self, FileError, FileWork, Limits};
use crate::formats;
use crate::ground::Ground;
use crate::lost::Lost;

/// Each is tried once, since the client of S3 repeats by itself what may pass.
const LIMITS: Limits = Limits { in_flight: 32, errors: 100, tries: 1, pause: Duration::ZERO };
/// A file up to this size, in bytes, is read with one request.
const WHOLE: u64 = (HEAD + TAIL) as u64;
/// Ranges with less between them than this, in bytes, are read with one request.
const GAP: u64 = 16 << 10;
/// Requests for ranges of one container at a time.
const RANGES: usize = 4;

/// The stage.
#[derive(Debug, Clone)]
pub struct FormatIdentifier {
    ground: Ground,
    staging: Bucket,
    engine: &'static Engine,
}

/// What is done for each file.
struct Identifying {
    staging: Bucket,
    budget: Budget,
    engine: &'static Engine,
    lost: Lost,
}

/// A staged file: all that is read is of one version.
struct Staged<'f> {
    staging: &'f Bucket,
    key: String,
    size: u64,
}

impl FormatIdentifier {
    /// The signatures are read here, once per process.
    pub fn new(ground: &Ground, staging: &Staging) -> Result<Self> {
        let staging = ground.storage.bucket(&Provider::Aws, &staging.bucket)?;
        Ok(Self { ground: ground.clone(), staging, engine: Engine::builtin() })
    }
}

impl ItemStage for FormatIdentifier {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let object = self.ground.object(task).await?;
        let lost = Lost::default();
        let identifying = Identifying {
            staging: self.staging.clone(),
            budget: self.ground.budget.clone(),
            engine: self.engine,
            lost: lost.clone(),
        };
        let total = u64::try_from(object.file_count).unwrap_or_default();
        files::each(task, total, LIMITS, identifying).await?;
        lost.conclude(task).await
    }
}

impl FileWork for Identifying {
    /// What is not in staging is not preserved, or was before.
    fn wants(&self, file: &IngestFile) -> bool {
        file.format_identified_by != FormatSource::Siegfried && file.size > 0 && file.copied_to_staging_at.is_set()
    }

    async fn run(&self, file: &mut IngestFile, task: &Task) -> Result<(), FileError> {
        let staged = Staged {
            staging: &self.staging,
            key: format!("{}/{}", task.item.id, file.uuid),
            size: u64::try_from(file.size).unwrap_or_default(),
        };
        match self.identify(&staged, &formats::name(file)).await {
            Ok(found) => {
                formats::take(file, &found);
                Ok(())
            }
            Err(error) if error.is_not_found() => {
                self.lost.add(file);
                Ok(())
            }
            Err(error) => {
                let text = failing::chain(&error).to_string();
                Err(if error.is_transient() { FileError::System(text) } else { FileError::Failed(text) })
            }
        }
    }
}

impl Identifying {
    async fn identify(&self, staged: &Staged<'_>, name: &str) -> Result<Identification<'static>, storage::Error> {
        let (etag, head, tail) = staged.ends().await?;
        let seen = Seen { name, size: staged.size, head: &head, tail: &tail };
        let mut outcome = self.engine.identify(seen);
        let mut permit = None;
        loop {
            let mut probe = match outcome {
                Outcome::Done(found) => return Ok(found),
                Outcome::Needs(probe) => probe,
            };
            if permit.is_none() {
                // Once for all that a container may ask for.
                permit = Some(self.budget.take(pronom::Limits::default().bytes).await);
            }
            let ranges = joined(probe.wants()).into_iter().map(|range| staged.range(range, etag.clone()));
            let mut arriving = stream::iter(ranges.collect::<Vec<_>>()).buffer_unordered(RANGES);
            while let Some((start, bytes)) = arriving.try_next().await? {
                probe.supply(start, bytes);
            }
            drop(arriving);
            outcome = probe.resume();
        }
    }
}

impl Staged<'_> {
    /// What the file begins and ends with; all of it is its beginning if it is small.
    async fn ends(&self) -> Result<(ETag, Vec<u8>, Vec<u8>), storage::Error> {
        let head = if self.size <= WHOLE { self.size } else { HEAD as u64 };
        let mut download = self.staging.get_with(&self.key, Get { range: Some(0..head), etag: None }).await?;
        let etag = download.stat.etag.clone();
        let mut bytes = Vec::with_capacity(usize::try_from(head).unwrap_or_default());
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        if self.size <= WHOLE {
            return Ok((etag, bytes, Vec::new()));
        }
        let (_, tail) = self.range(self.size - TAIL as u64..self.size, etag.clone()).await?;
        Ok((etag, bytes, tail))
    }

    /// Where it begins, and its bytes.
    async fn range(&self, range: Range<u64>, etag: ETag) -> Result<(u64, Vec<u8>), storage::Error> {
        let start = range.start;
        let mut bytes = Vec::with_capacity(usize::try_from(range.end - start).unwrap_or_default());
        let mut download = self.staging.get_with(&self.key, Get { range: Some(range), etag: Some(etag) }).await?;
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok((start, bytes))
    }
}

/// The same bytes in fewer ranges.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_close_are_read_at_once() {
        let far = 1 << 20;
        let wanted = vec![far..far + 10, 5..10, 0..7, 100..200, 3..3];
        assert_eq!(joined(wanted), [0..200, far..far + 10]);
        assert!(joined(Vec::new()).is_empty());
    }
}
