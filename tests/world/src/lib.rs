//! What a service under test stands on: embedded servers, a stage that does what the test says, and looks at both. The services
//! run in this process, each in a runtime of its own, so that they can be killed.

#![expect(missing_debug_implementations, reason = "nobody prints a world")]
#![expect(clippy::unwrap_used, reason = "test equipment may fail as a test does")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Action, Stage, Status, Time, Topic, WorkItem, WorkResult};
use nsq::Lookup;
use redis_store::Store;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd};
use stack::redis::Redis;
use stack::registry::{Fixtures, Registry};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use worker::settings::{Environment, Section};
use worker::{
    Admission, Admit, CancellationToken, Context, Done, ItemStage, ItemWorker, Kind, Program, Rules, Stop, Task,
};

/// How long a message may be in flight without a touch.
pub const MSG_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the claims live that services under test make.
pub const CLAIM_TTL: Duration = Duration::from_secs(2);
/// Long enough for a loaded machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

type Work = dyn Fn(Task) -> Pin<Box<dyn Future<Output = Result<Done, Stop>> + Send>> + Send + Sync;

/// A stage that does what the test says, and counts.
#[derive(Clone)]
pub struct Script {
    work: Arc<Work>,
    runs: Arc<Mutex<Vec<i64>>>,
}

impl Script {
    pub fn new<F: Future<Output = Result<Done, Stop>> + Send + 'static>(
        work: impl Fn(Task) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { work: Arc::new(move |task| Box::pin(work(task))), runs: Arc::default() }
    }

    /// Succeeds at once.
    pub fn succeeds() -> Self {
        Self::new(async |_| Ok(Done::default()))
    }

    /// Works until it is cancelled.
    pub fn waits() -> Self {
        Self::new(async |task: Task| {
            task.cancelled.cancelled().await;
            Err(Stop::Cancelled)
        })
    }

    /// Works until the test lets it end, and then returns this.
    pub fn gated(returns: Result<Done, Stop>) -> (Self, Arc<Notify>) {
        let gate = Arc::new(Notify::new());
        let opens = Arc::clone(&gate);
        let script = Self::new(move |task: Task| {
            let (opens, returns) = (Arc::clone(&opens), returns.clone());
            async move {
                task.until_cancelled(opens.notified()).await?;
                returns
            }
        });
        (script, gate)
    }

    /// How often it was run for an item.
    pub fn runs(&self, item: i64) -> usize {
        self.runs.lock().unwrap().iter().filter(|id| **id == item).count()
    }
}

impl ItemStage for Script {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        self.runs.lock().unwrap().push(task.item.id);
        (self.work)(task.clone()).await
    }
}

/// Everything is taken up; an ingest locks the object that its bag makes.
impl Admission for Script {
    async fn admit(&self, _: &WorkItem) -> anyhow::Result<Admit> {
        Ok(Admit::Yes)
    }

    async fn object(&self, item: &WorkItem) -> anyhow::Result<Option<String>> {
        let ingest =
            (item.action == Action::Ingest).then(|| format!("test.edu/{}", item.name.trim_end_matches(".tar")));
        Ok(ingest.or_else(|| Some(item.object_identifier.clone()).filter(|identifier| !identifier.is_empty())))
    }
}

/// The servers.
pub struct World {
    pub registry: Registry,
    pub redis: Redis,
    pub nsqd: Nsqd,
    pub lookupd: Lookupd,
    pub client: registry::Client,
    pub store: Store,
    pub publisher: nsq::Publisher,
    pub lookup: Lookup,
    folder: tempfile::TempDir,
}

/// A running loop, in a runtime of its own: all of it can be killed at once, as a process can.
pub struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Runtime,
}

impl Running {
    /// As SIGTERM does.
    pub async fn stop(self) {
        self.shutdown.cancel();
        within(self.task).await.unwrap().unwrap();
        self.runtime.shutdown_background();
    }

    /// As SIGKILL does: nothing is put away.
    pub fn kill(self) {
        self.runtime.shutdown_background();
    }
}

impl World {
    /// With a time-out of messages that a test can wait for.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With an nsqd as the test wants it.
    pub async fn with(change: impl FnOnce(&mut stack::nsq::Options)) -> Self {
        // A second call finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let lookupd = Lookupd::start(LookupdOptions::default()).await.unwrap();
        let mut options =
            stack::nsq::Options { lookupd: vec![lookupd.tcp()], msg_timeout: MSG_TIMEOUT, ..Default::default() };
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
        Self { registry, redis, nsqd, lookupd, client, store, publisher, lookup, folder }
    }

    /// An ingest that waits to be recorded, and a service that has taken it up.
    pub async fn at_work(&self, script: &Script) -> (WorkItem, Running) {
        let item = self.ingest().await;
        let running = self.start(RECORD, script);
        self.publish(Topic::IngestRecord, item.id).await;
        until("the stage runs", || script.runs(item.id) > 0).await;
        (item, running)
    }

    /// The loop of a service, with claims that live for two seconds.
    pub fn start(&self, rules: Rules, script: &Script) -> Running {
        self.start_with(rules, script, &[])
    }

    pub fn start_with(&self, rules: Rules, script: &Script, settings: &[(&str, &str)]) -> Running {
        let program: Program<ItemWorker, ()> = Program {
            name: "w",
            about: "",
            kind: ItemWorker::new(rules).requeue_delay(Duration::from_millis(50)),
            stage: worker::Stage::Unfinished,
        };
        let script = script.clone();
        self.run(&program, settings, |context| async {
            let clients = context.plan.clients()?;
            context.run_admitting(clients, script.clone(), script).await
        })
    }

    /// A service as it is declared, with claims that live for two seconds and these settings.
    pub fn run<K: Kind, S: Section + Send + 'static, F>(
        &self,
        program: &Program<K, S>,
        settings: &[(&str, &str)],
        life: impl FnOnce(Context<K::Plan, S>) -> F,
    ) -> Running
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let mut environment = self.settings();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let environment: Environment = environment.into_iter().collect();
        let folder = self.folder.path().join(uuid());
        std::fs::create_dir(&folder).unwrap();
        let shutdown = CancellationToken::new();
        let context = program.context(environment, &folder, shutdown.clone()).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // Its clients are made in its own runtime: their connections live there.
        let life = {
            let _inside = runtime.enter();
            life(context)
        };
        Running { shutdown, task: runtime.spawn(life), runtime }
    }

    /// Where the servers are.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("NSQ_LOOKUPD", self.lookupd.http().to_string()),
            ("NSQ_URL", format!("http://{}", self.nsqd.http())),
            ("PRESERV_REGISTRY_URL", self.registry.url()),
            ("PRESERV_REGISTRY_API_USER", "system@aptrust.org".to_owned()),
            ("PRESERV_REGISTRY_API_KEY", "password".to_owned()),
            ("REDIS_URL", self.redis.address().to_string()),
            ("CLAIM_TTL", format!("{}s", CLAIM_TTL.as_secs())),
            ("W_WORKERS", "4".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// An item in the Registry, changed as the test wants it.
    pub async fn item(&self, action: Action, stage: Stage, change: impl FnOnce(&mut WorkItem)) -> WorkItem {
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
    pub async fn ingest(&self) -> WorkItem {
        self.item(Action::Ingest, Stage::Record, |_| {}).await
    }

    pub async fn publish(&self, topic: Topic, item: i64) {
        self.publisher.publish(&topic.as_str().parse().unwrap(), item.to_string()).await.unwrap();
    }

    pub async fn look(&self, item: i64) -> WorkItem {
        self.client.work_item(item).await.unwrap()
    }

    /// Waits until the item is as the test wants it.
    pub async fn until(&self, item: i64, wanted: impl Fn(&WorkItem) -> bool) -> WorkItem {
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

    /// What Redis keeps of the attempts at an item.
    pub async fn record(&self, item: i64, topic: Topic) -> WorkResult {
        self.store.work_result(item, topic).await.unwrap().unwrap_or_default()
    }

    /// Waits until that is as the test wants it.
    pub async fn until_record(&self, item: i64, topic: Topic, wanted: impl Fn(&WorkResult) -> bool) {
        let mut last = self.record(item, topic).await;
        let in_time = tokio::time::timeout(PATIENCE, async {
            while !wanted(&last) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                last = self.record(item, topic).await;
            }
        });
        assert!(in_time.await.is_ok(), "the record stayed {last:?}");
    }

    /// Messages in a topic that nobody consumes.
    pub async fn depth(&self, topic: &str) -> u64 {
        self.lookup.topic_load(&topic.parse().unwrap()).await.unwrap().depth
    }

    /// Messages in a topic: waiting, in flight, deferred.
    pub async fn load(&self, topic: Topic) -> (u64, u64, u64) {
        let load = self.lookup.topic_load(&topic.as_str().parse().unwrap()).await.unwrap();
        (load.depth, load.in_flight, load.deferred)
    }

    /// Waits until a topic holds these messages.
    pub async fn until_load(&self, topic: Topic, wanted: (u64, u64, u64)) {
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
    pub async fn counts(&self, topic: Topic) -> (u64, u64, u64) {
        let nodes = self.lookup.nodes().await.unwrap();
        let stats = self.lookup.stats(nodes.first().unwrap(), None).await.unwrap();
        let topic = stats.topics.iter().find(|stats| stats.topic_name == topic.as_str()).unwrap();
        let channel = &topic.channels[0];
        (channel.message_count, channel.requeue_count, channel.timeout_count)
    }

    /// The keys of one of Redis's databases.
    pub async fn keys(&self, database: u32) -> Vec<String> {
        redis::cmd("KEYS").arg("*").query_async(&mut self.connection(database).await).await.unwrap()
    }

    /// Writes a field of an item's hash, past the store.
    pub async fn put(&self, item: i64, field: &str, text: &str) {
        let mut connection = self.connection(0).await;
        let (): () = redis::cmd("HSET").arg(item).arg(field).arg(text).query_async(&mut connection).await.unwrap();
    }

    async fn connection(&self, database: u32) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/{database}", self.redis.address())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Whether every request to the Registry is answered with 503.
    pub fn registry_is_away(&self, away: bool) {
        if away {
            self.registry.faults().add("/", stack::registry::Fault::Status(503), usize::MAX);
        } else {
            self.registry.faults().clear();
        }
    }
}

/// Waits until the test's own condition holds.
pub async fn until(what: &str, wanted: impl Fn() -> bool) {
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
pub const RECORD: Rules = Rules::ingest(Topic::IngestRecord, "Witnessed");
