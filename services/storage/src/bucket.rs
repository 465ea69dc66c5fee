//! One bucket and what is asked of it in a single request. Transfers and lists are in modules of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest};

use crate::connection::{Connection, Shared};
use crate::error::{Error, Kind, Target};
use crate::object::{Restored, Stat, date, etag, restored, size};

pub use aws_sdk_s3::types::Tier;

/// A bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    name: Arc<str>,
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
        let answer = match answer.map_err(|error| Error::of_sdk(self.target("HEAD", key), error)) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => {
                self.prove().await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
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
        match (error.kind(), error.code(), error.status()) {
            (Kind::Archived, ..) | (_, Some("ObjectAlreadyInActiveTierError"), _) => Ok(Restore::NotArchived),
            (Kind::Unavailable, ..) => Err(error),
            (_, _, Some(409)) => Ok(Restore::InProgress),
            _ => Err(error),
        }
    }

    /// An answer to HEAD has no body, so that an object of a missing bucket looks like a missing object: only with this is it
    /// known to be one.
    async fn prove(&self) -> Result<(), Error> {
        let answer = Box::pin(self.client().await?.head_bucket().bucket(self.name()).send()).await;
        match answer.map_err(|error| Error::of_sdk(Target::new("HEAD", self.name(), None), error)) {
            Ok(_) => Ok(()),
            // A bucket that is there, and that we may not list.
            Err(error) if error.kind() == Kind::Denied => Ok(()),
            Err(error) => Err(error),
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
