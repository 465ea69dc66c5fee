//! The files of an object on their way into the Registry: new ones in batches, changed ones one by one, several requests under way
//! at a time. Of two requests none concerns the same file, so that their order does not matter.

use std::collections::HashSet;

use model::{GenericFile, IngestFile, IngestObject, ProcessingError, Time};
use redis_store::FilePage;
use registry::Standing;
use tokio::task::{JoinError, JoinSet};
use worker::{Stop, Task};

use super::set_or_now;
use crate::files::{Progress, Summary};

/// How many files Redis is asked for at a time.
const PAGE: usize = 500;
/// How many new files are created in one request and one transaction: what upstream sends, nominally.
const BATCH: usize = 100;
/// Requests under way at a time.
const IN_FLIGHT: usize = 8;
/// After so many errors the rest is left for the next attempt.
const MOST_ERRORS: usize = 30;

/// A walk through the files under way.
struct Recording<'t> {
    task: &'t Task,
    object: &'t IngestObject,
    running: JoinSet<Sent>,
    /// New files that do not fill a batch yet.
    new: Vec<Entry>,
    /// A walk through Redis may show a file twice.
    in_work: HashSet<String>,
    errors: Vec<ProcessingError>,
    /// Of files that are recorded all the same: [`Recording::warn`].
    warnings: Vec<ProcessingError>,
    stop: Option<Stop>,
    summary: Summary,
    progress: Progress,
}

/// A file, and what the Registry is to know of it.
struct Entry {
    file: IngestFile,
    record: GenericFile,
    /// Its events were made by an earlier run, which may have sent them.
    may_stand: bool,
}

/// What became of a request.
struct Sent {
    identifiers: Vec<String>,
    recorded: Result<Recorded, Stop>,
}

#[derive(Default)]
struct Recorded {
    files: u64,
    bytes: u64,
    errors: Vec<ProcessingError>,
}

/// Whether a repetition may mend an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hope {
    AnotherAttempt,
    None,
}

/// Records all files of the object that are to be recorded and are not yet.
pub(super) async fn record(task: &Task, object: &IngestObject) -> Result<Summary, Stop> {
    let total = u64::try_from(object.file_count).unwrap_or_default();
    let mut recording = Recording {
        task,
        object,
        running: JoinSet::new(),
        new: Vec::new(),
        in_work: HashSet::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
        stop: None,
        summary: Summary::default(),
        progress: Progress::new(task.item.id, total),
    };
    recording.through().await?;
    recording.conclude()
}

impl Recording<'_> {
    async fn through(&mut self) -> Result<(), Stop> {
        let mut pages = self.task.store.files(self.task.item.id, PAGE);
        while !self.is_over() {
            let Some(page) = self.task.until_cancelled(pages.next()).await?? else { break };
            self.page(page).await?;
        }
        let rest = std::mem::take(&mut self.new);
        self.start(rest, create).await?;
        while !self.running.is_empty() {
            self.one_ends().await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stop.is_some() || self.errors.len() >= MOST_ERRORS
    }

    async fn page(&mut self, page: FilePage) -> Result<(), Stop> {
        for corrupt in page.corrupt {
            self.errors.push(error(self.task, "", failing::chain(&corrupt).to_string(), Hope::None));
        }
        let entries: Vec<Entry> = page.files.into_iter().filter_map(|file| self.entry(file)).collect();
        // Before anything is sent: it is the events by which a file is recognised whose answer was lost.
        let made: Vec<&IngestFile> = entries.iter().filter(|entry| !entry.may_stand).map(|entry| &entry.file).collect();
        self.task.until_cancelled(self.task.store.save_files(self.task.item.id, made)).await??;
        let (new, changed): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.file.id == 0);
        self.new.extend(new);
        while self.new.len() >= BATCH {
            let batch = self.new.split_off(self.new.len() - BATCH);
            self.start(batch, create).await?;
        }
        for entry in changed {
            self.warn(&entry.file);
            self.start(vec![entry], update).await?;
        }
        Ok(())
    }

    /// What is to be sent of a file, if it is to be recorded at all.
    fn entry(&mut self, mut file: IngestFile) -> Option<Entry> {
        let wanted = file.is_preservable() && file.needs_save && !file.saved_to_registry_at.is_set();
        if !wanted || self.in_work.contains(&file.identifier()) {
            self.summary.skipped += 1;
            return None;
        }
        file.institution_id = self.object.institution_id;
        file.intellectual_object_id = self.object.id;
        file.object_identifier = self.object.identifier();
        if file.id == 0 {
            file.storage_option = self.object.storage_option.clone();
        }
        let may_stand = !file.premis_events.is_empty();
        match file.to_generic_file(Time::now()) {
            Ok(record) => {
                self.in_work.insert(file.identifier());
                Some(Entry { file, record, may_stand })
            }
            Err(incomplete) => {
                let hope = if file.id == 0 { Hope::AnotherAttempt } else { Hope::None };
                self.errors.push(error(self.task, &file.identifier(), incomplete.to_string(), hope));
                None
            }
        }
    }

    /// A changed file whose option is not the object's is recorded, and the attempt fails: so an administrator reads of it.
    fn warn(&mut self, file: &IngestFile) {
        let (ours, object) = (&file.storage_option, &self.object.storage_option);
        if ours == object || self.warnings.len() >= MOST_ERRORS {
            return;
        }
        let identifier = file.identifier();
        let message = format!(
            "Storage option {ours} for file {identifier} does not match object storage option {object}. This shouldn't happen and will \
             lead to mismatched file versions in different storage locations. See https://trello.com/c/C4XlgSNU and \
             https://trello.com/c/ccxvAQkv."
        );
        self.warnings.push(error(self.task, &identifier, message, Hope::AnotherAttempt));
    }

    async fn start<F>(&mut self, entries: Vec<Entry>, send: fn(Task, Vec<Entry>) -> F) -> Result<(), Stop>
    where
        F: Future<Output = Result<Recorded, Stop>> + Send + 'static,
    {
        while self.running.len() >= IN_FLIGHT {
            self.one_ends().await?;
        }
        if self.is_over() {
            return Ok(());
        }
        let identifiers = entries.iter().map(|entry| entry.record.identifier.clone()).collect();
        let sending = send(self.task.clone(), entries);
        self.running.spawn(async move { Sent { identifiers, recorded: sending.await } });
        Ok(())
    }

    /// Waits for an answer. Requests that are under way when the work is cancelled are given up: the next run asks what became of
    /// them.
    async fn one_ends(&mut self) -> Result<(), Stop> {
        if let Some(ended) = self.task.until_cancelled(self.running.join_next()).await? {
            self.ended(ended);
            self.progress.tell(&self.summary, self.running.len());
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<Sent, JoinError>) {
        let Sent { identifiers, recorded } = match ended {
            Ok(sent) => sent,
            Err(defect) => {
                let message = format!("The worker has a defect, a request to Registry was cut short: {defect}.");
                return self.errors.push(error(self.task, "", message, Hope::AnotherAttempt));
            }
        };
        for identifier in &identifiers {
            self.in_work.remove(identifier);
        }
        match recorded {
            Ok(Recorded { files, bytes, errors }) => {
                self.summary.done += files;
                self.summary.bytes += bytes;
                self.errors.extend(errors);
            }
            Err(Stop::Failed(errors)) => self.errors.extend(errors),
            Err(stop) => self.stop = self.stop.take().or(Some(stop)),
        }
    }

    fn conclude(mut self) -> Result<Summary, Stop> {
        self.errors.append(&mut self.warnings);
        match self.stop {
            Some(stop) => Err(stop),
            None if self.errors.is_empty() => Ok(self.summary),
            None => Err(Stop::Failed(self.errors)),
        }
    }
}

/// Creates new files: all or none of those that do not stand yet.
async fn create(task: Task, entries: Vec<Entry>) -> Result<Recorded, Stop> {
    let Some(institution) = entries.first().map(|entry| entry.record.institution_id) else {
        return Ok(Recorded::default());
    };
    let (files, records): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|Entry { file, record, .. }| (file, record)).unzip();
    let standing = task.registry.create_files_once(institution, &records).await?;
    let (mut recorded, mut errors) = (Vec::new(), Vec::new());
    for (file, standing) in files.into_iter().zip(standing) {
        match standing {
            Standing::Ours(record) => recorded.push(marked(file, &record)),
            Standing::Theirs(record) => {
                errors.push(error(&task, &record.identifier, stands_otherwise(&file, &record), Hope::None));
            }
        }
    }
    kept(&task, recorded, errors).await
}

/// Brings one file up to date. Each update adds its checksums and copies anew, so that it must not be sent twice.
async fn update(task: Task, entries: Vec<Entry>) -> Result<Recorded, Stop> {
    let mut recorded = Vec::new();
    for Entry { file, record, may_stand } in entries {
        let known = if may_stand { standing(&task, &record).await? } else { None };
        let record = match known {
            Some(known) => known,
            None => updated(&task, &record).await?,
        };
        recorded.push(marked(file, &record));
    }
    kept(&task, recorded, Vec::new()).await
}

async fn updated(task: &Task, record: &GenericFile) -> Result<GenericFile, registry::Error> {
    let error = match task.registry.save_file(record).await {
        Ok(updated) => return Ok(updated),
        Err(error) => error,
    };
    if !error.is_transient() && !error.is_duplicate() {
        return Err(error);
    }
    match standing(task, record).await {
        Ok(Some(known)) => Ok(known),
        Ok(None) => Err(error),
        Err(unknown) => {
            tracing::warn!(
                work_item_id = task.item.id,
                "whether {} is recorded could not be seen: {unknown}",
                record.identifier
            );
            Err(error)
        }
    }
}

/// The file as the Registry has it, if our events are in it. They come with an update or not at all.
async fn standing(task: &Task, record: &GenericFile) -> Result<Option<GenericFile>, registry::Error> {
    let known = task.registry.file(record.id).await?;
    let is_ours = record
        .premis_events
        .iter()
        .any(|ours| known.premis_events.iter().any(|event| event.identifier == ours.identifier));
    Ok(is_ours.then_some(known))
}

fn marked(file: IngestFile, record: &GenericFile) -> IngestFile {
    IngestFile { id: record.id, saved_to_registry_at: set_or_now(record.updated_at), ..file }
}

async fn kept(task: &Task, files: Vec<IngestFile>, errors: Vec<ProcessingError>) -> Result<Recorded, Stop> {
    task.store.save_files(task.item.id, &files).await?;
    let bytes = files.iter().map(|file| u64::try_from(file.size).unwrap_or_default()).sum();
    Ok(Recorded { files: files.len() as u64, bytes, errors })
}

fn stands_otherwise(file: &IngestFile, record: &GenericFile) -> String {
    format!(
        "File {} is in Registry with UUID {}, and was stored with UUID {}. Push this item to {} to ingest it as an update.",
        record.identifier,
        record.uuid,
        file.uuid,
        model::Stage::ReingestCheck
    )
}

pub(super) fn error(task: &Task, identifier: &str, message: String, hope: Hope) -> ProcessingError {
    ProcessingError {
        identifier: identifier.to_owned(),
        message,
        is_fatal: hope == Hope::None,
        work_item_id: task.item.id,
        ..ProcessingError::default()
    }
}
