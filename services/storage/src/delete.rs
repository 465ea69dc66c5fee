//! Deletions of many objects, a batch per request.

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::error::BuildError;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use md5::{Digest as _, Md5};

use crate::bucket::Bucket;
use crate::error::{Error, Kind, Target};

/// What became of the deletion of many keys. Those that are named neither here nor by `rest` are gone.
#[derive(Debug)]
#[must_use]
pub struct Deletions {
    /// What the service did not delete; each error names its key.
    pub failed: Vec<Error>,
    /// Set where it ended early.
    pub rest: Option<Rest>,
}

/// The keys that nothing is known of.
#[derive(Debug)]
pub struct Rest {
    /// Their number: so many at the end of the keys that were to be deleted.
    pub count: usize,
    /// Why the first batch of them has no answer; the later ones were not tried.
    pub error: Error,
}

/// S3's own limit.
const MOST_AT_ONCE: usize = 1000;

impl Bucket {
    /// Deletes in batches of 1,000. What is not there counts as deleted. The answers to earlier batches are kept when a later
    /// one fails.
    pub async fn delete_many(&self, keys: &[String]) -> Deletions {
        let mut failed = Vec::new();
        for (n, batch) in keys.chunks(MOST_AT_ONCE).enumerate() {
            match self.delete_batch(batch).await {
                Ok(refused) => failed.extend(refused),
                Err(error) => {
                    let count = keys.len() - n * MOST_AT_ONCE;
                    return Deletions { failed, rest: Some(Rest { count, error }) };
                }
            }
        }
        Deletions { failed, rest: None }
    }

    async fn delete_batch(&self, keys: &[String]) -> Result<Vec<Error>, Error> {
        let target = || Target::new("DELETE", self.name(), None);
        let unfit = |error: BuildError| target().fails(Kind::Refused, error.to_string());
        let objects: Result<Vec<_>, _> = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build()).collect();
        let delete = Delete::builder().set_objects(Some(objects.map_err(unfit)?)).quiet(true).build();
        let request = self.client().await?.delete_objects().bucket(self.name()).delete(delete.map_err(unfit)?);
        let answer = Box::pin(request.customize().mutate_request(add_md5).send()).await;
        self.refused(&answer.map_err(|error| Error::of_sdk(target(), error))?)
    }

    fn refused(&self, answer: &DeleteObjectsOutput) -> Result<Vec<Error>, Error> {
        let mut refused = Vec::new();
        for said in answer.errors() {
            let Some(key) = said.key() else {
                let whole = Target::new("DELETE", self.name(), None);
                return Err(Error::of_code(whole, said.code(), said.message()));
            };
            let error = Error::of_code(self.target("DELETE", key), said.code(), said.message());
            if !error.is_not_found() {
                refused.push(error);
            }
        }
        Ok(refused)
    }
}

/// Servers that are older than Amazon's checksums want an md5 of a list of deletions.
fn add_md5(request: &mut HttpRequest) {
    let md5 = request.body().bytes().map(Md5::digest);
    if let Some(md5) = md5 {
        request.headers_mut().insert("content-md5", BASE64_STANDARD.encode(md5));
    }
}
