//! What a service does with a WorkItem: the trait that it implements, what it is given, and what it can say of the outcome.
//! When a stage runs, and what its outcome means for item, Redis and message, is `items.rs`'s.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{ProcessingError, WorkItem};
use tokio_util::sync::CancellationToken;

use super::error::may_pass;

/// One service's work on one WorkItem.
///
/// A stage knows nothing of NSQ, claims or attempts. It may be run again after it was cut off anywhere, by another process:
/// what it has done must be found in Redis, the Registry or S3, and not be done twice.
pub trait ItemStage: Send + Sync + 'static {
    /// What one item in work may take, in bytes, at most. No more items are in work than the task has memory for.
    const MEMORY: u64 = 32 << 20;

    /// Does the work. It returns soon after `task.cancelled` is, with [`Stop::Cancelled`]; whatever it returns then, nothing
    /// more is written for the item if that was taken away.
    fn run(&self, task: &Task) -> impl Future<Output = Result<Done, Stop>> + Send;
}

/// What a stage is given.
#[derive(Debug, Clone)]
pub struct Task {
    /// As the Registry had it when the work began.
    pub item: WorkItem,
    /// 1 for the first.
    pub attempt: i64,
    pub registry: registry::Client,
    pub store: redis_store::Store,
    /// The process ends, or the item was taken away from this worker.
    pub cancelled: CancellationToken,
    pub(crate) announcement: Arc<OnceLock<Announcement>>,
}

/// A message that tells others that an item has ended: the `e2e_*` topics of 01 §4.13.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) topic: &'static str,
    pub(crate) body: String,
}

impl Task {
    pub(crate) fn new(item: WorkItem, attempt: i64, registry: registry::Client, store: redis_store::Store) -> Self {
        let (cancelled, announcement) = (CancellationToken::new(), Arc::default());
        Self { item, attempt, registry, store, cancelled, announcement }
    }

    /// Has a message published when the item has ended, well or badly, and that is saved: last of all (rulings A.10). The first
    /// call counts. Nothing is published for an item that is tried again.
    pub fn announce_end(&self, topic: &'static str, body: impl Into<String>) {
        // A stage that says it twice means the same.
        let _ = self.announcement.set(Announcement { topic, body: body.into() });
    }

    /// Does something unless the work is cancelled first; what was begun is then dropped where it stands.
    pub async fn until_cancelled<T>(&self, what: impl Future<Output = T>) -> Result<T, Stop> {
        self.cancelled.run_until_cancelled(what).await.ok_or(Stop::Cancelled)
    }
}

/// The work is done. What is not said stays as it is, or as the service's [`Rules`](super::rules::Rules) say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// For the depositor.
    pub note: Option<String>,
    pub outcome: Option<String>,
    /// The object's id in the Registry.
    pub intellectual_object_id: Option<i64>,
}

/// Why the work is not done.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// It cannot be done yet, and that is no failure: run the stage again after this time.
    Waiting { note: String, delay: Duration },
    /// What an earlier stage made is not there any more: the item goes back to that stage (rulings C.19).
    Back { stage: model::Stage, note: String },
    /// Something that it needs was out of order. The attempt does not count; it is repeated for as long as a setting says.
    System(String),
    /// The attempt failed. It is repeated, unless attempts are used up or one of the errors is fatal.
    Failed(Vec<ProcessingError>),
    /// `task.cancelled` was.
    Cancelled,
}

impl Stop {
    /// An error that may pass.
    pub fn failed(identifier: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(vec![error(identifier.into(), message.into(), false)])
    }

    /// An error that no repetition will mend.
    pub fn fatal(identifier: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(vec![error(identifier.into(), message.into(), true)])
    }
}

fn error(identifier: String, message: String, is_fatal: bool) -> ProcessingError {
    ProcessingError { identifier, message, is_fatal, ..ProcessingError::default() }
}

/// What the Registry refused counts as an attempt; that it was away does not.
impl From<registry::Error> for Stop {
    fn from(error: registry::Error) -> Self {
        Self::of(&error.into())
    }
}

impl From<redis_store::Error> for Stop {
    fn from(error: redis_store::Error) -> Self {
        Self::of(&error.into())
    }
}

impl Stop {
    /// By what the clients say of it: what may pass is a failure of the system. With the whole chain of causes, which is for
    /// administrators.
    pub fn of(error: &anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if may_pass(error) { Self::System(message) } else { Self::failed("", message) }
    }
}
