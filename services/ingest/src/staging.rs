//! `ingest_staging_uploader`: the files of a bag go out of its tar into the staging bucket (02 §7). The tar is read once, as a stream, and
//! as it was when the item was made; small files are sent from memory, many at a time, large ones as they come. Nothing is stored
//! that does not have the digest which was recorded.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;
use buckets::Staging;
use bytes::{Bytes, BytesMut};
use failing::chain;
use futures_util::{Stream, stream};
use model::metadata::Destination;
use model::multipart::SINGLE_PUT_LIMIT;
use model::{IngestFile, IngestObject, Time, note};
use storage::{Bucket, Download, ETag, Get, Kind, Permit};
use tarball::{Files, ReadError, Reader};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use worker::{Done, ItemStage, Stop, Task};

use crate::files::{Progress, Summary};
use crate::records::Records;
use crate::{Ground, failed, staged};

/// Uploads under way at a time: with a round trip of 20 ms, some three thousand files a second.
const IN_FLIGHT: usize = 64;
/// Files whose documents are read with one command, and the bytes of them that are in memory for that; a larger file is alone.
const BATCH: usize = 100;
const BATCH_BYTES: u64 = 4 << 20;
/// A larger file never stands in memory as a whole.
const LARGEST_HELD: u64 = SINGLE_PUT_LIMIT;
/// Chunks of a large file between the tar and its upload.
const CHUNKS: usize = 8;

/// The stage.
#[derive(Debug, Clone)]
pub struct StagingUploader {
    ground: Ground,
    staging: Bucket,
}

/// The tar, of the version that the item is about.
type Tar = Reader<std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, storage::Error>> + Send>>>;

/// One reading of the tar.
struct Unpacking<'t> {
    stage: &'t StagingUploader,
    task: &'t Task,
    object: &'t IngestObject,
    records: Records,
    uploads: JoinSet<(IngestFile, Result<(), storage::Error>)>,
    batch: Batch,
    unsaved: Vec<IngestFile>,
    failed: u64,
    system: Option<String>,
    summary: Summary,
    progress: Progress,
}

/// Small files that were read and are not on their way yet.
#[derive(Default)]
struct Batch {
    files: VecDeque<(String, Bytes)>,
    bytes: u64,
    /// For all of them, and until the last is sent.
    permit: Option<Arc<Permit>>,
}

impl StagingUploader {
    pub fn new(ground: &Ground, staging: &Staging) -> Result<Self> {
        Ok(Self { ground: ground.clone(), staging: staged::bucket(&ground.storage, staging)? })
    }
}

impl ItemStage for StagingUploader {
    /// Beside buffers, which have a budget of their own: what is remembered of the names in a bag of a million files.
    const MEMORY: u64 = 64 << 20;

    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let mut object = self.ground.object(task).await?;
        let records = Records::read(task, &object, is_due).await?;
        if !records.are_all_done() {
            let tar = self.open(task).await?;
            Unpacking::new(self, task, &object, records).through(tar).await?;
        }
        object.copied_to_staging_at = Time::now();
        task.store.save_object(task.item.id, &object).await?;
        Ok(Done::default())
    }
}

/// Only what will be preserved is staged, and only once.
fn is_due(file: &IngestFile) -> bool {
    file.is_preservable() && file.needs_save && !file.copied_to_staging_at.is_set()
}

impl StagingUploader {
    async fn open(&self, task: &Task) -> Result<Tar, Stop> {
        let get = Get { range: None, etag: Some(ETag::new(&task.item.etag)) };
        let receiving = self.ground.receiving(&task.item)?;
        let opened = task.until_cancelled(receiving.get_with(&task.item.name, get)).await?;
        match opened.map(Download::into_stream) {
            Ok(stream) => Ok(Reader::new(Box::pin(stream), tarball::Limits::default())),
            Err(error) => Err(self.unreadable(task, &error).await),
        }
    }

    /// The bag that was validated is gone, or another one is there by now: no repetition brings it back.
    async fn unreadable(&self, task: &Task, error: &storage::Error) -> Stop {
        let item = &task.item;
        match error.kind() {
            Kind::NotFound => Stop::fatal(&item.name, note::bag_gone(item)),
            Kind::Changed => match self.ground.receiving(item) {
                Err(stop) => stop,
                Ok(receiving) => match receiving.find(&item.name).await {
                    Ok(Some(tar)) => Stop::fatal(&item.name, note::bag_changed(item, tar.etag.as_str())),
                    Ok(None) => Stop::fatal(&item.name, note::bag_gone(item)),
                    Err(error) => failed(&item.name, &error),
                },
            },
            _ => failed(&item.name, error),
        }
    }
}

impl<'t> Unpacking<'t> {
    fn new(stage: &'t StagingUploader, task: &'t Task, object: &'t IngestObject, records: Records) -> Self {
        let total = u64::try_from(object.file_count).unwrap_or_default();
        Self {
            stage,
            task,
            object,
            records,
            uploads: JoinSet::new(),
            batch: Batch::default(),
            unsaved: Vec::new(),
            failed: 0,
            system: None,
            summary: Summary::default(),
            progress: Progress::new(task.item.id, total),
        }
    }

    async fn through(mut self, tar: Tar) -> Result<(), Stop> {
        let walked = self.walk(tar).await;
        if matches!(walked, Err(Stop::Cancelled)) {
            self.uploads.abort_all();
        }
        // What is done is kept, whatever ended the walk.
        while let Some(ended) = self.uploads.join_next().await {
            self.ended(ended);
        }
        let saved = self.save().await;
        walked?;
        saved?;
        match (self.system, self.failed) {
            (Some(message), _) => Err(Stop::System(message)),
            (None, 0) => Ok(()),
            (None, count) => Err(Stop::failed(self.object.identifier(), format!("{count} files were not copied"))),
        }
    }

    async fn walk(&mut self, mut tar: Tar) -> Result<(), Stop> {
        let mut names = Files::default();
        while self.system.is_none() && !self.records.are_all_done() {
            let entry = self.task.until_cancelled(tar.entry()).await?;
            let Some(entry) = self.read(entry).await? else { break };
            let name = &self.task.item.name;
            let admitted = names.admit(&entry).map_err(|refusal| Stop::fatal(name, refusal.to_string()))?;
            let Some(path) = admitted else { continue };
            match self.records.take(&path) {
                None => return Err(self.no_record(&path)),
                Some(false) => self.summary.skipped += 1,
                Some(true) if entry.size > LARGEST_HELD => self.large(&mut tar, path).await?,
                Some(true) => self.small(&mut tar, path, entry.size).await?,
            }
            self.progress.tell(&self.summary, self.uploads.len());
        }
        self.send_batch().await
    }

    /// Reads a file into the batch, after sending the batch where there is no more room in it.
    async fn small(&mut self, tar: &mut Tar, path: String, size: u64) -> Result<(), Stop> {
        if self.batch.files.len() >= BATCH || self.batch.bytes + size > BATCH_BYTES {
            self.send_batch().await?;
        }
        if self.batch.permit.is_none() {
            // Nothing waits here for what is sent later.
            let permit = self.task.until_cancelled(self.stage.ground.budget.take(size.max(BATCH_BYTES))).await?;
            self.batch.permit = Some(Arc::new(permit));
        }
        let mut contents = BytesMut::with_capacity(usize::try_from(size).unwrap_or_default());
        while let Some(chunk) = self.data(tar).await? {
            contents.extend_from_slice(&chunk);
        }
        self.batch.files.push_back((path, contents.freeze()));
        self.batch.bytes += size;
        Ok(())
    }

    async fn send_batch(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        let paths: Vec<&str> = batch.files.iter().map(|(path, _)| path.as_str()).collect();
        let documents = self.documents(&paths).await?;
        for (file, (_, contents)) in documents.into_iter().zip(batch.files) {
            self.room().await?;
            let permit = batch.permit.clone();
            self.upload(file, stream::iter([Ok::<_, storage::Error>(contents)]), permit);
        }
        self.save().await
    }

    /// Passes a file on as it comes. Its upload may go on while the next one is read.
    async fn large(&mut self, tar: &mut Tar, path: String) -> Result<(), Stop> {
        self.send_batch().await?;
        for file in self.documents(&[&path]).await? {
            self.room().await?;
            let (sender, receiver) = mpsc::channel(CHUNKS);
            let chunks = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
            self.upload(file, Box::pin(chunks), None);
            // An upload that failed takes nothing more. One that gets too little, since the tar failed, stores nothing.
            while let Some(chunk) = self.data(tar).await? {
                let sent = self.task.until_cancelled(sender.send(Ok::<_, storage::Error>(chunk))).await?;
                if sent.is_err() {
                    break;
                }
                self.progress.tell(&self.summary, self.uploads.len());
            }
        }
        Ok(())
    }

    fn upload<S>(&mut self, file: IngestFile, contents: S, permit: Option<Arc<Permit>>)
    where
        S: Stream<Item = Result<Bytes, storage::Error>> + Send + 'static,
    {
        let put = match staged::put(&file, Destination::Staging) {
            Ok(put) => put,
            Err(error) => return self.not_copied(&file, &error),
        };
        let (staging, key) = (self.stage.staging.clone(), staged::key(self.task.item.id, &file));
        self.uploads.spawn(async move {
            let stored = staging.put(&key, contents, &put).await;
            drop(permit);
            (file, stored.map(|_| ()))
        });
    }

    /// Waits until another upload may begin.
    async fn room(&mut self) -> Result<(), Stop> {
        while self.uploads.len() >= IN_FLIGHT {
            if let Some(ended) = self.task.until_cancelled(self.uploads.join_next()).await? {
                self.ended(ended);
            }
        }
        while let Some(ended) = self.uploads.try_join_next() {
            self.ended(ended);
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(IngestFile, Result<(), storage::Error>), JoinError>) {
        match ended {
            Ok((mut file, Ok(()))) => {
                file.copied_to_staging_at = Time::now();
                self.summary.done += 1;
                self.summary.bytes += staged::size(&file);
                self.unsaved.push(file);
            }
            Ok((_, Err(error))) if error.is_transient() => {
                self.system = self.system.take().or_else(|| Some(chain(&error).to_string()));
            }
            Ok((file, Err(error))) => self.not_copied(&file, &error),
            // Given up with the rest.
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                self.failed += 1;
                tracing::error!(%error, "the worker has a defect, an upload was cut short");
            }
        }
    }

    fn not_copied(&mut self, file: &IngestFile, error: &(dyn std::error::Error + 'static)) {
        self.failed += 1;
        let key = staged::key(self.task.item.id, file);
        tracing::error!("Error copying {} ({key}) to staging: {}", file.identifier(), chain(error));
    }

    /// Saves what is done; nothing counts as done before that.
    async fn save(&mut self) -> Result<(), Stop> {
        self.task.store.save_files(self.task.item.id, &self.unsaved).await?;
        self.unsaved.clear();
        Ok(())
    }

    async fn documents(&self, paths: &[&str]) -> Result<Vec<IngestFile>, Stop> {
        let identifiers: Vec<String> = paths.iter().map(|path| self.object.file_identifier(path)).collect();
        let documents = self.task.store.files_by_identifier(self.task.item.id, &identifiers).await?;
        let documents = documents.into_iter().zip(paths);
        documents.map(|(document, path)| document.ok_or_else(|| self.no_record(path))).collect()
    }

    fn no_record(&self, path: &str) -> Stop {
        let identifier = self.object.file_identifier(path);
        let message = format!("IngestFileGet ({}, {identifier}): redis: nil", self.task.item.id);
        Stop::failed(identifier, message)
    }

    async fn data(&self, tar: &mut Tar) -> Result<Option<Bytes>, Stop> {
        let data = self.task.until_cancelled(tar.data()).await?;
        self.read(data).await
    }

    async fn read<T>(&self, read: Result<T, ReadError<storage::Error>>) -> Result<T, Stop> {
        match read {
            Ok(read) => Ok(read),
            Err(ReadError::Source(error)) => Err(self.stage.unreadable(self.task, &error).await),
            // The very bytes that were read to their end before. Tried again, as upstream does.
            Err(ReadError::Tar(error)) => Err(Stop::failed(&self.task.item.name, chain(&error).to_string())),
        }
    }
}
