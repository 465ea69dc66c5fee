//! Whether an ingest is taken up: is the bag ingested already, is an older version of it still in the works, does a newer one wait,
//! is the tar in the receiving bucket still the same (01 §4.4, rules 3, 4 and 8 to 10; rulings A.5, A.11, B.16).

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{EventType, IntellectualObject, PremisEvent, Provider, Stage, Status, Topic, WorkItem, identifier, note};
use redis_store::Store;
use registry::Query;
use storage::Storage;
use worker::{Admission, Admit, Clients};

use crate::Institutions;

/// When an item is looked at again that waits for an older version of its bag.
const OLDER_VERSION: Duration = Duration::from_mins(5);
/// How many items of a bag are looked at, the newest first.
const ITEMS_OF_A_BAG: u16 = 20;

/// Asks about the other versions of an item's bag, at one stage of ingest.
#[derive(Debug)]
pub struct Versions {
    topic: Topic,
    registry: registry::Client,
    store: Store,
    institutions: Institutions,
    receiving: Option<Storage>,
}

impl Versions {
    /// `receiving`: where the tars are, for the stages before they are stored; without it nobody looks whether they changed.
    pub fn new(topic: Topic, clients: &Clients, institutions: Institutions, receiving: Option<Storage>) -> Self {
        let Clients { registry, store, .. } = clients;
        Self { topic, registry: registry.clone(), store: store.clone(), institutions, receiving }
    }
}

impl Admission for Versions {
    async fn admit(&self, item: &WorkItem) -> Result<Admit> {
        if item.intellectual_object_id > 0 {
            return Ok(ingested(item, item.intellectual_object_id, note::ALREADY_INGESTED_BY_ID));
        }
        if self.topic == Topic::IngestCleanup {
            return self.at_cleanup(item).await;
        }
        self.beside_other_versions(item).await
    }

    async fn object(&self, item: &WorkItem) -> Result<Option<String>> {
        match self.topic {
            // Nothing is compared with, or written to, the object.
            Topic::IngestPrefetch | Topic::IngestBagValidation | Topic::IngestCleanup => Ok(None),
            _ => self.institutions.object(item).await.map(Some),
        }
    }
}

impl Versions {
    /// An item at cleanup of which Redis knows nothing any more. Only an answer counts as that, not an error: Go takes any
    /// error for absence, and so reports bags as ingested that are not (rulings A.11).
    async fn at_cleanup(&self, item: &WorkItem) -> Result<Admit> {
        let identifier = self.institutions.object(item).await?;
        let known = self.store.object(item.id, &identifier).await.context("its object could not be read from Redis")?;
        if known.is_some() {
            return Ok(Admit::Yes);
        }
        let matching = Query::new()
            .filter("institution_id", item.institution_id)
            .filter("etag", &item.etag)
            .filter("updated_at__gteq", item.created_at)
            .per_page(1)
            .page(1);
        let objects = self
            .registry
            .list::<IntellectualObject>(&matching)
            .await
            .context("the Registry did not list its object")?;
        let bag = identifier::clean_bag_name(&item.name);
        if let Some(object) = objects.results.iter().find(|object| object.identifier.ends_with(bag)) {
            let of_object = Query::new()
                .filter("event_type", EventType::Ingestion)
                .filter("intellectual_object_id", object.id)
                .filter("generic_file_id__is_null", true)
                .filter("date_time__gteq", item.created_at)
                .filter("outcome", "Success");
            let events =
                self.registry.list::<PremisEvent>(&of_object).await.context("the Registry did not list its events")?;
            if !events.results.is_empty() {
                return Ok(ingested(item, object.id, note::ALREADY_INGESTED_BY_EVENT));
            }
        }
        Ok(Admit::No(format!("Rejecting WorkItem {} because Redis knows nothing of its bag", item.id)))
    }

    async fn beside_other_versions(&self, item: &WorkItem) -> Result<Admit> {
        let same_bag = Query::new()
            .filter("name", &item.name)
            .filter("institution_id", item.institution_id)
            .filter("action", "Ingest")
            .sort("date_processed__desc")
            .per_page(ITEMS_OF_A_BAG);
        let others =
            self.registry.list::<WorkItem>(&same_bag).await.context("the Registry did not list the bag's items")?;
        let mut unfinished = others.results.iter().filter(|other| other.id != item.id && !other.is_completed());
        if let Some(older) =
            unfinished.clone().find(|other| other.retry && other.bag_date.inner() < item.bag_date.inner())
        {
            let reason = format!(
                "Skipping WorkItem {} because a prior version of this bag is still being ingested in WorkItem {}.",
                item.id, older.id
            );
            return Ok(Admit::Later(OLDER_VERSION, reason));
        }
        let is_newer =
            |other: &&WorkItem| other.date_processed.inner() > item.date_processed.inner() && other.etag != item.etag;
        if self.topic.is_late_ingest() {
            return Ok(Admit::Yes);
        }
        if let Some(newer) = unfinished.find(is_newer) {
            let reason = note::superseded(item.id, newer.id);
            return Ok(abandoned(item, Status::Cancelled, true, reason));
        }
        Ok(self.beside_another_tar(item).await)
    }

    /// An error of S3 says nothing about the tar: the stage will meet it.
    async fn beside_another_tar(&self, item: &WorkItem) -> Admit {
        let Some(storage) = &self.receiving else { return Admit::Yes };
        let tar = match storage.bucket(&Provider::Aws, &item.bucket) {
            Ok(bucket) => bucket.find(&item.name).await,
            Err(error) => Err(error),
        };
        let (status, needs_review, reason) = match tar {
            Ok(None) => (Status::Suspended, true, note::bag_gone(item)),
            Ok(Some(tar)) if !tar.etag.as_str().is_empty() && tar.etag.as_str() != item.etag => {
                (Status::Cancelled, item.needs_admin_review, note::bag_changed(item, tar.etag.as_str()))
            }
            Ok(Some(_)) => return Admit::Yes,
            Err(error) => {
                tracing::warn!(
                    work_item_id = item.id,
                    "whether the tar is still there could not be seen: {}",
                    failing::chain(&error)
                );
                return Admit::Yes;
            }
        };
        abandoned(item, status, needs_review, reason)
    }
}

/// It was ingested, and only nobody had said so.
fn ingested(item: &WorkItem, object: i64, note: &str) -> Admit {
    let mut item = item.clone();
    item.mark_no_longer_in_progress(Stage::Cleanup, Status::Success, note);
    item.needs_admin_review = false;
    item.retry = false;
    item.intellectual_object_id = object;
    let reason = format!("WorkItem {} was ingested already", item.id);
    Admit::Close(Box::new(item), reason)
}

/// It ends for good. Its data stays, and nothing is published to cleanup (rulings B.16).
fn abandoned(item: &WorkItem, status: Status, needs_review: bool, reason: String) -> Admit {
    let mut item = item.clone();
    let stage = item.stage.clone();
    item.mark_no_longer_in_progress(stage, status, &*reason);
    item.retry = false;
    item.needs_admin_review = needs_review;
    Admit::Close(Box::new(item), reason)
}
