//! The bucket with templates: how large ones get to CloudFormation, and what one can go back to.
//!
//! A template lies at `<env>/<tag>/<sha256>.yml` and is never deleted. When its deployment was verified, the record of the
//! deployment is put beside it, which is how rollback tells a template that ran from one that only was tried.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, ServerSideEncryption};
use xtask::cli::deploy::Environment;
use xtask::exit::Exit;

use crate::aws::{Aws, Kind, Trouble};
use crate::stack::time;

/// The bucket of one environment.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    aws: &'a Aws<'a>,
    bucket: String,
    account: &'a str,
    environment: Environment,
}

/// A template that was deployed and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tag: String,
    pub(crate) sha256: String,
    /// RFC 3339, of the last verified deployment.
    pub(crate) deployed: String,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(aws: &'a Aws<'a>, bucket: String, account: &'a str, environment: Environment) -> Self {
        Self { aws, bucket, account, environment }
    }

    pub(crate) fn key(&self, tag: &str, sha256: &str) -> String {
        key(self.environment, tag, sha256)
    }

    /// Where CloudFormation finds it. With dots in its name a bucket has no host name that TLS certificates cover.
    pub(crate) fn url(&self, key: &str) -> String {
        let (bucket, region) = (&self.bucket, &self.aws.region);
        if bucket.contains('.') {
            format!("https://s3.{region}.amazonaws.com/{bucket}/{key}")
        } else {
            format!("https://{bucket}.s3.{region}.amazonaws.com/{key}")
        }
    }

    /// Puts a template there unless it is. Only into a bucket that is ours.
    pub(crate) async fn put_template(&self, key: &str, text: &str) -> anyhow::Result<()> {
        let aws = self.aws;
        let head = aws
            .attempt("looking for the template in the bucket", async || {
                aws.s3.head_object().bucket(&self.bucket).key(key).expected_bucket_owner(self.account).send().await
            })
            .await;
        match head {
            Ok(_) => return Ok(()),
            // HeadObject has no body, so its errors have no code but the status.
            Err(trouble) if trouble.is_missing() => {}
            Err(trouble) => return Err(self.explain(trouble)),
        }
        self.refuse_unsafe().await?;
        self.put(key, text, "application/yaml").await.map_err(|trouble| self.explain(trouble))
    }

    /// The archive must be private, keep what is overwritten, and be where the stack is. An operator who may not look gets a
    /// warning: to read these settings is a right of its own.
    async fn refuse_unsafe(&self) -> anyhow::Result<()> {
        let aws = self.aws;
        let block = aws
            .attempt("reading the bucket's public access block", async || {
                aws.s3.get_public_access_block().bucket(&self.bucket).expected_bucket_owner(self.account).send().await
            })
            .await;
        let versioning = aws
            .attempt("reading the bucket's versioning", async || {
                aws.s3.get_bucket_versioning().bucket(&self.bucket).expected_bucket_owner(self.account).send().await
            })
            .await;
        let location = aws
            .attempt("reading the bucket's region", async || {
                aws.s3.get_bucket_location().bucket(&self.bucket).expected_bucket_owner(self.account).send().await
            })
            .await;
        let block = block.map(|answer| {
            answer.public_access_block_configuration().is_some_and(|block| {
                let four = [
                    block.block_public_acls(),
                    block.ignore_public_acls(),
                    block.block_public_policy(),
                    block.restrict_public_buckets(),
                ];
                four.iter().all(|set| *set == Some(true))
            })
        });
        let versioning = versioning.map(|answer| answer.status() == Some(&BucketVersioningStatus::Enabled));
        // S3 names its first region by leaving it out.
        let here = location.map(|answer| {
            let region = answer.location_constraint().map_or("us-east-1", |region| region.as_str());
            (if region.is_empty() { "us-east-1" } else { region }) == aws.region
        });
        let mut wrong = Vec::new();
        for (what, holds) in [
            ("does not block all public access", block),
            ("does not keep versions", versioning),
            ("is in another region than the stack", here),
        ] {
            match holds {
                Ok(true) => {}
                Ok(false) => wrong.push(what),
                // S3 has no answer where nothing was ever set.
                Err(trouble) if trouble.is_missing() => wrong.push(what),
                Err(trouble) if trouble.kind == Kind::Denied => {
                    aws.warn(&format!("whether the bucket {what} is not known: {trouble}"));
                }
                Err(trouble) => return Err(self.explain(trouble)),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Exit::Refused.stop(
            format!("bucket {} {}", self.bucket, wrong.join(", and ")),
            "block public access and turn on versioning (aws s3api put-public-access-block, put-bucket-versioning), or name another bucket",
        ))
    }

    /// Puts the record of a verified deployment beside its template.
    pub(crate) async fn put_record(&self, template_key: &str, json: &str) -> Result<(), Trouble> {
        self.put(&record_key(template_key), json, "application/json").await
    }

    async fn put(&self, key: &str, text: &str, kind: &str) -> Result<(), Trouble> {
        let aws = self.aws;
        aws.attempt("writing into the bucket", async || {
            aws.s3
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .expected_bucket_owner(self.account)
                .server_side_encryption(ServerSideEncryption::Aes256)
                .content_type(kind)
                .body(ByteStream::from(text.as_bytes().to_vec()))
                .send()
                .await
        })
        .await?;
        Ok(())
    }

    /// What ran and can be gone back to, the latest first.
    pub(crate) async fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let aws = self.aws;
        let prefix = format!("{}/", self.environment);
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let answer = aws
                .attempt("listing the archive", async || {
                    aws.s3
                        .list_objects_v2()
                        .bucket(&self.bucket)
                        .prefix(&prefix)
                        .expected_bucket_owner(self.account)
                        .set_continuation_token(token.clone())
                        .send()
                        .await
                })
                .await
                .map_err(|trouble| self.explain(trouble))?;
            found.extend(answer.contents().iter().filter_map(|object| {
                let (tag, sha256) = parse_record_key(object.key()?, &prefix)?;
                Some(Entry { tag, sha256, deployed: time(object.last_modified())? })
            }));
            token = answer.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        found.sort_by(|one, other| other.deployed.cmp(&one.deployed));
        Ok(found)
    }

    pub(crate) async fn template(&self, entry: &Entry) -> anyhow::Result<String> {
        self.get(&self.key(&entry.tag, &entry.sha256)).await
    }

    pub(crate) async fn record(&self, entry: &Entry) -> anyhow::Result<String> {
        self.get(&record_key(&self.key(&entry.tag, &entry.sha256))).await
    }

    async fn get(&self, key: &str) -> anyhow::Result<String> {
        let aws = self.aws;
        let answer = aws
            .attempt("reading from the bucket", async || {
                aws.s3.get_object().bucket(&self.bucket).key(key).expected_bucket_owner(self.account).send().await
            })
            .await
            .map_err(|trouble| self.explain(trouble))?;
        let bytes =
            answer.body.collect().await.map_err(|error| {
                Exit::TimedOut.stop(format!("reading {key} from the bucket: {error}"), "run it again")
            })?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Exit::Refused.stop(format!("{key} in the bucket is no text"), ""))
    }

    /// What is wrong with the bucket, where the answer is about the bucket.
    fn explain(&self, trouble: Trouble) -> anyhow::Error {
        if trouble.is_missing() {
            return Exit::Refused.stop(
                format!("bucket {} has not what is looked for, or is not there: {trouble}", self.bucket),
                "correct template_bucket in the configuration file; the bucket must be this account's",
            );
        }
        trouble.stop()
    }
}

fn key(environment: Environment, tag: &str, sha256: &str) -> String {
    format!("{environment}/{tag}/{sha256}.yml")
}

fn record_key(template_key: &str) -> String {
    format!("{}.deployed.json", template_key.trim_end_matches(".yml"))
}

fn parse_record_key(key: &str, prefix: &str) -> Option<(String, String)> {
    let (tag, name) = key.strip_prefix(prefix)?.split_once('/')?;
    Some((tag.to_owned(), name.strip_suffix(".deployed.json")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_by_its_template() {
        let template = key(Environment::Demo, "1a-main", "ff");
        assert_eq!(template, "demo/1a-main/ff.yml");
        assert_eq!(parse_record_key(&record_key(&template), "demo/"), Some(("1a-main".to_owned(), "ff".to_owned())));
        assert_eq!(parse_record_key(&template, "demo/"), None);
    }
}
