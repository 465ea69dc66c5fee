//! `ingest_recorder`: what was stored goes into the Registry (02 §11): the object, its events, then its files with theirs
//! (`recorder/files.rs`). Everything stands there once, wherever it is cut off (rulings C.20): what the Registry is to know a record
//! by is in Redis before it is sent.

mod files;

use anyhow::Result;
use model::{IngestObject, Time};
use worker::{Context, Done, ItemPlan, ItemStage, Stop, Task};

use crate::ground;
use crate::institutions::Institutions;
use crate::versions::Versions;

/// The stage. It needs no S3.
#[derive(Debug, Clone)]
pub struct Recorder {
    institutions: Institutions,
}

/// The life of the service.
pub async fn record(context: Context<ItemPlan, ()>) -> Result<()> {
    let clients = context.plan.clients()?;
    let institutions = Institutions::new(clients.registry.clone());
    let versions = Versions::new(context.plan.rules.topic(), &clients, institutions.clone(), None);
    context.run_admitting(clients, versions, Recorder::new(institutions)).await
}

impl Recorder {
    pub fn new(institutions: Institutions) -> Self {
        Self { institutions }
    }
}

impl ItemStage for Recorder {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let mut object = ground::object(task, &self.institutions, None).await?;
        record_object(task, &mut object).await?;
        record_events(task, &mut object).await?;
        files::record(task, &object).await?;
        object.should_delete_from_receiving = true;
        object.recheck_registry_identifiers = false;
        task.store.save_object(task.item.id, &object).await?;
        Ok(Done::default())
    }
}

/// Creates the object, or brings the one up to date that the reingest manager found. Its events are made, and saved with its id.
async fn record_object(task: &Task, object: &mut IngestObject) -> Result<(), Stop> {
    if object.saved_to_registry_at.is_set() && !object.premis_events.is_empty() {
        return Ok(());
    }
    if !object.saved_to_registry_at.is_set() {
        let saved = save_object(task, object).await?;
        object.id = saved.id;
        object.saved_to_registry_at = set_or_now(saved.updated_at);
    }
    object.ensure_events(Time::now());
    Ok(task.store.save_object(task.item.id, object).await?)
}

async fn save_object(task: &Task, object: &IngestObject) -> Result<model::IntellectualObject, Stop> {
    let record = object.to_intellectual_object();
    let refused = |error: registry::Error| match error.kind() {
        registry::Kind::Rejected { .. } | registry::Kind::NotFound { .. } if !error.is_transient() => {
            Stop::fatal(&record.identifier, error.to_string())
        }
        _ => error.into(),
    };
    if record.id > 0 {
        return task.until_cancelled(task.registry.save_object(&record)).await?.map_err(refused);
    }
    match task.until_cancelled(task.registry.create_object_once(&record)).await?.map_err(refused)? {
        registry::Standing::Ours(standing) => Ok(standing),
        registry::Standing::Theirs(standing) => {
            let message = format!(
                "Object {} has been in Registry since {}, with etag {} instead of {}. Push this item to {} to ingest it as an update.",
                record.identifier,
                standing.created_at,
                standing.etag,
                record.etag,
                model::Stage::ReingestCheck
            );
            Err(Stop::fatal(&record.identifier, message))
        }
    }
}

/// Records those of the object's events that have no id yet, in their order. One that is refused does not keep back the next.
async fn record_events(task: &Task, object: &mut IngestObject) -> Result<(), Stop> {
    let (id, identifier) = (object.id, object.identifier());
    let mut errors = Vec::new();
    let mut stop = None;
    for event in object.premis_events.as_vec().iter_mut().filter(|event| event.id == 0) {
        event.intellectual_object_id = id;
        match task.until_cancelled(task.registry.create_event_once(event)).await? {
            Ok(recorded) => {
                event.id = recorded.id;
                event.created_at = recorded.created_at;
                event.updated_at = recorded.updated_at;
            }
            Err(error) if error.is_transient() => {
                stop = Some(error.into());
                break;
            }
            Err(error) => {
                errors.push(files::error(task, &identifier, error.to_string(), files::Hope::AnotherAttempt));
            }
        }
    }
    // What was recorded is kept, whatever failed.
    task.store.save_object(task.item.id, object).await?;
    match stop {
        Some(stop) => Err(stop),
        None if errors.is_empty() => Ok(()),
        None => Err(Stop::Failed(errors)),
    }
}

/// When it was recorded; nothing counts as recorded without such a time.
fn set_or_now(time: Time) -> Time {
    if time.is_set() { time } else { Time::now() }
}
