//! Downloads: a stream of what an object holds, which survives broken connections and proves that nothing is missing.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncBufRead;
use tokio::time::Instant;
use tokio_util::io::StreamReader;

use crate::bucket::Bucket;
use crate::error::{Error, Kind, Target};
use crate::object::{ETag, Restored, Stat, date, etag, restored, size};

/// An object, or a range of one, on its way here. Memory is what the connection buffers, well under a mebibyte.
///
/// A connection that breaks or stalls is replaced, and the rest is asked for with `If-Match`: so all bytes are of one version of
/// the object. The stream ends without an error only when every byte was delivered.
#[derive(Debug)]
pub struct Download {
    /// Of the whole object.
    pub stat: Stat,
    bucket: Bucket,
    key: String,
    body: Option<ByteStream>,
    /// What is still to come, in bytes of the object.
    rest: Range<u64>,
    breaks: Breaks,
    pace: Pace,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Get {
    /// Only these bytes.
    pub range: Option<Range<u64>>,
    /// Only this version of the object; another one is [`Kind::Changed`].
    pub etag: Option<ETag>,
}

/// How often a download is taken up again before this much progress was made.
const MOST_BREAKS: u32 = 5;
const PROGRESS: u64 = 1 << 20;

impl Bucket {
    /// GET of a whole object.
    pub async fn get(&self, key: &str) -> Result<Download, Error> {
        self.get_with(key, Get::default()).await
    }

    /// GET of a range, or of a certain version.
    pub async fn get_with(&self, key: &str, get: Get) -> Result<Download, Error> {
        let target = || self.target("GET", key);
        if let Some(range) = get.range.as_ref().filter(|range| range.is_empty()) {
            return Err(target().fails(Kind::Refused, format!("the range {range:?} is empty")));
        }
        let answer = self.ask(key, get.range.as_ref(), get.etag.as_ref()).await?;
        let (stat, arriving) = head(&answer, get.range.as_ref(), target)?;
        Ok(Download {
            stat,
            bucket: self.clone(),
            key: key.to_owned(),
            body: Some(answer.body),
            rest: arriving,
            breaks: Breaks::default(),
            pace: Pace::new(&self.shared().limits),
        })
    }

    async fn ask(&self, key: &str, range: Option<&Range<u64>>, etag: Option<&ETag>) -> Result<GetObjectOutput, Error> {
        let mut request = self.client().await?.get_object().bucket(self.name()).key(key);
        if let Some(range) = range {
            request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        }
        let answer = Box::pin(request.set_if_match(etag.map(ETag::quoted)).send()).await;
        answer.map_err(|error| Error::of_sdk(self.target("GET", key), error))
    }
}

impl Download {
    /// How many bytes are still to come.
    pub fn remaining(&self) -> u64 {
        self.rest.end - self.rest.start
    }

    /// The next bytes; `None` when all were delivered.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.rest.is_empty() {
                return self.end().await;
            }
            let trouble = match self.receive().await {
                Ok(bytes) => {
                    self.rest.start += bytes.len() as u64;
                    self.breaks.progress(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Err(trouble) => trouble,
            };
            self.body = None;
            if !trouble.is_transient() || !self.breaks.may_go_on() {
                return Err(trouble);
            }
            tracing::debug!(key = self.key, left = self.remaining(), error = %trouble, "a download is taken up again");
        }
    }

    /// The bytes as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        futures_util::stream::try_unfold(self, async |mut download| {
            Ok(download.chunk().await?.map(|bytes| (bytes, download)))
        })
    }

    /// The bytes as a reader. Its errors hold an [`Error`] (`std::io::Error::downcast`).
    pub fn into_reader(self) -> impl AsyncBufRead + Send + 'static {
        StreamReader::new(Box::pin(self.into_stream().map(|chunk| chunk.map_err(std::io::Error::other))))
    }

    /// The end of a body is where the SDK compares the checksum that Amazon sent along.
    async fn end(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(mut body) = self.body.take() else { return Ok(None) };
        match self.pace.wait(body.next()).await {
            Ok(Some(Err(error))) => {
                let target = self.bucket.target("GET", &self.key);
                Err(target.fails(Kind::Unavailable, "the bytes came, but not as they were sent").because(error))
            }
            _ => Ok(None),
        }
    }

    async fn receive(&mut self) -> Result<Bytes, Error> {
        if self.body.is_none() {
            let answer = self.bucket.ask(&self.key, Some(&self.rest), Some(&self.stat.etag)).await?;
            let target = || self.bucket.target("GET", &self.key);
            let (stat, arriving) = head(&answer, Some(&self.rest), target)?;
            if stat.etag != self.stat.etag || arriving != self.rest {
                return Err(target().fails(Kind::Changed, "the object was replaced while it was read"));
            }
            self.body = Some(answer.body);
            self.pace.restart();
        }
        let target = self.bucket.target("GET", &self.key);
        let Some(body) = self.body.as_mut() else { unreachable!("opened above") };
        let left = self.rest.end - self.rest.start;
        let broken = |message: &str| target.fails(Kind::Unavailable, format!("{message} {left} bytes before the end"));
        let next = self.pace.wait(body.next()).await;
        match next {
            Err(Stalled) => Err(broken("the stream stalled")),
            Ok(None) => Err(broken("the stream ended")),
            Ok(Some(Err(error))) => Err(broken("the connection broke").because(error)),
            Ok(Some(Ok(bytes))) if bytes.len() as u64 > left => {
                Err(target.fails(Kind::Malformed, "more bytes came than were announced"))
            }
            Ok(Some(Ok(bytes))) => Ok(bytes),
        }
    }
}

/// The object and the bytes of it that an answer brings, which must be those that were asked for.
fn head(
    answer: &GetObjectOutput,
    asked: Option<&Range<u64>>,
    target: impl Fn() -> Target,
) -> Result<(Stat, Range<u64>), Error> {
    let length = size(answer.content_length(), &target)?;
    let (arriving, whole) = match (asked, answer.content_range()) {
        (None, _) => (0..length, length),
        (Some(asked), Some(said)) => {
            let Some((range, whole)) = content_range(said) else {
                return Err(target().fails(Kind::Malformed, format!("the answer has the range `{said}`")));
            };
            // The end of the object may come before the end of the range.
            if range.start != asked.start || range.end != asked.end.min(whole) || range.end - range.start != length {
                let message = format!("asked for bytes {asked:?}, the answer has `{said}` with {length} bytes");
                return Err(target().fails(Kind::Malformed, message));
            }
            (range, whole)
        }
        // A server may answer with the whole object when the range covers it.
        (Some(asked), None) if asked.start == 0 && asked.end >= length => (0..length, length),
        (Some(asked), None) => {
            return Err(target().fails(Kind::Malformed, format!("asked for bytes {asked:?}, all of them come")));
        }
    };
    let stat = Stat {
        size: whole,
        etag: etag(answer.e_tag(), answer.server_side_encryption(), target)?,
        last_modified: answer.last_modified().and_then(date),
        content_type: answer.content_type().map(ToOwned::to_owned),
        metadata: answer.metadata().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
        restored: answer.restore().map_or(Restored::No, restored),
    };
    Ok((stat, arriving))
}

/// Reads `bytes 0-99/1234`.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, whole): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, whole.parse().ok()?);
    (first <= last && last < whole).then_some((first..last + 1, whole))
}

/// Bounds how often a download is taken up again.
#[derive(Debug, Default)]
struct Breaks {
    count: u32,
    since: u64,
}

impl Breaks {
    fn progress(&mut self, bytes: u64) {
        self.since += bytes;
        if self.since >= PROGRESS {
            *self = Self::default();
        }
    }

    fn may_go_on(&mut self) -> bool {
        self.count += 1;
        self.count <= MOST_BREAKS
    }
}

/// Notices a stream that stands still or crawls. Only the time spent waiting counts: a slow reader is no slow server.
#[derive(Debug)]
struct Pace {
    stall: Duration,
    least: usize,
    waited: Duration,
    received: usize,
}

struct Stalled;

impl Pace {
    fn new(limits: &crate::config::Limits) -> Self {
        let least = limits.slowest.saturating_mul(limits.stall.as_secs()).try_into().unwrap_or(usize::MAX);
        Self { stall: limits.stall, least, waited: Duration::ZERO, received: 0 }
    }

    fn restart(&mut self) {
        (self.waited, self.received) = (Duration::ZERO, 0);
    }

    async fn wait<E>(
        &mut self,
        next: impl Future<Output = Option<Result<Bytes, E>>>,
    ) -> Result<Option<Result<Bytes, E>>, Stalled> {
        let began = Instant::now();
        let left = self.stall.saturating_sub(self.waited);
        let next = tokio::time::timeout(left, next).await.map_err(|_| Stalled)?;
        self.waited += began.elapsed();
        if let Some(Ok(bytes)) = &next {
            self.received += bytes.len();
        }
        if self.received >= self.least.max(1) {
            self.restart();
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_strictly() {
        assert_eq!(content_range("bytes 0-99/1234"), Some((0..100, 1234)));
        assert_eq!(content_range("bytes 1233-1233/1234"), Some((1233..1234, 1234)));
        for wrong in
            ["", "bytes 0-99/*", "bytes */1234", "0-99/1234", "bytes 9-0/1234", "bytes 0-1234/1234", "bytes -1-2/3"]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn breaks_are_forgiven_for_progress() {
        let mut breaks = Breaks::default();
        for _ in 0..MOST_BREAKS {
            assert!(breaks.may_go_on());
        }
        assert!(!breaks.may_go_on());
        breaks.progress(PROGRESS - 1);
        assert!(!breaks.may_go_on());
        breaks.progress(1);
        assert!(breaks.may_go_on());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_crawls_has_stalled_and_a_slow_reader_has_not() {
        let limits = crate::config::Limits { stall: Duration::from_secs(30), slowest: 1, ..Default::default() };
        let after = async |seconds, bytes: &'static [u8]| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some(Ok::<_, Error>(Bytes::from_static(bytes)))
        };
        let mut pace = Pace::new(&limits);
        assert!(pace.wait(after(20, &[0; 10])).await.is_ok());
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert!(pace.wait(after(9, &[0; 10])).await.is_ok());
        assert!(pace.wait(after(2, &[0; 10])).await.is_err(), "20 bytes in 30 seconds");
        pace.restart();
        assert!(pace.wait(after(29, &[0; 30])).await.is_ok());
        assert!(pace.wait(after(29, &[0; 30])).await.is_ok());
    }
}
