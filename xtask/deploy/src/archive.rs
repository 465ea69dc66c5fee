//! The bucket with templates: how large ones get to CloudFormation, and what one can go back to.
//!
//! A template lies at `<env>/<tag>/<sha256>.yml` and is never deleted. When its deployment was verified, the record of the
//! deployment is put beside it, which is how rollback tells a template that ran from one that only was tried.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use xtask::cli::deploy::Environment;
use xtask::exit::Exit;

use crate::aws::{Aws, Trouble};
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
        self.put(key, text, "application/yaml").await.map_err(|trouble| self.explain(trouble))
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
