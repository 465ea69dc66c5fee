//! The requests for S3 that upstream makes for a file, one after the other (spec 02; without Redis and the Registry): the measure of
//! what it brings to have many files in flight. A sample tells what all files would take.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use model::Provider;
use storage::{Attributes, Bucket, Budget, Config, Copy, Limits, Scheme, Storage};

use crate::bag::Bag;
use crate::stages::servers;

/// Files that are really sent. Each costs the same.
const SAMPLE: u64 = 200;
/// Bytes of uploads in memory at a time.
const BUDGET: u64 = 64 << 20;
/// A larger file is not made by this mode: what counts there is not the number of requests.
pub(crate) const LARGEST: u64 = 1 << 20;

struct Buckets {
    staging: Bucket,
    here: Bucket,
    far: Bucket,
}

/// Seconds of each stage that has requests for files, for all files of the bag.
pub(crate) async fn measure(folder: &Path, bag: &Bag, latency: Duration) -> Result<BTreeMap<&'static str, f64>> {
    let stack = servers(folder, latency).await?;
    let access = stack.access();
    let provider = storage::Provider {
        name: Provider::Aws,
        host: access.s3.to_string(),
        scheme: Scheme::Http,
        key: Some(access.s3_key),
        secret: Some(access.s3_secret),
    };
    let config = Config { providers: vec![provider], regions: Vec::new(), limits: Limits::default() };
    let storage = Storage::new(&config, &Budget::new(BUDGET)).await?;
    let bucket = |name| storage.bucket(&Provider::Aws, name);
    let buckets =
        Buckets { staging: bucket("staging")?, here: bucket("preservation-va")?, far: bucket("preservation-or")? };
    let sample = bag.files.clamp(1, SAMPLE);
    let bytes = Bytes::from(vec![b'x'; usize::try_from(bag.size.min(LARGEST))?]);
    let mut seconds = BTreeMap::new();
    for (stage, requests) in STAGES {
        let begun = Instant::now();
        for file in 0..sample {
            for request in requests {
                request.send(&buckets, &file.to_string(), &bytes).await?;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of files")]
        let times = bag.files as f64 / sample as f64;
        seconds.insert(stage, begun.elapsed().as_secs_f64() * times);
    }
    storage.close().await;
    Ok(seconds)
}

/// What is asked of S3.
#[derive(Clone, Copy)]
enum Request {
    Stage,
    ReadStaged,
    CopyHere,
    SeeStaged,
    SendFar,
    SeeHere,
    SeeFar,
    DeleteStaged,
}

/// In `Standard`: one copy in the region of staging, one far from it.
const STAGES: [(&str, &[Request]); 5] = [
    ("ingest_staging_uploader", &[Request::Stage]),
    ("ingest_format_identifier", &[Request::ReadStaged]),
    ("ingest_preservation_uploader", &[Request::CopyHere, Request::SeeStaged, Request::ReadStaged, Request::SendFar]),
    ("ingest_preservation_verifier", &[Request::SeeHere, Request::SeeFar]),
    ("ingest_cleanup", &[Request::DeleteStaged]),
];

impl Request {
    async fn send(self, buckets: &Buckets, key: &str, bytes: &Bytes) -> Result<()> {
        let Buckets { staging, here, far } = buckets;
        match self {
            Self::Stage => drop(staging.put_bytes(key, bytes.clone(), Attributes::default()).await?),
            Self::ReadStaged => {
                let mut download = staging.get(key).await?;
                while download.chunk().await?.is_some() {}
            }
            Self::CopyHere => {
                let copy = Copy { size: bytes.len() as u64, etag: None, attributes: Some(Attributes::default()) };
                here.copy_from(key, staging, key, &copy).await?;
            }
            Self::SeeStaged => drop(staging.stat(key).await?),
            Self::SendFar => drop(far.put_bytes(key, bytes.clone(), Attributes::default()).await?),
            Self::SeeHere => drop(here.stat(key).await?),
            Self::SeeFar => drop(far.stat(key).await?),
            Self::DeleteStaged => drop(staging.delete(key).await?),
        }
        Ok(())
    }
}
