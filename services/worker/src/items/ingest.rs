//! What only an ingest must ask before it is taken up: is the bag ingested already, is an older one still in the works, does a
//! newer one wait, is the tar in the receiving bucket still the same (01 §4.4, rules 3, 4 and 8 to 10; rulings A.5, A.11, B.16).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{
    EventType, Institution, IntellectualObject, PremisEvent, Provider, Stage, Status, Topic, WorkItem, identifier, note,
};
use registry::Query;

use super::Desk;
use crate::items::rules::Skip;
use crate::items::task::ItemStage;

/// When an item is looked at again that waits for an older version of its bag.
const OLDER_VERSION: Duration = Duration::from_mins(5);
/// How many items of a bag are looked at, the newest first.
const ITEMS_OF_A_BAG: u16 = 20;

/// The domains of institutions, which never change.
#[derive(Debug, Default)]
pub(super) struct Institutions(Mutex<HashMap<i64, String>>);

impl Institutions {
    pub(super) async fn identifier(&self, registry: &registry::Client, id: i64) -> Result<String> {
        let known = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(identifier) = known().get(&id) {
            return Ok(identifier.clone());
        }
        let institution: Institution =
            registry.institution(id).await.context("the Registry did not show its institution")?;
        known().insert(id, institution.identifier.clone());
        Ok(institution.identifier)
    }
}

impl<S: ItemStage> Desk<S> {
    /// Why an item that stands at our stage is not taken up all the same.
    pub(super) async fn skip_ingest(&self, item: &WorkItem) -> Result<Option<Skip>> {
        if item.intellectual_object_id > 0 {
            return self.ingested(item, item.intellectual_object_id, note::ALREADY_INGESTED_BY_ID).await.map(Some);
        }
        if self.rules.topic() == Topic::IngestCleanup {
            return self.skip_cleanup(item).await;
        }
        self.skip_for_another_version(item).await
    }

    /// An item at cleanup of which Redis knows nothing any more. Only an answer counts as that, not an error: Go takes any
    /// error for absence, and so reports bags as ingested that are not (rulings A.11).
    async fn skip_cleanup(&self, item: &WorkItem) -> Result<Option<Skip>> {
        let institution = self.institutions.identifier(&self.registry, item.institution_id).await?;
        let identifier = identifier::of_object(&institution, &item.name);
        let known = self.store.object(item.id, &identifier).await.context("its object could not be read from Redis")?;
        if known.is_some() {
            return Ok(None);
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
            let ingested = Query::new()
                .filter("event_type", EventType::Ingestion)
                .filter("intellectual_object_id", object.id)
                .filter("generic_file_id__is_null", true)
                .filter("date_time__gteq", item.created_at)
                .filter("outcome", "Success");
            let events =
                self.registry.list::<PremisEvent>(&ingested).await.context("the Registry did not list its events")?;
            if !events.results.is_empty() {
                return self.ingested(item, object.id, note::ALREADY_INGESTED_BY_EVENT).await.map(Some);
            }
        }
        Ok(Some(Skip::Done(format!("Rejecting WorkItem {} because Redis knows nothing of its bag", item.id))))
    }

    /// The item was ingested, and only nobody had said so.
    async fn ingested(&self, item: &WorkItem, object: i64, note: &str) -> Result<Skip> {
        let mut item = item.clone();
        item.mark_no_longer_in_progress(Stage::Cleanup, Status::Success, note);
        item.needs_admin_review = false;
        item.retry = false;
        item.intellectual_object_id = object;
        self.registry.save_work_item(&item).await.context("it could not be saved as ingested")?;
        Ok(Skip::Done(format!("WorkItem {} was ingested already", item.id)))
    }

    async fn skip_for_another_version(&self, item: &WorkItem) -> Result<Option<Skip>> {
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
            return Ok(Some(Skip::Later(OLDER_VERSION, reason)));
        }
        let is_newer =
            |other: &&WorkItem| other.date_processed.inner() > item.date_processed.inner() && other.etag != item.etag;
        if self.rules.topic().is_late_ingest() {
            return Ok(None);
        }
        if let Some(newer) = unfinished.find(is_newer) {
            let reason = note::superseded(item.id, newer.id);
            return self.abandon(item, Status::Cancelled, true, reason).await.map(Some);
        }
        self.skip_for_another_tar(item).await
    }

    /// An error of S3 says nothing about the tar: the stage will meet it.
    async fn skip_for_another_tar(&self, item: &WorkItem) -> Result<Option<Skip>> {
        let Some(storage) = &self.receiving else { return Ok(None) };
        let tar = match storage.bucket(&Provider::Aws, &item.bucket) {
            Ok(bucket) => bucket.find(&item.name).await,
            Err(error) => Err(error),
        };
        let (status, needs_review, reason) = match tar {
            Ok(None) => (Status::Suspended, true, note::bag_gone(item)),
            Ok(Some(tar)) if !tar.etag.as_str().is_empty() && tar.etag.as_str() != item.etag => {
                (Status::Cancelled, item.needs_admin_review, note::bag_changed(item, tar.etag.as_str()))
            }
            Ok(Some(_)) => return Ok(None),
            Err(error) => {
                tracing::warn!(work_item_id = item.id, "whether the tar is still there could not be seen: {error}");
                return Ok(None);
            }
        };
        self.abandon(item, status, needs_review, reason).await.map(Some)
    }

    /// Ends an ingest for good. Its data stays, and nothing is published to cleanup (rulings B.16).
    async fn abandon(&self, item: &WorkItem, status: Status, needs_review: bool, reason: String) -> Result<Skip> {
        let mut item = item.clone();
        let stage = item.stage.clone();
        item.mark_no_longer_in_progress(stage, status, &*reason);
        item.retry = false;
        item.needs_admin_review = needs_review;
        self.registry.save_work_item(&item).await.context("it could not be saved as given up")?;
        Ok(Skip::Done(reason))
    }
}
