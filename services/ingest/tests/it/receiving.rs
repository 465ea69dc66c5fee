//! What the first stages of ingest stand on in tests: the world with an S3, bags made by code, and pre-fetch in work.

use std::collections::BTreeMap;

use ingest::{Ground, Institutions, PreFetch};
use model::{Action, IngestFile, IngestObject, Provider, Stage, Status, Time, Topic, WorkItem};
use stack::s3::{Fault, FaultKind, Operation, S3};
use storage::{Attributes, Budget, Config, Limits, Scheme, Storage};
use worker::{Clients, ItemStage as _, Rules};
use world::{Running, Script, World};

pub(crate) const RECEIVING: &str = "aptrust.receiving.test.test.edu";
pub(crate) const STAGING: &str = "staging";
/// More requests than this are not counted.
const MOST_COUNTED: u64 = 100;

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    pub(crate) storage: Storage,
}

/// The files of a bag, each by its whole name in the tar.
pub(crate) type Named<'a> = &'a [(&'a str, &'a [u8])];

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let buckets = [RECEIVING, STAGING].map(str::to_owned).to_vec();
        let s3 = S3::start(stack::s3::Options { buckets, ..Default::default() }).await.unwrap();
        let storage = client(&s3).await;
        Self { world, s3, storage }
    }

    /// Puts a tar into receiving, and makes an item of it.
    pub(crate) async fn item(&self, tar: Vec<u8>) -> WorkItem {
        let name = format!("bag-{}.tar", uuid::Uuid::new_v4());
        self.named(&name, tar).await
    }

    pub(crate) async fn named(&self, name: &str, tar: Vec<u8>) -> WorkItem {
        let receiving = self.storage.bucket(&Provider::Aws, RECEIVING).unwrap();
        let size = i64::try_from(tar.len()).unwrap();
        let stored = receiving.put_bytes(name, tar.into(), Attributes::default()).await.unwrap();
        let change = |item: &mut WorkItem| {
            name.clone_into(&mut item.name);
            stored.etag.as_str().clone_into(&mut item.etag);
            item.size = size;
        };
        self.world.item(Action::Ingest, Stage::Receive, change).await
    }

    /// A worker, with connections of its own.
    pub(crate) async fn start(&self) -> Running {
        let World { client, store, publisher, .. } = &self.world;
        let clients = Clients { registry: client.clone(), store: store.clone(), publisher: publisher.clone() };
        let budget = Budget::new(0);
        let storage = client_with(&self.s3, &budget).await;
        let ground = Ground { clients, institutions: Institutions::new(client.clone()), storage, budget };
        let stage = PreFetch::new(&ground, &buckets::Staging { bucket: STAGING.to_owned() }).unwrap();
        let stage = std::sync::Arc::new(stage);
        let script = Script::new(move |task| {
            let stage = std::sync::Arc::clone(&stage);
            async move { stage.run(&task).await }
        });
        let rules = Rules::ingest(Topic::IngestPrefetch, "Finished pre-fetch metadata gathering");
        self.world.start(rules, &script)
    }

    /// Has these items worked on until each is through or has failed, and shows them.
    pub(crate) async fn fetched(&self, items: &[WorkItem]) -> Vec<WorkItem> {
        let running = self.start().await;
        let mut ended = Vec::new();
        for item in items {
            self.world.publish(Topic::IngestPrefetch, item.id).await;
        }
        for item in items {
            ended.push(self.world.until(item.id, is_over).await);
        }
        running.stop().await;
        ended
    }

    /// The same for one tar, which is a bag.
    pub(crate) async fn good(&self, tar: Vec<u8>) -> (WorkItem, IngestObject, BTreeMap<String, IngestFile>) {
        let item = self.item(tar).await;
        let item = self.fetched(&[item]).await.remove(0);
        assert_eq!((&item.stage, &item.status), (&Stage::Validate, &Status::Pending), "{}", item.note);
        let object = self.object_of(&item).await.expect("an object");
        let files = self.files(&item).await;
        (item, object, files)
    }

    /// The same for a tar that is refused, with the note.
    pub(crate) async fn refused(&self, tar: Vec<u8>) -> String {
        let item = self.item(tar).await;
        let item = self.fetched(&[item]).await.remove(0);
        assert_eq!((&item.stage, &item.status), (&Stage::Receive, &Status::Failed), "{}", item.note);
        item.note
    }

    pub(crate) async fn object_of(&self, item: &WorkItem) -> Option<IngestObject> {
        let identifier = model::identifier::of_object("test.edu", &item.name);
        self.world.store.object(item.id, &identifier).await.unwrap()
    }

    pub(crate) async fn files(&self, item: &WorkItem) -> BTreeMap<String, IngestFile> {
        let mut files = BTreeMap::new();
        let mut pages = self.world.store.files(item.id, 1000);
        while let Some(page) = pages.next().await.unwrap() {
            assert!(page.corrupt.is_empty(), "{:?}", page.corrupt);
            files.extend(page.files.into_iter().map(|file| (file.path_in_bag.clone(), file)));
        }
        files
    }

    /// Counts requests from here on.
    pub(crate) fn count(&self, bucket: &'static str, operation: Operation) -> impl Fn() -> u64 {
        let fault = Fault::new(FaultKind::Latency { milliseconds: 0 }).bucket(bucket).operation(operation);
        // One that does nothing, and is forgotten after so many requests.
        for times in 1..=MOST_COUNTED {
            self.s3.faults().add(fault.clone().times(times)).unwrap();
        }
        move || {
            let left = self.s3.faults().list().into_iter();
            let left =
                left.filter(|fault| fault.bucket.as_deref() == Some(bucket) && fault.operation == Some(operation));
            MOST_COUNTED - left.count() as u64
        }
    }
}

pub(crate) async fn client(s3: &S3) -> Storage {
    client_with(s3, &Budget::new(0)).await
}

async fn client_with(s3: &S3, budget: &Budget) -> Storage {
    let provider = storage::Provider {
        name: Provider::Aws,
        host: s3.address().to_string(),
        scheme: Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let limits = Limits { attempts: 2, ..Limits::default() };
    Storage::new(&Config { providers: vec![provider], regions: vec![], limits }, budget).await.unwrap()
}

fn is_over(item: &WorkItem) -> bool {
    item.status == Status::Failed || item.stage == Stage::Validate && item.status == Status::Pending
}

/// A tar of these files.
pub(crate) fn tar(files: Named<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, contents) in files {
        tar.extend_from_slice(&entry(b'0', name.as_bytes(), contents));
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// One entry of any type and any short name, with its contents.
pub(crate) fn entry(kind: u8, name: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; 512];
    entry[..name.len()].copy_from_slice(name);
    entry[100..108].copy_from_slice(b"0000644\0");
    entry[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    // 2020-09-13T12:26:40Z
    entry[136..148].copy_from_slice(format!("{:011o}\0", 1_600_000_000).as_bytes());
    entry[148..156].fill(b' ');
    entry[156] = kind;
    entry[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = entry.iter().map(|byte| u32::from(*byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    entry.extend_from_slice(contents);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// An md5 in hex.
pub(crate) fn md5(bytes: &[u8]) -> String {
    digests::Digests::of(digests::Algorithm::Md5, bytes).get(digests::Algorithm::Md5).unwrap().to_owned()
}

/// Without what differs from run to run.
pub(crate) fn same_each_time(mut file: IngestFile) -> IngestFile {
    file.uuid.clear();
    file.format_identified_at = Time::UNSET;
    for sum in file.checksums.iter_mut() {
        sum.datetime = Time::UNSET;
    }
    file
}
