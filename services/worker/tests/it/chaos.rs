//! The loop under faults, with real processes: workers are killed every second while NSQ, Redis and the Registry go away in turn, the
//! Registry reads but does not write, nsqd forgets everything, nobody reads what a worker logs, and an administrator cancels and
//! requeues. Each item reaches the one end that it must, its effect is there once, and no stage runs more often than workers died.
//!
//! `CHAOS_ITEMS`, `CHAOS_SECONDS` and `CHAOS_OUTAGE_MS` make it larger than it is by default.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Action, PremisEvent, Stage, Status, Time, Topic, WorkItem};
use registry::Query;
use rustix::process::Signal;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd};
use stack::proxy::Proxy;
use stack::redis::Redis;
use stack::registry::{Fault, Fixtures, Registry};
use tokio::time::sleep;
use worker::{CancellationToken, Part, Pass, Scan as _, Sweep, Sweeper};

use crate::support::{Place, Running};

/// How long the items may take to settle once the chaos is over.
const SETTLE: Duration = Duration::from_mins(4);
/// What becomes of items, by the first word of their bag's name.
const KINDS: [&str; 6] = ["works", "slow", "fails", "fatal", "panics", "cancelled"];

/// What is done to the servers, one after the other.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    RegistryAway,
    RedisAway,
    NsqdAway,
    RegistryReadsOnly,
    NsqdForgets,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::RegistryAway, Trouble::RedisAway, Trouble::NsqdAway, Trouble::RegistryReadsOnly, Trouble::NsqdForgets];

struct World {
    registry: Arc<Registry>,
    redis_way: Proxy,
    redis: Redis,
    nsqd: Option<Nsqd>,
    nsqd_options: stack::nsq::Options,
    lookupd: Lookupd,
    client: registry::Client,
    _data: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let lookupd = Lookupd::start(LookupdOptions::default()).await.unwrap();
        let mut nsqd_options = stack::nsq::Options {
            lookupd: vec![lookupd.tcp()],
            msg_timeout: Duration::from_secs(3),
            data: Some(data.path().to_owned()),
            ..Default::default()
        };
        let nsqd = Nsqd::start(nsqd_options.clone()).await.unwrap();
        // Where it comes back after it was away.
        (nsqd_options.tcp, nsqd_options.http) = (nsqd.tcp(), nsqd.http());
        for topic in [Topic::IngestRecord, Topic::IngestCleanup] {
            nsqd.create(topic.as_str(), Some(&topic.channel())).await.unwrap();
        }
        let redis = Redis::start(stack::redis::Options::default()).unwrap();
        let options =
            stack::registry::Options { nsqd: Some(nsqd.http()), fixtures: Fixtures::People, ..Default::default() };
        let registry = Registry::start(options).unwrap();
        let settings =
            registry::Settings { url: &registry.url(), version: "v3", user: "system@aptrust.org", key: "password" };
        let client = registry::Client::new(settings, registry::Limits::default()).unwrap();
        Self {
            registry: Arc::new(registry),
            redis_way: Proxy::to(redis.address()).await,
            redis,
            nsqd: Some(nsqd),
            nsqd_options,
            lookupd,
            client,
            _data: data,
        }
    }

    fn place(&self) -> Place {
        Place::empty()
            .set("NSQ_LOOKUPD", &self.lookupd.http().to_string())
            .set("NSQ_URL", &format!("http://{}", self.nsqd_options.http))
            .set("PRESERV_REGISTRY_URL", &self.registry.url())
            .set("PRESERV_REGISTRY_API_USER", "system@aptrust.org")
            .set("PRESERV_REGISTRY_API_KEY", "password")
            .set("REDIS_URL", &self.redis_way.address().to_string())
            .set("CLAIM_TTL", "2s")
            .set("WITNESS_WORKERS", "10")
            .set("WITNESS_BUFFER_SIZE", "10")
    }

    async fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::RegistryAway => self.registry.faults().add("/", Fault::Status(503), usize::MAX),
            Trouble::RegistryReadsOnly => self.registry.faults().add_for("PUT", "/", Fault::Status(503), usize::MAX),
            Trouble::RedisAway => self.redis_way.take_away(),
            Trouble::NsqdAway | Trouble::NsqdForgets => {
                if let Some(nsqd) = self.nsqd.take() {
                    nsqd.stop().await;
                }
            }
        }
    }

    async fn end(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::RegistryAway | Trouble::RegistryReadsOnly => self.registry.faults().clear(),
            Trouble::RedisAway => self.redis_way.bring_back(),
            Trouble::NsqdAway => self.start_nsqd().await,
            Trouble::NsqdForgets => {
                let data = self.nsqd_options.data.clone().unwrap();
                std::fs::remove_dir_all(&data).unwrap();
                std::fs::create_dir(&data).unwrap();
                self.start_nsqd().await;
                self.hours_pass().await;
            }
        }
    }

    async fn start_nsqd(&mut self) {
        let nsqd = Nsqd::start(self.nsqd_options.clone()).await.unwrap();
        for topic in [Topic::IngestRecord, Topic::IngestCleanup] {
            nsqd.create(topic.as_str(), Some(&topic.channel())).await.unwrap();
        }
        self.nsqd = Some(nsqd);
    }

    /// The sweep looks at what has waited for hours, and at an item once an hour.
    async fn hours_pass(&self) {
        for item in self.items().await {
            self.registry.store().age_work_item(item.id, Duration::from_hours(3)).unwrap();
        }
        let leases = redis::Client::open(format!("redis://{}/1", self.redis.address())).unwrap();
        let mut leases = leases.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("swept*").query_async(&mut leases).await.unwrap();
        for key in keys {
            let (): () = redis::cmd("DEL").arg(key).query_async(&mut leases).await.unwrap();
        }
    }

    async fn sweep(&self) {
        let options = redis_store::Options {
            address: self.redis.address().to_string(),
            password: None,
            database: 0,
            lease_database: 1,
        };
        let sweeper = Sweeper {
            registry: self.client.clone(),
            store: redis_store::Store::new(&options).unwrap(),
            publisher: nsq::Publisher::new(&self.nsqd_options.http.to_string()).unwrap(),
            lookup: nsq::Lookup::new([self.lookupd.http().to_string()]).unwrap(),
            mode: Sweep::Stranded,
        };
        // A server may be away just now: the next sweep finds what this one did not.
        if let Err(error) = sweeper.pass(&Part::Whole, &Pass::new(CancellationToken::new())).await {
            eprintln!("a sweep was incomplete: {error:#}");
        }
    }

    async fn items(&self) -> Vec<WorkItem> {
        let mut items = Vec::new();
        for page in 1.. {
            let query = Query::new().sort("id").per_page(1000).page(page);
            let page = self.client.list::<WorkItem>(&query).await.unwrap();
            if page.results.is_empty() {
                break;
            }
            items.extend(page.results);
        }
        items
    }
}

fn wanted(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn kind(item: &WorkItem) -> &'static str {
    KINDS.into_iter().find(|kind| item.name.starts_with(kind)).unwrap()
}

fn is_settled(item: &WorkItem) -> bool {
    item.is_completed() || !item.retry || item.stage == Stage::Cleanup
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_and_absent_servers_lose_nothing_and_do_nothing_twice() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (count, seconds) = (wanted("CHAOS_ITEMS", 60), wanted("CHAOS_SECONDS", 10));
    let outage = Duration::from_millis(wanted("CHAOS_OUTAGE_MS", 1500));
    let mut world = World::new().await;
    let publisher = nsq::Publisher::new(&world.nsqd_options.http.to_string()).unwrap();
    let topic: nsq::Name = Topic::IngestRecord.as_str().parse().unwrap();
    let mut cancellable = Vec::new();
    for number in 0..count {
        let kind = KINDS[usize::try_from(number).unwrap() % KINDS.len()];
        let item = WorkItem {
            name: format!("{kind}-{number}.tar"),
            etag: format!("{number:032x}"),
            institution_id: 4,
            bucket: "aptrust.receiving.test.test.edu".to_owned(),
            user: "system@aptrust.org".to_owned(),
            action: Action::Ingest,
            stage: Stage::Record,
            status: Status::Pending,
            retry: true,
            bag_date: Time::now(),
            date_processed: Time::now(),
            // Long enough ago for a sweep to look after it.
            queued_at: (Time::now().inner() - time::Duration::hours(3)).into(),
            ..WorkItem::default()
        };
        let id = world.client.save_work_item(&item).await.unwrap().id;
        if kind == "cancelled" {
            cancellable.push(id);
        }
        publisher.publish(&topic, id.to_string()).await.unwrap();
    }

    let mut logs: Vec<Running> = Vec::new();
    let mut places = vec![world.place(), world.place(), world.place()];
    let mut workers: Vec<Running> = places.iter().map(|place| place.start("witness", &[])).collect();
    // Nobody reads what this one says.
    let deaf = world.place();
    let (mut unheard, _unread) = deaf.start_unheard("witness", &[]);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0;
    let mut trouble: Option<(Trouble, Instant)> = None;
    let mut troubles = TROUBLES.into_iter().cycle();
    while Instant::now() < until {
        sleep(Duration::from_secs(1)).await;
        let victim = kills % workers.len();
        // A new folder, so that the log of the old one stays.
        let place = world.place();
        let mut killed = std::mem::replace(&mut workers[victim], place.start("witness", &[]));
        killed.kill();
        logs.push(killed);
        places.push(place);
        kills += 1;
        match trouble {
            Some((what, ends)) if Instant::now() >= ends => {
                world.end(what).await;
                world.sweep().await;
                trouble = None;
            }
            Some(_) => {}
            None => {
                let what = troubles.next().unwrap();
                world.begin(what).await;
                trouble = Some((what, Instant::now() + outage));
            }
        }
        if let Some(id) = cancellable.pop()
            && !matches!(trouble, Some((Trouble::RegistryAway | Trouble::RegistryReadsOnly, _)))
        {
            // As an administrator does it in the Registry: whatever the worker is at.
            let mut item = world.client.work_item(id).await.unwrap();
            if item.stage == Stage::Record {
                item.mark_no_longer_in_progress(Stage::Record, Status::Cancelled, "Cancelled by hand");
                item.retry = false;
                world.client.save_work_item(&item).await.unwrap();
            }
        }
    }
    if let Some((what, _)) = trouble {
        world.end(what).await;
    }
    if seconds < TROUBLES.len() as u64 * 4 {
        // Too short to come to it by itself.
        world.begin(Trouble::NsqdForgets).await;
        world.end(Trouble::NsqdForgets).await;
    }
    world.sweep().await;

    // An administrator requeues one that was given up, and it is tried again.
    let settled = Instant::now() + SETTLE;
    let mut requeued = None;
    let mut next_sweep = Instant::now() + Duration::from_secs(20);
    loop {
        let items = world.items().await;
        if requeued.is_none()
            && let Some(item) = items.iter().find(|item| kind(item) == "fails" && !item.retry)
        {
            world.registry.actions().requeue(item.id, "Record").await.unwrap();
            requeued = Some(item.id);
            continue;
        }
        let open: Vec<_> = items.iter().filter(|item| !is_settled(item)).map(|item| (&item.name, &item.note)).collect();
        if open.is_empty() {
            break;
        }
        if Instant::now() >= next_sweep {
            // What a killed worker left between saving and publishing.
            world.hours_pass().await;
            world.sweep().await;
            next_sweep = Instant::now() + Duration::from_secs(20);
        }
        assert!(Instant::now() < settled, "{} items did not settle: {open:#?}", open.len());
        sleep(Duration::from_millis(200)).await;
    }
    assert!(requeued.is_some());

    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for item in world.items().await {
        let found = Query::new().filter("identifier", format!("{:08x}-0000-4000-8000-000000000000", item.id));
        let events = world.client.list::<PremisEvent>(&found).await.unwrap().results.len();
        let recorded = item.stage == Stage::Cleanup && item.status == Status::Pending && item.note == "Witnessed";
        let right = match kind(&item) {
            "works" | "slow" | "panics" => recorded && events == 1,
            "fails" => item.status == Status::Started && item.needs_admin_review && events == 0,
            "fatal" => item.status == Status::Failed && item.needs_admin_review && events == 0,
            // Before it was witnessed, after, or never.
            _ => {
                (item.status == Status::Cancelled && item.note == "Cancelled by hand" && events <= 1)
                    || (recorded && events == 1)
            }
        };
        assert!(right && !item.is_claimed(), "{events} events, {item:?}");
        *ends.entry(kind(&item)).or_default() += 1;
    }
    assert_eq!(ends.values().sum::<u64>(), count);
    unheard.signal(Signal::TERM);
    assert_eq!(unheard.ended(), 0);
    for worker in &mut workers {
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended(), 0);
    }
    logs.extend(workers);
    let mut runs: BTreeMap<i64, usize> = BTreeMap::new();
    for line in logs.iter().flat_map(Running::log) {
        if line["message"].as_str().is_some_and(|message| message.starts_with("working on WorkItem")) {
            *runs.entry(line["work_item_id"].as_i64().unwrap()).or_default() += 1;
        }
    }
    let most = runs.values().max().copied().unwrap_or_default();
    eprintln!(
        "{count} items, {kills} kills, {} runs of stages, at most {most} for one item: {ends:?}",
        runs.values().sum::<usize>()
    );
    for item in world.items().await.iter().filter(|item| matches!(kind(item), "works" | "slow")) {
        assert!(runs.get(&item.id).is_none_or(|runs| *runs <= kills + 1), "{runs:?} of {item:?}");
    }
}
