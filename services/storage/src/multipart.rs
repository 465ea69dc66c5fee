//! Uploads in parts: begun, sent or copied part by part, and either completed or aborted.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use md5::{Digest as _, Md5};
use tokio::task::JoinSet;

use crate::bucket::Bucket;
use crate::connection::{copying, sending};
use crate::content::Content;
use crate::error::{Error, Kind};
use crate::object::{Attributes, ETag, Stored, etag};

/// An upload that has begun. Dropped before it is complete, it is aborted in the background.
pub(crate) struct Multipart {
    bucket: Bucket,
    client: Client,
    key: String,
    id: String,
    is_done: bool,
}

/// A part that S3 has.
pub(crate) struct Part {
    number: i32,
    etag: String,
}

/// Where copied parts come from.
pub(crate) struct Origin {
    /// As the header wants it: `bucket/key`, escaped.
    pub(crate) path: String,
    pub(crate) etag: ETag,
}

/// How long S3 may take to join parts, beyond an ordinary answer.
const JOINING: Duration = Duration::from_mins(10);

const LEFT: &str = "the parts of an upload stay until the bucket's rules remove them";

impl Multipart {
    pub(crate) async fn begin(bucket: &Bucket, key: &str, attributes: &Attributes) -> Result<Self, Error> {
        let target = || bucket.target("begin upload", key);
        let client = bucket.client().await?;
        let Attributes { content_type, metadata } = attributes.clone();
        let request = client.create_multipart_upload().bucket(bucket.name()).key(key);
        let request = request.set_content_type(content_type).set_metadata(Some(metadata.into_iter().collect()));
        let answer = request.send().await.map_err(|error| Error::of_sdk(target(), error))?;
        let Some(id) = answer.upload_id else {
            return Err(target().fails(Kind::Malformed, "the answer has no upload id"));
        };
        Ok(Self { bucket: bucket.clone(), client, key: key.to_owned(), id, is_done: false })
    }

    /// Sends one part. The future stands by itself, so that it can run beside others.
    pub(crate) fn send(
        &self,
        number: i32,
        content: Content,
    ) -> impl Future<Output = Result<Part, Error>> + Send + use<> {
        let length = content.length();
        let request = self.client.upload_part().bucket(self.bucket.name()).key(&self.key).upload_id(&self.id);
        let settings = self.bucket.shared().patient(sending(length));
        let target = self.bucket.target("PUT part", &self.key);
        async move {
            let md5 = content.md5().await?;
            let answer = request
                .part_number(number)
                .content_length(i64::try_from(length).unwrap_or(i64::MAX))
                .content_md5(BASE64_STANDARD.encode(md5))
                .body(content.body())
                .customize()
                .config_override(settings)
                .send()
                .await;
            drop(content);
            let answer = answer.map_err(|error| Error::of_sdk(target.clone(), error).of_own_digest())?;
            let etag = etag(answer.e_tag(), answer.server_side_encryption(), || target.clone())?;
            etag.check(md5, || target)?;
            Ok(Part { number, etag: etag.as_str().to_owned() })
        }
    }

    /// Has S3 copy one part, bytes `first..=last` of the origin.
    pub(crate) fn copy(
        &self,
        number: i32,
        origin: &Origin,
        (first, last): (u64, u64),
    ) -> impl Future<Output = Result<Part, Error>> + Send + use<> {
        let request = self
            .client
            .upload_part_copy()
            .bucket(self.bucket.name())
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(number)
            .copy_source(&origin.path)
            .copy_source_range(format!("bytes={first}-{last}"))
            .copy_source_if_match(origin.etag.quoted());
        let settings = self.bucket.shared().patient(copying(last - first + 1));
        let target = self.bucket.target("copy part", &self.key);
        async move {
            let answer = request.customize().config_override(settings).send().await;
            let answer = answer.map_err(|error| Error::of_sdk(target.clone(), error))?;
            let text = answer.copy_part_result().and_then(|result| result.e_tag());
            let etag = etag(text, answer.server_side_encryption(), || target)?;
            Ok(Part { number, etag: etag.as_str().to_owned() })
        }
    }

    /// Joins the parts and makes sure that the object is there with all its bytes.
    pub(crate) async fn complete(mut self, mut parts: Vec<Part>, size: u64) -> Result<Stored, Error> {
        parts.sort_unstable_by_key(|part| part.number);
        let expected = joined_etag(&parts);
        let completed = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number).e_tag(format!("\"{}\"", part.etag)).build());
        let list = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let request = self.client.complete_multipart_upload().bucket(self.bucket.name()).key(&self.key);
        let request = request.upload_id(&self.id).multipart_upload(list);
        let answer = request.customize().config_override(self.bucket.shared().patient(JOINING)).send().await;
        let target = || self.bucket.target("complete upload", &self.key);
        let etag = match answer.map_err(|error| Error::of_sdk(target(), error)) {
            Ok(answer) => etag(answer.e_tag(), answer.server_side_encryption(), target)?,
            // The answer to an earlier try got lost: the upload is no more since it is complete. The object tells.
            Err(error) if error.is_upload_gone() => match (self.bucket.find(&self.key).await?, expected) {
                (Some(stat), Some(expected)) if stat.etag.as_str() == expected => stat.etag,
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        self.is_done = true;
        let stat = self.bucket.stat(&self.key).await?;
        if stat.size != size || stat.etag.as_str() != etag.as_str() {
            let message = format!(
                "stored {size} bytes as {}, found {} bytes as {}",
                etag.as_str(),
                stat.size,
                stat.etag.as_str()
            );
            return Err(target().fails(Kind::Changed, message));
        }
        Ok(Stored { etag: stat.etag, size })
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(bucket = self.bucket.name(), key = self.key, "{LEFT}: it was dropped outside the runtime");
            return;
        };
        let request =
            self.client.abort_multipart_upload().bucket(self.bucket.name()).key(&self.key).upload_id(&self.id);
        let target = self.bucket.target("abort upload", &self.key);
        let limit = self.bucket.shared().limits.answer;
        let abort = async move {
            let error = match tokio::time::timeout(limit, request.send()).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => Error::of_sdk(target, error),
                Err(_) => target.fails(Kind::Unavailable, "no answer in time"),
            };
            if !error.is_upload_gone() {
                tracing::warn!(error = &error as &dyn std::error::Error, "{LEFT}");
            }
        };
        self.bucket.shared().cleanups.spawn_on(abort, &runtime);
    }
}

/// Requests of one upload that are under way at once.
pub(crate) struct Flights {
    tasks: JoinSet<Result<Part, Error>>,
    landed: Vec<Part>,
    most: usize,
}

impl Flights {
    pub(crate) fn new(most: usize) -> Self {
        Self { tasks: JoinSet::new(), landed: Vec::new(), most: most.max(1) }
    }

    /// Starts one, after waiting for others if there are as many as there may be. Fails if any of them failed.
    pub(crate) async fn add(
        &mut self,
        flight: impl Future<Output = Result<Part, Error>> + Send + 'static,
    ) -> Result<(), Error> {
        while let Some(landed) = self.tasks.try_join_next() {
            self.landed.push(passed_on(landed)?);
        }
        while self.tasks.len() >= self.most {
            self.land().await?;
        }
        self.tasks.spawn(flight);
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Vec<Part>, Error> {
        while !self.tasks.is_empty() {
            self.land().await?;
        }
        Ok(self.landed)
    }

    async fn land(&mut self) -> Result<(), Error> {
        if let Some(landed) = self.tasks.join_next().await {
            self.landed.push(passed_on(landed)?);
        }
        Ok(())
    }
}

/// A flight is never aborted while this waits for it, so that what is left is a panic: it goes on here.
fn passed_on(landed: Result<Result<Part, Error>, tokio::task::JoinError>) -> Result<Part, Error> {
    landed.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}

/// The ETag that S3 gives to joined parts, where it gives md5s to the parts.
fn joined_etag(parts: &[Part]) -> Option<String> {
    let mut all = Md5::new();
    for part in parts {
        all.update(hex::decode(&part.etag).ok().filter(|md5| md5.len() == 16)?);
    }
    Some(format!("{}-{}", hex::encode(all.finalize()), parts.len()))
}
