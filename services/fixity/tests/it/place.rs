//! What the checker stands on in tests: S3 with every preservation bucket, and files that are stored and registered.

use std::time::Duration;

use digests::{Algorithm as Hash, Algorithms, Digests};
use fixity::{Checker, Terms};
use model::bucket::{PreservationBucket, PreservationBuckets, SITES, TABLE};
use model::{Algorithm, Checksum, EventType, GenericFile, PremisEvent, Provider, State, StorageOption, StorageRecord};
use model::{Time, Topic};
use registry::Query;
use stack::s3::{Fault, FaultKind, Operation, S3, StorageClass};
use storage::{Attributes, Budget, Config, Region, Scheme, Storage};
use worker::settings::{EndToEnd, FixityCopies, Registry};
use worker::{Program, QueueWorker};
use world::{Running, World};

pub(crate) const VA: &str = "bucket-standard-va";
pub(crate) const OR: &str = "bucket-standard-or";
/// A file is due when it was not checked for so many days.
pub(crate) const DAYS: u32 = 90;
/// More reads than a test makes.
const MOST: u64 = 100;

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    pub(crate) storage: Storage,
    pub(crate) buckets: PreservationBuckets,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With buckets that archive what is put into them.
    pub(crate) async fn with(archived: &[&str]) -> Self {
        let world = World::new().await;
        let named = |row: &model::bucket::Row| row.bucket.name.to_lowercase().replace('_', "-");
        let options = stack::s3::Options {
            buckets: TABLE.iter().map(named).collect(),
            archived: archived.iter().map(|name| ((*name).to_owned(), StorageClass::Glacier)).collect(),
            ..Default::default()
        };
        let s3 = S3::start(options).await.unwrap();
        let host = s3.address().to_string();
        let buckets: PreservationBuckets =
            TABLE.iter().map(|row| PreservationBucket::new(row, named(row), host.clone())).collect();
        let storage = storage(&host, &buckets).await;
        Self { world, s3, storage, buckets }
    }

    /// A file that is due, registered with these bytes and stored in each bucket of its storage option.
    pub(crate) async fn file(&self, bytes: &[u8], change: impl FnOnce(&mut GenericFile)) -> GenericFile {
        let uuid = uuid::Uuid::new_v4().to_string();
        let now = Time::now();
        let sha256 =
            Checksum { algorithm: Algorithm::Sha256, digest: sha256(bytes), datetime: now, ..Checksum::default() };
        let mut file = GenericFile {
            identifier: format!("test.edu/bag/data/{uuid}"),
            institution_id: 4,
            intellectual_object_id: 1,
            file_format: "text/plain".to_owned(),
            size: i64::try_from(bytes.len()).unwrap(),
            state: State::Active,
            storage_option: StorageOption::Standard,
            checksums: vec![sha256].into(),
            last_fixity_check: days_ago(DAYS + 1),
            uuid: uuid.clone(),
            ..GenericFile::default()
        };
        change(&mut file);
        let buckets = self.buckets.of(&file.storage_option);
        if file.storage_records.is_empty() {
            let record = |url| StorageRecord { url, ..StorageRecord::default() };
            file.storage_records = buckets.iter().map(|bucket| record(bucket.url(&uuid))).collect::<Vec<_>>().into();
        }
        for bucket in buckets {
            self.put(bucket.name(), &file, bytes).await;
        }
        let saved = self.world.client.save_file(&file).await.unwrap();
        self.world.client.file(saved.id).await.unwrap()
    }

    /// What stands in this bucket becomes these bytes.
    pub(crate) async fn put(&self, bucket: &str, file: &GenericFile, bytes: &[u8]) {
        let bucket = self.bucket(bucket);
        bucket.put_bytes(&file.uuid, bytes.to_vec().into(), Attributes::default()).await.unwrap();
    }

    pub(crate) async fn lose(&self, bucket: &str, file: &GenericFile) {
        self.bucket(bucket).delete(&file.uuid).await.unwrap();
    }

    fn bucket(&self, name: &str) -> storage::Bucket {
        let bucket = self.buckets.iter().find(|bucket| bucket.name() == name).unwrap();
        self.storage.bucket(&bucket.row().site.provider, name).unwrap()
    }

    pub(crate) fn url(&self, bucket: &str, file: &GenericFile) -> String {
        self.buckets.iter().find(|known| known.name() == bucket).unwrap().url(&file.uuid)
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(|_| {})
    }

    /// The service, three deliveries of a message at most, with pauses that a test can wait for.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Terms)) -> Running {
        let program: Program<QueueWorker, Registry> = Program {
            name: "w",
            about: "",
            kind: QueueWorker::new(Topic::FixityCheck),
            stage: worker::Stage::Unfinished,
        };
        let (host, buckets) = (self.s3.address().to_string(), self.buckets.clone());
        let mut terms = Terms {
            days: DAYS,
            copies: FixityCopies::One,
            end_to_end: EndToEnd::Off,
            pause: Duration::from_millis(20),
        };
        change(&mut terms);
        self.world.run(&program, &[("W_MAX_ATTEMPTS", "3")], async move |context| {
            let registry = context.settings.client()?;
            let publisher = context.plan.nsq.publisher.publisher()?;
            let storage = storage(&host, &buckets).await;
            Checker::new(registry, storage, buckets, publisher, terms)?.run(context).await
        })
    }

    pub(crate) async fn publish(&self, body: impl ToString) {
        let topic = Topic::FixityCheck.as_str().parse().unwrap();
        self.world.publisher.publish(&topic, body.to_string()).await.unwrap();
    }

    /// Asks for a check, and waits until its message is answered for good.
    pub(crate) async fn check(&self, file: &GenericFile) -> Vec<PremisEvent> {
        self.publish(file.id).await;
        self.idle().await;
        self.events(file).await
    }

    /// Waits until every message is answered for good.
    pub(crate) async fn idle(&self) {
        self.world.until_load(Topic::FixityCheck, (0, 0, 0)).await;
    }

    /// How often messages came back.
    pub(crate) async fn requeued(&self) -> u64 {
        self.world.counts(Topic::FixityCheck).await.1
    }

    /// Waits until one comes back.
    pub(crate) async fn until_requeued(&self) {
        let in_time = tokio::time::timeout(Duration::from_mins(1), async {
            while self.requeued().await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(in_time.await.is_ok(), "no message came back: {:?}", self.world.load(Topic::FixityCheck).await);
    }

    /// The checks that stand, the oldest first.
    pub(crate) async fn events(&self, file: &GenericFile) -> Vec<PremisEvent> {
        let query = Query::new()
            .filter("generic_file_id", file.id)
            .filter("event_type", EventType::FixityCheck)
            .sort("id")
            .per_page(1000);
        self.world.client.list::<PremisEvent>(&query).await.unwrap().results.into_iter().collect()
    }

    pub(crate) async fn last_check(&self, file: &GenericFile) -> Time {
        self.world.client.file(file.id).await.unwrap().last_fixity_check
    }

    /// Adds a fault to the reads of a bucket.
    pub(crate) fn reads(&self, bucket: &str, kind: FaultKind, narrow: impl FnOnce(Fault) -> Fault) {
        let fault = Fault::new(kind).bucket(bucket).operation(Operation::GetObject);
        self.s3.faults().add(narrow(fault)).unwrap();
    }

    /// Counts the reads of a bucket from now on: one fault without effect for each that may come.
    pub(crate) fn count(&self, bucket: &str) {
        for times in 1..=MOST {
            self.reads(bucket, FaultKind::Latency { milliseconds: 0 }, |fault| fault.times(times));
        }
    }

    pub(crate) fn counted(&self, bucket: &str) -> u64 {
        let ours = |fault: &&Fault| {
            fault.bucket.as_deref() == Some(bucket) && matches!(fault.kind, FaultKind::Latency { milliseconds: 0 })
        };
        MOST - self.s3.faults().list().iter().filter(ours).count() as u64
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digests::of(Algorithms::ALL, bytes).get(Hash::Sha256).unwrap().to_owned()
}

pub(crate) fn days_ago(days: u32) -> Time {
    (Time::now().inner() - time::Duration::days(days.into())).into()
}

/// Answered with 500 by a server that may be well later.
pub(crate) fn failing() -> FaultKind {
    FaultKind::Status { status: 500, code: "InternalError".to_owned() }
}

/// Gives up after two requests, so that the message's own attempts are seen.
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
    Storage::new(&config, &Budget::new(64 << 20)).await.unwrap()
}
