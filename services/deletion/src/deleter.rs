//! `apt_delete`: permission, then the copies, then the proof that they are gone, and only then the Registry's record, which writes the
//! PREMIS event (03 §5). What an earlier run did is found in the Registry: deleted files are not active any more.

use std::collections::HashSet;

use anyhow::Result;
use buckets::Preservation;
use futures_util::stream::{self, StreamExt as _};
use model::bucket::PreservationBuckets;
use model::topic::e2e;
use model::{GenericFile, ProcessingError, State, note};
use storage::Storage;
use worker::settings::{EndToEnd, Retention};
use worker::{Context, Done, ItemPlan, ItemStage, Stop, Task};

use crate::copies::{self, Left};
use crate::permission::{self, Subject};

/// How many files are taken at a time: a batch of deletions in each bucket.
const PAGE: u16 = 200;
/// How many files are reported to the Registry side by side.
const REPORTS: usize = 8;
/// How many errors the item's note tells of.
const TOLD: usize = 30;

/// The stage.
#[derive(Debug)]
pub struct Deleter {
    storage: Storage,
    buckets: PreservationBuckets,
    retention: Retention,
    end_to_end: EndToEnd,
}

impl Deleter {
    pub fn new(storage: Storage, buckets: PreservationBuckets, retention: Retention, end_to_end: EndToEnd) -> Self {
        Self { storage, buckets, retention, end_to_end }
    }

    /// The life of the service.
    pub async fn serve(context: Context<ItemPlan, (Preservation, Retention, EndToEnd)>) -> Result<()> {
        let (preservation, retention, end_to_end) = context.settings.clone();
        let storage = preservation.s3.storage(&buckets::budget()).await?;
        let ended = context.run(Self::new(storage.clone(), preservation.buckets, retention, end_to_end)).await;
        storage.close().await;
        ended
    }

    /// A file that the item names.
    async fn file(&self, task: &Task, file: GenericFile) -> Result<(), Stop> {
        let identifier = file.identifier.clone();
        let errors = self.batch(task, vec![file]).await?;
        match errors.into_iter().next() {
            None => Ok(()),
            Some((_, text)) => Err(Stop::failed(identifier, text)),
        }
    }

    /// All files of an object, and then itself. Those that are deleted leave the list of the active ones, and those that fail
    /// stay at its beginning: behind them goes on what is left, so that each is tried once in a run (03 D5).
    async fn object(&self, task: &Task, object: i64, identifier: &str) -> Result<(), Stop> {
        let mut failed: HashSet<i64> = HashSet::new();
        let mut errors = Vec::new();
        loop {
            let page = 1 + failed.len() / usize::from(PAGE);
            let query = permission::active(object).sort("id").per_page(PAGE).page(page as u64);
            let listed = task.until_cancelled(task.registry.list::<GenericFile>(&query)).await??;
            let files: Vec<_> = listed.results.into_iter().filter(|file| !failed.contains(&file.id)).collect();
            if files.is_empty() {
                break;
            }
            for (file, text) in self.batch(task, files).await? {
                failed.insert(file.id);
                if errors.len() < TOLD {
                    errors.push(ProcessingError {
                        identifier: file.identifier,
                        message: text,
                        ..ProcessingError::default()
                    });
                }
            }
        }
        if !errors.is_empty() {
            tracing::error!(failed = failed.len(), "files of {identifier} could not be deleted");
            return Err(Stop::Failed(errors));
        }
        let Err(error) = task.registry.delete_object(object).await else { return Ok(()) };
        // The answer may have been lost, or an earlier run's.
        if task.registry.object(object).await.is_ok_and(|object| object.state == State::Deleted) {
            return Ok(());
        }
        Err(error.into())
    }

    /// Removes the copies of these files, and reports those that are gone. Returns those that are not, with the reason; that the
    /// system failed ends all.
    async fn batch(&self, task: &Task, files: Vec<GenericFile>) -> Result<Vec<(GenericFile, String)>, Stop> {
        let left = task.until_cancelled(copies::remove(&self.storage, &self.buckets, &files)).await?;
        let (mut gone, mut failed, mut system) = (Vec::new(), Vec::new(), None);
        for (file, left) in files.into_iter().zip(left) {
            match left {
                Ok(()) => gone.push(file),
                Err(Left::Failed(text)) => failed.push((file, text)),
                Err(Left::System(text)) => system = Some(text),
            }
        }
        let reports: Vec<_> = gone.into_iter().map(|file| report(task, file)).collect();
        let mut reports = stream::iter(reports).buffer_unordered(REPORTS);
        while let Some(reported) = task.until_cancelled(reports.next()).await? {
            match reported {
                Ok(()) => {}
                Err((_, error)) if error.is_transient() => system = Some(error.to_string()),
                Err((file, error)) => failed.push((file, error.to_string())),
            }
        }
        match system {
            Some(text) => Err(Stop::System(text)),
            None => Ok(failed),
        }
    }
}

impl ItemStage for Deleter {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let item = &task.item;
        if self.end_to_end == EndToEnd::On {
            task.announce_end(e2e::DELETION, item.id.to_string());
        }
        let subject = Subject::of(task).await?;
        if !subject.is_deleted() {
            permission::ask(task, &subject, self.retention).await?;
        }
        let outcome = match subject {
            Subject::File(_) => note::FILE_DELETED,
            Subject::Object(_) => note::OBJECT_DELETED,
        };
        match subject {
            subject if subject.is_deleted() => {
                tracing::info!(work_item_id = item.id, "{} was deleted before", subject.identifier());
            }
            Subject::File(file) => self.file(task, *file).await?,
            Subject::Object(object) => self.object(task, object.id, &object.identifier).await?,
        }
        Ok(Done {
            note: Some(note::deleted(&item.user, &item.inst_approver, &item.aptrust_approver)),
            outcome: Some(outcome.to_owned()),
            ..Done::default()
        })
    }
}

/// Tells the Registry that a file's copies are gone. After a failure its state is looked at: the answer may have been lost, and
/// what is deleted already needs no second event.
async fn report(task: &Task, file: GenericFile) -> Result<(), (GenericFile, registry::Error)> {
    let Err(error) = task.registry.delete_file(file.id).await else { return Ok(()) };
    match task.registry.file(file.id).await {
        Ok(standing) if standing.state == State::Deleted => Ok(()),
        _ => Err((file, error)),
    }
}
