//! Bytes that can be read again: what an object of some bucket holds, or a range of it.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};

use crate::bucket::Bucket;
use crate::error::{Error, Kind};
use crate::get::{Download, Get};
use crate::object::ETag;

/// What is copied through this process.
#[derive(Debug, Clone)]
pub struct Source {
    pub bucket: Bucket,
    pub key: String,
    /// A range of it, such as a file in a tar; or a certain version.
    pub get: Get,
}

impl Source {
    /// A whole object.
    pub fn new(bucket: &Bucket, key: &str) -> Self {
        Self { bucket: bucket.clone(), key: key.to_owned(), get: Get::default() }
    }

    /// Begins to read it; `length` is what it must have, if that is known.
    pub(crate) async fn open(&self, length: Option<u64>) -> Result<Download, Error> {
        let download = self.bucket.get_with(&self.key, self.get.clone()).await?;
        match (download.remaining(), length) {
            (found, Some(expected)) if found != expected => {
                let message = format!("the source has {found} bytes, not {expected}");
                Err(self.bucket.target("GET", &self.key).fails(Kind::Changed, message))
            }
            _ => Ok(download),
        }
    }

    /// Begins when it is asked for the first bytes.
    pub(crate) fn into_stream(self, length: Option<u64>) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        stream::once(async move { self.open(length).await.map(Download::into_stream) }).try_flatten()
    }

    /// A part of it, `range` counted from its own first byte; of that version alone.
    pub(crate) fn part(&self, range: &Range<u64>, etag: &ETag) -> Self {
        let start = self.get.range.as_ref().map_or(0, |whole| whole.start);
        let range = Some(start + range.start..start + range.end);
        Self { get: Get { range, etag: Some(etag.clone()) }, ..self.clone() }
    }
}
