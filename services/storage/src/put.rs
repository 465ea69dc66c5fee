//! Uploads of streams, in one request or in parts. How parts are sent and joined is in `multipart`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http_body::{Frame, SizeHint};
use md5::{Digest as _, Md5};

use crate::bucket::{Bucket, ETag, etag};
use crate::buffers::Lease;
use crate::error::{Error, Kind, Target};
use crate::multipart::{Flights, Multipart};
use crate::parts::{Length, PartSizes};

/// What goes with an object's bytes.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    pub content_type: Option<String>,
    /// User metadata, without the prefix of the headers.
    pub metadata: BTreeMap<String, String>,
}

/// An upload.
#[derive(Debug, Clone)]
pub struct Put {
    pub attributes: Attributes,
    pub length: Length,
    /// Of all bytes, if it is known: it spares computing it, and S3 refuses other bytes. Of no use for more than 16 MiB.
    pub md5: Option<[u8; 16]>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
}

/// One slice of a body. Small, so that it shows how fast the server takes the bytes.
const SLICE: usize = 64 << 10;

/// More than this is hashed beside the runtime's threads, not on them.
const HASHED_AT_ONCE: usize = 128 << 10;

impl Attributes {
    /// With names and values such as `model::metadata` makes them.
    pub fn new<N: Into<String>>(content_type: &str, metadata: impl IntoIterator<Item = (N, String)>) -> Self {
        let metadata = metadata.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self { content_type: Some(content_type.to_owned()), metadata }
    }
}

impl Bucket {
    /// Stores a stream: in one request up to 16 MiB, above that in parts.
    ///
    /// Memory: what is being sent is kept until S3 has it, so that it can be sent again. All uploads of a [`Storage`] together
    /// hold at most [`Limits::buffers`]; the others wait, and a part that is larger goes alone. With a known length, parts are
    /// of 16 MiB up to 156 GiB and of 528 MiB for the largest object of 5 TiB. With an estimate, they are of 16 MiB up to
    /// 93 GiB, 175 MiB for 1 TiB and 874 MiB for 5 TiB, and grow where there is more than was foreseen. Without one, they are
    /// of 16 MiB up to 16 GiB and then grow to 256 MiB at 250 GiB; beyond that they are of 715 MiB. S3 takes 10,000 parts;
    /// in each case they reach 5 TiB.
    ///
    /// An upload that fails or is dropped is aborted in the background ([`Storage::close`] waits for it). Nothing appears under
    /// the key before all of it does.
    ///
    /// [`Storage`]: crate::Storage
    /// [`Storage::close`]: crate::Storage::close
    /// [`Limits::buffers`]: crate::Limits::buffers
    pub async fn put<S, E>(&self, key: &str, stream: S, put: &Put) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let stream = pin!(stream);
        let mut source = Source::new(stream, self.target("PUT", key), put.length);
        let mut sizes = PartSizes::of(put.length);
        let first = sizes.next(0);
        let lease = self.shared().buffers.lease(first).await;
        let bytes = source.fill(first).await?;
        if source.is_at_end().await? {
            return Box::pin(self.put_once(key, bytes, lease, put)).await;
        }
        Box::pin(self.put_parts(key, source, sizes, (bytes, lease), put)).await
    }

    /// Stores bytes that are in memory already.
    pub async fn put_bytes(&self, key: &str, bytes: Bytes, attributes: Attributes) -> Result<Stored, Error> {
        let put = Put { attributes, length: Length::Known(bytes.len() as u64), md5: None };
        self.put(key, futures_util::stream::iter([Ok::<_, Infallible>(bytes)]), &put).await
    }

    /// Stores what another bucket holds, through this process: the way between providers and regions (specification 01 §6.7).
    /// The source must have the length of `put`, if that is known.
    pub async fn put_from(&self, key: &str, source: &Self, source_key: &str, put: &Put) -> Result<Stored, Error> {
        let download = source.get(source_key).await?;
        let size = download.stat.size;
        if let Length::Known(length) = put.length
            && length != size
        {
            let message = format!("the source has {size} bytes, not {length}");
            return Err(source.target("GET", source_key).fails(Kind::Changed, message));
        }
        Box::pin(self.put(key, download.into_stream(), &Put { length: Length::Known(size), ..put.clone() })).await
    }

    async fn put_once(&self, key: &str, bytes: Bytes, lease: Lease, put: &Put) -> Result<Stored, Error> {
        let target = || self.target("PUT", key);
        let size = bytes.len() as u64;
        let md5 = match put.md5 {
            Some(md5) => md5,
            None => md5_of(bytes.clone()).await,
        };
        let Attributes { content_type, metadata } = put.attributes.clone();
        let request = self.client().await?.put_object().bucket(self.name()).key(key);
        let answer = request
            .set_content_type(content_type)
            .set_metadata(Some(metadata.into_iter().collect()))
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .content_md5(base64::encode(md5))
            .body(body(bytes))
            .customize()
            .config_override(self.shared().patient(crate::client::sending(size)))
            .send()
            .await;
        drop(lease);
        let answer = answer.map_err(|error| {
            let error = Error::of_sdk(target(), error);
            // Our own digest of what we sent: it was damaged on the way.
            if error.kind() == Kind::Changed && put.md5.is_none() { error.with_kind(Kind::Unavailable) } else { error }
        })?;
        let etag = etag(answer.e_tag(), answer.server_side_encryption(), target)?;
        check_md5(&etag, md5, target)?;
        Ok(Stored { etag, size })
    }

    async fn put_parts<S, E>(
        &self,
        key: &str,
        mut source: Source<S>,
        mut sizes: PartSizes,
        first: (Bytes, Lease),
        put: &Put,
    ) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        // Dropped after the parts in flight are.
        let upload = Multipart::begin(self, key, &put.attributes).await?;
        let mut flights = Flights::new(self.shared().limits.parts);
        let (mut bytes, mut lease) = first;
        let mut number = 1;
        loop {
            flights.add(upload.send(number, bytes, lease)).await?;
            number += 1;
            // Whether there is a next part must be known before its buffer is asked for: other uploads may need it.
            if source.is_at_end().await? {
                break;
            }
            let size = sizes.next(source.taken);
            lease = self.shared().buffers.lease(size).await;
            bytes = source.fill(size).await?;
        }
        upload.complete(flights.finish().await?, source.taken).await
    }
}

/// The stream to be uploaded, in pieces of the size that is asked for.
struct Source<S> {
    stream: S,
    target: Target,
    length: Length,
    /// Received, not yet taken.
    ahead: Bytes,
    taken: u64,
}

impl<S, E> Source<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn new(stream: S, target: Target, length: Length) -> Self {
        Self { stream, target, length, ahead: Bytes::new(), taken: 0 }
    }

    /// This many bytes, or what is left. Not copied if one chunk of the stream has them all.
    async fn fill(&mut self, size: usize) -> Result<Bytes, Error> {
        if self.ahead.is_empty() {
            self.receive().await?;
        }
        let mut filled = self.ahead.split_to(size.min(self.ahead.len()));
        if filled.len() < size && self.receive().await? {
            let mut buffer = BytesMut::with_capacity(size);
            buffer.extend_from_slice(&filled);
            while buffer.len() < size && (!self.ahead.is_empty() || self.receive().await?) {
                let more = self.ahead.split_to((size - buffer.len()).min(self.ahead.len()));
                buffer.extend_from_slice(&more);
            }
            filled = buffer.freeze();
        }
        self.taken += filled.len() as u64;
        Ok(filled)
    }

    /// Whether all was taken.
    async fn is_at_end(&mut self) -> Result<bool, Error> {
        let is_more = !self.ahead.is_empty() || self.receive().await?;
        match self.length {
            Length::Known(length) if self.taken < length && !is_more => Err(self.wrong_length("less", length)),
            Length::Known(length) if self.taken == length && is_more => Err(self.wrong_length("more", length)),
            _ => Ok(!is_more),
        }
    }

    /// Waits for a chunk that has something in it; `false` at the end.
    async fn receive(&mut self) -> Result<bool, Error> {
        while self.ahead.is_empty() {
            match self.stream.next().await {
                Some(Ok(bytes)) => self.ahead = bytes,
                Some(Err(error)) => return Err(Error::of_source(self.target.clone(), error.into())),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn wrong_length(&self, how: &str, length: u64) -> Error {
        let message = format!("the stream has {how} than the announced {length} bytes");
        self.target.fails(Kind::Source, message)
    }
}

/// A body that can be sent again, in small slices.
pub(crate) fn body(bytes: Bytes) -> ByteStream {
    if bytes.is_empty() {
        return ByteStream::new(SdkBody::empty());
    }
    ByteStream::new(SdkBody::retryable(move || SdkBody::from_body_1_x(Slices(bytes.clone()))))
}

struct Slices(Bytes);

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(SLICE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

pub(crate) async fn md5_of(bytes: Bytes) -> [u8; 16] {
    if bytes.len() <= HASHED_AT_ONCE {
        return Md5::digest(&bytes).into();
    }
    let hashed = tokio::task::spawn_blocking({
        let bytes = bytes.clone();
        move || Md5::digest(&bytes).into()
    });
    // Only a runtime that is shutting down refuses; then nothing comes of the answer.
    hashed.await.unwrap_or_else(|_| Md5::digest(&bytes).into())
}

/// An ETag that is an md5 must be that of what was sent.
pub(crate) fn check_md5(etag: &ETag, md5: [u8; 16], target: impl FnOnce() -> Target) -> Result<(), Error> {
    match etag.md5() {
        Some(stored) if stored != hex::encode(md5) => {
            let message = format!("what was sent has md5 {}, what was stored {stored}", hex::encode(md5));
            Err(target().fails(Kind::Changed, message))
        }
        _ => Ok(()),
    }
}
