//! The one pass over the tar: every file is hashed and recorded, manifests and tag files go to staging, tags are read. A tar that can
//! be no bag ends it (rulings C.21, J.69 and 70).

use std::convert::Infallible;
use std::time::Duration;

use bagit::aptrust::TAG_FILES;
use bagit::{Role, Syntax, Tag, TagItem, TagParser};
use bytes::Bytes;
use digests::Algorithms;
use futures_util::{Stream, StreamExt as _, stream};
use model::{ChecksumSource, IngestFile, IngestObject, Time};
use storage::{Attributes, ETag, Get, Length, Put};
use tarball::{Entry, Files, Limits, ReadError, Reader, Refusal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use worker::{Stop, Task};

use super::ends::Keeper;
use super::manifests::Manifest;
use super::records::{Passing, Records};
use super::{PreFetch, failed};

/// Bytes of labels and values that a bag may have; all of them are in one document in Redis, and in memory.
const MOST_TAGS: usize = 8 << 20;
/// Chunks between the tar and staging.
const AHEAD: usize = 8;
/// The content type that upstream's client gives such files.
const TEXT: &str = "text/plain; charset=utf-8";
/// How often the log says how far it is.
const TELL: Duration = Duration::from_mins(1);

/// What is known when the tar has passed, beside the records in Redis and what stands in the object.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the tar.
    pub(super) manifests: Vec<Manifest>,
    pub(super) tags: Vec<Tag>,
}

/// What a file is to the pass (02 §4.2).
enum Class {
    /// Hashed, and nothing else.
    Plain,
    /// Staged by its name too.
    Manifest,
    /// That, and its tags are read.
    Tags,
}

struct Pass<'a, S> {
    stage: &'a PreFetch,
    task: &'a Task,
    object: &'a mut IngestObject,
    identifier: String,
    tar: Reader<S>,
    keeper: Keeper,
    found: Found,
    /// Bytes of the tags so far.
    tags: usize,
    progress: Progress,
}

/// Reads the tar in receiving. Counts and lists what it finds in `object`.
pub(super) async fn read(stage: &PreFetch, task: &Task, object: &mut IngestObject) -> Result<Found, Stop> {
    let (item, identifier) = (&task.item, object.identifier());
    let get = Get { range: None, etag: Some(ETag::new(&item.etag)) };
    let download = stage.ground.receiving(item)?.get_with(&item.name, get).await;
    let download = download.map_err(|error| failed(&identifier, &error))?;
    let tar = Reader::new(download.into_stream().boxed(), Limits::default());
    let progress = Progress { item: item.id, size: item.size, read: 0, files: 0, last: Instant::now() };
    let (keeper, found) = (Keeper::new(stage.engine), Found::default());
    let mut pass = Pass { stage, task, object, identifier, tar, keeper, found, tags: 0, progress };
    pass.through().await?;
    Ok(pass.found)
}

impl<S> Pass<'_, S>
where
    S: Stream<Item = Result<Bytes, storage::Error>> + Unpin + Send,
{
    async fn through(&mut self) -> Result<(), Stop> {
        let (mut names, mut records) = (Files::default(), Records::new(self.task));
        while let Some(entry) = self.tar.entry().await.map_err(|error| stop(&self.identifier, error))? {
            let path = names.admit(&entry).map_err(|refusal| refused(&self.identifier, &refusal))?;
            let Some(path) = path else { continue };
            let hashing = self.stage.lanes.start(Algorithms::ALL);
            let mut passing = Passing { hashing, ends: self.keeper.file(entry.size) };
            match self.class(&path) {
                Class::Plain => self.contents(&mut passing, None, None).await?,
                Class::Manifest => self.stage_file(&path, entry.size, &mut passing, None).await?,
                Class::Tags => {
                    let parser = TagParser::new(&*path, &Syntax::APTRUST);
                    self.stage_file(&path, entry.size, &mut passing, Some(parser)).await?;
                }
            }
            let file = self.record(&path, &entry);
            records.add(file, passing).await?;
            self.object.file_count += 1;
            self.progress.files += 1;
        }
        records.finish().await
    }

    /// Notes what a file is to its bag.
    fn class(&mut self, path: &str) -> Class {
        let mut manifest = |algorithm: &str, source| {
            self.found.manifests.push(Manifest { name: path.to_owned(), algorithm: algorithm.into(), source });
            algorithm.to_owned()
        };
        match Role::of(path) {
            Role::PayloadManifest { algorithm } => {
                self.object.manifests.push(manifest(algorithm, ChecksumSource::Manifest));
                return Class::Manifest;
            }
            Role::TagManifest { algorithm } => {
                self.object.tag_manifests.push(manifest(algorithm, ChecksumSource::TagManifest));
                return Class::Manifest;
            }
            Role::Fetch => self.object.has_fetch_txt = true,
            Role::Tag => {
                self.object.tag_files.push(path.to_owned());
                if TAG_FILES.contains(&path) {
                    self.object.parsable_tag_files.push(path.to_owned());
                    return Class::Tags;
                }
            }
            Role::Payload => {}
        }
        Class::Plain
    }

    fn record(&self, path: &str, entry: &Entry) -> IngestFile {
        let mtime = entry.mtime.map_or(Time::UNSET, Time::from);
        let mut file = IngestFile {
            file_modified: mtime,
            institution_id: self.task.item.institution_id,
            mtime,
            size: i64::try_from(entry.size).unwrap_or(i64::MAX),
            ..IngestFile::new(&self.identifier, path)
        };
        self.stage.formats.tell(&mut file, Time::now());
        file
    }

    /// A file of the root, which is uploaded while it is read.
    async fn stage_file(
        &mut self,
        name: &str,
        size: u64,
        passing: &mut Passing,
        parser: Option<TagParser>,
    ) -> Result<(), Stop> {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        let attributes = Attributes { content_type: Some(TEXT.to_owned()), ..Attributes::default() };
        let put = Put { attributes, length: Length::Known(size), digest: None };
        let bytes = stream::poll_fn(move |context| receiver.poll_recv(context)).map(Ok::<_, Infallible>);
        let (staging, key, identifier) = (&self.stage.staging, PreFetch::key(self.task, name), self.identifier.clone());
        let stored = async { staging.put(&key, bytes, &put).await.map_err(|error| failed(&identifier, &error)) };
        // Where the tar breaks off, its own reason is the one to tell: the upload only misses bytes.
        tokio::try_join!(self.contents(passing, Some(sender), parser), stored)?;
        Ok(())
    }

    /// Reads an entry's contents to their end.
    async fn contents(
        &mut self,
        passing: &mut Passing,
        copy: Option<mpsc::Sender<Bytes>>,
        mut parser: Option<TagParser>,
    ) -> Result<(), Stop> {
        let fatal = |identifier: &str, error: &dyn ToString| Stop::fatal(identifier, error.to_string());
        while let Some(chunk) = self.tar.data().await.map_err(|error| stop(&self.identifier, error))? {
            self.progress.see(chunk.len());
            if let Some(parser) = &mut parser {
                let read = parser.push(&chunk, |item| keep(&mut self.found.tags, &mut self.tags, item));
                read.map_err(|error| fatal(&self.identifier, &error))?;
                self.tags_are_few()?;
            }
            if let Some(copy) = &copy {
                // An upload that has ended says why by itself.
                let _ = copy.send(chunk.clone()).await;
            }
            passing.ends.see(&chunk).await;
            passing.hashing.update(chunk).await;
        }
        if let Some(parser) = parser {
            let read = parser.finish(|item| keep(&mut self.found.tags, &mut self.tags, item));
            read.map_err(|error| fatal(&self.identifier, &error))?;
        }
        Ok(())
    }

    fn tags_are_few(&self) -> Result<(), Stop> {
        if self.tags <= MOST_TAGS {
            return Ok(());
        }
        let name = self.object.parsable_tag_files.last().map_or("", String::as_str);
        let text = format!("Error reading tag file '{name}': the bag has more than {} MiB of tags", MOST_TAGS >> 20);
        Err(Stop::fatal(&*self.identifier, text))
    }
}

fn keep(tags: &mut Vec<Tag>, bytes: &mut usize, item: TagItem) {
    if let TagItem::Tag(tag) = item {
        *bytes += tag.file.len() + tag.label.len() + tag.value.len();
        tags.push(tag);
    }
}

/// A source that fails may do better; a tar that is bad stays so.
fn stop(identifier: &str, error: ReadError<storage::Error>) -> Stop {
    match error {
        ReadError::Source(error) => failed(identifier, &error),
        ReadError::Tar(error) => refused(identifier, &Refusal::from(error)),
    }
}

/// In the depositor's words; where in the tar it is, the log says.
fn refused(identifier: &str, refusal: &Refusal) -> Stop {
    tracing::warn!(identifier, "the tar is refused: {}", failing::chain(refusal));
    Stop::fatal(identifier, refusal.to_string())
}

/// How far it is, for the log.
struct Progress {
    item: i64,
    size: i64,
    read: u64,
    files: u64,
    last: Instant,
}

impl Progress {
    fn see(&mut self, bytes: usize) {
        self.read += bytes as u64;
        if self.last.elapsed() < TELL {
            return;
        }
        self.last = Instant::now();
        let Self { item, size, read, files, .. } = self;
        let (read, size) = (*read / 1_000_000, *size / 1_000_000);
        tracing::info!(work_item_id = *item, "WorkItem {item}: {read} of {size} MB read, {files} files");
    }
}
