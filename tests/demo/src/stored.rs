//! What is stored of a bag, asked of the Registry, and of S3, from which every copy is read back.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::pin::pin;

use anyhow::{Context as _, Result, bail};
use digests::{Algorithm as Hash, Algorithms, Lanes};
use futures_util::TryStreamExt as _;
use model::{Action, Algorithm, EventType, GenericFile, IntellectualObject, PremisEvent, Provider, Status, WorkItem};
use registry::Query;
use serde_json::json;
use storage::Kind;
use xtask::ui::Ui;

use crate::system::{INSTITUTION, System};

/// Files that are read back at a time.
const AT_ONCE: usize = 8;
const PAGE: u16 = 200;
/// Files that the report shows in full, and names of the changed ones that it gives.
const SHOWN: usize = 2;
const NAMED: usize = 5;
/// Bytes that wait for their digest.
const IN_FLIGHT: usize = 16 << 20;

/// What is stored of a bag.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) object: IntellectualObject,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Copies in each bucket.
    pub(crate) buckets: BTreeMap<String, u64>,
    /// Copies whose digests are those of the Registry, by those algorithms.
    pub(crate) verified: u64,
    pub(crate) algorithms: Vec<String>,
    /// Copies in an archive, which are not read.
    pub(crate) archived: u64,
    /// What is wrong with the others.
    pub(crate) wrong: Vec<String>,
    /// How many there are of each type.
    pub(crate) events: Vec<(String, i64)>,
    pub(crate) examples: Vec<GenericFile>,
    /// What this version of the bag brought.
    pub(crate) new: Fate,
    pub(crate) changed: Fate,
    pub(crate) same: Fate,
    pub(crate) is_reingest: bool,
}

/// Files that have something in common.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    pub(crate) files: u64,
    /// The first of them that are payload.
    pub(crate) names: Vec<String>,
}

impl Stored {
    /// Whether no copy can be read before it was asked for.
    pub(crate) fn is_archived(&self) -> bool {
        self.archived > 0 && self.verified == 0
    }
}

/// Asks for all of it. Each file is a record of its own, as it is read back.
pub(crate) async fn ask(system: &System, item: &WorkItem, name: &str, ui: &Ui) -> Result<Stored> {
    let identifier = model::identifier::of_object(INSTITUTION, &item.name);
    let object = system.registry.object(identifier.as_str()).await.context("asking the Registry for the object")?;
    let before = Query::new().filter("action", Action::Ingest).filter("name", &item.name).per_page(PAGE);
    let before = system.registry.list::<WorkItem>(&before).await.context("asking the Registry for earlier versions")?;
    let mut stored = Stored {
        files: 0,
        bytes: 0,
        buckets: BTreeMap::new(),
        verified: 0,
        algorithms: Vec::new(),
        archived: 0,
        wrong: Vec::new(),
        events: events(system, object.id).await?,
        examples: Vec::new(),
        new: Fate::default(),
        changed: Fate::default(),
        same: Fate::default(),
        is_reingest: before.results.iter().any(|other| other.id < item.id && other.status == Status::Success),
        object,
    };
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let lanes = Lanes::new(threads, IN_FLIGHT).context("starting the threads that compute digests")?;
    let query = Query::new().filter("intellectual_object_id", stored.object.id).sort("identifier");
    let files = system.registry.all::<GenericFile>(query.per_page(PAGE).page(1));
    let read = files.map_err(anyhow::Error::from).map_ok(|file| {
        let lanes = &lanes;
        async move {
            let mut states = Vec::new();
            for record in &file.storage_records {
                let (bucket, key) = place(&record.url)?;
                states.push((bucket.to_owned(), read_back(system, lanes, &file, bucket, key).await?));
            }
            anyhow::Ok((file, states))
        }
    });
    let mut read = pin!(read.try_buffered(AT_ONCE));
    while let Some((file, states)) = read.try_next().await.context("reading the object's files back")? {
        ui.record("file", &record(name, &file, &states));
        stored.add(file, states, item);
    }
    Ok(stored)
}

/// The bucket and the key in it that a URL names.
pub(crate) fn place(url: &str) -> Result<(&str, &str)> {
    let mut parts = url.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(key), Some(bucket)) if !key.is_empty() => Ok((bucket, key)),
        _ => bail!("the Registry has a copy at {url}, which names no bucket and key"),
    }
}

/// How a copy is.
#[derive(Debug)]
enum State {
    Verified,
    Archived,
    Wrong(String),
}

impl Stored {
    fn add(&mut self, file: GenericFile, states: Vec<(String, State)>, item: &WorkItem) {
        self.files += 1;
        self.bytes += u64::try_from(file.size).unwrap_or_default();
        for (bucket, state) in states {
            *self.buckets.entry(bucket).or_default() += 1;
            match state {
                State::Verified => self.verified += 1,
                State::Archived => self.archived += 1,
                State::Wrong(what) => self.wrong.push(what),
            }
        }
        if file.storage_records.is_empty() {
            self.wrong.push(format!("{} is stored nowhere", file.identifier));
        }
        if self.algorithms.is_empty() {
            self.algorithms = recorded(&file).map(|(algorithm, _)| algorithm.to_string()).collect();
        }
        let since = item.created_at.inner();
        let is_written = file.checksums.iter().any(|checksum| checksum.datetime.inner() >= since);
        let fate = match (is_written, file.created_at.inner() >= since) {
            (true, true) => &mut self.new,
            (true, false) => &mut self.changed,
            (false, _) => &mut self.same,
        };
        fate.files += 1;
        let is_payload = file.path_in_bag().is_some_and(|path| path.starts_with("data/"));
        if is_payload {
            if fate.names.len() < NAMED {
                fate.names.push(file.path_in_bag().unwrap_or_default().to_owned());
            }
            if is_written && self.examples.len() < SHOWN {
                self.examples.push(file);
            }
        }
    }
}

/// The newest digest of each algorithm that the Registry has.
fn recorded(file: &GenericFile) -> impl Iterator<Item = (Hash, &str)> {
    Hash::ALL.into_iter().filter_map(|hash| {
        let checksum = file.latest_checksum(&Algorithm::from(hash.as_str()))?;
        Some((hash, checksum.digest.as_str()))
    })
}

/// Reads a copy from S3 and compares it with the Registry.
async fn read_back(system: &System, lanes: &Lanes, file: &GenericFile, bucket: &str, key: &str) -> Result<State> {
    let mut download = match system.storage.bucket(&Provider::Aws, bucket)?.get(key).await {
        Ok(download) => download,
        Err(error) if error.kind() == Kind::Archived => return Ok(State::Archived),
        Err(error) if error.is_not_found() => return Ok(State::Wrong(format!("{bucket} has no {key}"))),
        Err(error) => return Err(error.into()),
    };
    let mut hashing = lanes.start(recorded(file).map(|(hash, _)| hash).collect::<Algorithms>());
    let mut size = 0;
    while let Some(chunk) = download.chunk().await? {
        size += chunk.len() as u64;
        hashing.update(chunk).await;
    }
    let digests = hashing.finish().await;
    let has = |(hash, digest): (Hash, &str)| digests.get(hash) == Some(digest);
    let is_right = recorded(file).count() > 0 && recorded(file).all(has) && i64::try_from(size) == Ok(file.size);
    Ok(if is_right {
        State::Verified
    } else {
        State::Wrong(format!("{bucket}/{key} is not what the Registry has of {}", file.identifier))
    })
}

/// How many PREMIS events of each type the object has, with those of its files.
async fn events(system: &System, object: i64) -> Result<Vec<(String, i64)>> {
    let mut events = Vec::new();
    for kind in EventType::KNOWN {
        let query = Query::new().filter("intellectual_object_id", object).filter("event_type", kind).per_page(1);
        let page = system.registry.list::<PremisEvent>(&query).await.context("asking the Registry for events")?;
        if page.count > 0 {
            events.push((kind.as_str().to_owned(), page.count));
        }
    }
    Ok(events)
}

fn record(bag: &str, file: &GenericFile, states: &[(String, State)]) -> serde_json::Value {
    let digests: BTreeMap<&str, &str> = recorded(file).map(|(hash, digest)| (hash.as_str(), digest)).collect();
    let copies = states.iter().map(|(bucket, state)| {
        let (state, problem) = match state {
            State::Verified => ("verified", None),
            State::Archived => ("archived", None),
            State::Wrong(what) => ("wrong", Some(what)),
        };
        json!({ "bucket": bucket, "key": file.uuid, "state": state, "problem": problem })
    });
    json!({
        "bag": bag,
        "file": file.identifier,
        "bytes": file.size,
        "format": file.file_format,
        "digests": digests,
        "copies": copies.collect::<Vec<_>>(),
    })
}
