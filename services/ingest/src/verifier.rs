//! `ingest_preservation_verifier`: is every copy where it should be, with the size and the digest of the file (02 §10). What is found is
//! kept with the copy.

use std::time::Duration;

use futures_util::future::join_all;
use model::bucket::{PreservationBucket, PreservationBuckets};
use model::{IngestFile, StoredCopy, Time};
use storage::{Stat, Storage};
use worker::{Done, ItemStage, Stop, Task};

use crate::files::{self, FileError, FileWork, Limits};
use crate::{Ground, staged};

/// Of 02 §1.6, but for the number in flight. One costs a request and no memory.
const LIMITS: Limits = Limits { in_flight: 64, errors: 30, tries: 3, pause: Duration::from_secs(1) };

/// The stage.
#[derive(Debug, Clone)]
pub struct PreservationVerifier {
    ground: Ground,
    buckets: PreservationBuckets,
}

/// What is done for each file.
#[derive(Debug)]
struct Verifying {
    storage: Storage,
    expected: Vec<PreservationBucket>,
}

impl PreservationVerifier {
    /// `ground` reaches the preservation buckets too.
    pub fn new(ground: &Ground, buckets: PreservationBuckets) -> Self {
        Self { ground: ground.clone(), buckets }
    }
}

impl ItemStage for PreservationVerifier {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let object = self.ground.object(task).await?;
        let expected = self.ground.preservation(&self.buckets, &object)?.into_iter().cloned().collect();
        let verifying = Verifying { storage: self.ground.storage.clone(), expected };
        let total = u64::try_from(object.file_count).unwrap_or_default();
        files::each(task, total, LIMITS, verifying).await?;
        Ok(Done::default())
    }
}

impl FileWork for Verifying {
    /// An earlier run's verdict stands: a copy that is made again loses it.
    fn wants(&self, file: &IngestFile) -> bool {
        let is_stored = file.is_preservable() && file.needs_save;
        is_stored
            && (self.missing(file).is_some() || file.storage_records.iter().any(|copy| !copy.verified_at.is_set()))
    }

    async fn run(&self, file: &mut IngestFile, _: &Task) -> Result<(), FileError> {
        let (size, md5) = (file.size, staged::md5(file).map(ToOwned::to_owned));
        let uuid = file.uuid.clone();
        let unverified = file.storage_records.iter_mut().filter(|copy| !copy.verified_at.is_set());
        let verdicts = unverified.map(|copy| async {
            let stat = self.stat(copy, &uuid).await.map_err(|error| FileError::of_storage(&error))?;
            judge(copy, &stat, size, md5.as_deref()).map_err(FileError::Failed)
        });
        let mut errors: Vec<FileError> = join_all(verdicts).await.into_iter().filter_map(Result::err).collect();
        if let Some(bucket) = self.missing(file) {
            errors.push(FileError::Failed(format!("{} has no copy in {}", file.identifier(), bucket.name())));
        }
        FileError::of_all(errors)
    }
}

impl Verifying {
    /// A bucket of the storage option into which the file was not copied.
    fn missing(&self, file: &IngestFile) -> Option<&PreservationBucket> {
        self.expected.iter().find(|bucket| file.needs_save_at(bucket.row().site.provider.as_str(), bucket.name()))
    }

    async fn stat(&self, copy: &StoredCopy, uuid: &str) -> Result<Stat, storage::Error> {
        self.storage.bucket(&copy.provider.as_str().into(), &copy.bucket)?.stat(uuid).await
    }
}

/// Notes what was found, and whether it is the file. Its digest is seen where the etag is an md5.
fn judge(copy: &mut StoredCopy, found: &Stat, size: i64, md5: Option<&str>) -> Result<(), String> {
    found.etag.as_str().clone_into(&mut copy.etag);
    copy.size = i64::try_from(found.size).unwrap_or(i64::MAX);
    let verdict = match (found.etag.md5(), md5) {
        _ if copy.size != size => {
            Err(format!("Preservation size {} does not match recorded file size {size}", copy.size))
        }
        (Some(found), Some(md5)) if found != md5 => {
            Err(format!("Preservation etag {found} does not match recorded md5 {md5}"))
        }
        _ => Ok(()),
    };
    match &verdict {
        Ok(()) => {
            copy.error.clear();
            copy.verified_at = Time::now();
        }
        Err(error) => copy.error.clone_from(error),
    }
    verdict
}
