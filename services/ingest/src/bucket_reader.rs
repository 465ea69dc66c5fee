//! The bucket reader: looks for new bags in the receiving buckets, makes a `WorkItem` of each, and starts its ingest (02 §2; rulings B).
//! Leases, pauses and the order of buckets are the loop's; what becomes of the items is not known here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::{
    Action, Institution, IntellectualObject, Provider, SYSTEM_USER, Stage, State, Status, Time, Topic, WorkItem,
    identifier, note,
};
use nsq::{Name, Publisher};
use registry::Query;
use storage::{Depth, Entry, Storage};
use worker::{Part, Pass, Scan};

/// How many keys of a bucket the Registry is asked about at a time.
const LOOKS: usize = 8;
/// The message waits until `queued_at` is saved, which would undo what a worker writes meanwhile (rulings B.14).
const DELAY: Duration = Duration::from_secs(5);
/// Items of one key that are looked at, the newest first.
const ITEMS_OF_A_KEY: u16 = 10;
const INSTITUTIONS: u16 = 100;

/// Looks at every receiving bucket of the institutions that are not deactivated.
#[derive(Debug)]
pub struct BucketReader {
    registry: registry::Client,
    publisher: Publisher,
    storage: Storage,
    topic: Name,
    /// Whose bucket it is, by the list that this scan goes by.
    owners: Mutex<BTreeMap<String, i64>>,
}

/// What is to be done about a key.
#[derive(Debug, Clone, PartialEq)]
enum Decision {
    /// Its bag is known, and in work or done with.
    Nothing,
    Create,
    /// An item waits that nobody was told of.
    Publish(Box<WorkItem>),
}

impl BucketReader {
    pub fn new(registry: registry::Client, publisher: Publisher, storage: Storage) -> Result<Self> {
        let topic = Topic::IngestPrefetch.as_str().parse().context("the topic's name")?;
        Ok(Self { registry, publisher, storage, topic, owners: Mutex::default() })
    }
}

impl Scan for BucketReader {
    async fn parts(&self) -> Result<Vec<Part>> {
        let all = self.registry.all::<Institution>(Query::new().sort("name").per_page(INSTITUTIONS).page(1));
        let all: Vec<Institution> = all.try_collect().await.context("the Registry did not list the institutions")?;
        let mut owners = BTreeMap::new();
        let active = all.into_iter().filter(|one| one.state != State::Deleted && !one.receiving_bucket.is_empty());
        for Institution { id, identifier, receiving_bucket, .. } in active {
            // With two owners, each bag would be ingested twice.
            if let Some(other) = owners.insert(receiving_bucket.clone(), id) {
                owners.insert(receiving_bucket.clone(), other);
                tracing::error!(
                    "{receiving_bucket} is the receiving bucket of institution {other} and of {id} ({identifier}); \
                     its bags are taken for those of the first. Correct the second in the Registry."
                );
            }
        }
        let parts = owners.keys().cloned().map(Part::Bucket).collect();
        *self.owners.lock().unwrap_or_else(PoisonError::into_inner) = owners;
        Ok(parts)
    }

    async fn pass(&self, part: &Part, pass: &Pass) -> Result<()> {
        let Part::Bucket(bucket) = part else { bail!("{part:?} is no receiving bucket") };
        let owner = self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).copied();
        let Some(institution) = owner else { bail!("nobody's receiving bucket is {bucket}") };
        pass.cancelled.run_until_cancelled(self.scan(bucket, institution, pass)).await.unwrap_or(Ok(()))
    }
}

impl BucketReader {
    async fn scan(&self, bucket: &str, institution: i64, pass: &Pass) -> Result<()> {
        let receiving = self.storage.bucket(&Provider::Aws, bucket).context("a client for the bucket")?;
        let mut list = receiving.list("", Depth::One);
        let (mut begun, mut skipped) = (0, 0);
        while let Some(page) = list.page().await.with_context(|| format!("listing {bucket}"))? {
            pass.progress();
            let bags: Vec<Entry> = page.entries.into_iter().filter(|entry| is_bag(&entry.key)).collect();
            let look = |entry: Entry| async move {
                let looked = self.look(bucket, institution, &entry).await;
                (entry, looked)
            };
            let mut looks = stream::iter(bags.into_iter().map(look)).buffer_unordered(LOOKS);
            while let Some((entry, looked)) = looks.next().await {
                pass.progress();
                match looked {
                    Ok(None) => {}
                    Ok(Some(item)) => {
                        begun += 1;
                        tracing::info!(work_item_id = item, "the ingest of {bucket}/{} begins", entry.key);
                    }
                    Err(error) => {
                        skipped += 1;
                        tracing::warn!("{bucket}/{} is skipped until the next scan: {error:#}", entry.key);
                    }
                }
            }
        }
        tracing::debug!(begun, "{bucket} is read");
        if skipped > 0 {
            bail!("{skipped} bags of {bucket} were skipped; the lines above say why");
        }
        Ok(())
    }

    /// The item whose ingest begins, if one does.
    async fn look(&self, bucket: &str, institution: i64, entry: &Entry) -> Result<Option<i64>> {
        let item = match self.decide(institution, entry).await? {
            Decision::Nothing => return Ok(None),
            Decision::Publish(item) => *item,
            Decision::Create => {
                let item = new_item(bucket, institution, entry);
                self.registry.save_work_item(&item).await.context("the Registry did not create its WorkItem")?
            }
        };
        self.begin(institution, entry, item.id).await
    }

    async fn decide(&self, institution: i64, entry: &Entry) -> Result<Decision> {
        let items = self.items(institution, entry).await?;
        let Some(newest) = items.first() else { return Ok(Decision::Create) };
        Ok(match newest.status {
            Status::Pending if is_untold(newest) => Decision::Publish(Box::new(newest.clone())),
            Status::Success if !self.is_preserved(newest).await? => Decision::Create,
            // Only a new upload undoes that (rulings B.15).
            Status::Cancelled | Status::Suspended if last_modified(entry).inner() > newest.bag_date.inner() => {
                Decision::Create
            }
            // In work, or failed, as the same bytes would again.
            _ => Decision::Nothing,
        })
    }

    /// Publishes an item and notes that, unless others have done so meanwhile or work on the same bag (rulings B.13 and B.14).
    async fn begin(&self, institution: i64, entry: &Entry, id: i64) -> Result<Option<i64>> {
        let items = self.items(institution, entry).await?;
        let Some(item) = items.iter().find(|item| item.id == id).filter(|item| is_untold(item)) else {
            return Ok(None);
        };
        if let Some(first) =
            items.iter().filter(|other| other.id < id && !other.is_completed()).min_by_key(|one| one.id)
        {
            let mut item = item.clone();
            let note = format!("The same bag is ingested in WorkItem {}.", first.id);
            item.mark_no_longer_in_progress(Stage::Receive, Status::Cancelled, note);
            item.retry = false;
            self.registry.save_work_item(&item).await.context("its second WorkItem could not be cancelled")?;
            return Ok(None);
        }
        let published = self.publisher.publish_deferred(&self.topic, id.to_string(), DELAY).await;
        published.with_context(|| format!("WorkItem {id} could not be published"))?;
        let item = WorkItem { queued_at: Time::now(), ..item.clone() };
        // The message is on its way: what is not noted costs a second one.
        self.registry
            .save_work_item(&item)
            .await
            .with_context(|| format!("when WorkItem {id} was queued is not saved"))?;
        Ok(Some(id))
    }

    /// The items of these very bytes, the newest first.
    async fn items(&self, institution: i64, entry: &Entry) -> Result<Vec<WorkItem>> {
        let query = Query::new()
            .filter("name", &entry.key)
            .filter("etag", entry.etag.as_str())
            .filter("institution_id", institution)
            .filter("action", Action::Ingest)
            .sort("date_processed__desc")
            .per_page(ITEMS_OF_A_KEY)
            .page(1);
        let page = self.registry.list::<WorkItem>(&query).await.context("the Registry did not list its WorkItems")?;
        Ok(page.results.into_iter().collect())
    }

    /// Whether what an item ingested is still there. Only the Registry's own word counts as absence.
    async fn is_preserved(&self, item: &WorkItem) -> Result<bool> {
        if item.intellectual_object_id == 0 {
            return Ok(false);
        }
        match self.registry.object(item.intellectual_object_id).await {
            Ok(IntellectualObject { state, .. }) => Ok(state == State::Active),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error).context("the Registry did not show its object"),
        }
    }
}

fn new_item(bucket: &str, institution: i64, entry: &Entry) -> WorkItem {
    WorkItem {
        action: Action::Ingest,
        stage: Stage::Receive,
        status: Status::Pending,
        name: entry.key.clone(),
        bucket: bucket.to_owned(),
        size: i64::try_from(entry.size).unwrap_or(i64::MAX),
        etag: entry.etag.as_str().to_owned(),
        bag_date: last_modified(entry),
        date_processed: Time::now(),
        institution_id: institution,
        note: note::IN_RECEIVING.to_owned(),
        outcome: note::PENDING_INGEST.to_owned(),
        retry: true,
        user: SYSTEM_USER.to_owned(),
        ..WorkItem::default()
    }
}

/// Whether it waits to be received, and no message was ever sent for it.
fn is_untold(item: &WorkItem) -> bool {
    let waits = item.status == Status::Pending && item.stage == Stage::Receive && item.retry;
    waits && !item.queued_at.is_set() && item.node.is_empty()
}

fn last_modified(entry: &Entry) -> Time {
    entry.last_modified.map_or(Time::UNSET, Time::from)
}

fn is_bag(key: &str) -> bool {
    if key.strip_suffix(".tar").is_none() {
        tracing::debug!("Skipping {key}: not a tar file");
        return false;
    }
    // The identifier of its object would end with the institution (rulings J.75).
    if identifier::clean_bag_name(key).is_empty() {
        tracing::warn!("Skipping {key}: the bag has no name");
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_is_a_tar_with_a_name() {
        for (key, expected) in [
            ("bag.tar", true),
            ("bag.b1.of2.tar", true),
            (".tar", false),
            (".b1.of2.tar", false),
            ("bag.zip", false),
            ("bag.TAR", false),
            ("tar", false),
        ] {
            assert_eq!(is_bag(key), expected, "{key}");
        }
    }
}
