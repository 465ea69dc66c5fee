//! The settings of S3: hosts, credentials and buckets. Which storage option uses which bucket is not known here.

use worker::settings::{Bucket, Host, Reader, Reported, Secret, Section};

use crate::names;

/// The S3 of receiving, staging and restoration buckets, and of those preservation buckets that AWS keeps.
#[derive(Debug, Clone)]
pub struct S3 {
    pub scheme: Scheme,
    pub host: Host,
    /// Without them, the SDK's own chain finds the task's role.
    pub credentials: Option<Credentials>,
}

/// How S3 is spoken to: plainly under `APT_ENV=dev` and `test`, whose servers have no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// An access key and its secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub key: Secret,
    pub secret: Secret,
}

/// Where files wait between receiving and preservation.
#[derive(Debug, Clone)]
pub struct Staging {
    pub bucket: Bucket,
}

/// The preservation buckets that AWS keeps.
#[derive(Debug, Clone)]
pub struct AwsBuckets {
    pub standard_oregon: Bucket,
    pub standard_virginia: Bucket,
    pub glacier_ohio: Bucket,
    pub glacier_oregon: Bucket,
    pub glacier_virginia: Bucket,
    pub glacier_deep_ohio: Bucket,
    pub glacier_deep_oregon: Bucket,
    pub glacier_deep_virginia: Bucket,
}

/// The preservation buckets that Wasabi keeps.
#[derive(Debug, Clone)]
pub struct Wasabi {
    pub scheme: Scheme,
    pub oregon: WasabiRegion,
    pub texas: WasabiRegion,
    pub virginia: WasabiRegion,
    pub credentials: Option<Credentials>,
}

/// One of Wasabi's regions.
#[derive(Debug, Clone)]
pub struct WasabiRegion {
    pub host: Host,
    pub bucket: Bucket,
}

impl Section for S3 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let host = reader.setting(names::S3_AWS_HOST).required();
        let key = reader.setting(names::S3_AWS_KEY).optional();
        let secret = reader.setting(names::S3_AWS_SECRET).optional();
        let credentials = credentials(reader, (names::S3_AWS_KEY, key), (names::S3_AWS_SECRET, secret));
        Ok(Self { scheme: scheme(reader), host: host?, credentials: credentials? })
    }
}

impl Section for Staging {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { bucket: reader.setting(names::STAGING_BUCKET).check(named_staging).required()? })
    }
}

impl Section for AwsBuckets {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let mut bucket = |name| reader.setting::<Bucket>(name).required();
        let standard_oregon = bucket(names::BUCKET_STANDARD_OR);
        let standard_virginia = bucket(names::BUCKET_STANDARD_VA);
        let glacier_ohio = bucket(names::BUCKET_GLACIER_OH);
        let glacier_oregon = bucket(names::BUCKET_GLACIER_OR);
        let glacier_virginia = bucket(names::BUCKET_GLACIER_VA);
        let glacier_deep_ohio = bucket(names::BUCKET_GLACIER_DEEP_OH);
        let glacier_deep_oregon = bucket(names::BUCKET_GLACIER_DEEP_OR);
        let glacier_deep_virginia = bucket(names::BUCKET_GLACIER_DEEP_VA);
        Ok(Self {
            standard_oregon: standard_oregon?,
            standard_virginia: standard_virginia?,
            glacier_ohio: glacier_ohio?,
            glacier_oregon: glacier_oregon?,
            glacier_virginia: glacier_virginia?,
            glacier_deep_ohio: glacier_deep_ohio?,
            glacier_deep_oregon: glacier_deep_oregon?,
            glacier_deep_virginia: glacier_deep_virginia?,
        })
    }
}

impl Section for Wasabi {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let mut region = |host, bucket| {
            let host = reader.spelled(host).required();
            let bucket = reader.spelled(bucket).required();
            Ok(WasabiRegion { host: host?, bucket: bucket? })
        };
        let oregon = region(names::S3_WASABI_HOST_OR, names::BUCKET_WASABI_OR);
        let texas = region(names::S3_WASABI_HOST_TX, names::BUCKET_WASABI_TX);
        let virginia = region(names::S3_WASABI_HOST_VA, names::BUCKET_WASABI_VA);
        let key = reader.spelled(names::S3_WASABI_KEY).optional();
        let secret = reader.spelled(names::S3_WASABI_SECRET).optional();
        let names = (names::S3_WASABI_KEY.0, names::S3_WASABI_SECRET.0);
        let credentials = credentials(reader, (names.0, key), (names.1, secret));
        Ok(Self {
            scheme: scheme(reader),
            oregon: oregon?,
            texas: texas?,
            virginia: virginia?,
            credentials: credentials?,
        })
    }
}

fn scheme(reader: &Reader<'_>) -> Scheme {
    match reader.environment_name() {
        Some("dev" | "test") => Scheme::Http,
        _ => Scheme::Https,
    }
}

type Found<'a> = (&'a str, Result<Option<Secret>, Reported>);

/// Both or neither.
fn credentials(reader: &mut Reader<'_>, key: Found<'_>, secret: Found<'_>) -> Result<Option<Credentials>, Reported> {
    let half = |set: &str, unset: &str| {
        format!("{unset} is not set, but {set} is; set both, or neither to use the task's role")
    };
    match (key.1?, secret.1?) {
        (Some(key), Some(secret)) => Ok(Some(Credentials { key, secret })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(reader.refuse(half(key.0, secret.0))),
        (None, Some(_)) => Err(reader.refuse(half(secret.0, key.0))),
    }
}

fn named_staging(bucket: Bucket) -> Result<Bucket, String> {
    // Cleanup deletes everything of an item in there.
    if bucket.as_str().contains("staging") {
        return Ok(bucket);
    }
    Err("does not contain `staging`; set it to the staging bucket, whose name must say so".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::path::Path;

    use super::*;

    fn read<S: Section>(variables: &[(&str, &str)]) -> Result<S, Vec<String>> {
        worker::settings::read(variables.iter().copied().collect(), Path::new("/no such folder"))
    }

    #[test]
    fn sections_refuse_what_makes_no_sense() {
        fn refused<S: Section + Debug>(variables: &[(&str, &str)], said: &str) {
            let problems = read::<S>(variables).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
        }
        refused::<Staging>(&[("STAGING_BUCKET", "aptrust.prod")], "STAGING_BUCKET does not contain `staging`");
        refused::<S3>(&[("S3_AWS_HOST", "s3"), ("S3_AWS_KEY", "k")], "S3_AWS_SECRET is not set, but S3_AWS_KEY is");
        refused::<S3>(&[("S3_AWS_HOST", "s3"), ("S3_AWS_SECRET", "s")], "S3_AWS_KEY is not set, but S3_AWS_SECRET is");
    }

    #[test]
    fn s3_is_spoken_to_plainly_under_dev_and_test_only() {
        for (name, expected) in
            [("dev", Scheme::Http), ("test", Scheme::Http), ("demo", Scheme::Https), ("", Scheme::Https)]
        {
            // Where an environment is named, its file must be there.
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(format!(".env.{name}")), "").unwrap();
            let variables = [("APT_ENV", name), ("S3_AWS_HOST", "s3.local")];
            let s3: S3 = worker::settings::read(variables.into_iter().collect(), folder.path()).unwrap();
            assert_eq!(s3.scheme, expected, "{name}");
        }
    }

    #[test]
    fn either_spelling_will_do() {
        let with = |host: &'static str, bucket: &'static str| {
            let regions = ["OR", "TX", "VA"]
                .map(|region| [(format!("{host}_{region}"), "h.local"), (format!("{bucket}_{region}"), "bucket")]);
            let variables: Vec<(String, &str)> = regions.into_iter().flatten().collect();
            let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            read::<Wasabi>(&variables).unwrap()
        };
        assert_eq!(with("S3_WASABI_HOST", "BUCKET_NEWSTORAGEOPTION").texas.bucket.as_str(), "bucket");
        assert_eq!(with("S3_NEWSTORAGEOPTION_HOST", "BUCKET_WASABI").virginia.host.as_str(), "h.local");
    }
}
