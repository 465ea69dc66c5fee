//! A bag in the middle of its ingest, for tests of single stages: S3 with all buckets, and documents in Redis as the stages before
//! leave them.

use std::time::Duration;

use digests::{Algorithm as Hash, Algorithms, Digests};
use ingest::{Ground, Institutions, Versions};
use model::bucket::{PreservationBucket, PreservationBuckets, SITES, TABLE};
use model::{
    Action, Algorithm, ChecksumSource, IngestChecksum, IngestFile, IngestObject, Provider, Stage, Time, Topic, WorkItem,
};
use stack::s3::{Fault, FaultKind, Operation, S3};
use storage::{Attributes, Bucket, Budget, Config, Region, Scheme, Storage};
use worker::{ItemStage, ItemWorker, Program, Rules};
use world::{Running, World};

pub(crate) const RECEIVING: &str = "aptrust.receiving.test.test.edu";
pub(crate) const STAGING: &str = "staging";
/// More requests than a test makes.
const MOST: u64 = 300;

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    pub(crate) storage: Storage,
    pub(crate) buckets: PreservationBuckets,
}

/// An item, and what is in Redis of it.
pub(crate) struct Bag {
    pub(crate) item: WorkItem,
    pub(crate) object: IngestObject,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let named = |row: &model::bucket::Row| row.bucket.name.to_lowercase().replace('_', "-");
        let mut buckets: Vec<String> = TABLE.iter().map(named).collect();
        buckets.extend([RECEIVING, STAGING].map(str::to_owned));
        let s3 = S3::start(stack::s3::Options { buckets, ..Default::default() }).await.unwrap();
        let host = s3.address().to_string();
        let buckets: PreservationBuckets =
            TABLE.iter().map(|row| PreservationBucket::new(row, named(row), host.clone())).collect();
        let storage = storage(&host, &buckets, &Budget::new(64 << 20)).await;
        Self { world, s3, storage, buckets }
    }

    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        self.storage.bucket(&Provider::Aws, name).unwrap()
    }

    /// A bag of these files at this stage, its tar in receiving. `change` is what earlier stages did to the documents.
    pub(crate) async fn bag(
        &self,
        stage: Stage,
        files: &[(&str, Vec<u8>)],
        change: impl Fn(&mut IngestObject, &mut Vec<IngestFile>),
    ) -> Bag {
        let tar = tar(files);
        let size = i64::try_from(tar.len()).unwrap();
        let name = format!("bag-{}.tar", Time::now().inner().unix_timestamp_nanos());
        let stored = self.bucket(RECEIVING).put_bytes(&name, tar.into(), Attributes::default()).await.unwrap();
        let etag = stored.etag.as_str();
        let item = self.world.item(Action::Ingest, stage, |item| {
            item.name.clone_from(&name);
            etag.clone_into(&mut item.etag);
        });
        let item = item.await;
        let mut object = IngestObject::new(RECEIVING, &name, etag, "test.edu", item.institution_id, size);
        object.file_count = i64::try_from(files.len()).unwrap();
        let mut documents: Vec<IngestFile> = files.iter().map(|(path, bytes)| document(&object, path, bytes)).collect();
        change(&mut object, &mut documents);
        self.world.store.save_object(item.id, &object).await.unwrap();
        self.world.store.save_files(item.id, &documents).await.unwrap();
        Bag { item, object }
    }

    pub(crate) async fn file(&self, bag: &Bag, path: &str) -> IngestFile {
        self.world.store.file(bag.item.id, &bag.object.file_identifier(path)).await.unwrap().unwrap()
    }

    /// Stands in staging as the uploader leaves it.
    pub(crate) async fn stage_file(&self, bag: &Bag, path: &str, bytes: &[u8]) {
        let key = format!("{}/{}", bag.item.id, self.file(bag, path).await.uuid);
        self.bucket(STAGING).put_bytes(&key, bytes.to_vec().into(), Attributes::default()).await.unwrap();
    }

    /// The service with this stage; nobody looks whether the tar is still there but the stage itself.
    pub(crate) fn start<T: ItemStage>(
        &self,
        topic: Topic,
        settings: &[(&str, &str)],
        stage: impl FnOnce(&Ground, PreservationBuckets) -> T + Send + 'static,
    ) -> Running {
        let program: Program<ItemWorker, ()> = Program {
            name: "w",
            about: "",
            kind: ItemWorker::new(Rules::ingest(topic, "Done")).requeue_delay(Duration::from_millis(50)),
            stage: worker::Stage::Unfinished,
        };
        let (host, buckets) = (self.s3.address().to_string(), self.buckets.clone());
        self.world.run(&program, settings, async move |context| {
            let clients = context.plan.clients()?;
            let institutions = Institutions::new(clients.registry.clone());
            let budget = Budget::new(64 << 20);
            let storage = storage(&host, &buckets, &budget).await;
            let versions = Versions::new(topic, &clients, institutions.clone(), None);
            let ground = Ground { clients: clients.clone(), institutions, storage, budget };
            let stage = stage(&ground, buckets);
            context.run_admitting(clients, versions, stage).await
        })
    }

    /// Counts the requests for an operation in a bucket from now on: one fault without effect for each that may come.
    pub(crate) fn count(&self, bucket: &str, operation: Operation) {
        for times in 1..=MOST {
            let fault = Fault::new(FaultKind::Latency { milliseconds: 0 });
            self.s3.faults().add(fault.bucket(bucket).operation(operation).times(times)).unwrap();
        }
    }

    pub(crate) fn counted(&self, bucket: &str, operation: Operation) -> u64 {
        let left = self.s3.faults().list();
        let ours = |fault: &&Fault| {
            fault.bucket.as_deref() == Some(bucket)
                && fault.operation == Some(operation)
                && matches!(fault.kind, FaultKind::Latency { milliseconds: 0 })
        };
        MOST - left.iter().filter(ours).count() as u64
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
    let limits = storage::Limits { attempts: 2, ..storage::Limits::default() };
    let config = Config { providers, regions: buckets.iter().map(Region::of).collect(), limits };
    Storage::new(&config, budget).await.unwrap()
}

fn document(object: &IngestObject, path: &str, bytes: &[u8]) -> IngestFile {
    let mut file = IngestFile::new(&object.identifier(), path);
    file.size = i64::try_from(bytes.len()).unwrap();
    "text/plain".clone_into(&mut file.file_format);
    for (algorithm, digest) in Digests::of(Algorithms::ALL, bytes).iter() {
        let algorithm = Algorithm::from(Hash::as_str(algorithm));
        file.set_checksum(IngestChecksum::new(ChecksumSource::Ingest, algorithm, digest, Time::now()));
    }
    file
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = tarball::Writer::default();
    let mut tar = Vec::new();
    for (path, contents) in files {
        let size = contents.len() as u64;
        let header = tarball::Header::file(&format!("bag/{path}"), size, Time::UNSET.inner()).unwrap();
        tar.extend_from_slice(&writer.entry(&header).unwrap());
        writer.data(contents).unwrap();
        tar.extend_from_slice(contents);
    }
    tar.extend_from_slice(&writer.finish().unwrap());
    tar
}
