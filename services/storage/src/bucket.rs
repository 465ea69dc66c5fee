//! One bucket and what is asked of it in a single request. Transfers and lists are in modules of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::types::{Delete, GlacierJobParameters, ObjectIdentifier, RestoreRequest, ServerSideEncryption};
use aws_smithy_types::date_time::DateTime;
use md5::{Digest as _, Md5};
use time::OffsetDateTime;

use crate::client::{Connection, Shared};
use crate::error::{Error, Kind, Target};

pub use aws_sdk_s3::types::Tier;

/// A bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    name: Arc<str>,
}

/// What S3 knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    pub etag: ETag,
    pub last_modified: Option<OffsetDateTime>,
    pub content_type: Option<String>,
    /// User metadata, without the prefix of the headers; names in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Absent for `STANDARD`.
    pub storage_class: Option<String>,
    pub restored: Restored,
}

/// An object's identity: the same ETag, the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    text: String,
    is_keyed: bool,
}

/// Whether an archived object has a copy that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Nobody asked for it, or the object is in no archive.
    No,
    Ongoing,
    /// Until then, if the service says so.
    Until(Option<OffsetDateTime>),
}

/// What S3 says to a request to take an object out of the archive (specification 01 §6.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Begun by this request.
    Accepted,
    /// Begun by an earlier request.
    InProgress,
    /// There is a readable copy already; its life was extended.
    Available,
    /// The object is in no archive.
    NotArchived,
}

/// What became of a deletion. Most services do not tell whether there was anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    Now,
    /// The service says that there was no such object.
    Before,
}

impl Bucket {
    pub(crate) fn new(connection: Arc<Connection>, shared: Arc<Shared>, name: &str) -> Self {
        Self { connection, shared, name: name.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn provider(&self) -> &model::Provider {
        &self.connection.name
    }

    /// HEAD. An archived object has an answer like any other.
    pub async fn stat(&self, key: &str) -> Result<Stat, Error> {
        let request = self.client().await?.head_object().bucket(self.name()).key(key);
        let answer = Box::pin(request.send()).await;
        let answer = answer.map_err(|error| Error::of_sdk(self.target("HEAD", key), error))?;
        let target = || self.target("HEAD", key);
        Ok(Stat {
            size: size(answer.content_length(), target)?,
            etag: etag(answer.e_tag(), answer.server_side_encryption(), target)?,
            last_modified: answer.last_modified().and_then(date),
            content_type: answer.content_type().map(ToOwned::to_owned),
            metadata: answer.metadata().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
            storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
            restored: answer.restore().map_or(Restored::No, restored),
        })
    }

    /// HEAD of what may be absent.
    pub async fn find(&self, key: &str) -> Result<Option<Stat>, Error> {
        match self.stat(key).await {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// DELETE. What is not there counts as deleted.
    pub async fn delete(&self, key: &str) -> Result<Deleted, Error> {
        let request = self.client().await?.delete_object().bucket(self.name()).key(key);
        let answer = Box::pin(request.send()).await;
        match answer.map_err(|error| Error::of_sdk(self.target("DELETE", key), error)) {
            Ok(_) => Ok(Deleted::Now),
            Err(error) if error.is_not_found() => Ok(Deleted::Before),
            Err(error) => Err(error),
        }
    }

    /// Deletes in batches and returns what could not be deleted. The error is that of a batch which failed as a whole: then
    /// later batches were not tried.
    pub async fn delete_many(&self, keys: &[String]) -> Result<Vec<Error>, Error> {
        let client = self.client().await?;
        let mut failed = Vec::new();
        for batch in keys.chunks(MOST_DELETED_AT_ONCE) {
            let target = || Target::new("DELETE", self.name(), None);
            let refused = |error: aws_sdk_s3::error::BuildError| target().fails(Kind::Refused, error.to_string());
            let objects: Result<Vec<_>, _> =
                batch.iter().map(|key| ObjectIdentifier::builder().key(key).build()).collect();
            let delete = Delete::builder().set_objects(Some(objects.map_err(refused)?)).quiet(true).build();
            let request = client.delete_objects().bucket(self.name()).delete(delete.map_err(refused)?);
            let answer = Box::pin(request.customize().mutate_request(add_md5).send()).await;
            let answer = answer.map_err(|error| Error::of_sdk(target(), error))?;
            failed.extend(answer.errors().iter().filter_map(|error| {
                let error = Error::of_code(self.target("DELETE", error.key()?), error.code(), error.message());
                (!error.is_not_found()).then_some(error)
            }));
        }
        Ok(failed)
    }

    /// RestoreObject: asks for a readable copy of an archived object for some days. Repeating it is harmless and is how one
    /// learns of the progress.
    pub async fn restore(&self, key: &str, days: u16, tier: Tier) -> Result<Restore, Error> {
        let target = || self.target("restore", key);
        let tier = GlacierJobParameters::builder().tier(tier).build();
        let tier = tier.map_err(|error| target().fails(Kind::Refused, error.to_string()))?;
        let request = RestoreRequest::builder().days(days.into()).glacier_job_parameters(tier).build();
        let client = self.client().await?;
        let status = Status::default();
        let request = client.restore_object().bucket(self.name()).key(key).restore_request(request);
        let answer = Box::pin(request.customize().interceptor(status.clone()).send()).await;
        let error = match answer {
            Ok(_) if status.get() == 200 => return Ok(Restore::Available),
            Ok(_) => return Ok(Restore::Accepted),
            Err(error) => Error::of_sdk(target(), error),
        };
        match (error.kind(), error.status()) {
            (Kind::Archived, _) => Ok(Restore::NotArchived),
            (_, Some(409)) => Ok(Restore::InProgress),
            _ => Err(error),
        }
    }

    pub(crate) fn target(&self, operation: &'static str, key: &str) -> Target {
        Target::new(operation, &self.name, Some(key))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        self.connection.client(&self.name).await
    }
}

/// S3's own limit.
const MOST_DELETED_AT_ONCE: usize = 1000;

impl ETag {
    /// As S3 gives it, with or without quotes.
    pub fn new(text: &str) -> Self {
        Self { text: text.trim_matches('"').to_owned(), is_keyed: false }
    }

    /// Without quotes.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The object's md5 in lower-case hex, where the ETag is one (ruling D.28): not of an upload in parts, and not of an object
    /// whose key KMS keeps.
    pub fn md5(&self) -> Option<&str> {
        let is_md5 = self.text.len() == 32 && self.text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_md5 && !self.is_keyed).then_some(&self.text)
    }

    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.text)
    }
}

pub(crate) fn etag(
    text: Option<&str>,
    encryption: Option<&ServerSideEncryption>,
    target: impl FnOnce() -> Target,
) -> Result<ETag, Error> {
    let Some(text) = text else { return Err(target().fails(Kind::Malformed, "the answer has no ETag")) };
    let is_keyed = matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse));
    Ok(ETag { is_keyed, ..ETag::new(text) })
}

pub(crate) fn size(length: Option<i64>, target: impl FnOnce() -> Target) -> Result<u64, Error> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| target().fails(Kind::Malformed, "the answer has no length"))
}

pub(crate) fn date(date: &DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(date.as_nanos()).ok()
}

/// Reads `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
pub(crate) fn restored(header: &str) -> Restored {
    if header.contains("ongoing-request=\"true\"") {
        return Restored::Ongoing;
    }
    let expiry = header.split_once("expiry-date=\"").and_then(|(_, rest)| rest.split_once('"'));
    let format = aws_smithy_types::date_time::Format::HttpDate;
    Restored::Until(expiry.and_then(|(text, _)| date(&DateTime::from_str(text, format).ok()?)))
}

/// Servers that are older than Amazon's checksums want an md5 of a list of deletions.
fn add_md5(request: &mut HttpRequest) {
    let md5 = request.body().bytes().map(Md5::digest);
    if let Some(md5) = md5 {
        request.headers_mut().insert("content-md5", aws_smithy_types::base64::encode(md5));
    }
}

/// Remembers the status of an answer, which the SDK keeps to itself when it is a good one.
#[derive(Debug, Clone, Default)]
struct Status(Arc<AtomicU16>);

impl Status {
    fn get(&self) -> u16 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), aws_sdk_s3::error::BoxError> {
        self.0.store(context.response().status().as_u16(), Ordering::Relaxed);
        Ok(())
    }
}
