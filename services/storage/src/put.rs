//! Uploads of streams, in one request or in parts. How parts are sent and joined is in `multipart`.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::pin;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use md5::{Digest as _, Md5};
use model::multipart::part_size;

use crate::bucket::Bucket;
use crate::budget::{Budget, Permit};
use crate::connection::sending;
use crate::content::Content;
use crate::digest::{Check, Digest};
use crate::error::{Error, Kind, Target};
use crate::multipart::{Flights, Multipart};
use crate::object::{Attributes, Stored, etag};
use crate::parts::{Length, PartSizes, TooLarge};
use crate::source::Source;

/// An upload.
#[derive(Debug, Clone)]
pub struct Put {
    pub attributes: Attributes,
    pub length: Length,
    /// What all bytes together must have; otherwise nothing is stored ([`Kind::Changed`]).
    pub digest: Option<Digest>,
}

impl Bucket {
    /// Stores a stream: in one request up to 16 MiB, above that in parts.
    ///
    /// Nothing appears under the key before all of it does, and only if the stream ends without an error: so a caller that
    /// looks at the bytes as they pass has the last word. An upload that fails or is dropped is aborted in the background
    /// ([`Storage::close`] waits for it).
    ///
    /// Memory: what is being sent is kept until S3 has it, so that it can be sent again, and counts in the [`Budget`]. With a
    /// known length, parts are of 16 MiB up to 156 GiB and of 528 MiB for the largest object of 5 TiB. With an estimate, they
    /// are of 16 MiB up to 93 GiB, 175 MiB for 1 TiB and 874 MiB for 5 TiB, and grow where there is more than was foreseen.
    /// Without one, they are of 16 MiB up to 16 GiB and then grow to 256 MiB at 250 GiB; beyond that they are of 715 MiB. No
    /// part is larger than half the budget. S3 takes 10,000 parts; what does not fit into as many is [`Kind::TooLarge`], before
    /// anything is sent where the length tells.
    ///
    /// [`Storage::close`]: crate::Storage::close
    pub async fn put<S, E>(&self, key: &str, stream: S, put: &Put) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.upload(key, stream, put, Some(&self.shared().budget)).await
    }

    /// Stores bytes that are in memory already. For a place in the [`Budget`] the caller has seen, where it matters, when the
    /// bytes came.
    pub async fn put_bytes(&self, key: &str, bytes: Bytes, attributes: Attributes) -> Result<Stored, Error> {
        let put = Put { attributes, length: Length::Known(bytes.len() as u64), digest: None };
        self.upload(key, futures_util::stream::iter([Ok::<_, Infallible>(bytes)]), &put, None).await
    }

    /// Stores what another bucket holds, through this process: the way between providers and regions (specification 01 §6.7),
    /// and the way of one file out of a tar. The source must have the length of `put`, if that is known.
    ///
    /// Parts that are too large to be held in memory ([`Limits::held_part`]) are read twice from the source: once for their
    /// digests, and while they are sent. So an object of 5 TiB with a known length takes no more memory than a small one.
    ///
    /// [`Limits::held_part`]: crate::Limits::held_part
    pub async fn put_from(&self, key: &str, source: &Source, put: &Put) -> Result<Stored, Error> {
        let limit = self.shared().limits.held_part.min(self.shared().budget.largest_part());
        match put.length {
            Length::Known(length) => match part_size(length) {
                Some(part) if part > limit => Box::pin(self.put_again(key, source, (length, part), put)).await,
                _ => Box::pin(self.put(key, source.clone().into_stream(Some(length)), put)).await,
            },
            Length::Estimated(_) => Box::pin(self.put(key, source.clone().into_stream(None), put)).await,
        }
    }

    async fn upload<S, E>(&self, key: &str, stream: S, put: &Put, budget: Option<&Budget>) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let stream = pin!(stream);
        let target = self.target("PUT", key);
        let sizes = PartSizes::of(put.length, budget.map_or(u64::MAX, Budget::largest_part));
        let mut parts = Parts { sizes: sizes.map_err(|error| too_large(&target, &error))?, budget };
        let check = put.digest.map(Check::new);
        let mut incoming = Incoming { stream, target, length: put.length, check, ahead: Bytes::new(), taken: 0 };
        let (bytes, permit) = parts.next(&mut incoming).await?;
        if incoming.is_at_end().await? {
            return Box::pin(self.put_once(key, Content::Held { bytes, _permit: permit }, put)).await;
        }
        Box::pin(self.put_parts(key, incoming, parts, Content::Held { bytes, _permit: permit }, put)).await
    }

    async fn put_once(&self, key: &str, content: Content, put: &Put) -> Result<Stored, Error> {
        let target = || self.target("PUT", key);
        let size = content.length();
        let md5 = match put.digest {
            Some(Digest::Md5(md5)) => md5,
            _ => content.md5().await?,
        };
        let Attributes { content_type, metadata } = put.attributes.clone();
        let request = self.client().await?.put_object().bucket(self.name()).key(key);
        let answer = request
            .set_content_type(content_type)
            .set_metadata(Some(metadata.into_iter().collect()))
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .content_md5(BASE64_STANDARD.encode(md5))
            .body(content.body())
            .customize()
            .config_override(self.shared().patient(sending(size)))
            .send()
            .await;
        drop(content);
        let answer = answer.map_err(|error| Error::of_sdk(target(), error).of_own_digest())?;
        let etag = etag(answer.e_tag(), answer.server_side_encryption(), target)?;
        etag.check(md5, target)?;
        Ok(Stored { etag, size })
    }

    async fn put_parts<S, E>(
        &self,
        key: &str,
        mut incoming: Incoming<S>,
        mut parts: Parts<'_>,
        first: Content,
        put: &Put,
    ) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        // Dropped after the parts in flight are.
        let upload = Multipart::begin(self, key, &put.attributes).await?;
        let mut flights = Flights::new(self.shared().limits.parts);
        let mut content = first;
        for number in 1.. {
            flights.add(upload.send(number, content)).await?;
            // Whether there is a next part must be known before its buffer is asked for: other uploads may need it.
            if incoming.is_at_end().await? {
                break;
            }
            let (bytes, permit) = parts.next(&mut incoming).await?;
            content = Content::Held { bytes, _permit: permit };
        }
        upload.complete(flights.finish().await?, incoming.taken).await
    }

    /// In parts of `part` bytes, of which none stands in memory. One reader goes ahead and takes the digests; the requests
    /// read the same version of the source again.
    async fn put_again(
        &self,
        key: &str,
        source: &Source,
        (length, part): (u64, u64),
        put: &Put,
    ) -> Result<Stored, Error> {
        let target = self.target("PUT", key);
        PartSizes::of(put.length, u64::MAX).map_err(|error| too_large(&target, &error))?;
        let mut reader = source.open(Some(length)).await?;
        let mut check = put.digest.map(Check::new);
        let upload = Multipart::begin(self, key, &put.attributes).await?;
        let mut flights = Flights::new(self.shared().limits.parts);
        let (mut at, mut ahead) = (0, Bytes::new());
        for number in 1.. {
            let end = length.min(at + part);
            let (mut left, mut md5) = (end - at, Md5::new());
            while left > 0 {
                if ahead.is_empty() {
                    let Some(bytes) = reader.chunk().await? else {
                        unreachable!("a download ends after its last byte")
                    };
                    if let Some(before) = check {
                        check = Some(before.after(&bytes).await?);
                    }
                    ahead = bytes;
                }
                let piece = ahead.split_to(ahead.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                md5.update(&piece);
                left -= piece.len() as u64;
            }
            let source = source.part(&(at..end), &reader.stat.etag);
            let content = Content::Read { source, length: end - at, md5: md5.finalize().into() };
            flights.add(upload.send(number, content)).await?;
            at = end;
            if at == length {
                break;
            }
        }
        // Its end is where a checksum of the source's own is compared.
        reader.chunk().await?;
        if let Some(check) = check {
            check.finish(&target)?;
        }
        upload.complete(flights.finish().await?, length).await
    }
}

fn too_large(target: &Target, error: &TooLarge) -> Error {
    target.fails(Kind::TooLarge, error.to_string())
}

/// The parts of a stream, each with its place in the budget.
struct Parts<'b> {
    sizes: PartSizes,
    budget: Option<&'b Budget>,
}

impl Parts<'_> {
    async fn next<S, E>(&mut self, incoming: &mut Incoming<S>) -> Result<(Bytes, Option<Permit>), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let size = self.sizes.next(incoming.taken).map_err(|error| too_large(&incoming.target, &error))?;
        let permit = match self.budget {
            Some(budget) => Some(budget.take_for_upload(size as u64).await),
            None => None,
        };
        Ok((incoming.fill(size).await?, permit))
    }
}

/// The stream to be uploaded, in pieces of the size that is asked for.
struct Incoming<S> {
    stream: S,
    target: Target,
    length: Length,
    check: Option<Check>,
    /// Received, not yet taken.
    ahead: Bytes,
    taken: u64,
}

impl<S, E> Incoming<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
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

    /// Whether all was taken, and was what it should be.
    async fn is_at_end(&mut self) -> Result<bool, Error> {
        let is_more = !self.ahead.is_empty() || self.receive().await?;
        match self.length {
            Length::Known(length) if self.taken < length && !is_more => Err(self.wrong_length("less", length)),
            Length::Known(length) if self.taken == length && is_more => Err(self.wrong_length("more", length)),
            _ if is_more => Ok(false),
            _ => self.check.take().map_or(Ok(true), |check| check.finish(&self.target).map(|()| true)),
        }
    }

    /// Waits for a chunk that has something in it; `false` at the end.
    async fn receive(&mut self) -> Result<bool, Error> {
        while self.ahead.is_empty() {
            match self.stream.next().await {
                Some(Ok(bytes)) => {
                    if let Some(check) = self.check.take() {
                        self.check = Some(check.after(&bytes).await?);
                    }
                    self.ahead = bytes;
                }
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
