//! What can be seen of the system from outside: the Registry's records, what lies in S3, what is left in Redis and NSQ.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use model::{GenericFile, IntellectualObject, PremisEvent, Provider, State, WorkItem};
use nsq::TopicLoad;
use registry::Query;
use storage::{Bucket, Depth};

use crate::system::System;

impl System {
    /// The work items of one tar, oldest first.
    pub async fn items(&self, tar: &str) -> Result<Vec<WorkItem>> {
        let query = Query::new().filter("name", tar).sort("id").page(1).per_page(100);
        Ok(self.registry.all(query).try_collect().await?)
    }

    /// Every work item since the system was started.
    pub async fn all_items(&self) -> Result<Vec<WorkItem>> {
        let query = Query::new().filter("date_processed__gteq", self.started).sort("id").page(1).per_page(1000);
        Ok(self.registry.all(query).try_collect().await?)
    }

    /// The files of all objects that are in force and that were written since the system was started, as the list shows them.
    pub async fn all_files(&self) -> Result<Vec<GenericFile>> {
        let query = Query::new().filter("updated_at__gteq", self.started).filter("state", State::Active);
        Ok(self.registry.all(query.sort("id").page(1).per_page(1000)).try_collect().await?)
    }

    /// An object, if the Registry knows it.
    pub async fn object(&self, identifier: &str) -> Result<Option<IntellectualObject>> {
        match self.registry.object(identifier).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).with_context(|| format!("looking for the object {identifier}")),
        }
    }

    /// An object's files in any state, each as the Registry shows it by itself.
    pub async fn files(&self, object: i64) -> Result<Vec<GenericFile>> {
        let query = Query::new().filter("intellectual_object_id", object).sort("identifier").page(1).per_page(1000);
        let listed: Vec<GenericFile> = self.registry.all(query).try_collect().await?;
        let mut files = Vec::new();
        for file in listed {
            files.push(self.registry.file(file.id).await?);
        }
        Ok(files)
    }

    /// The events of an object and of its files.
    pub async fn events(&self, object: i64) -> Result<Vec<PremisEvent>> {
        let query = Query::new().filter("intellectual_object_id", object).sort("id").page(1).per_page(1000);
        Ok(self.registry.all(query).try_collect().await?)
    }

    /// A bucket, whosever it is: all of them are on one host here.
    ///
    /// # Panics
    /// Never: there is no bucket that this provider does not have.
    pub fn bucket(&self, name: &str) -> Bucket {
        self.storage.bucket(&Provider::Aws, name).expect("the one provider is configured")
    }

    /// The keys in a bucket that begin with this.
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let entries = self.bucket(bucket).list(prefix, Depth::All).into_entries();
        Ok(entries.map_ok(|entry| entry.key).try_collect().await?)
    }

    /// What an object in S3 holds.
    pub async fn bytes(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let (mut download, mut bytes) = (self.bucket(bucket).get(key).await?, Vec::new());
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What Redis keeps of items: a key for each.
    pub async fn redis_keys(&self) -> Result<Vec<String>> {
        let mut connection = self.redis(0).await?;
        Ok(redis::cmd("KEYS").arg("*").query_async(&mut connection).await?)
    }

    /// Forgets which items were swept less than an hour ago.
    pub(crate) async fn forget_sweeps(&self) -> Result<()> {
        let mut leases = self.redis(1).await?;
        let keys: Vec<String> = redis::cmd("KEYS").arg("swept*").query_async(&mut leases).await?;
        for key in keys {
            let (): () = redis::cmd("DEL").arg(key).query_async(&mut leases).await?;
        }
        Ok(())
    }

    async fn redis(&self, database: u32) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{}/{database}", self.servers.access().redis))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// What is in a topic.
    pub async fn load(&self, topic: &str) -> Result<TopicLoad> {
        let topic = topic.parse().with_context(|| format!("the name {topic}"))?;
        Ok(self.lookup.topic_load(&topic).await?)
    }
}
