//! `ingest_preservation_uploader`: the files of an item go from staging into every bucket that the object's storage option names
//! (02 §9, 01 §6.4 to §6.8).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use buckets::Staging;
use futures_util::future::join_all;
use model::bucket::{PreservationBucket, PreservationBuckets};
use model::metadata::Destination;
use model::{IngestFile, Provider, StoredCopy, Time};
use storage::{Bucket, Copy, Kind, Source, Stored};
use worker::{Done, ItemStage, Stop, Task};

use crate::files::{self, FileError, FileWork, Limits};
use crate::lost::Lost;
use crate::{Ground, staged};

/// Of 02 §1.6, but for the number in flight: with a round trip of 20 ms, more than a thousand files a second.
const LIMITS: Limits = Limits { in_flight: 32, errors: 30, tries: 4, pause: Duration::from_secs(1) };

/// The stage. Its clones remember the same.
#[derive(Debug, Clone)]
pub struct PreservationUploader {
    ground: Ground,
    staging: Bucket,
    buckets: PreservationBuckets,
    refused: Refused,
}

/// Buckets into which S3 does not copy from staging by itself: nobody asks it twice.
#[derive(Debug, Clone, Default)]
struct Refused(Arc<Mutex<HashSet<String>>>);

/// A bucket that gets a copy of every file.
#[derive(Debug)]
struct Target {
    row: PreservationBucket,
    bucket: Bucket,
}

/// What is done for each file.
#[derive(Debug)]
struct Copying {
    staging: Bucket,
    targets: Vec<Target>,
    refused: Refused,
    lost: Lost,
}

impl PreservationUploader {
    /// `ground` reaches the preservation buckets too.
    pub fn new(ground: &Ground, staging: &Staging, buckets: PreservationBuckets) -> Result<Self> {
        let staging = staged::bucket(&ground.storage, staging)?;
        Ok(Self { ground: ground.clone(), staging, buckets, refused: Refused::default() })
    }
}

impl ItemStage for PreservationUploader {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let object = self.ground.object(task).await?;
        let rows = self.ground.preservation(&self.buckets, &object)?;
        let mut targets = Vec::with_capacity(rows.len());
        for row in rows {
            let bucket = self.ground.storage.bucket(&row.row().site.provider, row.name());
            let bucket = bucket.map_err(|error| crate::failed(&object.identifier(), &error))?;
            targets.push(Target { row: row.clone(), bucket });
        }
        let lost = Lost::default();
        let copying =
            Copying { staging: self.staging.clone(), targets, refused: self.refused.clone(), lost: lost.clone() };
        let total = u64::try_from(object.file_count).unwrap_or_default();
        files::each(task, total, LIMITS, copying).await?;
        lost.conclude(task).await
    }
}

impl FileWork for Copying {
    fn wants(&self, file: &IngestFile) -> bool {
        self.targets.iter().any(|target| target.needs(file))
    }

    /// All copies at once. Each that is made is kept, whatever becomes of the others.
    async fn run(&self, file: &mut IngestFile, task: &Task) -> Result<(), FileError> {
        let source = staged::key(task.item.id, file);
        let needed = self.targets.iter().filter(|target| target.needs(file));
        let copies = join_all(needed.map(|target| self.copy(file, &source, target))).await;
        let mut errors = Vec::new();
        let mut is_lost = false;
        for copied in copies {
            match copied {
                Ok(copy) => file.set_stored_copy(copy),
                Err(CopyError::Lost) => is_lost = true,
                Err(CopyError::File(error)) => errors.push(error),
            }
        }
        // The first counts as the primary copy, also where it took more tries than the second.
        let place = |copy: &StoredCopy| self.targets.iter().position(|target| target.is_of(copy));
        file.storage_records.sort_by_key(|copy| place(copy).unwrap_or(usize::MAX));
        if is_lost {
            // Saved with the file, and so it is done again by the stage that the item goes back to.
            self.lost.add(file);
            return Ok(());
        }
        FileError::of_all(errors)
    }
}

/// Why a copy was not made.
enum CopyError {
    /// The file is not in staging.
    Lost,
    File(FileError),
}

impl Copying {
    async fn copy(&self, file: &IngestFile, source: &str, target: &Target) -> Result<StoredCopy, CopyError> {
        let stored = self.store(file, source, target).await?;
        // Whoever copied: what has another md5 is another file.
        if let (Some(stored), Some(expected)) = (stored.etag.md5(), staged::md5(file))
            && stored != expected
        {
            let name = target.row.name();
            let message = format!("the copy of {} in {name} has md5 {stored}, not {expected}", file.identifier());
            return Err(CopyError::File(FileError::Failed(message)));
        }
        Ok(StoredCopy {
            bucket: target.row.name().to_owned(),
            provider: target.provider().as_str().to_owned(),
            url: target.row.url(&file.uuid),
            stored_at: Time::now(),
            ..StoredCopy::default()
        })
    }

    /// By Amazon itself where it keeps both buckets, in whatever region (the target's is asked); through this process otherwise, and
    /// where Amazon refuses.
    async fn store(&self, file: &IngestFile, source: &str, target: &Target) -> Result<Stored, CopyError> {
        let put = staged::put(file, Destination::Preservation(target.provider()));
        let put = put.map_err(|error| CopyError::File(FileError::Failed(error.to_string())))?;
        let by_itself = *target.provider() == Provider::Aws && *self.staging.provider() == Provider::Aws;
        let mut is_refused = false;
        if by_itself && !self.refused.holds(target) {
            let copy = Copy { size: staged::size(file), etag: None, attributes: Some(put.attributes.clone()) };
            match target.bucket.copy_from(&file.uuid, &self.staging, source, &copy).await {
                Ok(stored) => return Ok(stored),
                Err(error) if matches!(error.kind(), Kind::Denied | Kind::Refused) => is_refused = true,
                Err(error) => return Err(self.sort(&error)),
            }
        }
        let stored = target.bucket.put_from(&file.uuid, &Source::new(&self.staging, source), &put).await;
        let stored = stored.map_err(|error| self.sort(&error))?;
        if is_refused {
            self.refused.add(target);
        }
        Ok(stored)
    }

    fn sort(&self, error: &storage::Error) -> CopyError {
        if error.is_not_found() && error.bucket() == self.staging.name() {
            return CopyError::Lost;
        }
        CopyError::File(FileError::of_storage(error))
    }
}

impl Target {
    fn provider(&self) -> &'static Provider {
        &self.row.row().site.provider
    }

    fn needs(&self, file: &IngestFile) -> bool {
        file.needs_save_at(self.provider().as_str(), self.row.name())
    }

    fn is_of(&self, copy: &StoredCopy) -> bool {
        copy.provider == self.provider().as_str() && copy.bucket == self.row.name()
    }
}

impl Refused {
    fn holds(&self, target: &Target) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(target.row.name())
    }

    /// Said once.
    fn add(&self, target: &Target) {
        let name = target.row.name();
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
            tracing::warn!(bucket = name, "S3 does not copy from staging into {name}: files go through this worker");
        }
    }
}
