//! Preserved files, each with its copies in S3 and its record in the Registry, and the service that deletes them.

use std::time::Duration;

use deletion::Deleter;
use model::bucket::{PreservationBucket, PreservationBuckets, SITES, TABLE};
use model::{
    Checksum, EventType, GenericFile, IntellectualObject, PremisEvent, Provider, State, StorageOption, StorageRecord,
    Time, Topic, WorkItem,
};
use registry::Query;
use stack::s3::{Fault, FaultKind, S3};
use storage::{Attributes, Bucket, Budget, Config, Region, Scheme, Storage};
use worker::settings::{EndToEnd, Retention};
use worker::{ItemWorker, Program, Rules};
use world::{Running, World};

/// The days that the stand-in of the Registry has, too.
pub(crate) const RETENTION: Retention = Retention { standard: 0, glacier: 90, glacier_deep: 180, wasabi: 90 };
const INSTITUTION: i64 = 4;

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    storage: Storage,
    buckets: PreservationBuckets,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let named = |row: &model::bucket::Row| row.bucket.name.to_lowercase().replace('_', "-");
        let all = TABLE.iter().map(named).collect();
        let s3 = S3::start(stack::s3::Options { buckets: all, ..Default::default() }).await.unwrap();
        let host = s3.address().to_string();
        let buckets: PreservationBuckets =
            TABLE.iter().map(|row| PreservationBucket::new(row, named(row), host.clone())).collect();
        let storage = storage(&host, &buckets).await;
        Self { world, s3, storage, buckets }
    }

    /// A bucket by its name in the table.
    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        let name = name.to_lowercase().replace('_', "-");
        let row = self.buckets.iter().find(|bucket| bucket.name() == name).unwrap();
        self.storage.bucket(&row.row().site.provider, row.name()).unwrap()
    }

    /// An object with so many files, stored and recorded.
    pub(crate) async fn object(&self, option: &StorageOption, files: usize) -> (IntellectualObject, Vec<GenericFile>) {
        let name = format!("bag-{}", Time::now().inner().unix_timestamp_nanos());
        let object = IntellectualObject {
            identifier: format!("test.edu/{name}"),
            bag_name: name,
            title: "A bag".to_owned(),
            access: "consortia".into(),
            institution_id: INSTITUTION,
            state: State::Active,
            storage_option: option.clone(),
            ..IntellectualObject::default()
        };
        let object = self.world.client.save_object(&object).await.unwrap();
        let mut records = Vec::new();
        for number in 0..files {
            let uuid = format!("{:08x}-0000-4000-8000-{number:012x}", object.id);
            let mut urls = Vec::new();
            for bucket in self.buckets.of(option) {
                let client = self.storage.bucket(&bucket.row().site.provider, bucket.name()).unwrap();
                client.put_bytes(&uuid, b"precious".to_vec().into(), Attributes::default()).await.unwrap();
                urls.push(bucket.url(&uuid));
            }
            records.push(record(&object, number, &uuid, urls));
        }
        let mut created = Vec::new();
        for batch in records.chunks(100) {
            created.extend(self.world.client.create_files(INSTITUTION, batch).await.unwrap());
        }
        (object, created)
    }

    /// An agreed deletion of a file that is old enough.
    pub(crate) async fn file_deletion(&self, file: &GenericFile) -> WorkItem {
        let id = self.world.registry.store().prepare_file_delete(file.id).unwrap().id;
        self.pending(id).await
    }

    pub(crate) async fn object_deletion(&self, object: &IntellectualObject) -> WorkItem {
        let id = self.world.registry.store().prepare_object_delete(object.id).unwrap().id;
        self.pending(id).await
    }

    /// As the Registry has it when both have agreed, and nobody has begun.
    async fn pending(&self, id: i64) -> WorkItem {
        let item = self.world.look(id).await;
        let item = WorkItem { status: model::Status::Pending, ..item };
        self.world.client.save_work_item(&item).await.unwrap();
        self.world.look(id).await
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(RETENTION)
    }

    pub(crate) fn start_with(&self, retention: Retention) -> Running {
        let program: Program<ItemWorker, ()> = Program {
            name: "w",
            about: "",
            kind: ItemWorker::new(Rules::deletion()).requeue_delay(Duration::from_millis(50)),
            stage: worker::Stage::Unfinished,
        };
        let (host, buckets) = (self.s3.address().to_string(), self.buckets.clone());
        self.world.run(&program, &[("W_MAX_ATTEMPTS", "2")], async move |context| {
            let storage = storage(&host, &buckets).await;
            context.run(Deleter::new(storage, buckets, retention, EndToEnd::Off)).await
        })
    }

    /// The item once nobody works on it any more.
    pub(crate) async fn over(&self, item: &WorkItem) -> WorkItem {
        self.world.publish(Topic::DeleteItem, item.id).await;
        self.world.until(item.id, |item| !item.retry).await
    }

    /// The same, with a service for it alone.
    pub(crate) async fn run(&self, item: &WorkItem) -> WorkItem {
        let running = self.start();
        let item = self.over(item).await;
        running.stop().await;
        item
    }

    /// Keys of the copies in a bucket.
    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let (bucket, mut keys) = (self.bucket(bucket), Vec::new());
        let mut list = bucket.list("", storage::Depth::All);
        while let Some(page) = list.page().await.unwrap() {
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
        }
        keys
    }

    /// Events of deletions, by the identifiers of files; none for that of the object.
    pub(crate) async fn deletions(&self, object: i64) -> Vec<PremisEvent> {
        let query = Query::new().filter("intellectual_object_id", object).per_page(1000);
        let events = self.world.client.list::<PremisEvent>(&query).await.unwrap().results;
        events.into_iter().filter(|event| event.event_type == EventType::Deletion).collect()
    }

    /// Says of the next request to S3 that there was one.
    pub(crate) fn watch_s3(&self) {
        self.s3.faults().add(Fault::new(FaultKind::Latency { milliseconds: 0 }).times(1)).unwrap();
    }

    #[track_caller]
    pub(crate) fn assert_s3_was_not_asked(&self) {
        assert_eq!(self.s3.faults().list().len(), 1, "a request came to S3");
        self.s3.faults().reset();
    }
}

/// The file as it would be created anew.
pub(crate) fn anew(file: &GenericFile) -> GenericFile {
    let object = IntellectualObject {
        id: file.intellectual_object_id,
        storage_option: file.storage_option.clone(),
        ..IntellectualObject::default()
    };
    record(&object, 0, &file.uuid, file.storage_records.iter().map(|record| record.url.clone()).collect())
}

fn record(object: &IntellectualObject, number: usize, uuid: &str, urls: Vec<String>) -> GenericFile {
    let now = Time::now();
    let identifier = format!("{}/data/{number}", object.identifier);
    GenericFile {
        checksums: vec![Checksum {
            algorithm: model::Algorithm::Sha256,
            digest: "0".repeat(64),
            datetime: now,
            ..Checksum::default()
        }]
        .into(),
        file_format: "text/plain".to_owned(),
        identifier,
        institution_id: INSTITUTION,
        intellectual_object_id: object.id,
        last_fixity_check: now,
        size: 8,
        state: State::Active,
        storage_option: object.storage_option.clone(),
        storage_records: urls
            .into_iter()
            .map(|url| StorageRecord { url, ..StorageRecord::default() })
            .collect::<Vec<_>>()
            .into(),
        uuid: uuid.to_owned(),
        ..GenericFile::default()
    }
}

async fn storage(host: &str, buckets: &PreservationBuckets) -> Storage {
    let provider = |name: &Provider| storage::Provider {
        name: name.clone(),
        host: host.to_owned(),
        scheme: Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let providers = SITES.iter().map(|site| provider(&site.provider)).collect();
    let limits = storage::Limits { attempts: 2, ..storage::Limits::default() };
    let config = Config { providers, regions: buckets.iter().map(Region::of).collect(), limits };
    Storage::new(&config, &Budget::new(16 << 20)).await.unwrap()
}
