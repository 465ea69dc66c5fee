//! The client as a whole: made from settings, shared by all buckets, closed at the end.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::bucket::Bucket;
use crate::budget::Budget;
use crate::config::Config;
use crate::connection::{Connection, Shared, http};
use crate::error::{Error, Kind, Target};

/// All of S3. Cheap to clone; the clones share connections and credentials.
#[derive(Debug, Clone)]
pub struct Storage {
    connections: Arc<[Arc<Connection>]>,
    shared: Arc<Shared>,
}

impl Storage {
    /// Makes the clients. Nothing is sent to S3 yet. The budget is the process's: what else it makes shares it.
    pub async fn new(config: &Config, budget: &Budget) -> Result<Self, Error> {
        let http = http();
        let mut connections = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let known = config.regions.iter().filter(|known| known.provider == provider.name);
            let known = known.map(|known| (known.bucket.clone(), known.region.clone())).collect();
            connections.push(Arc::new(Connection::new(provider, known, &config.limits, http.clone()).await?));
        }
        let (limits, budget, cleanups) = (config.limits.clone(), budget.clone(), TaskTracker::new());
        Ok(Self { connections: connections.into(), shared: Arc::new(Shared { limits, budget, cleanups }) })
    }

    /// A bucket of the provider of that name. Nothing is sent.
    pub fn bucket(&self, provider: &model::Provider, name: &str) -> Result<Bucket, Error> {
        let found = self.connections.iter().find(|connection| connection.name == *provider);
        let Some(connection) = found else {
            let message = format!("no S3 client for provider {} or bucket {name}", provider.as_str());
            return Err(Target::new("use", name, None).fails(Kind::Settings, message));
        };
        Ok(Bucket::new(Arc::clone(connection), Arc::clone(&self.shared), name))
    }

    /// Waits until the uploads that were given up half-way are aborted: at most [`Limits::answer`]. Every program calls it at
    /// its end, when it uploads nothing any more; otherwise their parts stay, and cost money, until the bucket's own rules
    /// remove them.
    ///
    /// [`Limits::answer`]: crate::Limits::answer
    pub async fn close(&self) {
        self.shared.cleanups.close();
        self.shared.cleanups.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use aws_sdk_s3::presigning::PresigningConfig;
    use model::Provider::{Aws, Local, WasabiOr, WasabiTx, WasabiVa};
    use model::bucket::{PreservationBucket, PreservationBuckets, TABLE};

    use super::*;
    use crate::config::{Limits, Region, Scheme};
    use crate::connection::testing::{answering, provider};

    fn buckets() -> PreservationBuckets {
        TABLE.iter().map(PreservationBucket::in_production).collect()
    }

    async fn production() -> Storage {
        let buckets = buckets();
        let regions = buckets.iter().map(Region::of);
        let providers = vec![
            provider(Aws, "s3.amazonaws.com", Scheme::Https),
            provider(WasabiOr, "s3.us-west-1.wasabisys.com", Scheme::Https),
            provider(WasabiTx, "s3.us-central-1.wasabisys.com", Scheme::Https),
            provider(WasabiVa, "S3.us-east-1.WasabiSys.com", Scheme::Https),
            provider(Local, "localhost:9899", Scheme::Http),
        ];
        // One without dots, of which nobody needs to be asked for the region.
        let dotless = Region { provider: Aws, bucket: "dotless-bucket".to_owned(), region: "us-east-1".to_owned() };
        let regions = regions.chain([dotless]).collect();
        let config = Config { providers, regions, limits: Limits::default() };
        Storage::new(&config, &Budget::new(0)).await.unwrap()
    }

    /// The URL that a request goes to, and the region that it is signed for.
    async fn url(storage: &Storage, provider: &model::Provider, bucket: &str) -> (String, String) {
        let client = storage.bucket(provider, bucket).unwrap().client().await.unwrap();
        let presigning = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
        let signed = client.get_object().bucket(bucket).key("a/key").presigned(presigning).await.unwrap();
        let (url, query) = signed.uri().split_once('?').unwrap();
        let region = query.split("%2F").nth(2).unwrap();
        (url.to_owned(), region.to_owned())
    }

    #[tokio::test]
    async fn every_preservation_bucket_has_its_url() {
        let storage = production().await;
        let expected = [
            "https://s3.us-east-1.amazonaws.com/aptrust.preservation.storage/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.oregon/a/key",
            "https://s3.us-east-2.amazonaws.com/aptrust.preservation.glacier.oh/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.glacier.or/a/key",
            "https://s3.us-east-1.amazonaws.com/aptrust.preservation.glacier.va/a/key",
            "https://s3.us-east-2.amazonaws.com/aptrust.preservation.glacier-deep.oh/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.glacier-deep.or/a/key",
            "https://s3.us-east-1.amazonaws.com/aptrust.preservation.glacier-deep.va/a/key",
            "https://s3.us-west-1.wasabisys.com/aptrust-production-wasabi-or/a/key",
            "https://s3.us-central-1.wasabisys.com/aptrust-production-wasabi-tx/a/key",
            "https://s3.us-east-1.wasabisys.com/aptrust-production-wasabi-va/a/key",
        ];
        let buckets = buckets();
        assert_eq!(buckets.iter().count(), expected.len());
        for (bucket, expected) in buckets.iter().zip(expected) {
            let (url, region) = url(&storage, &bucket.row().site.provider, bucket.name()).await;
            assert_eq!((url.as_str(), region.as_str()), (expected, bucket.row().region));
        }
        let (dotless, _) = url(&storage, &Aws, "dotless-bucket").await;
        assert_eq!(dotless, "https://dotless-bucket.s3.us-east-1.amazonaws.com/a/key");
        let local = url(&storage, &Local, "some.bucket").await;
        assert_eq!(local, ("http://localhost:9899/some.bucket/a/key".to_owned(), "us-east-1".to_owned()));
    }

    #[tokio::test]
    async fn a_checksum_that_came_along_is_compared() {
        for (checksum, is_right) in [("NhCmhg==", true), ("AAAAAA==", false)] {
            let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 5";
            let (address, server) = answering(format!("{head}\r\nx-amz-checksum-crc32: {checksum}\r\n\r\nhello")).await;
            let local = provider(Local, &address, Scheme::Http);
            let connection = Connection::new(&local, HashMap::new(), &Limits::default(), http()).await.unwrap();
            let config = Config { providers: vec![local], regions: vec![], limits: Limits::default() };
            let storage = Storage::new(&config, &Budget::new(0)).await.unwrap();
            let bucket = Bucket::new(Arc::new(connection.checking()), Arc::clone(&storage.shared), "bucket");
            let mut download = bucket.get("key").await.unwrap();
            assert_eq!(download.chunk().await.unwrap().as_deref(), Some(&b"hello"[..]));
            let end = download.chunk().await;
            assert_eq!(end.as_ref().err().map(Error::kind), (!is_right).then_some(Kind::Unavailable), "{end:?}");
            assert!(server.await.unwrap().contains("x-amz-checksum-mode: ENABLED"));
        }
    }
}
