//! A bag on its way through the stages of a system, one service at a time, on servers of its own. What a stage takes is told by the
//! WorkItem: from `Started` to the next stage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use redis::InfoDict;
use stack::registry::Fixtures;
use stack::registry::store::{Query, WorkItem};
use stack::s3::{Fault, FaultKind, Operation};
use stack::settings::receiving_bucket;
use stack::{Options, Ports, Stack};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::bag::Bag;
use crate::worker::{Used, Worker};

/// The services, in the order of their stages. The first makes the WorkItem.
pub(crate) const SERVICES: [&str; 10] = [
    "ingest_bucket_reader",
    "ingest_pre_fetch",
    "ingest_validator",
    "reingest_manager",
    "ingest_staging_uploader",
    "ingest_format_identifier",
    "ingest_preservation_uploader",
    "ingest_preservation_verifier",
    "ingest_recorder",
    "ingest_cleanup",
];
/// Lines of this file beside other executables are added to the settings.
const MORE_SETTINGS: &str = "settings.env";
const INSTITUTION: &str = "test.edu";
/// How often the WorkItem is looked at. A stage that begins and ends between two looks took at most this.
const LOOK: Duration = Duration::from_millis(2);
/// How long a service may take to take up the item.
const PATIENCE: Duration = Duration::from_mins(2);

/// What one stage took.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) service: &'static str,
    /// Seconds. Of the bucket reader, from its start to the message.
    pub(crate) seconds: f64,
    pub(crate) requests: Counts,
    /// Of the whole process, its start included.
    pub(crate) used: Used,
}

/// Requests, from the start of a service to the end of its stage.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) s3: BTreeMap<Operation, u64>,
    pub(crate) registry: u64,
    pub(crate) redis: u64,
}

/// Servers in a folder, whose S3 takes so much longer for each request.
pub(crate) async fn servers(folder: &Path, latency: Duration) -> Result<Stack> {
    let options = Options {
        folder: folder.to_owned(),
        ports: Ports::Free,
        fixtures: Fixtures::People,
        archived: BTreeMap::new(),
    };
    let stack = Stack::start(options).await?;
    if !latency.is_zero() {
        let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        stack.s3.faults().add(Fault::new(FaultKind::Latency { milliseconds }))?;
    }
    Ok(stack)
}

/// Puts the bag through the services in `programs`, up to `last`; `each` is told of every stage.
pub(crate) async fn measure(
    programs: &Path,
    folder: &Path,
    bag: &Bag,
    latency: Duration,
    last: &str,
    each: impl Fn(&Figures),
) -> Result<Vec<Figures>> {
    let stack = servers(folder, latency).await?;
    add_settings(&stack, programs)?;
    let bucket = receiving_bucket(INSTITUTION);
    stack.s3.import(&bucket, &bag.key, &bag.path).await.with_context(|| format!("sending the bag to {bucket}"))?;
    let mut all = Vec::new();
    let mut item = None;
    for service in SERVICES {
        let before = counts(&stack).await?;
        let mut worker = Worker::start(&programs.join(service), folder)?;
        let passed = pass(&stack, &mut worker, item).await.with_context(|| format!("the stage of {service}"))?;
        item = Some(passed.item);
        let figures = Figures {
            service,
            seconds: passed.time.as_secs_f64(),
            requests: counts(&stack).await?.since(&before),
            used: worker.used()?,
        };
        worker.stop().await;
        each(&figures);
        all.push(figures);
        if service == last {
            break;
        }
    }
    Ok(all)
}

/// The servers stay those of this run, whatever the file says.
fn add_settings(stack: &Stack, programs: &Path) -> Result<()> {
    let more = programs.join(MORE_SETTINGS);
    if !more.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(&more).with_context(|| format!("reading {}", more.display()))?;
    let file = stack.settings_file();
    let written = File::options().append(true).open(&file).and_then(|mut out| out.write_all(text.as_bytes()));
    written.with_context(|| format!("adding to {}", file.display()))
}

/// A stage that an item has behind it.
struct Passed {
    item: i64,
    time: Duration,
}

async fn pass(stack: &Stack, worker: &mut Worker, item: Option<i64>) -> Result<Passed> {
    let since = Instant::now();
    let Some(item) = item else {
        loop {
            worker.still_runs()?;
            if let Some(found) = newest(stack).await?.filter(|found| !found.queued_at.is_none()) {
                return Ok(Passed { item: found.id, time: since.elapsed() });
            }
            patient(since, worker)?;
            sleep(LOOK).await;
        }
    };
    let waiting = look(stack, item).await?;
    let mut begun: Option<(Instant, String)> = None;
    loop {
        worker.still_runs()?;
        let now = look(stack, item).await?;
        let stage = begun.as_ref().map_or(&waiting.stage, |(_, stage)| stage);
        match now.status.as_str() {
            "Started" if begun.is_none() => begun = Some((Instant::now(), now.stage)),
            "Started" => {}
            "Pending" if now.stage == *stage => {}
            "Pending" | "Success" => {
                let time = begun.map_or(LOOK, |(at, _)| at.elapsed());
                return Ok(Passed { item, time });
            }
            status => bail!("the item is {status}: {}{}", now.note, worker.said()),
        }
        if begun.is_none() {
            patient(since, worker)?;
        }
        sleep(LOOK).await;
    }
}

fn patient(since: Instant, worker: &Worker) -> Result<()> {
    if since.elapsed() > PATIENCE {
        bail!("the service did not take up the item within {} s{}", PATIENCE.as_secs(), worker.said());
    }
    Ok(())
}

/// Past HTTP, so that it does not count.
async fn look(stack: &Stack, item: i64) -> Result<WorkItem> {
    let store = stack.registry.store().clone();
    let found = spawn_blocking(move || store.find::<WorkItem>(item)).await?.map_err(|error| anyhow!("{error:?}"))?;
    found.context("the WorkItem is gone")
}

async fn newest(stack: &Stack) -> Result<Option<WorkItem>> {
    let store = stack.registry.store().clone();
    let query = Query::new().descending("id").page(1, 1);
    let page = spawn_blocking(move || store.list::<stack::registry::store::WorkItemView>(&query)).await?;
    let page = page.map_err(|error| anyhow!("{error:?}"))?;
    match page.results.first() {
        Some(found) => look(stack, found.id).await.map(Some),
        None => Ok(None),
    }
}

async fn counts(stack: &Stack) -> Result<Counts> {
    let client = redis::Client::open(format!("redis://{}", stack.access().redis))?;
    let mut connection = client.get_multiplexed_async_connection().await.context("asking Redis for its numbers")?;
    let info: InfoDict = redis::cmd("INFO").arg("stats").query_async(&mut connection).await?;
    let redis = info.get("total_commands_processed").context("Redis does not count its commands")?;
    Ok(Counts { s3: stack.s3.requests().counts(), registry: stack.registry.requests(), redis })
}

impl Counts {
    fn since(self, before: &Self) -> Self {
        let was = |operation| before.s3.get(operation).copied().unwrap_or_default();
        let s3 = self.s3.iter().map(|(operation, count)| (*operation, count - was(operation)));
        Self {
            s3: s3.filter(|(_, count)| *count > 0).collect(),
            registry: self.registry - before.registry,
            redis: self.redis - before.redis,
        }
    }
}
