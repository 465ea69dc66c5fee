//! What a loop under test stands on: embedded servers, a stage that does what the test says, and looks at both.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Action, Stage, Status, Time, Topic, WorkItem};
use nsq::Lookup;
use redis_store::Store;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd};
use stack::redis::Redis;
use stack::registry::{Fixtures, Registry};
use storage::Storage;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::command_line::Arguments;
use crate::program::Kind as _;
use crate::settings::{Environment, Reader, Sources};
use crate::{CancellationToken, Done, Heartbeat, ItemStage, Items, QueueWorker, Rules, Stop, Task};

/// Long enough for a loaded machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

type Work = dyn Fn(Task) -> Pin<Box<dyn Future<Output = Result<Done, Stop>> + Send>> + Send + Sync;

/// A stage that does what the test says, and counts.
#[derive(Clone)]
pub(crate) struct Script {
    work: Arc<Work>,
    runs: Arc<Mutex<Vec<i64>>>,
}

impl Script {
    pub(crate) fn new<F: Future<Output = Result<Done, Stop>> + Send + 'static>(
        work: impl Fn(Task) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { work: Arc::new(move |task| Box::pin(work(task))), runs: Arc::default() }
    }

    /// Succeeds at once.
    pub(crate) fn succeeds() -> Self {
        Self::new(async |_| Ok(Done::default()))
    }

    /// Works until it is cancelled.
    pub(crate) fn waits() -> Self {
        Self::new(async |task: Task| {
            task.cancelled.cancelled().await;
            Err(Stop::Cancelled)
        })
    }

    /// How often it was run for an item.
    pub(crate) fn runs(&self, item: i64) -> usize {
        self.runs.lock().unwrap().iter().filter(|id| **id == item).count()
    }
}

impl ItemStage for Script {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        self.runs.lock().unwrap().push(task.item.id);
        (self.work)(task.clone()).await
    }
}

/// The servers.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) redis: Redis,
    pub(crate) nsqd: Nsqd,
    pub(crate) lookupd: Lookupd,
    pub(crate) client: registry::Client,
    pub(crate) store: Store,
    pub(crate) publisher: nsq::Publisher,
    pub(crate) lookup: Lookup,
    /// Looked at by loops that start after it was set.
    pub(crate) receiving: Mutex<Option<Storage>>,
    folder: tempfile::TempDir,
}

/// A running loop, in a runtime of its own: all of it can be killed at once, as a process can.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Runtime,
}

impl Running {
    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        within(self.task).await.unwrap().unwrap();
        self.runtime.shutdown_background();
    }

    /// As SIGKILL does: nothing is put away.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

impl World {
    /// With a time-out of messages that a test can wait for.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With an nsqd as the test wants it.
    pub(crate) async fn with(change: impl FnOnce(&mut stack::nsq::Options)) -> Self {
        crate::install_tls();
        let lookupd = Lookupd::start(LookupdOptions::default()).await.unwrap();
        let mut options = stack::nsq::Options {
            lookupd: vec![lookupd.tcp()],
            msg_timeout: Duration::from_secs(3),
            ..Default::default()
        };
        change(&mut options);
        let nsqd = Nsqd::start(options).await.unwrap();
        for topic in Topic::ALL {
            nsqd.create(topic.as_str(), Some(&topic.channel())).await.unwrap();
        }
        let redis = Redis::start(stack::redis::Options::default()).unwrap();
        let registry = Registry::start(stack::registry::Options {
            nsqd: Some(nsqd.http()),
            fixtures: Fixtures::People,
            ..Default::default()
        })
        .unwrap();
        let (client, store, publisher) = clients(&registry, &redis, &nsqd);
        let lookup = Lookup::new([lookupd.http().to_string()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { registry, redis, nsqd, lookupd, client, store, publisher, lookup, receiving: Mutex::default(), folder }
    }

    /// The loop of a service, with claims that live for two seconds.
    pub(crate) fn start(&self, rules: Rules, script: &Script) -> Running {
        self.start_with(rules, script, &[])
    }

    pub(crate) fn start_with(&self, rules: Rules, script: &Script, settings: &[(&str, &str)]) -> Running {
        let lookupd = self.lookupd.http().to_string();
        let nsqd = format!("http://{}", self.nsqd.http());
        let own = [("NSQ_LOOKUPD", &*lookupd), ("NSQ_URL", &*nsqd), ("CLAIM_TTL", "2s"), ("W_WORKERS", "4")];
        let environment: Environment = own.iter().chain(settings).copied().collect();
        let sources = Sources::load(environment, Path::new("/no such folder"));
        let worker = QueueWorker::new(rules.topic().as_str()).requeue_delay(Duration::from_millis(50));
        let plan = worker.plan("w", &Arguments::default(), &mut Reader::new(&sources)).unwrap();
        let shutdown = CancellationToken::new();
        let health = self.folder.path().join(uuid());
        // Clients of its own: their connections live in its runtime.
        let (registry, store, publisher) = clients(&self.registry, &self.redis, &self.nsqd);
        let items = Items {
            plan,
            rules,
            registry,
            store,
            receiving: self.receiving.lock().unwrap().clone(),
            publisher,
            heartbeat: Heartbeat::start(&health, Duration::from_hours(1)).unwrap(),
            shutdown: shutdown.clone(),
            service: "w",
        };
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Running { shutdown, task: runtime.spawn(items.run(script.clone())), runtime }
    }

    /// An item in the Registry, changed as the test wants it.
    pub(crate) async fn item(&self, action: Action, stage: Stage, change: impl FnOnce(&mut WorkItem)) -> WorkItem {
        let mut item = WorkItem {
            name: format!("{}.tar", uuid()),
            etag: "0123456789abcdef0123456789abcdef".to_owned(),
            institution_id: 4,
            bucket: "aptrust.receiving.test.test.edu".to_owned(),
            user: "system@aptrust.org".to_owned(),
            inst_approver: "admin@test.edu".to_owned(),
            action,
            stage,
            status: Status::Pending,
            retry: true,
            bag_date: Time::now(),
            date_processed: Time::now(),
            ..WorkItem::default()
        };
        change(&mut item);
        let saved = self.client.save_work_item(&item).await.unwrap();
        self.client.work_item(saved.id).await.unwrap()
    }

    /// An ingest that waits to be recorded, as the tests of this module like it.
    pub(crate) async fn ingest(&self) -> WorkItem {
        self.item(Action::Ingest, Stage::Record, |_| {}).await
    }

    pub(crate) async fn publish(&self, topic: Topic, item: i64) {
        self.publisher.publish(&topic.as_str().parse().unwrap(), item.to_string()).await.unwrap();
    }

    pub(crate) async fn look(&self, item: i64) -> WorkItem {
        self.client.work_item(item).await.unwrap()
    }

    /// Waits until the item is as the test wants it.
    pub(crate) async fn until(&self, item: i64, wanted: impl Fn(&WorkItem) -> bool) -> WorkItem {
        let mut last = self.look(item).await;
        let in_time = tokio::time::timeout(PATIENCE, async {
            while !wanted(&last) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                last = self.look(item).await;
            }
        });
        assert!(in_time.await.is_ok(), "the item stayed {last:?}");
        last
    }

    /// Messages in a topic: waiting, in flight, deferred.
    pub(crate) async fn load(&self, topic: Topic) -> (u64, u64, u64) {
        let load = self.lookup.topic_load(&topic.as_str().parse().unwrap()).await.unwrap();
        (load.depth, load.in_flight, load.deferred)
    }

    /// Waits until a topic holds these messages.
    pub(crate) async fn until_load(&self, topic: Topic, wanted: (u64, u64, u64)) {
        let mut last = self.load(topic).await;
        let in_time = tokio::time::timeout(PATIENCE, async {
            while last != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
                last = self.load(topic).await;
            }
        });
        assert!(in_time.await.is_ok(), "{topic} holds (waiting, in flight, deferred) {last:?} and not {wanted:?}");
    }
}

impl World {
    /// Messages that came to a topic's channel, requeues, and time-outs.
    pub(crate) async fn counts(&self, topic: Topic) -> (u64, u64, u64) {
        let nodes = self.lookup.nodes().await.unwrap();
        let stats = self.lookup.stats(nodes.first().unwrap(), None).await.unwrap();
        let topic = stats.topics.iter().find(|stats| stats.topic_name == topic.as_str()).unwrap();
        let channel = &topic.channels[0];
        (channel.message_count, channel.requeue_count, channel.timeout_count)
    }

    /// The keys of one of Redis's databases.
    pub(crate) async fn keys(&self, database: u32) -> Vec<String> {
        redis::cmd("KEYS").arg("*").query_async(&mut self.connection(database).await).await.unwrap()
    }

    /// Writes a field of an item's hash, past the store.
    pub(crate) async fn put(&self, item: i64, field: &str, text: &str) {
        let mut connection = self.connection(0).await;
        let (): () = redis::cmd("HSET").arg(item).arg(field).arg(text).query_async(&mut connection).await.unwrap();
    }

    async fn connection(&self, database: u32) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/{database}", self.redis.address())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Whether every request to the Registry is answered with 503.
    pub(crate) fn registry_is_away(&self, away: bool) {
        if away {
            self.registry.faults().add("/", stack::registry::Fault::Status(503), usize::MAX);
        } else {
            self.registry.faults().clear();
        }
    }
}

/// Waits until the test's own condition holds.
pub(crate) async fn until(what: &str, wanted: impl Fn() -> bool) {
    let in_time = tokio::time::timeout(PATIENCE, async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(in_time.await.is_ok(), "{what}: waited in vain");
}

fn clients(registry: &Registry, redis: &Redis, nsqd: &Nsqd) -> (registry::Client, Store, nsq::Publisher) {
    let settings =
        registry::Settings { url: &registry.url(), version: "v3", user: "system@aptrust.org", key: "password" };
    let client = registry::Client::new(settings, registry::Limits::default()).unwrap();
    let address = redis.address().to_string();
    let store = redis_store::Options { address, password: None, database: 0, lease_database: 1 };
    (client, Store::new(&store).unwrap(), nsq::Publisher::new(&nsqd.http().to_string()).unwrap())
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("this does not end")
}

fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The service that the tests run, unless they want another: it records.
pub(crate) const RECORD: Rules = Rules::ingest(Topic::IngestRecord, "Witnessed");
