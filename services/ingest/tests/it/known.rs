//! What the tests of stages in the middle of ingest stand on: the world with an S3, an item with its documents as pre-fetch leaves
//! them, and a stage in work.

use std::sync::Arc;
use std::time::Duration;

use digests::{Algorithms, Digests};
use ingest::{Ground, Institutions};
use model::{
    Action, Algorithm, ChecksumSource, IngestChecksum, IngestFile, IngestObject, Provider, Stage, Tag, Time, WorkItem,
};
use stack::s3::S3;
use storage::{Attributes, Bucket, Budget, Config, Depth, Limits, Scheme, Storage};
use worker::{Clients, ItemStage, Rules};
use world::{Running, Script, World};

pub(crate) const RECEIVING: &str = "aptrust.receiving.test.test.edu";
pub(crate) const STAGING: &str = "staging";
pub(crate) const UNSAFE: &str = "precious";
/// Long enough for a loaded machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) s3: S3,
    storage: Storage,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let buckets = [RECEIVING, STAGING, UNSAFE].map(str::to_owned).to_vec();
        let s3 = S3::start(stack::s3::Options { buckets, ..Default::default() }).await.unwrap();
        let storage = storage(&s3).await;
        Self { world, s3, storage }
    }

    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        self.storage.bucket(&Provider::Aws, name).unwrap()
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str) -> String {
        let stored = self.bucket(bucket).put_bytes(key, b"bytes".to_vec().into(), Attributes::default()).await.unwrap();
        stored.etag.as_str().to_owned()
    }

    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let (mut list, mut keys) = (self.bucket(bucket).list("", Depth::All), Vec::new());
        while let Some(page) = list.page().await.unwrap() {
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
        }
        keys
    }

    /// An item at this stage, with a good bag in Redis that the test may change.
    pub(crate) async fn item(&self, stage: Stage, change: impl FnOnce(&mut Bag)) -> (WorkItem, Bag) {
        let item = self.world.item(Action::Ingest, stage, |_| {}).await;
        let mut bag = Bag::good(&item);
        change(&mut bag);
        bag.object.file_count = i64::try_from(bag.files.len()).unwrap();
        self.world.store.save_object(item.id, &bag.object).await.unwrap();
        self.world.store.save_files(item.id, &bag.files).await.unwrap();
        (item, bag)
    }

    /// What the stages stand on, with connections of its own.
    pub(crate) async fn ground(&self) -> Ground {
        let World { registry, store, publisher, .. } = &self.world;
        let settings =
            registry::Settings { url: &registry.url(), version: "v3", user: "system@aptrust.org", key: "password" };
        let registry = registry::Client::new(settings, registry::Limits::default()).unwrap();
        let institutions = Institutions::new(registry.clone());
        let clients = Clients { registry, store: store.clone(), publisher: publisher.clone() };
        Ground { clients, institutions, storage: storage(&self.s3).await, budget: Budget::new(0) }
    }

    pub(crate) fn start(&self, rules: Rules, stage: impl ItemStage) -> Running {
        let stage = Arc::new(stage);
        let script = Script::new(move |task| {
            let stage = Arc::clone(&stage);
            async move { stage.run(&task).await }
        });
        self.world.start(rules, &script)
    }

    pub(crate) async fn object(&self, item: &WorkItem) -> Option<IngestObject> {
        let identifier = model::identifier::of_object("test.edu", &item.name);
        self.world.store.object(item.id, &identifier).await.unwrap()
    }

    pub(crate) async fn file(&self, item: &WorkItem, path: &str) -> IngestFile {
        let identifier = format!("{}/{path}", model::identifier::of_object("test.edu", &item.name));
        self.world.store.file(item.id, &identifier).await.unwrap().unwrap()
    }
}

/// Waits until the test's own condition holds.
pub(crate) async fn until(what: &str, wanted: impl AsyncFn() -> bool) {
    let in_time = tokio::time::timeout(PATIENCE, async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(in_time.await.is_ok(), "{what}: waited in vain");
}

async fn storage(s3: &S3) -> Storage {
    let provider = storage::Provider {
        name: Provider::Aws,
        host: s3.address().to_string(),
        scheme: Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let limits = Limits { attempts: 2, ..Limits::default() };
    let config = Config { providers: vec![provider], regions: vec![], limits };
    Storage::new(&config, &Budget::new(0)).await.unwrap()
}

/// A bag as Redis knows it.
#[derive(Clone)]
pub(crate) struct Bag {
    pub(crate) object: IngestObject,
    pub(crate) files: Vec<IngestFile>,
}

impl Bag {
    /// One of APTrust's profile, with two payload files.
    fn good(item: &WorkItem) -> Self {
        let mut object = IngestObject::new(&item.bucket, &item.name, &item.etag, "test.edu", item.institution_id, 1);
        IngestObject::SERIALIZATION.clone_into(&mut object.serialization);
        object.manifests.push("md5".to_owned());
        object.tag_manifests.push("md5".to_owned());
        for (file, name, value) in [
            ("bagit.txt", "BagIt-Version", "1.0"),
            ("bagit.txt", "Tag-File-Character-Encoding", "UTF-8"),
            ("bag-info.txt", "Source-Organization", "Test"),
            ("aptrust-info.txt", "Title", "A bag"),
            ("aptrust-info.txt", "Access", "Institution"),
            ("aptrust-info.txt", "Storage-Option", "Standard"),
        ] {
            object.tags.push(Tag::new(file, name, value));
        }
        let mut bag = Self { object, files: Vec::new() };
        for path in ["bagit.txt", "bag-info.txt", "aptrust-info.txt", "manifest-md5.txt", "tagmanifest-md5.txt"] {
            bag.add(path);
            if !path.contains("manifest") {
                bag.object.tag_files.push(path.to_owned());
            }
        }
        bag.list("manifest-md5.txt", ChecksumSource::TagManifest, Algorithm::Md5);
        for path in ["data/a", "data/b"] {
            bag.add_payload(path);
        }
        bag
    }

    /// A file whose contents are its path, with all its digests.
    pub(crate) fn add(&mut self, path: &str) -> &mut IngestFile {
        let mut file = IngestFile::new(&self.object.identifier(), path);
        file.size = i64::try_from(path.len()).unwrap();
        for (algorithm, digest) in Digests::of(Algorithms::ALL, path.as_bytes()).iter() {
            let algorithm = Algorithm::from(algorithm.as_str());
            file.checksums.push(IngestChecksum::new(ChecksumSource::Ingest, algorithm, digest, Time::now()));
        }
        self.files.push(file);
        self.files.last_mut().unwrap()
    }

    /// The same, listed in the manifest.
    pub(crate) fn add_payload(&mut self, path: &str) {
        self.add(path);
        self.list(path, ChecksumSource::Manifest, Algorithm::Md5);
    }

    /// Lists a file with the digest that it has.
    pub(crate) fn list(&mut self, path: &str, source: ChecksumSource, algorithm: Algorithm) {
        let file = self.file(path);
        let digest = file.checksum(&ChecksumSource::Ingest, &algorithm).unwrap().digest.clone();
        file.checksums.push(IngestChecksum::new(source, algorithm, &digest, Time::now()));
    }

    pub(crate) fn file(&mut self, path: &str) -> &mut IngestFile {
        self.files.iter_mut().find(|file| file.path_in_bag == path).unwrap()
    }

    /// Gives the first tag of this name another value; without one, the tag goes.
    pub(crate) fn tag(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => {
                value.clone_into(&mut self.object.tags.iter_mut().find(|t| t.tag_name == name).unwrap().value);
            }
            None => self.object.tags.as_vec().retain(|tag| tag.tag_name != name),
        }
    }
}
