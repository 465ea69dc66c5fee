//! Files whose bytes have passed: their digests are finished, their formats named and their records saved while the next ones are
//! read, so many of each at a time.

use std::mem;

use digests::{Digests, Hashing};
use model::{Algorithm, ChecksumSource, IngestChecksum, IngestFile, Time};
use redis_store::Store;
use tokio::task::{JoinError, JoinSet};
use worker::{Stop, Task};

use super::PAGE;
use super::ends::Ends;
use crate::formats;

/// Files whose digests are being finished. Each has up to 64 KiB of its bytes still to hash, and about as many of its ends.
const HASHING: usize = 64;
/// Batches of records on their way to Redis.
const SAVING: usize = 2;

/// What becomes of a file's bytes while they pass.
pub(super) struct Passing {
    pub(super) hashing: Hashing,
    pub(super) ends: Ends,
}

/// On their way to Redis. Dropped, they stop where they are.
pub(super) struct Records {
    store: Store,
    item: i64,
    hashing: JoinSet<IngestFile>,
    unsaved: Vec<IngestFile>,
    saving: JoinSet<Result<(), redis_store::Error>>,
}

impl Records {
    pub(super) fn new(task: &Task) -> Self {
        let (store, item) = (task.store.clone(), task.item.id);
        Self { store, item, hashing: JoinSet::new(), unsaved: Vec::new(), saving: JoinSet::new() }
    }

    /// A file that was read to its end. Waits while too many are on their way.
    pub(super) async fn add(&mut self, mut file: IngestFile, passing: Passing) -> Result<(), Stop> {
        while self.hashing.len() >= HASHING {
            self.one_hashed().await?;
        }
        self.hashing.spawn(async move {
            let Passing { hashing, ends } = passing;
            if let Some(found) = ends.identify(&formats::name(&file)) {
                formats::take(&mut file, &found);
            }
            drop(ends);
            tell(&mut file, &hashing.finish().await);
            file
        });
        Ok(())
    }

    /// Everything is in Redis.
    pub(super) async fn finish(mut self) -> Result<(), Stop> {
        while !self.hashing.is_empty() {
            self.one_hashed().await?;
        }
        self.save().await?;
        while !self.saving.is_empty() {
            self.one_saved().await?;
        }
        Ok(())
    }

    async fn one_hashed(&mut self) -> Result<(), Stop> {
        let Some(hashed) = self.hashing.join_next().await else { return Ok(()) };
        self.unsaved.push(hashed.map_err(|error| broken(&error))?);
        if self.unsaved.len() >= PAGE { self.save().await } else { Ok(()) }
    }

    async fn save(&mut self) -> Result<(), Stop> {
        while self.saving.len() >= SAVING {
            self.one_saved().await?;
        }
        let (store, item, files) = (self.store.clone(), self.item, mem::take(&mut self.unsaved));
        self.saving.spawn(async move { store.save_files(item, &files).await });
        Ok(())
    }

    async fn one_saved(&mut self) -> Result<(), Stop> {
        let Some(saved) = self.saving.join_next().await else { return Ok(()) };
        Ok(saved.map_err(|error| broken(&error))??)
    }
}

/// Four digests of one time, in the order of 02 §3.1.
fn tell(file: &mut IngestFile, digests: &Digests) {
    let now = Time::now();
    for (algorithm, digest) in digests.iter() {
        let algorithm = Algorithm::from(algorithm.as_str());
        file.checksums.push(IngestChecksum::new(ChecksumSource::Ingest, algorithm, digest, now));
    }
}

fn broken(error: &JoinError) -> Stop {
    Stop::failed("", format!("The worker has a defect, the work on a file was cut short: {error}."))
}
