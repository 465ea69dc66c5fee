//! `apt_fixity`: reads a stored copy, compares its SHA-256 with the Registry's and records the outcome (03 §6). A message is answered
//! when the event stands. What may pass is tried again; a copy that is wrong or missing is looked at again before that is said.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use buckets::Preservation;
use digests::{Algorithm as Hash, Lanes};
use model::bucket::{PreservationBucket, PreservationBuckets};
use model::event::FixityCheck;
use model::topic::e2e;
use model::{Algorithm, EventType, GenericFile, PremisEvent, State, Time};
use nsq::Publisher;
use registry::Query;
use storage::{Kind, Storage};
use time::OffsetDateTime;
use worker::settings::{EndToEnd, FixityAge, FixityCopies, Registry};
use worker::{Answer, Context, Delivery, Handler, QueuePlan};

/// Looks at a copy before it is said to be wrong or missing.
const LOOKS: u32 = 3;
const READS: u32 = 2;
/// What one check takes: what its connection and its hashing hold, in bytes.
const MEMORY: u64 = 4 << 20;
/// Bytes that may wait to be hashed, for all checks together.
const WAITING: usize = 16 << 20;

/// What a checker needs besides its clients.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A file is due when its last check is older than this.
    pub days: u32,
    pub copies: FixityCopies,
    pub end_to_end: EndToEnd,
    /// Before another look, and before a message is delivered again.
    pub pause: Duration,
}

/// Checks the files whose ids arrive.
#[derive(Debug)]
pub struct Checker {
    registry: registry::Client,
    storage: Storage,
    buckets: PreservationBuckets,
    publisher: Publisher,
    lanes: Lanes,
    terms: Terms,
}

/// What a look at a copy showed.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Its SHA-256.
    Digest(String),
    Missing,
    /// It would have to be restored first.
    Archived,
}

/// What became of a message.
#[derive(Debug)]
enum Checked {
    Recorded,
    /// There is nothing to check, and why.
    Nothing(String),
}

impl Checker {
    pub fn new(
        registry: registry::Client,
        storage: Storage,
        buckets: PreservationBuckets,
        publisher: Publisher,
        terms: Terms,
    ) -> Result<Self> {
        let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let lanes = Lanes::new(threads, WAITING).context("starting the threads that hash")?;
        Ok(Self { registry, storage, buckets, publisher, lanes, terms })
    }

    /// The life of the service.
    pub async fn serve(
        context: Context<QueuePlan, (Registry, Preservation, FixityAge, FixityCopies, EndToEnd)>,
    ) -> Result<()> {
        let (registry, preservation, age, copies, end_to_end) = context.settings.clone();
        let terms = Terms { days: age.days, copies, end_to_end, pause: context.plan.requeue_delay };
        let publisher = context.plan.nsq.publisher.publisher()?;
        let storage = preservation.s3.storage(&buckets::budget()).await?;
        let checker = Self::new(registry.client()?, storage.clone(), preservation.buckets, publisher, terms)?;
        let ended = checker.run(context).await;
        storage.close().await;
        ended
    }

    /// The loop over the messages.
    pub async fn run<S>(self, context: Context<QueuePlan, S>) -> Result<()> {
        context.run(self, MEMORY).await
    }

    /// An error may pass.
    async fn check(&self, id: i64) -> Result<Checked> {
        let file = match self.registry.file(id).await {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(Checked::Nothing("Registry has no such file".to_owned())),
            Err(error) => return Err(error.into()),
        };
        if let Some(reason) = unfit(&file) {
            return Ok(Checked::Nothing(reason));
        }
        let Some((best, url)) = self.buckets.best_copy(file.storage_records.iter().map(|record| record.url.as_str()))
        else {
            let (urls, buckets) = (file.storage_records.len(), self.buckets.iter().count());
            return Ok(Checked::Nothing(format!(
                "Could not find any suitable restoration source for {}. ({urls} preservation URLS, {buckets} \
                 PreservationBuckets)",
                file.identifier
            )));
        };
        let mut copies = vec![(best, url)];
        if self.terms.copies == FixityCopies::All {
            let urls = file.storage_records.iter().map(|record| record.url.as_str()).filter(|other| *other != url);
            copies.extend(urls.filter_map(|url| Some((self.buckets.locate(url).ok()?.0, url))));
        }
        // An event moves the date of the last check: with several copies it is the events that say which are done.
        if self.terms.end_to_end == EndToEnd::Off && self.is_recent(&file) {
            let done = if copies.len() > 1 { self.recent_events(&file).await? } else { Vec::new() };
            copies.retain(|(_, url)| copies_are_due(&done, url));
            if done.is_empty() || copies.is_empty() {
                return Ok(Checked::Nothing(format!("{} was checked on {}", file.identifier, file.last_fixity_check)));
            }
        }
        for (bucket, url) in copies {
            let Some(event) = self.look(&file, bucket, url).await? else { continue };
            self.registry.create_event_once(&event).await.context("recording the fixity check")?;
        }
        Ok(Checked::Recorded)
    }

    fn due_before(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() - time::Duration::days(self.terms.days.into())
    }

    fn is_recent(&self, file: &GenericFile) -> bool {
        file.last_fixity_check.inner() > self.due_before()
    }

    /// The checks of a file that are not old enough to be repeated.
    async fn recent_events(&self, file: &GenericFile) -> Result<Vec<PremisEvent>> {
        let query = Query::new()
            .filter("generic_file_id", file.id)
            .filter("event_type", EventType::FixityCheck)
            .filter("date_time__gteq", Time::from(self.due_before()).to_whole_second())
            .per_page(1000);
        let page = self.registry.list::<PremisEvent>(&query).await.context("looking for earlier checks")?;
        Ok(page.results.into_iter().filter(|event| event.outcome_information.contains(" at ")).collect())
    }

    /// The event of what stands at a URL; none where it cannot be read as it is archived, or is not the Registry's any more.
    async fn look(&self, file: &GenericFile, bucket: &PreservationBucket, url: &str) -> Result<Option<PremisEvent>> {
        let mut file = file.clone();
        let (mut reads, mut looks) = (0, 0);
        loop {
            let seen =
                self.see(&file, bucket).await.with_context(|| format!("reading {} at {url}", file.identifier))?;
            looks += 1;
            let actual = match &seen {
                Seen::Archived => {
                    tracing::info!(generic_file_id = file.id, "{url} is archived and was not read");
                    return Ok(None);
                }
                Seen::Digest(digest) => Some(digest.as_str()),
                Seen::Missing => None,
            };
            reads += u32::from(actual.is_some());
            let expected = file.latest_checksum(&Algorithm::Sha256).map(|checksum| checksum.digest.to_lowercase());
            let check = FixityCheck { url, expected: expected.as_deref().unwrap_or_default(), actual };
            let event = check.event(&file, Time::now());
            if check.matches() {
                return Ok(Some(event));
            }
            if reads >= READS || looks >= LOOKS {
                tracing::error!(generic_file_id = file.id, "{}: {}", file.identifier, event.outcome_information);
                return Ok(Some(event));
            }
            tracing::warn!(generic_file_id = file.id, "looked at again: {}", event.outcome_information);
            tokio::time::sleep(self.terms.pause).await;
            // It may have been deleted or ingested again meanwhile.
            file = self.registry.file(file.id).await?;
            if file.state == State::Deleted || !file.storage_records.iter().any(|record| record.url == url) {
                return Ok(None);
            }
        }
    }

    async fn see(&self, file: &GenericFile, bucket: &PreservationBucket) -> Result<Seen> {
        let client = self.storage.bucket(&bucket.row().site.provider, bucket.name())?;
        let mut download = match client.get(&file.uuid).await {
            Ok(download) => download,
            Err(error) if error.is_not_found() => return Ok(Seen::Missing),
            Err(error) if error.kind() == Kind::Archived => return Ok(Seen::Archived),
            Err(error) => return Err(error.into()),
        };
        let mut hashing = self.lanes.start(Hash::Sha256);
        while let Some(chunk) = download.chunk().await? {
            hashing.update(chunk).await;
        }
        let digests = hashing.finish().await;
        let digest = digests.get(Hash::Sha256).ok_or_else(|| anyhow!("the digest was not computed"))?;
        Ok(Seen::Digest(digest.to_owned()))
    }

    /// Upstream's end-to-end test waits for the ids of the files that were checked.
    async fn announce(&self, id: i64) -> Result<()> {
        if self.terms.end_to_end == EndToEnd::On {
            let topic = e2e::FIXITY.parse().context("the topic's name")?;
            self.publisher.publish(&topic, id.to_string()).await.context("telling of the check")?;
        }
        Ok(())
    }

    async fn work(&self, body: &[u8]) -> Result<()> {
        let Some(id) = str::from_utf8(body).ok().and_then(|text| text.trim().parse::<i64>().ok()) else {
            tracing::error!("a message is no id of a file: {}", String::from_utf8_lossy(&body[..body.len().min(100)]));
            return Ok(());
        };
        match self.check(id).await? {
            Checked::Recorded => tracing::debug!(generic_file_id = id, "checked"),
            Checked::Nothing(reason) => tracing::info!(generic_file_id = id, "not checked: {reason}"),
        }
        self.announce(id).await
    }
}

impl Handler for Checker {
    async fn handle(&self, delivery: Delivery) -> Answer {
        match delivery.cancelled.run_until_cancelled(self.work(&delivery.body)).await {
            Some(Ok(())) => Answer::Finish,
            Some(Err(error)) => {
                tracing::warn!("file {} was not checked: {error:#}", delivery.shown());
                Answer::Again(self.terms.pause)
            }
            None => Answer::Later(Duration::ZERO),
        }
    }
}

/// Whether none of these events tells of this URL.
fn copies_are_due(done: &[PremisEvent], url: &str) -> bool {
    let at = [format!(" at {url}: "), format!(" at {url}. ")];
    !done.iter().any(|event| at.iter().any(|at| event.outcome_information.contains(at)))
}

/// Why a file is not to be read.
fn unfit(file: &GenericFile) -> Option<String> {
    let GenericFile { id, identifier, .. } = file;
    if file.state == State::Deleted {
        return Some(format!("{identifier} ({id}) is deleted"));
    }
    if file.storage_option.as_str().starts_with("Glacier") {
        return Some(format!("Skipping file {identifier} because it's Glacier-only"));
    }
    if file.latest_checksum(&Algorithm::Sha256).is_none() {
        return Some(format!("cannot find latest sha256 checksum for file {identifier} ({id})"));
    }
    None
}
