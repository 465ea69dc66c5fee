//! Objects as ingest leaves them, in the Registry and in preservation storage, for tests of restorers.

use std::collections::BTreeMap;
use std::time::Duration;

use buckets::Retrieval;
use digests::{Algorithm as Hash, Algorithms, Digests};
use model::bucket::{PreservationBucket, PreservationBuckets, SITES, TABLE};
use model::{
    Access, Action, Algorithm, Checksum, GenericFile, IntellectualObject, List, Provider, Stage, State, Status,
    StorageOption, StorageRecord, Time, Topic, WorkItem,
};
use restoration::{BagRestorer, FileRestorer, GlacierRestorer, Ground};
use stack::s3::{Fault, FaultKind, Operation, S3, StorageClass};
use storage::{Attributes, Bucket, Budget, Config, Region, Scheme, Storage};
use worker::settings::{EndToEnd, RestoreDir};
use worker::{Context, ItemPlan, ItemWorker, Program, Rules};
use world::{Running, World};

pub(crate) const TARGET: &str = "aptrust.restore.test.test.edu";
pub(crate) const VA: &str = "bucket-standard-va";
pub(crate) const OR: &str = "bucket-standard-or";
/// With a fraction, as some tars have it.
pub(crate) const MTIME: &str = "2020-09-13T12:26:40.123456Z";

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    pub(crate) storage: Storage,
    pub(crate) buckets: PreservationBuckets,
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let named = |row: &model::bucket::Row| row.bucket.name.to_lowercase().replace('_', "-");
        let mut buckets: Vec<String> = TABLE.iter().map(named).collect();
        buckets.push(TARGET.to_owned());
        let archived = BTreeMap::from([("bucket-glacier-oh".to_owned(), StorageClass::Glacier)]);
        let s3 = S3::start(stack::s3::Options { buckets, archived, ..Default::default() }).await.unwrap();
        let host = s3.address().to_string();
        let buckets: PreservationBuckets =
            TABLE.iter().map(|row| PreservationBucket::new(row, named(row), host.clone())).collect();
        let storage = storage(&host, &buckets, &Budget::new(64 << 20)).await;
        Self { world, s3, storage, buckets, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        self.storage.bucket(&Provider::Aws, name).unwrap()
    }

    /// An object of these files, with a copy of each in every bucket of the option.
    pub(crate) async fn object(
        &self,
        name: &str,
        option: &StorageOption,
        files: &[(&str, Vec<u8>)],
        change: impl Fn(&mut GenericFile),
    ) -> IntellectualObject {
        let identifier = format!("test.edu/{name}");
        let object = IntellectualObject {
            identifier: identifier.clone(),
            bag_name: name.to_owned(),
            title: name.to_owned(),
            etag: "0123456789abcdef0123456789abcdef".to_owned(),
            institution_id: 4,
            access: Access::Institution,
            state: State::Active,
            storage_option: option.clone(),
            ..IntellectualObject::default()
        };
        let object = self.world.client.save_object(&object).await.unwrap();
        let mut records = Vec::new();
        for (path, bytes) in files {
            let mut file = self.preserve(&object, option, path, bytes).await;
            change(&mut file);
            records.push(file);
        }
        for batch in records.chunks(100) {
            self.world.client.create_files(4, batch).await.unwrap();
        }
        self.world.client.object(&identifier).await.unwrap()
    }

    async fn preserve(
        &self,
        object: &IntellectualObject,
        option: &StorageOption,
        path: &str,
        bytes: &[u8],
    ) -> GenericFile {
        let uuid = uuid::Uuid::new_v4().to_string();
        let mut urls = Vec::new();
        for bucket in self.buckets.of(option) {
            let there = self.storage.bucket(&bucket.row().site.provider, bucket.name()).unwrap();
            there.put_bytes(&uuid, bytes.to_vec().into(), Attributes::default()).await.unwrap();
            urls.push(StorageRecord { url: bucket.url(&uuid), ..StorageRecord::default() });
        }
        let checksums = Digests::of(Algorithms::ALL, bytes);
        let checksums = checksums.iter().map(|(algorithm, digest)| Checksum {
            algorithm: Algorithm::from(Hash::as_str(algorithm)),
            digest: digest.to_owned(),
            datetime: Time::now(),
            ..Checksum::default()
        });
        GenericFile {
            identifier: format!("{}/{path}", object.identifier),
            intellectual_object_id: object.id,
            institution_id: 4,
            uuid,
            size: i64::try_from(bytes.len()).unwrap(),
            file_format: "text/plain".to_owned(),
            state: State::Active,
            storage_option: option.clone(),
            mtime: MTIME.parse().unwrap(),
            checksums: checksums.collect::<Vec<_>>().into(),
            storage_records: List::from(urls),
            ..GenericFile::default()
        }
    }

    pub(crate) async fn file(&self, object: &IntellectualObject, path: &str) -> GenericFile {
        self.world.client.file(&format!("{}/{path}", object.identifier)).await.unwrap()
    }

    /// What Registry makes of a request to restore the object, or a file of it.
    pub(crate) async fn request(&self, action: Action, object: &IntellectualObject, file: i64) -> WorkItem {
        let name = format!("{}.tar", object.bag_name);
        let change = |item: &mut WorkItem| {
            item.name = name;
            item.intellectual_object_id = object.id;
            item.generic_file_id = file;
        };
        self.world.item(action, Stage::Requested, change).await
    }

    pub(crate) fn start_file(&self) -> Running {
        self.start(Topic::RestoreFile, async |context, ground| {
            context.run(FileRestorer::new(ground, EndToEnd::Off)).await
        })
    }

    pub(crate) fn start_bag(&self) -> Running {
        let folder = RestoreDir(self.folder.path().to_owned());
        self.start(Topic::RestoreObject, async move |context, ground| {
            context.run(BagRestorer::new(ground, &folder, EndToEnd::Off)).await
        })
    }

    /// With little patience for S3, and a look at it twenty times a second.
    pub(crate) fn start_glacier(&self, retrieval: Retrieval) -> Running {
        self.start(Topic::RestoreGlacier, async move |context, ground| {
            let publisher = context.plan.clients()?.publisher;
            let pause = context.plan.queue.requeue_delay;
            let Ground { storage, buckets, .. } = ground;
            context.run(GlacierRestorer::new(storage, buckets, retrieval, publisher, pause)).await
        })
    }

    fn start<F>(&self, topic: Topic, life: impl FnOnce(Context<ItemPlan, ()>, Ground) -> F + Send + 'static) -> Running
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let program: Program<ItemWorker, ()> = Program {
            name: "w",
            about: "",
            kind: ItemWorker::new(Rules::restoration(topic)).requeue_delay(Duration::from_millis(50)),
            stage: worker::Stage::Unfinished,
        };
        let (host, buckets) = (self.s3.address().to_string(), self.buckets.clone());
        self.world.run(&program, &[("W_MAX_ATTEMPTS", "2")], async move |context| {
            let budget = Budget::new(64 << 20);
            let storage = storage(&host, &buckets, &budget).await;
            let ground = Ground::new(storage.clone(), buckets, budget).unwrap();
            let ended = life(context, ground).await;
            storage.close().await;
            ended
        })
    }

    /// Runs a restorer over one item until it has come to this status.
    pub(crate) async fn restored(&self, running: Running, topic: Topic, item: &WorkItem, status: Status) -> WorkItem {
        self.world.publish(topic, item.id).await;
        let item = self.world.until(item.id, |item| !item.retry).await;
        running.stop().await;
        assert_eq!(item.status, status, "{item:?}");
        item
    }

    /// What stands under a key of the restoration bucket.
    pub(crate) async fn fetched(&self, key: &str) -> Option<Vec<u8>> {
        self.bucket(TARGET).find(key).await.unwrap()?;
        let mut download = self.bucket(TARGET).get(key).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        Some(bytes)
    }

    /// Puts something else in the place of a copy.
    pub(crate) async fn damage(&self, bucket: &str, file: &GenericFile, bytes: Vec<u8>) {
        self.bucket(bucket).put_bytes(&file.uuid, bytes.into(), Attributes::default()).await.unwrap();
    }

    pub(crate) fn fault(bucket: &str, operation: Operation, kind: FaultKind) -> Fault {
        Fault::new(kind).bucket(bucket).operation(operation)
    }
}

async fn storage(host: &str, buckets: &PreservationBuckets, budget: &Budget) -> Storage {
    let provider = |name: &Provider| storage::Provider {
        name: name.clone(),
        host: host.to_owned(),
        scheme: Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let providers = SITES.iter().map(|site| provider(&site.provider)).collect();
    let pause = Duration::from_millis(10);
    let limits = storage::Limits { attempts: 2, pause, answer: Duration::from_secs(10), ..storage::Limits::default() };
    let config = Config { providers, regions: buckets.iter().map(Region::of).collect(), limits };
    Storage::new(&config, budget).await.unwrap()
}
