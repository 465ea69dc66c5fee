//! `glacier_restorer`: S3 is asked to bring files back from Glacier until all of them are readable; then a new WorkItem hands over to
//! the restorer of files or of bags (03 §4). What is readable already stands in the item's hash, so that it is asked for once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use buckets::{Glacier, Retrieval};
use failing::chain;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::bucket::PreservationBuckets;
use model::{Action, GenericFile, ProcessingError, Status, Time, Topic, WorkItem, note};
use nsq::{Name, Publisher};
use registry::Query;
use storage::{Restore, Storage};
use worker::{Context, Done, ItemPlan, ItemStage, Stop, Task};

use crate::contents::no_source;
use crate::ground::{active_files, asked, asked_file};

/// The stage.
#[derive(Debug, Clone)]
pub struct GlacierRestorer {
    storage: Storage,
    buckets: PreservationBuckets,
    retrieval: Retrieval,
    publisher: Publisher,
    /// Between two looks at what is not there yet.
    pause: Duration,
}

/// Requests to S3 at once, of one item.
const IN_FLIGHT: usize = 64;
/// The item that follows finds its object locked until the Glacier item is closed.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What S3 says of a file.
enum Answer {
    Readable(i64),
    NotYet,
    /// It did not answer.
    Silent(String),
    Refused(ProcessingError),
}

/// How far all files together are.
#[derive(Default)]
struct Progress {
    files: u64,
    pending: u64,
    silent: Option<String>,
}

impl GlacierRestorer {
    pub fn new(
        storage: Storage,
        buckets: PreservationBuckets,
        retrieval: Retrieval,
        publisher: Publisher,
        pause: Duration,
    ) -> Self {
        Self { storage, buckets, retrieval, publisher, pause }
    }

    /// The life of the program. It waits as long as an attempt that failed does, and at most an hour, which is NSQ's limit.
    pub async fn life(context: Context<ItemPlan, Glacier>) -> Result<()> {
        let Glacier { s3, buckets, retrieval } = context.settings.clone();
        let storage = s3.storage(&buckets::budget()).await?;
        let publisher = context.plan.clients()?.publisher;
        let stage = Self::new(storage.clone(), buckets, retrieval, publisher, context.plan.queue.requeue_delay);
        let ended = context.run(stage).await;
        storage.close().await;
        ended
    }
}

impl ItemStage for GlacierRestorer {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        Box::pin(task.until_cancelled(self.restore(task))).await?
    }
}

impl GlacierRestorer {
    async fn restore(&self, task: &Task) -> Result<Done, Stop> {
        let (restoration, object) = asked(task).await?;
        let mut progress = Progress::default();
        if task.item.generic_file_id > 0 {
            self.look(task, &[asked_file(task).await?], &mut progress).await?;
        } else {
            let mut pages = Box::pin(task.registry.pages::<GenericFile>(active_files(&object).per_page(100)));
            while let Some(page) = pages.try_next().await? {
                self.look(task, &page.results, &mut progress).await?;
            }
        }
        match progress {
            Progress { silent: Some(text), .. } => Err(Stop::System(text)),
            Progress { files: 0, .. } => {
                let identifier = &restoration.identifier;
                Err(Stop::fatal(identifier, format!("{identifier} has no files that could be restored")))
            }
            Progress { pending: 0, .. } => {
                self.hand_over(task).await?;
                Ok(Done { note: Some(note::glacier_done(&object.identifier)), ..Done::default() })
            }
            Progress { files, pending, .. } => {
                tracing::info!(work_item_id = task.item.id, "{pending} of {files} files are still in Glacier");
                Err(Stop::Waiting { note: note::GLACIER_PENDING.to_owned(), delay: self.pause })
            }
        }
    }

    /// Asks for those of the files that are not known to be readable. What S3 refuses ends the stage, with all that it refused.
    async fn look(&self, task: &Task, files: &[GenericFile], progress: &mut Progress) -> Result<(), Stop> {
        let now = Time::now();
        let ids: Vec<i64> = files.iter().map(|file| file.id).collect();
        let thawed = task.store.thawed(task.item.id, &ids).await?;
        let mut asking = Vec::new();
        for (file, until) in files.iter().zip(thawed) {
            if until.is_none_or(|until| until <= now) {
                asking.push(self.ask(file));
            }
        }
        let answers: Vec<Answer> = stream::iter(asking).buffer_unordered(IN_FLIGHT).collect().await;
        progress.files += files.len() as u64;
        let (mut readable, mut refused) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Answer::Readable(file) => readable.push(file),
                Answer::NotYet => progress.pending += 1,
                Answer::Silent(text) => progress.silent = Some(text),
                Answer::Refused(error) => refused.push(error),
            }
        }
        task.store.save_thawed(task.item.id, &readable, self.relied_on(now)).await?;
        if refused.is_empty() { Ok(()) } else { Err(Stop::Failed(refused)) }
    }

    /// Half of a copy's life: asked for again after that, it lives on while the others arrive.
    fn relied_on(&self, now: Time) -> Time {
        Time::from(now.inner() + Duration::from_hours(12) * u32::from(self.retrieval.days))
    }

    async fn ask(&self, file: &GenericFile) -> Answer {
        let identifier = &file.identifier;
        let refused = |text| {
            let (identifier, message) = (identifier.clone(), text);
            Answer::Refused(ProcessingError { identifier, message, is_fatal: true, ..ProcessingError::default() })
        };
        let urls = file.storage_records.iter().map(|record| record.url.as_str());
        let Some((bucket, key)) = self.buckets.best_copy(urls).and_then(|(it, url)| Some((it, it.key_of(url)?))) else {
            return refused(no_source(&self.buckets, file));
        };
        let Retrieval { tier, days } = &self.retrieval;
        let asked = match self.storage.bucket(&bucket.row().site.provider, bucket.name()) {
            Ok(bucket) => bucket.restore(key, *days, tier.clone()).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(Restore::Available | Restore::NotArchived) => Answer::Readable(file.id),
            Ok(Restore::Accepted | Restore::InProgress) => Answer::NotYet,
            Err(error) if error.status() == Some(503) => Answer::NotYet,
            Err(error) if error.is_transient() => Answer::Silent(chain(&error).to_string()),
            Err(error) => refused(format!("Glacier will not restore {identifier}: {}", chain(&error))),
        }
    }

    /// Before the Glacier item is closed (D24): whoever does it again finds what was made.
    async fn hand_over(&self, task: &Task) -> Result<(), Stop> {
        let item = match self.follower(task).await? {
            Some(item) => item,
            None => self.follow(task).await?,
        };
        if item.status != Status::Pending || item.is_claimed() {
            return Ok(());
        }
        let topic = if item.action == Action::RestoreFile { Topic::RestoreFile } else { Topic::RestoreObject };
        let published = async {
            let name: Name = topic.as_str().parse().context("the name of a restorer's topic")?;
            let sent = self.publisher.publish_deferred(&name, item.id.to_string(), HAND_OVER).await;
            sent.with_context(|| format!("WorkItem {} could not be handed to {topic}", item.id))
        };
        published.await.map_err(|error| Stop::of(&error))
    }

    async fn follow(&self, task: &Task) -> Result<WorkItem, Stop> {
        let follower = WorkItem { queued_at: Time::now(), ..task.item.after_glacier() };
        task.registry.save_work_item(&follower).await.map_err(|error| match Stop::from(error) {
            Stop::Failed(errors) => {
                let texts: Vec<_> = errors.into_iter().map(|error| error.message).collect();
                Stop::failed(&task.item.object_identifier, format!("{}.{}", texts.join(" | "), note::NEXT_ITEM_FAILED))
            }
            stop => stop,
        })
    }

    /// One that was made for this item, by a run that was cut off or by an administrator, and that has not failed.
    async fn follower(&self, task: &Task) -> Result<Option<WorkItem>, Stop> {
        let WorkItem { intellectual_object_id, generic_file_id, created_at, .. } = &task.item;
        let query = Query::new()
            .filter("action", &task.item.after_glacier().action)
            .filter("intellectual_object_id", intellectual_object_id)
            .sort("id__desc");
        let mut items = Box::pin(task.registry.all::<WorkItem>(query));
        while let Some(item) = items.try_next().await? {
            if item.created_at < *created_at {
                break;
            }
            let lives = item.status == Status::Success || (item.retry && !item.is_completed());
            if item.generic_file_id == *generic_file_id && lives {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}
